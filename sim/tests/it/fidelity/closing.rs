//! How connections end: FIN, RST, what is readable before them, and what writes and reads say after them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{ByteStream, Network};

use super::probe::World::Turmoil;
use super::probe::{END, Probe, Seen, World, done, read, read_all, settle, soon, write, yes};
use crate::contract::pairs::meeting::Meeting;

const TELLS_AGAIN: &str = "it tells a reset to every read; a kernel tells it once, then the end";
const KEEPS_PEER: &str = "a connection that is over still has a peer, and another shutdown is an error";
const NO_RESET: &str = "it has no reset on demand: an abort is a drop, which ends well";

pub(crate) struct HalfClose;
impl Probe for HalfClose {
    const ASKS: &'static str = "a question, shutdown, and the answer comes";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        let (total, end) = read_all(&mut stream).await;
        settle().await;
        stream.write_all(b"answer").await.unwrap();
        format!("{total} bytes, {end}")
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(b"question").await.unwrap();
        stream.shutdown().await.unwrap();
        let (total, end) = read_all(&mut stream).await;
        format!("{total} bytes, {end}")
    }
}

pub(crate) struct WriteAfterShutdown;
impl Probe for WriteAfterShutdown {
    const ASKS: &'static str = "shutdown twice, then write";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, "a second shutdown is an error")];
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let mut seen = Seen::default();
        seen.add("shutdown", done(stream.shutdown().await));
        seen.add("again", done(stream.shutdown().await));
        seen.add("write", write(&mut stream, b"x").await);
        seen.text()
    }
}

pub(crate) struct EndStaysEnd;
impl Probe for EndStaysEnd {
    const ASKS: &'static str = "read three times at the end";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        drop(meeting.accept(&net).await);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let mut seen = Seen::default();
        for _ in 0..3 {
            seen.add("read", read(&mut stream, 8).await);
        }
        seen.text()
    }
}

pub(crate) struct WriteAfterPeersClose;
impl Probe for WriteAfterPeersClose {
    const ASKS: &'static str = "the peer has closed: write, write again, read";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        drop(meeting.accept(&net).await);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let mut seen = Seen::default();
        seen.add("read", read(&mut stream, 8).await);
        for what in ["write", "again", "again"] {
            seen.add(what, write(&mut stream, b"hello?").await);
            settle().await;
        }
        seen.add("read", read(&mut stream, 8).await);
        seen.text()
    }
}

pub(crate) struct WriteAfterUnseenClose;
impl Probe for WriteAfterUnseenClose {
    const ASKS: &'static str = "the peer has closed and we did not look: write, then read";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        drop(meeting.accept(&net).await);
        meeting.reached(1);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        meeting.until(1).await;
        settle().await;
        let mut seen = Seen::default();
        seen.add("write", write(&mut stream, b"hello?").await);
        settle().await;
        seen.add("read", read(&mut stream, 8).await);
        seen.add("read", read(&mut stream, 8).await);
        seen.add("write", write(&mut stream, b"hello?").await);
        seen.text()
    }
}

pub(crate) struct PeerStillReads;
impl Probe for PeerStillReads {
    const ASKS: &'static str = "the peer only shut its writing side down: a hundred writes";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        stream.shutdown().await.unwrap();
        let (total, end) = read_all(&mut stream).await;
        format!("{total} bytes, {end}")
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let end = read(&mut stream, 8).await;
        let mut fine = 0;
        for _ in 0..100 {
            fine += u32::from(write(&mut stream, b"12345").await == "ok");
        }
        format!("read: {end}; writes that went well: {fine}")
    }
}

pub(crate) struct DropUnread;
impl Probe for DropUnread {
    const ASKS: &'static str = "the peer drops unread bytes: read twice, write";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, TELLS_AGAIN)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        stream.read_exact(&mut [0; 10]).await.unwrap();
        settle().await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(&[1; 1000]).await.unwrap();
        let mut seen = Seen::default();
        seen.add("read", read(&mut stream, 8).await);
        seen.add("read", read(&mut stream, 8).await);
        seen.add("write", write(&mut stream, b"x").await);
        seen.text()
    }
}

pub(crate) struct WriteMeetsReset;
impl Probe for WriteMeetsReset {
    const ASKS: &'static str = "the peer drops unread bytes and we do not read: write, write, read";
    const DIFFERS: &'static [(World, &'static str)] =
        &[(Turmoil, "a write that meets a reset is a broken pipe, and the reset stays for the reader")];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        stream.read_exact(&mut [0; 10]).await.unwrap();
        settle().await;
        drop(stream);
        settle().await;
        meeting.reached(1);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(&[1; 1000]).await.unwrap();
        meeting.until(1).await;
        let mut seen = Seen::default();
        seen.add("write", write(&mut stream, b"x").await);
        seen.add("write", write(&mut stream, b"x").await);
        seen.add("read", read(&mut stream, 8).await);
        seen.text()
    }
}

pub(crate) struct BytesBeforeReset;
impl Probe for BytesBeforeReset {
    const ASKS: &'static str = "last words, then the peer drops unread bytes; read afterwards";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        stream.read_exact(&mut [0; 10]).await.unwrap();
        stream.write_all(b"last words").await.unwrap();
        settle().await;
        drop(stream);
        settle().await;
        meeting.reached(1);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(&[1; 1000]).await.unwrap();
        meeting.until(1).await;
        let (total, end) = read_all(&mut stream).await;
        format!("{total} bytes, {end}")
    }
}

pub(crate) struct Abort;
impl Probe for Abort {
    const ASKS: &'static str = "the peer writes and aborts (linger 0); read afterwards";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, NO_RESET)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        stream.write_all(b"last words").await.unwrap();
        settle().await;
        stream.abort();
        settle().await;
        meeting.reached(1);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        meeting.until(1).await;
        let mut seen = Seen::default();
        for _ in 0..3 {
            seen.add("read", read(&mut stream, 100).await);
        }
        seen.text()
    }
}

pub(crate) struct AbortLosesUnsent;
impl Probe for AbortLosesUnsent {
    const ASKS: &'static str = "an abort while bytes wait for the window: does all arrive";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, NO_RESET)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        let mut taken = 0;
        while let Some(Ok(n)) = soon(stream.write(&[7; 16 << 10])).await {
            taken += n;
            if taken >= 16 << 20 {
                break;
            }
        }
        stream.abort();
        settle().await;
        meeting.reached(1);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        meeting.until(1).await;
        let (total, end) = read_all(&mut stream).await;
        format!("some: {}; then {end}", yes(total > 0))
    }
}

pub(crate) struct CloseDeliversUnsent;
impl Probe for CloseDeliversUnsent {
    const ASKS: &'static str = "a close while bytes wait for the window: does all arrive";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        let mut taken = 0;
        while let Some(Ok(n)) = soon(stream.write(&[7; 16 << 10])).await {
            taken += n;
            if taken >= 16 << 20 {
                break;
            }
        }
        stream.write_all(&[]).await.unwrap();
        drop(stream);
        meeting.publish_count(taken);
        meeting.reached(1);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        meeting.until(1).await;
        let (total, end) = read_all(&mut stream).await;
        format!("all: {}, {end}", yes(total == meeting.count()))
    }
}

pub(crate) struct WriteToAnOrphan;
impl Probe for WriteToAnOrphan {
    const ASKS: &'static str = "the peer closed with bytes still to send, and we write: what can we read";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        // More than any window takes.
        while let Some(Ok(_)) = soon(stream.write(&[7; 16 << 10])).await {}
        drop(stream);
        meeting.reached(1);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        meeting.until(1).await;
        let mut seen = Seen::default();
        seen.add("write", write(&mut stream, b"x").await);
        settle().await;
        let (total, end) = read_all(&mut stream).await;
        seen.add("some", yes(total > 0));
        seen.add("then", end);
        seen.text()
    }
}

pub(crate) struct SimultaneousClose;
impl Probe for SimultaneousClose {
    const ASKS: &'static str = "both shut down at once, then read";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        meeting.until(1).await;
        stream.shutdown().await.unwrap();
        read(&mut stream, 8).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        meeting.reached(1);
        stream.shutdown().await.unwrap();
        let end = read(&mut stream, 8).await;
        settle().await;
        end
    }
}

pub(crate) struct SimultaneousAbort;
impl Probe for SimultaneousAbort {
    const ASKS: &'static str = "both abort at once, then the same port serves a new connection";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        use wire::net::Listener;
        let listener = meeting.bind(&net, wire::net::ListenOptions::default()).await;
        let (stream, _) = listener.accept().await.unwrap();
        meeting.until(1).await;
        stream.abort();
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let stream = meeting.connect(&net).await;
        settle().await;
        meeting.reached(1);
        stream.abort();
        let mut stream = meeting.connect(&net).await;
        read(&mut stream, 8).await
    }
}

pub(crate) struct ShutdownAfterReset;
impl Probe for ShutdownAfterReset {
    const ASKS: &'static str = "shutdown after a reset";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, "a shutdown after a reset is an error")];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        reset_the_client(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(&[1; 1000]).await.unwrap();
        let mut seen = Seen::default();
        seen.add("read", read(&mut stream, 8).await);
        seen.add("shutdown", done(stream.shutdown().await));
        seen.text()
    }
}

/// Drops a connection with unread bytes.
async fn reset_the_client<N: Network>(net: N, meeting: Meeting) -> String {
    let mut stream = meeting.accept(&net).await;
    stream.read_exact(&mut [0; 10]).await.unwrap();
    settle().await;
    String::new()
}

pub(crate) struct AddressesAfterReset;
impl Probe for AddressesAfterReset {
    const ASKS: &'static str = "the addresses of a connection after a reset";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, KEEPS_PEER)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        reset_the_client(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(&[1; 1000]).await.unwrap();
        let mut seen = Seen::default();
        seen.add("read", read(&mut stream, 8).await);
        seen.add("local", done(stream.local_addr()));
        seen.add("peer", done(stream.peer_addr()));
        seen.text()
    }
}

pub(crate) struct AfterBothEnds;
impl Probe for AfterBothEnds {
    const ASKS: &'static str = "both directions have ended: shutdown again, the addresses, read, write";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, KEEPS_PEER)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        stream.shutdown().await.unwrap();
        read_all(&mut stream).await;
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        read_all(&mut stream).await;
        stream.shutdown().await.unwrap();
        settle().await;
        let mut seen = Seen::default();
        seen.add("shutdown", done(stream.shutdown().await));
        seen.add("local", done(stream.local_addr()));
        seen.add("peer", done(stream.peer_addr()));
        seen.add("read", read(&mut stream, 8).await);
        seen.add("write", write(&mut stream, b"x").await);
        seen.text()
    }
}

pub(crate) struct AbortedTask;
impl Probe for AbortedTask {
    const ASKS: &'static str = "the peer's task is aborted while it reads";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        let task = net.spawn("reader", async move { stream.read_exact(&mut [0; 100]).await.map(drop) });
        settle().await;
        task.abort();
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        read(&mut stream, 8).await
    }
}

pub(crate) struct WaitingWriterMeetsReset;
impl Probe for WaitingWriterMeetsReset {
    const ASKS: &'static str = "a write waits for room, and the peer closes without having read";
    const DIFFERS: &'static [(World, &'static str)] =
        &[(Turmoil, "its buffers count writes, not bytes: the write does not wait")];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let stream = meeting.accept(&net).await;
        meeting.until(1).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        drop(stream);
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        meeting.reached(1);
        let mut taken = 0;
        let error = loop {
            match soon(stream.write(&[7; 16 << 10])).await {
                Some(Ok(n)) => taken += n,
                Some(Err(error)) => break format!("{:?}", error.kind()),
                None => break "waits".to_owned(),
            }
            if taken > 64 << 20 {
                break "never waits".to_owned();
            }
        };
        let mut seen = Seen::default();
        seen.add("write", error);
        seen.add("write", write(&mut stream, b"x").await);
        seen.add("read", read(&mut stream, 8).await);
        seen.text()
    }
}
