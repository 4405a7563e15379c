//! The time stamps of the v2 feed: `20260515-12:36:35.588`, UTC, in whole milliseconds.

use std::fmt;

use crate::net::WallTime;

const DAY_MS: u64 = 86_400_000;

/// An instant as the v2 feed writes it. From 1970 to the year 9999; what is later is written as the last millisecond of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V2Time(pub WallTime);

/// The first day of the year 10000, in days since 1970.
const DAYS_MAX: u64 = 2_932_897;

impl fmt::Display for V2Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = (self.0.as_micros() / 1_000).min(DAYS_MAX * DAY_MS - 1);
        let (year, month, day) = civil(ms / DAY_MS);
        let (hour, minute) = (ms / 3_600_000 % 24, ms / 60_000 % 60);
        let (second, milli) = (ms / 1_000 % 60, ms % 1_000);
        write!(f, "{year:04}{month:02}{day:02}-{hour:02}:{minute:02}:{second:02}.{milli:03}")
    }
}

impl V2Time {
    /// Reads a time stamp; None where the text is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 21 {
            return None;
        }
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
        };
        let between = [(8, "-"), (11, ":"), (14, ":"), (17, ".")];
        if between.iter().any(|(at, mark)| text.get(*at..*at + 1) != Some(mark)) {
            return None;
        }
        let days = days(number(0, 4)?, number(4, 6)?, number(6, 8)?)?;
        let (hour, minute, second, milli) = (number(9, 11)?, number(12, 14)?, number(15, 17)?, number(18, 21)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let ms = days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1_000 + milli;
        Some(Self(WallTime(ms * 1_000)))
    }
}

/// Year, month and day of a day since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, day)
}

/// The day since 1970 (the same, `days_from_civil`); None where there is no such day, or it is earlier.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let y = year - u64::from(month <= 2);
    let (era, yoe) = (y / 400, y % 400);
    let mp = if month > 2 { month - 3 } else { month + 9 };
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + (153 * mp + 2) / 5 + day - 1;
    let days = (era * 146_097 + doe).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_written_as_the_feed_does() {
        for (ms, text) in [
            (0, "19700101-00:00:00.000"),
            (1_767_225_600_100, "20260101-00:00:00.100"),
            (1_778_848_595_588, "20260515-12:36:35.588"),
            (1_709_164_800_000, "20240229-00:00:00.000"),
            (951_868_799_999, "20000229-23:59:59.999"),
        ] {
            let time = V2Time(WallTime(ms * 1_000));
            assert_eq!(time.to_string(), text);
            assert_eq!(V2Time::parse(text), Some(time));
        }
        assert_eq!(V2Time(WallTime(u64::MAX)).to_string(), "99991231-23:59:59.999");
    }

    #[test]
    fn what_is_no_time_stamp_is_none() {
        for text in [
            "",
            "20260515 12:36:35.588",
            "20260230-00:00:00.000",
            "20250229-00:00:00.000",
            "20261301-00:00:00.000",
            "19691231-00:00:00.000",
            "20260515-24:00:00.000",
            "20260515-12:36:35.58",
            "2026051\u{e9}-2:36:35.588",
            "+0260515-12:36:35.588",
        ] {
            assert_eq!(V2Time::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_millisecond_survives(ms in 0_u64..DAYS_MAX * DAY_MS) {
            let time = V2Time(WallTime(ms * 1_000));
            prop_assert_eq!(V2Time::parse(&time.to_string()), Some(time));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,24}", near in "[0-9]{8}-[0-9:.]{12}") {
            let _ = (V2Time::parse(&text), V2Time::parse(&near));
        }
    }
}
