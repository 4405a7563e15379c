//! Where two runs part: the first line that differs, with what came before it on both sides and what follows on each.

use std::collections::VecDeque;
use std::fmt;
use std::io;

/// Lines before the difference, the same on both sides.
const BEFORE: usize = 5;
/// Lines of each side from the difference on.
const AFTER: usize = 3;

/// The first difference of two sequences of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Counted from 0.
    number: u64,
    before: Vec<String>,
    there: Vec<String>,
    here: Vec<String>,
}

/// Compares two sequences whose first lines have the number `first`. None: they are equal.
pub(super) fn first(
    first: u64,
    mut there: impl Iterator<Item = io::Result<String>>,
    mut here: impl Iterator<Item = io::Result<String>>,
) -> io::Result<Option<Difference>> {
    let mut before = VecDeque::with_capacity(BEFORE + 1);
    let mut number = first;
    loop {
        let (theirs, ours) = (there.next().transpose()?, here.next().transpose()?);
        match (theirs, ours) {
            (None, None) => return Ok(None),
            (Some(theirs), Some(ours)) if theirs == ours => {
                before.push_back(ours);
                if before.len() > BEFORE {
                    before.pop_front();
                }
                number += 1;
            }
            (theirs, ours) => {
                let rest = |line: Option<String>, more: &mut dyn Iterator<Item = io::Result<String>>| {
                    let mut lines: Vec<String> = line.into_iter().collect();
                    while lines.len() < AFTER
                        && let Some(line) = more.next().transpose()?
                    {
                        lines.push(line);
                    }
                    io::Result::Ok(lines)
                };
                let (there, here) = (rest(theirs, &mut there)?, rest(ours, &mut here)?);
                return Ok(Some(Difference { number, before: before.into(), there, here }));
            }
        }
    }
}

impl Difference {
    /// In words; `what` is what a line is.
    pub(super) fn describe(&self, what: &str) -> String {
        let mut text = match (self.there.is_empty(), self.here.is_empty()) {
            (true, _) => format!("the other side ends before {what} {}:", self.number),
            (_, true) => format!("this side ends before {what} {}:", self.number),
            _ => format!("{what} {} differs:", self.number),
        };
        let mut part = |title: &str, lines: &[String]| {
            for (n, line) in lines.iter().enumerate() {
                text.push_str(&format!("\n    {:<6} {line}", if n == 0 { title } else { "" }));
            }
        };
        part("before", &self.before);
        part("there", &self.there);
        part("here", &self.here);
        text
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe("event"))
    }
}

/// From which delivery on two runs are to be looked at, by the hashes that each kept after every `every` deliveries: a few before the stretch in
/// which they part.
pub(super) fn stretch(there: &[u64], here: &[u64], every: u64) -> u64 {
    let same = there.iter().zip(here).take_while(|(theirs, ours)| theirs == ours).count() as u64;
    (same * every).saturating_sub(BEFORE as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> impl Iterator<Item = io::Result<String>> {
        text.chars().map(|letter| Ok(letter.to_string()))
    }

    fn check(there: &str, here: &str, expect: Option<&str>) {
        let found = first(0, lines(there), lines(here)).expect("no file is read");
        assert_eq!(found.map(|difference| difference.to_string()).as_deref(), expect, "{there} {here}");
    }

    #[test]
    fn the_first_difference_is_named_with_what_is_around_it() {
        check("abc", "abc", None);
        check("", "", None);
        check(
            "abcdefgXYZ123",
            "abcdefgPQ",
            Some(
                "event 7 differs:\n    before c\n           d\n           e\n           f\n           g\n    there  X\n           Y\n           \
                 Z\n    here   P\n           Q",
            ),
        );
        check("ab", "abc", Some("the other side ends before event 2:\n    before a\n           b\n    here   c"));
        check("abc", "ab", Some("this side ends before event 2:\n    before a\n           b\n    there  c"));
    }

    #[test]
    fn the_stretch_begins_a_few_deliveries_before_the_first_hash_that_differs() {
        for (there, here, from) in [
            (&[1, 2, 3][..], &[1, 2, 4][..], 2 * 100 - 5),
            (&[9], &[1], 0),
            (&[], &[], 0),
            (&[1, 2], &[1, 2, 3], 2 * 100 - 5),
        ] {
            assert_eq!(stretch(there, here, 100), from);
        }
    }
}
