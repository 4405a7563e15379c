//! What happens to a link: delays, rates, losses, outages. All times are exact: one way is 500 us, the first time-out 201 ms.

use std::io;
use std::time::Duration;

use sim::{FaultKind, Latency, SimConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{ListenOptions, Listener, Network};

use super::bench::{at, config, connect, delays, fault, heard, ms, told};

fn latency(latency: Latency) -> FaultKind {
    FaultKind::Latency { latency, jitter: Duration::ZERO }
}

#[test]
fn latency_is_added_from_its_start_to_its_stop() {
    let plan = vec![fault(1_000, 2_000, "server>client", latency(Latency::Fixed(ms(50))))];
    let ticks = heard(config(), plan, 3_000);
    assert_eq!(delays(&ticks, 0, 1_000), [500; 9]);
    assert_eq!(delays(&ticks, 1_000, 2_000), [50_500; 10]);
    assert_eq!(delays(&ticks, 2_000, 3_100), [500; 11]);
}

#[test]
fn latencies_on_one_link_add_up_and_end_one_by_one() {
    let plan = vec![
        fault(1_000, 3_000, "server", latency(Latency::Fixed(ms(20)))),
        fault(2_000, 4_000, "client/server", latency(Latency::Fixed(ms(30)))),
        fault(2_000, 4_000, "client>server", latency(Latency::Fixed(ms(70)))),
    ];
    let ticks = heard(config(), plan, 5_000);
    assert_eq!(delays(&ticks, 1_000, 2_000), [20_500; 10]);
    assert_eq!(delays(&ticks, 2_000, 3_000), [50_500; 10]);
    assert_eq!(delays(&ticks, 3_000, 4_000), [30_500; 10]);
    assert_eq!(delays(&ticks, 4_000, 5_100), [500; 11]);
}

#[test]
fn jitter_and_distributions_are_drawn_for_each_segment() {
    let run = |kind| {
        let plan = vec![fault(50, None, "server>client", kind)];
        delays(&heard(config(), plan, 100_000), 0, 200_000)
    };
    let share =
        |delays: &[u64], below: u64| delays.iter().filter(|delay| **delay < below).count() as f64 / delays.len() as f64;
    let jitter = run(FaultKind::Latency { latency: Latency::Fixed(ms(10)), jitter: ms(20) });
    assert!(jitter.iter().all(|delay| (10_500..=30_500).contains(delay)), "{jitter:?}");
    assert!((share(&jitter, 20_500) - 0.5).abs() < 0.05);
    let uniform = run(latency(Latency::Uniform { min: ms(5), max: ms(9) }));
    assert!(uniform.iter().all(|delay| (5_500..=9_500).contains(delay)));
    let spikes = run(latency(Latency::Spikes { share: 0.1, delay: ms(50) }));
    assert!(spikes.iter().all(|delay| [500, 50_500].contains(delay)), "{spikes:?}");
    assert!((share(&spikes, 1_000) - 0.9).abs() < 0.03);
    let tail = run(latency(Latency::LogNormal { median: ms(10), sigma: 0.5 }));
    assert!((share(&tail, 10_500) - 0.5).abs() < 0.05);
    assert!(share(&tail, 40_500) > 0.98 && share(&tail, 25_500) < 0.99);
}

#[test]
fn a_thin_pipe_carries_what_its_rate_says() {
    // 8 bytes at 8000 bit/s: 8 ms.
    let kind = FaultKind::Bandwidth { bits_per_s: 8_000, queue_bytes: 1_000 };
    let wide = FaultKind::Bandwidth { bits_per_s: 64_000, queue_bytes: 1_000 };
    let plan = vec![fault(1_000, 2_000, "server>client", kind), fault(500, 2_500, "server>client", wide)];
    let ticks = heard(config(), plan, 3_000);
    assert_eq!(delays(&ticks, 0, 500), [500; 4]);
    assert_eq!(delays(&ticks, 500, 1_000), [1_500; 5]);
    assert_eq!(delays(&ticks, 1_000, 2_000), [8_500; 10], "the smaller of the two");
    assert_eq!(delays(&ticks, 2_000, 2_500), [1_500; 5]);
    assert_eq!(delays(&ticks, 2_500, 3_100), [500; 6]);
}

/// A server that sends 100,000 bytes at the first second, and when the client has the last of them, in microseconds.
fn transfer(stop: impl Into<Option<u64>>, kind: FaultKind) -> u64 {
    let done = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let inside = done.clone();
    told(
        config(),
        vec![fault(500, stop, "server>client", kind)],
        |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (mut stream, _) = listener.accept().await?;
            at(1_000).await;
            stream.write_all(&vec![7; 100_000]).await?;
            stream.shutdown().await?;
            stream.read(&mut [0]).await.map(drop)
        },
        move |net| {
            let done = inside.clone();
            async move {
                let mut all = Vec::new();
                connect(&net).await?.read_to_end(&mut all).await?;
                assert_eq!(all, [7; 100_000]);
                done.store(sim::now_us(), std::sync::atomic::Ordering::Relaxed);
                Ok(())
            }
        },
    );
    done.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn what_waits_for_a_thin_pipe_leaves_when_it_widens() {
    let kind = || FaultKind::Bandwidth { bits_per_s: 80_000, queue_bytes: 1 << 20 };
    // Ten seconds of it, and one way.
    assert_eq!(transfer(None, kind()), 11_000_500);
    assert_eq!(transfer(3_000, kind()), 3_000_500, "what had waited leaves at once");
}

#[test]
fn a_full_queue_costs_a_time_out() {
    // 65,536 bytes fill the transmitter for 6.5536 s; the rest is lost, and sent again when the first part has arrived, half a millisecond later.
    // So is the end of the stream, once more.
    let kind = FaultKind::Bandwidth { bits_per_s: 80_000, queue_bytes: 1_000 };
    assert_eq!(transfer(None, kind), 11_000_500 + 500 + 500);
}

#[test]
fn all_lost_comes_again_after_time_outs_that_double() {
    let plan = vec![fault(1_000, 2_000, "server>client", FaultKind::Loss { share: 1.0 })];
    let ticks = heard(config(), plan, 3_000);
    assert_eq!(delays(&ticks, 0, 1_000), [500; 9]);
    // Tries of the first at 1.000, 1.201, 1.603 and 2.407 s; the others wait behind it.
    let late: Vec<u64> = (0..15).map(|n| 1_407_500 - n * 100_000).collect();
    assert_eq!(delays(&ticks, 1_000, 2_500), late);
    assert_eq!(delays(&ticks, 2_500, 3_100), [500; 6]);
}

#[test]
fn losses_on_one_link_are_independent() {
    let loss = |share| fault(0, None, "server>client", FaultKind::Loss { share });
    told(
        config(),
        vec![loss(0.1), loss(0.2)],
        |net| async move {
            let _listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            std::future::pending().await
        },
        |net| async move {
            let mut tasks = Vec::new();
            for _ in 0..900 {
                let net = net.clone();
                tasks.push(net.clone().spawn("connect", async move {
                    connect(&net).await?;
                    Ok::<_, io::Error>(sim::now_us() == 1_000)
                }));
            }
            let mut at_once = 0;
            for task in tasks {
                at_once += u32::from(task.await.map_err(io::Error::other)??);
            }
            // 0.9 * 0.8 of the answers pass at once.
            assert!((603..693).contains(&at_once), "{at_once}");
            Ok(())
        },
    );
}

#[test]
fn burst_loss_comes_in_spells() {
    let kind = FaultKind::BurstLoss { good: ms(3_000), bad: ms(300), loss_good: 0.0, loss_bad: 1.0 };
    let ticks = heard(config(), vec![fault(50, 500_000, "server>client", kind)], 600_000);
    assert!(delays(&ticks, 502_000, 600_000).iter().all(|late| *late == 500), "all is well after the stop");
    let during = delays(&ticks, 0, 500_000);
    // 500 / 3.3 = 152 spells; three in four hit a tick. A loss costs a time-out at least, and those behind it wait with it.
    let spells = during.windows(2).filter(|pair| pair[0] == 500 && pair[1] > 500).count();
    assert!((70..170).contains(&spells), "{spells}");
    let longest = during.iter().max().unwrap();
    assert!((201_500..30_000_000).contains(longest), "{longest}");
}

#[test]
fn a_partition_loses_nothing_that_was_established() {
    for target in ["server>client", "client/server", "server", "cl*"] {
        let plan = vec![fault(1_000, 2_000, target, FaultKind::Partition)];
        let ticks = heard(config(), plan, 3_000);
        let late: Vec<u64> = (0..15).map(|n| 1_407_500 - n * 100_000).collect();
        assert_eq!(delays(&ticks, 0, 1_000), [500; 9], "{target}");
        assert_eq!(delays(&ticks, 1_000, 2_500), late, "{target}: at the sender's next try after the heal");
        assert_eq!(delays(&ticks, 2_500, 3_100), [500; 6], "{target}");
    }
}

#[test]
fn a_link_heals_when_the_last_partition_does() {
    let cut = |start, stop, target| fault(start, stop, target, FaultKind::Partition);
    let ticks = heard(config(), vec![cut(1_000, 1_100, "server"), cut(1_050, 2_000, "server>client")], 3_000);
    assert_eq!(delays(&ticks, 1_000, 1_100), [1_407_500]);
}

#[test]
fn a_stall_holds_all_and_lets_it_go_at_once() {
    let plan =
        vec![fault(1_000, 2_000, "client/server", FaultKind::Stall), fault(1_500, 2_000, "server", FaultKind::Stall)];
    let ticks = heard(config(), plan, 3_000);
    let late: Vec<u64> = (0..10).map(|n| 1_000_000 - n * 100_000).collect();
    assert_eq!(delays(&ticks, 1_000, 2_000), late);
    assert_eq!(delays(&ticks, 2_000, 3_100), [500; 11]);
    assert_eq!(delays(&ticks, 0, 1_000), [500; 9]);
}

#[test]
fn a_stall_of_answers_lets_a_window_pass_and_no_more() {
    told(
        SimConfig { horizon: ms(60_000), ..config() },
        vec![fault(500, 2_000, "server>client", FaultKind::Stall)],
        |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (mut stream, _) = listener.accept().await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            assert_eq!(all.len(), 1 << 20);
            Ok(())
        },
        |net| async move {
            let mut stream = connect(&net).await?;
            at(1_000).await;
            stream.write_all(&[7; 256 << 10]).await?;
            assert_eq!(sim::now_us(), 1_000_000, "the send buffer takes it");
            stream.write_all(&vec![7; (1 << 20) - (256 << 10)]).await?;
            assert!(sim::now_us() >= 2_000_000, "and no more until an answer comes: {}", sim::now_us());
            assert!(sim::now_us() < 2_010_000, "then all goes on: {}", sim::now_us());
            stream.shutdown().await?;
            assert_eq!(stream.read(&mut [0]).await?, 0);
            Ok::<(), io::Error>(())
        },
    );
}
