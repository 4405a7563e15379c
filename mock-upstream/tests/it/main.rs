//! The source against a plain WebSocket client over loopback.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod feed;
mod v2;
