//! Failures that were found once and are run again: what became of each.

use serde::{Deserialize, Serialize};

use crate::record::Outcome;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Its name.
    pub name: String,
    /// What is expected of it: `fails` (an open bug) or `holds` (a mended one).
    pub expect: String,
    /// Pass: as expected. Fail: broken again. Inconclusive: it no longer shows what it was kept for.
    pub verdict: Outcome,
    /// In words.
    pub message: String,
    /// The command that runs it again.
    pub replay: String,
}

/// What all of them came to.
#[must_use]
pub fn outcome(replayed: &[Replayed]) -> Outcome {
    replayed.iter().fold(Outcome::Pass, |sum, one| sum.and(one.verdict))
}

/// `regressions: 3 replayed: 2 hold, 1 is an open bug`; those that are not as expected are counted by themselves. None where none was replayed.
#[must_use]
pub fn headline(replayed: &[Replayed]) -> Option<String> {
    let count = |outcome: Outcome, expect: Option<&str>| {
        let counts = |one: &&Replayed| one.verdict == outcome && expect.is_none_or(|expect| one.expect == expect);
        replayed.iter().filter(counts).count()
    };
    let parts = [
        (count(Outcome::Pass, Some("holds")), "as mended"),
        (count(Outcome::Pass, Some("fails")), "open"),
        (count(Outcome::Fail, None), "BROKEN AGAIN"),
        (count(Outcome::Inconclusive, None), "no longer reproduce"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    (!replayed.is_empty()).then(|| format!("regressions: {} replayed: {}", replayed.len(), parts.join(", ")))
}

/// Those that are not as expected, a line each.
pub fn complaints(replayed: &[Replayed]) -> impl Iterator<Item = String> {
    let amiss = replayed.iter().filter(|one| one.verdict != Outcome::Pass);
    amiss.map(|one| format!("{}: {}; again: {}", one.name, one.message, one.replay))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, expect: &str, verdict: Outcome) -> Replayed {
        let (message, replay) = ("as it is".to_owned(), "cargo windtunnel run".to_owned());
        Replayed { name: name.to_owned(), expect: expect.to_owned(), verdict, message, replay }
    }

    #[test]
    fn the_worst_counts_and_each_kind_is_counted_by_itself() {
        assert_eq!((headline(&[]), outcome(&[])), (None, Outcome::Pass));
        let mut all =
            vec![one("a", "holds", Outcome::Pass), one("b", "fails", Outcome::Pass), one("c", "holds", Outcome::Pass)];
        assert_eq!(headline(&all).as_deref(), Some("regressions: 3 replayed: 2 as mended, 1 open"));
        assert_eq!((outcome(&all), complaints(&all).count()), (Outcome::Pass, 0));
        all.push(one("d", "fails", Outcome::Inconclusive));
        assert_eq!(outcome(&all), Outcome::Inconclusive);
        all.push(one("e", "holds", Outcome::Fail));
        let expect = "regressions: 5 replayed: 2 as mended, 1 open, 1 BROKEN AGAIN, 1 no longer reproduce";
        assert_eq!((headline(&all).as_deref(), outcome(&all)), (Some(expect), Outcome::Fail));
        let lines: Vec<String> = complaints(&all).collect();
        assert_eq!(lines, ["d: as it is; again: cargo windtunnel run", "e: as it is; again: cargo windtunnel run"]);
    }
}
