//! A sweep over several machines. It runs on an engine that is there already, a NATS server with JetStream: a work queue hands out the parts, and the same
//! server takes the run folders back.
//!
//! ```text
//!   sweep start --- parts 1..n ---> stream WORK (a work queue: each part to one worker, again if that one dies)
//!        |                              |
//!        |                       sweep work, sweep work, ...     windtunnel run ARGS --shard i/n
//!        |                              |
//!        |<--- who did which part --- stream DONE (by part: a second result of one part is a duplicate)
//!        |<--- its run folder ------- object store
//!        v
//!   merge: one folder, as one command would have given
//! ```
//!
//! A part is a shard ([`crate::agenda::Shard`]), a pure function of scenario and seed, so that the merged folder does not tell who ran what. What is done twice
//! (a worker that died between its result and its word to the queue) counts once: the server drops a second result of a part, and so does the reader.
//!
//! `queue` is the only place that speaks to the server; `pack` makes a folder one blob and back.

mod pack;
mod queue;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::pack::{PACK_BYTES_MAX, PackError, pack, unpack};
pub use self::queue::{Lease, Queue, QueueError};

/// The version of the messages.
pub const SCHEMA: u32 = 1;

/// How often a part is tried: a part at which so many workers died or failed is reported, not tried for ever.
pub const TRIES: u32 = 3;

/// What a sweep is of: the same for all its parts and workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Arguments of `windtunnel run`, without shard and folder.
    pub args: Vec<String>,
    /// Parts, at least 1.
    pub parts: u32,
    /// A part whose worker says nothing for so long goes to another; in milliseconds.
    pub lease_ms: u64,
    /// Hash of the program, see [`crate::capsule::program`]: runs of two programs do not make one sweep.
    pub program: Option<String>,
    /// Version of Windtunnel.
    pub version: String,
}

impl Manifest {
    /// See [`Manifest::lease_ms`].
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which part, from 1.
    pub part: u32,
    /// Who did it: host and process.
    pub worker: String,
    /// How often the part was handed out until then.
    pub tries: u32,
    /// How it ended.
    pub end: End,
}

/// How a part ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum End {
    /// It was run: its folder lies in the object store under this name.
    Folder(String),
    /// It could not be run, and why.
    Failed(String),
}

/// Whether `name` can be a sweep's: it becomes part of names of streams and buckets.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=48).contains(&name.len()) && name.chars().all(letter)
}

/// The results of a sweep as they come in: each part once, whatever comes twice.
#[derive(Debug)]
pub struct Ledger {
    parts: u32,
    done: BTreeMap<u32, Done>,
    repeats: u32,
}

impl Ledger {
    /// Of a sweep of so many parts.
    #[must_use]
    pub fn new(parts: u32) -> Self {
        Self { parts, done: BTreeMap::new(), repeats: 0 }
    }

    /// Notes a result; whether it is the first of its part. One of a part that is none of the sweep's is not noted.
    pub fn note(&mut self, done: Done) -> bool {
        let known = (1..=self.parts).contains(&done.part);
        if !known || self.done.contains_key(&done.part) {
            self.repeats += 1;
            return false;
        }
        self.done.insert(done.part, done);
        true
    }

    /// Whether each part has its result.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing().next().is_none()
    }

    /// The parts without one.
    pub fn missing(&self) -> impl Iterator<Item = u32> + '_ {
        (1..=self.parts).filter(|part| !self.done.contains_key(part))
    }

    /// Results by part, in order.
    pub fn done(&self) -> impl Iterator<Item = &Done> {
        self.done.values()
    }

    /// Results that were left out because their part had one.
    #[must_use]
    pub fn repeats(&self) -> u32 {
        self.repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(part: u32, worker: &str) -> Done {
        let end = End::Folder(format!("part-{part}-{worker}"));
        Done { schema: SCHEMA, part, worker: worker.to_owned(), tries: 1, end }
    }

    #[test]
    fn each_part_counts_once_and_the_first_result_stays() {
        let mut ledger = Ledger::new(3);
        assert!(ledger.note(done(2, "a")));
        assert!(!ledger.note(done(2, "b")), "a part has one result");
        assert!(!ledger.note(done(0, "a")) && !ledger.note(done(4, "a")), "no parts of this sweep");
        assert_eq!(ledger.missing().collect::<Vec<_>>(), [1, 3]);
        assert!(!ledger.is_whole());
        assert!(ledger.note(done(3, "b")) && ledger.note(done(1, "c")));
        assert!(ledger.is_whole());
        let who: Vec<&str> = ledger.done().map(|done| done.worker.as_str()).collect();
        assert_eq!(who, ["c", "a", "b"], "by part");
        assert_eq!(ledger.repeats(), 3);
    }

    #[test]
    fn names_are_short_words_of_small_letters() {
        for name in ["a", "pr-123", &"x".repeat(48)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "A", "a.b", "a b", "a>b", "a*", "ü", &"x".repeat(49)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
