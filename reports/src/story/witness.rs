//! The events that show a violation, as lines of text.

use serde::Serialize;
use wire::event::Timed;

use super::names::Names;
use crate::record::Verdict;

/// The most lines of evidence of one violation.
const LINES_MAX: usize = 60;

/// The events around one violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// The invariant that it breaks, by name.
    pub invariant: String,
    /// Its place in [`crate::record::Invariant::violations`].
    pub violation: usize,
    /// The lines, in the order of the record.
    pub lines: Vec<Line>,
}

/// One event in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its number: its line in `events.jsonl`, from 0.
    pub event: u64,
    /// What happened, with its time.
    pub text: String,
}

/// Collects, for each violation, the events that show it and `around` events before and after each of them; at most 60 a violation, those that show it
/// before all others, and of these the last.
pub(super) fn gather(verdict: &Verdict, names: &Names, events: &[Timed], around: u64) -> Vec<Witness> {
    let mut all = Vec::new();
    for invariant in &verdict.invariants {
        for (place, violation) in invariant.violations.iter().enumerate() {
            // The last of them is the breach itself.
            let mut numbers: Vec<u64> = violation.events.iter().rev().copied().take(LINES_MAX).collect();
            // The nearest neighbours come first, so that the bound cuts the farthest.
            for distance in 1..=around {
                for number in &violation.events {
                    numbers.extend([number.checked_sub(distance), number.checked_add(distance)].into_iter().flatten());
                }
            }
            let mut kept: Vec<u64> = Vec::new();
            for number in numbers {
                if kept.len() < LINES_MAX && !kept.contains(&number) {
                    kept.push(number);
                }
            }
            kept.sort_unstable();
            let line = |number: u64| {
                let event = events.get(usize::try_from(number).ok()?)?;
                Some(Line { event: number, text: names.line(event) })
            };
            let lines = kept.into_iter().filter_map(line).collect();
            all.push(Witness { invariant: invariant.name.clone(), violation: place, lines });
        }
    }
    all
}

/// What is said where violations are shown with fewer events than show them.
pub(super) fn cut(verdict: &Verdict) -> Option<String> {
    let most = verdict.invariants.iter().flat_map(|one| &one.violations).map(|one| one.events.len()).max()?;
    (most > LINES_MAX)
        .then(|| format!("A violation is shown by {most} events: the last {LINES_MAX} of them stand here."))
}
