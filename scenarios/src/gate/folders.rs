//! Run folders and baselines read back, and held against each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reports::gate::{Comparison, Gate};
use reports::measures::Measures;
use reports::metrics::Metrics;
use reports::record::{Outcome, Verdict};
use serde::Deserialize;

use super::against::words;
use super::baseline::{Baseline, BaselineError};
use super::compare;
use super::rules::Rules;
use crate::capsule::{Capsule, CapsuleError, Made};
use crate::folder::run_folder;
use crate::model::Engine;

/// One side of a comparison: what some scenarios measured.
#[derive(Debug, Default)]
pub struct Side {
    /// By the scenario's name.
    pub scenarios: BTreeMap<String, Measured>,
}

/// What one scenario measured.
#[derive(Debug)]
pub enum Measured {
    /// In a run folder: each seed by itself, in the usual order of ready tasks.
    Runs {
        /// How, all of them.
        made: Made,
        /// By seed.
        seeds: BTreeMap<u64, Ran>,
    },
    /// In a baseline.
    Baseline(Baseline),
}

/// One run read back.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it came out.
    pub verdict: Verdict,
    /// What it measured.
    pub measures: Measures,
}

/// Why a folder cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such folder, or it cannot be read.
    #[error("failed to read {path}: {source}")]
    Unreadable {
        /// What could not be read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file in it is not what it should be.
    #[error("{path}: {source}; was it written by another version? Run again")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A capsule in it cannot be used.
    #[error("{0}")]
    Capsule(CapsuleError),
    /// A baseline in it cannot be used.
    #[error("{0}")]
    Baseline(BaselineError),
    /// Its runs were not made alike, or one is not that of the summary.
    #[error("{path} is {what}: run again into a folder of its own")]
    Mixed {
        /// A run's folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing is in it.
    #[error("{0} holds neither runs (summary.json) nor baselines (SCENARIO.json)")]
    Nothing(PathBuf),
}

/// Reads a run folder, a folder of baselines, or one baseline.
///
/// # Errors
/// [`ReadError`] names the file and what is wrong with it.
pub fn read(path: &Path) -> Result<Side, ReadError> {
    let mut side = Side::default();
    if path.is_file() {
        let baseline = Baseline::read(path).map_err(ReadError::Baseline)?;
        side.scenarios.insert(baseline.scenario.clone(), Measured::Baseline(baseline));
        return Ok(side);
    }
    let summary = path.join("summary.json");
    if summary.exists() {
        runs(path, &json(&summary)?, &mut side)?;
        return if side.scenarios.is_empty() { Err(ReadError::Nothing(path.to_owned())) } else { Ok(side) };
    }
    for entry in entries(path)? {
        if entry.extension().is_some_and(|extension| extension == "json") {
            let baseline = Baseline::read(&entry).map_err(ReadError::Baseline)?;
            side.scenarios.insert(baseline.scenario.clone(), Measured::Baseline(baseline));
        }
    }
    if side.scenarios.is_empty() { Err(ReadError::Nothing(path.to_owned())) } else { Ok(side) }
}

/// What `summary.json` says of the runs.
#[derive(Deserialize)]
struct Listed {
    runs: Vec<ListedRun>,
}

#[derive(Deserialize)]
struct ListedRun {
    scenario: String,
    seed: u64,
    #[serde(default)]
    order: u64,
    trace_hash: String,
}

/// Reads the runs that the summary names; what else lies in the folder is of earlier ones. Runs in other orders of ready tasks are left out: they are there to find races, not to be measured.
fn runs(folder: &Path, listed: &Listed, side: &mut Side) -> Result<(), ReadError> {
    for run in listed.runs.iter().filter(|run| run.order == 0) {
        let path = folder.join(run_folder(&run.scenario, run.seed, run.order));
        let verdict: Verdict = json(&path.join("verdict.json"))?;
        let mixed = |what| Err(ReadError::Mixed { path: path.clone(), what });
        if verdict.trace_hash != run.trace_hash {
            return mixed("not the run that summary.json tells of".to_owned());
        }
        let metrics: Metrics = json(&path.join("metrics.json"))?;
        let capsule = Capsule::read(&path.join("capsule.json")).map_err(ReadError::Capsule)?;
        let own = capsule.made();
        let measured = side
            .scenarios
            .entry(verdict.scenario.clone())
            .or_insert_with(|| Measured::Runs { made: own.clone(), seeds: BTreeMap::new() });
        if let Measured::Runs { made, seeds } = measured {
            if let Some(what) = own.differs(made) {
                return mixed(format!("of another {what} than the first run of its scenario"));
            }
            seeds.insert(verdict.seed, Ran { verdict, measures: Measures::of(&metrics) });
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let failed = |source| ReadError::Unreadable { path: folder.to_owned(), source };
    let mut entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>())
        .map_err(failed)?;
    entries.sort();
    Ok(entries)
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ReadError> {
    let text = std::fs::read(path).map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| ReadError::Malformed { path: path.to_owned(), source })
}

impl Measured {
    fn hash(&self) -> &str {
        match self {
            Measured::Runs { made, .. } => &made.scenario_hash,
            Measured::Baseline(baseline) => &baseline.scenario_hash,
        }
    }

    /// The engine; baselines are of sim.
    fn engine(&self) -> &str {
        match self {
            Measured::Runs { made, .. } => &made.engine,
            Measured::Baseline(_) => Engine::Sim.word(),
        }
    }

    /// The planted bug that it was run with.
    #[must_use]
    pub fn mutant(&self) -> Option<&str> {
        match self {
            Measured::Runs { made, .. } => made.mutant.as_deref(),
            Measured::Baseline(_) => None,
        }
    }

    fn seeds(&self) -> Vec<u64> {
        match self {
            Measured::Runs { seeds, .. } => seeds.keys().copied().collect(),
            Measured::Baseline(baseline) => baseline.seeds.clone(),
        }
    }

    /// The figures over these seeds. `None`: it does not have them all, or cannot tell them apart. With `others`, what only run folders know, too.
    fn figures(&self, wanted: &[u64], others: bool) -> Option<BTreeMap<String, f64>> {
        match self {
            Measured::Baseline(baseline) => {
                let mut own = baseline.seeds.clone();
                own.sort_unstable();
                (own == wanted).then(|| baseline.metrics.clone())
            }
            Measured::Runs { seeds, .. } => {
                let runs: Vec<&Ran> = wanted.iter().map(|seed| seeds.get(seed)).collect::<Option<_>>()?;
                let mut sum = Measures::default();
                runs.iter().for_each(|run| sum.merge(&run.measures));
                let mut figures = sum.figures();
                if others {
                    let failed = runs.iter().filter(|run| run.verdict.verdict == Outcome::Fail).count();
                    figures.insert("runs_failed".to_owned(), failed as f64);
                    figures.insert("wall_seconds".to_owned(), runs.iter().map(|run| run.verdict.wall_seconds).sum());
                }
                Some(figures)
            }
        }
    }
}

/// Holds the second side against the first. Scenarios of which the two have no seeds in common, or another text, are named.
#[must_use]
pub fn diff(before: &Side, now: &Side, against: &str) -> Gate {
    let names: std::collections::BTreeSet<&String> = before.scenarios.keys().chain(now.scenarios.keys()).collect();
    let one = |name: &String| {
        let compared = match (before.scenarios.get(name), now.scenarios.get(name)) {
            (Some(before), Some(now)) => of_one(before, now),
            (Some(_), None) => Err("only the first has it".to_owned()),
            _ => Err("only the second has it".to_owned()),
        };
        match compared {
            Ok((metrics, differences)) => {
                Comparison { scenario: name.clone(), metrics, differences, ..Comparison::default() }
            }
            Err(why) => Comparison { scenario: name.clone(), incomparable: Some(why), ..Comparison::default() },
        }
    };
    Gate { against: against.to_owned(), scenarios: names.into_iter().map(one).collect() }
}

fn of_one(before: &Measured, now: &Measured) -> Result<(u64, Vec<reports::gate::Difference>), String> {
    if before.hash() != now.hash() {
        return Err(
            "the two are of different texts of this scenario (or other costs of work): run one again".to_owned()
        );
    }
    if before.engine() != now.engine() {
        return Err(format!("the first is of engine {}, the second of {}", before.engine(), now.engine()));
    }
    let (mine, theirs) = (before.seeds(), now.seeds());
    let mut wanted: Vec<u64> = match (before, now) {
        (Measured::Baseline(baseline), _) | (_, Measured::Baseline(baseline)) => baseline.seeds.clone(),
        _ => mine.iter().filter(|seed| theirs.contains(seed)).copied().collect(),
    };
    wanted.sort_unstable();
    let both_runs = matches!((before, now), (Measured::Runs { .. }, Measured::Runs { .. }));
    let figures = |side: &Measured| {
        let found = if wanted.is_empty() { None } else { side.figures(&wanted, both_runs) };
        found.ok_or_else(|| format!("the first is of seeds {}, the second of {}", words(&mine), words(&theirs)))
    };
    let (was, is) = (figures(before)?, figures(now)?);
    let rules = match before {
        Measured::Baseline(baseline) => baseline.rules().unwrap_or_default(),
        Measured::Runs { .. } => Rules::default(),
    };
    Ok(compare(&was, &is, &rules))
}
