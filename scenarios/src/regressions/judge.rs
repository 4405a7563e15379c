//! Whether an entry is as it is expected to be. Pure.

use reports::record::{Outcome, Verdict};

use super::{Expect, Kept};
use crate::fingerprint::Fingerprint;

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Pass: as expected. Fail: broken again. Inconclusive: it no longer shows what it was kept for.
    pub outcome: Outcome,
    /// In words.
    pub message: String,
}

/// Judges a run without a planted bug, and one with the bug that the entry names.
#[must_use]
pub fn judge(kept: &Kept, plain: &Verdict, planted: Option<&Verdict>) -> Judged {
    let known = &kept.regression.fingerprint;
    let first = Fingerprint::first(plain);
    let (outcome, message) = match (kept.regression.expect, first) {
        (Expect::Fails, Some(_)) if known.shown_by(plain) => {
            (Outcome::Pass, "fails as is known: an open bug".to_owned())
        }
        (Expect::Fails, Some(other)) => {
            (Outcome::Fail, format!("fails otherwise than is known: `{other}`, not `{known}`"))
        }
        (Expect::Fails, None) => (
            Outcome::Inconclusive,
            "no longer reproduces: it does not fail; if it is mended, write expect = \"holds\"".to_owned(),
        ),
        (Expect::Holds, Some(_)) if known.shown_by(plain) => (Outcome::Fail, format!("broken again: `{known}`")),
        (Expect::Holds, Some(other)) => (Outcome::Fail, format!("fails otherwise than it did: `{other}`")),
        (Expect::Holds, None) => match (weak(kept, plain), planted) {
            (Some(why), _) => (Outcome::Inconclusive, format!("no longer reproduces what it was about: {why}")),
            (None, Some(planted)) if !known.shown_by(planted) => {
                let bug = kept.regression.mutant.as_deref().unwrap_or_default();
                (
                    Outcome::Inconclusive,
                    format!("no longer reproduces what it was about: the planted bug {bug} is not seen"),
                )
            }
            (None, Some(_)) => {
                let bug = kept.regression.mutant.as_deref().unwrap_or_default();
                (Outcome::Pass, format!("holds; with {bug} planted it fails as it did"))
            }
            (None, None) => (Outcome::Pass, "holds".to_owned()),
        },
    };
    Judged { outcome, message }
}

/// What a run that holds did not come near of what the failing one reached.
fn weak(kept: &Kept, verdict: &Verdict) -> Option<String> {
    let seldom =
        verdict.reached.iter().zip(&kept.scenario.reach).find(|(reached, reach)| reached.times < reach.at_least);
    if let Some((reached, reach)) = seldom {
        return Some(format!("it reached {} {} times, {} are needed", reached.name, reached.times, reach.at_least));
    }
    let few = verdict.invariants.iter().find(|invariant| invariant.verdict == Outcome::Inconclusive);
    if let Some(few) = few {
        return Some(format!("{} was checked {} times: {}", few.name, few.checked, few.summary));
    }
    (verdict.verdict != Outcome::Pass).then(|| "it is inconclusive".to_owned())
}

#[cfg(test)]
mod tests {
    use reports::record::{Invariant, Reached, Violation};

    use super::*;
    use crate::regressions::read;

    const TEXT: &str = "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"2s\"\nsources = { count = 2 }\nproxy = { mode = \"fanout\" }\n\
        [[clients]]\nname = \"all\"\ncount = 1\n[check]\nno-duplicates = { checked-min = 3 }\n[[reach]]\nstate = \"delivered\"\nat-least = 5\n\
        [regression]\nexpect = \"EXPECT\"\nfingerprint = \"no-duplicates: client-# got # a second time\"\nseed = 1\nfound-by = \"a test\"\ndate = \"2026-01-31\"\n";

    fn kept(expect: &str, more: &str) -> Kept {
        let text = format!("{}{more}", TEXT.replace("EXPECT", expect));
        read("regressions/x.toml", &text).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// A run in which no-duplicates saw this, after so many checks.
    fn verdict(seen: Option<&str>, checked: u64, delivered: u64) -> Verdict {
        let outcome = match seen {
            Some(_) => Outcome::Fail,
            None if checked < 3 => Outcome::Inconclusive,
            None => Outcome::Pass,
        };
        let violation = |message: &str| Violation { at_us: 7, message: message.to_owned(), events: vec![1] };
        let invariant = Invariant {
            name: "no-duplicates".to_owned(),
            verdict: outcome,
            checked,
            summary: "looked".to_owned(),
            broken: u64::from(seen.is_some()),
            violations: seen.map(violation).into_iter().collect(),
        };
        Verdict {
            schema: 1,
            scenario: "x".to_owned(),
            seed: 1,
            order: 0,
            engine: "sim".to_owned(),
            mutant: None,
            verdict: if delivered < 5 { outcome.and(Outcome::Inconclusive) } else { outcome },
            trace_hash: String::new(),
            events: 0,
            sim_seconds: 1.0,
            wall_seconds: 0.0,
            invariants: vec![invariant],
            reached: vec![Reached { name: "delivered".to_owned(), times: delivered, at_least: 5 }],
            marks: Default::default(),
            recovery_us: None,
            proxy: None,
            not_applicable: Vec::new(),
        }
    }

    const KNOWN: Option<&str> = Some("client-3 got 17 a second time");
    const OTHER: Option<&str> = Some("a stamp came twice");

    #[test]
    fn an_open_bug_fails_as_is_known_and_one_that_passes_is_not_green() {
        let check = |seen, expect: (Outcome, &str)| {
            let judged = judge(&kept("fails", ""), &verdict(seen, 9, 9), None);
            assert_eq!(judged.outcome, expect.0, "{judged:?}");
            assert!(judged.message.contains(expect.1), "{judged:?}");
        };
        check(KNOWN, (Outcome::Pass, "open bug"));
        check(OTHER, (Outcome::Fail, "otherwise"));
        check(None, (Outcome::Inconclusive, "no longer reproduces"));
    }

    #[test]
    fn a_mended_bug_passes_comes_near_and_is_still_seen_where_it_is_planted() {
        let planted = kept("holds", "mutant = \"repeats-a-message\"\n");
        let check = |plain: Verdict, with: Option<Verdict>, expect: (Outcome, &str)| {
            let judged = judge(&planted, &plain, with.as_ref());
            assert_eq!(judged.outcome, expect.0, "{judged:?}");
            assert!(judged.message.contains(expect.1), "{judged:?}");
        };
        let fails = || Some(verdict(KNOWN, 9, 9));
        check(verdict(None, 9, 9), fails(), (Outcome::Pass, "holds"));
        check(verdict(KNOWN, 9, 9), fails(), (Outcome::Fail, "broken again"));
        check(verdict(OTHER, 9, 9), fails(), (Outcome::Fail, "otherwise"));
        check(verdict(None, 9, 4), fails(), (Outcome::Inconclusive, "reached delivered 4 times, 5 are needed"));
        check(verdict(None, 2, 9), fails(), (Outcome::Inconclusive, "no-duplicates was checked 2 times"));
        check(verdict(None, 9, 9), Some(verdict(None, 9, 9)), (Outcome::Inconclusive, "repeats-a-message is not seen"));
    }

    #[test]
    fn a_table_that_says_too_little_or_nonsense_is_refused() {
        let check = |text: &str, expect: &str| {
            let problems = read("regressions/x.toml", text).expect_err(expect);
            assert!(problems.iter().any(|problem| problem.message.contains(expect)), "{problems:?}");
        };
        let holds = TEXT.replace("EXPECT", "holds");
        check(&holds.replace("seed = 1\n", ""), "seed");
        check(&holds.replace("\"holds\"", "\"maybe\""), "expect");
        check(&holds.replace("no-duplicates: client", "client"), "no fingerprint");
        check(&format!("{holds}mutant = \"no-such\"\n"), "unknown mutant");
        check(&format!("{}mutant = \"repeats-a-message\"\n", TEXT.replace("EXPECT", "fails")), "no open bug");
        check(holds.split("[regression]").next().unwrap_or_default(), "regression");
    }
}
