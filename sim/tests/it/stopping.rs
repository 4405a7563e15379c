//! A run that ends early, and one that takes another end.

use std::time::Duration;

use sim::{Ended, HostState, Latency, LinkConfig, Order, Report, Reseed, SimConfig, TraceEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{ListenOptions, Listener, Network, SocketOptions};

const ROUNDS: u32 = 40;

/// A client asks forty times and is answered, over a link of uneven delay; another host waits for a connection that never comes.
fn run(config: SimConfig) -> Report {
    let ms = Duration::from_millis;
    let latency = Latency::Uniform { min: ms(1), max: ms(9) };
    let config = SimConfig { link: LinkConfig { latency, ..LinkConfig::default() }, trace_events_max: 1_000, ..config };
    sim::run(config, |world| {
        world.host("server", |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 80).into(), ListenOptions::default()).await?;
            let (mut stream, _) = listener.accept().await?;
            let mut asked = [0; 4];
            while stream.read_exact(&mut asked).await.is_ok() {
                stream.write_all(&asked).await?;
            }
            Ok::<(), std::io::Error>(())
        });
        world.host("idle", |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 81).into(), ListenOptions::default()).await?;
            listener.accept().await.map(drop)
        });
        world.foreground("client", |net| async move {
            let mut stream = net.connect(net.lookup("server", 80).await?[0], SocketOptions::default()).await?;
            let mut answer = [0; 4];
            for round in 0..ROUNDS {
                stream.write_all(&round.to_le_bytes()).await?;
                stream.read_exact(&mut answer).await?;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok::<(), std::io::Error>(())
        });
    })
    .unwrap()
}

fn before(events: &[TraceEvent], at_us: u64) -> &[TraceEvent] {
    &events[..events.partition_point(|event| event.at_us < at_us)]
}

#[test]
fn a_run_stops_at_its_very_microsecond_and_was_the_same_until_then() {
    let whole = run(SimConfig::seeded(3));
    for at_us in [0, 1, 999, 1_000, 60_000, 123_457, 200_000] {
        let stopped = run(SimConfig { stop_at: Some(Duration::from_micros(at_us)), ..SimConfig::seeded(3) });
        assert_eq!((stopped.ended, stopped.elapsed_us), (Ended::Stopped, at_us));
        assert_eq!(stopped.trace_events, before(&whole.trace_events, at_us), "at {at_us}");
    }
    let never = run(SimConfig { stop_at: Some(Duration::from_secs(50)), ..SimConfig::seeded(3) });
    assert_eq!(never, whole);
}

#[test]
fn a_stopped_run_tells_what_each_host_holds_and_waits_for() {
    let stopped = run(SimConfig { stop_at: Some(Duration::from_micros(100_500)), ..SimConfig::seeded(3) });
    let [server, idle, client] = &stopped.standing[..] else { panic!("{:?}", stopped.standing) };
    assert_eq!((server.host.as_str(), idle.host.as_str(), client.host.as_str()), ("server", "idle", "client"));
    assert_eq!((server.state, server.connections.len()), (HostState::Running, 1));
    let connection = &client.connections[0];
    assert_eq!((connection.peer.as_str(), connection.state, connection.remote.port()), ("server", "open", 80));
    assert_eq!(idle.waiting[0].on, "accept on 0.0.0.0:81");
    assert!(server.waiting[0].on.contains("from 10.0.0.3:32768 (client)"), "{:?}", server.waiting);
    // One of them is on the way: asked and not yet arrived, or answered.
    let on_the_way = server.connections[0].unsent + client.connections[0].unsent;
    let sleeps = client.waiting[0].on.contains("a timer");
    assert!(on_the_way == 4 || sleeps, "{:?}", stopped.standing);
    assert!(run(SimConfig::seeded(3)).standing.is_empty());
}

#[test]
fn a_pause_for_a_debugger_changes_nothing() {
    let pause_at = Some(Duration::from_micros(100_500));
    assert_eq!(run(SimConfig { pause_at, ..SimConfig::seeded(3) }), run(SimConfig::seeded(3)));
}

#[test]
fn a_reseeded_run_keeps_its_beginning_and_takes_another_end() {
    for order in [Order::Fifo, Order::Shuffled(1), Order::Prioritised(2)] {
        let config = SimConfig { order, ..SimConfig::seeded(3) };
        let whole = run(config.clone());
        let reseeded = |at_us, seed| {
            run(SimConfig { reseed: Some(Reseed { at: Duration::from_micros(at_us), seed }), ..config.clone() })
        };
        // At the end nothing is left to draw.
        assert_eq!(reseeded(whole.elapsed_us + 1, 1), whole);
        assert_ne!(reseeded(0, 1).trace_hash, whole.trace_hash);
        for at_us in [50_000, 123_457, 300_000] {
            let other = reseeded(at_us, 1);
            assert_eq!(before(&other.trace_events, at_us), before(&whole.trace_events, at_us), "at {at_us}");
            assert_ne!(other.trace_hash, whole.trace_hash, "at {at_us}");
            assert_ne!(other.trace_hash, reseeded(at_us, 2).trace_hash, "at {at_us}");
            assert_eq!(other, reseeded(at_us, 1), "at {at_us}");
        }
        // And none of it stays behind for a later run.
        assert_eq!(run(config.clone()), whole);
    }
}
