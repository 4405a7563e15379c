//! Plain clients cannot be told of a gap: each tick between two deliveries is charged to a cause.
//!
//! - **Not sent**: no source sent it on a leg that can have served this client.
//! - **Lost with its leg**: it went out on a leg, but the later tick that came may have come by another; or an edge changed its leg in between.
//! - **Dropped**: exactly one leg carried the later tick, and carried this one before it, so it did reach the proxy; and the proxy has reported a drop for
//!   this client and symbol, or, since a moment before its session began, for the client's edge.
//! - **Unexplained**: as before, and no drop reported is left. That is a breach.
//!
//! Where no leg can be tied to the client, or the tick is too far back, it is counted as not traced.

use std::fmt;

use super::super::At;
use super::super::legs::Stretches;
use super::{Routes, sent};

/// Ticks of one hole that are charged one by one; the rest is not traced.
const HOLE_MAX: u64 = 4_096;

/// What became of ticks between deliveries, over all plain clients.
#[derive(Default)]
pub(super) struct Causes {
    pub(super) delivered: u64,
    not_sent: u64,
    lost: u64,
    dropped: u64,
    unexplained: u64,
    not_traced: u64,
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivered, not_sent, lost, dropped, unexplained, not_traced } = self;
        let missed = not_sent + lost + dropped + unexplained + not_traced;
        write!(
            f,
            "plain: {delivered} delivered, {missed} missed: {not_sent} not sent, {lost} lost with their leg, {dropped} dropped, \
             {unexplained} unexplained"
        )?;
        if *not_traced > 0 { write!(f, ", {not_traced} not traced") } else { Ok(()) }
    }
}

/// One plain session's view of one symbol.
pub(super) struct PlainPair {
    /// The greatest n had.
    n: u64,
    event: u64,
    /// The event in which a source sent it.
    sent: u64,
    /// Reported drops that are used up.
    charged: u64,
    /// What was dropped on the way to its edge before it began.
    pub(super) through: u64,
}

/// Ticks missing before a delivery: above `after`, below `before`.
#[derive(Clone, Copy)]
pub(super) struct Hole {
    pub(super) after: u64,
    pub(super) event: u64,
    /// The event in which a source sent `after`.
    sent: u64,
    before: u64,
}

impl PlainPair {
    pub(super) fn begin(n: u64, at: At, through: u64) -> Self {
        Self { n, event: at.event, sent: sent(at), charged: 0, through }
    }

    /// Takes a delivery; steps back and repeats are other checkers' matter.
    #[inline]
    pub(super) fn deliver(&mut self, n: u64, at: At) -> Option<Hole> {
        if n <= self.n {
            return None;
        }
        let hole = (n - self.n > 1).then_some(Hole { after: self.n, event: self.event, sent: self.sent, before: n });
        (self.n, self.event, self.sent) = (n, at.event, sent(at));
        hole
    }

    /// Charges a hole; the first tick that cannot be charged is returned.
    #[cold]
    pub(super) fn charge(
        &mut self,
        hole: Hole,
        at: At,
        routes: &Routes,
        drops: u64,
        causes: &mut Causes,
    ) -> Option<u64> {
        let legs = routes.candidates(at.client, hole.sent);
        let first = (hole.after + 1).max(hole.before.saturating_sub(HOLE_MAX));
        causes.not_traced += first - (hole.after + 1);
        if legs.is_empty() {
            causes.not_traced += hole.before - first;
            return None;
        }
        let on_legs: Vec<&Stretches> = legs.sent(&routes.legs, at.symbol).collect();
        let mut carriers = on_legs.iter().filter(|leg| leg.holds(hole.before));
        let only_leg = carriers.next().filter(|_| carriers.next().is_none() && legs.certain());
        let mut unexplained = None;
        for missed in first..hole.before {
            if only_leg.is_some_and(|leg| leg.holds(missed)) {
                if self.charged < drops {
                    self.charged += 1;
                    causes.dropped += 1;
                } else {
                    causes.unexplained += 1;
                    unexplained.get_or_insert(missed);
                }
            } else if on_legs.iter().any(|leg| leg.holds(missed)) {
                causes.lost += 1;
            } else {
                causes.not_sent += 1;
            }
        }
        unexplained
    }
}
