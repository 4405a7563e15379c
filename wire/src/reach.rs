//! Marks in the code: which of its rare branches were taken.
//!
//! A test that passes without having come to the branch that it is about proves nothing. [`reached!`](crate::reached) names such a branch where it
//! stands, and a [`Tally`] counts on its own thread how often each was taken.
//!
//! ```
//! use wire::reach::Tally;
//!
//! fn pick(healthy: bool) {
//!     if !healthy {
//!         wire::reached!("doc: panic rule used");
//!     }
//! }
//!
//! let tally = Tally::default();
//! pick(false); // nobody listens
//! tally.listen();
//! pick(true);
//! pick(false);
//! assert_eq!(tally.take(), [("doc: panic rule used", 1)].into());
//! pick(false); // it was taken: nobody listens any more
//! assert!(tally.take().is_empty());
//! ```
//!
//! **What a mark costs.** Where no thread of the process listens, one load of a static and a branch that is never taken (x86-64, `rustc -O`; the first
//! two may be one instruction):
//!
//! ```text
//!   mov   rcx, qword ptr [rip + LISTENING]
//!   test  rcx, rcx
//!   jne   cold
//! ```
//!
//! Nothing is registered, allocated or locked. The rest stands in a function of its own, which is cold.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Threads that listen, over the whole process.
static LISTENING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Who listens on this thread.
    static HERE: RefCell<Option<Listening>> = const { RefCell::new(None) };
}

/// How often each mark was reached, by its name.
pub type Counts = BTreeMap<&'static str, u64>;

/// Counts the marks that the threads reach on which it [listens](Tally::listen). Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    counts: Counts,
    over: bool,
}

/// Says once that a thread listens, and once that it does no more: when another takes its place, or when the thread ends.
struct Listening(Tally);

impl Listening {
    fn new(tally: Tally) -> Self {
        LISTENING.fetch_add(1, Ordering::Relaxed);
        Self(tally)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENING.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tally {
    /// Counts from now on what this thread reaches, in place of whoever did so before, until the thread ends or the counts are taken.
    pub fn listen(&self) {
        let before = HERE.with(|here| here.borrow_mut().replace(Listening::new(self.clone())));
        drop(before);
    }

    /// Ends the count: what is reached later is not in it.
    pub fn close(&self) {
        self.lock().over = true;
    }

    /// Ends the count and takes it. Empty the second time.
    #[must_use]
    pub fn take(&self) -> Counts {
        let mut taken = self.lock();
        taken.over = true;
        std::mem::take(&mut taken.counts)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing that could panic is done under the lock but to allocate.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether any thread listens. For [`reached!`](crate::reached) only.
#[doc(hidden)]
#[inline(always)]
#[must_use]
pub fn listens() -> bool {
    LISTENING.load(Ordering::Relaxed) != 0
}

/// Counts a mark, if this thread listens. For [`reached!`](crate::reached) only.
#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn note(name: &'static str) {
    // A thread that ends has nobody who listens.
    let _ = HERE.try_with(|here| {
        if let Some(Listening(tally)) = here.borrow().as_ref() {
            let mut taken = tally.lock();
            if !taken.over {
                *taken.counts.entry(name).or_default() += 1;
            }
        }
    });
}

/// Marks a branch as reached: `wire::reached!("panic rule used")`. See [`reach`](crate::reach).
///
/// `wire::reached!("...", if CONDITION)` counts only where the condition holds, which is asked only where somebody listens: it may cost something, and must
/// change nothing.
///
/// The name says in plain words what has happened. It is a literal that stands at one place only, so that whoever reads it finds the place.
#[macro_export]
macro_rules! reached {
    ($name:literal) => {
        if $crate::reach::listens() {
            $crate::reach::note($name);
        }
    };
    ($name:literal, if $condition:expr) => {
        if $crate::reach::listens() && $condition {
            $crate::reach::note($name);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() {
        reached!("test: one");
        reached!("test: two");
    }

    #[test]
    fn each_thread_is_counted_by_its_own_tally_and_clones_count_together() {
        let (here, there) = (Tally::default(), Tally::default());
        here.listen();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                both();
                there.clone().listen();
                both();
                both();
            });
        });
        both();
        assert_eq!(here.take(), [("test: one", 1), ("test: two", 1)].into());
        assert_eq!(there.take(), [("test: one", 2), ("test: two", 2)].into());
    }

    #[test]
    fn what_comes_after_the_end_is_not_counted_and_the_last_that_listens_counts() {
        let (first, second) = (Tally::default(), Tally::default());
        first.listen();
        both();
        second.listen();
        both();
        second.close();
        both();
        assert_eq!(first.take().values().sum::<u64>(), 2);
        assert_eq!(second.take().values().sum::<u64>(), 2);
        assert!(second.take().is_empty());
    }

    #[test]
    fn a_thread_that_ends_listens_no_more() {
        let tally = Tally::default();
        let ended = tally.clone();
        std::thread::scope(|scope| scope.spawn(move || ended.listen()).join()).expect("it does nothing else");
        // Its tally is let go with it.
        assert_eq!(Arc::strong_count(&tally.0), 1);
    }
}
