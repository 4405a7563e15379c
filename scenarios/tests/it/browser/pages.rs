//! Pages to look at: those of real runs.

use std::path::Path;

use crate::command_line::{Place, SMALL};

/// Run folders with pages.
pub(super) struct Pages {
    place: Place,
}

/// A small run that passes, one that fails, and one that says too little.
pub(super) fn all() -> Pages {
    let place = Place::with_small();
    let runs = ["run", "small.toml", "--seeds", "1..2", "--reports", "all", "--out"];
    place.windtunnel(&[&runs[..], &["passed"]].concat()).exits(0);
    place.windtunnel(&[&runs[..], &["failed", "--mutant", "repeats-a-message"]].concat()).exits(1);
    // A stall that nobody notices, where a failover is asked for.
    let stall = "[[faults]]\nkind = \"stall\"\ntarget = \"proxy-0/source-active\"\nat = \"500ms\"\nfor = \"100ms\"\n";
    place.write("small.toml", &format!("{SMALL}\n[[reach]]\nstate = \"failover\"\n\n{stall}"));
    place.windtunnel(&[&runs[..], &["weak"]].concat()).exits(2);
    Pages { place }
}

impl Pages {
    /// Every page, as a file.
    pub(super) fn urls(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in ["passed", "failed", "weak"] {
            walk(&self.place.path().join(folder), &mut found);
        }
        // For each folder its index and two reports.
        assert_eq!(found.len(), 9, "{found:?}");
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).expect("a readable folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "html") {
            found.push(format!("file://{}", path.display()));
        }
    }
}
