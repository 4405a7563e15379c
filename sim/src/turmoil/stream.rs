//! A connection under turmoil, with buffers in bytes.
//!
//! turmoil counts writes: with its own credits alone, 64 writes of 10 MB pass unread. Here both ends of a direction share a window: the
//! writer's send buffer plus the reader's receive buffer. What is read is credited at once, without a trip over the network.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use wire::net::{ByteStream, SocketOptions};

use super::world::Shared;
use crate::config::TcpConfig;
use crate::trace::TraceKind;
use crate::{HostId, HostState};

/// One direction's bytes between the writer's call and the reader's.
#[derive(Debug, Default)]
pub(super) struct Window(Mutex<Flow>);

#[derive(Debug, Default)]
struct Flow {
    unread: usize,
    send_buffer: usize,
    recv_buffer: usize,
    writer: Option<Waker>,
    reader_gone: bool,
    aborted: bool,
}

impl Window {
    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection under turmoil.
#[derive(Debug)]
pub struct TurmoilStream {
    inner: ::turmoil::net::TcpStream,
    ours: Arc<Window>,
    theirs: Arc<Window>,
    /// Our end and the peer's, told apart from those of other hosts: the loopback address is replaced by the host's own.
    ends: (SocketAddr, SocketAddr),
    shared: Arc<Shared>,
    host: HostId,
    /// Ends a wait for a reader that is gone: the next bytes find out what became of it.
    probe: Option<Pin<Box<Sleep>>>,
    is_shut: bool,
    at_end: bool,
}

impl TurmoilStream {
    pub(super) fn new(
        inner: ::turmoil::net::TcpStream,
        shared: &Arc<Shared>,
        host: HostId,
        options: SocketOptions,
        opened: TraceKind,
    ) -> io::Result<Self> {
        let own = |mut addr: SocketAddr| {
            if addr.ip().is_loopback() {
                addr.set_ip(shared.ip(host));
            }
            addr
        };
        let (local, peer) = (own(inner.local_addr()?), own(inner.peer_addr()?));
        let stream = Self {
            inner,
            ours: shared.window(local, peer),
            theirs: shared.window(peer, local),
            ends: (local, peer),
            shared: Arc::clone(shared),
            host,
            probe: None,
            is_shut: false,
            at_end: false,
        };
        let default = TcpConfig::default();
        stream.ours.flow().send_buffer = default.send_buffer;
        stream.theirs.flow().recv_buffer = default.recv_buffer;
        stream.set_options(options)?;
        stream.trace(opened, &[]);
        Ok(stream)
    }

    fn trace(&self, kind: TraceKind, payload: &[u8]) {
        let (local, peer) = self.ends;
        let conn = u64::from(local.port()) << 16 | u64::from(peer.port());
        self.shared.trace(self.host, conn, kind, payload);
    }

    /// How many bytes may be written now; waits while there is no room.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            let mut flow = self.ours.flow();
            let room = (flow.send_buffer + flow.recv_buffer).saturating_sub(flow.unread);
            if room > 0 {
                self.probe = None;
                return Poll::Ready(room);
            }
            flow.writer = Some(cx.waker().clone());
            if !flow.reader_gone {
                return Poll::Pending;
            }
            drop(flow);
            let wait = Duration::from_millis(1);
            let probe = self.probe.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
            ready!(probe.as_mut().poll(cx));
            self.probe = None;
            if self.shared.state_at(self.ends.1.ip()) != Some(HostState::Off) {
                self.ours.flow().unread = 0;
                continue;
            }
            // The peer's machine is off: silence. Look again in a while.
            self.probe = Some(Box::pin(tokio::time::sleep(Duration::from_secs(1))));
        }
    }
}

impl ByteStream for TurmoilStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }

    /// Buffer sizes hold from now on; the rest is ignored.
    fn set_options(&self, options: SocketOptions) -> io::Result<()> {
        if let Some(bytes) = options.send_buffer {
            self.ours.flow().send_buffer = bytes.max(1);
        }
        if let Some(bytes) = options.recv_buffer {
            self.theirs.flow().recv_buffer = bytes.max(1);
        }
        Ok(())
    }

    /// Always `Unsupported`: turmoil has no acknowledgements.
    fn unacknowledged(&self) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// turmoil has no reset on demand: its FIN goes out, and the peer's end shows it as a reset.
    fn abort(self) {
        self.ours.flow().aborted = true;
    }
}

impl Drop for TurmoilStream {
    fn drop(&mut self) {
        let (local, peer) = self.ends;
        self.shared.forget_window(local, peer, &self.ours);
        self.shared.forget_window(peer, local, &self.theirs);
        let writer = {
            let mut flow = self.theirs.flow();
            flow.reader_gone = true;
            flow.writer.take()
        };
        writer.into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for TurmoilStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        let read = &buf.filled()[before..];
        if !read.is_empty() {
            let writer = {
                let mut flow = self.theirs.flow();
                flow.unread = flow.unread.saturating_sub(read.len());
                flow.writer.take()
            };
            writer.into_iter().for_each(Waker::wake);
            self.trace(TraceKind::Data, read);
            return Poll::Ready(Ok(()));
        }
        let aborted = result.is_ok() && self.theirs.flow().aborted;
        if !self.at_end {
            self.at_end = true;
            self.trace(if result.is_ok() && !aborted { TraceKind::Fin } else { TraceKind::Reset }, &[]);
        }
        Poll::Ready(if aborted { Err(io::ErrorKind::ConnectionReset.into()) } else { result })
    }
}

impl AsyncWrite for TurmoilStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(cx));
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &buf[..buf.len().min(room)]))?;
        self.ours.flow().unread += written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        self.is_shut = true;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
