//! What the sources say to symbols that clients ask for (v2), and who hears of it. Pure.
//!
//! ```text
//!   client asks ------ at_once() ---> something holds: it is told so; else it waits
//!   source answers --- hearers(), hears() ---> those who wait, and those who were told something else before
//! ```
//!
//! **What holds.** Each leg that is up and was asked for a symbol has a word on it. One that accepts is enough: its messages come. The symbol is denied when all of them deny it, and
//! while one has not answered and none accepts, nothing holds. A leg that ends, or is told to leave the symbol, takes its word with it.

use std::vec::IntoIter;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use wire::feed::Strong;
use wire::feed::v2::{Said, SubAck};
use wire::id::Symbol;

use super::inbox::Answered;
use super::legs::LegKey;
use super::subscriptions::{Members, Slot, Table};

/// A source's word on one symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its messages will come.
    Accepted,
    /// They will not, for this reason, which may be empty.
    Denied(String),
}

/// Decides what clients hear of the sources' answers. By default nothing is told before a source has said it, nor to anyone who did not ask; and whoever was told something that holds
/// no longer hears of it.
pub trait Acknowledge: Send + Sync {
    /// What holds of a symbol, by the words of the legs that were asked for it; None stands for a leg that has not answered. None: nothing holds.
    fn holds<'w>(&self, words: &[Option<&'w Answer>]) -> Option<&'w Answer> {
        let said = || words.iter().flatten().copied();
        let accepted = said().find(|word| **word == Answer::Accepted);
        accepted.or_else(|| said().next().filter(|_| words.iter().all(Option::is_some)))
    }

    /// What a client is told at once of a symbol that it asks for, where this is what holds by what sources have `said`. None: it waits.
    fn at_once(&self, said: Option<&Answer>) -> Option<Answer> {
        said.cloned()
    }

    /// The clients to which an answer about this symbol may matter; None for none.
    fn hearers<'t>(&self, table: &'t Table, symbol: Symbol) -> Option<&'t Members<Slot>> {
        table.members(symbol)
    }

    /// Whether one of them hears it: it `awaits` an answer, or the answer has `changed` since it was told one.
    fn hears(&self, awaits: bool, changed: bool) -> bool {
        awaits || changed
    }
}

/// All as by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct AskersOnly;

impl Acknowledge for AskersOnly {}

/// The answers to all symbols that are wanted. It holds no symbol that was forgotten, so it is no larger than the union, times the legs.
#[derive(Debug, Default)]
pub(super) struct Answers {
    words: IndexMap<Symbol, Word, FxBuildHasher>,
}

#[derive(Debug, Default)]
struct Word {
    /// What each leg said last.
    legs: Vec<(LegKey, Answer)>,
    /// Whether it was accepted, when clients were last told.
    told: Option<bool>,
    /// A client asked while nothing held.
    awaited: bool,
}

impl Word {
    /// What these legs have said.
    fn of(&self, asked: impl Iterator<Item = LegKey>) -> Vec<Option<&Answer>> {
        asked.map(|leg| self.legs.iter().find(|(by, _)| *by == leg).map(|(_, word)| word)).collect()
    }
}

impl Answers {
    /// What holds of a symbol by the rule, where these are the legs that were asked for it.
    pub(super) fn said(
        &self,
        rule: &dyn Acknowledge,
        symbol: Symbol,
        asked: impl Iterator<Item = LegKey>,
    ) -> Option<&Answer> {
        rule.holds(&self.words.get(&symbol)?.of(asked))
    }

    /// A client waits for an answer.
    pub(super) fn awaited(&mut self, symbol: Symbol) {
        self.words.entry(symbol).or_default().awaited = true;
    }

    /// A leg's word on some symbols. See [`Answers::news`] for what comes of it.
    pub(super) fn note(&mut self, leg: LegKey, ack: &SubAck) {
        let accepted = ack.accepted.iter().map(|symbol| (*symbol, Answer::Accepted));
        let denied = ack.denied.iter().map(|(symbol, reason)| (*symbol, Answer::Denied(reason.clone())));
        for (symbol, answer) in accepted.chain(denied) {
            let legs = &mut self.words.entry(symbol).or_default().legs;
            match legs.iter_mut().find(|(by, _)| *by == leg) {
                Some((_, word)) => *word = answer,
                None => legs.push((leg, answer)),
            }
        }
    }

    /// A leg was told to leave these.
    pub(super) fn leave(&mut self, leg: LegKey, symbols: &[Symbol]) {
        for symbol in symbols {
            if let Some(word) = self.words.get_mut(symbol) {
                word.legs.retain(|(by, _)| *by != leg);
            }
        }
    }

    /// A leg is gone. Returns all symbols: of any of them something else may hold now.
    pub(super) fn down(&mut self, leg: LegKey) -> Vec<Symbol> {
        self.words.values_mut().for_each(|word| word.legs.retain(|(by, _)| *by != leg));
        self.words.keys().copied().collect()
    }

    /// What clients are to be told of these symbols, now that legs have spoken or left: what somebody waits for, and what is otherwise than they were told. None for nothing.
    pub(super) fn news<L: Iterator<Item = LegKey>>(
        &mut self,
        rule: &dyn Acknowledge,
        symbols: impl IntoIterator<Item = Symbol>,
        asked: impl Fn(Symbol) -> L,
    ) -> Option<Answered> {
        let (mut answer, mut changed) = (SubAck::default(), Vec::new());
        for symbol in symbols {
            let Some(word) = self.words.get_mut(&symbol) else { continue };
            let Some(holds) = rule.holds(&word.of(asked(symbol))) else { continue };
            let accepts = *holds == Answer::Accepted;
            let differs = word.told.is_some_and(|told| told != accepts);
            if word.told == Some(accepts) && !word.awaited {
                continue;
            }
            match holds.clone() {
                Answer::Accepted => answer.accepted.push(symbol),
                Answer::Denied(reason) => answer.denied.push((symbol, reason)),
            }
            if differs {
                wire::reached!("symbol denied after it was accepted", if !accepts);
                wire::reached!("symbol accepted after it was denied", if accepts);
                changed.push(symbol);
            }
            (word.told, word.awaited) = (Some(accepts), false);
        }
        (answer != SubAck::default()).then_some(Answered { answer, changed })
    }

    /// Nobody wants the symbol.
    pub(super) fn forget(&mut self, symbol: Symbol) {
        self.words.swap_remove(&symbol);
    }
}

/// An answer on its way to one client, in the client's own tongue, a text at a time.
#[derive(Debug)]
pub(super) struct Telling {
    strong: bool,
    accepted: IntoIter<Symbol>,
    denied: IntoIter<(Symbol, String)>,
    invalid: Vec<String>,
}

impl Telling {
    /// Under the strong contract what is accepted shows by its data.
    pub(super) fn new(ack: SubAck, strong: bool) -> Self {
        let accepted = if strong { Vec::new() } else { ack.accepted };
        Self { strong, accepted: accepted.into_iter(), denied: ack.denied.into_iter(), invalid: ack.invalid }
    }

    /// The next text: of one symbol at least, and of no more than fit into about so many bytes. Names that mean nothing are the client's own words, and come with the first.
    pub(super) fn next(&mut self, bytes_max: usize) -> Option<String> {
        if self.strong {
            let (symbol, reason) = self.denied.next()?;
            return Some(Strong::Denied { symbol, reason: reason.into() }.encode());
        }
        let mut piece = SubAck { invalid: std::mem::take(&mut self.invalid), ..SubAck::default() };
        // What stands around the symbols.
        let mut bytes = 80;
        while piece == SubAck::default() || bytes < bytes_max {
            if let Some(symbol) = self.accepted.next() {
                bytes += symbol.as_str().len() + 9;
                piece.accepted.push(symbol);
            } else if let Some((symbol, reason)) = self.denied.next() {
                bytes += 2 * symbol.as_str().len() + reason.len() + 21;
                piece.denied.push((symbol, reason));
            } else {
                break;
            }
        }
        (piece != SubAck::default()).then(|| Said::SubAck(piece).encode())
    }

    /// Symbols of which nothing has been said.
    pub(super) fn rest(self) -> impl ExactSizeIterator<Item = Symbol> {
        let rest: Vec<Symbol> = self.accepted.chain(self.denied.map(|(symbol, _)| symbol)).collect();
        rest.into_iter()
    }
}

#[cfg(test)]
mod tests;
