//! States and marks that scenarios have to reach, and in how many runs they did.

use indexmap::IndexMap;

use super::{Link, RunSummary, cut};
use crate::figure;

/// States shown, those reached in the smallest part of the runs first.
const SHOWN_MAX: usize = 60;

/// The table.
pub(super) struct States<'a> {
    pub(super) rows: Vec<State<'a>>,
    /// Some run did not reach what it had to.
    pub(super) missed: bool,
    pub(super) cut: Option<String>,
}

/// One state, over all runs that had to reach it.
pub(super) struct State<'a> {
    pub(super) name: &'a str,
    pub(super) runs: u64,
    pub(super) reached: u64,
    /// How often is asked for.
    pub(super) at_least: u64,
    /// The first run that did not, and how often it came to it, if it did.
    pub(super) missed: Option<(Link<'a>, String)>,
}

impl<'a> States<'a> {
    pub(super) fn of(runs: &'a [RunSummary]) -> Self {
        let mut states: IndexMap<&str, State<'a>> = IndexMap::new();
        for run in runs {
            for reached in &run.verdict.reached {
                let state = states.entry(&reached.name).or_insert_with(|| State {
                    name: &reached.name,
                    runs: 0,
                    reached: 0,
                    at_least: reached.at_least,
                    missed: None,
                });
                state.runs += 1;
                state.at_least = state.at_least.max(reached.at_least);
                state.reached += u64::from(!reached.is_missed());
                if reached.is_missed() && state.missed.is_none() {
                    let times =
                        if reached.times == 0 { String::new() } else { format!(": {}", figure::count(reached.times)) };
                    state.missed = Some((Link::to(run), times));
                }
            }
        }
        let mut rows: Vec<State<'a>> = states.into_values().collect();
        rows.sort_by_key(|state| (state.reached * 1_000 / state.runs, state.runs));
        let all = rows.len();
        rows.truncate(SHOWN_MAX);
        Self { missed: rows.iter().any(|state| state.missed.is_some()), cut: cut(rows.len(), all, "states"), rows }
    }
}
