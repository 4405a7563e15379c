//! A search each: what was found, its pictures, and every trial.

use super::found_step;
use crate::capacity::block::{Block, Cell, Section, Table, figures, words};
use crate::capacity::words as say;
use crate::capacity::{Axis, CapacityReport, Step, charts, notes};
use crate::figure;

/// Trials of one search that stand in its table.
const STEPS_MAX: usize = 40;
/// Searches that are shown.
const AXES_MAX: usize = 8;

pub(super) fn sections(report: &CapacityReport) -> Vec<Section> {
    let shown = report.axes.iter().take(AXES_MAX).enumerate();
    shown.map(|(place, axis)| section(place, axis, report)).collect()
}

fn section(place: usize, axis: &Axis, report: &CapacityReport) -> Section {
    let section =
        Section::new(&format!("axis-{}", place + 1), &say::axis_title(&axis.name), say::axis_title(&axis.name))
            .with(Block::Faint(format!("Varied: {}.", axis.what.trim_end_matches('.'))))
            .with(Block::Text(said(axis)));
    if axis.steps.is_empty() {
        return section.with(Block::Alert("inconclusive", "Not measured: there was no trial.".to_owned()));
    }
    let pictures = charts::axis(axis, &report.conditions);
    let section = if pictures.is_empty() { section } else { section.with(Block::Pictures(pictures)) };
    section.with(Block::Table(table(axis).without_empty()))
}

/// What the search came to, in words.
pub(in crate::capacity) fn said(axis: &Axis) -> String {
    let unit = &axis.unit;
    let mut said = match axis.found {
        Some(found) => {
            let mut said = format!("Holds {} {unit}", say::amount(found.load));
            match found.fails_at {
                Some(fails_at) => said.push_str(&format!(", fails at {}", say::amount(fails_at))),
                None => said.push_str("; no load that was tried failed"),
            }
            match (found.confirmations, found.confirmed) {
                (0, _) => said.push_str("; not confirmed in a longer window"),
                (n, true) => said.push_str(&format!("; confirmed in {n} longer {}", windows(n))),
                (n, false) => said.push_str(&format!("; held in {n} longer {}, fewer than were asked for", windows(n))),
            }
            said
        }
        None => "No load was found that holds".to_owned(),
    };
    said.push('.');
    if let Some(binds) = &axis.binds {
        said.push_str(&format!(" What gave out: {}.", binds.trim_end_matches('.')));
    }
    if !axis.end.is_empty() {
        said.push_str(&format!(" The search: {}.", axis.end.trim_end_matches('.')));
    }
    said
}

fn windows(n: u32) -> &'static str {
    if n == 1 { "window" } else { "windows" }
}

/// The trials nearest to where it gives out, by load.
fn table(axis: &Axis) -> Table {
    let mut table = Table::new(vec![
        figures(&format!("Load ({})", axis.unit)),
        figures("Trial"),
        words("Stage").note(notes::SEARCH),
        words("Answer"),
        figures("In time").note(notes::GOODPUT),
        figures(if axis.unit == "connections/s" { "Upgraded/s" } else { "Came/s" }),
        figures("p50").note(notes::QUANTILES),
        figures("p99"),
        figures("p99.9"),
        figures("Proxy CPU").note(notes::CPU),
        figures("Resident"),
        figures("Open"),
        figures("Window"),
        words("Why"),
    ]);
    let best = found_step(axis);
    let (shown, more) = nearest(axis, STEPS_MAX);
    for (nth, step) in shown {
        table.marked(row(nth, step), best.is_some_and(|best| std::ptr::eq(best, step)));
    }
    if more > 0 {
        let shown = table.rows.len();
        table.cut = Some(format!("The {shown} trials nearest to the knee; {more} more are in steps.csv."));
    }
    table
}

/// Those trials that are nearest to the knee, by load and then by time, each with its number in the order of time; and how many there are besides.
pub(in crate::capacity) fn nearest(axis: &Axis, steps_max: usize) -> (Vec<(usize, &Step)>, usize) {
    let knee = match axis.found {
        Some(found) => found.fails_at.map_or(found.load, |fails_at| (found.load + fails_at) / 2.0),
        None => axis.steps.iter().map(|step| step.load).filter(|load| load.is_finite()).fold(0.0, f64::max),
    };
    let mut steps: Vec<(usize, &Step)> = axis.steps.iter().enumerate().map(|(place, step)| (place + 1, step)).collect();
    let more = steps.len().saturating_sub(steps_max);
    if more > 0 {
        steps.sort_by(|a, b| (a.1.load - knee).abs().total_cmp(&(b.1.load - knee).abs()).then(a.0.cmp(&b.0)));
        steps.truncate(steps_max);
    }
    steps.sort_by(|a, b| a.1.load.total_cmp(&b.1.load).then(a.0.cmp(&b.0)));
    (steps, more)
}

fn row(nth: usize, step: &Step) -> Vec<Cell> {
    vec![
        say::amount(step.load).into(),
        nth.to_string().into(),
        step.stage.clone().into(),
        answer(&step.answer),
        step.goodput.map_or_else(|| say::DASH.to_owned(), say::goodput).into(),
        say::amount_or_dash(say::rate(step)).into(),
        figure::latency_or_dash(step.latency.map(|latency| latency.p50_us)).into(),
        figure::latency_or_dash(say::p99(step)).into(),
        figure::latency_or_dash(say::p999(step)).into(),
        say::share_or_dash(step.proxy.map(|proxy| proxy.cpu)).into(),
        step.proxy.map_or_else(|| say::DASH.to_owned(), |proxy| say::bytes(proxy.rss_bytes as f64)).into(),
        figure::count(step.connections).into(),
        (if step.window_s.is_finite() { format!("{} s", say::amount(step.window_s)) } else { say::DASH.into() }).into(),
        step.why.clone().into(),
    ]
}

fn answer(answer: &str) -> Cell {
    match answer {
        "holds" => Cell::badge("✓ holds", "pass"),
        "fails" => Cell::badge("✗ fails", "fail"),
        "unhealthy" => Cell::badge("? unhealthy", "inconclusive"),
        other => Cell::badge(other, "inconclusive"),
    }
}
