//! Bounds of what holds when proxies leave and change.

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// How a drain goes. Its times and its code are those of `proxy.drain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Drains {
    /// How much later than the proxy does it a client may see it. Default 100 ms.
    pub settle: Span,
    /// As in [`super::Plain`]; each client that a drain closes is a check.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub checked_min: u64,
}

impl Default for Drains {
    fn default() -> Self {
        Self { settle: Span::from_millis(100), checked_min: 0 }
    }
}

/// What a reload leaves alone, and what it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Reloads {
    /// How long after a reload closes are laid to it. Default 1 s.
    pub settle: Span,
    /// After which time a new limit counts. Default 50 ms.
    pub counts_within: Span,
    /// As in [`super::Plain`]; each client that is there at a reload is a check, and each that comes or is refused under a new limit.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub checked_min: u64,
}

impl Default for Reloads {
    fn default() -> Self {
        Self { settle: Span::from_millis(1_000), counts_within: Span::from_millis(50), checked_min: 0 }
    }
}

/// What the next instance of a relay's client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Preamble {
    /// How long after a leg came up, or the client changed its mind, the source may not know. Default 500 ms.
    pub settle: Span,
    /// As in [`super::Plain`]; each subscription that a source hears is a check, and each leg at the end.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub checked_min: u64,
}

impl Default for Preamble {
    fn default() -> Self {
        Self { settle: Span::from_millis(500), checked_min: 0 }
    }
}

/// Bound on answers to pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PingPong {
    /// From a ping to its pong; and how far from its time a client that answers none may be given up.
    pub within: Span,
    /// As in [`super::Plain`]; each ping is a check, and each session of a client that answers none.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub checked_min: u64,
}

/// Bound on the outcome of an offence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Strictness {
    /// From the offence to the end of the session.
    pub within: Span,
    /// As in [`super::Plain`]; each offence is a check.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub checked_min: u64,
}

/// Bound on handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HandshakeBounds {
    /// Beyond the proxy's own bound. Default 500 ms.
    pub settle: Span,
    /// As in [`super::Plain`]; each dial that ends is a check, and each gauge.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub checked_min: u64,
}

impl Default for HandshakeBounds {
    fn default() -> Self {
        Self { settle: Span::from_millis(500), checked_min: 0 }
    }
}

/// Bound on what becomes of who asks too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Quota {
    /// From the request that was too much to the end of the session. Default 1 s.
    pub settle: Span,
    /// As in [`super::Plain`]; each request is a check.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub checked_min: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { settle: Span::from_millis(1_000), checked_min: 0 }
    }
}

/// Bound on a close that crosses the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CloseCodes {
    /// From one side's close to the other's.
    pub within: Span,
    /// As in [`super::Plain`]; each close that crosses or should is a check.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub checked_min: u64,
}
