//! Who may import whom. The manifests say it; this test reads them.

use std::collections::BTreeMap;
use std::path::Path;

/// Crate, and those of ours that it may import. Nobody else, also not for tests.
const MAY_IMPORT: [(&str, &[&str]); 9] = [
    ("wire", &[]),
    ("capacity", &["wire"]),
    ("reports", &["wire"]),
    ("proxy", &["wire"]),
    ("mock-upstream", &["wire"]),
    ("sim", &["wire"]),
    ("sim/tests", &["wire", "sim"]),
    ("loadgen", &["wire", "reports"]),
    ("scenarios", &["wire", "capacity", "reports", "proxy", "mock-upstream", "sim", "loadgen"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    std::fs::read_to_string(&path).expect("readable manifest").parse().expect("a manifest is TOML")
}

/// Every dependency of a crate, of whatever kind.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = manifest(folder);
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| manifest.get(*kind)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

#[test]
fn each_crate_imports_only_whom_it_may() {
    let ours: BTreeMap<&str, &[&str]> = MAY_IMPORT.into_iter().collect();
    for (folder, allowed) in &ours {
        for dependency in dependencies(folder) {
            if ours.contains_key(dependency.as_str()) {
                assert!(allowed.contains(&dependency.as_str()), "{folder} may not import {dependency}");
            }
        }
    }
}

#[test]
fn the_rules_cover_every_member_of_the_workspace() {
    let manifest = manifest(".");
    let members = manifest["workspace"]["members"].as_array().expect("members");
    let mut members: Vec<&str> = members.iter().filter_map(toml::Value::as_str).collect();
    members.sort_unstable();
    let mut ruled: Vec<&str> = MAY_IMPORT.iter().map(|rule| rule.0).collect();
    ruled.sort_unstable();
    assert_eq!(members, ruled);
}

#[test]
fn only_the_simulator_names_turmoil() {
    for (folder, _) in MAY_IMPORT {
        assert_eq!(dependencies(folder).iter().any(|name| name == "turmoil"), folder.starts_with("sim"), "{folder}");
    }
}

#[test]
fn every_dependency_is_declared_once_in_the_root() {
    for (folder, _) in MAY_IMPORT {
        let manifest = manifest(folder);
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in manifest.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                let from_root = value.as_table().is_some_and(|table| table.contains_key("workspace"));
                assert!(from_root, "{folder} declares {name} by itself: use workspace = true");
            }
        }
    }
}

/// Every Rust source of the workspace.
fn sources() -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = MAY_IMPORT.iter().map(|rule| root().join(rule.0)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable folder") {
            let path = entry.expect("readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn select_is_biased_everywhere() {
    let banned =
        [concat!("tokio::", "select!"), concat!("use tokio::", "select"), concat!("futures_util::", "select!")];
    let sources = sources();
    assert!(sources.len() > 100, "the walk found only {} files", sources.len());
    for path in sources {
        let text = std::fs::read_to_string(&path).expect("readable source");
        // The one place where it is wrapped.
        if path.ends_with("wire/src/lib.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            assert!(
                !banned.iter().any(|word| code.contains(word)),
                "{}:{}: use wire::select!, which is always biased",
                path.display(),
                number + 1
            );
        }
    }
}
