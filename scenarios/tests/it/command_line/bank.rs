//! `keep`: a failure into the bank, whole or not at all.

use super::Place;

const CAPSULE: &str = "out/small/1/capsule.json";

/// A failed run of a planted bug, and an empty bank.
fn failed() -> Place {
    let place = Place::with_failed();
    std::fs::create_dir(place.path().join("bank")).expect("a new folder");
    place
}

fn keep(place: &Place, more: &[&str]) -> super::Said {
    let args = ["keep", CAPSULE, "--bank", "bank"];
    place.windtunnel(&args.iter().chain(more).copied().collect::<Vec<_>>())
}

#[test]
fn a_planted_failure_is_kept_as_a_scenario_with_what_is_known_of_it() {
    let place = failed();
    keep(&place, &["--name", "twice-told", "--why", "The \"same\" tick, twice."])
        .exits(0)
        .outputs("kept bank/twice-told.toml");
    place.windtunnel(&["check", "bank/twice-told.toml"]).exits(0).outputs("good");
    let text = place.read("bank/twice-told.toml");
    for line in [
        "name = \"twice-told\"",
        "[regression]",
        "expect = \"holds\"",
        "mutant = \"repeats-a-message\"",
        "seed = 1",
        "state = \"delivered\"",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}:\n{text}");
    }
    let kept = scenarios::regressions::read("twice-told.toml", &text).expect("it is good");
    assert_eq!(kept.regression.why.as_deref(), Some("The \"same\" tick, twice."));
    assert_eq!(kept.regression.fingerprint.invariant(), "no-duplicates");
    let (judged, _) = kept.replay().expect("the harness holds");
    assert_eq!(judged.message, "holds; with repeats-a-message planted it fails as it did");
    place.windtunnel(&["run", "bank/twice-told.toml", "--seed", "1", "--out", "again", "--reports", "none"]).exits(0);
}

#[test]
fn what_is_there_does_not_reproduce_or_has_no_good_name_is_refused_and_nothing_is_written() {
    let place = failed();
    let check = |more: &[&str], code: i32, words: &str| {
        keep(&place, more).exits(code).complains(words);
    };
    check(&["--name", "Twice Told"], 64, "kebab-case");
    check(&["--name", "twice-told", "--expect", "fails"], 64, "no open bug");
    check(&["--name", "twice-told", "--fingerprint", "no-loss: client-# lost #"], 2, "does not reproduce");
    let elsewhere = ["keep", CAPSULE, "--bank", "nowhere", "--name", "twice-told"];
    place.windtunnel(&elsewhere).exits(64).complains("there is no folder nowhere");
    let mut capsule: serde_json::Value = serde_json::from_str(&place.read(CAPSULE)).expect("JSON");
    capsule["mutant"] = serde_json::Value::Null;
    place.write(CAPSULE, &capsule.to_string());
    check(&["--name", "twice-told", "--expect", "fails"], 2, "does not fail with");
    assert_eq!(std::fs::read_dir(place.path().join("bank")).expect("the bank").count(), 0);
    place.write("bank/twice-told.toml", "mine");
    check(&["--name", "twice-told"], 64, "is there already");
    assert_eq!(place.read("bank/twice-told.toml"), "mine");
}

#[test]
fn the_bank_is_listed_and_run_by_name() {
    let place = Place::new();
    let said = place.windtunnel(&["list"]).exits(0);
    let rows: serde_json::Value =
        serde_json::from_str(&place.windtunnel(&["list", "--json"]).exits(0).out).expect("JSON");
    let rows: Vec<&serde_json::Value> =
        rows.as_array().into_iter().flatten().filter(|row| row.get("regression").is_some()).collect();
    assert!(rows.len() >= 3, "{rows:#?}");
    assert_eq!(rows.len(), scenarios::regressions::all().len());
    for entry in scenarios::regressions::all() {
        assert!(said.out.contains(entry.name), "{}", said.out);
        place.windtunnel(&["explain", entry.name]).exits(0).outputs("it failed with seed");
    }
}

#[test]
fn a_run_that_hangs_ends_what_runs_a_capsule_again_with_70() {
    let place = failed();
    let mut capsule: serde_json::Value = serde_json::from_str(&place.read(CAPSULE)).expect("JSON");
    // Half a day of simulated time: whatever the machine, the watchdog comes first.
    let text = capsule["scenario_toml"].as_str().expect("its scenario");
    let long = text.replace("\"2s\"", "\"12h\"");
    assert_ne!(text, long);
    capsule["scenario_toml"] = long.into();
    place.write(CAPSULE, &capsule.to_string());
    let commands: [&[&str]; 4] = [
        &["replay", CAPSULE],
        &["keep", CAPSULE, "--bank", "bank", "--name", "twice-told"],
        &["shrink", CAPSULE],
        &["pin", CAPSULE],
    ];
    for command in commands {
        place.windtunnel(&[command, &["--watchdog", "1s"]].concat()).exits(70).complains("hangs on the wall");
    }
    assert_eq!(std::fs::read_dir(place.path().join("bank")).expect("the bank").count(), 0);
}
