//! What samples say of a quantile: whether there are enough, and how well they know it.

use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF as _};

/// The fewest samples with which an upper bound of a quantile exists at this confidence: ceil(ln(1 - confidence) / ln q). 299 for p99 and 95 %, 2,995 for p99.9.
///
/// # Panics
/// If `q` or `confidence` is not between 0 and 1.
#[must_use]
pub fn samples_needed(q: f64, confidence: f64) -> u64 {
    assert!(0.0 < q && q < 1.0 && 0.0 < confidence && confidence < 1.0, "{q}, {confidence}");
    ((1.0 - confidence).ln() / q.ln()).ceil() as u64
}

/// The places of two samples, from 1, between which the quantile lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Places {
    /// The lower one.
    pub low: u64,
    /// The upper one.
    pub high: u64,
}

/// The interval of a quantile by the places of samples in order, whatever their distribution (David and Nagaraja, Order Statistics, 7.1). None where there are too few
/// samples for one of its ends.
///
/// # Panics
/// If `q` or `confidence` is not between 0 and 1.
#[must_use]
pub fn places(q: f64, samples: u64, confidence: f64) -> Option<Places> {
    assert!(0.0 < q && q < 1.0 && 0.0 < confidence && confidence < 1.0, "{q}, {confidence}");
    let below = Binomial::new(q, samples).ok()?;
    let tail = (1.0 - confidence) / 2.0;
    // P(the low-th sample lies above the quantile) = P(fewer than low lie below it): the greatest place for which that is rare.
    let fewer = below.inverse_cdf(tail);
    let low = if below.cdf(fewer) <= tail { fewer + 1 } else { fewer };
    let high = below.inverse_cdf(1.0 - tail) + 1;
    (low >= 1 && high <= samples).then_some(Places { low, high })
}

/// The greatest probability of something that was never seen in so many independent trials, at 95 %: the rule of three.
#[must_use]
pub fn never_seen_at_most(trials: u64) -> f64 {
    if trials == 0 { 1.0 } else { (3.0 / trials as f64).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_needs_so_many_samples() {
        assert_eq!([0.99, 0.999, 0.9999].map(|q| samples_needed(q, 0.95)), [299, 2_995, 29_956]);
        for q in [0.5, 0.9, 0.99] {
            let enough = samples_needed(q, 0.975);
            assert!(places(q, enough, 0.95).is_some() && places(q, enough - 1, 0.95).is_none(), "{q}");
        }
    }

    #[test]
    fn the_places_hold_the_quantile_as_often_as_they_say() {
        assert_eq!(places(0.5, 11, 0.95), Some(Places { low: 2, high: 10 }));
        for (q, samples) in [(0.5, 11), (0.9, 100), (0.99, 1_000), (0.999, 10_000)] {
            let Places { low, high } = places(q, samples, 0.95).expect("enough samples");
            let below = Binomial::new(q, samples).expect("a distribution");
            let held = |low: u64, high: u64| below.cdf(high - 1) - if low == 0 { 0.0 } else { below.cdf(low - 1) };
            assert!(held(low, high) >= 0.95, "{q}: {}", held(low, high));
            // And are no wider than they have to be: an end further in leaves out more than its tail.
            assert!(below.cdf(low) > 0.025 && 1.0 - below.cdf(high - 2) > 0.025, "{q}");
        }
    }

    #[test]
    fn what_was_never_seen_is_rare() {
        assert_eq!((never_seen_at_most(0), never_seen_at_most(2), never_seen_at_most(1_000_000)), (1.0, 1.0, 3e-6));
    }
}
