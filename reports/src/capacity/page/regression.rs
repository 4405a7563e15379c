//! Against an earlier report: by runs, with intervals.

use super::{ROWS_MAX, bounded};
use crate::capacity::block::{Block, Cell, Section, Table, figures, words};
use crate::capacity::words as say;
use crate::capacity::{CapacityReport, notes};

pub(super) fn regression(report: &CapacityReport) -> Option<Section> {
    let regression = report.regression.as_ref()?;
    let mut section = Section::new("regression", "Regression", "Against the last report")
        .with(Block::Faint(format!("Before: {}. The unit is a run.", regression.before)));
    if !regression.unlike.is_empty() {
        let words = "The two were not measured alike. The figures stand side by side; nothing is concluded from them.";
        section = section.with(Block::Alert("inconclusive", words.to_owned()));
        section = section.with(Block::Lines(bounded(&regression.unlike)));
    }
    let mut table = Table::new(vec![
        words("Figure"),
        figures("Before, median"),
        figures("Now, median"),
        figures("Runs"),
        figures("Shift").note(notes::SHIFT),
        figures("95 %"),
        figures("p").note(notes::RANKS),
        words("Judgement"),
    ]);
    for row in &regression.rows {
        let interval =
            |(_, (low, high)): (f64, (f64, f64))| format!("{} to {}", say::difference(low), say::difference(high));
        table.row(vec![
            row.metric.clone().into(),
            say::amount_or_dash(median(&row.before)).into(),
            say::amount_or_dash(median(&row.now)).into(),
            format!("{} | {}", row.before.len(), row.now.len()).into(),
            row.shift.map_or_else(|| say::DASH.to_owned(), |(shift, _)| say::difference(shift)).into(),
            row.shift.map_or_else(|| say::DASH.to_owned(), interval).into(),
            row.p
                .map_or_else(
                    || say::DASH.to_owned(),
                    |p| if p.is_finite() { format!("{p:.3}") } else { say::DASH.into() },
                )
                .into(),
            judgement(&row.judgement),
        ]);
    }
    Some(section.with(Block::Table(table.bounded(ROWS_MAX))))
}

fn judgement(word: &str) -> Cell {
    match word {
        "better" => Cell::badge("✓ better", "pass"),
        "same" => Cell::badge("= same", "pass"),
        "worse" => Cell::badge("✗ worse", "fail"),
        "inconclusive" => Cell::badge("? inconclusive", "inconclusive"),
        other => Cell::badge(other, "inconclusive"),
    }
}

/// The middle one, or the mean of the two in the middle; none of none.
pub(in crate::capacity) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper)) }
}
