//! Commands that only look: `list`, `check`, `explain`, `schema`, `mutants`, `role`.

use scenarios::{catalogue, mutants};

use super::{Place, SMALL};

/// Every scenario of the catalogue, each of a matrix by itself.
fn names() -> Vec<String> {
    let all = catalogue::all().iter().flat_map(|entry| entry.scenarios().expect("a scenario of the catalogue is good"));
    all.map(|variant| variant.scenario.name).collect()
}

#[test]
fn list_names_every_scenario() {
    let said = Place::new().windtunnel(&["list"]).exits(0);
    for name in names() {
        assert!(said.out.lines().any(|line| line.starts_with(&format!("{name}  ["))), "{name}: {}", said.out);
    }
    assert_eq!(said.err, "");
}

#[test]
fn list_as_json_is_json() {
    let said = Place::new().windtunnel(&["list", "--json"]).exits(0);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&said.out).expect("a list");
    let (bank, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.get("regression").is_some());
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, self::names());
    let bank: Vec<&str> = bank.iter().filter_map(|row| row["name"].as_str()).collect();
    assert!(bank.iter().copied().eq(scenarios::regressions::all().iter().map(|entry| entry.name)), "{bank:?}");
    assert_eq!(rows[0]["engines"], serde_json::json!(["sim", "turmoil"]));
}

#[test]
fn mutants_are_listed_with_who_must_blame_them() {
    let place = Place::new();
    let said = place.windtunnel(&["mutants"]).exits(0);
    let json = place.windtunnel(&["mutants", "--json"]).exits(0);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json.out).expect("a list");
    assert_eq!(rows.len(), mutants::all().len() + mutants::drifts().len());
    for mutant in mutants::all().iter().chain(mutants::drifts()) {
        assert!(said.out.contains(&format!("{}  (in {})", mutant.name, mutant.scenario)), "{}", said.out);
    }
}

#[test]
fn explain_takes_a_name_or_a_file() {
    let place = Place::with_small();
    place.windtunnel(&["explain", "upstream-crash-mid-fanout"]).exits(0).outputs("source-active");
    place.windtunnel(&["explain", "small.toml"]).exits(0).outputs("Six clients and three symbols.");
    place.windtunnel(&["explain", "steady-fanuot"]).exits(64).complains("did you mean \"steady-fanout\"?");
    place.windtunnel(&["explain", "nowhere.toml"]).exits(74).complains("nowhere.toml");
}

#[test]
fn schema_is_a_json_schema() {
    let said = Place::new().windtunnel(&["schema"]).exits(0);
    let schema: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert!(schema["$schema"].as_str().is_some_and(|draft| draft.contains("json-schema.org")), "{schema}");
    assert!(schema["properties"]["steady"].is_object());
}

#[test]
fn check_names_the_place_of_every_mistake() {
    let place = Place::with_small();
    place.windtunnel(&["check", "small.toml"]).exits(0).outputs("small.toml: good");

    place.write("bad.toml", &SMALL.replace("\"small\"", "\"bad\"").replace("steady = \"2s\"", "staedy = \"2s\""));
    let said = place.windtunnel(&["check", "small.toml", "bad.toml"]).exits(64);
    assert!(said.out.contains("small.toml: good\n"), "{}", said.out);
    assert!(said.out.contains("bad.toml:7:1: unknown key \"staedy\""), "{}", said.out);
    assert!(said.out.contains("steady"), "what was meant is missing: {}", said.out);

    // A file that cannot be read does not hide what is wrong with the others.
    let said = place.windtunnel(&["check", "nowhere.toml", "bad.toml"]).exits(74).complains("nowhere.toml");
    assert!(said.out.contains("bad.toml:7:1: unknown key \"staedy\""), "{}", said.out);
}

#[test]
fn the_three_programs_are_inside() {
    let place = Place::new();
    for (role, flag) in [("proxy", "--upstream"), ("mock-upstream", "--symbols"), ("loadgen", "--clients")] {
        place.windtunnel(&["role", role, "--help"]).exits(0).outputs(&format!("Usage: {role}")).outputs(flag);
    }
    place.windtunnel(&["role", "proxy", "--no-such-flag"]).exits(64).complains("--no-such-flag");
    place.windtunnel(&["role", "balloon"]).exits(64).complains("balloon");
}

#[test]
fn usage_errors_exit_64_and_help_exits_0() {
    let place = Place::new();
    for args in [&[][..], &["fly"], &["run", "--fly"], &["replay"], &["check"]] {
        assert_eq!(place.windtunnel(args).code, 64, "{args:?}");
    }
    place.windtunnel(&["--help"]).exits(0).outputs("Exit codes:");
    place.windtunnel(&["run", "--help"]).exits(0).outputs("--time-budget");
    place.windtunnel(&["--version"]).exits(0).outputs(env!("CARGO_PKG_VERSION"));
}
