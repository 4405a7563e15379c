//! What goes wrong, as plain data: a kind, a target, a start and a stop.
//!
//! ```text
//!   Fault { kind, target, start, stop }  --  Setup::faults(plan)              at its times, by itself
//!           kind, target                 --  Control::inject -> FaultId       now;  Control::lift(id) ends it
//! ```
//!
//! Each fault is counted by itself: two that overlap on one target add up, and each ends alone. A host that two faults have killed starts again
//! when both are over; a link with two delays has the sum of them, with two rates the smaller, with two losses both.

mod apply;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::apply::{Due, carry_out, inject, lift, resolve, schedule, switch};
use crate::config::Latency;
use crate::engine::NotExpressible;

/// One fault with its times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// When it begins, since the run did.
    pub start: Duration,
    /// When it ends; None: it lasts to the end of the run. Kinds that are over at once ([`FaultKind::is_instant`]) need none.
    #[serde(default)]
    pub stop: Option<Duration>,
    /// Whom it hits.
    pub target: Target,
    /// What happens.
    pub kind: FaultKind,
}

/// The faults of a run, in any order.
pub type FaultPlan = Vec<Fault>;

/// A fault that was injected and may be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(pub(crate) u32);

/// Whom a fault hits, by the names of hosts. A name that ends in `*` means all hosts whose names begin so.
///
/// In text: `server` (a host; for what happens to links, all links of it), `client/server` (a link, both ways), `client>server` (one way: what
/// `client` sends to `server`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    /// A host, or each link that it has.
    Host(String),
    /// Both ways between two.
    Link(String, String),
    /// From the first to the second.
    Way(String, String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => f.write_str(host),
            Self::Link(a, b) => write!(f, "{a}/{b}"),
            Self::Way(from, to) => write!(f, "{from}>{to}"),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = FaultError;

    fn try_from(text: String) -> Result<Self, FaultError> {
        text.parse()
    }
}

impl FromStr for Target {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let parts: Vec<&str> = text.split(['/', '>']).map(str::trim).collect();
        match *parts.as_slice() {
            [host] if !host.is_empty() => Ok(Self::Host(host.to_owned())),
            [a, b] if !a.is_empty() && !b.is_empty() && text.contains('/') => {
                Ok(Self::Link(a.to_owned(), b.to_owned()))
            }
            [a, b] if !a.is_empty() && !b.is_empty() => Ok(Self::Way(a.to_owned(), b.to_owned())),
            _ => Err(FaultError::NoTarget(text.to_owned())),
        }
    }
}

/// A fault that this world cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The text is none of `host`, `a/b`, `a>b`.
    #[error("\"{0}\" is no target: write a host, a link \"a/b\" or one way of it \"a>b\"")]
    NoTarget(String),
    /// No host has that name.
    #[error("no host is named {0}")]
    NoHost(String),
    /// What happens to a host was asked of a link.
    #[error("{kind} hits a host, not the link {target}")]
    NotALink {
        /// The kind's word.
        kind: &'static str,
        /// The target in text.
        target: String,
    },
    /// The engine has no way to do it.
    #[error(transparent)]
    NotExpressible(#[from] NotExpressible),
    /// The target has no link: it names one host, twice.
    #[error("there is no link in {0}")]
    NoLink(String),
}

/// What can go wrong. Toxiproxy's name stands where it has one; there a "toxic" sits on a connection's way, here on a way between two hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The process dies (SIGKILL): its kernel sends FIN, or RST where received bytes were not read. At the end it starts again.
    Kill,
    /// The machine goes dark: what it was sending is lost, its peers hear nothing. At the end it boots and answers old connections with RST.
    PowerOff,
    /// The process dies and starts again at the same instant. Over at once.
    Restart,
    /// The process is not scheduled (SIGSTOP); its kernel lives on. At the end it goes on (SIGCONT).
    Freeze,
    /// The CPU is slower. Where it costs something ([`crate::ServiceTime`]), network work costs `times` as much. Where it is free, the process
    /// runs for one `times`-th of each `period` and stands still for the rest, beginning with a run.
    SlowHost {
        /// How many times slower, above 1.
        times: f64,
        /// One turn of running and standing, at least 2 ms for exact times (the runtime's timers know whole milliseconds).
        period: Duration,
    },
    /// The wall clock is off by so many microseconds. At the end it is right again. Timers are not affected.
    ClockJump {
        /// Microseconds, negative: behind.
        by_us: i64,
    },
    /// The wall clock gains so many microseconds in each second. At the end it is set right.
    ClockDrift {
        /// Parts per million, negative: it loses.
        ppm: i32,
    },
    /// Accept queues hold no more than this (net.core.somaxconn): requests beyond vanish and are tried again after 1, 3, 7 s.
    Backlog {
        /// The backlog; as in Linux, one more fits in.
        at_most: u32,
    },
    /// The process may hold so many sockets (RLIMIT_NOFILE): beyond, accept, connect and bind fail with EMFILE. A connection that could not be
    /// accepted waits in the backlog.
    Descriptors {
        /// Sockets, those that it holds already among them.
        at_most: u32,
    },
    /// Connection requests are answered with RST, whoever listens. Established connections go on. Toxiproxy: a proxy that is not enabled.
    Refuse,
    /// Connection requests vanish. Established connections go on.
    BlackHole,
    /// Connection requests are granted and the connection is closed at once, before the listener sees it: a balancer without a back end.
    AcceptClose,
    /// The name does not resolve (NXDOMAIN).
    Nxdomain,
    /// The name resolves after a delay.
    SlowLookup {
        /// How long it takes; rounded up to whole milliseconds.
        delay: Duration,
    },
    /// Nothing passes, what is on the way is lost. Established connections stall and lose nothing: the sender tries again at growing intervals.
    /// Connection requests vanish.
    Partition,
    /// Nothing arrives, nothing is lost: at the end all that was held arrives at once, in order.
    Stall,
    /// Each segment takes longer, by a draw of `latency` and one of 0 to `jitter`. Segments of a connection keep their order. Toxiproxy: `latency`.
    Latency {
        /// What is added.
        latency: Latency,
        /// And up to this, evenly.
        jitter: Duration,
    },
    /// The link carries so much at most. Toxiproxy: `bandwidth`.
    Bandwidth {
        /// Bits per second of payload.
        bits_per_s: u64,
        /// Bytes that may wait for it; a segment beyond is lost and sent again.
        queue_bytes: u64,
    },
    /// Segments are lost, each independently, and sent again after the retransmission time-out, which doubles with each try.
    Loss {
        /// Share, 0 to 1.
        share: f64,
    },
    /// Losses come in bursts: the link is good and bad in turn, each for an exponentially distributed time (Gilbert 1960, Elliott 1963, in
    /// continuous time). It begins good.
    BurstLoss {
        /// Mean time of a good spell.
        good: Duration,
        /// Mean time of a bad one.
        bad: Duration,
        /// Share lost in a good spell.
        loss_good: f64,
        /// Share lost in a bad one.
        loss_bad: f64,
    },
    /// Bytes arrive in small pieces with a pause between. Toxiproxy: `slicer`.
    Slicer {
        /// Bytes of a piece on average, at least 1.
        size: u32,
        /// How much larger or smaller it may be.
        variation: u32,
        /// Between two pieces.
        delay: Duration,
    },
    /// The end of a stream (FIN) arrives later. Toxiproxy: `slow_close`.
    SlowClose {
        /// How much later.
        delay: Duration,
    },
    /// Bytes and ends stop arriving; after a while each connection is closed from the middle: both ends read the end of the stream, and who writes
    /// then gets RST. Bytes that waited are lost with it. Toxiproxy: `timeout`.
    Timeout {
        /// After the fault began or the connection was opened. None: never; what waited arrives at the end.
        closes_after: Option<Duration>,
    },
    /// Each connection is closed from the middle after so many bytes. Toxiproxy: `limit_data`.
    LimitData {
        /// Bytes that arrive in one direction since the fault began.
        bytes: u64,
    },
    /// Each connection is reset at both ends after so many bytes. With 0, those that are open at once, and those that open later with their first
    /// byte. What had arrived can still be read. Toxiproxy: `reset_peer`.
    ResetPeer {
        /// Bytes that arrive in one direction since the fault began.
        bytes: u64,
    },
    /// The host forgets its connections and says nothing (its kernel has given up: `TimedOut`); the peer hears of it when it sends. Over at once.
    HalfOpen,
}

/// What a kind happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// A host.
    Host,
    /// What travels, both ways of a host's links.
    Links,
    /// Who opens connections or looks up names: the ways towards a host.
    Towards,
    /// What a host knows of its connections: the ways from it.
    From,
}

impl FaultKind {
    /// The word in files and records.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::PowerOff => "power-off",
            Self::Restart => "restart",
            Self::Freeze => "freeze",
            Self::SlowHost { .. } => "slow-host",
            Self::ClockJump { .. } => "clock-jump",
            Self::ClockDrift { .. } => "clock-drift",
            Self::Backlog { .. } => "backlog",
            Self::Descriptors { .. } => "descriptors",
            Self::Refuse => "refuse",
            Self::BlackHole => "black-hole",
            Self::AcceptClose => "accept-close",
            Self::Nxdomain => "nxdomain",
            Self::SlowLookup { .. } => "slow-lookup",
            Self::Partition => "partition",
            Self::Stall => "stall",
            Self::Latency { .. } => "latency",
            Self::Bandwidth { .. } => "bandwidth",
            Self::Loss { .. } => "loss",
            Self::BurstLoss { .. } => "burst-loss",
            Self::Slicer { .. } => "slicer",
            Self::SlowClose { .. } => "slow-close",
            Self::Timeout { .. } => "timeout",
            Self::LimitData { .. } => "limit-data",
            Self::ResetPeer { .. } => "reset-peer",
            Self::HalfOpen => "half-open",
        }
    }

    /// What it happens to, if the target is a host.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Kill
            | Self::PowerOff
            | Self::Restart
            | Self::Freeze
            | Self::SlowHost { .. }
            | Self::ClockJump { .. }
            | Self::ClockDrift { .. }
            | Self::Backlog { .. }
            | Self::Descriptors { .. } => Scope::Host,
            Self::Refuse | Self::BlackHole | Self::AcceptClose | Self::Nxdomain | Self::SlowLookup { .. } => {
                Scope::Towards
            }
            Self::HalfOpen => Scope::From,
            Self::Partition
            | Self::Stall
            | Self::Latency { .. }
            | Self::Bandwidth { .. }
            | Self::Loss { .. }
            | Self::BurstLoss { .. }
            | Self::Slicer { .. }
            | Self::SlowClose { .. }
            | Self::Timeout { .. }
            | Self::LimitData { .. }
            | Self::ResetPeer { .. } => Scope::Links,
        }
    }

    /// Whether it is over as soon as it has begun.
    #[must_use]
    pub fn is_instant(&self) -> bool {
        matches!(self, Self::Restart | Self::HalfOpen)
    }

    /// How far it has put a wall clock off, in microseconds, when it is in force for so many microseconds.
    pub(crate) fn clock_error_us(&self, for_us: u64) -> i64 {
        match *self {
            Self::ClockJump { by_us } => by_us,
            Self::ClockDrift { ppm } => {
                let gained = i128::from(for_us) * i128::from(ppm) / 1_000_000;
                i64::try_from(gained).unwrap_or(if ppm < 0 { i64::MIN } else { i64::MAX })
            }
            _ => 0,
        }
    }
}

/// A fault that began or ended, as a report tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultEvent {
    /// Virtual microseconds since the start.
    pub at_us: u64,
    /// Which: the number that its trace events bear as their connection.
    pub id: u32,
    /// [`FaultKind::word`].
    pub kind: &'static str,
    /// The target in text.
    pub target: String,
    /// Whether it begins or ends.
    pub begins: bool,
}
