//! Exact checks of order, gaps and duplicates, in constant time and space a message. Pure.

use rustc_hash::FxHashMap;
use wire::feed::{GapReason, SYMBOLS_MAX};
use wire::id::Symbol;

/// What a tick's number says against those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// The first, or the next one.
    Next,
    /// So many were passed over.
    Ahead(u64),
    /// It was here before.
    Duplicate,
    /// It comes after a newer one. `filled`: it had been counted as passed over.
    Late { filled: bool },
}

/// The numbers of one symbol in one session. Late ones and duplicates are told apart among the newest 64 numbers; older ones count as late.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    first: Option<u64>,
    newest: u64,
    /// Bit i: `newest - i` was here.
    seen: u64,
}

impl Numbers {
    /// Where the next is the one after `n`, which is not here: it may still come, and would be late.
    pub(crate) fn after(n: u64) -> Self {
        Self { first: Some(n), newest: n, seen: 0 }
    }

    /// The newest so far.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.first.map(|_| self.newest)
    }

    pub(crate) fn take(&mut self, n: u64) -> Arrived {
        let Some(first) = self.first else {
            *self = Self { first: Some(n), newest: n, seen: 1 };
            return Arrived::Next;
        };
        if n > self.newest {
            let step = n - self.newest;
            self.seen = if step < 64 { self.seen << step | 1 } else { 1 };
            self.newest = n;
            return if step == 1 { Arrived::Next } else { Arrived::Ahead(step - 1) };
        }
        let back = self.newest - n;
        if back >= 64 {
            return Arrived::Late { filled: false };
        }
        let bit = 1 << back;
        if self.seen & bit != 0 {
            return Arrived::Duplicate;
        }
        self.seen |= bit;
        Arrived::Late { filled: n > first }
    }
}

/// What a stamp of the strong contract says against those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamped {
    /// As promised.
    Lawful,
    /// So many are missing that no gap named (1 where an epoch changed without a word: the number is unknown).
    Unannounced(u64),
    /// It was delivered or given up before.
    Repeated,
    /// An epoch that is over.
    Stale,
}

/// The stamps of one symbol: a session may start at any seq, unless it goes on where an earlier one stood, and within an epoch each seq is delivered or named in
/// a gap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamps {
    at: Option<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    epoch: u64,
    next: u64,
    /// A gap closed the epoch.
    over: bool,
}

impl Stamps {
    /// A message with this stamp came.
    pub(crate) fn data(&mut self, epoch: u64, seq: u64) -> Stamped {
        self.advance(epoch, seq, Some(seq))
    }

    /// A gap was told; `to` None ends the epoch, or, where a resume could not be served, leaves open where the next message stands.
    pub(crate) fn gap(&mut self, epoch: u64, from: u64, to: Option<u64>, reason: GapReason) -> Stamped {
        let stamped = self.advance(epoch, from, to);
        if reason == GapReason::Resume && to.is_none() && !matches!(stamped, Stamped::Stale) {
            self.at = None;
        }
        stamped
    }

    /// The last (epoch, seq) that was delivered or given up, where one can go on after it: the epoch is not over.
    fn position(&self) -> Option<(u64, u64)> {
        self.at.filter(|at| !at.over).and_then(|at| Some((at.epoch, at.next.checked_sub(1)?)))
    }

    fn advance(&mut self, epoch: u64, from: u64, to: Option<u64>) -> Stamped {
        let after = Place { epoch, next: to.map_or(from, |to| to.saturating_add(1)), over: to.is_none() };
        let Some(at) = &mut self.at else {
            self.at = Some(after);
            return Stamped::Lawful;
        };
        if epoch < at.epoch {
            return Stamped::Stale;
        }
        if epoch > at.epoch {
            let lawful = at.over;
            *at = after;
            return if lawful { Stamped::Lawful } else { Stamped::Unannounced(1) };
        }
        if at.over {
            return Stamped::Stale;
        }
        let missing = from.saturating_sub(at.next);
        if from < at.next {
            // The end of an epoch may be told again or overlap; what was passed stays passed.
            at.over = after.over;
            at.next = at.next.max(after.next);
            return if to.is_none() { Stamped::Lawful } else { Stamped::Repeated };
        }
        *at = after;
        if missing > 0 { Stamped::Unannounced(missing) } else { Stamped::Lawful }
    }
}

/// One symbol of one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    symbol: Symbol,
    /// It was subscribed to.
    pub(crate) asked: bool,
    pub(crate) numbers: Numbers,
    pub(crate) stamps: Stamps,
}

/// All symbols of one session. Feeds send symbols in a steady order, so the row after the last is tried first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    rows: Vec<Row>,
    /// Looked up, never walked.
    places: FxHashMap<Symbol, usize>,
    hint: usize,
}

impl Book {
    pub(crate) fn new(asked: &[Symbol]) -> Self {
        let mut book = Self::default();
        for symbol in asked {
            book.add(*symbol, true);
        }
        book
    }

    fn add(&mut self, symbol: Symbol, asked: bool) -> usize {
        self.rows.push(Row { symbol, asked, numbers: Numbers::default(), stamps: Stamps::default() });
        self.places.insert(symbol, self.rows.len() - 1);
        self.rows.len() - 1
    }

    /// A symbol is taken up again within a session: what came before does not count.
    pub(crate) fn forget(&mut self, symbol: Symbol) {
        if let Some(row) = self.row(symbol) {
            (row.numbers, row.stamps) = (Numbers::default(), Stamps::default());
        }
    }

    /// A new session begins: numbers start anew, and so do stamps, except for those that it goes on from: where `resume`, the positions (symbol, epoch, seq) of
    /// the symbols asked for.
    pub(crate) fn begin(&mut self, resume: bool) -> Vec<(Symbol, u64, u64)> {
        let mut positions = Vec::new();
        for row in &mut self.rows {
            row.numbers = Numbers::default();
            match row.stamps.position().filter(|_| resume && row.asked) {
                Some((epoch, seq)) => positions.push((row.symbol, epoch, seq)),
                None => row.stamps = Stamps::default(),
            }
        }
        positions
    }

    /// The symbol's row, made where it is new; None beyond twice [`SYMBOLS_MAX`] symbols, so that a mad peer cannot fill our memory.
    pub(crate) fn row(&mut self, symbol: Symbol) -> Option<&mut Row> {
        let place = match self.rows.get(self.hint) {
            Some(row) if row.symbol == symbol => self.hint,
            _ => match self.places.get(&symbol) {
                Some(place) => *place,
                None if self.rows.len() < 2 * SYMBOLS_MAX => self.add(symbol, false),
                None => return None,
            },
        };
        self.hint = if place + 1 == self.rows.len() { 0 } else { place + 1 };
        self.rows.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_checker_agrees_with_a_set_of_all_numbers(steps in proptest::collection::vec(-40_i64..8, 1..200)) {
            let (mut numbers, mut seen, mut at) = (Numbers::default(), BTreeSet::new(), 1_000_i64);
            let (mut first, mut missing) = (None, 0_i64);
            for step in steps {
                let n = u64::try_from((at + step).max(0)).unwrap();
                let newest: Option<u64> = seen.last().copied();
                let expect = match newest {
                    None => Arrived::Next,
                    Some(newest) if n > newest + 1 => Arrived::Ahead(n - newest - 1),
                    Some(newest) if n == newest + 1 => Arrived::Next,
                    Some(_) if seen.contains(&n) => Arrived::Duplicate,
                    Some(_) => Arrived::Late { filled: n > first.unwrap() },
                };
                first = first.or(Some(n));
                // Only the newest 64 numbers are told apart.
                prop_assume!(newest.is_none_or(|newest| newest.saturating_sub(n) < 64));
                seen.insert(n);
                let got = numbers.take(n);
                prop_assert_eq!(got, expect);
                match got {
                    Arrived::Ahead(passed) => missing += i64::try_from(passed).unwrap(),
                    Arrived::Late { filled: true } => missing -= 1,
                    _ => {}
                }
                at = i64::try_from(*seen.last().unwrap()).unwrap();
            }
            let first = first.unwrap();
            let span = seen.last().unwrap() - first + 1;
            let here = seen.range(first..).count() as u64;
            prop_assert_eq!(u64::try_from(missing).unwrap(), span - here);
        }
    }

    #[test]
    fn stamps_are_contiguous_or_covered_by_gaps() {
        let mut stamps = Stamps::default();
        assert_eq!(stamps.data(3, 17), Stamped::Lawful);
        assert_eq!(stamps.data(3, 18), Stamped::Lawful);
        assert_eq!(stamps.gap(3, 19, Some(25), GapReason::Overflow), Stamped::Lawful);
        assert_eq!(stamps.data(3, 26), Stamped::Lawful);
        assert_eq!(stamps.data(3, 29), Stamped::Unannounced(2));
        assert_eq!(stamps.data(3, 29), Stamped::Repeated);
        assert_eq!(stamps.gap(3, 30, None, GapReason::Reset), Stamped::Lawful);
        assert_eq!(stamps.data(3, 30), Stamped::Stale);
        assert_eq!(stamps.data(4, 1), Stamped::Lawful);
        assert_eq!(stamps.data(5, 1), Stamped::Unannounced(1));
        assert_eq!(stamps.data(4, 2), Stamped::Stale);
    }

    #[test]
    fn a_session_that_resumes_is_held_to_where_the_last_one_stood() {
        let symbol = Symbol::numbered(0);
        let mut book = Book::new(&[symbol]);
        assert_eq!(book.begin(true), []);
        book.row(symbol).unwrap().stamps.data(3, 17);
        assert_eq!(book.begin(true), [(symbol, 3, 17)]);
        assert_eq!(book.row(symbol).unwrap().stamps.data(3, 20), Stamped::Unannounced(2));
        // What could not be resumed is told, and then any message may come.
        assert_eq!(book.begin(true), [(symbol, 3, 20)]);
        assert_eq!(book.row(symbol).unwrap().stamps.gap(3, 21, None, GapReason::Resume), Stamped::Lawful);
        assert_eq!(book.row(symbol).unwrap().stamps.data(1, 5), Stamped::Lawful);
        // An epoch that is over has nothing to go on from; nor has a session that does not resume.
        book.row(symbol).unwrap().stamps.gap(1, 6, None, GapReason::Reset);
        assert_eq!(book.begin(true), []);
        book.row(symbol).unwrap().stamps.data(1, 9);
        assert_eq!(book.begin(false), []);
        assert_eq!(book.row(symbol).unwrap().stamps.data(1, 40), Stamped::Lawful);
    }

    #[test]
    fn a_book_is_bounded() {
        let mut book = Book::new(&[Symbol::numbered(0)]);
        assert!(book.row(Symbol::numbered(0)).unwrap().asked);
        let made = (0..9_999).filter(|n| book.row(Symbol::numbered(*n)).is_some()).count();
        assert_eq!(made, 2 * SYMBOLS_MAX);
    }
}
