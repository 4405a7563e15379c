//! What was broken, and what shows it.

use super::sequence::Diagram;
use crate::figure;
use crate::folder::RunReport;
use crate::record::{Invariant, Violation};
use crate::story::Line;

/// One broken invariant with its violations.
pub(super) struct Breach<'a> {
    pub(super) name: &'a str,
    pub(super) times: String,
    pub(super) unshown: String,
    /// What it means, in a sentence.
    pub(super) about: &'a str,
    /// What the scenario asks for.
    pub(super) bound: Option<&'a str>,
    /// What was measured over the whole run.
    pub(super) summary: String,
    pub(super) first: Option<Shown<'a>>,
    pub(super) later: Vec<Shown<'a>>,
    /// The messages around the first.
    pub(super) diagram: Option<Diagram<'a>>,
}

pub(super) struct Shown<'a> {
    pub(super) at: String,
    pub(super) message: String,
    pub(super) lines: Vec<(bool, &'a Line)>,
    pub(super) numbers: String,
}

pub(super) fn breaches(report: &RunReport) -> Vec<Breach<'_>> {
    let broken = report.verdict.invariants.iter().filter(|invariant| !invariant.violations.is_empty());
    let mut broken: Vec<_> = broken.collect();
    // What broke first stands first: the rest may follow from it.
    broken.sort_by_key(|invariant| invariant.violations[0].at_us);
    broken.into_iter().map(|invariant| breach(report, invariant)).collect()
}

fn breach<'a>(report: &'a RunReport, invariant: &'a Invariant) -> Breach<'a> {
    let violations = invariant.violations.iter().enumerate();
    let mut shown: Vec<_> = violations.map(|(place, violation)| shown(report, invariant, place, violation)).collect();
    let later = shown.split_off(1.min(shown.len()));
    let unshown = invariant.broken.saturating_sub(invariant.violations.len() as u64);
    let meaning = report.evidence.meanings.iter().find(|meaning| meaning.invariant == invariant.name);
    let moment = report.evidence.story.moments.iter().find(|moment| moment.invariant == invariant.name);
    Breach {
        name: &invariant.name,
        times: match invariant.broken {
            1 => "once".to_owned(),
            times => format!("{} times", figure::count(times)),
        },
        unshown: if unshown == 0 { String::new() } else { figure::count(unshown) },
        about: meaning.map_or("", |meaning| meaning.about.as_str()),
        bound: meaning.and_then(|meaning| meaning.bound.as_deref()),
        summary: figure::times(&invariant.summary),
        first: shown.pop(),
        later,
        diagram: moment.filter(|moment| !moment.sequence.rows.is_empty()).map(Diagram::new),
    }
}

fn shown<'a>(report: &'a RunReport, invariant: &Invariant, place: usize, violation: &'a Violation) -> Shown<'a> {
    let witnesses = &report.evidence.story.witnesses;
    let witness = witnesses.iter().find(|witness| witness.invariant == invariant.name && witness.violation == place);
    let lines = witness.map_or(&[] as &[Line], |witness| &witness.lines);
    let numbers: Vec<String> = violation.events.iter().map(u64::to_string).collect();
    Shown {
        at: figure::instant(violation.at_us),
        message: figure::times(&violation.message),
        lines: lines.iter().map(|line| (violation.events.contains(&line.event), line)).collect(),
        numbers: numbers.join(", "),
    }
}
