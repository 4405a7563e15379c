//! The simulator's word: what it said beforehand beside what was measured, and what only it can say.

use super::ROWS_MAX;
use crate::capacity::block::{Block, Cell, Section, Table, figures, words};
use crate::capacity::picture::Picture;
use crate::capacity::words as say;
use crate::capacity::{CapacityReport, Predicted, notes};
use crate::figure;

/// Pictures of a storm.
const PICTURES_MAX: usize = 12;

pub(super) fn predicted(report: &CapacityReport) -> Option<Section> {
    let forecast = report.forecast.as_ref().filter(|forecast| !forecast.predicted.is_empty())?;
    let mut table = Table::new(vec![
        words("Figure"),
        figures("Predicted"),
        figures("Measured"),
        figures("Error").note(notes::ERROR),
        figures("Target"),
        words("Within"),
    ]);
    for row in &forecast.predicted {
        let error = error(row);
        table.row(vec![
            row.what.clone().into(),
            say::amount(row.predicted).into(),
            row.measured.map_or_else(|| "not measured".to_owned(), say::amount).into(),
            error.map_or_else(|| say::DASH.to_owned(), say::difference).into(),
            row.target
                .map_or_else(|| "not held to one".to_owned(), |target| format!("± {}", say::share(target)))
                .into(),
            match (error, row.target) {
                (Some(error), Some(target)) if error.abs() <= target => Cell::badge("✓ yes", "pass"),
                (Some(_), Some(_)) => Cell::badge("✗ no", "fail"),
                _ => say::DASH.into(),
            },
        ]);
    }
    let about = format!(
        "The simulator was given what a packet, a byte and a connection cost ({}), and said what would be measured.",
        forecast.calibration
    );
    Some(
        Section::new("forecast", "Forecast", "Predicted beside measured")
            .with(Block::Faint(about))
            .with(Block::Table(table.bounded(ROWS_MAX))),
    )
}

/// How far the prediction was off, as a share of what was measured.
pub(in crate::capacity) fn error(row: &Predicted) -> Option<f64> {
    let measured = row.measured?;
    let error = (row.predicted - measured) / measured;
    error.is_finite().then_some(error)
}

pub(super) fn storm(report: &CapacityReport) -> Option<Section> {
    let storm = report.forecast.as_ref()?.storm.as_ref()?;
    let mut table = Table::new(vec![
        words("Figure"),
        figures("Median").note(notes::STORM),
        figures("95 %"),
        figures("p99"),
        figures("Worst"),
        figures("in seed"),
    ]);
    for row in &storm.figures {
        let interval = |(low, high): (f64, f64)| format!("{} to {}", say::amount(low), say::amount(high));
        table.row(vec![
            row.name.clone().into(),
            say::amount(row.median).into(),
            row.median_interval.map_or_else(|| say::DASH.to_owned(), interval).into(),
            say::amount(row.p99).into(),
            say::amount(row.worst).into(),
            row.worst_seed.to_string().into(),
        ]);
    }
    let mut section = Section::new("storm", "Storm", "When an instance is lost: the reconnect storm")
        .with(Block::Text(format!("{} {} seeds.", storm.what, figure::count(storm.seeds))));
    if let Some(jitter) = &storm.smallest_jitter {
        section = section.with(Block::Text(jitter.clone()));
    }
    section = section.with(Block::Table(table.bounded(ROWS_MAX)));
    let mut pictures = Vec::new();
    let mut refused = Vec::new();
    for (name, title, describe, svg) in storm.charts.iter().take(PICTURES_MAX) {
        match Picture::drawn(&format!("storm-{name}"), &format!("{title}: {describe}"), svg) {
            Some(picture) => pictures.push(picture),
            None => refused.push(title.clone()),
        }
    }
    if !pictures.is_empty() {
        section = section.with(Block::Pictures(pictures));
    }
    if !refused.is_empty() {
        let words = format!("Not shown, as they hold more than a drawing: {}.", refused.join(", "));
        section = section.with(Block::Faint(words));
    }
    let section = section.with(Block::Faint(
        "Simulated: virtual time, a spread of clients and links as drawn by each seed. It says how many come at once and how long it takes, not what a processor does."
            .to_owned(),
    ));
    if storm.command.is_empty() {
        return Some(section);
    }
    Some(section.with(Block::Command("storm-command".to_owned(), storm.command.clone())))
}
