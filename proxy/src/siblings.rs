//! Whether an instance is silent while its siblings deliver.
//!
//! A leg that never had data proves nothing by its silence: the market may be closed. But if the same source's other instances deliver at that very time, it does.
//! Only data counts as evidence, and only against the median of the siblings: where all are silent, or one alone speaks for nobody, nothing is concluded.
//! This finds the instance that lets everyone in, answers every ping, and has nothing to say any more.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use wire::id::SourceId;

/// What the legs of each instance show. Pure: told the time and the news.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    instances: BTreeMap<SourceId, Shown>,
}

/// What the legs of one instance show together.
#[derive(Clone, Copy, Debug)]
struct Shown {
    /// Legs on which something is subscribed.
    legs: u32,
    /// Since when data is owed: the last data, the first subscription, or when it could last be our doing that none came.
    owed_since: Instant,
    /// When there was data on these legs.
    data_at: Option<Instant>,
    /// Found stale, and not heard of since: those who have not left yet follow, though they become fewer.
    convicted: bool,
}

/// Legs of an instance below which its silence proves nothing: one client may have asked for a symbol that does not exist, or hardly ever ticks. Symbols are not
/// compared.
const LEGS_MIN: u32 = 3;

impl Siblings {
    /// Something is subscribed on one more leg.
    pub(crate) fn subscribed(&mut self, source: SourceId, now: Instant) {
        let first = Shown { legs: 0, owed_since: now, data_at: None, convicted: false };
        self.instances.entry(source).or_insert(first).legs += 1;
    }

    /// Such a leg is over.
    pub(crate) fn ended(&mut self, source: SourceId) {
        if let Some(shown) = self.instances.get_mut(&source) {
            shown.legs -= 1;
            if shown.legs == 0 {
                self.instances.remove(&source);
            }
        }
    }

    /// Data came.
    pub(crate) fn data(&mut self, source: SourceId, now: Instant) {
        if let Some(shown) = self.instances.get_mut(&source) {
            shown.owed_since = shown.owed_since.max(now);
            shown.data_at = shown.data_at.max(Some(now));
            shown.convicted = false;
        }
    }

    /// A client does not take what its instance says, so the instance is not read: its silence is our doing. That is no evidence that it delivers.
    pub(crate) fn held_back(&mut self, source: SourceId, now: Instant) {
        if let Some(shown) = self.instances.get_mut(&source) {
            shown.owed_since = shown.owed_since.max(now);
        }
    }

    /// Whether none of the instance's legs, three or more, has had data for longer than `floor` and longer than `factor` times the median of its siblings. `factor` 0 never finds
    /// anything.
    pub(crate) fn is_stale(&mut self, source: SourceId, now: Instant, floor: Duration, factor: u32) -> bool {
        let since = |at: Instant| now.saturating_duration_since(at);
        let Some(own) = self.instances.get(&source).filter(|shown| shown.legs >= LEGS_MIN || shown.convicted) else {
            return false;
        };
        let own = since(own.owed_since);
        if factor == 0 || own <= floor {
            return false;
        }
        let others = self.instances.iter().filter(|(other, _)| **other != source);
        let mut ages: Vec<Duration> = others.filter_map(|(_, shown)| shown.data_at.map(since)).collect();
        ages.sort_unstable();
        // Of an even number the greater of the two in the middle: the milder judgement.
        let stale = ages.get(ages.len() / 2).is_some_and(|median| own > median.saturating_mul(factor));
        if let Some(shown) = self.instances.get_mut(&source) {
            shown.convicted |= stale;
        }
        stale
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);
    const A: SourceId = SourceId(0);
    const B: SourceId = SourceId(1);

    fn siblings(now: Instant) -> Siblings {
        let mut siblings = Siblings::default();
        for source in [A, B, SourceId(2)] {
            for _ in 0..LEGS_MIN {
                siblings.subscribed(source, now);
            }
        }
        siblings
    }

    #[test]
    fn an_instance_without_data_is_stale_while_its_siblings_have_some() {
        let start = Instant::now();
        let mut siblings = siblings(start);
        let stale = |siblings: &mut Siblings, source, at| siblings.is_stale(source, at, 2 * S, 10);
        let now = start + 3 * S;
        assert!(!stale(&mut siblings, A, now), "all are silent");
        siblings.data(B, now);
        siblings.data(SourceId(2), now);
        assert!(stale(&mut siblings, A, now) && !stale(&mut siblings, B, now));
        assert!(!stale(&mut siblings, A, start + 2 * S), "not before the floor");
        assert!(!siblings.is_stale(A, now, 2 * S, 0), "switched off");
        // Data on any of its legs clears it.
        siblings.data(A, now);
        assert!(!stale(&mut siblings, A, now + S));
    }

    #[test]
    fn where_the_siblings_are_slow_too_nothing_is_concluded() {
        let start = Instant::now();
        let mut siblings = siblings(start);
        let now = start + 4 * S;
        siblings.data(B, now - S / 2);
        siblings.data(SourceId(2), now - S / 2);
        assert!(!siblings.is_stale(A, now, 2 * S, 10), "eight times as old");
        assert!(siblings.is_stale(A, now, 2 * S, 5));
    }

    #[test]
    fn what_one_or_two_clients_do_not_get_proves_nothing() {
        let start = Instant::now();
        let mut siblings = Siblings::default();
        siblings.subscribed(B, start);
        siblings.data(B, start + 9 * S);
        for legs in 1..=LEGS_MIN {
            siblings.subscribed(A, start);
            assert_eq!(siblings.is_stale(A, start + 9 * S, S, 2), legs == LEGS_MIN, "{legs} legs");
        }
    }

    #[test]
    fn all_leave_an_instance_that_was_found_stale_and_it_may_prove_itself() {
        let start = Instant::now();
        let mut siblings = siblings(start);
        siblings.data(B, start + 9 * S);
        for _ in 1..LEGS_MIN {
            assert!(siblings.is_stale(A, start + 9 * S, S, 2));
            siblings.ended(A);
        }
        assert!(siblings.is_stale(A, start + 9 * S, S, 2), "the last, too");
        siblings.data(A, start + 9 * S);
        siblings.data(B, start + 19 * S);
        assert!(!siblings.is_stale(A, start + 19 * S, S, 2), "one leg alone proves nothing again");
    }

    #[test]
    fn a_client_that_holds_its_instance_back_excuses_it_and_accuses_no_other() {
        let start = Instant::now();
        let mut siblings = siblings(start);
        siblings.held_back(A, start + 9 * S);
        assert!(!siblings.is_stale(B, start + 9 * S, S, 2), "nobody delivers");
        siblings.data(B, start + 9 * S);
        assert!(!siblings.is_stale(A, start + 9 * S, S, 2));
        assert!(siblings.is_stale(SourceId(2), start + 9 * S, S, 2));
    }

    #[test]
    fn with_one_instance_nothing_is_concluded_and_what_ended_counts_no_more() {
        let start = Instant::now();
        let mut siblings = siblings(start);
        siblings.data(B, start + 9 * S);
        for _ in 0..LEGS_MIN {
            siblings.ended(B);
            siblings.ended(SourceId(2));
        }
        assert!(!siblings.is_stale(A, start + 9 * S, S, 2));
        for _ in 0..LEGS_MIN {
            siblings.ended(A);
        }
        for _ in 0..LEGS_MIN {
            siblings.subscribed(A, start + 9 * S);
        }
        siblings.subscribed(B, start + 9 * S);
        siblings.data(B, start + 10 * S);
        assert!(!siblings.is_stale(A, start + 10 * S, 2 * S, 2), "it begins again with its first leg");
    }

    proptest! {
        #[test]
        fn an_instance_is_stale_only_with_fresher_siblings_and_past_the_floor(
            ages_ms in proptest::collection::vec(proptest::option::of(0_u64..20_000), 1..7),
            floor_ms in 0_u64..5_000,
            factor in 0_u32..12,
        ) {
            let start = Instant::now();
            let now = start + Duration::from_millis(20_000);
            let mut siblings = Siblings::default();
            for (n, age) in (0..).zip(&ages_ms) {
                for _ in 0..LEGS_MIN {
                    siblings.subscribed(SourceId(n), start);
                }
                if let Some(age) = age {
                    siblings.data(SourceId(n), now - Duration::from_millis(*age));
                }
            }
            for (n, own) in ages_ms.iter().enumerate() {
                let own = own.unwrap_or(20_000);
                // Naively: at least half of the siblings with data are so much fresher.
                let others: Vec<u64> = ages_ms.iter().enumerate().filter(|(other, _)| *other != n).filter_map(|(_, age)| *age).collect();
                let fresher = others.iter().filter(|age| own > **age * u64::from(factor)).count();
                let expect = factor > 0 && own > floor_ms && !others.is_empty() && 2 * fresher > others.len();
                let found = siblings.is_stale(SourceId(n as u16), now, Duration::from_millis(floor_ms), factor);
                prop_assert_eq!(found, expect);
            }
        }
    }
}
