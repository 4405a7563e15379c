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
