//! Runs over real sockets, and docs/sockets.md, which says what of the catalogue can be run so. What is late on a busy machine is inconclusive: asserted is what holds in any case.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use reports::record::{Outcome, Verdict};
use scenarios::catalogue;
use scenarios::engine::NOT_REPLAYABLE;
use scenarios::model::Engine;
use scenarios::plan::Plan;

const SHORT: &str = r#"
schema = 1
name = "short"
about = "A source dies and comes again, and nobody may be cut off."
warmup = "1s"
steady = "4s"
recovery = "2s"
sources = { count = 2, symbols = 5, period = "100ms" }
proxy = { mode = "fanout" }
[[clients]]
name = "plain"
count = 5
[[clients]]
name = "strong"
count = 5
strong = 1.0
[[faults]]
at = "1s"
for = "1s"
kind = "kill"
target = "source-active"
[check]
symbol-order = {}
no-duplicates = {}
payload-intact = {}
no-leakage = {}
no-client-close = {}
failover-time = { at-most = "500ms" }
convergence = { within = "1s" }
[[reach]]
state = "delivered"
at-least = 100
"#;

fn windtunnel(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_windtunnel")).args(args).current_dir(dir).output();
    let output = output.expect("the program starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_scenario_runs_with_real_processes_and_is_judged_by_the_same_checkers() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("short.toml"), SHORT).expect("writable");
    let args = ["run", "short.toml", "--engine", "sockets", "--seed", "1", "--out", "out", "--events"];
    let (code, said) = windtunnel(dir.path(), &args);
    // 2: the machine did not keep up.
    assert!(matches!(code, Some(0 | 2)), "{code:?}: {said}");
    let run = dir.path().join("out/short/1");
    let verdict = std::fs::read_to_string(run.join("verdict.json")).expect("a verdict");
    let verdict: Verdict = serde_json::from_str(&verdict).expect("a verdict");
    assert_eq!((verdict.engine.as_str(), verdict.trace_hash.as_str()), ("sockets", NOT_REPLAYABLE));
    let outcome = |name: &str| verdict.invariants.iter().find(|it| it.name == name).map(|it| it.verdict);
    for name in ["symbol-order", "no-duplicates", "payload-intact", "no-leakage", "programs-live"] {
        assert_eq!(outcome(name), Some(Outcome::Pass), "{name}: {said}");
    }
    assert!(outcome("machine-kept-up").is_some(), "{said}");
    let events = std::fs::read_to_string(run.join("events.jsonl")).expect("events");
    for event in ["source_send", "proxy_leg_up", "client_deliver", "fault_start", "fault_stop"] {
        assert!(events.contains(&format!("\"{event}\"")), "no {event}");
    }
    let (code, said) = windtunnel(dir.path(), &["replay", "out/short/1/capsule.json"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("cannot be replayed"), "{said}");
}

#[test]
fn a_planted_bug_is_blamed_over_sockets_too() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("short.toml"), SHORT).expect("writable");
    let args = "run short.toml --engine sockets --seed 1 --out out --mutant repeats-a-message --quiet";
    let (code, said) = windtunnel(dir.path(), &args.split(' ').collect::<Vec<_>>());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no-duplicates"), "{said}");
}

/// The verdict of a run over sockets that must not have failed.
fn judged(scenario: &str, args: &[&str]) -> Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("short.toml"), scenario).expect("writable");
    std::fs::write(dir.path().join("proxy.toml"), "listen = \"{listen}\"\nupstreams = [\n  \"ws://{upstream}\",\n]\n")
        .expect("writable");
    let args = [&["run", "short.toml", "--engine", "sockets", "--seed", "1", "--out", "out"], args].concat();
    let (code, said) = windtunnel(dir.path(), &args);
    assert!(matches!(code, Some(0 | 2)), "{code:?}: {said}");
    let verdict = std::fs::read_to_string(dir.path().join("out/short/1/verdict.json")).expect("a verdict");
    let verdict: Verdict = serde_json::from_str(&verdict).expect("a verdict");
    for name in ["symbol-order", "no-duplicates", "payload-intact", "no-leakage", "programs-live"] {
        let found = verdict.invariants.iter().find(|invariant| invariant.name == name);
        assert_eq!(found.map(|it| it.verdict), Some(Outcome::Pass), "{name}: {said}");
    }
    verdict
}

#[test]
fn a_link_that_is_far_and_one_that_stalls_go_through_relays() {
    let links = "[[network.links]]\nbetween = [\"plain\", \"proxy-0\"]\nlatency = { fixed = \"20ms\" }\n[check]";
    let scenario = SHORT.replace("\"kill\"", "\"stall\"").replace("source-active", "proxy-0/source-active");
    // Silence is what tells of it.
    let scenario = scenario.replace("500ms", "3s");
    let verdict = judged(&scenario.replace("[check]", links), &[]);
    let delivered = verdict.reached.iter().find(|reached| reached.name == "delivered");
    assert!(delivered.is_some_and(|reached| reached.times > 0), "{:?}", verdict.reached);
}

#[test]
fn any_program_may_stand_in_the_proxys_place_and_its_own_account_is_not_asked_for() {
    // Ours, as if it were another's.
    let command = format!("{} role proxy --config {{config}}", env!("CARGO_BIN_EXE_windtunnel"));
    let scenario = SHORT.replace("[check]", "[check]\nno-silent-gap = {}");
    let verdict = judged(&scenario, &["--proxy-cmd", &command, "--proxy-config", "proxy.toml"]);
    assert_eq!(verdict.proxy.as_deref(), Some(command.as_str()));
    assert_eq!(verdict.not_applicable, ["no-silent-gap"]);
    assert!(!verdict.invariants.iter().any(|invariant| invariant.name == "no-silent-gap"));
}

/// What stands before the table.
const PAGE: &str = include_str!("sockets.md");

fn page() -> String {
    let scenarios =
        catalogue::all().iter().flat_map(|entry| entry.scenarios().expect("a scenario of the catalogue is good"));
    let (mut rows, mut all, mut can) = (String::new(), 0, 0);
    for scenario in scenarios.map(|variant| variant.scenario) {
        let plan = Plan::new(&scenario, 0);
        let lack = plan.expressible(Engine::Sockets).err();
        (all, can) = (all + 1, can + u32::from(lack.is_none()));
        let cell = lack.unwrap_or_else(|| format!("runs, in {} s", plan.end_at.as_secs_f64()));
        let _ = writeln!(rows, "| `{}` | {cell} |", scenario.name);
    }
    PAGE.replace("ALL", &all.to_string()).replace("CAN", &can.to_string()).replace("ROWS\n", &rows)
}

#[test]
fn the_page_says_what_of_the_catalogue_runs_over_sockets() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sockets.md");
    let page = page();
    if std::env::var_os("SOCKETS").is_some_and(|value| value == "write") {
        std::fs::write(&path, &page).expect("a writable page");
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(old == page, "it is old: SOCKETS=write cargo test -p scenarios --test it sockets::the_page");
}
