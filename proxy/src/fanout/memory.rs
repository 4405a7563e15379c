//! What the proxy remembers of each symbol: its newest value, for those who subscribe, and a bounded ring of the messages before, for those who resume.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use wire::id::Symbol;

use super::delivery::Delivery;

/// The newest messages of each symbol of the union. Pure. It shares the messages with the queues; what it adds is a pointer for each.
#[derive(Debug)]
pub(super) struct Memory {
    rings: FxHashMap<Symbol, Ring>,
    /// Payload bytes for each symbol, the newest message not counted.
    bytes_max: usize,
}

/// Messages of one symbol and one epoch, contiguous, the newest at the back; never empty.
#[derive(Debug, Default)]
struct Ring {
    messages: VecDeque<Arc<Delivery>>,
    bytes: usize,
}

impl Memory {
    /// A memory that keeps at most so many payload bytes of each symbol, and the newest message in any case.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { rings: FxHashMap::default(), bytes_max }
    }

    /// A new message. One of another epoch is a new beginning.
    pub(super) fn push(&mut self, delivery: &Arc<Delivery>) {
        let ring = self.rings.entry(delivery.symbol).or_default();
        let follows = |last: &Arc<Delivery>| last.epoch == delivery.epoch && last.seq + 1 == delivery.seq;
        if !ring.messages.back().is_some_and(follows) {
            *ring = Ring::default();
        }
        ring.bytes += delivery.bytes();
        ring.messages.push_back(Arc::clone(delivery));
        while ring.bytes > self.bytes_max && ring.messages.len() > 1 {
            ring.bytes -= ring.messages.pop_front().map_or(0, |gone| gone.bytes());
        }
    }

    /// The newest message of a symbol.
    pub(super) fn newest(&self, symbol: Symbol) -> Option<&Arc<Delivery>> {
        self.rings.get(&symbol)?.messages.back()
    }

    /// All messages after `(epoch, seq)`, or None where that cannot be told in full: another epoch, a seq that the ring does not reach back to, or one that lies in the
    /// future.
    pub(super) fn after(&self, symbol: Symbol, epoch: u64, seq: u64) -> Option<impl Iterator<Item = &Arc<Delivery>>> {
        let ring = &self.rings.get(&symbol)?.messages;
        let (first, last) = (ring.front()?, ring.back()?);
        wire::reached!("resume across an epoch", if last.epoch != epoch);
        wire::reached!(
            "resume from before what is remembered",
            if last.epoch == epoch && seq.saturating_add(1) < first.seq
        );
        if last.epoch != epoch || seq > last.seq || seq.saturating_add(1) < first.seq {
            return None;
        }
        let skip = usize::try_from(seq + 1 - first.seq).ok()?;
        Some(ring.range(skip..))
    }

    /// The symbol is no longer received.
    pub(super) fn forget(&mut self, symbol: Symbol) {
        self.rings.remove(&symbol);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::ws::Message;

    use super::*;

    fn delivery(symbol: u32, epoch: u64, seq: u64) -> Arc<Delivery> {
        Arc::new(Delivery::new(Symbol::numbered(symbol), (epoch, seq), Message::text("0123456789")))
    }

    proptest! {
        #[test]
        fn a_resume_is_all_or_nothing(
            bytes_max in 0_usize..100,
            steps in proptest::collection::vec((0_u32..3, proptest::bool::weighted(0.05)), 1..100),
            asked in (0_u32..3, 0_u64..4, 0_u64..40),
        ) {
            let mut memory = Memory::new(bytes_max);
            let mut epochs = [1_u64; 3];
            let mut sent: [Vec<(u64, u64)>; 3] = Default::default();
            for (symbol, reset) in steps {
                let index = symbol as usize;
                epochs[index] += u64::from(reset);
                let epoch = epochs[index];
                let seq = sent[index].iter().filter(|it| it.0 == epoch).count() as u64 + 1;
                sent[index].push((epoch, seq));
                memory.push(&delivery(symbol, epoch, seq));
            }
            let (symbol, epoch, seq) = asked;
            let name = Symbol::numbered(symbol);
            let sent = &sent[symbol as usize];
            prop_assert_eq!(memory.newest(name).map(|it| (it.epoch, it.seq)), sent.last().copied());
            let got = memory.after(name, epoch, seq).map(|it| it.map(|it| (it.epoch, it.seq)).collect::<Vec<_>>());
            // What a full history would say.
            let last = sent.last().copied().unwrap_or_default();
            let expect: Vec<_> = sent.iter().copied().filter(|it| it.0 == epoch && it.1 > seq).collect();
            let kept = (bytes_max / 10).max(1);
            let possible = !sent.is_empty() && last.0 == epoch && seq <= last.1 && expect.len() <= kept;
            prop_assert_eq!(got, possible.then_some(expect));
        }
    }

    #[test]
    fn what_is_forgotten_begins_anew() {
        let mut memory = Memory::new(1000);
        memory.push(&delivery(0, 1, 1));
        memory.forget(Symbol::numbered(0));
        assert!(memory.newest(Symbol::numbered(0)).is_none());
        assert!(memory.after(Symbol::numbered(0), 1, 1).is_none());
        // A hole in the numbers is no history.
        memory.push(&delivery(0, 1, 1));
        memory.push(&delivery(0, 1, 3));
        assert!(memory.after(Symbol::numbered(0), 1, 1).is_none());
        assert_eq!(memory.after(Symbol::numbered(0), 1, 2).map(Iterator::count), Some(1));
    }
}
