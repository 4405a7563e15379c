//! Who of a shard's clients gets what of some messages: noted message by message, handed out client by client.
//!
//! A client's state is cold by the time its turn comes, since the kernel's work for a thousand others lies between. So it is visited once for all messages of a round, and what is noted
//! before that lies in one dense row.

use std::sync::Arc;

use super::delivery::Delivery;
use super::inbox::Passed;
use super::subscriptions::Slot;

/// Messages in one round.
pub(super) const MESSAGES_MAX: usize = 63;

/// Stands beside the messages: the client has something to write that is none.
const OTHER: u64 = 1 << MESSAGES_MAX;

/// Some messages and the clients that are still to get them. Pure.
#[derive(Debug, Default)]
pub(super) struct Round {
    messages: Vec<(Arc<Delivery>, Passed)>,
    /// By the client's slot: a bit for each message.
    wanted: Vec<u64>,
    /// Clients in the order of their turns.
    turns: Vec<usize>,
    next: usize,
}

/// A client's part of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part(u64);

impl Round {
    /// Forgets the round before, in which nobody may be left.
    pub(super) fn clear(&mut self) {
        debug_assert!(self.is_over(), "a round begins before the last is over");
        self.messages.clear();
        self.turns.clear();
        self.next = 0;
    }

    /// Adds a message. The next calls of [`Round::wanted_by`] say who gets it.
    ///
    /// # Panics
    /// At more than [`MESSAGES_MAX`].
    pub(super) fn add(&mut self, delivery: Arc<Delivery>, passed: Passed) {
        assert!(self.messages.len() < MESSAGES_MAX, "a round holds {MESSAGES_MAX} messages");
        self.messages.push((delivery, passed));
    }

    /// The message that was added last is for this client.
    pub(super) fn wanted_by(&mut self, slot: Slot) {
        let Some(last) = self.messages.len().checked_sub(1) else { return };
        self.mark(slot, 1 << last);
    }

    /// The client has something else to write.
    pub(super) fn writes(&mut self, slot: Slot) {
        self.mark(slot, OTHER);
    }

    fn mark(&mut self, Slot(slot): Slot, bit: u64) {
        if self.wanted.len() <= slot {
            self.wanted.resize(slot + 1, 0);
        }
        if self.wanted[slot] == 0 {
            self.turns.push(slot);
        }
        self.wanted[slot] |= bit;
    }

    /// The next client and its part; None when all had their turns.
    pub(super) fn next(&mut self) -> Option<(Slot, Part)> {
        loop {
            let slot = Slot(*self.turns.get(self.next)?);
            self.next += 1;
            if let Some(part) = self.take(slot) {
                return Some((slot, part));
            }
        }
    }

    /// What a client has not got yet, out of turn; it gets no other turn.
    pub(super) fn take(&mut self, Slot(slot): Slot) -> Option<Part> {
        let wanted = std::mem::take(self.wanted.get_mut(slot)?);
        (wanted != 0).then_some(Part(wanted))
    }

    /// The messages of a part, in the order in which they were added.
    pub(super) fn messages(&self, Part(part): Part) -> impl Iterator<Item = &(Arc<Delivery>, Passed)> {
        let mut rest = part & !OTHER;
        std::iter::from_fn(move || {
            let index = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            self.messages.get(index)
        })
    }

    /// Whether all had their turns.
    pub(super) fn is_over(&self) -> bool {
        self.next >= self.turns.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use wire::id::Symbol;
    use wire::ws::Message;

    use super::*;

    fn delivery(seq: u64) -> Arc<Delivery> {
        Arc::new(Delivery::new(Symbol::numbered(0), (1, seq), Message::text("x")))
    }

    proptest! {
        /// Some clients are asked for out of turn, before the others.
        #[test]
        fn everyone_gets_what_was_noted_for_him_once_and_in_order(
            rounds in proptest::collection::vec(
                (proptest::collection::vec(proptest::collection::btree_set(0_usize..20, 0..20), 0..=MESSAGES_MAX), proptest::collection::vec(0_usize..30, 0..5)),
                1..4,
            ),
        ) {
            let mut round = Round::default();
            for (receivers, early) in rounds {
                round.clear();
                let mut model: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
                for (seq, slots) in (0_u64..).zip(&receivers) {
                    round.add(delivery(seq), Passed::default());
                    for &slot in slots {
                        round.wanted_by(Slot(slot));
                        model.entry(slot).or_default().push(seq);
                    }
                }
                let seqs = |round: &Round, part| round.messages(part).map(|it| it.0.seq).collect::<Vec<_>>();
                let mut got: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
                for slot in early {
                    if let Some(part) = round.take(Slot(slot)) {
                        prop_assert!(got.insert(slot, seqs(&round, part)).is_none());
                    }
                }
                while let Some((slot, part)) = round.next() {
                    prop_assert!(got.insert(slot.0, seqs(&round, part)).is_none());
                }
                prop_assert!(round.is_over());
                prop_assert_eq!(got, model);
            }
        }
    }

    #[test]
    fn who_has_only_an_answer_to_write_gets_a_turn_without_messages() {
        let mut round = Round::default();
        round.add(delivery(1), Passed::default());
        round.writes(Slot(3));
        let (slot, part) = round.next().unwrap();
        assert_eq!((slot, round.messages(part).count()), (Slot(3), 0));
        assert_eq!(round.next(), None);
    }
}
