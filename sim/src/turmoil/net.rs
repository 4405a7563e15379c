//! wire's network over turmoil's sockets.
#![expect(clippy::disallowed_methods, reason = "turmoil's hosts are tokio runtimes: a task of the host is tokio's")]

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};
use wire::draw::Draws;
use wire::net::{Abort, ByteStream, ListenOptions, Network, SocketOptions, Task, WallTime};

use super::{now_us, state};
use crate::setup::HostId;
use crate::trace::{Route, TraceKind};

/// The network of one incarnation of a host's program under turmoil. It works only within the host that it was given to.
#[derive(Clone, Debug)]
pub struct Net {
    host: u32,
    boot: u32,
}

impl Net {
    pub(super) fn new(host: u32, boot: u32) -> Self {
        Self { host, boot }
    }

    /// Which host this is.
    #[must_use]
    pub fn host(&self) -> HostId {
        HostId(self.host)
    }
}

struct AbortTokio(tokio::task::AbortHandle);

impl Abort for AbortTokio {
    fn abort(&self) {
        self.0.abort();
    }
}

impl Network for Net {
    type Stream = Stream;
    type Listener = Listener;

    async fn bind(&self, addr: SocketAddr, _: ListenOptions) -> io::Result<Listener> {
        // turmoil binds to every address or to loopback only.
        let own = state::with(|state| state.is_own_addr(self.host, addr.ip())).unwrap_or(false);
        let addr = if own { SocketAddr::from((Ipv4Addr::UNSPECIFIED, addr.port())) } else { addr };
        Ok(Listener { host: self.host, inner: TcpListener::bind(addr).await? })
    }

    /// turmoil keeps a request to a host that does not run until it is started again. A kernel that has no listener refuses; so does this,
    /// after a round trip. So it does while a fault refuses.
    async fn connect(&self, addr: SocketAddr, options: SocketOptions) -> io::Result<Stream> {
        if let Some(local) = options.local
            && !state::with(|state| state.is_own_addr(self.host, local)).unwrap_or(false)
        {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        // Made when first polled: an attempt that is refused here leaks no port.
        let mut attempt = pin!(TcpStream::connect(addr));
        loop {
            let look =
                state::with(|state| (state.refuses(self.host, addr.ip()), state.round_trip(self.host, addr.ip())));
            let (refused, round_trip) = look.unwrap_or((false, Duration::from_millis(1)));
            if refused {
                tokio::time::sleep(round_trip).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            if let Ok(connected) = tokio::time::timeout(round_trip, &mut attempt).await {
                return Ok(Stream::new(self.host, true, connected?));
            }
        }
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let (delay, fails) = state::with(|state| state.lookup_trouble(self.host, host)).unwrap_or_default();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if fails {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("the name {host} does not resolve")));
        }
        let ip = if host == "localhost" {
            Some(Ipv4Addr::LOCALHOST.into())
        } else {
            state::with(|state| state.addr(host)).flatten()
        };
        match ip {
            Some(ip) => Ok(vec![SocketAddr::new(ip, port)]),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("no simulated host is named {host}"))),
        }
    }

    fn spawn_on<F>(&self, _shard: usize, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (run, result) = Task::split(future);
        let host = self.host;
        // Not `tokio::spawn`: its runtime drops tasks by the residue of their number, which is counted over the whole process. A killed host's
        // local set drops them in the order in which they were spawned.
        let handle = tokio::task::spawn_local(async move {
            state::caught(host, name, run).await;
        });
        Task::new(result, Arc::new(AbortTokio(handle.abort_handle())))
    }

    /// All run on the host's one task set, as all run on one thread in our simulator.
    fn shards(&self) -> usize {
        state::with(|state| state.shards).unwrap_or(1)
    }

    fn wall_clock(&self) -> WallTime {
        let now_us = now_us();
        let (epoch_us, skew) =
            state::with(|state| (state.epoch_us, state.clock_error(self.host, now_us))).unwrap_or_default();
        WallTime((epoch_us + now_us).saturating_add_signed(skew))
    }

    fn draws(&self, purpose: &str, entity: u64) -> Draws {
        let seed = state::with(|state| Draws::new(state.seed, state.name(self.host), u64::from(self.boot)).nth(0));
        Draws::new(seed.unwrap_or_default(), purpose, entity)
    }
}

/// A listening turmoil socket.
pub struct Listener {
    host: u32,
    inner: TcpListener,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener({:?})", self.inner.local_addr().ok())
    }
}

impl wire::net::Listener for Listener {
    type Stream = Stream;

    async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (inner, peer) = self.inner.accept().await?;
        Ok((Stream::new(self.host, false, inner), peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connected turmoil socket. Options are ignored; what is unacknowledged it cannot tell; an abort is a drop.
#[derive(Debug)]
pub struct Stream {
    /// What reads of it are, for the trace.
    route: Route,
    inner: TcpStream,
}

impl Stream {
    fn new(host: u32, opened: bool, inner: TcpStream) -> Self {
        let ends =
            if opened { (inner.local_addr(), inner.peer_addr()) } else { (inner.peer_addr(), inner.local_addr()) };
        let at = |addr: &io::Result<SocketAddr>| {
            let ip = addr.as_ref().ok()?.ip();
            if ip.is_loopback() { Some(host) } else { state::with(|state| state.host_at(ip)).flatten() }
        };
        let opener = at(&ends.0).unwrap_or(host);
        let from = if opened { at(&ends.1).unwrap_or(host) } else { opener };
        let port = ends.0.map_or(0, |addr| addr.port());
        let conn = (u64::from(opener) << 32) | u64::from(port);
        Self { route: Route { from, to: host, conn, outward: !opened }, inner }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(result) = &polled {
            let route = self.route;
            let read = &buf.filled()[before..];
            let kind = match result {
                Err(_) => TraceKind::Reset,
                Ok(()) if read.is_empty() => TraceKind::Fin,
                Ok(()) => TraceKind::Data,
            };
            let at_us = now_us();
            state::with(|state| state.trace.add(at_us, route, kind, read));
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    /// One segment for all slices, as a kernel would make of them.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = bufs.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl ByteStream for Stream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }

    fn set_options(&self, _: SocketOptions) -> io::Result<()> {
        Ok(())
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn abort(self) {}
}
