//! Every planted bug is found by whom it must be found by, and blamed on nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reports::gate::Change;
use reports::measures::Measures;
use reports::record::{Outcome, Verdict};
use scenarios::campaign::{self, Bounds, Job, News};
use scenarios::engine::{self, Options};
use scenarios::model::Engine;
use scenarios::mutants::{self, Mutant};
use scenarios::plan::Plan;
use scenarios::{catalogue, gate, parse};

fn job(mutant: &'static Mutant) -> Job {
    let entry = catalogue::find(mutant.scenario).expect("a mutant names a scenario of the catalogue");
    let scenario = parse::parse(&entry.file(), entry.text).expect("a scenario of the catalogue is good");
    mutant.job(scenario, entry.text.to_owned(), 1)
}

/// What is wrong with the blame for a mutant, if anything.
fn complaint(mutant: &Mutant, verdict: &Verdict) -> Option<String> {
    let judged = mutant.judge([verdict]);
    let blame: Vec<String> = verdict
        .invariants
        .iter()
        .filter(|invariant| invariant.verdict == Outcome::Fail)
        .map(|invariant| format!("  {}: {}", invariant.name, invariant.summary))
        .collect();
    let what = match (judged.caught.is_empty(), judged.wrongly.is_empty()) {
        (false, true) => return None,
        (true, _) => format!("not caught by {}", mutant.must.join(" or ")),
        (false, false) => format!("wrongly blamed on {}", judged.wrongly.join(", ")),
    };
    Some(format!("{} {what}; blamed:\n{}", mutant.name, blame.join("\n")))
}

#[test]
fn every_mutant_is_caught_by_whom_it_must_be_and_blamed_on_nobody_else() {
    let jobs: Vec<Job> = mutants::all().iter().map(job).collect();
    let mut verdicts: Vec<Option<Verdict>> = vec![None; jobs.len()];
    let bounds = Bounds { threads: 2, budget: None, watchdog: Duration::from_secs(300) };
    campaign::run(&jobs, bounds, |news| match news {
        News::Done(done) => verdicts[done.index] = Some(done.result.expect("the harness holds").verdict),
        News::Hangs(index) => panic!("{:?} hangs", mutants::all()[index]),
    });
    let complaints: Vec<String> = mutants::all()
        .iter()
        .zip(&verdicts)
        .filter_map(|(mutant, verdict)| complaint(mutant, verdict.as_ref().expect("every job was done")))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/mutants.md")).expect("the page");
    let mut rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    for (mutant, verdict) in mutants::all().iter().zip(verdicts.iter().flatten()) {
        let row = rows.next().unwrap_or_default();
        let told = row_of(row).is_some_and(|(name, scenario, catchers)| {
            let blamed = verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
            name == mutant.name
                && scenario == mutant.scenario
                && blamed.into_iter().all(|it| catchers.contains(&it.name.as_str()))
        });
        assert!(told, "docs/mutants.md says otherwise of {}; make it again as it says there: {row}", mutant.name);
        assert_eq!(verdict.verdict, Outcome::Fail);
        assert_eq!(verdict.mutant.as_deref(), Some(mutant.name));
        // Whoever blames shows what it saw.
        for invariant in verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail) {
            let first = invariant.violations.first();
            assert!(first.is_some_and(|first| !first.events.is_empty()), "{}: no evidence", invariant.name);
        }
    }
    assert_eq!(rows.next(), None, "docs/mutants.md knows a bug that there is not");
}

/// What a row of docs/mutants.md says: the bug, its scenario, and who caught it at least once. None if it was missed, or blamed on a stranger.
fn row_of(row: &str) -> Option<(&str, &str, Vec<&str>)> {
    let (name, row) = row.split_once("` | ")?;
    // The cells are taken from the end, for the words before them may hold anything.
    let mut cells = row.trim_end_matches(" |").rsplitn(5, " | ");
    let (seeds, _runs, by, scenario) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    seeds.parse::<u64>().ok()?;
    let catchers = by.split(", ").map(|one| one.strip_prefix('`')?.split_once("` ").filter(|(_, times)| *times != "0"));
    let catchers: Vec<&str> = catchers.flatten().map(|(name, _)| name).collect();
    Some((name, scenario.trim_start_matches('`').split('`').next()?, catchers))
}

/// The invariants of the catalogue, and the one that every run has.
fn invariants() -> BTreeSet<String> {
    let mut all: BTreeSet<String> = catalogue::all().iter().flat_map(|entry| checks(entry.name)).collect();
    all.insert("programs-live".to_owned());
    all
}

fn checks(scenario: &str) -> Vec<String> {
    let entry = catalogue::find(scenario).expect("in the catalogue");
    let whole = entry.scenarios().expect("a scenario of the catalogue is good");
    let file: toml::Table = whole[0].text.parse().expect("a scenario is TOML");
    file["check"].as_table().expect("a table").keys().cloned().collect()
}

#[test]
fn every_invariant_of_the_catalogue_is_proven_by_a_mutant() {
    let proven: BTreeSet<String> =
        mutants::all().iter().flat_map(|mutant| mutant.must).map(|name| (*name).to_owned()).collect();
    let unproven: Vec<String> = invariants().difference(&proven).cloned().collect();
    assert_eq!(unproven, [""; 0]);
}

#[test]
fn a_mutant_must_be_caught_by_checks_that_its_scenario_has() {
    let known = invariants();
    for mutant in mutants::all() {
        let checks = checks(mutant.scenario);
        assert!(!mutant.must.is_empty(), "{mutant:?}");
        for name in mutant.must {
            let there = *name == "programs-live" || checks.iter().any(|check| check == name);
            assert!(there, "{mutant:?}: {} does not check {name}", mutant.scenario);
        }
        for name in mutant.may {
            assert!(known.contains(*name), "{mutant:?} may be blamed by {name}, which there is not");
            assert!(!mutant.must.contains(name), "{mutant:?} names {name} twice");
        }
    }
}

#[test]
fn an_unknown_mutant_suggests_the_nearest() {
    assert_eq!(mutants::find("panics").expect("there is one").name, "panics");
    let unknown = mutants::find("skip-silently").expect_err("there is none");
    assert_eq!(unknown.suggestion, Some("skips-silently"));
    assert_eq!(
        unknown.to_string(),
        "unknown mutant \"skip-silently\"; did you mean \"skips-silently\"?; see `windtunnel mutants`"
    );
    assert_eq!(mutants::find("quantum-tunnel").expect_err("there is none").suggestion, None);
}

/// What three seeds of a scenario measure, with a bug planted or without.
fn measured(name: &str, mutant: Option<&'static Mutant>) -> (Vec<Outcome>, BTreeMap<String, f64>) {
    let entry = catalogue::find(name).expect("a mutant names a scenario of the catalogue");
    let scenario = parse::parse(&entry.file(), entry.text).expect("a scenario of the catalogue is good");
    let options = Options { engine: Engine::Sim, mutant, order: 0, keep_events: false };
    let runs = gate::SEEDS.map(|seed| engine::run(&Plan::new(&scenario, seed), options).expect("the harness holds"));
    let mut sum = Measures::default();
    runs.iter().for_each(|run| sum.merge(&Measures::of(&run.metrics)));
    (runs.iter().map(|run| run.verdict.verdict).collect(), sum.figures())
}

#[test]
fn what_only_drifts_breaks_no_invariant_and_is_worse_by_the_metrics_that_must_show_it() {
    for drift in mutants::drifts() {
        let (_, before) = measured(drift.scenario, None);
        let (verdicts, now) = measured(drift.scenario, Some(drift));
        assert_eq!(verdicts, [Outcome::Pass; 3], "{drift:?}");
        let (_, differences) = gate::compare(&before, &now, &gate::Rules::default());
        for must in drift.must {
            let found = differences.iter().find(|difference| difference.metric == *must);
            assert!(found.is_some_and(|found| found.change == Change::Worse), "{drift:?}: {must}: {found:?}");
        }
        // Nothing else is blamed: what a failover takes, and what is not delivered meanwhile.
        for found in differences.iter().filter(|found| found.change == Change::Worse) {
            assert!(found.metric.starts_with("failover_"), "{drift:?}: {found:?}");
        }
    }
}
