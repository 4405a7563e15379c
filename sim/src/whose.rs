//! Whose code runs: the host and the task of the program that is polled now on this thread, or whose future is dropped.
//!
//! Both engines say so around every poll; those who look on (the guard, whoever writes a log) ask.

use std::cell::Cell;

use crate::{kernel, turmoil};

thread_local! {
    // const and without a destructor: asked in functions that an allocator may call.
    static WHOSE: Cell<Option<(u32, &'static str)>> = const { Cell::new(None) };
}

/// Sets who it is until it is dropped, by a panic, too.
struct Until(Option<(u32, &'static str)>);

impl Drop for Until {
    fn drop(&mut self) {
        WHOSE.set(self.0);
    }
}

/// Calls `f`, which runs code of this task of this host.
pub(crate) fn in_the_name_of<T>(host: u32, task: &'static str, f: impl FnOnce() -> T) -> T {
    let _until = Until(WHOSE.replace(Some((host, task))));
    f()
}

/// The host and the name of the task whose code runs.
pub(crate) fn now() -> Option<(u32, &'static str)> {
    WHOSE.try_with(Cell::get).ok().flatten()
}

/// A host's name, in the engine that runs on this thread.
pub(crate) fn host_name(host: u32) -> Option<String> {
    if kernel::run_id() == 0 {
        turmoil::host_name(host)
    } else {
        kernel::with(|world| world.hosts.get(host as usize).map(|host| host.name.clone())).flatten()
    }
}
