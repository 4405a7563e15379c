//! A client's queue: what it may hold, and what gives way.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use wire::feed::{Kind, Strong};
use wire::id::Symbol;
use wire::ws::Message;

use crate::limits::{Limits, SlowClient};

/// One message of the source with its stamp. Made once and shared by all clients that get it.
#[derive(Debug)]
pub struct Delivery {
    /// Its symbol.
    pub symbol: Symbol,
    /// The epoch of its stamp.
    pub epoch: u64,
    /// Its number within symbol and epoch, from 1.
    pub seq: u64,
    /// The source's own message.
    pub message: Message,
    strong: OnceLock<Message>,
}

impl Delivery {
    /// A stamped message.
    #[must_use]
    pub fn new(symbol: Symbol, (epoch, seq): (u64, u64), message: Message) -> Self {
        Self { symbol, epoch, seq, message, strong: OnceLock::new() }
    }

    /// What it counts for in a queue: its payload, in bytes; at least 1, so that a bound in bytes bounds empty messages too.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.message.len().max(1)
    }

    /// The message in its envelope for `windtunnel.v1` clients, encoded at the first call. Binary data cannot stand in it and goes as it is.
    #[must_use]
    pub fn strong(&self) -> Message {
        self.strong
            .get_or_init(|| match &self.message {
                Message::Text(text) => Message::text(
                    Strong::Data {
                        kind: Kind::Live,
                        symbol: self.symbol,
                        epoch: self.epoch,
                        seq: self.seq,
                        data: text.as_str().into(),
                    }
                    .encode(),
                ),
                other => other.clone(),
            })
            .clone()
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

/// What waits for one client. It must stay within its bound whatever is pushed.
pub trait Queue: Send {
    /// Takes a message. Each message that gives way, this one included, is put into `dropped`, so that it can be counted and told.
    fn push(&mut self, delivery: Arc<Delivery>, dropped: &mut Vec<Arc<Delivery>>) -> Pushed;
    /// The next message for the client.
    fn pop(&mut self) -> Option<Arc<Delivery>>;
    /// Forgets what the client no longer wants.
    fn retain(&mut self, keep: &mut dyn FnMut(&Delivery) -> bool);
    /// Payload bytes that wait.
    fn bytes(&self) -> usize;
    /// Whether nothing waits.
    fn is_empty(&self) -> bool;
}

/// First in, first out, bounded in bytes. When full, the oldest gives way, or the client does.
#[derive(Debug)]
pub struct Bounded {
    waiting: VecDeque<Arc<Delivery>>,
    bytes: usize,
    bytes_max: usize,
    slow_client: SlowClient,
}

impl Bounded {
    /// A queue with the bound and the policy of the limits given.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, bytes_max: limits.queue_bytes_max, slow_client: limits.slow_client }
    }
}

impl Queue for Bounded {
    fn push(&mut self, delivery: Arc<Delivery>, dropped: &mut Vec<Arc<Delivery>>) -> Pushed {
        let size = delivery.bytes();
        while self.bytes + size > self.bytes_max {
            if self.slow_client == SlowClient::Disconnect {
                return Pushed::Overflow;
            }
            let Some(oldest) = self.waiting.pop_front() else {
                // It alone is larger than the bound.
                dropped.push(delivery);
                return Pushed::Queued;
            };
            self.bytes -= oldest.bytes();
            dropped.push(oldest);
        }
        self.bytes += size;
        self.waiting.push_back(delivery);
        Pushed::Queued
    }

    fn pop(&mut self) -> Option<Arc<Delivery>> {
        let next = self.waiting.pop_front()?;
        self.bytes -= next.bytes();
        if self.waiting.is_empty() && self.waiting.capacity() > 1024 {
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivery(seq: u64, size: usize) -> Arc<Delivery> {
        Arc::new(Delivery::new(Symbol::numbered(0), (1, seq), Message::text("x".repeat(size))))
    }

    #[test]
    fn an_envelope_is_made_once_and_holds_the_source_text() {
        let delivery = Delivery::new(Symbol::numbered(0), (1, 2), Message::text(r#"{"symbol":"S0000"}"#));
        assert_eq!(
            delivery.strong().to_text().unwrap(),
            r#"{"type":"live","symbol":"S0000","epoch":1,"seq":2,"data":{"symbol":"S0000"}}"#
        );
        let (Message::Text(a), Message::Text(b)) = (delivery.strong(), delivery.strong()) else { panic!("not text") };
        assert_eq!(a.as_str().as_ptr(), b.as_str().as_ptr());
    }

    #[test]
    fn the_disconnect_policy_drops_nothing_and_says_so() {
        let limits = Limits { queue_bytes_max: 10, slow_client: SlowClient::Disconnect, ..Limits::default() };
        let mut queue = Bounded::new(&limits);
        let mut dropped = Vec::new();
        assert_eq!(queue.push(delivery(1, 10), &mut dropped), Pushed::Queued);
        assert_eq!(queue.push(delivery(2, 1), &mut dropped), Pushed::Overflow);
        assert!(dropped.is_empty());
        assert_eq!(queue.bytes(), 10);
    }

    #[test]
    fn messages_without_a_byte_are_bounded_too() {
        let mut queue = Bounded::new(&Limits { queue_bytes_max: 10, ..Limits::default() });
        let mut dropped = Vec::new();
        for seq in 1..=100 {
            queue.push(delivery(seq, 0), &mut dropped);
        }
        assert_eq!((queue.waiting.len(), dropped.len()), (10, 90));
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_the_lowest_seq_gives_way(
            bytes_max in 1_usize..500,
            steps in proptest::collection::vec((0_usize..200, proptest::bool::weighted(0.3)), 0..200),
        ) {
            let mut queue = Bounded::new(&Limits { queue_bytes_max: bytes_max, ..Limits::default() });
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
                queue.push(delivery(pushed, size), &mut dropped);
                gone.extend(dropped.iter().map(|delivery| delivery.seq));
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
