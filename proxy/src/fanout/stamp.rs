//! Stamps: (epoch, seq) for a feed that has none.

use rustc_hash::FxHashMap;
use wire::id::Symbol;

/// Gives messages their stamps. Told of each new leg.
pub trait Stamp: Send {
    /// A new leg delivers from now on. Returns its epoch, greater than all before; the first is 1.
    fn leg_up(&mut self) -> u64;
    /// The stamp of the next message of a symbol that comes by the leg of this epoch: (epoch, seq).
    fn stamp(&mut self, leg: u64, symbol: Symbol) -> (u64, u64);
    /// The symbol is no longer received. If it comes again, messages may have been missed between.
    fn forget(&mut self, symbol: Symbol);
    /// Whether clients are told epochs unlike those of any other proxy and any other start, so that a stranger's resume is known for one. Asked once.
    fn fences(&self) -> bool {
        true
    }
}

/// Counts the messages of each symbol from 1 in each epoch. A symbol that was forgotten and comes again by the same leg begins an epoch of its own, so no stamp is ever given twice
/// and within an epoch nothing that the source sent is missing.
#[derive(Debug, Default)]
pub struct Stamps {
    epoch: u64,
    /// The newest epoch when a symbol was last forgotten: legs up to it may have carried it.
    forgot: u64,
    last: FxHashMap<Symbol, Last>,
}

#[derive(Debug)]
struct Last {
    leg: u64,
    epoch: u64,
    seq: u64,
}

/// Symbols remembered. Beyond it all are forgotten, so that clients which walk through ever new symbols cost no memory.
const SYMBOLS_MAX: usize = 65_536;

impl Stamps {
    fn begin(&mut self, leg: u64) -> u64 {
        if leg > self.forgot {
            return leg;
        }
        self.epoch += 1;
        self.epoch
    }
}

impl Stamp for Stamps {
    fn leg_up(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    fn stamp(&mut self, leg: u64, symbol: Symbol) -> (u64, u64) {
        if let Some(last) = self.last.get_mut(&symbol)
            && last.leg == leg
        {
            last.seq += 1;
            return (last.epoch, last.seq);
        }
        if self.last.len() >= SYMBOLS_MAX {
            self.last.clear();
            self.forgot = self.epoch;
        }
        let epoch = self.begin(leg);
        self.last.insert(symbol, Last { leg, epoch, seq: 1 });
        (epoch, 1)
    }

    fn forget(&mut self, symbol: Symbol) {
        if self.last.remove(&symbol).is_some() {
            self.forgot = self.epoch;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_symbol_counts_from_one_in_each_epoch() {
        let (a, b) = (Symbol::numbered(0), Symbol::numbered(1));
        let mut stamps = Stamps::default();
        assert_eq!(stamps.leg_up(), 1);
        assert_eq!([a, a, b, a].map(|symbol| stamps.stamp(1, symbol)), [(1, 1), (1, 2), (1, 1), (1, 3)]);
        assert_eq!(stamps.leg_up(), 2);
        assert_eq!(stamps.stamp(2, a), (2, 1));
        stamps.forget(a);
        assert_eq!(stamps.stamp(2, a), (3, 1), "what came between is not known");
        assert_eq!(stamps.stamp(2, b), (4, 1));
        assert_eq!(stamps.leg_up(), 5);
        assert_eq!(stamps.stamp(5, a), (5, 1));
    }

    #[test]
    fn ever_new_symbols_cost_no_more_than_the_bound() {
        let mut stamps = Stamps::default();
        let leg = stamps.leg_up();
        for n in 0..70_000 {
            stamps.stamp(leg, Symbol::numbered(n));
        }
        assert!(stamps.last.len() <= SYMBOLS_MAX);
        let (epoch, seq) = stamps.stamp(leg, Symbol::numbered(0));
        assert!(epoch > leg && seq == 1);
    }

    proptest! {
        #[test]
        fn no_stamp_is_given_twice_and_seqs_are_contiguous(steps in proptest::collection::vec((0_u8..8, 0_u32..4), 1..200)) {
            let mut stamps = Stamps::default();
            let mut legs = vec![stamps.leg_up()];
            let mut given = BTreeSet::new();
            for (what, n) in steps {
                let symbol = Symbol::numbered(n);
                match what {
                    0 => legs.push(stamps.leg_up()),
                    1 => stamps.forget(symbol),
                    _ => {
                        let (epoch, seq) = stamps.stamp(legs[legs.len() - 1], symbol);
                        prop_assert!(given.insert((symbol, epoch, seq)));
                        prop_assert!(seq == 1 || given.contains(&(symbol, epoch, seq - 1)));
                    }
                }
            }
        }
    }
}
