//! Publishers and subscribers through a broadcast server of a few lines, which loses, repeats or turns round what it is told to: whatever goes wrong must be seen, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use loadgen::{Config, Load, Publishers, Summary};
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use wire::event::Observer;
use wire::feed::Protocol;
use wire::net::{ListenOptions, Listener, Network, TokioNet, TokioStream};

const PUBLISHERS: u32 = 1;
const SUBSCRIBERS: u32 = 3;

/// What the server makes of the n-th message since all are there, and of what it kept back.
type Twist = fn(u64, String, &mut Vec<String>) -> Vec<String>;

#[derive(Default)]
struct Room {
    members: Vec<(usize, SplitSink<WebSocketStream<TokioStream>, Message>)>,
    since_full: u64,
    kept: Vec<String>,
}

/// Says what a member says to all others.
async fn broadcast<L: Listener<Stream = TokioStream>>(net: TokioNet, listener: L, twist: Twist) {
    let room: Arc<Mutex<Room>> = Arc::default();
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
                    for (_, out) in members.iter_mut().filter(|(other, _)| *other != member) {
                        let _ = out.send(Message::text(text.clone())).await;
                    }
                }
            }
        });
    }
}

async fn load(twist: Twist, change: impl FnOnce(&mut Config)) -> Summary {
    let net = TokioNet::current();
    let listener = net.bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
    let mut config = Config::new(vec![format!("ws://{}/", listener.local_addr().unwrap())]);
    let _serving = net.spawn("broadcast", broadcast(net.clone(), listener, twist)).guard();
    config.protocol = Protocol::Raw;
    config.clients = PUBLISHERS + SUBSCRIBERS;
    (config.duration, config.close_timeout) = (Duration::from_secs(2), Duration::from_millis(50));
    config.load =
        Load::Open { arrival: loadgen::Arrival::AtOnce, requests_per_s: Some(20.0), stay: None, session: None };
    config.publishers = Some(Publishers { settle: Duration::from_secs(1), ..Publishers::new(PUBLISHERS) });
    change(&mut config);
    loadgen::run(config, net, CancellationToken::new(), Observer::none()).await.unwrap()
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

#[tokio::test]
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
    // All were planned within the window, whenever they came.
    assert_eq!(summary.window.as_ref().unwrap().deliveries, summary.heard);
}

#[tokio::test]
async fn a_message_that_is_lost_is_missing_for_each_subscriber() {
    check(|n, text, _| if n == 5 { vec![] } else { vec![text] }, [1, 0, 0]).await;
}

#[tokio::test]
async fn a_message_that_is_said_twice_is_doubled() {
    check(|n, text, _| if n == 5 { vec![text.clone(), text] } else { vec![text] }, [0, 1, 0]).await;
}

#[tokio::test]
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

#[tokio::test]
async fn what_is_lost_at_the_end_is_missing_though_nothing_came_after_it() {
    let summary = load(|n, text, _| if n < 5 { vec![text] } else { vec![] }, |_| ()).await;
    let published = summary.published.as_ref().unwrap();
    assert!(summary.missing >= u64::from(SUBSCRIBERS), "{summary:?}");
    assert_eq!(summary.missing % u64::from(SUBSCRIBERS), 0, "each misses the same");
    assert_eq!(published.owed, published.delivered + summary.missing);
}

#[tokio::test]
async fn a_byte_that_changed_on_the_way_is_damage() {
    let twist: Twist = |n, text, _| if n == 5 { vec![text.replacen('.', "!", 1)] } else { vec![text] };
    let summary = load(twist, |config| config.request_bytes = 200).await;
    assert_eq!((summary.garbled, summary.missing), (3, 3), "{summary:?}");
}

#[tokio::test]
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
