//! What a failure is, apart from its numbers: which invariant broke, and how. Two runs that fail alike are one failure seen twice; a smaller scenario
//! still shows the failure only if it fails alike.
//!
//! ```text
//!   no-duplicates at 7.301 s: client-12 session-0 got S0003 1614 a second time
//!   no-duplicates: client-# session-# got S# # a second time
//! ```

use std::fmt;
use std::str::FromStr;

use reports::record::{Invariant, Outcome, Verdict};
use serde::{Deserialize, Serialize};

/// A place is cut after so many characters: what is beyond is detail.
const PLACE_MAX: usize = 200;

/// The likeness of failures: an invariant and the shape of its breach.
///
/// Written and read as `INVARIANT: PLACE`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint {
    invariant: String,
    place: String,
}

/// Text that is no [`Fingerprint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fingerprint: expected `invariant: what was seen, with # for numbers`")]
pub struct NoFingerprint(String);

impl Fingerprint {
    /// All failures of a run, the earliest first; of each kind one. Empty where nothing is broken.
    #[must_use]
    pub fn all(verdict: &Verdict) -> Vec<Self> {
        let broken = verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
        let mut found: Vec<(u64, Self)> = broken.flat_map(of_invariant).collect();
        // Stable: at one instant the order of the scenario's invariants, which no draw changes.
        found.sort_by_key(|(at_us, _)| *at_us);
        let mut all: Vec<Self> = Vec::new();
        for (_, one) in found {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all
    }

    /// The earliest failure of a run.
    #[must_use]
    pub fn first(verdict: &Verdict) -> Option<Self> {
        Self::all(verdict).into_iter().next()
    }

    /// Whether a run fails in this way, whatever else is broken in it.
    #[must_use]
    pub fn shown_by(&self, verdict: &Verdict) -> bool {
        Self::all(verdict).contains(self)
    }

    /// When a run first failed in this way, in microseconds; none where it did not. The end of time for what is seen of a run as a whole.
    #[must_use]
    pub fn first_at(&self, verdict: &Verdict) -> Option<u64> {
        let broken = verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
        broken.flat_map(of_invariant).filter(|(_, one)| one == self).map(|(at_us, _)| at_us).min()
    }

    /// Which invariant is broken.
    #[must_use]
    pub fn invariant(&self) -> &str {
        &self.invariant
    }

    /// How: the words of a violation without its numbers.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// What is broken in one invariant, with the time of each.
fn of_invariant(invariant: &Invariant) -> Vec<(u64, Fingerprint)> {
    let fingerprint =
        |message: &str| Fingerprint { invariant: invariant.name.clone(), place: without_numbers(message) };
    if invariant.violations.is_empty() {
        return vec![(u64::MAX, fingerprint(&invariant.summary))];
    }
    invariant.violations.iter().map(|violation| (violation.at_us, fingerprint(&violation.message))).collect()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.place)
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        match text.split_once(": ") {
            Some((invariant, place)) if !invariant.is_empty() && !place.is_empty() && !invariant.contains(' ') => {
                // With its numbers, as a run says it, it means the same.
                Ok(Self { invariant: invariant.to_owned(), place: without_numbers(place) })
            }
            _ => Err(NoFingerprint(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NoFingerprint;

    fn try_from(text: String) -> Result<Self, NoFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// The words of a message: each number is `#` with whatever unit of time it has, a list of them one, and white space one space.
fn without_numbers(message: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in message.split_whitespace() {
        let word = numbers_out(word);
        let (bare, end) = word.split_at(word.trim_end_matches([',', ';', '.', ':', ')']).len());
        let numeral = words.last().is_some_and(|last| last.ends_with('#'));
        if matches!(bare, "us" | "ms" | "s" | "min" | "h") && numeral {
            words.push(format!("s{end}"));
            continue;
        }
        // `#, #, #` and `client-#, client-#`: how many there are is a number, too.
        if words
            .last()
            .is_some_and(|last| last.strip_suffix(',').is_some_and(|last| last == bare && last.contains('#')))
        {
            words.pop();
        }
        words.push(word);
    }
    let text = words.join(" ");
    match text.char_indices().nth(PLACE_MAX) {
        Some((cut, _)) => text[..cut].trim_end().to_owned(),
        None => text,
    }
}

/// Digits, with points and commas between them, as `#`.
fn numbers_out(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word.chars().peekable();
    while let Some(letter) = rest.next() {
        if !letter.is_ascii_digit() {
            out.push(letter);
            continue;
        }
        out.push('#');
        loop {
            match rest.peek() {
                Some(next) if next.is_ascii_digit() => {
                    rest.next();
                }
                Some('.' | ',') => {
                    let mut ahead = rest.clone();
                    ahead.next();
                    if !ahead.next().is_some_and(|next| next.is_ascii_digit()) {
                        break;
                    }
                    rest.next();
                }
                _ => break,
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use reports::record::Violation;

    use super::*;

    fn check(message: &str, expect: &str) {
        assert_eq!(without_numbers(message), expect);
        assert_eq!(without_numbers(expect), expect, "again");
    }

    #[test]
    fn numbers_go_and_words_stay() {
        check("client-12 session-0 got S0003 1614 a second time", "client-# session-# got S# # a second time");
        check("waited 1.5 s, at most 800 ms; 12,345 of 3.", "waited # s, at most # s; # of #.");
        check("clients 1, 2, 3 and 4 wait", "clients # and # wait");
        check("client-1, client-22, client-3: no session", "client-#: no session");
        check("proxy/src/fanout/leg.rs:12:5: index 3", "proxy/src/fanout/leg.rs:#:#: index #");
        check("  no  numbers ", "no numbers");
        check("(12) [3]", "(#) [#]");
        assert_eq!(without_numbers(&"é".repeat(1_000)).chars().count(), PLACE_MAX);
    }

    fn invariant(name: &str, violations: &[(u64, &str)]) -> Invariant {
        let violations = violations
            .iter()
            .map(|(at_us, message)| Violation { at_us: *at_us, message: (*message).to_owned(), events: Vec::new() })
            .collect();
        Invariant {
            name: name.to_owned(),
            verdict: Outcome::Fail,
            checked: 1,
            summary: "3 were".to_owned(),
            broken: 1,
            violations,
        }
    }

    fn verdict(invariants: Vec<Invariant>) -> Verdict {
        Verdict {
            schema: 1,
            scenario: "small".to_owned(),
            seed: 1,
            order: 0,
            engine: "sim".to_owned(),
            mutant: None,
            verdict: Outcome::Fail,
            trace_hash: String::new(),
            events: 0,
            sim_seconds: 0.0,
            wall_seconds: 0.0,
            invariants,
            reached: Vec::new(),
            marks: std::collections::BTreeMap::new(),
            recovery_us: None,
            proxy: None,
            not_applicable: Vec::new(),
        }
    }

    #[test]
    fn the_earliest_failure_comes_first_and_each_kind_once() {
        let late = invariant("no-loss", &[(90, "client-1 lost 2"), (95, "client-3 lost 7")]);
        let early = invariant("no-duplicates", &[(10, "client-1 got 3"), (95, "a stamp")]);
        let never = invariant("even-spread", &[]);
        let passed = Invariant { verdict: Outcome::Pass, ..invariant("latency", &[(1, "slow")]) };
        let verdict = verdict(vec![passed, never, late, early]);
        let all: Vec<String> = Fingerprint::all(&verdict).iter().map(ToString::to_string).collect();
        let expect = [
            "no-duplicates: client-# got #",
            "no-loss: client-# lost #",
            "no-duplicates: a stamp",
            "even-spread: # were",
        ];
        assert_eq!(all, expect);
        let first: Fingerprint = expect[0].parse().expect("as written");
        assert_eq!(Fingerprint::first(&verdict), Some(first.clone()));
        assert!(first.shown_by(&verdict));
        assert!(!"latency: slow".parse::<Fingerprint>().expect("as written").shown_by(&verdict), "it passed");
    }

    #[test]
    fn what_a_run_says_names_the_failure_as_its_fingerprint_does() {
        let said: Fingerprint = "no-loss: client-12 lost 3 after 1.5 ms".parse().expect("as a run says it");
        assert_eq!(said.to_string(), "no-loss: client-# lost # after # s");
        let long = format!("no-loss: {}", "x 3 ".repeat(200));
        let long: Fingerprint = long.parse().expect("as a run says it");
        assert_eq!(long.to_string().parse(), Ok(long), "cut where a word ends, it is read as it was written");
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        for text in ["", "no-loss", ": x", "no loss: x", "no-loss: "] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text:?}");
        }
    }
}
