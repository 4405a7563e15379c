//! What a page shows of a run besides its verdict and its figures: plain data, gathered by whoever made the run. All of it may be missing.

use crate::story::{Line, Story};

/// All there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Lanes, messages, events: from the record.
    pub story: Story,
    /// What the invariants mean.
    pub meanings: Vec<Meaning>,
    /// The faults of the plan, by their numbers.
    pub faults: Vec<PlannedFault>,
    /// What the failure was before it was made smaller.
    pub shrunk: Option<Shrunk>,
    /// Frames around the first violation.
    pub frames: Option<Frames>,
    /// The nearest run that passes.
    pub twin: Option<Twin>,
}

/// What an invariant means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Its name.
    pub invariant: String,
    /// One sentence.
    pub about: String,
    /// What the scenario asks for, with its bounds, where that is more than the sentence says.
    pub bound: Option<String>,
}

/// A fault of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// Its kind, in the scenario file's word.
    pub kind: String,
    /// What it is aimed at.
    pub target: String,
    /// When it is to begin: `at 10s`, `after the second client_gap`.
    pub begins: String,
    /// What it does, in words.
    pub words: String,
    /// Whether it is over as soon as it began.
    pub instant: bool,
}

/// What shrinking took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shrunk {
    /// What was made smaller, from what, to what: `faults`, `14`, `2`.
    pub parts: Vec<(String, String, String)>,
    /// The command that runs the failure as it was found, if there is one.
    pub found_command: Option<String>,
}

/// WebSocket frames as they crossed the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// In the order of time.
    pub list: Vec<Frame>,
    /// What was not looked at or left out, in words.
    pub note: Option<String>,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When its last byte passed, in microseconds since the run began.
    pub at_us: u64,
    /// Who sent it.
    pub from: String,
    /// Who gets it.
    pub to: String,
    /// `text`, `binary`, `ping`, `pong`, `close`, `continuation`.
    pub opcode: &'static str,
    /// Whether the message ends with it.
    pub fin: bool,
    /// Whether its payload was masked.
    pub masked: bool,
    /// Bytes of payload.
    pub bytes: u64,
    /// What it says, in words.
    pub words: String,
    /// Whether it is the one in which the breach crossed.
    pub decisive: bool,
}

/// The same run with one fault less, as often as it took until nothing broke.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twin {
    /// What was tried, in its order.
    pub trials: Vec<Trial>,
    /// Faults that were not tried any more.
    pub untried: usize,
    /// Where the run that passes parts from this one; None where none passes.
    pub parting: Option<Parting>,
}

/// The run without one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The fault that is left out, in words.
    pub without: String,
    /// The invariants that broke all the same.
    pub broken: Vec<String>,
}

/// Where two runs part. What the driver says of faults is not compared: that differs on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// What both did last.
    pub before: Vec<Line>,
    /// What this run did then.
    pub here: Vec<Line>,
    /// What the other did.
    pub there: Vec<Line>,
}
