//! The same programs and the same faults under both engines.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::{
    Build, Cause, Failure, FaultError, FaultKind, Faults, HostState, Latency, LinkConfig, Report, SimConfig, Target,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use wire::net::{ListenOptions, Listener, Network, SocketOptions};

async fn echo<N: Network>(net: N) -> io::Result<()> {
    let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        net.spawn("echo", async move {
            let mut buf = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut buf).await {
                if stream.write_all(&buf[..n]).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// Sends `rounds` messages and checks each answer; connects again when the connection breaks.
async fn ask<N: Network>(net: N, rounds: usize, answered: Arc<AtomicUsize>) -> io::Result<()> {
    let addr = net.lookup("server", 7).await?[0];
    let mut draws = net.draws("ask", 0);
    let mut round = 0;
    while round < rounds {
        let Ok(Ok(mut stream)) = timeout(Duration::from_secs(2), net.connect(addr, SocketOptions::default())).await
        else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        while round < rounds {
            let sent = vec![round as u8; 1 + draws.below(2_000) as usize];
            let mut back = vec![0; sent.len()];
            if stream.write_all(&sent).await.is_err() || stream.read_exact(&mut back).await.is_err() {
                break;
            }
            assert_eq!(sent, back);
            round += 1;
            answered.fetch_add(1, Ordering::Relaxed);
            sleep(draws.jitter(Duration::from_millis(50))).await;
        }
    }
    Ok(())
}

/// Five clients; the server is killed, started, and cut off for a while.
fn story<B: Build>(world: &mut B, answered: &Arc<AtomicUsize>) {
    let server = world.host("server", echo);
    let mut first = None;
    for n in 0..5 {
        let answered = answered.clone();
        let host = world.foreground(&format!("client-{n}"), move |net| ask(net, 40, answered.clone()));
        first.get_or_insert(host);
    }
    world.link(server, first.unwrap(), LinkConfig::fixed(Duration::from_millis(3))).unwrap();
    let control = world.control();
    world.host("faults", move |_| async move {
        sleep(Duration::from_millis(200)).await;
        control.kill(server)?;
        sleep(Duration::from_millis(300)).await;
        assert_eq!(control.state(server), Some(HostState::Stopped));
        control.start(server)?;
        sleep(Duration::from_millis(200)).await;
        control.partition(server, first.unwrap())?;
        sleep(Duration::from_millis(500)).await;
        control.heal(server, first.unwrap())?;
        assert!(control.elapsed() >= Duration::from_millis(1_200));
        Ok::<(), sim::NotExpressible>(())
    });
}

fn config(seed: u64) -> SimConfig {
    SimConfig { link: LinkConfig::fixed(Duration::from_millis(1)), ..SimConfig::seeded(seed) }
}

fn told(run: impl Fn(&Arc<AtomicUsize>) -> Result<Report, Failure>) -> Report {
    let answered = Arc::default();
    let report = run(&answered).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(answered.load(Ordering::Relaxed), 200);
    assert!(report.trace_count >= 200);
    report
}

#[test]
fn both_engines_tell_the_same_story() {
    let ours = told(|answered| sim::run(config(3), |world| story(world, answered)));
    let theirs = told(|answered| sim::turmoil::run(config(3), |world| story(world, answered)));
    let seconds = |report: &Report| report.elapsed_us / 1_000_000;
    assert!(seconds(&ours).abs_diff(seconds(&theirs)) <= 2, "{} and {} us", ours.elapsed_us, theirs.elapsed_us);
}

#[test]
fn turmoil_runs_are_repeatable_too() {
    let run = |seed| told(|answered| sim::turmoil::run(config(seed), |world| story(world, answered)));
    let first = run(3);
    assert_ne!(run(4).trace_hash, first.trace_hash);
    assert_eq!(run(3), first);
}

#[test]
fn what_turmoil_cannot_be_is_refused() {
    let lossy = LinkConfig { loss: 0.1, ..LinkConfig::default() };
    let failure = sim::turmoil::run(SimConfig { link: lossy, ..config(1) }, |_| {}).unwrap_err();
    assert!(matches!(failure.cause, Cause::NotExpressible(_)), "{failure}");
    let refused = sim::turmoil::Control.inject(&FaultKind::Freeze, &Target::Host("server".to_owned())).unwrap_err();
    assert_eq!(refused.to_string(), "this engine cannot express a process that stands still");
}

type Answers = Arc<Mutex<Vec<u64>>>;

/// A client asks an echo every 100 ms; faults of the plan's kind befall them. When each answer came, in milliseconds.
fn befallen<B: Build>(world: &mut B, answers: &Answers) {
    let answers = answers.clone();
    world.host("server", echo);
    world.foreground("client", move |net| {
        let answers = answers.clone();
        async move {
            let addr = net.lookup("server", 7).await?[0];
            let mut stream = net.connect(addr, SocketOptions::default()).await?;
            for n in 1..=30 {
                let begun = Duration::from_millis(n * 100).saturating_sub(Duration::from_micros(sim::now_us()));
                sleep(begun).await;
                stream.write_u8(1).await?;
                stream.read_u8().await?;
                answers.lock().unwrap().push(sim::now_us() / 1_000);
            }
            Ok::<(), io::Error>(())
        }
    });
    let control = world.control();
    world.host("faults", move |_| async move {
        let hit = |kind| control.inject(&kind, &"client/server".parse()?);
        let delay = |millis| FaultKind::Latency {
            latency: Latency::Fixed(Duration::from_millis(millis)),
            jitter: Duration::ZERO,
        };
        sleep(Duration::from_millis(450)).await;
        let (short, long) = (hit(delay(10))?, hit(delay(20))?);
        sleep(Duration::from_millis(300)).await;
        control.lift(short);
        sleep(Duration::from_millis(300)).await;
        control.lift(long);
        sleep(Duration::from_millis(300)).await;
        let (first, second) = (hit(FaultKind::Stall)?, hit(FaultKind::Partition)?);
        sleep(Duration::from_millis(300)).await;
        control.lift(first);
        sleep(Duration::from_millis(300)).await;
        control.lift(second);
        Ok::<(), FaultError>(())
    });
}

#[test]
fn faults_as_data_befall_either_engine_and_overlap_in_both() {
    let run = |run: &dyn Fn(&Answers) -> Result<Report, Failure>| {
        let answers = Answers::default();
        run(&answers).unwrap_or_else(|failure| panic!("{failure}"));
        std::mem::take(&mut *answers.lock().unwrap())
    };
    let ours = run(&|answers| sim::run(config(1), |world| befallen(world, answers)));
    let theirs = run(&|answers| sim::turmoil::run(config(1), |world| befallen(world, answers)));
    // 62 ms a round with both delays, 42 with one, 2 with none.
    for (n, round) in [(1, 2), (4, 2), (5, 62), (7, 62), (8, 42), (10, 42), (11, 2), (13, 2), (29, 2)] {
        assert_eq!(ours[n - 1], n as u64 * 100 + round, "{ours:?}");
        assert!(theirs[n - 1].abs_diff(ours[n - 1]) <= 2, "{theirs:?}");
    }
    // What was asked in the outage is answered after its last part, at the next try at the latest.
    for answers in [&ours, &theirs] {
        assert!((1_950..2_900).contains(&answers[13]), "{answers:?}");
    }
}

#[test]
fn a_panic_in_a_task_fails_a_turmoil_run_too() {
    let failure = sim::turmoil::run(config(1), |world| {
        world.foreground("victim", |net: sim::turmoil::Net| async move {
            net.spawn("stumbler", async { panic!("over a stone") });
            sleep(Duration::from_secs(5)).await;
        });
    })
    .unwrap_err();
    let Cause::Panic { host, task, message, .. } = &failure.cause else { panic!("{failure}") };
    assert_eq!((host.as_str(), task.as_str(), message.as_str()), ("victim", "stumbler", "over a stone"));
}

#[test]
fn a_task_that_never_rests_fails_a_turmoil_run_too() {
    let config = SimConfig { polls_per_instant_max: 10_000, ..config(1) };
    let failure = sim::turmoil::run(config, |world| {
        world.foreground("victim", |net: sim::turmoil::Net| async move {
            net.spawn(
                "spinner",
                std::future::poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    std::task::Poll::<()>::Pending
                }),
            );
            sleep(Duration::from_secs(5)).await;
        });
    })
    .unwrap_err();
    let Cause::Livelock { busiest, .. } = &failure.cause else { panic!("{failure}") };
    assert_eq!((busiest[0].0.as_str(), busiest[0].1.as_str()), ("victim", "spinner"));
}

/// Notes its number when dropped.
struct Tombstone(u32, Arc<Mutex<Vec<u32>>>);

impl Drop for Tombstone {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

fn dies_in_spawn_order<B: Build>(world: &mut B, dropped: &Arc<Mutex<Vec<u32>>>) {
    let dropped = dropped.clone();
    let victim = world.host("victim", move |net| {
        let dropped = dropped.clone();
        async move {
            for n in 0..500 {
                let stone = Tombstone(n, dropped.clone());
                net.spawn("mortal", async move {
                    // Some are woken in another order before they die.
                    sleep(Duration::from_millis(u64::from(n * 7 % 50))).await;
                    std::future::pending::<()>().await;
                    drop(stone);
                });
            }
            std::future::pending::<()>().await;
        }
    });
    let control = world.control();
    world.foreground("faults", move |_| async move {
        sleep(Duration::from_millis(30)).await;
        control.kill(victim)?;
        sleep(Duration::from_millis(30)).await;
        Ok::<(), sim::NotExpressible>(())
    });
}

#[test]
fn a_killed_hosts_tasks_are_dropped_in_spawn_order_in_either_engine() {
    let (ours, theirs) = (Arc::default(), Arc::default());
    sim::run(config(1), |world| dies_in_spawn_order(world, &ours)).unwrap();
    sim::turmoil::run(config(1), |world| dies_in_spawn_order(world, &theirs)).unwrap();
    assert_eq!(*ours.lock().unwrap(), (0..500).collect::<Vec<_>>());
    assert_eq!(*theirs.lock().unwrap(), *ours.lock().unwrap());
}

/// Connects 20,000 times to a host that does not run, then once to one that does.
fn knocks_at_a_dead_host<B: Build>(world: &mut B) {
    let server = world.host("server", echo);
    let control = world.control();
    world.foreground("client", move |net| async move {
        let addr = net.lookup("server", 7).await?[0];
        control.kill(server).map_err(io::Error::other)?;
        sleep(Duration::from_millis(5)).await;
        for _ in 0..20_000 {
            let began = tokio::time::Instant::now();
            let error = net.connect(addr, SocketOptions::default()).await.err().map(|error| error.kind());
            assert_eq!(error, Some(io::ErrorKind::ConnectionRefused));
            assert!(began.elapsed() <= Duration::from_millis(3), "{:?}", began.elapsed());
        }
        control.start(server).map_err(io::Error::other)?;
        sleep(Duration::from_millis(5)).await;
        net.connect(addr, SocketOptions::default()).await.map(drop)
    });
}

#[test]
fn a_killed_host_refuses_in_either_engine_and_costs_no_ports() {
    let config = SimConfig { horizon: Duration::from_secs(300), ..config(1) };
    sim::run(config.clone(), knocks_at_a_dead_host).unwrap();
    sim::turmoil::run(config, knocks_at_a_dead_host).unwrap();
}

type Notes = Arc<Mutex<Vec<String>>>;

/// What a program sees of faults of clocks, of names, and of those who take connections: each begins, is looked at, and ends.
fn clocks_names_and_refusals<B: Build>(world: &mut B, notes: &Notes) {
    let notes = notes.clone();
    world.host("server", echo);
    let control = world.control();
    world.foreground("client", move |net| {
        let notes = notes.clone();
        async move {
            let note = |text: String| notes.lock().unwrap().push(text);
            let inject = |kind, target: &str| control.inject(&kind, &target.parse().unwrap()).unwrap();
            let epoch_us = SimConfig::default().epoch.0;
            let clock = || (net.wall_clock().0 as i64 - (epoch_us + sim::now_us()) as i64) / 1_000;
            let jump = inject(FaultKind::ClockJump { by_us: -3_600_000_000 }, "client");
            let drift = inject(FaultKind::ClockDrift { ppm: 50_000 }, "client");
            let elsewhere = inject(FaultKind::ClockJump { by_us: 7_000_000 }, "server");
            note(format!("clock {} ms", clock()));
            sleep(Duration::from_secs(2)).await;
            note(format!("clock {} ms", clock()));
            control.lift(jump);
            note(format!("clock {} ms", clock()));
            [drift, elsewhere].into_iter().for_each(|id| control.lift(id));
            note(format!("clock {} ms", clock()));

            let addr = net.lookup("server", 7).await.unwrap()[0];
            let mut stream = net.connect(addr, SocketOptions::default()).await.unwrap();
            let unknown = inject(FaultKind::Nxdomain, "server");
            note(format!("{:?}", net.lookup("server", 7).await.unwrap_err().kind()));
            control.lift(unknown);
            let slow = inject(FaultKind::SlowLookup { delay: Duration::from_millis(30) }, "server");
            let began = tokio::time::Instant::now();
            net.lookup("server", 7).await.unwrap();
            note(format!("found after {} ms", began.elapsed().as_millis() / 10 * 10));
            control.lift(slow);

            let refuse = inject(FaultKind::Refuse, "client/server");
            let began = tokio::time::Instant::now();
            let refused = net.connect(addr, SocketOptions::default()).await.unwrap_err().kind();
            note(format!("{refused:?} within {} ms", began.elapsed().as_millis().next_multiple_of(4)));
            // What stands goes on.
            stream.write_u8(9).await.unwrap();
            note(format!("echo {}", stream.read_u8().await.unwrap()));
            control.lift(refuse);
            note(format!("connects: {}", net.connect(addr, SocketOptions::default()).await.is_ok()));
        }
    });
}

#[test]
fn clocks_names_and_refusals_are_the_same_in_either_engine() {
    let expect = [
        "clock -3600000 ms",
        "clock -3599900 ms",
        "clock 100 ms",
        "clock 0 ms",
        "NotFound",
        "found after 30 ms",
        "ConnectionRefused within 4 ms",
        "echo 9",
        "connects: true",
    ];
    let (ours, theirs) = (Notes::default(), Notes::default());
    sim::run(config(1), |world| clocks_names_and_refusals(world, &ours)).unwrap();
    sim::turmoil::run(config(1), |world| clocks_names_and_refusals(world, &theirs)).unwrap();
    assert_eq!(*ours.lock().unwrap(), expect);
    assert_eq!(*theirs.lock().unwrap(), expect);
}

/// Each shard runs what is spawned on it, and says its number.
fn shards<B: Build>(world: &mut B, said: &Arc<Mutex<Vec<usize>>>) {
    let said = said.clone();
    world.foreground("host", move |net| {
        let said = said.clone();
        async move {
            assert_eq!(net.shards(), 3);
            for shard in 0..net.shards() {
                let said = said.clone();
                net.spawn_on(shard, "shard", async move { said.lock().unwrap().push(shard) });
            }
            sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn a_host_has_its_shards_in_either_engine() {
    let config = SimConfig { shards: 3, ..config(1) };
    let (ours, theirs) = (Arc::default(), Arc::default());
    sim::run(config.clone(), |world| shards(world, &ours)).unwrap();
    sim::turmoil::run(config, |world| shards(world, &theirs)).unwrap();
    assert_eq!(*ours.lock().unwrap(), [0, 1, 2]);
    assert_eq!(*theirs.lock().unwrap(), [0, 1, 2]);
}
