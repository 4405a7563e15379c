//! Who arrives, when, and what each client does.

use std::net::IpAddr;
use std::time::Duration;

use crate::behaviour::Behaviour;
use wire::feed::Protocol;
use wire::id::{ClientId, Symbol};
use wire::net::SocketOptions;
use wire::ws::Limits;

use crate::arrival::Arrival;
use crate::publish::Publishers;
use crate::subscriptions::Subscriptions;
use crate::tls::Trust;

/// A population of virtual clients. [`Config::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The number of the first client; the others follow. Default 0.
    pub first: ClientId,
    /// How many. Default 1.
    pub clients: u32,
    /// `ws://` or `wss://` URLs, at least one. Client i starts at place i mod len, and moves on to the next when a dial fails or the peer ends its session.
    /// `wss://` is for real sockets: it draws its keys and reads the time from the operating system, not from its [`Network`](wire::net::Network), so that a simulated world with it
    /// is not the same twice.
    pub targets: Vec<String>,
    /// Who decides when load comes: a plan, or the answers. Default [`Load::default`].
    pub load: Load,
    /// From the start of the run to the first planned arrival. Default 0.
    pub start_after: Duration,
    /// From the first planned arrival until every client that is left closes with 1000. Default 30 s.
    pub duration: Duration,
    /// From the last planned arrival to the measured window, which lasts to the end. Default 0.
    pub warm_up: Duration,
    /// The length of the measured window: then the run ends at the last planned arrival + `warm_up` + this, whatever `duration` says. Default None.
    pub window: Option<Duration>,
    /// The share of clients, 0 to 1, spread evenly over the numbers, that read and check all; the others only count messages and bytes, and cost little. Those are
    /// not told of as subscribed. Default 1.
    pub verify: f64,
    /// Ticks that are checked and no older than this at their delivery are counted apart. Default None.
    pub objective: Option<Duration>,
    /// Addresses to connect from, taken in turn, for more connections to a target than an address has ports. Default none: as the host routes.
    pub source_addresses: Vec<IpAddr>,
    /// Whose certificates are good at `wss://` targets. Default None: [`Trust::public`].
    pub trust: Option<Trust>,
    /// Whether strong clients are picked alike over targets and shards, as those who check are; or by their number alone, which at two targets and half of the clients are all those of one.
    /// Default false: recorded worlds know who is strong.
    pub strong_alike: bool,
    /// What to subscribe to (v1 and v2). Default: `S0000` to `S0009`.
    pub symbols: Vec<Symbol>,
    /// Which of them each client wants, drawn by key. Default [`Subscriptions::All`].
    pub subscriptions: Subscriptions,
    /// What the target speaks. Default v1. With [`Protocol::V2`] plain clients log in and then subscribe; strong ones have one form of request, whatever the
    /// source speaks. With [`Protocol::Raw`] nothing is asked for.
    pub protocol: Protocol,
    /// The share of clients that offer `windtunnel.v1`, 0 to 1, spread evenly over the numbers. Default 0.
    pub strong: f64,
    /// Whether a strong client that comes again goes on where it stood: it names its last (epoch, seq) of each symbol, and what it misses from there on counts,
    /// unless it is told of. Says nothing without [`Config::reconnect`]. Default false.
    pub resume: bool,
    /// The user key of v1 and v2. Default `load`.
    pub user_key: String,
    /// The feed's seed, to check every payload byte. Default None: payloads are only read.
    pub seed: Option<u64>,
    /// How fast clients read. Default [`Reader::Full`].
    pub reader: Reader,
    /// What a client does after a failed dial or a session that the peer ended. Default None: it stays away.
    pub reconnect: Option<Reconnect>,
    /// Length of each request to an echo, in bytes; at least 20 (the request's number). Default 64.
    pub request_bytes: usize,
    /// Whether a request of an open loop waits for the answer to the one before: it goes late then, and its latency counts from its plan all the same. Default false.
    pub one_at_a_time: bool,
    /// Clients whose messages others get through the target; needs [`Protocol::Raw`] and a load that says how often. Default None: requests are for an echo.
    pub publishers: Option<Publishers>,
    /// What each client says once its session is open (raw): to join a room, say. Default: nothing.
    pub hello: Vec<String>,
    /// What clients do beside listening. Default [`Behaviour::default`].
    pub behaviour: Behaviour,
    /// Options of the clients' sockets. Default: Nagle off, the rest the kernel's.
    pub socket: SocketOptions,
    /// Name lookup, TCP connect, TLS and WebSocket handshake together. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long our Close waits for the peer's. Default 1 s.
    pub close_timeout: Duration,
    /// Bounds of each session. Default [`Limits::default`].
    pub limits: Limits,
}

impl Config {
    /// One client of these targets, with the default of every other field.
    #[must_use]
    pub fn new(targets: Vec<String>) -> Self {
        Self {
            first: ClientId(0),
            clients: 1,
            targets,
            load: Load::default(),
            start_after: Duration::ZERO,
            duration: Duration::from_secs(30),
            warm_up: Duration::ZERO,
            window: None,
            verify: 1.0,
            objective: None,
            source_addresses: Vec::new(),
            strong_alike: false,
            trust: None,
            symbols: (0..10).map(Symbol::numbered).collect(),
            subscriptions: Subscriptions::All,
            protocol: Protocol::V1,
            strong: 0.0,
            resume: false,
            user_key: "load".to_owned(),
            seed: None,
            reader: Reader::Full,
            reconnect: None,
            request_bytes: 64,
            one_at_a_time: false,
            publishers: None,
            hello: Vec::new(),
            behaviour: Behaviour::default(),
            socket: SocketOptions { nodelay: Some(true), ..SocketOptions::default() },
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(1),
            limits: Limits::default(),
        }
    }

    /// Whether the client of this number offers the strong contract.
    pub(crate) fn is_strong(&self, client: ClientId) -> bool {
        is_of(self.strong, client)
    }
}

/// Whether a client is among a share of all: the i-th is where `i * share` passes a whole number.
fn is_of(share: f64, client: ClientId) -> bool {
    let share = share.clamp(0.0, 1.0);
    let passed = |i: f64| (i * share + 1e-9).floor();
    passed(f64::from(client.0) + 1.0) > passed(f64::from(client.0))
}

/// How fast a client takes bytes from its socket. What it leaves fills the kernel's buffers, and then the sender waits: real back-pressure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reader {
    /// As fast as they come.
    #[default]
    Full,
    /// At most so many bytes a second; at least 1.
    BytesPerSecond(u64),
    /// Not at all, from so long after the connection was made.
    Stopped {
        /// Since the TCP connection was made.
        after: Duration,
    },
    /// Not at all for a time; then as fast as they come.
    Pause {
        /// Since the TCP connection was made.
        after: Duration,
        /// For how long.
        for_: Duration,
    },
}

/// Trying again: before attempt k the client waits a time drawn from `[0, min(cap, base * 2^k))` ("full jitter"). The count starts anew when a session
/// brings a message, so that a server which accepts and closes at once is not hammered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// Default 500 ms.
    pub base: Duration,
    /// Default 30 s.
    pub cap: Duration,
    /// Attempts in a row without a message, after which the client stays away. Default 100.
    pub attempts_max: u32,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { base: Duration::from_millis(500), cap: Duration::from_secs(30), attempts_max: 100 }
    }
}

/// Who decides when load comes. The two are told apart because they answer different questions: an open loop shows what a slow server does to those who come
/// anyway; in a closed one a slow server slows its own load, and nobody waits longer for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// A plan, whatever the server does.
    Open {
        /// When clients arrive.
        arrival: Arrival,
        /// Requests of each client to an echo, per second; above 0. Request n of a session is planned at a fixed instant, and its latency counts from there,
        /// whenever it could really be sent. None: it sends none.
        requests_per_s: Option<f64>,
        /// From a client's planned arrival until it closes with 1000 and stays away. None: to the end.
        stay: Option<Duration>,
        /// How long a session lasts until its client closes it with 1000 and comes again, as after a loss: each a time of its own, drawn evenly between half
        /// and one and a half times this. Says nothing without [`Config::reconnect`]. None: to the end.
        session: Option<Duration>,
    },
    /// The answers, and those who leave: a population is held.
    Closed {
        /// The population arrives evenly over this time.
        ramp: Duration,
        /// From an answer of an echo to the client's next request, and from the opening to its first: each a time of its own, drawn evenly between half and
        /// one and a half times this. One request of a client is under way at a time, and its latency counts from when it was sent. None: it sends none.
        think: Option<Duration>,
        /// How long a client stays, drawn likewise, until it closes with 1000 and another takes its place and its number at once: with symbols of its own, and
        /// nothing to resume. None: to the end.
        session: Option<Duration>,
    },
}

impl Default for Load {
    /// A plan: all at once, and they only listen.
    fn default() -> Self {
        Self::Open { arrival: Arrival::default(), requests_per_s: None, stay: None, session: None }
    }
}

impl Load {
    /// When clients arrive.
    #[must_use]
    pub fn arrival(self) -> Arrival {
        match self {
            Self::Open { arrival, .. } => arrival,
            Self::Closed { ramp, .. } => Arrival::Ramp { over: ramp },
        }
    }

    /// How long a session lasts, about.
    #[must_use]
    pub fn session(self) -> Option<Duration> {
        match self {
            Self::Open { session, .. } | Self::Closed { session, .. } => session,
        }
    }

    /// Whether clients send requests to an echo, in place of a subscription.
    #[must_use]
    pub fn asks(self) -> bool {
        match self {
            Self::Open { requests_per_s, .. } => requests_per_s.is_some(),
            Self::Closed { think, .. } => think.is_some(),
        }
    }
}

/// Why a run does not begin. All are the caller's to mend.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no target.
    #[error("no target given")]
    NoTarget,
    /// A target is not a `ws://` or `wss://` URL with a host.
    #[error("bad target {url:?}: {why}")]
    BadTarget {
        /// The text.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// A field is out of its range.
    #[error("{field} is out of range: {why}")]
    OutOfRange {
        /// The field's name.
        field: &'static str,
        /// Its range.
        why: &'static str,
    },
}
