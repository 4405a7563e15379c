//! A scenario as its file says it: TOML with `schema = 1`.
//!
//! Three steps, three types: text -> [`Scenario`] (this module: every key known, every value in range) -> [`crate::plan::Plan`] (hosts, addresses,
//! programs, faults in order of time, all numbers fixed) -> a run. Unknown keys and impossible values are errors with line, column and what was probably
//! meant, see [`crate::parse`].

mod balancer;
mod behaviour;
mod fault;
mod life;
mod load;
mod messages;
mod rates;
mod trigger;

use serde::{Deserialize, Serialize};

pub use self::balancer::{Backoff, Balancer, Pick};
pub use self::behaviour::{Behaviour, Guard, Handshake, Offence};
pub use self::fault::{Fault, FaultKind, Parameter};
pub use self::life::{Drain, DrainCode, Reloaded};
pub use self::load::{Arrival, Closed, Load, Open, Subscriptions, Waves, Zipf};
pub use self::messages::{Fragments, Padding};
pub use self::rates::{Rate, Rates, Shared};
pub use self::trigger::{After, Asked, EventName, Field, Since, Stamped};
pub(crate) use self::trigger::{Subject, subject};

use crate::check::Objectives;
use crate::cost::Cost;
use crate::span::Span;

/// The version of the file format.
pub const SCHEMA: u32 = 1;

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// Must be [`SCHEMA`].
    pub schema: u32,
    /// In kebab-case; the file's name without `.toml`.
    pub name: String,
    /// What it is about and why it matters, for a person.
    pub about: String,
    /// Words to select it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Clients arrive, nothing is judged by latency. Default 2 s.
    #[serde(default = "default_warmup")]
    pub warmup: Span,
    /// Load and faults: fault times count from its beginning, and so do the events that faults wait for.
    pub steady: Span,
    /// After the last fault ended: everything must come right. Default 3 s.
    #[serde(default = "default_recovery")]
    pub recovery: Span,
    /// The network between all hosts.
    #[serde(default)]
    pub network: Network,
    /// The instances of the source.
    pub sources: Sources,
    /// The proxy under test.
    pub proxy: Proxy,
    /// A tier of proxies before it: clients connect to these, and what they have for sources are the instances of `proxy`. None: clients connect to `proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Proxy>,
    /// One address before the instances that clients connect to; none: each client knows them all and takes them in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balancer: Option<Balancer>,
    /// Groups of clients.
    pub clients: Vec<Clients>,
    /// What goes wrong, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// CPU costs; none: CPU is free, and no latency objective may be set on queueing.
    #[serde(default)]
    pub service_time: Option<ServiceTime>,
    /// What must hold.
    pub check: Objectives,
    /// What must have happened for the run to mean anything, see [`Reach`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<Reach>,
    /// Engines that can express it besides `sim`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<Engine>,
}

impl Scenario {
    /// What clients connect to.
    #[must_use]
    pub fn front(&self) -> &Proxy {
        self.edge.as_ref().unwrap_or(&self.proxy)
    }

    /// The file that says this, with every default written out.
    ///
    /// # Errors
    /// What TOML cannot hold, which no file can have brought.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

fn default_warmup() -> Span {
    Span::from_millis(2_000)
}

fn default_recovery() -> Span {
    Span::from_millis(3_000)
}

/// What runs a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Our simulator.
    #[default]
    Sim,
    /// turmoil's own.
    Turmoil,
    /// Real processes on loopback.
    Sockets,
}

/// The links between hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Network {
    /// One way. Default fixed 500 us.
    pub latency: Latency,
    /// Bits per second and direction; none: unlimited.
    pub bandwidth: Option<u64>,
    /// Share of segments lost, each a delay (retransmission). 0..1, default 0.
    pub loss: f64,
    /// Links that are not like the others, later ones over earlier ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// The links between some hosts and some others, both ways. What it leaves out stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Link {
    /// Hosts, groups of clients, or names that end in `*`.
    pub between: (String, String),
    /// One way.
    #[serde(default)]
    pub latency: Option<Latency>,
    /// Bits per second and direction.
    #[serde(default)]
    pub bandwidth: Option<u64>,
    /// Share of segments lost.
    #[serde(default)]
    pub loss: Option<f64>,
}

impl Default for Network {
    fn default() -> Self {
        Self { latency: Latency::Fixed(Span::from_micros(500)), bandwidth: None, loss: 0.0, links: Vec::new() }
    }
}

/// One-way delay of a link.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// Always the same.
    Fixed(Span),
    /// Evenly between the two.
    Uniform(Span, Span),
    /// Log-normal: median, and the ratio of the 99th percentile to the median.
    LogNormal {
        /// The median.
        median: Span,
        /// p99 / median, above 1.
        tail: f64,
    },
    /// Nothing for most segments, so much for a share of them.
    Spikes {
        /// The share, 0..1.
        share: f64,
        /// What they take.
        delay: Span,
    },
}

impl Latency {
    /// As the simulator draws it.
    #[must_use]
    pub(crate) fn drawn(self) -> sim::Latency {
        /// The 99th percentile of the standard normal distribution.
        const Z99: f64 = 2.326_347_874;
        match self {
            Latency::Fixed(one) => sim::Latency::Fixed(one.as_duration()),
            Latency::Uniform(min, max) => sim::Latency::Uniform { min: min.as_duration(), max: max.as_duration() },
            Latency::LogNormal { median, tail } => {
                sim::Latency::LogNormal { median: median.as_duration(), sigma: libm::log(tail) / Z99 }
            }
            Latency::Spikes { share, delay } => sim::Latency::Spikes { share, delay: delay.as_duration() },
        }
    }
}

/// The source: several instances that send the same ticks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sources {
    /// Instances, 1..=64: hosts `source-0`, `source-1`, ...
    pub count: u16,
    /// What they speak. Default `v1`.
    #[serde(default)]
    pub mode: SourceMode,
    /// Symbols, 1..=1000: `S0000`, `S0001`, ... Default 4.
    #[serde(default = "default_symbols")]
    pub symbols: u32,
    /// Between two ticks of one symbol, at least 1 ms. Default 100 ms.
    #[serde(default = "default_period")]
    pub period: Span,
    /// Which symbols tick more or less often than that; none: all alike.
    #[serde(default)]
    pub rates: Option<Rates>,
    /// Connections per key; none: no limit.
    #[serde(default)]
    pub key_limit: Option<u32>,
    /// Subscriptions that are denied, for `v2`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denied>,
    /// Filler that makes ticks large. None: they have none.
    #[serde(default)]
    pub padding: Option<Padding>,
    /// In how many frames a message comes. None: in one.
    #[serde(default)]
    pub fragments: Option<Fragments>,
}

/// Subscriptions to a symbol are denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Denied {
    /// Its name, `S0003`.
    pub symbol: String,
    /// The source that denies it, `source-1`; none: each does.
    #[serde(default)]
    pub by: Option<String>,
}

fn default_symbols() -> u32 {
    4
}

fn default_period() -> Span {
    Span::from_millis(100)
}

/// What a source speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceMode {
    /// The v1 feed protocol.
    #[default]
    V1,
    /// The v2 feed protocol, which plain clients speak, too.
    V2,
    /// Sends every message back.
    Echo,
}

/// The proxy under test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Proxy {
    /// Instances, 1..=16: hosts `proxy-0`, ... (`edge-0`, ...). Each knows all that is behind. Default 1.
    #[serde(default = "default_one")]
    pub count: u16,
    /// `fanout` or `relay`.
    pub mode: ProxyMode,
    /// Which of the sources fan-out consumes; none: the proxy's default.
    #[serde(default)]
    pub sources: Option<Consumed>,
    /// Open client sessions admitted; none: the proxy's default.
    #[serde(default)]
    pub clients_max: Option<u32>,
    /// Bytes queued per client; none: the proxy's default.
    #[serde(default)]
    pub queue_bytes: Option<u64>,
    /// What becomes of a client whose queue is full; none: the proxy's default.
    #[serde(default)]
    pub slow_client: Option<SlowClient>,
    /// A source that has said nothing for so long, though it ticked before, is given up; none: the proxy's default.
    #[serde(default)]
    pub stale_after: Option<Span>,
    /// Legs to one source at once (relay); none: the proxy's default.
    #[serde(default)]
    pub clients_per_upstream_max: Option<u32>,
    /// Clients that may wait at once for a place at a source (relay); none: the proxy's default.
    #[serde(default)]
    pub pending_max: Option<u32>,
    /// How long a client may wait for one; none: the proxy's default.
    #[serde(default)]
    pub pending_timeout: Option<Span>,
    /// Over how long the weight of a source that came back rises; none: the proxy's default.
    #[serde(default)]
    pub slow_start: Option<Span>,
    /// Symbols that move to another source a second (sharded); none: the proxy's default.
    #[serde(default)]
    pub moves_per_second: Option<u32>,
    /// Dials to one source a second; none: the proxy's default.
    #[serde(default)]
    pub dials_per_second_max: Option<u32>,
    /// Dials to one source that may come at once; none: the proxy's default.
    #[serde(default)]
    pub dials_burst: Option<u32>,
    /// What it has against clients that do not behave. Default: as the proxy.
    #[serde(default)]
    pub guard: Guard,
    /// How it drains. Default: as the proxy does.
    #[serde(default)]
    pub drain: Drain,
    /// Shards of each proxy, 1 to 64: each has its part of the clients. Default 1. In the simulator they take turns on one core.
    #[serde(default)]
    pub shards: Option<u16>,
}

fn default_one() -> u16 {
    1
}

/// How the proxy serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyMode {
    /// One upstream leg for all clients.
    Fanout,
    /// One upstream leg for each client.
    Relay,
}

/// Which sources a proxy consumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consumed {
    /// One; the others are spares.
    Active,
    /// Two at once, merged.
    Hot,
    /// All, each its share of the symbols.
    Sharded,
}

/// The policy for slow clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlowClient {
    /// Once behind, it gets the newest of each symbol.
    Conflate,
    /// The oldest queued message goes first.
    DropOldest,
    /// The client is closed with 1013.
    Disconnect,
}

/// A group of like clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Clients {
    /// A word for charts and faults.
    pub name: String,
    /// How many, 1..=20000.
    pub count: u32,
    /// When the group begins to arrive, from the beginning of the run. Default 0.
    #[serde(default)]
    pub start: Span,
    /// When its load comes. In a file: `open` or `closed`.
    #[serde(flatten, with = "self::load")]
    pub load: Load,
    /// Which of the source's symbols each client wants. Default all.
    #[serde(default)]
    pub subscriptions: Subscriptions,
    /// Share that asks for the strong contract, 0..=1. Default 0.
    #[serde(default)]
    pub strong: f64,
    /// Whether strong clients that come again go on where they stood. Default false.
    #[serde(default)]
    pub resume: bool,
    /// How fast they read. Default `full`.
    #[serde(default)]
    pub reader: Reader,
    /// Bytes of the clients' receive buffers; none: the engine's default. Small ones make slow readers felt soon.
    #[serde(default)]
    pub recv_buffer: Option<usize>,
    /// Whether they come again after a loss or a refusal. Default true.
    #[serde(default = "default_true")]
    pub reconnect: bool,
    /// And after how long. None: exponential from 500 ms to 30 s with full jitter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// What they do beside listening. Default: nothing.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// Bytes of a request to an echo; none: 64.
    #[serde(default)]
    pub request_bytes: Option<u32>,
    /// Hosts that the group is spread over. Default: one for each 250 clients.
    #[serde(default)]
    pub hosts: Option<u16>,
}

fn default_true() -> bool {
    true
}

/// How fast clients read.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reader {
    /// As fast as bytes come.
    #[default]
    Full,
    /// This many bytes a second.
    BytesPerS(u64),
    /// Not at all from this long after connecting.
    StopsAfter(Span),
}

/// What network work costs the CPU of a proxy's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceTime {
    /// For each segment sent or received. What is written at once is one.
    pub proxy_per_segment: Cost,
    /// For 1024 bytes of payload, sent or received. Default 0.
    #[serde(default)]
    pub proxy_per_kib: Cost,
    /// For each connection that a client opens, beyond its segments. Default 0.
    #[serde(default)]
    pub proxy_per_connection: Cost,
    /// Cores of each proxy. Default 1.
    #[serde(default = "default_cores")]
    pub proxy_cores: u16,
    /// Default [`Queues::PerCore`].
    #[serde(default)]
    pub proxy_queues: Queues,
    /// Default [`Spread::Fixed`].
    #[serde(default)]
    pub proxy_spread: Spread,
    /// Default [`Reads::Each`].
    #[serde(default)]
    pub proxy_reads: Reads,
}

impl ServiceTime {
    /// As the simulator has it.
    #[must_use]
    pub fn simulated(self) -> sim::ServiceTime {
        sim::ServiceTime {
            per_segment: self.proxy_per_segment.as_duration(),
            per_kib: self.proxy_per_kib.as_duration(),
            per_connection: self.proxy_per_connection.as_duration(),
            cores: self.proxy_cores,
            queues: match self.proxy_queues {
                Queues::PerCore => sim::Queues::PerCore,
                Queues::Shared => sim::Queues::Shared,
            },
            spread: match self.proxy_spread {
                Spread::Fixed => sim::Spread::Fixed,
                Spread::Exponential => sim::Spread::Exponential,
            },
            reads: match self.proxy_reads {
                Reads::Each => sim::Reads::Each,
                Reads::Joined => sim::Reads::Joined,
            },
        }
    }
}

fn default_cores() -> u16 {
    1
}

/// Which core of a proxy does what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queues {
    /// A connection always uses its own.
    #[default]
    PerCore,
    /// Whichever is free takes the next piece of work.
    Shared,
}

/// How costs spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Not at all.
    #[default]
    Fixed,
    /// Exponentially.
    Exponential,
}

/// How segments are read that arrive while the CPU is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// Each by itself.
    #[default]
    Each,
    /// Those of a connection that came in the meantime together.
    Joined,
}

/// A state or a mark that the run must have reached, with how often at least. Too seldom: inconclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reach {
    /// Which state. A checked scenario has either this or a mark.
    pub state: Option<State>,
    /// Which mark in the programs, see [`crate::marks`].
    pub mark: Option<String>,
    /// How often at least. Default 1.
    #[serde(default = "default_once")]
    pub at_least: u64,
}

impl Reach {
    /// The state's word, or the mark's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.state.map(State::word).or(self.mark.as_deref()).unwrap_or_default()
    }
}

fn default_once() -> u64 {
    1
}

/// What can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A fault hit a source that carried a leg of a proxy.
    FaultOnActiveSource,
    /// A proxy moved to another source: a leg went down and a later one came up.
    Failover,
    /// A client was turned away by admission.
    ClientShed,
    /// A message to a slow client was dropped.
    MessageDropped,
    /// A slow client was closed.
    SlowClientClosed,
    /// A strong client was told of a gap.
    GapTold,
    /// A client's session opened.
    ClientOpened,
    /// A message was delivered, or an echo came back.
    Delivered,
    /// A killed or dark host came back.
    HostRestarted,
    /// A client was told that a subscription is denied.
    SubscriptionDenied,
    /// A proxy's drain was over.
    ProxyDrained,
    /// A proxy went over to another configuration.
    ProxyReloaded,
}

impl State {
    /// Every state that a run can reach.
    pub(crate) const ALL: [State; 12] = [
        State::FaultOnActiveSource,
        State::Failover,
        State::ClientShed,
        State::MessageDropped,
        State::SlowClientClosed,
        State::GapTold,
        State::ClientOpened,
        State::Delivered,
        State::HostRestarted,
        State::SubscriptionDenied,
        State::ProxyDrained,
        State::ProxyReloaded,
    ];

    /// The word in files and records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::FaultOnActiveSource => "fault-on-active-source",
            State::Failover => "failover",
            State::ClientShed => "client-shed",
            State::MessageDropped => "message-dropped",
            State::SlowClientClosed => "slow-client-closed",
            State::GapTold => "gap-told",
            State::ClientOpened => "client-opened",
            State::Delivered => "delivered",
            State::HostRestarted => "host-restarted",
            State::SubscriptionDenied => "subscription-denied",
            State::ProxyDrained => "proxy-drained",
            State::ProxyReloaded => "proxy-reloaded",
        }
    }
}
