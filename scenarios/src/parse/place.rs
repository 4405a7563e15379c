//! Where things stand in the file: byte offsets to lines and columns, paths to spans.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where each line begins.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column of a byte offset, both from 1; the column in characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let column = self.text[self.starts[line - 1]..offset].chars().count() + 1;
        (line, column)
    }
}

/// One step of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(key: &'a str) -> Self {
        Step::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(item: usize) -> Self {
        Step::Item(item)
    }
}

/// The span of the value at `path`, or of the last thing on the way there that exists (a key that was left out has its table's).
pub(crate) fn span(root: &Spanned<DeTable<'_>>, path: &[Step<'_>]) -> Range<usize> {
    let Some((first, rest)) = path.split_first() else { return root.span() };
    let Step::Key(first) = first else { return root.span() };
    let Some(mut value) = get(root.get_ref(), first) else { return 0..0 };
    for step in rest {
        let next = match (step, value.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => get(table, key),
            (Step::Item(index), DeValue::Array(items)) => items.get(*index),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    value.span()
}

/// The path of the value that stands at an offset: `clients[0].open.arrival`. Of several, the innermost; empty if none does.
pub(crate) fn path(root: &Spanned<DeTable<'_>>, offset: usize) -> String {
    let mut best: Option<(usize, String)> = None;
    for (key, value) in root.get_ref() {
        innermost(key.get_ref().to_string(), value, offset, &mut best);
    }
    best.map_or_else(String::new, |(_, path)| path)
}

fn innermost(path: String, value: &Spanned<DeValue<'_>>, offset: usize, best: &mut Option<(usize, String)>) {
    let span = value.span();
    if span.contains(&offset) && best.as_ref().is_none_or(|(length, _)| span.len() <= *length) {
        *best = Some((span.len(), path.clone()));
    }
    match value.get_ref() {
        DeValue::Table(table) => {
            table.iter().for_each(|(key, value)| innermost(format!("{path}.{}", key.get_ref()), value, offset, best));
        }
        DeValue::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| innermost(format!("{path}[{index}]"), item, offset, best));
        }
        _ => {}
    }
}

/// The value of a key.
pub(crate) fn get<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let lines = Lines::new("é = 1\nöä = x\n");
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position("é ".len()), (1, 3));
        assert_eq!(lines.position("é = 1\nöä = ".len()), (2, 6));
        assert_eq!(lines.position(1_000), (3, 1), "past the end is the end");
        assert_eq!(Lines::new("").position(0), (1, 1));
    }

    #[test]
    fn what_stands_at_an_offset_has_a_path() {
        let text = "a = 1\n[[b]]\nc = 22\n[[b]]\nc = { d = [3, 4] }\n";
        let root = DeTable::parse(text).unwrap();
        for (what, expect) in [("1", "a"), ("22", "b[0].c"), ("3,", "b[1].c.d[0]"), ("[3", "b[1].c.d"), ("{", "b[1].c")]
        {
            assert_eq!(path(&root, text.find(what).unwrap()), expect, "{what}");
        }
        assert_eq!(path(&root, 1), "");
    }

    #[test]
    fn a_path_that_ends_early_has_the_span_of_what_exists() {
        let text = "a = 1\n[[b]]\nc = 22\n[[b]]\nc = { d = 333 }\n";
        let root = DeTable::parse(text).unwrap();
        let at = |path: &[Step<'_>]| text[span(&root, path)].to_owned();
        assert_eq!(at(&["b".into(), 0.into(), "c".into()]), "22");
        assert_eq!(at(&["b".into(), 1.into(), "c".into(), "d".into()]), "333");
        assert_eq!(at(&["b".into(), 1.into(), "c".into(), "nothing".into()]), "{ d = 333 }");
        assert!(at(&["b".into(), 1.into(), "nothing".into()]).starts_with("[[b]]"));
    }
}
