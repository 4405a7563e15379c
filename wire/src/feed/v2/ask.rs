//! What a v2 client says, and one client as its server sees it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::brief::brief;
use super::super::v1::SYMBOLS_MAX;
use super::{SYMBOL_LIMIT_REASON, Said, SubAck, symbol_named, wire_name};
use crate::id::Symbol;

/// A message of a v2 client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Its first.
    Login {
        /// The key.
        key: String,
    },
    /// Ticks of these, too.
    Subscribe {
        /// Without duplicates, in the client's order.
        symbols: Vec<Symbol>,
        /// Names that cannot be symbols.
        invalid: Vec<String>,
    },
    /// No more of these.
    Unsubscribe {
        /// Without duplicates, in the client's order; what cannot be a symbol is left out.
        symbols: Vec<Symbol>,
    },
    /// A sign of life.
    Ping,
}

/// Why a text is no message of a v2 client. All are the client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Not the JSON object that it should be.
    #[error("expected {{\"action\":\"login\",\"key\":\"...\"}} or {{\"action\":\"subscribe\",\"symbols\":[...]}}: {0}")]
    Json(String),
    /// An action that is not known.
    #[error("unknown action {0:?}: expected login, subscribe, unsubscribe or ping")]
    Action(String),
    /// A login in a format other than JSON.
    #[error("format {0:?} is not served: write \"fmt\":\"JSON\"")]
    Format(String),
    /// A field is missing.
    #[error("{action} without {field}")]
    Missing {
        /// The action.
        action: &'static str,
        /// The field.
        field: &'static str,
    },
    /// More than [`SYMBOLS_MAX`] symbols.
    #[error("more than {SYMBOLS_MAX} symbols")]
    TooMany,
    /// Something before the login, or a second login.
    #[error("{0}")]
    Order(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    fmt: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    symbols: Option<Vec<Cow<'a, str>>>,
}

impl Ask {
    /// Reads a client's message. Fields that are not known are passed over.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn decode(text: &str) -> Result<Self, AskError> {
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| AskError::Json(brief(error)))?;
        let missing = |action, field| AskError::Missing { action, field };
        match wire.action.as_ref() {
            "login" => {
                if let Some(format) = wire.fmt.filter(|format| !format.eq_ignore_ascii_case("JSON")) {
                    return Err(AskError::Format(format.chars().take(16).collect()));
                }
                Ok(Ask::Login { key: wire.key.ok_or_else(|| missing("login", "key"))?.into_owned() })
            }
            "subscribe" => {
                let (symbols, invalid) = names(&wire.symbols.ok_or_else(|| missing("subscribe", "symbols"))?)?;
                Ok(Ask::Subscribe { symbols, invalid })
            }
            "unsubscribe" => {
                let (symbols, _) = names(&wire.symbols.ok_or_else(|| missing("unsubscribe", "symbols"))?)?;
                Ok(Ask::Unsubscribe { symbols })
            }
            "ping" | "heartbeat" => Ok(Ask::Ping),
            other => Err(AskError::Action(other.chars().take(32).collect())),
        }
    }

    /// The message.
    #[must_use]
    pub fn encode(&self) -> String {
        let (mut key, mut fmt, mut symbols) = (None, None, None);
        let named = |symbols: &[Symbol]| symbols.iter().map(|symbol| Cow::from(wire_name(*symbol))).collect::<Vec<_>>();
        let action = match self {
            Ask::Login { key: own } => {
                (key, fmt) = (Some(Cow::from(own)), Some(Cow::from("JSON")));
                "login"
            }
            Ask::Subscribe { symbols: own, invalid } => {
                symbols = Some(named(own).into_iter().chain(invalid.iter().map(Cow::from)).collect());
                "subscribe"
            }
            Ask::Unsubscribe { symbols: own } => {
                symbols = Some(named(own));
                "unsubscribe"
            }
            Ask::Ping => "ping",
        };
        let wire = Wire { action: action.into(), key, fmt, symbols };
        serde_json::to_string(&wire).expect("strings always serialise")
    }
}

/// Splits names into symbols and what cannot be one.
fn names(names: &[Cow<'_, str>]) -> Result<(Vec<Symbol>, Vec<String>), AskError> {
    if names.len() > SYMBOLS_MAX {
        return Err(AskError::TooMany);
    }
    let (mut symbols, mut invalid, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for name in names {
        match symbol_named(name) {
            Some(symbol) if seen.insert(symbol) => symbols.push(symbol),
            Some(_) => {}
            None => invalid.push(name.to_string()),
        }
    }
    Ok((symbols, invalid))
}

/// One v2 client as its server sees it: what it may say when, and what it wants in all. Pure.
#[derive(Clone, Debug, Default)]
pub struct Guest {
    logged_in: bool,
    symbols: BTreeSet<Symbol>,
}

/// What a client's message asks its server to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To look at its key: then [`Guest::admit`], or a [`Said::LoginReject`] and the end.
    Login {
        /// The key.
        key: String,
    },
    /// To have exactly these symbols from now on.
    Want {
        /// All of them, sorted.
        symbols: Vec<Symbol>,
        /// What becomes of those that it asked for just now, as far as its server can tell without asking further; None for an unsubscribe.
        ack: Option<SubAck>,
    },
    /// To be answered this.
    Answer(String),
}

impl Guest {
    /// A client that has not said anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Its key is in order: what to say to it.
    #[must_use]
    pub fn admit(&mut self, symbol_limit: u32) -> String {
        self.logged_in = true;
        Said::LoginOk { symbol_limit: Some(symbol_limit) }.encode()
    }

    /// Whether it was granted a symbol and has not given it back.
    #[must_use]
    pub fn has(&self, symbol: Symbol) -> bool {
        self.symbols.contains(&symbol)
    }

    /// Takes a message. At most `symbol_limit` symbols are granted; those beyond are denied with [`SYMBOL_LIMIT_REASON`].
    ///
    /// # Errors
    /// [`AskError`]: answer with [`Said::Error`] and close.
    pub fn hear(&mut self, text: &str, symbol_limit: u32) -> Result<Wish, AskError> {
        self.hear_with(text, symbol_limit, |_| None)
    }

    /// The same, for a server that denies some symbols: `deny` gives the reason.
    ///
    /// # Errors
    /// As [`Guest::hear`].
    pub fn hear_with(
        &mut self,
        text: &str,
        symbol_limit: u32,
        mut deny: impl FnMut(Symbol) -> Option<String>,
    ) -> Result<Wish, AskError> {
        let ask = Ask::decode(text)?;
        if matches!(ask, Ask::Login { .. }) == self.logged_in && ask != Ask::Ping {
            return Err(AskError::Order(if self.logged_in {
                "a second login"
            } else {
                "the first message is a login"
            }));
        }
        match ask {
            Ask::Login { key } => Ok(Wish::Login { key }),
            Ask::Ping => Ok(Wish::Answer(Said::Heartbeat.encode())),
            Ask::Subscribe { symbols, invalid } => {
                let mut ack = SubAck { invalid, ..SubAck::default() };
                for symbol in symbols {
                    if let Some(reason) = deny(symbol) {
                        ack.denied.push((symbol, reason));
                    } else if self.symbols.contains(&symbol) || (self.symbols.len() as u64) < u64::from(symbol_limit) {
                        self.symbols.insert(symbol);
                        ack.accepted.push(symbol);
                    } else {
                        ack.denied.push((symbol, SYMBOL_LIMIT_REASON.to_owned()));
                    }
                }
                Ok(self.want(Some(ack)))
            }
            Ask::Unsubscribe { symbols } => {
                for symbol in symbols {
                    self.symbols.remove(&symbol);
                }
                Ok(self.want(None))
            }
        }
    }

    fn want(&self, ack: Option<SubAck>) -> Wish {
        Wish::Want { symbols: self.symbols.iter().copied().collect(), ack }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).unwrap()
    }

    #[track_caller]
    fn check(text: &str, expect: Result<Ask, AskError>) {
        assert_eq!(Ask::decode(text), expect, "{text}");
    }

    #[test]
    fn what_a_client_says_is_read() {
        let login = Ask::Login { key: "K".to_owned() };
        check(r#"{"action":"login","key":"K","fmt":"JSON","send_ladder":true}"#, Ok(login.clone()));
        check(r#"{"action":"login","key":"K"}"#, Ok(login));
        check(r#"{"action":"login"}"#, Err(AskError::Missing { action: "login", field: "key" }));
        check(r#"{"action":"login","key":"K","fmt":"SSV"}"#, Err(AskError::Format("SSV".to_owned())));
        check(
            r#"{"action":"subscribe","symbols":["EURUSD:QUOTE","GBPUSD","EURUSD","A,B",""],"send_last":true}"#,
            Ok(Ask::Subscribe {
                symbols: vec![symbol("EURUSD"), symbol("GBPUSD")],
                invalid: vec!["A,B".to_owned(), String::new()],
            }),
        );
        check(r#"{"action":"unsubscribe","symbols":["A"]}"#, Ok(Ask::Unsubscribe { symbols: vec![symbol("A")] }));
        check(r#"{"action":"subscribe"}"#, Err(AskError::Missing { action: "subscribe", field: "symbols" }));
        check(r#"{"action":"dance"}"#, Err(AskError::Action("dance".to_owned())));
        let many = vec![r#""A""#; SYMBOLS_MAX + 1].join(",");
        check(&format!(r#"{{"action":"subscribe","symbols":[{many}]}}"#), Err(AskError::TooMany));
        for text in ["", "[]", "{}", "Connected", r#"{"action":5}"#, r#"{"action":"subscribe","symbols":"A"}"#] {
            assert!(matches!(Ask::decode(text), Err(AskError::Json(_))), "{text}");
        }
    }

    #[test]
    fn a_guest_logs_in_once_and_first() {
        let mut guest = Guest::new();
        let (login, subscribe) = (r#"{"action":"login","key":"K"}"#, r#"{"action":"subscribe","symbols":["A"]}"#);
        assert!(matches!(guest.hear(subscribe, 9), Err(AskError::Order(_))));
        assert_eq!(guest.hear(login, 9), Ok(Wish::Login { key: "K".to_owned() }));
        assert!(matches!(guest.hear(subscribe, 9), Err(AskError::Order(_))), "its key was not found in order yet");
        assert_eq!(guest.admit(9), r#"{"type":"login_ok","symbol_limit":9}"#);
        assert!(matches!(guest.hear(login, 9), Err(AskError::Order(_))));
        assert!(matches!(guest.hear(subscribe, 9), Ok(Wish::Want { .. })));
    }

    #[test]
    fn a_guest_is_denied_what_its_server_denies() {
        let mut guest = Guest::new();
        let _ = guest.admit(9);
        let deny = |symbol: Symbol| (symbol.as_str() == "B").then(|| "plan".to_owned());
        let Ok(Wish::Want { symbols, ack: Some(ack) }) =
            guest.hear_with(r#"{"action":"subscribe","symbols":["A","B"]}"#, 9, deny)
        else {
            panic!("a want")
        };
        assert_eq!(symbols, [symbol("A")]);
        assert_eq!(ack.denied, [(symbol("B"), "plan".to_owned())]);
    }

    #[test]
    fn a_guest_wants_what_its_messages_add_up_to() {
        let mut guest = Guest::new();
        let _ = guest.admit(2);
        let mut want = |text| match guest.hear(text, 2) {
            Ok(Wish::Want { symbols, ack }) => {
                let answer = ack.map(|ack| Said::SubAck(ack).encode());
                (symbols.iter().map(Symbol::as_str).collect::<Vec<_>>().join(","), answer)
            }
            other => panic!("{other:?}"),
        };
        let (symbols, answer) = want(r#"{"action":"subscribe","symbols":["B:QUOTE","A","C","A,"]}"#);
        assert_eq!(symbols, "A,B");
        assert_eq!(
            answer.unwrap(),
            r#"{"type":"sub_ack","accepted":["B:QUOTE","A:QUOTE"],"denied":["C:QUOTE"],"denied_reasons":{"C:QUOTE":"symbol_limit"},"invalid":["A,"]}"#
        );
        assert_eq!(want(r#"{"action":"unsubscribe","symbols":["A","Z"]}"#), ("B".to_owned(), None));
        // What it has already counts once.
        assert_eq!(want(r#"{"action":"subscribe","symbols":["B","C"]}"#).0, "B,C");
        assert_eq!(guest.hear(r#"{"action":"ping"}"#, 2), Ok(Wish::Answer(r#"{"type":"heartbeat"}"#.to_owned())));
    }
}
