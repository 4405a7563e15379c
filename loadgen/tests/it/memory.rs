//! A network in memory, for tokio's paused clock: a second is over when nobody has anything left to do, however slow the machine is.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wire::draw::Draws;
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions, Task, TokioNet, WallTime};

/// Bytes that a connection holds one way.
const BUFFER: usize = 64 << 10;

/// One host, which every name is a name of, and on which one server listens.
#[derive(Clone, Debug)]
pub(crate) struct MemoryNet {
    tasks: TokioNet,
    dialled: UnboundedSender<MemoryStream>,
}

#[derive(Debug)]
pub(crate) struct MemoryListener(Mutex<UnboundedReceiver<MemoryStream>>);

#[derive(Debug)]
pub(crate) struct MemoryStream(DuplexStream);

/// The network of the runtime that this is called in, and who listens there.
pub(crate) fn network() -> (MemoryNet, MemoryListener) {
    let (dialled, listener) = unbounded_channel();
    (MemoryNet { tasks: TokioNet::current(), dialled }, MemoryListener(Mutex::new(listener)))
}

fn here() -> SocketAddr {
    ([127, 0, 0, 1], 80).into()
}

impl Network for MemoryNet {
    type Stream = MemoryStream;
    type Listener = MemoryListener;

    async fn bind(&self, _addr: SocketAddr, _options: ListenOptions) -> io::Result<MemoryListener> {
        Err(io::ErrorKind::AddrInUse.into())
    }

    async fn connect(&self, _addr: SocketAddr, _options: SocketOptions) -> io::Result<MemoryStream> {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        self.dialled.send(MemoryStream(theirs)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(MemoryStream(ours))
    }

    async fn lookup(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![here()])
    }

    fn spawn_on<F>(&self, shard: usize, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn_on(shard, name, future)
    }

    fn shards(&self) -> usize {
        1
    }

    fn wall_clock(&self) -> WallTime {
        WallTime::default()
    }

    fn draws(&self, purpose: &str, entity: u64) -> Draws {
        Draws::new(7, purpose, entity)
    }
}

impl Listener for MemoryListener {
    type Stream = MemoryStream;

    async fn accept(&self) -> io::Result<(MemoryStream, SocketAddr)> {
        let stream = self.0.lock().await.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        Ok((stream, here()))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(here())
    }
}

impl ByteStream for MemoryStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(here())
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(here())
    }

    fn set_options(&self, _options: SocketOptions) -> io::Result<()> {
        Ok(())
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn abort(self) {}
}

impl AsyncRead for MemoryStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
