//! One address before several instances, and when clients come again.

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// What clients dial: one address that stands for all instances, as a balancer's or a name's that is resolved anew for each dial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Balancer {
    /// Which instance takes the next dial. Default [`Pick::RoundRobin`].
    pub pick: Pick,
    /// How long an instance that was lost is dialled all the same. Default 0: it is known at once.
    pub detect: Span,
}

/// Which instance takes the next dial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// The one with the fewest connections.
    LeastConnections,
    /// Any, drawn.
    Random,
}

impl Pick {
    /// The word in files and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Pick::RoundRobin => "round-robin",
            Pick::LeastConnections => "least-connections",
            Pick::Random => "random",
        }
    }
}

impl Balancer {
    /// As the simulator has it, before these hosts.
    #[must_use]
    pub(crate) fn simulated(self, hosts: Vec<sim::HostId>) -> sim::Address {
        let pick = match self.pick {
            Pick::RoundRobin => sim::Pick::RoundRobin,
            Pick::LeastConnections => sim::Pick::LeastConnections,
            Pick::Random => sim::Pick::Random,
        };
        sim::Address { hosts, pick, detect: self.detect.as_duration() }
    }
}

/// When a client comes again: exponential, with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Backoff {
    /// The first time, a time drawn evenly from nothing to this; the window doubles with each failure.
    pub base: Span,
    /// The largest window. Default 30 s.
    #[serde(default = "default_cap")]
    pub cap: Span,
}

fn default_cap() -> Span {
    Span::from_millis(30_000)
}
