//! Virtual clients against the mock source over loopback, no proxy between them.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadgen::{Arrival, Closes, Config, Load, Reader, Reconnect, Subscriptions, Summary};
use mock_upstream::{Action, Mode, Script, Step};
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Side, Sink, Why};
use wire::feed::Protocol;
use wire::id::{ClientId, SessionId, SourceId};
use wire::net::{ListenOptions, Listener, Network, TokioNet};

#[derive(Default)]
struct Record(Mutex<Vec<Event>>);

impl Sink for Record {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// Starts a source and gives its URL; it ends with the test's runtime.
async fn source(change: impl FnOnce(&mut mock_upstream::Config)) -> (String, mock_upstream::Counters) {
    let net = TokioNet::current();
    let mut config = mock_upstream::Config::new(SourceId(0), "127.0.0.1:0".parse().unwrap());
    config.period = Duration::from_millis(10);
    config.seed = 5;
    // A loaded machine may freeze us for a while: catch all up, and let it wait in the queue.
    (config.burst_max, config.queue_ticks) = (10_000, 4_096);
    change(&mut config);
    let listener = net.bind(config.listen, ListenOptions::default()).await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let counters = config.counters.clone();
    let served = mock_upstream::serve_on(config, listener, net.clone(), CancellationToken::new(), Observer::none());
    net.spawn("source", served);
    (url, counters)
}

async fn load(url: &str, change: impl FnOnce(&mut Config)) -> (Summary, Vec<Event>) {
    let mut config = Config::new(vec![url.to_owned()]);
    config.seed = Some(5);
    config.duration = Duration::from_millis(600);
    change(&mut config);
    let record = Arc::<Record>::default();
    let observer = Observer::new(record.clone());
    let summary = loadgen::run(config, TokioNet::current(), CancellationToken::new(), observer).await.unwrap();
    let events = std::mem::take(&mut *record.0.lock().unwrap());
    (summary, events)
}

fn script(steps: &[(u64, Action)]) -> Script {
    let step = |(at_ms, action): &(u64, Action)| Step { at: Duration::from_millis(*at_ms), action: action.clone() };
    Script { steps: steps.iter().map(step).collect() }
}

fn open(arrival: Arrival, requests_per_s: Option<f64>) -> Load {
    Load::Open { arrival, requests_per_s, stay: None, session: None }
}

#[tokio::test]
async fn fifty_clients_get_every_tick_in_order() {
    let (url, _) = source(|_| ()).await;
    let (summary, events) = load(&url, |config| {
        config.clients = 50;
        config.subscriptions = Subscriptions::Uniform { each: 3 };
        config.load = open(Arrival::Ramp { over: Duration::from_millis(100) }, None);
    })
    .await;
    assert!(!summary.is_flawed(), "{summary:?}");
    assert_eq!((summary.opened, summary.refused, summary.unasked), (50, 0, 0));
    assert!(summary.delivered > 50 * 3, "{summary:?}");
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

#[tokio::test]
async fn v2_clients_log_in_get_every_tick_and_count_what_is_denied() {
    let (url, _) = source(|config| {
        config.mode = Mode::V2;
        config.denied = vec![config.symbols[3]];
        config.heartbeat = Some(Duration::from_millis(50));
    })
    .await;
    let (summary, events) = load(&url, |config| (config.clients, config.protocol) = (5, Protocol::V2)).await;
    assert!(!summary.is_flawed() && summary.unasked == 0, "{summary:?}");
    assert_eq!((summary.denied, summary.logins_rejected, summary.opened), (5, 0, 5));
    assert!(summary.delivered > 5 * 9, "{summary:?}");
    assert_eq!(summary.tick_latency.count, summary.delivered);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::ClientSubscribe { .. })).count(), 50);
    let (url, _) = source(|config| (config.mode, config.user_keys) = (Mode::V2, vec!["other".to_owned()])).await;
    let (summary, _) = load(&url, |config| config.protocol = Protocol::V2).await;
    assert_eq!((summary.logins_rejected, summary.delivered), (1, 0), "{summary:?}");
}

#[tokio::test]
async fn a_wrong_seed_is_seen_in_every_payload() {
    let (url, _) = source(|_| ()).await;
    let (summary, _) = load(&url, |config| config.seed = Some(6)).await;
    assert!(summary.delivered > 0 && summary.garbled == summary.delivered, "{summary:?}");
}

#[tokio::test]
async fn a_stall_shows_as_missing_ticks_and_garbage_as_garbled() {
    let steps = [(100, Action::Garbage), (200, Action::Stall { for_: Duration::from_millis(100) })];
    let (url, _) = source(|config| config.script = script(&steps)).await;
    let (summary, _) = load(&url, |_| ()).await;
    assert!(summary.missing >= 10 * 8, "{summary:?}");
    assert_eq!((summary.garbled, summary.duplicates, summary.out_of_order), (1, 0, 0));
}

#[tokio::test]
async fn clients_that_are_closed_come_again_and_those_without_a_policy_do_not() {
    let steps = [(300, Action::CloseAll { code: Some(1012) })];
    let (url, counters) = source(|config| config.script = script(&steps)).await;
    let reconnect = Reconnect { base: Duration::from_millis(20), ..Reconnect::default() };
    let (summary, events) = load(&url, |config| {
        config.clients = 3;
        config.reconnect = Some(reconnect);
    })
    .await;
    assert_eq!(summary.closed_by_peer(), 3, "{summary:?}");
    assert_eq!((summary.opened, counters.opened()), (6, 6));
    let closed = Event::ClientClose { client: ClientId(2), session: SessionId(0), by: Side::Peer, code: Some(1012) };
    assert!(events.contains(&closed));

    let (url, _) = source(|config| config.script = script(&steps)).await;
    let (summary, _) = load(&url, |_| ()).await;
    assert_eq!((summary.opened, summary.closed_by_peer()), (1, 1));
}

#[tokio::test]
async fn a_refused_client_tries_until_somebody_listens() {
    // A free port, found by binding it and letting it go.
    let net = TokioNet::current();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let addr = net.bind(any, ListenOptions::default()).await.unwrap().local_addr().unwrap();
    let later = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        source(|config| config.listen = addr).await
    };
    let url = format!("ws://{addr}/");
    let client = load(&url, |config| {
        config.duration = Duration::from_secs(1);
        let base = Duration::from_millis(10);
        config.reconnect = Some(Reconnect { base, cap: Duration::from_millis(40), attempts_max: 500 });
    });
    let (_, (summary, events)) = tokio::join!(later, client);
    assert!(matches!(events[1], Event::ClientRefused { status: 0, why: Why::Refused, .. }), "{:?}", events[1]);
    assert!(summary.refused >= 1 && summary.opened == 1 && summary.delivered > 0, "{summary:?}");
}

#[tokio::test]
async fn a_scripted_refusal_is_told_with_its_status() {
    let steps = [(0, Action::Refuse { for_: Duration::from_secs(9) })];
    let (url, _) = source(|config| config.script = script(&steps)).await;
    let (summary, events) = load(&url, |_| ()).await;
    assert_eq!((summary.dialled, summary.refused, summary.opened), (1, 1, 0));
    assert!(matches!(events[1], Event::ClientRefused { status: 503, why: Why::Admission, .. }));
    assert!(summary.is_empty());
}

#[tokio::test]
async fn the_key_limit_is_heard() {
    let (url, _) = source(|config| config.key_limit = Some(2)).await;
    let (summary, _) = load(&url, |config| config.clients = 5).await;
    assert_eq!((summary.key_limited, summary.closed_by_peer()), (3, 3), "{summary:?}");
}

#[tokio::test]
async fn every_request_is_answered_and_its_latency_counts_from_the_plan() {
    let (url, _) = source(|config| config.mode = Mode::Echo).await;
    let (summary, events) = load(&url, |config| {
        config.clients = 10;
        config.load = open(Arrival::AtOnce, Some(100.0));
    })
    .await;
    assert!(!summary.is_flawed(), "{summary:?}");
    // 60 each, less what the connecting took.
    assert!((200..=610).contains(&summary.requests), "{summary:?}");
    assert_eq!((summary.echoes, summary.unanswered), (summary.requests, 0));
    assert_eq!(summary.echo_latency.count, summary.echoes);
    // The answer cannot be earlier than the sending, and both count from the plan.
    assert!(summary.echo_latency.max_us >= summary.send_lateness.min_us);
    let sent = events.iter().filter(|event| matches!(event, Event::ClientSend { .. })).count() as u64;
    assert_eq!(sent, summary.requests);
}

#[tokio::test]
async fn a_closed_population_waits_for_its_answers_and_is_held() {
    let steps = [(100, Action::Stall { for_: Duration::from_millis(300) })];
    let (url, _) = source(|config| {
        config.mode = Mode::Echo;
        config.script = script(&steps);
    })
    .await;
    let (think, session) = (Some(Duration::from_millis(10)), Some(Duration::from_millis(200)));
    let (summary, _) = load(&url, |config| {
        config.clients = 4;
        config.reconnect = Some(Reconnect::default());
        config.load = Load::Closed { ramp: Duration::ZERO, think, session };
    })
    .await;
    assert!(!summary.is_flawed(), "{summary:?}");
    // Whoever left was replaced, without a fault, and each asked again and again.
    assert!(summary.opened > 6 && summary.refused == 0, "{summary:?}");
    assert!(summary.requests > 40 && summary.echoes + summary.unanswered == summary.requests, "{summary:?}");
    // One request of a client is under way: the stall meets four, and hides all that would have come.
    assert!(summary.echo_latency.max_us > 100_000 && summary.echo_latency.p90_us < 100_000, "{summary:?}");
}

#[tokio::test]
async fn a_stalled_echo_cannot_hide_its_stall() {
    let steps = [(100, Action::Stall { for_: Duration::from_millis(300) })];
    let (url, _) = source(|config| {
        config.mode = Mode::Echo;
        config.script = script(&steps);
    })
    .await;
    let (summary, _) = load(&url, |config| {
        (config.load, config.request_bytes) = (open(Arrival::AtOnce, Some(100.0)), 20);
    })
    .await;
    // Requests go on during the stall, each waiting from its own planned instant: half of the run's requests saw it.
    assert!(summary.echo_latency.p90_us > 100_000, "{summary:?}");
    assert!(summary.echo_latency.max_us > 250_000, "{summary:?}");
}

#[tokio::test]
async fn a_reader_that_stops_makes_the_source_feel_it() {
    let (url, counters) = source(|config| {
        config.symbols = (0..1_000).map(wire::id::Symbol::numbered).collect();
        config.period = Duration::from_millis(5);
        config.queue_ticks = 2;
        config.socket.send_buffer = Some(16 << 10);
    })
    .await;
    let (summary, _) = load(&url, |config| {
        config.symbols = (0..1_000).map(wire::id::Symbol::numbered).collect();
        config.reader = Reader::Stopped { after: Duration::from_millis(50) };
        config.duration = Duration::from_millis(1_500);
        config.socket.recv_buffer = Some(16 << 10);
        config.close_timeout = Duration::from_millis(50);
    })
    .await;
    assert_eq!(counters.overflowed(), 1, "{summary:?}");
}
