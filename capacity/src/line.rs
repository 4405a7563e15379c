//! What one more connection costs: a straight line through what was measured at several levels.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

use crate::Interval;

/// Levels that are advised.
pub const LEVELS_ADVISED: usize = 5;

/// y = intercept + slope x by least squares, with intervals of 95 % (Student's t).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What one more costs: bytes a connection.
    pub slope: f64,
    /// Of the slope.
    pub slope_interval: Interval,
    /// What there is without any: the fixed cost.
    pub intercept: f64,
    /// Of the intercept.
    pub intercept_interval: Interval,
    /// The part of the variance that the line explains.
    pub r_squared: f64,
}

/// Points through which no line with intervals goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} different levels: at least 3 are needed for a line with intervals, and {LEVELS_ADVISED} to trust it")]
pub struct TooFew(pub usize);

/// Draws the line.
///
/// # Errors
/// [`TooFew`] levels.
pub fn line(points: &[(f64, f64)]) -> Result<Line, TooFew> {
    let mut levels: Vec<f64> = points.iter().map(|point| point.0).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    if levels.len() < 3 {
        return Err(TooFew(levels.len()));
    }
    let n = points.len() as f64;
    let (mean_x, mean_y) =
        (points.iter().map(|point| point.0).sum::<f64>() / n, points.iter().map(|point| point.1).sum::<f64>() / n);
    let xx: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let yy: f64 = points.iter().map(|(_, y)| (y - mean_y).powi(2)).sum();
    let xy: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let slope = xy / xx;
    let intercept = mean_y - slope * mean_x;
    let left: f64 = points.iter().map(|(x, y)| (y - intercept - slope * x).powi(2)).sum();
    let variance = left / (n - 2.0);
    let t = StudentsT::new(0.0, 1.0, n - 2.0).map_err(|_| TooFew(levels.len()))?.inverse_cdf(0.975);
    let around = |value: f64, error: f64| Interval { low: value - t * error, high: value + t * error };
    Ok(Line {
        slope,
        slope_interval: around(slope, (variance / xx).sqrt()),
        intercept,
        intercept_interval: around(intercept, (variance * (1.0 / n + mean_x * mean_x / xx)).sqrt()),
        r_squared: if yy > 0.0 { 1.0 - left / yy } else { 1.0 },
    })
}

impl Line {
    /// The level at which so much is used up; none where one more costs nothing, or where the fixed cost is more than there is.
    #[must_use]
    pub fn level_at(&self, amount: f64) -> Option<f64> {
        (self.slope > 0.0 && amount >= self.intercept).then(|| (amount - self.intercept) / self.slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scipys_line_comes_out() {
        // scipy.stats.linregress, and t.ppf(0.975, 4) times its errors.
        let points = [(0.0, 12.0e6), (1e3, 40.1e6), (2e3, 69.2e6), (3e3, 97.5e6), (4e3, 128.0e6), (5e3, 155.4e6)];
        let line = line(&points).expect("a line");
        let near =
            |value: f64, expected: f64| assert!((value - expected).abs() < 1e-6 * expected, "{value}, {expected}");
        near(line.slope, 28_828.571_428_57);
        near(line.intercept, 11_628_571.428_57);
        near(line.slope_interval.high - line.slope, 458.109_149_75);
        near(line.intercept - line.intercept_interval.low, 1_386_994.329_458);
        near(line.r_squared, 0.999_868_986_3);
        near(line.level_at(4.0e9).expect("a level"), 138_347.87);
        assert_eq!(line.level_at(1.0), None);
    }

    #[test]
    fn two_levels_make_no_interval() {
        assert_eq!(line(&[(1.0, 1.0), (2.0, 2.0), (2.0, 2.1)]), Err(TooFew(2)));
        let flat = line(&[(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)]).expect("a line");
        assert_eq!((flat.slope, flat.r_squared, flat.level_at(9.0)), (0.0, 1.0, None));
    }
}
