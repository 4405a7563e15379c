//! The v1 feed protocol (TraderMade's `feedadv`, see the exchange in the module above).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::brief::brief;
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
    /// Under the strong contract: (symbol, epoch, seq) of the last message that the client has, for symbols that it asks for and wants to go on with; each at
    /// most once. Says nothing to a source, and is not sent where it is empty.
    pub resume: Vec<(Symbol, u64, u64)>,
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
    /// A resume of a symbol that the request does not subscribe to.
    #[error("resume names {0}, which is not among the symbols asked for")]
    ResumeUnasked(Symbol),
    /// Two positions of one symbol.
    #[error("resume names {0} twice")]
    ResumeTwice(Symbol),
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(rename = "userKey", borrow, default)]
    user_key: Cow<'a, str>,
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Positions::is_empty")]
    resume: Positions,
}

/// `{"EURUSD":[3,17]}`: the order stays, and at most [`SYMBOLS_MAX`] are held, whatever the text's length.
#[derive(Default)]
struct Positions(Vec<(Symbol, u64, u64)>);

impl Positions {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Positions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(symbol, epoch, seq)| (symbol, (epoch, seq))))
    }
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Positions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"positions like {"EURUSD":[epoch, seq]}"#)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Positions, A::Error> {
                let mut positions = Vec::new();
                while let Some((symbol, (epoch, seq))) = map.next_entry::<Symbol, (u64, u64)>()? {
                    if positions.len() >= SYMBOLS_MAX {
                        return Err(A::Error::custom(format_args!("resume names more than {SYMBOLS_MAX} symbols")));
                    }
                    positions.push((symbol, epoch, seq));
                }
                Ok(Positions(positions))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

impl Request {
    /// A subscription without a resume.
    #[must_use]
    pub fn new(user_key: String, symbols: Vec<Symbol>) -> Self {
        Self { user_key, symbols, resume: Vec::new() }
    }

    /// Reads a client's message. Fields that are not known are passed over.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn decode(text: &str) -> Result<Self, RequestError> {
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| RequestError::Json(brief(error)))?;
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
        let mut resumed = std::collections::BTreeSet::new();
        for &(symbol, ..) in &wire.resume.0 {
            if !seen.contains(&symbol) {
                return Err(RequestError::ResumeUnasked(symbol));
            }
            if !resumed.insert(symbol) {
                return Err(RequestError::ResumeTwice(symbol));
            }
        }
        Ok(Self { user_key: wire.user_key.into_owned(), symbols, resume: wire.resume.0 })
    }

    /// The symbols that a client's message names once more than it had to, as often as it does: [`Request::decode`] passes them over.
    #[must_use]
    pub fn repeats(text: &str) -> Vec<Symbol> {
        let Ok(wire) = serde_json::from_str::<Wire<'_>>(text) else { return Vec::new() };
        let mut seen = std::collections::BTreeSet::new();
        let words = wire.symbol.split(',').map(str::trim).take(SYMBOLS_MAX);
        words.filter_map(|word| Symbol::new(word).ok()).filter(|symbol| !seen.insert(*symbol)).collect()
    }

    /// The message.
    #[must_use]
    pub fn encode(&self) -> String {
        let symbol = self.symbols.iter().map(Symbol::as_str).collect::<Vec<_>>().join(",");
        let resume = Positions(self.resume.clone());
        let wire = Wire { user_key: Cow::Borrowed(&self.user_key), symbol: Cow::Owned(symbol), resume };
        serde_json::to_string(&wire).expect("strings and numbers always serialise")
    }
}

/// The symbol of a tick, or None where the message is no tick (a greeting, an error, another protocol).
///
/// The usual form, with `symbol` first and whole to its closing brace, is read without parsing the rest; any other goes through a JSON parser.
#[must_use]
pub fn symbol_of(tick: &str) -> Option<Symbol> {
    // A name with an escape is the parser's to read.
    if tick.ends_with('}')
        && let Some(rest) = tick.strip_prefix(r#"{"symbol":""#)
        && let Ok(symbol) = Symbol::new(rest.split_once('"')?.0)
    {
        return Some(symbol);
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_read_and_written() {
        let request = Request::decode(r#"{"userKey":"K","symbol":"EURUSD, GBPUSD,EURUSD"}"#).unwrap();
        assert_eq!(request.symbols.iter().map(Symbol::as_str).collect::<Vec<_>>(), ["EURUSD", "GBPUSD"]);
        assert_eq!(request.encode(), r#"{"userKey":"K","symbol":"EURUSD,GBPUSD"}"#);
        assert_eq!(Request::repeats(r#"{"symbol":"A,B,A,A"}"#), [Symbol::new("A").unwrap(); 2]);
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
    fn a_resume_says_where_the_client_stood() {
        let text = r#"{"userKey":"K","symbol":"EURUSD,GBPUSD","resume":{"EURUSD":[3,17]}}"#;
        let request = Request::decode(text).unwrap();
        let eurusd = Symbol::new("EURUSD").unwrap();
        assert_eq!(request.resume, [(eurusd, 3, 17)]);
        assert_eq!(request.encode(), text);
        let ask = |resume: &str| Request::decode(&format!(r#"{{"symbol":"EURUSD","new":[1],"resume":{resume}}}"#));
        assert_eq!(ask("{}").unwrap().resume, []);
        assert_eq!(ask(r#"{"XAUUSD":[1,1]}"#), Err(RequestError::ResumeUnasked(Symbol::new("XAUUSD").unwrap())));
        assert_eq!(ask(r#"{"EURUSD":[1,1],"EURUSD":[1,2]}"#), Err(RequestError::ResumeTwice(eurusd)));
        for bad in ["5", "[]", r#"{"EURUSD":[1]}"#, r#"{"EURUSD":[1,2,3]}"#, r#"{"EURUSD":[-1,2]}"#, r#"{"A,B":[1,2]}"#]
        {
            assert!(matches!(ask(bad), Err(RequestError::Json(_))), "{bad}");
        }
        let many = vec![r#""EURUSD":[1,1]"#; SYMBOLS_MAX + 1].join(",");
        assert!(matches!(ask(&format!("{{{many}}}")), Err(RequestError::Json(_))));
    }

    proptest! {
        #[test]
        fn every_request_survives_the_wire(
            user_key in ".{0,12}",
            symbols in proptest::collection::btree_set("[!#-+.-\\[\\]-~]{1,24}", 0..8),
            positions in proptest::collection::vec(any::<Option<(u64, u64)>>(), 8),
        ) {
            let symbols: Vec<_> = symbols.iter().map(|text| Symbol::new(text).unwrap()).collect();
            let resume = symbols.iter().zip(positions).filter_map(|(symbol, at)| at.map(|(epoch, seq)| (*symbol, epoch, seq)));
            let request = Request { user_key, resume: resume.collect(), symbols };
            prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
    }

    #[test]
    fn the_symbol_of_a_tick_is_found_in_any_place() {
        let eurusd = Some(Symbol::new("EURUSD").unwrap());
        for (text, expect) in [
            (r#"{"symbol":"EURUSD","ts":"1"}"#, eurusd),
            (r#" {"ts":"1","symbol":"EURUSD"}"#, eurusd),
            (r#"{"ts":"1","symbol":"EUR\u0055SD"}"#, eurusd),
            (r#"{"symbol":"EUR\u0055SD"}"#, eurusd),
            ("Connected", None),
            (KEY_LIMIT_TEXT, None),
            (r#"{"symbol":"#, None),
            (r#"{"symbol":"EURUSD","ts":"17"#, None),
            ("{\"symbol\":\"EURUSD\",\"ts\":\"1\"}\n", eurusd),
            (r#"{"type":"login_ok"}"#, None),
        ] {
            assert_eq!(symbol_of(text), expect, "{text}");
        }
    }
}
