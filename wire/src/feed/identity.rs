//! What makes a tick that tick, whichever instance of a source it came from: for a proxy that listens to two instances at once and passes on the first to come.

use serde::Deserialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::v2::{self, scalar};
use crate::id::Symbol;
use crate::tick::V2Time;

/// A tick's identity. Two ticks of one symbol with one time stamp may differ (a fast market within one millisecond), so the payload counts, too.
///
/// The payload's hash passes over what instances are known to write differently: quotes around numbers, white space, the suffix `:QUOTE`, and whether a quote is
/// called the last one (`LAST_QUOTE`). Another order of fields or another spelling of a number (`1.10` for `1.1`) makes another tick. The hash is xxh3 and not
/// keyed: instances are trusted not to make collisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The symbol, in v2 without `:QUOTE`.
    pub symbol: Symbol,
    /// The source's time stamp in milliseconds since 1970; None where the tick has none that can be read.
    pub ts_ms: Option<u64>,
    /// The hash of the payload.
    pub payload: u64,
}

impl Identity {
    /// Of a v1 tick; None where the text is none.
    #[must_use]
    pub fn v1(tick: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            symbol: Symbol,
            #[serde(borrow)]
            ts: Option<&'a RawValue>,
        }
        let wire: Wire<'_> = serde_json::from_str(tick).ok()?;
        let ts_ms = scalar(wire.ts).and_then(|digits| digits.parse().ok());
        Some(Self { symbol: wire.symbol, ts_ms, payload: hash(tick) })
    }

    /// Of a v2 tick; None where the text is none.
    #[must_use]
    pub fn v2(tick: &str) -> Option<Self> {
        let Ok(v2::Said::Tick(quote)) = v2::Said::decode(tick) else { return None };
        let ts_ms = V2Time::parse(&quote.ts).map(|time| time.0.as_micros() / 1_000);
        Some(Self { symbol: quote.symbol, ts_ms, payload: hash(tick) })
    }
}

fn hash(tick: &str) -> u64 {
    let mut bytes = Vec::with_capacity(tick.len());
    let mut rest = tick;
    // The quote stands before LAST_ only at the beginning of a value, and behind the suffix only at its end.
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\"LAST_QUOTE\"") {
            bytes.extend_from_slice(b"QUOTE");
            rest = after;
        } else if let Some(after) = rest.strip_prefix(":QUOTE\"") {
            rest = after;
        } else {
            let (this, after) = rest.split_at(next.len_utf8());
            if next != '"' && !next.is_ascii_whitespace() {
                bytes.extend_from_slice(this.as_bytes());
            }
            rest = after;
        }
    }
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_spellings_of_a_tick_are_one() {
        let tick = Identity::v2(r#"{"t":"QUOTE","s":"EURUSD","b":"1.1","a":"1.2","ts":"20260515-12:36:35.588"}"#);
        let tick = tick.unwrap();
        assert_eq!((tick.symbol.as_str(), tick.ts_ms), ("EURUSD", Some(1_778_848_595_588)));
        for same in [
            r#"{"t":"QUOTE","s":"EURUSD:QUOTE","b":1.1,"a":1.2,"ts":"20260515-12:36:35.588"}"#,
            r#"{ "t": "LAST_QUOTE", "s": "EURUSD", "b": "1.1", "a": 1.2, "ts": "20260515-12:36:35.588" }"#,
        ] {
            assert_eq!(Identity::v2(same), Some(tick), "{same}");
        }
        for other in [
            r#"{"t":"QUOTE","s":"EURUSD","b":"1.1","a":"1.3","ts":"20260515-12:36:35.588"}"#,
            r#"{"t":"QUOTE","s":"EURUSD","b":"1.1","a":"1.2","ts":"20260515-12:36:35.589"}"#,
            r#"{"t":"QUOTE","s":"GBPUSD","b":"1.1","a":"1.2","ts":"20260515-12:36:35.588"}"#,
        ] {
            assert_ne!(Identity::v2(other), Some(tick), "{other}");
        }
    }

    #[test]
    fn v1_ticks_have_an_identity_too() {
        let tick = Identity::v1(r#"{"symbol":"EURUSD","ts":"1767225600100","bid":1.5}"#).unwrap();
        assert_eq!((tick.symbol.as_str(), tick.ts_ms), ("EURUSD", Some(1_767_225_600_100)));
        assert_eq!(Identity::v1(r#"{"symbol":"EURUSD","ts":1767225600100,"bid":"1.5"}"#), Some(tick));
        assert_ne!(Identity::v1(r#"{"symbol":"EURUSD","ts":"1767225600100","bid":1.6}"#), Some(tick));
        assert_eq!(Identity::v1(r#"{"symbol":"EURUSD"}"#).unwrap().ts_ms, None);
    }

    #[test]
    fn what_is_no_tick_has_none() {
        for text in ["", "Connected", "{}", r#"{"type":"login_ok"}"#, r#"{"symbol":5}"#] {
            assert_eq!((Identity::v1(text), Identity::v2(text)), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"(\{"(symbol|t)":"(QUOTE|A)","(s|ts)":["A:QUOTE0é]{0,12}\}|.{0,30})"#) {
            let _ = (Identity::v1(&text), Identity::v2(&text), hash(&text));
        }
    }
}
