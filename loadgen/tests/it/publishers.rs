//! Publishers and subscribers through a broadcast server of a few lines, which loses, repeats or turns round what it is told to: whatever goes wrong must be seen, and nothing else.
//!
//! All but one in memory and by a paused clock: there what comes is exact, and a machine that stalls changes nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use loadgen::{Config, Load, Publishers, Reconnect, Summary};
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use wire::event::Observer;
use wire::feed::Protocol;
use wire::net::{ByteStream, ListenOptions, Listener, Network, TokioNet};

use crate::memory;

const PUBLISHERS: u32 = 1;
const SUBSCRIBERS: u32 = 3;

/// What the server makes of the n-th message since all are there, and of what it kept back.
type Twist = fn(u64, String, &mut Vec<String>) -> Vec<String>;

struct Room<S> {
    members: Vec<(usize, SplitSink<WebSocketStream<S>, Message>)>,
    since_full: u64,
    kept: Vec<String>,
}

/// Whom the server tells what a member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Others,
    All,
}

async fn broadcast<N: Network, S: ByteStream>(net: N, listener: impl Listener<Stream = S>, to: To, twist: Twist) {
    let room = Arc::new(Mutex::new(Room::<S> { members: Vec::new(), since_full: 0, kept: Vec::new() }));
    for member in 0.. {
        let Ok((stream, _)) = listener.accept().await else { return };
        let room = Arc::clone(&room);
        net.spawn("member", async move {
            let Ok(session) = tokio_tungstenite::accept_async(stream).await else { return };
            let (mut out, mut messages) = session.split();
            let _ = out.send(Message::text("welcome")).await;
            room.lock().await.members.push((member, out));
            while let Some(Ok(Message::Text(text))) = messages.next().await {
                let mut room = room.lock().await;
                let Room { members, since_full, kept } = &mut *room;
                *since_full += u64::from(members.len() == (PUBLISHERS + SUBSCRIBERS) as usize);
                let said =
                    if *since_full == 0 { vec![text.to_string()] } else { twist(*since_full, text.to_string(), kept) };
                for text in said {
                    for (_, out) in members.iter_mut().filter(|(other, _)| to == To::All || *other != member) {
                        let _ = out.send(Message::text(text.clone())).await;
                    }
                }
            }
        });
    }
}

fn config(target: String) -> Config {
    let mut config = Config::new(vec![target]);
    config.protocol = Protocol::Raw;
    config.clients = PUBLISHERS + SUBSCRIBERS;
    (config.duration, config.close_timeout) = (Duration::from_secs(2), Duration::from_millis(50));
    config.load =
        Load::Open { arrival: loadgen::Arrival::AtOnce, requests_per_s: Some(20.0), stay: None, session: None };
    config.publishers = Some(Publishers { settle: Duration::from_secs(1), ..Publishers::new(PUBLISHERS) });
    config
}

async fn load_room(to: To, twist: Twist, change: impl FnOnce(&mut Config)) -> Summary {
    let (net, listener) = memory::network();
    let _serving = net.spawn("broadcast", broadcast(net.clone(), listener, to, twist)).guard();
    let mut config = config("ws://room/".to_owned());
    change(&mut config);
    loadgen::run(config, net, CancellationToken::new(), Observer::none()).await.unwrap()
}

async fn load(twist: Twist, change: impl FnOnce(&mut Config)) -> Summary {
    load_room(To::Others, twist, change).await
}

/// Faults for each subscriber: missing, doubled, out of order.
async fn check(twist: Twist, expect: [u64; 3]) {
    let summary = load(twist, |_| ()).await;
    let all = expect.map(|each| each * u64::from(SUBSCRIBERS));
    assert_eq!([summary.missing, summary.duplicates, summary.out_of_order], all, "{summary:?}");
    assert_eq!(summary.is_flawed(), all != [0; 3]);
    let published = summary.published.as_ref().unwrap();
    assert_eq!((published.owed, published.delivered), (summary.heard + summary.missing, summary.heard));
    let [one] = published.by_publisher[..] else { panic!("{published:?}") };
    assert_eq!([one.missing, one.duplicates, one.out_of_order], all);
    assert_eq!((one.sent, summary.publications), (published.sent, published.sent));
}

#[tokio::test(start_paused = true)]
async fn what_comes_as_it_was_sent_is_no_fault_and_has_its_age_both_ways() {
    let summary = load(
        |_, text, _| vec![text],
        |config| {
            config.hello = vec![];
            config.request_bytes = 200;
            config.publishers.as_mut().unwrap().envelope = Some(r#"{"data":"{message}"}"#.to_owned());
        },
    )
    .await;
    assert!(!summary.is_flawed(), "{summary:?}");
    let published = summary.published.as_ref().unwrap();
    assert_eq!((published.publishers, published.subscribers), (1, 3));
    assert_eq!(published.delivered_share, Some(1.0));
    // Each client was welcomed, and that is no publication.
    assert_eq!(summary.unrelated, 4);
    let [planned, sent] = [&summary.phases.publication, &summary.phases.publication_uncorrected]
        .map(|phase| phase.as_ref().unwrap().quantiles);
    assert_eq!((planned.count, sent.count), (summary.heard, summary.heard));
    assert!(planned.mean_us >= sent.mean_us, "sent is after planned");
    // All were planned within the window, and have their age in it whenever they came; its deliveries are those that came within.
    let window = summary.window.as_ref().unwrap();
    let ages = window.published.as_ref().unwrap().corrected.as_ref().unwrap().quantiles;
    assert_eq!((ages.count, window.checked.aged), (summary.heard, summary.heard));
    assert!(window.deliveries <= summary.heard && window.deliveries == window.checked.deliveries, "{window:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_lost_is_missing_for_each_subscriber() {
    check(|n, text, _| if n == 5 { vec![] } else { vec![text] }, [1, 0, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_said_twice_is_doubled() {
    check(|n, text, _| if n == 5 { vec![text.clone(), text] } else { vec![text] }, [0, 1, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_overtaken_is_out_of_order_and_not_missing() {
    let twist: Twist = |n, text, kept| match n {
        5 => {
            kept.push(text);
            vec![]
        }
        6 => vec![text, kept.remove(0)],
        _ => vec![text],
    };
    check(twist, [0, 0, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_at_the_end_is_missing_though_nothing_came_after_it() {
    let summary = load(|n, text, _| if n < 5 { vec![text] } else { vec![] }, |_| ()).await;
    let published = summary.published.as_ref().unwrap();
    // Twenty a second for a second.
    assert_eq!((published.sent, summary.missing), (20, 16 * u64::from(SUBSCRIBERS)), "{summary:?}");
    assert_eq!(published.owed, published.delivered + summary.missing);
}

/// The run would last for 4 s; each client leaves before.
async fn leave_after(stay: Duration) -> Summary {
    let nothing: Twist = |_, _, _| vec![];
    let leave = |config: &mut Config| {
        config.duration = Duration::from_secs(3);
        let arrival = loadgen::Arrival::AtOnce;
        config.load = Load::Open { arrival, requests_per_s: Some(20.0), stay: Some(stay), session: None };
    };
    load(nothing, leave).await
}

#[tokio::test(start_paused = true)]
async fn what_never_came_is_missing_for_who_left_before_the_end_of_the_run() {
    let summary = leave_after(Duration::from_millis(3_500)).await;
    let published = summary.published.as_ref().unwrap();
    // Twenty a second for a second and a half, up to a second before they left.
    assert!(summary.missing >= 25 * u64::from(SUBSCRIBERS) && published.delivered == 0, "{summary:?}");
    assert_eq!(published.settled, u64::from(SUBSCRIBERS), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn who_was_there_too_shortly_to_be_owed_anything_is_no_evidence() {
    // They settle after a second, and of what was sent in the second before they left nothing is known.
    let summary = leave_after(Duration::from_millis(1_100)).await;
    let published = summary.published.as_ref().unwrap();
    assert_eq!((published.subscribers, published.settled, summary.missing), (3, 0, 0), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_waits_for_its_message_to_come_back_in_vain_is_told() {
    // The room says what a member says to all others, and not to that member.
    let summary = load(|_, text, _| vec![text], closed).await;
    assert_eq!((summary.publications, summary.publications_unreturned), (1, 1), "{summary:?}");
    assert!(summary.is_flawed() && summary.missing == 0, "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_byte_that_changed_on_the_way_is_damage() {
    let twist: Twist = |n, text, _| if n == 5 { vec![text.replacen('.', "!", 1)] } else { vec![text] };
    let summary = load(twist, |config| config.request_bytes = 200).await;
    assert_eq!((summary.garbled, summary.missing), (3, 3), "{summary:?}");
}

/// A message with another number, and the hash that fits it.
fn forged(text: &str, n: u64) -> String {
    let (signed, _) = text.rsplit_once(':').unwrap();
    let n = n.to_string();
    let signed = signed.split(':').enumerate().map(|(place, part)| if place == 3 { n.as_str() } else { part });
    let signed = signed.collect::<Vec<_>>().join(":");
    format!("{signed}:{:016x};", xxhash_rust::xxh3::xxh3_64(signed.as_bytes()))
}

/// The hash has no key, and each message says of which run it is: a target can write what it likes.
#[tokio::test(start_paused = true)]
async fn a_number_that_nobody_sent_is_damage_and_spoils_no_figure() {
    let twist: Twist = |n, text, _| match n {
        5 => vec![forged(&text, u64::MAX), forged(&text, 0), forged(&text, 1_000), text],
        _ => vec![text],
    };
    let summary = load(twist, |_| ()).await;
    assert_eq!((summary.garbled, summary.clients_lost), (3 * u64::from(SUBSCRIBERS), 0), "{summary:?}");
    assert_eq!([summary.missing, summary.duplicates, summary.out_of_order], [0; 3], "{summary:?}");
    let published = summary.published.as_ref().unwrap();
    assert_eq!(published.delivered, 20 * u64::from(SUBSCRIBERS), "{published:?}");
}

fn closed(config: &mut Config) {
    config.load = Load::Closed { ramp: Duration::ZERO, think: Some(Duration::from_millis(20)), session: None };
    config.reconnect = Some(Reconnect::default());
}

#[tokio::test(start_paused = true)]
async fn in_a_closed_loop_the_next_message_is_sent_when_the_last_came_back() {
    let summary = load_room(To::All, |_, text, _| vec![text], closed).await;
    assert!(!summary.is_flawed(), "{summary:?}");
    let published = summary.published.as_ref().unwrap();
    // A second of thoughts of 10 to 30 ms, and a millisecond of each for the clock.
    assert!((32..=100).contains(&published.sent), "{published:?}");
    assert_eq!((published.delivered, published.owed), (published.sent * 3, published.sent * 3));
}

#[tokio::test(start_paused = true)]
async fn in_a_closed_loop_a_message_that_is_lost_stops_its_publisher() {
    let summary = load_room(To::All, |n, text, _| if n == 5 { vec![] } else { vec![text] }, closed).await;
    assert_eq!((summary.publications, summary.publications_missed), (5, 0), "{summary:?}");
    // Each misses the last.
    assert_eq!((summary.heard, summary.missing), (4 * 3, 3), "{summary:?}");
}

/// By the real clock, and so only what is true however late all comes.
#[tokio::test]
async fn over_real_sockets_what_is_published_comes_too() {
    let net = TokioNet::current();
    let listener = net.bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
    let config = config(format!("ws://{}/", listener.local_addr().unwrap()));
    let _serving =
        net.spawn("broadcast", broadcast(net.clone(), listener, To::Others, |_, text, _| vec![text])).guard();
    let summary = loadgen::run(config, net, CancellationToken::new(), Observer::none()).await.unwrap();
    assert!(summary.heard > 0, "{summary:?}");
    assert_eq!([summary.duplicates, summary.out_of_order, summary.garbled], [0; 3], "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn publishers_that_listen_are_owed_what_others_publish_and_not_their_own() {
    let summary = load(
        |_, text, _| vec![text],
        |config| {
            let publishers = config.publishers.as_mut().unwrap();
            (publishers.count, publishers.listen) = (2, true);
        },
    )
    .await;
    assert!(!summary.is_flawed(), "{summary:?}");
    let published = summary.published.as_ref().unwrap();
    assert_eq!((published.publishers, published.subscribers, published.by_publisher.len()), (2, 4, 2));
    // Three others hear each message, once all are there.
    assert!(published.by_publisher.iter().all(|it| it.delivered > 0 && it.delivered <= 3 * it.sent), "{published:?}");
}
