//! From a figure to its place on an axis, and the ticks of the axis.

/// An axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    /// From 0 to `top`, a tick each `step`.
    Linear { top: f64, step: f64 },
    /// From 10^`low` to 10^`high`.
    Log { low: i32, high: i32 },
    /// From 0 to exactly `end`, a tick each `step`: the time axis.
    Exact { end: f64, step: f64 },
    /// From `-top` to `top`, a tick each `step`: differences.
    Around { top: f64, step: f64 },
}

/// One tick.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    /// Its place, 0 to 1.
    pub(crate) place: f64,
    /// Its label; empty for a minor tick.
    pub(crate) label: String,
}

impl Scale {
    /// From 0 to at least `max`, with about `ticks` ticks.
    pub(crate) fn linear(max: f64, ticks: u32) -> Self {
        let max = if max > 0.0 { max } else { 1.0 };
        let step = nice_step(max / f64::from(ticks));
        Self::Linear { top: (max / step - 1e-9).ceil().max(1.0) * step, step }
    }

    /// As [`Scale::linear`], for whole things: no tick lies between two counts.
    pub(crate) fn counts(max: f64, ticks: u32) -> Self {
        match Self::linear(max, ticks) {
            Self::Linear { step, .. } if step < 1.0 => Self::Linear { top: max.max(1.0).ceil(), step: 1.0 },
            scale => scale,
        }
    }

    /// Whole decades around the values, which are above 0.
    pub(crate) fn log(min: f64, max: f64) -> Self {
        let low = libm::floor(libm::log10(min) + 1e-9) as i32;
        let high = libm::ceil(libm::log10(max) - 1e-9) as i32;
        Self::Log { low, high: high.max(low + 1) }
    }

    /// From 0 to exactly `end`.
    pub(crate) fn exact(end: f64, ticks: u32) -> Self {
        let end = if end > 0.0 { end } else { 1.0 };
        Self::Exact { end, step: nice_step(end / f64::from(ticks)) }
    }

    /// From at most `-max` to at least `max`, about `ticks` ticks on each side of 0.
    pub(crate) fn around(max: f64, ticks: u32) -> Self {
        match Self::linear(max, ticks) {
            Self::Linear { top, step } => Self::Around { top, step },
            scale => scale,
        }
    }

    /// The place of a value, 0 to 1; what lies outside is put on the edge.
    pub(crate) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { top, .. } => value / top,
            Self::Exact { end, .. } => value / end,
            Self::Around { top, .. } => 0.5 + value / top / 2.0,
            Self::Log { low, high } if value > 0.0 => (libm::log10(value) - f64::from(low)) / f64::from(high - low),
            Self::Log { .. } => 0.0,
        };
        place.clamp(0.0, 1.0)
    }

    pub(crate) fn ticks(self) -> Vec<Tick> {
        match self {
            Self::Linear { top: end, step } | Self::Exact { end, step } => {
                // At most a few dozen: step is a fraction of end.
                let steps = (end / step + 1e-9).floor() as u32;
                let value = |n| f64::from(n) * step;
                (0..=steps).map(|n| Tick { place: self.place(value(n)), label: number(value(n), step) }).collect()
            }
            Self::Around { top, step } => {
                let steps = (top / step + 1e-9).floor() as i32;
                let value = |n| f64::from(n) * step;
                (-steps..=steps).map(|n| Tick { place: self.place(value(n)), label: number(value(n), step) }).collect()
            }
            Self::Log { low, high } => self.decades(low, high),
        }
    }

    fn decades(self, low: i32, high: i32) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let labelled = if high - low <= 2 { [1, 2, 5].as_slice() } else { &[1] };
        for decade in low..=high {
            for times in 1..10 {
                let value = f64::from(times) * libm::pow(10.0, f64::from(decade));
                if decade == high && times > 1 {
                    break;
                }
                let label = if labelled.contains(&times) { number(value, value) } else { String::new() };
                ticks.push(Tick { place: self.place(value), label });
            }
        }
        ticks
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn nice_step(least: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(least)));
    for times in [1.0, 2.0, 5.0] {
        if times * power >= least * (1.0 - 1e-9) {
            return times * power;
        }
    }
    10.0 * power
}

/// A tick's label with as many decimals as its step needs, and `k` or `M` from 10,000 on.
fn number(value: f64, step: f64) -> String {
    if value < 0.0 {
        return format!("\u{2212}{}", number(-value, step));
    }
    let (value, step, unit) = if value >= 1e7 {
        (value / 1e6, step / 1e6, "M")
    } else if value >= 1e4 {
        (value / 1e3, step / 1e3, "k")
    } else {
        (value, step, "")
    };
    let decimals = (0..6).find(|decimals| {
        let scaled = step * libm::pow(10.0, f64::from(*decimals));
        (scaled - scaled.round()).abs() < 1e-6
    });
    format!("{value:.*}{unit}", decimals.unwrap_or(6) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale) -> String {
        let ticks = scale.ticks();
        ticks.iter().map(|tick| tick.label.as_str()).filter(|label| !label.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round() {
        for (scale, expect) in [
            (Scale::linear(0.0, 4), "0.0 0.5 1.0"),
            (Scale::linear(1.0, 5), "0.0 0.2 0.4 0.6 0.8 1.0"),
            (Scale::linear(19_000.0, 4), "0 5000 10k 15k 20k"),
            (Scale::counts(2.0, 5), "0 1 2"),
            (Scale::counts(0.0, 5), "0 1"),
            (Scale::around(0.03, 2), "\u{2212}0.04 \u{2212}0.02 0.00 0.02 0.04"),
            (Scale::exact(60.0, 10), "0 10 20 30 40 50 60"),
            (Scale::exact(12.5, 10), "0 2 4 6 8 10 12"),
            (Scale::log(0.3, 2_500.0), "0.1 1 10 100 1000 10k"),
            (Scale::log(1.0, 20.0), "1 2 5 10 20 50 100"),
        ] {
            assert_eq!(labels(scale), expect, "{scale:?}");
        }
    }

    #[test]
    fn places_run_from_edge_to_edge() {
        assert_eq!(Scale::Log { low: 0, high: 2 }.place(10.0), 0.5);
        assert_eq!(Scale::Log { low: 0, high: 2 }.place(0.0), 0.0);
        assert_eq!(Scale::Exact { end: 4.0, step: 1.0 }.place(9.0), 1.0);
        assert_eq!([-4.0, 0.0, 2.0].map(|value| Scale::around(4.0, 2).place(value)), [0.0, 0.5, 0.75]);
    }
}
