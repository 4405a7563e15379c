//! Failures of planted bugs come down to what they are about.

use reports::record::Outcome;
use scenarios::engine::{self, Options};
use scenarios::fingerprint::Fingerprint;
use scenarios::model::{Engine, FaultKind, Scenario};
use scenarios::parse::parse;
use scenarios::plan::Plan;
use scenarios::shrink::{Became, Bounds, Control, Ended, Shrunk, shrink};
use scenarios::{catalogue, mutants};

const HAYSTACK: &str = include_str!("shrink/haystack.toml");

fn options(mutant: &str) -> Options {
    let mutant = Some(mutants::find(mutant).expect("a planted bug"));
    Options { engine: Engine::Sim, mutant, order: 0, keep_events: false }
}

/// How the scenario fails in an invariant.
fn fingerprint(scenario: &Scenario, options: Options, invariant: &str) -> Fingerprint {
    let verdict = engine::run(&Plan::new(scenario, 1), options).expect("the harness holds").verdict;
    let mut all = Fingerprint::all(&verdict).into_iter();
    all.find(|one| one.invariant() == invariant)
        .unwrap_or_else(|| panic!("{invariant} holds: {:#?}", verdict.invariants))
}

fn small(scenario: &Scenario, options: Options, fingerprint: &Fingerprint, bounds: Bounds) -> Shrunk {
    shrink(scenario, 1, options, fingerprint, bounds, &mut |_| {}).expect("it fails")
}

#[test]
fn of_fifteen_faults_and_two_hundred_clients_the_true_cause_is_left() {
    let scenario = parse("haystack.toml", HAYSTACK).expect("a lawful file");
    let options = options("turns-back-time");
    let fingerprint = fingerprint(&scenario, options, "no-duplicates");
    let shrunk = small(&scenario, options, &fingerprint, Bounds { time: None, runs: 400, ..Bounds::default() });
    assert_eq!((shrunk.before.faults, shrunk.before.clients), (15, 200));
    assert_eq!(shrunk.ended, Ended::Minimal, "after {} runs", shrunk.tried());
    let kinds: Vec<FaultKind> = shrunk.scenario.faults.iter().map(|fault| fault.kind).collect();
    assert!(shrunk.after.faults <= 2 && shrunk.after.clients <= 5, "{:#?}", shrunk.after);
    assert!(kinds.contains(&FaultKind::ClockJump), "a source that is behind: {kinds:?}");
    let again = engine::run(&Plan::new(&shrunk.scenario, 1), options).expect("the harness holds");
    assert!(fingerprint.shown_by(&again.verdict));
    let sound = Options { mutant: None, ..options };
    let without = engine::run(&Plan::new(&shrunk.scenario, 1), sound).expect("the harness holds");
    assert_eq!(without.verdict.verdict, Outcome::Pass, "it is the planted bug that is left");
}

#[test]
fn what_shows_nothing_without_the_planted_bug_is_not_taken() {
    // A run so short that no tick comes would show the bug, and say nothing of a proxy without it.
    let entry = catalogue::find("garbage-from-a-source").expect("of the catalogue");
    let scenario = parse(&entry.file(), entry.text).expect("a lawful file");
    let options = options("reads-the-head-only");
    let fingerprint = fingerprint(&scenario, options, "payload-intact");
    let shrunk = small(&scenario, options, &fingerprint, Bounds { time: None, runs: 400, ..Bounds::default() });
    assert_eq!(shrunk.control, Some(Control::Sound));
    assert!(shrunk.steps.iter().any(|step| step.became == Became::FailsAnyway(Control::Sound)), "{:#?}", shrunk.steps);
    let sound = Options { mutant: None, ..options };
    let without = engine::run(&Plan::new(&shrunk.scenario, 1), sound).expect("the harness holds");
    assert_eq!(without.verdict.verdict, Outcome::Pass, "{:#?}", shrunk.scenario);
}

#[test]
fn without_a_planted_bug_it_is_the_faults_that_make_it_fail() {
    // A pause as short as nobody's: every failover breaks it, and nothing else does.
    let text = HAYSTACK.replace("failover-time = { at-most = \"4s\" }", "failover-time = { at-most = \"1ms\" }");
    let scenario = parse("haystack.toml", &text).expect("a lawful file");
    let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: false };
    let fingerprint = fingerprint(&scenario, options, "failover-time");
    let shrunk = small(&scenario, options, &fingerprint, Bounds { time: None, runs: 400, ..Bounds::default() });
    assert_eq!(shrunk.control, Some(Control::Calm));
    assert_eq!(
        (shrunk.ended, shrunk.after.faults, shrunk.after.clients),
        (Ended::Minimal, 1, 1),
        "{:#?}",
        shrunk.scenario
    );
}
