//! What a `windtunnel.v1` client must be told: no silent gap.
//!
//! The stamps say all: what was dropped on the way shows as a jump between what the client got last and what it gets next. So a notice is made when the
//! next message of the symbol leaves the queue, and contiguous losses are one notice.

use rustc_hash::FxHashMap;
use wire::feed::{GapReason, Strong};
use wire::id::Symbol;

/// Where one client stands in each symbol.
#[derive(Debug, Default)]
pub(crate) struct Narrator {
    last: FxHashMap<Symbol, (u64, u64)>,
}

impl Narrator {
    /// The client is about to get this message: what it must be told before, if anything. At most two notices: the end of an epoch, and what is missing at the start
    /// of the new one.
    pub(crate) fn before(&mut self, symbol: Symbol, epoch: u64, seq: u64) -> [Option<Strong<'static>>; 2] {
        let Some((old_epoch, old_seq)) = self.last.insert(symbol, (epoch, seq)) else {
            // It may start at any seq.
            return [None, None];
        };
        let overflow = |from: u64| {
            (from < seq).then_some(Strong::Gap { symbol, epoch, from, to: Some(seq - 1), reason: GapReason::Overflow })
        };
        if old_epoch == epoch {
            return [overflow(old_seq + 1), None];
        }
        let reset = Strong::Gap { symbol, epoch: old_epoch, from: old_seq + 1, to: None, reason: GapReason::Reset };
        [Some(reset), overflow(1)]
    }

    /// The client no longer wants the symbol. If it comes back, it may start at any seq again.
    pub(crate) fn forget(&mut self, symbol: Symbol) {
        self.last.remove(&symbol);
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
    fn jumps_are_told_before_the_next_message() {
        let symbol = Symbol::numbered(0);
        let mut narrator = Narrator::default();
        assert_eq!(narrator.before(symbol, 1, 5), [None, None]);
        assert_eq!(narrator.before(symbol, 1, 6), [None, None]);
        assert_eq!(narrator.before(symbol, 1, 9), [gap(1, 7, Some(8), GapReason::Overflow), None]);
        assert_eq!(narrator.before(symbol, 2, 1), [gap(1, 10, None, GapReason::Reset), None]);
        assert_eq!(
            narrator.before(symbol, 4, 3),
            [gap(2, 2, None, GapReason::Reset), gap(4, 1, Some(2), GapReason::Overflow)]
        );
        narrator.forget(symbol);
        assert_eq!(narrator.before(symbol, 4, 9), [None, None]);
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
