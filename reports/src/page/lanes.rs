//! The lanes of a run as pictures of one lane each, all on the same axis: they are stretched to whatever width there is, and zooming is another view box.

use std::fmt::Write as _;

use crate::chart::scale::Scale;
use crate::figure;
use crate::metrics::Metrics;
use crate::story::{Bar, Kind, Lane, Lanes, Mark};

/// Labels of faults, each in a row of its own.
const FAULT_ROWS_MAX: usize = 6;

/// Everything over time, in microseconds from 0 to the end, and from 0 to 100 from top to bottom.
pub(super) struct Drawn<'a> {
    pub(super) end_us: u64,
    pub(super) first_us: Option<u64>,
    /// Places in percent with their labels.
    pub(super) ticks: Vec<(String, String)>,
    /// Faults: from, how long, in words, and where their label stands.
    pub(super) faults: Vec<Band>,
    pub(super) faults_unlabelled: usize,
    pub(super) phases: Vec<(u64, String)>,
    /// A path over all violations.
    pub(super) violations: String,
    pub(super) lanes: Vec<DrawnLane<'a>>,
    /// Kinds of lanes: class, and what they are together.
    pub(super) kinds: Vec<(&'static str, &'static str)>,
    pub(super) any_named: bool,
    /// Whether some ticks are not drawn one by one.
    pub(super) any_undrawn: bool,
}

pub(super) struct Band {
    pub(super) from_us: u64,
    pub(super) lasts_us: u64,
    /// Where its label stands: from its beginning on or, in the second half, up to there, so that there is always room for it.
    pub(super) place: String,
    /// Whether the label ends there.
    pub(super) ends: bool,
    pub(super) words: String,
}

pub(super) struct DrawnLane<'a> {
    pub(super) lane: &'a Lane,
    /// How high: its class.
    pub(super) height: &'static str,
    pub(super) bars: Vec<DrawnBar<'a>>,
    /// How many are open, as an area.
    pub(super) area: String,
    pub(super) ticks: String,
    /// Where there are ticks that are not drawn one by one.
    pub(super) undrawn: String,
    pub(super) more: String,
    pub(super) calm: String,
    pub(super) marks: Vec<&'a Mark>,
    pub(super) witnesses: Vec<&'a Mark>,
}

pub(super) struct DrawnBar<'a> {
    pub(super) bar: &'a Bar,
    pub(super) y: usize,
    pub(super) height: usize,
    pub(super) lasts_us: u64,
}

impl<'a> Drawn<'a> {
    pub(super) fn new(lanes: &'a Lanes, metrics: &Metrics) -> Self {
        let end_us = lanes.end_us;
        let percent = |us: u64| format!("{:.3}", us as f64 * 100.0 / end_us as f64);
        let ticks = Scale::exact(end_us as f64 / 1e6, 8).ticks();
        let bands: Vec<Band> = metrics
            .faults
            .iter()
            .map(|fault| {
                let ends = fault.start_us > end_us / 2;
                let (before, after) = (percent(fault.start_us), percent(end_us.saturating_sub(fault.start_us)));
                Band {
                    from_us: fault.start_us,
                    lasts_us: fault.stop_us.unwrap_or(end_us).saturating_sub(fault.start_us),
                    place: match ends {
                        false => format!("left:{before}%;max-width:{after}%"),
                        true => format!("right:{after}%;max-width:{before}%"),
                    },
                    ends,
                    words: figure::cut(&format!("{} {}", fault.kind, fault.target), 48),
                }
            })
            .collect();
        let violations = path(lanes.violations_us.iter(), "0v100");
        let mut kinds: Vec<_> = lanes.lanes.iter().map(|lane| lane.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Self {
            end_us,
            first_us: lanes.first_us,
            ticks: ticks.into_iter().map(|tick| (format!("{:.3}", tick.place * 100.0), tick.label)).collect(),
            faults_unlabelled: bands.len().saturating_sub(FAULT_ROWS_MAX),
            faults: bands,
            phases: metrics.phases.iter().map(|mark| (mark.at_us, crate::story::word(&mark.phase))).collect(),
            violations,
            lanes: lanes.lanes.iter().map(|lane| drawn(lane, end_us)).collect(),
            kinds: kinds.into_iter().map(|kind| (kind.class(), plural(kind))).collect(),
            any_named: lanes.lanes.iter().any(|lane| lane.named),
            any_undrawn: lanes.lanes.iter().any(|lane| !lane.undrawn.is_empty()),
        }
    }

    /// The faults whose labels have a row.
    pub(super) fn labelled(&self) -> &[Band] {
        &self.faults[..self.faults.len().min(FAULT_ROWS_MAX)]
    }
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Source => "sources",
        Kind::Proxy => "proxies",
        Kind::Client => "clients",
    }
}

fn drawn(lane: &Lane, end_us: u64) -> DrawnLane<'_> {
    let rows = lane.rows();
    let height = match (lane.steps.is_empty(), rows) {
        (false, _) => "high",
        (_, 1) => "rows1",
        (_, 2) => "rows2",
        _ => "rows3",
    };
    let row = 84 / rows;
    let bars = lane.bars.iter().map(|bar| DrawnBar {
        bar,
        y: 10 + bar.row * row,
        height: row.saturating_sub(6),
        lasts_us: bar.to_us.saturating_sub(bar.from_us),
    });
    DrawnLane {
        lane,
        height,
        bars: bars.collect(),
        area: area(lane, end_us),
        ticks: path(lane.ticks.iter(), "22v52"),
        undrawn: lane.undrawn.iter().map(|(from_us, to_us)| format!("M{from_us} 22H{to_us}v52H{from_us}Z")).collect(),
        more: path(lane.more.iter(), "60v30"),
        calm: path(lane.calm.iter(), "60v30"),
        marks: lane.marks.iter().filter(|mark| !mark.is_witness()).collect(),
        witnesses: lane.marks.iter().filter(|mark| mark.is_witness()).collect(),
    }
}

/// A stroke at each instant.
fn path<'a>(instants: impl Iterator<Item = &'a u64>, stroke: &str) -> String {
    let mut path = String::new();
    let mut last = None;
    for at_us in instants {
        // Two at one instant are one stroke.
        if last.replace(*at_us) != Some(*at_us) {
            let _ = write!(path, "M{at_us} {stroke}");
        }
    }
    path
}

/// The number open over time, from the ground up.
fn area(lane: &Lane, end_us: u64) -> String {
    let Some((first_us, _)) = lane.steps.first() else { return String::new() };
    let y = |open: u64| 96 - open * 84 / lane.most.max(1);
    let mut path = format!("M{first_us} 96");
    for (at_us, open) in &lane.steps {
        let _ = write!(path, "H{at_us}V{}", y(*open));
    }
    let _ = write!(path, "H{end_us}V96Z");
    path
}
