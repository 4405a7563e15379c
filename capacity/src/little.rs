//! Little's law (1961), as an audit: what is under way is what arrives a second, times how long it stays. It holds for any system whatever its order, so where a
//! measurement does not obey it, the measurement is wrong.

use serde::Serialize;

/// A step is wrong where the two differ by more than this.
pub const TOLERANCE: f64 = 0.10;

/// The two sides of the law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// What was counted under way, on average.
    pub under_way: f64,
    /// What rate and mean stay say: L = lambda W.
    pub expected: f64,
    /// Whether they agree within [`TOLERANCE`].
    pub holds: bool,
}

/// Holds what was counted under way against the rate (a second) and the mean stay (in seconds).
#[must_use]
pub fn audit(under_way: f64, rate_per_s: f64, mean_stay_s: f64) -> Audit {
    let expected = rate_per_s * mean_stay_s;
    let holds = (under_way - expected).abs() <= TOLERANCE * expected.max(f64::MIN_POSITIVE);
    Audit { under_way, expected, holds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_holds_or_the_measurement_is_wrong() {
        assert!(audit(50.0, 1_000.0, 0.05).holds && audit(54.9, 1_000.0, 0.05).holds);
        assert!(!audit(56.0, 1_000.0, 0.05).holds && !audit(0.0, 1_000.0, 0.05).holds);
        assert!(audit(0.0, 0.0, 0.0).holds && !audit(1.0, 0.0, 0.0).holds);
    }
}
