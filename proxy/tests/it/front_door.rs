//! Admission, deadlines and bad manners.

use std::time::Duration;

use proxy::{Config, Mode, Secret, ServeError, serve};
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer};
use wire::net::{ListenOptions, Listener, Network, TokioNet};
use wire::ws::{ConnectError, Message};

use crate::bench::{Client, Proxy, Source, loopback, soon};

#[tokio::test]
async fn beyond_the_limit_a_client_is_answered_503() {
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| config.limits.clients_max = 1).await;
    let mut first = Client::connect(proxy.addr, false).await;
    assert_eq!(first.text().await, "Connected");
    match Client::try_connect(proxy.addr, false).await.map(drop) {
        Err(ConnectError::Refused { status: 503, reason, .. }) => assert!(reason.contains("try again"), "{reason}"),
        other => panic!("expected 503, got {other:?}"),
    }
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyShed { .. })), 1);
}

#[tokio::test]
async fn who_asks_or_talks_too_much_is_closed_with_1008_and_nobody_else() {
    type Case = (Mode, fn(&mut Config), &'static str);
    let cases: [Case; 3] = [
        (Mode::Fanout, |config| config.limits.client_requests_per_second_max = 1, "requests"),
        (Mode::Fanout, |config| config.limits.client_messages_per_second_max = 1, "messages"),
        (Mode::Relay, |config| config.limits.client_messages_per_second_max = 1, "messages"),
    ];
    for (mode, limit, what) in cases {
        let mut source = Source::v1().await;
        let proxy = Proxy::start(mode, &[source.url()], |config| {
            limit(config);
            config.limits.client_requests_burst = 5;
            config.limits.client_messages_burst = 5;
            config.admin = Some(loopback());
        })
        .await;
        let mut calm = Client::subscribe(proxy.addr, false, "A").await;
        source.subscribed(&["A"]).await;
        let mut greedy = Client::subscribe(proxy.addr, false, "A").await;
        // At one a second this takes twenty seconds longer than it does.
        for _ in 0..25 {
            greedy.say(r#"{"userKey":"K","symbol":"A"}"#).await;
        }
        let Message::Close(Some(frame)) = greedy.next().await else { panic!("{mode:?}: no close") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1008, format!("too many {what}").as_str()));
        source.tick("A", 7);
        assert_eq!(calm.text().await, crate::bench::tick("A", 7));
        assert_eq!(crate::admin::metric(&proxy, "clients_over_quota_total").await, 1.0);
    }
}

#[tokio::test]
async fn beyond_the_cap_of_its_address_a_client_is_answered_429_until_one_leaves() {
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        config.limits.clients_per_ip_max = 2;
        config.admin = Some(loopback());
    })
    .await;
    let first = Client::connect(proxy.addr, false).await;
    let _second = Client::connect(proxy.addr, false).await;
    match Client::try_connect(proxy.addr, false).await.map(drop) {
        Err(ConnectError::Refused { status: 429, reason, .. }) => assert!(reason.contains("your address"), "{reason}"),
        other => panic!("expected 429, got {other:?}"),
    }
    assert_eq!(crate::admin::metric(&proxy, "clients_shed_address_total").await, 1.0);
    drop(first);
    soon(async { while Client::try_connect(proxy.addr, false).await.is_err() {} }).await;
}

#[tokio::test]
async fn who_says_nothing_or_nonsense_is_closed_with_1008() {
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        config.limits.first_message_timeout = Duration::from_millis(20);
    })
    .await;
    let mut silent = Client::connect(proxy.addr, false).await;
    assert_eq!(silent.text().await, "Connected");
    assert_eq!(silent.closed().await, 1008);
    let mut babbling = Client::connect(proxy.addr, false).await;
    babbling.say("hello").await;
    assert_eq!(babbling.text().await, "Connected");
    assert_eq!(babbling.closed().await, 1008);
}

#[tokio::test]
async fn a_key_that_is_not_listed_or_has_its_clients_is_closed_with_1008() {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        config.client_keys = vec![Secret::new("K")];
        config.limits.clients_per_key_max = 1;
        config.admin = Some(loopback());
    })
    .await;
    let mut first = Client::subscribe(proxy.addr, false, "A").await;
    source.subscribed(&["A"]).await;
    let mut second = Client::subscribe(proxy.addr, false, "A").await;
    assert_eq!(second.closed().await, 1008);
    let mut stranger = Client::connect(proxy.addr, false).await;
    assert_eq!(stranger.text().await, "Connected");
    stranger.say(r#"{"userKey":"k","symbol":"A"}"#).await;
    assert_eq!(stranger.closed().await, 1008);
    assert_eq!(crate::admin::metric(&proxy, "clients_key_refused_total").await, 2.0);
    // The first may change its mind, and its place is free when it leaves.
    first.say(r#"{"userKey":"K","symbol":"B"}"#).await;
    source.subscribed(&["A", "B"]).await;
    source.tick("B", 1);
    assert_eq!(first.text().await, crate::bench::tick("B", 1));
    drop((first, second, stranger));
    soon(async { while crate::admin::metric(&proxy, "clients").await > 0.0 {} }).await;
    let _next = Client::subscribe(proxy.addr, false, "C").await;
    soon(async { while !source.heard.recv().await.unwrap().contains('C') {} }).await;
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_closed_with_1009() {
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| config.limits.client_message_max = 100).await;
    let mut client = Client::connect(proxy.addr, false).await;
    client.say(&"x".repeat(101)).await;
    assert_eq!(client.text().await, "Connected");
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let net = TokioNet::current();
    let taken = net.bind(loopback(), ListenOptions::default()).await.unwrap();
    let addr = taken.local_addr().unwrap();
    let config = Config::new(addr, Mode::Fanout, ["ws://127.0.0.1:1/"]);
    let error = soon(serve(config, net, CancellationToken::new(), Observer::none())).await.unwrap_err();
    assert!(matches!(error, ServeError::Bind { .. }));
    let text = error.to_string();
    assert!(text.contains(&addr.to_string()) && text.contains("another program"), "{text}");
}

#[tokio::test]
async fn a_handshake_that_trickles_is_cut_off_at_its_deadline() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        config.limits.handshake_timeout = Duration::from_millis(20);
    })
    .await;
    let mut stream = TokioNet::current().connect(proxy.addr, Default::default()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    let deadline = |event: &Event| matches!(event, Event::ProxyShed { why: wire::event::Why::Deadline, .. });
    assert_eq!(proxy.record.count(deadline), 1);
}

#[tokio::test]
async fn a_request_beyond_the_bounds_is_answered_431_and_no_session_is_built() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |_| {}).await;
    for request in [
        format!("GET / HTTP/1.1\r\nCookie: {}\r\n\r\n", "x".repeat(50_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65)),
    ] {
        let mut stream = TokioNet::current().connect(proxy.addr, Default::default()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let shed = |event: &Event| matches!(event, Event::ProxyShed { why: wire::event::Why::Protocol, .. });
    soon(async {
        while proxy.record.count(shed) < 2 {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyAdmit { .. })), 0);
}

#[tokio::test]
async fn a_page_of_another_origin_is_answered_403_and_who_names_none_comes_in() {
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        config.origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let ask = |origin: Option<&str>| {
        let ask = wire::ws::Ask {
            url: format!("ws://{}/", proxy.addr),
            origin: origin.map(str::to_owned),
            ..wire::ws::Ask::default()
        };
        async move {
            let stream = TokioNet::current().connect(proxy.addr, wire::net::SocketOptions::default()).await.unwrap();
            soon(wire::ws::connect(stream, &ask, wire::ws::Limits::default())).await.map(drop)
        }
    };
    match ask(Some("https://evil.example")).await {
        Err(ConnectError::Refused { status: 403, reason, .. }) => assert_eq!(reason, "origin not allowed"),
        other => panic!("expected 403, got {other:?}"),
    }
    ask(Some("https://app.example")).await.unwrap();
    ask(None).await.unwrap();
}
