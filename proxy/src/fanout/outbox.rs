//! Where the hub leaves messages for a client, and the client's task finds them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::queue::{Delivery, Pushed, Queue};
use crate::lock::lock;

/// One client's queue, shared by the hub that fills it and the task that empties it. Pushing never waits.
pub struct Outbox {
    pub(super) peer: SocketAddr,
    queue: Mutex<Box<dyn Queue>>,
    wake: Notify,
    overflowed: AtomicBool,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outbox({})", self.peer)
    }
}

impl Outbox {
    pub(super) fn new(peer: SocketAddr, queue: Box<dyn Queue>) -> Self {
        Self { peer, queue: Mutex::new(queue), wake: Notify::new(), overflowed: AtomicBool::new(false) }
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Leaves a message. What gives way is put into `dropped`.
    pub(super) fn push(&self, delivery: Arc<Delivery>, dropped: &mut Vec<Arc<Delivery>>) {
        let mut queue = lock(&self.queue);
        let was_empty = queue.is_empty();
        let pushed = queue.push(delivery, dropped);
        drop(queue);
        if pushed == Pushed::Overflow && !self.overflowed.swap(true, Relaxed) {
            self.wake.notify_one();
        } else if was_empty {
            // A task that found the queue empty sleeps, and no other does.
            self.wake.notify_one();
        }
    }

    pub(super) fn pop(&self) -> Option<Arc<Delivery>> {
        lock(&self.queue).pop()
    }

    pub(super) fn retain(&self, keep: &mut dyn FnMut(&Delivery) -> bool) {
        lock(&self.queue).retain(keep);
    }

    pub(super) fn bytes(&self) -> usize {
        lock(&self.queue).bytes()
    }

    /// Waits until something is left, or the client must be disconnected. Cancel-safe: a wake-up that nobody waits for is kept.
    pub(super) async fn wake(&self) {
        self.wake.notified().await;
    }

    /// Whether the client is too slow to keep (disconnect policy).
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed.load(Relaxed)
    }
}
