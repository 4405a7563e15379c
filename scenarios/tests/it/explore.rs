//! Worlds that are drawn: what is planted is found, and nothing else is.

use reports::record::Outcome;
use scenarios::engine::{self, Options, Run};
use scenarios::explore::proof::{self, PLANTED};
use scenarios::explore::{Ground, World, world};
use scenarios::model::{Engine, Scenario};
use scenarios::mutants::{self, Mutant};
use scenarios::plan::Plan;
use scenarios::{catalogue, parse, regressions};

fn run(world: &World, mutant: Option<&'static Mutant>) -> Run {
    let options = Options { engine: Engine::Sim, mutant, order: world.order, keep_events: false };
    engine::run(&Plan::new(&world.scenario, world.seed), options).expect("the engine runs it")
}

fn broken(run: &Run) -> Vec<String> {
    let failed = run.verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
    failed.map(|invariant| format!("{}: {:?}", invariant.name, invariant.violations.first())).collect()
}

/// The rows of the table of docs/explore.md: planted bug, and the first seed that shows it.
fn told() -> Vec<(String, u64)> {
    let page = include_str!("../../../docs/explore.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (name, _) = row.split_once('`')?;
        let seed = row.trim_end_matches(" |").rsplit(" | ").nth(1)?.parse().ok()?;
        Some((name.to_owned(), seed))
    })
    .collect()
}

#[test]
fn each_planted_bug_is_found_in_the_world_that_the_page_names_and_the_world_is_green_without_it() {
    let told = told();
    assert_eq!(told.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), PLANTED, "docs/explore.md");
    for (name, seed) in told {
        let mutant = mutants::find(&name).expect("there is one");
        let world = world(&Ground::default(), seed).expect("a lawful world");
        let with = run(&world, Some(mutant));
        assert!(
            proof::shows(mutant, &with.verdict),
            "{name} does not show in seed {seed}: make the table of docs/explore.md again as it says there"
        );
        assert_eq!(broken(&run(&world, None)), [""; 0], "seed {seed}");
    }
}

#[test]
fn each_planted_bug_is_kept_in_the_bank_as_the_smallest_world_that_showed_it() {
    let kept: Vec<Option<String>> =
        regressions::all().iter().map(|entry| entry.kept().expect("a test reads them").regression.mutant).collect();
    let missing: Vec<_> =
        PLANTED.iter().filter(|&&name| !kept.iter().any(|kept| kept.as_deref() == Some(name))).collect();
    assert!(missing.is_empty(), "not in scenarios/regressions: {missing:?}");
}

#[test]
fn a_world_is_the_same_run_again() {
    let once = world(&Ground::default(), 5).expect("a lawful world");
    let again = world(&Ground::default(), 5).expect("a lawful world");
    assert_eq!(run(&once, None).verdict.trace_hash, run(&again, None).verdict.trace_hash);
}

#[test]
fn on_a_scenario_hosts_and_clients_stay_and_faults_are_drawn() {
    let entry = catalogue::find("upstream-crash-mid-fanout").expect("in the catalogue");
    let scenario = parse::parse(&entry.file(), entry.text).expect("it is good");
    let ground = Ground { scenario: Some(scenario.clone()), unrecoverable: false };
    let stage = |scenario: &Scenario| (scenario.sources.clone(), scenario.proxy.clone(), scenario.clients.clone());
    let faults: Vec<_> = (1..=6)
        .map(|seed| {
            let world = world(&ground, seed).expect("a lawful world");
            assert_eq!(stage(&world.scenario), stage(&scenario));
            world.scenario.faults
        })
        .collect();
    assert!(faults.iter().filter(|faults| !faults.is_empty()).count() >= 5, "{faults:?}");
    assert!(faults.windows(2).all(|two| two[0] != two[1]));
}
