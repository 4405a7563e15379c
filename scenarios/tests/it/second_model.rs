//! What of the catalogue turmoil can play, that both models come to the same verdicts about it, and docs/second-model.md, which says so.

use std::fmt::Write as _;
use std::path::Path;

use reports::record::{Outcome, Verdict};
use scenarios::catalogue;
use scenarios::engine::{self, Options};
use scenarios::model::{Engine, Latency, Scenario};
use scenarios::mutants;
use scenarios::parse::parse;
use scenarios::plan::Plan;

fn scenario(entry: &catalogue::Entry) -> Scenario {
    parse(&entry.file(), entry.text).expect("a scenario of the catalogue is good")
}

fn named(name: &str) -> Scenario {
    scenario(catalogue::find(name).expect("in the catalogue"))
}

fn judged(scenario: &Scenario, engine: Engine) -> Verdict {
    let options = Options { engine, mutant: None, order: 0, keep_events: false };
    engine::run(&Plan::new(scenario, 1), options).expect("the engine runs it").verdict
}

/// How each invariant came out, with what it says where it did not hold.
fn outcomes(verdict: &Verdict) -> Vec<(String, Outcome)> {
    // turmoil cannot tell what a host holds.
    let told = verdict.invariants.iter().filter(|invariant| invariant.name != "host-leaks");
    told.map(|invariant| (invariant.name.clone(), invariant.verdict)).collect()
}

fn complaints(verdict: &Verdict) -> Vec<String> {
    let bad = verdict.invariants.iter().filter(|invariant| invariant.verdict != Outcome::Pass);
    bad.map(|invariant| format!("{}: {} {:?}", invariant.name, invariant.summary, invariant.violations.first()))
        .collect()
}

/// Both models come to the same verdict, invariant for invariant.
fn agrees(name: &str) {
    let scenario = named(name);
    let (ours, theirs) = (judged(&scenario, Engine::Sim), judged(&scenario, Engine::Turmoil));
    assert_eq!(outcomes(&ours), outcomes(&theirs), "{name}: {:?}", complaints(&theirs));
    assert_eq!((ours.verdict, theirs.verdict), (Outcome::Pass, Outcome::Pass), "{name}: {:?}", complaints(&theirs));
    let words = |verdict: &Verdict| -> Vec<String> {
        verdict.reached.iter().filter(|reached| reached.times > 0).map(|reached| reached.name.clone()).collect()
    };
    assert_eq!(words(&ours), words(&theirs), "{name}: states reached");
}

macro_rules! agree {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                agrees($name);
            }
        )*
    };
}

// One of each kind that turmoil knows: a kill, an outage, both, shards, resumes, clocks. The others, and more: .ci/second-model.
agree! {
    upstream_crash_mid_fanout_has_the_same_verdicts: "upstream-crash-mid-fanout",
    upstream_silent_stall_has_the_same_verdicts: "upstream-silent-stall",
    sharded_sources_crash_has_the_same_verdicts: "sharded-sources-crash",
    come_and_go_has_the_same_verdicts: "come-and-go",
    resume_elsewhere_has_the_same_verdicts: "resume-elsewhere",
    wrong_clocks_has_the_same_verdicts: "wrong-clocks",
}

const PAGE: &str = "\
# A second model

Written by `SECOND_MODEL=write cargo test -p scenarios --test it second_model`; the same test fails where this page and the scenarios disagree.

`--engine turmoil` plays a scenario in turmoil 0.7.2, a network that others wrote: the same programs, the same faults, another model of what is between \
them. Where the two come to different verdicts, one of them is wrong. Of the catalogue's ALL scenarios turmoil can play PLAYED, and BUGS of the PLANTED planted \
bugs lie in these and show in the order that both know.

`.ci/second-model` plays them in both and compares the verdict of every invariant and the states reached; `.ci/second-model --bugs` does so with each of \
these bugs planted, too. No difference is known: what turmoil does otherwise (its faults, and seventy probes, stand in [fidelity.md](fidelity.md)) decides no \
verdict of these scenarios, or keeps a scenario out of them. Six are also compared by `cargo test`.

The adapter's, not turmoil's, and so alike by our own hand: wall clocks, names, hosts that refuse connections (because their program does not run, or because a \
fault says so), shards. A `partition` or `stall` is turmoil's `hold`: its own partition loses bytes of established connections for good. Latencies are whole \
milliseconds, one for each link: the middle of a uniform one, the median of a log-normal one, rounded up.

| scenario | under turmoil |
|---|---|
ROWS
";

/// The whole catalogue, each of a matrix by itself.
fn whole() -> Vec<Scenario> {
    let scenarios =
        catalogue::all().iter().flat_map(|entry| entry.scenarios().expect("a scenario of the catalogue is good"));
    scenarios.map(|variant| variant.scenario).collect()
}

/// A scenario as one that names turmoil: what it lacks stands in the error.
fn lack(scenario: &Scenario) -> Option<String> {
    let mut scenario = scenario.clone();
    scenario.engines = vec![Engine::Turmoil];
    Plan::new(&scenario, 0).expressible(Engine::Turmoil).err()
}

#[test]
fn a_scenario_names_turmoil_exactly_if_turmoil_can_play_it() {
    for scenario in whole() {
        let names = scenario.engines.contains(&Engine::Turmoil);
        assert_eq!(names, lack(&scenario).is_none(), "{}: {:?}", scenario.name, lack(&scenario));
    }
}

/// What a scenario is there.
fn changed(scenario: &Scenario) -> &'static str {
    match (scenario.service_time.is_some(), scenario.network.latency) {
        (true, _) => "played, with CPU free and one latency for each link",
        (false, Latency::Fixed(_)) => "played",
        (false, _) => "played, with one latency for each link",
    }
}

fn page() -> String {
    let all = whole();
    let played = all.iter().filter(|scenario| lack(scenario).is_none()).count();
    let mut rows = String::new();
    for scenario in &all {
        let (name, cell) = (&scenario.name, lack(scenario).unwrap_or_else(|| changed(scenario).to_owned()));
        let _ = writeln!(rows, "| `{name}` | {cell} |");
    }
    let bugs = mutants::all()
        .iter()
        .filter(|mutant| mutant.order == 0 && mutant.must != ["host-leaks"] && lack(&named(mutant.scenario)).is_none())
        .count();
    PAGE.replace("ALL", &all.len().to_string())
        .replace("PLAYED", &played.to_string())
        .replace("ROWS", rows.trim_end())
        .replace("BUGS", &bugs.to_string())
        .replace("PLANTED", &mutants::all().len().to_string())
}

#[test]
fn the_page_says_what_turmoil_can_play_of_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/second-model.md");
    let page = page();
    if std::env::var_os("SECOND_MODEL").is_some_and(|value| value == "write") {
        std::fs::write(&path, &page).expect("a writable page");
    }
    let old = std::fs::read_to_string(&path).expect("there is one");
    assert!(old == page, "it is old: SECOND_MODEL=write cargo test -p scenarios --test it second_model");
}
