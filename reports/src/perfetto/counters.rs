//! Counters: what the metrics hold for each bucket of time.

use serde_json::Value;

use super::builder::Builder;
use super::entry::{Entry, Phase, Track};
use crate::metrics::Metrics;

/// How a column becomes a counter.
#[derive(Clone, Copy)]
enum Kind {
    /// Counted in a bucket: shown from the bucket's beginning, merged by adding.
    Sum,
    /// As it stood at a bucket's end: shown from there.
    Level,
    /// The greatest in a bucket: shown from its beginning.
    Peak,
}

/// A counter: columns that are drawn as one.
struct Counter<'a> {
    name: String,
    track: Track,
    kind: Kind,
    columns: Vec<(&'static str, &'a [u64])>,
}

/// Adds all counters, in at most about `most` entries: where there are more buckets, some are merged. A value that stays is said once.
pub(super) fn add(builder: &mut Builder<'_>, metrics: &Metrics, most: usize) {
    let buckets = metrics.series.deliveries.len().max(1);
    let counters = 6 + metrics.proxies.len() * 4 + metrics.sources.len();
    let group = (buckets * counters).div_ceil(most.max(1)).max(1);
    let width_us = metrics.bucket_us * group as u64;
    let per = format!("per {} ms", width_us as f64 / 1e3);
    let run = builder.run_track();
    let series = &metrics.series;
    let sum = |what: &str, columns| Counter { name: format!("{what} {per}"), track: run, kind: Kind::Sum, columns };
    let mut all = vec![
        Counter {
            name: "clients".to_owned(),
            track: run,
            kind: Kind::Level,
            columns: vec![("open", &series.clients_open[..]), ("connecting", &series.clients_connecting)],
        },
        sum("deliveries", vec![("messages", &series.deliveries[..])]),
        sum("echoes", vec![("messages", &series.echoes[..])]),
        sum("sends of sources", vec![("messages", &series.source_sends[..])]),
        sum("drops", vec![("messages", &series.drops[..])]),
        sum("gap notices", vec![("notices", &series.gaps[..])]),
    ];
    for proxy in &metrics.proxies {
        let Some(track) = builder.host_track(&metrics.tiers().proxy(proxy.proxy)) else { continue };
        let level = |name: &str, column| Counter {
            name: name.to_owned(),
            track,
            kind: Kind::Level,
            columns: vec![("now", column)],
        };
        all.extend([
            level("clients", &proxy.clients[..]),
            level("handshakes", &proxy.handshakes),
            level("legs", &proxy.legs),
            Counter {
                name: "queued bytes".to_owned(),
                track,
                kind: Kind::Peak,
                columns: vec![("all clients", &proxy.queue_bytes[..]), ("longest queue", &proxy.queue_bytes_max)],
            },
        ]);
    }
    for source in &metrics.sources {
        let Some(track) = builder.host_track(&source.source.to_string()) else { continue };
        all.push(Counter {
            name: "connections".to_owned(),
            track,
            kind: Kind::Level,
            columns: vec![("now", &source.connections)],
        });
    }
    for counter in &all {
        counter.add(builder, metrics, group);
    }
}

impl Counter<'_> {
    fn add(&self, builder: &mut Builder<'_>, metrics: &Metrics, group: usize) {
        // What never counted anything is not shown.
        if self.columns.iter().all(|(_, column)| column.iter().all(|value| *value == 0)) {
            return;
        }
        let width_us = metrics.bucket_us * group as u64;
        let buckets = self.columns.first().map_or(0, |(_, column)| column.len());
        let mut last = None;
        for place in 0..buckets.div_ceil(group) {
            let stretch = |column: &[u64]| -> u64 {
                let part = &column[(place * group).min(column.len())..((place + 1) * group).min(column.len())];
                match self.kind {
                    Kind::Sum => part.iter().sum(),
                    Kind::Level => part.last().copied().unwrap_or_default(),
                    Kind::Peak => part.iter().copied().max().unwrap_or_default(),
                }
            };
            let values: Vec<u64> = self.columns.iter().map(|(_, column)| stretch(column)).collect();
            if last.as_ref() == Some(&values) {
                continue;
            }
            let from = match self.kind {
                Kind::Sum | Kind::Peak => place,
                Kind::Level => place + 1,
            };
            let ts = (from as u64 * width_us).min(metrics.end_us);
            let args: Vec<(&'static str, Value)> =
                self.columns.iter().zip(&values).map(|((name, _), value)| (*name, Value::from(*value))).collect();
            builder.always(Entry::new(Phase::Counter, "", self.name.clone(), ts, self.track).with(args));
            last = Some(values);
        }
    }
}
