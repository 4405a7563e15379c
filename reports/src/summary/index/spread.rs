//! Figures that differ most from seed to seed: an objective on one of them passes today and fails tomorrow.

use super::{Group, Link, RunSummary, cut};
use crate::figure;

/// Figures shown.
const SHOWN_MAX: usize = 12;
/// Dots drawn of one figure: one for each run, or as many that stand evenly among them.
const DOTS_MAX: usize = 60;
/// A difference below this is no spread: timers fire on whole milliseconds.
const DIFFERENCE_MIN_US: u64 = 1_000;

/// The table, the widest first.
pub(super) struct Spreads<'a> {
    pub(super) rows: Vec<Spread<'a>>,
    pub(super) cut: Option<String>,
}

/// One figure of one scenario over its runs.
pub(super) struct Spread<'a> {
    pub(super) scenario: String,
    /// Its name in files, and in words.
    pub(super) name: &'a str,
    pub(super) figure: &'a str,
    pub(super) runs: usize,
    pub(super) lowest: (Link<'a>, String),
    pub(super) median: String,
    pub(super) highest: (Link<'a>, String),
    /// From the lowest to the highest, by the median.
    pub(super) words: String,
    /// Where each run stands between the lowest and the highest, in hundredths.
    pub(super) dots: Vec<u64>,
    ratio: f64,
}

impl<'a> Spreads<'a> {
    pub(super) fn of(groups: &[Group<'a>]) -> Self {
        let mut rows: Vec<Spread<'a>> = groups.iter().flat_map(of).collect();
        rows.sort_by(|one, two| two.ratio.total_cmp(&one.ratio));
        let all = rows.len();
        rows.truncate(SHOWN_MAX);
        Self { cut: cut(rows.len(), all, "figures"), rows }
    }
}

fn of<'a>(group: &Group<'a>) -> Vec<Spread<'a>> {
    let mut names: Vec<&'a str> = Vec::new();
    for name in group.runs.iter().flat_map(|run| run.figures.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.into_iter().filter_map(|name| spread(group, name)).collect()
}

fn spread<'a>(group: &Group<'a>, name: &'a str) -> Option<Spread<'a>> {
    let mut runs: Vec<(u64, &RunSummary)> =
        group.runs.iter().filter_map(|run| Some((*run.figures.get(name)?, *run))).collect();
    runs.sort_by_key(|(us, _)| *us);
    let (lowest, highest) = (*runs.first()?, *runs.last()?);
    // The lower of the two in the middle.
    let median = runs[(runs.len() - 1) / 2].0;
    let difference = highest.0 - lowest.0;
    if difference < DIFFERENCE_MIN_US || median == 0 {
        return None;
    }
    let dots = runs.len().min(DOTS_MAX);
    let dot = |place: usize| {
        let nth = if dots < 2 { 0 } else { place * (runs.len() - 1) / (dots - 1) };
        (runs[nth].0 - lowest.0) * 100 / difference
    };
    let ratio = difference as f64 / median as f64;
    Some(Spread {
        scenario: group.title(),
        name,
        figure: words(name),
        runs: runs.len(),
        lowest: (Link::to(lowest.1), figure::latency(lowest.0)),
        median: figure::latency(median),
        highest: (Link::to(highest.1), figure::latency(highest.0)),
        words: if ratio < 10.0 {
            format!("{:.0} %", ratio * 100.0)
        } else {
            format!("× {}", figure::count(ratio.round() as u64))
        },
        dots: (0..dots).map(dot).collect(),
        ratio,
    })
}

fn words(name: &str) -> &str {
    match name {
        "latency_us_p99" => "p99 of delivery",
        "echo_us_p99" => "p99 of echoes",
        "connect_us_p99" => "p99 of connecting",
        "failover_outage_us_max" => "longest outage of a failover",
        "recovery_us_max" => "slowest recovery",
        other => other,
    }
}
