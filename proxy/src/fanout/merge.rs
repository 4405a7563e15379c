//! Several legs that carry the same symbols, merged into one stream: each tick once, in order, and no gap when a leg dies.
//!
//! It needs an identity that all instances agree on: the source's time stamp, and the message's bytes where two ticks have the same. Each leg must carry a symbol's ticks in the order
//! of their time stamps, and all of them from where it begins.
//!
//! ```text
//!   leg 1   ... 5 6 7 8 9          chain (one epoch)   ... 5 6 7 8 9 10 11
//!   leg 2       5 6 7 8 9 10 11                             1 1 1 1 1  2  2    leg 1 dies after 9: nobody notices
//!   leg 3              9 10 11     joins at 9: it has overlapped, so it misses nothing from there
//! ```
//!
//! A leg that begins ahead of the chain is kept back, within a bound, until the chain has reached its first tick: only then is nothing missing between. Where no leg is left that carries
//! the chain, the next one begins a new chain, which is a new epoch: clients are told. So within a chain nothing is ever missing that a leg which carries it sent.

use std::collections::VecDeque;
use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use tokio::time::Instant;
use wire::feed::Identity;
use wire::id::Symbol;
use wire::ws::Message;

/// Ticks of one symbol that a leg may be ahead; the oldest give way, and its beginning with them.
const AHEAD_MAX: usize = 256;

/// Time stamps equal to the newest that are told apart.
const SAME_MAX: usize = 64;

/// The merged streams of all symbols. Pure. A leg is known by a number; a leg that dies takes its number with it.
#[derive(Debug)]
pub(super) struct Merge {
    streams: IndexMap<Symbol, Stream, FxBuildHasher>,
    /// How long nothing may have come before a step back in time is a new beginning.
    patience: Duration,
    identity: Identify,
    /// Legs whose ticks are passed on whatever came before.
    trusted: Vec<u64>,
}

/// What makes a tick that tick, in the feed's protocol.
pub(super) type Identify = fn(&str) -> Option<Identity>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tick {
    ts: u64,
    payload: u64,
}

impl Tick {
    fn of(identity: Identity) -> Option<Self> {
        Some(Self { ts: identity.ts_ms?, payload: identity.payload })
    }
}

/// What goes to the clients.
#[derive(Debug, PartialEq)]
pub(super) struct Merged {
    pub(super) symbol: Symbol,
    /// The number of its chain: that of the leg that it began with, where that is new to the symbol.
    pub(super) chain: u64,
    pub(super) message: Message,
}

/// Gives a number greater than those of all legs and chains so far.
pub(super) type Fresh<'f> = &'f mut dyn FnMut() -> u64;

#[derive(Debug, Default)]
struct Stream {
    chain: Option<u64>,
    /// The tick that it began with.
    first: Option<Tick>,
    /// The newest time stamp of the chain, and the hashes of its ticks.
    ts: u64,
    same: VecDeque<u64>,
    last_at: Option<Instant>,
    /// Legs that carry the chain: from here on they miss nothing.
    carriers: Vec<u64>,
    /// Legs that are ahead of it.
    ahead: Vec<Ahead>,
}

#[derive(Debug)]
struct Ahead {
    leg: u64,
    ticks: VecDeque<(Tick, Message)>,
}

impl Stream {
    /// The chain has this tick, or is past it.
    fn has(&self, tick: Tick) -> bool {
        self.chain.is_some() && (tick.ts < self.ts || tick.ts == self.ts && self.same.contains(&tick.payload))
    }

    /// It may have come before the tick that the chain began with: a leg that is there has not reached the chain yet.
    fn precedes(&self, tick: Tick) -> bool {
        self.first.is_some_and(|first| tick.ts <= first.ts && tick != first)
    }

    fn begin(&mut self, leg: u64, fresh: Fresh<'_>) {
        // Each chain of a symbol has a greater number than those before it.
        self.chain = Some(if self.chain.is_none_or(|old| old < leg) { leg } else { fresh() });
        self.carriers = vec![leg];
        (self.first, self.ts, self.last_at) = (None, 0, None);
        self.same.clear();
    }

    fn extend(&mut self, now: Instant, tick: Tick) {
        if self.first.is_none() {
            self.first = Some(tick);
            let mut ahead = std::mem::take(&mut self.ahead);
            for it in &mut ahead {
                while it.ticks.front().is_some_and(|(tick, _)| self.precedes(*tick)) {
                    it.ticks.pop_front();
                }
            }
            ahead.retain(|it| !it.ticks.is_empty());
            self.ahead = ahead;
        }
        if tick.ts != self.ts {
            self.ts = tick.ts;
            self.same.clear();
        }
        if self.same.len() == SAME_MAX {
            self.same.pop_front();
        }
        self.same.push_back(tick.payload);
        self.last_at = Some(now);
    }
}

impl Merge {
    pub(super) fn new(patience: Duration, identity: Identify) -> Self {
        Self { streams: IndexMap::default(), patience, identity, trusted: Vec::new() }
    }

    /// From now on silence may last so long.
    pub(super) fn wait(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// What this leg brings of a chain that it carries is passed on, though another may have brought it before.
    pub(super) fn trust(&mut self, leg: u64) {
        self.trusted.push(leg);
    }

    /// A message of a leg. What goes to the clients is put into `out`.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        leg: u64,
        symbol: Symbol,
        message: Message,
        fresh: Fresh<'_>,
        out: &mut Vec<Merged>,
    ) {
        let stream = self.streams.entry(symbol).or_default();
        let Some(tick) = message.to_text().ok().and_then(self.identity).and_then(Tick::of) else {
            // It cannot be compared: one leg's word counts, and nobody can follow it without a gap.
            if stream.carriers.is_empty() {
                stream.begin(leg, fresh);
            }
            if stream.carriers.first() == Some(&leg)
                && let Some(chain) = stream.chain
            {
                out.push(Merged { symbol, chain, message });
            }
            return;
        };
        let quiet = stream.last_at.is_none_or(|at| now.saturating_duration_since(at) > self.patience);
        let carries = stream.carriers.contains(&leg);
        if !carries && stream.precedes(tick) {
            if quiet && stream.carriers.is_empty() {
                stream.begin(leg, fresh);
                deliver(stream, now, symbol, tick, message, out);
            }
        } else if stream.has(tick) {
            if !carries {
                // It overlaps: from here on it carries the chain.
                stream.carriers.push(leg);
                stream.ahead.retain(|it| it.leg != leg);
            } else if quiet && tick.ts < stream.ts {
                // The source's clock has gone back, and nobody says anything else.
                stream.begin(leg, fresh);
                deliver(stream, now, symbol, tick, message, out);
            } else if let Some(chain) = stream.chain.filter(|_| self.trusted.contains(&leg)) {
                out.push(Merged { symbol, chain, message });
            }
        } else if carries {
            deliver(stream, now, symbol, tick, message, out);
        } else if stream.carriers.is_empty() {
            stream.begin(leg, fresh);
            deliver(stream, now, symbol, tick, message, out);
        } else {
            let place = stream.ahead.iter().position(|it| it.leg == leg).unwrap_or_else(|| {
                stream.ahead.push(Ahead { leg, ticks: VecDeque::new() });
                stream.ahead.len() - 1
            });
            wire::reached!("merge kept back a leg that is ahead");
            let ticks = &mut stream.ahead[place].ticks;
            if ticks.len() == AHEAD_MAX {
                ticks.pop_front();
            }
            ticks.push_back((tick, message));
        }
    }

    /// A leg is gone, for all symbols. What others had ahead may go to the clients now.
    pub(super) fn leg_down(&mut self, now: Instant, leg: u64, fresh: Fresh<'_>, out: &mut Vec<Merged>) {
        self.trusted.retain(|it| *it != leg);
        for (symbol, stream) in &mut self.streams {
            leave(stream, now, *symbol, leg, fresh, out);
        }
    }

    /// A leg no longer carries one symbol.
    pub(super) fn leave(&mut self, now: Instant, leg: u64, symbol: Symbol, fresh: Fresh<'_>, out: &mut Vec<Merged>) {
        if let Some(stream) = self.streams.get_mut(&symbol) {
            leave(stream, now, symbol, leg, fresh, out);
        }
    }

    /// Whether a leg carries the chain of a symbol.
    pub(super) fn carries(&self, leg: u64, symbol: Symbol) -> bool {
        self.streams.get(&symbol).is_some_and(|stream| stream.carriers.contains(&leg))
    }

    /// The symbol is no longer received.
    pub(super) fn forget(&mut self, symbol: Symbol) {
        self.streams.swap_remove(&symbol);
    }
}

fn leave(stream: &mut Stream, now: Instant, symbol: Symbol, leg: u64, fresh: Fresh<'_>, out: &mut Vec<Merged>) {
    stream.carriers.retain(|it| *it != leg);
    stream.ahead.retain(|it| it.leg != leg);
    if stream.carriers.is_empty() && !stream.ahead.is_empty() {
        // Nobody fills what lies between.
        wire::reached!("merge lost its chain to one that was ahead");
        let oldest = |it: &(usize, &Ahead)| it.1.ticks.front().map(|(tick, _)| tick.ts);
        let place = stream.ahead.iter().enumerate().min_by_key(oldest).map_or(0, |(place, _)| place);
        let next = stream.ahead.remove(place);
        stream.begin(next.leg, fresh);
        for (tick, message) in next.ticks {
            // Another that was ahead may have had it.
            if !stream.has(tick) {
                deliver(stream, now, symbol, tick, message, out);
            }
        }
    }
}

/// The next tick of the chain, and whatever those ahead have to follow it.
fn deliver(stream: &mut Stream, now: Instant, symbol: Symbol, tick: Tick, message: Message, out: &mut Vec<Merged>) {
    let Some(chain) = stream.chain else { return };
    stream.extend(now, tick);
    out.push(Merged { symbol, chain, message });
    // Each round takes one leg from those ahead: as many rounds as legs at most.
    while let Some(place) = reached(stream) {
        wire::reached!("merge caught up with one that was ahead");
        let ahead = stream.ahead.remove(place);
        stream.carriers.push(ahead.leg);
        for (tick, message) in ahead.ticks {
            if !stream.has(tick) {
                stream.extend(now, tick);
                out.push(Merged { symbol, chain, message });
            }
        }
    }
}

/// A leg ahead whose first tick the chain has reached.
fn reached(stream: &Stream) -> Option<usize> {
    stream.ahead.iter().position(|it| it.ticks.front().is_some_and(|(tick, _)| stream.has(*tick)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn tick(n: u64, ts: u64) -> Message {
        Message::text(format!(r#"{{"symbol":"S0000","ts":"{ts}","n":{n}}}"#))
    }

    fn n_of(message: &Message) -> u64 {
        let text = message.to_text().unwrap();
        text[text.find("\"n\":").unwrap() + 4..text.len() - 1].parse().unwrap()
    }

    struct Bench {
        merge: Merge,
        chains: u64,
        now: Instant,
        got: Vec<(u64, u64)>,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                merge: Merge::new(Duration::from_secs(2), Identity::v1),
                chains: 1000,
                now: Instant::now(),
                got: Vec::new(),
            }
        }

        fn chain(&self) -> Option<u64> {
            self.merge.streams.values().find_map(|it| it.chain)
        }

        fn take(&mut self, out: Vec<Merged>) {
            self.got.extend(out.into_iter().map(|it| (it.chain, n_of(&it.message))));
        }

        fn offer(&mut self, leg: u64, message: Message) {
            let mut out = Vec::new();
            let chains = &mut self.chains;
            let mut fresh = || {
                *chains += 1;
                *chains
            };
            self.merge.offer(self.now, leg, Symbol::numbered(0), message, &mut fresh, &mut out);
            self.take(out);
        }

        fn down(&mut self, leg: u64) {
            let mut out = Vec::new();
            let chains = &mut self.chains;
            let mut fresh = || {
                *chains += 1;
                *chains
            };
            self.merge.leg_down(self.now, leg, &mut fresh, &mut out);
            self.take(out);
        }
    }

    #[test]
    fn the_death_of_one_of_two_is_not_seen() {
        let mut bench = Bench::new();
        for n in 1..=3 {
            bench.offer(1, tick(n, n));
            bench.offer(2, tick(n, n));
        }
        bench.down(1);
        bench.offer(2, tick(4, 4));
        assert_eq!(bench.got, [(1, 1), (1, 2), (1, 3), (1, 4)]);
    }

    #[test]
    fn who_has_its_turn_first_matters_only_to_a_leg_that_is_trusted() {
        for trusts in [false, true] {
            let mut bench = Bench::new();
            bench.offer(1, tick(1, 1));
            bench.offer(2, tick(1, 1));
            if trusts {
                bench.merge.trust(1);
            }
            bench.offer(1, tick(2, 2));
            bench.offer(2, tick(2, 2));
            bench.offer(2, tick(3, 3));
            bench.offer(1, tick(3, 3));
            let (once, twice) = (vec![(1, 1), (1, 2), (1, 3)], vec![(1, 1), (1, 2), (1, 3), (1, 3)]);
            assert_eq!(bench.got, if trusts { twice } else { once });
        }
    }

    #[test]
    fn a_leg_ahead_waits_until_it_is_reached_or_alone() {
        let mut bench = Bench::new();
        bench.offer(1, tick(1, 1));
        bench.offer(2, tick(4, 4));
        bench.offer(2, tick(5, 5));
        bench.offer(1, tick(2, 2));
        assert_eq!(bench.got, [(1, 1), (1, 2)]);
        bench.offer(1, tick(3, 3));
        bench.offer(1, tick(4, 4));
        assert_eq!(bench.got[2..], [(1, 3), (1, 4), (1, 5)]);
        // Ahead, and those behind die: a gap, so a new chain.
        bench.offer(3, tick(8, 8));
        bench.down(1);
        bench.down(2);
        bench.offer(3, tick(9, 9));
        assert_eq!(bench.got[5..], [(3, 8), (3, 9)]);
    }

    #[test]
    fn ticks_that_cannot_be_compared_come_from_one_leg() {
        let mut bench = Bench::new();
        let bare = |n: u64| Message::text(format!(r#"{{"symbol":"S0000","n":{n}}}"#));
        bench.offer(1, bare(1));
        bench.offer(2, bare(1));
        bench.offer(1, bare(2));
        bench.down(1);
        bench.offer(2, bare(5));
        assert_eq!(bench.got, [(1, 1), (1, 2), (2, 5)]);
    }

    #[test]
    fn a_clock_that_goes_back_is_a_new_beginning_once_all_is_quiet() {
        let mut bench = Bench::new();
        bench.offer(1, tick(1, 1000));
        bench.offer(1, tick(2, 10));
        assert_eq!(bench.got, [(1, 1)]);
        bench.now += Duration::from_secs(3);
        bench.offer(1, tick(3, 11));
        bench.offer(1, tick(4, 12));
        assert_eq!(bench.got, [(1, 1), (1001, 3), (1001, 4)]);
    }

    #[test]
    fn how_long_all_may_be_quiet_may_change_while_it_is() {
        let mut bench = Bench::new();
        bench.offer(1, tick(1, 1000));
        bench.merge.wait(Duration::from_secs(5));
        bench.now += Duration::from_secs(3);
        bench.offer(1, tick(2, 10));
        assert_eq!(bench.got, [(1, 1)]);
        bench.merge.wait(Duration::from_secs(2));
        bench.offer(1, tick(3, 11));
        assert_eq!(bench.got, [(1, 1), (1001, 3)]);
    }

    proptest! {
        /// Legs send the same ticks, each from where it begins and at its own pace; some have time stamps in common. Within a chain the numbers are contiguous; no tick comes twice;
        /// and as long as a leg that carries the chain lives, there is no new one.
        #[test]
        fn within_a_chain_nothing_is_missing_and_nothing_comes_twice(
            steps in proptest::collection::vec((0_usize..3, 0_u8..20, 0_u64..6), 1..300),
        ) {
            let mut bench = Bench::new();
            // Number and next tick of the leg at each of three places.
            let mut legs = [(1_u64, 1_u64), (2, 1), (3, 1)];
            let mut next_leg = 4;
            let mut newest = 1;
            for (place, what, jump) in steps {
                let (leg, next) = legs[place];
                if what == 0 {
                    bench.down(leg);
                    // It comes back where the source is now, give or take.
                    legs[place] = (next_leg, (newest + jump).saturating_sub(3).max(1));
                    next_leg += 1;
                    continue;
                }
                let carried = bench.merge.streams.values().any(|it| !it.carriers.is_empty());
                let chains = (bench.chains, bench.chain());
                bench.offer(leg, tick(next, next / 2));
                prop_assert!(!carried || (bench.chains, bench.chain()) == chains);
                legs[place].1 += 1;
                newest = newest.max(next);
            }
            prop_assert!(bench.got.is_sorted_by_key(|(chain, _)| *chain), "{:?}", bench.got);
            let mut last: BTreeMap<u64, u64> = BTreeMap::new();
            for (chain, n) in &bench.got {
                if let Some(before) = last.insert(*chain, *n) {
                    prop_assert_eq!(before + 1, *n, "{:?}", bench.got);
                }
            }
        }
    }
}
