//! `--trace`: where the file lies, and that it is the same each time.

use super::Place;

const FILE: &str = "out/small/1/trace.json";

#[test]
fn a_trace_lies_in_the_runs_folder_and_beside_a_replayed_capsule_byte_for_byte() {
    let place = Place::with_small();
    place.windtunnel(&["run", "--trace", "small.toml", "--seed", "1", "--out", "out"]).exits(0);
    let first = place.read(FILE);
    assert!(first.contains("\"deliveries per 100 ms\""));
    // It is no wish for the events themselves.
    assert!(!place.has("out/small/1/events.jsonl"));
    // A run without a trace leaves none of an earlier one; and another run in between changes nothing.
    place.windtunnel(&["run", "small.toml", "--seeds", "1..2", "--out", "out"]).exits(0);
    assert!(!place.has(FILE));
    place.windtunnel(&["replay", "out/small/1/capsule.json", "--trace"]).exits(0).outputs("replayed bit for bit");
    assert!(place.read(FILE) == first, "two traces of one run differ");
}

#[test]
fn a_failing_run_shows_its_violations_and_the_planted_bug() {
    let place = Place::with_small();
    let mutant = ["run", "small.toml", "--seed", "1", "--out", "out", "--mutant", "repeats-a-message", "--trace"];
    place.windtunnel(&mutant).exits(1);
    let trace: serde_json::Value = serde_json::from_str(&place.read(FILE)).expect("JSON");
    assert_eq!(trace["otherData"]["mutant"], "repeats-a-message");
    assert_eq!(trace["otherData"]["verdict"], "fail");
    let entries = trace["traceEvents"].as_array().expect("a list");
    let violation = entries.iter().find(|entry| entry["ph"] == "i" && entry["name"] == "no-duplicates");
    let violation = violation.expect("a violation is an instant");
    assert_eq!(violation["s"], "g");
    assert!(violation["args"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    // A failing run keeps its events as ever.
    assert!(place.has("out/small/1/events.jsonl"));
}

#[test]
fn the_engine_turmoil_can_be_traced_too() {
    let place = Place::new();
    place.write("small.toml", &super::SMALL.replace("steady =", "engines = [\"turmoil\"]\nsteady ="));
    let args = ["run", "small.toml", "--seed", "1", "--out", "out", "--engine", "turmoil", "--trace"];
    place.windtunnel(&args).exits(0);
    assert!(place.read(FILE).contains("\"engine\":\"turmoil\""));
}
