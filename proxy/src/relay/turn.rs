//! A client's place in the line before the instances.

use std::sync::Arc;

use tokio::time::Instant;
use wire::close;
use wire::event::Why;
use wire::id::SourceId;
use wire::net::Network;

use crate::context::Context;
use crate::farewell::Farewell;
use crate::lock::lock;
use crate::pool::{Offer, Turn};

/// Keeps the client's turn for as long as it looks for an instance; dropped, it is out of the line.
pub(super) struct InTurn<N: Network> {
    context: Arc<Context<N>>,
    turn: Turn,
}

impl<N: Network> InTurn<N> {
    pub(super) fn new(context: &Arc<Context<N>>) -> Self {
        Self { context: Arc::clone(context), turn: lock(&context.pool).arrive() }
    }

    /// Waits until it is the client's turn and an instance has a place, and takes it.
    pub(super) async fn source(&mut self) -> Result<SourceId, Farewell> {
        loop {
            let offer = lock(&self.context.pool).pick_in_turn(&mut self.turn, Instant::now());
            match offer {
                Offer::Dial(source) => return Ok(source),
                Offer::Wait(until) => wire::select! {
                    () = self.turn.wake.notified() => {}
                    () = tokio::time::sleep_until(until) => {}
                },
                Offer::LineFull => return Err(refusal("too many wait for a source")),
                Offer::TooLong => return Err(refusal("no source had a place in time")),
            }
        }
    }
}

impl<N: Network> Drop for InTurn<N> {
    fn drop(&mut self) {
        lock(&self.context.pool).leave(&self.turn);
    }
}

fn refusal(reason: &str) -> Farewell {
    Farewell::close(close::TRY_AGAIN_LATER, reason, Why::NoSource)
}
