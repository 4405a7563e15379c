//! What a comparison with the baseline says.

use super::cut;
use crate::figure;
use crate::gate::{Change, Difference, Gate};

/// Differences shown, the worst first.
const SHOWN_MAX: usize = 200;
/// Reasons shown why something could not be compared.
const REASONS_MAX: usize = 20;

/// The comparison.
pub(super) struct Baseline<'a> {
    pub(super) headline: String,
    pub(super) worse: bool,
    pub(super) rows: Vec<Row<'a>>,
    /// Scenarios that could not be compared, by the reason.
    pub(super) reasons: Vec<(&'a str, String)>,
    pub(super) cut: Vec<String>,
}

/// One figure of one scenario that differs.
pub(super) struct Row<'a> {
    pub(super) scenario: &'a str,
    pub(super) metric: &'a str,
    pub(super) before: String,
    pub(super) now: String,
    pub(super) change: String,
    pub(super) allowed: &'a str,
    pub(super) class: &'static str,
    pub(super) word: &'static str,
}

impl<'a> Baseline<'a> {
    pub(super) fn of(gate: &'a Gate) -> Self {
        let mut all: Vec<(&str, &Difference)> = Vec::new();
        for scenario in &gate.scenarios {
            all.extend(scenario.differences.iter().map(|difference| (scenario.scenario.as_str(), difference)));
        }
        // Stable: of what is to be taken alike the order stays.
        all.sort_by_key(|(_, difference)| difference.change);
        let (differences, incomparable) = (all.len(), gate.reasons());
        let rows: Vec<Row<'a>> = all.into_iter().take(SHOWN_MAX).map(|(scenario, it)| Row::of(scenario, it)).collect();
        let reasons: Vec<(&str, String)> = incomparable
            .iter()
            .take(REASONS_MAX)
            .map(|(why, names)| (*why, figure::cut(&names.join(", "), 400)))
            .collect();
        let cut = [cut(rows.len(), differences, "differences"), cut(reasons.len(), incomparable.len(), "reasons")];
        Self {
            headline: gate.headline(),
            worse: gate.worse().next().is_some(),
            rows,
            reasons,
            cut: cut.into_iter().flatten().collect(),
        }
    }
}

impl<'a> Row<'a> {
    fn of(scenario: &'a str, difference: &'a Difference) -> Self {
        let (class, word) = match difference.change {
            Change::Worse => ("fail", "✗ worse"),
            Change::Tolerated => ("inconclusive", "worse, allowed"),
            Change::Other => ("", "different"),
            Change::Better => ("pass", "✓ better"),
            Change::Advisory => ("", "on the wall"),
        };
        Self {
            scenario,
            metric: &difference.metric,
            before: Difference::value_words(difference.before),
            now: Difference::value_words(difference.now),
            change: difference.change_words(),
            allowed: &difference.tolerance,
            class,
            word,
        }
    }
}
