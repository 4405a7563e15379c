//! Strong clients are told of every gap.
//!
//! ```text
//!   live 3.17 | gap 3.18..25 | live 3.26 | gap 3.27.. (reset) | live 4.1
//! ```
//!
//! From the first delivery or notice of a session on, each seq of an epoch is delivered or named in a notice, once, in order. A new epoch begins only after
//! a notice with reason `reset` closed the old one, and from its seq 1 on. And the stamps tell the truth about the source: within an epoch, as many ticks as
//! a leg really sent lie between two deliveries as their seqs say.
//!
//! A resume moves the beginning: the session is held to account from the seq after the one that the client named, whatever the answer. Where the answer was no,
//! a gap with reason `resume` and an open end lets any message follow, of this proxy's epochs or another's. A snapshot may show a value that the client has
//! once its epoch is closed.

use std::fmt;

use wire::event::Stamp;
use wire::feed::{GapReason, Kind};

use super::super::At;
use super::{Routes, sent};

/// One strong session's view of one symbol.
pub(super) struct StrongPair {
    epoch: u64,
    /// The next seq to account for; None once the epoch is closed.
    next: Option<u64>,
    /// The last delivery in this epoch: seq and n.
    had: Option<(u64, u64)>,
    event: u64,
    /// The event in which a source sent what was delivered last.
    sent: u64,
    /// What was dropped on the way to its edge before that, and is not under way any more.
    through: u64,
    /// A resume could not be served and nobody knows what is missing: anything may follow.
    open: bool,
}

/// What was wrong with a delivery or notice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Neither delivered nor named.
    Silent { epoch: u64, from: u64, to: u64 },
    /// Delivered or named, though a notice named it before, or named though it was delivered.
    Overlap { epoch: u64, seq: u64 },
    /// A new epoch without a reset.
    NoReset { old: u64, new: u64 },
    /// A notice whose end lies before its beginning.
    Inverted { from: u64, to: u64 },
    /// A notice about an epoch that is over.
    Late { epoch: u64, now: u64 },
    /// Between two ticks lie more or fewer than their seqs say.
    Miscounted { epoch: u64, seqs: (u64, u64), ticks: (u64, u64) },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Silent { epoch, from, to } => {
                write!(f, "epoch {epoch} seq {from}..={to} neither delivered nor named")
            }
            Fault::Overlap { epoch, seq } => {
                write!(f, "epoch {epoch} seq {seq} both named as missing and delivered, or named twice")
            }
            Fault::NoReset { old, new } => write!(f, "epoch {new} began though no reset closed epoch {old}"),
            Fault::Inverted { from, to } => write!(f, "a gap from {from} to {to}"),
            Fault::Late { epoch, now } => write!(f, "a gap in epoch {epoch}, but epoch {now} has begun"),
            Fault::Miscounted { epoch, seqs, ticks } => write!(
                f,
                "epoch {epoch} seq {} is tick {} and seq {} is tick {}: no leg sent so many between them",
                seqs.0, ticks.0, seqs.1, ticks.1
            ),
        }
    }
}

impl StrongPair {
    pub(super) fn begin(stamp: Stamp, n: u64, at: At, through: u64) -> Self {
        let next = Some(stamp.seq.saturating_add(1));
        let (event, sent) = (at.event, sent(at));
        Self { epoch: stamp.epoch, next, had: Some((stamp.seq, n)), event, sent, through, open: false }
    }

    pub(super) fn begin_with_gap(epoch: u64, to: Option<u64>, reason: GapReason, event: u64) -> Self {
        Self { epoch, next: after(to, reason), had: None, event, sent: 0, through: 0, open: is_open(to, reason) }
    }

    /// A session that goes on, or hopes to, after the stamp (epoch, seq), which `before` may have had.
    pub(super) fn resume((epoch, seq): (u64, u64), before: Option<&Self>, event: u64) -> Self {
        let same = |before: &&Self| before.epoch == epoch;
        let had = before.filter(same).and_then(|before| before.had).filter(|(had, _)| *had == seq);
        let (sent, through) = before.map_or((0, 0), |before| (before.sent, before.through));
        Self { epoch, next: Some(seq.saturating_add(1)), had, event, sent, through, open: false }
    }

    /// The event that this symbol came in last.
    pub(super) fn event(&self) -> u64 {
        self.event
    }

    /// Whether this is the first message of a later subscription: its newest value, or, where nobody had wanted the symbol for a while, a new epoch.
    pub(super) fn is_left_by(&self, stamp: Stamp) -> bool {
        stamp.kind == Kind::Snapshot && stamp.epoch == self.epoch || stamp.epoch > self.epoch
    }

    /// Likewise, of a notice that comes before it.
    pub(super) fn is_left_by_gap(&self, epoch: u64, from: u64) -> bool {
        epoch > self.epoch || epoch == self.epoch && self.next.is_some_and(|next| from > next)
    }

    pub(super) fn deliver(&mut self, stamp: Stamp, n: u64, at: At, routes: &Routes) -> Option<Fault> {
        let Stamp { epoch, seq, kind } = stamp;
        if self.open {
            *self = Self::begin(stamp, n, at, routes.through(at));
            return None;
        }
        let again = self.next.is_none() && self.epoch == epoch && self.had.is_some_and(|(had, _)| had == seq);
        if epoch < self.epoch || (again && kind == Kind::Snapshot) {
            // An older epoch is disorder: another checker's matter. A value that it has may be shown again once its epoch is closed.
            return None;
        }
        let before = std::mem::replace(&mut self.event, at.event);
        let mut fault = self.enter(epoch);
        let expected = self.next.unwrap_or(u64::MAX);
        if seq > expected {
            fault = fault.or(Some(Fault::Silent { epoch, from: expected, to: seq - 1 }));
        } else if seq < expected {
            self.event = before;
            // What was delivered before is a repeat or disorder: other checkers' matter. What was named is not.
            let named = self.next.is_none() || self.had.is_none_or(|(had, _)| seq > had);
            return fault.or(named.then_some(Fault::Overlap { epoch, seq }));
        }
        if let Some((had_seq, had_n)) = self.had {
            let (since, through) = (self.sent, self.through);
            fault = fault.or_else(|| miscounted(epoch, (had_seq, seq), (had_n, n), (since, through), at, routes));
        }
        (self.sent, self.through) = (sent(at), routes.through(at));
        (self.next, self.had) = (Some(seq.saturating_add(1)), Some((seq, n)));
        fault
    }

    pub(super) fn gap(
        &mut self,
        epoch: u64,
        from: u64,
        to: Option<u64>,
        reason: GapReason,
        event: u64,
    ) -> Option<Fault> {
        if self.open {
            *self = Self::begin_with_gap(epoch, to, reason, event);
            return None;
        }
        if epoch < self.epoch {
            return Some(Fault::Late { epoch, now: self.epoch });
        }
        self.event = event;
        let mut fault = self.enter(epoch);
        if let Some(to) = to
            && to < from
        {
            return fault.or(Some(Fault::Inverted { from, to }));
        }
        match self.next {
            Some(next) if from > next => fault = fault.or(Some(Fault::Silent { epoch, from: next, to: from - 1 })),
            Some(next) if from < next => fault = fault.or(Some(Fault::Overlap { epoch, seq: from })),
            Some(_) => {}
            None => fault = fault.or(Some(Fault::Overlap { epoch, seq: from })),
        }
        self.open = is_open(to, reason);
        let next = after(to, reason);
        self.next = next.map(|next| next.max(self.next.unwrap_or(0)));
        fault
    }

    /// Moves on to a newer epoch.
    fn enter(&mut self, epoch: u64) -> Option<Fault> {
        if epoch == self.epoch {
            return None;
        }
        let fault = self.next.is_some().then_some(Fault::NoReset { old: self.epoch, new: epoch });
        (self.epoch, self.next, self.had) = (epoch, Some(1), None);
        fault
    }
}

/// What is to be accounted for after a gap: nothing in this epoch, if it is over.
fn after(to: Option<u64>, reason: GapReason) -> Option<u64> {
    if reason == GapReason::Reset { None } else { to.map(|to| to.saturating_add(1)) }
}

/// Whether a gap leaves open where the next message stands.
fn is_open(to: Option<u64>, reason: GapReason) -> bool {
    reason == GapReason::Resume && to.is_none()
}

/// Holds the distance of two stamps against what the legs sent. What an edge numbers is what it got: less, by what was dropped on its way since the first of the two. And its epoch goes on where what
/// feeds it changes its leg: of the former one came what went out on it, or less, as some of it was lost with that leg.
fn miscounted(
    epoch: u64,
    seqs: (u64, u64),
    ticks: (u64, u64),
    (since, through): (u64, u64),
    at: At,
    routes: &Routes,
) -> Option<Fault> {
    let told = seqs.1 - seqs.0;
    if ticks.1 <= ticks.0 || ticks.1 - ticks.0 == told {
        // A step back in ticks is disorder: another checker's matter.
        return None;
    }
    let legs = routes.candidates(at.client, since);
    if !legs.certain() {
        return None;
    }
    let dropped = routes.edge_drops(at.client, at.symbol).map_or(0, |drops| drops.count - through);
    let mut known = legs.sent(&routes.legs, at.symbol).filter(|leg| leg.holds(ticks.1)).peekable();
    let traced = known.peek().is_some();
    let most = told.saturating_add(dropped);
    let honest = if legs.are_one_stream() {
        told <= legs.count_any(&routes.legs, at.symbol, ticks.0 + 1, ticks.1)
            && known.any(|leg| leg.count(ticks.0 + 1, ticks.1) <= most)
    } else {
        known.any(|leg| (told..=most).contains(&leg.count(ticks.0 + 1, ticks.1)))
    };
    (traced && !honest).then_some(Fault::Miscounted { epoch, seqs, ticks })
}
