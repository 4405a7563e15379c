//! A capsule: all that is needed to run a run again, in one JSON file.
//!
//! The whole scenario text is inside, so that a capsule outlives edits of the catalogue. The same build replays it bit for bit; another build may
//! not, and the capsule says which build made it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::engine::Run;
use crate::model::{Engine, ServiceTime};

/// The version of the file format.
pub const SCHEMA: u32 = 1;

/// One run, in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capsule {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The whole scenario file.
    pub scenario_toml: String,
    /// The seed.
    pub seed: u64,
    /// The order of ready tasks, see [`crate::engine::Options::order`].
    #[serde(default)]
    pub order: u64,
    /// `sim` or `turmoil`.
    pub engine: String,
    /// The planted bug, if any.
    pub mutant: Option<String>,
    /// What network work costs the proxies, in place of what the scenario says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_time: Option<ServiceTime>,
    /// Hash over the run's events and segments.
    pub trace_hash: String,
    /// Number of events.
    pub events: u64,
    /// Version of Windtunnel that made it.
    pub version: String,
    /// Cargo profile of that build.
    pub profile: String,
}

/// Why a capsule cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CapsuleError {
    /// The file cannot be read.
    #[error("failed to read capsule {path}: {error}; give the path of a capsule.json from a run folder")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is not a capsule.
    #[error("{path}:{line}:{column}: not a capsule: {what}; give the path of a capsule.json from a run folder")]
    Malformed {
        /// Its path.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// It is of another version.
    #[error(
        "capsule {path} has schema {found}, this build reads {SCHEMA}: use the version of Windtunnel that wrote it"
    )]
    Schema {
        /// Its path.
        path: String,
        /// Its version.
        found: u32,
    },
}

/// The cargo profile of this build: `sim`, `debug`, `release`.
#[must_use]
pub fn profile() -> &'static str {
    env!("WINDTUNNEL_PROFILE")
}

impl Capsule {
    /// The capsule of a run; `service_time` is what was set over the scenario's own.
    #[must_use]
    pub fn of(run: &Run, scenario_toml: &str, service_time: Option<ServiceTime>) -> Self {
        Self {
            schema: SCHEMA,
            scenario: run.verdict.scenario.clone(),
            scenario_toml: scenario_toml.to_owned(),
            seed: run.verdict.seed,
            order: run.verdict.order,
            engine: run.verdict.engine.clone(),
            mutant: run.verdict.mutant.clone(),
            service_time,
            trace_hash: run.verdict.trace_hash.clone(),
            events: run.verdict.events,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: profile().to_owned(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CapsuleError`] names the file and what is wrong.
    pub fn read(path: &Path) -> Result<Self, CapsuleError> {
        let shown = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|error| CapsuleError::Unreadable { path: shown.clone(), error })?;
        let malformed = |error: serde_json::Error| CapsuleError::Malformed {
            path: shown.clone(),
            line: error.line(),
            column: error.column(),
            what: error.to_string(),
        };
        // The version first: another version may have other keys.
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let version: Version = serde_json::from_str(&text).map_err(malformed)?;
        if version.schema != SCHEMA {
            return Err(CapsuleError::Schema { path: shown, found: version.schema });
        }
        serde_json::from_str(&text).map_err(malformed)
    }

    /// The engine that it names.
    #[must_use]
    pub fn engine(&self) -> Option<Engine> {
        [Engine::Sim, Engine::Turmoil].into_iter().find(|engine| engine.word() == self.engine)
    }
}
