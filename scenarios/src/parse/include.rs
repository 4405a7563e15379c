//! `include`: a file laid over others, with each value still at its own place in its own file.
//!
//! ```text
//!   include = ["parts/a.toml", "parts/b.toml"]         a, then b over it, then the including file over both:
//!                                                      tables key by key, lists of tables one after the other, all else replaced
//! ```
//!
//! Positions are offsets into all texts together: file k begins where those before it end.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{Lines, get};
use super::{Problem, Problems};

/// The key.
pub(super) const KEY: &str = "include";

/// Files that stand in one another, one above the other, at most.
const DEPTH_MAX: usize = 8;
/// Files of one scenario at most.
const FILES_MAX: usize = 64;
/// Bytes of one file at most.
const BYTES_MAX: usize = 4 << 20;

/// Reads a part by its path, that of the including file joined with what stands there. The error continues "failed to read PATH: ".
pub type Read<'r> = dyn Fn(&str) -> Result<String, String> + 'r;

/// A file and its text.
struct Source {
    file: String,
    text: String,
    /// Where its first byte is among all.
    base: usize,
    /// Places in the list of what it includes.
    includes: Vec<usize>,
}

/// The file, and all that it includes.
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// Reads what `file` includes, and what that includes.
    pub(super) fn gather(file: &str, text: &str, read: &Read<'_>, problems: &mut Problems) -> Self {
        let mut sources = Self(Vec::new());
        sources.push(file.to_owned(), text.to_owned());
        sources.follow(0, &mut vec![normal(file)], read, problems);
        sources
    }

    /// Whether there is more than one.
    pub(super) fn several(&self) -> bool {
        self.0.len() > 1
    }

    fn push(&mut self, file: String, text: String) -> usize {
        let base = self.0.last().map_or(0, |last| last.base + last.text.len() + 1);
        self.0.push(Source { file, text, base, includes: Vec::new() });
        self.0.len() - 1
    }

    /// `trail` leads from the first file to this one.
    fn follow(&mut self, place: usize, trail: &mut Vec<String>, read: &Read<'_>, problems: &mut Problems) {
        let (text, base) = (self.0[place].text.clone(), self.0[place].base);
        let Ok(root) = DeTable::parse(&text) else { return };
        let Some(value) = get(root.get_ref(), KEY) else { return };
        let DeValue::Array(items) = value.get_ref() else {
            let message = "include must be a list of files".to_owned();
            problems.hinted(shifted(value.span(), base), message, Some("write include = [\"parts/..\"]".to_owned()));
            return;
        };
        for item in items {
            let span = shifted(item.span(), base);
            let DeValue::String(given) = item.get_ref() else {
                problems.at(span, "include must be a list of files, each a path in quotes".to_owned());
                continue;
            };
            let path = beside(&self.0[place].file, given);
            if trail.contains(&path) {
                let round: Vec<&str> = trail.iter().map(String::as_str).chain([path.as_str()]).collect();
                problems.at(span, format!("{path} includes itself: {}", round.join(" > ")));
            } else if trail.len() > DEPTH_MAX {
                problems.at(span, format!("{path} is included {} files deep, {DEPTH_MAX} at most", trail.len()));
            } else if self.0.len() >= FILES_MAX {
                problems.at(span, format!("more than {FILES_MAX} files are included"));
                return;
            } else {
                match read(&path) {
                    Ok(text) if text.len() > BYTES_MAX => {
                        problems.at(span, format!("{path} has {} bytes, {BYTES_MAX} at most", text.len()));
                    }
                    Ok(text) => {
                        let part = self.push(path.clone(), text);
                        self.0[place].includes.push(part);
                        trail.push(path);
                        self.follow(part, trail, read, problems);
                        trail.pop();
                    }
                    Err(why) => problems.at(span, format!("failed to read {path}: {why}")),
                }
            }
        }
    }

    /// All files as one tree, the first over all others. None: some text is no TOML.
    pub(super) fn tree(&self, problems: &mut Problems) -> Option<Spanned<DeTable<'_>>> {
        let trees: Vec<Option<DeTable<'_>>> = self.0.iter().map(|source| parsed(source, problems)).collect();
        let trees: Vec<DeTable<'_>> = trees.into_iter().collect::<Option<_>>()?;
        // The file as a whole begins where it begins.
        Some(Spanned::new(0..0, self.merged(0, &trees)))
    }

    fn merged<'t>(&'t self, place: usize, trees: &[DeTable<'t>]) -> DeTable<'t> {
        let mut below = DeTable::new();
        for part in &self.0[place].includes {
            lay_over(&mut below, self.merged(*part, trees));
        }
        let mut own = trees[place].clone();
        own.remove(KEY);
        lay_over(&mut below, own);
        below
    }

    /// What was found, each where it stands.
    pub(super) fn located(&self, problems: Problems) -> Vec<Problem> {
        let lines: Vec<Lines<'_>> = self.0.iter().map(|source| Lines::new(&source.text)).collect();
        let mut located: Vec<(usize, Problem)> = problems
            .found
            .into_iter()
            .map(|found| {
                let place = self.0.partition_point(|source| source.base <= found.span.start).saturating_sub(1);
                let source = &self.0[place];
                let (line, column) = lines[place].position(found.span.start - source.base);
                let file = source.file.clone();
                (place, Problem { file, line, column, message: found.message, hint: found.hint })
            })
            .collect();
        located.sort();
        located.dedup();
        located.into_iter().map(|(_, problem)| problem).collect()
    }
}

fn parsed<'t>(source: &'t Source, problems: &mut Problems) -> Option<DeTable<'t>> {
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return Some(moved_table(root.into_inner(), source.base));
    }
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let bare = source.text.get(span.clone()).is_some_and(|at| at.starts_with(|c: char| c.is_ascii_alphabetic()));
        let hint = (bare && error.message().starts_with("invalid ")).then(|| "text stands in quotes".to_owned());
        problems.hinted(shifted(span, source.base), error.message().to_owned(), hint);
    }
    None
}

/// Lays a table over another: tables key by key, lists of tables after one another, all else in place of what was there.
fn lay_over<'t>(below: &mut DeTable<'t>, over: DeTable<'t>) {
    for (key, value) in over {
        let Some(under) = below.get_mut(key.get_ref().as_ref()) else {
            below.insert(key, value);
            continue;
        };
        let span = value.span();
        match (under.get_mut(), value.into_inner()) {
            (DeValue::Table(under), DeValue::Table(over)) => lay_over(under, over),
            (DeValue::Array(under), DeValue::Array(over)) if of_tables(under) && of_tables(&over) => {
                over.into_iter().for_each(|item| under.push(item));
            }
            (_, over) => {
                // With the key's own place.
                below.remove(key.get_ref().as_ref());
                below.insert(key, Spanned::new(span, over));
            }
        }
    }
}

fn of_tables(items: &[Spanned<DeValue<'_>>]) -> bool {
    !items.is_empty() && items.iter().all(|item| item.get_ref().is_table())
}

fn shifted(span: Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}

fn moved_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    if by == 0 {
        return table;
    }
    table
        .into_iter()
        .map(|(key, value)| (Spanned::new(shifted(key.span(), by), key.into_inner()), moved_value(value, by)))
        .collect()
}

fn moved_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = shifted(value.span(), by);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved_table(table, by)),
        DeValue::Array(items) => {
            let mut moved = toml::de::DeArray::new();
            items.into_iter().for_each(|item| moved.push(moved_value(item, by)));
            DeValue::Array(moved)
        }
        other => other,
    };
    Spanned::new(span, value)
}

/// The path of a part, seen from where the including file is seen from.
fn beside(file: &str, part: &str) -> String {
    if part.starts_with('/') {
        return normal(part);
    }
    match file.rsplit_once('/') {
        Some((folder, _)) => normal(&format!("{folder}/{part}")),
        None => normal(part),
    }
}

/// Without `.` and, where that can be told from the text alone, without `..`.
fn normal(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "." => {}
            ".." if steps.last().is_some_and(|last| !last.is_empty() && *last != "..") => {
                steps.pop();
            }
            _ => steps.push(step),
        }
    }
    steps.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_looked_for_beside_the_file_that_includes_it() {
        for (file, part, path) in [
            ("a.toml", "parts/b.toml", "parts/b.toml"),
            ("x/a.toml", "parts/b.toml", "x/parts/b.toml"),
            ("x/parts/b.toml", "../c.toml", "x/c.toml"),
            ("x/a.toml", "./../../c.toml", "../c.toml"),
            ("/x/a.toml", "b.toml", "/x/b.toml"),
            ("x/a.toml", "/b.toml", "/b.toml"),
        ] {
            assert_eq!(beside(file, part), path, "{file} includes {part}");
        }
    }
}
