//! Fan-out over real sockets.

use proxy::Mode;
use wire::event::Event;

use crate::bench::{Client, Do, Proxy, Source, soon, tick};

/// A tick in its envelope.
fn strong(kind: &str, symbol: &str, epoch: u64, seq: u64, n: u32) -> String {
    let data = tick(symbol, n);
    format!(r#"{{"type":"{kind}","symbol":"{symbol}","epoch":{epoch},"seq":{seq},"data":{data}}}"#)
}

fn gap(symbol: &str, epoch: u64, from: u64, to: Option<u64>, reason: &str) -> String {
    let to = to.map_or("null".to_owned(), |to| to.to_string());
    format!(r#"{{"type":"gap","symbol":"{symbol}","epoch":{epoch},"from":{from},"to":{to},"reason":"{reason}"}}"#)
}

fn resumed(symbol: &str, epoch: u64, seq: u64, recovered: bool) -> String {
    format!(r#"{{"type":"resumed","symbol":"{symbol}","epoch":{epoch},"seq":{seq},"recovered":{recovered}}}"#)
}

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
    let epoch = proxy.record.epochs()[0];
    assert_eq!(both.text().await, strong("live", "B", epoch, 1, 1));
    assert_eq!(both.text().await, strong("live", "A", epoch, 1, 2));
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
    let mut client = Client::subscribe(proxy.addr, true, "A").await;
    sources[0].subscribed(&["A"]).await;
    let mut plain = Client::subscribe(proxy.addr, false, "A,B").await;
    for (n, source) in (1..).zip(&mut sources) {
        source.subscribed(&["A", "B"]).await;
        source.tick("A", n);
        assert_eq!(plain.text().await, tick("A", n));
        if n > 1 {
            let old = proxy.record.epochs()[n as usize - 2];
            assert_eq!(client.text().await, gap("A", old, 2, None, "reset"));
        }
        assert_eq!(client.text().await, strong("live", "A", proxy.record.epochs()[n as usize - 1], 1, n));
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
    let epochs = proxy.record.epochs();
    assert_eq!(epochs.len(), 1, "a refusal begins no epoch");
    assert_eq!(client.text().await, strong("live", "A", epochs[0], 1, 1));
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
    let proxy = Proxy::start(Mode::Fanout, &[url, source.url()], |config| config.health.fall = 1).await;
    let mut client = Client::subscribe(proxy.addr, false, "A").await;
    source.subscribed(&["A"]).await;
    source.tick("A", 1);
    assert_eq!(client.text().await, tick("A", 1));
    let protocol = |event: &Event| matches!(event, Event::ProxyLegDown { why: wire::event::Why::Protocol, .. });
    assert!(proxy.record.count(protocol) >= 1);
    assert!(proxy.record.count(|event| matches!(event, Event::ProxyHealth { healthy: false, .. })) >= 1);
}

/// A strong client that subscribes to A and says where it stood.
async fn resume(proxy: &Proxy, epoch: u64, seq: u64) -> Client {
    let mut client = Client::connect(proxy.addr, true).await;
    assert_eq!(client.text().await, "Connected");
    client.say(&format!(r#"{{"userKey":"K","symbol":"A","resume":{{"A":[{epoch},{seq}]}}}}"#)).await;
    client
}

#[tokio::test]
async fn a_strong_client_gets_the_newest_value_and_then_what_follows() {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |_| {}).await;
    let mut first = Client::subscribe(proxy.addr, true, "A,B").await;
    source.subscribed(&["A", "B"]).await;
    source.tick("A", 1);
    source.tick("A", 2);
    let epoch = proxy.record.epochs().first().copied();
    first.text().await;
    first.text().await;
    let epoch = epoch.unwrap_or_else(|| proxy.record.epochs()[0]);
    let mut later = Client::subscribe(proxy.addr, true, "A,B").await;
    assert_eq!(later.text().await, strong("snapshot", "A", epoch, 2, 2));
    let mut plain = Client::subscribe(proxy.addr, false, "A").await;
    plain.settle().await;
    source.tick("A", 3);
    assert_eq!(later.text().await, strong("live", "A", epoch, 3, 3));
    assert_eq!(plain.text().await, tick("A", 3), "a plain client gets what the source sends, and nothing else");
    // The same set again is no new beginning.
    later.say(r#"{"userKey":"K","symbol":"B,A"}"#).await;
    later.settle().await;
    source.tick("A", 4);
    assert_eq!(later.text().await, strong("live", "A", epoch, 4, 4));
}

#[tokio::test]
async fn a_resume_is_served_in_full_or_not_at_all() {
    let mut sources = [Source::v1().await, Source::v1().await];
    let urls: Vec<_> = sources.iter().map(Source::url).collect();
    let proxy = Proxy::start(Mode::Fanout, &urls, |config| {
        // Four ticks of 22 bytes.
        config.limits.resume_bytes_max = 90;
    })
    .await;
    let mut keeper = Client::subscribe(proxy.addr, true, "A").await;
    sources[0].subscribed(&["A"]).await;
    for n in 1..=9 {
        sources[0].tick("A", n);
        keeper.text().await;
    }
    let epoch = proxy.record.epochs()[0];
    let mut client = resume(&proxy, epoch, 6).await;
    assert_eq!(client.text().await, resumed("A", epoch, 6, true));
    for n in 7..=9 {
        assert_eq!(client.text().await, strong("replay", "A", epoch, n, u32::try_from(n).unwrap()));
    }
    let mut current = resume(&proxy, epoch, 9).await;
    assert_eq!(current.text().await, resumed("A", epoch, 9, true));
    let mut late = resume(&proxy, epoch, 2).await;
    assert_eq!(late.text().await, resumed("A", epoch, 2, false));
    assert_eq!(late.text().await, gap("A", epoch, 3, Some(8), "resume"));
    assert_eq!(late.text().await, strong("snapshot", "A", epoch, 9, 9));
    let mut stranger = resume(&proxy, epoch - 1, 2).await;
    assert_eq!(stranger.text().await, resumed("A", epoch - 1, 2, false));
    assert_eq!(stranger.text().await, gap("A", epoch - 1, 3, None, "resume"));
    assert_eq!(stranger.text().await, gap("A", epoch, 1, Some(8), "resume"));
    assert_eq!(stranger.text().await, strong("snapshot", "A", epoch, 9, 9));
    sources[0].tick("A", 10);
    for client in [&mut client, &mut current, &mut late, &mut stranger] {
        assert_eq!(client.text().await, strong("live", "A", epoch, 10, 10));
    }
    // With another source the old epoch is over.
    sources[0].order(Do::Drop);
    sources[1].subscribed(&["A"]).await;
    sources[1].tick("A", 11);
    assert_eq!(current.text().await, gap("A", epoch, 11, None, "reset"));
    let now = proxy.record.epochs()[1];
    let mut again = resume(&proxy, epoch, 10).await;
    assert_eq!(again.text().await, resumed("A", epoch, 10, false));
    assert_eq!(again.text().await, gap("A", epoch, 11, None, "resume"));
    assert_eq!(again.text().await, strong("snapshot", "A", now, 1, 11));
}

#[tokio::test]
async fn a_symbol_that_was_left_begins_a_new_epoch_when_it_comes_again() {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        config.limits.unsubscribe_linger = std::time::Duration::ZERO;
    })
    .await;
    let mut client = Client::subscribe(proxy.addr, true, "A,B").await;
    source.subscribed(&["A", "B"]).await;
    source.tick("A", 1);
    client.text().await;
    let epoch = proxy.record.epochs()[0];
    client.say(r#"{"userKey":"K","symbol":"B"}"#).await;
    source.subscribed(&["B"]).await;
    // What it missed meanwhile nobody knows: its old place is worth nothing.
    let mut again = resume(&proxy, epoch, 1).await;
    assert_eq!(again.text().await, resumed("A", epoch, 1, false));
    source.subscribed(&["A", "B"]).await;
    source.tick("A", 2);
    assert_eq!(again.text().await, gap("A", epoch, 2, None, "resume"));
    let text = again.text().await;
    assert!(text.contains(r#""type":"live""#) && text.contains(r#""seq":1,"#), "{text}");
    assert!(!text.contains(&epoch.to_string()), "{text}");
}

#[tokio::test]
async fn pings_are_answered_between_frames() {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |_| {}).await;
    let mut client = Client::subscribe(proxy.addr, false, "A").await;
    source.subscribed(&["A"]).await;
    for n in 0..50 {
        client.settle().await;
        source.tick("A", n);
        assert_eq!(client.text().await, tick("A", n));
    }
}
