//! The union of what all clients want, over all shards, with reference counts.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use wire::id::Symbol;

use super::subscriptions::{Change, UnionFull};

/// How many shards want each symbol. Pure.
#[derive(Debug, Default)]
pub(super) struct Union {
    shards: IndexMap<Symbol, usize, FxBuildHasher>,
}

impl Union {
    /// Whether these symbols may be added to the union.
    ///
    /// # Errors
    /// [`UnionFull`] if it would hold more than `max` symbols.
    pub(super) fn has_room(&self, symbols: &[Symbol], max: usize) -> Result<(), UnionFull> {
        let new = symbols.iter().filter(|symbol| !self.shards.contains_key(*symbol)).count();
        if new > 0 && self.shards.len() + new > max { Err(UnionFull) } else { Ok(()) }
    }

    /// One shard's union changed: how that of all did.
    pub(super) fn apply(&mut self, change: Change) -> Change {
        let Change { mut added, mut removed } = change;
        added.retain(|symbol| {
            let shards = self.shards.entry(*symbol).or_default();
            *shards += 1;
            *shards == 1
        });
        removed.retain(|symbol| {
            let Some(shards) = self.shards.get_mut(symbol) else { return false };
            *shards -= 1;
            let gone = *shards == 0;
            if gone {
                self.shards.swap_remove(symbol);
            }
            gone
        });
        Change { added, removed }
    }

    /// Whether anybody wants a symbol.
    pub(super) fn wants(&self, symbol: Symbol) -> bool {
        self.shards.contains_key(&symbol)
    }

    /// All symbols that anybody wants.
    pub(super) fn symbols(&self) -> impl Iterator<Item = Symbol> + '_ {
        self.shards.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(range: std::ops::Range<u32>) -> Vec<Symbol> {
        range.map(Symbol::numbered).collect()
    }

    #[test]
    fn a_symbol_is_wanted_until_the_last_shard_lets_go() {
        let mut union = Union::default();
        let add = |range| Change { added: symbols(range), removed: Vec::new() };
        let remove = |range| Change { added: Vec::new(), removed: symbols(range) };
        assert_eq!(union.apply(add(0..3)), add(0..3));
        assert_eq!(union.apply(add(1..4)), add(3..4));
        assert_eq!(union.has_room(&symbols(0..4), 4), Ok(()));
        assert_eq!(union.has_room(&symbols(3..5), 4), Err(UnionFull));
        assert_eq!(union.apply(remove(0..3)), remove(0..1));
        assert_eq!(union.apply(remove(1..4)), remove(1..4));
        assert_eq!(union.symbols().count(), 0);
        assert_eq!(union.apply(remove(0..1)), Change::default());
    }
}
