//! The gate: runs held against what the same runs measured before.
//!
//! ```text
//!   metrics of some seeds --> reports::measures --> figures by name --+
//!                                                                     +--> compare --> reports::gate (table, summary, exit code 3)
//!   baseline/<scenario>.json (figures, seeds, hash, history) ---------+       |
//!                                                                          rules: which way is better, how much worse is allowed, why
//! ```
//!
//! Virtual time has no noise: with the same build, scenario and seeds each figure is the same to the last digit. So every difference is shown, and the
//! tolerances are there for changes that are wanted, not for chance.

mod against;
mod baseline;
mod compare;
mod folders;
mod rules;

pub use self::against::Against;
pub use self::baseline::{Baseline, BaselineError, Blessing, SCHEMA, scenario_hash};
pub use self::compare::compare;
pub use self::folders::{Measured, ReadError, Side, diff, read};
pub use self::rules::{Better, Rule, Rules, Tolerance, ToleranceError};

/// Where baselines are, from the top of the tree.
pub const FOLDER: &str = "scenarios/baseline";

/// Seeds that a baseline is made of. Three see more than one, and are done within seconds for the whole catalogue.
pub const SEEDS: [u64; 3] = [1, 2, 3];
