//! Self-verifying payloads: tick n of a symbol is f(seed, symbol, n), the same on every instance of the source.
//!
//! ```text
//! {"symbol":"EURUSD","ts":"1767225600100","bid":1.48213,"ask":1.48221,"mid":1.0000000001}
//!            |             |                   |             |              `-- n, ten digits after the point
//!            |             |                   `------------ `-- five digits of a hash of (seed, symbol, n)
//!            |             `-- the instant at which tick n is due, in milliseconds: n times the period
//!            `-- the symbol
//!
//! {"t":"QUOTE","s":"EURUSD","b":"1.48213","a":"1.48221","ts":"20260101-00:00:00.100","m":"1.0000000001"}     in v2
//! ```
//!
//! Every sixteenth tick of v2 has bare numbers for prices and the suffix `:QUOTE`, as the real feed now and then does. A tick can carry filler
//! ([`Padding`]), to be as large as a message may be.
//!
//! Tick n is due at wall-clock time n times the symbol's period, and its phase where it has one (counted from [`ORIGIN_US`]). So all instances of a source, and a restarted one, agree on
//! which tick is due now without talking to one another, as replicas of a market feed do. A receiver reads n from the payload, and one that
//! knows the seed checks every byte.

mod clock;
mod padding;

use std::fmt::Write as _;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use self::clock::V2Time;
pub use self::padding::{PADDING_MAX, Padding, PaddingError};
use crate::feed::v2;
use crate::id::{SYMBOL_BYTES_MAX, Symbol};
use crate::net::WallTime;

/// 2026-01-01 00:00 UTC in microseconds since 1970: tick 0 of every symbol was due then.
pub const ORIGIN_US: u64 = 1_767_225_600_000_000;

/// The greatest n that a payload can carry (ten digits): 31 years at ten ticks a second.
pub const N_MAX: u64 = 9_999_999_999;

/// When the ticks of a symbol are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    period_us: u64,
    /// How long after [`ORIGIN_US`] tick 0 was due; shorter than the period.
    phase_us: u64,
}

impl Schedule {
    /// Ticks of one symbol this far apart. At least one millisecond: the feed's time stamps are no finer.
    ///
    /// # Errors
    /// If the period is shorter than a millisecond, or longer than a day.
    pub fn every(period: Duration) -> Result<Self, ScheduleError> {
        if period < Duration::from_millis(1) || period > Duration::from_secs(86_400) {
            return Err(ScheduleError(period));
        }
        Ok(Self { period_us: u64::try_from(period.as_micros()).unwrap_or(u64::MAX), phase_us: 0 })
    }

    /// The same, but each tick this share of a period later: `part` of `parts`, so that symbols are not all due at once. With no parts nothing changes.
    #[must_use]
    pub fn shifted(self, part: u32, parts: u32) -> Self {
        let phase_us = u128::from(self.period_us) * u128::from(part) / u128::from(parts.max(1));
        // Beyond a period it would be another tick's.
        Self { phase_us: if parts == 0 { 0 } else { u64::try_from(phase_us).unwrap_or(0) % self.period_us }, ..self }
    }

    /// Microseconds between two ticks of one symbol.
    #[must_use]
    pub fn period_us(self) -> u64 {
        self.period_us
    }

    /// The instant at which tick `n` is due.
    #[must_use]
    pub fn due(self, n: u64) -> WallTime {
        WallTime(ORIGIN_US.saturating_add(self.phase_us).saturating_add(n.saturating_mul(self.period_us)))
    }

    /// The first tick that is due at `now` or later.
    #[must_use]
    pub fn next(self, now: WallTime) -> u64 {
        now.as_micros().saturating_sub(ORIGIN_US.saturating_add(self.phase_us)).div_ceil(self.period_us)
    }
}

/// The period is shorter than a millisecond or longer than a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ticks of one symbol {0:?} apart: must be from 1 ms to a day; for a higher rate use more symbols")]
pub struct ScheduleError(Duration);

/// A decoded tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Its symbol.
    pub symbol: Symbol,
    /// Its number.
    pub n: u64,
}

impl Tick {
    /// The payload in the v1 feed's form.
    ///
    /// # Panics
    /// If `n` passes [`N_MAX`].
    #[must_use]
    pub fn encode(&self, seed: u64, schedule: Schedule) -> String {
        self.encode_padded(seed, schedule, Padding::NONE)
    }

    /// The payload in the v1 feed's form, with filler.
    ///
    /// # Panics
    /// If `n` passes [`N_MAX`].
    #[must_use]
    pub fn encode_padded(&self, seed: u64, schedule: Schedule, padding: Padding) -> String {
        assert!(self.n <= N_MAX, "tick number {} does not fit into a payload", self.n);
        let bytes = padding.bytes(seed, self.symbol, self.n);
        let (bid, ask) = self.prices(seed, bytes);
        let mut text = String::with_capacity(124 + bytes);
        write!(
            text,
            r#"{{"symbol":"{}","ts":"{}","bid":1.{:05},"ask":1.{:05}"#,
            self.symbol,
            schedule.due(self.n).as_micros() / 1000,
            bid,
            ask,
        )
        .expect("writing to a string cannot fail");
        self.pad(&mut text, seed, bytes);
        write!(text, r#","mid":1.{:010}}}"#, self.n).expect("writing to a string cannot fail");
        text
    }

    /// The payload in the v2 feed's form.
    ///
    /// # Panics
    /// If `n` passes [`N_MAX`].
    #[must_use]
    pub fn encode_v2(&self, seed: u64, schedule: Schedule) -> String {
        self.encode_v2_padded(seed, schedule, Padding::NONE)
    }

    /// The payload in the v2 feed's form, with filler.
    ///
    /// # Panics
    /// If `n` passes [`N_MAX`].
    #[must_use]
    pub fn encode_v2_padded(&self, seed: u64, schedule: Schedule, padding: Padding) -> String {
        assert!(self.n <= N_MAX, "tick number {} does not fit into a payload", self.n);
        self.written_v2(seed, schedule.due(self.n), padding.bytes(seed, self.symbol, self.n))
    }

    /// With so many bytes of filler.
    fn written_v2(&self, seed: u64, due: WallTime, bytes: usize) -> String {
        let (bid, ask) = self.prices(seed, bytes);
        let (symbol, ts, n) = (self.symbol, V2Time(due), self.n);
        let (quote, suffix) = if self.is_bare() { ("", v2::SUFFIX) } else { ("\"", "") };
        let mut text = format!(
            r#"{{"t":"QUOTE","s":"{symbol}{suffix}","b":{quote}1.{bid:05}{quote},"a":{quote}1.{ask:05}{quote},"ts":"{ts}""#
        );
        self.pad(&mut text, seed, bytes);
        write!(text, r#","m":{quote}1.{n:010}{quote}}}"#).expect("writing to a string cannot fail");
        text
    }

    fn pad(&self, text: &mut String, seed: u64, bytes: usize) {
        if bytes > 0 {
            text.push_str(PAD);
            padding::fill(text, self.filler(seed, bytes), bytes);
            text.push('"');
        }
    }

    /// The key of so many bytes of filler.
    fn filler(&self, seed: u64, bytes: usize) -> u64 {
        key(!seed ^ bytes as u64, self.symbol, self.n)
    }

    /// Whether v2 writes this tick with bare numbers and the suffix.
    fn is_bare(&self) -> bool {
        self.n.is_multiple_of(16)
    }

    /// The five digits of the bid and of the ask of a tick with so many bytes of filler.
    fn prices(&self, seed: u64, bytes: usize) -> (u64, u64) {
        let hash = key(seed ^ (bytes as u64).rotate_left(32), self.symbol, self.n);
        (hash % 100_000, (hash >> 32) % 100_000)
    }

    /// Reads the symbol and the number from a payload of either form, whatever its seed. None where the text is not a tick of ours.
    #[must_use]
    pub fn decode(payload: &str) -> Option<Self> {
        let rest = payload.strip_suffix('}')?;
        let quoted = rest.strip_suffix('"');
        let whole = quoted.unwrap_or(rest);
        let (head, digits) = whole.split_at_checked(whole.len().checked_sub(N_DIGITS)?)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let symbol = match (payload.strip_prefix(SYMBOL_V1), quoted) {
            (Some(named), None) => {
                head.strip_suffix(r#""mid":1."#)?;
                Symbol::new(named.split_once('"')?.0).ok()?
            }
            (Some(_), Some(_)) => return None,
            (None, quoted) => {
                head.strip_suffix(if quoted.is_some() { r#","m":"1."# } else { r#","m":1."# })?;
                v2::symbol_of(payload)?
            }
        };
        Some(Self { symbol, n: digits.parse().ok()? })
    }

    /// Whether the payload is, byte for byte but for its time stamp, the tick that it claims to be under this seed.
    #[must_use]
    pub fn verify(payload: &str, seed: u64) -> bool {
        let Some(tick) = Self::decode(payload) else { return false };
        if payload.starts_with(r#"{"t":"#) {
            let Some(due) = due_v2(payload) else { return false };
            let filler = payload.split_once(PAD).and_then(|(_, rest)| rest.split_once('"'));
            return payload == tick.written_v2(seed, due, filler.map_or(0, |(filler, _)| filler.len()));
        }
        // The number was read already. A client checks each message: no text is made for it.
        let stamped = payload
            .strip_prefix(SYMBOL_V1)
            .and_then(|rest| rest.strip_prefix(tick.symbol.as_str()))
            .and_then(|rest| rest.strip_prefix(r#"","ts":""#))
            .and_then(|rest| rest.split_once('"'));
        let Some((stamp, rest)) = stamped else { return false };
        // What is longer than a tick without filler has some, and the field's name around it.
        let longer = rest.len().saturating_sub(PLAIN_V1);
        let filler = longer.saturating_sub(PAD.len() + 1);
        let (bid, ask) = tick.prices(seed, filler);
        let [bid, ask] = [bid, ask].map(digits);
        !stamp.is_empty()
            && stamp.bytes().all(|byte| byte.is_ascii_digit())
            && rest
                .as_bytes()
                .strip_prefix(br#","bid":1."#)
                .and_then(|rest| rest.strip_prefix(&bid))
                .and_then(|rest| rest.strip_prefix(br#","ask":1."#))
                .and_then(|rest| rest.strip_prefix(&ask))
                .and_then(|rest| if longer == 0 { Some(rest) } else { tick.unpadded(rest, seed, filler) })
                .and_then(|rest| rest.strip_prefix(br#","mid":1."#))
                .is_some_and(|rest| rest.len() == N_DIGITS + 1)
    }

    /// What follows so many bytes of filler, if they are this tick's.
    fn unpadded<'p>(&self, rest: &'p [u8], seed: u64, bytes: usize) -> Option<&'p [u8]> {
        let (filler, rest) = rest.strip_prefix(PAD.as_bytes())?.split_at_checked(bytes)?;
        let whole = bytes > 0 && padding::is_filled(filler, self.filler(seed, bytes));
        rest.strip_prefix(b"\"").filter(|_| whole)
    }

    /// When a tick of ours was due, as its time stamp says (whole milliseconds).
    #[must_use]
    pub fn due(payload: &str) -> Option<WallTime> {
        match payload.strip_prefix(SYMBOL_V1) {
            Some(named) => {
                let stamp = named.split_once('"')?.1.strip_prefix(r#","ts":""#)?;
                let digits = stamp.split_once('"')?.0;
                Some(WallTime(digits.parse::<u64>().ok()?.checked_mul(1_000)?))
            }
            None => due_v2(payload),
        }
    }
}

/// How a v1 tick begins.
const SYMBOL_V1: &str = r#"{"symbol":""#;

/// Digits of a tick's number.
const N_DIGITS: usize = 10;

/// What stands before filler; a quote ends it.
const PAD: &str = r#","pad":""#;

/// Bytes of a v1 tick without filler, behind its time stamp.
const PLAIN_V1: usize = r#","bid":1.00000,"ask":1.00000,"mid":1.0000000000}"#.len();

/// The hash of a symbol's tick under a seed.
fn key(seed: u64, symbol: Symbol, n: u64) -> u64 {
    let mut key = [0_u8; SYMBOL_BYTES_MAX + 8];
    let name = symbol.as_str().as_bytes();
    key[..name.len()].copy_from_slice(name);
    key[SYMBOL_BYTES_MAX..].copy_from_slice(&n.to_le_bytes());
    xxh3_64_with_seed(&key, seed)
}

/// The five digits of a price's fraction.
fn digits(mut fraction: u64) -> [u8; 5] {
    let mut digits = [b'0'; 5];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(fraction % 10).unwrap_or(0);
        fraction /= 10;
    }
    digits
}

/// The instant in a v2 tick's time stamp.
fn due_v2(payload: &str) -> Option<WallTime> {
    let stamp = payload.split_once(r#","ts":""#)?.1.split_once('"')?.0;
    V2Time::parse(stamp).map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_survives_the_wire_and_any_changed_digit_is_seen() {
        let schedule = Schedule::every(Duration::from_millis(100)).unwrap();
        let tick = Tick { symbol: Symbol::new("EURUSD").unwrap(), n: 17 };
        let text = tick.encode(1, schedule);
        assert!(text.starts_with(r#"{"symbol":"EURUSD","ts":"1767225601700","bid":1."#), "{text}");
        assert!(text.ends_with(r#""mid":1.0000000017}"#), "{text}");
        assert_eq!(Tick::decode(&text), Some(tick));
        assert!(Tick::verify(&text, 1));
        assert!(!Tick::verify(&text, 2));
        assert!(!Tick::verify(&text.replace("17}", "18}"), 1));
        assert!(!Tick::verify(&text.replace("EURUSD", "EURUSX"), 1));
    }

    #[test]
    fn a_v2_tick_survives_the_wire_in_both_spellings() {
        let schedule = Schedule::every(Duration::from_millis(100)).unwrap();
        for (n, head, tail) in [
            (17, r#"{"t":"QUOTE","s":"EURUSD","b":"1."#, r#","ts":"20260101-00:00:01.700","m":"1.0000000017"}"#),
            (32, r#"{"t":"QUOTE","s":"EURUSD:QUOTE","b":1."#, r#","ts":"20260101-00:00:03.200","m":1.0000000032}"#),
        ] {
            let tick = Tick { symbol: Symbol::new("EURUSD").unwrap(), n };
            let text = tick.encode_v2(1, schedule);
            assert!(text.starts_with(head) && text.ends_with(tail), "{text}");
            assert_eq!(v2::symbol_of(&text), Some(tick.symbol));
            assert_eq!((Tick::decode(&text), Tick::due(&text)), (Some(tick), Some(schedule.due(n))));
            assert!(Tick::verify(&text, 1) && !Tick::verify(&text, 2));
            assert!(!Tick::verify(&text.replace(r#""a":"#, r#""a": "#), 1));
            assert!(!Tick::verify(&text.replace("EURUSD", "EURUSX"), 1));
        }
        let v1 = Tick { symbol: Symbol::numbered(0), n: 5 }.encode(1, schedule);
        assert_eq!(Tick::due(&v1), Some(schedule.due(5)));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in r#"(\{"(symbol|t)":"(QUOTE","s":"A|A)"(,"ts":"[0-9]{0,21}")?,"(mid|m)":"?1.[0-9]{9,11}"?\}|.{0,30})"#) {
            let _ = (Tick::decode(&text), Tick::verify(&text, 1), Tick::due(&text));
        }
    }

    proptest::proptest! {
        #[test]
        fn every_tick_is_read_as_it_was_written(
            seed: u64, n in 0..=N_MAX, number in 0_u32..10_000, wrong in 0_usize..400, sizes in (0_u32..40, 0_u32..200),
        ) {
            let tick = Tick { symbol: Symbol::numbered(number), n };
            let schedule = Schedule::every(Duration::from_millis(100)).unwrap();
            let padding = Padding::between(sizes.0, sizes.0 + sizes.1).unwrap();
            for text in [
                tick.encode(seed, schedule),
                tick.encode_v2(seed, schedule),
                tick.encode_padded(seed, schedule, padding),
                tick.encode_v2_padded(seed, schedule, padding),
            ] {
                proptest::prop_assert_eq!(Tick::decode(&text), Some(tick));
                proptest::prop_assert_eq!(Tick::due(&text), Some(schedule.due(n)));
                proptest::prop_assert!(Tick::verify(&text, seed));
                // Any one byte but those of the time stamp.
                let stamp = text.find(r#""ts":""#).unwrap() + 6;
                let stamp = stamp..stamp + text[stamp..].find('"').unwrap();
                let at = wrong % text.len();
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'7' { b'8' } else { b'7' };
                if let Ok(other) = String::from_utf8(other) && !stamp.contains(&at) {
                    proptest::prop_assert!(!Tick::verify(&other, seed), "{}", other);
                }
            }
        }
    }

    #[test]
    fn a_tick_that_lost_its_filler_or_a_piece_of_it_is_another() {
        let schedule = Schedule::every(Duration::from_millis(100)).unwrap();
        let tick = Tick { symbol: Symbol::new("EURUSD").unwrap(), n: 17 };
        let padding = Padding::between(100_000, 100_000).unwrap();
        for text in [tick.encode_padded(1, schedule, padding), tick.encode_v2_padded(1, schedule, padding)] {
            assert!(text.len() > 100_000 && Tick::verify(&text, 1) && !Tick::verify(&text, 2));
            assert_eq!(Tick::decode(&text), Some(tick));
            let from = text.find(PAD).unwrap();
            let filler = from + PAD.len()..from + PAD.len() + 100_000;
            for gone in [from..filler.end + 1, filler.clone(), filler.end - 4_096..filler.end, 70_000..70_008] {
                let mut less = text.clone();
                less.replace_range(gone.clone(), "");
                assert_eq!(Tick::decode(&less), Some(tick));
                assert!(!Tick::verify(&less, 1), "without {gone:?}");
            }
            let mut changed = text.clone();
            changed.replace_range(65_600..65_601, if text.as_bytes()[65_600] == b'x' { "y" } else { "x" });
            assert!(!Tick::verify(&changed, 1));
        }
    }

    #[test]
    fn what_is_not_a_tick_is_none() {
        for text in ["", "{}", "Connected", r#"{"symbol":"A","mid":1.5}"#, r#"{"symbol":"","mid":1.0000000001}"#] {
            assert_eq!(Tick::decode(text), None, "{text}");
        }
    }

    #[test]
    fn due_instants_and_numbers_are_inverse() {
        let schedule = Schedule::every(Duration::from_micros(33_333)).unwrap();
        for n in [0, 1, 2, 1000, 123_456_789] {
            let due = schedule.due(n);
            assert_eq!(schedule.next(due), n);
            assert_eq!(schedule.next(WallTime(due.0 + 1)), n + 1);
        }
        assert!(Schedule::every(Duration::from_micros(999)).is_err());
    }

    #[test]
    fn a_shifted_schedule_is_the_same_so_much_later_and_never_by_a_period() {
        let schedule = Schedule::every(Duration::from_micros(33_333)).unwrap();
        let late = schedule.shifted(2, 3);
        for n in [0, 1, 123_456_789] {
            assert_eq!(late.due(n), WallTime(schedule.due(n).0 + 22_222));
            assert_eq!((late.next(late.due(n)), late.next(WallTime(late.due(n).0 + 1))), (n, n + 1));
        }
        assert_eq!(late.next(WallTime(0)), 0);
        assert_eq!([schedule.shifted(0, 0), schedule.shifted(3, 3), schedule.shifted(0, 9)], [schedule; 3]);
    }
}
