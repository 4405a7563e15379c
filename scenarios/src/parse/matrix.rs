//! `[matrix]`: one file, several scenarios: the cross product of some values.
//!
//! ```toml
//! [matrix]
//! "proxy.slow-client" = ["conflate", "disconnect"]
//! "clients.viewers.count" = [100, 1000]
//! ```
//!
//! A path leads through tables by their keys, and through lists of tables by the item's `name`, or by its number from 0.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problems;
use super::distance::did_you_mean_or_list;
use super::place::get;

/// The key.
pub(super) const KEY: &str = "matrix";

/// Scenarios of one file at most.
pub(super) const VARIANTS_MAX: usize = 100;
/// Characters of a value in a scenario's name at most.
const WORD_MAX: usize = 24;

/// One path and its values.
struct Axis<'t> {
    path: Vec<String>,
    span: Range<usize>,
    values: Vec<Spanned<DeValue<'t>>>,
}

/// A scenario of the matrix: what is to be set, and the words for it that its name ends in.
pub(super) struct Point<'t> {
    set: Vec<(Vec<String>, Range<usize>, Spanned<DeValue<'t>>)>,
    words: Vec<String>,
}

impl<'t> Point<'t> {
    /// The name of the scenario: the file's, and a word for each value.
    pub(super) fn name(&self, base: &str) -> String {
        std::iter::once(base).chain(self.words.iter().map(String::as_str)).collect::<Vec<_>>().join("+")
    }

    /// Sets its values in a tree.
    pub(super) fn apply(&self, root: &mut DeTable<'t>, problems: &mut Problems) {
        for (path, span, value) in &self.set {
            let steps: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Err((message, hint)) = set(root, &steps, span, value) {
                problems.hinted(span.clone(), message, hint);
            }
        }
    }
}

/// Takes the matrix out of a tree. One point that sets nothing, if there is none; no point, if it is wrong.
pub(super) fn points<'t>(root: &mut DeTable<'t>, problems: &mut Problems) -> Vec<Point<'t>> {
    let nothing = || vec![Point { set: Vec::new(), words: Vec::new() }];
    let Some((key, value)) = root.remove_entry(KEY) else { return nothing() };
    let whole = key.span();
    let DeValue::Table(table) = value.into_inner() else {
        let hint = "write [matrix] and under it \"proxy.queue-bytes\" = [4096, 65536]".to_owned();
        problems.hinted(whole, "matrix must be a table of paths, each with a list of values".to_owned(), Some(hint));
        return Vec::new();
    };
    let mut axes = Vec::new();
    let before = problems.found.len();
    collect(table, &mut Vec::new(), &mut axes, problems);
    // In the order of the file.
    axes.sort_by_key(|axis: &Axis<'_>| axis.span.start);
    if problems.found.len() > before {
        return Vec::new();
    }
    if axes.is_empty() {
        problems.at(whole, "the matrix has no path with values".to_owned());
        return Vec::new();
    }
    let count = axes.iter().fold(1_usize, |count, axis| count.saturating_mul(axis.values.len()));
    if count > VARIANTS_MAX {
        problems.at(whole, format!("the matrix makes {count} scenarios, {VARIANTS_MAX} at most"));
        return Vec::new();
    }
    let mut points = nothing();
    for axis in &axes {
        let longer = |point: &Point<'t>| -> Vec<Point<'t>> {
            let one = |value: &Spanned<DeValue<'t>>| Point {
                set: point.set.iter().cloned().chain([(axis.path.clone(), axis.span.clone(), value.clone())]).collect(),
                words: point.words.iter().cloned().chain([word(value.get_ref())]).collect(),
            };
            axis.values.iter().map(one).collect()
        };
        points = points.iter().flat_map(longer).collect();
    }
    points
}

/// Every list in a table and in the tables within it: a dotted key without quotes is a table within a table.
fn collect<'t>(table: DeTable<'t>, path: &mut Vec<String>, axes: &mut Vec<Axis<'t>>, problems: &mut Problems) {
    for (key, value) in table {
        let depth = path.len();
        path.extend(key.get_ref().split('.').map(str::to_owned));
        let (span, place) = (key.span(), value.span());
        match value.into_inner() {
            DeValue::Table(within) => collect(within, path, axes, problems),
            DeValue::Array(items) => {
                let values: Vec<_> = items.into_iter().collect();
                distinct(&path.join("."), &values, &place, problems);
                axes.push(Axis { path: path.clone(), span, values });
            }
            _ => {
                let message = format!("\"{}\" must have a list of values", path.join("."));
                problems.hinted(place, message, Some("a value that does not vary stands in its own table".to_owned()));
            }
        }
        path.truncate(depth);
    }
}

/// Values are there, and their words differ: scenarios are told apart by them.
fn distinct(path: &str, values: &[Spanned<DeValue<'_>>], place: &Range<usize>, problems: &mut Problems) {
    if values.is_empty() {
        problems.at(place.clone(), format!("\"{path}\" has no value"));
    }
    let words: Vec<String> = values.iter().map(|value| word(value.get_ref())).collect();
    for (index, value) in values.iter().enumerate() {
        if words[..index].contains(&words[index]) {
            let message = format!("\"{path}\" has two values that would be called \"{}\"", words[index]);
            problems.at(value.span(), message);
        }
    }
}

/// A value as it stands in a scenario's name: lower-case letters, digits, points and hyphens.
fn word(value: &DeValue<'_>) -> String {
    let mut text = String::new();
    flat(value, &mut text);
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { ' ' };
    let words: String = text.chars().map(safe).collect();
    let word: String = words.split_whitespace().collect::<Vec<_>>().join("-").chars().take(WORD_MAX).collect();
    let word = word.trim_matches(['-', '.']);
    if word.is_empty() { "x".to_owned() } else { word.to_owned() }
}

fn flat(value: &DeValue<'_>, text: &mut String) {
    match value {
        DeValue::String(string) => *text += string,
        DeValue::Integer(number) => *text += number.as_str(),
        DeValue::Float(number) => *text += number.as_str(),
        DeValue::Boolean(flag) => *text += if *flag { "true" } else { "false" },
        DeValue::Datetime(time) => *text += &time.to_string(),
        DeValue::Array(items) => items.iter().for_each(|item| {
            flat(item.get_ref(), text);
            text.push(' ');
        }),
        DeValue::Table(table) => table.iter().for_each(|(key, value)| {
            *text += key.get_ref();
            text.push(' ');
            flat(value.get_ref(), text);
            text.push(' ');
        }),
    }
}

type Wrong = (String, Option<String>);

/// Sets what is at the end of a path. Tables on the way are made; items of lists must be there.
fn set<'t>(
    table: &mut DeTable<'t>,
    path: &[&str],
    span: &Range<usize>,
    value: &Spanned<DeValue<'t>>,
) -> Result<(), Wrong> {
    let [first, rest @ ..] = path else { return Ok(()) };
    if rest.is_empty() {
        table.remove(*first);
        // The key stands in the matrix: there it is wrong, if it is.
        table.insert(Spanned::new(span.clone(), (*first).to_owned().into()), value.clone());
        return Ok(());
    }
    if get(table, first).is_none() {
        let fresh = Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
        table.insert(Spanned::new(span.clone(), (*first).to_owned().into()), fresh);
    }
    let Some(next) = table.get_mut(*first) else { return Ok(()) };
    match next.get_mut() {
        DeValue::Table(within) => set(within, rest, span, value),
        DeValue::Array(items) => {
            let [which, rest @ ..] = rest else { return Ok(()) };
            let names: Vec<String> =
                items.iter().enumerate().map(|(index, item)| called(index, item.get_ref())).collect();
            let place = names.iter().position(|name| name == which).or_else(|| which.parse().ok());
            match place.and_then(|place| items.get_mut(place)).map(Spanned::get_mut) {
                Some(DeValue::Table(_)) if rest.is_empty() => {
                    Err((format!("\"{first}.{which}\" is a whole table"), Some("name one of its keys".to_owned())))
                }
                Some(DeValue::Table(within)) => set(within, rest, span, value),
                _ => {
                    let hint = did_you_mean_or_list(which, names.iter().map(String::as_str));
                    Err((format!("{first} has no \"{which}\""), Some(hint)))
                }
            }
        }
        _ => Err((format!("\"{first}\" has no keys of its own"), None)),
    }
}

/// The name of an item, or its number.
fn called(index: usize, item: &DeValue<'_>) -> String {
    let name = item.as_table().and_then(|table| get(table, "name")).and_then(|name| name.get_ref().as_str());
    name.map_or_else(|| index.to_string(), str::to_owned)
}
