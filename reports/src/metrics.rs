//! What a run measured: `metrics.json`, from which every chart is drawn.
//!
//! All series lie on one time axis of equal buckets. Times and latencies are whole microseconds of the run's own clock; a bucket without a sample holds
//! `null`, never a made-up zero.

use serde::{Deserialize, Serialize};
use wire::event::{Phase, Why};
use wire::id::{ProxyId, SourceId};

use crate::tiers::Tiers;

pub use self::collector::{Collector, MetricsConfig};
pub use self::fairness::jain;
pub use self::histogram::Histogram;

mod clients;
mod collector;
mod failover;
mod fairness;
mod histogram;
mod latency;
mod sends;

/// Everything measured in one run: `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// [`crate::record::SCHEMA`].
    pub schema: u32,
    /// The width of one bucket of the time axis.
    pub bucket_us: u64,
    /// The end of the run. The last bucket may be shorter than the others.
    pub end_us: u64,
    /// Latency of live deliveries over the whole run: from the first time that any source sent the tick, on any leg, to the client. Snapshots and replays
    /// are left out, for they are old on purpose.
    pub delivery: Latency,
    /// Latency of echoes over the whole run, from the planned instant of the request.
    pub echo: Latency,
    /// From the dial of a client to its open session.
    pub connect: Latency,
    /// What these and the pauses at failovers were taken from: they can be merged over runs.
    pub histograms: Histograms,
    /// Counts over the whole run.
    pub totals: Totals,
    /// One value a bucket.
    pub series: Series,
    /// Per proxy, from its own account; empty for a proxy that gives none.
    pub proxies: Vec<ProxySeries>,
    /// How many of them, the last ones, are edges: they stand between clients and the other proxies.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub edges: u16,
    /// Per instance of the source.
    pub sources: Vec<SourceSeries>,
    /// How evenly instances and clients were served.
    pub fairness: Fairness,
    /// What followed the loss of a leg.
    pub failovers: Failovers,
    /// How long the slowest recovery took, in microseconds; None where that was not measured. See [`crate::record::Verdict::recovery_us`].
    #[serde(default)]
    pub recovery_us: Option<u64>,
    /// When which fault was in force.
    pub faults: Vec<FaultWindow>,
    /// When each phase began.
    pub phases: Vec<PhaseMark>,
}

impl Metrics {
    /// What hosts are called.
    #[must_use]
    pub fn tiers(&self) -> Tiers {
        let count = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        Tiers { sources: count(self.sources.len()), proxies: count(self.proxies.len()), edges: self.edges }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(edges: &u16) -> bool {
    *edges == 0
}

/// A distribution of latencies. A quantile is given only where the sample can carry it: p90 from 10 samples on, p99 from 100, p99.9 from 1000.
///
/// Values are rounded up by at most 0.1 %; `max_us` is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// The mean, rounded down.
    pub mean_us: Option<u64>,
    /// Half of the samples were not above this.
    pub p50_us: Option<u64>,
    /// 90 % were not above this.
    pub p90_us: Option<u64>,
    /// 99 % were not above this.
    pub p99_us: Option<u64>,
    /// 99.9 % were not above this.
    pub p999_us: Option<u64>,
    /// The greatest.
    pub max_us: Option<u64>,
}

/// Latencies over the whole run, so that runs can be looked at together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histograms {
    /// See [`Metrics::delivery`].
    pub delivery: Histogram,
    /// See [`Metrics::echo`].
    pub echo: Histogram,
    /// See [`Metrics::connect`].
    pub connect: Histogram,
    /// See [`Incident::silence_us`].
    pub silence: Histogram,
    /// See [`Incident::outage_us`].
    pub outage: Histogram,
}

impl Histograms {
    /// Adds the samples of another run.
    pub fn merge(&mut self, other: &Self) {
        let Self { delivery, echo, connect, silence, outage } = self;
        delivery.merge(&other.delivery);
        echo.merge(&other.echo);
        connect.merge(&other.connect);
        silence.merge(&other.silence);
        outage.merge(&other.outage);
    }
}

/// Counts over a whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Ticks handed to sockets by sources, each leg counted.
    pub source_sends: u64,
    /// Messages that reached clients, of any kind.
    pub deliveries: u64,
    /// Of these, snapshots and replays.
    pub deliveries_old: u64,
    /// Live deliveries whose sending is not in the record (or longer ago than the collector remembers): they have no latency.
    pub deliveries_unmatched: u64,
    /// Deliveries whose payload was not what the source made.
    pub deliveries_damaged: u64,
    /// Messages that clients could not read.
    pub garbled: u64,
    /// Requests sent by clients.
    pub client_sends: u64,
    /// The greatest lateness of a request against its plan: the generator's own health.
    pub client_send_late_us_max: u64,
    /// Answers that came back.
    pub echoes: u64,
    /// Dials by clients.
    pub clients_dialled: u64,
    /// Sessions that opened.
    pub clients_opened: u64,
    /// Dials that were turned away or failed, by cause.
    pub clients_refused: Vec<Cause>,
    /// Sessions that ended.
    pub clients_closed: u64,
    /// Messages dropped, by the proxy's own account, by cause.
    pub drops: Vec<Cause>,
    /// Gap notices told to clients, by reason, with the messages that they own up to (where the number is known).
    pub gaps: Vec<Gaps>,
    /// Legs lost, by the proxy's own account, by cause.
    pub legs_lost: Vec<Cause>,
}

/// How often something happened for one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The cause.
    pub why: Why,
    /// How often.
    pub times: u64,
}

/// Gap notices of one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// The reason told.
    pub reason: wire::feed::GapReason,
    /// Notices.
    pub times: u64,
    /// Messages missing, over the notices that name an end.
    pub messages: u64,
}

/// Columns of equal length: one value a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Latency of live deliveries that arrived in the bucket.
    pub delivery_us: Quantiles,
    /// Latency of echoes that arrived in the bucket.
    pub echo_us: Quantiles,
    /// Messages that reached clients in the bucket.
    pub deliveries: Vec<u64>,
    /// Ticks sent by sources in the bucket, each leg counted.
    pub source_sends: Vec<u64>,
    /// Requests sent by clients in the bucket.
    pub client_sends: Vec<u64>,
    /// Answers that came back in the bucket.
    pub echoes: Vec<u64>,
    /// Messages dropped by proxies in the bucket.
    pub drops: Vec<u64>,
    /// Gap notices told in the bucket.
    pub gaps: Vec<u64>,
    /// Clients that are connecting, at the end of the bucket.
    pub clients_connecting: Vec<u64>,
    /// Clients with an open session, at the end of the bucket.
    pub clients_open: Vec<u64>,
    /// Dials turned away or failed since the start.
    pub clients_refused: Vec<u64>,
    /// Sessions ended since the start.
    pub clients_closed: Vec<u64>,
}

/// Latency quantiles by bucket, in microseconds, rounded up by at most 1 %; `max` is exact. `None` where the bucket has no sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Medians.
    pub p50: Vec<Option<u64>>,
    /// 90 % were not above.
    pub p90: Vec<Option<u64>>,
    /// 99 % were not above; the greatest where there are fewer than 100 samples.
    pub p99: Vec<Option<u64>>,
    /// The greatest.
    pub max: Vec<Option<u64>>,
}

/// One proxy over time, from its own gauge: the last sample of each bucket, or the one before where the bucket has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxySeries {
    /// Which.
    pub proxy: ProxyId,
    /// Open client sessions.
    pub clients: Vec<u64>,
    /// Handshakes under way.
    pub handshakes: Vec<u64>,
    /// Open legs to sources.
    pub legs: Vec<u64>,
    /// Bytes waiting in all client queues: the greatest sample of the bucket.
    pub queue_bytes: Vec<u64>,
    /// Bytes waiting in the longest client queue: the greatest sample of the bucket.
    pub queue_bytes_max: Vec<u64>,
}

/// One instance of the source over time, at the end of each bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSeries {
    /// Which.
    pub source: SourceId,
    /// Connections open by the source's own ledger; a source that is killed or loses power has none from then on.
    pub connections: Vec<u64>,
    /// Legs up by the proxies' account; all zero for a proxy that gives none.
    pub legs: Vec<u64>,
}

/// How even the service was. Jain's index is 1 where all are served alike and 1/n where one has everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// Jain's index over the connections of those instances that no fault in force names, at the end of each bucket; `None` while there is no connection.
    pub instances_jain: Vec<Option<f64>>,
    /// The time-weighted mean of `instances_jain`.
    pub instances_jain_mean: Option<f64>,
    /// Jain's index over the clients' numbers of delivered messages (echoes included). It compares like with like only where clients subscribe alike.
    pub delivered_jain: Option<f64>,
    /// Jain's index over the clients' median latencies.
    pub latency_jain: Option<f64>,
    /// Per client, in the order of its number: messages delivered (echoes included). Clients that never dialled are left out.
    pub delivered: Vec<u64>,
    /// Per client, in the same order: its median latency, rounded up by at most 7 %; `None` for a client without a sample.
    pub latency_us_p50: Vec<Option<u64>>,
}

/// What followed the loss of legs, by the proxies' own account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failovers {
    /// Incidents: legs that were up and went down (shutdown and superseded legs aside).
    pub count: u64,
    /// Of these, how many ended with a delivery.
    pub healed: u64,
    /// From the leg's end to the next delivery, over healed incidents.
    pub silence: Latency,
    /// The first incidents, in the order of time; at most 200.
    pub incidents: Vec<Incident>,
}

/// One leg lost, and how long its clients heard nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// When the leg went down.
    pub at_us: u64,
    /// Whose leg.
    pub proxy: ProxyId,
    /// To which source.
    pub source: SourceId,
    /// Why.
    pub why: Why,
    /// From the leg's end to the next delivery to a client of that proxy (fan-out) or to the leg's own client (relay). `None`: it never came.
    pub silence_us: Option<u64>,
    /// The same silence, counted from the last delivery before: what a client noticed. `None` where there was none before or none after.
    pub outage_us: Option<u64>,
}

/// When a fault was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultWindow {
    /// Its number in the plan.
    pub fault: u16,
    /// Its kind: `kill`, `stall`, ...
    pub kind: Box<str>,
    /// What it hit.
    pub target: Box<str>,
    /// From when.
    pub start_us: u64,
    /// To when; `None`: to the end of the run.
    pub stop_us: Option<u64>,
}

/// When a phase began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseMark {
    /// When.
    pub at_us: u64,
    /// Which.
    pub phase: Phase,
}
