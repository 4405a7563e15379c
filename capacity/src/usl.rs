//! The Universal Scalability Law (Gunther 1993, 2007): how throughput grows with load, bends, and falls.
//!
//! ```text
//!                      gamma N
//!   X(N) = ------------------------------------        N* = sqrt((1 - alpha) / beta)    the peak
//!           1 + alpha (N - 1) + beta N (N - 1)          gamma / alpha                    the ceiling if beta were 0
//! ```
//!
//! alpha: the part of the work that only one may do at a time (contention); beta: what each pair costs (coherency); gamma: what one alone achieves, which is
//! fitted as well and not read off the first point. Bounded non-linear least squares as in the R package `usl` (alpha and beta between 0 and 1, gamma not below
//! 0), by Levenberg and Marquardt's method on those that are not at a bound; its published results are the golden tests.

use rand::RngExt as _;
use serde::Serialize;
use wire::draw::Draws;

use crate::{Interval, percentile};

/// Fewer points than this tell little, as the R package warns.
pub const POINTS_ADVISED: usize = 6;

/// The peak is told only where its interval is not wider than this part of it to either side.
const PEAK_WIDTH_MAX: f64 = 0.25;

/// Beyond this multiple of the greatest load that was measured nothing is told: it is extrapolation.
pub const REACH: f64 = 1.0;

/// One step: a load, and what was achieved under it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The load: clients, connections, instances, cores. Above 0.
    pub load: f64,
    /// What was achieved, a second or in any other unit. Not below 0.
    pub throughput: f64,
}

/// The three coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Usl {
    /// Contention, 0 to 1.
    pub alpha: f64,
    /// Coherency, 0 to 1.
    pub beta: f64,
    /// The throughput of a load of 1.
    pub gamma: f64,
}

impl Usl {
    /// The throughput of a load.
    #[must_use]
    pub fn at(&self, load: f64) -> f64 {
        self.gamma * load / self.shape(load)
    }

    fn shape(&self, load: f64) -> f64 {
        1.0 + self.alpha * (load - 1.0) + self.beta * load * (load - 1.0)
    }

    /// The load of the greatest throughput. None where throughput never falls: beta is 0.
    #[must_use]
    pub fn peak(&self) -> Option<f64> {
        let peak = ((1.0 - self.alpha) / self.beta).sqrt();
        // A coherency this small is none: no machine has so many clients.
        (self.beta > 0.0 && peak < 1e12).then_some(peak)
    }

    /// What throughput cannot go beyond for contention alone (Amdahl). None without contention.
    #[must_use]
    pub fn ceiling(&self) -> Option<f64> {
        (self.alpha > 0.0).then(|| self.gamma / self.alpha)
    }

    /// The coefficients in words.
    #[must_use]
    pub fn words(&self) -> String {
        let part = |share: f64| format!("{:.2} %", share * 100.0);
        format!(
            "{} of the work is done by one at a time (alpha {:.3e}), each pair costs {} of one (beta {:.3e})",
            part(self.alpha),
            self.alpha,
            part(self.beta),
            self.beta
        )
    }
}

/// A law fitted to points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// The coefficients.
    pub usl: Usl,
    /// Measured less fitted, by point.
    pub residuals: Vec<f64>,
    /// The sum of their squares.
    pub squares: f64,
    /// The part of the variance that the law explains.
    pub r_squared: f64,
}

/// Points that cannot be fitted.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// Fewer loads than coefficients, and nothing over.
    #[error(
        "{0} different loads: at least 4 are needed to fit three coefficients, and {POINTS_ADVISED} or more to trust them"
    )]
    TooFew(usize),
    /// A load or a throughput that is none.
    #[error(
        "load {load} with throughput {throughput}: loads must be above 0, throughputs not below, both finite, and not all throughputs 0"
    )]
    NotLawful {
        /// The load.
        load: f64,
        /// Its throughput.
        throughput: f64,
    },
}

/// Fits the law.
///
/// # Errors
/// [`FitError`].
pub fn fit(points: &[Point]) -> Result<Fit, FitError> {
    for &Point { load, throughput } in points {
        if !(load.is_finite() && load > 0.0 && throughput.is_finite() && throughput >= 0.0) {
            return Err(FitError::NotLawful { load, throughput });
        }
    }
    let mut loads: Vec<f64> = points.iter().map(|point| point.load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    if loads.len() < 4 {
        return Err(FitError::TooFew(loads.len()));
    }
    if let Some(&Point { load, throughput }) =
        points.first().filter(|_| points.iter().all(|point| point.throughput == 0.0))
    {
        return Err(FitError::NotLawful { load, throughput });
    }
    Ok(fitted(points))
}

fn fitted(points: &[Point]) -> Fit {
    let steepest = points.iter().map(|point| point.throughput / point.load).fold(0.0, f64::max);
    // The method finds the valley that it starts in. These lie on both sides of what real systems show; the first is the R package's.
    let starts = [(0.01, 1e-4), (0.3, 1e-3), (1e-3, 1e-7), (0.0, 0.0)];
    let usl = starts
        .into_iter()
        .map(|(alpha, beta)| descend(points, Usl { alpha, beta, gamma: steepest }))
        .min_by(|a, b| squares(points, a).total_cmp(&squares(points, b)))
        .unwrap_or(Usl { alpha: 0.0, beta: 0.0, gamma: steepest });
    let residuals: Vec<f64> = points.iter().map(|point| point.throughput - usl.at(point.load)).collect();
    let mean = points.iter().map(|point| point.throughput).sum::<f64>() / points.len() as f64;
    let spread: f64 = points.iter().map(|point| (point.throughput - mean).powi(2)).sum();
    let squares = squares(points, &usl);
    let r_squared = if spread > 0.0 { 1.0 - squares / spread } else { 0.0 };
    Fit { usl, residuals, squares, r_squared }
}

fn squares(points: &[Point], usl: &Usl) -> f64 {
    points.iter().map(|point| (point.throughput - usl.at(point.load)).powi(2)).sum()
}

/// Levenberg and Marquardt's method with Marquardt's scaling, on those coefficients that are not held at a bound.
fn descend(points: &[Point], start: Usl) -> Usl {
    const STEPS_MAX: usize = 500;
    let (mut at, mut damping) = (start, 1e-3);
    let mut cost = squares(points, &at);
    for _ in 0..STEPS_MAX {
        let (normal, gradient) = normal_equations(points, &at);
        let values = [at.alpha, at.beta, at.gamma];
        // At a bound, and it would go beyond: held there.
        let free: Vec<usize> = (0..3)
            .filter(|&i| {
                let upper = if i < 2 { 1.0 } else { f64::INFINITY };
                !(values[i] <= 0.0 && gradient[i] < 0.0 || values[i] >= upper && gradient[i] > 0.0)
            })
            .collect();
        let mut moved = false;
        while damping < 1e12 {
            let Some(step) = solve(&normal, &gradient, &free, damping) else {
                damping *= 10.0;
                continue;
            };
            let next = Usl {
                alpha: (at.alpha + step[0]).clamp(0.0, 1.0),
                beta: (at.beta + step[1]).clamp(0.0, 1.0),
                gamma: (at.gamma + step[2]).max(0.0),
            };
            let next_cost = squares(points, &next);
            if next_cost < cost {
                moved = (cost - next_cost) > 1e-15 * cost;
                (at, cost, damping) = (next, next_cost, (damping / 10.0).max(1e-15));
                break;
            }
            damping *= 10.0;
        }
        if !moved {
            break;
        }
    }
    at
}

/// J^T J and J^T r.
fn normal_equations(points: &[Point], usl: &Usl) -> ([[f64; 3]; 3], [f64; 3]) {
    let (mut normal, mut gradient) = ([[0.0; 3]; 3], [0.0; 3]);
    for &Point { load, throughput } in points {
        let shape = usl.shape(load);
        let x = usl.gamma * load / shape;
        let slope = [-x * (load - 1.0) / shape, -x * load * (load - 1.0) / shape, load / shape];
        for i in 0..3 {
            gradient[i] += slope[i] * (throughput - x);
            for j in 0..3 {
                normal[i][j] += slope[i] * slope[j];
            }
        }
    }
    (normal, gradient)
}

/// The damped step of those that are free, by elimination with pivots. None where the equations have no one solution.
fn solve(normal: &[[f64; 3]; 3], gradient: &[f64; 3], free: &[usize], damping: f64) -> Option<[f64; 3]> {
    let n = free.len();
    let mut rows: Vec<Vec<f64>> = free
        .iter()
        .map(|&i| {
            let mut row: Vec<f64> = free.iter().map(|&j| normal[i][j]).collect();
            row.push(gradient[i]);
            row
        })
        .collect();
    for (i, row) in rows.iter_mut().enumerate() {
        row[i] *= 1.0 + damping;
    }
    for column in 0..n {
        let pivot = (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        if rows[column][column] == 0.0 {
            return None;
        }
        for below in column + 1..n {
            let factor = rows[below][column] / rows[column][column];
            let (above, rest) = rows.split_at_mut(below);
            for (value, pivot) in rest[0].iter_mut().zip(&above[column]).skip(column) {
                *value -= factor * pivot;
            }
        }
    }
    let mut step = [0.0; 3];
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| rows[row][k] * step[free[k]]).sum();
        step[free[row]] = (rows[row][n] - known) / rows[row][row];
    }
    step.iter().all(|part| part.is_finite()).then_some(step)
}

/// How sure the coefficients are: 95 %, by resampling the residuals.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Intervals {
    /// Resamples.
    pub resamples: u32,
    /// Of alpha.
    pub alpha: Interval,
    /// Of beta.
    pub beta: Interval,
    /// Of gamma.
    pub gamma: Interval,
    /// Where the peak is, if these points can tell.
    pub peak: Peak,
    /// The throughput of each point's load, as the law has it.
    pub band: Vec<Interval>,
}

/// Where throughput is greatest.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "peak", rename_all = "kebab-case")]
pub enum Peak {
    /// These points say where.
    Identified {
        /// The load.
        load: f64,
        /// Its interval.
        interval: Interval,
        /// The throughput there.
        throughput: f64,
    },
    /// These points do not.
    NotIdentified {
        /// Why, and what would help.
        why: String,
    },
}

/// Resamples the residuals (Efron 1979): each time the law's own values with residuals drawn from those that were left, fitted anew. Residuals are widened by
/// sqrt(n / (n - 3)), for a fit of three coefficients leaves them too small.
#[must_use]
pub fn intervals(points: &[Point], fit: &Fit, resamples: u32, draws: &mut Draws) -> Intervals {
    let n = points.len();
    let mean = fit.residuals.iter().sum::<f64>() / n as f64;
    let widen = (n as f64 / (n as f64 - 3.0).max(1.0)).sqrt();
    let residuals: Vec<f64> = fit.residuals.iter().map(|residual| (residual - mean) * widen).collect();
    let laws: Vec<Usl> = (0..resamples.max(1))
        .map(|_| {
            let again: Vec<Point> = points
                .iter()
                .map(|point| {
                    let residual = residuals[draws.random_range(0..n)];
                    Point { load: point.load, throughput: (fit.usl.at(point.load) + residual).max(0.0) }
                })
                .collect();
            fitted(&again).usl
        })
        .collect();
    let of = |value: &dyn Fn(&Usl) -> f64| {
        let mut values: Vec<f64> = laws.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        Interval { low: percentile(&values, 0.025), high: percentile(&values, 0.975) }
    };
    Intervals {
        resamples: resamples.max(1),
        alpha: of(&|law| law.alpha),
        beta: of(&|law| law.beta),
        gamma: of(&|law| law.gamma),
        peak: peak(points, fit, &laws),
        band: points.iter().map(|point| of(&|law| law.at(point.load))).collect(),
    }
}

fn peak(points: &[Point], fit: &Fit, laws: &[Usl]) -> Peak {
    let greatest = points.iter().map(|point| point.load).fold(0.0, f64::max);
    let not = |why: String| Peak::NotIdentified {
        why: format!("peak not identified by these data: {why}; add steps above a load of {greatest}"),
    };
    let Some(load) = fit.usl.peak() else { return not("throughput nowhere bends down (beta is 0)".to_owned()) };
    // A law without a peak has it beyond all loads.
    let mut peaks: Vec<f64> = laws.iter().map(|law| law.peak().unwrap_or(f64::INFINITY)).collect();
    peaks.sort_by(f64::total_cmp);
    let place = |p: f64| peaks[(p * (peaks.len() - 1) as f64).round() as usize];
    let interval = Interval { low: place(0.025), high: place(0.975) };
    if !interval.high.is_finite() {
        return not(format!("it may lie at {:.0}, or nowhere", interval.low));
    }
    if interval.relative_to(load) > PEAK_WIDTH_MAX {
        return not(format!("it lies anywhere between {:.0} and {:.0}", interval.low, interval.high));
    }
    if load > greatest * REACH {
        return not(format!("at {load:.0} it would lie beyond all that was measured"));
    }
    Peak::Identified { load, interval, throughput: fit.usl.at(load) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: &[(f64, f64)]) -> Vec<Point> {
        of.iter().map(|&(load, throughput)| Point { load, throughput }).collect()
    }

    /// SPEC SDM91 on a Sun SPARCcenter 2000, from Gunther, Guerrilla Capacity Planning (2007).
    const SPEC_SDM91: [(f64, f64); 7] =
        [(1.0, 64.9), (18.0, 995.9), (36.0, 1652.4), (72.0, 1853.2), (108.0, 1828.9), (144.0, 1775.0), (216.0, 1702.2)];

    #[track_caller]
    fn near(value: f64, expected: f64, relative: f64) {
        assert!((value - expected).abs() <= relative * expected.abs(), "{value}, expected {expected}");
    }

    #[test]
    fn the_published_fit_of_spec_sdm91_comes_out() {
        let fit = fit(&points(&SPEC_SDM91)).expect("it fits");
        // The tests of the R package usl: limit.scalability, peak.scalability, fitted.
        near(fit.usl.ceiling().expect("contention"), 3245.589, 1e-4);
        near(fit.usl.gamma, 89.99523, 1e-4);
        assert_eq!(fit.usl.peak().expect("a peak").round(), 97.0);
        let values: Vec<f64> = SPEC_SDM91.iter().map(|(load, _)| fit.usl.at(*load).round()).collect();
        assert_eq!(values, [90.0, 1078.0, 1541.0, 1850.0, 1879.0, 1822.0, 1646.0]);
        // SciPy's least_squares with the same bounds.
        near(fit.usl.alpha, 2.772_841_59e-2, 1e-5);
        near(fit.usl.beta, 1.043_657_70e-4, 1e-5);
        near(fit.squares, 27_453.719_585, 1e-8);
    }

    #[test]
    fn the_published_fit_of_the_exact_law_comes_out() {
        let exact = [(1.0, 1.0), (2.0, 1.8868), (4.0, 3.0769), (6.0, 3.5294), (8.0, 3.5398), (10.0, 3.3557)];
        let Usl { alpha, beta, gamma } = fit(&points(&exact)).expect("it fits").usl;
        near(alpha, 0.02, 1e-3);
        near(beta, 0.02, 1e-3);
        near(gamma, 1.0, 1e-4);
    }

    #[test]
    fn a_coefficient_is_held_at_its_bound() {
        // A ray tracer on 64 processors (Gunther 2007): throughput never bends down.
        let raytracer = [
            (1.0, 20.0),
            (4.0, 78.0),
            (8.0, 130.0),
            (12.0, 170.0),
            (16.0, 190.0),
            (20.0, 200.0),
            (24.0, 210.0),
            (28.0, 230.0),
            (32.0, 260.0),
            (48.0, 280.0),
            (64.0, 310.0),
        ];
        let points = points(&raytracer);
        let fit = fit(&points).expect("it fits");
        near(fit.usl.alpha, 5.777_078e-2, 1e-5);
        near(fit.usl.gamma, 21.848_843, 1e-6);
        assert_eq!((fit.usl.beta, fit.usl.peak()), (0.0, None));
        near(fit.squares, 697.237_798, 1e-8);
        let Peak::NotIdentified { why } = intervals(&points, &fit, 200, &mut Draws::new(1, "bootstrap", 0)).peak else {
            panic!("no point is beyond a peak")
        };
        assert!(why.contains("add steps above a load of 64"), "{why}");
    }

    /// Points of a known law, each off by its share of `noise`.
    fn noisy(truth: Usl, loads: &[f64], noise: f64, seed: u64) -> Vec<Point> {
        let mut draws = Draws::new(seed, "noise", 0);
        loads
            .iter()
            .map(|&load| {
                // The sum of twelve less six: close to normal, with a deviation of one.
                let off: f64 = (0..12).map(|_| draws.random::<f64>()).sum::<f64>() - 6.0;
                Point { load, throughput: truth.at(load) * (1.0 + noise * off) }
            })
            .collect()
    }

    const TRUTH: Usl = Usl { alpha: 0.03, beta: 1e-4, gamma: 100.0 };

    #[test]
    fn the_interval_of_the_peak_holds_the_truth_as_often_as_it_says() {
        let loads = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 96.0, 128.0, 192.0, 256.0];
        let held = (0..100)
            .filter(|&seed| {
                let points = noisy(TRUTH, &loads, 0.03, seed);
                let fit = fit(&points).expect("it fits");
                match intervals(&points, &fit, 200, &mut Draws::new(seed, "bootstrap", 0)).peak {
                    Peak::Identified { interval, .. } => (interval.low..=interval.high).contains(&98.49),
                    Peak::NotIdentified { why } => panic!("seed {seed}: {why}"),
                }
            })
            .count();
        // 95 of 100 are meant; a bootstrap of eleven points is known to be somewhat narrow.
        assert!((80..=100).contains(&held), "{held} of 100");
    }

    #[test]
    fn points_below_the_knee_do_not_tell_where_it_is() {
        let loads = [1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0];
        for seed in 0..20 {
            let points = noisy(TRUTH, &loads, 0.03, seed);
            let fit = fit(&points).expect("it fits");
            let intervals = intervals(&points, &fit, 200, &mut Draws::new(seed, "bootstrap", 0));
            assert!(matches!(intervals.peak, Peak::NotIdentified { .. }), "seed {seed}: {intervals:?}");
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let flat = |throughput| points(&[(1.0, throughput), (2.0, throughput), (3.0, throughput), (4.0, throughput)]);
        assert_eq!(fit(&points(&SPEC_SDM91[..3])), Err(FitError::TooFew(3)));
        assert!(matches!(fit(&points(&[(0.0, 1.0), (1.0, 1.0)])), Err(FitError::NotLawful { .. })));
        assert!(matches!(fit(&points(&[(1.0, f64::NAN)])), Err(FitError::NotLawful { .. })));
        assert!(matches!(fit(&flat(0.0)), Err(FitError::NotLawful { .. })));
        assert!(fit(&flat(5.0)).is_ok());
    }

    proptest::proptest! {
        /// Whatever the points are, the coefficients stay within their bounds, and no start would have come lower than the fit.
        #[test]
        fn every_fit_is_within_its_bounds(
            of in proptest::collection::vec((1.0_f64..10_000.0, 0.0_f64..1e6), 4..20)
        ) {
            let points = points(&of);
            if let Ok(fit) = fit(&points) {
                let Usl { alpha, beta, gamma } = fit.usl;
                proptest::prop_assert!((0.0..=1.0).contains(&alpha) && (0.0..=1.0).contains(&beta) && gamma >= 0.0);
                proptest::prop_assert!(fit.squares.is_finite());
                // A law that achieves nothing is never better.
                let none: f64 = points.iter().map(|point| point.throughput.powi(2)).sum();
                proptest::prop_assert!(fit.squares <= none);
            }
        }
    }
}
