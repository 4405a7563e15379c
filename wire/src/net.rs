//! The seam: one trait between a program and the world that it runs in.
//!
//! ```text
//!     proxy::serve   mock_upstream::serve   loadgen::run       the same functions
//!              \             |              /
//!               trait Network  (bind, connect, lookup, spawn, wall clock, draws)
//!              /             |              \
//!     net::tokio        sim::net         sim::turmoil          kernel sockets, our simulator, turmoil
//! ```
//!
//! A program takes its network as a value and is generic over it at the rim only (`serve`, connection tasks). Time is `tokio::time` in every
//! world; the simulator pauses it.

mod task;
mod tokio_net;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

pub use self::task::{Abort, Task, TaskEnded, TaskGuard};
pub use self::tokio_net::{TokioListener, TokioNet, TokioStream};
use crate::draw::Draws;

/// A world with a network: kernel sockets or a simulated host. Cloning is cheap; all clones speak for the same host.
pub trait Network: Clone + Debug + Send + Sync + 'static {
    /// An established connection.
    type Stream: ByteStream;
    /// A bound, listening socket.
    type Listener: Listener<Stream = Self::Stream>;

    /// Binds and listens. Port 0 picks a free port; [`Listener::local_addr`] tells which.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied`, as the kernel gives them.
    fn bind(&self, addr: SocketAddr, options: ListenOptions)
    -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Opens a connection. It has no deadline of its own beyond the kernel's SYN retries (about 127 s): wrap it in `tokio::time::timeout`.
    /// Dropping the future abandons the attempt and leaks nothing.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `AddrNotAvailable` (no port left, or no such local address), `ConnectionReset`, `HostUnreachable`.
    fn connect(
        &self,
        addr: SocketAddr,
        options: SocketOptions,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Resolves a host name (or an address in text) to at least one address, in the resolver's order.
    ///
    /// # Errors
    /// `NotFound` where the name does not resolve; other kinds as the resolver gives them.
    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Runs a future as a task of this host on the shard of the caller's choice, `0..self.shards()` (taken modulo). A task whose handle is dropped
    /// goes on: use [`Task::guard`] to end it with its owner. `name` stands in reports of stuck tasks.
    fn spawn_on<F>(&self, shard: usize, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Runs a future as a task of this host, on shard 0.
    fn spawn<F>(&self, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(0, name, future)
    }

    /// Lets the other tasks run that are ready, and those, too, that the network has news for.
    fn give_way(&self) -> impl Future<Output = ()> + Send {
        task::give_way()
    }

    /// How many shards (event loops on cores of their own) this world offers, at least 1. The simulator runs all of them on its one thread, so
    /// the multi-core path is simulated too.
    fn shards(&self) -> usize;

    /// The host's wall clock. It may jump and drift: never measure an interval with it.
    fn wall_clock(&self) -> WallTime;

    /// The stream of random draws for `purpose` of `entity`: drawn from the seed in the simulator, from a seed of the operating system's in
    /// production. Equal keys give equal draws.
    fn draws(&self, purpose: &str, entity: u64) -> Draws;
}

/// A listening socket.
pub trait Listener: Debug + Send + 'static {
    /// What [`Listener::accept`] gives.
    type Stream: ByteStream;

    /// Waits for the next connection. Cancel-safe: a dropped future loses no connection.
    ///
    /// # Errors
    /// Errors of one connection or of the moment (`ConnectionAborted`, too many open files): go on accepting after a short pause.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// The address that it is bound to.
    ///
    /// # Errors
    /// As the kernel gives them.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A connection's bytes. Vectored writes are `AsyncWrite`'s own.
///
/// Dropping it closes it as a process's end would: FIN after the bytes accepted so far, or RST where received bytes were left unread.
/// `poll_shutdown` is a half-close: the peer reads to the end, and may go on writing.
pub trait ByteStream: AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static {
    /// Our end.
    ///
    /// # Errors
    /// `NotConnected` after an abort.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The peer's end.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Sets options on a live connection. Buffer sizes may be rounded by the world.
    ///
    /// # Errors
    /// As the kernel gives them.
    fn set_options(&self, options: SocketOptions) -> io::Result<()>;

    /// Bytes that we wrote and the peer's kernel has not acknowledged: what a stalled peer hides.
    ///
    /// # Errors
    /// `Unsupported` where the world cannot tell.
    fn unacknowledged(&self) -> io::Result<usize>;

    /// Closes at once with RST; bytes not yet delivered are lost.
    fn abort(self);
}

/// Options of a connection. The default leaves all to the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// Bytes that the kernel accepts before a write waits (`SO_SNDBUF`; Linux doubles it). None: the kernel's own, which tunes itself up to megabytes.
    pub send_buffer: Option<usize>,
    /// Bytes that the kernel keeps unread (`SO_RCVBUF`; Linux doubles it). Set it before connecting or on the listener: it sizes the window.
    pub recv_buffer: Option<usize>,
    /// Send small segments at once (`TCP_NODELAY`). None: the world's default, which is off.
    pub nodelay: Option<bool>,
    /// Not writable while this many bytes wait unsent (`TCP_NOTSENT_LOWAT`): keeps stale data in user space, where it can be conflated.
    pub notsent_lowat: Option<u32>,
    /// The address to connect from, for more connections to one target than one address has ports. None: as the host routes. Says nothing of a socket that listens
    /// or is connected already. A simulated host has one address beside loopback: another is `AddrNotAvailable`.
    pub local: Option<IpAddr>,
}

/// Options of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that wait to be accepted; beyond it a SYN is dropped and tried again by the client after 1, 3, 7 s. Default 1024.
    pub backlog: u32,
    /// Several listeners on one address, one a shard (`SO_REUSEPORT`). Default off.
    pub reuse_port: bool,
    /// Options that accepted connections inherit.
    pub accepted: SocketOptions,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 1024, reuse_port: false, accepted: SocketOptions::default() }
    }
}

/// A reading of a wall clock: microseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct WallTime(pub u64);

impl WallTime {
    /// Microseconds since the epoch.
    #[must_use]
    pub fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
