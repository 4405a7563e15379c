//! What clients do beside listening, and what the proxy has against it.

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// What each client of a group does beside listening. What breaks a rule makes the group hostile: it is left out of what is promised to honest clients.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Behaviour {
    /// It pings the proxy so often, each time with another payload.
    pub pings_every: Option<Span>,
    /// Whether it answers the proxy's pings.
    pub pongs: bool,
    /// It changes what it is subscribed to so often.
    pub resubscribe_every: Option<Span>,
    /// It asks again for what it has so many times a second.
    pub asks_per_s: Option<f64>,
    /// The key that it presents; none: the first of the proxy's, or any.
    pub user_key: Option<String>,
    /// The `Origin` of its handshake; none: it has none.
    pub origin: Option<String>,
    /// How it says its handshake.
    pub handshake: Handshake,
    /// It breaks the protocol, once in each session.
    pub offends: Option<Offence>,
    /// So long after its session opened. Default 1 s.
    pub offends_after: Option<Span>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            pings_every: None,
            pongs: true,
            resubscribe_every: None,
            asks_per_s: None,
            user_key: None,
            origin: None,
            handshake: Handshake::Whole,
            offends: None,
            offends_after: None,
        }
    }
}

/// How a client says its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handshake {
    /// At once.
    #[default]
    Whole,
    /// A byte, and then so long nothing.
    Slow(Span),
    /// So many bytes, and then nothing ever.
    Unfinished(u32),
}

/// How a client breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offence {
    /// A frame with a reserved bit.
    ReservedBits,
    /// A frame with an opcode that means nothing.
    BadOpcode,
    /// A frame that is not masked.
    Unmasked,
    /// A ping in two fragments.
    FragmentedControl,
    /// A ping that is too long.
    LongControl,
    /// A text that is not UTF-8.
    BadUtf8,
    /// A message beyond the proxy's bound.
    TooBig,
    /// A continuation of nothing.
    WrongContinuation,
    /// A message in the middle of another.
    UnfinishedMessage,
    /// A Close frame of one byte.
    HalfCloseCode,
    /// A Close frame with a code that must not cross the wire.
    ReservedCloseCode,
    /// A request that makes no sense.
    Nonsense,
}

/// Bytes by which a message is too big.
const BEYOND: usize = 1;

impl Offence {
    /// As a client does it to a proxy that takes messages of so many bytes.
    #[must_use]
    pub(crate) fn done(self, message_max: usize) -> loadgen::Offence {
        use loadgen::Offence as Does;
        match self {
            Offence::ReservedBits => Does::ReservedBits,
            Offence::BadOpcode => Does::BadOpcode,
            Offence::Unmasked => Does::Unmasked,
            Offence::FragmentedControl => Does::FragmentedControl,
            Offence::LongControl => Does::LongControl,
            Offence::BadUtf8 => Does::BadUtf8,
            Offence::TooBig => Does::TooBig(message_max + BEYOND),
            Offence::WrongContinuation => Does::WrongContinuation,
            Offence::UnfinishedMessage => Does::UnfinishedMessage,
            Offence::HalfCloseCode => Does::HalfCloseCode,
            Offence::ReservedCloseCode => Does::ReservedCloseCode,
            Offence::Nonsense => Does::Nonsense,
        }
    }
}

/// What the proxy has against clients that do not behave. What is left out is the proxy's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Guard {
    /// A client that says nothing for so long is pinged.
    pub ping_interval: Option<Span>,
    /// And given up when it says nothing for so long after that.
    pub pong_timeout: Option<Span>,
    /// From the accept to the end of the handshake.
    pub handshake_timeout: Option<Span>,
    /// Handshakes under way at once.
    pub handshakes_max: Option<u64>,
    /// Handshakes begun in a second. 0: no bound.
    pub handshakes_per_s: Option<u32>,
    /// And at once.
    pub handshakes_burst: Option<u32>,
    /// The largest message of a client, in bytes.
    pub message_bytes: Option<u64>,
    /// The largest message of a source, in bytes.
    pub source_message_bytes: Option<u64>,
    /// Changes of subscription that a client may ask for in a second. 0: no bound.
    pub requests_per_s: Option<u32>,
    /// And at once.
    pub requests_burst: Option<u32>,
    /// Keys that are known; none: any.
    pub keys: Vec<String>,
    /// Values of `Origin` that are let in; none: any.
    pub origins: Vec<String>,
}

impl Guard {
    /// Writes what was said into the proxy's configuration.
    pub(crate) fn apply(&self, config: &mut proxy::Config) {
        let limits = &mut config.limits;
        let set = |to: &mut std::time::Duration, said: Option<Span>| *to = said.map_or(*to, Span::as_duration);
        set(&mut limits.client_ping_interval, self.ping_interval);
        set(&mut limits.client_pong_timeout, self.pong_timeout);
        set(&mut limits.handshake_timeout, self.handshake_timeout);
        limits.handshakes_max = self.handshakes_max.unwrap_or(limits.handshakes_max);
        limits.handshakes_per_second_max = self.handshakes_per_s.unwrap_or(limits.handshakes_per_second_max);
        limits.handshakes_burst = self.handshakes_burst.unwrap_or(limits.handshakes_burst);
        limits.client_message_max = self.message_bytes.map_or(limits.client_message_max, |bytes| bytes as _);
        limits.source_message_max = self.source_message_bytes.map_or(limits.source_message_max, |bytes| bytes as _);
        limits.client_requests_per_second_max = self.requests_per_s.unwrap_or(limits.client_requests_per_second_max);
        limits.client_requests_burst = self.requests_burst.unwrap_or(limits.client_requests_burst);
        config.client_keys = self.keys.iter().map(|key| proxy::Secret::new(key.clone())).collect();
        config.origins.clone_from(&self.origins);
    }
}

impl super::Proxy {
    /// The limits that guard a proxy of this part of the scenario, defaults and all.
    #[must_use]
    pub(crate) fn limits(&self) -> proxy::Limits {
        let mode = match self.mode {
            super::ProxyMode::Fanout => proxy::Mode::Fanout,
            super::ProxyMode::Relay => proxy::Mode::Relay,
        };
        let mut config = proxy::Config::new(([0, 0, 0, 0], 1).into(), mode, ["ws://a:1/"]);
        self.guard.apply(&mut config);
        config.limits
    }

    /// Whether the proxy knows the key that clients of such a behaviour present.
    #[must_use]
    pub(crate) fn knows_key_of(&self, behaviour: &Behaviour) -> bool {
        let known = &self.guard.keys;
        known.is_empty() || behaviour.user_key.as_ref().is_none_or(|key| known.contains(key))
    }

    /// Whether the proxy lets handshakes of such a behaviour in, by their origin.
    #[must_use]
    pub(crate) fn lets_origin_of(&self, behaviour: &Behaviour) -> bool {
        let known = &self.guard.origins;
        let is = |origin: &String| known.iter().any(|one| one.eq_ignore_ascii_case(origin));
        known.is_empty() || behaviour.origin.as_ref().is_none_or(is)
    }

    /// Whether clients of such a behaviour ask for more than their rate, sooner or later.
    #[must_use]
    pub(crate) fn is_asked_too_often_by(&self, behaviour: &Behaviour) -> bool {
        let most = self.limits().client_requests_per_second_max;
        let resubscribes = behaviour.resubscribe_every.map_or(0.0, |every| 1e6 / every.as_micros().max(1) as f64);
        most > 0 && behaviour.asks_per_s.unwrap_or(0.0) + resubscribes > f64::from(most)
    }

    /// Whether clients of such a behaviour break a rule.
    #[must_use]
    pub(crate) fn finds_hostile(&self, behaviour: &Behaviour) -> bool {
        behaviour.offends.is_some()
            || !behaviour.pongs
            || behaviour.handshake != Handshake::Whole
            || !self.knows_key_of(behaviour)
            || !self.lets_origin_of(behaviour)
            || self.is_asked_too_often_by(behaviour)
    }
}
