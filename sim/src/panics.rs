//! Panics of simulated tasks: caught, with their place, and not printed.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

use crate::failure::Cause;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// From now on panics on this thread are kept instead of printed. Other threads keep the hook that they had.
pub(crate) fn catch_here() {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CATCHING.try_with(Cell::get).unwrap_or(false) {
                before(info);
                return;
            }
            let payload = info.payload();
            let message = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "a panic without text".to_owned());
            let place = info.location().map_or_else(String::new, ToString::to_string);
            let _ = LAST.try_with(|last| *last.borrow_mut() = Some((place, message)));
        }));
    });
    CATCHING.set(true);
}

/// The last panic of this thread, as the failure of a task.
pub(crate) fn taken(host: &str, task: &str) -> Cause {
    let (place, message) = LAST.with(|last| last.borrow_mut().take()).unwrap_or_default();
    Cause::Panic { host: host.to_owned(), task: task.to_owned(), place, message }
}
