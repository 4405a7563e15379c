//! Lines through points that do not lie on a run's time: a figure over another, for a handful of series.

use plotters::style::RGBColor;

use super::canvas::{self, Anchor, INK, Panel, SMALL, Type, WIDTH, text_width};
use super::scale::Scale;
use super::{PALETTE, labelled};

const HEIGHT: i32 = 320;
const MARK: RGBColor = RGBColor(0xb3, 0x26, 0x1e);

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// Its points, in order of x.
    pub points: Vec<(f64, f64)>,
    /// Whether it stays at each value until the next point.
    pub steps: bool,
}

/// What a chart of lines says besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane<'a> {
    /// Its heading.
    pub title: &'a str,
    /// What it shows, in words, for readers who do not see it.
    pub describe: &'a str,
    /// Axis and unit.
    pub x_label: &'a str,
    /// Axis and unit.
    pub y_label: &'a str,
    /// Values of x that are marked, each with its label.
    pub marks: Vec<(f64, String)>,
    /// A value of y that is not to be passed, if there is one.
    pub bound: Option<(f64, String)>,
}

/// Draws lines as an SVG; beyond six they share colours.
#[must_use]
pub fn plane(said: &Plane<'_>, series: &[Series]) -> String {
    let svg = canvas::draw(HEIGHT, |canvas| {
        canvas.text(said.title, (76, 18), Anchor::Start, Type { size: 16, bold: true, color: INK });
        let all = || series.iter().flat_map(|one| one.points.iter().copied());
        let most = |values: &mut dyn Iterator<Item = f64>| values.filter(|it| it.is_finite()).fold(0.0, f64::max);
        let x_most = most(&mut all().map(|at| at.0).chain(said.marks.iter().map(|mark| mark.0)));
        let y_most = most(&mut all().map(|at| at.1).chain(said.bound.iter().map(|bound| bound.0)));
        let panel = Panel {
            left: 76,
            right: WIDTH - 24,
            top: 74,
            bottom: HEIGHT - 48,
            x: Scale::exact(x_most, 8),
            y: Scale::linear(y_most, 5),
        };
        panel.axes(canvas, said.x_label, said.y_label);
        if all().next().is_none() {
            panel.nothing(canvas);
            return;
        }
        let mut x = panel.left;
        for (place, one) in series.iter().enumerate() {
            let color = PALETTE[place % PALETTE.len()];
            canvas.rect((x, 38), (x + 14, 42), color, 1.0);
            canvas.text(one.label.as_str(), (x + 20, 40), Anchor::Start, SMALL);
            x += 20 + text_width(&one.label, SMALL.size) + 24;
            canvas.path(pixels(one, &panel), color, 2);
        }
        if let Some((y, label)) = &said.bound {
            let y = panel.y(*y);
            canvas.path(vec![(panel.left, y), (panel.right, y)], MARK, 1);
            canvas.text(label.as_str(), (panel.right, y - 8), Anchor::End, Type { color: MARK, ..SMALL });
        }
        // Labels that would lie on one another stand in turns.
        let mut right = [i32::MIN; 2];
        for (at, label) in &said.marks {
            let x = panel.x(*at);
            canvas.dashes(x, panel.top, panel.bottom, MARK);
            let width = text_width(label, SMALL.size);
            let left = (x - width / 2).clamp(panel.left, panel.right - width);
            let line = usize::from(left < right[0]);
            right[line] = left + width + 8;
            let y = panel.top - 8 - 12 * i32::from(line == 1);
            canvas.text(label.as_str(), (left, y), Anchor::Start, Type { color: MARK, ..SMALL });
        }
    });
    labelled(svg, said.describe)
}

/// Points on the canvas, as few as tell: of those on one column the first, the last and the ends between.
fn pixels(series: &Series, panel: &Panel) -> Vec<(i32, i32)> {
    let mut line: Vec<(i32, i32)> = Vec::new();
    for (x, y) in &series.points {
        let at = (panel.x(*x), panel.y(*y));
        if let Some(last) = line.last().copied() {
            if last == at {
                continue;
            }
            if series.steps && last.0 != at.0 && last.1 != at.1 {
                line.push((at.0, last.1));
            }
            // A third point straight above or below two others says nothing more than the outer two.
            if let [.., before, last] = line.as_slice()
                && before.0 == last.0
                && last.0 == at.0
                && (last.1 - before.1).signum() == (at.1 - last.1).signum()
            {
                line.pop();
            }
        }
        line.push(at);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<'a>() -> Plane<'a> {
        Plane {
            title: "Back",
            describe: "how many are back",
            x_label: "time (s)",
            y_label: "clients",
            marks: vec![(1.0, "half".to_owned()), (1.01, "all".to_owned())],
            bound: None,
        }
    }

    #[test]
    fn a_line_of_steps_goes_along_and_up_and_a_thousand_of_them_fit_the_pixels() {
        let points = |n: u32| (0..=n).map(|at| (f64::from(at) / f64::from(n), f64::from(at))).collect::<Vec<_>>();
        let series = Series { label: "runs".to_owned(), points: points(2), steps: true };
        let panel =
            Panel { left: 0, right: 100, top: 0, bottom: 100, x: Scale::exact(1.0, 5), y: Scale::linear(2.0, 5) };
        assert_eq!(pixels(&series, &panel), [(0, 100), (50, 100), (50, 50), (100, 50), (100, 0)]);
        let many = Series { points: points(100_000), ..series };
        let panel = Panel { y: Scale::linear(100_000.0, 5), ..panel };
        assert!(pixels(&many, &panel).len() < 400);
    }

    #[test]
    fn what_has_no_points_says_so_and_labels_do_not_lie_on_one_another() {
        assert!(plane(&said(), &[]).contains("nothing measured"));
        let svg =
            plane(&said(), &[Series { label: "a".to_owned(), points: vec![(0.0, 0.0), (2.0, 3.0)], steps: false }]);
        let y = |label: &str| {
            let (before, _) = svg.split_once(label).expect("it is there");
            let (_, attribute) = before.rsplit_once(" y=\"").expect("a place");
            attribute.split('"').next().map(str::to_owned)
        };
        assert_ne!(y("\nhalf\n"), y("\nall\n"), "{svg}");
        assert!(svg.contains("how many are back"));
    }
}
