//! What broke, in words, with the way back to it.

use super::{Group, Link};
use crate::figure;
use crate::page::Badge;
use crate::record::Outcome;

/// Scenarios shown.
const SHOWN_MAX: usize = 16;
/// Characters of a message.
const MESSAGE_MAX: usize = 600;
/// Invariants named beside the first.
const OTHERS_MAX: usize = 8;

/// Scenarios that did not pass, the worst first.
#[derive(Default)]
pub(super) struct Broken<'a> {
    pub(super) scenarios: Vec<Scenario<'a>>,
    /// How many more there are.
    pub(super) more: usize,
}

/// One scenario, by the run that shows it first.
pub(super) struct Scenario<'a> {
    pub(super) link: Link<'a>,
    pub(super) badge: Badge,
    pub(super) seeds: String,
    pub(super) invariant: String,
    pub(super) at: Option<String>,
    pub(super) message: String,
    /// What else is broken in its runs.
    pub(super) others: String,
    pub(super) replay: &'a str,
}

impl<'a> Broken<'a> {
    /// Of scenarios that are in order, the worst first.
    pub(super) fn of(groups: &[Group<'a>]) -> Self {
        let broken = || groups.iter().filter(|group| group.verdict() != Outcome::Pass);
        let scenarios: Vec<Scenario<'a>> = broken().take(SHOWN_MAX).filter_map(Scenario::of).collect();
        Self { more: broken().count() - scenarios.len(), scenarios }
    }
}

impl<'a> Scenario<'a> {
    fn of(group: &Group<'a>) -> Option<Self> {
        let (run, worst) = group.worst()?;
        let verdict = group.verdict();
        let alike = group.runs.iter().filter(|run| run.verdict.verdict == verdict).count();
        let word = if verdict == Outcome::Fail { "fail" } else { "say too little" };
        let mut others: Vec<&str> = Vec::new();
        for invariant in group.runs.iter().flat_map(|run| &run.verdict.invariants) {
            let name = invariant.name.as_str();
            if invariant.verdict == worst.verdict && name != worst.invariant && !others.contains(&name) {
                others.push(name);
            }
        }
        let more = others.len().saturating_sub(OTHERS_MAX);
        others.truncate(OTHERS_MAX);
        let mut others = others.join(", ");
        if more > 0 {
            others.push_str(&format!(" and {more} more"));
        }
        Some(Self {
            link: Link::to(run),
            badge: Badge::of(verdict),
            seeds: format!("{alike} of {} runs {word}", group.runs.len()),
            invariant: worst.invariant,
            at: worst.at_us.map(figure::instant),
            message: figure::cut(&figure::times(&worst.message), MESSAGE_MAX),
            others,
            replay: &run.replay_command,
        })
    }
}
