//! The v1 feed protocol (TraderMade's `feedadv`, see the exchange in the module above).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::id::{Symbol, SymbolError};

/// What a v1 source says first.
pub const GREETING: &str = "Connected";

/// What a v1 source says, as text, when a key has too many connections. The spelling is the source's own.
pub const KEY_LIMIT_TEXT: &str = "User Key Used to many times";

/// The most symbols that one request may name.
pub const SYMBOLS_MAX: usize = 1_000;

/// A client's subscription: its first message. A later one replaces the set of symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The key; may be empty.
    pub user_key: String,
    /// The symbols, in the client's order, without duplicates. Empty subscribes to nothing.
    pub symbols: Vec<Symbol>,
}

/// Why a text is not a v1 request. All are the client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not the JSON object that it should be.
    #[error("expected {{\"userKey\":\"...\",\"symbol\":\"A,B\"}}: {0}")]
    Json(String),
    /// One of the symbols cannot be one.
    #[error("symbol number {index}: {error}")]
    Symbol {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong.
        error: SymbolError,
    },
    /// More than [`SYMBOLS_MAX`] symbols.
    #[error("more than {SYMBOLS_MAX} symbols")]
    TooMany,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(rename = "userKey", borrow, default)]
    user_key: Cow<'a, str>,
    #[serde(borrow)]
    symbol: Cow<'a, str>,
}

impl Request {
    /// Reads a client's message.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn decode(text: &str) -> Result<Self, RequestError> {
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| RequestError::Json(error.to_string()))?;
        let mut symbols = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (index, word) in wire.symbol.split(',').map(str::trim).filter(|word| !word.is_empty()).enumerate() {
            if index >= SYMBOLS_MAX {
                return Err(RequestError::TooMany);
            }
            let symbol = Symbol::new(word).map_err(|error| RequestError::Symbol { index, error })?;
            if seen.insert(symbol) {
                symbols.push(symbol);
            }
        }
        Ok(Self { user_key: wire.user_key.into_owned(), symbols })
    }

    /// The message.
    #[must_use]
    pub fn encode(&self) -> String {
        let symbol = self.symbols.iter().map(Symbol::as_str).collect::<Vec<_>>().join(",");
        let wire = Wire { user_key: Cow::Borrowed(&self.user_key), symbol: Cow::Owned(symbol) };
        serde_json::to_string(&wire).expect("two strings always serialise")
    }
}

/// The symbol of a tick, or None where the message is no tick (a greeting, an error, another protocol).
///
/// The usual form, with `symbol` first, is read without parsing the rest; any other order goes through a JSON parser.
#[must_use]
pub fn symbol_of(tick: &str) -> Option<Symbol> {
    if let Some(rest) = tick.strip_prefix(r#"{"symbol":""#) {
        return Symbol::new(rest.split_once('"')?.0).ok();
    }
    if !tick.trim_start().starts_with('{') {
        return None;
    }
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(borrow)]
        symbol: Cow<'a, str>,
    }
    let only: Only<'_> = serde_json::from_str(tick).ok()?;
    Symbol::new(&only.symbol).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_written() {
        let request = Request::decode(r#"{"userKey":"K","symbol":"EURUSD, GBPUSD,EURUSD"}"#).unwrap();
        assert_eq!(request.symbols.iter().map(Symbol::as_str).collect::<Vec<_>>(), ["EURUSD", "GBPUSD"]);
        assert_eq!(request.encode(), r#"{"userKey":"K","symbol":"EURUSD,GBPUSD"}"#);
        assert!(Request::decode(r#"{"userKey":"K","symbol":""}"#).unwrap().symbols.is_empty());
    }

    #[test]
    fn bad_requests_are_errors() {
        for text in ["", "{}", "[]", r#"{"userKey":1,"symbol":"A"}"#, r#"{"symbol":5}"#, "Connected"] {
            assert!(matches!(Request::decode(text), Err(RequestError::Json(_))), "{text}");
        }
        let long = "X".repeat(99);
        assert!(matches!(
            Request::decode(&format!(r#"{{"symbol":"A,{long}"}}"#)),
            Err(RequestError::Symbol { index: 1, error: SymbolError::TooLong })
        ));
        let many = vec!["A"; SYMBOLS_MAX + 1].join(",");
        assert_eq!(Request::decode(&format!(r#"{{"symbol":"{many}"}}"#)), Err(RequestError::TooMany));
    }

    #[test]
    fn the_symbol_of_a_tick_is_found_in_any_place() {
        let eurusd = Some(Symbol::new("EURUSD").unwrap());
        for (text, expect) in [
            (r#"{"symbol":"EURUSD","ts":"1"}"#, eurusd),
            (r#" {"ts":"1","symbol":"EURUSD"}"#, eurusd),
            (r#"{"ts":"1","symbol":"EUR\u0055SD"}"#, eurusd),
            ("Connected", None),
            (KEY_LIMIT_TEXT, None),
            (r#"{"symbol":"#, None),
            (r#"{"type":"login_ok"}"#, None),
        ] {
            assert_eq!(symbol_of(text), expect, "{text}");
        }
    }
}
