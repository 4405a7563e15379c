//! The figures of the configuration that the pool goes by.

use std::time::Duration;

use crate::bucket::Rate;
use crate::config::{Config, Ejection};

#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) fall: u32,
    pub(super) rise: u32,
    pub(super) panic_threshold_percent: u32,
    pub(super) ejection: Ejection,
    pub(super) stable_after: Duration,
    pub(super) slow_start: Duration,
    pub(super) dials_max: u32,
    /// Connections to one instance.
    pub(super) connections_max: u32,
    /// Dials to one instance.
    pub(super) dials_each: Rate,
    /// Dials to all instances.
    pub(super) dials_total: Rate,
    pub(super) pending_max: usize,
    pub(super) pending_timeout: Duration,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            fall: config.health.fall,
            rise: config.health.rise,
            panic_threshold_percent: config.health.panic_threshold_percent,
            ejection: config.ejection,
            stable_after: config.backoff.stable_after,
            slow_start: config.slow_start,
            dials_max: limits.dials_max,
            connections_max: limits.clients_per_upstream_max.unwrap_or(u32::MAX),
            dials_each: Rate::new(limits.dials_per_second_max, limits.dials_burst),
            dials_total: Rate::new(limits.dials_total_per_second_max, limits.dials_total_burst),
            pending_max: limits.pending_max,
            pending_timeout: limits.pending_timeout,
        }
    }
}
