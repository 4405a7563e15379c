//! Fan-out over real sockets.

use proxy::Mode;
use wire::event::Event;

use crate::bench::{Client, Do, Proxy, Source, soon, tick};

#[tokio::test]
async fn clients_get_what_they_subscribed_to_over_one_leg() {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |_| {}).await;
    let mut a = Client::subscribe(proxy.addr, false, "A").await;
    source.subscribed(&["A"]).await;
    let mut both = Client::subscribe(proxy.addr, true, "A,B").await;
    source.subscribed(&["A", "B"]).await;
    let mut nothing = Client::subscribe(proxy.addr, false, "").await;
    source.tick("B", 1);
    source.tick("A", 2);
    assert_eq!(a.text().await, tick("A", 2));
    assert_eq!(both.text().await, r#"{"type":"live","symbol":"B","epoch":1,"seq":1,"data":{"symbol":"B","ts":"1"}}"#);
    assert_eq!(both.text().await, r#"{"type":"live","symbol":"A","epoch":1,"seq":1,"data":{"symbol":"A","ts":"2"}}"#);
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyDial { .. })), 1);
    proxy.stop.cancel();
    // The client that wants nothing got nothing: the close is the first that it hears.
    for client in [&mut nothing, &mut a, &mut both] {
        assert_eq!(client.closed().await, 1001);
    }
    soon(proxy.task).await.unwrap();
}

#[tokio::test]
async fn the_loss_of_a_source_is_a_gap_and_a_new_epoch_not_a_close() {
    // Three, so that the next in turn is always one that has not failed yet.
    let mut sources = [Source::v1().await, Source::v1().await, Source::v1().await];
    let urls: Vec<_> = sources.iter().map(Source::url).collect();
    let proxy = Proxy::start(Mode::Fanout, &urls, |_| {}).await;
    let mut strong = Client::subscribe(proxy.addr, true, "A").await;
    sources[0].subscribed(&["A"]).await;
    let mut plain = Client::subscribe(proxy.addr, false, "A,B").await;
    for (n, source) in (1..).zip(&mut sources) {
        source.subscribed(&["A", "B"]).await;
        source.tick("A", n);
        assert_eq!(plain.text().await, tick("A", n));
        if n > 1 {
            let gap = format!(r#"{{"type":"gap","symbol":"A","epoch":{},"from":2,"to":null,"reason":"reset"}}"#, n - 1);
            assert_eq!(strong.text().await, gap);
        }
        assert!(strong.text().await.contains(&format!(r#""epoch":{n},"seq":1"#)));
        if n < 3 {
            source.order(if n == 1 { Do::Drop } else { Do::Close(1000) });
        }
    }
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyClientClose { .. })), 0);
}

#[tokio::test]
async fn a_later_request_replaces_the_subscription() {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        config.limits.unsubscribe_linger = std::time::Duration::ZERO;
    })
    .await;
    let mut client = Client::subscribe(proxy.addr, false, "A").await;
    source.subscribed(&["A"]).await;
    client.say(r#"{"userKey":"K","symbol":"B"}"#).await;
    source.subscribed(&["B"]).await;
    source.tick("A", 1);
    source.tick("B", 2);
    assert_eq!(client.text().await, tick("B", 2));
}

#[tokio::test]
async fn the_key_limit_in_band_counts_as_a_refusal() {
    let refusing = Source::start(Some(wire::feed::KEY_LIMIT_TEXT), false).await;
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[refusing.url(), source.url()], |_| {}).await;
    let mut client = Client::subscribe(proxy.addr, true, "A").await;
    source.subscribed(&["A"]).await;
    source.tick("A", 1);
    assert!(client.text().await.contains(r#""epoch":1,"seq":1"#), "a refusal begins no epoch");
    let key_limit = |event: &Event| matches!(event, Event::ProxyLegDown { why: wire::event::Why::KeyLimit, .. });
    assert!(proxy.record.count(key_limit) >= 1);
}

#[tokio::test]
async fn a_source_that_speaks_only_http_is_unhealthy_and_passed_over() {
    use tokio::io::AsyncWriteExt;
    use wire::net::{ListenOptions, Listener, Network, TokioNet};
    let net = TokioNet::current();
    let listener = net.bind(crate::bench::loopback(), ListenOptions::default()).await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let _http = net
        .spawn("http", async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
                open.push(stream);
            }
        })
        .guard();
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[url, source.url()], |_| {}).await;
    let mut client = Client::subscribe(proxy.addr, false, "A").await;
    source.subscribed(&["A"]).await;
    source.tick("A", 1);
    assert_eq!(client.text().await, tick("A", 1));
    let protocol = |event: &Event| matches!(event, Event::ProxyLegDown { why: wire::event::Why::Protocol, .. });
    assert!(proxy.record.count(protocol) >= 1);
    assert!(proxy.record.count(|event| matches!(event, Event::ProxyHealth { healthy: false, .. })) >= 1);
}
