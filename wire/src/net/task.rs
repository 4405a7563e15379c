//! Handles of tasks: the same type in every world.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

/// A running task of a host. Awaiting it gives the task's result; dropping it lets the task go on.
pub struct Task<T> {
    result: oneshot::Receiver<T>,
    abort: Arc<dyn Abort>,
}

/// How a world ends a task before its time.
pub trait Abort: Send + Sync + 'static {
    /// Drops the task's future at its next opportunity. Does nothing to a task that has ended.
    fn abort(&self);
}

/// The task ended without a result: it was aborted, its host was killed, or it panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task ended without a result (aborted, killed with its host, or panicked)")]
pub struct TaskEnded;

impl<T: Send + 'static> Task<T> {
    /// For implementers of worlds: splits a future into what the world runs and what a handle needs. Give the returned future to the executor, then
    /// make the handle with [`Task::new`].
    pub fn split<F>(future: F) -> (impl Future<Output = ()> + Send + 'static, oneshot::Receiver<T>)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        // The handle may be gone: then nobody wants the result. Not an async block, which would hold the future twice: as what it captured, and as what it awaits.
        let run = future.map(move |result| drop(sender.send(result)));
        (run, receiver)
    }

    /// For implementers of worlds: the handle of a task that sends its result to `result`.
    pub fn new(result: oneshot::Receiver<T>, abort: Arc<dyn Abort>) -> Self {
        Self { result, abort }
    }

    /// Ends the task at its next opportunity.
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// A handle that aborts the task when it is dropped: ties a helper's life to its owner's.
    #[must_use]
    pub fn guard(self) -> TaskGuard<T> {
        TaskGuard(self)
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskEnded>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx).map_err(|_| TaskEnded)
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Task")
    }
}

/// A task that ends with its owner. See [`Task::guard`].
#[derive(Debug)]
pub struct TaskGuard<T>(Task<T>);

impl<T> Future for TaskGuard<T> {
    type Output = Result<T, TaskEnded>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for TaskGuard<T> {
    fn drop(&mut self) {
        self.0.abort.abort();
    }
}

/// Resolves at the second look: all that is ready runs before.
pub(super) async fn give_way() {
    let mut gave = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut gave, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
