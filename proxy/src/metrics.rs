//! `/metrics`: everything that is counted, in Prometheus's text format, version 0.0.4.
//!
//! Base units (seconds, bytes), every name with the prefix `windtunnel_proxy_`. The only labels are `source` and `url` of the instances that the configuration
//! names, and `le` of the histograms: nothing that a peer says becomes one.
//! Source of the format: prometheus.io, "Exposition formats", text-based format.

use std::fmt::Write as _;

use wire::net::Network;

use crate::context::Context;
use crate::lock::lock;
use crate::meter::{BOUNDS, Durations, Figure, Reading};
use crate::pool::InstanceState;

/// The page.
pub(crate) fn render<N: Network>(context: &Context<N>) -> String {
    let (queue_bytes, queue_bytes_max) = context.hub.queue_bytes();
    let gauge = |name, help, value| Figure { name, help, reading: Reading::Gauge(value) };
    let mut figures = context.meter.figures();
    figures.push(gauge("queue_bytes", "Payload bytes waiting in all client queues.", queue_bytes));
    figures.push(gauge("queue_longest_bytes", "Payload bytes waiting in the longest client queue.", queue_bytes_max));
    figures.push(gauge("draining", "Whether clients are being sent away.", u64::from(context.drain.is_asked())));
    let pending = lock(&context.pool).pending() as u64;
    let panics = u64::from(lock(&context.pool).panics());
    figures.push(gauge("upstream_panic", "Whether so few instances are healthy that all are used.", panics));
    figures.push(gauge("pending", "Clients waiting for a place at an instance.", pending));
    let mut page = Page::default();
    figures.iter().for_each(|figure| page.figure(figure));
    page.instances(&lock(&context.pool).states());
    page.0
}

/// The text under the pen.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        let _ = write!(self.0, "# HELP windtunnel_proxy_{name} {help}\n# TYPE windtunnel_proxy_{name} {kind}\n");
    }

    fn figure(&mut self, figure: &Figure) {
        let Figure { name, help, reading } = figure;
        match reading {
            Reading::Gauge(value) | Reading::Counter(value) => {
                self.head(name, if matches!(reading, Reading::Gauge(_)) { "gauge" } else { "counter" }, help);
                let _ = writeln!(self.0, "windtunnel_proxy_{name} {value}");
            }
            Reading::Histogram(durations) => {
                self.head(name, "histogram", help);
                self.durations(name, durations);
            }
        }
    }

    fn durations(&mut self, name: &str, durations: &Durations) {
        let bounds = BOUNDS.iter().map(|bound| bound.as_secs_f64().to_string()).chain(["+Inf".to_owned()]);
        for (le, count) in bounds.zip(durations.cumulative) {
            let _ = writeln!(self.0, "windtunnel_proxy_{name}_bucket{{le=\"{le}\"}} {count}");
        }
        let (sum, count) = (durations.sum.as_secs_f64(), durations.count());
        let _ = write!(self.0, "windtunnel_proxy_{name}_sum {sum}\nwindtunnel_proxy_{name}_count {count}\n");
    }

    fn instances(&mut self, states: &[InstanceState]) {
        type Reading = (&'static str, &'static str, fn(&InstanceState) -> u64);
        let readings: [Reading; 4] = [
            ("upstream_healthy", "Whether an instance may be used.", |it| u64::from(it.healthy)),
            ("upstream_connections", "Open connections to an instance.", |it| {
                u64::from(it.open.saturating_sub(it.dialing))
            }),
            ("upstream_dialing", "Dials under way to an instance.", |it| u64::from(it.dialing)),
            ("upstream_failures", "Failures in turn of an instance.", |it| u64::from(it.failures)),
        ];
        for (name, help, read) in readings {
            self.head(name, "gauge", help);
            for state in states {
                let (source, url) = (state.source.0, state.upstream.shown());
                let url = url.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
                let value = read(state);
                let _ = writeln!(self.0, r#"windtunnel_proxy_{name}{{source="{source}",url="{url}"}} {value}"#);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Upstream;
    use crate::meter::Meter;
    use wire::id::SourceId;

    #[test]
    fn a_histogram_is_cumulative_buckets_a_sum_and_a_count() {
        let meter = Meter::default();
        meter.dial.observe(Duration::from_micros(1_500));
        meter.dial.observe(Duration::from_secs(40));
        let mut page = Page::default();
        let figures = meter.figures();
        page.figure(figures.iter().find(|figure| figure.name == "upstream_dial_duration_seconds").unwrap());
        let lines: Vec<&str> = page.0.lines().collect();
        assert_eq!(lines[1], "# TYPE windtunnel_proxy_upstream_dial_duration_seconds histogram");
        for line in [
            r#"windtunnel_proxy_upstream_dial_duration_seconds_bucket{le="0.0001"} 0"#,
            r#"windtunnel_proxy_upstream_dial_duration_seconds_bucket{le="0.001"} 0"#,
            r#"windtunnel_proxy_upstream_dial_duration_seconds_bucket{le="0.0025"} 1"#,
            r#"windtunnel_proxy_upstream_dial_duration_seconds_bucket{le="30"} 1"#,
            r#"windtunnel_proxy_upstream_dial_duration_seconds_bucket{le="+Inf"} 2"#,
            "windtunnel_proxy_upstream_dial_duration_seconds_sum 40.0015",
            "windtunnel_proxy_upstream_dial_duration_seconds_count 2",
        ] {
            assert!(lines.contains(&line), "{line} is not in {lines:#?}");
        }
    }

    #[test]
    fn what_stands_in_a_label_is_escaped() {
        let state = InstanceState {
            source: SourceId(7),
            upstream: Upstream::new("ws://a/\"x\\"),
            leaving: false,
            held: false,
            open: 3,
            dialing: 1,
            healthy: true,
            ejected: false,
            failures: 0,
            rests_until: None,
        };
        let mut page = Page::default();
        page.instances(&[state]);
        let line = r#"windtunnel_proxy_upstream_connections{source="7",url="ws://a/\"x\\"} 2"#;
        assert!(page.0.contains(line), "{}", page.0);
    }
}
