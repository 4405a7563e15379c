//! The catalogue holds in both worlds, and a run is the same run each time.

use reports::record::{Invariant, Outcome, Verdict};
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

/// The keys of the `[check]` table.
fn named(name: &str) -> Vec<String> {
    let entry = catalogue::find(name).expect("in the catalogue");
    let file: toml::Table = entry.text.parse().expect("a scenario is TOML");
    file["check"].as_table().expect("a table").keys().cloned().collect()
}

fn judged(scenario: &Scenario, seed: u64, engine: Engine) -> Verdict {
    let options = Options { engine, mutant: None, order: 0, keep_events: false };
    engine::run(&Plan::new(scenario, seed), options).expect("the engine runs it").verdict
}

/// A line for each invariant that did not pass, with what it saw first.
fn complaints(verdict: &Verdict) -> Vec<String> {
    let bad = verdict.invariants.iter().filter(|invariant| invariant.verdict != Outcome::Pass);
    bad.map(|invariant| format!("{}: {} {:?}", invariant.name, invariant.summary, invariant.violations.first()))
        .collect()
}

fn passes(name: &str) {
    let scenario = scenario(name);
    let verdict = judged(&scenario, 1, Engine::Sim);
    assert_eq!(complaints(&verdict), [""; 0], "{name}");

    // What it names is what is judged, and each was really checked.
    let mut judged: Vec<&str> = verdict.invariants.iter().map(|invariant| invariant.name.as_str()).collect();
    let mut named = named(name);
    named.push("programs-live".to_owned());
    if scenario.faults.iter().any(|fault| fault.after.is_some()) {
        named.push("faults-begin".to_owned());
    }
    judged.sort_unstable();
    named.sort_unstable();
    assert_eq!(judged, named, "{name}");
    for Invariant { name: invariant, checked, .. } in &verdict.invariants {
        assert!(*checked > 0, "{name}: {invariant} was never checked");
    }

    assert!(!scenario.reach.is_empty(), "{name} names nothing that it must reach");
    assert_eq!(verdict.reached.len(), scenario.reach.len(), "{name}");
    for (reached, reach) in verdict.reached.iter().zip(&scenario.reach) {
        assert_eq!(reached.name, reach.state.word(), "{name}");
        assert!(reached.times >= reach.at_least, "{name}: {} only {} times", reached.name, reached.times);
    }
    assert_eq!(verdict.verdict, Outcome::Pass, "{name}");
}

macro_rules! all_pass {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                passes($name);
            }
        )*

        #[test]
        fn every_scenario_of_the_catalogue_is_tested_here() {
            let tested = [$($name),*];
            let known: Vec<&str> = catalogue::all().iter().map(|entry| entry.name).collect();
            assert_eq!(known, tested);
        }
    };
}

all_pass! {
    steady_fanout_passes: "steady-fanout",
    upstream_crash_mid_fanout_passes: "upstream-crash-mid-fanout",
    upstream_silent_stall_passes: "upstream-silent-stall",
    hot_sources_crash_passes: "hot-sources-crash",
    connection_flood_passes: "connection-flood",
    slow_consumers_passes: "slow-consumers",
    slow_consumers_conflated_passes: "slow-consumers-conflated",
    slow_consumers_disconnected_passes: "slow-consumers-disconnected",
    come_and_go_passes: "come-and-go",
    everyone_leaves_passes: "everyone-leaves",
    resume_elsewhere_passes: "resume-elsewhere",
    v2_denials_passes: "v2-denials",
    v2_hot_denials_passes: "v2-hot-denials",
    sharded_sources_crash_passes: "sharded-sources-crash",
    relay_balance_passes: "relay-balance",
    relay_mute_instances_passes: "relay-mute-instances",
    relay_full_passes: "relay-full",
    relay_scale_out_passes: "relay-scale-out",
    relay_dial_storm_passes: "relay-dial-storm",
    relay_panic_passes: "relay-panic",
    fleet_outage_passes: "fleet-outage",
    sharded_scale_out_passes: "sharded-scale-out",
    source_reset_mid_stream_passes: "source-reset-mid-stream",
    half_open_source_passes: "half-open-source",
    names_do_not_resolve_passes: "names-do-not-resolve",
    trickling_sources_passes: "trickling-sources",
    lossy_mobile_clients_passes: "lossy-mobile-clients",
    thin_pipe_passes: "thin-pipe",
    slow_proxy_host_passes: "slow-proxy-host",
    descriptors_run_out_passes: "descriptors-run-out",
    wrong_clocks_passes: "wrong-clocks",
    next_source_crashes_too_passes: "next-source-crashes-too",
    crash_after_snapshot_passes: "crash-after-snapshot",
    hot_twins_passes: "hot-twins",
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
