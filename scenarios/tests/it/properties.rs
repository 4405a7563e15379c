//! `docs/proxy-properties.md` says what is: all that it names exists, and nothing that exists is missing there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use scenarios::model::SourceMode;
use scenarios::{catalogue, mutants};

/// Judged in each run, named in no `[check]`.
const ALWAYS: &str = "programs-live";
/// Stands for each scenario of the catalogue whose sources send ticks.
const EVERYWHERE: &str = "all";

/// A row of the page: the words in backticks of each column.
struct Row {
    number: u32,
    invariants: Vec<String>,
    scenarios: Vec<String>,
    tests: Vec<String>,
    mutants: Vec<String>,
    open: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(root().join("docs/proxy-properties.md")).expect("the page");
    let mut rows = Vec::new();
    for line in page.lines() {
        let Some(line) = line.strip_prefix("| ").and_then(|line| line.strip_suffix('|')) else { continue };
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Ok(number) = cells[0].parse() else { continue };
        let [_, property, invariants, scenarios, tests, mutants, open] = cells[..] else {
            panic!("row {number} has {} columns", cells.len());
        };
        assert!(!property.is_empty(), "row {number} says nothing");
        rows.push(Row {
            number,
            invariants: quoted(invariants),
            scenarios: quoted(scenarios),
            tests: quoted(tests),
            mutants: quoted(mutants),
            open: open.to_owned(),
        });
    }
    rows
}

/// What each scenario of the catalogue checks.
fn checked() -> BTreeMap<&'static str, BTreeSet<String>> {
    let checks = |entry: &catalogue::Entry| -> BTreeSet<String> {
        let whole = entry.scenarios().expect("a scenario of the catalogue is good");
        let file: toml::Table = whole[0].text.parse().expect("a scenario is TOML");
        let named = file["check"].as_table().expect("a table").keys().cloned();
        named.chain([ALWAYS.to_owned()]).collect()
    };
    catalogue::all().iter().map(|entry| (entry.name, checks(entry))).collect()
}

/// Whether its sources send no ticks.
fn echoes(name: &str) -> bool {
    let entry = catalogue::find(name).expect("in the catalogue");
    entry.scenarios().expect("it is good").iter().any(|one| one.scenario.sources.mode == SourceMode::Echo)
}

#[test]
fn each_of_the_42_properties_has_one_row_and_says_what_checks_it_or_that_nothing_does() {
    let mut numbers: Vec<u32> = rows().iter().map(|row| row.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=42).collect::<Vec<u32>>());
    for Row { number, invariants, scenarios, tests, mutants, open } in rows() {
        assert_eq!(invariants.is_empty(), scenarios.is_empty(), "row {number}: an invariant is checked somewhere");
        let checks = invariants.len() + tests.len();
        assert!(checks > 0 || open.starts_with("Not yet checked: "), "row {number}: nothing checks it, and no reason");
        assert!(checks == 0 || !open.starts_with("Not yet checked: "), "row {number}: it is checked");
        assert!(!mutants.is_empty() || !open.is_empty() || invariants.is_empty(), "row {number}: nothing proves it");
    }
}

#[test]
fn each_scenario_of_a_row_checks_an_invariant_of_it_and_each_mutant_is_caught_by_one() {
    let checked = checked();
    for Row { number, invariants, scenarios, mutants: planted, .. } in rows() {
        for invariant in &invariants {
            assert!(
                checked.values().any(|checks| checks.contains(invariant)),
                "row {number}: no invariant {invariant}"
            );
        }
        let every = |checks: &BTreeSet<String>| invariants.iter().any(|invariant| checks.contains(invariant));
        for scenario in &scenarios {
            if scenario == EVERYWHERE {
                let ticks = checked.iter().filter(|(name, _)| !echoes(name));
                assert!(ticks.map(|(_, checks)| checks).all(every), "row {number}: not all scenarios check it");
                continue;
            }
            let checks = checked.get(scenario.as_str());
            let checks = checks.unwrap_or_else(|| panic!("row {number}: no scenario {scenario}"));
            assert!(every(checks), "row {number}: {scenario} checks none of {invariants:?}");
        }
        for name in &planted {
            let mutant = mutants::find(name).unwrap_or_else(|unknown| panic!("row {number}: {unknown}"));
            let caught = mutant.must.iter().any(|must| invariants.iter().any(|invariant| invariant == must));
            assert!(caught, "row {number}: {name} is caught by {:?}", mutant.must);
        }
    }
}

#[test]
fn each_invariant_scenario_and_mutant_stands_in_some_row() {
    let rows = rows();
    let named =
        |column: fn(&Row) -> &Vec<String>| -> BTreeSet<String> { rows.iter().flat_map(column).cloned().collect() };
    let missing =
        |all: BTreeSet<String>, named: BTreeSet<String>| -> Vec<String> { all.difference(&named).cloned().collect() };
    let checked = checked();
    let invariants = checked.values().flatten().cloned().collect();
    assert_eq!(missing(invariants, named(|row| &row.invariants)), [""; 0], "invariants");
    let scenarios = checked.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(missing(scenarios, named(|row| &row.scenarios)), [""; 0], "scenarios");
    let mutants = mutants::all().iter().map(|mutant| mutant.name.to_owned()).collect();
    assert_eq!(missing(mutants, named(|row| &row.mutants)), [""; 0], "mutants");
}

/// Names of all functions under `crate/src` and `crate/tests` that carry a test attribute.
fn tests_of(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root().join(folder).join("src"), root().join(folder).join("tests")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(tests_in(&std::fs::read_to_string(&path).expect("readable source")));
            }
        }
    }
    found
}

/// Names of the functions that follow a test attribute, with other attributes between at most.
fn tests_in(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(name) = function.filter(|_| marked).and_then(|rest| rest.split(['(', '<']).next()) {
            found.push(name.to_owned());
            marked = false;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            marked = false;
        }
    }
    found
}

#[test]
fn each_test_of_a_row_exists() {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Row { number, tests, .. } in rows() {
        for test in tests {
            let (folder, name) = test.split_once("::").unwrap_or_else(|| panic!("row {number}: {test} names no crate"));
            let tests = known.entry(folder.to_owned()).or_insert_with(|| tests_of(folder));
            assert!(tests.contains(name), "row {number}: {folder} has no test {name}");
        }
    }
}
