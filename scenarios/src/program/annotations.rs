//! What a CI page shows beside the files: annotations, and the job's summary.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use indexmap::IndexMap;
use reports::annotations::{Annotation, Level};
use reports::figure;
use reports::gate::{Change, Gate, number};
use reports::record::{Invariant, Outcome};
use reports::summary::RunSummary;

use super::select::Chosen;
use super::{Failure, print, say};
use crate::catalogue;
use crate::parse;

/// Whether a CI job on GitHub runs this.
fn on_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Prints what there is to annotate, where that is `wanted` or a job on GitHub runs this.
pub(super) fn publish(
    wanted: bool,
    runs: &[RunSummary],
    gate: Option<&Gate>,
    files: impl FnOnce() -> Files,
) -> Result<(), Failure> {
    if wanted || on_github() {
        print(&reports::annotations::lines(&annotations(runs, gate, &files())))?;
    }
    Ok(())
}

/// Adds the summary to the page of the job, where there is one. That it cannot be written changes no verdict.
pub(super) fn job_summary(folder: &Path) {
    let Some(page) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return };
    let written = std::fs::read(folder.join("summary.md")).and_then(|text| {
        let mut page = std::fs::OpenOptions::new().create(true).append(true).open(&page)?;
        page.write_all(&text)?;
        page.write_all(b"\n")
    });
    if let Err(error) = written {
        say(&format!("windtunnel: failed to add summary.md to {}: {error}", Path::new(&page).display()));
    }
}

/// A scenario's file from where the command was given, and its text.
pub(super) type Files = BTreeMap<String, (String, String)>;

/// The files of what was run. Of a file with a matrix or parts, the file itself: its lines are what a page can show.
pub(super) fn files(chosen: &[Chosen]) -> Files {
    chosen.iter().map(|one| (one.scenario.name.clone(), file(&one.word, &one.text))).collect()
}

/// The file of a word as it was asked for, or as a scenario is called; `text` where it cannot be read.
pub(super) fn file(word: &str, text: &str) -> (String, String) {
    let base = match word.split_once(".toml+") {
        Some((path, _)) => format!("{path}.toml"),
        None => word.split_once('+').map_or(word, |(name, _)| name).to_owned(),
    };
    if let Ok(entry) = catalogue::find(&base) {
        return (format!("scenarios/{}", entry.file()), entry.text.to_owned());
    }
    let path = base.strip_prefix("./").unwrap_or(&base);
    (path.to_owned(), std::fs::read_to_string(path).unwrap_or_else(|_| text.to_owned()))
}

/// One for each invariant of each scenario that did not hold, at the line that asks for it; and one for each metric that is worse, at its line in the baseline.
fn annotations(runs: &[RunSummary], gate: Option<&Gate>, files: &Files) -> Vec<Annotation> {
    let mut broken: IndexMap<(&str, &str), Vec<(&RunSummary, &Invariant)>> = IndexMap::new();
    for run in runs {
        for invariant in run.verdict.invariants.iter().filter(|invariant| invariant.verdict != Outcome::Pass) {
            broken.entry((&run.verdict.scenario, &invariant.name)).or_default().push((run, invariant));
        }
    }
    let mut all: Vec<Annotation> = broken
        .into_iter()
        .filter_map(|((scenario, name), mut found)| {
            found.sort_by_key(|(_, invariant)| std::cmp::Reverse(invariant.verdict));
            let (run, invariant) = *found.first()?;
            let (file, text) = files.get(scenario)?;
            let level = if invariant.verdict == Outcome::Fail { Level::Error } else { Level::Warning };
            let first = invariant.violations.first();
            let at = first.map_or_else(String::new, |first| format!(" at {:.6} s", first.at_us as f64 / 1e6));
            let what = figure::times(first.map_or(&invariant.summary, |first| &first.message));
            let others = match found.len() - 1 {
                0 => String::new(),
                more => format!("\nand {more} more runs"),
            };
            let (label, again) = (run.verdict.label(), &run.replay_command);
            Some(Annotation {
                level,
                file: file.clone(),
                line: parse::line_of_check(text, name),
                title: format!("{scenario}: {name}"),
                message: format!("seed {label}{at}: {what}{others}\nagain: {again}"),
            })
        })
        .collect();
    for run in runs.iter().filter(|run| run.verdict.verdict == Outcome::Inconclusive) {
        let Some(reached) = run.verdict.reached.iter().find(|reached| reached.is_missed()) else { continue };
        let Some((file, text)) = files.get(&run.verdict.scenario) else { continue };
        all.push(Annotation {
            level: Level::Warning,
            file: file.clone(),
            line: parse::line_of_check(text, "reach"),
            title: format!("{}: reached", run.verdict.scenario),
            message: format!("seed {}: {}", run.verdict.label(), reached.missed_words()),
        });
    }
    all.extend(gate.into_iter().flat_map(worse));
    all
}

fn worse(gate: &Gate) -> impl Iterator<Item = Annotation> {
    gate.worse().filter_map(|compared| Some((compared, compared.file.as_ref()?))).flat_map(|(compared, file)| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let worse = compared.differences.iter().filter(|difference| difference.change == Change::Worse);
        worse
            .map(|difference| {
                let key = format!("    \"{}\":", difference.metric);
                let line = text.lines().position(|line| line.starts_with(&key)).map_or(1, |line| line + 1);
                let value = |value: Option<f64>| value.map_or_else(|| "not measured".to_owned(), number);
                let (before, now) = (value(difference.before), value(difference.now));
                Annotation {
                    level: Level::Error,
                    file: file.clone(),
                    line,
                    title: format!("{}: {} is worse", compared.scenario, difference.metric),
                    message: format!(
                        "was {before}, is {now}: {}, allowed {}",
                        difference.change_words(),
                        difference.tolerance
                    ),
                }
            })
            .collect::<Vec<_>>()
    })
}
