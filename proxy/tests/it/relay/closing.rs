//! How the end of one leg becomes the end of the other.

use tokio::io::AsyncWriteExt;
use wire::event::Event;
use wire::ws::Message;

use super::by_hand::{close, pair, text};
use crate::bench::{Client, soon};

#[tokio::test]
async fn a_clients_close_frame_reaches_its_source_as_it_is() {
    for frame in [close(1000, "done"), close(1001, ""), close(1008, "no"), close(4999, "\u{e4}"), Message::Close(None)]
    {
        let (_proxy, _source, mut client, mut leg) = pair(|_| {}).await;
        client.send(frame.clone()).await;
        assert_eq!(leg.next().await, frame);
        assert_eq!(client.next().await, frame, "the answer");
    }
}

#[tokio::test]
async fn a_sources_close_frame_reaches_its_client_as_it_is_and_is_answered() {
    for frame in [close(1000, "done"), close(1008, "no"), close(1003, ""), close(4321, "\u{e4}"), Message::Close(None)]
    {
        let (proxy, _source, mut client, mut leg) = pair(|_| {}).await;
        leg.say("last words").await;
        leg.say(frame.clone()).await;
        assert_eq!(client.next().await, text("last words"));
        assert_eq!(client.next().await, frame);
        assert_eq!(leg.next().await, frame, "the answer");
        assert!(leg.ends().await);
        assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyDial { .. })), 1, "nobody was moved");
    }
}

#[tokio::test]
async fn codes_that_may_not_cross_the_wire_do_not_cross() {
    for code in [1004_u16, 1005, 1006, 1015, 2999, 5000] {
        let [high, low] = code.to_be_bytes();
        let (_proxy, _source, mut client, mut leg) = pair(|_| {}).await;
        soon(leg.session.get_mut().write_all(&[0x88, 2, high, low])).await.unwrap();
        assert_eq!(client.closed().await, 1002, "{code} of a source");
        assert!(matches!(leg.next().await, Message::Close(Some(frame)) if u16::from(frame.code) == 1002));

        let (_proxy, _source, mut client, mut leg) = pair(|_| {}).await;
        soon(client.session.get_mut().write_all(&[0x88, 0x82, 0, 0, 0, 0, high, low])).await.unwrap();
        assert!(matches!(leg.next().await, Message::Close(Some(frame)) if u16::from(frame.code) == 1002), "{code}");
        assert_eq!(client.closed().await, 1002, "{code} of a client");
    }
}

#[tokio::test]
async fn a_source_that_leaves_is_answered_and_its_client_moves() {
    for code in [1001, 1011, 1012, 1013] {
        let (proxy, source, mut client, mut leg) = pair(|_| {}).await;
        leg.say("last words").await;
        leg.say(close(code, "leaving")).await;
        let mut next = source.leg().await;
        assert_eq!(leg.next().await, close(code, "leaving"), "the answer");
        assert!(leg.ends().await);
        next.say("first words").await;
        assert_eq!([client.next().await, client.next().await], [text("last words"), text("first words")]);
        assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyClientClose { .. })), 0);
    }
}

#[tokio::test]
async fn which_codes_move_the_client_is_configured() {
    let (_proxy, source, mut client, mut leg) = pair(|config| config.move_on_close = vec![4000]).await;
    leg.say(close(4000, "")).await;
    let mut leg = source.leg().await;
    leg.say(close(1011, "passes")).await;
    assert_eq!(client.next().await, close(1011, "passes"));
}

#[tokio::test]
async fn without_failover_every_close_passes_and_a_broken_leg_is_1011() {
    let (_proxy, _source, mut client, mut leg) = pair(|config| config.failover = false).await;
    leg.say(close(1012, "restarting")).await;
    assert_eq!(client.next().await, close(1012, "restarting"));

    let (_proxy, _source, mut client, leg) = pair(|config| config.failover = false).await;
    drop(leg);
    assert_eq!(client.next().await, close(1011, "the source was lost"));
}

#[tokio::test]
async fn a_source_that_breaks_the_protocol_is_told_why_and_its_client_moves() {
    for (bytes, code) in [(&[0xC1_u8, 0][..], 1002), (&[0x81, 1, 0xFF][..], 1007)] {
        let (_proxy, source, mut client, mut leg) = pair(|_| {}).await;
        soon(leg.session.get_mut().write_all(bytes)).await.unwrap();
        assert!(matches!(leg.next().await, Message::Close(Some(frame)) if u16::from(frame.code) == code));
        let mut next = source.leg().await;
        next.say("x").await;
        assert_eq!(client.next().await, text("x"));
    }
}

#[tokio::test]
async fn the_source_of_a_client_that_vanishes_or_breaks_the_protocol_is_told_1011() {
    let (_proxy, _source, client, mut leg) = pair(|_| {}).await;
    drop(client);
    assert_eq!(leg.next().await, close(1011, "client lost"));

    let (_proxy, _source, mut client, mut leg) = pair(|_| {}).await;
    soon(client.session.get_mut().write_all(&[0xC1, 0x80, 0, 0, 0, 0])).await.unwrap();
    assert_eq!(leg.next().await, close(1011, "client lost"));
    assert_eq!(client.closed().await, 1002);
}

#[tokio::test]
async fn what_was_asked_before_a_breach_is_answered_before_the_end() {
    let (_proxy, _source, mut client, mut leg) = pair(|_| {}).await;
    client.say("question").await;
    soon(client.session.get_mut().write_all(&[0xC1, 0x80, 0, 0, 0, 0])).await.unwrap();
    assert_eq!(leg.next().await, text("question"));
    leg.say("answer").await;
    assert_eq!(leg.next().await, close(1011, "client lost"));
    assert_eq!(client.next().await, text("answer"));
    assert_eq!(client.closed().await, 1002);

    let (_proxy, _source, mut client, mut leg) = pair(|config| config.failover = false).await;
    leg.say("question").await;
    soon(leg.session.get_mut().write_all(&[0xC1, 0])).await.unwrap();
    assert_eq!([client.next().await, client.next().await], [text("question"), close(1011, "the source was lost")]);
    assert!(matches!(leg.next().await, Message::Close(Some(frame)) if u16::from(frame.code) == 1002));
}

#[tokio::test]
async fn a_breach_that_nobody_answers_ends_within_the_close_timeout() {
    let (_proxy, _source, mut client, _leg) =
        pair(|config| config.limits.close_timeout = std::time::Duration::from_millis(20)).await;
    soon(client.session.get_mut().write_all(&[0xC1, 0x80, 0, 0, 0, 0])).await.unwrap();
    assert_eq!(client.closed().await, 1002);
}

#[tokio::test]
async fn a_client_whose_legs_all_break_at_once_is_not_carried_on_for_ever() {
    let (proxy, source, mut client, leg) = pair(|config| config.limits.moves_max = 3).await;
    drop(leg);
    for _ in 0..3 {
        drop(source.leg().await);
    }
    assert_eq!(client.next().await, close(1011, "source after source was lost"));
    assert_eq!(proxy.record.count(|event| matches!(event, Event::ProxyDial { .. })), 4);
}

#[tokio::test]
async fn a_stopping_proxy_tells_both_sides_1001() {
    let (proxy, _source, mut client, mut leg) = pair(|_| {}).await;
    client.say("both legs are up").await;
    leg.next().await;
    proxy.stop.cancel();
    assert_eq!(client.closed().await, 1001);
    assert!(matches!(leg.next().await, Message::Close(Some(frame)) if u16::from(frame.code) == 1001));
}

impl Client {
    async fn send(&mut self, message: Message) {
        use futures_util::SinkExt;
        soon(self.session.send(message)).await.unwrap();
    }
}
