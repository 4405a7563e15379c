//! Publishers: clients whose messages others get through what is loaded, and what all of one run share for it.
//!
//! ```text
//!   publisher --- message: run, publisher, number, planned and sent instant ---> target ---> subscribers: age, order, gaps
//!        \------------- how many it has sent so far (Board) ----------------------------------------^
//! ```
//!
//! All are in one process and have one clock: an age is exact, and so is what was lost, that at the end of the stream among it.

mod audit;
mod message;
mod plan;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wire::id::ClientId;

pub(crate) use self::audit::{Audit, Received, Took};
pub(crate) use self::message::{Found, Letter, MARK, REST_MAX, read};
pub(crate) use self::plan::{Plan, Publication};

/// Stands in an envelope for the message.
pub const PLACE: &str = "{message}";

/// Clients that publish, among all. How often and how long says [`Load`](crate::Load) and [`Config::request_bytes`](crate::Config::request_bytes): the messages take the place of requests
/// to an echo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publishers {
    /// How many of the clients, spread evenly over targets and shards. At least 1.
    pub count: u32,
    /// Whether they are subscribers, too, of what others publish. Default false: what comes to them is read, and not missed where it does not come.
    pub listen: bool,
    /// How long a message may be on its way before it counts as lost, and a client to join: the first is published so long after the last planned arrival (where the window
    /// begins, too, unless the warm-up is longer), a subscriber is owed what is sent so long after it opened, and the run goes on so long after the window. Default 1 s.
    pub settle: Duration,
    /// What a publisher says, with [`PLACE`] once, where the message stands; together they must fit a message. Default None: the message alone.
    pub envelope: Option<String>,
}

impl Publishers {
    /// So many, with the default of every other field.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self { count, listen: false, settle: Duration::from_secs(1), envelope: None }
    }
}

/// What publishers and subscribers of one run share.
#[derive(Debug)]
pub(crate) struct Board {
    /// Tells the messages of this run from those of others.
    pub(crate) run: u64,
    /// What instants in messages count from.
    pub(crate) origin: Instant,
    /// Publications are planned in this span.
    pub(crate) from: Instant,
    pub(crate) until: Instant,
    /// When the run is over, and everything has come that will.
    pub(crate) ends: Instant,
    pub(crate) settle: Duration,
    /// The publishers, by their place in messages.
    pub(crate) clients: Vec<ClientId>,
    /// How many messages each has sent.
    sent: Vec<AtomicU64>,
}

impl Board {
    pub(crate) fn new(
        run: u64,
        [origin, from, until, ends]: [Instant; 4],
        settle: Duration,
        clients: Vec<ClientId>,
    ) -> Self {
        let sent = clients.iter().map(|_| AtomicU64::new(0)).collect();
        Self { run, origin, from, until, ends, settle, clients, sent }
    }

    /// The number of this publisher's next message, the first is 1. From now on it is owed to who listens.
    pub(crate) fn take(&self, publisher: u32) -> u64 {
        self.sent[publisher as usize].fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether this publisher sent a message of this number. What a target says is not believed: its hash has no key.
    pub(crate) fn has_sent(&self, publisher: u32, n: u64) -> bool {
        self.sent.get(publisher as usize).is_some_and(|sent| (1..=sent.load(Ordering::Acquire)).contains(&n))
    }

    /// How many messages each has sent.
    pub(crate) fn sent(&self) -> Vec<u64> {
        self.sent.iter().map(|sent| sent.load(Ordering::Acquire)).collect()
    }

    /// Microseconds since the origin.
    pub(crate) fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_micros()).unwrap_or(u64::MAX)
    }

    /// The instant so many microseconds after the origin, if it is one.
    pub(crate) fn instant(&self, micros: u64) -> Option<Instant> {
        self.origin.checked_add(Duration::from_micros(micros))
    }
}
