//! Whether a host had its turn: how late it wakes up when it asked to be woken.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Between two pulses.
const EVERY: Duration = Duration::from_millis(10);

/// How late the pulses of a host came, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lateness {
    /// Pulses.
    pub(super) pulses: u64,
    /// Of a hundred, the second latest.
    pub(super) late_us_p99: u64,
    /// The latest.
    pub(super) late_us_max: u64,
}

/// Takes the pulses of a host.
#[derive(Debug)]
pub(super) struct Pulse(Histogram<u64>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 600_000_000, 2).expect("lawful bounds"))
    }

    /// One came so late.
    pub(super) fn note(&mut self, late: Duration) {
        self.0.saturating_record(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
    }

    /// All so far.
    pub(super) fn lateness(&self) -> Lateness {
        Lateness { pulses: self.0.len(), late_us_p99: self.0.value_at_quantile(0.99), late_us_max: self.0.max() }
    }
}

/// Pulses until it is dropped.
pub(super) async fn beat(note: impl Fn(Duration)) {
    use tokio::time::Instant;
    loop {
        let due = Instant::now() + EVERY;
        tokio::time::sleep_until(due).await;
        note(Instant::now().duration_since(due));
    }
}
