//! `merge`: the run folders of all shards as one.

use std::collections::BTreeMap;
use std::path::Path;

use reports::measures::Measures;
use reports::record::Verdict;
use reports::summary::{self, RunSummary, Share, SummaryMeta};

use super::{Failure, MergeArgs, annotations, exit, print, run, say};
use crate::capsule::Capsule;
use crate::folder::run_folder;
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
    let mut against = args.baseline.as_deref().map(|dir| baselines(dir, &args.out, &runs, &meta.shares)).transpose()?;
    let note = |verdict: &Verdict, measures: &Measures| {
        if let Some(against) = &mut against
            && against.seeds(&verdict.scenario).contains(&verdict.seed)
        {
            against.note(&verdict.scenario, verdict.seed, measures);
        }
    };
    merge::write_measures(&args.out, &runs, note).map_err(|error| failure(&error))?;
    let gate = against.map(|against| against.compare());
    let marks = marks::over(runs.iter().map(|run| &run.verdict), args.require_reached);
    let meta = SummaryMeta { marks: Some(marks), gate, ..meta };
    summary::write_summary(&args.out, &runs, &meta).map_err(|error| Failure::io(format!("failed to {error}")))?;
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
    let own = run_folder(&run.verdict.scenario, run.verdict.seed, run.verdict.order);
    Capsule::read(&out.join(own).join("capsule.json")).map_err(|error| Failure::io(error.to_string()))
}

/// The baselines of what was asked for.
fn baselines(dir: &Path, out: &Path, runs: &[RunSummary], shares: &[Share]) -> Result<Against, Failure> {
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
    Ok(against)
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
