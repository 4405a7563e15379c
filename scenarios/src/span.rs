//! A length of time as files and messages write it: `"250ms"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Units from the longest to the shortest, in microseconds.
const UNITS: [(&str, u64); 5] = [("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// A length of time in whole microseconds. In text: a number and one unit of `us`, `ms`, `s`, `min`, `h`, as in `"250ms"` or `"1.5s"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    /// So many milliseconds; beyond 584,542 years it stays there.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// So many microseconds.
    #[must_use]
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// As std has it.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// In microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// In seconds, for rates and charts.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.as_duration().as_secs_f64()
    }
}

/// The longest unit that needs no fraction: `90s`, `1500ms`, `2min`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0s");
        }
        let (unit, size) = UNITS.into_iter().find(|(_, size)| self.0.is_multiple_of(*size)).unwrap_or(("us", 1));
        f.pad(&format!("{}{unit}", self.0 / size))
    }
}

/// Why a text is no [`Span`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpanError {
    /// No digits, or something else than digits and one point.
    #[error("\"{0}\" does not begin with a number")]
    Number(String),
    /// No unit, or one that is not known.
    #[error("the unit \"{0}\" is none of h, min, s, ms, us")]
    Unit(String),
    /// A number without a unit.
    #[error("\"{0}\" lacks a unit")]
    NoUnit(String),
    /// A fraction of a microsecond.
    #[error("\"{0}\" is not a whole number of microseconds")]
    Fraction(String),
    /// Above 2^64 microseconds.
    #[error("\"{0}\" is too long")]
    TooLong(String),
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
            return Err(SpanError::Number(text.to_owned()));
        }
        let unit = unit.trim_start();
        if unit.is_empty() {
            return Err(SpanError::NoUnit(text.to_owned()));
        }
        let size = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| SpanError::Unit(unit.to_owned()))?.1;
        let too_long = || SpanError::TooLong(text.to_owned());
        let whole: u64 = whole.parse().map_err(|_| too_long())?;
        let fraction = micros_of_fraction(fraction, size).ok_or_else(|| SpanError::Fraction(text.to_owned()))?;
        whole.checked_mul(size).and_then(|us| us.checked_add(fraction)).map(Self).ok_or_else(too_long)
    }
}

/// The digits after the point, in microseconds; none if that is not whole.
fn micros_of_fraction(digits: &str, size: u64) -> Option<u64> {
    let digits = digits.trim_end_matches('0');
    let scale = 10_u64.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let count: u64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let scaled = u128::from(count) * u128::from(size);
    if scaled.is_multiple_of(u128::from(scale)) { u64::try_from(scaled / u128::from(scale)).ok() } else { None }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: Result<u64, &str>) {
        let got = text.parse::<Span>().map(Span::as_micros).map_err(|error| error.to_string());
        assert_eq!(got, expect.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn a_number_with_a_unit_is_a_span() {
        check("250ms", Ok(250_000));
        check("0s", Ok(0));
        check("1.5s", Ok(1_500_000));
        check("5 us", Ok(5));
        check("0.50ms", Ok(500));
        check("2min", Ok(120_000_000));
        check("1h", Ok(3_600_000_000));
    }

    #[test]
    fn anything_else_is_an_error_that_says_why() {
        check("", Err("\"\" does not begin with a number"));
        check("ms", Err("\"ms\" does not begin with a number"));
        check("-1s", Err("\"-1s\" does not begin with a number"));
        check("1.s", Err("\"1.s\" does not begin with a number"));
        check("1.2.3s", Err("\"1.2.3s\" does not begin with a number"));
        check("100", Err("\"100\" lacks a unit"));
        check("3m", Err("the unit \"m\" is none of h, min, s, ms, us"));
        check("0.5us", Err("\"0.5us\" is not a whole number of microseconds"));
        check("99999999999999999999s", Err("\"99999999999999999999s\" is too long"));
        check("9999999999999999h", Err("\"9999999999999999h\" is too long"));
    }

    #[test]
    fn a_span_is_shown_in_the_longest_unit_without_a_fraction() {
        for text in ["0s", "1us", "1500us", "2ms", "1500ms", "90s", "2min", "1h"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!(format!("[{:>6}]", Span::from_millis(5)), "[   5ms]");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(us: u64) {
            let span = Span::from_micros(us);
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
    }
}
