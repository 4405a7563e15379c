//! What no seed can repeat is noticed: a read of the wall clock, a sleep on it, a thread, the operating system's own randomness, from within a
//! simulated program. The run then fails and names the first place, whatever else it found.
//!
//! ```text
//!   interpose   defines the C functions, calls `noticed` in each, then the real one      here   counts, and keeps who was first
//!   run, turmoil   `watched` around every poll of programs        what the engine, tokio and the harness do outside of it is their own affair
//! ```
//!
//! Costs a look at a thread-local where one of those functions is called, and nothing elsewhere.
//!
//! It cannot see what does not call the C library: system calls made in assembler, `rdtsc`, the addresses that an allocator gives, the result of a
//! file. `getrandom` is no deed, for inside a run it comes from the seed.

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};

use crate::failure::Cause;
use crate::{interpose, whose};

/// What simulated code must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Clock,
    Sleep,
    Thread,
    Randomness,
}

impl Deed {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Clock => ("read the wall clock", "use tokio::time::Instant, or Network::wall_clock"),
            Self::Sleep => ("slept on the wall clock", "use tokio::time::sleep"),
            Self::Thread => ("started a thread", "use Network::spawn"),
            Self::Randomness => ("read the operating system's randomness", "use Network::draws"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Off,
    /// Counts only: for the self-check.
    Counting,
    On,
}

struct First {
    deed: Deed,
    /// Host and task, if a task was running.
    who: Option<(u32, &'static str)>,
    place: Backtrace,
}

thread_local! {
    // const and without a destructor: looked at in functions that an allocator may call.
    static MODE: Cell<Mode> = const { Cell::new(Mode::Off) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static FIRST: RefCell<Option<First>> = const { RefCell::new(None) };
}

/// Sets the mode until it is dropped, by a panic, too.
struct Until(Mode);

impl Until {
    fn set(mode: Mode) -> Self {
        Self(MODE.replace(mode))
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        MODE.set(self.0);
    }
}

/// Runs `f`, in which simulated programs run, and notices what they do.
pub(crate) fn watched<T>(f: impl FnOnce() -> T) -> T {
    let _until = Until::set(Mode::On);
    f()
}

/// Called by the interposed functions.
pub(crate) fn noticed(deed: Deed) {
    match MODE.try_with(Cell::get) {
        Err(_) | Ok(Mode::Off) => {}
        Ok(Mode::Counting) => COUNT.set(COUNT.get() + 1),
        Ok(Mode::On) => {
            COUNT.set(COUNT.get() + 1);
            // Capturing walks the stack; names are looked up when the run has ended.
            let _until = Until::set(Mode::Off);
            let _ = FIRST.try_with(|first| {
                let mut first = first.borrow_mut();
                if first.is_none() {
                    *first = Some(First { deed, who: whose::now(), place: Backtrace::force_capture() });
                }
            });
        }
    }
}

/// Whether `f`, which does one of the deeds, is noticed.
pub(crate) fn notices(f: impl FnOnce()) -> bool {
    let before = COUNT.get();
    {
        let _until = Until::set(Mode::Counting);
        f();
    }
    COUNT.replace(before) > before
}

/// What was noticed since the last call on this thread, as the cause of the run's failure.
pub(crate) fn verdict() -> Option<Cause> {
    let times = COUNT.replace(0);
    let First { deed, who, place } = FIRST.take()?;
    let (what, instead) = deed.words();
    let task =
        who.map(|(host, task)| format!("task `{task}` of host `{}`, ", whose::host_name(host).unwrap_or_default()));
    let first = format!("{}{}", task.unwrap_or_default(), culprit(&place.to_string()));
    Some(Cause::Unrepeatable { what: what.to_owned(), times, first, instead: instead.to_owned() })
}

/// Who called the C function: the innermost frame that is not the standard library's or tokio's, as `function at file:line`; and, where that is in a
/// dependency, the program's own frame that led there.
fn culprit(trace: &str) -> String {
    let mut frames = Vec::new();
    let mut lines = trace.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((number, name)) = line.trim().split_once(": ") else { continue };
        let at = lines.peek().and_then(|next| next.trim().strip_prefix("at "));
        if number.parse::<u32>().is_ok() {
            frames.push((name, at.unwrap_or_default()));
        }
    }
    // Before it come the frames of this file and of `interpose`.
    let called = frames.iter().position(|(name, _)| interpose::NOTICED.contains(name)).map_or(0, |at| at + 1);
    let mut callers = frames[called..].iter().filter(|(_, at)| !at.is_empty() && !at.starts_with("/rustc/"));
    let is_others = |at: &str| at.contains("/registry/");
    let first = callers.clone().find(|(_, at)| !(is_others(at) && at.contains("/tokio-")));
    let own = callers.find(|(_, at)| !is_others(at));
    match (first, own) {
        (Some((name, at)), Some((own, own_at))) if is_others(at) => {
            format!("{name} at {at}, called from {own} at {own_at}")
        }
        (Some((name, at)), _) => format!("{name} at {at}"),
        (None, _) => "a place without a name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_culprit_is_the_first_caller_that_is_not_the_standard_library() {
        let trace = "   0: force_capture\n             at /rustc/1/library/std/src/backtrace.rs:313:9\n   1: noticed\n             \
                     at ./src/guard.rs:90:1\n   2: clock_gettime\n             at ./src/interpose.rs:9:1\n   3: std::time::Instant::now\n             \
                     at /rustc/1/library/std/src/time.rs:1:1\n";
        let own = "   4: look\n             at ./src/health.rs:7:9\n   5: main\n             at ./src/main.rs:1:1\n";
        assert_eq!(culprit(&format!("{trace}{own}")), "look at ./src/health.rs:7:9");
        let theirs = "   4: rustls::now\n             at /root/.cargo/registry/src/i/rustls-0.23/src/time.rs:2:2\n";
        let both = culprit(&format!("{trace}{theirs}{own}"));
        assert_eq!(
            both,
            "rustls::now at /root/.cargo/registry/src/i/rustls-0.23/src/time.rs:2:2, called from look at ./src/health.rs:7:9"
        );
        assert_eq!(culprit(trace), "a place without a name");
    }
}
