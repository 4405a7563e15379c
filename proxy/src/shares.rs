//! Which instance of the source delivers which symbol, where the symbols are shared out among several.
//!
//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights: Schindelhauer and Schomaker 2005): each instance draws a number for each symbol, from an
//! exponential distribution whose rate is its weight, and the least has it. The draws depend on the symbol and the instance's URL and on nothing else, so
//!
//! - an instance that comes takes its share from all others alike, one that goes leaves its share to all others alike, and no symbol moves between the others;
//! - each has as many symbols as its weight says, up to chance;
//! - all proxies, and all lives of a proxy, agree without a word.
//!
//! [`Rebalance`] makes the moves that follow from a change, a few a second.

use std::time::Duration;

use tokio::time::Instant;
use wire::draw::Draws;
use wire::id::{SourceId, Symbol};

use crate::bucket::{Bucket, Rate};
use crate::config::Upstream;

/// Who delivers what. Pure: the same instances give the same shares everywhere.
///
/// ```
/// use proxy::{Shares, Upstream};
/// use wire::id::{SourceId, Symbol};
///
/// let upstreams = [Upstream::new("ws://a:1"), Upstream::new("ws://b:1")];
/// let shares = Shares::new(upstreams.iter().zip(0..).map(|(upstream, n)| (SourceId(n), upstream)));
/// let symbol = Symbol::new("EURUSD").unwrap();
/// let first = shares.of(symbol, |_| true).unwrap();
/// let then = shares.of(symbol, |source| source != first).unwrap();
/// assert_ne!(first, then);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares {
    instances: Vec<Holder>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Holder {
    source: SourceId,
    /// What its draws depend on.
    key: u64,
    /// One by the weight: the mean of its draws.
    mean: f64,
}

impl Shares {
    /// The shares of these instances. Two with one URL have shares of their own.
    pub fn new<'u>(instances: impl IntoIterator<Item = (SourceId, &'u Upstream)>) -> Self {
        let mut holders: Vec<Holder> = Vec::new();
        for (source, upstream) in instances {
            let keys = Draws::new(0, &upstream.url, 0);
            // The nth with this URL has its nth key.
            let key = (0..).map(|n| keys.nth(n)).find(|key| holders.iter().all(|other| other.key != *key));
            let mean = 1.0 / f64::from(upstream.weight.max(1));
            holders.extend(key.map(|key| Holder { source, key, mean }));
        }
        Self { instances: holders }
    }

    /// The instance that delivers the symbol: of those that are usable, the first in the symbol's order. None if none is.
    pub fn of(&self, symbol: Symbol, usable: impl Fn(SourceId) -> bool) -> Option<SourceId> {
        let draw = |holder: &Holder| Draws::new(0, symbol.as_str(), holder.key).exponential(holder.mean);
        let usable = self.instances.iter().filter(|holder| usable(holder.source)).map(|holder| (draw(holder), holder));
        usable.min_by(|(a, x), (b, y)| a.total_cmp(b).then(x.key.cmp(&y.key))).map(|(_, holder)| holder.source)
    }
}

/// A symbol goes from one instance to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which symbol.
    pub symbol: Symbol,
    /// The instance that delivers it now; None if none does.
    pub from: Option<SourceId>,
    /// The instance that is to deliver it.
    pub to: SourceId,
}

/// What to do now so that each symbol comes from where [`Shares`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// The moves to make now, in the order in which the symbols were named.
    pub now: Vec<Move>,
    /// When to ask again for those that must wait; None if all is where it belongs.
    pub again_at: Option<Instant>,
}

/// Moves symbols gently: a symbol that an instance delivers well moves only at a bounded rate, as each move may cost its subscribers a gap. One whose instance
/// cannot be used moves at once.
#[derive(Clone, Copy, Debug)]
pub struct Rebalance {
    rate: Rate,
    bucket: Bucket,
}

impl Rebalance {
    /// At most `moves_per_second` in the long run and as many at once; 0 sets no bound.
    #[must_use]
    pub fn new(moves_per_second: u32) -> Self {
        Self { rate: Rate::new(moves_per_second, moves_per_second), bucket: Bucket::default() }
    }

    /// The moves to make now. `held` names each symbol and the instance that delivers it, in a settled order; the caller makes every move before it asks again.
    pub fn moves(
        &mut self,
        now: Instant,
        held: impl IntoIterator<Item = (Symbol, Option<SourceId>)>,
        shares: &Shares,
        usable: impl Fn(SourceId) -> bool,
    ) -> Moves {
        let mut moves = Moves::default();
        for (symbol, from) in held {
            let Some(to) = shares.of(symbol, &usable).filter(|to| Some(*to) != from) else { continue };
            if from.is_some_and(&usable) {
                let ready_at = self.bucket.ready_at(self.rate).filter(|at| *at > now);
                if let Some(at) = ready_at {
                    // Timers fire on whole milliseconds.
                    moves.again_at = Some(at.max(now + Duration::from_millis(1)));
                    continue;
                }
                self.bucket.take(self.rate, now);
            }
            moves.now.push(Move { symbol, from, to });
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn symbol(n: u32) -> Symbol {
        Symbol::new(&format!("S{n:04}")).unwrap()
    }

    fn shares(weights: &[(u16, u16)]) -> Shares {
        let upstreams: Vec<(SourceId, Upstream)> = weights
            .iter()
            .map(|(n, weight)| {
                (SourceId(*n), Upstream { weight: *weight, ..Upstream::new(format!("ws://feed-{n}:9000")) })
            })
            .collect();
        Shares::new(upstreams.iter().map(|(source, upstream)| (*source, upstream)))
    }

    fn table(shares: &Shares, symbols: u32) -> BTreeMap<u32, SourceId> {
        (0..symbols).map(|n| (n, shares.of(symbol(n), |_| true).unwrap())).collect()
    }

    #[test]
    fn each_instance_has_the_share_that_its_weight_says() {
        let table = table(&shares(&[(0, 100), (1, 100), (2, 200), (3, 400)]), 8000);
        for (source, expect) in [(0, 1000.0_f64), (1, 1000.0), (2, 2000.0), (3, 4000.0)] {
            let has = table.values().filter(|it| **it == SourceId(source)).count() as f64;
            // Four standard deviations of a binomial distribution.
            assert!((has - expect).abs() < 4.0 * (expect * (1.0 - expect / 8000.0)).sqrt(), "{source} has {has}");
        }
    }

    #[test]
    fn shares_depend_on_the_url_and_not_on_the_number_or_the_order() {
        let (a, b) = (Upstream::new("ws://a:1"), Upstream::new("ws://b:1"));
        let one = Shares::new([(SourceId(0), &a), (SourceId(1), &b)]);
        let other = Shares::new([(SourceId(0), &b), (SourceId(1), &a)]);
        for n in 0..100 {
            let [x, y] = [&one, &other].map(|shares| shares.of(symbol(n), |_| true).unwrap());
            assert_ne!(x, y, "the same URL under the other number");
        }
        let twins = Shares::new([(SourceId(0), &a), (SourceId(1), &a)]);
        let first = (0..100).filter(|n| twins.of(symbol(*n), |_| true) == Some(SourceId(0))).count();
        assert!((25..75).contains(&first), "two of one URL share, too: {first}");
        assert_eq!(Shares::default().of(symbol(0), |_| true), None);
    }

    #[test]
    fn a_dead_instance_s_symbols_move_at_once_and_come_back_gently() {
        let now = Instant::now();
        let shares = shares(&[(0, 100), (1, 100)]);
        let mut rebalance = Rebalance::new(10);
        let mut held: Vec<(Symbol, Option<SourceId>)> = (0..100).map(|n| (symbol(n), None)).collect();
        let mut step = |held: &mut Vec<(Symbol, Option<SourceId>)>, now, dead: Option<SourceId>| {
            let moves = rebalance.moves(now, held.iter().copied(), &shares, |source| Some(source) != dead);
            for it in &moves.now {
                let place = held.iter_mut().find(|(symbol, _)| *symbol == it.symbol).unwrap();
                assert_eq!(place.1, it.from);
                place.1 = Some(it.to);
            }
            (moves.now.len(), moves.again_at)
        };
        assert_eq!(step(&mut held, now, None), (100, None));
        let of_b = held.iter().filter(|(_, source)| *source == Some(SourceId(1))).count();
        assert_eq!(step(&mut held, now, Some(SourceId(1))), (of_b, None), "no symbol waits for a dead instance");
        assert_eq!(step(&mut held, now, None), (10, Some(now + Duration::from_millis(100))));
        let (mut at, mut moved) = (now, 10);
        while let (count, Some(again_at)) = step(&mut held, at, None) {
            moved += count;
            assert!(again_at > at);
            at = again_at;
        }
        assert_eq!(moved + 1, of_b, "the last move has nothing after it");
        assert!(at - now >= Duration::from_millis(100) * (of_b as u32 - 10), "ten a second");
    }

    proptest! {
        #[test]
        fn only_the_share_of_the_one_that_changes_moves(
            weights in proptest::collection::btree_map(0_u16..50, 1_u16..=1000, 1..8),
            changed in 50_u16..99,
            (weight, heavier) in (1_u16..=500, 501_u16..=1000),
        ) {
            let base: Vec<(u16, u16)> = weights.into_iter().collect();
            let with = |weight| base.iter().copied().chain([(changed, weight)]).collect::<Vec<_>>();
            let tables = [shares(&base), shares(&with(weight)), shares(&with(heavier))].map(|shares| table(&shares, 300));
            for pair in tables.windows(2) {
                for (n, before) in &pair[0] {
                    let after = pair[1][n];
                    prop_assert!(after == *before || after == SourceId(changed), "symbol {n} moved between others");
                }
            }
            // A dead instance is as one that is not there.
            let whole = shares(&with(weight));
            for (n, without) in &tables[0] {
                prop_assert_eq!(whole.of(symbol(*n), |source| source != SourceId(changed)), Some(*without));
            }
        }

        #[test]
        fn in_no_second_move_more_than_may_and_all_arrive(rate in 1_u32..50, symbols in 1_u32..200) {
            let start = Instant::now();
            let (old, new) = (shares(&[(0, 100)]), shares(&[(0, 100), (1, 300)]));
            let mut held: Vec<(Symbol, Option<SourceId>)> = (0..symbols).map(|n| (symbol(n), old.of(symbol(n), |_| true))).collect();
            let (mut rebalance, mut now, mut moved) = (Rebalance::new(rate), start, Vec::new());
            loop {
                let moves = rebalance.moves(now, held.iter().copied(), &new, |_| true);
                for it in moves.now {
                    moved.push(now);
                    held.iter_mut().filter(|(symbol, _)| *symbol == it.symbol).for_each(|place| place.1 = Some(it.to));
                }
                let Some(again_at) = moves.again_at else { break };
                prop_assert!(again_at > now);
                now = again_at;
            }
            prop_assert!(held.iter().all(|(symbol, source)| *source == new.of(*symbol, |_| true)));
            for (i, from) in moved.iter().enumerate() {
                let in_a_second = moved[i..].iter().take_while(|at| **at - *from < Duration::from_secs(1)).count();
                prop_assert!(in_a_second <= 2 * rate as usize, "a burst and a second's worth");
            }
            prop_assert!(now - start <= Duration::from_secs(1) + Duration::from_secs(u64::from(symbols / rate)));
        }
    }
}
