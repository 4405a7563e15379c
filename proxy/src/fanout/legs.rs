//! The open legs of fan-out: which source is told of which symbols, and whose messages count.
//!
//! ```text
//!   active    one leg; it is told everything
//!   hot       a few legs, each told everything; what they say is merged (see `merge`)
//!   sharded   a leg to each instance, each told its share; where a symbol moves, both have it until the new one has caught up
//! ```

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::Instant;
use wire::id::{SourceId, Symbol};

use super::reconcile::Reconcile;
use super::subscriptions::Change;
use crate::config::{Config, Sources};
use crate::shares::{Rebalance, Shares};

/// A leg's place in the table.
pub(super) type LegKey = usize;

/// How long a symbol that moves stays with its old leg, if the new one does not catch up before: one that hardly ever ticks.
const HANDOVER_MAX: Duration = Duration::from_secs(10);

/// The table of legs. Pure, but for the bell of each leg's task.
#[derive(Debug)]
pub(super) struct Legs {
    sources: Sources,
    delay: Duration,
    linger: Duration,
    union_max: usize,
    legs: Slab<Leg>,
    /// Sources that a leg is dialled or open to.
    claimed: Vec<SourceId>,
    shares: Shares,
    rebalance: Rebalance,
    /// Sharded: who delivers each symbol of the union, if anyone does.
    owners: IndexMap<Symbol, Option<SourceId>, FxBuildHasher>,
    handovers: Vec<Handover>,
    /// When to look at the shares again.
    again_at: Option<Instant>,
}

#[derive(Debug)]
struct Leg {
    source: SourceId,
    /// Once it is up.
    number: Option<u64>,
    reconcile: Reconcile,
    bell: Arc<Notify>,
}

#[derive(Clone, Copy, Debug)]
struct Handover {
    symbol: Symbol,
    from: LegKey,
    to: LegKey,
    by: Instant,
}

/// A leg that opened.
pub(super) struct Opened {
    pub(super) key: LegKey,
    /// Rings when there may be something to tell.
    pub(super) bell: Arc<Notify>,
    /// What it is told first; None where it is told nothing before it is up.
    pub(super) told: Option<Vec<Symbol>>,
}

impl Legs {
    pub(super) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            sources: config.sources,
            delay: limits.reconcile_delay,
            linger: limits.unsubscribe_linger,
            union_max: limits.symbols_total_max,
            legs: Slab::new(),
            claimed: Vec::new(),
            shares: Shares::default(),
            rebalance: Rebalance::new(config.moves_per_second),
            owners: IndexMap::default(),
            handovers: Vec::new(),
            again_at: None,
        }
    }

    /// Whether a leg may be dialled to a source: at most one is.
    pub(super) fn is_free(&self, source: SourceId) -> bool {
        !self.claimed.contains(&source)
    }

    /// A leg is being dialled.
    pub(super) fn claim(&mut self, source: SourceId) {
        self.claimed.push(source);
    }

    /// It is over.
    pub(super) fn release(&mut self, source: SourceId) {
        if let Some(place) = self.claimed.iter().position(|claimed| *claimed == source) {
            self.claimed.swap_remove(place);
        }
    }

    /// A leg opened; it is not up yet.
    pub(super) fn open(&mut self, source: SourceId, union: impl Iterator<Item = Symbol>) -> Opened {
        let bell = Arc::new(Notify::new());
        let mut reconcile = Reconcile::new(self.delay, self.linger, self.union_max);
        let told = match self.sources {
            Sources::Active | Sources::Hot => Some(reconcile.begin(union)),
            // Its share it gets once it is up: another that is delivers meanwhile.
            Sources::Sharded => None,
        };
        let key = self.legs.insert(Leg { source, number: None, reconcile, bell: Arc::clone(&bell) });
        Opened { key, bell, told }
    }

    /// A leg is up: it has this number. `shares` are those of all instances now.
    pub(super) fn up(&mut self, now: Instant, key: LegKey, number: u64, shares: Shares) {
        if let Some(leg) = self.legs.get_mut(key) {
            leg.number = Some(number);
        }
        self.shares = shares;
        self.share_out(now);
    }

    /// A leg is gone: its number, if it was up, and the symbols that it had been told of.
    pub(super) fn close(&mut self, now: Instant, key: LegKey) -> (Option<u64>, Vec<Symbol>) {
        let Some(mut leg) = self.legs.try_remove(key) else { return (None, Vec::new()) };
        for it in self.handovers.iter().filter(|it| it.to == key) {
            wire::reached!("new leg of a symbol died before it had arrived");
            // It has not arrived: the leg that it was to leave carries it still, and gives it back when it has moved elsewhere.
            if let Some(leg) = self.legs.get(it.from) {
                self.owners.insert(it.symbol, Some(leg.source));
            }
        }
        self.handovers.retain(|it| it.from != key && it.to != key);
        // Nobody delivers what it delivered: the next leg to this very source has not been told of it.
        for owner in self.owners.values_mut().filter(|owner| **owner == Some(leg.source)) {
            *owner = None;
        }
        self.share_out(now);
        (leg.number, leg.reconcile.begin(std::iter::empty()).into_iter().chain(leg.reconcile.take_left()).collect())
    }

    /// The union changed.
    pub(super) fn changed(&mut self, now: Instant, change: &Change) {
        if self.sources != Sources::Sharded {
            for (_, leg) in &mut self.legs {
                leg.reconcile.changed(now, change);
                leg.bell.notify_one();
            }
            return;
        }
        for symbol in &change.removed {
            self.owners.swap_remove(symbol);
        }
        self.handovers.retain(|it| !change.removed.contains(&it.symbol));
        for (_, leg) in &mut self.legs {
            let removed = change.removed.iter().copied().filter(|symbol| leg.reconcile.knows(*symbol)).collect();
            leg.reconcile.changed(now, &Change { added: Vec::new(), removed });
            leg.bell.notify_one();
        }
        self.owners.extend(change.added.iter().map(|symbol| (*symbol, None)));
        self.share_out(now);
    }

    /// Gives each symbol to the instance that it belongs to, those that are delivered already a few at a time (sharded).
    fn share_out(&mut self, now: Instant) {
        if self.sources != Sources::Sharded {
            return;
        }
        let up = |source: SourceId| self.legs.iter().any(|(_, leg)| leg.source == source && leg.number.is_some());
        let held = self.owners.iter().map(|(symbol, owner)| (*symbol, *owner));
        let moves = self.rebalance.moves(now, held, &self.shares, up);
        self.again_at = moves.again_at;
        for it in moves.now {
            self.owners.insert(it.symbol, Some(it.to));
            let key_of = |source| {
                let leg = |(_, leg): &(usize, &Leg)| leg.source == source && leg.number.is_some();
                self.legs.iter().find(leg).map(|(key, _)| key)
            };
            let (from, to) = (it.from.and_then(key_of), key_of(it.to));
            let Some(to) = to else { continue };
            // A move that is under way ends here: the leg that it was to go to gives the symbol back, and the one that still carries it hands it over.
            let under_way = self.handovers.iter().position(|handover| handover.symbol == it.symbol);
            let under_way = under_way.map(|place| self.handovers.remove(place));
            if let Some(old) = under_way.filter(|old| old.to != to)
                && let Some(leg) = self.legs.get_mut(old.to)
            {
                wire::reached!("symbol moved on before it had arrived");
                leg.reconcile.changed(now, &Change { added: Vec::new(), removed: vec![it.symbol] });
                leg.bell.notify_one();
            }
            if let Some(from) = under_way.map(|old| old.from).or(from).filter(|from| *from != to) {
                self.handovers.push(Handover { symbol: it.symbol, from, to, by: now + HANDOVER_MAX });
            }
            let leg = &mut self.legs[to];
            leg.reconcile.changed(now, &Change { added: vec![it.symbol], removed: Vec::new() });
            leg.bell.notify_one();
        }
        if self.again_at.is_some()
            && let Some((_, leg)) = self.legs.iter().next()
        {
            // Somebody must keep the time.
            leg.bell.notify_one();
        }
    }

    /// Ends the moves whose new leg has caught up, by `carries`, or never will.
    pub(super) fn settle(&mut self, now: Instant, carries: impl Fn(u64, Symbol) -> bool) {
        let legs = &mut self.legs;
        self.handovers.retain(|it| {
            let caught_up = legs.get(it.to).and_then(|leg| leg.number).is_some_and(|number| carries(number, it.symbol));
            if !caught_up && now < it.by {
                return true;
            }
            wire::reached!("symbol moved by the deadline", if !caught_up);
            if let Some(from) = legs.get_mut(it.from) {
                from.reconcile.changed(now, &Change { added: Vec::new(), removed: vec![it.symbol] });
                from.bell.notify_one();
            }
            false
        });
    }

    /// What a leg is to tell its source by now, and what it tells it to leave.
    pub(super) fn due(&mut self, now: Instant, key: LegKey) -> (Option<Vec<Symbol>>, Vec<Symbol>) {
        if self.again_at.is_some_and(|at| at <= now) {
            self.share_out(now);
        }
        let Some(leg) = self.legs.get_mut(key) else { return (None, Vec::new()) };
        (leg.reconcile.due(now), leg.reconcile.take_left())
    }

    /// When a leg should ask [`Legs::due`].
    pub(super) fn next(&self, key: LegKey) -> Option<Instant> {
        let own = self.legs.get(key).and_then(|leg| leg.reconcile.next());
        own.into_iter().chain(self.again_at).chain(self.handovers.iter().map(|it| it.by)).min()
    }

    /// Whether a leg was told of a symbol, or will be: what nobody asked it for does not count.
    pub(super) fn knows(&self, key: LegKey, symbol: Symbol) -> bool {
        self.legs.get(key).is_some_and(|leg| leg.reconcile.knows(symbol))
    }

    /// Whether any leg was, or will be.
    pub(super) fn any_knows(&self, symbol: Symbol) -> bool {
        self.legs.iter().any(|(_, leg)| leg.reconcile.knows(symbol))
    }

    /// The legs that are up and were told of a symbol, or will be.
    pub(super) fn asked(&self, symbol: Symbol) -> impl Iterator<Item = LegKey> {
        let asked = move |(_, leg): &(LegKey, &Leg)| leg.number.is_some() && leg.reconcile.knows(symbol);
        self.legs.iter().filter(asked).map(|(key, _)| key)
    }

    /// Whether any leg is up.
    pub(super) fn any_up(&self) -> bool {
        self.legs.iter().any(|(_, leg)| leg.number.is_some())
    }

    /// A leg's number, once it is up.
    pub(super) fn number(&self, key: LegKey) -> Option<u64> {
        self.legs.get(key)?.number
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::config::{Mode, Upstream};

    fn symbols(range: std::ops::Range<u32>) -> Vec<Symbol> {
        range.map(Symbol::numbered).collect()
    }

    fn shares(count: u16) -> Shares {
        let upstreams: Vec<_> = (0..count).map(|n| (SourceId(n), Upstream::new(format!("ws://s{n}:1")))).collect();
        Shares::new(upstreams.iter().map(|(source, upstream)| (*source, upstream)))
    }

    /// Sharded legs, and what each source has been told.
    struct Bench {
        legs: Legs,
        now: Instant,
        told: BTreeMap<LegKey, BTreeSet<Symbol>>,
    }

    impl Bench {
        fn new(moves_per_second: u32) -> Self {
            let mut config = Config::new(([127, 0, 0, 1], 0).into(), Mode::Fanout, ["ws://s0:1"]);
            (config.sources, config.moves_per_second) = (Sources::Sharded, moves_per_second);
            Self { legs: Legs::new(&config), now: Instant::now(), told: BTreeMap::new() }
        }

        fn up(&mut self, n: u16, of: u16) -> LegKey {
            let key = self.legs.open(SourceId(n), std::iter::empty()).key;
            self.legs.up(self.now, key, u64::from(n) + 1, shares(of));
            key
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            for key in self.legs.legs.iter().map(|(key, _)| key).collect::<Vec<_>>() {
                if let (Some(told), _) = self.legs.due(self.now, key) {
                    self.told.insert(key, told.into_iter().collect());
                }
            }
        }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn symbols_are_shared_out_and_those_of_a_dead_leg_move_at_once() {
        let mut bench = Bench::new(10);
        bench.legs.changed(bench.now, &Change { added: symbols(0..40), removed: Vec::new() });
        let (a, b) = (bench.up(0, 2), bench.up(1, 2));
        // The first took all; its surplus moves gently.
        bench.pass(10 * MS);
        assert_eq!(bench.told[&a].len(), 40);
        let belong: usize = symbols(0..40).iter().filter(|s| shares(2).of(**s, |_| true) == Some(SourceId(1))).count();
        assert!(bench.told[&b].len() < belong, "{} of {belong}", bench.told[&b].len());
        for _ in 0..60 {
            bench.pass(100 * MS);
            bench.legs.settle(bench.now, |_, _| true);
        }
        bench.pass(2000 * MS);
        assert_eq!(bench.told[&b].len(), belong);
        assert_eq!(bench.told[&a].len(), 40 - belong);
        assert!(bench.told[&a].is_disjoint(&bench.told[&b]));
        let (number, had) = bench.legs.close(bench.now, b);
        assert_eq!((number, had.len()), (Some(2), belong));
        bench.pass(10 * MS);
        assert_eq!(bench.told[&a].len(), 40);
    }

    #[test]
    fn where_all_legs_died_the_first_that_comes_back_is_told_all_again() {
        let mut bench = Bench::new(0);
        bench.legs.changed(bench.now, &Change { added: symbols(0..40), removed: Vec::new() });
        let (a, b) = (bench.up(0, 2), bench.up(1, 2));
        bench.pass(10 * MS);
        bench.legs.settle(bench.now, |_, _| true);
        bench.pass(3000 * MS);
        assert_eq!(bench.told[&a].len() + bench.told[&b].len(), 40);
        for key in [a, b] {
            bench.legs.close(bench.now, key);
        }
        bench.told.clear();
        let first = bench.up(0, 2);
        bench.pass(10 * MS);
        assert_eq!(bench.told[&first], symbols(0..40).into_iter().collect(), "its own as well as the other's");
        let other = bench.up(1, 2);
        bench.pass(10 * MS);
        bench.legs.settle(bench.now, |_, _| true);
        bench.pass(3000 * MS);
        assert!(bench.told[&first].is_disjoint(&bench.told[&other]));
        assert_eq!(bench.told[&first].len() + bench.told[&other].len(), 40);
    }

    #[test]
    fn a_symbol_whose_new_leg_dies_before_it_has_arrived_is_with_one_leg_in_the_end() {
        let mut bench = Bench::new(0);
        bench.legs.changed(bench.now, &Change { added: symbols(0..40), removed: Vec::new() });
        let a = bench.up(0, 3);
        bench.pass(10 * MS);
        let (b, c) = (bench.up(1, 3), bench.up(2, 3));
        bench.pass(10 * MS);
        assert!(!bench.told[&b].is_empty());
        bench.legs.close(bench.now, b);
        bench.pass(10 * MS);
        bench.legs.settle(bench.now, |_, _| true);
        bench.pass(3000 * MS);
        assert!(bench.told[&a].is_disjoint(&bench.told[&c]));
        assert_eq!(bench.told[&a].len() + bench.told[&c].len(), 40);
    }

    #[test]
    fn a_symbol_that_moves_stays_with_its_old_leg_until_the_new_one_has_caught_up() {
        let mut bench = Bench::new(0);
        bench.legs.changed(bench.now, &Change { added: symbols(0..40), removed: Vec::new() });
        let a = bench.up(0, 2);
        bench.pass(10 * MS);
        let b = bench.up(1, 2);
        bench.pass(10 * MS);
        let moving = bench.told[&b].clone();
        assert!(!moving.is_empty());
        bench.pass(3000 * MS);
        bench.legs.settle(bench.now, |_, _| false);
        bench.pass(3000 * MS);
        assert_eq!(bench.told[&a].len(), 40);
        let one = *moving.first().unwrap();
        bench.legs.settle(bench.now, |number, symbol| number == 2 && symbol == one);
        bench.pass(3000 * MS);
        assert_eq!(bench.told[&a].len(), 39);
        // And those that never tick go in the end.
        bench.pass(10_000 * MS);
        bench.legs.settle(bench.now, |_, _| false);
        bench.pass(3000 * MS);
        assert_eq!(bench.told[&a].len(), 40 - moving.len());
    }

    #[test]
    fn a_symbol_that_moves_on_before_it_has_arrived_stays_with_no_leg_but_the_last() {
        let mut bench = Bench::new(0);
        bench.legs.changed(bench.now, &Change { added: symbols(0..40), removed: Vec::new() });
        // Three legs come up one after the other: some symbols move twice, and have not arrived in between.
        let legs = [bench.up(0, 3), bench.up(1, 3), bench.up(2, 3)];
        bench.pass(10 * MS);
        bench.legs.settle(bench.now, |_, _| true);
        bench.pass(3000 * MS);
        let told: Vec<Symbol> = legs.iter().flat_map(|leg| bench.told[leg].iter().copied()).collect();
        assert_eq!(told.len(), 40, "each symbol is with one leg");
        assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 40);
    }

    #[test]
    fn a_symbol_that_nobody_wants_leaves_every_leg() {
        let mut bench = Bench::new(0);
        bench.legs.changed(bench.now, &Change { added: symbols(0..4), removed: Vec::new() });
        bench.up(0, 2);
        bench.up(1, 2);
        bench.pass(10 * MS);
        bench.legs.changed(bench.now, &Change { added: Vec::new(), removed: symbols(0..4) });
        bench.pass(1500 * MS);
        assert!(symbols(0..4).iter().all(|symbol| !bench.legs.any_knows(*symbol)));
        assert!(bench.legs.handovers.is_empty() && bench.legs.owners.is_empty());
    }
}
