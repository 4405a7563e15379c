//! What runs of one scenario measured together, as figures with names: what a baseline holds, and what two versions are compared by.
//!
//! All of it is in virtual time: the same build, scenario and seed give the same figure. Percentiles are those of the merged histograms, never means of
//! percentiles; counts are sums over the runs; a greatest value is the greatest of all, an index of fairness the lowest.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::folder::{WriteError, write_pretty};
use crate::gate;

use crate::metrics::{Histogram, Histograms, Metrics};

/// One or more runs, merged. Merging is independent of order and grouping.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    runs: u64,
    histograms: Histograms,
    /// Counts over the runs, by name.
    counts: BTreeMap<String, u64>,
    /// The greatest of the runs, by name.
    greatest: BTreeMap<&'static str, u64>,
    /// The lowest of the runs, by name.
    lowest: BTreeMap<&'static str, f64>,
}

/// Writes `measures.json` into `dir`: for each scenario how many runs were merged, and every figure over them.
///
/// # Errors
/// [`WriteError`] names the file and what to do.
pub fn write<'m>(dir: &Path, scenarios: impl IntoIterator<Item = (&'m str, &'m Measures)>) -> Result<(), WriteError> {
    #[derive(Serialize)]
    struct All<'m> {
        schema: u32,
        scenarios: BTreeMap<&'m str, One>,
    }
    #[derive(Serialize)]
    struct One {
        runs: u64,
        figures: BTreeMap<String, serde_json::Value>,
    }
    let one = |measures: &Measures| One {
        runs: measures.runs,
        figures: measures.figures().into_iter().map(|(name, value)| (name, gate::json(value))).collect(),
    };
    let scenarios = scenarios.into_iter().map(|(name, measures)| (name, one(measures))).collect();
    write_pretty(&dir.join("measures.json"), &All { schema: crate::record::SCHEMA, scenarios })
}

/// Digits kept of an index between 0 and 1, as a factor.
const INDEX_SCALE: f64 = 1e6;

impl Measures {
    /// One run.
    #[must_use]
    pub fn of(metrics: &Metrics) -> Self {
        let mut all = Self { runs: 1, histograms: metrics.histograms.clone(), ..Self::default() };
        all.counts(metrics);
        let series = &metrics.series;
        let max = |column: &[u64]| column.iter().copied().max();
        let of_proxies = |column: fn(&crate::metrics::ProxySeries) -> &[u64]| {
            metrics.proxies.iter().filter_map(|proxy| max(column(proxy))).max()
        };
        all.greatest.extend(
            [
                ("clients_open_max", max(&series.clients_open)),
                ("clients_connecting_max", max(&series.clients_connecting)),
                ("queue_bytes_max", of_proxies(|proxy| &proxy.queue_bytes_max)),
                ("queue_bytes_total_max", of_proxies(|proxy| &proxy.queue_bytes)),
                ("recovery_us_max", metrics.recovery_us),
                ("legs_max", of_proxies(|proxy| &proxy.legs)),
                (
                    "request_late_us_max",
                    (metrics.totals.client_sends > 0).then_some(metrics.totals.client_send_late_us_max),
                ),
            ]
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value))),
        );
        let fairness = &metrics.fairness;
        all.lowest.extend(
            [
                ("jain_instances_min", fairness.instances_jain_mean),
                ("jain_delivered_min", fairness.delivered_jain),
                ("jain_latency_min", fairness.latency_jain),
            ]
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, (value * INDEX_SCALE).round() / INDEX_SCALE))),
        );
        all
    }

    fn counts(&mut self, metrics: &Metrics) {
        let totals = &metrics.totals;
        let sum = |causes: &[crate::metrics::Cause]| causes.iter().map(|cause| cause.times).sum::<u64>();
        for (name, value) in [
            ("run_us", metrics.end_us),
            ("deliveries", totals.deliveries),
            ("deliveries_old", totals.deliveries_old),
            ("deliveries_unmatched", totals.deliveries_unmatched),
            ("deliveries_damaged", totals.deliveries_damaged),
            ("garbled", totals.garbled),
            ("source_sends", totals.source_sends),
            ("requests", totals.client_sends),
            ("echoes", totals.echoes),
            ("dials", totals.clients_dialled),
            ("opened", totals.clients_opened),
            ("refused", sum(&totals.clients_refused)),
            ("closed", totals.clients_closed),
            ("drops", sum(&totals.drops)),
            ("gap_notices", totals.gaps.iter().map(|gaps| gaps.times).sum()),
            ("gap_messages", totals.gaps.iter().map(|gaps| gaps.messages).sum()),
            ("legs_lost", sum(&totals.legs_lost)),
            ("failovers", metrics.failovers.count),
            ("failovers_unhealed", metrics.failovers.count.saturating_sub(metrics.failovers.healed)),
        ] {
            self.counts.insert(name.to_owned(), value);
        }
        for (what, causes) in
            [("refused", &totals.clients_refused), ("drops", &totals.drops), ("legs_lost", &totals.legs_lost)]
        {
            for cause in causes {
                self.counts.insert(format!("{what}.{}", word(&cause.why)), cause.times);
            }
        }
        for gaps in &totals.gaps {
            self.counts.insert(format!("gap_notices.{}", word(&gaps.reason)), gaps.times);
        }
    }

    /// Adds other runs.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.histograms.merge(&other.histograms);
        for (name, count) in &other.counts {
            let sum = self.counts.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        for (name, value) in &other.greatest {
            let greatest = self.greatest.entry(name).or_default();
            *greatest = (*greatest).max(*value);
        }
        for (name, value) in &other.lowest {
            let lowest = self.lowest.entry(name).or_insert(f64::INFINITY);
            *lowest = lowest.min(*value);
        }
    }

    /// How many runs.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// The figures that bounds are set on and that should not depend on the seed, in microseconds: the slow end of latencies, the longest outage, the slowest
    /// recovery. What was not measured is not there.
    #[must_use]
    pub fn steady(&self) -> BTreeMap<String, u64> {
        let Histograms { delivery, echo, connect, outage, .. } = &self.histograms;
        let figures = [
            ("latency_us_p99", delivery.latency().p99_us),
            ("echo_us_p99", echo.latency().p99_us),
            ("connect_us_p99", connect.latency().p99_us),
            ("failover_outage_us_max", outage.latency().max_us),
            ("recovery_us_max", self.greatest.get("recovery_us_max").copied()),
        ];
        figures.into_iter().filter_map(|(name, us)| Some((name.to_owned(), us?))).collect()
    }

    /// Every figure by its name; latencies in microseconds. What was not measured is not there. A name with a point (`drops.overflow`) is a part of the
    /// figure before the point, and not there where it is 0.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<String, f64> {
        let mut all: BTreeMap<String, f64> =
            self.counts.iter().map(|(name, count)| (name.clone(), *count as f64)).collect();
        all.extend(self.greatest.iter().map(|(name, value)| ((*name).to_owned(), *value as f64)));
        all.extend(self.lowest.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        let Histograms { delivery, echo, connect, silence, outage } = &self.histograms;
        for (what, histogram) in [
            ("latency", delivery),
            ("echo", echo),
            ("connect", connect),
            ("failover_silence", silence),
            ("failover_outage", outage),
        ] {
            all.extend(quantiles(what, histogram));
        }
        all
    }
}

fn quantiles(what: &str, histogram: &Histogram) -> impl Iterator<Item = (String, f64)> {
    let latency = histogram.latency();
    let named = [
        ("p50", latency.p50_us),
        ("p90", latency.p90_us),
        ("p99", latency.p99_us),
        ("p999", latency.p999_us),
        ("max", latency.max_us),
    ];
    let name = move |quantile: &str| format!("{what}_us_{quantile}");
    let found: Vec<(String, f64)> =
        named.into_iter().filter_map(|(quantile, us)| us.map(|us| (name(quantile), us as f64))).collect();
    found.into_iter()
}

/// The word for a cause in files.
fn word(cause: &impl Serialize) -> String {
    match serde_json::to_value(cause) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use wire::event::{Event, Side, Why};
    use wire::id::{ClientId, LegId, ProxyId, SessionId, SourceId, Symbol};

    use super::*;
    use crate::metrics::Collector;

    /// A run in which `n` clients each get one tick, after as many microseconds as given.
    fn run(latencies_us: &[u64], drops: u64) -> Metrics {
        let mut collector = Collector::default();
        let (session, symbol) = (SessionId(0), Symbol::numbered(1));
        let local = |n: u32| std::net::SocketAddr::from(([10, 0, 0, 1], 1_000 + n as u16));
        for n in 0..latencies_us.len() as u32 {
            let client = ClientId(n);
            collector.observe(0, &Event::ClientDial { client, session, target: 0 });
            collector.observe(500, &Event::ClientOpen { client, session, target: 0, local: local(n), strong: false });
        }
        collector.observe(1_000, &Event::SourceSend { source: SourceId(0), leg: LegId(0), symbol, n: 1 });
        for (n, latency) in (0..).zip(latencies_us) {
            let client = ClientId(n);
            let deliver = Event::ClientDeliver { client, session, symbol, n: 1, stamp: None, intact: true };
            collector.observe(1_000 + latency, &deliver);
        }
        for _ in 0..drops {
            let (proxy, peer) = (ProxyId(0), local(0));
            collector.observe(90_000, &Event::ProxyDrop { proxy, peer, symbol, epoch: 1, seq: 1, why: Why::Overflow });
        }
        collector.observe(195_000, &Event::ClientClose { client: ClientId(0), session, by: Side::Own, code: None });
        collector.finish(200_000)
    }

    #[test]
    fn percentiles_over_runs_are_those_of_the_merged_histogram() {
        // One run of 90 quick deliveries, one of 10 slow ones: nine in ten are quick. The mean of the two medians would be 5 ms.
        let mut both = Measures::of(&run(&[100; 90], 2));
        both.merge(&Measures::of(&run(&[10_000; 10], 3)));
        let figures = both.figures();
        assert_eq!(both.runs(), 2);
        assert_eq!(figures["latency_us_p50"], 100.0);
        assert_eq!(figures["latency_us_p90"], 100.0);
        assert_eq!(figures["latency_us_max"], 10_000.0);
        assert_eq!((figures["drops"], figures["drops.overflow"], figures["deliveries"]), (5.0, 5.0, 100.0));
        assert_eq!((figures["dials"], figures["closed"], figures["connect_us_p50"]), (100.0, 2.0, 500.0));
        assert_eq!(figures["clients_open_max"], 90.0);
        assert!(!figures.contains_key("echo_us_p50"), "nobody asked for an echo");
    }

    #[test]
    fn the_order_of_merging_does_not_matter() {
        let runs = [run(&[100, 7_000], 1), run(&[300; 40], 0), run(&[9; 3], 9)].map(|run| Measures::of(&run));
        let merged = |order: [usize; 3]| {
            order.iter().fold(Measures::default(), |mut sum, place| {
                sum.merge(&runs[*place]);
                sum
            })
        };
        assert_eq!(merged([0, 1, 2]), merged([2, 0, 1]));
        let mut pair = runs[1].clone();
        pair.merge(&runs[2]);
        let mut grouped = runs[0].clone();
        grouped.merge(&pair);
        assert_eq!(grouped, merged([0, 1, 2]));
    }
}
