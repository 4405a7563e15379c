//! What crosses, and what a new instance hears.

use futures_util::SinkExt;
use wire::ws::{Bytes, Message};

use super::by_hand::{ByHand, pair, relay, text};
use crate::bench::{Client, soon};

#[tokio::test]
async fn text_stays_text_and_binary_stays_binary_in_both_directions() {
    let (_proxy, _source, mut client, mut leg) = pair(|_| {}).await;
    let big = Bytes::from(vec![7; 200_000]);
    for message in
        [text("t"), Message::binary(&b"b"[..]), text(""), Message::binary(Bytes::new()), Message::Binary(big)]
    {
        soon(client.session.send(message.clone())).await.unwrap();
        assert_eq!(leg.next().await, message);
        leg.say(message.clone()).await;
        assert_eq!(client.next().await, message);
    }
}

#[tokio::test]
async fn pings_are_answered_by_the_proxy_and_do_not_cross() {
    use futures_util::StreamExt;
    let (_proxy, _source, mut client, mut leg) = pair(|_| {}).await;
    let ping = |word: &'static str| Message::Ping(Bytes::from_static(word.as_bytes()));
    let pong = |word: &'static str| Message::Pong(Bytes::from_static(word.as_bytes()));
    soon(client.session.send(ping("of the client"))).await.unwrap();
    assert_eq!(soon(client.session.next()).await.unwrap().unwrap(), pong("of the client"));
    leg.say(ping("of the source")).await;
    assert_eq!(leg.next().await, pong("of the source"));
    client.say("after").await;
    assert_eq!(leg.next().await, text("after"));
    leg.say("after").await;
    assert_eq!(soon(client.session.next()).await.unwrap().unwrap(), text("after"));
}

#[tokio::test]
async fn the_latest_messages_that_match_are_said_again_and_no_other_is_sent_twice() {
    let (a, b) = (ByHand::bind().await, ByHand::bind().await);
    let proxy = relay(&[&a, &b], |config| {
        config.preamble_match = Some("^(auth|sub) ".parse().unwrap());
        config.preamble_messages = 3;
        config.limits.preamble_bytes_max = 100;
    })
    .await;
    let (mut client, mut leg) = tokio::join!(Client::connect(proxy.addr, false), a.leg());
    let too_long = format!("sub {}", "x".repeat(100));
    for said in ["order 1", "auth K", "sub A", &too_long, "order 2", "sub B"] {
        client.say(said).await;
        assert_eq!(leg.next().await, text(said));
    }
    drop(leg);
    let mut leg = b.leg().await;
    client.say("order 3").await;
    for said in ["auth K", "sub A", "sub B", "order 3"] {
        assert_eq!(leg.next().await, text(said));
    }
}

#[tokio::test]
async fn what_a_client_says_while_it_has_no_leg_reaches_the_next_one_once() {
    let (proxy, source, mut client, leg) = pair(|config| config.preamble_messages = 1).await;
    // Said to a leg that ends before it reads a byte.
    client.say("first").await;
    drop(leg);
    let mut leg = source.leg().await;
    for n in 0..100 {
        client.say(&n.to_string()).await;
    }
    assert_eq!(leg.next().await, text("first"), "the preamble");
    for n in 0..100 {
        assert_eq!(leg.next().await, text(&n.to_string()));
    }
    drop(proxy);
}
