//! Wrong keepers: a proxy in a world that does not give back what it held for a leg.
//!
//! The proxy cannot tell: it is handed a [`Network`] like any other. Only who looks at the host from outside sees it.

use std::future::pending;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use proxy::{Config, Policies};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::draw::Draws;
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions, Task, WallTime};

/// What is not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leak {
    /// A task for each leg.
    Task,
    /// The socket of each leg.
    Socket,
}

/// The leak of each mutant that is one, by its name.
pub(super) const LEAKS: [(&str, Leak); 2] =
    [("keeps-a-task-for-each-leg", Leak::Task), ("keeps-the-socket-of-each-leg", Leak::Socket)];

/// The proxy itself is as it should be.
pub(super) fn nothing_else(_: &mut Policies, config: Config) -> Config {
    config
}

/// A network that leaks what is dialled.
#[derive(Clone, Debug)]
pub(crate) struct Leaky<N> {
    net: N,
    leak: Leak,
}

impl<N: Network> Leaky<N> {
    pub(crate) fn new(net: N, leak: Leak) -> Self {
        Self { net, leak }
    }
}

impl<N: Network> Network for Leaky<N> {
    type Stream = Kept<N::Stream>;
    type Listener = LeakyListener<N::Listener>;

    async fn bind(&self, addr: SocketAddr, options: ListenOptions) -> io::Result<Self::Listener> {
        self.net.bind(addr, options).await.map(LeakyListener)
    }

    async fn connect(&self, addr: SocketAddr, options: SocketOptions) -> io::Result<Self::Stream> {
        let stream = self.net.connect(addr, options).await?;
        if self.leak == Leak::Task {
            drop(self.net.spawn("forgotten", pending::<()>()));
        }
        Ok(Kept { stream: Some(stream), kept: self.leak == Leak::Socket })
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

/// Its listener leaks nothing.
#[derive(Debug)]
pub(crate) struct LeakyListener<L>(L);

impl<L: Listener> Listener for LeakyListener<L> {
    type Stream = Kept<L::Stream>;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send {
        let accepted = self.0.accept();
        async move {
            let (stream, peer) = accepted.await?;
            Ok((Kept { stream: Some(stream), kept: false }, peer))
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection; where it is kept, letting go of it does not close it.
#[derive(Debug)]
pub(crate) struct Kept<S: ByteStream> {
    /// There until it is dropped.
    stream: Option<S>,
    kept: bool,
}

impl<S: ByteStream> Drop for Kept<S> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take().filter(|_| self.kept) {
            std::mem::forget(stream);
        }
    }
}

impl<S: ByteStream> Kept<S> {
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

impl<S: ByteStream> AsyncRead for Kept<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().with(|stream| stream.poll_read(cx, buf))
    }
}

impl<S: ByteStream> AsyncWrite for Kept<S> {
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

impl<S: ByteStream> ByteStream for Kept<S> {
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
