//! The production world: kernel sockets under tokio.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the one place where the real network, the real clock and tokio's spawn are wrapped"
)]

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::{Abort, ByteStream, ListenOptions, Listener, Network, SocketOptions, Task, WallTime};
use crate::draw::Draws;

/// Kernel sockets. Tasks run on the runtimes that it was made with: one shard each.
#[derive(Clone)]
pub struct TokioNet {
    shards: Arc<[Handle]>,
    seed: u64,
}

impl fmt::Debug for TokioNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokioNet({} shards)", self.shards.len())
    }
}

impl TokioNet {
    /// The network of the runtime that this is called in: one shard. The seed of its draws comes from the operating system.
    ///
    /// # Panics
    /// If called outside a tokio runtime.
    #[must_use]
    pub fn current() -> Self {
        Self::sharded(vec![Handle::current()])
    }

    /// A network with one shard for each runtime given.
    ///
    /// # Panics
    /// If the list is empty.
    #[must_use]
    pub fn sharded(runtimes: Vec<Handle>) -> Self {
        assert!(!runtimes.is_empty(), "a network needs at least one shard");
        Self { shards: runtimes.into(), seed: system_seed() }
    }

    /// The same network with draws from a seed of the caller's choice, for repeatable load.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// 64 bits that differ from process to process.
fn system_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // RandomState's key is the operating system's randomness, by way of the standard library.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

struct AbortTokio(tokio::task::AbortHandle);

impl Abort for AbortTokio {
    fn abort(&self) {
        self.0.abort();
    }
}

impl Network for TokioNet {
    type Stream = TokioStream;
    type Listener = TokioListener;

    async fn bind(&self, addr: SocketAddr, options: ListenOptions) -> io::Result<TokioListener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        // Accepted sockets inherit them, and a receive buffer must be set before the window is agreed.
        apply(&SockRef::from(&socket), options.accepted)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        let inner = TcpListener::from_std(socket.into())?;
        Ok(TokioListener {
            inner,
            #[cfg(not(target_os = "linux"))]
            accepted: options.accepted,
        })
    }

    async fn connect(&self, addr: SocketAddr, options: SocketOptions) -> io::Result<TokioStream> {
        let socket = if addr.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
        apply(&SockRef::from(&socket), options)?;
        if let Some(local) = options.local {
            // The port is chosen when it connects, for the four of (address, port, address, port): bound now, it would be taken from all targets.
            bind_address_no_port(&socket)?;
            socket.bind(SocketAddr::new(local, 0))?;
        }
        Ok(TokioStream { inner: socket.connect(addr).await? })
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} resolves to no address")));
        }
        Ok(found)
    }

    fn spawn_on<F>(&self, shard: usize, _name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (run, result) = Task::split(future);
        let handle = self.shards[shard % self.shards.len()].spawn(run);
        Task::new(result, Arc::new(AbortTokio(handle.abort_handle())))
    }

    async fn give_way(&self) {
        // tokio looks at the sockets before it goes on with who yielded.
        tokio::task::yield_now().await;
    }

    fn shards(&self) -> usize {
        self.shards.len()
    }

    fn wall_clock(&self) -> WallTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        WallTime(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    fn draws(&self, purpose: &str, entity: u64) -> Draws {
        Draws::new(self.seed, purpose, entity)
    }
}

/// A listening kernel socket.
#[derive(Debug)]
pub struct TokioListener {
    inner: TcpListener,
    #[cfg(not(target_os = "linux"))]
    accepted: SocketOptions,
}

impl Listener for TokioListener {
    type Stream = TokioStream;

    async fn accept(&self) -> io::Result<(TokioStream, SocketAddr)> {
        let (inner, peer) = self.inner.accept().await?;
        // Elsewhere it is not certain that these are inherited, too.
        #[cfg(not(target_os = "linux"))]
        apply(&SockRef::from(&inner), SocketOptions { send_buffer: None, recv_buffer: None, ..self.accepted })?;
        Ok((TokioStream { inner }, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

fn apply(socket: &SockRef<'_>, options: SocketOptions) -> io::Result<()> {
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.recv_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(on) = options.nodelay {
        socket.set_tcp_nodelay(on)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(bytes) = options.notsent_lowat {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    Ok(())
}

/// A connected kernel socket.
#[derive(Debug)]
pub struct TokioStream {
    inner: TcpStream,
}

impl ByteStream for TokioStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }

    fn set_options(&self, options: SocketOptions) -> io::Result<()> {
        apply(&SockRef::from(&self.inner), options)
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        unacknowledged(&self.inner)
    }

    fn abort(self) {
        // With a linger time of zero, close sends RST (tcp(7)). If it cannot be set, the drop below still closes.
        let _ = SockRef::from(&self.inner).set_linger(Some(Duration::ZERO));
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "IP_BIND_ADDRESS_NO_PORT has no safe wrapper: one setsockopt that reads one int")]
fn bind_address_no_port(socket: &tokio::net::TcpSocket) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let on: libc::c_int = 1;
    let (level, length) = (libc::SOL_IP, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the kernel reads one int.
    let rc = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, libc::IP_BIND_ADDRESS_NO_PORT, (&raw const on).cast(), length)
    };
    if rc == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn bind_address_no_port(_: &tokio::net::TcpSocket) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "SIOCOUTQ has no safe wrapper: one ioctl that writes one int")]
fn unacknowledged(stream: &TcpStream) -> io::Result<usize> {
    use std::os::fd::AsRawFd;
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as `stream` is borrowed, and TIOCOUTQ (SIOCOUTQ) writes exactly one int.
    let rc = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if rc == -1 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(bytes).unwrap_or(0)) }
}

#[cfg(not(target_os = "linux"))]
fn unacknowledged(_: &TcpStream) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

impl AsyncRead for TokioStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for TokioStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_have_the_options_of_their_listener() {
        let net = TokioNet::current();
        for nodelay in [false, true] {
            let accepted = SocketOptions { nodelay: Some(nodelay), notsent_lowat: Some(12_345), ..Default::default() };
            let addr = SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = net.bind(addr, ListenOptions { accepted, ..ListenOptions::default() }).await.unwrap();
            let _client = net.connect(listener.local_addr().unwrap(), SocketOptions::default()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(stream.inner.nodelay().unwrap(), nodelay);
            #[cfg(target_os = "linux")]
            assert_eq!(SockRef::from(&stream.inner).tcp_notsent_lowat().unwrap(), 12_345);
        }
    }

    /// All of 127.0.0.0/8 is loopback on Linux.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_comes_from_the_address_that_was_asked_for() {
        let net = TokioNet::current();
        let listener = net.bind(SocketAddr::from(([127, 0, 0, 1], 0)), ListenOptions::default()).await.unwrap();
        let from = |local: &str| SocketOptions { local: Some(local.parse().unwrap()), ..SocketOptions::default() };
        let client = net.connect(listener.local_addr().unwrap(), from("127.0.0.9")).await.unwrap();
        let (_stream, peer) = listener.accept().await.unwrap();
        assert_eq!((peer, peer.ip().to_string()), (client.local_addr().unwrap(), "127.0.0.9".to_owned()));
        // An address of documentation (RFC 5737), which no host has.
        let error = net.connect(listener.local_addr().unwrap(), from("192.0.2.1")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
