//! How connections begin: handshakes, backlogs, ports, addresses.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions};

use super::probe::World::Turmoil;
use super::probe::{END, Probe, Seen, World, done, read, read_all, settle, soon, yes};
use crate::contract::pairs::meeting::Meeting;

const OPENS_BY_ACCEPT: &str = "a connect is answered only when the server's program accepts, where a kernel completes the handshake by itself; so its backlog never fills \
     as a kernel's does";

fn plain() -> ListenOptions {
    ListenOptions::default()
}

/// Binds, and accepts nobody until the client's program has ended.
async fn deaf<N: Network>(net: N, meeting: Meeting, options: ListenOptions) -> String {
    let _listener = meeting.bind(&net, options).await;
    meeting.until(END).await;
    String::new()
}

/// Publishes a port where nobody listens.
async fn absent<N: Network>(net: N, meeting: Meeting) -> String {
    let listener = net.bind(meeting.listen, plain()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    meeting.publish(port);
    meeting.until(END).await;
    String::new()
}

pub(crate) struct Refused;
impl Probe for Refused {
    const ASKS: &'static str = "connect where nobody listens";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        absent(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        done(net.connect(meeting.addr().await, SocketOptions::default()).await)
    }
}

pub(crate) struct RefusedAgainAndAgain;
impl Probe for RefusedAgainAndAgain {
    const ASKS: &'static str = "a hundred refused connects, then a listener comes";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = net.bind(meeting.listen, plain()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        meeting.publish(addr.port());
        meeting.until(1).await;
        let listener = net.bind(SocketAddr::new(meeting.listen.ip(), addr.port()), plain()).await.unwrap();
        meeting.reached(2);
        let accepted = soon(listener.accept()).await.is_some();
        meeting.until(END).await;
        yes(accepted)
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let addr = meeting.addr().await;
        let mut refused = 0;
        for _ in 0..100 {
            let result = net.connect(addr, SocketOptions::default()).await;
            refused += u32::from(result.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused));
        }
        meeting.reached(1);
        meeting.until(2).await;
        let mut seen = Seen::default();
        seen.add("refused", refused.to_string());
        seen.add("then", done(net.connect(addr, SocketOptions::default()).await));
        seen.text()
    }
}

pub(crate) struct Addresses;
impl Probe for Addresses {
    const ASKS: &'static str = "do both ends call each other by the same addresses";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        let (mut stream, peer) = listener.accept().await.unwrap();
        stream.write_all(peer.to_string().as_bytes()).await.unwrap();
        stream.write_all(b"\n").await.unwrap();
        stream.write_all(stream.local_addr().unwrap().to_string().as_bytes()).await.unwrap();
        yes(peer == stream.peer_addr().unwrap())
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        yes(text == format!("{local}\n{peer}") && peer == meeting.addr().await)
    }
}

pub(crate) struct EphemeralPorts;
impl Probe for EphemeralPorts {
    const ASKS: &'static str = "ports of twenty outgoing connections";
    const DIFFERS: &'static [(World, &'static str)] =
        &[(Turmoil, "its range is set wide (16384..=65535), because every failed connect leaks a port")];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        let mut kept = Vec::new();
        for _ in 0..20 {
            kept.push(listener.accept().await.unwrap());
        }
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut kept = Vec::new();
        for _ in 0..20 {
            kept.push(meeting.connect(&net).await);
        }
        let mut ports: Vec<u16> = kept.iter().map(|stream| stream.local_addr().unwrap().port()).collect();
        let linux = ports.iter().all(|port| (32_768..=60_999).contains(port));
        ports.sort_unstable();
        ports.dedup();
        let mut seen = Seen::default();
        seen.add("distinct", ports.len().to_string());
        seen.add("within 32768..=60999", yes(linux));
        seen.text()
    }
}

pub(crate) struct BindTwice;
impl Probe for BindTwice {
    const ASKS: &'static str = "bind an address that is bound";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        done(net.bind(listener.local_addr().unwrap(), plain()).await)
    }
    async fn call<N: Network>(_: N, meeting: Meeting) -> String {
        meeting.addr().await;
        String::new()
    }
}

pub(crate) struct BindUnderWildcard;
impl Probe for BindUnderWildcard {
    const ASKS: &'static str = "bind 127.0.0.1 where 0.0.0.0 has the port";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = net.bind((Ipv4Addr::UNSPECIFIED, 0).into(), plain()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        meeting.publish(port);
        done(net.bind((Ipv4Addr::LOCALHOST, port).into(), plain()).await)
    }
    async fn call<N: Network>(_: N, meeting: Meeting) -> String {
        meeting.addr().await;
        String::new()
    }
}

pub(crate) struct BindElsewhere;
impl Probe for BindElsewhere {
    const ASKS: &'static str = "bind an address of another machine (192.0.2.1)";
    async fn serve<N: Network>(net: N, _: Meeting) -> String {
        done(net.bind(([192, 0, 2, 1], 0).into(), plain()).await)
    }
    async fn call<N: Network>(_: N, _: Meeting) -> String {
        String::new()
    }
}

pub(crate) struct BindAny;
impl Probe for BindAny {
    const ASKS: &'static str = "bind port 0 twice: are the ports real and different";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let (one, two) = (net.bind(meeting.listen, plain()).await.unwrap(), net.bind(meeting.listen, plain()).await);
        let two = two.unwrap();
        let (one, two) = (one.local_addr().unwrap().port(), two.local_addr().unwrap().port());
        yes(one != 0 && two != 0 && one != two)
    }
    async fn call<N: Network>(_: N, _: Meeting) -> String {
        String::new()
    }
}

pub(crate) struct ReusePort;
impl Probe for ReusePort {
    const ASKS: &'static str = "two listeners share a port (reuse_port): who gets 64 connections";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, OPENS_BY_ACCEPT)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let shared = ListenOptions { reuse_port: true, ..plain() };
        let one = meeting.bind(&net, shared).await;
        let second = net.bind(one.local_addr().unwrap(), shared).await;
        let Ok(two) = second else {
            meeting.reached(3);
            return format!("the second bind: {}", done(second));
        };
        meeting.reached(1);
        meeting.until(2).await;
        let mut counts = [0, 0];
        for (listener, count) in [one, two].into_iter().zip(&mut counts) {
            while let Ok(Ok(_)) = timeout(Duration::from_millis(100), listener.accept()).await {
                *count += 1;
            }
        }
        meeting.reached(3);
        format!("all: {}; both: {}", yes(counts[0] + counts[1] == 64), yes(counts.iter().all(|&count| count > 10)))
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let addr = meeting.addr().await;
        meeting.until(1).await;
        let mut kept = Vec::new();
        for _ in 0..64 {
            kept.push(net.connect(addr, SocketOptions::default()).await);
        }
        settle().await;
        meeting.reached(2);
        meeting.until(3).await;
        String::new()
    }
}

pub(crate) struct RebindAfterListener;
impl Probe for RebindAfterListener {
    const ASKS: &'static str = "bind again after the listener went, its connections still open";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        let addr = listener.local_addr().unwrap();
        let (mut old, _) = listener.accept().await.unwrap();
        drop(listener);
        let again = net.bind(addr, plain()).await;
        let mut seen = Seen::default();
        seen.add("bind", done(again));
        old.write_all(b"still here").await.unwrap();
        seen.text()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let (total, end) = read_all(&mut stream).await;
        format!("the old connection: {total} bytes, {end}")
    }
}

pub(crate) struct RebindAfterClose;
impl Probe for RebindAfterClose {
    const ASKS: &'static str = "bind and connect again after the server closed first (TIME_WAIT)";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        let addr = listener.local_addr().unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
        meeting.until(1).await;
        drop(listener);
        settle().await;
        let again = net.bind(addr, plain()).await;
        meeting.reached(2);
        let Ok(listener) = again else { return done(again) };
        done(soon(listener.accept()).await.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into())))
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let end = read(&mut stream, 8).await;
        drop(stream);
        meeting.reached(1);
        meeting.until(2).await;
        format!("{end}; again: {}", done(net.connect(meeting.addr().await, SocketOptions::default()).await))
    }
}

pub(crate) struct BacklogFull;
impl Probe for BacklogFull {
    const ASKS: &'static str = "four connects to a listener with a backlog of 1 that does not accept";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, OPENS_BY_ACCEPT)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        deaf(net, meeting, ListenOptions { backlog: 1, ..plain() }).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let addr = meeting.addr().await;
        let mut kept = Vec::new();
        let mut seen = Seen::default();
        for nth in ["1st", "2nd", "3rd", "4th"] {
            let attempt = timeout(Duration::from_millis(400), net.connect(addr, SocketOptions::default())).await;
            seen.add(
                nth,
                attempt
                    .as_ref()
                    .map_or_else(|_| "waits".to_owned(), |result| done(result.as_ref().map_err(|e| e.kind().into()))),
            );
            kept.push(attempt);
        }
        seen.text()
    }
}

pub(crate) struct BacklogRetry;
impl Probe for BacklogRetry {
    const ASKS: &'static str = "room comes in a full backlog: when does the waiting connect go on";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, OPENS_BY_ACCEPT)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, ListenOptions { backlog: 1, ..plain() }).await;
        meeting.until(1).await;
        let mut kept = Vec::new();
        for _ in 0..3 {
            kept.push(listener.accept().await.unwrap());
        }
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let addr = meeting.addr().await;
        let _first = net.connect(addr, SocketOptions::default()).await.unwrap();
        let _second = net.connect(addr, SocketOptions::default()).await.unwrap();
        let begun = tokio::time::Instant::now();
        let mut third = Box::pin(net.connect(addr, SocketOptions::default()));
        let early = timeout(Duration::from_millis(200), &mut third).await;
        meeting.reached(1);
        let result = match early {
            Ok(result) => result,
            Err(_) => third.await,
        };
        // The kernel's timer is coarse and the machine may be busy.
        let second = (900..1_900).contains(&begun.elapsed().as_millis());
        format!("{}; with the retry after 1 s: {}", done(result), yes(second))
    }
}

pub(crate) struct Crowd;
impl Probe for Crowd {
    const ASKS: &'static str = "65 connects at once to a listener that accepts later";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, OPENS_BY_ACCEPT)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        meeting.until(1).await;
        let mut accepted = Vec::new();
        while let Some(Ok(connection)) = soon(listener.accept()).await {
            accepted.push(connection);
            if accepted.len() == 65 {
                break;
            }
        }
        format!("accepts {}", accepted.len())
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let addr = meeting.addr().await;
        let mut tasks = Vec::new();
        for _ in 0..65 {
            let inner = net.clone();
            tasks.push(net.spawn("connect", async move { inner.connect(addr, SocketOptions::default()).await }));
        }
        let mut kept = Vec::new();
        for task in tasks {
            kept.extend(task.await.unwrap());
        }
        meeting.reached(1);
        settle().await;
        format!("connects {}", kept.len())
    }
}

pub(crate) struct AcceptOrder;
impl Probe for AcceptOrder {
    const ASKS: &'static str = "are connections accepted in the order of their connects";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, OPENS_BY_ACCEPT)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        meeting.until(1).await;
        for n in 0..10_u8 {
            let (mut stream, _) = listener.accept().await.unwrap();
            if stream.read_u8().await.unwrap() != n {
                return "no".to_owned();
            }
        }
        "yes".to_owned()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut kept = Vec::new();
        for n in 0..10 {
            let mut stream = meeting.connect(&net).await;
            stream.write_u8(n).await.unwrap();
            kept.push(stream);
        }
        settle().await;
        meeting.reached(1);
        settle().await;
        String::new()
    }
}

pub(crate) struct CancelledConnect;
impl Probe for CancelledConnect {
    const ASKS: &'static str = "twenty connects are dropped after one poll: is the next client served";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if let Ok(1) = stream.read(&mut [0; 8]).await {
                return "yes".to_owned();
            }
        }
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let addr = meeting.addr().await;
        for _ in 0..20 {
            let mut attempt = Box::pin(net.connect(addr, SocketOptions::default()));
            std::future::poll_fn(|cx| Poll::Ready(attempt.as_mut().poll(cx).is_ready())).await;
        }
        let mut stream = meeting.connect(&net).await;
        stream.write_all(b"x").await.unwrap();
        settle().await;
        String::new()
    }
}

pub(crate) struct WriteBeforeAccept;
impl Probe for WriteBeforeAccept {
    const ASKS: &'static str = "a client writes and closes before it is accepted";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, OPENS_BY_ACCEPT)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        meeting.until(1).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        let (total, end) = read_all(&mut stream).await;
        format!("{total} bytes, {end}")
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(b"hello").await.unwrap();
        drop(stream);
        settle().await;
        meeting.reached(1);
        String::new()
    }
}

pub(crate) struct AbortBeforeAccept;
impl Probe for AbortBeforeAccept {
    const ASKS: &'static str = "a client writes and aborts before it is accepted";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, OPENS_BY_ACCEPT)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        meeting.until(1).await;
        let Some(accepted) = soon(listener.accept()).await else { return "accept waits".to_owned() };
        match accepted {
            Ok((mut stream, _)) => {
                let (total, end) = read_all(&mut stream).await;
                format!("accepted; {total} bytes, {end}")
            }
            Err(error) => format!("accept: {:?}", error.kind()),
        }
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(b"hello").await.unwrap();
        settle().await;
        stream.abort();
        settle().await;
        meeting.reached(1);
        String::new()
    }
}

pub(crate) struct ListenerDroppedPending;
impl Probe for ListenerDroppedPending {
    const ASKS: &'static str = "the listener goes before it accepted: what does the client read";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, OPENS_BY_ACCEPT)];
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let listener = meeting.bind(&net, plain()).await;
        meeting.until(1).await;
        drop(listener);
        meeting.reached(2);
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        settle().await;
        meeting.reached(1);
        meeting.until(2).await;
        let mut seen = Seen::default();
        seen.add("read", read(&mut stream, 8).await);
        seen.add("a new connect", done(net.connect(meeting.addr().await, SocketOptions::default()).await));
        seen.text()
    }
}

pub(crate) struct ListenerDroppedAccepted;
impl Probe for ListenerDroppedAccepted {
    const ASKS: &'static str = "the listener goes after it accepted: does the connection live on";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.accept(&net).await;
        settle().await;
        done(stream.write_all(b"hello").await)
    }
    async fn call<N: Network>(net: N, meeting: Meeting) -> String {
        let mut stream = meeting.connect(&net).await;
        let (total, end) = read_all(&mut stream).await;
        format!("{total} bytes, {end}")
    }
}

pub(crate) struct ConnectUnspecified;
impl Probe for ConnectUnspecified {
    const ASKS: &'static str = "connect to 0.0.0.0: does it reach this host's own listener";
    const DIFFERS: &'static [(World, &'static str)] = &[(Turmoil, "0.0.0.0 is no address of this host to it")];
    async fn serve<N: Network>(_: N, _: Meeting) -> String {
        String::new()
    }
    async fn call<N: Network>(net: N, _: Meeting) -> String {
        let listener = net.bind((Ipv4Addr::UNSPECIFIED, 0).into(), plain()).await.unwrap();
        let addr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listener.local_addr().unwrap().port()));
        let (stream, _) = tokio::join!(soon(net.connect(addr, SocketOptions::default())), soon(listener.accept()));
        stream.map_or_else(|| "waits".to_owned(), done)
    }
}

pub(crate) struct ConnectOwn;
impl Probe for ConnectOwn {
    const ASKS: &'static str = "connect to 127.0.0.1 within one host";
    async fn serve<N: Network>(_: N, _: Meeting) -> String {
        String::new()
    }
    async fn call<N: Network>(net: N, _: Meeting) -> String {
        let listener = net.bind((Ipv4Addr::LOCALHOST, 0).into(), plain()).await.unwrap();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()));
        let (stream, accepted) = tokio::join!(net.connect(addr, SocketOptions::default()), listener.accept());
        let (mut stream, (mut other, _)) = (stream.unwrap(), accepted.unwrap());
        stream.write_all(b"hello").await.unwrap();
        let mut seen = Seen::default();
        seen.add("read", read(&mut other, 8).await);
        seen.add("from a loopback address", yes(stream.local_addr().unwrap().ip().is_loopback()));
        seen.text()
    }
}
