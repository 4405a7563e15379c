//! What a run leaves behind in words that machines read: `verdict.json` and its parts.
//!
//! Everything but fields named `wall_*` is byte-identical for the same build, scenario and seed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of these files' schema.
pub const SCHEMA: u32 = 1;

/// How a judgement came out. Weak evidence is never a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Checked often enough, and it held.
    Pass,
    /// Not checked often enough to say, or the scenario did not reach what it is about.
    Inconclusive,
    /// Broken.
    Fail,
}

impl Outcome {
    /// The worse of two: fail before inconclusive before pass.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

/// One scenario run judged: `verdict.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The number of the order in which tasks that were ready at one instant took their turns; 0: first come, first served.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub order: u64,
    /// `sim`, `turmoil` or `sockets`.
    pub engine: String,
    /// The planted bug, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<String>,
    /// The sum over all invariants and reached states.
    pub verdict: Outcome,
    /// Hash over every event with its time, in hexadecimal.
    pub trace_hash: String,
    /// Events in the record.
    pub events: u64,
    /// Length of the run in its own time.
    pub sim_seconds: f64,
    /// Length of the run on the wall.
    pub wall_seconds: f64,
    /// Every invariant, in the order of the scenario file.
    pub invariants: Vec<Invariant>,
    /// What the scenario had to reach to mean anything, with how often it did.
    pub reached: Vec<Reached>,
    /// Every mark in the programs that the run reached, wanted or not, with how often.
    #[serde(default)]
    pub marks: BTreeMap<String, u64>,
    /// How long the slowest recovery took, in microseconds: from the end of the last fault in force until everyone was live and caught up. Only where the
    /// scenario has the objective `recovery`, and one was seen to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_us: Option<u64>,
    /// The command of the program that stood in the proxy's place, if another than ours did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Invariants that were asked for and could not be judged, as they need the account that only our proxy gives of itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applicable: Vec<String>,
}

impl Verdict {
    /// The run among those of its scenario: its seed, and its order of ready tasks where that is not the usual one: `7`, `7.2`.
    #[must_use]
    pub fn label(&self) -> String {
        label(self.seed, self.order)
    }
}

/// See [`Verdict::label`].
#[must_use]
pub fn label(seed: u64, order: u64) -> String {
    if order == 0 { seed.to_string() } else { format!("{seed}.{order}") }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One invariant judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invariant {
    /// Its name, in kebab-case: `symbol-order`.
    pub name: String,
    /// How it came out.
    pub verdict: Outcome,
    /// How often it was really checked.
    pub checked: u64,
    /// One line on what was found: the measured figure against its bound.
    pub summary: String,
    /// How often it was broken; `violations` holds the first of them only.
    pub broken: u64,
    /// The first violations, in the order of time.
    pub violations: Vec<Violation>,
}

/// One breach, with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// When, in microseconds since the run began.
    pub at_us: u64,
    /// What was seen and what was expected.
    pub message: String,
    /// Numbers of the events that show it (lines of `events.jsonl`, from 0), the last of them the breach itself.
    pub events: Vec<u64>,
}

/// A state that the scenario is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Its name: `fault:upstream-kill`, `slow-client-dropped`.
    pub name: String,
    /// How often it was reached; less than is asked for makes the run inconclusive.
    pub times: u64,
    /// How often is asked for.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub at_least: u64,
}

impl Reached {
    /// Whether it was reached less often than is asked for.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.times < self.at_least
    }

    /// How it was missed: `never reached failover`, `reached failover once, at least 3 times are asked for`.
    #[must_use]
    pub fn missed_words(&self) -> String {
        let count = crate::figure::count;
        match self.times {
            0 => format!("never reached {}", self.name),
            1 => format!("reached {} once, at least {} times are asked for", self.name, count(self.at_least)),
            times => {
                format!("reached {} {} times, at least {} are asked for", self.name, count(times), count(self.at_least))
            }
        }
    }
}

fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_once(times: &u64) -> bool {
    *times == 1
}
