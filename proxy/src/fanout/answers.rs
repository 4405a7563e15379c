//! What the source says to symbols that clients ask for (v2), and who hears of it. Pure.
//!
//! ```text
//!   client asks ------ at_once() ---> the source has answered: it is told so; else it waits
//!   source answers --- hearers(), hears() ---> those who wait, and those who were told something else before
//! ```

use rustc_hash::FxHashMap;
use wire::feed::v2::SubAck;
use wire::id::Symbol;

use super::subscriptions::{Members, Slot, Table};

/// A source's word on one symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its messages will come.
    Accepted,
    /// They will not, for this reason, which may be empty.
    Denied(String),
}

/// Decides what clients hear of a source's answers. By default nothing is told before the source has said it, nor to anyone who did not ask; and whoever was told something that holds
/// no longer hears of it.
pub trait Acknowledge: Send + Sync {
    /// What a client is told at once of a symbol that it asks for, where this is what the source has `said`. None: it waits for the source.
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

/// The answers to all symbols that are wanted. It holds no symbol that was forgotten, so it is no larger than the union.
#[derive(Debug, Default)]
pub(super) struct Answers {
    words: FxHashMap<Symbol, Word>,
}

#[derive(Debug, Default)]
struct Word {
    /// What holds now; None while no leg stands for it.
    now: Option<Answer>,
    /// Whether it was accepted, when clients were last told.
    accepted: Option<bool>,
}

impl Answers {
    /// What the source has said to a symbol.
    pub(super) fn said(&self, symbol: Symbol) -> Option<&Answer> {
        self.words.get(&symbol)?.now.as_ref()
    }

    /// The source answers. Returns the symbols of which clients were told otherwise before.
    pub(super) fn take(&mut self, ack: &SubAck) -> Vec<Symbol> {
        let accepted = ack.accepted.iter().map(|symbol| (*symbol, Answer::Accepted));
        let denied = ack.denied.iter().map(|(symbol, reason)| (*symbol, Answer::Denied(reason.clone())));
        let mut changed = Vec::new();
        for (symbol, answer) in accepted.chain(denied) {
            let word = self.words.entry(symbol).or_default();
            let accepts = answer == Answer::Accepted;
            if word.accepted.replace(accepts).is_some_and(|before| before != accepts) {
                changed.push(symbol);
            }
            word.now = Some(answer);
        }
        changed
    }

    /// A leg is gone: only what `stands` is still the word of one. The next leg asks again; what clients were told is remembered.
    pub(super) fn lapse(&mut self, stands: impl Fn(Symbol) -> bool) {
        self.words.iter_mut().filter(|(symbol, _)| !stands(**symbol)).for_each(|(_, word)| word.now = None);
    }

    /// Nobody wants the symbol.
    pub(super) fn forget(&mut self, symbol: Symbol) {
        self.words.remove(&symbol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(accepted: &[u32], denied: &[u32]) -> SubAck {
        SubAck {
            accepted: accepted.iter().map(|n| Symbol::numbered(*n)).collect(),
            denied: denied.iter().map(|n| (Symbol::numbered(*n), "plan".to_owned())).collect(),
            invalid: Vec::new(),
        }
    }

    #[test]
    fn who_was_told_otherwise_hears_of_a_change_also_by_the_next_leg() {
        let [a, b] = [0, 1].map(Symbol::numbered);
        let mut answers = Answers::default();
        assert_eq!(answers.said(a), None);
        assert_eq!(answers.take(&ack(&[0], &[1])), []);
        assert_eq!(answers.said(a), Some(&Answer::Accepted));
        assert_eq!(answers.take(&ack(&[0], &[1])), [], "the same again is no news");
        answers.lapse(|symbol| symbol == b);
        assert_eq!((answers.said(a), answers.said(b)), (None, Some(&Answer::Denied("plan".to_owned()))));
        assert_eq!(answers.take(&ack(&[1], &[0])), [b, a]);
        answers.forget(a);
        assert_eq!(answers.take(&ack(&[0], &[])), [], "what was forgotten begins anew");
    }
}
