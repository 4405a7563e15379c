//! The v2 feed protocol (TraderMade's `stream.../feedAdv`, after its own client in Go, `tradermade/go-cli`).
//!
//! ```text
//!   client                                                     source
//!     <- Connected                                                  a greeting, or none, or any other text that is no JSON
//!     -> {"action":"login","key":"K","fmt":"JSON"}
//!     <- {"type":"login_ok","symbol_limit":54}                      or {"type":"login_reject","reason":"..."}
//!     -> {"action":"subscribe","symbols":["EURUSD:QUOTE"]}          or unsubscribe: each says what changes, not the whole set
//!     <- {"type":"sub_ack","accepted":["EURUSD:QUOTE"],"denied":[],"denied_reasons":{},"invalid":[]}
//!     <- {"t":"QUOTE","s":"EURUSD","b":"1.16270","a":"1.16272","ts":"20260515-12:36:35.588"}
//! ```
//!
//! Quirks that are taken as they are: prices and time stamps are strings in some messages and bare numbers in others; symbols come with and without
//! [`SUFFIX`]; a message may have more fields than these. Subscriptions end with their connection.

mod ask;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::brief::brief;
use super::v1::SYMBOLS_MAX;
use crate::id::Symbol;

pub use self::ask::{Ask, AskError, Guest, Wish};

/// What v2 appends to a symbol that is meant as its quotes. A symbol and the same with it are one: ours is without.
pub const SUFFIX: &str = ":QUOTE";

/// Symbols in one subscription; more are split.
pub const SYMBOLS_A_MESSAGE: usize = 100;

/// Why a symbol beyond those that one client may have is denied.
pub const SYMBOL_LIMIT_REASON: &str = "symbol_limit";

/// The symbol's name in a subscription.
#[must_use]
pub fn wire_name(symbol: Symbol) -> String {
    if symbol.as_str().contains(':') { symbol.to_string() } else { format!("{symbol}{SUFFIX}") }
}

/// The symbol that a name means, with or without [`SUFFIX`]; None where it cannot be one.
#[must_use]
pub fn symbol_named(name: &str) -> Option<Symbol> {
    // However often it stands there: a symbol that ends with it could not be told from one that does not.
    Symbol::new(name.trim_end_matches(SUFFIX)).ok()
}

/// A message of a v2 source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A quote.
    Tick(Quote<'a>),
    /// The login is in order.
    LoginOk {
        /// Symbols that one connection may have; None: not said.
        symbol_limit: Option<u32>,
    },
    /// It is not. Trying again with this key does not help.
    LoginReject {
        /// Why, in the source's words; may be empty.
        reason: Cow<'a, str>,
    },
    /// The answer to a subscribe.
    SubAck(SubAck),
    /// Something else went wrong.
    Error {
        /// What, in the source's words.
        reason: Cow<'a, str>,
    },
    /// A sign of life.
    Heartbeat,
    /// A message of a kind that is not known: passed over.
    Unknown,
}

/// A tick as it stands in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote<'a> {
    /// The symbol, without [`SUFFIX`].
    pub symbol: Symbol,
    /// Whether it is the last quote from before the subscription (`LAST_QUOTE`).
    pub last: bool,
    /// The digits of the bid; empty where there is none.
    pub bid: Cow<'a, str>,
    /// The digits of the ask.
    pub ask: Cow<'a, str>,
    /// The time stamp, `20260515-12:36:35.588`.
    pub ts: Cow<'a, str>,
}

/// What became of the symbols of a subscribe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubAck {
    /// Ticks of these will come.
    pub accepted: Vec<Symbol>,
    /// Of these not, and why; the reason may be empty.
    pub denied: Vec<(Symbol, String)>,
    /// Names that mean nothing to the source.
    pub invalid: Vec<String>,
}

/// Why a text is no message of v2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a v2 message: {0}")]
pub struct SaidError(String);

/// All fields of all messages. A field that a message does not need may be of any form.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    t: Option<Cow<'a, str>>,
    #[serde(rename = "type", borrow)]
    what: Option<Cow<'a, str>>,
    #[serde(borrow)]
    s: Option<&'a RawValue>,
    #[serde(borrow)]
    b: Option<&'a RawValue>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    symbol_limit: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct WireAck<'a> {
    #[serde(borrow)]
    accepted: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    denied: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    denied_reasons: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    invalid: Vec<Cow<'a, str>>,
}

impl<'a> Said<'a> {
    /// Reads a message that is a JSON object. (What is no JSON at all is a greeting: the caller's to pass over.)
    ///
    /// # Errors
    /// [`SaidError`] says what is wrong with it.
    pub fn decode(text: &'a str) -> Result<Self, SaidError> {
        let wire: Wire<'a> = serde_json::from_str(text).map_err(|error| SaidError(brief(error)))?;
        if let Some(kind @ ("QUOTE" | "LAST_QUOTE")) = wire.t.as_deref() {
            let name = scalar(wire.s).ok_or_else(|| SaidError("a tick without s".to_owned()))?;
            let symbol =
                symbol_named(&name).ok_or_else(|| SaidError(brief(format_args!("{name:?} cannot be a symbol"))))?;
            let field = |raw| scalar(raw).unwrap_or_default();
            let (bid, ask, ts) = (field(wire.b), field(wire.a), field(wire.ts));
            return Ok(Said::Tick(Quote { symbol, last: kind == "LAST_QUOTE", bid, ask, ts }));
        }
        let reason = scalar(wire.reason).unwrap_or_default();
        Ok(match wire.what.as_deref() {
            Some("login_ok") => {
                Said::LoginOk { symbol_limit: scalar(wire.symbol_limit).and_then(|digits| digits.parse().ok()) }
            }
            Some("login_reject") => Said::LoginReject { reason },
            Some("sub_ack") => Said::SubAck(ack(text)?),
            Some("error") => Said::Error { reason },
            Some("heartbeat" | "ping" | "pong") => Said::Heartbeat,
            _ => Said::Unknown,
        })
    }

    /// The message. [`Said::Unknown`] has none of its own and becomes an empty object.
    #[must_use]
    pub fn encode(&self) -> String {
        let quoted = |text: &str| serde_json::to_string(text).expect("a string always serialises");
        match self {
            Said::Tick(Quote { symbol, last, bid, ask, ts }) => {
                let kind = if *last { "LAST_QUOTE" } else { "QUOTE" };
                let (bid, ask, ts) = (quoted(bid), quoted(ask), quoted(ts));
                format!(r#"{{"t":"{kind}","s":"{symbol}","b":{bid},"a":{ask},"ts":{ts}}}"#)
            }
            Said::LoginOk { symbol_limit: Some(limit) } => format!(r#"{{"type":"login_ok","symbol_limit":{limit}}}"#),
            Said::LoginOk { symbol_limit: None } => r#"{"type":"login_ok"}"#.to_owned(),
            Said::LoginReject { reason } => format!(r#"{{"type":"login_reject","reason":{}}}"#, quoted(reason)),
            Said::SubAck(ack) => ack.encode(),
            Said::Error { reason } => format!(r#"{{"type":"error","reason":{}}}"#, quoted(reason)),
            Said::Heartbeat => r#"{"type":"heartbeat"}"#.to_owned(),
            Said::Unknown => "{}".to_owned(),
        }
    }
}

impl SubAck {
    fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(rename = "type")]
            what: &'static str,
            #[serde(flatten)]
            ack: WireAck<'a>,
        }
        let ack = WireAck {
            accepted: self.accepted.iter().map(|symbol| wire_name(*symbol).into()).collect(),
            denied: self.denied.iter().map(|(symbol, _)| wire_name(*symbol).into()).collect(),
            denied_reasons: self
                .denied
                .iter()
                .filter(|(_, reason)| !reason.is_empty())
                .map(|(symbol, reason)| (wire_name(*symbol).into(), reason.into()))
                .collect(),
            invalid: self.invalid.iter().map(Cow::from).collect(),
        };
        serde_json::to_string(&Whole { what: "sub_ack", ack }).expect("strings always serialise")
    }
}

/// Names that cannot be symbols are ours to pass over: we never asked for them.
fn ack(text: &str) -> Result<SubAck, SaidError> {
    let wire: WireAck<'_> = serde_json::from_str(text).map_err(|error| SaidError(brief(error)))?;
    let accepted = wire.accepted.iter().filter_map(|name| symbol_named(name)).take(SYMBOLS_MAX).collect();
    let reason = |name: &Cow<'_, str>| wire.denied_reasons.get(name).map_or_else(String::new, brief);
    let denied = wire.denied.iter().filter_map(|name| Some((symbol_named(name)?, reason(name))));
    let invalid = wire.invalid.iter().map(|name| name.to_string());
    Ok(SubAck { accepted, denied: denied.take(SYMBOLS_MAX).collect(), invalid: invalid.take(SYMBOLS_MAX).collect() })
}

/// A string's content, or a number's digits; None for anything else.
pub(super) fn scalar(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = raw?.get();
    match raw.as_bytes().first()? {
        b'"' => match raw.get(1..raw.len() - 1) {
            Some(inner) if !inner.contains('\\') => Some(Cow::Borrowed(inner)),
            _ => serde_json::from_str(raw).ok().map(Cow::Owned),
        },
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

/// The symbol of a v2 tick, or None where the message is none.
///
/// The usual form, with `t` and `s` first and whole to its closing brace, is read without parsing the rest; any other goes through a JSON parser.
#[must_use]
pub fn symbol_of(tick: &str) -> Option<Symbol> {
    for head in [r#"{"t":"QUOTE","s":""#, r#"{"t":"LAST_QUOTE","s":""#] {
        // A name with an escape is the parser's to read.
        if tick.ends_with('}')
            && let Some(rest) = tick.strip_prefix(head)
            && let Some(symbol) = symbol_named(rest.split_once('"')?.0)
        {
            return Some(symbol);
        }
    }
    match Said::decode(tick) {
        Ok(Said::Tick(quote)) => Some(quote.symbol),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
