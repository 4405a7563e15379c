//! Random traffic through random faults: whatever was written arrives, in order, once.

use std::io;
use std::time::Duration;

use proptest::prelude::*;
use sim::{Latency, LinkConfig, Order, ServiceTime, SimConfig, SimNet, TcpConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;
use wire::draw::Draws;
use wire::net::{ListenOptions, Listener, Network, SocketOptions};

/// A world and what befalls it. All faults end.
#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    connections: u64,
    loss: f64,
    bandwidth: Option<u64>,
    send_buffer: usize,
    recv_buffer: usize,
    lowat: Option<u32>,
    shuffled: bool,
    service_us: u64,
    /// (pause before, kind, how long), in milliseconds.
    faults: Vec<(u64, Fault, u64)>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Partition,
    OneWay,
    OtherWay,
    FreezeServer,
    FreezeClient,
    SlowLink,
    BlackHole,
}

fn plan() -> impl Strategy<Value = Plan> {
    let fault = prop_oneof![
        Just(Fault::Partition),
        Just(Fault::OneWay),
        Just(Fault::OtherWay),
        Just(Fault::FreezeServer),
        Just(Fault::FreezeClient),
        Just(Fault::SlowLink),
        Just(Fault::BlackHole),
    ];
    let faults = prop::collection::vec((0..400_u64, fault, 1..3_000_u64), 0..6);
    let buffers = (500..100_000_usize, 500..100_000_usize, prop::option::of(500..50_000_u32));
    (
        any::<u64>(),
        1..6_u64,
        0.0..0.05,
        prop::option::of(100_000..50_000_000_u64),
        buffers,
        any::<bool>(),
        0..50_u64,
        faults,
    )
        .prop_map(
            |(seed, connections, loss, bandwidth, (send_buffer, recv_buffer, lowat), shuffled, service_us, faults)| {
                Plan {
                    seed,
                    connections,
                    loss,
                    bandwidth,
                    send_buffer,
                    recv_buffer,
                    lowat,
                    shuffled,
                    service_us,
                    faults,
                }
            },
        )
}

/// Byte number `n` of a stream.
fn byte(key: u64, n: u64) -> u8 {
    ((n.wrapping_mul(2_654_435_761) >> 7) ^ key) as u8
}

async fn send(mut stream: impl AsyncWrite + Unpin, mut draws: Draws, key: u64, total: u64) -> io::Result<()> {
    let mut done = 0;
    while done < total {
        let n = (1 + draws.below(5_000)).min(total - done);
        let piece: Vec<u8> = (done..done + n).map(|n| byte(key, n)).collect();
        stream.write_all(&piece).await?;
        done += n;
        if draws.chance(0.2) {
            sleep(draws.jitter(Duration::from_millis(20))).await;
        }
    }
    stream.shutdown().await
}

async fn receive(mut stream: impl AsyncRead + Unpin, mut draws: Draws, key: u64, total: u64) -> io::Result<()> {
    let mut done = 0;
    let mut buf = vec![0; 6_000];
    loop {
        let most = 1 + draws.below(buf.len() as u64 - 1) as usize;
        let n = stream.read(&mut buf[..most]).await?;
        for (at, &got) in buf[..n].iter().enumerate() {
            assert_eq!(got, byte(key, done + at as u64), "byte {} of stream {key}", done + at as u64);
        }
        done += n as u64;
        if n == 0 {
            break;
        }
        if draws.chance(0.1) {
            sleep(draws.jitter(Duration::from_millis(30))).await;
        }
    }
    assert_eq!(done, total, "stream {key} ended early");
    Ok(())
}

/// Both directions of one connection.
async fn exchange(net: SimNet, stream: sim::SimStream, key: u64, sizes: (u64, u64)) -> io::Result<()> {
    let (read, write) = tokio::io::split(stream);
    let side = key & 1;
    let (out, back) = if side == 0 { sizes } else { (sizes.1, sizes.0) };
    let sending = net.spawn("send", send(write, net.draws("send", key), key, out));
    receive(read, net.draws("receive", key), key ^ 1, back).await?;
    sending.await.map_err(io::Error::other)?
}

fn sizes(seed: u64, key: u64) -> (u64, u64) {
    let mut draws = Draws::new(seed, "sizes", key);
    (draws.below(200_000), draws.below(200_000))
}

fn run(plan: &Plan) -> sim::Report {
    let link = LinkConfig {
        latency: Latency::Exponential { min: Duration::from_micros(50), mean: Duration::from_micros(900) },
        bandwidth: plan.bandwidth,
        queue_bytes_max: 50_000,
        loss: plan.loss,
    };
    let config = SimConfig {
        link,
        horizon: Duration::from_secs(20_000),
        tcp: TcpConfig { send_buffer: plan.send_buffer, recv_buffer: plan.recv_buffer, ..TcpConfig::default() },
        order: if plan.shuffled { Order::Shuffled(1) } else { Order::Fifo },
        service: ServiceTime { per_segment: Duration::from_micros(plan.service_us), ..ServiceTime::default() },
        ..SimConfig::seeded(plan.seed)
    };
    let (seed, connections, lowat) = (plan.seed, plan.connections, plan.lowat);
    let faults = plan.faults.clone();
    let result = sim::run(config, |world| {
        let server = world.foreground("server", move |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let mut tasks = Vec::new();
            for _ in 0..connections {
                let (mut stream, _) = listener.accept().await?;
                let inner = net.clone();
                tasks.push(net.spawn("serve", async move {
                    let key = u64::from(stream.read_u8().await?);
                    exchange(inner, stream, key * 2 + 1, sizes(seed, key)).await
                }));
            }
            for task in tasks {
                task.await.map_err(io::Error::other)??;
            }
            sleep(Duration::from_secs(600)).await;
            Ok::<(), io::Error>(())
        });
        let client = world.foreground("client", move |net| async move {
            let addr = net.lookup("server", 7).await?[0];
            let mut tasks = Vec::new();
            for key in 0..connections {
                let inner = net.clone();
                tasks.push(net.spawn("ask", async move {
                    let options = SocketOptions { notsent_lowat: lowat, ..SocketOptions::default() };
                    let mut stream = inner.connect(addr, options).await?;
                    stream.write_u8(key as u8).await?;
                    exchange(inner, stream, key * 2, sizes(seed, key)).await
                }));
            }
            for task in tasks {
                task.await.map_err(io::Error::other)??;
            }
            sleep(Duration::from_secs(600)).await;
            Ok::<(), io::Error>(())
        });
        let control = world.control();
        world.host("faults", move |_| {
            let faults = faults.clone();
            async move {
                for (pause, fault, long) in faults {
                    sleep(Duration::from_millis(pause)).await;
                    let before = control.link(client, server).unwrap();
                    match fault {
                        Fault::Partition => control.partition(client, server),
                        Fault::OneWay => control.partition_oneway(client, server),
                        Fault::OtherWay => control.partition_oneway(server, client),
                        Fault::FreezeServer => control.freeze(server),
                        Fault::FreezeClient => control.freeze(client),
                        Fault::SlowLink => {
                            control.set_link(client, server, LinkConfig::fixed(Duration::from_millis(300)));
                        }
                        Fault::BlackHole => control.black_hole(server, true),
                    }
                    sleep(Duration::from_millis(long)).await;
                    control.heal(client, server);
                    control.thaw(server);
                    control.thaw(client);
                    control.set_link(client, server, before);
                    control.black_hole(server, false);
                }
            }
        });
    });
    result.unwrap_or_else(|failure| panic!("{failure}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_once_and_in_order_through_any_faults_that_end(plan in plan()) {
        let report = run(&plan);
        prop_assert_eq!(report.connections_left, 0);
        // And again, to the byte.
        prop_assert_eq!(run(&plan), report);
    }
}
