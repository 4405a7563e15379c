//! `merge`: the run folders of all shards as one.

use std::collections::BTreeMap;
use std::path::Path;

use reports::gate::Gate;
use reports::measures::Measures;
use reports::metrics::Metrics;
use reports::summary::{self, RunSummary, Share, SummaryMeta};

use super::{Failure, MergeArgs, annotations, exit, print, run, say};
use crate::capsule::Capsule;
use crate::gate::Against;
use crate::merge::{self, MergeError, Merged};
use crate::{catalogue, marks};

pub(super) fn merge(args: &MergeArgs) -> Result<u8, Failure> {
    if let Some(dir) = &args.baseline {
        run::baseline_folder(dir)?;
    }
    let Merged { runs, meta, duplicates } =
        merge::merge(&args.folders, &args.out, args.baseline.is_some()).map_err(|error| failure(&error))?;
    duplicates.iter().for_each(|line| say(&format!("windtunnel: {line}")));
    let gate = args.baseline.as_deref().map(|dir| compare(dir, &args.out, &runs, &meta.shares)).transpose()?;
    let marks = marks::over(runs.iter().map(|run| &run.verdict), args.require_reached);
    let meta = SummaryMeta { marks: Some(marks), gate, ..meta };
    summary::write_summary(&args.out, &runs, &meta).map_err(|error| Failure::io(format!("failed to {error}")))?;
    merge::write_measures(&args.out, &runs).map_err(|error| failure(&error))?;
    let mut text = run::table(&runs, &meta, &args.out);
    if let Some(gate) = &meta.gate {
        text.extend(run::advice(gate, &args.out));
    }
    text.push_str(&format!("report: {}\n", args.out.join("index.html").display()));
    print(&text)?;
    annotations::publish(args.annotations, &runs, meta.gate.as_ref(), || files(&args.out, &runs))?;
    annotations::job_summary(&args.out);
    run::code(&runs, &meta)
}

fn failure(error: &MergeError) -> Failure {
    let code = match error {
        MergeError::Unreadable { .. } | MergeError::Write(_) => exit::IO,
        MergeError::Differs { .. } => exit::HARNESS,
        MergeError::Malformed { .. }
        | MergeError::Other { .. }
        | MergeError::Unlike { .. }
        | MergeError::Engine { .. }
        | MergeError::Itself(_) => exit::USAGE,
    };
    Failure { code, message: error.to_string() }
}

fn capsule(out: &Path, run: &RunSummary) -> Result<Capsule, Failure> {
    let path = out.join(&run.verdict.scenario).join(run.verdict.label()).join("capsule.json");
    Capsule::read(&path).map_err(|error| Failure::io(error.to_string()))
}

/// Holds the merged runs against baselines, as a run holds its own.
fn compare(dir: &Path, out: &Path, runs: &[RunSummary], shares: &[Share]) -> Result<Gate, Failure> {
    let mut against = Against::new(dir);
    // Each that was asked for, whatever was run of it: what is not compared is not the same.
    for Share { scenario, .. } in shares {
        match runs.iter().find(|run| run.verdict.scenario == *scenario) {
            Some(run) => {
                let capsule = capsule(out, run)?;
                let expected = against.expect(scenario, &capsule.scenario_toml, capsule.service_time);
                expected.map_err(|error| run::baseline_failure(&error))?;
            }
            None => against.absent(scenario),
        }
    }
    for run in runs.iter().filter(|run| run.verdict.order == 0) {
        let verdict = &run.verdict;
        if against.seeds(&verdict.scenario).contains(&verdict.seed) {
            let path = out.join(&verdict.scenario).join(verdict.label()).join("metrics.json");
            let text = std::fs::read(&path)
                .map_err(|error| Failure::io(format!("failed to read {}: {error}", path.display())))?;
            let metrics: Metrics = serde_json::from_slice(&text)
                .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
            against.note(&verdict.scenario, verdict.seed, &Measures::of(&metrics));
        }
    }
    Ok(against.compare())
}

/// Where the scenarios of the merged runs stand: those of the catalogue in the tree, others under their own names.
fn files(out: &Path, runs: &[RunSummary]) -> annotations::Files {
    let mut files = BTreeMap::new();
    for run in runs {
        let name = &run.verdict.scenario;
        if files.contains_key(name) {
            continue;
        }
        if let Ok(capsule) = capsule(out, run) {
            let word = if catalogue::find(name.split('+').next().unwrap_or(name)).is_ok() {
                name.clone()
            } else {
                format!("{}.toml", name.split('+').next().unwrap_or(name))
            };
            files.insert(name.clone(), annotations::file(&word, &capsule.scenario_toml));
        }
    }
    files
}
