//! A scriptable feed server: the real-time source behind the proxy, as a program and as a library for both worlds.
//!
//! ```text
//!   config       what to serve: symbols, rates, mode, limits
//!   script       what goes wrong and when: stall, refuse, close, reset, silence, garbage (TOML for the program)
//!   pacer        which ticks are due now (pure)
//!   serve        accepts; one conductor task makes each tick once, one task a connection writes it
//!
//!   conductor --- News: Arc<Batch> of ticks, stall, close ... ---> connection ---> WebSocket session
//!                 (one bounded ring for all)                        (bounded queue; full = dropped, the source is never blocked)
//! ```
//!
//! The ledger of what was really sent goes to the [`wire::event::Observer`]: `SourceOpen`, `SourceSubscribe`, `SourceDeny`, `SourceUnsubscribe`, `SourceSend`, `SourceClose`,
//! `SourceRefuse`.
//!
//! It must never send a tick that another instance of the same seed would not send at the same wall-clock instant, and never wait for a slow
//! connection.
mod batch;
mod conductor;
mod config;
mod connection;
mod counters;
mod pacer;
pub mod program;
mod rates;
mod script;
mod serve;
mod wanted;

pub use self::config::{Config, Mode, ServeError};
pub use self::counters::Counters;
pub use self::rates::Rates;
pub use self::script::{Action, Script, ScriptError, Step};
pub use self::serve::{serve, serve_on};
