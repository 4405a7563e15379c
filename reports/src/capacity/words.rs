//! Figures of a measurement as people read them. What was not measured, or is no number, is a dash and never 0.

use super::{Basis, Step};
use crate::figure;

/// What stands where nothing was measured.
pub(super) const DASH: &str = "–";

/// A figure to three digits or so, thousands apart: `1,900`, `43.2`, `0.0031`.
pub(super) fn amount(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => DASH.to_owned(),
        _ if size >= 1e15 => format!("{value:.1e}"),
        _ if size >= 100.0 || value.fract() == 0.0 => signed(value),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.2}"),
        _ if size >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    }
}

fn signed(value: f64) -> String {
    let sign = if value <= -0.5 { "\u{2212}" } else { "" };
    format!("{sign}{}", figure::count(value.abs().round() as u64))
}

/// As [`amount`], of what may not have been measured.
pub(super) fn amount_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| DASH.to_owned(), amount)
}

/// A share of one in percent: `98 %`, `4.2 %`.
pub(super) fn share(value: f64) -> String {
    let percent = value * 100.0;
    match percent.abs() {
        _ if !value.is_finite() => DASH.to_owned(),
        size if size >= 9.95 || size == 0.0 => format!("{} %", signed(percent)),
        _ => format!("{percent:.1} %"),
    }
}

/// As [`share`], of what may not have been measured.
pub(super) fn share_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| DASH.to_owned(), share)
}

/// A difference as a share, with its sign: `+4.2 %`, `−12 %`.
pub(super) fn difference(value: f64) -> String {
    if !value.is_finite() {
        return DASH.to_owned();
    }
    let sign = if value < 0.0 { "\u{2212}" } else { "+" };
    format!("{sign}{}", share(value.abs()))
}

/// The share that came in time, never rounded up: `99.93 %`; `100 %` is all of them.
pub(super) fn goodput(value: f64) -> String {
    if !value.is_finite() {
        return DASH.to_owned();
    }
    let cut = |digits: f64| (value * 100.0 * digits + 1e-7).floor() / digits;
    if value >= 1.0 {
        "100 %".to_owned()
    } else if value > 0.9999 {
        format!("{:.4} %", cut(1e4))
    } else {
        format!("{:.2} %", cut(1e2))
    }
}

/// What is asked for, without needless zeros: `99.9 %`.
pub(super) fn asked(goodput_min: f64) -> String {
    let percent = (goodput_min * 100.0 * 1e6).round() / 1e6;
    if percent.is_finite() { format!("{percent} %") } else { DASH.to_owned() }
}

/// Bytes in units of 1,024: `3.4 KiB`, `128 MiB`.
pub(super) fn bytes(value: f64) -> String {
    if !value.is_finite() {
        return DASH.to_owned();
    }
    let (size, sign) = (value.abs(), if value < 0.0 { "\u{2212}" } else { "" });
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut shown = size;
    while shown >= 1023.5 && unit + 1 < units.len() {
        (shown, unit) = (shown / 1024.0, unit + 1);
    }
    let unit = units[unit];
    if unit == "B" || shown >= 99.5 {
        format!("{sign}{} {unit}", figure::count(shown.round() as u64))
    } else {
        format!("{sign}{shown:.1} {unit}")
    }
}

/// A time in microseconds.
pub(super) fn micros(us: f64) -> String {
    match us {
        _ if !us.is_finite() || us < 0.0 => DASH.to_owned(),
        0.0..99.5 if us.fract() != 0.0 => format!("{us:.1} µs"),
        _ => figure::latency(us.round() as u64),
    }
}

/// The fewest samples of which an upper bound of p99, and of p99.9, exists at 95 %: ceil(ln 0.05 / ln q).
const P99_SAMPLES: u64 = 299;
const P999_SAMPLES: u64 = 2_995;

/// p99, where there are samples enough.
pub(super) fn p99(step: &Step) -> Option<u64> {
    step.latency.filter(|latency| latency.count >= P99_SAMPLES).map(|latency| latency.p99_us)
}

/// p99.9, where there are samples enough.
pub(super) fn p999(step: &Step) -> Option<u64> {
    step.latency.filter(|latency| latency.count >= P999_SAMPLES).map(|latency| latency.p999_us)
}

/// What came a second; none where nothing was planned.
pub(super) fn rate(step: &Step) -> Option<f64> {
    let rate = step.delivered as f64 / step.window_s;
    (step.planned > 0 && step.window_s > 0.0 && rate.is_finite()).then_some(rate)
}

/// The name of an axis in a heading.
pub(super) fn axis_title(name: &str) -> String {
    match name {
        "mixed" => "The mix".to_owned(),
        "rate" => "Message rate".to_owned(),
        "connect" => "Connections a second".to_owned(),
        "held" => "Held connections".to_owned(),
        other => other.to_owned(),
    }
}

impl Basis {
    /// The word, with a sign of its own: told apart without colours.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Measured => ("■", "measured"),
            Self::Modelled => ("◧", "modelled"),
            Self::Extrapolated => ("□", "extrapolated"),
            Self::Simulated => ("◇", "simulated"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well_and_what_is_no_figure_is_a_dash() {
        let amounts = [1_900.0, 43.21, 2.5, 7.0, 0.0312, 0.000_04, -1_234.4, 0.0, f64::NAN, f64::INFINITY, 1e18];
        assert_eq!(
            amounts.map(amount),
            ["1,900", "43.2", "2.50", "7", "0.0312", "4.0e-5", "−1,234", "0", "–", "–", "1.0e18"]
        );
        assert_eq!([0.976, 0.0423, 0.0, 1.204, f64::NAN].map(share), ["98 %", "4.2 %", "0 %", "120 %", "–"]);
        assert_eq!([0.042, -0.3, f64::NAN].map(difference), ["+4.2 %", "−30 %", "–"]);
        assert_eq!([0.999, 0.9999, 1.0, f64::NAN].map(asked), ["99.9 %", "99.99 %", "100 %", "–"]);
        assert_eq!([512.0, 3_480.0, 134_217_728.0, -2048.0].map(bytes), ["512 B", "3.4 KiB", "128 MiB", "−2.0 KiB"]);
        assert_eq!([12.34, 950.0, 1_250.0, -1.0].map(micros), ["12.3 µs", "950 µs", "1.25 ms", "–"]);
    }

    #[test]
    fn a_goodput_is_never_rounded_up() {
        assert_eq!(
            [1.0, 0.999_999, 0.999_96, 0.9999, 0.9896, 0.5].map(goodput),
            ["100 %", "99.9999 %", "99.9960 %", "99.99 %", "98.96 %", "50.00 %"]
        );
    }
}
