//! Text of a scenario file to a checked [`Scenario`], or everything that is wrong with it at once.
//!
//! ```text
//!   text -- syntax --> tree with positions -- shape --> model::Scenario -- meaning --> Ok
//!            |                                 |                            |
//!            all with file:line:column, what is wrong, what was probably meant
//! ```
//!
//! *Shape* holds the tree against the table of keys in [`keys`]: unknown keys, missing keys, wrong types, values out of range. *Meaning* holds the values
//! against one another: targets that do not exist, objectives that this scenario cannot check, states that it cannot reach. Before both, [`include`] lays a file
//! over those that it includes, and [`matrix`] makes several scenarios of one.

pub mod brief;
pub(crate) mod distance;
pub mod format;
mod include;
pub mod keys;
mod matrix;
mod meaning;
pub mod objectives;
mod place;
mod shape;
pub(crate) mod tree;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

pub use self::include::Read;
use self::include::Sources;
pub(crate) use self::meaning::load::arrived_us;
#[cfg(test)]
pub(crate) use self::meaning::load::deliveries;
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

/// One scenario of a file.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The scenario. Of a matrix its name is the file's with a word for each value: `slow+conflate+100`.
    pub scenario: Scenario,
    /// A file that says this scenario and needs no other: the text itself, if it has neither `include` nor `[matrix]`, else [`Scenario::to_toml`].
    pub text: String,
}

/// Reads a scenario from a file that holds one. `file` is its name for messages; if it ends in `.toml`, the scenario must bear the same name. What it may
/// include are the catalogue's own parts: nothing else is read.
///
/// # Errors
/// Every problem found, in order of position: all of syntax, else all of shape together with those of meaning that can be judged. A file with a `[matrix]` holds
/// several: see [`parse_all`].
pub fn parse(file: &str, text: &str) -> Result<Scenario, Vec<Problem>> {
    let mut variants = parse_all(file, text, &crate::catalogue::part)?;
    match (variants.pop(), variants.is_empty()) {
        (Some(one), true) => Ok(one.scenario),
        _ => Err(vec![Problem {
            file: file.to_owned(),
            line: 1,
            column: 1,
            message: "the file has a [matrix], and one scenario is asked for".to_owned(),
            hint: None,
        }]),
    }
}

/// One thing that is wrong with a scenario that no file says.
#[derive(Debug)]
pub(crate) struct Misplaced {
    /// The value.
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Reads what was written out by [`Scenario::to_toml`].
pub(crate) fn judge(text: &str) -> Result<Scenario, Vec<Misplaced>> {
    let mut problems = Problems::default();
    let Ok(root) = DeTable::parse(text) else { return Err(Vec::new()) };
    let tree = root.clone();
    let scenario = read_one("", root, &mut problems);
    match scenario {
        Some(scenario) if problems.found.is_empty() => Ok(scenario),
        _ => {
            problems.found.sort_by_key(|found| found.span.start);
            let misplaced = |found: Found| {
                let path = place::path(&tree, found.span.start);
                Misplaced { path, message: found.message, hint: found.hint }
            };
            Err(problems.found.into_iter().map(misplaced).collect())
        }
    }
}

/// Reads all scenarios of a file, which may include others and have a `[matrix]`. `read` gives the text of what is included.
///
/// # Errors
/// As [`parse`]; what is wrong in some scenarios of a matrix only is said of the first of them, by name.
pub fn parse_all(file: &str, text: &str, read: &Read<'_>) -> Result<Vec<Variant>, Vec<Problem>> {
    let mut problems = Problems::default();
    let sources = Sources::gather(file, text, read, &mut problems);
    let variants = read_all(file, text, &sources, &mut problems);
    let problems = sources.located(problems);
    if problems.is_empty() { Ok(variants) } else { Err(problems) }
}

fn read_all(file: &str, text: &str, sources: &Sources, problems: &mut Problems) -> Vec<Variant> {
    let Some(tree) = sources.tree(problems) else { return Vec::new() };
    if !problems.found.is_empty() {
        // What is not there would be missed below.
        return Vec::new();
    }
    let mut root = tree.into_inner();
    shape::take_regression(&mut root, problems);
    let points = matrix::points(&mut root, problems);
    if !problems.found.is_empty() {
        return Vec::new();
    }
    let alone = points.len() == 1 && !sources.several();
    let (mut variants, mut found) = (Vec::new(), Vec::new());
    for point in &points {
        let mut own = Problems::default();
        let mut root = root.clone();
        point.apply(&mut root, &mut own);
        let scenario = read_one(file, Spanned::new(0..0, root), &mut own);
        let name = scenario.as_ref().map_or_else(String::new, |scenario| point.name(&scenario.name));
        match scenario {
            Some(mut scenario) if own.found.is_empty() => {
                scenario.name = name;
                let plain = if alone { Ok(text.to_owned()) } else { scenario.to_toml() };
                match plain {
                    Ok(text) => variants.push(Variant { scenario, text }),
                    Err(error) => problems.at(0..0, format!("cannot be written out: {error}")),
                }
            }
            _ => found.push((name, own.found)),
        }
    }
    problems.found.extend(of_all(found, points.len()));
    variants
}

/// What is wrong in all scenarios is said once, and what in some, of the first of them.
fn of_all(found: Vec<(String, Vec<Found>)>, count: usize) -> Vec<Found> {
    let mut told: Vec<(Found, String, usize)> = Vec::new();
    for (name, found) in found {
        for one in found {
            match told.iter_mut().find(|(told, ..)| told.says_the_same(&one)) {
                Some((.., times)) => *times += 1,
                None => told.push((one, name.clone(), 1)),
            }
        }
    }
    let words = |(mut found, name, times): (Found, String, usize)| {
        if times < count && !name.is_empty() {
            let more = if times > 1 { format!(" and {} more", times - 1) } else { String::new() };
            found.message = format!("in {name}{more}: {}", found.message);
        }
        found
    };
    told.into_iter().map(words).collect()
}

fn read_one(file: &str, mut root: Spanned<DeTable<'_>>, problems: &mut Problems) -> Option<Scenario> {
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

/// The line of a scenario file that asks for an invariant, or that of a key of the whole file; that of its name where neither is there.
pub(crate) fn line_of_check(text: &str, name: &str) -> usize {
    let (root, _) = DeTable::parse_recoverable(text);
    let root = root.get_ref();
    let key = |table: &DeTable<'_>, name: &str| {
        table.iter().find(|(key, _)| key.get_ref() == name).map(|(key, _)| key.span().start)
    };
    let check = place::get(root, "check").and_then(|check| key(check.get_ref().as_table()?, name));
    let at = check.or_else(|| key(root, name)).or_else(|| key(root, "name")).unwrap_or_default();
    place::Lines::new(text).position(at).0
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

impl Found {
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.span, &self.message, &self.hint) == (&other.span, &other.message, &other.hint)
    }
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
