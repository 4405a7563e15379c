//! Charts over time: one axis for all of them, faults shaded, phases and violations marked.

use plotters::style::RGBColor;

use super::canvas::{self, Anchor, Canvas, FAINT, INK, Panel, SMALL, Type, WIDTH, text_width};
use super::scale::Scale;
use crate::metrics::Metrics;
use crate::record::Verdict;

const FAULT: RGBColor = RGBColor(0xb0, 0x7d, 0x1a);
const FAULT_INK: RGBColor = RGBColor(0x6b, 0x4a, 0x08);
const PHASE: RGBColor = RGBColor(0x8a, 0x93, 0x9e);
const VIOLATION: RGBColor = RGBColor(0xc1, 0x12, 0x1f);

const LEFT: i32 = 76;
const RIGHT: i32 = WIDTH - 24;
const PLOT_HEIGHT: i32 = 190;
const LANE_HEIGHT: i32 = 15;
const LANES_MAX: usize = 3;
/// More points than this a line are merged: the plot is 800 pixels wide.
const POINTS_MAX: usize = 400;

/// What all charts over time share: the axis and everything marked on it.
pub(super) struct Timeline {
    end_s: f64,
    bucket_s: f64,
    /// Buckets merged into one point.
    group: usize,
    faults: Vec<Fault>,
    lanes: usize,
    beyond: usize,
    phases: Vec<(f64, &'static str)>,
    violations_s: Vec<f64>,
    /// What the legend calls them: a verdict holds the first of many only.
    violations_word: String,
}

struct Fault {
    start_s: f64,
    stop_s: f64,
    label: String,
    /// Where its label stands; `None`: no room.
    place: Option<(usize, i32)>,
}

/// How buckets are merged into one point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// The worst.
    Max,
    /// The mean a bucket.
    Mean,
    /// The last.
    Last,
}

/// One line of a chart.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) color: RGBColor,
    pub(super) width: u32,
    /// One value a bucket.
    pub(super) values: Vec<Option<f64>>,
    pub(super) merge: Merge,
}

/// A chart over time.
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) y_label: String,
    pub(super) y: Scale,
    pub(super) lines: Vec<Line>,
}

impl Timeline {
    pub(super) fn new(metrics: &Metrics, verdict: &Verdict) -> Self {
        let seconds = |us: u64| us as f64 / 1e6;
        let buckets = metrics.series.deliveries.len();
        let end_s = seconds(metrics.end_us.max(1));
        let faults = metrics.faults.iter().map(|fault| Fault {
            start_s: seconds(fault.start_us),
            stop_s: fault.stop_us.map_or(end_s, seconds),
            label: crate::figure::cut(&format!("{} {}", fault.kind, fault.target), 40),
            place: None,
        });
        let violations = verdict.invariants.iter().flat_map(|invariant| &invariant.violations);
        let broken: u64 = verdict.invariants.iter().map(|invariant| invariant.broken).sum();
        let mut timeline = Self {
            end_s,
            bucket_s: seconds(metrics.bucket_us),
            group: buckets.div_ceil(POINTS_MAX).max(1),
            faults: faults.collect(),
            lanes: 0,
            beyond: 0,
            phases: metrics.phases.iter().map(|mark| (seconds(mark.at_us), phase_word(mark.phase))).collect(),
            violations_s: violations.map(|violation| seconds(violation.at_us)).collect(),
            violations_word: "violation".to_owned(),
        };
        let marked = timeline.violations_s.len();
        if broken > marked as u64 {
            timeline.violations_word = format!("violation (first {marked} of {})", crate::figure::count(broken));
        }
        timeline.place_labels();
        timeline
    }

    /// Gives each fault's label a place in the first lane that is free there.
    fn place_labels(&mut self) {
        let x_of = self.panel(0, Scale::linear(1.0, 1));
        let mut free_from: Vec<i32> = Vec::new();
        for fault in &mut self.faults {
            let width = text_width(&fault.label, 11);
            let x = x_of.x(fault.start_s).min(RIGHT - width).max(LEFT);
            let lane = free_from.iter().position(|free| *free <= x);
            let lane = lane.or_else(|| {
                (free_from.len() < LANES_MAX).then(|| {
                    free_from.push(0);
                    free_from.len() - 1
                })
            });
            match lane {
                Some(lane) => {
                    free_from[lane] = x + width + 10;
                    fault.place = Some((lane, x));
                }
                None => self.beyond += 1,
            }
        }
        self.lanes = free_from.len();
    }

    fn panel(&self, top: i32, y: Scale) -> Panel {
        Panel { left: LEFT, right: RIGHT, top, bottom: top + PLOT_HEIGHT, x: Scale::exact(self.end_s, 10), y }
    }

    /// What is marked, in words: for readers who do not see the picture.
    pub(super) fn describe(&self) -> String {
        let faults: Vec<String> = self
            .faults
            .iter()
            .take(10)
            .map(|fault| format!("{} from {:.3} s to {:.3} s", fault.label, fault.start_s, fault.stop_s))
            .collect();
        let faults = if faults.is_empty() { "no faults".to_owned() } else { format!("faults: {}", faults.join("; ")) };
        match self.violations_s.len() {
            0 => faults,
            n => format!("{faults}; {n} violations marked in red"),
        }
    }

    /// What one point stands for.
    pub(super) fn point_ms(&self) -> f64 {
        self.bucket_s * 1e3 * self.group as f64
    }

    pub(super) fn draw(&self, plot: &Plot) -> String {
        let lanes = i32::try_from(self.lanes).unwrap_or(0);
        let legend_rows = self.legend_rows(plot);
        let marks_top = 32 + legend_rows * 18 + 4;
        let phases_lane = i32::from(!self.phases.is_empty());
        let top = marks_top + (lanes + phases_lane) * LANE_HEIGHT + 4;
        let panel = self.panel(top, plot.y);
        canvas::draw(top + PLOT_HEIGHT + 44, |canvas| {
            canvas.text(plot.title.as_str(), (LEFT, 18), Anchor::Start, Type { size: 16, bold: true, color: INK });
            self.draw_legend(canvas, plot);
            self.shade_faults(canvas, &panel, marks_top + phases_lane * LANE_HEIGHT);
            panel.axes(canvas, "time (s)", &plot.y_label);
            self.mark_phases(canvas, &panel, marks_top);
            let mut drawn = false;
            for line in &plot.lines {
                drawn |= self.draw_line(canvas, &panel, line);
            }
            if !drawn {
                panel.nothing(canvas);
            }
            self.mark_violations(canvas, &panel);
        })
    }

    /// The legend's entries with their places, above the plot and clear of the data.
    fn legend<'a>(&'a self, plot: &'a Plot) -> Vec<(&'a str, RGBColor, u32, (i32, i32))> {
        let mut entries: Vec<(&str, RGBColor, u32)> =
            plot.lines.iter().map(|line| (line.label.as_str(), line.color, line.width)).collect();
        if !self.faults.is_empty() {
            entries.push(("fault in force", FAULT, 0));
        }
        if !self.violations_s.is_empty() {
            entries.push((self.violations_word.as_str(), VIOLATION, 2));
        }
        let (mut x, mut row) = (LEFT, 0);
        let mut placed = Vec::new();
        for (label, color, width) in entries {
            let needed = 24 + text_width(label, 12) + 16;
            if x + needed > RIGHT && x > LEFT {
                (x, row) = (LEFT, row + 1);
            }
            placed.push((label, color, width, (x, 40 + row * 18)));
            x += needed;
        }
        placed
    }

    fn legend_rows(&self, plot: &Plot) -> i32 {
        self.legend(plot).last().map_or(0, |entry| (entry.3.1 - 40) / 18 + 1)
    }

    fn draw_legend(&self, canvas: &Canvas<'_>, plot: &Plot) {
        for (label, color, width, (x, y)) in self.legend(plot) {
            if width == 0 {
                canvas.rect((x, y - 6), (x + 18, y + 6), color, 0.25);
            } else {
                canvas.path(vec![(x, y), (x + 18, y)], color, width + 1);
            }
            canvas.text(label, (x + 24, y), Anchor::Start, Type { color: INK, ..SMALL });
        }
    }

    fn shade_faults(&self, canvas: &Canvas<'_>, panel: &Panel, lanes_top: i32) {
        for fault in &self.faults {
            let (from, to) = (panel.x(fault.start_s), panel.x(fault.stop_s));
            canvas.rect((from, panel.top), (to.max(from + 2), panel.bottom), FAULT, 0.16);
            if let Some((lane, x)) = fault.place {
                let y = lanes_top + i32::try_from(lane).unwrap_or(0) * LANE_HEIGHT + LANE_HEIGHT / 2;
                canvas.path(vec![(from, y + 6), (from, panel.bottom)], FAULT, 1);
                canvas.text(
                    fault.label.as_str(),
                    (x + 2, y),
                    Anchor::Start,
                    Type { size: 11, bold: false, color: FAULT_INK },
                );
            }
        }
        if self.beyond > 0 {
            let text = format!("+{} more faults", self.beyond);
            canvas.text(text, (RIGHT, 18), Anchor::End, Type { size: 11, bold: false, color: FAULT_INK });
        }
    }

    fn mark_phases(&self, canvas: &Canvas<'_>, panel: &Panel, lane_top: i32) {
        let mut free_from = i32::MIN;
        for (at_s, word) in &self.phases {
            let x = panel.x(*at_s);
            if x > panel.left && x < panel.right {
                canvas.dashes(x, panel.top, panel.bottom, PHASE);
            }
            let width = text_width(word, 11);
            if x >= free_from && x + width <= panel.right {
                let y = lane_top + LANE_HEIGHT / 2;
                canvas.text(*word, (x + 2, y), Anchor::Start, Type { size: 11, bold: false, color: FAINT });
                free_from = x + width + 10;
            }
        }
    }

    fn mark_violations(&self, canvas: &Canvas<'_>, panel: &Panel) {
        let mut places: Vec<i32> = self.violations_s.iter().map(|at_s| panel.x(*at_s)).collect();
        places.sort_unstable();
        places.dedup();
        for x in places {
            canvas.path(vec![(x, panel.top), (x, panel.bottom)], VIOLATION, 1);
            let y = panel.top;
            canvas.polygon(vec![(x - 5, y - 1), (x + 5, y - 1), (x, y + 8)], VIOLATION);
        }
    }

    /// Whether there was anything to draw.
    fn draw_line(&self, canvas: &Canvas<'_>, panel: &Panel, line: &Line) -> bool {
        let steps = line.merge == Merge::Last;
        let span_s = self.bucket_s * self.group as f64;
        let mut run: Vec<(i32, i32)> = Vec::new();
        let mut drawn = false;
        let flush = |run: &mut Vec<(i32, i32)>| match run.as_slice() {
            [] => {}
            [at] => {
                canvas.dot(*at, 2, line.color);
                run.clear();
            }
            _ => canvas.path(std::mem::take(run), line.color, line.width),
        };
        for (place, values) in line.values.chunks(self.group).enumerate() {
            let from_s = place as f64 * span_s;
            let Some(value) = merged(values, line.merge) else {
                flush(&mut run);
                continue;
            };
            drawn = true;
            let y = panel.y(value);
            if steps {
                // What holds at the end of a bucket is drawn there, as a step.
                let to = panel.x(from_s + span_s);
                let from = run.last().map_or(panel.x(from_s), |at| at.0);
                if run.last().is_some_and(|at| at.1 == y) && run.len() > 1 {
                    run.pop();
                } else {
                    run.push((from, y));
                }
                run.push((to, y));
            } else {
                run.push((panel.x(from_s + span_s / 2.0), y));
            }
        }
        flush(&mut run);
        drawn
    }
}

/// Several buckets as one point.
pub(super) fn merged(values: &[Option<f64>], merge: Merge) -> Option<f64> {
    let known = || values.iter().flatten().copied();
    match merge {
        Merge::Max => known().reduce(f64::max),
        Merge::Last => known().last(),
        Merge::Mean => {
            let n = known().count();
            (n > 0).then(|| known().sum::<f64>() / n as f64)
        }
    }
}

fn phase_word(phase: wire::event::Phase) -> &'static str {
    match phase {
        wire::event::Phase::Warmup => "warm-up",
        wire::event::Phase::Steady => "steady",
        wire::event::Phase::Recovery => "recovery",
        wire::event::Phase::End => "end",
    }
}
