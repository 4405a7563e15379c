//! `replay`: the same run again, or the first event at which it is another.

use super::{Place, Said};

const CAPSULE: &str = "out/small/1/capsule.json";
const EVENTS: &str = "out/small/1/events.jsonl";

/// A folder with a failed run in it, and what was said of the run.
fn failed() -> (Place, Said) {
    let place = Place::with_small();
    let args = ["run", "small.toml", "--seed", "1", "--out", "out", "--mutant", "repeats-a-message"];
    let said = place.windtunnel(&args).exits(1);
    (place, said)
}

/// Changes the hash that the capsule promises.
fn promise_another_hash(place: &Place) {
    let mut capsule: serde_json::Value = serde_json::from_str(&place.read(CAPSULE)).expect("JSON");
    capsule["trace_hash"] = "00000000000000000000000000000000".into();
    place.write(CAPSULE, &capsule.to_string());
}

#[test]
fn the_command_in_the_output_replays_the_failure_bit_for_bit() {
    let (place, said) = failed();
    let command = said.out.lines().find_map(|line| line.trim().strip_prefix("again: cargo windtunnel "));
    let command: Vec<&str> = command.expect("a command to copy").split(' ').collect();
    let again = place.windtunnel(&command).exits(1).outputs("replayed bit for bit");
    assert!(again.out.contains("no-duplicates:"), "{}", again.out);
    // The scenario is inside: the file is not needed any more.
    std::fs::remove_file(place.path().join("small.toml")).expect("it was there");
    place.windtunnel(&command).exits(1).outputs("replayed bit for bit");
}

#[test]
fn a_folder_with_a_space_in_its_name_is_quoted_in_the_command() {
    let place = Place::with_small();
    let args = ["run", "small.toml", "--seed", "1", "--out", "an out", "--mutant", "repeats-a-message"];
    place.windtunnel(&args).exits(1).outputs("again: cargo windtunnel replay 'an out/small/1/capsule.json'");
}

#[test]
fn a_passed_run_replays_with_exit_0() {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out"]).exits(0);
    place.windtunnel(&["replay", CAPSULE]).exits(0).outputs("replayed bit for bit");
}

#[test]
fn a_report_is_written_afterwards_and_never_of_another_run() {
    let place = Place::with_small();
    let page = "out/small/1/report.html";
    place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out", "--reports", "none"]).exits(0);
    assert!(!place.path().join(page).exists());
    let capsule = place.read(CAPSULE);
    place.windtunnel(&["replay", CAPSULE, "--report"]).exits(0).outputs(&format!("report: {page}"));
    assert!(place.read(page).contains("small"));
    assert_eq!(place.read(CAPSULE), capsule);

    std::fs::remove_file(place.path().join(page)).expect("it was there");
    promise_another_hash(&place);
    place.windtunnel(&["replay", CAPSULE, "--report"]).exits(70).outputs("no report is written: it would be another");
    assert!(!place.path().join(page).exists());

    // With the closer look that only the first failing runs of a campaign have.
    let args = ["run", "small.toml", "--seed", "2", "--mutant", "skips-silently", "--out", "bad", "--reports", "none"];
    place.windtunnel(&args).exits(1);
    place.windtunnel(&["replay", "bad/small/2/capsule.json", "--report"]).exits(1).outputs("report: bad/small/2");
    assert!(place.read("bad/small/2/report.html").contains("id=\"frames\""));
}

#[test]
fn a_run_in_another_order_has_its_own_folder_and_replays() {
    let place = Place::with_small();
    let args = ["run", "small.toml", "--seed", "1", "--orders", "0..2", "--out", "out"];
    place.windtunnel(&args).exits(0).outputs("3/3");
    let hash = |capsule: &str| {
        let capsule: serde_json::Value = serde_json::from_str(&place.read(capsule)).expect("JSON");
        capsule["trace_hash"].clone()
    };
    let other = "out/small/1.2/capsule.json";
    assert_ne!(hash(CAPSULE), hash(other));
    place.windtunnel(&["replay", other]).exits(0).outputs("small seed 1.2 engine sim: replayed bit for bit");
}

/// [`super::SMALL`] with a fault that waits for the tick with this number.
fn waiting(count: u32) -> String {
    let fault = "[[faults]]\nkind = \"kill\"\nfor = \"200ms\"\ntarget = \"source-active\"\n";
    format!("{}\n{fault}after = {{ event = \"proxy_tick\", symbol = \"S0001\", count = {count} }}\n", super::SMALL)
}

#[test]
fn a_run_with_a_fault_after_an_event_replays_and_is_the_same_in_two_processes() {
    let place = Place::new();
    place.write("small.toml", &waiting(30));
    place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out"]).exits(0);
    place.windtunnel(&["replay", CAPSULE]).exits(0).outputs("replayed bit for bit");
    place.windtunnel(&["twice", "small.toml", "--seed", "1"]).exits(0).outputs("all equal");
}

#[test]
fn a_fault_that_never_begins_is_exit_code_2_and_named() {
    let place = Place::new();
    place.write("small.toml", &waiting(5_000));
    let said = place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out"]).exits(2);
    let all = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(all.contains("waited for the 5000th tick of S0001 at the proxy, which came 100 of 5000 times"), "{all}");
}

#[test]
fn a_race_that_another_order_shows_replays_by_the_command_in_the_output() {
    let place = Place::new();
    let args = ["run", "hot-twins", "--seed", "1", "--mutant", "trusts-the-first-source", "--out", "out"];
    place.windtunnel(&args).exits(0);
    let said = place.windtunnel(&[&args[..], &["--orders", "1..1"]].concat()).exits(1);
    let command = said.out.lines().find_map(|line| line.trim().strip_prefix("again: cargo windtunnel "));
    let command: Vec<&str> = command.expect("a command to copy").split(' ').collect();
    let again = place.windtunnel(&command).exits(1).outputs("hot-twins seed 1.1 engine sim: replayed bit for bit");
    assert!(again.out.contains("no-duplicates:"), "{}", again.out);
}

#[test]
fn orders_that_make_no_sense_are_refused() {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--orders", "3"]).exits(64).complains("expected A..B");
    place.windtunnel(&["run", "small.toml", "--orders", "0..2", "--engine", "turmoil"]).exits(64).complains("--orders");
    let many = ["run", "small.toml", "--seeds", "1..2000", "--orders", "1..2000"];
    place.windtunnel(&many).exits(64).complains("fewer seeds or orders");
}

#[test]
fn another_hash_is_not_the_same_run() {
    let (place, _) = failed();
    promise_another_hash(&place);
    let said = place.windtunnel(&["replay", CAPSULE]).exits(70);
    assert!(said.out.contains("NOT the same run: hash 00000000000000000000000000000000 then,"), "{}", said.out);
    assert!(said.out.contains("all events are equal: only the segments on the wire differ"), "{}", said.out);

    std::fs::remove_file(place.path().join(EVENTS)).expect("it was there");
    place.windtunnel(&["replay", CAPSULE]).exits(70).outputs("the events are equal as far as their hashes tell");
}

/// Changes a capsule in its file.
fn change(place: &Place, what: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) {
    let mut capsule: serde_json::Value = serde_json::from_str(&place.read(CAPSULE)).expect("JSON");
    what(capsule.as_object_mut().expect("an object"));
    place.write(CAPSULE, &capsule.to_string());
}

#[test]
fn without_the_events_the_hashes_in_the_capsule_say_between_which_two_the_runs_part() {
    let (place, _) = failed();
    promise_another_hash(&place);
    std::fs::remove_file(place.path().join(EVENTS)).expect("it was there");
    change(&place, |capsule| {
        let checkpoints = capsule["checkpoints"].as_array_mut().expect("a list");
        assert!((32..=64).contains(&checkpoints.len()), "{}", checkpoints.len());
        for checkpoint in &mut checkpoints[10..] {
            checkpoint["hash"] = "0000000000000000".into();
        }
    });
    let capsule: serde_json::Value = serde_json::from_str(&place.read(CAPSULE)).expect("JSON");
    let events = |place: usize| capsule["checkpoints"][place]["events"].as_u64().expect("a number");
    let expect = format!("the first event that differs is between event {} and event {};", events(9), events(10) - 1);
    place.windtunnel(&["replay", CAPSULE]).exits(70).outputs(&expect).outputs("{\"at_us\":");
}

#[test]
fn a_capsule_of_another_program_says_what_is_not_as_it_was() {
    let (place, _) = failed();
    promise_another_hash(&place);
    change(&place, |capsule| {
        capsule.insert("program".to_owned(), "0123456789abcdef".into());
        capsule.insert("profile".to_owned(), "gale".into());
        let resolved = capsule["resolved_toml"].as_str().expect("a text").replace("symbols = 3", "symbols = 7");
        capsule.insert("resolved_toml".to_owned(), resolved.into());
        capsule.insert("fingerprints".to_owned(), serde_json::json!(["no-loss: # ticks were lost"]));
    });
    let said = place.windtunnel(&["replay", CAPSULE]).exits(2);
    for expect in [
        "profile: gale then,",
        "program: 0123456789abcdef then,",
        "scenario then: symbols = 7",
        "scenario now: symbols = 3",
        "it failed with no-loss: # ticks were lost then, it failed with no-duplicates: client-# session-# got S# # a second time now",
        "it is another program",
    ] {
        assert!(said.out.contains(expect), "{expect} in {}", said.out);
    }
}

#[test]
fn a_capsule_of_the_version_before_still_replays() {
    let (place, _) = failed();
    change(&place, |capsule| {
        for key in ["resolved_toml", "checkpoints", "faults", "fingerprints", "program", "toolchain"] {
            capsule.remove(key).expect("a key of this version");
        }
        capsule.insert("schema".to_owned(), 1.into());
    });
    place.windtunnel(&["replay", CAPSULE]).exits(1).outputs("replayed bit for bit");
    promise_another_hash(&place);
    std::fs::remove_file(place.path().join(EVENTS)).expect("it was there");
    let said = place.windtunnel(&["replay", CAPSULE]).exits(2).outputs("the capsule does not know its program");
    assert!(said.out.contains("the first difference cannot be named"), "{}", said.out);
}

#[test]
fn the_first_event_that_differs_is_named() {
    let (place, _) = failed();
    promise_another_hash(&place);
    let events = place.read(EVENTS);
    let mut lines: Vec<&str> = events.lines().collect();
    let other = lines[40].replacen("\"at_us\":", "\"at_us\":9", 1);
    assert_ne!(other, lines[40]);
    lines[40] = &other;
    place.write(EVENTS, &lines.join("\n"));
    place.windtunnel(&["replay", CAPSULE]).exits(70).outputs("event 40 differs:").outputs(&other);

    place.write(EVENTS, &events.lines().take(10).collect::<Vec<_>>().join("\n"));
    place.windtunnel(&["replay", CAPSULE]).exits(70).outputs("the other side ends before event 10:");
}

#[test]
fn an_unusable_capsule_is_refused() {
    let place = Place::new();
    place.windtunnel(&["replay", "nowhere.json"]).exits(74).complains("nowhere.json");

    place.write("capsule.json", "{\n  \"schema\": 1,\n  \"scenario\": }");
    place.windtunnel(&["replay", "capsule.json"]).exits(64).complains("capsule.json:3:15: not a capsule");
    place.write("capsule.json", "");
    place.windtunnel(&["replay", "capsule.json"]).exits(64).complains("not a capsule");
    place.write("capsule.json", "{\"schema\": 1}");
    place.windtunnel(&["replay", "capsule.json"]).exits(64).complains("missing field");
    place.write("capsule.json", "{\"schema\": 99}");
    place.windtunnel(&["replay", "capsule.json"]).exits(64).complains("schema 99");
    std::fs::write(place.path().join("capsule.json"), [0xff, 0xfe, 0x00]).expect("a writable folder");
    place.windtunnel(&["replay", "capsule.json"]).exits(74).complains("capsule.json");
}

#[test]
fn a_capsule_that_does_not_fit_this_build_is_refused() {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out"]).exits(0);
    let capsule: serde_json::Value = serde_json::from_str(&place.read(CAPSULE)).expect("JSON");
    let with = |key: &str, value: serde_json::Value| {
        let mut other = capsule.clone();
        other[key] = value;
        place.write("other.json", &other.to_string());
        place.windtunnel(&["replay", "other.json"]).exits(64)
    };
    with("engine", "wind".into()).complains("unknown engine \"wind\"");
    with("mutant", "panic".into()).complains("did you mean \"panics\"?");
    with("scenario_toml", "schema = 1\nname = 3\n".into()).complains("small.toml:2:8:");
    with("weather", "fair".into()).complains("weather");
}
