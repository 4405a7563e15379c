//! Locks that outlive a panic: a panic in one client's task must not take the others with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whether or not a holder panicked. Everything guarded here is left whole between any two statements that could panic.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
