//! One figure over another: points and lines over a load, with what matters marked.
//!
//! ```text
//!   title
//!   legend                       every line, sign, level and shade by its name
//!          holds 1,900  fails 2,050     to the sides of their lines, in rows so that none lies on another
//!   +-------------------|--|-+
//!   |  . . . level . . .|..|.|//// shaded: beyond what was measured
//!   |          o--o--o--o  x |////
//!   +-------------------|--|-+
//! ```
//!
//! What is no number, infinite, or beyond any figure of a machine is not drawn. Series differ by their signs as well as by their colours.

use plotters::style::RGBColor;

use super::canvas::{self, Anchor, Canvas, INK, PAPER, Panel, SMALL, Type, text_width};
use super::scale::Scale;

/// Two stand side by side on a screen, and one can be read on a telephone.
const WIDTH: i32 = 540;
const PLOT_HEIGHT: i32 = 210;
const ROW: i32 = 17;
const LABEL_ROW: i32 = 15;
const LEFT: i32 = 76;
const RIGHT: i32 = WIDTH - 18;
/// Nothing that is measured is larger.
const DRAWN_MAX: f64 = 1e13;

/// A picture of figures over a load.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x_label: String,
    pub(crate) y_label: String,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
    pub(crate) series: Vec<Series>,
    pub(crate) bands: Vec<Band>,
    pub(crate) uprights: Vec<Upright>,
    pub(crate) levels: Vec<Level>,
    /// From this load on nothing was measured, in words.
    pub(crate) beyond: Option<(f64, String)>,
}

/// Points, a line through points, or both.
pub(crate) struct Series {
    pub(crate) label: String,
    pub(crate) color: RGBColor,
    pub(crate) line: Line,
    pub(crate) sign: Sign,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The line of a series.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    None,
    Solid,
    Dashed,
}

/// The sign of each point of a series.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    None,
    Dot,
    Ring,
    Square,
    Triangle,
    Diamond,
    Cross,
}

/// What lies between two lines: x, lower, upper.
pub(crate) struct Band {
    pub(crate) label: String,
    pub(crate) color: RGBColor,
    pub(crate) points: Vec<(f64, f64, f64)>,
}

/// A load that matters.
pub(crate) struct Upright {
    pub(crate) at: f64,
    pub(crate) label: String,
    pub(crate) dashed: bool,
}

/// A bound that does not depend on the load.
pub(crate) struct Level {
    pub(crate) at: f64,
    pub(crate) label: String,
}

/// Whether a figure has a place in a picture.
pub(crate) fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() <= DRAWN_MAX
}

impl Plot {
    /// Whether there is a single point to be seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.iter().all(|point| !seen(point)))
    }

    /// The picture: one `<svg>` element.
    pub(crate) fn draw(&self) -> String {
        let keys = self.keys();
        let rows = legend_rows(&keys);
        let uprights: Vec<&Upright> = self.uprights.iter().filter(|upright| drawable(upright.at)).collect();
        let across = |at: f64| LEFT + (self.x.place(at) * f64::from(RIGHT - LEFT)).round() as i32;
        let labels = labels(&uprights.iter().map(|upright| (across(upright.at), upright.width())).collect::<Vec<_>>());
        let label_rows = labels.iter().map(|(row, _)| row + 1).max().unwrap_or(0);
        let top = 38 + rows * ROW + label_rows * LABEL_ROW;
        let bottom = top + PLOT_HEIGHT;
        let panel = Panel { left: LEFT, right: RIGHT, top, bottom, x: self.x, y: self.y };
        canvas::draw_sized((WIDTH, bottom + 44), |canvas| {
            canvas.text(self.title.as_str(), (20, 16), Anchor::Start, Type { size: 15, bold: true, color: INK });
            legend(canvas, &keys, 38);
            self.shades(canvas, &panel);
            panel.axes(canvas, &self.x_label, &self.y_label);
            for level in self.levels.iter().filter(|level| drawable(level.at)) {
                let y = panel.y(level.at);
                dashed(canvas, &[(panel.left, y), (panel.right, y)], INK, (9, 3));
            }
            for (upright, (row, left)) in uprights.iter().zip(&labels) {
                let x = panel.x(upright.at);
                if upright.dashed {
                    canvas.dashes(x, panel.top - 4, panel.bottom, INK);
                } else {
                    canvas.path(vec![(x, panel.top - 4), (x, panel.bottom)], INK, 1);
                }
                let at = (*left, panel.top - 12 - row * LABEL_ROW);
                canvas.text(upright.label.as_str(), at, Anchor::Start, Type { color: INK, ..SMALL });
            }
            if self.is_empty() {
                panel.nothing(canvas);
            }
            for series in &self.series {
                series.draw(canvas, &panel);
            }
        })
    }

    fn shades(&self, canvas: &Canvas<'_>, panel: &Panel) {
        if let Some((from, _)) = self.beyond.as_ref().filter(|(from, _)| drawable(*from)) {
            canvas.rect((panel.x(*from), panel.top), (panel.right, panel.bottom), SHADE, SHADE_ALPHA);
        }
        for band in &self.bands {
            let known = |point: &&(f64, f64, f64)| drawable(point.0) && drawable(point.1) && drawable(point.2);
            let upper = band.points.iter().filter(known).map(|(x, _, high)| (panel.x(*x), panel.y(*high)));
            let lower = band.points.iter().rev().filter(known).map(|(x, low, _)| (panel.x(*x), panel.y(*low)));
            let outline: Vec<(i32, i32)> = upper.chain(lower).collect();
            if outline.len() > 3 {
                canvas.polygon_through(outline, band.color, BAND_ALPHA);
            }
        }
    }

    fn keys(&self) -> Vec<Key<'_>> {
        let series = self.series.iter().filter(|series| !series.label.is_empty());
        let mut keys: Vec<Key<'_>> =
            series.map(|series| Key { label: &series.label, look: Look::Series(series) }).collect();
        keys.extend(
            self.bands.iter().map(|band| Key { label: &band.label, look: Look::Shade(band.color, BAND_ALPHA) }),
        );
        keys.extend(self.levels.iter().map(|level| Key { label: &level.label, look: Look::Level }));
        keys.extend(self.beyond.iter().map(|(_, label)| Key { label, look: Look::Shade(SHADE, SHADE_ALPHA) }));
        keys
    }
}

const SHADE: RGBColor = super::GREY;
const SHADE_ALPHA: f64 = 0.18;
const BAND_ALPHA: f64 = 0.22;

struct Key<'a> {
    label: &'a str,
    look: Look<'a>,
}

enum Look<'a> {
    Series(&'a Series),
    Shade(RGBColor, f64),
    Level,
}

impl Key<'_> {
    fn width(&self) -> i32 {
        26 + text_width(self.label, SMALL.size) + 14
    }
}

/// Where each key begins: its row, and its place in it.
fn places(keys: &[Key<'_>]) -> Vec<(i32, i32)> {
    let (mut row, mut x) = (0, 20);
    let mut places = Vec::with_capacity(keys.len());
    for key in keys {
        if x > 20 && x + key.width() > WIDTH {
            (row, x) = (row + 1, 20);
        }
        places.push((row, x));
        x += key.width();
    }
    places
}

fn legend_rows(keys: &[Key<'_>]) -> i32 {
    places(keys).last().map_or(0, |(row, _)| row + 1)
}

fn legend(canvas: &Canvas<'_>, keys: &[Key<'_>], top: i32) {
    for (key, (row, x)) in keys.iter().zip(places(keys)) {
        let y = top + row * ROW;
        match key.look {
            Look::Series(series) => {
                series.stroke(canvas, &[(x, y), (x + 20, y)]);
                series.sign.draw(canvas, (x + 10, y), series.color);
            }
            Look::Shade(color, alpha) => canvas.rect((x, y - 6), (x + 20, y + 6), color, alpha),
            Look::Level => dashed(canvas, &[(x, y), (x + 20, y)], INK, (9, 3)),
        }
        canvas.text(key.label, (x + 26, y), Anchor::Start, SMALL);
    }
}

impl Upright {
    fn width(&self) -> i32 {
        text_width(&self.label, SMALL.size)
    }
}

/// Where the label of each upright stands, of which its place and the label's width are known: a row, from 0 just above the plot, and where it begins. Of two
/// lines the left one has its label to its left and the right one to its right, as far as there is room.
fn labels(uprights: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let mut taken: Vec<(i32, i32, i32)> = Vec::new();
    let mut labels = Vec::with_capacity(uprights.len());
    for (x, width) in uprights {
        let left_one = uprights.iter().any(|(other, _)| other > x);
        let right_one = uprights.iter().any(|(other, _)| other < x);
        let wanted = match (left_one, right_one) {
            (true, false) => x - width,
            (false, true) => *x,
            _ => x - width / 2,
        };
        let left = wanted.min(WIDTH - 8 - width).max(8);
        let mut row = 0;
        while taken.iter().any(|(at, from, to)| *at == row && left < to + 4 && from - 4 < left + width) {
            row += 1;
        }
        taken.push((row, left, left + width));
        labels.push((row, left));
    }
    labels
}

fn seen(point: &(f64, f64)) -> bool {
    drawable(point.0) && drawable(point.1)
}

impl Series {
    fn draw(&self, canvas: &Canvas<'_>, panel: &Panel) {
        let mut points: Vec<(i32, i32)> =
            self.points.iter().filter(|point| seen(point)).map(|(x, y)| (panel.x(*x), panel.y(*y))).collect();
        // Points that fall on one pixel are one: a picture has a bound, however many trials there were.
        points.dedup();
        if self.sign == Sign::None && points.len() > 24 {
            points = thinned(&points);
        }
        self.stroke(canvas, &points);
        points.iter().for_each(|at| self.sign.draw(canvas, *at, self.color));
    }

    fn stroke(&self, canvas: &Canvas<'_>, points: &[(i32, i32)]) {
        match self.line {
            Line::None => {}
            Line::Solid if points.len() > 1 => canvas.path(points.to_vec(), self.color, 2),
            Line::Dashed if points.len() > 1 => dashed(canvas, points, self.color, (5, 4)),
            Line::Solid | Line::Dashed => {}
        }
    }
}

impl Sign {
    fn draw(self, canvas: &Canvas<'_>, (x, y): (i32, i32), color: RGBColor) {
        match self {
            Self::None => {}
            Self::Dot => canvas.dot((x, y), 4, color),
            Self::Ring => {
                canvas.dot((x, y), 4, color);
                canvas.dot((x, y), 2, PAPER);
            }
            Self::Square => canvas.rect((x - 4, y - 4), (x + 4, y + 4), color, 1.0),
            Self::Triangle => canvas.polygon(vec![(x, y - 5), (x + 5, y + 4), (x - 5, y + 4)], color),
            Self::Diamond => canvas.polygon(vec![(x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)], color),
            Self::Cross => {
                canvas.path(vec![(x - 4, y - 4), (x + 4, y + 4)], color, 2);
                canvas.path(vec![(x - 4, y + 4), (x + 4, y - 4)], color, 2);
            }
        }
    }
}

/// A curve by points that are far enough apart for whole pixels not to make it tremble.
fn thinned(points: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let mut kept: Vec<(i32, i32)> = Vec::new();
    for point in points {
        if kept.last().is_none_or(|last| (point.0 - last.0).abs().max((point.1 - last.1).abs()) >= 24) {
            kept.push(*point);
        }
    }
    kept.extend(points.last().filter(|last| kept.last() != Some(last)));
    kept
}

/// A line of dashes along points, on for `on` pixels and off for `off`.
fn dashed(canvas: &Canvas<'_>, points: &[(i32, i32)], color: RGBColor, (on, off): (i32, i32)) {
    let mut walked = 0.0;
    let period = f64::from(on + off);
    for pair in points.windows(2) {
        let [from, to] = [pair[0], pair[1]].map(|(x, y)| (f64::from(x), f64::from(y)));
        let length = libm::hypot(to.0 - from.0, to.1 - from.1);
        let at = |part: f64| {
            let place = |from: f64, to: f64| (from + (to - from) * part / length).round() as i32;
            (place(from.0, to.0), place(from.1, to.1))
        };
        let mut done = 0.0;
        // A picture is a few hundred pixels wide and high: a few hundred dashes at most.
        while done < length {
            let phase = (walked + done) % period;
            let is_on = phase < f64::from(on);
            let rest = if is_on { f64::from(on) - phase } else { period - phase };
            let end = (done + rest.max(0.5)).min(length);
            if is_on {
                canvas.path(vec![at(done), at(end)], color, 2 - u32::from(color == INK));
            }
            done = end;
        }
        walked += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::canvas::FAINT;

    fn plot(points: Vec<(f64, f64)>, x: Scale, y: Scale) -> Plot {
        let series = Series {
            label: "measured".to_owned(),
            color: FAINT,
            line: Line::Dashed,
            sign: Sign::Cross,
            points: points.clone(),
        };
        Plot {
            title: "T".to_owned(),
            x_label: "load".to_owned(),
            y_label: "rate".to_owned(),
            x,
            y,
            series: vec![series],
            bands: vec![Band {
                label: "95 %".to_owned(),
                color: FAINT,
                points: points.iter().map(|(x, y)| (*x, *y, y * 2.0)).collect(),
            }],
            uprights: points.iter().map(|(x, _)| Upright { at: *x, label: "here".to_owned(), dashed: true }).collect(),
            levels: points.iter().map(|(_, y)| Level { at: *y, label: "bound".to_owned() }).collect(),
            beyond: points.first().map(|(x, _)| (*x, "not measured".to_owned())),
        }
    }

    #[test]
    fn what_is_no_figure_is_not_drawn_and_nothing_panics() {
        let hostile = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, -0.0, -7.0, 0.0, 1.0];
        let points: Vec<(f64, f64)> = hostile.iter().flat_map(|x| hostile.map(|y| (*x, y))).collect();
        for scale in [Scale::linear(1.0, 5), Scale::log(0.1, 1.0), Scale::around(1.0, 2)] {
            for points in [points.clone(), Vec::new(), vec![(1.0, 1.0)], vec![(f64::NAN, f64::NAN)]] {
                let svg = plot(points, Scale::linear(1.0, 5), scale).draw();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn a_picture_without_a_point_says_so() {
        let svg = |points| plot(points, Scale::linear(1.0, 5), Scale::linear(1.0, 5)).draw();
        assert!(svg(vec![(f64::NAN, 1.0)]).contains("nothing measured"));
        assert!(!svg(vec![(0.5, 0.5)]).contains("nothing measured"));
    }

    #[test]
    fn no_label_lies_on_another_nor_leaves_the_picture() {
        // Two that are near, at either edge and in the middle; three at one place; one alone.
        for places in [vec![280, 290], vec![76, 80], vec![515, 522], vec![300; 3], vec![200, 210, 220], vec![522]] {
            let uprights: Vec<(i32, i32)> = places.iter().map(|x| (*x, 90)).collect();
            let labels = labels(&uprights);
            for (n, (row, left)) in labels.iter().enumerate() {
                assert!(*left >= 0 && left + 90 <= WIDTH, "{places:?}: {labels:?}");
                let alike = labels[..n].iter().filter(|other| other.0 == *row);
                assert!(alike.clone().all(|other| (other.1 - left).abs() >= 90), "{places:?}: {labels:?}");
            }
        }
        assert_eq!(labels(&[(280, 90), (290, 90)]), [(0, 190), (0, 290)]);
    }

    #[test]
    fn a_legend_that_is_too_long_for_a_row_goes_on_in_the_next() {
        let labels = ["short", "a label that is long enough to fill most of a row of the legend, or nearly", "third"];
        let keys: Vec<Key<'_>> = labels.iter().map(|label| Key { label, look: Look::Level }).collect();
        assert_eq!(places(&keys).iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
