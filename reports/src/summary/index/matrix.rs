//! Scenarios by invariants: how each came out over all runs.

use indexmap::IndexMap;

use super::{Group, Link, RunSummary, cut};
use crate::figure;
use crate::page::Badge;
use crate::record::{Invariant, Outcome};

/// Scenarios shown, the worst first.
const ROWS_MAX: usize = 250;
/// Invariants shown, those that fail in most scenarios first.
const COLUMNS_MAX: usize = 60;
/// As many invariants stand beside one another on a screen.
const COLUMNS_WIDE: usize = 43;
/// Characters of a message in the words behind a cell.
const WORDS_MAX: usize = 300;
/// What stands in the column for states and marks that a scenario has to reach.
const REACHED: &str = "reached";

/// The table.
pub(super) struct Matrix<'a> {
    pub(super) columns: Vec<Column<'a>>,
    pub(super) rows: Vec<Row<'a>>,
    pub(super) cut: Vec<String>,
    /// More columns than a screen is wide: the table scrolls by itself.
    pub(super) wider: bool,
}

pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    /// Something in it did not pass.
    pub(super) bad: bool,
}

pub(super) struct Row<'a> {
    pub(super) link: Link<'a>,
    pub(super) badge: Badge,
    pub(super) sign: &'static str,
    pub(super) seeds: String,
    pub(super) bad: bool,
    pub(super) cells: Vec<Cell>,
}

/// One invariant in one scenario.
pub(super) struct Cell {
    /// `pass`, `inconclusive`, `fail`; empty where it was not asked for.
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    /// How many runs came out so: `2/3`; where all did, or where there are many, `3`.
    pub(super) count: String,
    pub(super) words: String,
    pub(super) report: Option<String>,
}

/// How an invariant came out over the runs of a scenario.
#[derive(Default)]
struct Tally<'a> {
    runs: usize,
    pass: usize,
    inconclusive: usize,
    fail: usize,
    checked: u64,
    /// The run that is worst in it, how, and what it says.
    worst: Option<(Weight, &'a RunSummary, &'a str)>,
}

/// The more it weighs, the worse.
type Weight = (Outcome, u64);

impl<'a> Tally<'a> {
    fn add(&mut self, run: &'a RunSummary, outcome: Outcome, weight: u64, checked: u64, words: &'a str) {
        self.runs += 1;
        self.checked = self.checked.saturating_add(checked);
        *match outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Inconclusive => &mut self.inconclusive,
            Outcome::Fail => &mut self.fail,
        } += 1;
        // The first of equals.
        if self.worst.as_ref().is_none_or(|(worst, ..)| *worst < (outcome, weight)) {
            self.worst = Some(((outcome, weight), run, words));
        }
    }

    fn outcome(&self) -> Outcome {
        self.worst.as_ref().map_or(Outcome::Pass, |((outcome, _), ..)| *outcome)
    }

    fn cell(&self, name: &str, scenario: &str) -> Cell {
        let outcome = self.outcome();
        let alike = match outcome {
            Outcome::Pass => self.pass,
            Outcome::Inconclusive => self.inconclusive,
            Outcome::Fail => self.fail,
        };
        let (class, word) = match outcome {
            Outcome::Pass => ("pass", "passed"),
            Outcome::Inconclusive => ("inconclusive", "inconclusive"),
            Outcome::Fail => ("fail", "failed"),
        };
        let mut words = format!("{name} in {scenario}: {word} in {alike} of {} runs", self.runs);
        if self.checked > 0 {
            words.push_str(&format!(", {} checks", figure::count(self.checked)));
        }
        let mut report = None;
        if let (Some((_, run, said)), true) = (&self.worst, outcome != Outcome::Pass) {
            words.push_str(&format!(
                "; seed {}: {}",
                run.verdict.label(),
                figure::cut(&figure::times(said), WORDS_MAX)
            ));
            let anchor =
                if outcome == Outcome::Fail && name != REACHED { format!("#broken-{name}") } else { String::new() };
            report = run.report.as_deref().map(|report| format!("{report}{anchor}"));
        }
        // A cell has room for three figures; how many runs there are stands beside the scenario.
        let count =
            if alike == self.runs || self.runs > 9 { alike.to_string() } else { format!("{alike}/{}", self.runs) };
        Cell { class, sign: sign(outcome), count, words, report }
    }
}

impl<'a> Matrix<'a> {
    /// Of scenarios that are in order, the worst first.
    pub(super) fn of(groups: &[Group<'a>]) -> Self {
        let tallies: Vec<IndexMap<&str, Tally<'a>>> = groups.iter().map(tallies).collect();
        let mut columns: IndexMap<&str, (usize, usize, usize)> = IndexMap::new();
        for (name, tally) in tallies.iter().flatten() {
            let (fail, inconclusive, asked) = columns.entry(name).or_default();
            *asked += 1;
            *fail += usize::from(tally.outcome() == Outcome::Fail);
            *inconclusive += usize::from(tally.outcome() == Outcome::Inconclusive);
        }
        // Those that fail first, then those that most scenarios ask for.
        columns.sort_by(|a, x, b, y| y.cmp(x).then(a.cmp(b)));
        let columns_all = columns.len();
        columns.truncate(COLUMNS_MAX);
        let row = |(group, tallies): (&Group<'a>, &IndexMap<&str, Tally<'a>>)| {
            let title = group.title();
            let cell = |name: &&str| tallies.get(name).map_or_else(Cell::not_asked, |tally| tally.cell(name, &title));
            let worst =
                group.worst().map(|(run, _)| run).or(group.runs.iter().copied().find(|run| run.report.is_some()));
            let verdict = group.verdict();
            Row {
                link: Link {
                    report: worst.and_then(|run| run.report.as_deref()),
                    label: String::new(),
                    title: title.clone(),
                },
                badge: Badge::of(verdict),
                sign: sign(verdict),
                seeds: group.seeds(),
                bad: verdict != Outcome::Pass,
                cells: columns.keys().map(cell).collect(),
            }
        };
        let rows: Vec<Row<'a>> = groups.iter().zip(&tallies).take(ROWS_MAX).map(row).collect();
        let columns: Vec<Column<'a>> = columns
            .iter()
            .filter_map(|(name, (fail, inconclusive, _))| {
                // As long as the runs live, not the tallies.
                let name = tallies.iter().find_map(|tallies| tallies.get_key_value(name))?.0;
                Some(Column { name, bad: fail + inconclusive > 0 })
            })
            .collect();
        let cut = [cut(rows.len(), groups.len(), "scenarios"), cut(columns.len(), columns_all, "invariants")];
        let wider = columns.len() > COLUMNS_WIDE;
        Self { columns, rows, cut: cut.into_iter().flatten().collect(), wider }
    }
}

impl Cell {
    fn not_asked() -> Self {
        Self { class: "", sign: "", count: String::new(), words: String::new(), report: None }
    }
}

fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "✓",
        Outcome::Inconclusive => "?",
        Outcome::Fail => "✗",
    }
}

fn tallies<'a>(group: &Group<'a>) -> IndexMap<&'a str, Tally<'a>> {
    let mut tallies: IndexMap<&'a str, Tally<'a>> = IndexMap::new();
    for run in &group.runs {
        for invariant in &run.verdict.invariants {
            let Invariant { name, verdict, checked, summary, broken, violations } = invariant;
            let words = violations.first().map_or(summary, |violation| &violation.message);
            // Of runs that say too little that which checked least.
            let weight = if *verdict == Outcome::Inconclusive { u64::MAX - checked } else { *broken };
            tallies.entry(name).or_default().add(run, *verdict, weight, *checked, words);
        }
        if !run.verdict.reached.is_empty() {
            let missed = run.verdict.reached.iter().filter(|reached| reached.is_missed());
            let (count, first) = (missed.clone().count() as u64, missed.clone().next());
            let outcome = if first.is_some() { Outcome::Inconclusive } else { Outcome::Pass };
            let words = first.map_or("", |reached| &reached.name);
            tallies.entry(REACHED).or_default().add(run, outcome, count, 0, words);
        }
    }
    tallies
}
