//! Random traffic through random faults: whatever was written arrives, in order, once.

use std::io;
use std::time::Duration;

use proptest::prelude::*;
use sim::{
    Fault, FaultKind, FaultPlan, Latency, LinkConfig, Order, Queues, Reads, Scope, ServiceTime, SimConfig, SimNet,
    Spread, TcpConfig,
};
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
    service: ServiceTime,
    faults: FaultPlan,
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

/// Faults that lose no byte of an established connection.
fn gentle() -> impl Strategy<Value = FaultKind> {
    prop_oneof![
        Just(FaultKind::Partition),
        Just(FaultKind::Stall),
        Just(FaultKind::Freeze),
        Just(FaultKind::BlackHole),
        Just(FaultKind::Refuse),
        Just(FaultKind::Nxdomain),
        Just(FaultKind::Timeout { closes_after: None }),
        (1.5..20.0, millis(2..30)).prop_map(|(times, period)| FaultKind::SlowHost { times, period }),
        (-5_000_000..5_000_000_i64).prop_map(|by_us| FaultKind::ClockJump { by_us }),
        (-9_000..9_000_i32).prop_map(|ppm| FaultKind::ClockDrift { ppm }),
        (0..3_u32).prop_map(|at_most| FaultKind::Backlog { at_most }),
        (2..6_u32).prop_map(|at_most| FaultKind::Descriptors { at_most }),
        millis(0..400).prop_map(|delay| FaultKind::SlowLookup { delay }),
        (millis(0..300), millis(0..50))
            .prop_map(|(delay, jitter)| FaultKind::Latency { latency: Latency::Fixed(delay), jitter }),
        (0.0..0.5, millis(0..300)).prop_map(|(share, delay)| FaultKind::Latency {
            latency: Latency::Spikes { share, delay },
            jitter: Duration::ZERO
        }),
        (50_000..9_000_000_u64, 100..200_000_u64)
            .prop_map(|(bits_per_s, queue_bytes)| FaultKind::Bandwidth { bits_per_s, queue_bytes }),
        (0.0..0.5).prop_map(|share| FaultKind::Loss { share }),
        (millis(1..2_000), millis(1..500), 0.0..=1.0).prop_map(|(good, bad, loss_bad)| FaultKind::BurstLoss {
            good,
            bad,
            loss_good: 0.01,
            loss_bad
        }),
        (100..5_000_u32, 0..99_u32, millis(0..5)).prop_map(|(size, variation, delay)| FaultKind::Slicer {
            size,
            variation,
            delay
        }),
        millis(0..2_000).prop_map(|delay| FaultKind::SlowClose { delay }),
    ]
}

/// Faults that end connections.
fn rough() -> impl Strategy<Value = FaultKind> {
    prop_oneof![
        Just(FaultKind::Kill),
        Just(FaultKind::Restart),
        Just(FaultKind::PowerOff),
        Just(FaultKind::AcceptClose),
        Just(FaultKind::HalfOpen),
        millis(0..1_000).prop_map(|after| FaultKind::Timeout { closes_after: Some(after) }),
        (0..100_000_u64).prop_map(|bytes| FaultKind::LimitData { bytes }),
        (0..100_000_u64).prop_map(|bytes| FaultKind::ResetPeer { bytes }),
    ]
}

/// A fault of this kind on any target that suits it; it ends.
fn fault(kind: impl Strategy<Value = FaultKind>) -> impl Strategy<Value = Fault> {
    (kind, 0..5_usize, millis(0..2_000), millis(1..3_000)).prop_map(|(kind, target, start, lasts)| {
        let targets = ["server", "client", "client/server", "client>server", "server>client"];
        let target = targets[if kind.scope() == Scope::Host { target % 2 } else { target }].parse().unwrap();
        Fault { start, stop: Some(start + lasts), target, kind }
    })
}

/// Free now and then, and of any make.
fn service() -> impl Strategy<Value = ServiceTime> {
    let queues = prop_oneof![Just(Queues::PerCore), Just(Queues::Shared)];
    let spread = prop_oneof![Just(Spread::Fixed), Just(Spread::Exponential)];
    let reads = prop_oneof![Just(Reads::Each), Just(Reads::Joined)];
    let costs = prop_oneof![Just((0, 0, 0)), (0..50_000_u64, 0..20_000_u64, 0..200_000_u64)];
    (costs, 1..5_u16, queues, spread, reads).prop_map(|((segment, kib, connection), cores, queues, spread, reads)| {
        ServiceTime {
            per_segment: Duration::from_nanos(segment),
            per_kib: Duration::from_nanos(kib),
            per_connection: Duration::from_nanos(connection),
            cores,
            queues,
            spread,
            reads,
        }
    })
}

fn plan<K: Strategy<Value = FaultKind>>(kind: K) -> impl Strategy<Value = Plan> {
    let faults = prop::collection::vec(fault(kind), 0..6);
    let buffers = (500..100_000_usize, 500..100_000_usize, prop::option::of(500..50_000_u32));
    (
        any::<u64>(),
        1..6_u64,
        0.0..0.05,
        prop::option::of(100_000..50_000_000_u64),
        buffers,
        any::<bool>(),
        service(),
        faults,
    )
        .prop_map(
            |(seed, connections, loss, bandwidth, (send_buffer, recv_buffer, lowat), shuffled, service, faults)| Plan {
                seed,
                connections,
                loss,
                bandwidth,
                send_buffer,
                recv_buffer,
                lowat,
                shuffled,
                service,
                faults,
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

fn config(plan: &Plan) -> SimConfig {
    let link = LinkConfig {
        latency: Latency::Exponential { min: Duration::from_micros(50), mean: Duration::from_micros(900) },
        bandwidth: plan.bandwidth,
        queue_bytes_max: 50_000,
        loss: plan.loss,
    };
    SimConfig {
        link,
        horizon: Duration::from_secs(200_000),
        tcp: TcpConfig { send_buffer: plan.send_buffer, recv_buffer: plan.recv_buffer, ..TcpConfig::default() },
        order: if plan.shuffled { Order::Shuffled(1) } else { Order::Fifo },
        service: plan.service,
        ..SimConfig::seeded(plan.seed)
    }
}

/// Tries until it is connected.
async fn connect(net: &SimNet, lowat: Option<u32>) -> sim::SimStream {
    let options = SocketOptions { notsent_lowat: lowat, ..SocketOptions::default() };
    loop {
        if let Ok(found) = net.lookup("server", 7).await
            && let Ok(stream) = net.connect(found[0], options).await
        {
            return stream;
        }
        sleep(Duration::from_millis(70)).await;
    }
}

async fn listen(net: &SimNet) -> <SimNet as Network>::Listener {
    loop {
        if let Ok(listener) = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await {
            return listener;
        }
        sleep(Duration::from_millis(70)).await;
    }
}

fn run(plan: &Plan) -> sim::Report {
    let (seed, connections, lowat) = (plan.seed, plan.connections, plan.lowat);
    let result = sim::run(config(plan), |world| {
        world.foreground("server", move |net| async move {
            let listener = listen(&net).await;
            let mut tasks = Vec::new();
            while (tasks.len() as u64) < connections {
                let Ok((mut stream, _)) = listener.accept().await else {
                    sleep(Duration::from_millis(50)).await;
                    continue;
                };
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
        world.foreground("client", move |net| async move {
            let mut tasks = Vec::new();
            for key in 0..connections {
                let inner = net.clone();
                tasks.push(net.spawn("ask", async move {
                    let mut stream = connect(&inner, lowat).await;
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
        world.faults(plan.faults.clone()).unwrap();
    });
    result.unwrap_or_else(|failure| panic!("{failure}"))
}

/// Reads as far as it goes, for a minute of silence at most. Whatever comes is what was sent, in order.
async fn receive_some(mut stream: impl AsyncRead + Unpin, key: u64) -> u64 {
    let mut done = 0;
    let mut buf = vec![0; 6_000];
    while let Ok(Ok(n @ 1..)) = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut buf)).await {
        for (at, &got) in buf[..n].iter().enumerate() {
            assert_eq!(got, byte(key, done + at as u64), "byte {} of stream {key}", done + at as u64);
        }
        done += n as u64;
    }
    done
}

/// Both directions of one connection, as far as they go.
async fn exchange_some(net: SimNet, stream: sim::SimStream, key: u64, sizes: (u64, u64)) {
    let (read, write) = tokio::io::split(stream);
    let (out, back) = if key & 1 == 0 { sizes } else { (sizes.1, sizes.0) };
    let sending = net
        .spawn("send", {
            let draws = net.draws("send", key);
            async move { tokio::time::timeout(Duration::from_secs(60), send(write, draws, key, out)).await }
        })
        .guard();
    let got = receive_some(read, key ^ 1).await;
    assert!(got <= back, "stream {key} brought {got} of {back} bytes");
    drop(sending);
}

/// Serves whoever comes, as far as it goes.
async fn serve_some(net: SimNet, seed: u64) -> io::Result<()> {
    let listener = listen(&net).await;
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let inner = net.clone();
        net.spawn("serve", async move {
            let first = tokio::time::timeout(Duration::from_secs(60), stream.read_u8()).await;
            if let Ok(Ok(key)) = first {
                exchange_some(inner, stream, u64::from(key) * 2 + 1, sizes(seed, u64::from(key))).await;
            }
        });
    }
}

/// A client that connects again and again, and a server that lives on.
fn run_rough(plan: &Plan) -> sim::Report {
    let (seed, connections, lowat) = (plan.seed, plan.connections, plan.lowat);
    let result = sim::run(config(plan), |world| {
        world.host("server", move |net| serve_some(net, seed));
        world.foreground("client", move |net| async move {
            for round in 0..2 {
                let mut tasks = Vec::new();
                for key in 0..connections {
                    let inner = net.clone();
                    tasks.push(net.spawn("ask", async move {
                        let mut stream = connect(&inner, lowat).await;
                        if stream.write_u8(key as u8).await.is_ok() {
                            exchange_some(inner, stream, key * 2, sizes(seed, key)).await;
                        }
                    }));
                }
                for task in tasks {
                    task.await.unwrap();
                }
                sleep(Duration::from_millis(round * 500)).await;
            }
            // After all faults, and the patience of all kernels, one more comes through, and then nothing is left.
            sleep(Duration::from_secs(5_000)).await;
            let mut last = connect(&net, None).await;
            last.write_u8(200).await.unwrap();
            receive(last, net.draws("last", 0), 401, sizes(seed, 200).1).await.unwrap();
            sleep(Duration::from_secs(5_000)).await;
        });
        world.faults(plan.faults.clone()).unwrap();
    });
    result.unwrap_or_else(|failure| panic!("{failure}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_once_and_in_order_through_any_faults_that_end(plan in plan(gentle())) {
        let report = run(&plan);
        prop_assert_eq!(report.connections_left, 0);
        // And again, to the byte.
        prop_assert_eq!(run(&plan), report);
    }

    #[test]
    fn whatever_arrives_is_right_and_nothing_is_left_when_connections_are_broken(plan in plan(prop_oneof![gentle(), rough(), rough()])) {
        let report = run_rough(&plan);
        prop_assert_eq!(report.connections_left, 0);
        prop_assert_eq!(run_rough(&plan), report);
    }
}

/// Plans that once left sockets behind, as the property above found them: (seed, connections, loss, bits/s, send and receive buffers, shuffled, us a segment), faults.
#[test]
fn plans_that_once_left_sockets_behind_leave_none() {
    type Numbers = (u64, u64, f64, Option<u64>, (usize, usize), bool, u64);
    type Given = (FaultKind, &'static str, u64, u64);
    let (closes, silent) =
        (FaultKind::Timeout { closes_after: Some(Duration::ZERO) }, FaultKind::Timeout { closes_after: None });
    let later = FaultKind::Timeout { closes_after: Some(Duration::from_millis(15)) };
    let slow = FaultKind::SlowHost { times: 1.5, period: Duration::from_millis(2) };
    let reset = |bytes| FaultKind::ResetPeer { bytes };
    let plans: Vec<(Numbers, Vec<Given>)> = vec![
        (
            (17_176_510_771_664_162_220, 3, 0.0, Some(470_011), (61_793, 39_314), true, 38),
            vec![(FaultKind::Kill, "server", 144, 145), (reset(1), "server", 670, 754)],
        ),
        (
            (3_492_220_216_332_822_866, 5, 0.0, Some(100_000), (16_556, 500), false, 0),
            vec![(closes.clone(), "server", 163, 164), (FaultKind::Partition, "server", 2, 164)],
        ),
        (
            (3_178_055_247_304_720_614, 4, 0.027_312_484_790_004_775, Some(18_336_416), (43_848, 44_133), false, 33),
            vec![(FaultKind::Partition, "server", 444, 1_086), (later, "server>client", 209, 224)],
        ),
        (
            (3_635_942_434_499_909_008, 3, 0.0, Some(1_656_414), (13_774, 4_059), false, 1),
            vec![(FaultKind::Kill, "client", 392, 393), (reset(20_296), "client>server", 91, 413)],
        ),
        (
            (12_882_893_072_961_720_407, 2, 0.0, Some(1_827_873), (32_420, 32_420), true, 0),
            vec![
                (reset(3_241), "server", 917, 2_330),
                (FaultKind::HalfOpen, "server", 39, 40),
                (FaultKind::Stall, "server", 2, 917),
            ],
        ),
        (
            (15_394_978_198_735_019_325, 2, 0.010_732_604_483_029_42, Some(1_263_631), (16_261, 16_260), false, 0),
            vec![(FaultKind::HalfOpen, "server>client", 950, 951), (reset(3_548), "server>client", 608, 972)],
        ),
        (
            (4_148_732_182_745_289_362, 2, 0.040_485_718_931_236_73, None, (37_086, 27_012), true, 1),
            vec![(FaultKind::Kill, "server", 675, 676), (FaultKind::Partition, "server", 863, 864)],
        ),
        (
            (2_975_857_121_926_611_875, 1, 0.018_813_732_598_095_91, None, (19_431, 19_431), false, 1),
            vec![
                (FaultKind::Kill, "server", 130, 131),
                (FaultKind::HalfOpen, "client", 109, 110),
                (reset(1), "server", 1_041, 1_818),
                (silent, "server>client", 0, 1_041),
            ],
        ),
        (
            (1_577_392_208_288_164_279, 1, 0.0, Some(100_000), (19_403, 19_404), false, 0),
            vec![(FaultKind::Kill, "client", 40, 41), (reset(4_679), "server", 0, 716), (slow, "server", 0, 1)],
        ),
        (
            (117_384_147_383_645_347, 5, 0.045_848_599_235_918_865, None, (22_373, 500), false, 0),
            vec![(closes, "server", 5, 6), (FaultKind::Freeze, "client", 3, 1_380), (FaultKind::Kill, "client", 6, 7)],
        ),
    ];
    for ((seed, connections, loss, bandwidth, (send_buffer, recv_buffer), shuffled, service_us), faults) in plans {
        let faults = faults.into_iter().map(|(kind, target, start, stop)| {
            let (start, stop) = (Duration::from_millis(start), Duration::from_millis(stop));
            Fault { start, stop: Some(stop), target: target.parse().unwrap(), kind }
        });
        let service = ServiceTime { per_segment: Duration::from_micros(service_us), ..ServiceTime::default() };
        let faults = faults.collect();
        let plan = Plan {
            seed,
            connections,
            loss,
            bandwidth,
            send_buffer,
            recv_buffer,
            lowat: None,
            shuffled,
            service,
            faults,
        };
        assert_eq!(run_rough(&plan).connections_left, 0, "{plan:?}");
    }
}
