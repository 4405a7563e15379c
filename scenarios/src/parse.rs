//! Text of a scenario file to a checked [`Scenario`], or everything that is wrong with it at once.
//!
//! ```text
//!   text -- syntax --> tree with positions -- shape --> model::Scenario -- meaning --> Ok
//!            |                                 |                            |
//!            all with file:line:column, what is wrong, what was probably meant
//! ```
//!
//! *Shape* holds the tree against the table of keys in [`keys`]: unknown keys, missing keys, wrong types, values out of range. *Meaning* holds the values
//! against one another: targets that do not exist, objectives that this scenario cannot check, states that it cannot reach.

pub(crate) mod distance;
pub mod format;
pub mod keys;
mod meaning;
pub mod objectives;
mod place;
mod shape;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::de::DeTable;

pub(crate) use self::meaning::load::arrived_us;
#[cfg(test)]
pub(crate) use self::meaning::load::deliveries;
use self::place::Lines;
use crate::model::Scenario;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as it was named to [`parse`].
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What was probably meant, or what would do.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Problem {}

/// Reads a scenario. `file` is its name for messages; if it ends in `.toml`, the scenario must bear the same name.
///
/// # Errors
/// Every problem found, in order of position: all of syntax, else all of shape together with those of meaning that can be judged.
pub fn parse(file: &str, text: &str) -> Result<Scenario, Vec<Problem>> {
    let mut problems = Problems::default();
    let scenario = read(file, text, &mut problems);
    let lines = Lines::new(text);
    let mut problems: Vec<Problem> = problems
        .found
        .into_iter()
        .map(|Found { span, message, hint, .. }| {
            let (line, column) = lines.position(span.start);
            Problem { file: file.to_owned(), line, column, message, hint }
        })
        .collect();
    problems.sort();
    problems.dedup();
    match scenario {
        Some(scenario) if problems.is_empty() => Ok(scenario),
        _ => Err(problems),
    }
}

fn read(file: &str, text: &str, problems: &mut Problems) -> Option<Scenario> {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let bare = text.get(span.clone()).is_some_and(|at| at.starts_with(|c: char| c.is_ascii_alphabetic()));
            let hint = (bare && error.message().starts_with("invalid ")).then(|| "text stands in quotes".to_owned());
            problems.hinted(span, error.message().to_owned(), hint);
        }
        return None;
    }
    // Unknown keys are taken out of the tree, so that the rest can still be judged.
    shape::check(&mut root, problems);
    let values_right = problems.found.iter().all(|found| found.unknown_key);
    let tree = root.clone();
    match Scenario::deserialize(toml::de::Deserializer::from(root)) {
        Ok(scenario) => {
            meaning::check(file, &scenario, &tree, values_right, problems);
            Some(scenario)
        }
        Err(error) => {
            // What shape has found says the same better; this is for what only serde knows.
            if problems.found.is_empty() {
                problems.at(error.span().unwrap_or(0..0), error.message().to_owned());
            }
            None
        }
    }
}

/// What was found so far, by byte offset.
#[derive(Debug, Default)]
struct Problems {
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    span: Range<usize>,
    message: String,
    hint: Option<String>,
    /// It can be left out of sight while the rest is judged.
    unknown_key: bool,
}

impl Problems {
    fn at(&mut self, span: Range<usize>, message: String) {
        self.found.push(Found { span, message, hint: None, unknown_key: false });
    }

    fn hinted(&mut self, span: Range<usize>, message: String, hint: Option<String>) {
        self.found.push(Found { span, message, hint, unknown_key: false });
    }

    fn unknown_key(&mut self, span: Range<usize>, key: &str, hint: String) {
        self.found.push(Found { span, message: format!("unknown key \"{key}\""), hint: Some(hint), unknown_key: true });
    }
}
