use std::borrow::Cow;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use loadgen::{Config, Summary};
use tokio_util::sync::CancellationToken;
use wire::event::Observer;
use wire::feed::{GapReason, Kind, Strong};
use wire::id::Symbol;
use wire::net::{ListenOptions, Listener, Network, TokioNet};
use wire::tick::{Schedule, Tick};
use wire::ws::{self, Answer, Limits, Message, SUBPROTOCOL};

fn data(epoch: u64, seq: u64, n: u64) -> String {
    let tick = Tick { symbol: Symbol::numbered(0), n };
    let data = Cow::Owned(tick.encode(1, Schedule::every(Duration::from_millis(10)).unwrap()));
    Strong::Data { kind: Kind::Live, symbol: tick.symbol, epoch, seq, data }.encode()
}

fn gap(epoch: u64, from: u64, to: Option<u64>) -> String {
    Strong::Gap { symbol: Symbol::numbered(0), epoch, from, to, reason: GapReason::Overflow }.encode()
}

/// What one strong client makes of these messages, sent by a proxy of a few lines.
async fn check(messages: Vec<String>, expect: impl FnOnce(&Summary)) {
    let net = TokioNet::current();
    let listener = net.bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    net.spawn("proxy", async move {
        let (stream, _) = listener.accept().await.unwrap();
        let agree = |_: &ws::Asked| Answer::Accept { subprotocol: Some(SUBPROTOCOL.to_owned()) };
        let mut session = ws::accept(stream, Limits::default(), agree).await.unwrap().session;
        for message in messages {
            session.send(Message::text(message)).await.unwrap();
        }
        while let Some(Ok(_)) = session.next().await {}
    });
    let mut config = Config::new(vec![url]);
    (config.strong, config.seed, config.duration) = (1.0, Some(1), Duration::from_millis(300));
    config.symbols = vec![Symbol::numbered(0)];
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
