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

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    /// When each sent the newest of them.
    recent: Vec<Mutex<VecDeque<Instant>>>,
}

impl Board {
    pub(crate) fn new(
        run: u64,
        [origin, from, until, ends]: [Instant; 4],
        settle: Duration,
        clients: Vec<ClientId>,
    ) -> Self {
        let sent = clients.iter().map(|_| AtomicU64::new(0)).collect();
        let recent = clients.iter().map(|_| Mutex::default()).collect();
        Self { run, origin, from, until, ends, settle, clients, sent, recent }
    }

    /// The number of this publisher's next message, the first is 1. From now on it is owed to who listens.
    pub(crate) fn take(&self, publisher: u32, now: Instant) -> u64 {
        let mut recent = lock(&self.recent[publisher as usize]);
        recent.push_back(now);
        // Nobody asks when those were sent that are older than `settle`; twice that, as threads look at the clock one after the other.
        while recent.front().is_some_and(|at| now.saturating_duration_since(*at) / 2 > self.settle) {
            recent.pop_front();
        }
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

    /// How many messages each had sent one `settle` before now: they have had the time to come.
    pub(crate) fn settled(&self, now: Instant) -> Vec<u64> {
        let young = |at: &Instant| now.saturating_duration_since(*at) < self.settle;
        let publishers = self.sent.iter().zip(&self.recent);
        let settled = publishers.map(|(sent, recent)| {
            // Held while the count is read: the two belong together.
            let recent = lock(recent);
            sent.load(Ordering::Acquire) - recent.iter().rev().take_while(|at| young(at)).count() as u64
        });
        settled.collect()
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

fn lock(recent: &Mutex<VecDeque<Instant>>) -> MutexGuard<'_, VecDeque<Instant>> {
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_one_settle_ago_is_known_at_any_time() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let clients = vec![ClientId(0), ClientId(1)];
        let board = Board::new(7, [now, now, now + ms(9_000), now + ms(10_000)], ms(1_000), clients);
        // One a tenth of a second; the other is silent.
        for n in 0..50 {
            assert_eq!(board.take(0, now + ms(100 * n)), n + 1);
        }
        assert_eq!(board.sent(), [50, 0]);
        let at = now + ms(4_900);
        assert_eq!((board.settled(at), board.settled(at + ms(99))), (vec![40, 0], vec![40, 0]));
        assert_eq!((board.settled(at + ms(100)), board.settled(at + ms(5_000))), (vec![41, 0], vec![50, 0]));
    }
}
