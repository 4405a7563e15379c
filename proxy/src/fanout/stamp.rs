//! Stamps: (epoch, seq) for a feed that has none.

use rustc_hash::FxHashMap;
use wire::id::Symbol;

/// Gives messages their stamps. Told of each new leg.
pub trait Stamp: Send {
    /// A new leg delivers from now on: a new epoch begins. Returns it; the first is 1.
    fn leg_up(&mut self) -> u64;
    /// The stamp of the next message of a symbol: (epoch, seq).
    fn stamp(&mut self, symbol: Symbol) -> (u64, u64);
}

/// Counts the messages of each symbol from 1 in each epoch.
#[derive(Debug, Default)]
pub struct Stamps {
    epoch: u64,
    last: FxHashMap<Symbol, u64>,
}

/// Symbols remembered within one epoch. Beyond it a new epoch begins, so that clients which walk through ever new symbols cost no memory.
const SYMBOLS_MAX: usize = 65_536;

impl Stamp for Stamps {
    fn leg_up(&mut self) -> u64 {
        self.epoch += 1;
        self.last.clear();
        self.epoch
    }

    fn stamp(&mut self, symbol: Symbol) -> (u64, u64) {
        if self.last.len() >= SYMBOLS_MAX && !self.last.contains_key(&symbol) {
            self.leg_up();
        }
        let seq = self.last.entry(symbol).or_insert(0);
        *seq += 1;
        (self.epoch, *seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_symbol_counts_from_one_in_each_epoch() {
        let (a, b) = (Symbol::numbered(0), Symbol::numbered(1));
        let mut stamps = Stamps::default();
        assert_eq!(stamps.leg_up(), 1);
        assert_eq!([a, a, b, a].map(|symbol| stamps.stamp(symbol)), [(1, 1), (1, 2), (1, 1), (1, 3)]);
        assert_eq!(stamps.leg_up(), 2);
        assert_eq!(stamps.stamp(a), (2, 1));
    }

    #[test]
    fn ever_new_symbols_cost_no_more_than_the_bound() {
        let mut stamps = Stamps::default();
        stamps.leg_up();
        for n in 0..70_000 {
            stamps.stamp(Symbol::numbered(n));
        }
        assert!(stamps.last.len() <= SYMBOLS_MAX);
        assert_eq!(stamps.stamp(Symbol::numbered(0)), (2, 1));
    }
}
