//! How many instances, what they cost, and what changes if the load does.

use super::ROWS_MAX;
use super::limits::with_basis;
use crate::capacity::block::{Block, Cell, Section, Table, figures, words};
use crate::capacity::words as say;
use crate::capacity::{CapacityReport, FleetRow, notes};
use crate::figure;

/// Columns of the what-if table.
const COLUMNS_MAX: usize = 12;

pub(super) fn fleet(report: &CapacityReport) -> Option<Section> {
    if report.fleet.is_empty() {
        return None;
    }
    let mut table = Table::new(vec![
        figures("Connections in all"),
        figures("May be lost at once"),
        figures("Instances").note(notes::FLEET),
        figures("Busy, each"),
        figures("Busy when lost"),
        figures("Smallest jitter").note(notes::JITTER),
    ]);
    for row in &report.fleet {
        table.row(vec![
            say::amount(row.demand).into(),
            row.losses.to_string().into(),
            row.instances.to_string().into(),
            say::share(row.utilisation).into(),
            say::share(row.utilisation_after_losses).into(),
            jitter(row).into(),
        ]);
    }
    let about = "Instances like the one measured, each on a machine like this, so that the demand is still met when some are lost.";
    Some(
        Section::new("fleet", "Instances", "How many instances (N+1)")
            .with(Block::Faint(about.to_owned()))
            .with(Block::Table(table.bounded(ROWS_MAX))),
    )
}

/// Where nothing is lost, nobody comes back.
fn jitter(row: &FleetRow) -> String {
    let nothing = if row.losses == 0 { say::DASH } else { "not measured" };
    row.smallest_jitter_s.map_or_else(|| nothing.to_owned(), seconds)
}

fn seconds(s: f64) -> String {
    if s.is_finite() { figure::seconds(s) } else { say::DASH.to_owned() }
}

pub(super) fn cost(report: &CapacityReport) -> Option<Section> {
    let cost = report.cost.as_ref()?;
    let mut table = Table::new(vec![
        words("Instance"),
        figures("Price an hour"),
        figures("Demand (connections)"),
        figures("Instances"),
        figures("1,000 connections, an hour").note(notes::COST),
        figures("a month of 730 hours"),
    ]);
    for row in &cost.rows {
        let money = |value: f64| {
            if value.is_finite() { format!("{} {}", row.currency, price(value)) } else { say::DASH.to_owned() }
        };
        table.row(vec![
            row.instance.clone().into(),
            money(row.price_per_hour).into(),
            say::amount(row.demand).into(),
            row.instances.to_string().into(),
            money(row.per_thousand_hour).into(),
            money(row.per_thousand_hour * 730.0).into(),
        ]);
    }
    let about = format!(
        "Prices of {} ({}). An instance there is taken to hold what the one measured here holds; another processor holds another number.",
        cost.file, cost.date
    );
    Some(
        Section::new("cost", "Cost", "What it costs")
            .with(Block::Faint(about))
            .with(Block::Table(table.bounded(ROWS_MAX))),
    )
}

/// A price to cents, or to three digits where it is less than one.
fn price(value: f64) -> String {
    if value.abs() >= 1.0 || value == 0.0 { format!("{value:.2}") } else { format!("{value:.4}") }
}

pub(super) fn what_if(report: &CapacityReport) -> Option<Section> {
    let mut columns: Vec<&str> = Vec::new();
    for (column, ..) in report.what_if.iter().flat_map(|row| &row.cells) {
        if !columns.contains(&column.as_str()) && columns.len() < COLUMNS_MAX {
            columns.push(column);
        }
    }
    if columns.is_empty() {
        return None;
    }
    let mut heads = vec![words("If").note(notes::BASIS)];
    heads.extend(columns.iter().map(|column| words(column)));
    let mut table = Table::new(heads);
    for row in &report.what_if {
        let mut cells: Vec<Cell> = vec![row.change.clone().into()];
        for column in &columns {
            let cell = row.cells.iter().find(|(name, ..)| name == column);
            cells.push(cell.map_or_else(|| say::DASH.into(), |(_, value, basis)| with_basis(value.clone(), *basis)));
        }
        table.row(cells);
    }
    let about = "Each cell says where it comes from: ■ measured, ◧ modelled within what was measured, □ extrapolated beyond it, ◇ simulated.";
    Some(
        Section::new("what-if", "What if", "What if")
            .with(Block::Faint(about.to_owned()))
            .with(Block::Table(table.bounded(ROWS_MAX))),
    )
}
