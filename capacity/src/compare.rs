//! Is it worse than the last time? The unit is a run, not a request: requests of one run go up and down together. What counts is how large the change is, with its
//! interval, against what is worth talking about; a small p-value alone says only that there were many runs.

use rand::RngExt as _;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, Normal};
use wire::draw::Draws;

use crate::{Interval, percentile};

/// Up to here the test counts all orders; beyond, or with ties, it takes the normal law.
const EXACT_MAX: usize = 30;

/// Mann and Whitney's test (1947): are the values of one list greater than those of the other?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MannWhitney {
    /// Pairs in which the first list's value is the greater one; ties count a half.
    pub u: f64,
    /// Two-sided: how often lists that do not differ look so different.
    pub p: f64,
}

/// Tests whether two lists differ. None if one is empty.
#[must_use]
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<MannWhitney> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    // Runs of equal values, by their lengths.
    let ties: Vec<f64> = all.chunk_by(|x, y| x == y).map(|run| run.len() as f64).collect();
    let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x, y)));
    let u: f64 = pairs
        .map(|(x, y)| {
            if x > y {
                1.0
            } else if x == y {
                0.5
            } else {
                0.0
            }
        })
        .sum();
    let (n, m) = (a.len() as f64, b.len() as f64);
    let tied = ties.iter().any(|&run| run > 1.0);
    let p = if !tied && a.len() <= EXACT_MAX && b.len() <= EXACT_MAX {
        exact(a.len(), b.len(), u)
    } else {
        let total = n + m;
        let correction: f64 = ties.iter().map(|t| t.powi(3) - t).sum::<f64>() / (total * (total - 1.0));
        let deviation = (n * m / 12.0 * (total + 1.0 - correction)).sqrt();
        // A half towards the middle: the statistic comes in steps.
        let off = ((u - n * m / 2.0).abs() - 0.5).max(0.0);
        if deviation > 0.0 { Normal::new(0.0, 1.0).map_or(1.0, |normal| 2.0 * normal.sf(off / deviation)) } else { 1.0 }
    };
    Some(MannWhitney { u, p: p.min(1.0) })
}

/// By counting in how many orders of n and m values the statistic is as far out: counts[u] by the recursion of Mann and Whitney.
fn exact(n: usize, m: usize, u: f64) -> f64 {
    let most = n * m;
    // Ways to reach each value with i of the first list and all j of the second so far.
    let mut ways = vec![vec![0.0_f64; most + 1]; m + 1];
    ways.iter_mut().for_each(|row| row[0] = 1.0);
    for _ in 1..=n {
        // The greatest value belongs to the first list (and beats all j) or to the second.
        let mut next = vec![vec![0.0; most + 1]; m + 1];
        next[0][0] = 1.0;
        for j in 1..=m {
            for value in 0..=most {
                let first = if value >= j { ways[j][value - j] } else { 0.0 };
                next[j][value] = first + next[j - 1][value];
            }
        }
        ways = next;
    }
    let counts = &ways[m];
    let all: f64 = counts.iter().sum();
    let far = u.min(most as f64 - u) as usize;
    let tail: f64 = counts[..=far].iter().sum();
    (2.0 * tail / all).min(1.0)
}

/// Hodges and Lehmann's estimate (1963) of how far `now` lies above `before`: the median of all differences. None if one is empty.
#[must_use]
pub fn shift(before: &[f64], now: &[f64]) -> Option<f64> {
    if before.is_empty() || now.is_empty() {
        return None;
    }
    let mut differences: Vec<f64> = before.iter().flat_map(|b| now.iter().map(move |n| n - b)).collect();
    differences.sort_by(f64::total_cmp);
    Some(percentile(&differences, 0.5))
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// Smaller, by more than matters.
    Smaller,
    /// Within what matters, to either side.
    Same,
    /// Greater, by more than matters.
    Greater,
    /// These runs cannot tell.
    Unclear,
}

/// Two sets of runs against each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// How far now lies above before, as a part of the median before.
    pub relative_shift: f64,
    /// Of that, 95 %.
    pub interval: Interval,
    /// Mann and Whitney's p.
    pub p: f64,
    /// What it comes to.
    pub judgement: Judgement,
}

/// Holds the runs of now against those of before. `matters`: the least change that is worth talking about, as a part of the median before (0.05 is 5 %). The
/// interval is a bootstrap over runs; the same where all of it lies within what matters, greater or smaller where all of it lies beyond zero and the estimate
/// beyond what matters. None for fewer than 3 runs on a side, or a median of 0.
#[must_use]
pub fn compare(before: &[f64], now: &[f64], matters: f64, resamples: u32, draws: &mut Draws) -> Option<Comparison> {
    if before.len() < 3 || now.len() < 3 {
        return None;
    }
    let mut sorted = before.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = percentile(&sorted, 0.5);
    if middle == 0.0 {
        return None;
    }
    let relative_shift = shift(before, now)? / middle;
    let mut again = |of: &[f64]| -> Vec<f64> { of.iter().map(|_| of[draws.random_range(0..of.len())]).collect() };
    let mut shifts: Vec<f64> = (0..resamples.max(1))
        .filter_map(|_| {
            let (before, now) = (again(before), again(now));
            shift(&before, &now)
        })
        .map(|shift| shift / middle)
        .collect();
    shifts.sort_by(f64::total_cmp);
    let interval = Interval { low: percentile(&shifts, 0.025), high: percentile(&shifts, 0.975) };
    let judgement = if interval.low > -matters && interval.high < matters {
        Judgement::Same
    } else if interval.low > 0.0 && relative_shift >= matters {
        Judgement::Greater
    } else if interval.high < 0.0 && relative_shift <= -matters {
        Judgement::Smaller
    } else {
        Judgement::Unclear
    };
    Some(Comparison { relative_shift, interval, p: mann_whitney(before, now)?.p, judgement })
}

/// Holm's correction (1979): p-values of several tests at once, each as it counts beside the others, in the order given.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let (mut corrected, mut most) = (vec![0.0; p_values.len()], 0.0_f64);
    for (rank, &place) in order.iter().enumerate() {
        most = most.max(p_values[place] * (p_values.len() - rank) as f64).min(1.0);
        corrected[place] = most;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: [f64; 10] = [10.1, 10.4, 9.8, 10.0, 10.3, 10.2, 9.9, 10.6, 10.5, 9.7];
    const NOW: [f64; 10] = [11.0, 10.9, 11.4, 10.7, 11.2, 11.1, 10.8, 11.3, 11.6, 10.55];

    #[track_caller]
    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-6 * expected.abs(), "{value}, expected {expected}");
    }

    #[test]
    fn scipys_tests_come_out() {
        let exact = mann_whitney(&BEFORE, &NOW).expect("two lists");
        assert_eq!(exact.u, 1.0);
        near(exact.p, 2.165_017_644_893_806e-5);
        near(mann_whitney(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).expect("two lists").p, 0.1);
        near(mann_whitney(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0]).expect("two lists").p, 0.028_571_428_571);
        // With ties: the normal law.
        let tied = mann_whitney(&[1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 5.0], &[2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0, 6.0]);
        let tied = tied.expect("two lists");
        assert_eq!(tied.u, 17.0);
        near(tied.p, 0.118_771_313_207_9);
        near(shift(&BEFORE, &NOW).expect("two lists"), 0.9);
    }

    #[test]
    fn lists_that_are_the_same_do_not_differ() {
        assert_eq!(mann_whitney(&[5.0, 5.0], &[5.0, 5.0]).map(|test| test.p), Some(1.0));
        assert_eq!((mann_whitney(&[], &[1.0]), shift(&[1.0], &[])), (None, None));
    }

    #[test]
    fn a_comparison_says_how_much_and_only_what_the_runs_can_tell() {
        let draws = || Draws::new(1, "bootstrap", 0);
        let judged = |before: &[f64], now: &[f64], matters| {
            compare(before, now, matters, 2_000, &mut draws()).expect("a comparison").judgement
        };
        let worse = compare(&BEFORE, &NOW, 0.05, 2_000, &mut draws()).expect("a comparison");
        near(worse.relative_shift, 0.9 / 10.15);
        assert!(worse.interval.low < worse.relative_shift && worse.relative_shift < worse.interval.high);
        assert_eq!(worse.judgement, Judgement::Greater);
        assert_eq!(judged(&NOW, &BEFORE, 0.05), Judgement::Smaller);
        assert_eq!(judged(&BEFORE, &BEFORE, 0.05), Judgement::Same);
        // There is a change for certain, but it is no more than matters, or the runs are too wild to tell.
        assert_eq!(judged(&BEFORE, &NOW, 0.20), Judgement::Same);
        assert_eq!(judged(&[5.0, 10.0, 20.0], &[6.0, 11.0, 19.0], 0.05), Judgement::Unclear);
        assert_eq!(compare(&[1.0, 2.0], &NOW, 0.05, 100, &mut draws()), None);
        assert_eq!(compare(&[0.0, 0.0, 0.0], &NOW, 0.05, 100, &mut draws()), None);
    }

    #[test]
    fn several_tests_at_once_count_less_each() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            near(*value, expected);
        }
        assert_eq!((holm(&[]), holm(&[0.9, 0.8])), (Vec::new(), vec![1.0, 1.0]));
    }
}
