//! The marks in the programs ([`wire::reach`]): every one of them, and where it stands.
//!
//! The table is made from the sources when this crate is built, so none is missing and no line is wrong. The build fails where two marks bear one name.

use reports::record::Verdict;
use reports::summary::{MarkMissed, MarkReached, Marks};

/// A mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What has happened when it is reached.
    pub name: &'static str,
    /// The source, from the root of the workspace.
    pub file: &'static str,
    /// Its line.
    pub line: u32,
}

impl Mark {
    /// `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// All marks, by source and line.
#[must_use]
pub fn all() -> &'static [Mark] {
    ALL
}

/// The mark with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Mark> {
    ALL.iter().find(|mark| mark.name == name)
}

/// What many runs reached together.
pub(crate) fn over<'v>(verdicts: impl Iterator<Item = &'v Verdict> + Clone, required: bool) -> Marks {
    let mut marks = Marks { all: ALL.len() as u64, required, ..Marks::default() };
    for mark in ALL {
        let (mut runs, mut times) = (0, 0_u64);
        for reached in verdicts.clone().filter_map(|verdict| verdict.marks.get(mark.name)) {
            runs += 1;
            times = times.saturating_add(*reached);
        }
        let (name, place) = (mark.name.to_owned(), mark.place());
        match runs {
            0 => marks.missed.push(MarkMissed { name, place }),
            runs => marks.reached.push(MarkReached { name, place, runs, times }),
        }
    }
    // Stable: of equals by their places.
    marks.reached.sort_by_key(|mark| mark.runs);
    marks
}

const ALL: &[Mark] = include!(concat!(env!("OUT_DIR"), "/marks.rs"));

#[cfg(test)]
#[path = "../build/marks.rs"]
mod scan;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_mark_is_found_wherever_the_formatter_puts_it_and_not_in_a_comment() {
        let text = "f(); wire::reached!(\"one\");\n// wire::reached!(\"not this\");\nwire::reached!(\n    \"two\",\n    if x\n);\n";
        let found = scan::scan(text).map(|found| found.into_iter().map(|it| (it.name, it.line)).collect::<Vec<_>>());
        assert_eq!(found, Ok(vec![("one".to_owned(), 1), ("two".to_owned(), 3)]));
        assert_eq!(scan::scan("\nreached!(NAME)"), Err(2));
        assert_eq!(scan::scan("reached!(\"a \\\"b\\\"\")"), Err(1));
    }

    #[test]
    fn the_table_is_what_stands_in_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(all().len() >= 30, "{}", all().len());
        for mark in all() {
            let text = std::fs::read_to_string(root.join(mark.file)).unwrap();
            let line = text.lines().nth(mark.line as usize - 1).unwrap();
            assert!(line.contains("reached!("), "{}: {line}", mark.place());
        }
        let names: BTreeSet<&str> = all().iter().map(|mark| mark.name).collect();
        assert_eq!(names.len(), all().len());
        // Nobody else has marks: they would be in no table.
        for other in ["wire", "sim", "reports", "scenarios"] {
            for path in scan::sources(&root.join(other).join("src")) {
                let own = path.ends_with("wire/src/reach.rs") || path.ends_with("scenarios/src/marks.rs");
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(
                    own || scan::scan(&text) == Ok(Vec::new()),
                    "{}: a mark outside of the programs",
                    path.display()
                );
            }
        }
    }
}
