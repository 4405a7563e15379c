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

/// The published effect of coordinated omission (wrk2's second example: one stall of 1.4 s in 30 s at 2,000 requests a second shows as a p99 of 1.27 s by the plan, and of
/// 6.04 ms for who measures from the sending).
#[test]
fn one_stall_is_seen_by_the_plan_and_hidden_from_who_measures_from_the_sending() {
    let steps = [(10_000, Action::Stall { for_: Duration::from_millis(1_400) })];
    let Met { summary, .. } = meet(
        |source| (source.mode, source.script) = (Mode::Echo, script(&steps)),
        |load| {
            (load.clients, load.load) = (100, open(Arrival::AtOnce, Some(20.0)));
            (load.one_at_a_time, load.request_bytes, load.duration) = (true, 20, Duration::from_secs(30));
        },
    );
    assert!(!summary.is_flawed(), "{summary:?}");
    let echo = summary.window.as_ref().unwrap().echo.as_ref().unwrap();
    let [corrected, uncorrected] = [&echo.corrected, &echo.uncorrected].map(|it| it.as_ref().unwrap().quantiles);
    // All that was planned was sent, and answered; some of it while the clients closed, after the window.
    assert_eq!((summary.echoes, corrected.count), (summary.requests, uncorrected.count));
    assert!(summary.requests - corrected.count < 100, "{summary:?}");
    assert!((59_800..=60_000).contains(&summary.requests), "{summary:?}");
    // A hundredth of 30 s is planned within the first 300 ms of the stall: the rest of it is what its p99 is about.
    assert!((1_080_000..1_200_000).contains(&corrected.p99_us), "{corrected:?}");
    // From the sending, only the one request of each client that was under way saw it.
    assert!(uncorrected.p99_us < 5_000 && uncorrected.max_us > 1_350_000, "{uncorrected:?}");
    // Waiting for an answer is no lateness of the generator's own.
    assert!(summary.send_lateness.p99_us <= 1_000, "{summary:?}");
}

#[test]
fn an_echo_that_freezes_at_the_end_cannot_hide_it_either() {
    let steps = [(9_100, Action::Stall { for_: Duration::from_secs(5) })];
    for one_at_a_time in [false, true] {
        let Met { summary, .. } = meet(
            |source| (source.mode, source.script) = (Mode::Echo, script(&steps)),
            |load| {
                (load.clients, load.load) = (10, open(Arrival::AtOnce, Some(20.0)));
                (load.one_at_a_time, load.request_bytes) = (one_at_a_time, 20);
                (load.duration, load.close_timeout) = (Duration::from_secs(10), Duration::from_millis(50));
            },
        );
        let echo = summary.window.as_ref().unwrap().echo.as_ref().unwrap();
        let corrected = echo.corrected.as_ref().unwrap().quantiles;
        // 200 of each, a tenth of them planned while nothing came: a hundredth within the first 100 ms of that.
        assert!((1_980..=2_000).contains(&corrected.count), "{summary:?}");
        assert!((780_000..1_000_000).contains(&corrected.p99_us), "{corrected:?}");
        assert!((1_800..1_840).contains(&echo.answers), "{echo:?}");
    }
}

#[test]
fn requests_that_a_full_socket_held_up_to_the_end_are_told() {
    let steps = [(100, Action::Stall { for_: Duration::from_secs(5) })];
    let Met { summary, .. } = meet(
        |source| {
            (source.mode, source.script) = (Mode::Echo, script(&steps));
            source.socket.recv_buffer = Some(16 << 10);
        },
        |load| {
            (load.load, load.request_bytes) = (open(Arrival::AtOnce, Some(100.0)), 8 << 10);
            load.socket.send_buffer = Some(16 << 10);
            (load.duration, load.close_timeout) = (Duration::from_millis(1_500), Duration::from_millis(100));
        },
    );
    assert!(summary.requests_unsent > 100 && summary.requests_skipped == 0, "{summary:?}");
    assert!((148..=150).contains(&(summary.requests + summary.requests_unsent)), "{summary:?}");
    assert!(summary.is_flawed());
}

#[test]
fn clients_that_only_count_count_what_others_check() {
    for (mode, protocol, strong) in
        [(Mode::V1, Protocol::V1, 0.0), (Mode::V2, Protocol::V2, 0.0), (Mode::Raw, Protocol::Raw, 0.0)]
    {
        let Met { summary, events, .. } = meet(
            |source| source.mode = mode,
            |load| {
                (load.clients, load.verify, load.protocol, load.strong) = (20, 0.25, protocol, strong);
                load.load = open(Arrival::Ramp { over: Duration::from_millis(100) }, None);
                load.warm_up = Duration::from_millis(105);
            },
        );
        assert!(!summary.is_flawed(), "{summary:?}");
        let window = summary.window.as_ref().unwrap();
        // The last comes after 95 ms; the run lasts 600 ms.
        assert!((window.seconds - 0.4).abs() < 1e-6, "{window:?}");
        assert_eq!((window.checked.clients, window.drained.clients), (5, 15), "{mode:?}");
        // Ten symbols, a hundred times a second, for 0.4 s; a heartbeat or an answer of a v2 source counts for who does not look.
        let each = |count: u64, clients: u64| count as f64 / clients as f64;
        assert_eq!(each(window.checked.deliveries, 5), 400.0, "{mode:?}: {window:?}");
        assert_eq!(each(window.drained.messages, 15), 400.0, "{mode:?}: {window:?}");
        assert_eq!(window.deliveries, 20 * 400);
        // As many bytes for one as for the other, but for the digits of numbers.
        assert_eq!(summary.closes, [Closes { by: Side::Own, code: Some(1000), count: 20 }]);
        assert_eq!(summary.phases.first_message.as_ref().unwrap().quantiles.count, 20);
        // Nobody can hold against them that they got nothing: they are not told of as subscribed.
        let subscribed = |event: &&Event| matches!(event, Event::ClientSubscribe { .. });
        let asks = if mode == Mode::Raw { 0 } else { 5 * 10 };
        assert_eq!(events.iter().filter(subscribed).count(), asks, "{mode:?}");
    }
}

#[test]
fn who_only_counts_answers_pings_and_closes_and_comes_again() {
    let steps = [(200, Action::CloseAll { code: Some(1012) })];
    let Met { summary, .. } = meet(
        |source| source.script = script(&steps),
        |load| {
            (load.clients, load.verify, load.duration) = (4, 0.0, Duration::from_secs(5));
            load.reconnect = Some(Reconnect { base: Duration::from_millis(10), ..Reconnect::default() });
        },
    );
    let closed = |by, code| summary.closes.iter().find(|it| it.by == by && it.code == Some(code)).map(|it| it.count);
    assert_eq!((closed(Side::Peer, 1012), closed(Side::Own, 1000)), (Some(4), Some(4)), "{summary:?}");
    let reconnect = summary.phases.reconnect.as_ref().unwrap().quantiles;
    assert!(reconnect.count == 4 && reconnect.min_us >= 3 * LATENCY_US && reconnect.max_us < 40_000, "{reconnect:?}");
    assert!(summary.drained > 4 * 10 * 480 && summary.delivered == 0 && summary.garbled == 0, "{summary:?}");
}

#[test]
fn phases_of_a_session_are_timed_apart() {
    let Met { summary, .. } = meet(|_| (), |load| load.clients = 3);
    let phase =
        |phase: &Option<loadgen::Distribution>| phase.as_ref().map(|it| (it.quantiles.count, it.quantiles.min_us));
    // One round trip each, by what a histogram tells apart; then a subscription, and the next tick of any symbol.
    for (name, seen) in [("tcp", phase(&summary.phases.tcp)), ("upgrade", phase(&summary.phases.upgrade))] {
        let (count, least) = seen.unwrap();
        assert!(count == 3 && (2 * LATENCY_US..2 * LATENCY_US + 200).contains(&least), "{name}: {count} {least}");
    }
    let (_, least) = phase(&summary.phases.first_message).unwrap();
    assert!((2 * LATENCY_US..12_000).contains(&least), "{least}");
    assert!(summary.phases.echo.is_none() && summary.phases.reconnect.is_none());
}

#[test]
fn a_simulated_host_connects_from_no_address_that_is_not_its_own() {
    let Met { summary, .. } = meet(|_| (), |load| load.source_addresses = vec!["127.0.0.9".parse().unwrap()]);
    assert_eq!((summary.dials.no_port, summary.opened), (1, 0), "{summary:?}");
    assert!(summary.window.as_ref().is_none_or(|window| window.checked.tick_latency.is_none()), "{summary:?}");
}
