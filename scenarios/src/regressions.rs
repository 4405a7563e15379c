//! The bank: failures that were found once, each as the smallest scenario that showed it. They are run first, so that what was mended stays mended, and
//! what is still open is known.
//!
//! ```text
//!   regressions/NAME.toml = a scenario + [regression]: how it failed, seed, order, planted bug, what is expected now
//!
//!   expect = "fails"   an open bug      it must fail in that way; where it passes, it no longer reproduces: inconclusive, not green
//!   expect = "holds"   a mended one     it must pass, and still come near: what the failing run reached stands in [[reach]], and in checked-min;
//!                                       with its planted bug, if one is named, it must still fail
//! ```
//!
//! Plans are kept and not seeds of generators: a seed means another run as soon as the code draws once more.

mod judge;
mod keep;

use serde::{Deserialize, Serialize};

pub use self::judge::{Judged, judge};
pub use self::keep::{Keep, KeepError, keep};
use crate::engine::{self, EngineError, Options, Run};
use crate::fingerprint::Fingerprint;
use crate::model::{Engine, Scenario};
use crate::mutants::{self, Mutant};
use crate::parse::{Problem, parse};
use crate::plan::Plan;

/// Where they are, from the top of the tree.
pub const FOLDER: &str = "scenarios/regressions";

/// Entries at most: beyond, those that others include must go.
pub const ENTRIES_MAX: usize = 64;

/// One file of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, also its scenario's.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

/// Made from the folder by the build script, by name.
static ALL: &[Entry] = include!(concat!(env!("OUT_DIR"), "/regressions.rs"));

/// The whole bank, by name.
#[must_use]
pub fn all() -> &'static [Entry] {
    ALL
}

/// The entry of that name, if there is one.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// An open bug: it fails as it did.
    Fails,
    /// A mended one: it passes.
    Holds,
}

impl Expect {
    /// The word in files and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Expect::Fails => "fails",
            Expect::Holds => "holds",
        }
    }
}

/// The table `[regression]` of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Regression {
    /// What is expected now.
    pub expect: Expect,
    /// How it failed.
    pub fingerprint: Fingerprint,
    /// The seed.
    pub seed: u64,
    /// The order of ready tasks.
    #[serde(default)]
    pub order: u64,
    /// The planted bug with which it failed, if it was none of the proxy's own.
    #[serde(default)]
    pub mutant: Option<String>,
    /// How it came to light.
    pub found_by: String,
    /// The commit in which it was kept.
    #[serde(default)]
    pub commit: Option<String>,
    /// The day on which it was kept.
    pub date: String,
    /// What a person has to say of it.
    #[serde(default)]
    pub why: Option<String>,
}

/// An entry, read.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The scenario.
    pub scenario: Scenario,
    /// What is known of it.
    pub regression: Regression,
    /// The planted bug that it names.
    pub mutant: Option<&'static Mutant>,
    /// The file.
    pub text: String,
}

/// Reads a file of the bank.
///
/// # Errors
/// What is wrong with its scenario, or with its table.
pub fn read(file: &str, text: &str) -> Result<Kept, Vec<Problem>> {
    /// The one table of the file that is no scenario's.
    #[derive(Deserialize)]
    struct File {
        regression: Regression,
    }
    let scenario = parse(file, text)?;
    let problem = |message: String| {
        let line = text.lines().position(|line| line.trim() == "[regression]").map_or(1, |line| line + 1);
        vec![Problem { file: file.to_owned(), line, column: 1, message, hint: None }]
    };
    let File { regression } = toml::from_str(text).map_err(|error| problem(error.message().to_owned()))?;
    let mutant = match &regression.mutant {
        Some(name) => Some(mutants::find(name).map_err(|unknown| problem(unknown.to_string()))?),
        None => None,
    };
    if regression.expect == Expect::Fails && mutant.is_some() {
        return Err(problem("a planted bug is no open bug: write expect = \"holds\"".to_owned()));
    }
    Ok(Kept { scenario, regression, mutant, text: text.to_owned() })
}

impl Entry {
    /// The file's name for messages.
    #[must_use]
    pub fn file(&self) -> String {
        format!("regressions/{}.toml", self.name)
    }

    /// The entry, read.
    ///
    /// # Errors
    /// As [`read`]; a test sees to it that there is none.
    pub fn kept(&self) -> Result<Kept, Vec<Problem>> {
        read(&self.file(), self.text)
    }
}

impl Kept {
    fn options(&self, mutant: Option<&'static Mutant>) -> Options {
        Options { engine: Engine::Sim, mutant, order: self.regression.order, keep_events: false }
    }

    /// Runs it, and with its planted bug where it names one, and judges what came of it.
    ///
    /// # Errors
    /// [`EngineError`] where the harness fails.
    pub fn replay(&self) -> Result<(Judged, Run), EngineError> {
        let plan = Plan::new(&self.scenario, self.regression.seed);
        let run = engine::run(&plan, self.options(None))?;
        let planted = self.mutant.map(|mutant| engine::run(&plan, self.options(Some(mutant)))).transpose()?;
        Ok((judge(self, &run.verdict, planted.as_ref().map(|run| &run.verdict)), run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::deliveries;

    #[test]
    fn every_entry_is_without_a_problem_and_each_file_is_an_entry() {
        for entry in all() {
            if let Err(problems) = entry.kept() {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                panic!("{}", lines.join("\n"));
            }
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the bank")
            .map(|file| file.expect("a file").file_name().into_string().expect("text"))
            .collect();
        files.sort();
        let known: Vec<String> = all().iter().map(|entry| format!("{}.toml", entry.name)).collect();
        assert_eq!(files, known);
    }

    #[test]
    fn the_bank_as_a_whole_costs_little() {
        let planned: Vec<(f64, f64)> = all()
            .iter()
            .map(|entry| {
                let Kept { scenario, mutant, .. } = entry.kept().expect("good");
                let times = if mutant.is_some() { 2.0 } else { 1.0 };
                let span = |span: crate::span::Span| span.as_secs_f64();
                let seconds = span(scenario.warmup) + span(scenario.steady) + span(scenario.recovery);
                (times * deliveries(&scenario), times * seconds)
            })
            .collect();
        let (messages, seconds) = planned.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert!(all().len() <= ENTRIES_MAX, "{} entries", all().len());
        assert!(
            messages <= 300_000.0,
            "{messages} deliveries: as much as the largest scenario of the catalogue at most"
        );
        assert!(seconds <= 1_200.0, "{seconds} simulated seconds");
    }
}
