//! What the proxy is told before it starts: meaning only. [`program`](crate::program) reads it from text.

mod changes;
mod file;
mod keys;
mod pattern;
mod reference;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use self::changes::{Changed, Frozen};
pub(crate) use self::file::{File, Span};
pub use self::pattern::Pattern;
pub(crate) use self::reference::{KEYS, reference};
pub use self::upstream::{Upstream, WEIGHT_MAX};
use ipnet::IpNet;
use wire::feed::{Pointer, Protocol};
use wire::id::ProxyId;
use wire::ws::http::HeaderName;

use crate::limits::Limits;
use crate::secret::Secret;

/// How clients and sources are tied together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One upstream connection in all; its messages go to the clients that subscribed to them.
    #[default]
    Fanout,
    /// One upstream connection for each client, balanced over the instances.
    Relay,
}

/// Which instances of the source fan-out takes its messages from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sources {
    /// From one; the others are spares, dialled when it fails.
    #[default]
    Active,
    /// From several that send the same, at once: each tick is passed on once, by symbol, time stamp and bytes, and the death of one is not seen.
    Hot,
    /// From all, each of which delivers its share of the symbols.
    Sharded,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mode::Fanout => "fanout",
            Mode::Relay => "relay",
        })
    }
}

/// Which instance takes the next connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balancing {
    /// The one with the fewest connections for its weight.
    #[default]
    LeastConnections,
    /// The better of two that are drawn by weight ("power of two choices"). Where many proxies share the instances, each of which knows its own connections
    /// only, it keeps them from all choosing the same one at once.
    P2c,
}

/// When a leg to a source counts as dead though nobody closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Silence after which the source is pinged. Default 1 s.
    pub ping_interval: Duration,
    /// Silence after the ping after which the leg is dead. Default 2 s.
    pub pong_timeout: Duration,
    /// Silence of data, while something is subscribed and data had been coming, after which the leg is dead. It doubles with every leg in turn that stays
    /// silent, up to 32 times, so that a closed market does not make the proxy spin. Default 2 s.
    pub stale_after: Duration,
    /// How often relay mode probes each instance with a handshake of its own; None (the default) relies on the clients' legs.
    pub probe_interval: Option<Duration>,
    /// An instance none of whose relay legs had data (v1) for longer than `stale_after`, and longer than this many times the median of its siblings, is left
    /// out, and its clients move. Default 10; 0 switches it off.
    pub siblings_factor: u32,
    /// Failures in turn (dials, legs, probes) after which an instance is unhealthy. Whatever is tried rests after each of them. Default 3, as HAProxy's.
    pub fall: u32,
    /// Successes in turn after which an unhealthy instance is healthy again. Default 1: a connection was dialled and the instance let it in.
    pub rise: u32,
    /// Where fewer than this many of a hundred instances are healthy, their health is not listened to. Default 50, as Envoy's; 0 switches it off.
    pub panic_threshold_percent: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(1),
            pong_timeout: Duration::from_secs(2),
            stale_after: Duration::from_secs(2),
            probe_interval: None,
            siblings_factor: 10,
            fall: 3,
            rise: 1,
            panic_threshold_percent: 50,
        }
    }
}

/// When an instance is left out though it works now and then: it fails much more often than its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures of dials and legs for a hundred dials, from which on it may be an outlier, if that is also twice what its siblings together have. Default 50; 0
    /// switches ejection off.
    pub failures_percent: u32,
    /// Over how long failures are counted. Default 30 s.
    pub window: Duration,
    /// Dials in that time, its own and its siblings', below which nothing is concluded. Default 10.
    pub dials_min: u32,
    /// How long the first ejection lasts; the second twice as long, and so on; each such time without one takes one off again. Default 30 s.
    pub time_base: Duration,
    /// The longest ejection. Default 5 min.
    pub time_max: Duration,
    /// No instance is ejected where more than this many of a hundred would then be out of use. Default 50.
    pub ejected_percent_max: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures_percent: 50,
            window: Duration::from_secs(30),
            dials_min: 10,
            time_base: Duration::from_secs(30),
            time_max: Duration::from_secs(300),
            ejected_percent_max: 50,
        }
    }
}

/// How long an instance that failed is left alone: capped exponential with full jitter, for each instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first delay; it doubles with each failure in turn. Default 100 ms.
    pub base: Duration,
    /// Upper bound of every delay. Default 10 s.
    pub cap: Duration,
    /// A leg that held this long forgives the failures before it. Default 10 s.
    pub stable_after: Duration,
    /// Upper bound of the first delay after a source said that the proxy's key has too many connections (fan-out, v1); it doubles with each refusal in turn.
    /// Longer than after a failure: the source is well, and lets nobody in before another connection of the key ends. Default 5 s.
    pub key_limit_base: Duration,
    /// Upper bound of every delay after such a refusal. Default 1 min.
    pub key_limit_cap: Duration,
}

impl Backoff {
    /// The delays after a refusal.
    pub(crate) fn after_refusal(self) -> Self {
        Self { base: self.key_limit_base, cap: self.key_limit_cap, ..self }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(10),
            stable_after: Duration::from_secs(10),
            key_limit_base: Duration::from_secs(5),
            key_limit_cap: Duration::from_secs(60),
        }
    }
}

/// Everything that [`serve`](crate::serve) needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The proxy's number in records. Default 0.
    pub id: ProxyId,
    /// Where clients connect. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where `/metrics` and the like are served; None serves them nowhere. Default None.
    pub admin: Option<SocketAddr>,
    /// What requests on the admin address must present as `Authorization: Bearer`, `/healthz` and `/readyz` excepted; None (the default) asks for nothing.
    pub admin_token: Option<Secret>,
    /// Fan-out or relay.
    pub mode: Mode,
    /// What the sources speak. Default v1.
    pub protocol: Protocol,
    /// The instances of the source, at least one.
    pub upstreams: Vec<Upstream>,
    /// How an instance is chosen for a connection. Default [`Balancing::LeastConnections`].
    pub balance: Balancing,
    /// Which instances fan-out takes its messages from. Default [`Sources::Active`].
    pub sources: Sources,
    /// Instances that are consumed at once with [`Sources::Hot`]. Default 2.
    pub hot_legs: usize,
    /// Symbols that move in a second from an instance that delivers them to another, with [`Sources::Sharded`]; 0 sets no bound. Default 50.
    pub moves_per_second: u32,
    /// Raw: where the key stands that a text message is routed by; None sends everything to everyone. Default None.
    pub route_by: Option<Pointer>,
    /// Over how long the weight of an instance that came back rises from a tenth to the whole. Zero (the default) gives it the whole at once.
    pub slow_start: Duration,
    /// The key that fan-out presents to the source. Default empty.
    pub user_key: Secret,
    /// Keys that clients must present in their first message (fan-out, v1); empty accepts any. Default empty.
    pub client_keys: Vec<Secret>,
    /// The certificate that clients are shown, and those that vouch for it, in PEM; with it clients speak TLS (`wss://`) and nothing else. Default None.
    pub tls_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Authorities in PEM that may vouch for a `wss://` source, beside `tls_roots`. Default None.
    pub tls_ca: Option<PathBuf>,
    /// The other authorities that may. Default Mozilla's.
    pub tls_roots: Roots,
    /// Values of `Origin` that a client's handshake may carry, compared without regard to case; any other is answered HTTP 403. A handshake without the header
    /// passes: only browsers send it, and only they need it checked (RFC 6455 section 10.2). Empty accepts any. Default empty.
    pub origins: Vec<String>,
    /// How many of a client's messages relay says again to a new instance after a failover: with v1 its last subscription, otherwise its first messages, or
    /// the latest that match `preamble_match`. Default 1 with v1, 0 with raw.
    pub preamble_messages: usize,
    /// Which of a client's messages relay says again: the latest `preamble_messages` that match. None (the default) keeps the first ones (v1: the last
    /// subscription).
    pub preamble_match: Option<Pattern>,
    /// Whether relay moves a client whose source is lost to another instance; otherwise the client is closed with 1011. With v2 it is closed in any
    /// case but one, see [`Config::moves_clients`]. Default true.
    pub failover: bool,
    /// Close codes of a source by which it leaves, so that relay moves the client; any other ends the client's session with the same code and reason. Default
    /// 1001, 1011, 1012, 1013.
    pub move_on_close: Vec<u16>,
    /// Networks whose word on where a client comes from is passed on to the source (`X-Forwarded-For`, `X-Forwarded-Proto`, `Forwarded`); what anybody else
    /// says there is dropped. Relay. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// Headers of a client's handshake that relay passes on to its source. Those of the handshake itself, and those that the proxy writes, cannot be named.
    /// Default none.
    pub forward_headers: Vec<HeaderName>,
    /// Whether relay asks the source for the client's path and query in place of those of the upstream's URL. Default false.
    pub forward_path: bool,
    /// Bounds.
    pub limits: Limits,
    /// When a leg counts as dead.
    pub health: Health,
    /// How long a failed instance is left alone.
    pub backoff: Backoff,
    /// When an instance counts as an outlier.
    pub ejection: Ejection,
    /// How often a gauge event is recorded. Default 1 s.
    pub gauge_interval: Duration,
    /// From the beginning of a drain, when `/readyz` turns to 503, to the end of accepting: what a load balancer needs to notice. Default 0.
    pub drain_tell: Duration,
    /// From the end of accepting to the first client that is sent away. Default 0.
    pub drain_grace: Duration,
    /// Over how long the clients are sent away, one after the other. Default 10 s.
    pub drain_time: Duration,
    /// The close code that they are given: 1001 (going away) or 1012 (service restart). Default 1001.
    pub drain_code: u16,
    /// From the beginning of a drain to its end: who is still here is cut. Default 30 s.
    pub drain_deadline: Duration,
}

/// The authorities that a `wss://` source's certificate may come from, beside `tls_ca`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's list, compiled in.
    #[default]
    Webpki,
    /// No others.
    None,
    /// A file of certificates in PEM, such as the platform's `/etc/ssl/certs/ca-certificates.crt`.
    File(PathBuf),
}

/// A configuration that cannot be served. The operator's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is nothing to proxy.
    #[error("no upstream given: name at least one as ws://host:port")]
    NoUpstream,
    /// An upstream's URL cannot be dialled.
    #[error("upstream {url:?}: {why}")]
    Upstream {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A figure makes no sense.
    #[error("{name} {why}")]
    Value {
        /// Its name as in the configuration file.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl Config {
    /// A configuration with every default. `upstreams` are URLs, `ws://host:port/path`.
    pub fn new<U: Into<String>>(listen: SocketAddr, mode: Mode, upstreams: impl IntoIterator<Item = U>) -> Self {
        let mut config = Self {
            id: ProxyId(0),
            listen,
            admin: None,
            admin_token: None,
            mode,
            protocol: Protocol::V1,
            upstreams: upstreams.into_iter().map(Upstream::new).collect(),
            balance: Balancing::default(),
            sources: Sources::Active,
            hot_legs: 2,
            moves_per_second: 50,
            route_by: None,
            slow_start: Duration::ZERO,
            user_key: Secret::default(),
            client_keys: Vec::new(),
            tls_cert: None,
            tls_key: None,
            tls_ca: None,
            tls_roots: Roots::default(),
            origins: Vec::new(),
            preamble_messages: 1,
            preamble_match: None,
            failover: true,
            move_on_close: crate::relay::ending::DEPARTURES.to_vec(),
            trusted_proxies: Vec::new(),
            forward_headers: Vec::new(),
            forward_path: false,
            limits: Limits::default(),
            health: Health::default(),
            backoff: Backoff::default(),
            ejection: Ejection::default(),
            gauge_interval: Duration::from_secs(1),
            drain_tell: Duration::ZERO,
            drain_grace: Duration::ZERO,
            drain_time: Duration::from_secs(10),
            drain_code: wire::close::GOING_AWAY,
            drain_deadline: Duration::from_secs(30),
        };
        match mode {
            Mode::Relay => {
                config.limits.client_message_max = 256 << 10;
                config.limits.source_buffer = config.limits.client_buffer;
            }
            Mode::Fanout => config.limits.client_buffer = 512,
        }
        config
    }

    /// Sets the protocol and what depends on it.
    #[must_use]
    pub fn with_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self.preamble_messages = usize::from(protocol == Protocol::V1);
        self
    }

    /// Whether relay moves a client whose source is lost.
    ///
    /// A session of v2 is more than its first messages: a login, subscriptions one by one, and the answers to both, which the client has had. A new instance cannot be told all
    /// that in its name, so the client is closed and comes again; unless a pattern says what must be said.
    #[must_use]
    pub fn moves_clients(&self) -> bool {
        self.failover && (self.protocol != Protocol::V2 || self.preamble_match.is_some())
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`ConfigError`], the first found.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.upstreams.is_empty() {
            return Err(ConfigError::NoUpstream);
        }
        let bad = |name: &'static str, why: &str| Err(ConfigError::Value { name, why: why.to_owned() });
        if self.hot_legs < 2 {
            return bad("hot_legs", "must be 2 or more: one leg is sources = \"active\"");
        }
        if self.sources != Sources::Active && (self.protocol == Protocol::Raw || self.mode == Mode::Relay) {
            return bad("sources", "must be \"active\" here: only the ticks of a v1 or v2 feed can be merged");
        }
        if self.route_by.is_some() && (self.protocol != Protocol::Raw || self.mode == Mode::Relay) {
            return bad(
                "route_by",
                "needs mode = \"fanout\" and protocol = \"raw\": v1 and v2 say themselves where their symbols stand",
            );
        }
        for upstream in &self.upstreams {
            crate::dial::Target::parse(&upstream.url)
                .map_err(|why| ConfigError::Upstream { url: upstream.url.clone(), why })?;
            if !(1..=WEIGHT_MAX).contains(&upstream.weight) {
                let why = format!("weight {} is not in 1..={WEIGHT_MAX}", upstream.weight);
                return Err(ConfigError::Upstream { url: upstream.url.clone(), why });
            }
        }
        if self.admin_token.as_ref().is_some_and(|token| token.reveal().is_empty()) {
            return Err(ConfigError::Value { name: "admin_token", why: "must not be empty".into() });
        }
        let alone = |name, other| ConfigError::Value { name, why: format!("is of no use without {other}") };
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return Err(alone("tls_cert", "tls_key")),
            (None, Some(_)) => return Err(alone("tls_key", "tls_cert")),
            _ => {}
        }
        let positive = |name: &'static str, zero: bool| {
            if zero { Err(ConfigError::Value { name, why: "must not be zero".into() }) } else { Ok(()) }
        };
        let limits = &self.limits;
        positive("limits.clients_max", limits.clients_max == 0)?;
        positive("limits.handshakes_max", limits.handshakes_max == 0)?;
        positive("limits.client_messages_burst", limits.client_messages_burst == 0)?;
        positive("limits.client_requests_burst", limits.client_requests_burst == 0)?;
        positive("limits.handshakes_burst", limits.handshakes_burst == 0)?;
        positive("limits.accept_backlog", limits.accept_backlog == 0)?;
        if !limits.accept_ramp.is_zero() && limits.handshakes_per_second_max == 0 {
            let why = "has nothing to rise to: set limits.handshakes_per_second_max, too".into();
            return Err(ConfigError::Value { name: "limits.accept_ramp", why });
        }
        positive("limits.queue_bytes_max", limits.queue_bytes_max == 0)?;
        positive("limits.client_buffer", limits.client_buffer == 0)?;
        positive("limits.client_message_max", limits.client_message_max == 0)?;
        positive("limits.source_message_max", limits.source_message_max == 0)?;
        positive("limits.dials_max", limits.dials_max == 0)?;
        positive("limits.dials_burst", limits.dials_burst == 0)?;
        positive("limits.dials_total_burst", limits.dials_total_burst == 0)?;
        positive("limits.clients_per_upstream_max", limits.clients_per_upstream_max == Some(0))?;
        positive("limits.pending_max", limits.pending_max == 0)?;
        positive("limits.pending_timeout", limits.pending_timeout.is_zero())?;
        positive("limits.dial_timeout", limits.dial_timeout.is_zero())?;
        positive("limits.handshake_timeout", limits.handshake_timeout.is_zero())?;
        positive("health.ping_interval", self.health.ping_interval.is_zero())?;
        positive("health.pong_timeout", self.health.pong_timeout.is_zero())?;
        positive("health.stale_after", self.health.stale_after.is_zero())?;
        positive("health.probe_interval", self.health.probe_interval.is_some_and(|every| every.is_zero()))?;
        positive("health.fall", self.health.fall == 0)?;
        positive("health.rise", self.health.rise == 0)?;
        positive("ejection.window", self.ejection.window.is_zero())?;
        positive("ejection.time_base", self.ejection.time_base.is_zero())?;
        for (name, percent) in [
            ("health.panic_threshold_percent", self.health.panic_threshold_percent),
            ("ejection.failures_percent", self.ejection.failures_percent),
            ("ejection.ejected_percent_max", self.ejection.ejected_percent_max),
        ] {
            if percent > 100 {
                return Err(ConfigError::Value { name, why: format!("is {percent}, and must not pass 100") });
            }
        }
        if self.ejection.time_max < self.ejection.time_base {
            let why = "must not be below ejection.time_base".into();
            return Err(ConfigError::Value { name: "ejection.time_max", why });
        }
        positive("gauge_interval", self.gauge_interval.is_zero())?;
        positive("backoff.base", self.backoff.base.is_zero())?;
        if self.backoff.cap < self.backoff.base {
            return Err(ConfigError::Value { name: "backoff.cap", why: "must not be below backoff.base".into() });
        }
        if ![wire::close::GOING_AWAY, wire::close::SERVICE_RESTART].contains(&self.drain_code) {
            return Err(ConfigError::Value { name: "drain_code", why: "must be 1001 or 1012".into() });
        }
        let orderly = self.drain_tell + self.drain_grace + self.drain_time;
        if self.drain_deadline < orderly {
            let why = format!("must not be below drain_tell + drain_grace + drain_time, which is {orderly:?}");
            return Err(ConfigError::Value { name: "drain_deadline", why });
        }
        positive("backoff.key_limit_base", self.backoff.key_limit_base.is_zero())?;
        if self.backoff.key_limit_cap < self.backoff.key_limit_base {
            let why = "must not be below backoff.key_limit_base".into();
            return Err(ConfigError::Value { name: "backoff.key_limit_cap", why });
        }
        if self.limits.symbols_total_max > wire::feed::SYMBOLS_MAX {
            let why = format!("must not pass {}: one v1 request names no more symbols", wire::feed::SYMBOLS_MAX);
            return Err(ConfigError::Value { name: "limits.symbols_total_max", why });
        }
        if let Some(code) = self.move_on_close.iter().find(|code| !wire::close::is_lawful(**code)) {
            let why = format!("holds {code}, which no Close frame may carry");
            return Err(ConfigError::Value { name: "move_on_close", why });
        }
        if let Some(name) = self.forward_headers.iter().find(|name| !crate::relay::may_be_forwarded(name)) {
            let why = format!("names {name}, which the proxy writes itself");
            return Err(ConfigError::Value { name: "forward_headers", why });
        }
        if self.preamble_match.is_some() && self.preamble_messages == 0 {
            let why = "must not be zero where preamble_match is given".into();
            return Err(ConfigError::Value { name: "preamble_messages", why });
        }
        if self.upstreams.len() > usize::from(u16::MAX) {
            return Err(ConfigError::Value { name: "upstreams", why: "names more than 65,535 instances".into() });
        }
        Ok(())
    }
}
