//! `bless`: what runs measured becomes what later ones are held against.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Parser as _;
use reports::gate::{Comparison, Gate};
use reports::measures::Measures;
use reports::record::Outcome;

use super::{BlessArgs, Cli, Command, Failure, diff, exit, print, run};
use crate::catalogue;
use crate::gate::{self, Baseline, BaselineError, Measured, Rules};

/// Where the catalogue is run for its baselines.
const RUN_FOLDER: &str = "target/windtunnel/bless";

pub(super) fn bless(args: &BlessArgs) -> Result<u8, Failure> {
    if args.reason.trim().is_empty() {
        return Err(Failure::usage(
            "say why these figures are right: --reason \"...\" is kept beside them, for whoever asks later",
        ));
    }
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => run_catalogue()?,
    };
    let side = gate::read(&folder).map_err(|error| diff::unreadable(&error))?;
    // All are looked at before any is written: a half-blessed folder would say that nothing was wrong.
    let blessed: Vec<(Baseline, Comparison)> = side
        .scenarios
        .iter()
        .map(|(name, measured)| one(name, measured, &folder, args))
        .collect::<Result<_, Failure>>()?;
    let mut written = 0;
    for (baseline, compared) in &blessed {
        if compared.incomparable.is_some() || !compared.differences.is_empty() {
            baseline.write(&args.baseline).map_err(|error| Failure::io(format!("failed to {error}")))?;
            written += 1;
        }
    }
    let as_they_were = blessed.len() - written;
    let (fresh, known): (Vec<Comparison>, Vec<Comparison>) =
        blessed.into_iter().map(|(_, compared)| compared).partition(|compared| compared.incomparable.is_some());
    let mut text = Gate { against: String::new(), scenarios: known }.table();
    for compared in fresh {
        text.push_str(&format!("{}: {}\n", compared.scenario, compared.incomparable.unwrap_or_default()));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!(
        "{written} baselines written to {}, {as_they_were} are as they were\n",
        args.baseline.display()
    ));
    if args.folder.is_none() {
        for stray in strays(&args.baseline) {
            text.push_str(&format!("{} is of no scenario of the catalogue: remove it\n", stray.display()));
        }
    }
    print(&text)
}

/// Runs the whole catalogue with the seeds of baselines, and gives its folder.
fn run_catalogue() -> Result<PathBuf, Failure> {
    let folder = PathBuf::from(RUN_FOLDER);
    // What an earlier run left there would be blessed, too.
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::io(format!("failed to clear {}: {error}", folder.display())));
        }
        _ => {}
    }
    let (first, last) = (gate::SEEDS[0], gate::SEEDS[gate::SEEDS.len() - 1]);
    let seeds = format!("{first}..{last}");
    let words = ["windtunnel", "run", "--seeds", &seeds, "--reports", "failed", "--quiet", "--out", RUN_FOLDER];
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Run(args)) => run::run(*args)?,
        _ => return Err(Failure::harness("bless cannot say how to run the catalogue: a bug in windtunnel")),
    };
    Ok(folder)
}

/// The baseline that one scenario's runs make, and what changes by it.
fn one(name: &str, measured: &Measured, folder: &Path, args: &BlessArgs) -> Result<(Baseline, Comparison), Failure> {
    let Measured::Runs { made, seeds } = measured else {
        return Err(Failure::usage(format!("{} holds baselines, not runs: give a run folder", folder.display())));
    };
    let mut sum = Measures::default();
    for seed in gate::SEEDS {
        let Some(ran) = seeds.get(&seed) else {
            return Err(Failure::usage(format!(
                "{} has no run of {name} with seed {seed}, and a baseline is of seeds 1..3: run them",
                folder.display()
            )));
        };
        let verdict = &ran.verdict;
        if let Some(mutant) = &verdict.mutant {
            return Err(Failure::usage(format!("{name} was run with the planted bug {mutant}: that is no baseline")));
        }
        if verdict.engine != "sim" {
            return Err(Failure::usage(format!("{name} was run in engine {}: baselines are of sim", verdict.engine)));
        }
        let (code, word) = match verdict.verdict {
            Outcome::Pass => {
                sum.merge(&ran.measures);
                continue;
            }
            Outcome::Fail => (exit::BROKEN, "failed"),
            Outcome::Inconclusive => (exit::INCONCLUSIVE, "was inconclusive"),
        };
        let message = format!("{name} seed {seed} {word}: what is broken is not blessed; nothing was written");
        return Err(Failure { code, message });
    }
    let path = Baseline::path(&args.baseline, name);
    let earlier = match Baseline::read(&path) {
        Ok(earlier) => Some(earlier),
        Err(BaselineError::Missing(_) | BaselineError::Schema { .. }) => None,
        Err(error) => return Err(run::baseline_failure(&error)),
    };
    let mut baseline = Baseline {
        schema: gate::SCHEMA,
        scenario: name.to_owned(),
        scenario_hash: made.scenario_hash.clone(),
        seeds: gate::SEEDS.to_vec(),
        tolerance: earlier.as_ref().map(|earlier| earlier.tolerance.clone()).unwrap_or_default(),
        metrics: sum.figures(),
        history: earlier.as_ref().map(|earlier| earlier.history.clone()).unwrap_or_default(),
    };
    let mut compared = Comparison { scenario: name.to_owned(), ..Comparison::default() };
    match earlier {
        None => compared.incomparable = Some("its first baseline".to_owned()),
        Some(earlier) => {
            let rules: Rules = baseline.rules().unwrap_or_default();
            (compared.metrics, compared.differences) = gate::compare(&earlier.metrics, &baseline.metrics, &rules);
            if earlier.scenario_hash != baseline.scenario_hash || earlier.seeds != baseline.seeds {
                compared.incomparable = Some("the scenario has another text now".to_owned());
            }
        }
    }
    baseline.bless(today(), &args.reason, &compared.differences);
    Ok((baseline, compared))
}

/// Baselines of scenarios that are not in the catalogue (any more).
fn strays(folder: &Path) -> Vec<PathBuf> {
    let known: BTreeSet<&str> = catalogue::all().iter().map(|entry| entry.name).collect();
    let stray = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        // A scenario of a matrix bears its values behind a plus.
        let file = name.split_once('+').map_or(&*name, |(file, _)| file);
        path.extension().is_some_and(|extension| extension == "json") && !known.contains(file)
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut strays: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(stray).collect();
    strays.sort();
    strays
}

/// `2026-01-31`
#[expect(clippy::disallowed_methods, reason = "the day of a blessing, outside all runs")]
fn today() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().chars().take(10).collect()
}
