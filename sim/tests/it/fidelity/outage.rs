//! What connections do while the wire is cut, and afterwards. 20 ms each way.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions};

use super::probe::World::Turmoil;
use super::probe::{END, Seen, World, bytes, done, yes};
use super::wire::{Hand, WireProbe};
use crate::contract::pairs::meeting::Meeting;

const HELD: &str =
    "an outage is turmoil's `hold`: what was sent in it comes at once when it ends, and no try is ever the last";
const ONE_WAY: &str = "it cannot cut one direction without losing bytes for good";

/// Long enough for what is on the way.
async fn settle() {
    sleep(Duration::from_millis(300)).await;
}

/// Holds one connection.
async fn hold<N: Network>(net: N, meeting: Meeting) -> String {
    let _held = meeting.accept(&net).await;
    meeting.until(END).await;
    String::new()
}

/// Listens until the client's program has ended.
async fn listen<N: Network>(net: N, meeting: Meeting) -> String {
    let listener = meeting.bind(&net, ListenOptions::default()).await;
    let mut kept = Vec::new();
    loop {
        wire::select! {
            () = meeting.until(END) => return String::new(),
            accepted = listener.accept() => kept.extend(accepted),
        }
    }
}

pub(crate) struct NothingIsLost;
impl WireProbe for NothingIsLost {
    const ASKS: &'static str = "five bytes written in an outage of 2 s, five after it: what is read";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        let mut word = [0; 10];
        let read = timeout(Duration::from_secs(20), stream.read_exact(&mut word)).await;
        read.map_or_else(|_| "waits".to_owned(), |_| String::from_utf8_lossy(&word).into_owned())
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        hand.cut(true);
        stream.write_all(b"01234").await.unwrap();
        sleep(Duration::from_secs(2)).await;
        hand.cut(false);
        stream.write_all(b"56789").await.unwrap();
        sleep(Duration::from_secs(8)).await;
        String::new()
    }
}

pub(crate) struct ComesWithARetry;
impl WireProbe for ComesWithARetry {
    const ASKS: &'static str =
        "the same: do the first five come with a retransmission (0.2 s or more after the heal), not at once";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, HELD)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        stream.read_exact(&mut [0; 5]).await.unwrap();
        meeting.reached(1);
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        hand.cut(true);
        stream.write_all(b"01234").await.unwrap();
        // Tries at 0.24, 0.72, 1.68 s, or a little later with a probe before: none is near this.
        sleep(Duration::from_millis(1_150)).await;
        hand.cut(false);
        let healed = Instant::now();
        meeting.until(1).await;
        yes(healed.elapsed() > Duration::from_millis(200))
    }
}

pub(crate) struct ConnectInAnOutage;
impl WireProbe for ConnectInAnOutage {
    const ASKS: &'static str = "a connect in an outage of 0.5 s: does it succeed with the retry after 1 s";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, HELD)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        listen(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let addr = meeting.addr().await;
        hand.cut(true);
        let begun = Instant::now();
        let heal = async {
            sleep(Duration::from_millis(500)).await;
            hand.cut(false);
        };
        let (result, ()) = tokio::join!(net.connect(addr, SocketOptions::default()), heal);
        format!("{}; {}", done(result), yes((1_000..1_500).contains(&begun.elapsed().as_millis())))
    }
}

pub(crate) struct ConnectIntoNothing;
impl WireProbe for ConnectIntoNothing {
    const ASKS: &'static str = "a connect in an outage without end";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, HELD)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        listen(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let addr = meeting.addr().await;
        hand.cut(true);
        let patience = Duration::from_secs(300);
        let attempt = timeout(patience, net.connect(addr, SocketOptions::default())).await;
        attempt.map_or_else(|_| "waits".to_owned(), done)
    }
}

pub(crate) struct NoWayBack;
impl WireProbe for NoWayBack {
    const ASKS: &'static str = "a connect while only the answers are lost";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, ONE_WAY)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        listen(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let addr = meeting.addr().await;
        hand.cut_answers(true);
        let attempt = timeout(Duration::from_millis(800), net.connect(addr, SocketOptions::default())).await;
        attempt.map_or_else(|_| "waits".to_owned(), done)
    }
}

pub(crate) struct BytesPassWithoutAnswers;
impl WireProbe for BytesPassWithoutAnswers {
    const ASKS: &'static str = "bytes sent while only the answers are lost: do they arrive, and what is unacknowledged";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, ONE_WAY)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        let read = timeout(Duration::from_secs(1), stream.read(&mut [0; 8])).await;
        meeting.reached(1);
        meeting.until(END).await;
        read.map_or_else(|_| "waits".to_owned(), bytes)
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        hand.cut_answers(true);
        stream.write_all(b"hello").await.unwrap();
        meeting.until(1).await;
        settle().await;
        stream.unacknowledged().map_or_else(|error| format!("{:?}", error.kind()), |n| n.to_string())
    }
}

pub(crate) struct GivesUp;
impl WireProbe for GivesUp {
    const ASKS: &'static str = "a byte written into an outage without end: read, read, write";
    const RETRIES: u32 = 3;
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, HELD)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        hold(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        hand.cut(true);
        stream.write_all(b"x").await.unwrap();
        let mut seen = Seen::default();
        for _ in 0..2 {
            // A quarter of an hour in the simulator; the kernel is told to be done sooner.
            let read = timeout(Duration::from_secs(1_200), stream.read(&mut [0; 8])).await;
            seen.add("read", read.map_or_else(|_| "waits".to_owned(), bytes));
        }
        let wrote = timeout(Duration::from_secs(1), stream.write(b"x")).await;
        seen.add("write", wrote.map_or_else(|_| "waits".to_owned(), done));
        seen.text()
    }
}

pub(crate) struct SilenceIsNoEnd;
impl WireProbe for SilenceIsNoEnd {
    const ASKS: &'static str = "nothing is under way in an outage of 3 s: what does a reader see; and after it";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        meeting.until(1).await;
        stream.write_all(b"hello").await.unwrap();
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        hand.cut(true);
        let mut seen = Seen::default();
        let read = timeout(Duration::from_secs(3), stream.read(&mut [0; 8])).await;
        seen.add("read", read.map_or_else(|_| "waits".to_owned(), bytes));
        hand.cut(false);
        meeting.reached(1);
        let read = timeout(Duration::from_secs(3), stream.read(&mut [0; 8])).await;
        seen.add("read", read.map_or_else(|_| "waits".to_owned(), bytes));
        seen.text()
    }
}

pub(crate) struct EndInAnOutage;
impl WireProbe for EndInAnOutage {
    const ASKS: &'static str = "the peer closes in an outage: what is read in it, and after it";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let stream = meeting.accept(&net).await;
        meeting.until(1).await;
        drop(stream);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        hand.cut(true);
        meeting.reached(1);
        let mut seen = Seen::default();
        let read = timeout(Duration::from_secs(1), stream.read(&mut [0; 8])).await;
        seen.add("read", read.map_or_else(|_| "waits".to_owned(), bytes));
        hand.cut(false);
        let read = timeout(Duration::from_secs(5), stream.read(&mut [0; 8])).await;
        seen.add("read", read.map_or_else(|_| "waits".to_owned(), bytes));
        seen.text()
    }
}

pub(crate) struct ResetInAnOutage;
impl WireProbe for ResetInAnOutage {
    const ASKS: &'static str = "the peer aborts in an outage: what is read after it, before and after one writes";
    const DIFFERS: &'static [(World, &'static str)] =
        &[(Turmoil, "it has no reset on demand: an abort is a drop, and its end comes when the outage is over")];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let stream = meeting.accept(&net).await;
        meeting.until(1).await;
        stream.abort();
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        hand.cut(true);
        meeting.reached(1);
        settle().await;
        hand.cut(false);
        let mut seen = Seen::default();
        let read = timeout(Duration::from_secs(3), stream.read(&mut [0; 8])).await;
        seen.add("read", read.map_or_else(|_| "waits".to_owned(), bytes));
        seen.add("write", done(stream.write(b"x").await));
        let read = timeout(Duration::from_secs(3), stream.read(&mut [0; 8])).await;
        seen.add("read", read.map_or_else(|_| "waits".to_owned(), bytes));
        seen.text()
    }
}

pub(crate) struct FillsUp;
impl WireProbe for FillsUp {
    const ASKS: &'static str =
        "writes in an outage: are they taken up to a bound, and does all of it come after the heal";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, "its buffers count writes, not bytes")];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        let mut total = 0;
        let mut into = vec![0; 64 << 10];
        while let Ok(Ok(n @ 1..)) = timeout(Duration::from_secs(20), stream.read(&mut into)).await {
            total += n;
        }
        yes(total == meeting.count())
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let options = SocketOptions { send_buffer: Some(64 << 10), ..SocketOptions::default() };
        let mut stream = net.connect(meeting.addr().await, options).await.unwrap();
        settle().await;
        hand.cut(true);
        let mut taken = 0;
        while taken < 4 << 20
            && let Ok(Ok(n)) = timeout(Duration::from_millis(300), stream.write(&[7; 4096])).await
        {
            taken += n;
        }
        meeting.publish_count(taken);
        hand.cut(false);
        stream.shutdown().await.unwrap();
        sleep(Duration::from_secs(6)).await;
        yes((64 << 10..=256 << 10).contains(&taken))
    }
}
