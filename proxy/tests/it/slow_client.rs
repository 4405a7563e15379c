//! A client that does not read, over a real socket with small buffers.

use proxy::{Mode, SlowClient};
use wire::event::Event;
use wire::feed::{GapReason, Strong};
use wire::net::{Network, SocketOptions, TokioNet};
use wire::ws::{self, Ask, Message};

use crate::bench::{Client, Proxy, Source, soon};

/// Enough to fill every buffer between the source and a client that does not read.
const TICKS: u32 = 3_000;

async fn stalled_behind(slow_client: SlowClient) -> (Source, Proxy, Client, Client) {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        config.limits.queue_bytes_max = 4 << 10;
        config.limits.client_send_buffer = Some(4 << 10);
        config.limits.slow_client = slow_client;
    })
    .await;
    let small = SocketOptions { recv_buffer: Some(4 << 10), ..SocketOptions::default() };
    let stream = TokioNet::current().connect(proxy.addr, small).await.unwrap();
    let ask =
        Ask { url: format!("ws://{}/", proxy.addr), subprotocols: vec![ws::SUBPROTOCOL.into()], ..Ask::default() };
    let session = soon(ws::connect(stream, &ask, ws::Limits::default())).await.unwrap().session;
    let mut slow = Client { session };
    slow.say(r#"{"userKey":"K","symbol":"A"}"#).await;
    source.subscribed(&["A"]).await;
    let mut quick = Client::subscribe(proxy.addr, false, "A,B").await;
    source.subscribed(&["A", "B"]).await;
    let padding = "x".repeat(200);
    // The quick client sets the pace, so that only the slow one falls behind.
    for n in 0..TICKS {
        let text = format!(r#"{{"symbol":"A","n":{n},"padding":"{padding}"}}"#);
        source.order(crate::bench::Do::Say(text.clone()));
        assert_eq!(quick.text().await, text);
    }
    (source, proxy, slow, quick)
}

#[tokio::test]
async fn a_stalled_client_loses_the_oldest_and_is_told_while_the_others_lose_nothing() {
    let (_source, proxy, mut slow, _quick) = stalled_behind(SlowClient::DropOldest).await;
    let dropped = proxy.record.count(|event| matches!(event, Event::ProxyDrop { .. }));
    assert!(dropped > 0, "the client was not slow enough");
    assert_eq!(slow.text().await, "Connected");
    let (mut next, mut missing) = (1, 0);
    while next <= u64::from(TICKS) {
        match Strong::decode(&slow.text().await).unwrap() {
            Strong::Data { seq, .. } => {
                assert_eq!(seq, next);
                next = seq + 1;
            }
            Strong::Gap { from, to, reason, .. } => {
                assert_eq!((from, reason), (next, GapReason::Overflow));
                next = to.unwrap() + 1;
                missing += next - from;
            }
            Strong::Resumed { .. } | Strong::Denied { .. } => {
                panic!("it did not ask to resume, and the source denies nothing")
            }
        }
    }
    assert_eq!(missing, dropped as u64);
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyClientClose { .. })), 0);
    let over = |event: &Event| matches!(event, Event::ProxyGauge { queue_bytes_max, .. } if *queue_bytes_max > 4 << 10);
    assert_eq!(proxy.record.count(over), 0);
}

#[tokio::test]
async fn the_disconnect_policy_closes_a_stalled_client_and_no_other() {
    let (_source, proxy, mut slow, mut quick) = stalled_behind(SlowClient::Disconnect).await;
    // It may be cut off before the close frame reaches it, but not before it was decided.
    use futures_util::StreamExt;
    soon(async {
        while let Some(Ok(message)) = slow.session.next().await {
            if let Message::Close(Some(frame)) = message {
                assert_eq!(u16::from(frame.code), 1013);
            }
        }
    })
    .await;
    let slow_closes =
        |event: &Event| matches!(event, Event::ProxyClientClose { code: Some(1013), why: wire::event::Why::Slow, .. });
    assert_eq!(proxy.record.count(slow_closes), 1);
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyDrop { .. })), 0);
    proxy.stop.cancel();
    assert_eq!(quick.closed().await, 1001);
}
