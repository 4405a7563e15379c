//! Any network, behind pointers: a hundred probes and cases are compiled once, not once for each world.

use std::fmt::Debug;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::draw::Draws;
use wire::net::{Abort, ByteStream, ListenOptions, Listener, Network, SocketOptions, Task, WallTime};

pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Network`], without types of its own.
trait Net: Debug + Send + Sync {
    fn bind(&self, addr: SocketAddr, options: ListenOptions) -> Later<'_, io::Result<AnyListener>>;
    fn connect(&self, addr: SocketAddr, options: SocketOptions) -> Later<'_, io::Result<AnyStream>>;
    fn lookup<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, io::Result<Vec<SocketAddr>>>;
    fn spawn_on(&self, shard: usize, name: &'static str, future: Later<'static, ()>) -> Task<()>;
    fn give_way(&self) -> Later<'_, ()>;
    fn shards(&self) -> usize;
    fn wall_clock(&self) -> WallTime;
    fn draws(&self, purpose: &str, entity: u64) -> Draws;
}

impl<N: Network> Net for N {
    fn bind(&self, addr: SocketAddr, options: ListenOptions) -> Later<'_, io::Result<AnyListener>> {
        Box::pin(async move { Ok(AnyListener(Box::new(Network::bind(self, addr, options).await?))) })
    }

    fn connect(&self, addr: SocketAddr, options: SocketOptions) -> Later<'_, io::Result<AnyStream>> {
        Box::pin(async move { Ok(AnyStream(Box::new(Network::connect(self, addr, options).await?))) })
    }

    fn lookup<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(Network::lookup(self, host, port))
    }

    fn spawn_on(&self, shard: usize, name: &'static str, future: Later<'static, ()>) -> Task<()> {
        Network::spawn_on(self, shard, name, future)
    }

    fn give_way(&self) -> Later<'_, ()> {
        Box::pin(Network::give_way(self))
    }

    fn shards(&self) -> usize {
        Network::shards(self)
    }

    fn wall_clock(&self) -> WallTime {
        Network::wall_clock(self)
    }

    fn draws(&self, purpose: &str, entity: u64) -> Draws {
        Network::draws(self, purpose, entity)
    }
}

/// A network of any kind.
#[derive(Clone, Debug)]
pub(crate) struct AnyNet(Arc<dyn Net>);

impl AnyNet {
    pub(crate) fn new<N: Network>(net: N) -> Self {
        Self(Arc::new(net))
    }
}

struct AbortTask(Task<()>);

impl Abort for AbortTask {
    fn abort(&self) {
        self.0.abort();
    }
}

impl Network for AnyNet {
    type Stream = AnyStream;
    type Listener = AnyListener;

    async fn bind(&self, addr: SocketAddr, options: ListenOptions) -> io::Result<AnyListener> {
        self.0.bind(addr, options).await
    }

    async fn connect(&self, addr: SocketAddr, options: SocketOptions) -> io::Result<AnyStream> {
        self.0.connect(addr, options).await
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.0.lookup(host, port).await
    }

    fn spawn_on<F>(&self, shard: usize, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (run, result) = Task::split(future);
        Task::new(result, Arc::new(AbortTask(self.0.spawn_on(shard, name, Box::pin(run)))))
    }

    async fn give_way(&self) {
        self.0.give_way().await;
    }

    fn shards(&self) -> usize {
        self.0.shards()
    }

    fn wall_clock(&self) -> WallTime {
        self.0.wall_clock()
    }

    fn draws(&self, purpose: &str, entity: u64) -> Draws {
        self.0.draws(purpose, entity)
    }
}

/// [`Listener`], likewise.
trait Listens: Debug + Send {
    fn accept(&self) -> Later<'_, io::Result<(AnyStream, SocketAddr)>>;
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A listener's answer borrows it, and not every listener may be shared: only the future that it gives is sent about.
impl<L: Listener> Listens for L {
    fn accept(&self) -> Later<'_, io::Result<(AnyStream, SocketAddr)>> {
        let accept = Listener::accept(self);
        Box::pin(async move {
            let (stream, peer) = accept.await?;
            Ok((AnyStream(Box::new(stream)), peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(self)
    }
}

/// A listener of any kind.
#[derive(Debug)]
pub(crate) struct AnyListener(Box<dyn Listens>);

impl Listener for AnyListener {
    type Stream = AnyStream;

    fn accept(&self) -> impl Future<Output = io::Result<(AnyStream, SocketAddr)>> + Send {
        self.0.accept()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// [`ByteStream`], likewise.
trait Bytes: AsyncRead + AsyncWrite + Debug + Send + Unpin {
    fn local_addr(&self) -> io::Result<SocketAddr>;
    fn peer_addr(&self) -> io::Result<SocketAddr>;
    fn set_options(&self, options: SocketOptions) -> io::Result<()>;
    fn unacknowledged(&self) -> io::Result<usize>;
    fn abort(self: Box<Self>);
}

impl<S: ByteStream> Bytes for S {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        ByteStream::local_addr(self)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        ByteStream::peer_addr(self)
    }

    fn set_options(&self, options: SocketOptions) -> io::Result<()> {
        ByteStream::set_options(self, options)
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        ByteStream::unacknowledged(self)
    }

    fn abort(self: Box<Self>) {
        ByteStream::abort(*self);
    }
}

/// A connection of any kind.
#[derive(Debug)]
pub(crate) struct AnyStream(Box<dyn Bytes>);

impl AsyncRead for AnyStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for AnyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl ByteStream for AnyStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    fn set_options(&self, options: SocketOptions) -> io::Result<()> {
        self.0.set_options(options)
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        self.0.unacknowledged()
    }

    fn abort(self) {
        self.0.abort();
    }
}
