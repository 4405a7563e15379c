//! A calibration file: what network work costs a real proxy on some machine, measured over real sockets, for the simulator to charge.
//!
//! `cargo bench -p proxy --bench sockets -- --calibrate FILE` writes one; `windtunnel run --service-time FILE` reads it. docs/scenarios.md explains each key.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::cost::Cost;
use crate::model::{Queues, Reads, ServiceTime, Spread};

/// The version of the file format.
pub const SCHEMA: u32 = 1;

/// What was measured, where, and what follows from it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Calibration {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it was measured on: cores, model, operating system.
    pub machine: String,
    /// When, `2026-01-31`.
    pub date: String,
    /// Of what: program or compiler, and version.
    pub versions: BTreeMap<String, String>,
    /// The command that measured.
    pub command: String,
    /// What to keep in mind before using the costs.
    pub caveats: Vec<String>,
    /// The costs.
    pub cost: Costs,
    /// How well the costs explain the points.
    pub fit: Fit,
    /// What was measured.
    pub points: Vec<Point>,
}

/// What work costs; the lines may be copied into a scenario's `[service-time]`, each with `proxy-` before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Costs {
    /// For each segment: a write, or a read.
    pub per_segment: Cost,
    /// For 1024 bytes of payload.
    #[serde(default)]
    pub per_kib: Cost,
    /// For a message, beyond its bytes and its part of a segment.
    #[serde(default)]
    pub per_message: Cost,
    /// For a connection, beyond its segments.
    #[serde(default)]
    pub per_connection: Cost,
    /// Cores that serve. Default 1.
    #[serde(default = "one")]
    pub cores: u16,
    /// Default [`Queues::PerCore`].
    #[serde(default)]
    pub queues: Queues,
    /// Default [`Spread::Fixed`].
    #[serde(default)]
    pub spread: Spread,
    /// Default [`Reads::Each`].
    #[serde(default)]
    pub reads: Reads,
}

/// How far the fitted costs are from what was measured, over the points without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fit {
    /// Root of the mean square of a point's relative error: 0.1 is a tenth.
    pub residual_rms: f64,
    /// The largest relative error of a point.
    pub residual_max: f64,
}

/// One case that was measured; all figures are for one delivered message, or for one connection.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Point {
    /// What was done.
    pub case: String,
    /// Segments, sent and received.
    pub segments: f64,
    /// Bytes of payload, sent and received.
    pub bytes: f64,
    /// Messages, sent and received. Default 0.
    #[serde(default)]
    pub messages: f64,
    /// Connections. Default 0.
    #[serde(default)]
    pub connections: f64,
    /// CPU time of the proxy, in nanoseconds.
    pub cpu_ns: f64,
    /// What the fit makes of it.
    pub fitted_ns: f64,
}

fn one() -> u16 {
    1
}

/// The most cores, as in a scenario.
const CORES_MAX: u16 = 256;

/// Why a calibration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The file cannot be read.
    #[error(
        "failed to read calibration file {path}: {error}; `cargo bench -p proxy --bench sockets -- --calibrate FILE` writes one"
    )]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is none, or a value in it cannot be.
    #[error("{path}:{line}:{column}: not a calibration: {what}")]
    Malformed {
        /// Its path.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong, and what would do.
        what: String,
    },
}

impl Calibration {
    /// Reads a file.
    ///
    /// # Errors
    /// [`CalibrationError`] names the file, the place, and what is wrong.
    pub fn read(path: &Path) -> Result<Self, CalibrationError> {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&shown, &text),
            Err(error) => Err(CalibrationError::Unreadable { path: shown, error }),
        }
    }

    /// Reads a text; `path` names it in messages.
    ///
    /// # Errors
    /// [`CalibrationError::Malformed`].
    pub fn parse(path: &str, text: &str) -> Result<Self, CalibrationError> {
        let malformed = |at: usize, what: String| {
            let before = text.get(..at).unwrap_or(text);
            let line_begins = before.rfind('\n').map_or(0, |newline| newline + 1);
            CalibrationError::Malformed {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before[line_begins..].chars().count() + 1,
                what,
            }
        };
        let found: Self = toml::from_str(text)
            .map_err(|error| malformed(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        // Where the value of a key stands that was read already.
        let place = |key: &str| {
            let assigned = |at: &usize| text[at + key.len()..].trim_start().starts_with('=');
            text.match_indices(key).map(|(at, _)| at).find(assigned).unwrap_or(0)
        };
        if found.schema != SCHEMA {
            return Err(malformed(
                place("schema"),
                format!("schema is {}, this build reads {SCHEMA}: calibrate with this build", found.schema),
            ));
        }
        if found.cost.per_segment == Cost::default() {
            return Err(malformed(place("per-segment"), "per-segment must be above 0ns: CPU would be free".to_owned()));
        }
        if !(1..=CORES_MAX).contains(&found.cost.cores) {
            return Err(malformed(place("cores"), format!("cores must be 1 to {CORES_MAX}, not {}", found.cost.cores)));
        }
        Ok(found)
    }

    /// What the simulator charges a proxy whose messages are ticks without filler.
    #[must_use]
    pub fn service_time(&self) -> ServiceTime {
        self.service_time_of(crate::forecast::plain_bytes())
    }

    /// What the simulator charges a proxy whose messages have so many bytes. It knows nothing of messages, so what one costs is charged with its bytes: of messages that all
    /// have one size, that is the same.
    #[must_use]
    pub fn service_time_of(&self, message_bytes: u32) -> ServiceTime {
        let Costs { per_segment, per_kib, per_message, per_connection, cores, queues, spread, reads } = self.cost;
        let with_head = f64::from(message_bytes + frame_head(message_bytes));
        let of_messages = (per_message.as_nanos() as f64 * 1_024.0 / with_head).round() as u64;
        ServiceTime {
            proxy_per_segment: per_segment,
            proxy_per_kib: Cost::from_nanos(per_kib.as_nanos().saturating_add(of_messages)),
            proxy_per_connection: per_connection,
            proxy_cores: cores,
            proxy_queues: queues,
            proxy_spread: spread,
            proxy_reads: reads,
        }
    }
}

/// Bytes of the head of a frame that is not masked (RFC 6455, 5.2).
#[must_use]
pub fn frame_head(payload_bytes: u32) -> u32 {
    match payload_bytes {
        0..=125 => 2,
        126..=65_535 => 4,
        _ => 10,
    }
}

#[cfg(test)]
mod tests;
