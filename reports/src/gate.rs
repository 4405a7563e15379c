//! Two versions of the same runs, side by side: what a gate found, as others show it. It is worked out elsewhere; this is the record and its table.

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use crate::figure;

/// A set of runs held against an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gate {
    /// What it was held against: a folder of baselines, or another run folder.
    pub against: String,
    /// Each scenario, in the order of the runs.
    pub scenarios: Vec<Comparison>,
}

/// One scenario held against its baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Its name.
    pub scenario: String,
    /// Why it could not be held against anything, and what to do; `None`: it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomparable: Option<String>,
    /// Where the figures that it was held against stand, if they stand in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How many metrics were compared.
    pub metrics: u64,
    /// Every one that differs, the worst first.
    pub differences: Vec<Difference>,
}

/// A metric that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its name.
    pub metric: String,
    /// What it was; `None`: it was not measured.
    #[serde(serialize_with = "plain")]
    pub before: Option<f64>,
    /// What it is; `None`: it was not measured.
    #[serde(serialize_with = "plain")]
    pub now: Option<f64>,
    /// How that is to be taken.
    pub change: Change,
    /// How much worse it may be, as people write it; empty where there is no better and worse.
    pub tolerance: String,
}

/// How a difference is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Worse past its tolerance.
    Worse,
    /// Worse, and within its tolerance.
    Tolerated,
    /// Neither direction is better.
    Other,
    /// Better.
    Better,
    /// Measured on the wall: a hint, never a verdict.
    Advisory,
}

/// What a number looks like in a file: whole where it is whole.
#[must_use]
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9e15 { format!("{value:.0}") } else { value.to_string() }
}

/// The same as JSON.
pub(crate) fn json(value: f64) -> serde_json::Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { (value as i64).into() } else { value.into() }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn plain<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(json).serialize(serializer)
}

impl Gate {
    /// Scenarios that are worse past a tolerance.
    pub fn worse(&self) -> impl Iterator<Item = &Comparison> {
        self.scenarios.iter().filter(|scenario| scenario.has(Change::Worse))
    }

    /// Scenarios that could not be held against anything.
    pub fn incomparable(&self) -> impl Iterator<Item = (&Comparison, &str)> {
        self.scenarios.iter().filter_map(|scenario| Some((scenario, scenario.incomparable.as_deref()?)))
    }

    /// Scenarios that could not be held against anything, by the reason: of two folders, one may hold a hundred that the other does not.
    pub(crate) fn reasons(&self) -> IndexMap<&str, Vec<&str>> {
        let mut reasons: IndexMap<&str, Vec<&str>> = IndexMap::new();
        for (scenario, why) in self.incomparable() {
            reasons.entry(why).or_default().push(&scenario.scenario);
        }
        reasons
    }

    /// One line: how many are worse, better, or could not be compared.
    #[must_use]
    pub fn headline(&self) -> String {
        let compared = self.scenarios.iter().filter(|scenario| scenario.incomparable.is_none()).count();
        let with = |change| self.scenarios.iter().filter(|scenario| scenario.has(change)).count();
        let (worse, better) = (with(Change::Worse), with(Change::Better));
        let differ = self.scenarios.iter().filter(|scenario| !scenario.differences.is_empty()).count();
        let not = self.incomparable().count();
        let mut text = match worse {
            0 => format!("no worse than {}", self.against),
            _ => format!("WORSE than {}", self.against),
        };
        text.push_str(&format!(": {compared} compared, {differ} differ, {worse} worse, {better} better in something"));
        if not > 0 {
            text.push_str(&format!(", {not} not comparable"));
        }
        text
    }

    /// A table for the terminal, 80 columns wide: every difference, the worst first. Nothing where nothing differs.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut scenarios: Vec<&Comparison> = self.scenarios.iter().collect();
        scenarios.sort_by_key(|scenario| scenario.rank());
        for scenario in scenarios {
            if scenario.differences.is_empty() {
                continue;
            }
            let same = scenario.metrics - scenario.differences.len() as u64;
            text.push_str(&format!("{} ({} differ, {same} do not)\n", scenario.scenario, scenario.differences.len()));
            for difference in &scenario.differences {
                text.push_str(difference.line().trim_end());
                text.push('\n');
            }
        }
        if !text.is_empty() {
            let head = format!("  {:<26}{:>12}{:>12}{:>9}  {:<9}", "metric", "before", "now", "change", "allowed");
            text.insert_str(0, &format!("{}\n", head.trim_end()));
        }
        for (why, names) in self.reasons() {
            let line = format!("{}: not comparable: {why}", names.join(", "));
            for (place, line) in figure::wrapped(&line, 76, 60).iter().enumerate() {
                text.push_str(&format!("{}{line}\n", if place == 0 { "" } else { "    " }));
            }
        }
        text
    }
}

impl Comparison {
    /// Whether a metric differs in this way.
    #[must_use]
    pub fn has(&self, change: Change) -> bool {
        self.differences.iter().any(|difference| difference.change == change)
    }

    /// The worst first.
    fn rank(&self) -> u8 {
        match (self.has(Change::Worse), self.has(Change::Tolerated)) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        }
    }
}

impl Difference {
    /// The change in words: `+19.9 %`, `new`.
    #[must_use]
    pub fn change_words(&self) -> String {
        match (self.before, self.now) {
            (Some(before), Some(now)) if before != 0.0 => {
                let percent = (now - before) / before.abs() * 100.0;
                let digits = if percent.abs() < 9.95 { 2 } else { 1 };
                if percent.abs() >= 1e5 { "> 1000 x".to_owned() } else { format!("{percent:+.digits$} %") }
            }
            (Some(before), Some(now)) => format!("{:+}", now - before),
            (None, Some(_)) => "new".to_owned(),
            (Some(_), None) => "gone".to_owned(),
            (None, None) => String::new(),
        }
    }

    /// A value as people read it; a dash where it was not measured.
    pub(crate) fn value_words(value: Option<f64>) -> String {
        match value {
            None => "–".to_owned(),
            Some(value) if value.fract() == 0.0 && value >= 0.0 => figure::count(value as u64),
            Some(value) => figure::cut(&format!("{value:.6}"), 12),
        }
    }

    fn line(&self) -> String {
        let mark = match self.change {
            Change::Worse => "WORSE",
            Change::Tolerated => "worse",
            Change::Other => "",
            Change::Better => "better",
            Change::Advisory => "(wall)",
        };
        let name = figure::cut(&self.metric, 26);
        let tolerance = figure::cut(&self.tolerance, 9);
        let (before, now, change) = (Self::value_words(self.before), Self::value_words(self.now), self.change_words());
        format!("  {name:<26}{before:>12}{now:>12}{change:>9}  {tolerance:<9}  {mark}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(
        metric: &str,
        before: impl Into<Option<f64>>,
        now: impl Into<Option<f64>>,
        change: Change,
    ) -> Difference {
        let tolerance = if change == Change::Other { "" } else { "+5 %" }.to_owned();
        Difference { metric: metric.to_owned(), before: before.into(), now: now.into(), change, tolerance }
    }

    fn gate() -> Gate {
        Gate {
            against: "scenarios/baseline".to_owned(),
            scenarios: vec![
                Comparison { scenario: "same".to_owned(), metrics: 40, ..Comparison::default() },
                Comparison {
                    scenario: "other".to_owned(),
                    metrics: 40,
                    differences: vec![
                        difference("jain_instances_min", 0.998_211, 1.0, Change::Better),
                        difference("run_us", 30_000_000.0, 30_000_001.0, Change::Other),
                    ],
                    ..Comparison::default()
                },
                Comparison {
                    scenario: "fresh".to_owned(),
                    incomparable: Some(
                        "there is no scenarios/baseline/fresh.json; if its figures are as they should be: windtunnel bless".to_owned(),
                    ),
                    ..Comparison::default()
                },
                Comparison {
                    scenario: "slower".to_owned(),
                    metrics: 40,
                    differences: vec![
                        difference("failover_outage_us_max", 1_003_519.0, 1_203_711.0, Change::Worse),
                        difference("a-metric-with-a-name-that-is-far-too-long", 1.0, None, Change::Worse),
                        difference("drops.overflow", 0.0, 2.0, Change::Tolerated),
                        difference("wall_seconds", 1.25, 1.5, Change::Advisory),
                        difference("legs_max", None, 3.0, Change::Other),
                    ],
                    ..Comparison::default()
                },
            ],
        }
    }

    #[test]
    fn the_table_has_every_difference_the_worst_first_in_eighty_columns() {
        let gate = gate();
        let table = gate.table();
        assert_eq!(table.lines().find(|line| line.chars().count() > 80), None);
        insta::assert_snapshot!(format!("{}\n{table}", gate.headline()));
    }

    #[test]
    fn nothing_that_differs_is_no_table() {
        let gate = Gate { scenarios: gate().scenarios[..1].to_vec(), ..gate() };
        assert_eq!(gate.table(), "");
        assert_eq!(
            gate.headline(),
            "no worse than scenarios/baseline: 1 compared, 0 differ, 0 worse, 0 better in something"
        );
    }

    #[test]
    fn numbers_are_whole_where_they_are_whole() {
        assert_eq!([0.0, 1e12, 0.998_211].map(number), ["0", "1000000000000", "0.998211"]);
    }
}
