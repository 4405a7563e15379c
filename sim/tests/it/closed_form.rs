//! Figures that are known in advance: delays, rates, losses, queues.

mod queues;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::{Latency, LinkConfig, ServiceTime, SimConfig, SimNet, TcpConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions};

/// Accepts for ever; reads and drops what comes.
async fn sink(net: SimNet) -> io::Result<()> {
    let options = ListenOptions { backlog: 10_000, ..ListenOptions::default() };
    let listener = net.bind(([0, 0, 0, 0], 7).into(), options).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        net.spawn("sink", async move {
            let mut buf = vec![0; 256 << 10];
            while let Ok(1..) = stream.read(&mut buf).await {}
        });
    }
}

async fn connect(net: &SimNet) -> io::Result<sim::SimStream> {
    let addr = net.lookup("server", 7).await?[0];
    net.connect(addr, SocketOptions::default()).await
}

/// Runs a client against a sink and gives what it measured.
fn measured<T, P, F>(config: SimConfig, program: P) -> T
where
    T: Send + 'static,
    P: Fn(SimNet) -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let result = Arc::new(Mutex::new(None));
    let inside = result.clone();
    let program = Arc::new(program);
    let run = sim::run(SimConfig { horizon: Duration::from_secs(3600), ..config }, move |world| {
        world.host("server", sink);
        world.foreground("client", move |net| {
            let (inside, program) = (inside.clone(), program.clone());
            async move {
                let value = program(net).await?;
                *inside.lock().unwrap() = Some(value);
                Ok::<(), io::Error>(())
            }
        });
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
    let value = result.lock().unwrap().take();
    value.unwrap()
}

/// How long each of `count` connects took, all begun at once, in microseconds.
async fn connect_times(net: SimNet, count: usize) -> io::Result<Vec<u64>> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        let inner = net.clone();
        tasks.push(net.spawn("connect", async move {
            let start = Instant::now();
            let stream = connect(&inner).await?;
            Ok::<_, io::Error>((stream, start.elapsed().as_micros() as u64))
        }));
    }
    let mut times = Vec::new();
    let mut kept = Vec::new();
    for task in tasks {
        let (stream, time) = task.await.map_err(io::Error::other)??;
        times.push(time);
        kept.push(stream);
    }
    Ok(times)
}

#[test]
fn two_thousand_connects_take_one_round_trip_each() {
    let times = measured(SimConfig::default(), |net| connect_times(net, 2_000));
    assert!(times.iter().all(|&time| time == 1_000), "{:?}", &times[..10]);
}

#[test]
fn a_lost_handshake_costs_a_second() {
    let link = LinkConfig { loss: 0.2, ..LinkConfig::default() };
    let times = measured(SimConfig { link, ..SimConfig::default() }, |net| connect_times(net, 2_000));
    let share = |least: u64, most: u64| {
        times.iter().filter(|&&time| (least..most).contains(&time)).count() as f64 / times.len() as f64
    };
    // Both packets must pass: 0.64 at once, 0.36 * 0.64 after a second, and so on.
    assert!((share(0, 1_000_000) - 0.64).abs() < 0.04, "{}", share(0, 1_000_000));
    assert!((share(1_000_000, 3_000_000) - 0.2304).abs() < 0.04, "{}", share(1_000_000, 3_000_000));
    assert!((share(3_000_000, 7_000_000) - 0.0829).abs() < 0.03, "{}", share(3_000_000, 7_000_000));
}

#[test]
fn a_million_bytes_take_as_long_as_the_link_says() {
    let link = LinkConfig {
        latency: Latency::Fixed(Duration::from_millis(2)),
        bandwidth: Some(8_000_000),
        ..LinkConfig::default()
    };
    let tcp = TcpConfig { send_buffer: 4 << 20, recv_buffer: 4 << 20, ..TcpConfig::default() };
    let took = measured(SimConfig { link, tcp, ..SimConfig::default() }, |net| async move {
        let mut stream = connect(&net).await?;
        let start = Instant::now();
        stream.write_all(&vec![7; 1_000_000]).await?;
        while stream.unacknowledged()? > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(start.elapsed())
    });
    // A second on the wire, and the way there and back.
    assert!((1_004..=1_006).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_window_per_round_trip_bounds_the_rate() {
    let link = LinkConfig::fixed(Duration::from_millis(50));
    let tcp = TcpConfig { send_buffer: 1 << 20, recv_buffer: 100_000, ..TcpConfig::default() };
    let took = measured(SimConfig { link, tcp, ..SimConfig::default() }, |net| async move {
        let mut stream = connect(&net).await?;
        let start = Instant::now();
        stream.write_all(&vec![7; 1_000_000]).await?;
        while stream.unacknowledged()? > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(start.elapsed())
    });
    // Ten windows of 100,000 bytes, one in each round trip of 100 ms.
    assert!((1_000..=1_005).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn service_time_makes_a_queue_of_one_server() {
    // Twenty clients say one thing at once: the n-th is served after n service times at the server.
    let service = ServiceTime { per_segment: Duration::from_micros(100), ..ServiceTime::default() };
    let link = LinkConfig::fixed(Duration::from_millis(10));
    let last = Arc::new(Mutex::new(Vec::new()));
    let inside = last.clone();
    sim::run(SimConfig { link, service, ..SimConfig::default() }, move |world| {
        let arrivals = inside.clone();
        world.foreground("server", move |net| {
            let arrivals = arrivals.clone();
            async move {
                let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
                let mut tasks = Vec::new();
                for _ in 0..20 {
                    let (mut stream, _) = listener.accept().await?;
                    let arrivals = arrivals.clone();
                    tasks.push(net.spawn("serve", async move {
                        let _ = stream.read_u8().await;
                        arrivals.lock().unwrap().push(sim::now_us());
                    }));
                }
                for task in tasks {
                    task.await.map_err(io::Error::other)?;
                }
                Ok::<(), io::Error>(())
            }
        });
        for n in 0..20 {
            world.host(&format!("client-{n}"), |net| async move {
                let mut stream = connect(&net).await?;
                tokio::time::sleep_until(Instant::now() + Duration::from_micros(1_000_000 - sim::now_us())).await;
                stream.write_u8(1).await?;
                std::future::pending::<()>().await;
                Ok::<(), io::Error>(())
            });
        }
    })
    .unwrap_or_else(|failure| panic!("{failure}"));
    let arrivals = last.lock().unwrap().clone();
    // 100 us to send, 10 ms on the wire, then one after the other.
    let expected: Vec<u64> = (1..=20).map(|n| 1_000_000 + 100 + 10_000 + n * 100).collect();
    assert_eq!(arrivals, expected);
}

#[test]
fn nobody_at_an_address_is_unreachable_and_ports_are_given_back() {
    let fine = measured(SimConfig::default(), |net| async move {
        let error = net.connect(([10, 9, 9, 9], 7).into(), SocketOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
        // More connections, one after the other, than there are ports; every third is refused.
        let refused = std::net::SocketAddr::new(net.lookup("server", 9).await?[0].ip(), 9);
        for n in 0..40_000 {
            if n % 3 == 0 {
                net.connect(refused, SocketOptions::default()).await.unwrap_err();
            } else {
                drop(connect(&net).await?);
            }
        }
        Ok(true)
    });
    assert!(fine);
}
