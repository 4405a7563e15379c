//! The conflating queue: a client that is behind gets the newest of each symbol.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use wire::event::Why;
use wire::feed::Kind;
use wire::id::Symbol;

use super::delivery::Delivery;
use super::queue::{Dropped, KEPT_SLOTS_MAX, Pressure, Pushed, Queue};

/// First in, first out, as long as the client keeps up. Once it is behind, each symbol has one place, which holds its newest message.
///
/// The place is that of the symbol's oldest waiting message, so a rare symbol is not pushed back by a hot one and a hot one is not served twice before the others: all symbols that
/// wait are served once a round. A client is behind when its socket takes no more and a quarter of the bound waits for it (a short burst costs nothing), or when the bound is
/// reached. It has caught up when nothing waits.
///
/// What a resume promised ([`Kind::Replay`]) is not conflated, and gives way last. A snapshot whose place a newer message takes is a snapshot still: it is the client's first.
#[derive(Debug)]
pub struct Conflating {
    /// A slot is empty where its message was conflated away from the middle.
    waiting: VecDeque<Option<Arc<Delivery>>>,
    /// The number of the slot at the front.
    front: u64,
    bytes: usize,
    bytes_max: usize,
    /// While behind: the slot of each symbol.
    places: Option<FxHashMap<Symbol, u64>>,
}

impl Conflating {
    /// A queue of at most so many payload bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { waiting: VecDeque::new(), front: 0, bytes: 0, bytes_max, places: None }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Option<Arc<Delivery>>> {
        usize::try_from(number - self.front).ok().and_then(|index| self.waiting.get_mut(index))
    }

    /// Gives each symbol one place.
    fn squeeze(&mut self, dropped: &mut Vec<Dropped>) {
        let mut places: FxHashMap<Symbol, u64> = FxHashMap::default();
        let waiting = std::mem::take(&mut self.waiting);
        self.front = 0;
        for delivery in waiting.into_iter().flatten() {
            if delivery.kind != Kind::Replay
                && let Some(&place) = places.get(&delivery.symbol)
            {
                // It is counted already.
                self.bytes -= delivery.bytes();
                self.replace(place, delivery, dropped);
                continue;
            }
            if delivery.kind != Kind::Replay {
                places.insert(delivery.symbol, self.waiting.len() as u64);
            }
            self.waiting.push_back(Some(delivery));
        }
        self.places = Some(places);
    }

    fn replace(&mut self, place: u64, newer: Arc<Delivery>, dropped: &mut Vec<Dropped>) {
        let added = newer.bytes();
        let Some(slot) = self.slot(place) else { return };
        let Some(older) = slot.take() else { return };
        let snapshot = older.kind == Kind::Snapshot && newer.kind == Kind::Live;
        wire::reached!("conflation while a snapshot is pending", if snapshot);
        *slot = Some(if snapshot { Arc::new(newer.again(Kind::Snapshot)) } else { newer });
        self.bytes = self.bytes + added - older.bytes();
        dropped.push(Dropped { delivery: older, why: Why::Conflated });
    }

    /// Drops the oldest: before those that a resume promised, and both before the newcomer `new`. False if nothing waits.
    fn drop_oldest(&mut self, new: (Symbol, u64), dropped: &mut Vec<Dropped>) -> bool {
        let rank = |slot: &Option<Arc<Delivery>>| {
            slot.as_ref().map(|it| if (it.symbol, it.seq) == new { 2 } else { u8::from(it.kind == Kind::Replay) })
        };
        let oldest = self.waiting.iter().enumerate().filter_map(|(index, slot)| Some((rank(slot)?, index))).min();
        let Some(gone) = oldest.and_then(|(_, index)| self.waiting[index].take()) else { return false };
        wire::reached!("conflating queue full: the oldest gives way");
        self.bytes -= gone.bytes();
        if let Some(places) = &mut self.places
            && gone.kind != Kind::Replay
        {
            places.remove(&gone.symbol);
        }
        dropped.push(Dropped::overflow(gone));
        self.trim();
        true
    }

    /// Gives back empty slots at the front, and what a stall made it grow to.
    fn trim(&mut self) {
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.front += 1;
        }
        if self.waiting.is_empty() {
            self.places = None;
            if self.waiting.capacity() > KEPT_SLOTS_MAX {
                self.waiting = VecDeque::new();
            }
        }
    }
}

impl Queue for Conflating {
    fn conflates(&self) -> bool {
        true
    }

    fn push(&mut self, delivery: Arc<Delivery>, pressure: Pressure, dropped: &mut Vec<Dropped>) -> Pushed {
        let size = delivery.bytes();
        let new = (delivery.symbol, delivery.seq);
        let bound = pressure.bound(self.bytes_max);
        let would_be = self.bytes + size;
        if self.places.is_none() && (would_be > bound || pressure.blocked && would_be > bound / 4) {
            self.squeeze(dropped);
        }
        let place = self.places.as_ref().and_then(|places| places.get(&delivery.symbol).copied());
        match place.filter(|_| delivery.kind != Kind::Replay) {
            Some(place) => self.replace(place, delivery, dropped),
            None => {
                if let Some(places) = &mut self.places
                    && delivery.kind != Kind::Replay
                {
                    places.insert(delivery.symbol, self.front + self.waiting.len() as u64);
                }
                self.bytes += size;
                self.waiting.push_back(Some(delivery));
            }
        }
        while self.bytes > bound && self.drop_oldest(new, dropped) {}
        Pushed::Queued
    }

    fn pop(&mut self) -> Option<Arc<Delivery>> {
        let next = self.waiting.pop_front()??;
        self.front += 1;
        self.bytes -= next.bytes();
        if let Some(places) = &mut self.places
            && next.kind != Kind::Replay
        {
            places.remove(&next.symbol);
        }
        self.trim();
        Some(next)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&Delivery) -> bool) {
        for slot in &mut self.waiting {
            if let Some(gone) = slot.take_if(|delivery| !keep(delivery)) {
                self.bytes -= gone.bytes();
                if let Some(places) = &mut self.places {
                    places.remove(&gone.symbol);
                }
            }
        }
        self.trim();
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn lets_pass(&self, delivery: &Delivery, pressure: Pressure) -> bool {
        self.waiting.is_empty() && delivery.bytes() <= pressure.bound(self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use wire::ws::Message;

    use super::*;

    const EASE: Pressure = Pressure { blocked: false, tight: false };
    const BLOCKED: Pressure = Pressure { blocked: true, tight: false };

    fn delivery(symbol: u32, seq: u64, size: usize) -> Arc<Delivery> {
        Arc::new(Delivery::new(Symbol::numbered(symbol), (1, seq), Message::text("x".repeat(size))))
    }

    fn rest(queue: &mut Conflating) -> Vec<(Symbol, u64, Kind)> {
        std::iter::from_fn(|| queue.pop()).map(|it| (it.symbol, it.seq, it.kind)).collect()
    }

    fn live(symbol: u32, seq: u64) -> (Symbol, u64, Kind) {
        (Symbol::numbered(symbol), seq, Kind::Live)
    }

    #[test]
    fn a_client_that_keeps_up_gets_everything_and_a_short_block_costs_nothing() {
        let mut queue = Conflating::new(400);
        let mut dropped = Vec::new();
        for seq in 1..=20 {
            queue.push(delivery(0, seq, 10), EASE, &mut dropped);
        }
        assert_eq!(rest(&mut queue).len(), 20);
        for seq in 1..=10 {
            queue.push(delivery(0, seq, 10), BLOCKED, &mut dropped);
        }
        assert_eq!((rest(&mut queue).len(), dropped.len()), (10, 0));
    }

    #[test]
    fn behind_each_symbol_waits_once_in_the_place_of_its_first() {
        let mut queue = Conflating::new(40);
        let mut dropped = Vec::new();
        // Hot 0, rare 1.
        for (symbol, seq) in [(0, 1), (1, 1), (0, 2), (0, 3), (0, 4), (2, 1), (0, 5)] {
            queue.push(delivery(symbol, seq, 10), BLOCKED, &mut dropped);
        }
        assert!(dropped.iter().all(|it| it.why == Why::Conflated && it.delivery.symbol == Symbol::numbered(0)));
        assert_eq!(dropped.len(), 4);
        assert_eq!(rest(&mut queue), [live(0, 5), live(1, 1), live(2, 1)]);
        // Empty: it has caught up.
        queue.push(delivery(0, 6, 10), EASE, &mut dropped);
        queue.push(delivery(0, 7, 10), EASE, &mut dropped);
        assert_eq!(rest(&mut queue), [live(0, 6), live(0, 7)]);
    }

    #[test]
    fn what_first_comes_when_it_is_behind_waits_once_too_unless_a_resume_promised_it() {
        let size = delivery(0, 1, 10).bytes();
        let mut queue = Conflating::new(8 * size);
        let mut dropped = Vec::new();
        for seq in 1..=3 {
            queue.push(delivery(0, seq, 10), BLOCKED, &mut dropped);
        }
        queue.push(Arc::new(delivery(1, 1, 10).again(Kind::Replay)), BLOCKED, &mut dropped);
        queue.push(Arc::new(delivery(1, 2, 10).again(Kind::Replay)), BLOCKED, &mut dropped);
        for (symbol, seq) in [(1, 3), (1, 4), (2, 1), (2, 2)] {
            queue.push(delivery(symbol, seq, 10), BLOCKED, &mut dropped);
        }
        assert!(!queue.is_empty());
        let replay = |seq| (Symbol::numbered(1), seq, Kind::Replay);
        assert_eq!(rest(&mut queue), [live(0, 3), replay(1), replay(2), live(1, 4), live(2, 2)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_snapshot_stays_one_and_a_replay_is_not_conflated() {
        let mut queue = Conflating::new(1000);
        let mut dropped = Vec::new();
        queue.push(Arc::new(delivery(0, 1, 10).again(Kind::Snapshot)), EASE, &mut dropped);
        queue.push(Arc::new(delivery(1, 1, 10).again(Kind::Replay)), EASE, &mut dropped);
        queue.push(Arc::new(delivery(1, 2, 10).again(Kind::Replay)), EASE, &mut dropped);
        for seq in 2..60 {
            queue.push(delivery(0, seq, 10), BLOCKED, &mut dropped);
            queue.push(delivery(1, seq + 1, 10), BLOCKED, &mut dropped);
        }
        let of = |symbol, seq, kind| (Symbol::numbered(symbol), seq, kind);
        let expect = [of(0, 59, Kind::Snapshot), of(1, 1, Kind::Replay), of(1, 2, Kind::Replay), of(1, 60, Kind::Live)];
        assert_eq!(rest(&mut queue), expect);
    }

    #[test]
    fn it_is_behind_beyond_the_bound_and_where_its_socket_is_full_beyond_a_quarter() {
        let size = delivery(0, 1, 10).bytes();
        for (pressure, fit) in [(EASE, 8), (BLOCKED, 2)] {
            let mut queue = Conflating::new(8 * size);
            assert!(queue.conflates());
            let mut dropped = Vec::new();
            for seq in 1..=fit {
                queue.push(delivery(0, seq, 10), pressure, &mut dropped);
            }
            assert_eq!(dropped.len(), 0, "{pressure:?}");
            queue.push(delivery(0, fit + 1, 10), pressure, &mut dropped);
            assert!(dropped.iter().all(|it| it.why == Why::Conflated), "{pressure:?}");
            assert_eq!(rest(&mut queue), [live(0, fit + 1)], "{pressure:?}");
        }
    }

    #[test]
    fn past_an_empty_queue_goes_what_would_fit_in_it() {
        let size = delivery(0, 1, 10).bytes();
        let mut queue = Conflating::new(8 * size);
        let tight = Pressure { blocked: false, tight: true };
        for (bytes, pressure, passes) in [(10, EASE, true), (10, tight, true), (11, tight, false), (100, EASE, false)] {
            assert_eq!(queue.lets_pass(&delivery(0, 1, bytes), pressure), passes, "{bytes} {pressure:?}");
        }
        queue.push(delivery(0, 1, 10), EASE, &mut Vec::new());
        assert!(!queue.lets_pass(&delivery(0, 2, 10), EASE));
    }

    #[test]
    fn what_a_resume_promised_gives_way_last() {
        let size = delivery(0, 1, 10).bytes();
        let mut queue = Conflating::new(3 * size);
        let mut dropped = Vec::new();
        queue.push(Arc::new(delivery(0, 1, 10).again(Kind::Replay)), EASE, &mut dropped);
        for symbol in 1..=3 {
            queue.push(delivery(symbol, 1, 10), EASE, &mut dropped);
        }
        assert_eq!(
            dropped.iter().map(|it| (it.delivery.symbol, it.why)).collect::<Vec<_>>(),
            [(Symbol::numbered(1), Why::Overflow)]
        );
        assert_eq!(rest(&mut queue), [(Symbol::numbered(0), 1, Kind::Replay), live(2, 1), live(3, 1)]);
    }

    #[test]
    fn what_a_stall_made_it_grow_to_is_given_back_and_no_less() {
        for (messages, kept) in [(KEPT_SLOTS_MAX, KEPT_SLOTS_MAX), (KEPT_SLOTS_MAX + 1, 0)] {
            let mut queue = Conflating::new(1 << 20);
            for seq in 1..=messages as u64 {
                queue.push(delivery(0, seq, 10), EASE, &mut Vec::new());
            }
            assert_eq!(rest(&mut queue).len(), messages);
            assert_eq!(queue.waiting.capacity(), kept, "after {messages} messages");
        }
    }

    proptest! {
        #[test]
        fn within_the_bound_in_order_newest_kept_and_nothing_lost_without_a_word(
            bytes_max in 1_usize..600,
            steps in proptest::collection::vec((0_u32..5, 0_usize..80, 0_u8..10), 0..300),
        ) {
            let mut queue = Conflating::new(bytes_max);
            let mut seqs: BTreeMap<u32, u64> = BTreeMap::new();
            let mut last_out: BTreeMap<Symbol, u64> = BTreeMap::new();
            let mut accounted = 0_usize;
            let mut pushed = 0_usize;
            for (symbol, size, what) in steps {
                match what {
                    0..=2 => {
                        if let Some(out) = queue.pop() {
                            accounted += 1;
                            let last = last_out.insert(out.symbol, out.seq);
                            prop_assert!(last.is_none_or(|last| last < out.seq));
                        }
                    }
                    3 => {
                        let gone = Symbol::numbered(symbol);
                        let mut removed = 0;
                        queue.retain(&mut |it| { let keep = it.symbol != gone; removed += usize::from(!keep); keep });
                        accounted += removed;
                    }
                    _ => {
                        let seq = seqs.entry(symbol).or_default();
                        *seq += 1;
                        pushed += 1;
                        let mut dropped = Vec::new();
                        let pressure = Pressure { blocked: what % 2 == 0, tight: what == 9 };
                        let new = delivery(symbol, *seq, size);
                        let fits = new.bytes() <= pressure.bound(bytes_max);
                        queue.push(Arc::clone(&new), pressure, &mut dropped);
                        accounted += dropped.len();
                        prop_assert!(queue.bytes() <= pressure.bound(bytes_max));
                        // The newest always stays, if it fits at all.
                        let own = dropped.iter().any(|it| Arc::ptr_eq(&it.delivery, &new));
                        prop_assert!(!fits || !own);
                        // What was conflated is older than what stays of its symbol.
                        let newest = |dropped: &Dropped| dropped.why == Why::Overflow || dropped.delivery.seq < new.seq;
                        prop_assert!(dropped.iter().filter(|it| it.delivery.symbol == new.symbol).all(newest));
                    }
                }
                let mut sum = 0;
                queue.retain(&mut |it| { sum += it.bytes(); true });
                prop_assert_eq!(sum, queue.bytes());
            }
            while let Some(out) = queue.pop() {
                accounted += 1;
                let last = last_out.insert(out.symbol, out.seq);
                prop_assert!(last.is_none_or(|last| last < out.seq));
            }
            prop_assert!(queue.is_empty() && queue.bytes() == 0);
            prop_assert_eq!(accounted, pushed);
        }
    }
}
