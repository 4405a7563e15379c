//! Several sources at once: hot and sharded.

use std::time::Duration;

use proxy::{Mode, Sources};
use wire::event::Event;
use wire::feed::{GapReason, Request, Strong};

use crate::bench::{Client, Do, Proxy, Source, soon, tick};

fn closed(record: &crate::bench::Record) -> usize {
    record.count(|event| matches!(event, Event::ProxyClientClose { .. }))
}

/// The stamp and the text of the next message.
async fn next(client: &mut Client) -> (u64, u64, String) {
    match Strong::decode(&client.text().await).unwrap() {
        Strong::Data { epoch, seq, data, .. } => (epoch, seq, data.into_owned()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_death_of_one_of_two_hot_sources_is_not_seen() {
    let mut sources = [Source::v1().await, Source::v1().await, Source::v1().await];
    let urls: Vec<_> = sources.iter().map(Source::url).collect();
    let proxy = Proxy::start(Mode::Fanout, &urls, |config| config.sources = Sources::Hot).await;
    let mut client = Client::subscribe(proxy.addr, true, "A").await;
    // Two of the three, whichever.
    let mut carrying = Vec::new();
    for (n, source) in sources.iter_mut().enumerate() {
        if tokio::time::timeout(Duration::from_millis(500), source.subscribed(&["A"])).await.is_ok() {
            carrying.push(n);
        }
    }
    assert_eq!(carrying.len(), 2, "{carrying:?}");
    let [a, b] = [carrying[0], carrying[1]];
    for n in 1..=5 {
        sources[a].tick("A", n);
        sources[b].tick("A", n);
    }
    let (epoch, seq, text) = next(&mut client).await;
    assert_eq!((seq, text), (1, tick("A", 1)));
    for n in 2..=5 {
        assert_eq!(next(&mut client).await, (epoch, u64::from(n), tick("A", n)));
    }
    sources[a].order(Do::Drop);
    // The spare takes its place; it begins ahead, and is kept back until the other has got there.
    let spare = 3 - a - b;
    sources[spare].subscribed(&["A"]).await;
    sources[spare].tick("A", 7);
    sources[b].tick("A", 6);
    assert_eq!(next(&mut client).await, (epoch, 6, tick("A", 6)));
    sources[b].tick("A", 7);
    assert_eq!(next(&mut client).await, (epoch, 7, tick("A", 7)));
    // And now the other may die, too.
    sources[spare].tick("A", 8);
    assert_eq!(next(&mut client).await, (epoch, 8, tick("A", 8)));
    sources[b].order(Do::Drop);
    sources[spare].tick("A", 9);
    assert_eq!(next(&mut client).await, (epoch, 9, tick("A", 9)));
    assert_eq!(closed(&proxy.record), 0);
}

/// The symbols of the next request that names any.
async fn told(source: &mut Source) -> Vec<String> {
    soon(async {
        loop {
            let request = Request::decode(&source.heard.recv().await.unwrap()).unwrap();
            if !request.symbols.is_empty() {
                return request.symbols.iter().map(ToString::to_string).collect();
            }
        }
    })
    .await
}

#[tokio::test]
async fn each_of_several_sources_delivers_its_share_and_those_of_a_dead_one_move() {
    let mut sources = [Source::v1().await, Source::v1().await];
    let urls: Vec<_> = sources.iter().map(Source::url).collect();
    let proxy = Proxy::start(Mode::Fanout, &urls, |config| config.sources = Sources::Sharded).await;
    while proxy.record.epochs().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let all: Vec<String> = (0..20).map(|n| format!("S{n:02}")).collect();
    let mut client = Client::subscribe(proxy.addr, true, &all.join(",")).await;
    let (of_a, of_b) = (told(&mut sources[0]).await, told(&mut sources[1]).await);
    let mut both: Vec<_> = of_a.iter().chain(&of_b).cloned().collect();
    both.sort_unstable();
    assert_eq!(both, all, "each has exactly one");
    assert!(!of_a.is_empty() && !of_b.is_empty());
    // One stream to the client; what a source was not asked for is not passed on.
    sources[0].tick(&of_b[0], 1);
    sources[0].tick(&of_a[0], 1);
    let (_, seq, text) = next(&mut client).await;
    assert_eq!((seq, text), (1, tick(&of_a[0], 1)));
    sources[1].tick(&of_b[0], 2);
    let (epoch, seq, text) = next(&mut client).await;
    assert_eq!((seq, text), (1, tick(&of_b[0], 2)));
    sources[1].order(Do::Drop);
    loop {
        let mut has = told(&mut sources[0]).await;
        has.sort_unstable();
        if has == all {
            break;
        }
    }
    sources[0].tick(&of_b[0], 3);
    let notice = client.text().await;
    let Strong::Gap { epoch: over, to: None, reason: GapReason::Reset, .. } = Strong::decode(&notice).unwrap() else {
        panic!("{notice}");
    };
    assert_eq!(over, epoch);
    assert_eq!(next(&mut client).await.2, tick(&of_b[0], 3));
    assert_eq!(closed(&proxy.record), 0);
}
