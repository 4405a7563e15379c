//! Capacity planning, the pure part: models, intervals and searches over what was measured elsewhere. No socket, no clock, no process.
//!
//! ```text
//!   search      which load to try next: grow, bisect, confirm           -> the greatest load that holds
//!   quantile    which quantiles so many samples support, and how well
//!   little      does a step's own arithmetic hold? (L = lambda W)
//!   usl         throughput over load: contention, coherency, the peak   with bootstrap intervals, or "not identified"
//!   queue       M/M/c and M/G/1: the wait that a queue alone explains
//!   line        bytes a connection, by least squares, with intervals
//!   redundancy  instances for a demand, and when one is lost
//!   compare     is it worse than the last time? by runs, not by requests
//! ```
//!
//! Everything here is a function of its arguments: a resampling takes its draws from its caller, so that a report can be made again to the digit.

pub mod compare;
pub mod line;
pub mod little;
pub mod quantile;
pub mod queue;
pub mod redundancy;
pub mod search;
pub mod usl;

use serde::Serialize;

/// An interval of likely values, at the confidence that its maker says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The least likely value.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl Interval {
    /// Half of its width as a part of `value`: 0.25 is "plus or minus 25 %".
    #[must_use]
    pub fn relative_to(&self, value: f64) -> f64 {
        (self.high - self.low) / (2.0 * value.abs())
    }
}

/// The value below which the part `p` of a sorted list lies, between its neighbours in proportion (Hyndman and Fan's type 7, as in R and NumPy).
///
/// # Panics
/// If the list is empty.
fn percentile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let below = place.floor();
    let (low, high) = (sorted[below as usize], sorted[place.ceil() as usize]);
    low + (high - low) * (place - below)
}
