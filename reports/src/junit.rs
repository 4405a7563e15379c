//! `junit.xml`: a test suite a scenario, a test case a seed and invariant.
//!
//! An invariant that is broken is a `failure`. One that could not be judged is an `error`, not a skipped test: most CI pages show skipped tests as green,
//! and weak evidence is never green. The same holds for a run that did not reach what it is about: each run has a case `reached`.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::figure;
use crate::gate::{self, Change, Comparison, Difference};
use crate::record::{Invariant, Outcome, Verdict};
use crate::summary::{Canary, RunSummary, SummaryMeta, groups, worst};

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
        for run in &group.runs {
            for invariant in &run.verdict.invariants {
                suite.add_test_case(of_invariant(&title, run, invariant));
            }
            suite.add_test_case(of_reached(&title, run));
        }
        let compared = meta.gate.iter().flat_map(|gate| &gate.scenarios).find(|one| one.scenario == group.scenario);
        if let Some(compared) = compared {
            suite.add_test_case(of_comparison(&title, compared));
        }
        report.add_test_suite(suite);
    }
    if let Some(canary) = &meta.canary {
        report.add_test_suite(of_canary(canary));
    }
    report.to_string()
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

fn of_invariant(title: &str, run: &RunSummary, invariant: &Invariant) -> TestCase {
    let status = match invariant.verdict {
        Outcome::Pass => TestCaseStatus::success(),
        Outcome::Fail => {
            let first = invariant.violations.first().map_or(&invariant.summary, |violation| &violation.message);
            non_success(NonSuccessKind::Failure, "violation", first, &details(run, invariant))
        }
        Outcome::Inconclusive => {
            let message = format!("inconclusive after {} checks: {}", invariant.checked, invariant.summary);
            non_success(NonSuccessKind::Error, "inconclusive", &message, &again(run))
        }
    };
    let mut case = case(title, run, &invariant.name, status);
    case.set_assertions(usize::try_from(invariant.checked).unwrap_or(usize::MAX));
    case
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
    let mut case = TestCase::new("baseline", status);
    case.set_classname(title).set_assertions(usize::try_from(compared.metrics).unwrap_or(usize::MAX));
    case
}

/// Whether the run reached what it is about: also holds the run's time.
fn of_reached(title: &str, run: &RunSummary) -> TestCase {
    let verdict = &run.verdict;
    let judged = verdict.invariants.iter().fold(Outcome::Pass, |sum, invariant| sum.and(invariant.verdict));
    let status = if verdict.verdict > judged || unreached(verdict) {
        let message = verdict
            .reached
            .iter()
            .find(|reached| reached.times == 0)
            .map(|reached| format!("never reached {}", reached.name))
            .or_else(|| worst(verdict).map(|worst| worst.message))
            .unwrap_or_default();
        let kind = if verdict.verdict > judged && verdict.verdict == Outcome::Fail {
            NonSuccessKind::Failure
        } else {
            NonSuccessKind::Error
        };
        non_success(kind, "inconclusive", &message, &again(run))
    } else {
        TestCaseStatus::success()
    };
    let mut case = case(title, run, "reached", status);
    case.set_time(duration(verdict.wall_seconds));
    case
}

/// Whether a state that the run must reach was never reached.
fn unreached(verdict: &Verdict) -> bool {
    verdict.reached.iter().any(|reached| reached.times == 0)
}

fn case(title: &str, run: &RunSummary, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(format!("seed {}: {name}", run.verdict.label()), status);
    case.set_classname(title);
    case
}

fn non_success(kind: NonSuccessKind, ty: &str, message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ty).set_message(message).set_description(description);
    status
}

fn details(run: &RunSummary, invariant: &Invariant) -> String {
    let mut text =
        format!("{}\nbroken {} times in {} checks\n", invariant.summary, invariant.broken, invariant.checked);
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
