//! What a measurement of capacity is asked for.

use std::path::PathBuf;
use std::time::Duration;

/// What each connection of the mix gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Symbols of the source; at least 1. Default 100.
    pub symbols: u32,
    /// Symbols that each connection subscribes to, drawn; at most `symbols`. Default 10.
    pub symbols_per_connection: u32,
    /// Ticks of each symbol a second; above 0, at most 1,000. Default 1.
    pub ticks_per_s: f64,
    /// Filler of each tick, in bytes. Default 0: about 90 bytes a tick.
    pub padding: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { symbols: 100, symbols_per_connection: 10, ticks_per_s: 1.0, padding: 0 }
    }
}

impl Mix {
    /// Messages that each connection gets a second.
    #[must_use]
    pub fn messages_per_s(&self) -> f64 {
        f64::from(self.symbols_per_connection) * self.ticks_per_s
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let padding = if self.padding == 0 { String::new() } else { format!(", {} bytes of filler", self.padding) };
        format!(
            "{} of {} symbols, {} tick{}/s each{padding}",
            self.symbols_per_connection,
            self.symbols,
            self.ticks_per_s,
            if self.ticks_per_s == 1.0 { "" } else { "s" }
        )
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A delivery later than this after its planned instant misses the objective. Default 50 ms.
    pub objective: Duration,
    /// The share of planned messages that must meet it; above 0.5, below 1. Default 0.99: its p99 is the objective.
    pub goodput_min: f64,
    /// A connection that takes longer than this from its planned dial to its upgrade misses the objective of the axis of connections a second. Default 250 ms.
    pub connect_objective: Duration,
    /// What each connection gets.
    pub mix: Mix,
    /// Connections of the axis of the message rate. Default 1,000.
    pub fixed_connections: u32,
    /// The most connections that are tried. Default 60,000.
    pub connections_max: u32,
    /// The most clients of one trial, come and gone ones among them: each takes a descriptor and a port of the generator. Default 200,000.
    pub clients_max: u32,
    /// The share of connections that check every byte; the others count frames. Default 0.05.
    pub verify: f64,
    /// For all of it. Default 5 min.
    pub time_budget: Duration,
    /// The gap between a load that holds and one that does not, as a part of the former. Default 0.05.
    pub tolerance: f64,
    /// Further arguments of the proxy, as `--shards 2`.
    pub proxy_args: Vec<String>,
    /// Another build of `windtunnel` (or of `proxy`) to compare with; half of the time goes into that.
    pub against: Option<PathBuf>,
    /// Runs of each build for that, in turns; at least 3. Default 3.
    pub runs: u32,
    /// Connections in all, for which instances are reckoned; none: some multiples of what one holds.
    pub demand: Option<f64>,
    /// A price file.
    pub prices: Option<PathBuf>,
    /// Where logs of the processes go; it must be there.
    pub logs: PathBuf,
    /// The command that does it again, for the report.
    pub command: String,
}

impl Settings {
    /// With the default of every field.
    #[must_use]
    pub fn new(logs: PathBuf) -> Self {
        Self {
            objective: Duration::from_millis(50),
            goodput_min: 0.99,
            connect_objective: Duration::from_millis(250),
            mix: Mix::default(),
            fixed_connections: 1_000,
            connections_max: 60_000,
            clients_max: 200_000,
            verify: 0.05,
            time_budget: Duration::from_secs(300),
            tolerance: 0.05,
            proxy_args: Vec::new(),
            against: None,
            runs: 3,
            demand: None,
            prices: None,
            logs,
            command: "windtunnel capacity".to_owned(),
        }
    }
}
