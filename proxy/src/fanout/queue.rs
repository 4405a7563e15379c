//! A client's queue: what it may hold, and what gives way.

use std::collections::VecDeque;
use std::sync::Arc;

use wire::event::Why;
use wire::feed::Kind;

use super::delivery::Delivery;
use crate::limits::{Limits, SlowClient};

/// How a client stands when a message is queued for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Its socket took no more at the last attempt: it is behind.
    pub blocked: bool,
    /// All queues together are over their bound: each has an eighth of its own.
    pub tight: bool,
}

impl Pressure {
    /// The bound that holds now, in bytes.
    pub(super) fn bound(self, bytes_max: usize) -> usize {
        if self.tight { bytes_max / 8 } else { bytes_max }
    }
}

/// A message that gave way.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// The message.
    pub delivery: Arc<Delivery>,
    /// [`Why::Conflated`] where a newer one of its symbol took its place, [`Why::Overflow`] where there was no room.
    pub why: Why,
}

impl Dropped {
    pub(super) fn overflow(delivery: Arc<Delivery>) -> Self {
        Self { delivery, why: Why::Overflow }
    }
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The queue is within its bound; what had to give way is in `dropped`.
    Queued,
    /// The client must be disconnected.
    Overflow,
}

/// What waits for one client. It must stay within its bound whatever is pushed, and hand out each symbol's messages in their order.
pub trait Queue: Send {
    /// Takes a message. Each message that gives way, this one included, is put into `dropped`, so that it can be counted and told.
    fn push(&mut self, delivery: Arc<Delivery>, pressure: Pressure, dropped: &mut Vec<Dropped>) -> Pushed;
    /// The next message for the client.
    fn pop(&mut self) -> Option<Arc<Delivery>>;
    /// Forgets what the client no longer wants.
    fn retain(&mut self, keep: &mut dyn FnMut(&Delivery) -> bool);
    /// Payload bytes that wait.
    fn bytes(&self) -> usize;
    /// Whether nothing waits.
    fn is_empty(&self) -> bool;
    /// Whether a message may go past it to a socket that takes bytes: where nothing waits, and pushing it and taking it out again would change nothing.
    fn lets_pass(&self, _delivery: &Delivery, _pressure: Pressure) -> bool {
        false
    }
    /// Whether the client is read while this waits for it. It always should be: a ping is answered also where data waits.
    fn lets_read(&self) -> bool {
        true
    }
    /// Whether a message may give way to a newer one of its symbol, even before it is pushed. Must not change.
    fn conflates(&self) -> bool {
        false
    }
}

/// First in, first out, bounded in bytes. When full, the oldest gives way, or the client does.
///
/// What a resume promised ([`Kind::Replay`]) gives way last.
#[derive(Debug)]
pub struct Bounded {
    waiting: VecDeque<Arc<Delivery>>,
    bytes: usize,
    bytes_max: usize,
    slow_client: SlowClient,
}

impl Bounded {
    /// A queue with the bound and the policy of the limits given. [`SlowClient::Conflate`] is none of its business: it drops the oldest.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, bytes_max: limits.queue_bytes_max, slow_client: limits.slow_client }
    }
}

impl Queue for Bounded {
    fn push(&mut self, delivery: Arc<Delivery>, pressure: Pressure, dropped: &mut Vec<Dropped>) -> Pushed {
        let size = delivery.bytes();
        while self.bytes + size > pressure.bound(self.bytes_max) {
            if self.slow_client == SlowClient::Disconnect {
                return Pushed::Overflow;
            }
            let oldest = self.waiting.iter().position(|waiting| waiting.kind != Kind::Replay).unwrap_or(0);
            let Some(oldest) = self.waiting.remove(oldest) else {
                // It alone is larger than the bound.
                dropped.push(Dropped::overflow(delivery));
                return Pushed::Queued;
            };
            wire::reached!("queue full: the oldest gives way");
            self.bytes -= oldest.bytes();
            dropped.push(Dropped::overflow(oldest));
        }
        self.bytes += size;
        self.waiting.push_back(delivery);
        Pushed::Queued
    }

    fn pop(&mut self) -> Option<Arc<Delivery>> {
        let next = self.waiting.pop_front()?;
        self.bytes -= next.bytes();
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_SLOTS_MAX {
            // What a stall made it grow to is given back.
            self.waiting = VecDeque::new();
        }
        Some(next)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&Delivery) -> bool) {
        self.waiting.retain(|delivery| keep(delivery));
        self.bytes = self.waiting.iter().map(|delivery| delivery.bytes()).sum();
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

/// Slots that an empty queue keeps: 512 bytes.
pub(super) const KEPT_SLOTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::id::Symbol;
    use wire::ws::Message;

    use super::*;

    fn delivery(seq: u64, size: usize) -> Arc<Delivery> {
        Arc::new(Delivery::new(Symbol::numbered(0), (1, seq), Message::text("x".repeat(size))))
    }

    fn limits(queue_bytes_max: usize, slow_client: SlowClient) -> Limits {
        Limits { queue_bytes_max, slow_client, ..Limits::default() }
    }

    const EASE: Pressure = Pressure { blocked: false, tight: false };

    #[test]
    fn the_disconnect_policy_drops_nothing_and_says_so() {
        let mut queue = Bounded::new(&limits(10, SlowClient::Disconnect));
        let mut dropped = Vec::new();
        assert_eq!(queue.push(delivery(1, 10), EASE, &mut dropped), Pushed::Queued);
        assert_eq!(queue.push(delivery(2, 1), EASE, &mut dropped), Pushed::Overflow);
        assert!(dropped.is_empty());
        assert_eq!(queue.bytes(), 10);
    }

    #[test]
    fn messages_without_a_byte_are_bounded_too() {
        let mut queue = Bounded::new(&limits(10, SlowClient::DropOldest));
        let mut dropped = Vec::new();
        for seq in 1..=100 {
            queue.push(delivery(seq, 0), EASE, &mut dropped);
        }
        assert_eq!((queue.waiting.len(), dropped.len()), (10, 90));
    }

    #[test]
    fn a_replay_gives_way_last() {
        let mut queue = Bounded::new(&limits(30, SlowClient::DropOldest));
        let mut dropped = Vec::new();
        queue.push(Arc::new(delivery(1, 10).again(Kind::Replay)), EASE, &mut dropped);
        queue.push(Arc::new(delivery(2, 10).again(Kind::Replay)), EASE, &mut dropped);
        for seq in 3..6 {
            queue.push(delivery(seq, 10), EASE, &mut dropped);
        }
        assert_eq!(dropped.iter().map(|it| it.delivery.seq).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn each_queue_has_an_eighth_while_all_are_over_their_bound() {
        let mut queue = Bounded::new(&limits(80, SlowClient::DropOldest));
        let mut dropped = Vec::new();
        for seq in 1..=8 {
            queue.push(delivery(seq, 10), EASE, &mut dropped);
        }
        assert!(dropped.is_empty());
        queue.push(delivery(9, 10), Pressure { tight: true, ..EASE }, &mut dropped);
        assert_eq!((queue.bytes(), dropped.len()), (10, 8));
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_the_lowest_seq_gives_way(
            bytes_max in 1_usize..500,
            steps in proptest::collection::vec((0_usize..200, proptest::bool::weighted(0.3)), 0..200),
        ) {
            let mut queue = Bounded::new(&limits(bytes_max, SlowClient::DropOldest));
            let (mut out, mut gone) = (Vec::new(), Vec::new());
            let mut pushed = 0_u64;
            for (size, pop) in steps {
                if pop {
                    out.extend(queue.pop().map(|delivery| delivery.seq));
                    continue;
                }
                pushed += 1;
                let mut dropped = Vec::new();
                let before = gone.len();
                queue.push(delivery(pushed, size), EASE, &mut dropped);
                gone.extend(dropped.iter().map(|dropped| dropped.delivery.seq));
                prop_assert!(queue.bytes() <= bytes_max);
                // Those that gave way now are older than everything that still waits.
                let mut rest = Vec::new();
                queue.retain(&mut |delivery| { rest.push(delivery.seq); true });
                for seq in &gone[before..] {
                    prop_assert!(rest.iter().all(|waiting| waiting > seq) || *seq == pushed);
                }
            }
            while let Some(delivery) = queue.pop() {
                out.push(delivery.seq);
            }
            prop_assert_eq!(queue.bytes(), 0);
            prop_assert!(out.is_sorted());
            // Nothing is lost without a word, nothing comes twice.
            let mut all: Vec<u64> = out.iter().chain(&gone).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (1..=pushed).collect::<Vec<_>>());
        }
    }
}
