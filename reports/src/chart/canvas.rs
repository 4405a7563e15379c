//! What charts are drawn on: an SVG with a panel of axes, in whole pixels.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle};

use super::scale::Scale;

/// The width of every chart, in pixels.
pub(super) const WIDTH: i32 = 900;

pub(super) const PAPER: RGBColor = RGBColor(255, 255, 255);
pub(super) const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
pub(super) const FAINT: RGBColor = RGBColor(0x5a, 0x62, 0x6b);
const GRID: RGBColor = RGBColor(0xe3, 0xe6, 0xea);

/// Pixels in an SVG. Drawing into a string cannot fail, so errors are dropped here, once.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Where a text is put against its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    /// It starts there.
    Start,
    /// It is centred there.
    Middle,
    /// It ends there.
    End,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Type {
    pub(super) size: i32,
    pub(super) bold: bool,
    pub(super) color: RGBColor,
}

/// Labels of axes and legends.
pub(super) const SMALL: Type = Type { size: 12, bold: false, color: FAINT };

/// Draws a chart into a string.
pub(super) fn draw(height: i32, paint: impl FnOnce(&Canvas<'_>)) -> String {
    draw_sized((WIDTH, height), paint)
}

/// As [`draw`], of another width.
pub(super) fn draw_sized((width, height): (i32, i32), paint: impl FnOnce(&Canvas<'_>)) -> String {
    let mut svg = String::new();
    {
        let size = (width.unsigned_abs(), height.unsigned_abs());
        let canvas = Canvas { area: SVGBackend::with_string(&mut svg, size).into_drawing_area() };
        canvas.rect((0, 0), (width, height), PAPER, 1.0);
        paint(&canvas);
        drop(canvas.area.present());
    }
    svg
}

impl Canvas<'_> {
    pub(super) fn rect(&self, from: (i32, i32), to: (i32, i32), color: RGBColor, alpha: f64) {
        drop(self.area.draw(&Rectangle::new([from, to], color.mix(alpha).filled())));
    }

    pub(super) fn path(&self, points: Vec<(i32, i32)>, color: RGBColor, width: u32) {
        drop(self.area.draw(&PathElement::new(points, ShapeStyle::from(color).stroke_width(width))));
    }

    pub(super) fn dot(&self, at: (i32, i32), radius: i32, color: RGBColor) {
        drop(self.area.draw(&Circle::new(at, radius, color.filled())));
    }

    pub(super) fn polygon(&self, points: Vec<(i32, i32)>, color: RGBColor) {
        self.polygon_through(points, color, 1.0);
    }

    /// One that what lies below can be seen through.
    pub(super) fn polygon_through(&self, points: Vec<(i32, i32)>, color: RGBColor, alpha: f64) {
        drop(self.area.draw(&Polygon::new(points, color.mix(alpha).filled())));
    }

    /// A vertical line of dashes.
    pub(super) fn dashes(&self, x: i32, top: i32, bottom: i32, color: RGBColor) {
        let mut y = top;
        while y < bottom {
            self.path(vec![(x, y), (x, (y + 3).min(bottom))], color, 1);
            y += 6;
        }
    }

    /// A text whose vertical middle is at `at.1`.
    pub(super) fn text(&self, text: impl Into<String>, at: (i32, i32), anchor: Anchor, look: Type) {
        self.text_turned(text.into(), at, anchor, look, FontTransform::None);
    }

    fn text_turned(&self, text: String, at: (i32, i32), anchor: Anchor, look: Type, turn: FontTransform) {
        let h = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let weight = if look.bold { FontStyle::Bold } else { FontStyle::Normal };
        // What XML does not have makes a picture that no program opens.
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        // plotters writes a font size of size / 1.24.
        let font = ("sans-serif", f64::from(look.size) * 1.24, weight).into_font();
        let style = font.transform(turn).color(&look.color).pos(Pos::new(h, VPos::Center));
        drop(self.area.draw(&Text::new(text, at, style)));
    }
}

/// The width of a text in pixels, on the safe side: there is no font to measure it by.
pub(super) fn text_width(text: &str, size: i32) -> i32 {
    let characters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX / 100);
    characters.saturating_mul(size) * 54 / 100
}

/// A rectangle with two axes.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
    pub(super) x: Scale,
    pub(super) y: Scale,
}

impl Panel {
    pub(super) fn x(&self, value: f64) -> i32 {
        self.left + (self.x.place(value) * f64::from(self.right - self.left)).round() as i32
    }

    pub(super) fn y(&self, value: f64) -> i32 {
        self.bottom - (self.y.place(value) * f64::from(self.bottom - self.top)).round() as i32
    }

    /// Grid, axes and their labels, each with its unit.
    pub(super) fn axes(&self, canvas: &Canvas<'_>, x_label: &str, y_label: &str) {
        for tick in self.y.ticks() {
            let y = self.bottom - (tick.place * f64::from(self.bottom - self.top)).round() as i32;
            if tick.label.is_empty() {
                canvas.path(vec![(self.left - 3, y), (self.left, y)], FAINT, 1);
            } else {
                canvas.path(vec![(self.left, y), (self.right, y)], GRID, 1);
                canvas.text(tick.label, (self.left - 6, y), Anchor::End, SMALL);
            }
        }
        for tick in self.x.ticks() {
            let x = self.left + (tick.place * f64::from(self.right - self.left)).round() as i32;
            canvas.path(vec![(x, self.bottom), (x, self.bottom + 4)], FAINT, 1);
            canvas.text(tick.label, (x, self.bottom + 13), Anchor::Middle, SMALL);
        }
        canvas.path(vec![(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)], FAINT, 1);
        canvas.text(x_label, ((self.left + self.right) / 2, self.bottom + 30), Anchor::Middle, SMALL);
        let middle = ((self.left - 56).max(8), (self.top + self.bottom) / 2);
        canvas.text_turned(y_label.to_owned(), middle, Anchor::Middle, SMALL, FontTransform::Rotate270);
    }

    /// Where nothing was measured, the chart says so.
    pub(super) fn nothing(&self, canvas: &Canvas<'_>) {
        let middle = ((self.left + self.right) / 2, (self.top + self.bottom) / 2);
        canvas.text("nothing measured", middle, Anchor::Middle, Type { size: 15, ..SMALL });
    }
}
