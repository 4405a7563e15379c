//! Which scenarios and seeds; and the commands that only look at them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Failure, SelectArgs, exit, print, say};
use crate::agenda::{self, SEEDS_MAX, Shard};
use crate::calibration::{Calibration, CalibrationError};
use crate::marks::Mark;
use crate::model::{Engine, Scenario, ServiceTime};
use crate::parse::Variant;
use crate::parse::distance::did_you_mean_or_list;
use crate::plan::Plan;
use crate::regressions::{self, Kept, Regression};
use crate::{catalogue, engine, marks};

/// Seeds from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seeds {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Seeds {
    pub(super) fn count(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// The most parts of a sweep.
pub(super) const SHARDS_MAX: u64 = 10_000;

/// What is run where nothing else is asked for.
pub(super) const DEFAULT: Seeds = Seeds { first: 1, last: 3 };

/// Reads `A..B`.
pub(super) fn seeds(text: &str) -> Result<Seeds, String> {
    agenda::range(text).map(|(first, last)| Seeds { first, last })
}

/// Reads `I/N`.
pub(super) fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((index, of)) if (1..=of).contains(&index) && of <= SHARDS_MAX => Ok(Shard { index, of }),
        _ => Err(format!("expected I/N with I from 1 to N and N up to {SHARDS_MAX}, such as 2/8")),
    }
}

/// A scenario with its text.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    /// How it is asked for alone: a name of the catalogue, or a path; of a matrix with the values (`NAME+conflate+100`, `x.toml+conflate+100`).
    pub(super) word: String,
    pub(super) scenario: Scenario,
    pub(super) text: String,
}

/// All scenarios of a file, or the one with these values.
fn parse(file: &str, values: Option<&str>, text: &str, read: &crate::parse::Read<'_>) -> Result<Vec<Chosen>, Failure> {
    let built_in = file.strip_prefix("catalogue/").or_else(|| file.strip_prefix("regressions/"));
    let word = built_in.and_then(|name| name.strip_suffix(".toml"));
    let is_built_in = |name: &&str| catalogue::find(name).is_ok() || regressions::find(name).is_some();
    match crate::parse::parse_all(file, text, read) {
        Ok(variants) => {
            let ending = |scenario: &Scenario| scenario.name.split_once('+').map(|(_, values)| values.to_owned());
            let known: Vec<String> = variants.iter().filter_map(|variant| ending(&variant.scenario)).collect();
            let chosen: Vec<Chosen> = variants
                .into_iter()
                .filter(|variant| values.is_none_or(|values| ending(&variant.scenario).as_deref() == Some(values)))
                .map(|Variant { scenario, text }| {
                    let base = word.filter(is_built_in).unwrap_or(file);
                    let word = ending(&scenario).map_or(base.to_owned(), |values| format!("{base}+{values}"));
                    Chosen { word, scenario, text }
                })
                .collect();
            if let (Some(values), true) = (values, chosen.is_empty()) {
                let hint = did_you_mean_or_list(values, known.iter().map(String::as_str));
                return Err(Failure::usage(format!("{file} has no scenario \"+{values}\"; {hint}")));
            }
            Ok(chosen)
        }
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(Failure::usage(format!("bad scenario file\n{}", lines.join("\n"))))
        }
    }
}

/// A part of a scenario file.
fn read_part(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("failed to read scenario file {}: {error}", path.display())))
}

/// The scenarios of a name, or of a file by its path: several, where there is a matrix. With values (`NAME+conflate+100`) one of them.
pub(super) fn many(word: &str) -> Result<Vec<Chosen>, Failure> {
    let (base, values) = match word.split_once(".toml+") {
        Some((path, values)) => (&word[..path.len() + ".toml".len()], Some(values)),
        None if word.ends_with(".toml") || word.contains(std::path::MAIN_SEPARATOR) => (word, None),
        None => word.split_once('+').map_or((word, None), |(name, values)| (name, Some(values))),
    };
    let path = Path::new(base);
    if path.extension().is_some_and(|extension| extension == "toml") || base.contains(std::path::MAIN_SEPARATOR) {
        return parse(base, values, &read(path)?, &read_part);
    }
    if let Some(kept) = regressions::find(base) {
        return parse(&kept.file(), values, kept.text, &catalogue::part);
    }
    match catalogue::find(base) {
        Ok(entry) => parse(&entry.file(), values, entry.text, &catalogue::part),
        Err(unknown) => {
            Err(Failure::usage(format!("{unknown}; see `windtunnel list`, or give the path of a .toml file")))
        }
    }
}

/// The one scenario of a name or of a file.
pub(super) fn one(word: &str) -> Result<Chosen, Failure> {
    let mut chosen = many(word)?;
    match (chosen.pop(), chosen.as_slice()) {
        (Some(one), []) => Ok(one),
        (last, others) => {
            let words: Vec<&str> = others.iter().chain(&last).map(|chosen| chosen.word.as_str()).collect();
            Err(Failure::usage(format!("{word} has a [matrix]: name one of {}", words.join(", "))))
        }
    }
}

/// Of several words, the scenarios of each.
fn of_all<'w>(words: impl Iterator<Item = &'w str>) -> Result<Vec<Chosen>, Failure> {
    Ok(words.map(many).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The scenarios and seeds asked for. In a world that cannot express everything, "all" means those that name it.
pub(super) fn choose(args: &SelectArgs, engine: Engine) -> Result<(Vec<Chosen>, Seeds), Failure> {
    let mut chosen = if args.scenarios.is_empty() {
        of_all(catalogue::all().iter().map(|entry| entry.name))?
    } else {
        of_all(args.scenarios.iter().map(String::as_str))?
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
    if engine == Engine::Sockets && args.scenarios.is_empty() {
        chosen.retain(|chosen| engine::able(&Plan::new(&chosen.scenario, 0), engine).is_ok());
    }
    let mut names = BTreeSet::new();
    for Chosen { scenario, .. } in &chosen {
        engine::able(&Plan::new(scenario, 0), engine).map_err(|error| Failure::engine(&error))?;
        // Its runs are told apart by its name: one would write over the other.
        if !names.insert(scenario.name.as_str()) {
            return Err(Failure::usage(format!("the scenario {:?} is asked for twice", scenario.name)));
        }
    }
    let seeds = args.asked().unwrap_or(DEFAULT);
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
    let chosen = of_all(catalogue::all().iter().map(|entry| entry.name))?;
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
        let bank = bank()?;
        let rows = rows.into_iter().chain(bank.iter().map(|Kept { scenario, regression, .. }| {
            serde_json::json!({
                "name": scenario.name, "about": scenario.about.trim(), "tags": scenario.tags, "engines": ["sim"], "regression": regression,
            })
        }));
        return print(&format!("{:#}", serde_json::Value::from(rows.collect::<Vec<_>>())));
    }
    let mut text = String::new();
    for Chosen { scenario, .. } in &chosen {
        let _ = writeln!(text, "{}  [{}]", scenario.name, scenario.tags.join(", "));
        for line in textwrap::wrap(&headline(&scenario.about), textwrap::Options::new(78)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    let bank = bank()?;
    if !bank.is_empty() {
        text.push_str("\nregressions\n");
    }
    for Kept { scenario, regression, .. } in &bank {
        let planted = regression.mutant.as_ref().map_or_else(String::new, |mutant| format!(", planted {mutant}"));
        let _ = writeln!(text, "{}  [{}{planted}]", scenario.name, regression.expect.word());
        for line in textwrap::wrap(&regression.fingerprint.to_string(), textwrap::Options::new(78)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    print(&text)
}

/// The bank of regressions, read.
fn bank() -> Result<Vec<Kept>, Failure> {
    let read = regressions::all().iter().map(regressions::Entry::kept);
    read.collect::<Result<_, _>>().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::harness(format!("the bank has an entry that is not good\n{}", lines.join("\n")))
    })
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
        match crate::parse::parse_all(&shown, &content, &read_part) {
            Ok(variants) if variants.len() > 1 => {
                let _ = writeln!(text, "{shown}: good, {} scenarios", variants.len());
            }
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
    // Two files in one would be none.
    let chosen = if toml { vec![one(word)?] } else { many(word)? };
    let mut pages = Vec::new();
    for Chosen { mut scenario, .. } in chosen {
        if let Some(path) = calibration {
            scenario.service_time = Some(service_time(path, Engine::Sim)?);
        }
        pages.push(if toml {
            scenario.to_toml().map_err(|error| Failure::harness(format!("failed to write TOML: {error}")))?
        } else {
            let known = regressions::find(word).map(regressions::Entry::kept);
            let told = known.and_then(Result::ok).map_or_else(String::new, |kept| told(&kept.regression));
            format!("{}{told}", crate::explain::explain(&scenario))
        });
    }
    print(&pages.join("\n\n"))
}

/// What is known of a failure that was kept, in lines.
fn told(regression: &Regression) -> String {
    let Regression { expect, fingerprint, seed, order, mutant, found_by, date, why, .. } = regression;
    let order = if *order == 0 { String::new() } else { format!(", order {order}") };
    let mutant = mutant.as_ref().map_or_else(String::new, |mutant| format!(", with the planted bug {mutant}"));
    let why = why.as_ref().map_or_else(String::new, |why| format!("\n  {why}"));
    format!(
        "\n\nkept on {date}, found by {found_by}: it failed with seed {seed}{order}{mutant}\n  {fingerprint}\n  now it {}{why}",
        expect.word()
    )
}

/// What work costs, from a calibration file.
pub(super) fn service_time(path: &Path, engine: Engine) -> Result<ServiceTime, Failure> {
    if engine != Engine::Sim {
        return Err(Failure::usage(format!("{} has no service time: leave out --service-time", engine.word())));
    }
    Ok(calibration(path)?.service_time())
}

/// A calibration file.
pub(super) fn calibration(path: &Path) -> Result<Calibration, Failure> {
    Calibration::read(path).map_err(|error| match error {
        CalibrationError::Unreadable { .. } => Failure::io(error.to_string()),
        CalibrationError::Malformed { .. } => Failure::usage(error.to_string()),
    })
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
    fn a_shard_is_one_of_so_many() {
        assert_eq!(shard("2/8"), Ok(Shard { index: 2, of: 8 }));
        for text in ["", "2", "0/8", "9/8", "1/0", "a/b", "1/99999", "-1/2"] {
            assert!(shard(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_scenario_of_the_catalogue_is_found_again_by_its_word() {
        for entry in catalogue::all() {
            for chosen in many(entry.name).unwrap() {
                assert_eq!(chosen.word, chosen.scenario.name);
                assert_eq!(one(&chosen.word).unwrap().scenario, chosen.scenario);
            }
        }
    }

    #[test]
    fn the_headline_is_the_first_sentence() {
        assert_eq!(headline("One\n two. Three."), "One two.");
        assert_eq!(headline("One"), "One");
    }
}
