//! A capsule: all that is needed to run a run again, in one JSON file.
//!
//! The whole scenario is inside, as its file says it and with every default written out, so that a capsule outlives edits of the catalogue and of the
//! format. The same program replays it bit for bit, on any machine; another program may not, and the capsule says what is not as it was
//! ([`Capsule::changes`]) and, without the events, between which two of them the runs part ([`Capsule::parting`]).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use reports::metrics::FaultWindow;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::Run;
use crate::fingerprint::Fingerprint;
use crate::gate::scenario_hash;
use crate::model::{Engine, Scenario, ServiceTime};

/// The version of the file format.
pub const SCHEMA: u32 = 2;
/// The oldest version that is still read.
pub const OLDEST: u32 = 1;

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
    /// The scenario as it was run, every default written out. Empty before version 2.
    #[serde(default)]
    pub resolved_toml: String,
    /// The seed.
    pub seed: u64,
    /// The order of ready tasks, see [`crate::engine::Options::order`].
    #[serde(default)]
    pub order: u64,
    /// `sim`, `turmoil` or `sockets`.
    pub engine: String,
    /// The planted bug, if any.
    pub mutant: Option<String>,
    /// What network work costs the proxies, in place of what the scenario says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_time: Option<ServiceTime>,
    /// Hash over the run's events and segments; of a run over sockets [`crate::engine::NOT_REPLAYABLE`].
    pub trace_hash: String,
    /// Number of events.
    pub events: u64,
    /// The hash of the events on the way: after how many, and what it was; at most 64. Empty before version 2.
    #[serde(default)]
    pub checkpoints: Vec<Checkpoint>,
    /// Every fault as it really was: what, on whom, from when, until when. Empty before version 2.
    #[serde(default)]
    pub faults: Vec<FaultWindow>,
    /// How the run failed, the earliest failure first. Empty: it did not, or before version 2.
    #[serde(default)]
    pub fingerprints: Vec<Fingerprint>,
    /// Version of Windtunnel that made it.
    pub version: String,
    /// Cargo profile of that build.
    pub profile: String,
    /// Hash of the program's file, see [`program`]. None where it could not be read, and before version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Compiler and target of that build. Empty before version 2.
    #[serde(default)]
    pub toolchain: String,
}

/// The hash over the first events of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// How many.
    pub events: u64,
    /// In hexadecimal.
    pub hash: String,
}

/// How a run was made: what must be the same in runs that are taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// `sim`, `turmoil` or `sockets`.
    pub engine: String,
    /// The planted bug, if any.
    pub mutant: Option<String>,
    /// [`scenario_hash`] of what was run, costs of work included.
    pub scenario_hash: String,
    cost: Option<ServiceTime>,
}

impl Made {
    /// What differs between this and another, in words; nothing, where they are alike.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Option<&'static str> {
        if self.scenario_hash != other.scenario_hash {
            Some("text of its scenario (or other costs of work)")
        } else if self.engine != other.engine {
            Some("engine")
        } else if self.mutant != other.mutant {
            Some("planted bug")
        } else {
            None
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "engine {}", self.engine)?;
        if let Some(mutant) = &self.mutant {
            write!(f, ", {mutant}")?;
        }
        if let Some(cost) = self.cost {
            write!(f, ", {}", crate::explain::cpu(cost))?;
        }
        write!(f, ", text {}", self.scenario_hash)
    }
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
        "capsule {path} has schema {found}, this build reads {OLDEST} to {SCHEMA}: use the version of Windtunnel that wrote it"
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

/// The compiler of this build and what it compiled for.
#[must_use]
pub fn toolchain() -> &'static str {
    env!("WINDTUNNEL_TOOLCHAIN")
}

/// Hash (XXH3, 64 bits, hexadecimal) of the running program's file: equal hashes are the same program, on whatever machine. None where the file cannot be
/// read.
#[must_use]
pub fn program() -> Option<&'static str> {
    static PROGRAM: OnceLock<Option<String>> = OnceLock::new();
    let hash = || {
        let path = std::env::current_exe().ok()?;
        Some(format!("{:016x}", xxh3_64(&std::fs::read(path).ok()?)))
    };
    PROGRAM.get_or_init(hash).as_deref()
}

/// Lines of the scenario that are shown where it is read otherwise than it was.
const LINES_SHOWN: usize = 5;

impl Capsule {
    /// The capsule of a run of a scenario with this text; `service_time` is what was set over the scenario's own.
    #[must_use]
    pub fn of(run: &Run, scenario: &Scenario, scenario_toml: &str, service_time: Option<ServiceTime>) -> Self {
        let checkpoint = |(events, hash): &(u64, u64)| Checkpoint { events: *events, hash: format!("{hash:016x}") };
        Self {
            schema: SCHEMA,
            scenario: run.verdict.scenario.clone(),
            scenario_toml: scenario_toml.to_owned(),
            // What came from a file or the builder can be written again; were it not so, a replay would compare less.
            resolved_toml: scenario.to_toml().unwrap_or_default(),
            seed: run.verdict.seed,
            order: run.verdict.order,
            engine: run.verdict.engine.clone(),
            mutant: run.verdict.mutant.clone(),
            service_time,
            trace_hash: run.verdict.trace_hash.clone(),
            events: run.verdict.events,
            checkpoints: run.checkpoints.iter().map(checkpoint).collect(),
            faults: run.metrics.faults.clone(),
            fingerprints: Fingerprint::all(&run.verdict),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: profile().to_owned(),
            program: program().map(str::to_owned),
            toolchain: toolchain().to_owned(),
        }
    }

    /// Whether the running program made it, so that a replay must be the same run. A capsule of an older version does not know.
    #[must_use]
    pub fn is_of_this_program(&self) -> bool {
        self.program.is_some() && self.program.as_deref() == program()
    }

    /// What is not as it was, from this capsule to that of its run done `again`, line by line: the program, how it reads the scenario, which faults there
    /// were, how it failed. What an older version does not know is left out.
    #[must_use]
    pub fn changes(&self, again: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let mut differs = |what: &str, then: &str, now: &str| {
            if then != now {
                changes.push(format!("{what}: {then} then, {now} now"));
            }
        };
        differs("version", &self.version, &again.version);
        differs("profile", &self.profile, &again.profile);
        if self.schema >= 2 {
            differs("toolchain", &self.toolchain, &again.toolchain);
            let program = |capsule: &Self| capsule.program.clone().unwrap_or_else(|| "unknown".to_owned());
            differs("program", &program(self), &program(again));
            let (then, now) = (&self.resolved_toml, &again.resolved_toml);
            changes.extend(lines_that_differ(then, now).into_iter().map(|line| format!("scenario {line}")));
            let fault = |faults: &[FaultWindow], place: usize| faults.get(place).map_or("none".to_owned(), in_words);
            let most = self.faults.len().max(again.faults.len());
            let place = (0..most).find(|place| self.faults.get(*place) != again.faults.get(*place));
            changes.extend(place.map(|place| {
                let (then, now) = (fault(&self.faults, place), fault(&again.faults, place));
                format!("fault {place}: {then} then, {now} now")
            }));
            let failed = |capsule: &Self| match capsule.fingerprints.first() {
                Some(first) => format!("failed with {first}"),
                None => "did not fail".to_owned(),
            };
            if self.fingerprints.first() != again.fingerprints.first() {
                changes.push(format!("it {} then, it {} now", failed(self), failed(again)));
            }
        }
        changes
    }

    /// Between which events this run and that of another capsule part, by what both kept of their hashes: after how many they are still the same, and
    /// after how many no more (counted from the first; `None`: to the end). None where all shared hashes are equal.
    #[must_use]
    pub fn parting(&self, other: &Self) -> Option<(u64, Option<u64>)> {
        let hash =
            |events| other.checkpoints.iter().find(|checkpoint| checkpoint.events == events).map(|one| &one.hash);
        let mut same = 0;
        for Checkpoint { events, hash: ours } in &self.checkpoints {
            match hash(*events) {
                Some(theirs) if theirs == ours => same = *events,
                Some(_) => return Some((same, Some(*events))),
                None => {}
            }
        }
        (self.events != other.events && !self.checkpoints.is_empty()).then_some((same, None))
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
        if !(OLDEST..=SCHEMA).contains(&version.schema) {
            return Err(CapsuleError::Schema { path: shown, found: version.schema });
        }
        serde_json::from_str(&text).map_err(malformed)
    }

    /// How its run was made.
    #[must_use]
    pub fn made(&self) -> Made {
        Made {
            engine: self.engine.clone(),
            mutant: self.mutant.clone(),
            scenario_hash: scenario_hash(&self.scenario_toml, self.service_time),
            cost: self.service_time,
        }
    }

    /// The engine that it names.
    #[must_use]
    pub fn engine(&self) -> Option<Engine> {
        [Engine::Sim, Engine::Turmoil, Engine::Sockets].into_iter().find(|engine| engine.word() == self.engine)
    }
}

fn in_words(fault: &FaultWindow) -> String {
    let seconds = |us: u64| format!("{:.6} s", us as f64 / 1e6);
    let until = fault.stop_us.map_or_else(|| "to the end".to_owned(), |stop| format!("until {}", seconds(stop)));
    format!("{} of {} from {} {until}", fault.kind, fault.target, seconds(fault.start_us))
}

/// The lines of two texts that one has more often than the other, the first few, in the order of the texts.
fn lines_that_differ(then: &str, now: &str) -> Vec<String> {
    let only = |of: &str, other: &str, side: &str| -> Vec<String> {
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        other.lines().for_each(|line| *left.entry(line).or_default() += 1);
        // Each line of the other answers for one: the same key may stand in several tables.
        let mut has = |line: &str| left.get_mut(line).filter(|count| **count > 0).map(|count| *count -= 1).is_some();
        of.lines().filter(|line| !has(line)).map(|line| format!("{side}: {line}")).collect()
    };
    let mut lines = only(then, now, "then");
    lines.extend(only(now, then, "now"));
    let more = lines.len().saturating_sub(LINES_SHOWN);
    lines.truncate(LINES_SHOWN);
    lines.extend((more > 0).then(|| format!("differs in {more} more lines")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capsule(hashes: &[(u64, &str)], events: u64) -> Capsule {
        let checkpoints =
            hashes.iter().map(|(events, hash)| Checkpoint { events: *events, hash: (*hash).to_owned() }).collect();
        Capsule {
            schema: SCHEMA,
            scenario: "small".to_owned(),
            scenario_toml: String::new(),
            resolved_toml: "a = 1\nb = 2\n".to_owned(),
            seed: 1,
            order: 0,
            engine: "sim".to_owned(),
            mutant: None,
            service_time: None,
            trace_hash: String::new(),
            events,
            checkpoints,
            faults: Vec::new(),
            fingerprints: Vec::new(),
            version: "1".to_owned(),
            profile: "sim".to_owned(),
            program: None,
            toolchain: "rustc".to_owned(),
        }
    }

    #[test]
    fn runs_part_between_two_checkpoints_that_both_have() {
        let there = capsule(&[(2, "a"), (4, "b"), (6, "c"), (8, "d")], 9);
        let check = |hashes: &[(u64, &str)], events, expect| {
            assert_eq!(there.parting(&capsule(hashes, events)), expect, "{hashes:?}");
        };
        check(&[(2, "a"), (4, "b"), (6, "c"), (8, "d")], 9, None);
        check(&[(4, "b"), (8, "x")], 9, Some((4, Some(8))));
        check(&[(2, "x")], 9, Some((0, Some(2))));
        check(&[(4, "b")], 5, Some((4, None)));
        check(&[], 5, Some((0, None)));
    }

    #[test]
    fn what_is_not_as_it_was_is_named() {
        let then = capsule(&[], 9);
        assert_eq!(then.changes(&then), Vec::<String>::new());
        let fault = FaultWindow {
            fault: 0,
            kind: "kill".into(),
            target: "source-0".into(),
            start_us: 1_500_000,
            stop_us: None,
        };
        let now = Capsule {
            version: "2".to_owned(),
            resolved_toml: "a = 1\nb = 3\n".to_owned(),
            program: Some("77".to_owned()),
            faults: vec![fault],
            fingerprints: vec!["no-loss: # lost".parse().expect("a fingerprint")],
            ..then.clone()
        };
        let expect = [
            "version: 1 then, 2 now",
            "program: unknown then, 77 now",
            "scenario then: b = 2",
            "scenario now: b = 3",
            "fault 0: none then, kill of source-0 from 1.500000 s to the end now",
            "it did not fail then, it failed with no-loss: # lost now",
        ];
        assert_eq!(then.changes(&now), expect);
        // A line that stands elsewhere, too, is missed all the same.
        let twice = Capsule { resolved_toml: "a = 1\nb = 2\nb = 2\n".to_owned(), ..then.clone() };
        let once = Capsule { resolved_toml: "a = 1\nb = 2\na = 1\n".to_owned(), ..then.clone() };
        assert_eq!(twice.changes(&once), ["scenario then: b = 2", "scenario now: a = 1"]);
        let older = Capsule { schema: 1, resolved_toml: String::new(), toolchain: String::new(), ..then };
        assert_eq!(older.changes(&now), ["version: 1 then, 2 now"], "an older capsule knows no more");
    }
}
