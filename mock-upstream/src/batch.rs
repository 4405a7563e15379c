//! Ticks that are due at once, each payload made once and shared by all connections.

use std::sync::{Arc, OnceLock};

use wire::id::Symbol;
use wire::tick::{Padding, Tick};
use wire::ws::Utf8Bytes;

use crate::pacer::Due;
use crate::rates::Schedules;
use crate::wanted::Wanted;

/// One tick of some symbols. A payload is made when the first connection wants it.
#[derive(Debug)]
pub(crate) struct Batch {
    due: Due,
    seed: u64,
    schedules: Arc<Schedules>,
    /// The form of the payloads.
    v2: bool,
    silent: Arc<[u16]>,
    /// As many as ticks.
    texts: Box<[OnceLock<Utf8Bytes>]>,
}

/// One tick of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The symbol's place.
    pub(crate) place: usize,
    /// The tick's number.
    pub(crate) n: u64,
    /// Which text of the batch.
    index: usize,
}

impl Batch {
    /// `silent` holds, for each symbol, how many scripted silences cover it now.
    pub(crate) fn new(due: Due, seed: u64, schedules: Arc<Schedules>, v2: bool, silent: Arc<[u16]>) -> Self {
        let count = match &due {
            Due::All(_) => silent.len(),
            Due::Some(ticks) => ticks.len(),
        };
        let texts = (0..count).map(|_| OnceLock::new()).collect();
        Self { due, seed, schedules, v2, silent, texts }
    }

    /// The ticks of the wanted symbols that are not silenced: where all are due in the order in which they were asked for, else in that of the symbols.
    pub(crate) fn wanted<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = Entry> + 'a {
        let (all, some) = match &self.due {
            Due::All(n) => (Some(wanted.iter().map(|place| Entry { place, n: *n, index: place })), None),
            Due::Some(ticks) => {
                let entry = |(index, &(place, n)): (usize, &(usize, u64))| Entry { place, n, index };
                (None, Some(ticks.iter().enumerate().map(entry).filter(|entry| wanted.contains(entry.place))))
            }
        };
        let heard = |entry: &Entry| self.silent.get(entry.place).is_some_and(|silences| *silences == 0);
        all.into_iter().flatten().chain(some.into_iter().flatten()).filter(heard)
    }

    /// The payload of a tick of this batch, whose symbol this is and has this filler.
    pub(crate) fn text(&self, entry: Entry, symbol: Symbol, padding: Padding) -> Utf8Bytes {
        let text = self.texts[entry.index].get_or_init(|| {
            let tick = Tick { symbol, n: entry.n };
            let encode = if self.v2 { Tick::encode_v2_padded } else { Tick::encode_padded };
            encode(&tick, self.seed, self.schedules.of(entry.place), padding).into()
        });
        text.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rates::Rates;

    fn batch(due: Due, silent: &[u16]) -> Batch {
        let symbols: Vec<Symbol> = (0..4).map(Symbol::numbered).collect();
        let schedules = Rates::Alike.schedules(&symbols, Duration::from_millis(100)).unwrap();
        Batch::new(due, 1, Arc::new(schedules), false, silent.into())
    }

    fn seen(batch: &Batch, wanted: &[usize]) -> Vec<(usize, u64)> {
        let wanted = wanted.iter().copied().collect();
        batch.wanted(&wanted).map(|entry| (entry.place, entry.n)).collect()
    }

    #[test]
    fn a_connection_gets_what_it_wants_of_what_is_due_and_is_not_silenced() {
        let all = batch(Due::All(7), &[0, 0, 1, 0]);
        assert_eq!(seen(&all, &[3, 2, 0]), [(3, 7), (0, 7)]);
        let some = batch(Due::Some(vec![(0, 900), (2, 4), (3, 4)]), &[0, 0, 0, 1]);
        assert_eq!(seen(&some, &[3, 2, 0]), [(0, 900), (2, 4)]);
        assert_eq!(seen(&some, &[1]), []);
        let entry = some.wanted(&[2].into_iter().collect()).next().unwrap();
        let text = some.text(entry, Symbol::numbered(2), Padding::NONE);
        assert_eq!(Tick::decode(&text), Some(Tick { symbol: Symbol::numbered(2), n: 4 }));
    }
}
