//! `--stop-at`, `--debugger` and `pin`.

use super::{Place, Said};

const CAPSULE: &str = "out/small/1/capsule.json";

/// A folder with a failed run in it.
fn failed() -> Place {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out", "--mutant", "repeats-a-message"]).exits(1);
    place
}

fn stopped(place: &Place, args: &[&str]) -> Said {
    let said = place.windtunnel(args).exits(2);
    said.outputs("small seed 1: stopped at 1200ms of virtual time, before what happens then: not judged")
        .outputs("faults: none in force, none to come")
        .outputs("proxy-0: 7 connections, ")
        .outputs("  and 2 more connections")
}

#[test]
fn a_run_stops_where_it_is_told_and_says_what_is_under_way() {
    let place = Place::with_small();
    let args = ["run", "small.toml", "--seed", "1", "--out", "out", "--stop-at", "1.2s", "--trace", "--pcap"];
    stopped(&place, &args).outputs("all of it: out/small/1/stopped.txt");
    let all = place.read("out/small/1/stopped.txt");
    assert!(all.contains("waits for accept on 0.0.0.0:8000") && !all.contains(" more "), "{all}");
    for name in ["events.jsonl", "log.txt", "trace.json", "packets.pcapng"] {
        assert!(place.has(&format!("out/small/1/{name}")), "{name}");
    }
    // A capsule would promise the whole run.
    assert!(!place.has(CAPSULE));
    let last: serde_json::Value =
        serde_json::from_str(place.read("out/small/1/events.jsonl").lines().last().expect("events")).expect("JSON");
    assert!(last["at_us"].as_u64().is_some_and(|at| (1_150_000..1_200_000).contains(&at)), "{last}");
}

#[test]
fn a_replay_stops_in_a_folder_of_its_own() {
    let place = failed();
    let before = place.read("out/small/1/events.jsonl");
    stopped(&place, &["replay", CAPSULE, "--stop-at", "1.2s"]);
    assert!(place.has("out/small/1/stopped-at-1200ms/stopped.txt"));
    let events = place.read("out/small/1/stopped-at-1200ms/events.jsonl");
    assert!(before.starts_with(&events) && events.len() < before.len());
    assert_eq!(place.read("out/small/1/events.jsonl"), before);
    place.windtunnel(&["replay", CAPSULE, "--stop-at", "60s"]).exits(1).outputs("the run was over at 3s, before 1min");
}

#[test]
fn only_one_run_can_be_looked_at_so_closely() {
    let place = Place::with_small();
    let refused = |args: &[&str]| place.windtunnel(&[&["run", "small.toml"], args].concat()).exits(64);
    refused(&["--stop-at", "1s"]).complains("--stop-at is for one run: name one scenario, and one seed with --seed");
    refused(&["--debugger"]).complains("--debugger is for one run");
    refused(&["--seed", "1", "--stop-at", "1s", "--engine", "turmoil"]).complains("engine turmoil cannot be stopped");
    refused(&["--seed", "1", "--stop-at", "soon"]).complains("does not begin with a number");
}

#[test]
fn under_a_debugger_the_run_is_the_same_run() {
    let place = failed();
    let said = place.windtunnel(&["replay", CAPSULE, "--debugger", "--stop-at", "1.2s"]).exits(1);
    said.outputs("replayed bit for bit").complains("break on paused_at");
    let args = ["run", "small.toml", "--seed", "1", "--out", "again", "--debugger", "--mutant", "repeats-a-message"];
    place.windtunnel(&args).exits(1);
    assert_eq!(place.read("again/small/1/events.jsonl"), place.read("out/small/1/events.jsonl"));
}

#[test]
fn a_failure_that_no_chance_decides_is_pinned_to_the_beginning() {
    let place = failed();
    let said = place.windtunnel(&["pin", CAPSULE, "--runs", "3", "--grid", "2"]).exits(0);
    said.outputs("no-duplicates: ").outputs("1.00 (3 of 3)").outputs("inevitable from the beginning");
    let pin: serde_json::Value = serde_json::from_str(&place.read("out/small/1/pin.json")).expect("JSON");
    assert_eq!((pin["points"].as_array().map(Vec::len), pin["inevitable_from_us"].as_u64()), (Some(3), Some(0)));
    assert!(place.read("out/small/1/pin.svg").contains("inevitable from 0.000 s"));
}

#[test]
fn a_run_that_passes_cannot_be_pinned() {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out"]).exits(0);
    place.windtunnel(&["pin", CAPSULE]).exits(64).complains("does not fail: there is nothing to pin");
    place.windtunnel(&["pin", "nowhere.json"]).exits(74).complains("failed to read capsule nowhere.json");
}
