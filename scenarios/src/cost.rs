//! What a piece of work costs, as files write it: `"1340ns"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Units from the longest to the shortest, in nanoseconds.
const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

/// A cost in CPU time, in whole nanoseconds. In text: a number and one unit of `ns`, `us`, `ms`, `s`, as in `"1340ns"` or `"1.34us"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u64);

impl Cost {
    /// So many nanoseconds.
    #[must_use]
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// In nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// As std has it.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// The longest unit that needs no fraction: `5us`, `1340ns`.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = if self.0 == 0 {
            ("ns", 1)
        } else {
            UNITS.into_iter().find(|(_, size)| self.0.is_multiple_of(*size)).unwrap_or(("ns", 1))
        };
        f.pad(&format!("{}{unit}", self.0 / size))
    }
}

/// Why a text is no [`Cost`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// No digits, or something else than digits and one point.
    #[error("\"{0}\" does not begin with a number")]
    Number(String),
    /// No unit, or one that is not known.
    #[error("\"{0}\" lacks a unit: s, ms, us or ns")]
    Unit(String),
    /// A fraction of a nanosecond.
    #[error("\"{0}\" is not a whole number of nanoseconds")]
    Fraction(String),
    /// Above 2^64 nanoseconds.
    #[error("\"{0}\" is too much")]
    TooMuch(String),
}

impl FromStr for Cost {
    type Err = CostError;

    fn from_str(text: &str) -> Result<Self, CostError> {
        let said = || text.to_owned();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
            return Err(CostError::Number(said()));
        }
        let unit = unit.trim_start();
        let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(|| CostError::Unit(said()))?;
        let whole: u64 = whole.parse().map_err(|_| CostError::TooMuch(said()))?;
        // Digits beyond the ninth are below a nanosecond whatever the unit.
        let fraction = fraction.trim_end_matches('0');
        let scaled = (fraction.len() <= 9)
            .then(|| fraction.bytes().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0')) * size)
            .zip(10_u64.checked_pow(u32::try_from(fraction.len()).unwrap_or(u32::MAX)))
            .filter(|(scaled, scale)| scaled.is_multiple_of(*scale));
        let (scaled, scale) = scaled.ok_or_else(|| CostError::Fraction(said()))?;
        let ns = whole.checked_mul(size).and_then(|ns| ns.checked_add(scaled / scale));
        ns.map(Self).ok_or_else(|| CostError::TooMuch(said()))
    }
}

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: Result<u64, &str>) {
        let got = text.parse::<Cost>().map(Cost::as_nanos).map_err(|error| error.to_string());
        assert_eq!(got, expect.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn a_number_with_a_unit_is_a_cost_and_anything_else_says_why_not() {
        check("1340ns", Ok(1_340));
        check("1.34us", Ok(1_340));
        check("5us", Ok(5_000));
        check("0.50 ms", Ok(500_000));
        check("1.000000001s", Ok(1_000_000_001));
        check("0ns", Ok(0));
        check("-1us", Err("\"-1us\" does not begin with a number"));
        check("1.us", Err("\"1.us\" does not begin with a number"));
        check("1.2.3us", Err("\"1.2.3us\" does not begin with a number"));
        check("12", Err("\"12\" lacks a unit: s, ms, us or ns"));
        check("2min", Err("\"2min\" lacks a unit: s, ms, us or ns"));
        check("0.5ns", Err("\"0.5ns\" is not a whole number of nanoseconds"));
        check("1.0000000001s", Err("\"1.0000000001s\" is not a whole number of nanoseconds"));
        check("99999999999999999999ns", Err("\"99999999999999999999ns\" is too much"));
        check("99999999999s", Err("\"99999999999s\" is too much"));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(ns: u64) {
            prop_assert_eq!(Cost(ns).to_string().parse::<Cost>(), Ok(Cost(ns)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9.]{0,25}(ns|us|ms|s|x)?") {
            let _ = text.parse::<Cost>();
        }
    }
}
