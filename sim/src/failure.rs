//! How a run ends: its report, or its failure with the report so far.

use std::fmt;

use crate::fault::FaultEvent;
use crate::trace::TraceEvent;

/// What a run leaves behind. Equal configuration, programs and seed give an equal report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The rolling hash over everything delivered: time, hosts, connection, direction, kind, bytes.
    pub trace_hash: u64,
    /// How many deliveries the hash covers.
    pub trace_count: u64,
    /// The deliveries that [`crate::SimConfig::trace_events_from`] and `trace_events_max` ask for.
    pub trace_events: Vec<TraceEvent>,
    /// The rolling hash after every [`crate::CHECKPOINT_EVERY`] deliveries.
    pub trace_checkpoints: Vec<u64>,
    /// The hosts' names, by number.
    pub hosts: Vec<String>,
    /// The packets, if [`crate::Setup::capture`] asked for them.
    pub capture: Option<crate::capture::Capture>,
    /// Which faults began and ended, and when: the first 10,000.
    pub faults: Vec<FaultEvent>,
    /// Virtual microseconds from start to end.
    pub elapsed_us: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Why it ended.
    pub ended: Ended,
    /// Connections that nobody had freed at the end.
    pub connections_left: usize,
    /// How each host stood, if the run ended at [`crate::SimConfig::stop_at`].
    pub standing: Vec<crate::standing::Standing>,
}

/// Why a run ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// All foreground programs finished, or someone called `finish`.
    #[default]
    Finished,
    /// The horizon came.
    Horizon,
    /// [`crate::SimConfig::stop_at`] came.
    Stopped,
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause} (at {} us of virtual time)", report.elapsed_us)]
pub struct Failure {
    /// What went wrong.
    pub cause: Cause,
    /// The report up to there.
    pub report: Box<Report>,
}

/// What made a run fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A task panicked: a bug in the program.
    #[error("task `{task}` of host `{host}` panicked at {place}: {message}")]
    Panic {
        /// The host's name.
        host: String,
        /// The task's name.
        task: String,
        /// file:line:column.
        place: String,
        /// The panic's text.
        message: String,
    },
    /// The main future of a host ended with an error.
    #[error("the program of host `{host}` failed: {error}")]
    Program {
        /// The host's name.
        host: String,
        /// Its error, as text.
        error: String,
    },
    /// Tasks run without end while time stands still: a bug in the program.
    #[error("livelock: {polls} polls at one instant; most by {}", List(busiest, busy))]
    Livelock {
        /// Polls at the instant.
        polls: u64,
        /// Who was polled most: host, task, polls.
        busiest: Vec<(String, String, u64)>,
    },
    /// Nothing happens any more, and a foreground program has not finished.
    #[error("stuck: nothing has happened since {since_us} us; {}", List(waiting, ToString::to_string))]
    Stuck {
        /// When something last happened.
        since_us: u64,
        /// Who waits for what.
        waiting: Vec<Waiting>,
    },
    /// The horizon came while the world was still busy and a foreground program had not finished.
    #[error("the horizon came before the foreground programs finished; {}", List(waiting, ToString::to_string))]
    Horizon {
        /// Who waits for what.
        waiting: Vec<Waiting>,
    },
    /// Simulated code did what no seed can repeat: no result of this run counts.
    #[error("the code {what} {times} times inside the run, which no seed can repeat; first: {first}: {instead}")]
    Unrepeatable {
        /// What it did first, in words.
        what: String,
        /// How often it did this and the like.
        times: u64,
        /// Who did it first: task, host, function, file:line.
        first: String,
        /// What to use instead.
        instead: String,
    },
    /// The engine cannot be such a world.
    #[error(transparent)]
    NotExpressible(#[from] crate::engine::NotExpressible),
    /// The harness itself is broken: no result of this run counts.
    #[error("the harness failed: {0}")]
    Harness(String),
}

/// A task and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The host's name.
    pub host: String,
    /// The task's name.
    pub task: String,
    /// What it waits for, in words.
    pub on: String,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task `{}` of `{}` waits for {}", self.task, self.host, self.on)
    }
}

/// A busy task in words.
fn busy((host, task, polls): &(String, String, u64)) -> String {
    format!("`{task}` of `{host}` ({polls})")
}

/// A list in one line.
struct List<'a, T, F>(&'a [T], F);

impl<T, F: Fn(&T) -> String> fmt::Display for List<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nobody is there");
        }
        for (n, item) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&(self.1)(item))?;
        }
        Ok(())
    }
}
