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

/// The share of values not above x, as a line of steps. Values that fall on one pixel are one step, so a panel's width bounds them.
fn staircase(sorted: &[f64], panel: &Panel) -> Vec<(i32, i32)> {
    let mut points = vec![(panel.x(0.0), panel.bottom)];
    for (place, value) in sorted.iter().enumerate() {
        let x = panel.x(*value);
        // The last value of a pixel says how high the line is there.
        if sorted.get(place + 1).is_some_and(|next| panel.x(*next) == x) {
            continue;
        }
        let y = panel.y(100.0 * (place + 1) as f64 / sorted.len() as f64);
        let before = points.last().map_or(panel.bottom, |at| at.1);
        points.push((x, before));
        points.push((x, y));
    }
    points.push((panel.right, panel.top.max(points.last().map_or(panel.top, |at| at.1))));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel() -> Panel {
        Panel { left: 0, right: 100, top: 0, bottom: 100, x: Scale::linear(100.0, 5), y: Scale::linear(100.0, 5) }
    }

    #[test]
    fn a_step_of_many_equal_values_is_drawn_wherever_it_ends() {
        // 1,699 of 2,699 clients got nothing: a number that no thinning by place would hit.
        let mut values = vec![0.0; 1_699];
        values.extend(vec![80.0; 1_000]);
        let line = staircase(&values, &panel());
        assert!(line.contains(&(0, 37)), "63 percent at or below nothing: {line:?}");
        assert!(line.contains(&(80, 37)) && line.contains(&(80, 0)), "the rest at 80: {line:?}");
    }

    #[test]
    fn a_staircase_has_no_more_steps_than_its_panel_has_pixels() {
        let values: Vec<f64> = (0..20_000).map(|n| f64::from(n) / 200.0).collect();
        assert!(staircase(&values, &panel()).len() <= 2 * 101 + 2);
    }
}
