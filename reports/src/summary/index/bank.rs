//! Failures that were found once and were run again.

use std::cmp::Reverse;

use super::super::regressions::{self, Replayed};
use crate::page::Badge;
use crate::record::Outcome;

/// The table; without rows where none was replayed.
pub(super) struct Bank<'a> {
    pub(super) headline: String,
    /// Something is not as it is expected to be.
    pub(super) amiss: bool,
    /// Whether that is a failure, and not too little seen.
    pub(super) class: &'static str,
    pub(super) rows: Vec<Row<'a>>,
}

/// One of them.
pub(super) struct Row<'a> {
    pub(super) badge: Badge,
    pub(super) bad: bool,
    pub(super) one: &'a Replayed,
}

impl<'a> Bank<'a> {
    /// What is amiss first; of equals by name.
    pub(super) fn of(replayed: &'a [Replayed]) -> Self {
        let row = |one: &'a Replayed| Row { badge: Badge::of(one.verdict), bad: one.verdict != Outcome::Pass, one };
        let mut rows: Vec<Row<'_>> = replayed.iter().map(row).collect();
        rows.sort_by_key(|row| (Reverse(row.one.verdict), &row.one.name));
        let outcome = regressions::outcome(replayed);
        Self {
            headline: regressions::headline(replayed).unwrap_or_default(),
            amiss: outcome != Outcome::Pass,
            class: Badge::of(outcome).class,
            rows,
        }
    }
}
