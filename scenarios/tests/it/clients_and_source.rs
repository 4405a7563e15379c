//! Virtual clients against the mock source, no proxy between them, in a world of their own: what they measure can be said to the microsecond.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadgen::{Arrival, Closes, Config, Load, Reader, Reconnect, Subscriptions, Summary};
use mock_upstream::{Action, Mode, Script, Step};
use sim::SimConfig;
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Side, Sink, Why};
use wire::feed::Protocol;
use wire::id::{ClientId, SessionId, SourceId};
use wire::net::WallTime;

/// One way, in microseconds: the simulator's default.
const LATENCY_US: u64 = 500;

#[derive(Default)]
struct Record(Mutex<Vec<Event>>);

impl Sink for Record {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// What came of it: what the clients sum up and tell, and what the source counted.
struct Met {
    summary: Summary,
    events: Vec<Event>,
    counters: mock_upstream::Counters,
}

/// Clients meet a source that is there `after` the world began; each is changed before it begins.
fn meet_late(after: Duration, source: impl FnOnce(&mut mock_upstream::Config), load: impl FnOnce(&mut Config)) -> Met {
    let mut feed = mock_upstream::Config::new(SourceId(0), "0.0.0.0:80".parse().unwrap());
    feed.period = Duration::from_millis(10);
    feed.seed = 5;
    source(&mut feed);
    let counters = feed.counters.clone();
    let mut crowd = Config::new(vec!["ws://source/".to_owned()]);
    crowd.seed = Some(5);
    crowd.duration = Duration::from_millis(600);
    load(&mut crowd);
    let record = Arc::<Record>::default();
    let observer = Observer::new(record.clone());
    let summary = Arc::<Mutex<Option<Summary>>>::default();
    let sum = Arc::clone(&summary);
    // Ticks are numbered from their origin on.
    let epoch = WallTime(wire::tick::ORIGIN_US + 100 * 86_400_000_000);
    sim::run(SimConfig { epoch, ..SimConfig::seeded(5) }, |world| {
        world.host("source", move |net| {
            let feed = feed.clone();
            async move {
                tokio::time::sleep(after).await;
                mock_upstream::serve(feed, net, CancellationToken::new(), Observer::none()).await
            }
        });
        world.foreground("clients", move |net| {
            let (crowd, observer, sum) = (crowd.clone(), observer.clone(), Arc::clone(&sum));
            async move {
                let done = loadgen::run(crowd, net, CancellationToken::new(), observer).await?;
                *sum.lock().unwrap() = Some(done);
                Ok::<(), loadgen::RunError>(())
            }
        });
    })
    .unwrap();
    let (summary, events) = (summary.lock().unwrap().take(), std::mem::take(&mut *record.0.lock().unwrap()));
    Met { summary: summary.unwrap(), events, counters }
}

fn meet(source: impl FnOnce(&mut mock_upstream::Config), load: impl FnOnce(&mut Config)) -> Met {
    meet_late(Duration::ZERO, source, load)
}

fn script(steps: &[(u64, Action)]) -> Script {
    let step = |(at_ms, action): &(u64, Action)| Step { at: Duration::from_millis(*at_ms), action: action.clone() };
    Script { steps: steps.iter().map(step).collect() }
}

fn open(arrival: Arrival, requests_per_s: Option<f64>) -> Load {
    Load::Open { arrival, requests_per_s, stay: None, session: None }
}

#[test]
fn fifty_clients_get_every_tick_in_order() {
    let Met { summary, events, .. } = meet(
        |_| (),
        |load| {
            load.clients = 50;
            load.subscriptions = Subscriptions::Uniform { each: 3 };
            load.load = open(Arrival::Ramp { over: Duration::from_millis(100) }, None);
        },
    );
    assert!(!summary.is_flawed(), "{summary:?}");
    assert_eq!((summary.opened, summary.refused, summary.unasked), (50, 0, 0));
    // Each was there for half a second at least, and a symbol ticks a hundred times a second.
    assert!((50 * 3 * 49..50 * 3 * 60).contains(&summary.delivered), "{summary:?}");
    assert_eq!(summary.closes, [Closes { by: Side::Own, code: Some(1000), count: 50 }]);
    assert_eq!(summary.tick_latency.count, summary.delivered);
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count() as u64;
    assert_eq!(
        count(|event| matches!(event, Event::ClientDeliver { intact: true, stamp: None, .. })),
        summary.delivered
    );
    assert_eq!(count(|event| matches!(event, Event::ClientSubscribe { .. })), 150);
    assert_eq!(count(|event| matches!(event, Event::ClientOpen { strong: false, .. })), 50);
    assert_eq!(count(|event| matches!(event, Event::ClientClose { .. })), 50);
}

#[test]
fn v2_clients_log_in_get_every_tick_and_count_what_is_denied() {
    let Met { summary, events, .. } = meet(
        |source| {
            source.mode = Mode::V2;
            source.denied = vec![source.symbols[3]];
            source.heartbeat = Some(Duration::from_millis(50));
        },
        |load| (load.clients, load.protocol) = (5, Protocol::V2),
    );
    assert!(!summary.is_flawed() && summary.unasked == 0, "{summary:?}");
    assert_eq!((summary.denied, summary.logins_rejected, summary.opened), (5, 0, 5));
    // Nine symbols, a hundred ticks a second of each.
    assert!((5 * 9 * 58..=5 * 9 * 60).contains(&summary.delivered), "{summary:?}");
    assert_eq!(summary.tick_latency.count, summary.delivered);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::ClientSubscribe { .. })).count(), 50);
    let Met { summary, .. } = meet(
        |source| (source.mode, source.user_keys) = (Mode::V2, vec!["other".to_owned()]),
        |load| load.protocol = Protocol::V2,
    );
    assert_eq!((summary.logins_rejected, summary.delivered), (1, 0), "{summary:?}");
}

#[test]
fn a_wrong_seed_is_seen_in_every_payload() {
    let Met { summary, .. } = meet(|_| (), |load| load.seed = Some(6));
    assert!(summary.delivered > 0 && summary.garbled == summary.delivered, "{summary:?}");
}

#[test]
fn a_stall_shows_as_missing_ticks_and_garbage_as_garbled() {
    let steps = [(100, Action::Garbage), (200, Action::Stall { for_: Duration::from_millis(100) })];
    let Met { summary, .. } = meet(|source| source.script = script(&steps), |_| ());
    // Ten symbols, ten ticks of each.
    assert_eq!((summary.missing, summary.garbled), (100, 1), "{summary:?}");
    assert_eq!((summary.duplicates, summary.out_of_order), (0, 0));
}

#[test]
fn clients_that_are_closed_come_again_and_those_without_a_policy_do_not() {
    let steps = [(300, Action::CloseAll { code: Some(1012) })];
    let reconnect = Reconnect { base: Duration::from_millis(20), ..Reconnect::default() };
    let Met { summary, events, counters } =
        meet(|source| source.script = script(&steps), |load| (load.clients, load.reconnect) = (3, Some(reconnect)));
    assert_eq!(summary.closed_by_peer(), 3, "{summary:?}");
    assert_eq!((summary.opened, counters.opened()), (6, 6));
    let closed = Event::ClientClose { client: ClientId(2), session: SessionId(0), by: Side::Peer, code: Some(1012) };
    assert!(events.contains(&closed));

    let Met { summary, .. } = meet(|source| source.script = script(&steps), |_| ());
    assert_eq!((summary.opened, summary.closed_by_peer()), (1, 1));
}

#[test]
fn a_refused_client_tries_until_somebody_listens() {
    let Met { summary, events, .. } = meet_late(
        Duration::from_millis(200),
        |_| (),
        |load| {
            let base = Duration::from_millis(10);
            load.reconnect = Some(Reconnect { base, cap: Duration::from_millis(40), attempts_max: 500 });
        },
    );
    assert!(matches!(events[1], Event::ClientRefused { status: 0, why: Why::Refused, .. }), "{:?}", events[1]);
    // With a cap of 40 ms it is tried five times at the least, and it is in by 241 ms.
    assert!(summary.refused >= 5 && summary.opened == 1, "{summary:?}");
    assert!(summary.delivered >= 10 * 35, "{summary:?}");
}

#[test]
fn a_scripted_refusal_is_told_with_its_status() {
    let steps = [(0, Action::Refuse { for_: Duration::from_secs(9) })];
    let Met { summary, events, .. } = meet(|source| source.script = script(&steps), |_| ());
    assert_eq!((summary.dialled, summary.refused, summary.opened), (1, 1, 0));
    assert!(matches!(events[1], Event::ClientRefused { status: 503, why: Why::Admission, .. }));
    assert!(summary.is_empty());
}

#[test]
fn the_key_limit_is_heard() {
    let Met { summary, .. } = meet(|source| source.key_limit = Some(2), |load| load.clients = 5);
    assert_eq!((summary.key_limited, summary.closed_by_peer()), (3, 3), "{summary:?}");
}

#[test]
fn every_request_is_answered_and_its_latency_counts_from_the_plan() {
    let Met { summary, events, .. } = meet(
        |source| source.mode = Mode::Echo,
        |load| (load.clients, load.load) = (10, open(Arrival::AtOnce, Some(100.0))),
    );
    assert!(!summary.is_flawed(), "{summary:?}");
    // Sixty each, less what is planned within the two round trips of connecting or the one before the end.
    assert!((10 * 58..=10 * 60).contains(&summary.requests), "{summary:?}");
    assert_eq!((summary.echoes, summary.unanswered), (summary.requests, 0));
    assert_eq!(summary.echo_latency.count, summary.echoes);
    // Nothing holds anything up: there and back.
    assert!(summary.echo_latency.min_us >= 2 * LATENCY_US, "{summary:?}");
    let sent = events.iter().filter(|event| matches!(event, Event::ClientSend { .. })).count() as u64;
    assert_eq!(sent, summary.requests);
}

#[test]
fn a_closed_population_waits_for_its_answers_and_is_held() {
    let steps = [(100, Action::Stall { for_: Duration::from_millis(300) })];
    let (think, session) = (Some(Duration::from_millis(10)), Some(Duration::from_millis(200)));
    let Met { summary, .. } = meet(
        |source| (source.mode, source.script) = (Mode::Echo, script(&steps)),
        |load| {
            load.clients = 4;
            load.reconnect = Some(Reconnect::default());
            load.load = Load::Closed { ramp: Duration::ZERO, think, session };
        },
    );
    assert!(!summary.is_flawed(), "{summary:?}");
    // Whoever left was replaced, without a fault, and each asked again and again.
    assert!(summary.opened > 6 && summary.refused == 0, "{summary:?}");
    assert!(summary.requests > 40 && summary.echoes + summary.unanswered == summary.requests, "{summary:?}");
    // One request of a client is under way: the stall meets four, and hides all that would have come.
    assert!(summary.echo_latency.max_us > 100_000 && summary.echo_latency.p90_us < 100_000, "{summary:?}");
}

#[test]
fn a_stalled_echo_cannot_hide_its_stall() {
    let steps = [(100, Action::Stall { for_: Duration::from_millis(300) })];
    let Met { summary, .. } = meet(
        |source| (source.mode, source.script) = (Mode::Echo, script(&steps)),
        |load| (load.load, load.request_bytes) = (open(Arrival::AtOnce, Some(100.0)), 20),
    );
    // Requests go on during the stall, each waiting from its own planned instant: half of the run's requests saw it, the first of them all of it.
    assert!((225_000..=245_000).contains(&summary.echo_latency.p90_us), "{summary:?}");
    assert!((285_000..=302_000).contains(&summary.echo_latency.max_us), "{summary:?}");
}

#[test]
fn a_reader_that_stops_makes_the_source_feel_it() {
    let symbols = || (0..1_000).map(wire::id::Symbol::numbered).collect();
    let Met { summary, counters, .. } = meet(
        |source| {
            (source.symbols, source.period, source.queue_ticks) = (symbols(), Duration::from_millis(5), 2);
            source.socket.send_buffer = Some(16 << 10);
        },
        |load| {
            load.symbols = symbols();
            load.reader = Reader::Stopped { after: Duration::from_millis(50) };
            load.duration = Duration::from_millis(1_500);
            load.socket.recv_buffer = Some(16 << 10);
            load.close_timeout = Duration::from_millis(50);
        },
    );
    assert_eq!(counters.overflowed(), 1, "{summary:?}");
}
