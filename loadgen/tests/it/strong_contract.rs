use std::borrow::Cow;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use loadgen::{Config, Reconnect, Summary};
use tokio_util::sync::CancellationToken;
use wire::event::Observer;
use wire::feed::{GapReason, Kind, Strong};
use wire::id::Symbol;
use wire::net::{ListenOptions, Listener, Network, TokioNet};
use wire::tick::{Schedule, Tick};
use wire::ws::{self, Answer, Limits, Message, SUBPROTOCOL};

fn stamped(kind: Kind, epoch: u64, seq: u64, n: u64) -> String {
    let tick = Tick { symbol: Symbol::numbered(0), n };
    let data = Cow::Owned(tick.encode(1, Schedule::every(Duration::from_millis(10)).unwrap()));
    Strong::Data { kind, symbol: tick.symbol, epoch, seq, data }.encode()
}

fn data(epoch: u64, seq: u64, n: u64) -> String {
    stamped(Kind::Live, epoch, seq, n)
}

fn gap(epoch: u64, from: u64, to: Option<u64>) -> String {
    Strong::Gap { symbol: Symbol::numbered(0), epoch, from, to, reason: GapReason::Overflow }.encode()
}

fn resumed(epoch: u64, seq: u64, recovered: bool) -> String {
    Strong::Resumed { symbol: Symbol::numbered(0), epoch, seq, recovered }.encode()
}

/// What one strong client makes of these messages, sent by a proxy of a few lines.
async fn check(messages: Vec<String>, expect: impl FnOnce(&Summary)) {
    check_sessions(vec![(messages, "")], expect).await;
}

/// The same over several sessions, each closed by the proxy but the last: what is sent in each, and the `resume` that its request must have.
async fn check_sessions(sessions: Vec<(Vec<String>, &'static str)>, expect: impl FnOnce(&Summary)) {
    let net = TokioNet::current();
    let listener = net.bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    net.spawn("proxy", async move {
        let last = sessions.len() - 1;
        for (index, (messages, resume)) in sessions.into_iter().enumerate() {
            let (stream, _) = listener.accept().await.unwrap();
            let agree = |_: &ws::Asked| Answer::Accept { subprotocol: Some(SUBPROTOCOL.to_owned()) };
            let mut session = ws::accept(stream, Limits::default(), agree).await.unwrap().session;
            let request = session.next().await.unwrap().unwrap();
            assert_eq!(request.to_text().unwrap(), format!(r#"{{"userKey":"load","symbol":"S0000"{resume}}}"#));
            for message in messages {
                session.send(Message::text(message)).await.unwrap();
            }
            if index < last {
                session.close(None).await.unwrap();
            }
            while let Some(Ok(_)) = session.next().await {}
        }
    });
    let mut config = Config::new(vec![url]);
    (config.strong, config.seed, config.duration) = (1.0, Some(1), Duration::from_secs(2));
    config.symbols = vec![Symbol::numbered(0)];
    config.reconnect = Some(Reconnect { base: Duration::from_millis(1), ..Reconnect::default() });
    config.resume = true;
    let summary = loadgen::run(config, net, CancellationToken::new(), Observer::none()).await.unwrap();
    expect(&summary);
}

#[tokio::test]
async fn gaps_that_are_told_are_no_fault() {
    let end = gap(3, 6, None);
    let messages = vec![data(3, 1, 10), data(3, 2, 11), gap(3, 3, Some(4)), data(3, 5, 14), end, data(4, 1, 20)];
    check(messages, |summary| {
        assert!(!summary.is_flawed(), "{summary:?}");
        assert_eq!((summary.delivered, summary.gaps_told, summary.gap_messages_told), (4, 2, 2));
    })
    .await;
}

#[tokio::test]
async fn silent_gaps_repeats_and_plain_ticks_are_faults() {
    let plain = Tick { symbol: Symbol::numbered(0), n: 15 }.encode(1, Schedule::every(Duration::from_secs(1)).unwrap());
    check(vec![data(3, 1, 10), data(3, 4, 13), data(3, 4, 13), plain, data(4, 1, 20)], |summary| {
        // Two stamps passed over, and an epoch that changed without a word.
        assert_eq!((summary.unannounced, summary.duplicates, summary.garbled), (3, 1, 1), "{summary:?}");
        assert_eq!(summary.missing, 0);
    })
    .await;
}

const AFTER_2: &str = r#","resume":{"S0000":[3,2]}"#;

#[tokio::test]
async fn a_client_that_resumes_names_where_it_stood_and_has_lost_nothing() {
    let before = vec![data(3, 1, 10), data(3, 2, 11)];
    let after = vec![resumed(3, 2, true), stamped(Kind::Replay, 3, 3, 12), data(3, 4, 13)];
    check_sessions(vec![(before, ""), (after, AFTER_2)], |summary| {
        assert!(!summary.is_flawed(), "{summary:?}");
        assert_eq!((summary.resumes, summary.resumes_recovered, summary.replayed, summary.came_back), (1, 1, 1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_resume_that_is_refused_is_told_and_begins_anew() {
    let refused = Strong::Gap { symbol: Symbol::numbered(0), epoch: 3, from: 3, to: None, reason: GapReason::Resume };
    let after = vec![resumed(3, 2, false), refused.encode(), stamped(Kind::Snapshot, 1, 50, 90), data(1, 51, 91)];
    check_sessions(vec![(vec![data(3, 2, 11)], ""), (after, AFTER_2)], |summary| {
        assert!(!summary.is_flawed(), "{summary:?}");
        assert_eq!((summary.resumes, summary.resumes_recovered, summary.snapshots), (1, 0, 1));
    })
    .await;
}

#[tokio::test]
async fn a_resume_without_an_answer_and_a_replay_with_a_hole_are_losses() {
    let silent = vec![data(3, 5, 14)];
    check_sessions(vec![(vec![data(3, 2, 11)], ""), (silent, AFTER_2)], |summary| {
        assert_eq!(summary.unannounced, 2, "{summary:?}");
    })
    .await;
    let hole = vec![resumed(3, 2, true), stamped(Kind::Replay, 3, 4, 13), data(3, 5, 14)];
    check_sessions(vec![(vec![data(3, 2, 11)], ""), (hole, AFTER_2)], |summary| {
        assert_eq!(summary.unannounced, 1, "{summary:?}");
    })
    .await;
}
