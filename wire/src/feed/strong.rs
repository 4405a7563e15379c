//! The strong contract's messages from proxy to client, subprotocol `windtunnel.v1`: JSON text, one object each.
//!
//! ```text
//! {"type":"snapshot","symbol":"EURUSD","epoch":3,"seq":16,"data":{"symbol":"EURUSD","ts":...}}   the newest value when the client subscribed
//! {"type":"live","symbol":"EURUSD","epoch":3,"seq":17,"data":{"symbol":"EURUSD","ts":...}}
//! {"type":"gap","symbol":"EURUSD","epoch":3,"from":18,"to":25,"reason":"overflow"}
//! {"type":"gap","symbol":"EURUSD","epoch":3,"from":26,"to":null,"reason":"reset"}      the epoch is over; an unknown number is missing
//! {"type":"live","symbol":"EURUSD","epoch":4,"seq":1,"data":...}
//! ```
//!
//! `(epoch, seq)` is the proxy's own stamp, per symbol: seq grows by one with every message that the proxy received of that symbol in that epoch, whether or
//! not this client got it. So a client may start at any seq; from there on each seq of an epoch is either delivered or named in a gap, and a new epoch
//! begins only after a gap with reason `reset` closed the old one.
//!
//! **Resume.** A client that comes again says in its request where it stood ([`super::Request::resume`]). Per symbol the proxy answers all or nothing
//! (Centrifugo's `recovered` flag is the model):
//!
//! ```text
//! {"type":"resumed","symbol":"EURUSD","epoch":3,"seq":17,"recovered":true}      replay from seq 18 follows, contiguous to the first live one
//! {"type":"replay","symbol":"EURUSD","epoch":3,"seq":18,"data":...}
//! {"type":"live","symbol":"EURUSD","epoch":3,"seq":19,"data":...}
//!
//! {"type":"resumed","symbol":"GBPUSD","epoch":3,"seq":2,"recovered":false}      nothing is replayed
//! {"type":"gap","symbol":"GBPUSD","epoch":3,"from":3,"to":null,"reason":"resume"}
//! {"type":"snapshot","symbol":"GBPUSD","epoch":4,"seq":80,"data":...}
//! ```
//!
//! **Denial.** A symbol that the client asked for and that the source refuses (v2) brings no data:
//!
//! ```text
//! {"type":"denied","symbol":"XAUUSD","reason":"not in your plan"}
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::brief::brief;
use crate::id::Symbol;

/// How a message came to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The newest value at the time of subscribing.
    Snapshot,
    /// As it happened.
    Live,
    /// From the proxy's memory, after a resume.
    Replay,
}

/// Why messages are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Newer values replaced them while the client was slow.
    Conflated,
    /// The client's queue was full.
    Overflow,
    /// The proxy lost its source and moved to another instance: the epoch ends, and it cannot know how many it missed.
    Reset,
    /// A resume could not be served in full.
    Resume,
}

/// One message of the strong contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strong<'a> {
    /// A source's message with its stamp.
    Data {
        /// How it came.
        kind: Kind,
        /// Its symbol.
        symbol: Symbol,
        /// The epoch: counts the proxy's changes of source.
        epoch: u64,
        /// Its number within symbol and epoch, from 1.
        seq: u64,
        /// The source's own text.
        data: Cow<'a, str>,
    },
    /// Messages that will not come.
    Gap {
        /// Their symbol.
        symbol: Symbol,
        /// Their epoch.
        epoch: u64,
        /// The first missing seq.
        from: u64,
        /// The last missing seq; None where the epoch is over and the number unknown.
        to: Option<u64>,
        /// Why.
        reason: GapReason,
    },
    /// The answer to a resume of one symbol.
    Resumed {
        /// The symbol.
        symbol: Symbol,
        /// The epoch that the client named.
        epoch: u64,
        /// The last seq that the client has, as it said.
        seq: u64,
        /// True: what follows is replay from `seq + 1` of this epoch, contiguous to the first live message. False: nothing is replayed; a gap with reason
        /// [`GapReason::Resume`] follows, and then a snapshot, if there is a value.
        recovered: bool,
    },
    /// The source refuses a symbol that the client asked for.
    Denied {
        /// The symbol.
        symbol: Symbol,
        /// The source's own words, empty where it gives none.
        reason: Cow<'a, str>,
    },
}

/// A text is not a message of the strong contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a windtunnel.v1 message: {0}")]
pub struct StrongError(String);

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    what: Cow<'a, str>,
    symbol: Symbol,
    epoch: Option<u64>,
    seq: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    recovered: Option<bool>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> Strong<'a> {
    /// The message. JSON data stands as it is; any other text becomes a JSON string.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(200);
        match self {
            Strong::Data { kind, symbol, epoch, seq, data } => {
                let kind = match kind {
                    Kind::Snapshot => "snapshot",
                    Kind::Live => "live",
                    Kind::Replay => "replay",
                };
                write!(text, r#"{{"type":"{kind}","symbol":"{symbol}","epoch":{epoch},"seq":{seq},"data":"#)
                    .expect("writing to a string cannot fail");
                if is_json_object(data) {
                    text.push_str(data);
                } else {
                    text.push_str(&serde_json::to_string(data.as_ref()).expect("a string always serialises"));
                }
                text.push('}');
            }
            Strong::Gap { symbol, epoch, from, to, reason } => {
                let to = to.map_or_else(|| "null".to_owned(), |to| to.to_string());
                let reason = serde_json::to_string(reason).expect("a word always serialises");
                write!(
                    text,
                    r#"{{"type":"gap","symbol":"{symbol}","epoch":{epoch},"from":{from},"to":{to},"reason":{reason}}}"#
                )
                .expect("writing to a string cannot fail");
            }
            Strong::Resumed { symbol, epoch, seq, recovered } => {
                write!(
                    text,
                    r#"{{"type":"resumed","symbol":"{symbol}","epoch":{epoch},"seq":{seq},"recovered":{recovered}}}"#
                )
                .expect("writing to a string cannot fail");
            }
            Strong::Denied { symbol, reason } => {
                let reason = serde_json::to_string(reason).expect("a string always serialises");
                write!(text, r#"{{"type":"denied","symbol":"{symbol}","reason":{reason}}}"#)
                    .expect("writing to a string cannot fail");
            }
        }
        text
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`StrongError`] says what is wrong.
    pub fn decode(text: &'a str) -> Result<Self, StrongError> {
        let wire: Wire<'a> = serde_json::from_str(text).map_err(|error| StrongError(brief(error)))?;
        let missing = |field: &str| StrongError(format!("{} without {field}", wire.what));
        let epoch = wire.epoch.ok_or_else(|| missing("epoch"));
        let kind = match wire.what.as_ref() {
            "snapshot" => Kind::Snapshot,
            "live" => Kind::Live,
            "replay" => Kind::Replay,
            "gap" => {
                let from = wire.from.ok_or_else(|| missing("from"))?;
                let word = wire.reason.as_deref().ok_or_else(|| missing("reason"))?;
                let reason = GapReason::deserialize(IntoDeserializer::<ValueError>::into_deserializer(word));
                let reason = reason.map_err(|_| StrongError(brief(format_args!("unknown reason {word:?}"))))?;
                return Ok(Strong::Gap { symbol: wire.symbol, epoch: epoch?, from, to: wire.to, reason });
            }
            "resumed" => {
                let seq = wire.seq.ok_or_else(|| missing("seq"))?;
                let recovered = wire.recovered.ok_or_else(|| missing("recovered"))?;
                return Ok(Strong::Resumed { symbol: wire.symbol, epoch: epoch?, seq, recovered });
            }
            "denied" => {
                let reason = wire.reason.ok_or_else(|| missing("reason"))?;
                return Ok(Strong::Denied { symbol: wire.symbol, reason });
            }
            other => return Err(StrongError(brief(format_args!("unknown type {other:?}")))),
        };
        let raw = wire.data.ok_or_else(|| missing("data"))?.get();
        let data = if raw.starts_with('"') {
            Cow::Owned(serde_json::from_str::<String>(raw).map_err(|error| StrongError(brief(error)))?)
        } else {
            Cow::Borrowed(raw)
        };
        let seq = wire.seq.ok_or_else(|| missing("seq"))?;
        Ok(Strong::Data { kind, symbol: wire.symbol, epoch: epoch?, seq, data })
    }
}

/// Whether the text is one JSON object without space around it (which would be lost on the way).
fn is_json_object(text: &str) -> bool {
    text.starts_with('{') && text.ends_with('}') && serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(message: &Strong<'_>, expect: &str) {
        let text = message.encode();
        assert_eq!(text, expect);
        assert_eq!(&Strong::decode(&text).unwrap(), message);
    }

    #[test]
    fn messages_survive_the_wire() {
        let symbol = Symbol::new("EURUSD").unwrap();
        let data = |text| Strong::Data { kind: Kind::Live, symbol, epoch: 3, seq: 17, data: Cow::Borrowed(text) };
        check(&data(r#"{"a":1}"#), r#"{"type":"live","symbol":"EURUSD","epoch":3,"seq":17,"data":{"a":1}}"#);
        check(&data(r#"{"a":1"#), r#"{"type":"live","symbol":"EURUSD","epoch":3,"seq":17,"data":"{\"a\":1"}"#);
        check(
            &Strong::Gap { symbol, epoch: 3, from: 18, to: None, reason: GapReason::Reset },
            r#"{"type":"gap","symbol":"EURUSD","epoch":3,"from":18,"to":null,"reason":"reset"}"#,
        );
        check(
            &Strong::Resumed { symbol, epoch: 3, seq: 17, recovered: true },
            r#"{"type":"resumed","symbol":"EURUSD","epoch":3,"seq":17,"recovered":true}"#,
        );
        check(
            &Strong::Denied { symbol, reason: "not in \"your\" plan".into() },
            r#"{"type":"denied","symbol":"EURUSD","reason":"not in \"your\" plan"}"#,
        );
    }

    fn texts() -> impl Strategy<Value = String> {
        let object = proptest::collection::btree_map(".{0,4}", proptest::num::i64::ANY, 0..4)
            .prop_map(|map| serde_json::to_string(&map).unwrap());
        // What a source may send that is no object: text, broken JSON, an object with space around it.
        prop_oneof![
            object.clone(),
            ".{0,20}",
            "[{}\\[\\]\",:\\\\ \n0-9a]{0,16}",
            object.prop_map(|text| format!("{text} \n"))
        ]
    }

    fn messages() -> impl Strategy<Value = Strong<'static>> {
        let symbol = "[!#-+.-\\[\\]-~]{1,24}".prop_map(|text| Symbol::new(&text).unwrap());
        let kind = prop_oneof![Just(Kind::Snapshot), Just(Kind::Live), Just(Kind::Replay)];
        let reasons = [GapReason::Conflated, GapReason::Overflow, GapReason::Reset, GapReason::Resume];
        let reason = proptest::sample::select(reasons.to_vec());
        let rest = (any::<u64>(), any::<u64>(), any::<Option<u64>>(), any::<bool>());
        (symbol, kind, reason, texts(), 0..4, rest).prop_map(
            |(symbol, kind, reason, text, which, (epoch, seq, to, recovered))| match which {
                0 => Strong::Data { kind, symbol, epoch, seq, data: Cow::Owned(text) },
                1 => Strong::Gap { symbol, epoch, from: seq, to, reason },
                2 => Strong::Resumed { symbol, epoch, seq, recovered },
                _ => Strong::Denied { symbol, reason: Cow::Owned(text) },
            },
        )
    }

    proptest! {
        #[test]
        fn every_message_survives_the_wire(message in messages()) {
            let text = message.encode();
            prop_assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
            prop_assert_eq!(Strong::decode(&text).unwrap(), message);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in texts(), cut in 0_usize..200, message in messages()) {
            let _ = Strong::decode(&text);
            let whole = message.encode();
            let part = whole.get(..cut.min(whole.len())).unwrap_or_default();
            prop_assert!(part == whole || Strong::decode(part).is_err());
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for text in [
            "",
            "{}",
            r#"{"type":"live","symbol":"A","epoch":1}"#,
            r#"{"type":"x","symbol":"A","epoch":1}"#,
            r#"{"type":"resumed","symbol":"A","epoch":1,"seq":1}"#,
            r#"{"type":"live","symbol":"A","seq":1,"data":1}"#,
            r#"{"type":"gap","symbol":"A","epoch":1,"from":1,"to":2,"reason":"whim"}"#,
            r#"{"type":"denied","symbol":"A"}"#,
        ] {
            assert!(Strong::decode(text).is_err(), "{text}");
        }
    }
}
