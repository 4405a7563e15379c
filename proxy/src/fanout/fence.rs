//! Where a symbol comes by one leg at a time: what a new leg brings of the past is left out.
//!
//! ```text
//!   leg 1   ... 5 6 7 8 9 |dies
//!   leg 2                    7 8 9 10 11     a replica that is behind: 7, 8 and 9 are old, 10 is the first that goes on
//! ```
//!
//! It goes by the source's time stamp, and by the message's bytes where two are equal. What cannot be compared is passed on. Whom nothing was passed on for so long as silence may last
//! is told what there is: then the source's clock has gone back, and to wait for it would be worse. A source whose clock is behind is not told apart from one that is behind.

use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use tokio::time::Instant;
use wire::id::Symbol;
use wire::ws::Message;

use super::merge::Identify;

/// The newest of each symbol, and the leg that brought it. Pure.
#[derive(Debug)]
pub(super) struct Fence {
    newest: IndexMap<Symbol, Newest, FxBuildHasher>,
    /// How long nothing may have come before a step back in time is a new beginning.
    patience: Duration,
    identity: Identify,
}

#[derive(Debug)]
struct Newest {
    leg: u64,
    message: Message,
    at: Instant,
    /// How long after the one before.
    interval: Duration,
}

/// A symbol that ticks seldom is not quiet before it has missed so many ticks.
const INTERVALS: u32 = 2;

impl Fence {
    pub(super) fn new(patience: Duration, identity: Identify) -> Self {
        Self { newest: IndexMap::default(), patience, identity }
    }

    /// From now on silence may last so long.
    pub(super) fn wait(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Whether a message of a leg is to be passed on. Costs nothing to compare while the leg is the same.
    pub(super) fn passes(&mut self, now: Instant, leg: u64, symbol: Symbol, message: &Message) -> bool {
        if let Some(newest) = self.newest.get_mut(&symbol) {
            let interval = now.saturating_duration_since(newest.at);
            let quiet = interval > self.patience.max(newest.interval * INTERVALS);
            if newest.leg != leg && !quiet && is_past(self.identity, &newest.message, message) {
                wire::reached!("what a new leg brings of the past is left out");
                return false;
            }
            *newest = Newest { leg, message: message.clone(), at: now, interval };
        } else {
            self.newest.insert(symbol, Newest { leg, message: message.clone(), at: now, interval: Duration::ZERO });
        }
        true
    }

    /// The symbol is no longer received.
    pub(super) fn forget(&mut self, symbol: Symbol) {
        self.newest.swap_remove(&symbol);
    }
}

/// Whether `message` is older than `newest`, or the same.
fn is_past(identity: Identify, newest: &Message, message: &Message) -> bool {
    let of = |message: &Message| {
        let identity = message.to_text().ok().and_then(identity)?;
        Some((identity.ts_ms?, identity.payload))
    };
    let (Some((newest_ts, newest)), Some((ts, payload))) = (of(newest), of(message)) else { return false };
    ts < newest_ts || ts == newest_ts && payload == newest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::feed::Identity;

    use super::*;

    fn tick(ts: u64, bid: u64) -> Message {
        Message::text(format!(r#"{{"symbol":"S0000","ts":"{ts}","bid":{bid}}}"#))
    }

    const SYMBOL: fn() -> Symbol = || Symbol::numbered(0);

    fn fence() -> (Fence, Instant) {
        (Fence::new(Duration::from_secs(2), Identity::v1), Instant::now())
    }

    #[test]
    fn a_leg_that_is_behind_is_left_out_until_it_goes_on() {
        let (mut fence, now) = fence();
        let mut passed = Vec::new();
        for (leg, ts) in [(1, 7), (1, 8), (1, 9), (2, 7), (2, 8), (2, 9), (2, 10), (2, 11)] {
            if fence.passes(now, leg, SYMBOL(), &tick(ts, 1)) {
                passed.push((leg, ts));
            }
        }
        assert_eq!(passed, [(1, 7), (1, 8), (1, 9), (2, 10), (2, 11)]);
    }

    #[test]
    fn of_one_leg_everything_is_passed_on_whatever_its_clock_does() {
        let (mut fence, now) = fence();
        assert!([9, 8, 8, 10].into_iter().all(|ts| fence.passes(now, 1, SYMBOL(), &tick(ts, 1))));
    }

    #[test]
    fn another_tick_of_the_same_instant_and_what_cannot_be_compared_are_passed_on() {
        let (mut fence, now) = fence();
        assert!(fence.passes(now, 1, SYMBOL(), &tick(9, 1)));
        assert!(fence.passes(now, 2, SYMBOL(), &tick(9, 2)));
        assert!(fence.passes(now, 3, SYMBOL(), &Message::text("no tick")));
        assert!(fence.passes(now, 4, SYMBOL(), &tick(1, 1)));
        fence.forget(SYMBOL());
        assert!(fence.passes(now, 5, SYMBOL(), &tick(1, 1)));
    }

    #[test]
    fn after_a_long_silence_the_past_is_better_than_nothing() {
        let (mut fence, now) = fence();
        assert!(fence.passes(now, 1, SYMBOL(), &tick(9, 1)));
        assert!(!fence.passes(now + Duration::from_secs(2), 2, SYMBOL(), &tick(5, 1)));
        assert!(fence.passes(now + Duration::from_millis(2_001), 2, SYMBOL(), &tick(6, 1)));
        assert!(fence.passes(now + Duration::from_millis(2_002), 2, SYMBOL(), &tick(7, 1)));
    }

    #[test]
    fn how_long_silence_may_last_may_change_while_it_lasts() {
        let (mut fence, now) = fence();
        let at = |ms| now + Duration::from_millis(ms);
        assert!(fence.passes(now, 1, SYMBOL(), &tick(9, 1)));
        fence.wait(Duration::from_secs(3));
        assert!(!fence.passes(at(2_500), 2, SYMBOL(), &tick(5, 1)));
        fence.wait(Duration::from_secs(1));
        assert!(fence.passes(at(2_501), 2, SYMBOL(), &tick(6, 1)));
    }

    #[test]
    fn a_symbol_that_ticks_seldom_is_not_quiet_between_two_ticks() {
        let (mut fence, now) = fence();
        let at = |s| now + Duration::from_secs(s);
        assert!(fence.passes(at(0), 1, SYMBOL(), &tick(8, 1)));
        assert!(fence.passes(at(30), 1, SYMBOL(), &tick(9, 1)));
        assert!(!fence.passes(at(60), 2, SYMBOL(), &tick(8, 1)));
        assert!(fence.passes(at(91), 2, SYMBOL(), &tick(9, 1)));
    }

    proptest! {
        /// Legs of one feed that each bring a stretch of it: what is passed on rises, and nothing is left out that is new.
        #[test]
        fn what_is_passed_on_never_goes_back_and_nothing_new_is_left_out(legs in proptest::collection::vec((0_u64..50, 1_u64..30), 1..10)) {
            let (mut fence, now) = fence();
            let mut newest = None;
            for (leg, (begin, length)) in (0_u64..).zip(legs) {
                for ts in begin..begin + length {
                    let passes = fence.passes(now, leg, SYMBOL(), &tick(ts, ts));
                    prop_assert_eq!(passes, newest.is_none_or(|newest| ts > newest));
                    if passes {
                        newest = Some(ts);
                    }
                }
            }
        }
    }
}
