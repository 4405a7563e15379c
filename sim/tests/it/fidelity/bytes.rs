//! How bytes travel: reads, writes, buffers, back-pressure.

use std::io::IoSlice;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions};

use super::probe::World::Turmoil;
use super::probe::{END, Probe, Seen, World, bytes, done, read, read_all, settle, soon, write, yes};
use crate::contract::pairs::meeting::Meeting;

const COUNTS_WRITES: &str =
    "its buffers count writes, not bytes, and socket options are ignored: it never holds a writer back";
const CANNOT_TELL: &str = "it cannot tell what is unacknowledged";

/// 16 KiB at every buffer.
fn small() -> SocketOptions {
    SocketOptions { send_buffer: Some(16 << 10), recv_buffer: Some(16 << 10), ..SocketOptions::default() }
}

async fn accept_small<N: Network>(net: &N, meeting: &Meeting) -> N::Stream {
    let listener = meeting.bind(net, ListenOptions { accepted: small(), ..ListenOptions::default() }).await;
    listener.accept().await.unwrap().0
}

async fn connect_small<N: Network>(net: &N, meeting: &Meeting) -> N::Stream {
    net.connect(meeting.addr().await, small()).await.unwrap()
}

/// Takes connections whose buffers are small, and does not read.
async fn hold_small<N: Network>(net: N, meeting: Meeting) -> String {
    let _held = accept_small(&net, &meeting).await;
    meeting.until(END).await;
    String::new()
}

/// Writes until a write waits; gives how much was taken. Bounded, for worlds that never hold back.
async fn fill<S: ByteStream>(stream: &mut S, most: usize) -> usize {
    let chunk = [7; 1000];
    let mut taken = 0;
    while taken < most
        && let Ok(Ok(n)) = timeout(Duration::from_millis(300), stream.write(&chunk)).await
    {
        taken += n;
    }
    taken
}

pub(crate) struct PartialReads;
impl Probe for PartialReads {
    const ASKS: &'static str = "ten bytes, read by fours";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        meeting.accept(&net).await.write_all(b"0123456789").await.unwrap();
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        let mut seen = Seen::default();
        for _ in 0..4 {
            seen.add("read", read(&mut stream, 4).await);
        }
        seen.text()
    }
}

pub(crate) struct WritesMelt;
impl Probe for WritesMelt {
    const ASKS: &'static str = "two writes of 5, then one read of up to 100";
    const DIFFERS: &'static [(World, &'static str)] = &[(
        Turmoil,
        "it reads one segment at a time, and a write is a segment: less than TCP would give, and allowed by it",
    )];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        stream.write_all(b"01234").await.unwrap();
        stream.write_all(b"56789").await.unwrap();
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        read(&mut stream, 100).await
    }
}

pub(crate) struct ReadNothing;
impl Probe for ReadNothing {
    const ASKS: &'static str = "a read into no room, before and after bytes have come";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, "a read into no room never waits")];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        meeting.until(1).await;
        stream.write_all(b"hello").await.unwrap();
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let mut seen = Seen::default();
        let nothing = soon(stream.read(&mut [])).await;
        seen.add("before", nothing.map_or_else(|| "waits".to_owned(), done));
        meeting.reached(1);
        settle().await;
        let nothing = soon(stream.read(&mut [])).await;
        seen.add("after", nothing.map_or_else(|| "waits".to_owned(), done));
        seen.add("then", read(&mut stream, 8).await);
        seen.text()
    }
}

pub(crate) struct WriteNothing;
impl Probe for WriteNothing {
    const ASKS: &'static str = "a write of nothing, open and after one's own shutdown";
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let mut seen = Seen::default();
        seen.add("open", write(&mut stream, b"").await);
        stream.shutdown().await.unwrap();
        seen.add("shut down", write(&mut stream, b"").await);
        seen.text()
    }
}

pub(crate) struct Vectored;
impl Probe for Vectored {
    const ASKS: &'static str = "a vectored write with an empty slice in it";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut text = String::new();
        meeting.accept(&net).await.read_to_string(&mut text).await.unwrap();
        text
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let parts = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two "), IoSlice::new(b"three")];
        format!(
            "supported: {}; {}",
            yes(AsyncWrite::is_write_vectored(&stream)),
            bytes(stream.write_vectored(&parts).await)
        )
    }
}

pub(crate) struct VectoredPartial;
impl Probe for VectoredPartial {
    const ASKS: &'static str = "a vectored write of 2 MiB into buffers of 16 KiB";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, COUNTS_WRITES)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        hold_small(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = connect_small(&net, &meeting).await;
        let half = vec![7; 1 << 20];
        let taken = stream.write_vectored(&[IoSlice::new(&half), IoSlice::new(&half)]).await.unwrap();
        format!("takes some: {}; takes all: {}", yes(taken > 0), yes(taken == 2 << 20))
    }
}

pub(crate) struct HoldsBack;
impl Probe for HoldsBack {
    const ASKS: &'static str = "nobody reads, all buffers 16 KiB: how much does the writer get rid of";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, COUNTS_WRITES)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        hold_small(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = connect_small(&net, &meeting).await;
        let taken = fill(&mut stream, 1 << 20).await;
        // A kernel doubles what it is asked for and charges its own overhead to it.
        format!("16 KiB or more: {}; bounded by 128 KiB: {}", yes(taken >= 16 << 10), yes(taken <= 128 << 10))
    }
}

pub(crate) struct Unacknowledged;
impl Probe for Unacknowledged {
    const ASKS: &'static str = "unacknowledged bytes: the peer's kernel has all; nobody reads and the window is shut";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, CANNOT_TELL)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        hold_small(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = connect_small(&net, &meeting).await;
        stream.write_all(&[7; 1000]).await.unwrap();
        settle().await;
        let has_all = match stream.unacknowledged() {
            Ok(0) => "none".to_owned(),
            Ok(_) => "some".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        fill(&mut stream, 1 << 20).await;
        let shut = match stream.unacknowledged() {
            Ok(0) => "none".to_owned(),
            Ok(_) => "some".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        format!("{has_all}; {shut}")
    }
}

pub(crate) struct OneByteIsNotRoom;
impl Probe for OneByteIsNotRoom {
    const ASKS: &'static str = "a writer that waits: goes it on after the peer read one byte; after the peer read all";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, COUNTS_WRITES)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = accept_small(&net, &meeting).await;
        meeting.until(1).await;
        stream.read_u8().await.unwrap();
        meeting.reached(2);
        meeting.until(3).await;
        // All that is there.
        while let Ok(Ok(1..)) = timeout(Duration::from_millis(100), stream.read(&mut [0; 4096])).await {}
        meeting.reached(4);
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = connect_small(&net, &meeting).await;
        let held = fill(&mut stream, 1 << 20).await < 1 << 20;
        meeting.reached(1);
        meeting.until(2).await;
        settle().await;
        let one = timeout(Duration::from_millis(300), stream.write(&[7; 1000])).await.is_ok();
        meeting.reached(3);
        meeting.until(4).await;
        let all = soon(stream.write(&[7; 1000])).await.is_some();
        format!("waits: {}; {}; {}", yes(held), yes(one), yes(all))
    }
}

pub(crate) struct SmallReads;
impl Probe for SmallReads {
    const ASKS: &'static str = "a full pipe is read by 700 bytes: does everything arrive";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = accept_small(&net, &meeting).await;
        meeting.until(1).await;
        let mut total = 0;
        let mut piece = [0; 700];
        while let Some(Ok(n @ 1..)) = soon(stream.read(&mut piece)).await {
            total += n;
        }
        format!("{total} bytes")
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = connect_small(&net, &meeting).await;
        let writer = net.spawn("writer", async move {
            for _ in 0..300 {
                stream.write_all(&[7; 1000]).await.unwrap();
            }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        meeting.reached(1);
        writer.await.unwrap();
        String::new()
    }
}

pub(crate) struct LowWater;
impl Probe for LowWater {
    const ASKS: &'static str = "notsent_lowat of 16 KiB before a slow reader: less than 200 KiB in the kernel";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, COUNTS_WRITES)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let accepted = SocketOptions { recv_buffer: Some(8 << 10), ..SocketOptions::default() };
        let listener = meeting.bind(&net, ListenOptions { accepted, ..ListenOptions::default() }).await;
        let _held = listener.accept().await.unwrap();
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let options = SocketOptions { notsent_lowat: Some(16 << 10), nodelay: Some(true), ..SocketOptions::default() };
        let mut stream = net.connect(meeting.addr().await, options).await.unwrap();
        yes(fill(&mut stream, 1 << 20).await < 200 << 10)
    }
}

pub(crate) struct Megabytes;
impl Probe for Megabytes {
    const ASKS: &'static str = "three million bytes, then the end: does all come, unchanged";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        meeting.accept(&net).await.write_all(&sent).await.unwrap();
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut got = Vec::new();
        meeting.connect(&net).await.read_to_end(&mut got).await.unwrap();
        let right = got.iter().enumerate().all(|(n, &byte)| byte == (n % 251) as u8);
        format!("{} bytes; unchanged: {}", got.len(), yes(right))
    }
}

pub(crate) struct BothWays;
impl Probe for BothWays {
    const ASKS: &'static str = "both write a megabyte at once and read meanwhile";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let stream = meeting.accept(&net).await;
        let said = exchange(stream).await;
        meeting.until(END).await;
        said
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        exchange(meeting.connect(&net).await).await
    }
}

async fn exchange<S: ByteStream>(stream: S) -> String {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let write = async {
        writing.write_all(&vec![7; 1 << 20]).await.unwrap();
        writing.shutdown().await.unwrap();
    };
    let (_, (total, end)) = tokio::join!(write, read_all(&mut reading));
    format!("{total} bytes, {end}")
}

pub(crate) struct OneWayFull;
impl Probe for OneWayFull {
    const ASKS: &'static str = "one direction is full: does the other still carry";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = accept_small(&net, &meeting).await;
        meeting.until(1).await;
        stream.write_all(b"hello").await.unwrap();
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = connect_small(&net, &meeting).await;
        fill(&mut stream, 200 << 10).await;
        meeting.reached(1);
        read(&mut stream, 8).await
    }
}

pub(crate) struct Flush;
impl Probe for Flush {
    const ASKS: &'static str = "flush while nobody reads and the pipe is full";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        hold_small(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = connect_small(&net, &meeting).await;
        fill(&mut stream, 200 << 10).await;
        soon(stream.flush()).await.map_or_else(|| "waits".to_owned(), done)
    }
}

pub(crate) struct EndBehindMuch;
impl Probe for EndBehindMuch {
    const ASKS: &'static str = "five hundred small writes and a close, read only afterwards";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        for _ in 0..500 {
            stream.write_all(&[7; 10]).await.unwrap();
        }
        drop(stream);
        meeting.reached(1);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        meeting.until(1).await;
        settle().await;
        let (total, end) = read_all(&mut stream).await;
        format!("{total} bytes, {end}")
    }
}

pub(crate) struct NoDelay;
impl Probe for NoDelay {
    const ASKS: &'static str = "without nodelay: two small writes in a row, does the second come";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        yes(soon(stream.read_exact(&mut [0; 2])).await.is_some())
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(b"1").await.unwrap();
        stream.write_all(b"2").await.unwrap();
        read_all(&mut stream).await;
        String::new()
    }
}
