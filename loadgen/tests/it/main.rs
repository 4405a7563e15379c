//! Virtual clients against the mock source over loopback.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod against_source;
mod command_line;
mod strong_contract;
