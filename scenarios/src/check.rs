//! Checkers: streaming automata that see events and say what was broken.
//!
//! ```text
//!   wire::event::Event --> Bench --> [Checker, Checker, ...] --> reports::record::Invariant
//! ```
//!
//! A checker sees only the record (what sources, clients and the driver show; the proxy's own account where nothing outside can show it), so it judges a
//! simulated run, a run over sockets and an old file alike. It counts its real checks: an invariant that was never checked is inconclusive, not green.
//! Each is proven by a mutant that it catches.

mod admission;
mod border;

mod client_memory;
mod close_codes;
mod convergence;
mod delivery_latency;
mod drain;
mod even_spread;
mod facts;
mod failover_time;
mod fair_turns;
mod first_tick;
mod gentle_rebalance;
mod handshake_bounds;
mod health;
mod homes;
mod host_leaks;
mod isolation;
mod latency;
mod latency_fairness;
mod ledger;
mod legs;
mod metrics_truth;
mod no_client_close;
mod no_duplicates;
mod no_leakage;
mod no_loss;
mod no_silent_gap;
mod nothing_leaks;
mod objectives;
mod open_legs;
mod payload_intact;
mod ping_pong;
mod preamble;
mod quota;
mod recovery;
mod reload;
mod resume_all_or_nothing;
mod seen;
mod slow_policy;
mod slow_start;
mod snapshot_then_live;
#[cfg(test)]
mod speed;
mod staleness;
mod strictness;
mod subscription_answers;
mod subscription_dedup;
mod symbol_order;
mod taken;
#[cfg(test)]
mod testing;
mod upstream_caps;
mod upstream_connections;
mod upstream_dials;

use reports::record::{Invariant, Outcome, Violation};
use wire::event::Event;

pub use self::facts::{Drain, Facts, Offender, Periods};
use self::ledger::Ledger;
pub use self::ledger::{NONE, Origin};
pub use self::objectives::life::{CloseCodes, Drains, HandshakeBounds, PingPong, Preamble, Quota, Reloads, Strictness};
pub use self::objectives::{
    Admission, ClientMemory, Convergence, DeliveryLatency, EvenSpread, FailoverTime, FairTurns, FirstTick, FromPhase,
    GentleRebalance, HostLeaks, Isolation, LatencyFairness, NoClientClose, NothingLeaks, Objectives, Plain, Recovery,
    Share, SlowStart, Staleness, SubscriptionAnswers, SubscriptionDedup, SymbolFairness, UpstreamCaps,
    UpstreamConnections, UpstreamDials, build,
};

/// The most violations kept of one invariant; the rest are counted.
pub const VIOLATIONS_MAX: usize = 20;

/// One invariant, watched.
pub trait Checker: Send {
    /// Takes the next event. `findings` counts checks and takes violations.
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings);

    /// The record is over at `end`. One line on the figure that was measured against its bound.
    fn finish(&mut self, end: At, findings: &mut Findings) -> String;

    /// The time that it measured, in microseconds, where that is of use by itself.
    fn measured_us(&self) -> Option<u64> {
        None
    }
}

/// Where in the record, and what the bench has looked up for all checkers at once: dense numbers in the order of first appearance, so that a checker
/// indexes a list where it would hash a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct At {
    /// Microseconds since the run began.
    pub us: u64,
    /// The event's number, from 0.
    pub event: u64,
    /// The dense number of the event's symbol, or [`NONE`].
    pub symbol: u32,
    /// The dense number of the event's client, or [`NONE`].
    pub client: u32,
    /// The dense number of the event's (client, symbol), or [`NONE`].
    pub pair: u32,
    /// Of a tick sent or delivered: when a source sent it first, before this event.
    pub origin: Origin,
}

/// What one checker found so far.
#[derive(Debug, Default)]
pub struct Findings {
    checked: u64,
    broken: u64,
    violations: Vec<Violation>,
}

impl Findings {
    /// Counts one real check.
    #[inline]
    pub fn check(&mut self) {
        self.checked += 1;
    }

    /// Takes a violation seen at `at`; `earlier` are the numbers of earlier events that show it. The message is made only if it is kept.
    pub fn violation(&mut self, at: At, earlier: &[u64], message: impl FnOnce() -> String) {
        self.broken += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            let mut events = earlier.to_vec();
            events.push(at.event);
            self.violations.push(Violation { at_us: at.us, message: message(), events });
        }
    }

    /// How often it was really checked.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// How often it was broken.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.broken
    }
}

/// A checker with its name and its floor of checks.
struct Place {
    name: &'static str,
    checked_min: u64,
    checker: Box<dyn Checker>,
    findings: Findings,
}

/// All checkers of a run, fed from one stream.
#[derive(Default)]
pub struct Bench {
    places: Vec<Place>,
    ledger: Ledger,
    next: u64,
    last_us: u64,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.places.iter().map(|place| place.name)).finish()
    }
}

impl Bench {
    /// Adds a checker; fewer than `checked_min` real checks (at least 1) make it inconclusive.
    pub fn add(&mut self, name: &'static str, checked_min: u64, checker: Box<dyn Checker>) {
        self.places.push(Place { name, checked_min: checked_min.max(1), checker, findings: Findings::default() });
    }

    /// Feeds one event to every checker.
    pub fn observe(&mut self, at_us: u64, event: &Event) {
        let at = self.ledger.locate(at_us, self.next, event);
        self.next += 1;
        self.last_us = at_us;
        for place in &mut self.places {
            place.checker.observe(at, event, &mut place.findings);
        }
    }

    /// The time that a checker measured, once the record has entered its end. See [`Checker::measured_us`].
    #[must_use]
    pub fn measured_us(&self, name: &str) -> Option<u64> {
        self.places.iter().find(|place| place.name == name)?.checker.measured_us()
    }

    /// Ends the record at `end_us` and judges.
    #[must_use]
    pub fn finish(mut self, end_us: u64) -> Vec<Invariant> {
        let end = At {
            us: end_us.max(self.last_us),
            event: self.next,
            symbol: NONE,
            client: NONE,
            pair: NONE,
            origin: Origin::Unasked,
        };
        self.places
            .iter_mut()
            .map(|place| {
                let summary = place.checker.finish(end, &mut place.findings);
                let findings = std::mem::take(&mut place.findings);
                let verdict = if findings.broken > 0 {
                    Outcome::Fail
                } else if findings.checked < place.checked_min {
                    Outcome::Inconclusive
                } else {
                    Outcome::Pass
                };
                Invariant {
                    name: place.name.to_owned(),
                    verdict,
                    checked: findings.checked,
                    summary,
                    broken: findings.broken,
                    violations: findings.violations,
                }
            })
            .collect()
    }
}
