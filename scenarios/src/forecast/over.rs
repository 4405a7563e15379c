//! A figure over many seeds: what is usual, what is rare, and which seed was the worst.

use capacity::quantile;
use serde::Serialize;

/// The confidence of all intervals.
pub const CONFIDENCE: f64 = 0.95;

/// An interval of a quantile by the order of the samples, whatever their distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Within {
    /// The least likely value.
    pub low: f64,
    /// The greatest; none: it lies beyond what was watched.
    pub high: Option<f64>,
}

/// One figure of each seed. What is None lies beyond what was watched: it is greater than all others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Over {
    /// Seeds.
    pub seeds: u64,
    /// Those of them in which it lies beyond what was watched.
    pub beyond: u64,
    /// Half of the seeds have no more.
    pub median: Option<f64>,
    /// In which it lies, at 95 %; none: too few seeds.
    pub median_within: Option<Within>,
    /// 99 of 100 seeds have no more.
    pub p99: Option<f64>,
    /// In which it lies, at 95 %; none: too few seeds, it takes 368.
    pub p99_within: Option<Within>,
    /// The greatest.
    pub worst: Option<f64>,
    /// Of the first seed that has it.
    pub worst_seed: u64,
    /// The greatest probability that a further seed is worse than all of these, at 95 %: the rule of three.
    pub worse_at_most: f64,
}

impl Over {
    /// Of each seed and its figure. None of nothing.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = (u64, Option<f64>)>) -> Option<Self> {
        let mut sorted: Vec<(u64, Option<f64>)> = figures.into_iter().collect();
        let key = |figure: Option<f64>| figure.unwrap_or(f64::INFINITY);
        // The worst of equals is the first seed.
        sorted.sort_by(|one, next| key(one.1).total_cmp(&key(next.1)).then(next.0.cmp(&one.0)));
        let seeds = sorted.len() as u64;
        let at =
            |place: u64| sorted.get(usize::try_from(place).unwrap_or(usize::MAX).wrapping_sub(1)).and_then(|one| one.1);
        let rank = |q: f64| ((seeds as f64 * q - 1e-9).ceil() as u64).max(1);
        let within = |q: f64| {
            let places = quantile::places(q, seeds, CONFIDENCE)?;
            Some(Within { low: at(places.low)?, high: at(places.high) })
        };
        let worst = sorted.last()?;
        Some(Self {
            seeds,
            beyond: sorted.iter().filter(|one| one.1.is_none()).count() as u64,
            median: at(rank(0.5)),
            median_within: within(0.5),
            p99: at(rank(0.99)),
            p99_within: within(0.99),
            worst: worst.1,
            worst_seed: worst.0,
            worse_at_most: quantile::never_seen_at_most(seeds),
        })
    }

    /// The seed whose figure is the median.
    #[must_use]
    pub fn median_seed(figures: &[(u64, Option<f64>)]) -> Option<u64> {
        let mut sorted = figures.to_vec();
        let key = |figure: Option<f64>| figure.unwrap_or(f64::INFINITY);
        sorted.sort_by(|one, next| key(one.1).total_cmp(&key(next.1)).then(one.0.cmp(&next.0)));
        sorted.get(sorted.len().saturating_sub(1) / 2).map(|one| one.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_watch_is_the_worst() {
        let figures: Vec<(u64, Option<f64>)> =
            (1..=1_000).map(|seed| (seed, (seed != 7).then_some(seed as f64))).collect();
        let over = Over::of(figures.iter().copied()).unwrap();
        assert_eq!((over.seeds, over.beyond, over.worst, over.worst_seed), (1_000, 1, None, 7));
        assert_eq!(over.median, Some(501.0), "one of the lower half has gone to the end");
        assert_eq!(over.worse_at_most, 0.003);
        let within = over.p99_within.unwrap();
        assert!(within.low < 991.0 && within.high.is_some_and(|high| high > 991.0), "{over:?}");
        assert_eq!(Over::median_seed(&figures), Some(501));
    }

    #[test]
    fn few_seeds_have_no_interval_of_a_rare_quantile() {
        let over = Over::of((1..=100).map(|seed| (seed, Some(1.0)))).unwrap();
        assert!(over.p99_within.is_none() && over.median_within.is_some());
        assert_eq!(over.worst_seed, 1, "the first of equals");
        assert!(Over::of([]).is_none());
    }
}
