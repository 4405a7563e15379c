//! What to serve, and within which bounds.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use wire::id::{SourceId, Symbol};
use wire::net::{SocketOptions, WallTime};
use wire::tick::{N_MAX, Padding, ScheduleError};
use wire::ws::{Fragments, Limits};

use crate::counters::Counters;
use crate::script::{Action, Script};

/// What a source does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// The v1 feed: a greeting, one subscription message from the client, then the ticks of its symbols.
    #[default]
    V1,
    /// The v2 feed: a greeting, a login, and subscriptions that say what changes and are acknowledged or denied; then ticks in its form.
    V2,
    /// All ticks to everyone, without greeting or subscription; what clients send is read and dropped.
    Raw,
    /// Every text and binary message goes back as it came; no ticks.
    Echo,
}

/// One source. [`Config::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its number in the record. No default: [`Config::new`] takes it.
    pub id: SourceId,
    /// Where it listens; port 0 picks a free port (see [`crate::serve_on`] to learn which).
    pub listen: SocketAddr,
    /// What it has ticks of. Default: `S0000` to `S0009`.
    pub symbols: Vec<Symbol>,
    /// Between two ticks of one symbol, 1 ms to a day, and long enough for the numbers since 2026 to fit ten digits ([`ServeError::Numbers`]). Default 100 ms.
    pub period: Duration,
    /// Which symbols tick more or less often than that. Default [`crate::Rates::Alike`].
    pub rates: crate::Rates,
    /// The seed of the payloads: equal for all instances of one feed. Default 1.
    pub seed: u64,
    /// Filler of ticks, equal for all instances of one feed. Not in [`Mode::Echo`]. Default [`Padding::NONE`].
    pub padding: Padding,
    /// Symbols whose ticks carry the filler. Default: none named, so all do.
    pub padded: Vec<Symbol>,
    /// How ticks and echoes are cut into frames. Default None: each is one.
    pub fragments: Option<Fragments>,
    /// Default [`Mode::V1`].
    pub mode: Mode,
    /// The first text of a connection, in [`Mode::V1`] and [`Mode::V2`] only. Default `Connected`; None says nothing.
    pub greeting: Option<String>,
    /// Connections that one user key may hold; one more is told so in-band and closed. [`Mode::V1`] and [`Mode::V2`] only. Default None: no limit.
    pub key_limit: Option<u32>,
    /// Keys that may log in, in [`Mode::V2`] only. Default: none named, so any may.
    pub user_keys: Vec<String>,
    /// Symbols of which subscriptions are denied, in [`Mode::V2`] only. Default: none.
    pub denied: Vec<Symbol>,
    /// Symbols that one connection may have, as its login is told; more are denied. [`Mode::V2`] only. Default 1,000.
    pub symbol_limit: u32,
    /// Between two heartbeat messages, from the login on, in [`Mode::V2`] only. Default None: there are none.
    pub heartbeat: Option<Duration>,
    /// Open connections; one more is refused with 503. Default 20,000.
    pub connections_max: u32,
    /// What goes wrong and when. Default: nothing.
    pub script: Script,
    /// Until the WebSocket handshake is over. Default 10 s.
    pub handshake_timeout: Duration,
    /// Until the client's first message in [`Mode::V1`], or its login in [`Mode::V2`]; then it is closed with 1008. Default 10 s.
    pub first_message_timeout: Duration,
    /// How long a Close waits for the peer's. Default 1 s.
    pub close_timeout: Duration,
    /// Ticks that may wait for one connection whose socket is full; one more and the connection is reset. At least 1. Default 64.
    pub queue_ticks: usize,
    /// Ticks that are caught up after a short freeze of the host; if more are due, all but the newest are skipped. At least 1. Default 3.
    pub burst_max: u32,
    /// Options of accepted sockets. Default: Nagle off, the rest the kernel's.
    pub socket: SocketOptions,
    /// Bounds of each session (write buffer among them). Default [`Limits::default`].
    pub limits: Limits,
    /// Totals that the caller may watch while the source runs. Clones of a configuration share them.
    pub counters: Counters,
}

impl Config {
    /// The source `id` on `listen`, with the default of every field.
    #[must_use]
    pub fn new(id: SourceId, listen: SocketAddr) -> Self {
        Self {
            id,
            listen,
            symbols: (0..10).map(Symbol::numbered).collect(),
            period: Duration::from_millis(100),
            rates: crate::Rates::Alike,
            seed: 1,
            padding: Padding::NONE,
            padded: Vec::new(),
            fragments: None,
            mode: Mode::V1,
            greeting: Some(wire::feed::GREETING.to_owned()),
            key_limit: None,
            user_keys: Vec::new(),
            denied: Vec::new(),
            symbol_limit: 1_000,
            heartbeat: None,
            connections_max: 20_000,
            script: Script::default(),
            handshake_timeout: Duration::from_secs(10),
            first_message_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(1),
            queue_ticks: 64,
            burst_max: 3,
            socket: SocketOptions { nodelay: Some(true), ..SocketOptions::default() },
            limits: Limits::default(),
            counters: Counters::default(),
        }
    }

    /// The filler of a symbol's ticks.
    pub(crate) fn padding_of(&self, symbol: Symbol) -> Padding {
        if self.padded.is_empty() || self.padded.contains(&symbol) { self.padding } else { Padding::NONE }
    }

    /// The bounds of a session, with room for the ticks of one instant: they are handed over together.
    pub(crate) fn session_limits(&self) -> Limits {
        /// Of a tick without filler, in any form.
        const TICK_BYTES: usize = 256;
        /// A frame has a header, and a ping before it.
        const FRAME_BYTES: usize = 16;
        let tick = self.padding.max() + TICK_BYTES;
        let frames = self.fragments.map_or(1, |fragments| tick.div_ceil(fragments.bytes.max(1)));
        let batch = self.symbols.len().saturating_mul(tick + frames * FRAME_BYTES);
        let oversized = self.script.steps.iter().map(|step| match step.action {
            Action::Oversized { bytes } => 2 * bytes as usize,
            _ => 0,
        });
        let room = self.limits.write_buffer.saturating_add(batch).saturating_add(oversized.max().unwrap_or(0));
        Limits { write_buffer_max: self.limits.write_buffer_max.max(room), ..self.limits }
    }

    /// The schedules of the ticks, if they can be kept at this time of day.
    pub(crate) fn schedules(&self, now: WallTime) -> Result<crate::rates::Schedules, ServeError> {
        let schedules = self.rates.schedules(&self.symbols, self.period)?;
        let in_an_hour = WallTime(now.0.saturating_add(3_600_000_000));
        let used_up = schedules.all().iter().find(|schedule| schedule.next(in_an_hour) > N_MAX);
        if let Some(schedule) = used_up.filter(|_| self.mode != Mode::Echo) {
            return Err(ServeError::Numbers { period: Duration::from_micros(schedule.period_us()) });
        }
        Ok(schedules)
    }
}

/// Why a source does not serve. All are ours to mend.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on: taken, not ours, or not allowed. Trying again helps if it was taken.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The period is out of range.
    #[error(transparent)]
    Period(#[from] ScheduleError),
    /// Tick numbers count from 2026 and have ten digits: at this period they are used up, or will be within an hour of this world's clock.
    #[error("ticks {period:?} apart have numbers of more than ten digits by now: use a longer period and more symbols")]
    Numbers {
        /// The period asked for.
        period: Duration,
    },
}
