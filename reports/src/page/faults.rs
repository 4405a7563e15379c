//! What went wrong on purpose.

use crate::figure;
use crate::folder::RunReport;

/// A fault as it was.
pub(super) struct FaultRow<'a> {
    pub(super) at: String,
    pub(super) kind: &'a str,
    pub(super) target: &'a str,
    pub(super) lasts: String,
    pub(super) words: String,
    /// Whether it was in force at the first violation.
    pub(super) in_force: bool,
}

/// The faults in the order of the plan; each as it really was, or that it never began.
pub(super) fn rows(report: &RunReport) -> Vec<FaultRow<'_>> {
    let windows = &report.metrics.faults;
    let first_us = super::first_us(report);
    let planned = &report.evidence.faults;
    let count = planned.len().max(windows.iter().map(|window| usize::from(window.fault) + 1).max().unwrap_or(0));
    let row = |number: usize| {
        let plan = planned.get(number);
        let window = windows.iter().find(|window| usize::from(window.fault) == number);
        // By then it was known which source `source-active` is.
        let hit = window.map(|window| &*window.target);
        let words = plan.map_or_else(String::new, |plan| plan.words.replace(&plan.target, hit.unwrap_or(&plan.target)));
        match (window, plan) {
            (Some(window), _) => {
                let until_us = window.stop_us.unwrap_or(u64::MAX);
                let lasts = match window.stop_us {
                    _ if plan.is_some_and(|plan| plan.instant) => "at once".to_owned(),
                    Some(stop_us) => figure::latency(stop_us.saturating_sub(window.start_us)),
                    None => "to the end".to_owned(),
                };
                Some(FaultRow {
                    at: figure::instant(window.start_us),
                    kind: &window.kind,
                    target: &window.target,
                    lasts,
                    words,
                    in_force: first_us.is_some_and(|at_us| (window.start_us..until_us).contains(&at_us)),
                })
            }
            (None, Some(plan)) => Some(FaultRow {
                at: format!("never ({})", plan.begins),
                kind: &plan.kind,
                target: &plan.target,
                lasts: "–".to_owned(),
                words,
                in_force: false,
            }),
            (None, None) => None,
        }
    };
    let mut rows: Vec<_> = (0..count).filter_map(|number| Some((number, row(number)?))).collect();
    let began = |number: &usize| windows.iter().find(|window| usize::from(window.fault) == *number);
    rows.sort_by_key(|(number, _)| (began(number).map_or(u64::MAX, |window| window.start_us), *number));
    rows.into_iter().map(|(_, row)| row).collect()
}
