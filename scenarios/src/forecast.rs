//! What the simulator says beforehand of proxies that were calibrated: where one has its knee, and what becomes of the others' clients and its own when it is
//! lost.
//!
//! ```text
//!   calibration file --> population: a world of at most 500 clients in which each stands for many, at as many times the cost
//!                           |
//!        +------------------+---------------------+
//!     storm: one of n instances is lost        knee: one instance under growing load
//!        |   a world for each seed                |   capacity::search over the rate or the clients
//!     aftermath: what one run came to             |
//!        |                                     Prediction
//!     over: median, p99 and worst of all seeds
//!        |---- formula: what a sum on paper says, and why it differs
//!     window: the smallest jitter that keeps an objective
//! ```
//!
//! All of it is plain data with `Serialize`, a text for a terminal ([`words`]) and pictures ([`charts`]). The same arguments give the same bytes.

mod aftermath;
pub mod charts;
mod formula;
mod knee;
mod over;
mod population;
mod storm;
mod window;
pub mod words;
mod world;

#[cfg(test)]
mod tests;

pub use self::aftermath::{Aftermath, Tally, aftermath};
pub use self::formula::{Beside, beside};
pub use self::knee::{Goodput, Grows, Prediction, Step, Workload, predict};
pub use self::over::{CONFIDENCE, Over, Within};
pub use self::population::{CLIENTS_MAX, Feed, Population, TICKS_MAX, TooLarge, padded_bytes, plain_bytes};
pub use self::storm::{ForecastError, Seeds, Storm, Storms, scenario, storms};
pub use self::window::{Objective, Range, Tried, Window, smallest_window};
pub use self::world::{Dials, Fleet, Limits};
