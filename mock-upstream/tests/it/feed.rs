use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mock_upstream::{Action, Config, Counters, Mode, Script, Step, serve_on};
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Side, Sink};
use wire::feed::{KEY_LIMIT_TEXT, Request};
use wire::id::{SourceId, Symbol};
use wire::net::{ListenOptions, Listener, Network, SocketOptions, Task, TokioNet, TokioStream};
use wire::tick::{Padding, Tick};
use wire::ws::{self, Ask, ConnectError, Fragments, Limits, Message, Session};

/// Keeps events in memory.
#[derive(Default)]
struct Ledger(Mutex<Vec<Event>>);

impl Sink for Ledger {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

pub(crate) struct Source {
    net: TokioNet,
    url: String,
    ledger: Arc<Ledger>,
    counters: Counters,
    shutdown: CancellationToken,
    task: Task<Result<(), mock_upstream::ServeError>>,
}

impl Source {
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let net = TokioNet::current();
        let mut config = Config::new(SourceId(0), "127.0.0.1:0".parse().unwrap());
        config.period = Duration::from_millis(5);
        // A loaded machine may freeze us for a while: catch all up.
        config.burst_max = 10_000;
        change(&mut config);
        let listener = net.bind(config.listen, ListenOptions::default()).await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let (ledger, counters, shutdown) =
            (Arc::<Ledger>::default(), config.counters.clone(), CancellationToken::new());
        let observer = Observer::new(ledger.clone());
        let task = net.spawn("source", serve_on(config, listener, net.clone(), shutdown.clone(), observer));
        Self { net, url, ledger, counters, shutdown, task }
    }

    pub(crate) async fn connect(&self) -> Result<Session<TokioStream>, ConnectError> {
        let addr = self.url.trim_start_matches("ws://").trim_end_matches('/').parse().unwrap();
        let stream = self.net.connect(addr, SocketOptions::default()).await.unwrap();
        let ask = Ask { url: self.url.clone(), ..Ask::default() };
        ws::connect(stream, &ask, Limits::default()).await.map(|connected| connected.session)
    }

    async fn subscribed(&self, key: &str, symbols: &[&str]) -> Session<TokioStream> {
        let mut session = self.connect().await.unwrap();
        assert_eq!(text(&mut session).await, "Connected");
        session.send(request(key, symbols)).await.unwrap();
        session
    }

    pub(crate) async fn stop(self) -> Vec<Event> {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        std::mem::take(&mut self.ledger.0.lock().unwrap())
    }
}

fn request(key: &str, symbols: &[&str]) -> Message {
    let symbols = symbols.iter().map(|text| Symbol::new(text).unwrap()).collect();
    Message::text(Request::new(key.to_owned(), symbols).encode())
}

pub(crate) async fn text(session: &mut Session<TokioStream>) -> String {
    match session.next().await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("expected a text, got {other:?}"),
    }
}

/// The close code that comes after any number of texts; None where the connection broke.
pub(crate) async fn close_code(session: &mut Session<TokioStream>) -> Option<u16> {
    loop {
        match session.next().await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

fn after(at_ms: u64, action: Action) -> Script {
    Script { steps: vec![Step { at: Duration::from_millis(at_ms), action }] }
}

#[tokio::test]
async fn ticks_carry_filler_where_it_is_asked_for_and_come_in_one_frame_or_in_many() {
    for fragments in [None, Some(Fragments { bytes: 5_000, pings: true })] {
        let source = Source::start(|config| {
            config.period = Duration::from_millis(50);
            config.padding = Padding::between(100_000, 200_000).unwrap();
            config.padded = vec![Symbol::numbered(3)];
            config.fragments = fragments;
            // Ten of them are far beyond it.
            config.limits.write_buffer_max = 64 << 10;
        })
        .await;
        let mut session = source.subscribed("K", &["S0003", "S0004"]).await;
        let mut pings = 0;
        let mut seen = [0, 0];
        while seen[0] < 5 || seen[1] < 5 {
            match session.next().await {
                Some(Ok(Message::Text(text))) => {
                    assert!(Tick::verify(&text, 1), "{} bytes", text.len());
                    let padded = Tick::decode(&text).unwrap().symbol == Symbol::numbered(3);
                    assert_eq!((100_000..200_200).contains(&text.len()), padded);
                    seen[usize::from(padded)] += 1;
                }
                Some(Ok(Message::Ping(_))) => pings += 1,
                other => panic!("{other:?}"),
            }
        }
        // Twenty to forty frames of a large message, and a ping between each two.
        assert!(if fragments.is_some() { pings >= 5 * 19 } else { pings == 0 }, "{pings}");
        source.stop().await;
    }
}

#[tokio::test]
async fn every_tick_of_the_subscription_comes_in_order_and_stands_in_the_ledger() {
    let source = Source::start(|config| config.seed = 9).await;
    let mut session = source.subscribed("K", &["S0003", "NONE"]).await;
    let mut numbers = Vec::new();
    while numbers.len() < 20 {
        let text = text(&mut session).await;
        assert!(Tick::verify(&text, 9), "{text}");
        let tick = Tick::decode(&text).unwrap();
        assert_eq!(tick.symbol.as_str(), "S0003");
        numbers.push(tick.n);
    }
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(source.counters.unknown_symbols(), 1);
    let events = source.stop().await;
    let sent: Vec<u64> = events
        .iter()
        .filter_map(|event| if let Event::SourceSend { n, .. } = event { Some(*n) } else { None })
        .collect();
    assert!(sent.starts_with(&numbers), "{sent:?} against {numbers:?}");
    assert!(matches!(events[0], Event::SourceOpen { .. }), "{:?}", events[0]);
    assert!(matches!(events.last(), Some(Event::SourceClose { by: Side::Own, code: Some(1001), .. })));
    assert_eq!(close_code(&mut session).await, Some(1001));
}

#[tokio::test]
async fn a_later_request_replaces_the_subscription() {
    let source = Source::start(|_| ()).await;
    let mut session = source.subscribed("K", &["S0000", "S0001"]).await;
    session.send(request("K", &["S0001", "S0002"])).await.unwrap();
    // Ticks from before the replacement may still be under way.
    while Tick::decode(&text(&mut session).await).unwrap().symbol != Symbol::numbered(2) {}
    for _ in 0..10 {
        assert_ne!(Tick::decode(&text(&mut session).await).unwrap().symbol, Symbol::numbered(0));
    }
    let events = source.stop().await;
    let subscribed: Vec<&str> = events
        .iter()
        .filter_map(
            |event| if let Event::SourceSubscribe { symbol, .. } = event { Some(symbol.as_str()) } else { None },
        )
        .collect();
    assert_eq!(subscribed, ["S0000", "S0001", "S0002"]);
    let given_back =
        |event: &Event| matches!(event, Event::SourceUnsubscribe { symbol, .. } if *symbol == Symbol::numbered(0));
    assert_eq!(events.iter().filter(|event| given_back(event)).count(), 1);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::SourceUnsubscribe { .. })).count(), 1);
}

#[tokio::test]
async fn a_symbol_named_twice_is_in_the_ledger_twice_and_sent_once() {
    let source = Source::start(|_| ()).await;
    let mut session = source.subscribed("K", &[]).await;
    session.send(Message::text(r#"{"userKey":"K","symbol":"S0000,S0001,S0000"}"#)).await.unwrap();
    let first = text(&mut session).await;
    let second = text(&mut session).await;
    assert_ne!(Tick::decode(&first).unwrap().symbol, Tick::decode(&second).unwrap().symbol);
    let events = source.stop().await;
    let asked =
        |event: &Event| matches!(event, Event::SourceSubscribe { symbol, .. } if *symbol == Symbol::numbered(0));
    assert_eq!(events.iter().filter(|event| asked(event)).count(), 2);
}

#[tokio::test]
async fn one_connection_too_many_for_a_key_is_told_and_closed() {
    let source = Source::start(|config| config.key_limit = Some(1)).await;
    let mut first = source.subscribed("K", &["S0000"]).await;
    let _ = text(&mut first).await;
    let mut second = source.subscribed("K", &["S0000"]).await;
    assert_eq!(text(&mut second).await, KEY_LIMIT_TEXT);
    assert_eq!(close_code(&mut second).await, Some(1008));
    let mut other = source.subscribed("L", &["S0000"]).await;
    let _ = text(&mut other).await;
    // The first one's place is free once it has gone.
    first.close(None).await.unwrap();
    while let Some(Ok(_)) = first.next().await {}
    let mut third = source.subscribed("K", &["S0000"]).await;
    assert!(Tick::decode(&text(&mut third).await).is_some());
}

#[tokio::test]
async fn raw_needs_no_subscription_and_echo_returns_what_it_gets() {
    let raw = Source::start(|config| config.mode = Mode::Raw).await;
    let mut session = raw.connect().await.unwrap();
    assert!(Tick::decode(&text(&mut session).await).is_some());

    let echo = Source::start(|config| config.mode = Mode::Echo).await;
    let mut session = echo.connect().await.unwrap();
    for message in [Message::text("a"), Message::binary(vec![1, 2, 3]), Message::text("x".repeat(100_000))] {
        session.send(message.clone()).await.unwrap();
        assert_eq!(session.next().await.unwrap().unwrap(), message);
    }
}

#[tokio::test]
async fn the_script_closes_resets_and_refuses() {
    let source = Source::start(|config| config.script = after(250, Action::CloseAll { code: Some(1012) })).await;
    let mut session = source.subscribed("K", &["S0000"]).await;
    assert_eq!(close_code(&mut session).await, Some(1012));

    let source = Source::start(|config| config.script = after(250, Action::ResetAll)).await;
    let mut session = source.subscribed("K", &["S0000"]).await;
    assert_eq!(close_code(&mut session).await, None);

    let source =
        Source::start(|config| config.script = after(0, Action::Refuse { for_: Duration::from_secs(60) })).await;
    assert!(matches!(source.connect().await, Err(ConnectError::Refused { status: 503, .. })));
    assert_eq!(source.counters.refused(), 1);
}

#[tokio::test]
async fn a_stall_sends_nothing_and_skips_what_fell_due() {
    let source =
        Source::start(|config| config.script = after(250, Action::Stall { for_: Duration::from_millis(150) })).await;
    let mut session = source.subscribed("K", &["S0000"]).await;
    let mut last = Tick::decode(&text(&mut session).await).unwrap().n;
    let gap = loop {
        let n = Tick::decode(&text(&mut session).await).unwrap().n;
        if n != last + 1 {
            break n - last;
        }
        last = n;
    };
    // 150 ms at 5 ms a tick; the edges may take a tick or so more.
    assert!(gap >= 29, "{gap} ticks");
}

#[tokio::test]
async fn a_bad_first_message_is_closed_with_a_policy_violation() {
    let source = Source::start(|_| ()).await;
    let mut session = source.connect().await.unwrap();
    session.send(Message::text("hello")).await.unwrap();
    assert_eq!(close_code(&mut session).await, Some(1008));

    let source = Source::start(|config| config.first_message_timeout = Duration::from_millis(20)).await;
    let mut session = source.connect().await.unwrap();
    assert_eq!(close_code(&mut session).await, Some(1008));
}

#[tokio::test]
async fn a_connection_that_never_reads_is_reset_and_blocks_nobody() {
    let source = Source::start(|config| {
        config.symbols = (0..1_000).map(Symbol::numbered).collect();
        config.mode = Mode::Raw;
        config.period = Duration::from_millis(5);
        config.queue_ticks = 2;
        config.socket.send_buffer = Some(16 << 10);
    })
    .await;
    let stuck = source.connect().await.unwrap();
    let mut good = source.connect().await.unwrap();
    while source.counters.overflowed() == 0 {
        let _ = good.next().await;
    }
    drop(stuck);
}

#[tokio::test]
async fn a_rate_whose_tick_numbers_no_longer_fit_is_refused_in_words() {
    let net = TokioNet::current();
    let mut config = Config::new(SourceId(0), "127.0.0.1:0".parse().unwrap());
    config.period = Duration::from_millis(1);
    let served = mock_upstream::serve(config, net, CancellationToken::new(), Observer::none()).await;
    assert!(matches!(served, Err(mock_upstream::ServeError::Numbers { .. })), "{served:?}");
}
