//! The committed baselines: one for each scenario of the catalogue, of the scenario as it is now.

use std::collections::BTreeSet;
use std::path::PathBuf;

use scenarios::catalogue;
use scenarios::gate::{self, Baseline};
use scenarios::parse::parse_all;

/// What is done where this fails.
const BLESS: &str = "cargo windtunnel bless --reason \"...\"";

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/baseline"))
}

#[test]
fn every_scenario_of_the_catalogue_has_a_baseline_of_its_own_text() {
    let mut names = BTreeSet::new();
    for entry in catalogue::all() {
        let variants =
            parse_all(&entry.file(), entry.text, &catalogue::part).expect("a scenario of the catalogue is good");
        for variant in variants {
            let name = variant.scenario.name.clone();
            let baseline = Baseline::read(&Baseline::path(&folder(), &name));
            let baseline = baseline.unwrap_or_else(|error| panic!("{error}: {BLESS}"));
            assert_eq!(baseline.scenario, name);
            assert_eq!(baseline.seeds, gate::SEEDS, "{name}: {BLESS}");
            let hash = gate::scenario_hash(&variant.text, None);
            assert_eq!(baseline.scenario_hash, hash, "{name} has another text than its baseline: {BLESS}");
            assert!(baseline.metrics.len() > 20 && !baseline.history.is_empty(), "{name}");
            names.insert(format!("{name}.json"));
        }
    }
    let files = std::fs::read_dir(folder()).expect("a readable folder");
    let files: BTreeSet<String> =
        files.map(|file| file.expect("an entry").file_name().into_string().expect("text")).collect();
    assert_eq!(files, names, "a baseline of no scenario: remove it");
}

#[test]
fn a_baseline_is_as_it_would_be_written() {
    // Edited by hand or by a merge tool, it would change as a whole when it is blessed next.
    for entry in std::fs::read_dir(folder()).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(Baseline::read(&path).expect("a baseline").text(), text, "{}", path.display());
        assert!(text.len() < 40_000, "{}", path.display());
    }
}
