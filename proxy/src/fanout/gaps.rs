//! What a `windtunnel.v1` client must be told: no silent gap.
//!
//! The stamps say all: what was dropped on the way shows as a jump between what the client got last and what it gets next. So a notice is made when the
//! next message of the symbol leaves the queue, and contiguous losses are one notice.

use rustc_hash::FxHashMap;
use wire::event::Why;
use wire::feed::{GapReason, Strong};
use wire::id::Symbol;

/// Where one client stands in each symbol.
#[derive(Debug, Default)]
pub(crate) struct Narrator {
    places: FxHashMap<Symbol, Place>,
}

#[derive(Debug)]
struct Place {
    epoch: u64,
    seq: u64,
    /// Why the next jump, if one comes.
    why: GapReason,
}

impl Narrator {
    /// A message for this client gave way.
    pub(crate) fn lost(&mut self, symbol: Symbol, why: Why) {
        // The harder loss names the gap: what overflowed was not replaced by anything. And a resume that failed is told before all.
        if let Some(place) = self.places.get_mut(&symbol)
            && place.why == GapReason::Conflated
            && why != Why::Conflated
        {
            place.why = GapReason::Overflow;
        }
    }

    /// The client says where it stands. `recovered`: all that follows its place will come.
    pub(crate) fn stands_at(&mut self, symbol: Symbol, epoch: u64, seq: u64, recovered: bool) {
        let why = if recovered { GapReason::Conflated } else { GapReason::Resume };
        self.places.insert(symbol, Place { epoch, seq, why });
    }

    /// The client is about to get this message: what it must be told before, if anything. At most two notices: the end of an epoch, and what is missing at the start
    /// of the new one.
    pub(crate) fn before(&mut self, symbol: Symbol, epoch: u64, seq: u64) -> [Option<Strong<'static>>; 2] {
        // Each jump has had its reason told to `lost`; where none was, the least is assumed.
        let new = Place { epoch, seq, why: GapReason::Conflated };
        let Some(old) = self.places.insert(symbol, new) else {
            // It may start at any seq.
            return [None, None];
        };
        let missing = |from: u64, reason: GapReason| {
            (from < seq).then_some(Strong::Gap { symbol, epoch, from, to: Some(seq - 1), reason })
        };
        if old.epoch == epoch {
            return [missing(old.seq + 1, old.why), None];
        }
        let reset = if old.why == GapReason::Resume { GapReason::Resume } else { GapReason::Reset };
        let over = Strong::Gap { symbol, epoch: old.epoch, from: old.seq + 1, to: None, reason: reset };
        [Some(over), missing(1, old.why)]
    }

    /// The client no longer wants the symbol. If it comes back, it may start at any seq again.
    pub(crate) fn forget(&mut self, symbol: Symbol) {
        self.places.remove(&symbol);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gap(epoch: u64, from: u64, to: Option<u64>, reason: GapReason) -> Option<Strong<'static>> {
        Some(Strong::Gap { symbol: Symbol::numbered(0), epoch, from, to, reason })
    }

    #[test]
    fn jumps_are_told_before_the_next_message_with_their_reason() {
        let symbol = Symbol::numbered(0);
        let mut narrator = Narrator::default();
        assert_eq!(narrator.before(symbol, 1, 5), [None, None]);
        assert_eq!(narrator.before(symbol, 1, 6), [None, None]);
        narrator.lost(symbol, Why::Conflated);
        assert_eq!(narrator.before(symbol, 1, 9), [gap(1, 7, Some(8), GapReason::Conflated), None]);
        narrator.lost(symbol, Why::Overflow);
        narrator.lost(symbol, Why::Conflated);
        assert_eq!(narrator.before(symbol, 1, 11), [gap(1, 10, Some(10), GapReason::Overflow), None]);
        assert_eq!(narrator.before(symbol, 2, 1), [gap(1, 12, None, GapReason::Reset), None]);
        narrator.lost(symbol, Why::Overflow);
        assert_eq!(
            narrator.before(symbol, 4, 3),
            [gap(2, 2, None, GapReason::Reset), gap(4, 1, Some(2), GapReason::Overflow)]
        );
        narrator.forget(symbol);
        assert_eq!(narrator.before(symbol, 4, 9), [None, None]);
    }

    #[test]
    fn a_resume_that_failed_is_told_with_the_first_message() {
        let symbol = Symbol::numbered(0);
        let mut narrator = Narrator::default();
        narrator.stands_at(symbol, 3, 17, false);
        assert_eq!(narrator.before(symbol, 3, 40), [gap(3, 18, Some(39), GapReason::Resume), None]);
        narrator.stands_at(symbol, 3, 17, false);
        assert_eq!(
            narrator.before(symbol, 5, 2),
            [gap(3, 18, None, GapReason::Resume), gap(5, 1, Some(1), GapReason::Resume)]
        );
        narrator.stands_at(symbol, 5, 2, true);
        assert_eq!(narrator.before(symbol, 5, 3), [None, None]);
    }

    proptest! {
        #[test]
        fn deliveries_and_gaps_together_are_contiguous(keep in proptest::collection::vec(proptest::bool::ANY, 1..100)) {
            let symbol = Symbol::numbered(0);
            let mut narrator = Narrator::default();
            let mut next: Option<u64> = None;
            for (index, _) in keep.iter().enumerate().filter(|(_, keep)| **keep) {
                let seq = index as u64 + 1;
                for notice in narrator.before(symbol, 1, seq).into_iter().flatten() {
                    let Strong::Gap { from, to, .. } = notice else { panic!("not a gap") };
                    prop_assert_eq!(Some(from), next);
                    next = Some(to.unwrap() + 1);
                }
                prop_assert!(next.is_none_or(|next| next == seq), "{:?} {}", next, seq);
                next = Some(seq + 1);
            }
        }
    }
}
