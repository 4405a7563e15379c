//! Every scenario as a test case of its own, for `cargo test`, nextest's partitions and retries, and whatever else reads Rust's test protocol.
//!
//! ```text
//! cargo test -p scenarios --test catalogue                             the catalogue, seed 1
//! cargo test -p scenarios --test catalogue failover                    those with this word in their name
//! WINDTUNNEL_SEEDS=1..20 cargo nextest run -p scenarios --test catalogue --partition slice:1/4
//! WINDTUNNEL_SCENARIOS=my/scenarios cargo test -p scenarios --test catalogue      the .toml files of a folder instead (several with colons)
//! ```
//!
//! The bank of regressions comes first, each entry as `regressions::NAME`.
//!
//! A case is called `NAME::seed_N`. It fails where the run is not a pass: broken or inconclusive, with what was seen first and the command that runs it again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use reports::record::{Outcome, Verdict};
use scenarios::agenda;
use scenarios::catalogue;
use scenarios::engine::{self, Options};
use scenarios::model::{Engine, Scenario};
use scenarios::parse::parse_all;
use scenarios::plan::Plan;
use scenarios::regressions::{self, Entry};

/// As `windtunnel` has it.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    match trials() {
        Ok(trials) => libtest_mimic::run(&Arguments::from_args(), trials).exit_code(),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(USAGE)
        }
    }
}

fn trials() -> Result<Vec<Trial>, String> {
    let seeds = match std::env::var("WINDTUNNEL_SEEDS") {
        Ok(text) => agenda::range(&text).map_err(|why| format!("WINDTUNNEL_SEEDS={text}: {why}"))?,
        Err(_) => (1, 1),
    };
    let files = match std::env::var("WINDTUNNEL_SCENARIOS") {
        Ok(paths) => own(&paths)?,
        Err(_) => {
            catalogue::all().iter().map(|entry| (entry.file(), entry.text.to_owned(), entry.name.to_owned())).collect()
        }
    };
    let mut trials = if std::env::var_os("WINDTUNNEL_SCENARIOS").is_none() { bank() } else { Vec::new() };
    for (file, text, word) in files {
        for (name, scenario) in scenarios_of(&file, &text) {
            for seed in seeds.0..=seeds.1 {
                let scenario = scenario.clone();
                let word = name.split_once('+').map_or(word.clone(), |(_, values)| format!("{word}+{values}"));
                trials.push(Trial::test(format!("{name}::seed_{seed}"), move || case(scenario, &word, seed)));
            }
        }
    }
    Ok(trials)
}

/// The bank of regressions, a case each.
fn bank() -> Vec<Trial> {
    let case = |entry: &'static Entry| -> Result<(), Failed> {
        let kept = entry.kept().map_err(|problems| problems.first().map_or_else(String::new, ToString::to_string))?;
        let (judged, _) = kept.replay().map_err(|error| error.to_string())?;
        match judged.outcome {
            Outcome::Pass => Ok(()),
            Outcome::Fail | Outcome::Inconclusive => {
                let seed = kept.regression.seed;
                Err(format!("{}\nagain: cargo windtunnel run {} --seed {seed}", judged.message, entry.name).into())
            }
        }
    };
    regressions::all()
        .iter()
        .map(|entry| Trial::test(format!("regressions::{}", entry.name), move || case(entry)))
        .collect()
}

/// The scenarios of a file by their names, or what is wrong with it.
fn scenarios_of(file: &str, text: &str) -> Vec<(String, Result<Scenario, String>)> {
    let read = |path: &str| {
        catalogue::part(path).or_else(|_| std::fs::read_to_string(path).map_err(|error| error.to_string()))
    };
    match parse_all(file, text, &read) {
        Ok(variants) => {
            variants.into_iter().map(|variant| (variant.scenario.name.clone(), Ok(variant.scenario))).collect()
        }
        Err(problems) => {
            let stem = Path::new(file).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            vec![(stem, Err(lines.join("\n")))]
        }
    }
}

/// The files named by paths with colons between them: each a file, or a folder of which every `.toml` counts.
fn own(paths: &str) -> Result<Vec<(String, String, String)>, String> {
    let failed = |path: &Path, error: std::io::Error| format!("failed to read {}: {error}", path.display());
    // The working directory of a test is its package's folder; who calls means his own.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let mut files = BTreeSet::new();
    for path in std::env::split_paths(paths) {
        let path: PathBuf = root.join(path);
        if path.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(|error| failed(&path, error))? {
                let file = entry.map_err(|error| failed(&path, error))?.path();
                if file.extension().is_some_and(|extension| extension == "toml") {
                    files.insert(file);
                }
            }
        } else {
            files.insert(path);
        }
    }
    if files.is_empty() {
        return Err(format!("WINDTUNNEL_SCENARIOS={paths}: there is no .toml file"));
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
        let name = path.display().to_string();
        Ok((name.clone(), text, name))
    };
    files.into_iter().map(read).collect()
}

fn case(scenario: Result<Scenario, String>, word: &str, seed: u64) -> Result<(), Failed> {
    let scenario = scenario?;
    let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: false };
    let verdict = engine::run(&Plan::new(&scenario, seed), options).map_err(|error| error.to_string())?.verdict;
    let complaints = complaints(&scenario, &verdict);
    if complaints.is_empty() && verdict.verdict == Outcome::Pass {
        return Ok(());
    }
    Err(format!("{}\nagain: cargo windtunnel run {word} --seed {seed}", complaints.join("\n")).into())
}

/// A line for each thing that did not hold, or was not shown to.
fn complaints(scenario: &Scenario, verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    for invariant in &verdict.invariants {
        let first = invariant
            .violations
            .first()
            .map_or(String::new(), |first| format!("\n  at {:.6} s: {}", first.at_us as f64 / 1e6, first.message));
        match invariant.verdict {
            Outcome::Pass => {}
            Outcome::Fail => lines
                .push(format!("{}: broken {} times: {}{first}", invariant.name, invariant.broken, invariant.summary)),
            Outcome::Inconclusive => {
                lines.push(format!(
                    "{}: inconclusive after {} checks: {}",
                    invariant.name, invariant.checked, invariant.summary
                ));
            }
        }
    }
    for (reached, reach) in verdict.reached.iter().zip(&scenario.reach) {
        if reached.times < reach.at_least {
            lines.push(format!("reached {} {} times, {} wanted", reached.name, reached.times, reach.at_least));
        }
    }
    lines
}
