//! What a source is told of its client.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{Network, SocketOptions, TokioNet, TokioStream};
use wire::ws::{self, Ask, ConnectError};

use super::by_hand::{ByHand, close, relay, text};
use crate::bench::{Proxy, soon};

/// What a browser sends, and a proxy in front of us, with these further lines.
async fn shake(proxy: &Proxy, target: &str, lines: &str) -> String {
    let mut stream = TokioNet::current().connect(proxy.addr, SocketOptions::default()).await.unwrap();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: feed.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

const CLAIMS: &str = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 6.6.6.6\r\n\
                      Forwarded: for=192.0.2.7\r\nAuthorization: Bearer t\r\nCookie: a=1\r\n";

#[tokio::test]
async fn a_source_is_told_the_address_of_its_client_and_not_what_strangers_claim() {
    let source = ByHand::bind().await;
    let proxy = relay(&[&source], |_| {}).await;
    let (_, leg) = tokio::join!(shake(&proxy, "/room?x=1", CLAIMS), source.leg());
    let says = |name: &str| leg.asked.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(leg.asked.target, "/");
    assert_eq!(says("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(says("x-forwarded-proto"), Some("http"));
    assert_eq!(says("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(says("forwarded"), Some("for=127.0.0.1;proto=http;host=\"feed.example\""));
    assert_eq!((says("authorization"), says("cookie")), (None, None));
}

#[tokio::test]
async fn a_trusted_proxys_word_the_path_and_the_headers_named_are_passed_on() {
    let source = ByHand::bind().await;
    let proxy = relay(&[&source], |config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.forward_headers = vec!["authorization".parse().unwrap()];
        config.forward_path = true;
    })
    .await;
    let (_, leg) = tokio::join!(shake(&proxy, "/room?x=1", CLAIMS), source.leg());
    let says = |name: &str| leg.asked.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(leg.asked.target, "/room?x=1");
    assert_eq!(says("x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
    assert_eq!(says("x-forwarded-proto"), Some("https"));
    assert_eq!(says("x-real-ip"), Some("192.0.2.7"));
    assert_eq!((says("authorization"), says("cookie")), (Some("Bearer t"), None));
}

#[tokio::test]
async fn extensions_are_negotiated_on_neither_leg() {
    let source = ByHand::bind().await;
    // Not even where somebody means to pass all headers on.
    let proxy = relay(&[&source], |_| {}).await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let (answer, leg) = tokio::join!(shake(&proxy, "/", offer), source.leg());
    assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.to_lowercase().contains("extensions"), "{answer}");
    assert!(!leg.asked.headers.contains_key("sec-websocket-extensions"));
}

/// The subprotocol that a client which offers `offer` is answered, and its session.
async fn offer(proxy: &Proxy, offer: &[&str]) -> Result<ws::Connected<TokioStream>, ConnectError> {
    let stream = TokioNet::current().connect(proxy.addr, SocketOptions::default()).await.unwrap();
    let subprotocols = offer.iter().map(|word| (*word).to_owned()).collect();
    let ask = Ask { url: format!("ws://{}/", proxy.addr), subprotocols, ..Ask::default() };
    soon(ws::connect(stream, &ask, ws::Limits::default())).await
}

#[tokio::test]
async fn a_source_chooses_the_subprotocol_of_its_client_or_none() {
    for choice in [Some("b"), None] {
        let source = ByHand::bind().await;
        let proxy = relay(&[&source], |_| {}).await;
        let (client, mut leg) = tokio::join!(offer(&proxy, &["a", "b"]), source.leg_choosing(choice));
        let mut client = client.unwrap();
        assert_eq!(client.subprotocol.as_deref(), choice);
        assert_eq!(leg.asked.subprotocols, ["a", "b"]);
        soon(client.session.send(text("x"))).await.unwrap();
        assert_eq!(leg.next().await, text("x"));
    }
}

#[tokio::test]
async fn after_a_failover_the_next_source_is_offered_what_the_first_chose() {
    let source = ByHand::bind().await;
    let proxy = relay(&[&source], |_| {}).await;
    let (client, leg) = tokio::join!(offer(&proxy, &["a", "b"]), source.leg_choosing(Some("b")));
    let mut session = client.unwrap().session;
    drop(leg);
    let mut leg = source.leg_choosing(Some("b")).await;
    assert_eq!(leg.asked.subprotocols, ["b"]);
    leg.say("x").await;
    assert_eq!(soon(session.next()).await.unwrap().unwrap(), text("x"));
    drop(leg);
    let mut leg = source.leg_choosing(None).await;
    assert_eq!(soon(session.next()).await.unwrap().unwrap(), close(1012, "the next source chose another subprotocol"));
    assert_eq!(leg.next().await, close(1001, "another subprotocol"));
}

#[tokio::test]
async fn without_a_source_to_choose_the_handshake_is_answered_503() {
    let source = ByHand::bind().await;
    let proxy = relay(&[&source], |config| config.limits.no_source_timeout = Duration::from_millis(30)).await;
    match offer(&proxy, &["a"]).await.map(drop) {
        Err(ConnectError::Refused { status: 503, reason, .. }) => assert!(reason.contains("no source"), "{reason}"),
        other => panic!("expected 503, got {other:?}"),
    }
    // Who offers nothing is let in, and waits as a client.
    offer(&proxy, &[]).await.unwrap();
}
