//! `index.html` of a measurement: the verdict first, then what it rests on, part by part.
//!
//! One file that needs nothing else and asks for nothing. Its script only copies commands. Parts that were not measured are left out, and named as such at the end.

use askama::Template;

use super::block::{Block, Section};
use super::notes::Note;
use super::picture::{self, Picture};
use super::{Axis, CapacityReport, Step, notes, words};
use crate::page::Badge;

mod axes;
mod conditions;
mod fleet;
mod forecast;
mod limits;
mod models;
mod regression;

pub(super) use self::axes::{nearest, said};
pub(super) use self::forecast::error;
pub(super) use self::regression::median;

/// Rows of a table.
const ROWS_MAX: usize = 60;
/// Lines of a list.
const LINES_MAX: usize = 40;

#[derive(Template)]
#[template(path = "capacity.html")]
struct Page<'a> {
    report: &'a CapacityReport,
    title: String,
    badge: Badge,
    reasons: Vec<String>,
    tiles: Vec<Tile>,
    sections: Vec<Section>,
    notes: Vec<Note>,
}

/// A figure at the head of the page.
struct Tile {
    name: &'static str,
    value: String,
    small: String,
}

/// The page.
pub(super) fn page(report: &CapacityReport) -> Result<String, askama::Error> {
    let sections = sections(report);
    Page {
        report,
        title: format!("Capacity of {}", report.conditions.proxy),
        badge: Badge::of(report.outcome),
        reasons: bounded(&report.reasons),
        tiles: tiles(report),
        notes: notes::of(&sections),
        sections,
    }
    .render()
}

/// Every picture of the page, for `charts/`.
pub(super) fn pictures(report: &CapacityReport) -> Vec<Picture> {
    let blocks = sections(report).into_iter().flat_map(|section| section.blocks);
    let mut pictures: Vec<Picture> = blocks
        .flat_map(|block| match block {
            Block::Pictures(pictures) => pictures,
            _ => Vec::new(),
        })
        .collect();
    picture::apart(&mut pictures);
    pictures
}

fn sections(report: &CapacityReport) -> Vec<Section> {
    let mut sections = vec![conditions::conditions(report), conditions::generator(report)];
    sections.extend(axes::sections(report));
    let parts = [
        models::law(report),
        models::memory(report),
        models::queues(report),
        limits::limits(report),
        limits::little(report),
        fleet::fleet(report),
        fleet::cost(report),
        fleet::what_if(report),
        forecast::predicted(report),
        forecast::storm(report),
        regression::regression(report),
    ];
    sections.extend(parts.into_iter().flatten());
    sections.push(not_tested(report));
    sections
}

/// What nobody should conclude from the report, and which parts it does not have.
fn not_tested(report: &CapacityReport) -> Section {
    let mut section = Section::new("not-tested", "Not tested", "Not tested");
    if report.not_tested.is_empty() {
        section = section.with(Block::Text("Nothing was told of what was not tested.".to_owned()));
    } else {
        section = section.with(Block::Lines(bounded(&report.not_tested)));
    }
    let absent = super::absent(report);
    if !absent.is_empty() {
        section = section.with(Block::Faint(format!("Not measured, and not in this report: {}.", absent.join(", "))));
    }
    section
}

/// The trial that says most of the load that was found: the last of those that held in a longer window, or else at all.
fn found_step(axis: &Axis) -> Option<&Step> {
    let found = axis.found?;
    let held = || axis.steps.iter().rev().filter(|step| step.load == found.load && step.answer == "holds");
    held().find(|step| step.stage == "confirm").or_else(|| held().next())
}

fn tiles(report: &CapacityReport) -> Vec<Tile> {
    let Some(axis) = report.axes.first() else { return Vec::new() };
    let tile = |name, value: String, small: String| Tile { name, value, small };
    let mut tiles = Vec::new();
    match axis.found {
        Some(found) => {
            let confirmed = match (found.confirmations, found.confirmed) {
                (0, _) => "not confirmed".to_owned(),
                (n, true) => format!("confirmed in {n} longer windows"),
                (n, false) => format!("{n} longer windows, fewer than asked for"),
            };
            tiles.push(tile("Holds", format!("{} {}", words::amount(found.load), axis.unit), confirmed));
            if let Some(fails_at) = found.fails_at {
                let gap = words::difference((fails_at - found.load) / found.load);
                tiles.push(tile("Fails at", words::amount(fails_at), gap));
            }
        }
        None => tiles.push(tile("Holds", "not found".to_owned(), axis.end.clone())),
    }
    if let Some(binds) = &axis.binds {
        tiles.push(tile("Binds", binds.clone(), String::new()));
    }
    if let Some(step) = found_step(axis) {
        if let Some(rate) = words::rate(step) {
            tiles.push(tile("Delivered there", format!("{}/s", words::amount(rate)), String::new()));
        }
        if let Some(p99) = words::p99(step) {
            let objective = format!("objective {}", words::micros(report.conditions.objective_us as f64));
            tiles.push(tile("p99 there", crate::figure::latency(p99), objective));
        }
        if let Some(proxy) = step.proxy {
            let rss = format!("{} resident", words::bytes(proxy.rss_bytes as f64));
            tiles.push(tile("CPU of the proxy there", words::share(proxy.cpu), rss));
        }
    }
    tiles
}

/// The first lines, and how many there are besides.
fn bounded(lines: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = lines.iter().take(LINES_MAX).cloned().collect();
    if lines.len() > LINES_MAX {
        shown.push(format!("and {} more: capacity.json has all", lines.len() - LINES_MAX));
    }
    shown
}
