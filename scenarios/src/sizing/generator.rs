//! What the generator says of a trial: its `summary.json`, as far as it matters here.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use reports::capacity::Quantiles;
use serde::Deserialize;

use super::axis::{Arrivals, Trial};
use super::trial::TrialError;

/// What was heard over the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The window, in seconds.
    pub window_s: f64,
    /// Messages that came to all clients; on the axis of connections a second: connections that were upgraded.
    pub delivered: u64,
    /// Messages (or connections) whose latency was measured.
    pub checked: u64,
    /// Of those, within the objective.
    pub within_objective: u64,
    /// Their latency.
    pub latency: Option<Quantiles>,
    /// Connections that were opened.
    pub opened: u64,
    /// Dials that were refused.
    pub refused: u64,
    /// Dials that took too long.
    pub timed_out: u64,
    /// Connections that were not upgraded.
    pub upgrade_failed: u64,
    /// Sessions that the peer ended.
    pub closed_by_peer: u64,
    /// Whether it says something of the proxy.
    pub healthy: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// Its share of the cores that it may use.
    pub cpu: Option<f64>,
    /// How late its timers were, 99 of 100 not above it.
    pub lateness_p99_us: Option<u64>,
}

/// `summary.json`, the parts that are read here.
#[derive(Debug, Deserialize)]
struct Summary {
    dials: Dials,
    closes: Vec<Closes>,
    phases: Phases,
    window: Option<Window>,
    health: Option<Health>,
}

#[derive(Debug, Deserialize)]
struct Dials {
    opened: u64,
    refused: u64,
    reset: u64,
    closed: u64,
    timed_out: u64,
    upgrade_failed: u64,
}

#[derive(Debug, Deserialize)]
struct Closes {
    by: String,
    count: u64,
}

#[derive(Debug, Deserialize)]
struct Phases {
    connect: Option<Distribution>,
}

#[derive(Debug, Deserialize)]
struct Window {
    seconds: f64,
    deliveries: u64,
    checked: Checked,
}

#[derive(Debug, Deserialize)]
struct Checked {
    deliveries: u64,
    within_objective: Option<u64>,
    tick_latency: Option<Quantiles>,
}

#[derive(Debug, Deserialize)]
struct Distribution {
    #[serde(flatten)]
    quantiles: Quantiles,
    hdr: String,
}

#[derive(Debug, Deserialize)]
struct Health {
    verdict: String,
    reasons: Vec<String>,
    cpu_share: Option<f64>,
    timer_lateness: Option<Quantiles>,
}

/// Reads what the generator of a trial wrote.
///
/// # Errors
/// [`TrialError::Summary`].
pub fn read(path: &Path, trial: &Trial) -> Result<Heard, TrialError> {
    let failed = |why: String| TrialError::Summary { path: path.display().to_string(), why };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    heard(&text, trial).map_err(failed)
}

fn heard(text: &str, trial: &Trial) -> Result<Heard, String> {
    let summary: Summary = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Summary { dials, closes, phases, window, health } = summary;
    let (window_s, delivered, checked, within_objective, latency) = match trial.arrivals {
        Arrivals::Ramp => {
            match window {
                Some(Window { seconds, deliveries: all, checked }) => {
                    let Checked { deliveries, within_objective, tick_latency } = checked;
                    (seconds, all, deliveries, within_objective.unwrap_or(0), tick_latency)
                }
                // No session opened: what was refused is counted, and nothing else was measured.
                None => (trial.window.as_secs_f64(), 0, 0, 0, None),
            }
        }
        Arrivals::Poisson { .. } => {
            let (mut checked, mut within, mut latency) = (0, 0, None);
            if let Some(connect) = phases.connect {
                let histogram = histogram(&connect.hdr)?;
                let objective_us = u64::try_from(trial.objective.as_micros()).unwrap_or(u64::MAX);
                (checked, within) = (histogram.len(), histogram.count_between(0, objective_us));
                latency = Some(connect.quantiles);
            }
            (trial.window.as_secs_f64(), dials.opened, checked, within, latency)
        }
    };
    let (mut healthy, mut reasons, mut cpu, mut lateness) = (false, vec!["it did not look".to_owned()], None, None);
    if let Some(health) = health {
        healthy = health.verdict == "healthy";
        (reasons, cpu, lateness) = (health.reasons, health.cpu_share, health.timer_lateness);
    }
    Ok(Heard {
        window_s,
        delivered,
        checked,
        within_objective,
        latency,
        opened: dials.opened,
        refused: dials.refused + dials.reset + dials.closed,
        timed_out: dials.timed_out,
        upgrade_failed: dials.upgrade_failed,
        closed_by_peer: closes.iter().filter(|closes| closes.by == "peer").map(|closes| closes.count).sum(),
        healthy,
        reasons,
        cpu,
        lateness_p99_us: lateness.map(|lateness| lateness.p99_us),
    })
}

/// A histogram in the interchange form of HdrHistogram.
fn histogram(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string())
}

#[cfg(test)]
impl Heard {
    /// Of nothing, and well.
    pub(crate) fn healthy() -> Self {
        Self {
            window_s: 1.0,
            delivered: 0,
            checked: 0,
            within_objective: 0,
            latency: None,
            opened: 0,
            refused: 0,
            timed_out: 0,
            upgrade_failed: 0,
            closed_by_peer: 0,
            healthy: true,
            reasons: Vec::new(),
            cpu: Some(0.4),
            lateness_p99_us: Some(100),
        }
    }
}
