//! What a load generator measured over real sockets, as plain data, and its page.
//!
//! Nothing is judged here, and what was not measured is absent: a cell without a figure is empty, never 0.

mod page;

use crate::record::Outcome;

pub use self::page::page;

/// A measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// What was done, in a few words: the heading.
    pub title: String,
    /// What it comes to.
    pub verdict: Outcome,
    /// The same in a sentence.
    pub sentence: String,
    /// Why it is inconclusive, and what to do: a sentence each.
    pub reasons: Vec<String>,
    /// What was asked for: name and value.
    pub conditions: Vec<(String, String)>,
    /// How the generator itself fared: name, value, and what it must be within.
    pub health: Vec<(String, String, String)>,
    /// What was required: text, whether it held, and what was measured.
    pub requirements: Vec<(String, Outcome, String)>,
    /// Phases of sessions.
    pub phases: Vec<Phase>,
    /// Counts worth knowing: name and value.
    pub counts: Vec<(String, String)>,
    /// How sessions ended: by whom, code and word, how many.
    pub closes: Vec<(String, String, u64)>,
    /// Distributions of latencies.
    pub distributions: Vec<Distribution>,
    /// What was seen second by second.
    pub seconds: Vec<Second>,
    /// The measured window, in seconds since the beginning.
    pub window: Option<(f64, f64)>,
}

/// A phase of sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// From when to when.
    pub meaning: String,
    /// Samples.
    pub count: u64,
    /// Milliseconds: p50, p90, p99, p99.9, greatest; None: there are too few samples to say.
    pub ms: [Option<f64>; 5],
}

/// A distribution, for its curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// What of.
    pub label: String,
    /// For rising N: the latency in milliseconds that one sample in N passes.
    pub points: Vec<(f64, f64)>,
}

/// One second (or a few).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Second {
    /// Its end, since the beginning.
    pub at_s: f64,
    /// Sessions that are open.
    pub open: u64,
    /// Sessions opened in it, per second.
    pub opened_per_s: f64,
    /// Dials that failed in it, per second.
    pub failed_per_s: f64,
    /// Ticks, answers and counted messages, per second.
    pub deliveries_per_s: f64,
    /// Payload bytes, per second.
    pub bytes_per_s: f64,
    /// Of what came in it, in milliseconds; None: nothing did.
    pub p50_ms: Option<f64>,
    /// Likewise.
    pub p99_ms: Option<f64>,
}
