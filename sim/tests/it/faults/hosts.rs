//! What happens to a host: its process, its machine, its CPU, its clock. And how a plan is read.

use std::io;
use std::time::Duration;

use sim::{Fault, FaultError, FaultKind, HostState, ServiceTime, SimConfig, Target, TraceKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{ListenOptions, Listener, Network};

use super::bench::{at, clock, config, connect, fault, ms, told};

/// The server's state at each hundredth second up to the third, in runs of equal ones: (state, until).
fn states(plan: sim::FaultPlan) -> Vec<(HostState, u64)> {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::<(HostState, u64)>::new()));
    let inside = seen.clone();
    sim::run(config(), |world| {
        let server = world.host("server", clock);
        let control = world.control();
        world.foreground("watch", move |_| {
            let seen = inside.clone();
            async move {
                for n in 1..=300 {
                    at(n * 10).await;
                    let state = control.state(server).unwrap();
                    let mut seen = seen.lock().unwrap();
                    match seen.last_mut().filter(|last| last.0 == state) {
                        Some(last) => last.1 = n * 10,
                        None => seen.push((state, n * 10)),
                    }
                }
            }
        });
        world.faults(plan).unwrap();
    })
    .unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}

#[test]
fn a_host_is_down_until_the_last_of_its_faults_is_over() {
    use HostState::{Frozen, Off, Running, Stopped};
    let hit = |start, stop: u64, kind| fault(start, Some(stop).filter(|stop| *stop > 0), "server", kind);
    let cases = [
        (vec![hit(1_000, 2_000, FaultKind::Kill)], vec![(Running, 990), (Stopped, 1_990), (Running, 3_000)]),
        (vec![hit(1_000, 2_000, FaultKind::PowerOff)], vec![(Running, 990), (Off, 1_990), (Running, 3_000)]),
        (vec![hit(1_000, 2_000, FaultKind::Freeze)], vec![(Running, 990), (Frozen, 1_990), (Running, 3_000)]),
        (
            vec![hit(1_000, 2_000, FaultKind::Kill), hit(1_500, 2_500, FaultKind::Kill)],
            vec![(Running, 990), (Stopped, 2_490), (Running, 3_000)],
        ),
        (
            vec![hit(1_000, 2_000, FaultKind::PowerOff), hit(1_500, 2_500, FaultKind::Kill)],
            vec![(Running, 990), (Off, 1_990), (Stopped, 2_490), (Running, 3_000)],
        ),
        (
            vec![hit(1_000, 2_500, FaultKind::PowerOff), hit(1_500, 2_000, FaultKind::Kill)],
            vec![(Running, 990), (Off, 2_490), (Running, 3_000)],
        ),
        (
            vec![hit(1_000, 2_000, FaultKind::Freeze), hit(1_500, 2_500, FaultKind::Freeze)],
            vec![(Running, 990), (Frozen, 2_490), (Running, 3_000)],
        ),
        // A process that is new is not frozen.
        (
            vec![hit(1_000, 2_500, FaultKind::Freeze), hit(1_500, 0, FaultKind::Restart)],
            vec![(Running, 990), (Frozen, 1_490), (Running, 3_000)],
        ),
        (
            vec![hit(1_000, 2_000, FaultKind::Kill), hit(1_500, 0, FaultKind::Restart)],
            vec![(Running, 990), (Stopped, 1_990), (Running, 3_000)],
        ),
        (vec![hit(1_000, 0, FaultKind::Kill)], vec![(Running, 990), (Stopped, 3_000)]),
    ];
    for (plan, expect) in cases {
        assert_eq!(states(plan.clone()), expect, "{plan:?}");
    }
}

#[test]
fn a_killed_process_says_so_and_a_dark_machine_only_after_it_has_booted() {
    for (kind, ends_at, how) in [
        (FaultKind::Kill, 1_000_500, Ok(0)),
        (FaultKind::Restart, 1_000_500, Ok(0)),
        // The writes of 1.0 s: tries at 1.201, 1.603, and 2.407 s, when it is back, answered half a millisecond later.
        (FaultKind::PowerOff, 2_408_000, Err(io::ErrorKind::ConnectionReset)),
    ] {
        let plan = vec![fault(1_000, 2_000, "server", kind.clone())];
        told(config(), plan, clock, move |net| async move {
            let mut stream = connect(&net).await?;
            for _ in 0..9 {
                stream.read_u64().await?;
            }
            at(1_000).await;
            if ends_at > 2_000_000 {
                stream.write_all(b"anybody?").await?;
            }
            let end = stream.read(&mut [0; 8]).await.map_err(|error| error.kind());
            assert_eq!((end, sim::now_us()), (how, ends_at));
            at(2_500).await;
            connect(&net).await?.read_u64().await.map(drop)
        });
    }
}

/// Asks an echo at `asked` milliseconds; how long it takes to answer, in microseconds.
fn answered(config: SimConfig, plan: sim::FaultPlan, asked: u64) -> u64 {
    let took = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let inside = took.clone();
    told(
        config,
        plan,
        |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (mut stream, _) = listener.accept().await?;
            let byte = stream.read_u8().await?;
            stream.write_u8(byte).await?;
            stream.read(&mut [0]).await.map(drop)
        },
        move |net| {
            let took = inside.clone();
            async move {
                let mut stream = connect(&net).await?;
                at(asked).await;
                stream.write_u8(1).await?;
                stream.read_u8().await?;
                took.store(sim::now_us() - asked * 1_000, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            }
        },
    );
    took.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn a_slow_host_whose_cpu_is_free_runs_by_turns() {
    let slow = |times| fault(1_000, 2_000, "server", FaultKind::SlowHost { times, period: ms(10) });
    // It runs in the first of every 10 ms.
    assert_eq!(answered(config(), vec![slow(10.0)], 1_500), 1_000, "within its turn");
    assert_eq!(answered(config(), vec![slow(10.0)], 1_504), 6_500, "at 1510, when it is its turn again");
    assert_eq!(answered(config(), vec![slow(2.0)], 1_504), 1_000);
    assert_eq!(answered(config(), vec![slow(2.0)], 1_506), 4_500);
    assert_eq!(answered(config(), vec![slow(10.0), slow(2.0)], 1_504), 6_500);
    assert_eq!(answered(config(), vec![slow(10.0)], 2_004), 1_000, "after the stop");
    assert_eq!(answered(config(), vec![slow(10.0)], 504), 1_000, "before the start");
}

#[test]
fn a_slow_host_whose_cpu_costs_something_costs_more() {
    let service = ServiceTime { per_segment: Duration::from_micros(100), ..ServiceTime::default() };
    let config = || SimConfig { service, ..config() };
    let slow = |times| fault(1_000, 2_000, "server", FaultKind::SlowHost { times, period: ms(10) });
    // Four times 100 us, two of them the server's.
    assert_eq!(answered(config(), vec![], 1_500), 1_400);
    assert_eq!(answered(config(), vec![slow(10.0)], 1_500), 3_200);
    assert_eq!(answered(config(), vec![slow(10.0), slow(2.0)], 1_500), 5_200, "twice slow is slow times slow");
    assert_eq!(answered(config(), vec![slow(10.0)], 2_500), 1_400);
}

#[test]
fn clocks_jump_and_drift_and_are_set_right() {
    let plan = vec![
        fault(1_000, 3_000, "client", FaultKind::ClockJump { by_us: -5_000_000 }),
        fault(2_000, 4_000, "client", FaultKind::ClockJump { by_us: 2_000_000 }),
        fault(5_000, 7_000, "cl*", FaultKind::ClockDrift { ppm: 1_000 }),
    ];
    told(config(), plan, clock, |net| async move {
        let epoch = net.wall_clock().as_micros() as i64;
        let off = async |millis: u64| {
            at(millis).await;
            net.wall_clock().as_micros() as i64 - epoch - millis as i64 * 1_000
        };
        assert_eq!(off(500).await, 0);
        assert_eq!(off(1_000).await, -5_000_000);
        assert_eq!(off(2_500).await, -3_000_000);
        assert_eq!(off(3_500).await, 2_000_000);
        assert_eq!(off(4_500).await, 0);
        assert_eq!(off(6_000).await, 1_000, "a thousandth of a second");
        assert_eq!(off(7_500).await, 0);
        Ok(())
    });
}

#[test]
fn a_fault_stands_in_the_trace_and_in_the_report_with_its_kind_and_target() {
    let run = |target: &str| {
        let plan = vec![fault(1_000, 2_000, target, FaultKind::Refuse)];
        told(config(), plan, clock, |_| async {
            at(3_000).await;
            Ok(())
        })
    };
    let report = run("server");
    let told: Vec<_> =
        report.faults.iter().map(|event| (event.at_us, event.kind, event.target.as_str(), event.begins)).collect();
    assert_eq!(told, [(1_000_000, "refuse", "server", true), (2_000_000, "refuse", "server", false)]);
    let traced = report.trace_events.iter().filter(|event| event.kind == TraceKind::Fault);
    assert_eq!(traced.map(|event| (event.at_us, event.conn)).collect::<Vec<_>>(), [(1_000_000, 1), (2_000_000, 1)]);
    assert_eq!(run("server").trace_hash, report.trace_hash);
    assert_ne!(run("client>server").trace_hash, report.trace_hash, "the text is part of the hash");
}

#[test]
fn a_target_that_is_not_there_or_does_not_suit_is_refused() {
    let refused = |target: &str, kind: FaultKind| {
        let mut error = None;
        sim::run(config(), |world| {
            world.foreground("client", |_| async {});
            error = world.faults(vec![fault(0, None, target, kind)]).err();
        })
        .unwrap();
        error
    };
    assert_eq!(refused("server", FaultKind::Kill), Some(FaultError::NoHost("server".to_owned())));
    assert_eq!(refused("client>ser*", FaultKind::Stall), Some(FaultError::NoHost("ser*".to_owned())));
    assert_eq!(refused("client/client", FaultKind::Stall), Some(FaultError::NoLink("client/client".to_owned())));
    let link = FaultError::NotALink { kind: "kill", target: "client/client".to_owned() };
    assert_eq!(refused("client/client", FaultKind::Kill), Some(link));
    assert_eq!(refused("client", FaultKind::ClockJump { by_us: 1 }), None);
    for text in ["", "/", "a/", ">b", "a/b/c", "a>b>c"] {
        assert_eq!(text.parse::<Target>(), Err(FaultError::NoTarget(text.to_owned())));
    }
}

#[test]
fn a_plan_is_plain_data() {
    let plan: sim::FaultPlan = vec![
        fault(1, 2, "a", FaultKind::Kill),
        fault(1, None, "a/b*", FaultKind::Bandwidth { bits_per_s: 1, queue_bytes: 2 }),
        fault(1, None, "a>b", FaultKind::Latency { latency: sim::Latency::Fixed(ms(3)), jitter: ms(1) }),
    ];
    let text = serde_json::to_string(&plan).unwrap();
    assert!(text.contains(r#""target":"a>b","kind":{"latency":"#), "{text}");
    assert_eq!(serde_json::from_str::<Vec<Fault>>(&text).unwrap(), plan);
}

#[test]
fn faults_of_the_hand_and_of_the_plan_are_counted_apart() {
    sim::run(config(), |world| {
        let server = world.host("server", clock);
        let control = world.control();
        world.foreground("client", move |net| async move {
            let _stream = connect(&net).await?;
            let freeze = FaultKind::Freeze;
            let (first, second) = (
                control.inject(&freeze, &Target::Host("server".into())).unwrap(),
                control.inject(&freeze, &Target::Host("server".into())).unwrap(),
            );
            control.freeze(server);
            control.freeze(server);
            control.lift(first);
            control.lift(first);
            control.thaw(server);
            assert_eq!(control.state(server), Some(HostState::Frozen));
            control.lift(second);
            assert_eq!(control.state(server), Some(HostState::Running));
            let missing = control.inject(&freeze, &Target::Host("nobody".into()));
            assert_eq!(missing, Err(FaultError::NoHost("nobody".into())));
            Ok::<(), io::Error>(())
        });
    })
    .unwrap();
}
