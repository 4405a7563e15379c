//! Virtual clients over loopback. (Against the mock source: `scenarios/tests/it/clients_and_source.rs`, since no instrument links another.)
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod command_line;
mod memory;
mod publishers;
mod secure;
mod statements;
mod strong_contract;
