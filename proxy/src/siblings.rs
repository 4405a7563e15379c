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
    /// Since when data is owed: the last data, or the first subscription.
    owed_since: Instant,
    /// Whether there was data on these legs at all.
    has_data: bool,
}

impl Siblings {
    /// Something is subscribed on one more leg.
    pub(crate) fn subscribed(&mut self, source: SourceId, now: Instant) {
        let first = Shown { legs: 0, owed_since: now, has_data: false };
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
            (shown.owed_since, shown.has_data) = (shown.owed_since.max(now), true);
        }
    }

    /// Whether no leg of the instance has had data for longer than `floor` and longer than `factor` times the median of its siblings. `factor` 0 never finds
    /// anything.
    pub(crate) fn is_stale(&self, source: SourceId, now: Instant, floor: Duration, factor: u32) -> bool {
        let age = |shown: &Shown| now.saturating_duration_since(shown.owed_since);
        let Some(own) = self.instances.get(&source).map(age) else { return false };
        if factor == 0 || own <= floor {
            return false;
        }
        let others = self.instances.iter().filter(|(other, shown)| **other != source && shown.has_data);
        let mut ages: Vec<Duration> = others.map(|(_, shown)| age(shown)).collect();
        ages.sort_unstable();
        // Of an even number the greater of the two in the middle: the milder judgement.
        ages.get(ages.len() / 2).is_some_and(|median| own > median.saturating_mul(factor))
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
        for source in [A, A, B, SourceId(2)] {
            siblings.subscribed(source, now);
        }
        siblings
    }

    #[test]
    fn an_instance_without_data_is_stale_while_its_siblings_have_some() {
        let start = Instant::now();
        let mut siblings = siblings(start);
        let stale = |siblings: &Siblings, source, at| siblings.is_stale(source, at, 2 * S, 10);
        let now = start + 3 * S;
        assert!(!stale(&siblings, A, now), "all are silent");
        siblings.data(B, now);
        siblings.data(SourceId(2), now);
        assert!(stale(&siblings, A, now) && !stale(&siblings, B, now));
        assert!(!stale(&siblings, A, start + 2 * S), "not before the floor");
        assert!(!siblings.is_stale(A, now, 2 * S, 0), "switched off");
        // Data on any of its legs clears it.
        siblings.data(A, now);
        assert!(!stale(&siblings, A, now + S));
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
    fn with_one_instance_nothing_is_concluded_and_what_ended_counts_no_more() {
        let start = Instant::now();
        let mut siblings = siblings(start);
        siblings.data(B, start + 9 * S);
        siblings.ended(B);
        siblings.ended(SourceId(2));
        assert!(!siblings.is_stale(A, start + 9 * S, S, 2));
        siblings.ended(A);
        siblings.ended(A);
        siblings.subscribed(A, start + 9 * S);
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
                siblings.subscribed(SourceId(n), start);
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
