//! Lines through points of any two figures: of a measurement over real sockets, where time is the wall's and nothing is a scenario's.

use plotters::style::RGBColor;

use super::canvas::{self, Anchor, INK, Panel, SMALL, Type, WIDTH, text_width};
use super::scale::Scale;
use super::{BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, labelled};

const HEIGHT: i32 = 280;
const COLORS: [RGBColor; 6] = [BLUE, ORANGE, GREEN, PURPLE, SKY, GREY];
/// Points of a line at most; more are thinned, the greatest of neighbours kept.
const POINTS_MAX: usize = 800;
const SHADE: RGBColor = RGBColor(0x00, 0x9e, 0x73);

/// One line: points in order of x; None: nothing was measured there, and the line has a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its name in the legend.
    pub label: String,
    /// Its points.
    pub points: Vec<(f64, Option<f64>)>,
}

/// A chart of such lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves<'a> {
    /// Its heading.
    pub title: &'a str,
    /// What runs to the right, with its unit.
    pub x_label: &'a str,
    /// What runs up, with its unit.
    pub y_label: &'a str,
    /// Powers of ten to the right, and not even steps.
    pub x_log: bool,
    /// Powers of ten upwards.
    pub y_log: bool,
    /// A part of x that is shaded, with its word.
    pub shade: Option<(f64, f64, &'a str)>,
    /// The lines, at most six.
    pub curves: &'a [Curve],
}

impl Curves<'_> {
    /// Draws them as an SVG.
    #[must_use]
    pub fn draw(&self) -> String {
        let values = || self.curves.iter().flat_map(|curve| &curve.points).filter_map(|(x, y)| y.map(|y| (*x, y)));
        let most = |of: fn(&(f64, f64)) -> f64| values().map(|point| of(&point)).fold(0.0, f64::max);
        let least = values().map(|(_, y)| y).filter(|y| *y > 0.0).fold(f64::INFINITY, f64::min);
        let end = self.curves.iter().flat_map(|curve| &curve.points).map(|(x, _)| *x).fold(0.0, f64::max);
        let top = most(|(_, y)| *y);
        let svg = canvas::draw(HEIGHT, |canvas| {
            canvas.text(self.title, (76, 18), Anchor::Start, Type { size: 16, bold: true, color: INK });
            let panel = Panel {
                left: 76,
                right: WIDTH - 24,
                top: 60,
                bottom: HEIGHT - 48,
                x: if self.x_log { Scale::log(1.0, end.max(10.0)) } else { Scale::exact(end, 10) },
                y: if self.y_log && least.is_finite() { Scale::log(least, top) } else { Scale::linear(top, 5) },
            };
            if let Some((from, to, word)) = self.shade {
                let (from, to) = (panel.x(from), panel.x(to));
                canvas.rect((from, panel.top), (to, panel.bottom), SHADE, 0.08);
                canvas.text(word, (from + 4, panel.top - 7), Anchor::Start, SMALL);
            }
            panel.axes(canvas, self.x_label, self.y_label);
            let mut legend = WIDTH - 24;
            for (curve, color) in self.curves.iter().zip(COLORS).rev() {
                legend -= text_width(&curve.label, 12);
                canvas.text(curve.label.as_str(), (legend, 38), Anchor::Start, SMALL);
                canvas.path(vec![(legend - 22, 38), (legend - 6, 38)], color, 3);
                legend -= 38;
            }
            let mut drawn = false;
            for (curve, color) in self.curves.iter().zip(COLORS) {
                for part in thinned(&curve.points).split(|(_, y)| y.is_none()) {
                    let points: Vec<(i32, i32)> =
                        part.iter().filter_map(|(x, y)| y.map(|y| (panel.x(*x), panel.y(y)))).collect();
                    drawn |= !points.is_empty();
                    // A lone point has no line through it.
                    if let [point] = points[..] {
                        canvas.dot(point, 2, color);
                    }
                    canvas.path(points, color, 2);
                }
            }
            if !drawn {
                panel.nothing(canvas);
            }
        });
        let names: Vec<&str> = self.curves.iter().map(|curve| curve.label.as_str()).collect();
        labelled(svg, &format!("{}: {}, by {}", self.title, names.join(", "), self.x_label))
    }
}

/// So many points that they can be told apart: of neighbours the one with the greatest value.
fn thinned(points: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    let group = points.len().div_ceil(POINTS_MAX).max(1);
    points
        .chunks(group)
        .filter_map(|part| part.iter().copied().max_by(|a, b| a.1.unwrap_or(-1.0).total_cmp(&b.1.unwrap_or(-1.0))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_parts_a_line_and_no_point_at_all_says_so() {
        let draw = |points: Vec<(f64, Option<f64>)>| {
            let curves = [Curve { label: "p99".to_owned(), points }];
            let (title, x_label, y_label) = ("Latency", "time (s)", "latency (ms)");
            Curves {
                title,
                x_label,
                y_label,
                x_log: false,
                y_log: true,
                shade: Some((1.0, 2.0, "window")),
                curves: &curves,
            }
            .draw()
        };
        let lines = |svg: &str| svg.matches("stroke=\"#0072B2\" stroke-width=\"2\"").count();
        let svg = draw(vec![(0.0, Some(1.0)), (1.0, Some(2.0)), (2.0, None), (3.0, Some(3.0)), (4.0, Some(1.0))]);
        assert_eq!(lines(&svg), 2, "{svg}");
        assert!(svg.contains("window") && !svg.contains("nothing measured"));
        assert!(draw(vec![(0.0, None)]).contains("nothing measured"));
    }

    #[test]
    fn of_many_points_the_greatest_are_kept() {
        let points: Vec<_> = (0..8_000).map(|x| (f64::from(x), Some(f64::from(x % 10)))).collect();
        let thin = thinned(&points);
        assert!(thin.len() == POINTS_MAX && thin.iter().all(|(_, y)| *y == Some(9.0)));
    }
}
