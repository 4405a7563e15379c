//! A leg's part in the comparison of an instance with its siblings.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wire::id::SourceId;
use wire::net::Network;

use crate::context::Context;
use crate::lock::lock;

/// How often a leg tells of its data at most: what is compared are seconds, and the lock is for all legs.
const TELL: Duration = Duration::from_millis(100);

/// From a leg's subscription to its end.
pub(super) struct Vigil<N: Network> {
    context: Arc<Context<N>>,
    source: SourceId,
    told_at: Option<Instant>,
}

impl<N: Network> Vigil<N> {
    pub(super) fn new(context: &Arc<Context<N>>, source: SourceId) -> Self {
        lock(&context.siblings).subscribed(source, Instant::now());
        Self { context: Arc::clone(context), source, told_at: None }
    }

    /// Data came.
    pub(super) fn data(&mut self, now: Instant) {
        if self.told_at.is_none_or(|at| now.saturating_duration_since(at) >= TELL) {
            self.told_at = Some(now);
            lock(&self.context.siblings).data(self.source, now);
        }
    }

    /// The client does not take what it has: no data comes because of us.
    pub(super) fn held_back(&self, now: Instant) {
        lock(&self.context.siblings).held_back(self.source, now);
    }

    /// Whether the instance is silent on every leg while its siblings deliver. It is then left out for a while.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.judge(now, self.context.config().health.stale_after)
    }

    /// The leg had data, and has had none for too long: if the instance has none on its other legs either, it is left out, or the clients who leave it would
    /// be sent back to where there is most room. Those legs may have heard from it a little later than this one.
    pub(super) fn gave_up(&self, now: Instant) {
        self.judge(now, self.context.config().health.stale_after / 2);
    }

    fn judge(&self, now: Instant, floor: Duration) -> bool {
        let factor = self.context.config().health.siblings_factor;
        let stale = lock(&self.context.siblings).is_stale(self.source, now, floor, factor);
        if stale {
            self.context.silent(self.source);
        }
        stale
    }

    /// When to look again: no news wakes a leg whose instance is silent.
    pub(super) fn again_at(&self, now: Instant) -> Instant {
        now + self.context.config().health.ping_interval
    }
}

impl<N: Network> Drop for Vigil<N> {
    fn drop(&mut self) {
        lock(&self.context.siblings).ended(self.source);
    }
}
