//! Which scenarios and seeds; and the commands that only look at them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Failure, SelectArgs, exit, print, say};
use crate::calibration::{Calibration, CalibrationError};
use crate::marks::Mark;
use crate::model::{Engine, Scenario, ServiceTime};
use crate::plan::Plan;
use crate::{catalogue, engine, marks};

/// Seeds from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seeds {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// The most seeds of one command.
const SEEDS_MAX: u64 = 1_000_000;

impl Seeds {
    pub(super) fn count(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// Reads `A..B`.
pub(super) fn seeds(text: &str) -> Result<Seeds, String> {
    let (first, last) = text.split_once("..").ok_or("expected A..B, both included, such as 1..10")?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| format!("{text:?} is not a seed (a u64)"));
    let (first, last) = (number(first)?, number(last.trim_start_matches('='))?);
    if last < first {
        return Err(format!("the last seed {last} comes before the first {first}"));
    }
    if last - first >= SEEDS_MAX {
        return Err(format!("more than {SEEDS_MAX} seeds"));
    }
    Ok(Seeds { first, last })
}

/// A scenario with its text.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    /// How it was asked for: a name of the catalogue, or a path.
    pub(super) word: String,
    pub(super) scenario: Scenario,
    pub(super) text: String,
}

fn parse(word: &str, file: &str, text: String) -> Result<Chosen, Failure> {
    match crate::parse::parse(file, &text) {
        Ok(scenario) => Ok(Chosen { word: word.to_owned(), scenario, text }),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(Failure::usage(format!("bad scenario file\n{}", lines.join("\n"))))
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("failed to read scenario file {}: {error}", path.display())))
}

/// A scenario by name, or by the path of its file.
pub(super) fn one(word: &str) -> Result<Chosen, Failure> {
    let path = Path::new(word);
    if path.extension().is_some_and(|extension| extension == "toml") || word.contains(std::path::MAIN_SEPARATOR) {
        return parse(word, word, read(path)?);
    }
    match catalogue::find(word) {
        Ok(entry) => parse(word, &entry.file(), entry.text.to_owned()),
        Err(unknown) => {
            Err(Failure::usage(format!("{unknown}; see `windtunnel list`, or give the path of a .toml file")))
        }
    }
}

/// The scenarios and seeds asked for. In a world that cannot express everything, "all" means those that name it.
pub(super) fn choose(args: &SelectArgs, engine: Engine) -> Result<(Vec<Chosen>, Seeds), Failure> {
    let mut chosen = if args.scenarios.is_empty() {
        catalogue::all().iter().map(|entry| one(entry.name)).collect::<Result<Vec<_>, _>>()?
    } else {
        args.scenarios.iter().map(|word| one(word)).collect::<Result<Vec<_>, _>>()?
    };
    if let Some(tag) = &args.tag {
        chosen.retain(|chosen| chosen.scenario.tags.contains(tag));
        if chosen.is_empty() {
            return Err(Failure::usage(format!("no scenario has the tag {tag:?}; see `windtunnel list`")));
        }
    }
    if engine == Engine::Turmoil && args.scenarios.is_empty() {
        chosen.retain(|chosen| chosen.scenario.engines.contains(&engine));
        if chosen.is_empty() {
            return Err(Failure::usage(format!("none of these scenarios names the engine {}", engine.word())));
        }
    }
    let mut names = BTreeSet::new();
    for Chosen { scenario, .. } in &chosen {
        engine::able(&Plan::new(scenario, 0), engine).map_err(|error| Failure::engine(&error))?;
        // Its runs are told apart by its name: one would write over the other.
        if !names.insert(scenario.name.as_str()) {
            return Err(Failure::usage(format!("the scenario {:?} is asked for twice", scenario.name)));
        }
    }
    let seeds = args.seed.map_or(args.seeds, |seed| Seeds { first: seed, last: seed });
    if engine != Engine::Sim && args.orders.last > 0 {
        return Err(Failure::usage(format!(
            "engine {} has one order of ready tasks only: leave out --orders",
            engine.word()
        )));
    }
    if seeds.count().saturating_mul(args.orders.count()) > SEEDS_MAX {
        return Err(Failure::usage(format!(
            "more than {SEEDS_MAX} runs of one scenario: ask for fewer seeds or orders"
        )));
    }
    Ok((chosen, seeds))
}

/// First sentence of a text.
fn headline(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => text,
    }
}

pub(super) fn list(json: bool) -> Result<u8, Failure> {
    let chosen = catalogue::all().iter().map(|entry| one(entry.name)).collect::<Result<Vec<_>, _>>()?;
    if json {
        let rows: Vec<serde_json::Value> = chosen
            .iter()
            .map(|Chosen { scenario, .. }| {
                serde_json::json!({
                    "name": scenario.name,
                    "about": scenario.about.trim(),
                    "tags": scenario.tags,
                    "engines": std::iter::once("sim").chain(scenario.engines.iter().map(|engine| engine.word())).collect::<Vec<_>>(),
                })
            })
            .collect();
        return print(&format!("{:#}", serde_json::Value::from(rows)));
    }
    let mut text = String::new();
    for Chosen { scenario, .. } in &chosen {
        let _ = writeln!(text, "{}  [{}]", scenario.name, scenario.tags.join(", "));
        for line in textwrap::wrap(&headline(&scenario.about), textwrap::Options::new(78)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    print(&text)
}

pub(super) fn check(files: &[PathBuf]) -> Result<u8, Failure> {
    let mut text = String::new();
    let mut bad = 0;
    let mut unread = None;
    for file in files {
        let shown = file.display().to_string();
        let content = match read(file) {
            Ok(content) => content,
            // The others are linted all the same.
            Err(failure) => {
                say(&format!("windtunnel: {}", failure.message));
                unread = Some(failure.code);
                continue;
            }
        };
        match crate::parse::parse(&shown, &content) {
            Ok(_) => {
                let _ = writeln!(text, "{shown}: good");
            }
            Err(problems) => {
                bad += problems.len();
                for problem in problems {
                    let _ = writeln!(text, "{problem}");
                }
            }
        }
    }
    print(&text)?;
    Ok(unread.unwrap_or(if bad == 0 { exit::PASSED } else { exit::USAGE }))
}

pub(super) fn explain(word: &str, calibration: Option<&Path>, toml: bool) -> Result<u8, Failure> {
    let mut scenario = one(word)?.scenario;
    if let Some(path) = calibration {
        scenario.service_time = Some(service_time(path, Engine::Sim)?);
    }
    if toml {
        return print(&scenario.to_toml().map_err(|error| Failure::harness(format!("failed to write TOML: {error}")))?);
    }
    print(&crate::explain::explain(&scenario))
}

/// What work costs, from a calibration file.
pub(super) fn service_time(path: &Path, engine: Engine) -> Result<ServiceTime, Failure> {
    if engine != Engine::Sim {
        return Err(Failure::usage(format!("{} has no service time: leave out --service-time", engine.word())));
    }
    let calibration = Calibration::read(path).map_err(|error| match error {
        CalibrationError::Unreadable { .. } => Failure::io(error.to_string()),
        CalibrationError::Malformed { .. } => Failure::usage(error.to_string()),
    })?;
    Ok(calibration.service_time())
}

pub(super) fn marks(json: bool) -> Result<u8, Failure> {
    if json {
        let row = |mark: &Mark| serde_json::json!({ "name": mark.name, "file": mark.file, "line": mark.line });
        return print(&format!("{:#}", serde_json::Value::from(marks::all().iter().map(row).collect::<Vec<_>>())));
    }
    let mut text = String::new();
    for mark in marks::all() {
        let _ = writeln!(text, "{}\n  {}", mark.name, mark.place());
    }
    print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_closed_range() {
        assert_eq!(seeds("1..3"), Ok(Seeds { first: 1, last: 3 }));
        assert_eq!(seeds("7..7"), Ok(Seeds { first: 7, last: 7 }));
        for text in ["", "3", "3..1", "a..b", "1..", "0..18446744073709551615"] {
            assert!(seeds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_headline_is_the_first_sentence() {
        assert_eq!(headline("One\n two. Three."), "One two.");
        assert_eq!(headline("One"), "One");
    }
}
