//! Relay over real sockets.

mod by_hand;
mod closing;
mod handshake;
mod messages;

use std::time::Duration;

use proxy::Mode;
use wire::event::Event;
use wire::feed::Protocol;
use wire::ws::ConnectError;

use crate::bench::{Client, Do, Proxy, Source, soon};

async fn raw(sources: &[&Source]) -> Proxy {
    let urls: Vec<_> = sources.iter().map(|source| source.url()).collect();
    Proxy::start(Mode::Relay, &urls, |config| {
        config.protocol = Protocol::Raw;
        config.preamble_messages = 0;
    })
    .await
}

#[tokio::test]
async fn each_client_talks_to_an_instance_of_its_own() {
    let (mut a, mut b) = (Source::start(None, true).await, Source::start(None, true).await);
    let proxy = raw(&[&a, &b]).await;
    let mut clients = Vec::new();
    for n in 0..4 {
        let mut client = Client::connect(proxy.addr, false).await;
        client.say(&format!("hello {n}")).await;
        assert_eq!(client.text().await, format!("hello {n}"));
        clients.push(client);
    }
    for source in [&mut a, &mut b] {
        for _ in 0..2 {
            assert!(soon(source.heard.recv()).await.unwrap().starts_with("hello"));
        }
    }
}

#[tokio::test]
async fn a_lost_back_end_moves_the_client_and_says_its_subscription_again() {
    let (mut a, mut b) = (Source::v1().await, Source::v1().await);
    let proxy = Proxy::start(Mode::Relay, &[a.url(), b.url()], |_| {}).await;
    let mut client = Client::subscribe(proxy.addr, false, "A").await;
    a.subscribed(&["A"]).await;
    a.order(Do::Drop);
    b.subscribed(&["A"]).await;
    b.tick("A", 7);
    // No second greeting, no close: the next thing that it hears is data.
    assert_eq!(client.text().await, crate::bench::tick("A", 7));
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyClientClose { .. })), 0);
}

#[tokio::test]
async fn without_any_source_the_client_is_told_to_come_again() {
    let proxy = Proxy::start(Mode::Relay, &["ws://127.0.0.1:1/".to_owned()], |config| {
        config.limits.no_source_timeout = std::time::Duration::from_millis(50);
    })
    .await;
    let mut client = Client::connect(proxy.addr, false).await;
    assert_eq!(client.closed().await, 1013);
}

#[tokio::test]
async fn probes_find_a_dead_instance_before_a_client_does() {
    let live = Source::start(None, true).await;
    let urls = [live.url(), "ws://127.0.0.1:1/".to_owned()];
    let proxy = Proxy::start(Mode::Relay, &urls, |config| {
        config.protocol = Protocol::Raw;
        config.health.probe_interval = Some(std::time::Duration::from_millis(5));
    })
    .await;
    soon(async {
        while proxy.record.count(|event| matches!(event, Event::ProxyHealth { healthy: false, .. })) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut client = Client::connect(proxy.addr, false).await;
    client.say("x").await;
    assert_eq!(client.text().await, "x");
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_reading_of_its_source_and_loses_nothing() {
    let source = Source::start(None, false).await;
    let proxy = Proxy::start(Mode::Relay, &[source.url()], |config| {
        config.protocol = Protocol::Raw;
        config.preamble_messages = 0;
        config.limits.client_send_buffer = Some(4 << 10);
    })
    .await;
    let mut client = Client::connect(proxy.addr, false).await;
    let mut source = source;
    client.say("ready").await;
    soon(source.heard.recv()).await.unwrap();
    // Said before the client reads a byte: it waits in bounded buffers, on the way and at the source.
    for n in 0..900 {
        source.order(Do::Say(format!("{n}:{}", "x".repeat(1000))));
    }
    for n in 0..900 {
        assert!(client.text().await.starts_with(&format!("{n}:")));
    }
}

#[tokio::test]
async fn a_preamble_larger_than_the_write_buffer_is_said_whole_and_blames_no_source() {
    let (mut a, mut b) = (Source::start(None, false).await, Source::start(None, false).await);
    let proxy = Proxy::start(Mode::Relay, &[a.url(), b.url()], |config| {
        config.protocol = Protocol::Raw;
        config.preamble_messages = 40;
        config.limits.preamble_bytes_max = 16 << 20;
    })
    .await;
    let mut client = Client::connect(proxy.addr, false).await;
    let said: Vec<String> = (10..50).map(|n| n.to_string().repeat(120 << 10)).collect();
    for text in &said {
        client.say(text).await;
    }
    for text in &said {
        assert!(soon(a.heard.recv()).await.as_ref() == Some(text));
    }
    a.order(Do::Drop);
    for text in &said {
        assert!(soon(b.heard.recv()).await.as_ref() == Some(text));
    }
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyLegDown { .. })), 1);
}

#[tokio::test]
async fn a_client_waits_for_a_place_at_a_full_source_and_one_too_many_is_told_to_come_again() {
    let source = Source::start(None, true).await;
    let proxy = Proxy::start(Mode::Relay, &[source.url()], |config| {
        config.protocol = Protocol::Raw;
        config.limits.clients_per_upstream_max = Some(1);
        config.limits.pending_max = 1;
    })
    .await;
    let mut first = Client::connect(proxy.addr, false).await;
    first.say("x").await;
    assert_eq!(first.text().await, "x");
    let mut second = Client::connect(proxy.addr, false).await;
    second.say("y").await;
    // Who comes now finds the line full and is refused, or fills it before the second does: one of the two is sent away.
    let mut third;
    let waits = match Client::try_connect(proxy.addr, false).await {
        Err(ConnectError::Refused { status, .. }) => {
            assert_eq!(status, 503);
            &mut second
        }
        Err(error) => panic!("{error}"),
        Ok(session) => {
            third = session;
            let (waits, code) = wire::select! {
                code = second.closed() => (&mut third, code),
                code = third.closed() => (&mut second, code),
            };
            assert_eq!(code, 1013);
            waits
        }
    };
    drop(first);
    waits.say("z").await;
    assert!(["y", "z"].contains(&waits.text().await.as_str()), "the place of the one that left");
}

#[tokio::test]
async fn clients_of_an_instance_that_is_silent_while_another_delivers_are_moved_to_it() {
    let (a, b) = (Source::v1().await, Source::v1().await);
    let proxy = Proxy::start(Mode::Relay, &[a.url(), b.url()], |config| {
        config.health.stale_after = Duration::from_millis(300);
        config.health.ping_interval = Duration::from_millis(50);
        // Neither of the two may be judged by its own silence.
        config.health.siblings_factor = 2;
    })
    .await;
    // Three at each: what fewer do not get proves nothing.
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(Client::subscribe(proxy.addr, false, "A").await);
    }
    soon(async {
        // The first delivers all the time; the second takes subscriptions, answers pings, and says nothing.
        let moved = |event: &Event| matches!(event, Event::ProxyLegUp { client: Some(_), .. });
        let mut n = 0;
        while proxy.record.count(moved) < 6 + 3 {
            a.tick("A", n);
            n += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(proxy.record.count(|event| matches!(event, Event::ProxyHealth { healthy: false, .. })) >= 1);
    a.tick("A", 1_000_000);
    for client in &mut clients {
        while client.text().await != crate::bench::tick("A", 1_000_000) {}
    }
    let stale = |event: &Event| matches!(event, Event::ProxyLegDown { why: wire::event::Why::Stale, .. });
    assert!(proxy.record.count(stale) >= 1);
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyClientClose { .. })), 0);
}
