//! Virtual clients: they arrive by plan, read what a feed or proxy sends, check all of it, and say what they saw.
//!
//! ```text
//!   config      who arrives, when, wants what, reads how fast, and what happens when a session ends
//!   arrival     the schedule of arrivals (pure)          requests    when a client sends its next request (pure)
//!   subscriptions   which symbols a client wants (pure)     pace        when the next request or publication is due (pure)
//!   order       exact checks of order, gaps and duplicates, O(1) a message (pure)
//!   backoff     when to try again (pure)
//!   publish     clients whose messages others get: their plan, their text, and what each subscriber is owed (pure)
//!   pick        who checks and who publishes (pure)
//!   conversation   what a client says to an echo, so that each piece of it tells whose it is (pure)
//!   behaviour   what a client does beside listening: pings, asks, changes its mind, breaks the protocol (pure)
//!   mouth       a handshake of a given speed, and pongs left out
//!   throttle    a reader of a given speed: real back-pressure on the TCP connection
//!   tls         whom to trust at wss:// targets
//!   client      one virtual client: dial, session, end, again          session: one connection's talk
//!   run         all of them, added up in a Summary
//! ```
//!
//! Load is an open loop unless it is asked to be closed: arrivals and echo requests have planned instants, and latency counts from the plan, so that a slow
//! server cannot hide by slowing its clients (coordinated omission). In a closed loop ([`Load::Closed`]) a population is held, and each client waits for
//! its answer: that is how users behave who have nowhere else to go, and says nothing about those who would have come.
//!
//! It must never decide what is right beyond its own sessions: invariants over a whole run are for the checkers, which read the events.

mod arrival;
mod backoff;
mod behaviour;
mod client;
mod config;
mod conversation;
mod dial;
mod distribution;
mod drain;
pub mod health;
mod measure;
mod mouth;
mod order;
mod pace;
mod pick;
mod ports;
pub mod program;
mod publish;
mod requests;
pub mod require;
mod run;
mod session;
mod subscriptions;
mod summary;
mod throttle;
mod tls;

pub use self::arrival::{Arrival, STEPS_MAX, Steps};
pub use self::behaviour::{Behaviour, Handshake, Offence};
pub use self::config::{Config, Load, Reader, Reconnect, RunError};
pub use self::distribution::{Distribution, Quantiles, samples_needed};
pub use self::publish::{PLACE, Publishers};
pub use self::run::run;
pub use self::subscriptions::Subscriptions;
pub use self::summary::{
    ByPublisher, Checked, Closes, Counts, Dials, Drained, Echo, Phases, Published, Summary, Window,
};
pub use self::tls::{Trust, TrustError};
