//! When the source must be told of a changed union, and of which: growth soon, shrinking after a linger, both batched.

use std::time::Duration;

use indexmap::{IndexMap, IndexSet};
use rustc_hash::FxBuildHasher;
use tokio::time::Instant;
use wire::id::Symbol;

use super::subscriptions::Change;

/// What the source has been told, and what it is yet to be told. Pure.
#[derive(Debug)]
pub(crate) struct Reconcile {
    delay: Duration,
    linger: Duration,
    union_max: usize,
    told: IndexSet<Symbol, FxBuildHasher>,
    wanted: IndexSet<Symbol, FxBuildHasher>,
    /// Told, no longer wanted, and to be dropped then.
    leaving: IndexMap<Symbol, Instant, FxBuildHasher>,
    grow_at: Option<Instant>,
    /// Told of no longer, and not yet asked for by [`Reconcile::take_left`].
    left: Vec<Symbol>,
}

impl Reconcile {
    pub(crate) fn new(delay: Duration, linger: Duration, union_max: usize) -> Self {
        Self {
            delay,
            linger,
            union_max,
            told: IndexSet::default(),
            wanted: IndexSet::default(),
            leaving: IndexMap::default(),
            grow_at: None,
            left: Vec::new(),
        }
    }

    /// The union changed.
    pub(crate) fn changed(&mut self, now: Instant, change: &Change) {
        for symbol in &change.added {
            self.leaving.swap_remove(symbol);
            if !self.told.contains(symbol) {
                self.wanted.insert(*symbol);
                self.grow_at.get_or_insert(now + self.delay);
            }
        }
        for symbol in &change.removed {
            self.wanted.swap_remove(symbol);
            if self.told.contains(symbol) {
                self.leaving.insert(*symbol, now + self.linger);
            }
        }
        if self.wanted.is_empty() {
            self.grow_at = None;
        }
    }

    /// Whether the source has been told of a symbol, or will be.
    pub(crate) fn knows(&self, symbol: Symbol) -> bool {
        self.told.contains(&symbol) || self.wanted.contains(&symbol)
    }

    /// The symbols that the source was told to leave since the last call.
    pub(crate) fn take_left(&mut self) -> Vec<Symbol> {
        std::mem::take(&mut self.left)
    }

    /// A new beginning: the source is told this union at once.
    pub(crate) fn begin(&mut self, union: impl Iterator<Item = Symbol>) -> Vec<Symbol> {
        let told = std::mem::replace(&mut self.told, union.collect());
        self.left.extend(told.into_iter().filter(|symbol| !self.told.contains(symbol)));
        self.wanted.clear();
        self.leaving.clear();
        self.grow_at = None;
        self.told.iter().copied().collect()
    }

    /// When to ask [`Reconcile::due`].
    pub(crate) fn next(&self) -> Option<Instant> {
        self.grow_at.into_iter().chain(self.leaving.values().min().copied()).min()
    }

    /// The whole set to tell the source now, if it is time. What lingers gives way where it would pass the bound.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Vec<Symbol>> {
        if self.next().is_none_or(|at| at > now) {
            return None;
        }
        let mut gone: Vec<Symbol> =
            self.leaving.iter().filter(|(_, at)| **at <= now).map(|(symbol, _)| *symbol).collect();
        let room = self.union_max.saturating_sub(self.wanted.len());
        let surplus = (self.told.len() - gone.len()).saturating_sub(room);
        gone.extend(self.leaving.iter().filter(|(_, at)| **at > now).map(|(symbol, _)| *symbol).take(surplus));
        for symbol in &gone {
            self.leaving.swap_remove(symbol);
            self.told.swap_remove(symbol);
        }
        self.left.append(&mut gone);
        self.told.extend(self.wanted.drain(..));
        self.grow_at = None;
        Some(self.told.iter().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(range: std::ops::Range<u32>) -> Vec<Symbol> {
        range.map(Symbol::numbered).collect()
    }

    fn added(range: std::ops::Range<u32>) -> Change {
        Change { added: symbols(range), removed: Vec::new() }
    }

    fn removed(range: std::ops::Range<u32>) -> Change {
        Change { added: Vec::new(), removed: symbols(range) }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn growth_is_batched_and_shrinking_lingers() {
        let start = Instant::now();
        let mut reconcile = Reconcile::new(5 * MS, 1000 * MS, 100);
        assert_eq!(reconcile.next(), None);
        reconcile.changed(start, &added(0..1));
        reconcile.changed(start + 3 * MS, &added(1..2));
        assert_eq!(reconcile.due(start + 4 * MS), None);
        assert_eq!(reconcile.due(start + 5 * MS), Some(symbols(0..2)));
        reconcile.changed(start + 10 * MS, &removed(1..2));
        assert_eq!(reconcile.next(), Some(start + 1010 * MS));
        assert_eq!(reconcile.take_left(), []);
        assert_eq!(reconcile.due(start + 1010 * MS), Some(symbols(0..1)));
        assert_eq!(reconcile.take_left(), symbols(1..2));
        assert!(reconcile.knows(Symbol::numbered(0)) && !reconcile.knows(Symbol::numbered(1)));
        assert_eq!(reconcile.next(), None);
    }

    #[test]
    fn a_symbol_that_comes_back_within_the_linger_causes_no_churn() {
        let start = Instant::now();
        let mut reconcile = Reconcile::new(5 * MS, 1000 * MS, 100);
        assert_eq!(reconcile.begin(symbols(0..2).into_iter()), symbols(0..2));
        reconcile.changed(start, &removed(0..1));
        reconcile.changed(start + MS, &added(0..1));
        assert_eq!(reconcile.next(), None);
        // Wanted and gone before it was told.
        reconcile.changed(start, &added(7..8));
        reconcile.changed(start, &removed(7..8));
        assert_eq!(reconcile.next(), None);
    }

    #[test]
    fn what_lingers_gives_way_to_what_is_wanted() {
        let start = Instant::now();
        let mut reconcile = Reconcile::new(5 * MS, 1000 * MS, 3);
        reconcile.begin(symbols(0..3).into_iter());
        reconcile.changed(start, &removed(0..2));
        reconcile.changed(start, &added(5..7));
        let told = reconcile.due(start + 5 * MS).unwrap();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.contains(&Symbol::numbered(2)) && told.contains(&Symbol::numbered(6)));
    }
}
