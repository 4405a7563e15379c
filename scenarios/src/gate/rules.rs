//! Which way each metric is better, and how much worse it may become.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use reports::gate::number;

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// It says what happened, not how well.
    Neither,
}

/// How much worse a metric may become: the greater of a share of what it was and a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// In percent of the baseline.
    pub percent: f64,
    /// In the metric's own unit: what small figures may move by.
    pub step: f64,
}

/// How one metric is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Which way it is better.
    pub better: Better,
    /// How much worse it may become; nothing where neither way is better.
    pub tolerance: Tolerance,
}

struct Row {
    /// A name, or the beginning of names with a star.
    metric: &'static str,
    better: Better,
    percent: f64,
    step: f64,
    why: &'static str,
}

const fn row(metric: &'static str, better: Better, percent: f64, step: f64, why: &'static str) -> Row {
    Row { metric, better, percent, step, why }
}

use Better::{Higher, Lower, Neither};

/// The defaults. The first that fits counts. Latencies and pauses are in microseconds.
const TABLE: &[Row] = &[
    row("wall_*", Neither, 0.0, 0.0, "the wall is noisy: advisory"),
    row("runs_failed", Lower, 0.0, 0.0, "a run that fails is never tolerated"),
    row("latency_us_p50", Lower, 5.0, 100.0, "half of all deliveries: moves only if the way of a message does"),
    row("latency_us_p90", Lower, 5.0, 1_000.0, "timers fire on whole milliseconds: one more is one step of the clock"),
    row("latency_us_p99", Lower, 5.0, 2_000.0, "as p90, and the tail of failovers is in it"),
    row("latency_us_p999", Lower, 10.0, 5_000.0, "few samples stand behind it"),
    row("latency_us_max", Lower, 20.0, 10_000.0, "one sample: the unluckiest instant of all seeds"),
    row("echo_us_p50", Lower, 5.0, 100.0, "as latency_us_p50"),
    row("echo_us_max", Lower, 20.0, 10_000.0, "one sample"),
    row("echo_us_*", Lower, 5.0, 2_000.0, "as latency_us_p99"),
    row("connect_us_p50", Lower, 5.0, 500.0, "a handshake: some round trips"),
    row("connect_us_max", Lower, 20.0, 20_000.0, "one sample, often one that stood in line"),
    row("connect_us_*", Lower, 10.0, 5_000.0, "the line before a full proxy is in it"),
    row("failover_*_us_p50", Lower, 5.0, 5_000.0, "what a failover takes; a fifth more must never pass (above 25 ms)"),
    row("failover_*_us_*", Lower, 10.0, 20_000.0, "few incidents, and each ends with the next tick"),
    row(
        "recovery_us_max",
        Lower,
        10.0,
        20_000.0,
        "until everyone is served again: the slowest of all seeds, and it ends with a tick",
    ),
    row("failovers_unhealed", Lower, 0.0, 0.0, "a client that never hears again is a failure of its own"),
    row("failovers", Lower, 0.0, 1.0, "one more lost leg may follow from another order of things"),
    row("legs_lost", Lower, 0.0, 2.0, "as failovers; orderly ends are among them"),
    row("legs_max", Lower, 0.0, 1.0, "connections cost the source its limit: one more may overlap at a change"),
    row("deliveries_damaged", Lower, 0.0, 0.0, "not one byte may be wrong"),
    row("garbled", Lower, 0.0, 0.0, "not one message may be unreadable"),
    row("deliveries_*", Neither, 0.0, 0.0, "what is old on purpose follows from who comes and goes"),
    row("deliveries", Higher, 1.0, 2.0, "a delivery less is a loss; a few follow from when a failover ends"),
    row("echoes", Higher, 1.0, 2.0, "as deliveries"),
    row("drops", Lower, 5.0, 10.0, "a slow client's queue overflows some messages earlier or later"),
    row("gap_notices", Lower, 5.0, 5.0, "as drops: one notice tells of many"),
    row("gap_messages", Lower, 5.0, 10.0, "as drops"),
    row("dials", Lower, 5.0, 3.0, "clients that come again: a storm shows here first"),
    row("refused", Lower, 5.0, 3.0, "who is turned away at a limit shifts by a few"),
    row("closed", Lower, 5.0, 2.0, "sessions that end: most are ended by the scenario itself"),
    row("clients_open_max", Higher, 1.0, 1.0, "how many are served at once"),
    row("queue_bytes_*", Lower, 10.0, 1_024.0, "sampled: a message or two more may wait at that instant"),
    row("jain_*", Higher, 0.0, 0.01, "an index between 0 and 1: a hundredth is a share of a hundredth"),
];

/// The rules for one scenario: the defaults, and what its baseline says otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    over: BTreeMap<String, Tolerance>,
}

impl Rules {
    /// The defaults, but for what `over` says: a tolerance by metric.
    ///
    /// # Errors
    /// [`ToleranceError`] says which is no tolerance, or has the wrong sign for its metric.
    pub fn new(over: &BTreeMap<String, String>) -> Result<Self, ToleranceError> {
        let mut rules = Self::default();
        for (metric, text) in over {
            let wrong = |why: String| ToleranceError { metric: metric.clone(), text: text.clone(), why };
            let better = default(metric).better;
            let sign = match better {
                Better::Lower => '+',
                Better::Higher => '-',
                Better::Neither => return Err(wrong("neither way is better, so nothing is tolerated".to_owned())),
            };
            rules.over.insert(metric.clone(), read(text, sign).map_err(wrong)?);
        }
        Ok(rules)
    }

    /// How a metric is taken.
    #[must_use]
    pub fn of(&self, metric: &str) -> Rule {
        let rule = default(metric);
        Rule { tolerance: self.over.get(metric).copied().unwrap_or(rule.tolerance), ..rule }
    }

    /// The table of defaults in Markdown, for the docs.
    #[must_use]
    pub fn markdown() -> String {
        let mut text = "| metric | better | may become worse by | why |\n|---|---|---|---|\n".to_owned();
        for Row { metric, better, why, .. } in TABLE {
            let rule = default(&metric.replace('*', "x"));
            let (word, allowed) = match better {
                Better::Lower => ("lower", rule.tolerance.words('+')),
                Better::Higher => ("higher", rule.tolerance.words('-')),
                Better::Neither => ("neither", "–".to_owned()),
            };
            text.push_str(&format!("| `{metric}` | {word} | {allowed} | {why} |\n"));
        }
        text
    }
}

fn default(metric: &str) -> Rule {
    // A part of a figure (`drops.overflow`) explains it; the figure itself is judged.
    let found = TABLE.iter().find(|row| !metric.contains('.') && fits(row.metric, metric));
    found.map_or(Rule { better: Better::Neither, tolerance: Tolerance::default() }, |row| Rule {
        better: row.better,
        tolerance: Tolerance { percent: row.percent, step: row.step },
    })
}

/// Whether a name fits a pattern, in which a star stands for one or more characters.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|name| {
            name.char_indices()
                .skip(1)
                .map(|(at, _)| at)
                .chain([name.len()])
                .any(|at| !name.is_empty() && fits(rest, &name[at..]))
        }),
    }
}

impl Tolerance {
    /// By how much a figure that was `before` may be worse.
    #[must_use]
    pub fn allowed(self, before: f64) -> f64 {
        (before.abs() * self.percent / 100.0).max(self.step)
    }

    /// The part of it that counts for a figure that was `before`, in words.
    #[must_use]
    pub fn in_force(self, better: Better, before: f64) -> String {
        let sign = match better {
            Better::Lower => '+',
            Better::Higher => '-',
            Better::Neither => return String::new(),
        };
        if before.abs() * self.percent / 100.0 >= self.step && self.percent > 0.0 {
            format!("{sign}{} %", number(self.percent))
        } else {
            format!("{sign}{}", number(self.step))
        }
    }

    fn words(self, sign: char) -> String {
        match (self.percent > 0.0, self.step > 0.0) {
            (true, true) => format!("{sign}{} % or {sign}{}", number(self.percent), number(self.step)),
            (true, false) => format!("{sign}{} %", number(self.percent)),
            (false, _) => format!("{sign}{}", number(self.step)),
        }
    }
}

/// A tolerance in a baseline that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tolerance of {metric}: \"{text}\": {why}")]
pub struct ToleranceError {
    /// Of which metric.
    pub metric: String,
    /// What stands there.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// `+5 %`, `+100`, or both: `+5 % or +100`.
fn read(text: &str, sign: char) -> Result<Tolerance, String> {
    let example = || format!("expected such as \"{sign}5 %\", \"{sign}100\" or \"{sign}5 % or {sign}100\"");
    let mut tolerance = Tolerance::default();
    let (mut percents, mut steps) = (0, 0);
    for part in text.split(" or ") {
        let number = part.trim().strip_prefix(sign).ok_or_else(|| format!("worse is {sign} here; {}", example()))?;
        let (number, percent) = match number.trim_end().strip_suffix('%') {
            Some(number) => (number, true),
            None => (number, false),
        };
        let number = f64::from_str(number.trim()).ok().filter(|number| number.is_finite() && *number >= 0.0);
        let number = number.ok_or_else(example)?;
        if percent {
            tolerance.percent = number;
            percents += 1;
        } else {
            tolerance.step = number;
            steps += 1;
        }
    }
    if percents > 1 || steps > 1 { Err(example()) } else { Ok(tolerance) }
}

impl fmt::Display for Better {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Better::Lower => "lower",
            Better::Higher => "higher",
            Better::Neither => "neither",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(metric: &str, text: &str) -> Result<Rules, String> {
        Rules::new(&BTreeMap::from([(metric.to_owned(), text.to_owned())])).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_row_that_fits_counts_and_parts_are_not_judged() {
        let rules = Rules::default();
        assert_eq!(rules.of("failover_outage_us_p50").tolerance, Tolerance { percent: 5.0, step: 5_000.0 });
        assert_eq!(rules.of("failover_silence_us_p999").tolerance, Tolerance { percent: 10.0, step: 20_000.0 });
        assert_eq!(rules.of("deliveries").better, Better::Higher);
        assert_eq!(rules.of("deliveries_old").better, Better::Neither);
        assert_eq!(rules.of("drops").better, Better::Lower);
        assert_eq!(rules.of("drops.overflow").better, Better::Neither);
        assert_eq!(rules.of("something-new").better, Better::Neither);
    }

    #[test]
    fn a_star_stands_for_one_character_or_more() {
        for (pattern, name, expect) in [
            ("a_*", "a_b", true),
            ("a_*", "a_", false),
            ("a_*_c", "a_b_c", true),
            ("a_*_c", "a_b_c_d", false),
            ("a_*_us_*", "a_b_us_c", true),
            ("a", "ab", false),
        ] {
            assert_eq!(fits(pattern, name), expect, "{pattern} {name}");
        }
    }

    #[test]
    fn a_tolerance_is_signed_and_the_greater_of_its_parts_counts() {
        let rule = over("latency_us_p99", "+10% or +300").unwrap().of("latency_us_p99");
        assert_eq!(rule.tolerance, Tolerance { percent: 10.0, step: 300.0 });
        assert_eq!((rule.tolerance.allowed(1_000.0), rule.tolerance.allowed(10_000.0)), (300.0, 1_000.0));
        assert_eq!(rule.tolerance.in_force(Better::Lower, 1_000.0), "+300");
        assert_eq!(rule.tolerance.in_force(Better::Lower, 10_000.0), "+10 %");
        assert_eq!(over("deliveries", "-2.5 %").unwrap().of("deliveries").tolerance.percent, 2.5);
        for (metric, text, why) in [
            ("deliveries", "+2 %", "worse is - here"),
            ("latency_us_p99", "-2 %", "worse is + here"),
            ("latency_us_p99", "+2 % or +3 %", "expected such as"),
            ("latency_us_p99", "+x", "expected such as"),
            ("latency_us_p99", "", "worse is + here"),
            ("latency_us_p99", "+inf", "expected such as"),
            ("run_us", "+5 %", "neither way is better"),
        ] {
            let error = over(metric, text).unwrap_err();
            assert!(error.contains(why) && error.contains(metric), "{error}");
        }
    }

    #[test]
    fn the_page_has_the_table_of_the_code() {
        const BEGIN: &str = "<!-- made by `gate::Rules::markdown`: BLESS=1 cargo test -p scenarios gate -->\n";
        const END: &str = "<!-- end -->";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ci.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (head, rest) = page.split_once(BEGIN).unwrap();
        let (_, tail) = rest.split_once(END).unwrap();
        let fresh = format!("{head}{BEGIN}{}{END}{tail}", Rules::markdown());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, fresh).unwrap();
        } else {
            assert_eq!(
                page, fresh,
                "docs/ci.md is behind the table of tolerances: BLESS=1 cargo test -p scenarios gate"
            );
        }
    }

    #[test]
    fn every_row_gives_its_reason_and_is_the_first_for_something() {
        for (place, row) in TABLE.iter().enumerate() {
            assert!(!row.why.is_empty(), "{}", row.metric);
            let name = row.metric.replace('*', "x");
            assert_eq!(TABLE.iter().position(|row| fits(row.metric, &name)), Some(place), "{}", row.metric);
        }
    }
}
