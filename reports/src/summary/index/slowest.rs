//! The scenarios whose runs took longest: on the wall, to recover, in their own time.

use super::{Link, RunSummary};
use crate::figure;

/// Scenarios shown of each kind, each with its slowest run.
const SHOWN_MAX: usize = 6;

const WALL: &str = "On the wall";

/// The slowest in one way.
pub(super) struct Slowest<'a> {
    pub(super) what: &'static str,
    /// Measured on the wall: another machine says otherwise.
    pub(super) wall: bool,
    pub(super) runs: Vec<Run<'a>>,
}

pub(super) struct Run<'a> {
    pub(super) link: Link<'a>,
    pub(super) words: String,
    /// How long it took, of the slowest, in hundredths.
    pub(super) part: u64,
}

/// Nothing where there is one run only.
pub(super) fn of(runs: &[RunSummary]) -> Vec<Slowest<'_>> {
    if runs.len() < 2 {
        return Vec::new();
    }
    let micros = |seconds: f64| (seconds * 1e6) as u64;
    let slowest = [
        slowest(WALL, runs, |run| Some(micros(run.verdict.wall_seconds)), |us| figure::seconds(us as f64 / 1e6)),
        slowest("To recover", runs, |run| run.verdict.recovery_us, figure::latency),
        slowest(
            "In virtual time",
            runs,
            |run| Some(micros(run.verdict.sim_seconds)),
            |us| figure::seconds(us as f64 / 1e6),
        ),
    ];
    slowest.into_iter().filter(|slowest| !slowest.runs.is_empty()).collect()
}

fn slowest<'a>(
    what: &'static str,
    runs: &'a [RunSummary],
    took: impl Fn(&RunSummary) -> Option<u64>,
    words: fn(u64) -> String,
) -> Slowest<'a> {
    let mut all: Vec<(u64, &RunSummary)> = runs.iter().filter_map(|run| Some((took(run)?, run))).collect();
    // Stable: equals stay in the order of the runs.
    all.sort_by_key(|(us, _)| std::cmp::Reverse(*us));
    let longest = all.first().map_or(1, |(us, _)| (*us).max(1));
    let mut shown: Vec<Run<'a>> = Vec::new();
    for (us, run) in all {
        let link = Link::to(run);
        if shown.len() == SHOWN_MAX {
            break;
        }
        if shown.iter().all(|other| other.link.title != link.title) {
            shown.push(Run { link, words: words(us), part: us.saturating_mul(100) / longest });
        }
    }
    Slowest { what, wall: what == WALL, runs: shown }
}
