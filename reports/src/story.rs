//! What a page tells of a run beyond its figures, taken from the kept events: who was there when, who said what to whom around a breach, and what stood
//! around it on each host.
//!
//! ```text
//!   events --> names      whose address, whose leg is it
//!          |-> words      one event in words: who tells it, from whom to whom
//!          |-> lanes      the whole run: a lane for each source, proxy and client, or group of clients
//!          |-> moment     a breach: the messages around it in their order, the last lines of each host
//!          '-> witness    every violation that is shown, with its events
//! ```
//!
//! Everything here is bounded, whatever the run was like; what was left out is said ([`Story::cut`]).

mod lanes;
mod moment;
mod names;
mod witness;
mod words;

use wire::event::Timed;

use crate::metrics::Metrics;
use crate::perfetto::Hosts;
use crate::record::{Outcome, Verdict};

pub use self::lanes::{Bar, Kind, Lane, Lanes, Mark};
pub use self::moment::{HostLines, Moment, Row, Sequence};
pub use self::names::Names;
pub use self::witness::{Line, Witness};
pub use self::words::{Party, Tone};
pub(crate) use self::words::{stamp, word};

/// Broken invariants whose first breach is shown from close by.
const MOMENTS_MAX: usize = 3;
/// Events of evidence before and after each event that shows a violation.
const AROUND: u64 = 3;

/// What a page tells of a run. Without events: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// The whole run; None where its events were not kept.
    pub lanes: Option<Lanes>,
    /// The first breach of each of the first broken invariants, from close by.
    pub moments: Vec<Moment>,
    /// The events that show each violation.
    pub witnesses: Vec<Witness>,
    /// What was left out of all this, a sentence each.
    pub cut: Vec<String>,
}

impl Story {
    /// Tells a run from all of its events, in the order of time.
    #[must_use]
    pub fn new(verdict: &Verdict, metrics: &Metrics, hosts: &Hosts, events: &[Timed]) -> Self {
        if events.is_empty() {
            return Self::default();
        }
        let names = Names::new(hosts.tiers(), events);
        let mut cut = Vec::new();
        let mut broken: Vec<_> = verdict
            .invariants
            .iter()
            .filter(|invariant| invariant.verdict == Outcome::Fail && !invariant.violations.is_empty())
            .collect();
        broken.sort_by_key(|invariant| invariant.violations[0].at_us);
        if broken.len() > MOMENTS_MAX {
            cut.push(format!(
                "{} invariants are broken: the messages around the first breach are shown for {MOMENTS_MAX} of them.",
                broken.len()
            ));
        }
        let moments: Vec<Moment> = broken
            .iter()
            .take(MOMENTS_MAX)
            .map(|invariant| Moment::new(&invariant.name, &invariant.violations[0], &names, events))
            .collect();
        cut.extend(moments.iter().filter_map(|moment| moment.sequence.cut.clone()));
        let lanes = Lanes::new(verdict, metrics, hosts, &names, events);
        cut.extend(lanes.cut.iter().cloned());
        cut.extend(witness::cut(verdict));
        Self { lanes: Some(lanes), moments, witnesses: witness::gather(verdict, &names, events, AROUND), cut }
    }
}
