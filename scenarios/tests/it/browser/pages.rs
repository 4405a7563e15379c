//! Pages to look at: those of real runs, and one over more runs than a test can make.

use std::path::Path;

use reports::capacity::CapacityReport;
use reports::record::Verdict;
use reports::summary::{RunSummary, SummaryMeta, write_summary};

use crate::command_line::open::Opened;
use crate::command_line::{Place, SMALL};

#[path = "../../../../reports/tests/it/capacity_report/synthetic.rs"]
mod measured;

/// Run folders with pages.
pub(super) struct Pages {
    place: Place,
}

/// A small run that passes, one that fails, one that says too little; and an index over ten thousand runs, the third part of which fails.
pub(super) fn all() -> Pages {
    let place = Place::with_small();
    let runs = ["run", "small.toml", "--seeds", "1..2", "--reports", "all", "--out"];
    place.windtunnel(&[&runs[..], &["passed"]].concat()).exits(0);
    // A stall that nobody notices, late: its label has no room to the right.
    let stall = "[[faults]]\nkind = \"stall\"\ntarget = \"proxy-0/source-active\"\nat = \"1900ms\"\nfor = \"100ms\"\n";
    place.write("small.toml", &format!("{SMALL}\n{stall}"));
    place.windtunnel(&[&runs[..], &["failed", "--mutant", "repeats-a-message"]].concat()).exits(1);
    // The same, where a failover is asked for.
    place.write("small.toml", &format!("{SMALL}\n[[reach]]\nstate = \"failover\"\n\n{stall}"));
    place.windtunnel(&[&runs[..], &["weak"]].concat()).exits(2);
    many(&place);
    capacity(&place);
    Pages { place }
}

impl Pages {
    /// Every page, as a file.
    pub(super) fn urls(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in ["passed", "failed", "weak", "many", "capacity"] {
            walk(&self.place.path().join(folder), &mut found);
        }
        // Of each run folder its index and two reports; of a measurement with every part, and of one with none, a page.
        assert_eq!(found.len(), 12, "{found:?}");
        found
    }

    /// The folder of the runs that fail, served as `windtunnel open` does, and its pages there.
    pub(super) fn served(&self) -> (Opened, Vec<String>) {
        let opened = Opened::new(&self.place, &["failed", "--no-browser"]);
        let pages = ["", "small/1/report.html"].map(|page| format!("{}{page}", opened.address));
        (opened, pages.into())
    }

    /// One page.
    pub(super) fn url(&self, page: &str) -> String {
        assert!(self.place.has(page), "{page}");
        format!("file://{}", self.place.path().join(page).display())
    }
}

/// An index over two hundred scenarios with fifty seeds each, made of the small runs.
fn many(place: &Place) {
    let verdicts = ["passed", "failed", "weak"].map(|folder| {
        let text = place.read(&format!("{folder}/small/1/verdict.json"));
        serde_json::from_str::<Verdict>(&text).expect("a verdict")
    });
    let run = |n: u64| {
        // Those of some scenarios all pass.
        let (scenario, seed) = (n % 200, n / 200);
        let kind = if scenario % 4 == 0 { n / 200 % 3 } else { 0 };
        let mut verdict = verdicts[kind as usize].clone();
        // A long name, which all share: it stands at the head of the page.
        verdict.mutant = Some("repeats-the-snapshot-after-a-failover".to_owned());
        (verdict.scenario, verdict.seed) = (format!("scenario-{scenario}"), seed);
        let replay_command = format!("cargo windtunnel replay out/scenario-{scenario}/{seed}/capsule.json");
        let figures = [("latency_us_p99".to_owned(), 10_000 + n * 37 % 5_000)].into();
        RunSummary {
            verdict,
            report: Some("../failed/small/1/report.html".to_owned()),
            replay_command,
            nth: seed,
            figures,
        }
    };
    let runs: Vec<RunSummary> = (0..10_000).map(run).collect();
    let meta = SummaryMeta { command: "windtunnel run --seeds 0..49".to_owned(), ..SummaryMeta::default() };
    write_summary(&place.path().join("many"), &runs, &meta).expect("a writable folder");
}

/// The pages of a measurement of capacity: with every part, and without any.
fn capacity(place: &Place) {
    let full = measured::report();
    let write = |folder: &str, report: &CapacityReport| {
        reports::capacity::write(&place.path().join("capacity").join(folder), report).expect("a writable folder");
    };
    write("full", &full);
    let nothing = CapacityReport {
        sentence: full.sentence,
        reasons: vec!["no trial came to an end".to_owned()],
        not_tested: full.not_tested,
        ..CapacityReport::new(full.conditions)
    };
    write("nothing", &nothing);
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
