//! Panics and runaway tasks become failures of the run. turmoil loses the first and hangs on the second.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::world::Shared;
use crate::{HostId, panics};

/// A future whose panic is reported. It then ends with None.
pub(super) struct Watched<F> {
    future: Option<Pin<Box<F>>>,
    shared: Arc<Shared>,
    host: HostId,
    task: &'static str,
}

impl<F> Watched<F> {
    pub(super) fn new(future: F, shared: Arc<Shared>, host: HostId, task: &'static str) -> Self {
        Self { future: Some(Box::pin(future)), shared, host, task }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut future) = self.future.take() else { return Poll::Ready(None) };
        if !self.shared.may_poll(self.host, self.task) {
            return Poll::Ready(None);
        }
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Ok(Poll::Pending) => {
                self.future = Some(future);
                Poll::Pending
            }
            Err(_) => {
                self.shared.fail(panics::taken(&self.shared.name(self.host), self.task));
                Poll::Ready(None)
            }
        }
    }
}
