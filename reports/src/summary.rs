//! Over many runs: `index.html`, `summary.json`, `summary.md`, and `junit.xml` beside them.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::figure;
use crate::folder::{WriteError, write_file, write_pretty};
use crate::gate::Gate;
use crate::junit;
use crate::record::{Invariant, Outcome, SCHEMA, Verdict};

mod index;
mod markdown;
pub mod regressions;

use self::regressions::Replayed;

/// One run of many, as the summary sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// The judgement.
    pub verdict: Verdict,
    /// The path of its `report.html`, relative to the summary's folder, where there is one.
    pub report: Option<String>,
    /// The command that runs it again.
    pub replay_command: String,
    /// Its place in the sequence of its scenario's runs, from 0: where shards are merged, they come to stand in this order.
    pub nth: u64,
    /// What it measured that can be compared from seed to seed, in microseconds: see [`crate::measures::Measures::steady`].
    pub figures: BTreeMap<String, u64>,
}

/// What the summary says of the whole campaign.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SummaryMeta {
    /// The command that was given.
    pub command: String,
    /// The version of the program.
    pub version: String,
    /// The profile that it was built in.
    pub profile: String,
    /// Length of the campaign on the wall.
    pub wall_seconds: f64,
    /// What the runs reached of the marks in the programs; None where that was not looked at.
    pub marks: Option<Marks>,
    /// How many runs each scenario got, in the order of the runs. Fewer than its minimum make the whole inconclusive.
    pub shares: Vec<Share>,
    /// The runs that were asked for, in words: seeds and orders. Shards of one sweep have the same.
    pub asked: Option<String>,
    /// The word that seeds were taken from, if they were.
    pub seeds_from: Option<String>,
    /// Which part of all runs this is: `2/8`. None: all of them.
    pub shard: Option<String>,
    /// What should be there and is not: shards that were not merged. Makes the whole inconclusive.
    pub missing: Vec<String>,
    /// The run that had to fail, if there was one.
    pub canary: Option<Canary>,
    /// What became of the failures that were found once, if they were run again.
    pub regressions: Vec<Replayed>,
    /// How the runs compare with earlier ones, if that was asked for.
    pub gate: Option<Gate>,
}

/// What all runs together reached of the marks in the programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Marks {
    /// How many there are.
    pub all: u64,
    /// Those that no run reached, by their places.
    pub missed: Vec<MarkMissed>,
    /// Those that some run reached, those in the fewest runs first.
    pub reached: Vec<MarkReached>,
    /// Whether each had to be reached: one that was not makes the whole inconclusive.
    pub required: bool,
}

/// A mark that no run reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarkMissed {
    /// Its name.
    pub name: String,
    /// Where it stands: file and line.
    pub place: String,
}

/// A mark that some run reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarkReached {
    /// Its name.
    pub name: String,
    /// Where it stands: file and line.
    pub place: String,
    /// In how many runs.
    pub runs: u64,
    /// How often in all of them.
    pub times: u64,
}

impl Marks {
    /// `38 of 41`.
    #[must_use]
    pub fn count(&self) -> String {
        format!("{} of {}", self.all.saturating_sub(self.missed.len() as u64), self.all)
    }
}

/// How many runs of a scenario are done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Its name.
    pub scenario: String,
    /// Runs that are done.
    pub done: u64,
    /// Runs that it had to finish.
    pub minimum: u64,
}

impl Share {
    /// Runs that are missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.minimum.saturating_sub(self.done)
    }
}

/// A run with a planted bug that must fail: the proof that the alarm works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Whether it failed as it must.
    pub rang: bool,
    /// The invariant that must be broken.
    pub invariant: String,
    /// What was seen, or what it means that nothing was.
    pub message: String,
}

impl Canary {
    /// In a line.
    #[must_use]
    pub fn words(&self) -> String {
        if self.rang {
            format!("canary: the alarm works ({} fails where it must)", self.invariant)
        } else {
            format!("CANARY: {}", self.message)
        }
    }
}

impl SummaryMeta {
    /// Runs that are missing to the minimum of some scenario.
    #[must_use]
    pub fn runs_left_out(&self) -> u64 {
        self.shares.iter().map(Share::missing).sum()
    }

    /// What is missing, in a line for each shard that is not there and each scenario with too few runs.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = String> {
        let missing = self.missing.iter().map(|what| format!("{what} is missing"));
        let short = self.shares.iter().filter(|share| share.missing() > 0);
        missing.chain(short.map(|share| {
            format!("{}: {} runs done, at least {} are needed", share.scenario, share.done, share.minimum)
        }))
    }
}

/// What it all comes to: one word, and one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// All held, and nothing is worse than it was.
    Pass,
    /// Too little was checked or compared to say.
    Inconclusive,
    /// All held, but something is worse than the baseline past its tolerance.
    Worse,
    /// Something is broken.
    Fail,
}

impl From<Outcome> for Overall {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Pass,
            Outcome::Inconclusive => Self::Inconclusive,
            Outcome::Fail => Self::Fail,
        }
    }
}

/// Writes `index.html`, `summary.json`, `summary.md` and `junit.xml` into `dir`, which is made if need be. Runs appear in the order given.
///
/// # Errors
/// [`WriteError`] names the file and what to do.
pub fn write_summary(dir: &Path, runs: &[RunSummary], meta: &SummaryMeta) -> Result<(), WriteError> {
    let text = |name: &str, text: Result<String, String>| {
        let path = dir.join(name);
        match text {
            Ok(text) => write_file(&path, text.as_bytes()),
            Err(why) => Err(WriteError::Text { path, why }),
        }
    };
    text("junit.xml", junit::xml(runs, meta).map_err(|error| error.to_string()))?;
    text("summary.md", Ok(markdown::summary(runs, meta)))?;
    text("index.html", index(runs, meta).map_err(|error| error.to_string()))?;
    write_pretty(&dir.join("summary.json"), &Summary::of(runs, meta))
}

/// GitHub-flavoured Markdown for a CI job's summary page: a table over all scenarios and the first failures with their commands. It stays far below the
/// 1 MiB that GitHub takes.
#[must_use]
pub fn markdown(runs: &[RunSummary], meta: &SummaryMeta) -> String {
    markdown::summary(runs, meta)
}

/// The page over all runs.
///
/// # Errors
/// Fails only if memory does: everything in it is text.
pub fn index(runs: &[RunSummary], meta: &SummaryMeta) -> Result<String, askama::Error> {
    index::page(runs, meta)
}

/// The slowest recovery of all runs, in words: how long it took, and where. None where none was measured.
pub(crate) fn slowest_recovery(runs: &[RunSummary]) -> Option<String> {
    // The first of equals.
    let slowest = runs.iter().rev().filter_map(|run| Some((run.verdict.recovery_us?, run))).max_by_key(|it| it.0)?;
    let verdict = &slowest.1.verdict;
    Some(format!("{} ({}, seed {})", figure::latency(slowest.0), verdict.scenario, verdict.label()))
}

/// The worst over all runs and comparisons; inconclusive where there is no run, where some were left out, where a mark was required and not
/// reached, or where something could not be compared.
#[must_use]
pub fn overall(runs: &[RunSummary], meta: &SummaryMeta) -> Overall {
    // A shard may have got nothing to do.
    let nothing = runs.is_empty() && meta.shard.is_none();
    let weak = nothing || meta.runs_left_out() > 0 || !meta.missing.is_empty();
    let weak = weak || meta.canary.as_ref().is_some_and(|canary| !canary.rang);
    let weak = weak || meta.gate.as_ref().is_some_and(|gate| gate.incomparable().next().is_some());
    let missed = meta.marks.as_ref().is_some_and(|marks| marks.required && !marks.missed.is_empty());
    let worse = meta.gate.as_ref().is_some_and(|gate| gate.worse().next().is_some());
    let runs = runs.iter().fold(regressions::outcome(&meta.regressions), |sum, run| sum.and(run.verdict.verdict));
    let least = match (worse, weak || missed) {
        (true, _) => Overall::Worse,
        (false, true) => Overall::Inconclusive,
        (false, false) => Overall::Pass,
    };
    least.max(runs.into())
}

/// `summary.json`.
#[derive(Serialize)]
struct Summary<'a> {
    schema: u32,
    verdict: Overall,
    command: &'a str,
    version: &'a str,
    profile: &'a str,
    wall_seconds: f64,
    runs_left_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<&'a Marks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seeds_from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<&'a Canary>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    regressions: &'a [Replayed],
    shares: &'a [Share],
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<&'a Gate>,
    runs: Vec<SummaryRun<'a>>,
}

/// How many runs came out how.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) pass: u64,
    pub(crate) inconclusive: u64,
    pub(crate) fail: u64,
}

#[derive(Serialize)]
struct SummaryRun<'a> {
    scenario: &'a str,
    seed: u64,
    #[serde(skip_serializing_if = "crate::record::is_zero")]
    order: u64,
    engine: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutant: Option<&'a str>,
    verdict: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    worst: Option<Worst>,
    trace_hash: &'a str,
    events: u64,
    sim_seconds: f64,
    wall_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a str>,
    replay: &'a str,
    nth: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    figures: &'a BTreeMap<String, u64>,
}

/// The reason why a run did not pass.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Worst {
    /// The invariant, or `reached` where a state was never reached.
    pub(crate) invariant: String,
    pub(crate) verdict: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at_us: Option<u64>,
    pub(crate) message: String,
}

impl<'a> Summary<'a> {
    fn of(runs: &'a [RunSummary], meta: &'a SummaryMeta) -> Self {
        let run = |run: &'a RunSummary| SummaryRun {
            scenario: &run.verdict.scenario,
            seed: run.verdict.seed,
            order: run.verdict.order,
            engine: &run.verdict.engine,
            mutant: run.verdict.mutant.as_deref(),
            verdict: run.verdict.verdict,
            worst: worst(&run.verdict),
            trace_hash: &run.verdict.trace_hash,
            events: run.verdict.events,
            sim_seconds: run.verdict.sim_seconds,
            wall_seconds: run.verdict.wall_seconds,
            recovery_us: run.verdict.recovery_us,
            report: run.report.as_deref(),
            replay: &run.replay_command,
            nth: run.nth,
            figures: &run.figures,
        };
        Self {
            schema: SCHEMA,
            verdict: overall(runs, meta),
            command: &meta.command,
            version: &meta.version,
            profile: &meta.profile,
            wall_seconds: meta.wall_seconds,
            runs_left_out: meta.runs_left_out(),
            asked: meta.asked.as_deref(),
            seeds_from: meta.seeds_from.as_deref(),
            shard: meta.shard.as_deref(),
            missing: &meta.missing,
            canary: meta.canary.as_ref(),
            regressions: &meta.regressions,
            shares: &meta.shares,
            marks: meta.marks.as_ref(),
            counts: Counts::of(runs),
            baseline: meta.gate.as_ref(),
            runs: runs.iter().map(run).collect(),
        }
    }
}

impl Counts {
    pub(crate) fn of(runs: &[RunSummary]) -> Self {
        let mut counts = Self::default();
        for run in runs {
            match run.verdict.verdict {
                Outcome::Pass => counts.pass += 1,
                Outcome::Inconclusive => counts.inconclusive += 1,
                Outcome::Fail => counts.fail += 1,
            }
        }
        counts
    }
}

/// Why a run did not pass: its earliest violation, or what it did not check or reach.
pub(crate) fn worst(verdict: &Verdict) -> Option<Worst> {
    let of = |outcome| verdict.invariants.iter().filter(move |invariant| invariant.verdict == outcome);
    let at = |invariant: &&Invariant| invariant.violations.first().map_or(u64::MAX, |violation| violation.at_us);
    if let Some(invariant) = of(Outcome::Fail).min_by_key(at) {
        let violation = invariant.violations.first();
        return Some(Worst {
            invariant: invariant.name.clone(),
            verdict: Outcome::Fail,
            at_us: violation.map(|violation| violation.at_us),
            message: violation.map_or_else(|| invariant.summary.clone(), |violation| violation.message.clone()),
        });
    }
    let unreached = verdict.reached.iter().find(|reached| reached.is_missed()).map(|reached| Worst {
        invariant: "reached".to_owned(),
        verdict: Outcome::Inconclusive,
        at_us: None,
        message: reached.missed_words(),
    });
    let weak = of(Outcome::Inconclusive).next().map(|invariant| Worst {
        invariant: invariant.name.clone(),
        verdict: Outcome::Inconclusive,
        at_us: None,
        message: invariant.summary.clone(),
    });
    unreached.or(weak).or_else(|| {
        (verdict.verdict != Outcome::Pass).then(|| Worst {
            invariant: "reached".to_owned(),
            verdict: verdict.verdict,
            at_us: None,
            message: "a state was reached less often than the scenario asks".to_owned(),
        })
    })
}

/// All runs of one scenario on one engine with one planted bug (or none).
pub(crate) struct Group<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) engine: &'a str,
    pub(crate) mutant: Option<&'a str>,
    pub(crate) runs: Vec<&'a RunSummary>,
}

impl<'a> Group<'a> {
    pub(crate) fn verdict(&self) -> Outcome {
        self.runs.iter().fold(Outcome::Pass, |sum, run| sum.and(run.verdict.verdict))
    }

    /// The run that shows the verdict first.
    pub(crate) fn worst(&self) -> Option<(&'a RunSummary, Worst)> {
        let verdict = self.verdict();
        let run = self.runs.iter().copied().find(|run| run.verdict.verdict == verdict)?;
        worst(&run.verdict).map(|worst| (run, worst))
    }

    pub(crate) fn sim_seconds(&self) -> f64 {
        self.runs.iter().map(|run| run.verdict.sim_seconds).sum()
    }

    pub(crate) fn wall_seconds(&self) -> f64 {
        self.runs.iter().map(|run| run.verdict.wall_seconds).sum()
    }

    pub(crate) fn checked(&self) -> u64 {
        self.runs.iter().flat_map(|run| &run.verdict.invariants).map(|invariant| invariant.checked).sum()
    }

    /// `passed/all`.
    pub(crate) fn seeds(&self) -> String {
        let passed = self.runs.iter().filter(|run| run.verdict.verdict == Outcome::Pass).count();
        format!("{passed}/{}", self.runs.len())
    }

    /// The scenario, and what is unusual about how it was run.
    pub(crate) fn title(&self) -> String {
        let engine = if self.engine == "sim" { String::new() } else { format!(" on {}", self.engine) };
        let mutant = self.mutant.map(|mutant| format!(" with {mutant}")).unwrap_or_default();
        format!("{}{engine}{mutant}", self.scenario)
    }
}

/// Runs by scenario, in the order in which each first appears.
pub(crate) fn groups(runs: &[RunSummary]) -> Vec<Group<'_>> {
    let mut groups: IndexMap<(&str, &str, Option<&str>), Vec<&RunSummary>> = IndexMap::new();
    for run in runs {
        let verdict = &run.verdict;
        groups.entry((&verdict.scenario, &verdict.engine, verdict.mutant.as_deref())).or_default().push(run);
    }
    groups.into_iter().map(|((scenario, engine, mutant), runs)| Group { scenario, engine, mutant, runs }).collect()
}
