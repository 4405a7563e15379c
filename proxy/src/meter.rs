//! What the proxy counts, for gauges and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters and levels, each true at every instant. Shared by all tasks.
        #[derive(Debug, Default)]
        pub(crate) struct Meter {
            $($(#[$doc])* pub(crate) $name: Count),*
        }
    };
}

counts! {
    /// Open client sessions.
    clients,
    /// Handshakes under way.
    handshakes,
    /// Refusals being written.
    refusals,
    /// Open legs to sources.
    legs,
    /// Messages received from sources.
    received,
    /// Messages handed to client sockets.
    forwarded,
    /// Messages received from clients and handed to sources (relay).
    forwarded_up,
    /// Messages dropped.
    dropped,
    /// Gap notices sent.
    gaps,
    /// Clients admitted.
    admitted,
    /// Clients turned away.
    shed,
    /// Client sessions that the proxy ended.
    closed,
    /// Dials begun.
    dials,
    /// Dials failed.
    dials_failed,
    /// Legs that ended.
    legs_lost,
    /// Errors of accept.
    accept_errors,
}

/// One number that many tasks change.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A level raised by one until this is dropped.
pub(crate) struct Held {
    meter: Arc<Meter>,
    which: fn(&Meter) -> &Count,
}

impl Held {
    /// Raises the level `which` by one.
    pub(crate) fn new(meter: &Arc<Meter>, which: fn(&Meter) -> &Count) -> Self {
        which(meter).add(1);
        Self { meter: Arc::clone(meter), which }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        (self.which)(&self.meter).0.fetch_sub(1, Relaxed);
    }
}
