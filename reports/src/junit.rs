//! `junit.xml`: a test suite a scenario, a test case an invariant, over all seeds.
//!
//! Suites are called as scenarios are, cases as invariants: the same from one run to the next whatever the seeds, so that a CI system can follow them. An
//! invariant that is broken with any seed is a `failure`, with the first runs that show it and the commands that run them again. One that could not be judged is
//! an `error`, not a skipped test: most CI pages show skipped tests as green, and weak evidence is never green. What makes the whole inconclusive and belongs to no
//! run (runs and shards that are missing, required marks, scenarios that nothing was run of) is an error in the suite `campaign`. The same holds for runs that did not reach what they
//! are about (case `reached`), and for a comparison that could not be made (case `baseline`).
//!
//! The file holds to the schema by which Jenkins judges (`junit-10.xsd` of its xUnit plugin), which is what GitHub's and GitLab's readers take, too.

use std::time::Duration;

use indexmap::IndexMap;
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::figure;
use crate::gate::{self, Change, Comparison, Difference};
use crate::record::{Invariant, Outcome, Verdict};
use crate::summary::regressions::Replayed;
use crate::summary::{Canary, Group, RunSummary, SummaryMeta, groups, worst};

/// Runs shown in full in one case; the others are counted.
const RUNS_MAX: usize = 10;

/// The file's text. Suites and cases stand in the order of the runs; times are those on the wall.
///
/// # Errors
/// Fails only if the library cannot write XML: characters that XML cannot hold are left out before.
pub fn xml(runs: &[RunSummary], meta: &SummaryMeta) -> Result<String, SerializeError> {
    let mut report = Report::new("windtunnel");
    report.set_time(duration(meta.wall_seconds));
    for group in groups(runs) {
        let title = group.title();
        let mut suite = TestSuite::new(title.as_str());
        suite.set_time(duration(group.wall_seconds()));
        let mut cases: IndexMap<&str, Vec<(&RunSummary, &Invariant)>> = IndexMap::new();
        for run in &group.runs {
            for invariant in &run.verdict.invariants {
                cases.entry(&invariant.name).or_default().push((run, invariant));
            }
        }
        for (name, runs) in &cases {
            suite.add_test_case(of_invariant(&title, name, runs));
        }
        suite.add_test_case(of_reached(&title, &group));
        let compared = meta.gate.iter().flat_map(|gate| &gate.scenarios).find(|one| one.scenario == group.scenario);
        if let Some(compared) = compared {
            suite.add_test_case(of_comparison(&title, compared));
        }
        report.add_test_suite(suite);
    }
    let campaign = of_campaign(runs, meta);
    if !campaign.is_empty() {
        let mut suite = TestSuite::new("campaign");
        suite.add_test_cases(campaign);
        report.add_test_suite(suite);
    }
    if !meta.regressions.is_empty() {
        let mut suite = TestSuite::new("regressions");
        suite.add_test_cases(meta.regressions.iter().map(of_regression));
        report.add_test_suite(suite);
    }
    if let Some(canary) = &meta.canary {
        report.add_test_suite(of_canary(canary));
    }
    // The library counts skipped tests over all suites, too, for which the schema has no attribute. There are none.
    Ok(report.to_string()?.replacen(" skipped=\"0\"", "", 1))
}

/// What makes the whole inconclusive and is not seen in any run's suite: a case each.
fn of_campaign(runs: &[RunSummary], meta: &SummaryMeta) -> Vec<TestCase> {
    let error = |name: String, message: &str| {
        case("campaign", &name, non_success(NonSuccessKind::Error, "inconclusive", message, message))
    };
    let mut cases = Vec::new();
    if runs.is_empty() && meta.shard.is_none() {
        cases.push(error("runs".to_owned(), "nothing was run"));
    }
    for share in meta.shares.iter().filter(|share| share.missing() > 0) {
        let message = format!("{} runs done, at least {} are needed", share.done, share.minimum);
        cases.push(error(format!("runs of {}", share.scenario), &message));
    }
    cases.extend(meta.missing.iter().map(|what| error(what.clone(), &format!("{what} is missing"))));
    if let Some(marks) = meta.marks.as_ref().filter(|marks| marks.required) {
        let missed = marks.missed.iter();
        cases.extend(
            missed.map(|mark| error(format!("mark {}", mark.name), &format!("never reached ({})", mark.place))),
        );
    }
    for (compared, why) in meta.gate.iter().flat_map(|gate| gate.incomparable()) {
        if !runs.iter().any(|run| run.verdict.scenario == compared.scenario) {
            cases.push(error(format!("baseline of {}", compared.scenario), &format!("not comparable: {why}")));
        }
    }
    cases
}

/// A case of the suite `regressions`: it passes where what was found once is as it is expected to be.
fn of_regression(replayed: &Replayed) -> TestCase {
    let Replayed { name, expect, verdict, message, replay } = replayed;
    let details = format!("{message}\nrun it again: {replay}");
    let status = match verdict {
        Outcome::Pass => TestCaseStatus::success(),
        Outcome::Fail => non_success(NonSuccessKind::Failure, "regression", message, &details),
        Outcome::Inconclusive => non_success(NonSuccessKind::Error, "inconclusive", message, &details),
    };
    let mut case = case("regressions", name, status);
    case.set_system_out(format!("expected: {expect}; {message}"));
    case
}

/// A suite of its own: its one case passes where the planted bug was seen.
fn of_canary(canary: &Canary) -> TestSuite {
    let status = if canary.rang {
        TestCaseStatus::success()
    } else {
        non_success(NonSuccessKind::Error, "silent", &canary.message, &canary.message)
    };
    let mut case = TestCase::new("the alarm works", status);
    case.set_classname("canary").set_system_out(canary.words());
    let mut suite = TestSuite::new("canary");
    suite.add_test_case(case);
    suite
}

fn of_invariant(title: &str, name: &str, runs: &[(&RunSummary, &Invariant)]) -> TestCase {
    let checked: u64 = runs.iter().map(|(_, invariant)| invariant.checked).sum();
    let of = |outcome| runs.iter().filter(move |(_, invariant)| invariant.verdict == outcome);
    let (failed, weak) = (of(Outcome::Fail).count(), of(Outcome::Inconclusive).count());
    let status = if let Some((run, invariant)) = of(Outcome::Fail).next() {
        let first = invariant.violations.first().map_or(&invariant.summary, |violation| &violation.message);
        let message = format!("seed {}: {first}", run.verdict.label());
        let details = shown(of(Outcome::Fail).map(|(run, invariant)| details(run, invariant)), failed);
        non_success(NonSuccessKind::Failure, "violation", &message, &details)
    } else if let Some((run, invariant)) = of(Outcome::Inconclusive).next() {
        let (label, summary) = (run.verdict.label(), &invariant.summary);
        let message = format!("seed {label}: inconclusive after {} checks: {summary}", invariant.checked);
        let details = shown(of(Outcome::Inconclusive).map(|(run, _)| again(run)), weak);
        non_success(NonSuccessKind::Error, "inconclusive", &message, &details)
    } else {
        TestCaseStatus::success()
    };
    let mut case = case(title, name, status);
    case.set_system_out(format!(
        "{} of {} runs hold, {} checks",
        runs.len() - failed - weak,
        runs.len(),
        figure::count(checked)
    ));
    case
}

/// The first of some runs, and how many there are besides.
fn shown(runs: impl Iterator<Item = String>, count: usize) -> String {
    let mut text = runs.take(RUNS_MAX).collect::<Vec<_>>().join("\n\n");
    if count > RUNS_MAX {
        text.push_str(&format!("\n\n{} more runs", count - RUNS_MAX));
    }
    text
}

/// Whether the scenario is no worse than its baseline.
fn of_comparison(title: &str, compared: &Comparison) -> TestCase {
    let worse: Vec<String> = compared
        .differences
        .iter()
        .filter(|difference| difference.change == Change::Worse)
        .map(|difference| {
            let value = |value: Option<f64>| value.map_or_else(|| "not measured".to_owned(), gate::number);
            let Difference { metric, before, now, tolerance, .. } = difference;
            let (before, now, change) = (value(*before), value(*now), difference.change_words());
            format!("{metric} was {before}, is {now}: {change}, allowed {tolerance}")
        })
        .collect();
    let status = match (&compared.incomparable, worse.first()) {
        (Some(why), _) => non_success(NonSuccessKind::Error, "inconclusive", &format!("not comparable: {why}"), why),
        (None, Some(first)) => non_success(NonSuccessKind::Failure, "worse", first, &worse.join("\n")),
        (None, None) => TestCaseStatus::success(),
    };
    let mut case = case(title, "baseline", status);
    case.set_system_out(format!("{} metrics, {} differ", compared.metrics, compared.differences.len()));
    case
}

/// Whether the runs reached what they are about: also holds their time.
fn of_reached(title: &str, group: &Group<'_>) -> TestCase {
    let judged =
        |verdict: &Verdict| verdict.invariants.iter().fold(Outcome::Pass, |sum, invariant| sum.and(invariant.verdict));
    let missed = |run: &&&RunSummary| run.verdict.verdict > judged(&run.verdict) || unreached(&run.verdict);
    let status = if let Some(run) = group.runs.iter().find(missed) {
        let verdict = &run.verdict;
        let why = verdict
            .reached
            .iter()
            .find(|reached| reached.is_missed())
            .map(crate::record::Reached::missed_words)
            .or_else(|| worst(verdict).map(|worst| worst.message))
            .unwrap_or_default();
        let broken = verdict.verdict > judged(verdict) && verdict.verdict == Outcome::Fail;
        let kind = if broken { NonSuccessKind::Failure } else { NonSuccessKind::Error };
        let details =
            shown(group.runs.iter().filter(missed).map(|run| again(run)), group.runs.iter().filter(missed).count());
        non_success(kind, "inconclusive", &format!("seed {}: {why}", verdict.label()), &details)
    } else {
        TestCaseStatus::success()
    };
    let mut case = case(title, "reached", status);
    case.set_time(duration(group.wall_seconds()));
    case
}

/// Whether a state that the run must reach was reached too rarely.
fn unreached(verdict: &Verdict) -> bool {
    verdict.reached.iter().any(crate::record::Reached::is_missed)
}

fn case(title: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(title);
    case
}

fn non_success(kind: NonSuccessKind, ty: &str, message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ty).set_message(figure::times(message)).set_description(figure::times(description));
    status
}

fn details(run: &RunSummary, invariant: &Invariant) -> String {
    let mut text = format!(
        "seed {}: {}\nbroken {} times in {} checks\n",
        run.verdict.label(),
        invariant.summary,
        invariant.broken,
        invariant.checked
    );
    for violation in &invariant.violations {
        text.push_str(&format!("{}  {}\n", figure::instant(violation.at_us), violation.message));
    }
    text.push_str(&again(run));
    text
}

fn again(run: &RunSummary) -> String {
    let report = run.report.as_ref().map(|report| format!("\nreport: {report}")).unwrap_or_default();
    format!("run it again: {}{report}", run.replay_command)
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
