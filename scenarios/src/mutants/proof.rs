//! What runs with a planted bug showed, and the page that says so. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use reports::record::{Outcome, Verdict};

use super::Mutant;

/// A planted bug held against some runs.
#[derive(Clone, Debug)]
pub struct Proof<'m> {
    /// Which.
    pub mutant: &'m Mutant,
    /// Runs.
    pub runs: u64,
    /// Of these, in how many a checker blamed it that must.
    pub caught: u64,
    /// The first seed, in the order of the runs, in which it was caught, and how many runs that took.
    pub first: Option<(u64, u64)>,
    /// How often each checker of `must` and `may` blamed it; those of `must` stand here also with 0.
    pub blame: BTreeMap<&'static str, u64>,
    /// Checkers outside of `must` and `may` that blamed it, each with the first seed.
    pub wrongly: BTreeMap<String, u64>,
}

impl<'m> Proof<'m> {
    /// Counts who blamed the mutant in these runs, in their order.
    #[must_use]
    pub fn of<'v>(mutant: &'m Mutant, verdicts: impl IntoIterator<Item = &'v Verdict>) -> Self {
        let blame = mutant.must.iter().map(|name| (*name, 0)).collect();
        let mut proof = Self { mutant, runs: 0, caught: 0, first: None, blame, wrongly: BTreeMap::new() };
        for verdict in verdicts {
            proof.runs += 1;
            let failed = verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
            let blamed: BTreeSet<&str> = failed.map(|invariant| invariant.name.as_str()).collect();
            if mutant.must.iter().any(|name| blamed.contains(name)) {
                proof.caught += 1;
                proof.first.get_or_insert((verdict.seed, proof.runs));
            }
            for name in blamed {
                match mutant.must.iter().chain(mutant.may).find(|known| **known == name) {
                    Some(known) => *proof.blame.entry(known).or_default() += 1,
                    None => {
                        proof.wrongly.entry(name.to_owned()).or_insert(verdict.seed);
                    }
                }
            }
        }
        proof
    }

    /// Caught at least once, and never blamed on who is none of its checkers.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.first.is_some() && self.wrongly.is_empty()
    }

    /// `symbol-order 20, metrics-truth 3`: those that must catch it first.
    fn by(&self) -> String {
        let must = self.mutant.must.iter();
        let seen = must.chain(self.mutant.may).filter_map(|name| Some((*name, *self.blame.get(name)?)));
        let mut text = seen.fold(String::new(), |mut text, (name, times)| {
            let _ = write!(text, "{}`{name}` {times}", if text.is_empty() { "" } else { ", " });
            text
        });
        for (name, seed) in &self.wrongly {
            let _ = write!(text, ", WRONGLY `{name}` (seed {seed})");
        }
        text
    }

    /// `1`: how many runs it took; or that it was missed.
    fn took(&self) -> String {
        self.first.map_or_else(|| "MISSED".to_owned(), |(_, runs)| runs.to_string())
    }
}

/// All of it as a Markdown page.
#[must_use]
pub fn page(proofs: &[Proof<'_>], command: &str) -> String {
    let mut text = format!(
        "# Planted bugs, and who caught them\n\n\
         A checker that cannot fail proves nothing. Each row is a bug planted in the proxy: a wrong implementation of one of its policies, or a wrong \
         configuration, handed in as a value at run time (nothing of it is in the shipped proxy). Its scenario is run with it, and the checkers that it is declared \
         to be caught by must blame it; a blame on anybody who is not declared is a mistake of that checker, and fails.\n\n\
         - **caught by**: in how many of the runs each checker blamed it: first those of which one must, then those that may.\n\
         - **seeds**: how many seeds it took until it was caught.\n\n\
         {} planted bugs in {} scenarios, caught by {} checkers; {} missed, {} blamed wrongly. Made by\n\n```\n{command}\n```\n\n\
         | planted bug | what is wrong | scenario | caught by | of runs | seeds |\n|---|---|---|---|---|---|\n",
        proofs.len(),
        proofs.iter().map(|proof| proof.mutant.scenario).collect::<BTreeSet<_>>().len(),
        proofs.iter().flat_map(|proof| proof.mutant.must).collect::<BTreeSet<_>>().len(),
        proofs.iter().filter(|proof| proof.first.is_none()).count(),
        proofs.iter().filter(|proof| !proof.wrongly.is_empty()).count(),
    );
    for proof in proofs {
        let Mutant { name, about, scenario, order, .. } = proof.mutant;
        let order = if *order == 0 { String::new() } else { format!(", order {order}") };
        let _ = writeln!(
            text,
            "| `{name}` | {} | `{scenario}`{order} | {} | {} | {} |",
            about.replace('|', "\\|"),
            proof.by(),
            proof.runs,
            proof.took()
        );
    }
    text.push_str("\nThese break nothing and only make it worse; what must show them is a metric held against the baselines ([ci.md](ci.md)):\n\n");
    for Mutant { name, about, scenario, must, .. } in super::drifts() {
        let _ = writeln!(text, "- `{name}` in `{scenario}`: {about} Worse: `{}`.", must.join("`, `"));
    }
    text
}

#[cfg(test)]
mod tests {
    use reports::record::{Invariant, SCHEMA};

    use super::*;
    use crate::mutants::find;

    fn verdict(seed: u64, failed: &[&str]) -> Verdict {
        let invariant = |name: &&str| Invariant {
            name: (*name).to_owned(),
            verdict: Outcome::Fail,
            checked: 1,
            summary: String::new(),
            broken: 1,
            violations: Vec::new(),
        };
        let json = serde_json::json!({
            "schema": SCHEMA, "scenario": "steady-fanout", "seed": seed, "engine": "sim", "verdict": "fail", "trace_hash": "",
            "events": 1, "sim_seconds": 1.0, "wall_seconds": 0.0, "invariants": failed.iter().map(invariant).collect::<Vec<_>>(), "reached": [],
        });
        serde_json::from_value(json).unwrap()
    }

    /// Runs of `swaps-neighbours`, which must be caught by symbol-order and may be by metrics-truth and no-silent-gap.
    fn proof(failed: &[&[&str]]) -> Proof<'static> {
        let verdicts: Vec<Verdict> = (5..).zip(failed).map(|(seed, failed)| verdict(seed, failed)).collect();
        Proof::of(find("swaps-neighbours").unwrap(), &verdicts)
    }

    #[test]
    fn who_blames_is_counted_and_the_first_run_that_caught_it_is_told() {
        let proof = proof(&[&["metrics-truth"], &["symbol-order"], &["symbol-order", "metrics-truth"]]);
        assert_eq!((proof.runs, proof.caught, proof.first), (3, 2, Some((6, 2))));
        assert_eq!(proof.by(), "`symbol-order` 2, `metrics-truth` 2");
        assert_eq!(proof.took(), "2");
        assert!(proof.holds());
    }

    #[test]
    fn one_that_is_missed_or_blamed_on_others_does_not_hold() {
        let missed = proof(&[&["metrics-truth"], &[]]);
        assert_eq!((missed.took().as_str(), missed.holds()), ("MISSED", false));
        let wrongly = proof(&[&["symbol-order", "client-memory"]]);
        assert!(!wrongly.holds());
        assert_eq!(wrongly.by(), "`symbol-order` 1, WRONGLY `client-memory` (seed 5)");
        let page = page(&[missed, wrongly], "x");
        assert!(
            page.contains("2 planted bugs in 1 scenarios, caught by 1 checkers; 1 missed, 1 blamed wrongly"),
            "{page}"
        );
        assert!(
            page.lines().any(|line| line.starts_with("| `swaps-neighbours` |") && line.ends_with("| 2 | MISSED |")),
            "{page}"
        );
    }
}
