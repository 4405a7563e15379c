use std::io::IoSlice;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::Role;
use wire::event::Observer;
use wire::id::ProxyId;
use wire::net::SocketOptions;

use super::super::answers::AskersOnly;
use super::*;
use crate::limits::Limits;
use crate::meter::Meter;

/// A peer that says nothing and takes so many bytes more.
#[derive(Debug, Default)]
struct Peer {
    takes: Arc<AtomicUsize>,
    got: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Peer {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let takes = self.takes.load(Relaxed).min(buf.len());
        self.takes.fetch_sub(takes, Relaxed);
        lock(&self.got).extend_from_slice(&buf[..takes]);
        if takes == 0 { Poll::Pending } else { Poll::Ready(Ok(takes)) }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.poll_write(cx, first)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for Peer {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_options(&self, _: SocketOptions) -> io::Result<()> {
        Ok(())
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn abort(self) {}
}

fn denied(count: u32) -> SubAck {
    let denied = |n| (Symbol::numbered(n), "x".repeat(200));
    SubAck { denied: (0..count).map(denied).collect(), ..SubAck::default() }
}

#[test]
fn denials_for_a_client_that_does_not_read_wait_as_symbols_and_all_come_once_when_it_does() {
    for strong in [false, true] {
        let peer = Peer::default();
        let (takes, got) = (Arc::clone(&peer.takes), Arc::clone(&peer.got));
        let session = Session::from_raw_socket(Tap::new(peer), Role::Server, None).now_or_never().unwrap();
        let limits = Limits::default();
        let queue = Box::new(super::super::queue::Bounded::new(&limits));
        let conn = Conn::new(SocketAddr::from(([127, 0, 0, 1], 1)), strong, session, queue);
        let books = Books::new(Arc::new(Meter::default()), Observer::default(), ProxyId(0), usize::MAX);
        let held = || lock(&conn.inner).out.bytes();

        conn.say_ack(denied(1_000), &books);
        assert!(held() <= WRITE_BYTES + 1_000, "{} bytes", held());
        // What it awaits is answered once more.
        conn.answer(denied(1_000), &[], &AskersOnly, &books);
        assert!(held() <= WRITE_BYTES + 1_000, "{} bytes", held());

        // It reads, a little at a time.
        let mut cx = Context::from_waker(Waker::noop());
        let mut rounds = 0;
        loop {
            takes.store(5_000, Relaxed);
            match conn.poll(&mut cx, &books) {
                Poll::Ready(Turn::Owed(symbols)) => {
                    let mut ack = denied(1_000);
                    ack.denied.retain(|(symbol, _)| symbols.contains(symbol));
                    conn.say_ack(ack, &books);
                }
                Poll::Ready(other) => panic!("{other:?}"),
                Poll::Pending if lock(&conn.inner).blocked => {}
                Poll::Pending => break,
            }
            assert!(held() <= WRITE_BYTES + 1_000, "{} bytes", held());
            rounds += 1;
            assert!(rounds < 1_000);
        }
        let got = String::from_utf8_lossy(&lock(&got)).into_owned();
        for n in 0..1_000 {
            let symbol = Symbol::numbered(n);
            // Once as denied, and in plain v2 once more with the reason.
            let (name, times) = if strong { (format!("\"{symbol}\""), 1) } else { (format!("\"{symbol}:QUOTE\""), 2) };
            assert_eq!(got.matches(&name).count(), times, "{name}");
        }
    }
}
