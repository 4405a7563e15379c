//! A simulated connection's handle.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::net::{ByteStream, SocketOptions};

use super::gone;
use crate::kernel::{self, ConnId, EndState, Fin, Waiter};

/// An end of a simulated connection. It holds numbers only; the kernel holds the bytes.
///
/// `nodelay` is accepted and ignored: segments always leave at once.
#[derive(Debug)]
pub struct SimStream {
    run: u32,
    id: ConnId,
    end: u8,
}

impl SimStream {
    pub(super) fn new(id: ConnId, end: u8) -> Self {
        Self { run: kernel::run_id(), id, end }
    }

    fn is_here(&self) -> bool {
        self.run == kernel::run_id()
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if self.is_here() {
            kernel::with(|world| world.close(self.id, self.end));
        }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.is_here() {
            return Poll::Ready(Err(gone()));
        }
        let (id, end) = (self.id, self.end);
        kernel::with(|world| {
            let Some(conn) = world.conn(id) else { return Poll::Ready(Err(gone())) };
            let flow = &mut conn.flows[1 - end as usize];
            let this = &mut conn.ends[end as usize];
            if flow.readable() > 0 && this.state == EndState::Open {
                flow.take(buf);
                world.after_read(id, 1 - end);
                return Poll::Ready(Ok(()));
            }
            if flow.fin == Fin::Arrived || flow.severed {
                return Poll::Ready(Ok(()));
            }
            if let Some(kind) = this.error.take() {
                return Poll::Ready(Err(kind.into()));
            }
            if this.broken || this.state != EndState::Open {
                return Poll::Ready(Ok(()));
            }
            Waiter::park(&mut this.reader, cx);
            Poll::Pending
        })
        .unwrap_or_else(|| Poll::Ready(Err(gone())))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.is_here() {
            return Poll::Ready(Err(gone()));
        }
        let (id, end) = (self.id, self.end);
        kernel::with(|world| {
            let Some(conn) = world.conn(id) else { return Poll::Ready(Err(gone())) };
            let this = &mut conn.ends[end as usize];
            if let Some(kind) = this.error.take() {
                return Poll::Ready(Err(kind.into()));
            }
            if this.broken || this.state != EndState::Open || conn.flows[end as usize].fin != Fin::None {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if bufs.iter().all(|slice| slice.is_empty()) {
                return Poll::Ready(Ok(0));
            }
            let taken = world.write(id, end, bufs);
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            if let Some(conn) = world.conn(id) {
                Waiter::park(&mut conn.ends[end as usize].writer, cx);
            }
            world.want_credit(id, end);
            Poll::Pending
        })
        .unwrap_or_else(|| Poll::Ready(Err(gone())))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_here() {
            kernel::with(|world| {
                let open = world.conn(self.id).is_some_and(|conn| {
                    conn.ends[self.end as usize].state == EndState::Open && !conn.ends[self.end as usize].broken
                });
                if open {
                    world.end_flow(self.id, self.end);
                }
            });
        }
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for SimStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.addr(self.end)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        // A kernel has forgotten the peer by then, not its own address (getpeername(2)).
        let over = self.is_here() && kernel::with(|world| world.is_over(self.id, self.end)).unwrap_or(false);
        if over { Err(io::ErrorKind::NotConnected.into()) } else { self.addr(1 - self.end) }
    }

    fn set_options(&self, options: SocketOptions) -> io::Result<()> {
        if self.is_here() {
            kernel::with(|world| world.set_options(self.id, self.end, options));
        }
        Ok(())
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        if !self.is_here() {
            return Err(gone());
        }
        let bytes = kernel::with(|world| world.unacknowledged(self.id, self.end)).ok_or_else(gone)?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn abort(self) {
        if self.is_here() {
            kernel::with(|world| {
                let open = world.conn(self.id).is_some_and(|conn| {
                    let this = &conn.ends[self.end as usize];
                    this.state == EndState::Open && !this.broken
                });
                if open {
                    world.reset(self.id, self.end);
                }
            });
        }
    }
}

impl SimStream {
    fn addr(&self, end: u8) -> io::Result<SocketAddr> {
        if !self.is_here() {
            return Err(gone());
        }
        kernel::with(|world| world.conn(self.id).map(|conn| conn.ends[end as usize].addr.into()))
            .flatten()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}
