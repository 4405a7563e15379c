//! What the proxy counts, for gauges and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A figure, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A level: it goes up and down.
    Gauge(u64),
    /// A count since the start: it only grows.
    Counter(u64),
    /// Durations by size.
    Histogram(Durations),
}

/// A figure with its name in `/metrics` (without the prefix) and its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) reading: Reading,
}

macro_rules! storage {
    (histogram) => {
        Histogram
    };
    ($count:ident) => {
        Count
    };
}

macro_rules! reading {
    (gauge, $it:expr) => {
        Reading::Gauge($it.get())
    };
    (counter, $it:expr) => {
        Reading::Counter($it.get())
    };
    (histogram, $it:expr) => {
        Reading::Histogram($it.read())
    };
}

macro_rules! meter {
    ($(#[doc = $help:literal] $kind:ident $field:ident => $name:literal),* $(,)?) => {
        /// Counters, levels and durations, each true at every instant. Shared by all tasks.
        #[derive(Debug, Default)]
        pub(crate) struct Meter {
            $(#[doc = $help] pub(crate) $field: storage!($kind)),*
        }

        impl Meter {
            /// Everything, read one after the other, in the order of declaration.
            pub(crate) fn figures(&self) -> Vec<Figure> {
                vec![$(Figure { name: $name, help: $help.trim_ascii(), reading: reading!($kind, self.$field) }),*]
            }
        }
    };
}

// The comment is the text in `/metrics`, the word after the arrow the name there: what is counted is exported.
meter! {
    /// Open client sessions.
    gauge clients => "clients",
    /// Handshakes under way.
    gauge handshakes => "handshakes",
    /// Refusals being written.
    gauge refusals => "refusals",
    /// Open legs to sources.
    gauge legs => "upstream_legs",
    /// Messages received from sources.
    counter received => "messages_received_total",
    /// Messages of sources that could not be read, and went to nobody (fan-out).
    counter unread => "messages_unreadable_total",
    /// Messages handed to client sockets.
    counter forwarded => "messages_forwarded_total",
    /// Messages received from clients and handed to sources (relay).
    counter forwarded_up => "messages_forwarded_up_total",
    /// Client messages that a failover will not say again, as the preamble had no room (relay).
    counter preamble_skipped => "preamble_skipped_total",
    /// Messages that a client was to get and did not.
    counter dropped => "messages_dropped_total",
    /// Messages dropped because a newer one of their symbol took their place; among those dropped.
    counter conflated => "messages_conflated_total",
    /// Gap notices sent to windtunnel.v1 clients.
    counter gaps => "gap_notices_total",
    /// Clients whose handshake succeeded.
    counter admitted => "clients_admitted_total",
    /// Connections turned away before a session.
    counter shed => "clients_shed_total",
    /// Connections turned away because their address holds as many as one may; counted among those turned away, too.
    counter shed_address => "clients_shed_address_total",
    /// Clients closed because their key is unknown or has too many clients.
    counter keys_refused => "clients_key_refused_total",
    /// Clients closed for what they said: against the protocol, unreadable, or more than they may.
    counter offending => "clients_protocol_errors_total",
    /// Clients closed because they said or asked for more than they may; counted among those closed for what they said, too.
    counter over_quota => "clients_over_quota_total",
    /// Client sessions that the proxy ended.
    counter closed => "clients_closed_total",
    /// Dials begun.
    counter dials => "upstream_dials_total",
    /// Dials failed.
    counter dials_failed => "upstream_dials_failed_total",
    /// Legs that ended.
    counter legs_lost => "upstream_legs_lost_total",
    /// Configurations that the proxy went over to while running.
    counter reloads => "config_reloads_total",
    /// Configurations that were refused while the proxy ran.
    counter reloads_refused => "config_reloads_refused_total",
    /// Errors of accept.
    counter accept_errors => "accept_errors_total",
    /// Age of a message at its write into a client's socket, counted from its reading from the source (fan-out).
    histogram age => "message_age_seconds",
    /// From the start of a dial to the end of its handshake, of those that succeeded.
    histogram dial => "upstream_dial_duration_seconds",
    /// From the loss of a leg to the first data of the one that replaces it.
    histogram failover => "failover_duration_seconds",
}

/// One number that many tasks change.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the buckets of every histogram, inclusive: 100 us to 30 s. Beyond the last there is one more.
pub(crate) const BOUNDS: [Duration; 17] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_micros(1_000),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Durations counted by size, changed by many tasks. An observation is two atomic additions.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// The sum in nanoseconds: it wraps after 584 years.
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn observe(&self, duration: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < duration);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> Durations {
        let mut so_far = 0;
        let cumulative = std::array::from_fn(|bucket| {
            so_far += self.buckets[bucket].load(Relaxed);
            so_far
        });
        Durations { cumulative, sum: Duration::from_nanos(self.sum_ns.load(Relaxed)) }
    }
}

/// A histogram, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Durations {
    /// How many were at most as long as each of [`BOUNDS`]; the last entry counts all.
    pub(crate) cumulative: [u64; BOUNDS.len() + 1],
    /// All of them added up.
    pub(crate) sum: Duration,
}

impl Durations {
    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.cumulative[BOUNDS.len()]
    }
}

/// A level raised by one until this is dropped.
pub(crate) struct Held {
    meter: Arc<Meter>,
    which: fn(&Meter) -> &Count,
}

impl Held {
    /// Raises the level `which` by one.
    pub(crate) fn new(meter: &Arc<Meter>, which: fn(&Meter) -> &Count) -> Self {
        which(meter).add(1);
        Self { meter: Arc::clone(meter), which }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        (self.which)(&self.meter).0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_its_bucket_and_in_all_above() {
        let histogram = Histogram::default();
        assert_eq!(histogram.read().count(), 0);
        for micros in [0, 100, 101, 1_000, 30_000_000, 30_000_001, 90_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let read = histogram.read();
        let at_most = |millis: f64| {
            let bound = BOUNDS.iter().position(|bound| *bound == Duration::from_secs_f64(millis / 1e3)).unwrap();
            read.cumulative[bound]
        };
        assert_eq!([at_most(0.1), at_most(0.25), at_most(0.5), at_most(1.0), at_most(30_000.0)], [2, 3, 3, 4, 5]);
        assert_eq!((read.count(), read.sum), (7, Duration::from_micros(150_001_202)));
        assert!(BOUNDS.is_sorted());
    }
}
