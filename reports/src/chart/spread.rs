//! How a figure is spread over the clients: the share of clients at or below each value.

use plotters::style::RGBColor;

use super::canvas::{self, Anchor, INK, Panel, SMALL, Type, WIDTH};
use super::scale::Scale;

/// One distribution over clients.
pub(super) struct Spread {
    pub(super) title: String,
    pub(super) x_label: String,
    pub(super) color: RGBColor,
    pub(super) values: Vec<f64>,
}

const HEIGHT: i32 = 280;
/// Steps drawn a panel: more cannot be told apart.
const STEPS_MAX: usize = 200;

/// Two distributions side by side.
pub(super) fn draw(title: &str, spreads: [Spread; 2]) -> String {
    canvas::draw(HEIGHT, |canvas| {
        canvas.text(title, (76, 18), Anchor::Start, Type { size: 16, bold: true, color: INK });
        let middle = WIDTH / 2;
        for (mut spread, left, right) in
            spreads.into_iter().zip([(76, middle - 24), (middle + 76, WIDTH - 24)]).map(|(s, (l, r))| (s, l, r))
        {
            spread.values.sort_by(f64::total_cmp);
            let max = spread.values.last().copied().unwrap_or(0.0);
            let panel = Panel {
                left,
                right,
                top: 62,
                bottom: HEIGHT - 44,
                x: Scale::linear(max, 5),
                y: Scale::linear(100.0, 5),
            };
            canvas.text(spread.title.as_str(), (left, 42), Anchor::Start, Type { color: INK, ..SMALL });
            panel.axes(canvas, &spread.x_label, "clients (%)");
            if spread.values.is_empty() {
                panel.nothing(canvas);
                continue;
            }
            canvas.path(staircase(&spread.values, &panel), spread.color, 2);
        }
    })
}

/// The share of values not above x, as a line of steps.
fn staircase(sorted: &[f64], panel: &Panel) -> Vec<(i32, i32)> {
    let mut points = vec![(panel.x(0.0), panel.bottom)];
    let every = sorted.len().div_ceil(STEPS_MAX);
    for (place, value) in sorted.iter().enumerate() {
        let last = place + 1 == sorted.len();
        // Equal values rise in one step.
        if !last && (sorted[place + 1] == *value || !(place + 1).is_multiple_of(every)) {
            continue;
        }
        let (x, y) = (panel.x(*value), panel.y(100.0 * (place + 1) as f64 / sorted.len() as f64));
        let before = points.last().map_or(panel.bottom, |at| at.1);
        points.push((x, before));
        points.push((x, y));
    }
    points.push((panel.right, panel.top.max(points.last().map_or(panel.top, |at| at.1))));
    points
}
