//! Wrong worlds: a proxy whose network does not give back what it held for a leg, or that reads other frames than its sources sent.
//!
//! The proxy cannot tell: it is handed a [`Network`] like any other. Only who looks at the host from outside, or at what clients get, sees it.

use std::future::pending;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use proxy::{Config, Policies};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::draw::Draws;
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions, Task, WallTime};

use super::frames::{Misreading, Pieces, Reader};

/// What is wrong with the world of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A task is kept for each leg.
    Task,
    /// The socket of each leg is kept.
    Socket,
    /// What sources send is put together wrongly.
    Frames(Misreading),
}

/// The world of each mutant whose world it is, by its name.
pub(super) const WORLDS: [(&str, Wrong); 6] = [
    ("keeps-a-task-for-each-leg", Wrong::Task),
    ("keeps-the-socket-of-each-leg", Wrong::Socket),
    ("loses-the-last-fragment", Wrong::Frames(Misreading::LosesTheLast)),
    ("takes-a-fragment-for-all", Wrong::Frames(Misreading::TakesTheFirst)),
    ("starts-anew-after-a-ping", Wrong::Frames(Misreading::ForgetsAtPings)),
    ("mixes-fragments", Wrong::Frames(Misreading::Mixes)),
];

/// The proxy itself is as it should be.
pub(super) fn nothing_else(_: &mut Policies, config: Config) -> Config {
    config
}

/// A network in which something is wrong with what is dialled.
#[derive(Clone, Debug)]
pub(crate) struct WrongWorld<N> {
    net: N,
    wrong: Wrong,
    pieces: Pieces,
}

impl<N: Network> WrongWorld<N> {
    pub(crate) fn new(net: N, wrong: Wrong) -> Self {
        Self { net, wrong, pieces: Pieces::default() }
    }
}

impl<N: Network> Network for WrongWorld<N> {
    type Stream = Dialled<N::Stream>;
    type Listener = RightListener<N::Listener>;

    async fn bind(&self, addr: SocketAddr, options: ListenOptions) -> io::Result<Self::Listener> {
        self.net.bind(addr, options).await.map(RightListener)
    }

    async fn connect(&self, addr: SocketAddr, options: SocketOptions) -> io::Result<Self::Stream> {
        let stream = self.net.connect(addr, options).await?;
        if self.wrong == Wrong::Task {
            drop(self.net.spawn("forgotten", pending::<()>()));
        }
        let reader = match self.wrong {
            Wrong::Frames(misreading) => Some(Box::new(Reader::new(misreading, &self.pieces))),
            Wrong::Task | Wrong::Socket => None,
        };
        Ok(Dialled { stream: Some(stream), kept: self.wrong == Wrong::Socket, reader })
    }

    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send {
        self.net.lookup(host, port)
    }

    fn spawn_on<F>(&self, shard: usize, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.net.spawn_on(shard, name, future)
    }

    fn give_way(&self) -> impl Future<Output = ()> + Send {
        self.net.give_way()
    }

    fn shards(&self) -> usize {
        self.net.shards()
    }

    fn wall_clock(&self) -> WallTime {
        self.net.wall_clock()
    }

    fn draws(&self, purpose: &str, entity: u64) -> Draws {
        self.net.draws(purpose, entity)
    }
}

/// With what is accepted nothing is wrong.
#[derive(Debug)]
pub(crate) struct RightListener<L>(L);

impl<L: Listener> Listener for RightListener<L> {
    type Stream = Dialled<L::Stream>;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send {
        let accepted = self.0.accept();
        async move {
            let (stream, peer) = accepted.await?;
            Ok((Dialled { stream: Some(stream), kept: false, reader: None }, peer))
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection; where it is kept, letting go of it does not close it.
#[derive(Debug)]
pub(crate) struct Dialled<S: ByteStream> {
    /// There until it is dropped.
    stream: Option<S>,
    kept: bool,
    reader: Option<Box<Reader>>,
}

impl<S: ByteStream> Drop for Dialled<S> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take().filter(|_| self.kept) {
            std::mem::forget(stream);
        }
    }
}

impl<S: ByteStream> Dialled<S> {
    fn stream(&self) -> io::Result<&S> {
        self.stream.as_ref().ok_or_else(gone)
    }

    fn with<T>(&mut self, f: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &mut self.stream {
            Some(stream) => f(Pin::new(stream)),
            None => Poll::Ready(Err(gone())),
        }
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl<S: ByteStream> AsyncRead for Dialled<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(mut reader) = this.reader.take() else { return this.with(|stream| stream.poll_read(cx, buf)) };
        let read = this.with(|mut stream| {
            let mut chunk = [0; 4_096];
            while !reader.take(buf) {
                let mut chunk = ReadBuf::new(&mut chunk);
                std::task::ready!(stream.as_mut().poll_read(cx, &mut chunk))?;
                if chunk.filled().is_empty() {
                    break;
                }
                reader.feed(chunk.filled());
            }
            Poll::Ready(Ok(()))
        });
        this.reader = Some(reader);
        read
    }
}

impl<S: ByteStream> AsyncWrite for Dialled<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().with(|stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().with(|stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().with(|stream| stream.poll_shutdown(cx))
    }
}

impl<S: ByteStream> ByteStream for Dialled<S> {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream()?.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream()?.peer_addr()
    }

    fn set_options(&self, options: SocketOptions) -> io::Result<()> {
        self.stream()?.set_options(options)
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        self.stream()?.unacknowledged()
    }

    fn abort(mut self) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
        }
    }
}
