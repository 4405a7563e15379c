//! Files that include others, and files that are several scenarios: found, run, judged and replayed like any other.

use super::{Place, SMALL, Said};

/// A matrix over what another file brings.
fn place() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path().join("parts")).expect("a writable folder");
    let clients = "[[clients]]\nname = \"plain\"\ncount = 6\nopen = { arrival = { ramp = \"100ms\" } }\n";
    assert!(SMALL.contains(clients));
    place.write("parts/clients.toml", clients);
    let rest = SMALL.replace(clients, "").replace("\"small\"", "\"many\"");
    let matrix = "[matrix]\n\"clients.plain.count\" = [4, 6]\n\"proxy.shards\" = [1, 2]\n";
    place.write("many.toml", &format!("include = [\"parts/clients.toml\"]\n{rest}\n{matrix}"));
    place
}

const ALL: [&str; 4] = ["many+4+1", "many+4+2", "many+6+1", "many+6+2"];

#[test]
fn each_scenario_of_a_matrix_is_run_and_judged_by_its_name() {
    let place = place();
    place.windtunnel(&["check", "many.toml"]).exits(0).outputs("many.toml: good, 4 scenarios");
    let said = place.windtunnel(&["run", "many.toml", "--seed", "1", "--out", "out"]).exits(0).outputs("4 passed");
    for name in ALL {
        assert!(said.out.contains(name), "{name}: {}", said.out);
        let verdict: serde_json::Value =
            serde_json::from_str(&place.read(&format!("out/{name}/1/verdict.json"))).expect("JSON");
        assert_eq!((&verdict["scenario"], &verdict["verdict"]), (&name.into(), &"pass".into()));
    }
}

#[test]
fn one_scenario_of_a_matrix_is_asked_for_by_its_values() {
    let place = place();
    let run = |word: &str| -> Said { place.windtunnel(&["run", word, "--seed", "1", "--out", "one"]) };
    run("many.toml+6+2").exits(0).outputs("1/1").outputs("many+6+2");
    run("many.toml+6+3").exits(64).complains("many.toml has no scenario \"+6+3\"; did you mean \"6+");
    place.windtunnel(&["explain", "many.toml"]).exits(0).outputs("many+4+1").outputs("many+6+2");
    place.windtunnel(&["explain", "--toml", "many.toml"]).exits(64).complains("has a [matrix]: name one of");
    let toml = place.windtunnel(&["explain", "--toml", "many.toml+4+2"]).exits(0);
    place.write("many+4+2.toml", &toml.out);
    place.windtunnel(&["check", "many+4+2.toml"]).exits(0).outputs("good");
    place.windtunnel(&["run", "steady-fanout+7"]).exits(64).complains("has no scenario \"+7\"");
}

#[test]
fn a_capsule_holds_the_one_scenario_and_needs_no_other_file() {
    let place = place();
    let run = ["run", "many.toml+4+2", "--seed", "1", "--out", "out", "--mutant", "repeats-a-message"];
    place.windtunnel(&run).exits(1);
    std::fs::remove_file(place.path().join("parts/clients.toml")).expect("it was there");
    let replay = ["replay", "out/many+4+2/1/capsule.json"];
    place.windtunnel(&replay).exits(1).outputs("many+4+2 seed 1 engine sim: replayed bit for bit");
    place.windtunnel(&["check", "many.toml"]).exits(64).outputs("many.toml:1:12: failed to read parts/clients.toml: ");
}
