//! The v2 feed, and raw feeds with keys.

use proxy::{Config, Mode, Sources};
use wire::feed::{Protocol, Strong};
use wire::net::{Network, SocketOptions, TokioNet};
use wire::ws::{self, Ask};

use crate::bench::{Client, Do, Proxy, Source, soon};

async fn heard(source: &mut Source, expect: &str) {
    assert_eq!(soon(source.heard.recv()).await.unwrap(), expect);
}

fn v2(config: &mut Config) {
    *config = config.clone().with_protocol(Protocol::V2);
    config.client_keys = vec!["K".parse().unwrap()];
}

/// A client that has logged in.
async fn login(proxy: &Proxy) -> Client {
    let mut client = Client::connect(proxy.addr, false).await;
    assert_eq!(client.text().await, "Connected");
    client.say(r#"{"action":"login","key":"K","fmt":"JSON"}"#).await;
    assert_eq!(client.text().await, r#"{"type":"login_ok","symbol_limit":1000}"#);
    client
}

async fn subscribe(client: &mut Client, symbols: &str) {
    client.say(&format!(r#"{{"action":"subscribe","symbols":[{symbols}]}}"#)).await;
}

#[tokio::test]
async fn denials_reach_exactly_those_who_asked_and_nothing_is_acknowledged_before_the_source_did() {
    let mut source = Source::start(Some("TraderMade says hello"), false).await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], v2).await;
    heard(&mut source, r#"{"action":"login","key":"","fmt":"JSON"}"#).await;
    source.order(Do::Say(r#"{"type":"login_ok","symbol_limit":50}"#.into()));
    let mut asker = login(&proxy).await;
    subscribe(&mut asker, r#""A:QUOTE","B""#).await;
    heard(&mut source, r#"{"action":"subscribe","symbols":["A:QUOTE","B:QUOTE"]}"#).await;
    let mut other = login(&proxy).await;
    subscribe(&mut other, r#""A""#).await;
    asker.settle().await;
    other.settle().await;
    source.order(Do::Say(
        r#"{"type":"sub_ack","accepted":["A"],"denied":["B"],"denied_reasons":{"B":"not in your plan"}}"#.into(),
    ));
    let both = r#"{"type":"sub_ack","accepted":["A:QUOTE"],"denied":["B:QUOTE"],"denied_reasons":{"B:QUOTE":"not in your plan"},"invalid":[]}"#;
    assert_eq!(asker.text().await, both);
    let granted = r#"{"type":"sub_ack","accepted":["A:QUOTE"],"denied":[],"denied_reasons":{},"invalid":[]}"#;
    assert_eq!(other.text().await, granted);
    // What the source said already is known.
    let mut late = login(&proxy).await;
    subscribe(&mut late, r#""B","A""#).await;
    assert_eq!(late.text().await, both);
    let quote = r#"{"t":"QUOTE","s":"A","b":"1.1","a":"1.2","ts":"20260515-12:36:35.588"}"#;
    source.order(Do::Say(quote.into()));
    for client in [&mut asker, &mut other, &mut late] {
        assert_eq!(client.text().await, quote);
    }
}

#[tokio::test]
async fn a_client_of_the_strong_contract_is_told_of_its_own_denials_too() {
    let mut source = Source::start(None, false).await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], v2).await;
    heard(&mut source, r#"{"action":"login","key":"","fmt":"JSON"}"#).await;
    source.order(Do::Say(r#"{"type":"login_ok","symbol_limit":50}"#.into()));
    let mut asker = Client::connect(proxy.addr, true).await;
    assert_eq!(asker.text().await, "Connected");
    asker.say(r#"{"userKey":"K","symbol":"A,B"}"#).await;
    heard(&mut source, r#"{"action":"subscribe","symbols":["A:QUOTE","B:QUOTE"]}"#).await;
    let mut other = Client::connect(proxy.addr, true).await;
    assert_eq!(other.text().await, "Connected");
    other.say(r#"{"userKey":"K","symbol":"A"}"#).await;
    other.settle().await;
    source.order(Do::Say(
        r#"{"type":"sub_ack","accepted":["A"],"denied":["B"],"denied_reasons":{"B":"not in your plan"}}"#.into(),
    ));
    let denied = |symbol| format!(r#"{{"type":"denied","symbol":"{symbol}","reason":"not in your plan"}}"#);
    assert_eq!(asker.text().await, denied("B"));
    // Known already, it is told at once; what is taken from them, all hear who have it.
    asker.say(r#"{"userKey":"K","symbol":"B,A"}"#).await;
    assert_eq!(asker.text().await, denied("B"));
    source.order(Do::Say(
        r#"{"type":"sub_ack","accepted":[],"denied":["A"],"denied_reasons":{"A":"not in your plan"}}"#.into(),
    ));
    assert_eq!(asker.text().await, denied("A"));
    assert_eq!(other.text().await, denied("A"));
}

#[tokio::test]
async fn of_several_sources_one_that_accepts_is_enough_and_a_source_that_is_lost_takes_its_word_with_it() {
    let mut sources = [Source::start(None, false).await, Source::start(None, false).await];
    let proxy = Proxy::start(Mode::Fanout, &[sources[0].url(), sources[1].url()], |config| {
        v2(config);
        (config.sources, config.hot_legs) = (Sources::Hot, 2);
    })
    .await;
    for source in &mut sources {
        heard(source, r#"{"action":"login","key":"","fmt":"JSON"}"#).await;
        source.order(Do::Say(r#"{"type":"login_ok","symbol_limit":50}"#.into()));
    }
    let mut client = login(&proxy).await;
    subscribe(&mut client, r#""A","B""#).await;
    for source in &mut sources {
        heard(source, r#"{"action":"subscribe","symbols":["A:QUOTE","B:QUOTE"]}"#).await;
    }
    let [one, other] = &sources;
    let ack = |accepted: &str, denied: &str| {
        let reasons = if denied.is_empty() { String::new() } else { format!(r#"{denied}:"plan""#) };
        format!(
            r#"{{"type":"sub_ack","accepted":[{accepted}],"denied":[{denied}],"denied_reasons":{{{reasons}}},"invalid":[]}}"#
        )
    };
    let (a, b) = (r#""A:QUOTE""#, r#""B:QUOTE""#);
    one.order(Do::Say(ack(a, b)));
    // B is denied by one; the other has not answered yet.
    assert_eq!(client.text().await, ack(a, ""));
    other.order(Do::Say(ack(b, a)));
    assert_eq!(client.text().await, ack(b, ""), "A is accepted by the other: no word of its denial");
    let mut late = login(&proxy).await;
    subscribe(&mut late, r#""A","B""#).await;
    assert_eq!(late.text().await, ack(r#""A:QUOTE","B:QUOTE""#, ""));
    other.order(Do::Drop);
    for client in [&mut client, &mut late] {
        assert_eq!(client.text().await, ack("", b), "who accepted B is lost");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_a_thousand_denied_symbols_and_reads_late_hears_of_each_once() {
    let mut source = Source::start(None, false).await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        v2(config);
        config.limits.client_send_buffer = Some(4 << 10);
    })
    .await;
    heard(&mut source, r#"{"action":"login","key":"","fmt":"JSON"}"#).await;
    source.order(Do::Say(r#"{"type":"login_ok","symbol_limit":1000}"#.into()));
    let small = SocketOptions { recv_buffer: Some(4 << 10), ..SocketOptions::default() };
    let stream = TokioNet::current().connect(proxy.addr, small).await.unwrap();
    let ask =
        Ask { url: format!("ws://{}/", proxy.addr), subprotocols: vec![ws::SUBPROTOCOL.into()], ..Ask::default() };
    let mut client = Client { session: soon(ws::connect(stream, &ask, ws::Limits::default())).await.unwrap().session };
    assert_eq!(client.text().await, "Connected");
    let names: Vec<String> = (0..1_000).map(|n| format!("S{n:04}")).collect();
    client.say(&format!(r#"{{"userKey":"K","symbol":"{}"}}"#, names.join(","))).await;
    // The source hears of a few in each message.
    let mut asked = 0;
    while asked < names.len() {
        let text = soon(source.heard.recv()).await.unwrap();
        let symbols: Vec<&String> = names.iter().filter(|name| text.contains(&format!("\"{name}:QUOTE\""))).collect();
        asked += symbols.len();
        let list = symbols.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
        let reasons = symbols.iter().map(|name| format!("\"{name}\":\"{}\"", "x".repeat(180)));
        let reasons = reasons.collect::<Vec<_>>().join(",");
        source.order(Do::Say(format!(
            r#"{{"type":"sub_ack","accepted":[],"denied":[{list}],"denied_reasons":{{{reasons}}}}}"#
        )));
    }
    let mut denied = Vec::new();
    while denied.len() < names.len() {
        match Strong::decode(&client.text().await).unwrap() {
            Strong::Denied { symbol, reason } => {
                assert_eq!(reason.len(), 180);
                denied.push(symbol.to_string());
            }
            other => panic!("{other:?}"),
        }
    }
    denied.sort_unstable();
    assert_eq!(denied, names);
    client.settle().await;
}

#[tokio::test]
async fn who_does_not_keep_to_v2_hears_why() {
    let source = Source::start(None, false).await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], v2).await;
    for (said, answer) in [
        (r#"{"action":"subscribe","symbols":["A"]}"#, r#"{"type":"error","reason":"the first message is a login"}"#),
        (r#"{"action":"login","key":"wrong"}"#, r#"{"type":"login_reject","reason":"key refused"}"#),
    ] {
        let mut client = Client::connect(proxy.addr, false).await;
        assert_eq!(client.text().await, "Connected");
        client.say(said).await;
        let heard = client.text().await;
        assert_eq!(heard, answer, "{said}");
        assert_eq!(client.closed().await, 1008, "{said}");
    }
}

#[tokio::test]
async fn a_source_that_rejects_the_login_is_a_refusal() {
    let mut source = Source::start(None, false).await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], v2).await;
    heard(&mut source, r#"{"action":"login","key":"","fmt":"JSON"}"#).await;
    source.order(Do::Say(r#"{"type":"login_reject","reason":"unknown key"}"#.into()));
    let refused = |event: &wire::event::Event| {
        matches!(event, wire::event::Event::ProxyLegDown { why: wire::event::Why::Refused, .. })
    };
    soon(async {
        while proxy.record.count(refused) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn asking(proxy: &Proxy, target: &str) -> Client {
    let stream = TokioNet::current().connect(proxy.addr, Default::default()).await.unwrap();
    let ask = Ask { url: format!("ws://{}{target}", proxy.addr), ..Ask::default() };
    Client { session: soon(ws::connect(stream, &ask, ws::Limits::default())).await.unwrap().session }
}

#[tokio::test]
async fn a_raw_feed_is_routed_by_the_key_in_each_message() {
    let source = Source::start(None, false).await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        *config = config.clone().with_protocol(Protocol::Raw);
        config.route_by = Some("/data/room".parse().unwrap());
    })
    .await;
    let mut lobby = asking(&proxy, "/chat?symbols=lobby").await;
    let mut both = asking(&proxy, "/chat?x=1&symbols=lobby%2Cgarden").await;
    let mut nothing = asking(&proxy, "/chat").await;
    for client in [&mut lobby, &mut both, &mut nothing] {
        client.settle().await;
    }
    let say = |room: &str, text: &str| {
        let text = format!(r#"{{"text":"{text}","data":{{"room":"{room}"}}}}"#);
        source.order(Do::Say(text.clone()));
        text
    };
    let in_garden = say("garden", "hello");
    source.order(Do::Say("no key at all".into()));
    let in_lobby = say("lobby", "hi");
    assert_eq!(lobby.text().await, in_lobby);
    assert_eq!(both.text().await, in_garden);
    assert_eq!(both.text().await, in_lobby);
    proxy.stop.cancel();
    assert_eq!(nothing.closed().await, 1001, "a client that asks for nothing gets nothing");
}
