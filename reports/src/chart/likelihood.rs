//! How likely something is, over time: a line through points, each with its interval.

use plotters::style::RGBColor;

use super::canvas::{self, Anchor, INK, Panel, SMALL, Type, WIDTH};
use super::scale::Scale;

const HEIGHT: i32 = 300;
const LINE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const BAND: RGBColor = RGBColor(0xc9, 0xdc, 0xf0);
const MARK: RGBColor = RGBColor(0xb3, 0x26, 0x1e);

/// A share at a time, with the interval in which it is likely to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Virtual seconds.
    pub at_s: f64,
    /// From 0 to 1.
    pub p: f64,
    /// The least that is likely.
    pub low: f64,
    /// The greatest that is likely.
    pub high: f64,
}

/// Draws shares, which are in order of time, as an SVG; `mark_s`: a time that is marked, with its label.
#[must_use]
pub fn likelihood(title: &str, y_label: &str, shares: &[Share], mark_s: Option<(f64, &str)>) -> String {
    canvas::draw(HEIGHT, |canvas| {
        canvas.text(title, (76, 18), Anchor::Start, Type { size: 16, bold: true, color: INK });
        let end = shares.last().map_or(1.0, |share| share.at_s.max(1e-6));
        let panel = Panel {
            left: 76,
            right: WIDTH - 24,
            top: 44,
            bottom: HEIGHT - 48,
            x: Scale::exact(end, 8),
            y: Scale::exact(1.0, 5),
        };
        if let [_, _, ..] = shares {
            let top = shares.iter().map(|share| (panel.x(share.at_s), panel.y(share.high)));
            let bottom = shares.iter().rev().map(|share| (panel.x(share.at_s), panel.y(share.low)));
            canvas.polygon(top.chain(bottom).collect(), BAND);
        }
        panel.axes(canvas, "virtual time (s)", y_label);
        let points: Vec<(i32, i32)> = shares.iter().map(|share| (panel.x(share.at_s), panel.y(share.p))).collect();
        for at in &points {
            canvas.dot(*at, 3, LINE);
        }
        canvas.path(points, LINE, 2);
        if let Some((at_s, label)) = mark_s {
            let x = panel.x(at_s);
            canvas.dashes(x, panel.top, panel.bottom, MARK);
            let (x, anchor) = if x > WIDTH / 2 { (x - 6, Anchor::End) } else { (x + 6, Anchor::Start) };
            canvas.text(label, (x, panel.top - 8), anchor, Type { color: MARK, ..SMALL });
        }
    })
}
