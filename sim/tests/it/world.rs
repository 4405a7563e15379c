//! What only a simulated world can show: exact time, faults, replay.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::{Cause, Ended, HostState, Latency, LinkConfig, Report, SimConfig, SimNet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions};

/// What a task inside tells the test outside.
type Log<T> = Arc<Mutex<Vec<T>>>;

fn log<T>() -> Log<T> {
    Arc::default()
}

fn taken<T>(log: &Log<T>) -> Vec<T> {
    std::mem::take(&mut log.lock().unwrap())
}

/// Accepts for ever and sends back what comes.
async fn echo(net: SimNet) -> io::Result<()> {
    let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        net.spawn("echo", async move {
            let mut buf = [0; 4096];
            while let Ok(n) = stream.read(&mut buf).await {
                if n == 0 || stream.write_all(&buf[..n]).await.is_err() {
                    break;
                }
            }
        });
    }
}

async fn connect(net: &SimNet, host: &str) -> io::Result<sim::SimStream> {
    let addr = net.lookup(host, 7).await?[0];
    net.connect(addr, SocketOptions::default()).await
}

#[test]
fn instants_are_exact_to_the_microsecond() {
    let seen = log();
    let inside = seen.clone();
    let link = LinkConfig::fixed(Duration::from_micros(1_337));
    sim::run(SimConfig { link, ..SimConfig::default() }, |world| {
        world.host("server", echo);
        world.foreground("client", move |net| {
            let seen = inside.clone();
            async move {
                let start = Instant::now();
                let mut stream = connect(&net, "server").await?;
                seen.lock().unwrap().push(start.elapsed().as_micros());
                stream.write_all(b"x").await?;
                stream.read_exact(&mut [0]).await?;
                seen.lock().unwrap().push(start.elapsed().as_micros());
                assert_eq!(u128::from(sim::now_us()), start.elapsed().as_micros());
                Ok::<(), io::Error>(())
            }
        });
    })
    .unwrap();
    assert_eq!(taken(&seen), [2 * 1_337, 4 * 1_337]);
}

#[test]
fn timers_fire_on_their_millisecond_however_packets_fall() {
    let seen = log();
    let inside = seen.clone();
    let link = LinkConfig::fixed(Duration::from_micros(333));
    sim::run(SimConfig { link, ..SimConfig::default() }, |world| {
        world.host("server", echo);
        world.foreground("client", move |net| {
            let seen = inside.clone();
            async move {
                let start = Instant::now();
                let mut stream = connect(&net, "server").await?;
                let chatter = net.spawn("chatter", async move {
                    loop {
                        if stream.write_all(b"x").await.is_err() || stream.read_exact(&mut [0]).await.is_err() {
                            break;
                        }
                    }
                });
                for n in 1..=40_u64 {
                    tokio::time::sleep_until(start + Duration::from_millis(n)).await;
                    seen.lock().unwrap().push(start.elapsed().as_micros() as u64);
                }
                drop(chatter.guard());
                Ok::<(), io::Error>(())
            }
        });
    })
    .unwrap();
    assert_eq!(taken(&seen), (1..=40).map(|n| n * 1000).collect::<Vec<u64>>());
}

/// A world with faults and random links, for comparing runs.
fn busy_world(seed: u64) -> Report {
    let link = LinkConfig {
        latency: Latency::LogNormal { median: Duration::from_micros(700), sigma: 0.6 },
        loss: 0.01,
        bandwidth: Some(10_000_000),
        ..LinkConfig::default()
    };
    let config = SimConfig { link, trace_events_max: 10_000, ..SimConfig::seeded(seed) };
    sim::run(config, |world| {
        let server = world.host("server", echo);
        for n in 0..10_u64 {
            world.foreground(&format!("client-{n}"), move |net| async move {
                let mut draws = net.draws("client", n);
                for _ in 0..10 {
                    let Ok(mut stream) = connect(&net, "server").await else {
                        sleep(Duration::from_millis(50)).await;
                        continue;
                    };
                    let mut bytes = vec![0; 1 + draws.below(5_000) as usize];
                    // The operating system's randomness must come from the seed too.
                    let map: std::collections::HashMap<u32, u32> = (0..16).map(|k| (k, k)).collect();
                    bytes[0] = *map.keys().next().unwrap() as u8;
                    let random: [u8; 1] = std::array::from_fn(|_| random_byte());
                    bytes.extend_from_slice(&random);
                    if stream.write_all(&bytes).await.is_ok() {
                        let mut back = vec![0; bytes.len()];
                        let _ = stream.read_exact(&mut back).await;
                    }
                    sleep(draws.jitter(Duration::from_millis(20))).await;
                }
            });
        }
        let control = world.control();
        world.host("faults", move |_| async move {
            sleep(Duration::from_millis(20)).await;
            control.restart(server);
            sleep(Duration::from_millis(20)).await;
            control.freeze(server);
            sleep(Duration::from_millis(20)).await;
            control.thaw(server);
        });
    })
    .unwrap()
}

#[expect(clippy::disallowed_methods, reason = "this is what the interposer must catch")]
fn random_byte() -> u8 {
    rand::random()
}

#[test]
fn equal_seeds_give_equal_runs_whatever_ran_before() {
    let first = busy_world(5);
    for seed in 0..5 {
        assert_ne!(busy_world(100 + seed).trace_hash, first.trace_hash);
    }
    let second = busy_world(5);
    assert_eq!(sim::first_difference(&first.trace_events, &second.trace_events), None);
    assert_eq!(first, second);
    assert!(first.trace_count > 100, "the world was busy: {}", first.trace_count);
}

#[test]
fn a_fresh_process_gives_the_same_run() {
    if std::env::var_os("SIM_TEST_PRINT_HASH").is_some() {
        println!("hash={}", busy_world(5).trace_hash);
        return;
    }
    let here = busy_world(5).trace_hash;
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--exact", "world::a_fresh_process_gives_the_same_run", "--nocapture"])
        .env("SIM_TEST_PRINT_HASH", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("hash={here}")), "{text}");
}

#[test]
fn a_panic_fails_the_run_with_its_place() {
    let failure = sim::run(SimConfig::default(), |world| {
        world.foreground("victim", |net| async move {
            net.spawn("stumbler", async {
                sleep(Duration::from_secs(1)).await;
                panic!("over a stone");
            });
            sleep(Duration::from_secs(5)).await;
        });
    })
    .unwrap_err();
    let Cause::Panic { host, task, place, message } = failure.cause else { panic!("{failure}") };
    assert_eq!((host.as_str(), task.as_str(), message.as_str()), ("victim", "stumbler", "over a stone"));
    assert!(place.contains("world.rs:"), "{place}");
    assert_eq!(failure.report.elapsed_us, 1_000_000);
}

#[test]
fn a_livelock_is_found_and_named() {
    let config = SimConfig { polls_per_instant_max: 10_000, ..SimConfig::default() };
    let failure = sim::run(config, |world| {
        world.foreground("spinner", |net| async move {
            let here = net.clone();
            net.spawn("spin", async move {
                loop {
                    tokio::task::yield_now().await;
                    here.give_way().await;
                }
            });
            sleep(Duration::from_secs(5)).await;
        });
    })
    .unwrap_err();
    let Cause::Livelock { busiest, .. } = failure.cause else { panic!("{failure}") };
    assert_eq!(busiest[0].1, "spin");
}

#[test]
fn a_stuck_world_says_who_waits_for_what() {
    let failure = sim::run(SimConfig::default(), |world| {
        world.host("server", |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (_silent, _) = listener.accept().await?;
            std::future::pending::<()>().await;
            Ok::<(), io::Error>(())
        });
        world.foreground("client", |net| async move {
            let mut stream = connect(&net, "server").await?;
            stream.read_exact(&mut [0]).await?;
            Ok::<(), io::Error>(())
        });
    })
    .unwrap_err();
    let Cause::Stuck { since_us, waiting } = &failure.cause else { panic!("{failure}") };
    assert!(*since_us <= 2_000, "{since_us}");
    let client = waiting.iter().find(|waiting| waiting.host == "client").unwrap();
    assert!(client.on.starts_with("read on ") && client.on.contains("(server)"), "{}", client.on);
}

#[test]
fn a_program_that_fails_fails_the_run() {
    let failure = sim::run(SimConfig::default(), |world| {
        world.foreground("client", |_| async move { Err::<(), &str>("no luck") });
    })
    .unwrap_err();
    assert_eq!(failure.cause, Cause::Program { host: "client".to_owned(), error: "no luck".to_owned() });
}

#[test]
fn requests_into_silence_are_repeated_after_1_3_7_seconds_and_given_up_after_127() {
    let config = SimConfig { horizon: Duration::from_secs(300), trace_events_max: 100, ..SimConfig::default() };
    let report = sim::run(config, |world| {
        let server = world.host("server", echo);
        let control = world.control();
        world.foreground("client", move |net| async move {
            control.black_hole(server, true);
            let start = Instant::now();
            let error = connect(&net, "server").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(start.elapsed(), Duration::from_secs(127));
            let start = Instant::now();
            let opening = net.spawn("opening", {
                let net = net.clone();
                async move { connect(&net, "server").await.map(drop) }
            });
            sleep(Duration::from_millis(6_500)).await;
            control.black_hole(server, false);
            opening.await.unwrap().unwrap();
            assert_eq!(start.elapsed(), Duration::from_micros(7_001_000));
        });
    })
    .unwrap();
    assert_eq!(report.ended, Ended::Finished);
}

#[test]
fn an_outage_only_delays_and_ends_at_a_retransmission() {
    let seen = log();
    let inside = seen.clone();
    sim::run(SimConfig::default(), |world| {
        let server = world.host("server", echo);
        let control = world.control();
        world.foreground("client", move |net| {
            let seen = inside.clone();
            async move {
                let me = net.host();
                let mut stream = connect(&net, "server").await?;
                let start = Instant::now();
                stream.write_all(b"a").await?; // On the way when the link goes.
                sleep(Duration::ZERO).await;
                control.partition(me, server);
                stream.write_all(b"b").await?;
                let heal = net.spawn("heal", async move {
                    sleep(Duration::from_secs(1)).await;
                    control.heal(me, server);
                });
                let mut back = [0; 2];
                stream.read_exact(&mut back).await?;
                assert_eq!(&back, b"ab");
                heal.await.unwrap();
                seen.lock().unwrap().push(start.elapsed().as_micros() as u64);
                Ok::<(), io::Error>(())
            }
        });
    })
    .unwrap();
    // Time-outs of 201, 402, 804 ms (200 ms and the round trip, doubling): tries at 201, 603, 1,407 ms.
    let took = taken(&seen)[0];
    assert!((1_407_000..1_410_000).contains(&took), "{took}");
}

#[test]
fn a_killed_host_is_refused_and_a_restarted_one_listens_again() {
    sim::run(SimConfig::default(), |world| {
        let server = world.host("server", echo);
        let control = world.control();
        world.foreground("client", move |net| async move {
            let mut stream = connect(&net, "server").await?;
            stream.write_all(b"x").await?;
            stream.read_exact(&mut [0]).await?;
            control.kill(server);
            assert_eq!(control.state(server), Some(HostState::Stopped));
            assert_eq!(stream.read(&mut [0; 8]).await?, 0, "FIN");
            let error = connect(&net, "server").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            drop(stream);
            control.start(server);
            sleep(Duration::from_millis(1)).await;
            let mut stream = connect(&net, "server").await?;
            stream.write_all(b"x").await?;
            stream.read_exact(&mut [0]).await?;
            assert_eq!(control.incarnation(server), 2);
            Ok::<(), io::Error>(())
        });
    })
    .unwrap();
}

#[test]
fn a_host_without_power_is_silent_and_answers_resets_once_it_is_back() {
    sim::run(SimConfig::default(), |world| {
        let server = world.host("server", echo);
        let control = world.control();
        world.foreground("client", move |net| async move {
            let mut stream = connect(&net, "server").await?;
            stream.write_all(b"x").await?;
            stream.read_exact(&mut [0]).await?;
            control.power_off(server);
            stream.write_all(b"lost").await?;
            let silence = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 8])).await;
            assert!(silence.is_err(), "{silence:?}");
            assert!(stream.unacknowledged()? == 4);
            control.start(server);
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            drop(stream);
            let mut stream = connect(&net, "server").await?;
            stream.write_all(b"x").await?;
            stream.read_exact(&mut [0]).await?;
            Ok::<(), io::Error>(())
        });
    })
    .unwrap();
}

#[test]
fn freeze_and_thaw_lose_no_wake_up() {
    sim::run(SimConfig::default(), |world| {
        let server = world.host("server", echo);
        let control = world.control();
        world.foreground("client", move |net| async move {
            let mut streams = Vec::new();
            for _ in 0..20 {
                streams.push(connect(&net, "server").await?);
            }
            for round in 0..10 {
                for stream in &mut streams {
                    stream.write_all(b"before").await?;
                }
                sleep(Duration::from_micros(100 * round)).await;
                control.freeze(server);
                for stream in &mut streams {
                    stream.write_all(b"during").await?;
                }
                sleep(Duration::from_secs(1)).await;
                let more = connect(&net, "server").await?; // The kernel lives.
                control.thaw(server);
                for stream in &mut streams {
                    let mut back = [0; 12];
                    stream.read_exact(&mut back).await?;
                    assert_eq!(&back, b"beforeduring");
                }
                streams.push(more);
            }
            Ok::<(), io::Error>(())
        });
    })
    .unwrap();
}

#[test]
fn a_thousand_hosts_live_in_one_world() {
    let report = sim::run(SimConfig::default(), |world| {
        world.host("server", echo);
        for n in 0..1_000 {
            world.foreground(&format!("client-{n}"), |net| async move {
                let mut stream = connect(&net, "server").await?;
                stream.write_all(b"hello").await?;
                stream.read_exact(&mut [0; 5]).await?;
                drop(stream);
                sleep(Duration::from_millis(10)).await;
                Ok::<(), io::Error>(())
            });
        }
    })
    .unwrap();
    assert_eq!(report.connections_left, 0);
}
