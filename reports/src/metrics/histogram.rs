//! Histograms that can be merged: over seeds, over shards. Percentiles cannot be averaged; these are what they are taken from.

use hdrhistogram::Histogram as Hdr;
use serde::{Deserialize, Serialize};

use super::Latency;
use super::latency::{of, whole};

/// How often each latency was seen. Latencies are told apart to 0.1 %, up to one hour, so that it has 24,000 entries at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// The sum of all samples.
    pub sum_us: u64,
    /// The greatest.
    pub max_us: u64,
    /// The greatest latency of each step that holds samples, in microseconds, and their number. In ascending order.
    pub steps: Vec<(u64, u64)>,
}

impl Histogram {
    pub(super) fn new(histogram: &Hdr<u64>, sum_us: u64, max_us: u64) -> Self {
        let steps = histogram.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
        Self { sum_us, max_us, steps }
    }

    /// Samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.steps.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Adds the samples of another: the same as if one had recorded them all.
    pub fn merge(&mut self, other: &Self) {
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
        let (mine, theirs) = (std::mem::take(&mut self.steps), &other.steps);
        self.steps.reserve(mine.len().max(theirs.len()));
        let (mut mine, mut theirs) = (mine.into_iter().peekable(), theirs.iter().copied().peekable());
        loop {
            let next = match (mine.peek().copied(), theirs.peek().copied()) {
                (None, None) => return,
                (Some((a, count)), Some((b, more))) if a == b => {
                    mine.next();
                    theirs.next();
                    (a, count.saturating_add(more))
                }
                (Some(step), Some((b, _))) if step.0 < b => {
                    mine.next();
                    step
                }
                (Some(step), None) => {
                    mine.next();
                    step
                }
                (_, Some(step)) => {
                    theirs.next();
                    step
                }
            };
            self.steps.push(next);
        }
    }

    /// The distribution, with the quantiles that its samples can carry.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut histogram = whole();
        for (us, count) in &self.steps {
            histogram.saturating_record_n(*us, *count);
        }
        of(&histogram, self.sum_us, self.max_us)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::latency::Whole;
    use super::*;

    fn recorded(samples: &[u64]) -> Whole {
        let mut whole = Whole::default();
        samples.iter().for_each(|sample| whole.record(*sample));
        whole
    }

    fn samples() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(prop_oneof![0_u64..5_000, 0_u64..10_000_000_000], 0..500)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn merged_is_the_same_as_recorded_together(one in samples(), two in samples()) {
            let mut merged = recorded(&one).histogram();
            merged.merge(&recorded(&two).histogram());
            let both = recorded(&[one, two].concat());
            prop_assert_eq!(&merged, &both.histogram());
            prop_assert_eq!(merged.latency(), both.latency());
            prop_assert!(merged.steps.is_sorted_by(|a, b| a.0 < b.0));
        }

        #[test]
        fn a_histogram_reads_back_from_its_text(one in samples()) {
            let histogram = recorded(&one).histogram();
            let text = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        }
    }

    #[test]
    fn there_are_never_more_entries_than_its_bound() {
        let mut whole = Whole::default();
        let mut us = 1;
        while us < 7_200_000_000_u64 {
            whole.record(us);
            us += (us / 3_000).max(1);
        }
        assert!((20_000..24_000).contains(&whole.histogram().steps.len()), "{}", whole.histogram().steps.len());
    }
}
