//! What the fan-out counts over all clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use wire::event::{Event, Observer, Why};
use wire::feed::Kind;
use wire::id::{ProxyId, Symbol};

use super::delivery::Delivery;
use super::inbox::Passed;
use crate::meter::Meter;

/// The account of all queues. Shared by the shards.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) meter: Arc<Meter>,
    observer: Observer,
    proxy: ProxyId,
    /// Payload bytes in all queues; a payload counts once for each queue that it waits in.
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Books {
    pub(super) fn new(meter: Arc<Meter>, observer: Observer, proxy: ProxyId, waiting_max: usize) -> Self {
        Self { meter, observer, proxy, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// A queue went from so many bytes to so many.
    pub(super) fn moved(&self, before: usize, after: usize) {
        if after >= before {
            self.waiting.fetch_add(after - before, Relaxed);
        } else {
            self.waiting.fetch_sub(before - after, Relaxed);
        }
    }

    /// Whether all queues together are over their bound.
    pub(super) fn tight(&self) -> bool {
        self.waiting() > self.waiting_max
    }

    /// Payload bytes in all queues.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Messages of a symbol gave way to a newer one before they were in the client's queue.
    pub(super) fn passed_over(&self, peer: SocketAddr, symbol: Symbol, passed: &Passed) {
        let count = passed.count();
        self.meter.conflated.add(count);
        self.meter.dropped.add(count);
        if self.observer.listens() {
            for (epoch, seq) in passed.stamps() {
                self.observer.record(|| self.drop_of(peer, symbol, (epoch, seq), Why::Conflated));
            }
        }
    }

    /// A message does not reach a client that wanted it. True if that is a loss.
    pub(super) fn dropped(&self, peer: SocketAddr, gone: &Delivery, why: Why) -> bool {
        if gone.kind == Kind::Snapshot {
            // It stands for a message that the client never missed.
            return false;
        }
        if why == Why::Conflated {
            self.meter.conflated.add(1);
        }
        self.meter.dropped.add(1);
        self.observer.record(|| self.drop_of(peer, gone.symbol, (gone.epoch, gone.seq), why));
        true
    }

    fn drop_of(&self, peer: SocketAddr, symbol: Symbol, (epoch, seq): (u64, u64), why: Why) -> Event {
        Event::ProxyDrop { proxy: self.proxy, peer, symbol, epoch, seq, why }
    }
}
