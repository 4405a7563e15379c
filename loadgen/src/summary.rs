//! What all clients saw, added up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use wire::event::Side;

/// What a run's clients saw. Counts are over all clients and sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Clients that were to arrive.
    pub clients: u64,
    /// Dials begun.
    pub dialled: u64,
    /// Sessions opened.
    pub opened: u64,
    /// Dials that failed or were turned away.
    pub refused: u64,
    /// Clients that stopped trying after too many attempts.
    pub gave_up: u64,
    /// Ticks delivered.
    pub delivered: u64,
    /// Bytes of all messages received (payloads, without frames).
    pub bytes: u64,
    /// Ticks that a plain session passed over and never got: n must be consecutive within a session.
    pub missing: u64,
    /// Stamps of strong sessions that neither came nor were named in a gap.
    pub unannounced: u64,
    /// Ticks that came twice within a session (n or stamp).
    pub duplicates: u64,
    /// Ticks that came after a newer one, or from an epoch that was over.
    pub out_of_order: u64,
    /// Messages that could not be read, or whose bytes were not those of their tick.
    pub garbled: u64,
    /// Ticks of symbols that the client had not asked for.
    pub unasked: u64,
    /// Gap notices.
    pub gaps_told: u64,
    /// Messages that gap notices named; those that end an epoch name an unknown number, counted as 0.
    pub gap_messages_told: u64,
    /// Ticks that came as the newest value at the time of subscribing.
    pub snapshots: u64,
    /// Ticks that came from the proxy's memory after a resume.
    pub replayed: u64,
    /// Symbols that a session asked to go on with where an earlier one stood.
    pub resumes: u64,
    /// Those of which everything since was replayed.
    pub resumes_recovered: u64,
    /// Sessions ended by the peer after which their client came again to resume: what it missed in between is in `unannounced`, or it was told.
    pub came_back: u64,
    /// Sessions that were told that their key has too many connections.
    pub key_limited: u64,
    /// Sessions whose v2 login was rejected for another cause.
    pub logins_rejected: u64,
    /// Denials of symbols that a v2 source refuses.
    pub denied: u64,
    /// Requests sent.
    pub requests: u64,
    /// Planned requests that were left out, because too many were unanswered already.
    pub requests_skipped: u64,
    /// Requests answered.
    pub echoes: u64,
    /// Requests unanswered when their session ended.
    pub unanswered: u64,
    /// How sessions ended, by side and code.
    pub closes: Vec<Closes>,
    /// From the planned arrival (or the end of a back-off) to the open session.
    pub connect_latency: Quantiles,
    /// From a tick's due instant, as its time stamp says (whole milliseconds), to its delivery, by this host's wall clock: as good as the clocks agree.
    pub tick_latency: Quantiles,
    /// From a request's planned instant to its answer.
    pub echo_latency: Quantiles,
    /// How late requests were sent against their plan: the generator's own health.
    pub send_lateness: Quantiles,
}

impl Summary {
    /// Sessions that the peer ended.
    #[must_use]
    pub fn closed_by_peer(&self) -> u64 {
        self.closes.iter().filter(|closes| closes.by == Side::Peer).map(|closes| closes.count).sum()
    }

    /// Whether anything came that should not have, or did not come that should have: missing or unannounced ticks, duplicates, disorder, garbled
    /// messages, sessions ended by the peer (unless their client came again and resumed).
    #[must_use]
    pub fn is_flawed(&self) -> bool {
        let lost = self.closed_by_peer().saturating_sub(self.came_back);
        self.missing + self.unannounced + self.duplicates + self.out_of_order + self.garbled + lost > 0
    }

    /// Whether nothing at all was received, so that nothing was checked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.delivered + self.echoes == 0
    }
}

/// Sessions that ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Closes {
    /// Who began it; `own` is the client.
    pub by: Side,
    /// The close code; None where the connection broke.
    pub code: Option<u16>,
    /// How many.
    pub count: u64,
}

/// Quantiles of a latency, in microseconds; all 0 where `count` is. Within 0.1 % up to ten minutes, where they are cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "a quantile is a quantile")]
pub struct Quantiles {
    pub count: u64,
    pub mean_us: f64,
    pub min_us: u64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            mean_us: histogram.mean(),
            min_us: histogram.min(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

/// One client's counts, and then all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Summary,
    closed_own: BTreeMap<Option<u16>, u64>,
    closed_peer: BTreeMap<Option<u16>, u64>,
}

impl Tally {
    pub(crate) fn closed(&mut self, by: Side, code: Option<u16>) {
        let closes = if by == Side::Own { &mut self.closed_own } else { &mut self.closed_peer };
        *closes.entry(code).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let (mine, theirs) = (&mut self.counts, &other.counts);
        mine.clients += 1;
        mine.dialled += theirs.dialled;
        mine.opened += theirs.opened;
        mine.refused += theirs.refused;
        mine.gave_up += theirs.gave_up;
        mine.delivered += theirs.delivered;
        mine.bytes += theirs.bytes;
        mine.missing += theirs.missing;
        mine.unannounced += theirs.unannounced;
        mine.duplicates += theirs.duplicates;
        mine.out_of_order += theirs.out_of_order;
        mine.garbled += theirs.garbled;
        mine.unasked += theirs.unasked;
        mine.gaps_told += theirs.gaps_told;
        mine.gap_messages_told += theirs.gap_messages_told;
        mine.snapshots += theirs.snapshots;
        mine.replayed += theirs.replayed;
        mine.resumes += theirs.resumes;
        mine.resumes_recovered += theirs.resumes_recovered;
        mine.came_back += theirs.came_back;
        mine.key_limited += theirs.key_limited;
        mine.logins_rejected += theirs.logins_rejected;
        mine.denied += theirs.denied;
        mine.requests += theirs.requests;
        mine.requests_skipped += theirs.requests_skipped;
        mine.echoes += theirs.echoes;
        mine.unanswered += theirs.unanswered;
        for (code, count) in &other.closed_own {
            *self.closed_own.entry(*code).or_default() += count;
        }
        for (code, count) in &other.closed_peer {
            *self.closed_peer.entry(*code).or_default() += count;
        }
    }

    pub(crate) fn finish(self, meters: &Meters) -> Summary {
        let list = |by, closes: BTreeMap<Option<u16>, u64>| {
            closes.into_iter().map(move |(code, count)| Closes { by, code, count })
        };
        Summary {
            closes: list(Side::Own, self.closed_own).chain(list(Side::Peer, self.closed_peer)).collect(),
            connect_latency: meters.quantiles(Meter::Connect),
            tick_latency: meters.quantiles(Meter::Tick),
            echo_latency: meters.quantiles(Meter::Echo),
            send_lateness: meters.quantiles(Meter::Late),
            ..self.counts
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meter {
    Connect,
    Tick,
    Echo,
    Late,
}

const METERS: usize = 4;
/// Ten minutes: the highest latency told apart, in microseconds.
const HIGHEST_US: u64 = 600_000_000;

/// The histograms of one shard (its clients take turns: the lock is never waited for), in the order of [`Meter`].
#[derive(Clone, Debug)]
pub(crate) struct Shard(Arc<Mutex<[Histogram<u64>; METERS]>>);

impl Shard {
    fn new() -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("1 to ten minutes with 3 digits is a lawful range");
        Self(Arc::new(Mutex::new(std::array::from_fn(|_| histogram()))))
    }

    pub(crate) fn record(&self, meter: Meter, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[meter as usize].saturating_record(us);
    }
}

/// The histograms of all shards.
#[derive(Debug)]
pub(crate) struct Meters(Vec<Shard>);

impl Meters {
    pub(crate) fn new(shards: usize) -> Self {
        Self((0..shards.max(1)).map(|_| Shard::new()).collect())
    }

    pub(crate) fn shard(&self, shard: usize) -> Shard {
        self.0[shard % self.0.len()].clone()
    }

    fn quantiles(&self, meter: Meter) -> Quantiles {
        let mut sum: Option<Histogram<u64>> = None;
        for shard in &self.0 {
            let part = shard.0.lock().unwrap_or_else(PoisonError::into_inner)[meter as usize].clone();
            match &mut sum {
                None => sum = Some(part),
                Some(sum) => sum.add(&part).expect("all histograms have one range"),
            }
        }
        sum.map_or_else(Quantiles::default, |sum| Quantiles::of(&sum))
    }
}
