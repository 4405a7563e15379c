//! The proxy over loopback sockets: few and honest. The simulator tells the long stories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod admin;
mod bench;
mod exposition;
mod fanout;
mod front_door;
mod program;
mod relay;
mod reload;
#[cfg(unix)]
mod signals;
mod slow_client;
mod sources;
mod tls;
mod v2;
