//! What travels, and the seam that it travels through.
//!
//! ```text
//!   id        who: sources, clients, legs, symbols
//!   tick      self-verifying payloads: tick n = f(seed, symbol, n)
//!   feed      what sources and clients say: v1, raw, and the windtunnel.v1 envelope
//!   ws        a WebSocket session over any byte stream, with small buffers and hard limits
//!   close     close codes that may lawfully cross the wire
//!   net       trait Network: the one seam between production and simulation, and its tokio implementation
//!   draw      counter-based randomness by key
//!   args      how the programs read symbols and durations
//!   event     what happened in a run: the record that checkers judge
//!   reach     marks in the code: which of its rare branches were taken
//! ```
//!
//! This crate imports nothing of ours, and everything of ours may import it. It never decides: no balancing, no health, no
//! policy lives here.

pub mod args;
pub mod close;
pub mod draw;
pub mod event;
pub mod feed;
pub mod id;
pub mod net;
pub mod reach;
pub mod tick;
pub mod ws;

/// `tokio::select!` that polls its branches in the order in which they are written.
///
/// tokio's own macro draws its first branch from a process-global counter, so two runs with one seed differ. Order the branches
/// by importance: shutdown first, then what is bounded, then what may always be ready.
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => {
        $crate::__select!(biased; $($branches)*)
    };
}

#[doc(hidden)]
pub use tokio::select as __select;
