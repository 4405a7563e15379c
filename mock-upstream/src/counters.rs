//! Totals of one source, for whoever runs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since `serve` began. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Totals>);

#[derive(Debug, Default)]
struct Totals {
    opened: AtomicU64,
    refused: AtomicU64,
    messages: AtomicU64,
    overflowed: AtomicU64,
    unknown_symbols: AtomicU64,
}

macro_rules! counter {
    ($($(#[$doc:meta])* $name:ident / $add:ident;)*) => {
        impl Counters {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> u64 {
                    self.0.$name.load(Ordering::Relaxed)
                }

                pub(crate) fn $add(&self, by: u64) {
                    self.0.$name.fetch_add(by, Ordering::Relaxed);
                }
            )*
        }
    };
}

counter! {
    /// Connections whose handshake was finished.
    opened / add_opened;
    /// Connections that were turned away: over a limit, or scripted.
    refused / add_refused;
    /// Ticks and echoes handed to sockets.
    messages / add_messages;
    /// Connections reset because their queue was full.
    overflowed / add_overflowed;
    /// Symbols that clients asked for and that do not exist here (v1 has no denial: they are ignored).
    unknown_symbols / add_unknown_symbols;
}
