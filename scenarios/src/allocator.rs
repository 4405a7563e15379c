//! The allocator of programs that run worlds: mimalloc. A world of ten thousand clients is two hundred megabytes of small things, each touched once a round.
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: scenarios::allocator::Allocator = scenarios::allocator::ALLOCATOR;
//! ```
//!
//! Huge pages beneath it (`MIMALLOC_ALLOW_LARGE_OS_PAGES=1`) were tried and changed nothing that could be measured.
#![expect(unsafe_code, reason = "an option of a C library is set by a foreign function; the one use argues below")]

/// What to name as the global allocator.
pub type Allocator = mimalloc::MiMalloc;

/// The allocator.
pub const ALLOCATOR: Allocator = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, by its place in the list of options of mimalloc 3 (`mimalloc.h`); the binding has no name for it.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Has the allocator keep what it was once given: to give memory back after a while it reads the clock, which nobody may do in a simulated world
/// (the simulator would fail the run and name the allocator). Call it at the start of `main`, while there is one thread. Without this allocator it does nothing.
pub fn settle() {
    // SAFETY: stores two words at a place of the library's own table, whose length it checks. Another thread that allocates meanwhile may read either the old
    // or the new delay, and both are good: it is an option that the library lets a program set at run time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}

#[cfg(test)]
mod tests {
    /// The default of this option is like none of its neighbours'.
    #[test]
    fn the_option_is_the_delay_of_a_purge() {
        // SAFETY: reads a number from the library's table.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(super::PURGE_DELAY) };
        assert_eq!(delay(), 1_000, "in milliseconds");
        super::settle();
        assert_eq!(delay(), -1);
    }
}
