use std::time::Duration;

use futures_util::SinkExt;
use mock_upstream::{Action, Config, Mode, Script, Step};
use wire::event::{Event, Why};
use wire::feed::KEY_LIMIT_TEXT;
use wire::feed::v2::{Said, SubAck, symbol_of};
use wire::id::Symbol;
use wire::net::TokioStream;
use wire::tick::Tick;
use wire::ws::{Message, Session};

use crate::feed::{Source, close_code, text};

async fn source(change: impl FnOnce(&mut Config)) -> Source {
    Source::start(|config| {
        config.mode = Mode::V2;
        change(config);
    })
    .await
}

async fn say(session: &mut Session<TokioStream>, text: &str) {
    session.send(Message::text(text)).await.unwrap();
}

/// Greeted and logged in; the answer to the login.
async fn login(source: &Source) -> (Session<TokioStream>, String) {
    let mut session = source.connect().await.unwrap();
    assert_eq!(text(&mut session).await, "Connected");
    say(&mut session, r#"{"action":"login","key":"K","fmt":"JSON"}"#).await;
    let answer = text(&mut session).await;
    (session, answer)
}

/// The next text that is no tick.
async fn control(session: &mut Session<TokioStream>) -> String {
    loop {
        let text = text(session).await;
        if symbol_of(&text).is_none() {
            return text;
        }
    }
}

#[tokio::test]
async fn subscriptions_are_granted_and_denied_symbol_by_symbol() {
    let source = source(|config| {
        config.denied = vec![Symbol::numbered(1)];
        (config.symbol_limit, config.seed) = (2, 9);
    })
    .await;
    let (mut session, answer) = login(&source).await;
    assert_eq!(answer, r#"{"type":"login_ok","symbol_limit":2}"#);
    say(&mut session, r#"{"action":"subscribe","symbols":["S0000:QUOTE","S0001","NONE","S0002","S0003"]}"#).await;
    let ack = text(&mut session).await;
    let Said::SubAck(SubAck { accepted, denied, .. }) = Said::decode(&ack).unwrap() else { panic!("{ack}") };
    assert_eq!(accepted, [0, 2].map(Symbol::numbered));
    let denied: Vec<_> = denied.iter().map(|(symbol, reason)| (symbol.as_str(), reason.as_str())).collect();
    assert_eq!(denied, [("S0001", "not in your plan"), ("NONE", "unknown symbol"), ("S0003", "symbol_limit")]);
    for _ in 0..40 {
        let text = text(&mut session).await;
        let tick = Tick::decode(&text).unwrap();
        assert!(Tick::verify(&text, 9) && accepted.contains(&tick.symbol), "{text}");
    }
    say(&mut session, r#"{"action":"unsubscribe","symbols":["S0000:QUOTE"]}"#).await;
    say(&mut session, r#"{"action":"subscribe","symbols":["S0002","S0003"]}"#).await;
    assert!(control(&mut session).await.contains(r#""accepted":["S0002:QUOTE","S0003:QUOTE"]"#));
    for _ in 0..10 {
        assert_ne!(Tick::decode(&text(&mut session).await).unwrap().symbol, Symbol::numbered(0));
    }
    let ledger: Vec<String> = source
        .stop()
        .await
        .iter()
        .filter_map(|event| match event {
            Event::SourceSubscribe { symbol, .. } => Some(format!("+{symbol}")),
            Event::SourceUnsubscribe { symbol, .. } => Some(format!("-{symbol}")),
            _ => None,
        })
        .collect();
    assert_eq!(ledger, ["+S0000", "+S0002", "-S0000", "+S0002", "+S0003"]);
}

#[tokio::test]
async fn a_login_is_rejected_for_its_key_by_script_and_beyond_the_limit_of_connections() {
    let reject = |answer: &str, reason: &str| {
        assert_eq!(Said::decode(answer).unwrap(), Said::LoginReject { reason: reason.into() });
    };
    let unknown = source(|config| config.user_keys = vec!["L".to_owned()]).await;
    let (mut session, answer) = login(&unknown).await;
    reject(&answer, "unknown key");
    assert_eq!(close_code(&mut session).await, Some(1008));
    let step = Step { at: Duration::ZERO, action: Action::RejectLogins { for_: Duration::from_secs(3_600) } };
    let scripted = source(|config| config.script = Script { steps: vec![step] }).await;
    // The script begins with the source, which may be a moment after the first connection is taken.
    tokio::task::yield_now().await;
    reject(&login(&scripted).await.1, "rejected by script");
    let limited = source(|config| config.key_limit = Some(1)).await;
    let (_held, _) = login(&limited).await;
    reject(&login(&limited).await.1, KEY_LIMIT_TEXT);
    let events = limited.stop().await;
    assert!(events.iter().any(|event| matches!(event, Event::SourceRefuse { why: Why::KeyLimit, .. })));
}

#[tokio::test]
async fn who_speaks_before_the_login_or_no_v2_is_told_and_closed() {
    let source = source(|_| ()).await;
    for said in [r#"{"action":"subscribe","symbols":["S0000"]}"#, r#"{"userKey":"K","symbol":"S0000"}"#, "hello"] {
        let mut session = source.connect().await.unwrap();
        assert_eq!(text(&mut session).await, "Connected");
        say(&mut session, said).await;
        assert!(text(&mut session).await.starts_with(r#"{"type":"error","reason":""#), "{said}");
        assert_eq!(close_code(&mut session).await, Some(1008), "{said}");
    }
}

#[tokio::test]
async fn a_connection_without_subscriptions_lives_by_its_heartbeats() {
    let source = source(|config| config.heartbeat = Some(Duration::from_millis(5))).await;
    let (mut session, _) = login(&source).await;
    for _ in 0..3 {
        assert_eq!(text(&mut session).await, r#"{"type":"heartbeat"}"#);
    }
    say(&mut session, r#"{"action":"ping"}"#).await;
    assert_eq!(text(&mut session).await, r#"{"type":"heartbeat"}"#);
}
