//! Worlds that are drawn.

use scenarios::engine::{self, Options, Run};
use scenarios::explore::{Ground, World, world};
use scenarios::model::{Engine, Scenario};
use scenarios::mutants::Mutant;
use scenarios::plan::Plan;
use scenarios::{catalogue, parse};

fn run(world: &World, mutant: Option<&'static Mutant>) -> Run {
    let options = Options { engine: Engine::Sim, mutant, order: world.order, keep_events: false };
    engine::run(&Plan::new(&world.scenario, world.seed), options).expect("the engine runs it")
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
