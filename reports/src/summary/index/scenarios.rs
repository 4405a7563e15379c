//! Each scenario with its runs, and what they cost.

use super::{Group, cut};
use crate::figure;
use crate::page::Badge;
use crate::record::Outcome;

/// Scenarios shown, the worst first.
const ROWS_MAX: usize = 250;
/// Runs of a scenario shown, those that did not pass first.
const RUNS_MAX: usize = 24;

/// The table.
pub(super) struct Scenarios<'a> {
    pub(super) rows: Vec<Row<'a>>,
    pub(super) cut: Option<String>,
}

pub(super) struct Row<'a> {
    pub(super) title: String,
    pub(super) bad: bool,
    pub(super) runs: Vec<Run<'a>>,
    /// Runs that are not shown.
    pub(super) more: Option<String>,
    pub(super) checks: String,
    pub(super) sim: String,
    pub(super) wall: String,
    pub(super) speed: String,
    pub(super) recovery: String,
}

pub(super) struct Run<'a> {
    pub(super) label: String,
    pub(super) badge: Badge,
    pub(super) report: Option<&'a str>,
}

impl<'a> Scenarios<'a> {
    /// Of scenarios that are in order, the worst first.
    pub(super) fn of(groups: &[Group<'a>]) -> Self {
        let rows: Vec<Row<'a>> = groups.iter().take(ROWS_MAX).map(Row::of).collect();
        Self { cut: cut(rows.len(), groups.len(), "scenarios"), rows }
    }
}

impl<'a> Row<'a> {
    fn of(group: &Group<'a>) -> Self {
        let mut runs = group.runs.clone();
        if runs.len() > RUNS_MAX {
            runs.sort_by_key(|run| std::cmp::Reverse(run.verdict.verdict));
        }
        let more = runs.len().saturating_sub(RUNS_MAX) as u64;
        let run = |run: &'a super::RunSummary| Run {
            label: run.verdict.label(),
            badge: Badge::of(run.verdict.verdict),
            report: run.report.as_deref(),
        };
        Self {
            title: group.title(),
            bad: group.verdict() != Outcome::Pass,
            more: (more > 0).then(|| format!("and {} more", figure::count(more))),
            runs: runs.into_iter().take(RUNS_MAX).map(run).collect(),
            checks: figure::count(group.checked()),
            sim: figure::seconds(group.sim_seconds()),
            wall: figure::seconds(group.wall_seconds()),
            speed: figure::speed(group.sim_seconds(), group.wall_seconds()),
            recovery: figure::latency_or_dash(group.runs.iter().filter_map(|run| run.verdict.recovery_us).max()),
        }
    }
}
