//! `index.html`: all runs on one page, the worst first.
//!
//! One file that needs nothing else. Its script finds rows and copies commands; without it everything is there all the same. Each table is bounded and says what it
//! leaves out: a campaign of ten thousand runs is a page of one or two megabytes.

use std::borrow::Cow;

use askama::Template;

use super::{Counts, Group, Marks, RunSummary, SummaryMeta, groups, overall, slowest_recovery};
use crate::figure;
use crate::page::Badge;
use crate::record::Outcome;

mod bank;
mod baseline;
mod broken;
mod matrix;
mod reached;
mod scenarios;
mod slowest;
mod spread;

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    meta: &'a SummaryMeta,
    /// The planted bug of all runs.
    mutant: Option<String>,
    badge: Badge,
    counts: Counts,
    shares: Vec<(&'static str, u64)>,
    left_out: Vec<String>,
    canary: Option<(bool, String)>,
    /// Each with its value, and whether it was measured on the wall.
    facts: Vec<(&'static str, String, bool)>,
    broken: broken::Broken<'a>,
    matrix: matrix::Matrix<'a>,
    scenarios: scenarios::Scenarios<'a>,
    slowest: Vec<slowest::Slowest<'a>>,
    spread: spread::Spreads<'a>,
    states: reached::States<'a>,
    baseline: Option<baseline::Baseline<'a>>,
    bank: bank::Bank<'a>,
}

/// Scenarios with too few runs that are named.
const LEFT_OUT_MAX: usize = 50;

pub(super) fn page(runs: &[RunSummary], meta: &SummaryMeta) -> Result<String, askama::Error> {
    // What all runs have in common is said once, and not beside each scenario.
    let mutant = common_mutant(runs).map(str::to_owned);
    let mut plain = Cow::Borrowed(runs);
    if mutant.is_some() {
        plain.to_mut().iter_mut().for_each(|run| run.verdict.mutant = None);
    }
    let runs = &*plain;
    let counts = Counts::of(runs);
    let groups = worst_first(runs);
    let left_out: Vec<String> = meta.left_out().collect();
    Index {
        mutant,
        badge: Badge::overall(overall(runs, meta)),
        shares: [("fail", counts.fail), ("inconclusive", counts.inconclusive), ("pass", counts.pass)]
            .into_iter()
            .filter(|(_, runs)| *runs > 0)
            .collect(),
        left_out: shortened(left_out),
        canary: meta.canary.as_ref().map(|canary| (canary.rang, canary.words())),
        facts: facts(runs, meta, &groups),
        broken: broken::Broken::of(&groups),
        matrix: matrix::Matrix::of(&groups),
        scenarios: scenarios::Scenarios::of(&groups),
        slowest: slowest::of(runs),
        spread: spread::Spreads::of(&groups),
        states: reached::States::of(runs),
        baseline: meta.gate.as_ref().map(baseline::Baseline::of),
        bank: bank::Bank::of(&meta.regressions),
        counts,
        meta,
    }
    .render()
}

/// The planted bug that all runs have.
fn common_mutant(runs: &[RunSummary]) -> Option<&str> {
    let first = runs.first()?.verdict.mutant.as_deref()?;
    runs.iter().all(|run| run.verdict.mutant.as_deref() == Some(first)).then_some(first)
}

/// Scenarios: those that fail before those that say too little before those that pass; of equals that of whose runs the greater part came out so; then as they were
/// run.
fn worst_first(runs: &[RunSummary]) -> Vec<Group<'_>> {
    let mut groups = groups(runs);
    let part = |group: &Group<'_>| {
        let verdict = group.verdict();
        let alike = group.runs.iter().filter(|run| run.verdict.verdict == verdict).count();
        if verdict == Outcome::Pass { 0 } else { alike * 1_000 / group.runs.len() }
    };
    groups.sort_by_cached_key(|group| std::cmp::Reverse((group.verdict(), part(group))));
    groups
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > LEFT_OUT_MAX {
        let more = lines.len() - LEFT_OUT_MAX;
        lines.truncate(LEFT_OUT_MAX);
        lines.push(format!("and {more} more scenarios: summary.json has all"));
    }
    lines
}

fn facts(runs: &[RunSummary], meta: &SummaryMeta, groups: &[Group<'_>]) -> Vec<(&'static str, String, bool)> {
    let simulated: f64 = runs.iter().map(|run| run.verdict.sim_seconds).sum();
    let cores: f64 = runs.iter().map(|run| run.verdict.wall_seconds).sum();
    let checks: u64 = groups.iter().map(Group::checked).sum();
    let some = |number: usize| if number > 0 { figure::count(number as u64) } else { String::new() };
    let mut facts = vec![
        ("Scenarios", some(groups.len()), false),
        ("Runs", some(runs.len()), false),
        ("Checks", figure::count(checks), false),
        ("Simulated", figure::seconds(simulated), false),
        ("Time on the wall", figure::seconds(meta.wall_seconds), true),
        ("Speed of one core", figure::speed(simulated, cores), true),
        ("Slowest recovery", slowest_recovery(runs).unwrap_or_default(), false),
        ("Marks reached", meta.marks.as_ref().map(Marks::count).unwrap_or_default(), false),
        ("Seeds from", meta.seeds_from.clone().unwrap_or_default(), false),
        ("Shard", meta.shard.clone().unwrap_or_default(), false),
        ("Version", meta.version.clone(), false),
        ("Profile", meta.profile.clone(), false),
    ];
    facts.retain(|(_, value, _)| !value.is_empty());
    facts
}

/// A run as it is pointed at: its scenario, its seed, and its report where it has one.
struct Link<'a> {
    title: String,
    label: String,
    report: Option<&'a str>,
}

impl<'a> Link<'a> {
    fn to(run: &'a RunSummary) -> Self {
        let title = Group {
            scenario: &run.verdict.scenario,
            engine: &run.verdict.engine,
            mutant: run.verdict.mutant.as_deref(),
            runs: Vec::new(),
        };
        Self { title: title.title(), label: run.verdict.label(), report: run.report.as_deref() }
    }
}

/// What a table leaves out, in words; nothing where nothing is.
fn cut(shown: usize, all: usize, what: &str) -> Option<String> {
    let more = all.saturating_sub(shown);
    (more > 0).then(|| format!("{} more {what} are not shown here; summary.json has all.", figure::count(more as u64)))
}
