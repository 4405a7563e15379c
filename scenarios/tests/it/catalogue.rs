//! A run is the same run each time, in both worlds. (That each scenario of the catalogue passes is a test case of its own: tests/catalogue.rs.)

use reports::record::{Outcome, Verdict};
use scenarios::catalogue;
use scenarios::engine::{self, Options};
use scenarios::model::{Engine, Scenario};
use scenarios::parse::parse;
use scenarios::plan::Plan;
use scenarios::span::Span;

fn scenario(name: &str) -> Scenario {
    let entry = catalogue::find(name).expect("in the catalogue");
    parse(&entry.file(), entry.text).expect("a scenario of the catalogue is good")
}

fn judged(scenario: &Scenario, seed: u64, engine: Engine) -> Verdict {
    let options = Options { engine, mutant: None, order: 0, keep_events: false };
    engine::run(&Plan::new(scenario, seed), options).expect("the engine runs it").verdict
}

#[test]
fn what_a_scenario_names_is_what_is_judged() {
    for scenario in catalogue::all().iter().flat_map(|entry| entry.scenarios().expect("it is good")) {
        let file: toml::Table = scenario.text.parse().expect("a scenario is TOML");
        let mut named: Vec<String> = file["check"].as_table().expect("a table").keys().cloned().collect();
        let scenario = scenario.scenario;
        let name = &scenario.name;
        let mut short = scenario.clone();
        // Who judges is settled before the first event: a tenth of a second is enough to see it.
        (short.warmup, short.steady, short.recovery) =
            (Span::from_millis(10), Span::from_millis(100), Span::from_millis(10));
        short
            .faults
            .iter_mut()
            .filter(|fault| fault.after.is_none())
            .for_each(|fault| fault.at = Some(Span::from_millis(0)));
        let verdict = judged(&short, 1, Engine::Sim);
        let mut judged: Vec<&str> = verdict.invariants.iter().map(|invariant| invariant.name.as_str()).collect();
        named.push("programs-live".to_owned());
        if scenario.faults.iter().any(|fault| fault.after.is_some()) {
            named.push("faults-begin".to_owned());
        }
        judged.sort_unstable();
        named.sort_unstable();
        assert_eq!(judged, named, "{}", name);
        assert!(!scenario.reach.is_empty(), "{} names nothing that it must reach", name);
        assert_eq!(verdict.reached.len(), scenario.reach.len(), "{}", name);
        for (reached, reach) in verdict.reached.iter().zip(&scenario.reach) {
            assert_eq!(reached.name, reach.name(), "{}", name);
        }
    }
}

/// The crash scenario with everything in it, in a fifth of its time.
fn short() -> Scenario {
    let mut scenario = scenario("upstream-crash-mid-fanout");
    scenario.steady = Span::from_millis(3_000);
    scenario.recovery = Span::from_millis(1_000);
    scenario.faults[0].at = Some(Span::from_millis(1_000));
    scenario.faults[0].lasts = Some(Span::from_millis(1_000));
    scenario
}

#[test]
fn a_second_run_is_the_same_run_in_both_worlds() {
    for engine in [Engine::Sim, Engine::Turmoil] {
        let options = Options { engine, mutant: None, order: 0, keep_events: true };
        let run = || engine::run(&Plan::new(&short(), 7), options).expect("the engine runs it");
        let (first, second) = (run(), run());
        assert_eq!(first.verdict.trace_hash, second.verdict.trace_hash, "{}", engine.word());
        assert!(first.events == second.events, "{}: the same hash over other events", engine.word());
        assert_eq!(first.log, second.log, "{}", engine.word());
        // Wall time is not measured in here, so that the whole file must be equal.
        let file = |verdict: &Verdict| serde_json::to_string_pretty(verdict).expect("a verdict is JSON");
        assert_eq!(file(&first.verdict), file(&second.verdict), "{}", engine.word());
        let metrics = |run: &engine::Run| serde_json::to_string(&run.metrics).expect("metrics are JSON");
        assert!(metrics(&first) == metrics(&second), "{}: metrics differ", engine.word());
    }
}

#[test]
fn keeping_the_events_does_not_change_the_run() {
    let hash = |keep_events| {
        let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events };
        engine::run(&Plan::new(&short(), 7), options).expect("the engine runs it").verdict.trace_hash
    };
    assert_eq!(hash(true), hash(false));
}

#[test]
fn another_order_of_ready_tasks_is_another_run_with_the_same_verdict() {
    let run = |order| {
        let options = Options { engine: Engine::Sim, mutant: None, order, keep_events: false };
        engine::run(&Plan::new(&scenario("everyone-leaves"), 7), options).expect("the engine runs it").verdict
    };
    let mut hashes = Vec::new();
    for order in 0..=4 {
        let verdict = run(order);
        assert_eq!((verdict.order, verdict.verdict), (order, Outcome::Pass), "{:?}", verdict.invariants);
        assert_eq!(run(order).trace_hash, verdict.trace_hash, "order {order} is not the same twice");
        assert!(!hashes.contains(&verdict.trace_hash), "order {order} is as one before");
        hashes.push(verdict.trace_hash);
    }
}

#[test]
fn another_seed_is_another_run() {
    let scenario = short();
    let mut hashes: Vec<String> = (1..=4).map(|seed| judged(&scenario, seed, Engine::Sim).trace_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 4, "two seeds have one hash: {hashes:?}");
}
