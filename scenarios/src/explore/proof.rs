//! Planted bugs that exploring must find, and the table that says how soon. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use reports::record::{Outcome, Verdict};

use crate::mutants::Mutant;

/// The planted bugs that are looked for: seven that many worlds show, and three that few do.
pub const PLANTED: [&str; 10] = [
    "skips-silently",
    "repeats-a-message",
    "sends-all-to-all",
    "passes-both-copies",
    "keeps-the-epoch",
    "replays-a-part",
    "changes-a-digit",
    "tires-of-failovers",
    "forgets-itself-after-a-reload",
    "moves-clients-that-logged-in",
];

/// Whether a run blames the bug on one of the checkers that must find it.
#[must_use]
pub fn shows(mutant: &Mutant, verdict: &Verdict) -> bool {
    let failed = verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
    failed.into_iter().any(|invariant| mutant.must.contains(&invariant.name.as_str()))
}

/// A planted bug held against worlds.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub mutant: &'static Mutant,
    /// By seed, whether the world shows it.
    pub worlds: BTreeMap<u64, bool>,
}

impl Row {
    /// How many worlds show it.
    #[must_use]
    pub fn found(&self) -> usize {
        self.worlds.values().filter(|shows| **shows).count()
    }

    /// The first seed that shows it, and how many worlds that took.
    #[must_use]
    pub fn first(&self) -> Option<(u64, usize)> {
        let place = self.worlds.iter().enumerate().find(|(_, (_, shows))| **shows);
        place.map(|(before, (seed, _))| (*seed, before + 1))
    }
}

/// The table, as Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = "| planted bug | what is wrong | worlds | show it | share | first seed | worlds until then |\n|---|---|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let (seed, until) = match row.first() {
            Some((seed, until)) => (seed.to_string(), until.to_string()),
            None => ("MISSED".to_owned(), "-".to_owned()),
        };
        let (found, worlds) = (row.found(), row.worlds.len());
        let share = found as f64 / worlds.max(1) as f64 * 100.0;
        let _ = writeln!(
            text,
            "| `{}` | {} | {worlds} | {found} | {share:.1} % | {seed} | {until} |",
            row.mutant.name, row.mutant.about
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants;

    #[test]
    fn the_first_world_that_shows_a_bug_is_told_and_the_share() {
        let mutant = mutants::find("skips-silently").expect("there is one");
        let row = |shows: [bool; 4]| Row { mutant, worlds: (7..).zip(shows).collect() };
        assert_eq!(row([false, true, false, true]).first(), Some((8, 2)));
        let text = table(&[row([false, true, false, true]), row([false; 4])]);
        assert!(
            text.contains("| 4 | 2 | 50.0 % | 8 | 2 |") && text.contains("| 4 | 0 | 0.0 % | MISSED | - |"),
            "{text}"
        );
    }

    #[test]
    fn what_is_looked_for_is_planted_and_three_are_rare() {
        for name in PLANTED {
            assert!(mutants::find(name).is_ok(), "{name}");
        }
        assert!(mutants::rare().iter().all(|rare| PLANTED.contains(&rare.name)));
        assert_eq!(mutants::rare().len(), 3);
    }
}
