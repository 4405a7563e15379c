//! `explore`: what it says and saves.

use super::{Place, SMALL};

const FINDS: [&str; 6] = ["explore", "--mutant", "repeats-a-message", "--seeds", "2..4", "--jobs"];

#[test]
fn a_failure_is_saved_as_it_was_found_and_made_smaller_and_both_replay() {
    let place = Place::new();
    // On a machine that has much else to do, too.
    let said = place.windtunnel(&[&FINDS[..], &["2", "--shrink-budget", "2m", "--out", "red"]].concat()).exits(1);
    let said = said.outputs("x no-duplicates: client-# session-# got").outputs("shrunk from ");
    let commands: Vec<&str> =
        said.out.lines().filter_map(|line| line.trim().strip_prefix("cargo windtunnel ")).collect();
    assert!(commands.len() >= 2, "{}", said.out);
    for command in &commands[..2] {
        let command: Vec<&str> = command.split(' ').collect();
        place.windtunnel(&command).exits(1).outputs("replayed bit for bit").outputs("no-duplicates:");
    }
    let json: serde_json::Value = serde_json::from_str(&place.read("red/explore.json")).expect("JSON");
    let shrunk = &json["kinds"][0]["shrunk"];
    for what in ["clients", "events"] {
        let of = |side: &str| shrunk[side][what].as_u64().expect("a number");
        assert!(of("after") < of("before"), "{what}: {shrunk}");
    }
    assert_eq!(shrunk["after"]["clients"], 1);
    let file = shrunk["scenario"].as_str().expect("a path");
    place.windtunnel(&["check", &format!("red/{file}")]).exits(0);
    // Its page says what it was before.
    let page = std::path::Path::new(file).parent().expect("a folder").join("explored-shrunk");
    let run =
        std::fs::read_dir(place.path().join("red").join(&page)).expect("a run").next().expect("one").expect("one");
    let page = std::fs::read_to_string(run.path().join("report.html")).expect("a page");
    assert!(page.contains("Made smaller, with the same failure."), "{page}");
}

#[test]
fn without_shrinking_a_failure_is_saved_as_it_was_found_and_what_holds_ends_with_0() {
    let place = Place::new();
    let said = place.windtunnel(&[&FINDS[..], &["1", "--no-shrink", "--out", "red"]].concat()).exits(1);
    assert!(!said.out.contains("shrunk"), "{}", said.out);
    let json: serde_json::Value = serde_json::from_str(&place.read("red/explore.json")).expect("JSON");
    assert!(json["kinds"][0]["shrunk"].is_null(), "{json}");
    place.windtunnel(&["explore", "--seed", "2", "--out", "green"]).exits(0).outputs("no invariant is broken");
}

#[test]
fn a_world_that_hangs_is_exit_code_70_and_what_was_found_before_it_is_written() {
    let place = Place::new();
    // Half a day of simulated time: whatever the machine, the watchdog comes first.
    place.write("long.toml", &SMALL.replace("\"small\"", "\"long\"").replace("\"2s\"", "\"12h\""));
    let args = ["explore", "long.toml", "--seeds", "7..9", "--jobs", "1", "--watchdog", "1s", "--out", "out"];
    let said = place.windtunnel(&args).exits(70).outputs("0 runs in");
    assert!(said.err.contains("the world of seed 7 hangs on the wall"), "{}", said.err);
    assert!(said.err.contains("what was found is in out"), "{}", said.err);
    let json: serde_json::Value = serde_json::from_str(&place.read("out/explore.json")).expect("JSON");
    assert_eq!((&json["runs"], &json["first_seed"]), (&0.into(), &7.into()));
    assert!(place.has("out/index.html"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    place.windtunnel(&["explore", "--print"]).exits(64).complains("--seed N");
    place.windtunnel(&["explore", "--mutant", "no-such-bug"]).exits(64).complains("no-such-bug");
    place.windtunnel(&["explore", "nosuch"]).exits(64).complains("nosuch");
    place.windtunnel(&["explore", "--no-shrink", "--shrink-budget", "1s"]).exits(64).complains("--no-shrink");
}
