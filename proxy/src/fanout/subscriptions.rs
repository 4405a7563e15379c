//! Who wants what: the clients of each symbol, and the union that the source is asked for.

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use wire::id::Symbol;

/// A client's number in the table; never used twice.
pub type ClientKey = u64;

/// Some clients. Walked in an order that depends on arrivals and departures only.
pub type Members<C> = IndexMap<ClientKey, C, FxBuildHasher>;

/// The subscriptions of all clients. `C` is what a client is reached by.
#[derive(Debug)]
pub struct Subscriptions<C> {
    everyone: Members<C>,
    sets: FxHashMap<ClientKey, Vec<Symbol>>,
    symbols: IndexMap<Symbol, Members<C>, FxBuildHasher>,
}

/// How the union changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Symbols that nobody wanted before.
    pub added: Vec<Symbol>,
    /// Symbols that nobody wants any more.
    pub removed: Vec<Symbol>,
}

/// What a client's new set means to it and to all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Symbols that it did not want before, in its order.
    pub began: Vec<Symbol>,
    /// Symbols that it no longer wants, sorted.
    pub ended: Vec<Symbol>,
    /// How the union changed.
    pub change: Change,
}

/// The request would make the union larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many symbols in all")]
pub struct UnionFull;

impl<C> Default for Subscriptions<C> {
    fn default() -> Self {
        Self { everyone: Members::default(), sets: FxHashMap::default(), symbols: IndexMap::default() }
    }
}

impl<C: Clone> Subscriptions<C> {
    /// A client arrives; it wants nothing yet.
    pub fn join(&mut self, key: ClientKey, client: C) {
        self.everyone.insert(key, client);
        self.sets.insert(key, Vec::new());
    }

    /// A client leaves.
    pub fn leave(&mut self, key: ClientKey) -> Change {
        let mut change = Change::default();
        for symbol in self.sets.remove(&key).unwrap_or_default() {
            self.remove(key, symbol, &mut change);
        }
        self.everyone.swap_remove(&key);
        change
    }

    /// A client replaces its set. `symbols` holds no duplicates. A client that has not joined is ignored.
    pub fn replace(&mut self, key: ClientKey, symbols: Vec<Symbol>) -> Replaced {
        let mut replaced = Replaced::default();
        let Some(client) = self.everyone.get(&key).cloned() else { return replaced };
        for symbol in &symbols {
            let members = self.symbols.entry(*symbol).or_insert_with(|| {
                replaced.change.added.push(*symbol);
                Members::default()
            });
            if members.insert(key, client.clone()).is_none() {
                replaced.began.push(*symbol);
            }
        }
        let old = self.sets.insert(key, symbols).unwrap_or_default();
        let keep: rustc_hash::FxHashSet<Symbol> = self.sets[&key].iter().copied().collect();
        for symbol in old.into_iter().filter(|symbol| !keep.contains(symbol)) {
            self.remove(key, symbol, &mut replaced.change);
            replaced.ended.push(symbol);
        }
        replaced.ended.sort_unstable();
        replaced
    }

    fn remove(&mut self, key: ClientKey, symbol: Symbol, change: &mut Change) {
        let Some(members) = self.symbols.get_mut(&symbol) else { return };
        members.swap_remove(&key);
        if members.is_empty() {
            self.symbols.swap_remove(&symbol);
            change.removed.push(symbol);
        }
    }

    /// The clients that want a symbol; None if nobody does.
    #[must_use]
    pub fn members(&self, symbol: Symbol) -> Option<&Members<C>> {
        self.symbols.get(&symbol)
    }

    /// All clients.
    #[must_use]
    pub fn everyone(&self) -> &Members<C> {
        &self.everyone
    }

    /// All symbols that anybody wants.
    pub fn union(&self) -> impl ExactSizeIterator<Item = Symbol> + '_ {
        self.symbols.keys().copied()
    }
}

/// A client's place among those that are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub(super) usize);

/// The table that a [`Route`] sees.
pub type Table = Subscriptions<Slot>;

/// Decides which clients get a message.
pub trait Route: Send {
    /// The clients that get a message of this symbol; None for none.
    fn receivers<'t>(&self, table: &'t Table, symbol: Symbol) -> Option<&'t Members<Slot>>;
}

/// A message goes to those who subscribed to its symbol, and to nobody else: a client that subscribed to nothing gets nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscribersOnly;

impl Route for SubscribersOnly {
    fn receivers<'t>(&self, table: &'t Table, symbol: Symbol) -> Option<&'t Members<Slot>> {
        table.members(symbol)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Join(u64),
        Leave(u64),
        Replace(u64, BTreeSet<u32>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..6).prop_map(Step::Join),
            (0_u64..6).prop_map(Step::Leave),
            ((0_u64..6), proptest::collection::btree_set(0_u32..8, 0..5)).prop_map(|(k, s)| Step::Replace(k, s)),
        ]
    }

    #[test]
    fn a_message_goes_to_those_who_want_its_symbol() {
        let mut table = Table::default();
        table.join(1, Slot(10));
        table.join(2, Slot(20));
        table.replace(2, vec![Symbol::numbered(0)]);
        let slots = |symbol| {
            SubscribersOnly.receivers(&table, Symbol::numbered(symbol)).map(|to| to.values().copied().collect())
        };
        assert_eq!(slots(0), Some(vec![Slot(20)]));
        assert_eq!(slots(1), None);
    }

    proptest! {
        #[test]
        fn the_table_agrees_with_a_map_of_sets(steps in proptest::collection::vec(step(), 0..60)) {
            let mut table = Subscriptions::<u64>::default();
            let mut model: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
            let union = |model: &BTreeMap<u64, BTreeSet<u32>>| model.values().flatten().copied().collect::<BTreeSet<u32>>();
            for step in steps {
                let before = union(&model);
                let change = match step {
                    Step::Join(key) => {
                        if model.contains_key(&key) { continue }
                        model.insert(key, BTreeSet::new());
                        table.join(key, key);
                        Change::default()
                    }
                    Step::Leave(key) => {
                        model.remove(&key);
                        table.leave(key)
                    }
                    Step::Replace(key, symbols) => {
                        let list = symbols.iter().map(|n| Symbol::numbered(*n)).collect();
                        let old = model.get(&key).cloned().unwrap_or_default();
                        let now = if model.contains_key(&key) { symbols.clone() } else { BTreeSet::new() };
                        if let Some(set) = model.get_mut(&key) { *set = symbols }
                        let replaced = table.replace(key, list);
                        let (began, ended): (BTreeSet<_>, BTreeSet<_>) =
                            (replaced.began.into_iter().collect(), replaced.ended.into_iter().collect());
                        let names = |set: BTreeSet<u32>| set.into_iter().map(Symbol::numbered).collect::<BTreeSet<_>>();
                        prop_assert_eq!(began, names(now.difference(&old).copied().collect()));
                        prop_assert_eq!(ended, names(old.difference(&now).copied().collect()));
                        replaced.change
                    }
                };
                let after = union(&model);
                let names = |set: Vec<u32>| set.into_iter().map(Symbol::numbered).collect::<BTreeSet<_>>();
                prop_assert_eq!(change.added.into_iter().collect::<BTreeSet<_>>(), names(after.difference(&before).copied().collect()));
                prop_assert_eq!(change.removed.into_iter().collect::<BTreeSet<_>>(), names(before.difference(&after).copied().collect()));
                prop_assert_eq!(table.everyone().keys().collect::<BTreeSet<_>>(), model.keys().collect::<BTreeSet<_>>());
                prop_assert_eq!(table.union().collect::<BTreeSet<_>>(), names(after.iter().copied().collect()));
                for n in 0..8 {
                    let expect: BTreeSet<u64> = model.iter().filter(|(_, set)| set.contains(&n)).map(|(key, _)| *key).collect();
                    let got: BTreeSet<u64> = table.members(Symbol::numbered(n)).into_iter().flat_map(|members| members.keys().copied()).collect();
                    prop_assert_eq!(got, expect);
                }
            }
        }
    }
}
