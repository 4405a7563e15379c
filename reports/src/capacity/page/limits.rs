//! What each resource would hold, which one binds, and whether the arithmetic of the measurement holds.

use super::ROWS_MAX;
use crate::capacity::block::{Block, Cell, Section, Table, figures, words};
use crate::capacity::words as say;
use crate::capacity::{Basis, CapacityReport, notes};

/// A figure with where it comes from: by a sign and a word, not by colour alone.
pub(super) fn with_basis(text: impl Into<String>, basis: Basis) -> Cell {
    let (sign, word) = basis.words();
    Cell { sign, small: word.to_owned(), badge: Some(format!("basis {word}")), ..Cell::new(text) }
}

pub(super) fn limits(report: &CapacityReport) -> Option<Section> {
    if report.limits.is_empty() {
        return None;
    }
    let least =
        report.limits.iter().map(|limit| limit.capacity).filter(|c| c.is_finite()).fold(f64::INFINITY, f64::min);
    let mut sorted: Vec<_> = report.limits.iter().collect();
    sorted.sort_by(|a, b| b.binds.cmp(&a.binds).then(a.capacity.total_cmp(&b.capacity)));
    let mut table = Table::new(vec![
        words("Resource"),
        figures("Would hold (connections of the mix)").note(notes::LIMITS),
        figures("Of the binding one"),
        words("From").note(notes::BASIS),
        words("How"),
    ]);
    for limit in sorted {
        let name = if limit.binds {
            Cell::badge(format!("▶ {} binds", limit.resource), "inconclusive")
        } else {
            limit.resource.clone().into()
        };
        let times = limit.capacity / least;
        let times = if times.is_finite() {
            format!("× {}", say::amount((times * 10.0).round() / 10.0))
        } else {
            say::DASH.to_owned()
        };
        table.marked(
            vec![
                name,
                say::amount(limit.capacity).into(),
                times.into(),
                with_basis("", limit.basis),
                limit.how.clone().into(),
            ],
            limit.binds,
        );
    }
    let section = Section::new("limits", "Limits", "What limits it");
    let section = match report.limits.iter().find(|limit| limit.binds) {
        Some(binding) => section.with(Block::Text(format!(
            "{} binds, at {} connections of the mix.",
            binding.resource,
            say::amount(binding.capacity)
        ))),
        None => section.with(Block::Alert("inconclusive", "None of these is known to bind.".to_owned())),
    };
    Some(section.with(Block::Table(table.bounded(ROWS_MAX))))
}

pub(super) fn little(report: &CapacityReport) -> Option<Section> {
    let audits =
        report.axes.iter().flat_map(|axis| axis.steps.iter().filter_map(move |step| Some((axis, step, step.little?))));
    let audits: Vec<_> = audits.collect();
    if audits.is_empty() {
        return None;
    }
    let agree = audits.iter().filter(|(_, _, little)| little.agrees).count();
    let mut table = Table::new(vec![
        words("Search"),
        figures("Load"),
        words("Stage"),
        figures("Counted under way").note(notes::LITTLE),
        figures("Rate × mean stay"),
        figures("Apart"),
        words("Agrees"),
    ]);
    let mut sorted = audits.clone();
    sorted.sort_by(|a, b| a.2.agrees.cmp(&b.2.agrees).then(b.2.off.total_cmp(&a.2.off)));
    for (axis, step, little) in sorted {
        table.row(vec![
            say::axis_title(&axis.name).into(),
            Cell::new(say::amount(step.load)).small(axis.unit.clone()),
            step.stage.clone().into(),
            say::amount(little.counted).into(),
            say::amount(little.computed).into(),
            say::share(little.off).into(),
            if little.agrees { Cell::badge("✓ yes", "pass") } else { Cell::badge("✗ no", "fail") },
        ]);
    }
    let section = Section::new("little", "Audit", "Does the measurement agree with itself?");
    let all = audits.len();
    let section = if agree == all {
        section.with(Block::Alert("pass", format!("Little's law holds in all {all} trials in which it was counted.")))
    } else {
        let words = format!(
            "Little's law does not hold in {} of {all} trials: there, something was not measured as it was.",
            all - agree
        );
        section.with(Block::Alert("fail", words))
    };
    let table = table.bounded(ROWS_MAX);
    let summary = "Every trial, the farthest apart first".to_owned();
    Some(section.with(if agree == all { Block::Folded(summary, table) } else { Block::Table(table) }))
}
