//! `shrink`: a capsule in, the smallest scenario that still fails and its run out.

use super::{Place, Said};

const CAPSULE: &str = "out/small/1/capsule.json";

fn json(place: &Place, path: &str) -> serde_json::Value {
    serde_json::from_str(&place.read(path)).expect("JSON")
}

#[test]
fn a_failure_comes_out_smaller_with_all_that_is_needed_to_run_it() {
    let place = Place::with_failed();
    let Said { out, .. } = place.windtunnel(&["shrink", CAPSULE, "--time-budget", "10m", "--out", "tiny"]).exits(1);
    for words in [
        "before",
        "after",
        "Nothing more can be taken away",
        "scenario: tiny/small-shrunk.toml",
        "again: cargo windtunnel replay",
    ] {
        assert!(out.contains(words), "{words}:\n{out}");
    }
    place.windtunnel(&["check", "tiny/small-shrunk.toml"]).exits(0).outputs("good");
    place
        .windtunnel(&["replay", "tiny/small-shrunk/1/capsule.json"])
        .exits(1)
        .outputs("replayed bit for bit")
        .outputs("no-duplicates:");
    let record = json(&place, "tiny/shrink.json");
    assert_eq!(record["ended"], "minimal");
    assert_eq!(record["after"]["clients"], 1);
    assert!(record["after"]["events"].as_u64() < record["before"]["events"].as_u64(), "{record:#}");
    assert_eq!(record["fingerprint"], json(&place, "tiny/small-shrunk/1/capsule.json")["fingerprints"][0]);
    for file in ["report.html", "events.jsonl", "verdict.json"] {
        assert!(place.path().join("tiny/small-shrunk/1").join(file).is_file(), "{file}");
    }
}

#[test]
fn where_the_time_is_over_it_is_not_said_to_be_the_least() {
    let place = Place::with_failed();
    let said = place.windtunnel(&["shrink", CAPSULE, "--time-budget", "0s", "--jobs", "1"]).exits(1);
    assert!(said.out.contains("it may not be the least"), "{}", said.out);
    assert_eq!(json(&place, "out/small/1/shrunk/shrink.json")["ended"], "time-over");
    place.windtunnel(&["replay", "out/small/1/shrunk/small-shrunk/1/capsule.json"]).exits(1);
}

#[test]
fn what_does_not_fail_any_more_is_exit_code_2_and_writes_nothing() {
    let place = Place::with_failed();
    let mut capsule = json(&place, CAPSULE);
    capsule["mutant"] = serde_json::Value::Null;
    place.write("mended.json", &capsule.to_string());
    place.windtunnel(&["shrink", "mended.json"]).exits(2).outputs("does not fail any more").outputs("it passes");
    assert!(!place.path().join("shrunk").exists());
}

#[test]
fn what_cannot_be_shrunk_is_refused_in_a_line() {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out", "--reports", "none"]).exits(0);
    let said = place.windtunnel(&["shrink", CAPSULE]).exits(64);
    assert!(said.err.contains("does not fail: there is nothing to shrink"), "{}", said.err);
    place.windtunnel(&["shrink", "nowhere.json"]).exits(74);
    place.windtunnel(&["shrink", CAPSULE, "--fingerprint", "no"]).exits(64);
}
