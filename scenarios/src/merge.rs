//! Shards of a sweep, made whole again.
//!
//! ```text
//!   run folder 1/3 --+
//!   run folder 2/3 --+--> the same runs in the order of their sequences --> summary, JUnit, measures: as if nobody had cut them
//!   run folder 3/3 --+    histograms are merged, never percentiles averaged
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use reports::folder::{WriteError, write_file};
use reports::measures::{self, Measures};
use reports::metrics::Metrics;
use reports::record::Verdict;
use reports::summary::regressions::Replayed;
use reports::summary::{Canary, RunSummary, Share, SummaryMeta};
use serde::Deserialize;

use crate::capsule::{Capsule, Made};
use crate::folder::{replay_command, run_folder};
use crate::model::Engine;

/// The parts, put together.
#[derive(Debug)]
pub struct Merged {
    /// All runs, each once, in the order in which one command would have them.
    pub runs: Vec<RunSummary>,
    /// What is said of them together.
    pub meta: SummaryMeta,
    /// Runs that more than one part had, in words. They count once.
    pub duplicates: Vec<String>,
}

/// Why parts cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A file cannot be read.
    #[error("failed to read {path}: {source}; give run folders, as `windtunnel run --out DIR` leaves them")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {source}; was it written by another version?")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Two parts are not of one sweep.
    #[error("{path} has {what} {found}, the first folder has {expected}: they are not parts of one sweep")]
    Other {
        /// Which.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// There.
        found: String,
        /// In the first.
        expected: String,
    },
    /// Runs of one scenario were not made alike.
    #[error("{scenario} in {path} was run with {what}, in {first} with {expected}: they are not parts of one sweep")]
    Unlike {
        /// Which scenario.
        scenario: String,
        /// The run's folder.
        path: PathBuf,
        /// How it was made.
        what: String,
        /// Where its first run is.
        first: PathBuf,
        /// How that one was made.
        expected: String,
    },
    /// Baselines are of another engine.
    #[error("{scenario} in {path} was run in engine {engine}, and baselines are of sim: leave out --baseline")]
    Engine {
        /// Which scenario.
        scenario: String,
        /// In which folder.
        path: PathBuf,
        /// In which engine.
        engine: String,
    },
    /// The same run came out differently: what is the same everywhere is not.
    #[error(
        "{run} is in {first} with trace hash {one} and in {second} with {two}: the same build, scenario and seed must give the same run; see `windtunnel twice`"
    )]
    Differs {
        /// Which run.
        run: String,
        /// A folder.
        first: PathBuf,
        /// Its hash.
        one: String,
        /// Another folder.
        second: PathBuf,
        /// Its hash.
        two: String,
    },
    /// The folder to write to is one of those to read.
    #[error("{0} is one of the folders to merge: choose another for --out")]
    Itself(PathBuf),
    /// Writing failed.
    #[error("failed to {0}")]
    Write(WriteError),
}

/// What `summary.json` says, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Part {
    command: String,
    version: String,
    profile: String,
    wall_seconds: f64,
    #[serde(default)]
    seeds_from: Option<String>,
    #[serde(default)]
    shard: Option<String>,
    #[serde(default)]
    canary: Option<Canary>,
    #[serde(default)]
    regressions: Vec<Replayed>,
    #[serde(default)]
    asked: Option<String>,
    shares: Vec<Share>,
    runs: Vec<PartRun>,
}

#[derive(Debug, Deserialize)]
struct PartRun {
    scenario: String,
    seed: u64,
    #[serde(default)]
    order: u64,
    engine: String,
    #[serde(default)]
    report: Option<String>,
    replay: String,
    nth: u64,
    #[serde(default)]
    figures: BTreeMap<String, u64>,
}

/// A run and where it was found.
struct Found<'p> {
    folder: &'p Path,
    run: RunSummary,
}

/// Copies the runs of all parts into `out` and puts together what they say. The summary is not written yet. What is to be held against
/// baselines (`baseline`) must be of the engine that they are of.
///
/// # Errors
/// [`MergeError`]; then `out` may hold some runs, and no summary.
pub fn merge(parts: &[PathBuf], out: &Path, baseline: bool) -> Result<Merged, MergeError> {
    let read: Vec<Part> = parts.iter().map(|folder| json(&folder.join("summary.json"))).collect::<Result<_, _>>()?;
    let same = |folder: &PathBuf| out.canonicalize().is_ok_and(|out| folder.canonicalize().is_ok_and(|it| it == out));
    if let Some(folder) = parts.iter().find(|folder| same(folder)) {
        return Err(MergeError::Itself(folder.clone()));
    }
    for (folder, part) in parts.iter().zip(&read) {
        alike(folder, &read[0], part)?;
        if let Some(run) = part.runs.iter().find(|run| baseline && run.engine != Engine::Sim.word()) {
            let (scenario, engine) = (run.scenario.clone(), run.engine.clone());
            return Err(MergeError::Engine { scenario, path: folder.clone(), engine });
        }
    }
    made_alike(parts, &read)?;
    // One that an earlier merge left would speak for what is not whole yet.
    let stale = out.join("summary.json");
    match std::fs::remove_file(&stale) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(MergeError::Unreadable { path: stale, source });
        }
        _ => {}
    }
    let mut duplicates = Vec::new();
    let mut found: BTreeMap<(usize, u64, u64), Found<'_>> = BTreeMap::new();
    let mut shares: IndexMap<String, Share> = IndexMap::new();
    let mut seen = BTreeSet::new();
    for part in &read {
        // A part that is given twice asks for no more than once.
        let again = part.shard.as_ref().is_some_and(|shard| !seen.insert(shard));
        for share in &part.shares {
            let fresh = || Share { scenario: share.scenario.clone(), ..Share::default() };
            let sum = shares.entry(share.scenario.clone()).or_insert_with(fresh);
            sum.minimum += if again { 0 } else { share.minimum };
        }
    }
    for (folder, part) in parts.iter().zip(&read) {
        for run in &part.runs {
            let own = run_folder(&run.scenario, run.seed, run.order);
            let (from, to) = (folder.join(&own), out.join(&own));
            let verdict: Verdict = json(&from.join("verdict.json"))?;
            let place = shares.get_index_of(&run.scenario).unwrap_or(usize::MAX);
            let summary = RunSummary {
                verdict,
                report: run.report.clone(),
                replay_command: replay_command(&to),
                nth: run.nth,
                figures: run.figures.clone(),
            };
            let key = (place, run.seed, run.order);
            if let Some(other) = found.get(&key) {
                let name = format!("{} seed {}", run.scenario, summary.verdict.label());
                if other.run.verdict.trace_hash != summary.verdict.trace_hash {
                    return Err(MergeError::Differs {
                        run: name,
                        first: other.folder.to_owned(),
                        one: other.run.verdict.trace_hash.clone(),
                        second: folder.clone(),
                        two: summary.verdict.trace_hash,
                    });
                }
                duplicates.push(format!(
                    "{name} is in {} and in {}: it counts once",
                    other.folder.display(),
                    folder.display()
                ));
                // Runs that whole sweeps share are asked for once, as shards that are given twice are.
                if part.shard.is_none()
                    && let Some(share) = shares.get_mut(&run.scenario)
                {
                    share.minimum = share.minimum.saturating_sub(1);
                }
                continue;
            }
            copy(&from, &to, (&run.replay, &summary.replay_command))?;
            if let Some(share) = shares.get_mut(&run.scenario) {
                share.done += 1;
            }
            found.insert(key, Found { folder, run: summary });
        }
    }
    let first = &read[0];
    let canaries: Vec<&Canary> = read.iter().filter_map(|part| part.canary.as_ref()).collect();
    let meta = SummaryMeta {
        command: uncut(&first.command),
        version: first.version.clone(),
        profile: first.profile.clone(),
        // They ran side by side.
        wall_seconds: read.iter().map(|part| part.wall_seconds).fold(0.0, f64::max),
        shares: shares.into_values().collect(),
        seeds_from: first.seeds_from.clone(),
        missing: missing(&read).into_iter().chain(short(parts, &read)).collect(),
        asked: first.asked.clone().filter(|asked| read.iter().all(|part| part.asked.as_ref() == Some(asked))),
        // One that is silent is silent for all.
        // Each shard ran all of them: the worst of each.
        regressions: worst_of_each(read.iter().flat_map(|part| &part.regressions)),
        canary: canaries.iter().find(|canary| !canary.rang).or(canaries.first()).map(|canary| (*canary).clone()),
        ..SummaryMeta::default()
    };
    let mut found: Vec<((usize, u64, u64), Found<'_>)> = found.into_iter().collect();
    // As their sequences have them. Where sequences overlap, the seed decides.
    found.sort_by_key(|((place, seed, order), found)| (*place, found.run.nth, *seed, *order));
    Ok(Merged { runs: found.into_iter().map(|(_, found)| found.run).collect(), meta, duplicates })
}

/// Of what was run again in several parts, the worst of each name, in the order in which the names come first.
fn worst_of_each<'r>(replayed: impl Iterator<Item = &'r Replayed>) -> Vec<Replayed> {
    let mut worst: indexmap::IndexMap<&str, &Replayed> = indexmap::IndexMap::new();
    for one in replayed {
        let known = worst.entry(&one.name).or_insert(one);
        if one.verdict > known.verdict {
            *known = one;
        }
    }
    worst.into_values().cloned().collect()
}

/// Writes what the merged runs measured together, as a run folder has it, and shows each run's figures to `each`: in the usual order of ready tasks, the others are not measured.
///
/// # Errors
/// As [`merge`].
pub fn write_measures(
    out: &Path,
    runs: &[RunSummary],
    mut each: impl FnMut(&Verdict, &Measures),
) -> Result<(), MergeError> {
    let mut all: BTreeMap<&str, Measures> = BTreeMap::new();
    for RunSummary { verdict, .. } in runs.iter().filter(|run| run.verdict.order == 0) {
        let own = run_folder(&verdict.scenario, verdict.seed, verdict.order);
        let metrics: Metrics = json(&out.join(own).join("metrics.json"))?;
        let measures = Measures::of(&metrics);
        each(verdict, &measures);
        all.entry(&verdict.scenario).or_default().merge(&measures);
    }
    measures::write(out, all.iter().map(|(name, measures)| (*name, measures))).map_err(MergeError::Write)
}

/// Whether a part is of the same sweep as the first one.
fn alike(folder: &Path, first: &Part, part: &Part) -> Result<(), MergeError> {
    let of = |part: &Part| part.shard.as_deref().and_then(|shard| shard.split_once('/')).map(|(_, of)| of.to_owned());
    let names = |part: &Part| part.shares.iter().map(|share| share.scenario.as_str()).collect::<Vec<_>>().join(", ");
    let said = |word: Option<String>| word.unwrap_or_else(|| "none".to_owned());
    let check = |what, found: String, expected: String| {
        if found == expected {
            Ok(())
        } else {
            Err(MergeError::Other { path: folder.to_owned(), what, found, expected })
        }
    };
    check("version", part.version.clone(), first.version.clone())?;
    check("profile", part.profile.clone(), first.profile.clone())?;
    check("seeds from", said(part.seeds_from.clone()), said(first.seeds_from.clone()))?;
    check("shards", said(of(part)), said(of(first)))?;
    if part.shard.is_some() {
        check("scenarios", names(part), names(first))?;
        check("runs asked for", said(part.asked.clone()), said(first.asked.clone()))?;
    }
    Ok(())
}

/// Whether all runs of a scenario are of one engine, one planted bug (or none), the same costs of work and the same text.
fn made_alike(parts: &[PathBuf], read: &[Part]) -> Result<(), MergeError> {
    let mut first: BTreeMap<&str, (PathBuf, Made)> = BTreeMap::new();
    for (folder, part) in parts.iter().zip(read) {
        for run in &part.runs {
            let path = folder.join(run_folder(&run.scenario, run.seed, run.order));
            let made = json::<Capsule>(&path.join("capsule.json"))?.made();
            match first.get(run.scenario.as_str()) {
                None => {
                    first.insert(&run.scenario, (path, made));
                }
                Some((_, expected)) if made.differs(expected).is_none() => {}
                Some((first, expected)) => {
                    return Err(MergeError::Unlike {
                        scenario: run.scenario.clone(),
                        path,
                        what: made.to_string(),
                        first: first.clone(),
                        expected: expected.to_string(),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Parts that did not finish what they had to: what another did beyond its own share does not make up for it. Of a shard that is given twice the
/// better one counts.
fn short(parts: &[PathBuf], read: &[Part]) -> Vec<String> {
    let mut best: IndexMap<(String, &str), &Share> = IndexMap::new();
    for (folder, part) in parts.iter().zip(read) {
        let name = part.shard.as_ref().map_or_else(|| folder.display().to_string(), |shard| format!("shard {shard}"));
        for share in &part.shares {
            let kept = best.entry((name.clone(), &share.scenario)).or_insert(share);
            if share.missing() < kept.missing() {
                *kept = share;
            }
        }
    }
    let short = best.into_iter().filter(|(_, share)| share.missing() > 0);
    short
        .map(|((name, scenario), Share { done, minimum, .. })| {
            format!("a part of {scenario} ({name} did {done} of at least {minimum} runs)")
        })
        .collect()
}

/// Shards that nobody gave.
fn missing(parts: &[Part]) -> Vec<String> {
    let shards: Vec<(u64, u64)> = parts
        .iter()
        .filter_map(|part| part.shard.as_deref()?.split_once('/'))
        .filter_map(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)))
        .collect();
    let of = shards.first().map_or(0, |(_, of)| *of);
    (1..=of)
        .filter(|index| !shards.iter().any(|(has, _)| has == index))
        .map(|index| format!("shard {index}/{of}"))
        .collect()
}

/// A command without its `--shard`.
fn uncut(command: &str) -> String {
    let mut words = command.split(' ').peekable();
    let mut kept: Vec<&str> = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--shard" => {
                words.next();
            }
            word if word.starts_with("--shard=") => {}
            word => kept.push(word),
        }
    }
    kept.join(" ")
}

/// Copies a run's folder. What its page says of how to run it again is said of the new place.
fn copy(from: &Path, to: &Path, (old, new): (&str, &str)) -> Result<(), MergeError> {
    let unreadable = |path: &Path, source| MergeError::Unreadable { path: path.to_owned(), source };
    let entries = std::fs::read_dir(from).map_err(|source| unreadable(from, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| unreadable(from, source))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target, (old, new))?;
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|source| unreadable(&path, source))?;
        let bytes = match (entry.file_name() == "report.html").then(|| std::str::from_utf8(&bytes)) {
            Some(Ok(page)) => page.replace(old, new).replace(&markup(old), &markup(new)).into_bytes(),
            _ => bytes,
        };
        write_file(&target, &bytes).map_err(MergeError::Write)?;
    }
    Ok(())
}

/// As pages write it.
fn markup(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' | '<' | '>' | '"' | '\'' => out.push_str(&format!("&#{};", u32::from(character))),
            other => out.push(other),
        }
    }
    out
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, MergeError> {
    let text = std::fs::read(path).map_err(|source| MergeError::Unreadable { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| MergeError::Malformed { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use reports::record::Outcome;

    use super::*;

    #[test]
    fn of_what_several_parts_ran_again_the_worst_of_each_is_told() {
        let one = |name: &str, verdict| Replayed {
            name: name.to_owned(),
            expect: "holds".to_owned(),
            verdict,
            message: String::new(),
            replay: String::new(),
        };
        let all = [
            one("b", Outcome::Pass),
            one("a", Outcome::Fail),
            one("b", Outcome::Inconclusive),
            one("a", Outcome::Pass),
        ];
        let told = worst_of_each(all.iter());
        assert_eq!(told, [one("b", Outcome::Inconclusive), one("a", Outcome::Fail)]);
    }

    #[test]
    fn a_command_loses_its_shard_and_nothing_else() {
        for (command, expect) in [
            ("windtunnel run a --shard 1/3 --out x", "windtunnel run a --out x"),
            ("windtunnel run a --out x --shard=2/3", "windtunnel run a --out x"),
            ("windtunnel run a", "windtunnel run a"),
        ] {
            assert_eq!(uncut(command), expect);
        }
    }
}
