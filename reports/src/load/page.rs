//! The page of a measurement: one file that needs nothing else and asks for nothing.

use askama::Template;

use super::{Load, Phase, Second};
use crate::chart::{Curve, Curves};
use crate::figure;
use crate::page::Badge;
use crate::record::Outcome;

/// The page.
///
/// # Errors
/// Fails only if memory does: everything in it is text.
pub fn page(load: &Load) -> Result<String, askama::Error> {
    Page { load, badge: Badge::of(load.verdict), charts: charts(load) }.render()
}

#[derive(Template)]
#[template(path = "load.html")]
struct Page<'a> {
    load: &'a Load,
    badge: Badge,
    charts: Vec<String>,
}

impl Page<'_> {
    fn held(&self, outcome: &Outcome) -> Badge {
        Badge::of(*outcome)
    }

    fn count(&self, count: &u64) -> String {
        figure::count(*count)
    }
}

/// A figure of a second, if it was measured.
type Column = fn(&Second) -> Option<f64>;

fn charts(load: &Load) -> Vec<String> {
    let shade = load.window.map(|(from, to)| (from, to, "measured window"));
    let over_time = |title, y_label, y_log, columns: &[(&str, Column)]| {
        let curves: Vec<Curve> = columns
            .iter()
            .map(|(label, of)| Curve {
                label: (*label).to_owned(),
                points: load.seconds.iter().map(|second| (second.at_s, of(second))).collect(),
            })
            .collect();
        Curves { title, x_label: "time since the beginning (s)", y_label, x_log: false, y_log, shade, curves: &curves }
            .draw()
    };
    let mut charts = Vec::new();
    if load.distributions.iter().any(|distribution| !distribution.points.is_empty()) {
        let curve = |distribution: &super::Distribution| Curve {
            label: distribution.label.clone(),
            points: distribution.points.iter().map(|(n, ms)| (*n, Some(*ms))).collect(),
        };
        let curves: Vec<Curve> = load.distributions.iter().map(curve).collect();
        let plot = Curves {
            title: "Latency by how rare it is",
            x_label: "one sample in so many takes longer (10: p90, 100: p99, 1000: p99.9)",
            y_label: "latency (ms, log)",
            x_log: true,
            y_log: true,
            shade: None,
            curves: &curves,
        };
        charts.push(plot.draw());
    }
    if !load.seconds.is_empty() {
        if load.seconds.iter().any(|second| second.p50_ms.is_some()) {
            let columns: [(&str, Column); 2] = [("p50", |second| second.p50_ms), ("p99", |second| second.p99_ms)];
            charts.push(over_time("Latency", "latency (ms, log)", true, &columns));
        }
        charts.push(over_time(
            "Deliveries",
            "messages/s",
            false,
            &[("deliveries", |second| Some(second.deliveries_per_s))],
        ));
        charts.push(over_time("Open sessions", "sessions", false, &[("open", |second| Some(second.open as f64))]));
        let dials: [(&str, Column); 2] =
            [("opened", |second| Some(second.opened_per_s)), ("failed", |second| Some(second.failed_per_s))];
        charts.push(over_time("Dials", "dials/s", false, &dials));
    }
    charts
}

impl Phase {
    fn samples(&self) -> String {
        figure::count(self.count)
    }

    fn cells(&self) -> impl Iterator<Item = String> {
        // Three figures that count.
        let say = |ms: f64| if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.1}") };
        self.ms.into_iter().map(move |ms| ms.map_or_else(|| "–".to_owned(), say))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Distribution;

    #[test]
    fn a_page_shows_what_there_is_and_escapes_what_others_wrote() {
        let load = Load {
            title: "ws://<target>".to_owned(),
            verdict: Outcome::Inconclusive,
            sentence: "Inconclusive: too late.".to_owned(),
            reasons: vec!["give it a core".to_owned()],
            conditions: vec![("clients".to_owned(), "1000".to_owned())],
            health: vec![("CPU".to_owned(), "71 %".to_owned(), "at most 70 %".to_owned())],
            requirements: vec![("tick_p99<50ms".to_owned(), Outcome::Fail, "61.00 ms".to_owned())],
            phases: vec![Phase {
                name: "TCP".to_owned(),
                meaning: "from SYN to connection".to_owned(),
                count: 20,
                ms: [Some(1.0), None, None, None, Some(12.0)],
            }],
            counts: vec![("missing".to_owned(), "0".to_owned())],
            closes: vec![("us".to_owned(), "1000 normal".to_owned(), 12_000)],
            distributions: vec![Distribution { label: "tick".to_owned(), points: vec![(1.0, 1.0), (100.0, 9.0)] }],
            seconds: vec![Second { at_s: 1.0, open: 5, p50_ms: Some(1.0), ..Second::default() }],
            window: Some((0.5, 1.0)),
        };
        let text = page(&load).unwrap();
        for word in [
            "ws://&#60;target&#62;",
            "give it a core",
            "61.00 ms",
            "–",
            "12,000",
            "Latency by how rare",
            "? inconclusive",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(!text.contains("src=") && !text.contains("href=") && !text.contains("url("), "it asks for nothing");
        let nothing = Load { distributions: Vec::new(), seconds: Vec::new(), phases: Vec::new(), ..load };
        assert!(!page(&nothing).unwrap().contains("<svg"));
    }
}
