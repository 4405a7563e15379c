//! How a leg speaks with its source, whatever the source speaks: told which symbols are wanted and what came, it says what to send and what that meant. Pure.
//!
//! ```text
//!   wanted union --> want() --.                  .--> say(): the next text for the source, until there is none
//!                              +--> [ Dialect ] -+
//!   text of the source --> hear() -------'       '--> Heard: data of a symbol, an answer, a refusal, ...
//! ```
//!
//! - **v1**: one request names the key and the whole set; another replaces it. The first text is the greeting, and the leg is up with it.
//! - **v2**: a login first, and the leg is up when it is answered; then what changes, each symbol acknowledged or denied. A denied symbol is not asked for again on
//!   this leg until nobody wants it any more. What passes the source's limit of symbols waits until others leave.
//! - **raw**: nothing is asked; the key of each message stands where a [`Pointer`] says.

use std::collections::{BTreeMap, BTreeSet};

use super::brief::brief;
use super::pointer::Pointer;
use super::v1::{self, KEY_LIMIT_TEXT, Request};
use super::v2::{self, Ask, Said};
use crate::id::Symbol;

/// One leg's side of the talk. Made anew with each connection: subscriptions end with theirs.
#[derive(Clone, Debug)]
pub struct Dialect {
    tongue: Tongue,
    key: String,
    wanted: BTreeSet<Symbol>,
    /// What the source was asked for and has not denied.
    told: BTreeSet<Symbol>,
    /// What it has not answered yet (v2).
    unanswered: BTreeSet<Symbol>,
    denied: BTreeMap<Symbol, String>,
    symbol_limit: Option<u32>,
    progress: Progress,
}

#[derive(Clone, Debug)]
enum Tongue {
    V1,
    V2,
    Raw(Option<Pointer>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing was said.
    Fresh,
    /// The first message is out; the source has not answered.
    Asked,
    Up,
    /// The source refuses us.
    Refused,
}

/// What a text of the source meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message of this symbol.
    Data(Symbol),
    /// The source takes us: the leg is up.
    Up,
    /// A text of no consequence, before or between others.
    Greeting,
    /// v2: what became of symbols that were asked for. Ticks of the denied ones will not come.
    Answer {
        /// Granted.
        accepted: Vec<Symbol>,
        /// Denied, with the source's reason; it may be empty.
        denied: Vec<(Symbol, String)>,
    },
    /// The source does not want us: the leg is of no use.
    Refused(Refusal),
    /// A sign of life.
    Heartbeat,
    /// The source complains about something that is no symbol.
    Complaint(String),
    /// It cannot be read, or has no key.
    Unreadable,
}

/// Why a source does not want us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key has too many connections: another instance may take us, and this one later.
    KeyLimit,
    /// The key is not in order, in the source's words: trying again does not help.
    Login(String),
}

impl Dialect {
    fn new(tongue: Tongue, key: String) -> Self {
        Self {
            tongue,
            key,
            wanted: BTreeSet::new(),
            told: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            denied: BTreeMap::new(),
            symbol_limit: None,
            progress: Progress::Fresh,
        }
    }

    /// A leg to a v1 source.
    #[must_use]
    pub fn v1(key: String) -> Self {
        Self::new(Tongue::V1, key)
    }

    /// A leg to a v2 source.
    #[must_use]
    pub fn v2(key: String) -> Self {
        Self::new(Tongue::V2, key)
    }

    /// A leg to a source of any messages. Without a pointer every text has the key `*`.
    #[must_use]
    pub fn raw(pointer: Option<Pointer>) -> Self {
        Self { progress: Progress::Up, ..Self::new(Tongue::Raw(pointer), String::new()) }
    }

    /// The union that is wanted from now on.
    pub fn want(&mut self, union: impl IntoIterator<Item = Symbol>) {
        self.wanted = union.into_iter().collect();
        self.denied.retain(|symbol, _| self.wanted.contains(symbol));
    }

    /// The next text for the source, if there is one now. Ask again until there is none, when the leg opens and after each [`Dialect::want`] and
    /// [`Dialect::hear`].
    pub fn say(&mut self) -> Option<String> {
        match (&self.tongue, self.progress) {
            (Tongue::Raw(_), _) | (_, Progress::Refused) | (Tongue::V2, Progress::Asked) => None,
            (Tongue::V1, progress) => {
                if progress != Progress::Fresh && self.wanted == self.told {
                    return None;
                }
                if progress == Progress::Fresh {
                    self.progress = Progress::Asked;
                }
                self.told.clone_from(&self.wanted);
                Some(Request::new(self.key.clone(), self.told.iter().copied().collect()).encode())
            }
            (Tongue::V2, Progress::Fresh) => {
                self.progress = Progress::Asked;
                Some(Ask::Login { key: self.key.clone() }.encode())
            }
            (Tongue::V2, Progress::Up) => self.change().map(|ask| ask.encode()),
        }
    }

    /// The next change of a v2 subscription: what leaves makes room first.
    fn change(&mut self) -> Option<Ask> {
        let gone: Vec<_> = self.told.difference(&self.wanted).copied().take(v2::SYMBOLS_A_MESSAGE).collect();
        if !gone.is_empty() {
            for symbol in &gone {
                self.told.remove(symbol);
                self.unanswered.remove(symbol);
            }
            return Some(Ask::Unsubscribe { symbols: gone });
        }
        let room = self.symbol_limit.map_or(usize::MAX, |limit| limit as usize).saturating_sub(self.told.len());
        let new: Vec<_> = self.waiting().take(room.min(v2::SYMBOLS_A_MESSAGE)).collect();
        if new.is_empty() {
            return None;
        }
        self.told.extend(&new);
        self.unanswered.extend(&new);
        Some(Ask::Subscribe { symbols: new, invalid: Vec::new() })
    }

    /// Wanted symbols that the source was not asked for and has not denied: once [`Dialect::say`] has no more to say and the leg is up, those beyond its limit.
    pub fn waiting(&self) -> impl Iterator<Item = Symbol> {
        self.wanted.difference(&self.told).copied().filter(|symbol| !self.denied.contains_key(symbol))
    }

    /// Symbols that the source denied, with its reasons; a reason may be empty.
    pub fn denied(&self) -> impl Iterator<Item = (Symbol, &str)> {
        self.denied.iter().map(|(symbol, reason)| (*symbol, reason.as_str()))
    }

    /// How many symbols were asked for and not answered (v2; the other protocols answer none).
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Whether anything was asked for of which data may be expected.
    #[must_use]
    pub fn expects_data(&self) -> bool {
        matches!(self.tongue, Tongue::Raw(_)) || !self.told.is_empty()
    }

    /// Whether a binary message is data: raw, where no text is looked into.
    #[must_use]
    pub fn takes_binary(&self) -> bool {
        matches!(self.tongue, Tongue::Raw(None))
    }

    /// Whether the source has taken us.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.progress == Progress::Up
    }

    /// Takes a text of the source.
    pub fn hear(&mut self, text: &str) -> Heard {
        if text == KEY_LIMIT_TEXT && !matches!(self.tongue, Tongue::Raw(_)) {
            self.progress = Progress::Refused;
            return Heard::Refused(Refusal::KeyLimit);
        }
        match &self.tongue {
            Tongue::Raw(None) => Heard::Data(Symbol::new("*").expect("an asterisk is printable")),
            Tongue::Raw(Some(pointer)) => pointer.find(text).map_or(Heard::Unreadable, Heard::Data),
            Tongue::V1 => self.hear_v1(text),
            Tongue::V2 => self.hear_v2(text),
        }
    }

    fn hear_v1(&mut self, text: &str) -> Heard {
        let first = !self.is_up();
        if self.progress != Progress::Refused {
            // Whatever the source says first, it speaks.
            self.progress = Progress::Up;
        }
        match v1::symbol_of(text) {
            Some(symbol) => Heard::Data(symbol),
            None if first => Heard::Up,
            None if text.starts_with('{') => Heard::Unreadable,
            None => Heard::Greeting,
        }
    }

    fn hear_v2(&mut self, text: &str) -> Heard {
        if let Some(symbol) = v2::symbol_of(text) {
            return Heard::Data(symbol);
        }
        if !text.trim_start().starts_with('{') {
            return Heard::Greeting;
        }
        match Said::decode(text) {
            Err(_) | Ok(Said::Tick(_) | Said::Unknown) => Heard::Unreadable,
            Ok(Said::Heartbeat) => Heard::Heartbeat,
            Ok(Said::Error { reason }) => Heard::Complaint(brief(reason)),
            Ok(Said::LoginReject { reason }) => {
                self.progress = Progress::Refused;
                Heard::Refused(match reason.as_ref() {
                    KEY_LIMIT_TEXT => Refusal::KeyLimit,
                    _ => Refusal::Login(brief(reason)),
                })
            }
            Ok(Said::LoginOk { symbol_limit }) => {
                if self.progress == Progress::Asked {
                    self.progress = Progress::Up;
                    self.symbol_limit = symbol_limit;
                }
                Heard::Up
            }
            Ok(Said::SubAck(ack)) => {
                let mut accepted = ack.accepted;
                accepted.retain(|symbol| self.unanswered.remove(symbol));
                let invalid = ack.invalid.iter().filter_map(|name| v2::symbol_named(name));
                let invalid = invalid.map(|symbol| (symbol, "invalid symbol".to_owned()));
                // An answer about what was given back since is of no consequence.
                let denied = ack.denied.into_iter().chain(invalid).filter(|(symbol, _)| self.told.contains(symbol));
                let denied: Vec<_> = denied.collect();
                for (symbol, reason) in &denied {
                    self.told.remove(symbol);
                    self.unanswered.remove(symbol);
                    if self.wanted.contains(symbol) {
                        self.denied.insert(*symbol, reason.clone());
                    }
                }
                Heard::Answer { accepted, denied }
            }
        }
    }
}

#[cfg(test)]
mod tests;
