//! `trace.json`: a run for ui.perfetto.dev and chrome://tracing (the Trace Event Format, as a JSON object).
//!
//! ```text
//!   run         phases, faults, violations; counters of the whole run
//!   proxy-0     its faults, its legs to sources (one slice each), legs lost, its gauge as counters
//!   source-0    its faults, the connections that it accepted
//!   plain-0     a host of clients: its faults, and a track for each client: connecting, connected, what it was told
//! ```
//!
//! A process is a host. Times are virtual microseconds since the run began. Connections that overlap are asynchronous slices (`b`, `e`) with an id each;
//! a client has one connection at a time, so its slices are those of a thread (`X`). An arrow (`s`, `f`) leads from a lost leg to what clients were told of
//! it, and from the end of a session to how its resume went.
//!
//! Two readers, two readings: what stands here is what both understand. Numbers of threads are unique over all processes, because Perfetto names threads by
//! their number only; `displayTimeUnit` comes first and is `ms`, because Perfetto takes `ns` for the unit of the time stamps; what an arrow begins or
//! ends at is a slice, because neither reader binds arrows to instants.

mod builder;
mod counters;
mod entry;

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use wire::event::Timed;
use wire::id::ClientId;

use self::builder::Builder;
use self::entry::Entry;
use crate::metrics::Metrics;
use crate::record::Verdict;
use crate::tiers::Tiers;

/// Entries for connections, clients and what they were told, when nothing else is said. About 15 MB of text: both readers load it within seconds.
pub const ENTRIES_MAX: usize = 100_000;

/// Entries for counters, at most; more buckets than fit are merged.
const COUNTERS_MAX: usize = 50_000;

/// Who takes part, beyond proxies and sources: those are known by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Proxies, numbered from 0.
    pub proxies: u16,
    /// How many of these, the last ones, are edges.
    pub edges: u16,
    /// Sources, numbered from 0.
    pub sources: u16,
    /// Hosts of clients.
    pub clients: Vec<ClientHost>,
}

impl Hosts {
    /// What hosts are called.
    #[must_use]
    pub fn tiers(&self) -> Tiers {
        Tiers { sources: self.sources, proxies: self.proxies, edges: self.edges }
    }
}

/// A host that carries some clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHost {
    /// Its name.
    pub name: String,
    /// Its first client.
    pub first: ClientId,
    /// How many it carries, numbered without holes.
    pub count: u32,
}

/// A run as a trace.
#[derive(Debug)]
pub struct Trace {
    entries: Vec<Entry>,
    other: Vec<(&'static str, String)>,
    cut: Option<String>,
}

/// What stands in the file, in the order in which it stands there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    display_time_unit: &'static str,
    #[serde(serialize_with = "as_map")]
    other_data: &'a [(&'static str, String)],
    trace_events: &'a [Entry],
}

fn as_map<S: Serializer>(pairs: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (key, value) in pairs {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

impl Trace {
    /// Makes a trace of a run from all of its events, in the order of time.
    ///
    /// At most `entries_max` entries ([`ENTRIES_MAX`]) are spent on connections, clients and what they were told: from the first that does not fit on, none is
    /// begun any more. Phases, faults, violations and counters are whole in any case.
    #[must_use]
    pub fn new(verdict: &Verdict, metrics: &Metrics, hosts: &Hosts, events: &[Timed], entries_max: usize) -> Self {
        let mut builder = Builder::new(hosts, entries_max, metrics.end_us);
        builder.run(verdict, metrics);
        for Timed { at_us, event } in events {
            builder.observe(*at_us, event);
        }
        counters::add(&mut builder, metrics, COUNTERS_MAX);
        let cut = builder.cut();
        let mut other = vec![
            ("scenario", verdict.scenario.clone()),
            ("run", verdict.label()),
            ("engine", verdict.engine.clone()),
            ("verdict", word(&verdict.verdict)),
            ("trace_hash", verdict.trace_hash.clone()),
            ("clock", "virtual microseconds since the run began".to_owned()),
        ];
        other.extend(verdict.mutant.clone().map(|mutant| ("mutant", mutant)));
        other.extend(cut.clone().map(|cut| ("cut", cut)));
        Self { entries: builder.finish(), other, cut }
    }

    /// How the trace was cut short, if it was.
    #[must_use]
    pub fn cut(&self) -> Option<&str> {
        self.cut.as_deref()
    }

    /// Writes the file: one entry a line.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        let head = File { display_time_unit: "ms", other_data: &self.other, trace_events: &[] };
        let head = serde_json::to_string(&head)?;
        let head = head.strip_suffix("]}").unwrap_or(&head);
        out.write_all(head.as_bytes())?;
        for (place, entry) in self.entries.iter().enumerate() {
            out.write_all(if place == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut out, entry)?;
        }
        out.write_all(b"\n]}\n")?;
        out.flush()
    }
}

/// The word of a value that serialises as one.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => other.map_or_else(|error| error.to_string(), |value| value.to_string()),
    }
}
