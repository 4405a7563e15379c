//! Whether a leg that nobody closed is still alive.

use std::time::Duration;

use tokio::time::Instant;
use wire::event::Why;

use crate::config::Health;

/// What came from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message of the feed.
    Data,
    /// Anything else: a greeting, a ping, a pong.
    Sign,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing; ask again at the instant given.
    Fine(Instant),
    /// Send a ping, and ask again at the instant given.
    Ping(Instant),
    /// Give the leg up.
    Dead(Why),
}

/// What is known of a leg when it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Now.
    pub now: Instant,
    /// Whether data may be expected at once, because the leg before it had data (or died of having none).
    pub data_expected: bool,
    /// How many legs in turn before it died without a single message of data.
    pub silent_legs: u32,
    /// Whether silence of data means anything on this leg: it does on a feed, not on a request-and-answer service.
    pub judges_data: bool,
}

/// Judges one leg. Made anew for each.
pub trait Judge: Send {
    /// Something came.
    fn heard(&mut self, now: Instant, what: Heard);
    /// Whether anything is subscribed on this leg, when that changes. It starts as false.
    fn subscribed(&mut self, now: Instant, anything: bool);
    /// What to do now. Asked at the instant that it named, or at any other.
    fn check(&mut self, now: Instant) -> Verdict;
}

/// Pings a silent source, and gives up one that neither answers nor, having sent data, sends any more.
#[derive(Clone, Copy, Debug)]
pub struct PingAndStale {
    health: Health,
    stale_after: Duration,
    judges_data: bool,
    last_heard: Instant,
    pinged: Option<Instant>,
    data_expected: bool,
    /// Since when data is owed: the last data, or the subscription.
    owed_since: Instant,
    subscribed: bool,
}

impl PingAndStale {
    /// A judge for a leg that opens now.
    #[must_use]
    pub fn new(health: Health, opening: Opening) -> Self {
        Self {
            health,
            stale_after: health.stale_after.saturating_mul(1 << opening.silent_legs.min(5)),
            judges_data: opening.judges_data,
            last_heard: opening.now,
            pinged: None,
            data_expected: opening.data_expected,
            owed_since: opening.now,
            subscribed: false,
        }
    }

    fn stale_at(&self) -> Option<Instant> {
        (self.judges_data && self.subscribed && self.data_expected).then(|| self.owed_since + self.stale_after)
    }
}

impl Judge for PingAndStale {
    fn heard(&mut self, now: Instant, what: Heard) {
        self.last_heard = now;
        self.pinged = None;
        if what == Heard::Data {
            self.data_expected = true;
            self.owed_since = now;
            // Data flows: whatever patience the silent legs before it had earned is over.
            self.stale_after = self.health.stale_after;
        }
    }

    fn subscribed(&mut self, now: Instant, anything: bool) {
        if anything && !self.subscribed {
            self.owed_since = now;
        }
        self.subscribed = anything;
    }

    fn check(&mut self, now: Instant) -> Verdict {
        let stale_at = self.stale_at();
        if stale_at.is_some_and(|at| now >= at) {
            return Verdict::Dead(Why::Stale);
        }
        let soonest = |at: Instant| stale_at.map_or(at, |stale| stale.min(at));
        match self.pinged {
            Some(at) if now >= at + self.health.pong_timeout => Verdict::Dead(Why::PingTimeout),
            Some(at) => Verdict::Fine(soonest(at + self.health.pong_timeout)),
            None if now >= self.last_heard + self.health.ping_interval => {
                self.pinged = Some(now);
                Verdict::Ping(soonest(now + self.health.pong_timeout))
            }
            None => Verdict::Fine(soonest(self.last_heard + self.health.ping_interval)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn judge(now: Instant, data_expected: bool, silent_legs: u32) -> PingAndStale {
        PingAndStale::new(Health::default(), Opening { now, data_expected, silent_legs, judges_data: true })
    }

    #[test]
    fn a_silent_peer_is_pinged_and_then_given_up() {
        let start = Instant::now();
        let mut judge = judge(start, false, 0);
        assert_eq!(judge.check(start), Verdict::Fine(start + S));
        assert_eq!(judge.check(start + S), Verdict::Ping(start + 3 * S));
        assert_eq!(judge.check(start + 2 * S), Verdict::Fine(start + 3 * S));
        assert_eq!(judge.check(start + 3 * S), Verdict::Dead(Why::PingTimeout));
    }

    #[test]
    fn a_pong_saves_the_leg_but_not_a_stale_feed() {
        let start = Instant::now();
        let mut judge = judge(start, false, 0);
        judge.subscribed(start, true);
        judge.heard(start, Heard::Data);
        assert!(matches!(judge.check(start + S), Verdict::Ping(_)));
        judge.heard(start + S, Heard::Sign);
        assert_eq!(judge.check(start + S), Verdict::Fine(start + 2 * S));
        assert_eq!(judge.check(start + 2 * S), Verdict::Dead(Why::Stale));
    }

    #[test]
    fn silence_means_nothing_before_the_first_data_or_without_subscriptions() {
        let start = Instant::now();
        let mut fresh = judge(start, false, 0);
        fresh.subscribed(start, true);
        assert!(!matches!(fresh.check(start + 2 * S), Verdict::Dead(_)));
        let mut idle = judge(start, true, 0);
        idle.heard(start, Heard::Data);
        assert!(!matches!(idle.check(start + 2 * S), Verdict::Dead(_)));
        idle.subscribed(start + 2 * S, true);
        idle.heard(start + 3 * S, Heard::Sign);
        assert_eq!(idle.check(start + 4 * S), Verdict::Dead(Why::Stale));
    }

    #[test]
    fn silent_legs_in_turn_earn_patience_until_data_comes() {
        let start = Instant::now();
        let mut patient = judge(start, true, 2);
        patient.subscribed(start, true);
        patient.heard(start + 7 * S, Heard::Sign);
        assert!(!matches!(patient.check(start + 7 * S), Verdict::Dead(_)));
        assert_eq!(patient.check(start + 8 * S), Verdict::Dead(Why::Stale));
        patient.heard(start + 8 * S, Heard::Data);
        assert_eq!(patient.check(start + 10 * S), Verdict::Dead(Why::Stale));
    }
}
