//! Charts of a run as SVG: real text, no fonts, no scripts, the same bytes for the same metrics.
//!
//! ```text
//!   title
//!   legend                      above the plot, never on the data
//!   phases, faults              labels at their place in time
//!   +--------[shaded]-----|--+  a fault in force | a violation in red
//!   |        [      ]     |  |
//!   +------------------------+  the same time axis in all charts, so that they can be read in a column
//! ```
//!
//! Where more buckets were measured than can be told apart on 800 pixels, neighbours are merged: the worst of latencies and queues, the mean of rates, the
//! last of counts. Quantiles are never averaged.

use plotters::style::RGBColor;

use self::scale::Scale;
use self::spread::Spread;
use self::timeline::{Line, Merge, Plot, Timeline};
use crate::figure;
use crate::metrics::{Metrics, Quantiles};
use crate::record::Verdict;

mod canvas;
mod curves;
mod likelihood;
mod plane;
pub(crate) mod scale;
mod spread;
mod timeline;
pub(crate) mod xy;

pub use self::curves::{Curve, Curves};
pub use self::likelihood::{Share, likelihood};
pub use self::plane::{Plane, Series, plane};

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Its file name without `.svg`: `delivery-latency`.
    pub name: &'static str,
    /// Its heading.
    pub title: String,
    /// What it shows, in words, for readers who do not see it.
    pub describe: String,
    /// The picture: one `<svg>` element.
    pub svg: String,
}

// Okabe and Ito's palette, which people with any colour vision can tell apart; red is kept for violations.
pub(crate) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
pub(crate) const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);
pub(crate) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
pub(crate) const PURPLE: RGBColor = RGBColor(0xcc, 0x79, 0xa7);
pub(crate) const SKY: RGBColor = RGBColor(0x56, 0xb4, 0xe9);
pub(crate) const GREY: RGBColor = RGBColor(0x88, 0x8f, 0x98);
const PALETTE: [RGBColor; 6] = [BLUE, ORANGE, GREEN, PURPLE, SKY, GREY];
/// Instances that get a line of their own; the rest are shown as one sum.
const INSTANCES_MAX: usize = 6;

/// All charts of a run, in the order of reading. Echo latency is left out where nothing was echoed; any other chart without data says "nothing measured".
#[must_use]
pub fn all(metrics: &Metrics, verdict: &Verdict) -> Vec<Chart> {
    let timeline = Timeline::new(metrics, verdict);
    let mut charts = Vec::new();
    let mut add = |name, plot: &Plot| {
        let series: Vec<&str> = plot.lines.iter().map(|line| line.label.as_str()).collect();
        let describe = format!("{}: {} over time; {}", plot.title, series.join(", "), timeline.describe());
        let svg = labelled(timeline.draw(plot), &describe);
        charts.push(Chart { name, title: plot.title.clone(), describe, svg });
    };
    if metrics.echo.count == 0 || metrics.delivery.count > 0 {
        add("delivery-latency", &latency(&timeline, "Delivery latency", &metrics.series.delivery_us));
    }
    if metrics.echo.count > 0 {
        add("echo-latency", &latency(&timeline, "Echo latency", &metrics.series.echo_us));
    }
    add("rates", &rates(&timeline, metrics));
    add("clients", &clients(metrics));
    add("instances", &instances(metrics));
    add("queues", &queues(metrics));
    add("fairness-instances", &fairness_instances(metrics));
    charts.push(fairness_clients(metrics));
    charts
}

fn latency(timeline: &Timeline, title: &str, quantiles: &Quantiles) -> Plot {
    let ms = |column: &[Option<u64>]| column.iter().map(|us| us.map(|us| us as f64 / 1e3)).collect();
    let line = |label: &str, color, width, column: &[Option<u64>]| Line {
        label: label.to_owned(),
        color,
        width,
        values: ms(column),
        merge: Merge::Max,
    };
    let known = |column: &[Option<u64>]| column.iter().flatten().copied().collect::<Vec<_>>();
    let least = known(&quantiles.p50).into_iter().min().unwrap_or(0).max(1) as f64 / 1e3;
    let most = known(&quantiles.max).into_iter().max().unwrap_or(0).max(1) as f64 / 1e3;
    let scale = if most / least > 20.0 { Scale::log(least, most) } else { Scale::linear(most, 5) };
    Plot {
        title: format!("{title} (worst of each {:.0} ms)", timeline.point_ms()),
        y_label: if matches!(scale, Scale::Log { .. }) { "latency (ms, log)" } else { "latency (ms)" }.to_owned(),
        y: scale,
        lines: vec![
            line("max", GREY, 1, &quantiles.max),
            line("p99", ORANGE, 2, &quantiles.p99),
            line("p90", SKY, 2, &quantiles.p90),
            line("p50", BLUE, 2, &quantiles.p50),
        ],
    }
}

fn rates(timeline: &Timeline, metrics: &Metrics) -> Plot {
    let series = &metrics.series;
    let per_second = 1e6 / metrics.bucket_us as f64;
    // The bucket that the end cuts short would show as a fall that never was.
    let whole = usize::try_from(metrics.end_us / metrics.bucket_us.max(1)).unwrap_or(usize::MAX);
    let line = |label: &str, color, column: &[u64]| Line {
        label: label.to_owned(),
        color,
        width: 2,
        values: column.iter().take(whole).map(|n| Some(*n as f64 * per_second)).collect(),
        merge: Merge::Mean,
    };
    let mut lines = vec![
        line("delivered to clients", BLUE, &series.deliveries),
        line("sent by sources (all legs)", GREEN, &series.source_sends),
    ];
    for (label, color, column) in [
        ("requests sent", PURPLE, &series.client_sends),
        ("echoes", SKY, &series.echoes),
        ("dropped by proxies", ORANGE, &series.drops),
    ] {
        if column.iter().any(|n| *n > 0) {
            lines.push(line(label, color, column));
        }
    }
    drop_flat(&mut lines);
    Plot {
        title: format!("Messages per second (mean of each {:.0} ms)", timeline.point_ms()),
        y_label: "messages/s".to_owned(),
        y: Scale::linear(greatest(&lines), 5),
        lines,
    }
}

fn clients(metrics: &Metrics) -> Plot {
    let series = &metrics.series;
    let mut lines = vec![
        count_line("open", BLUE, &series.clients_open),
        count_line("connecting", SKY, &series.clients_connecting),
        count_line("refused (since start)", ORANGE, &series.clients_refused),
        count_line("closed (since start)", GREY, &series.clients_closed),
    ];
    if lines.iter().all(|line| line.values.iter().flatten().all(|value| *value == 0.0)) {
        drop_flat(&mut lines);
    }
    Plot {
        title: "Client connections by state".to_owned(),
        y_label: "clients".to_owned(),
        y: Scale::counts(greatest(&lines), 5),
        lines,
    }
}

/// The proxies' account of their legs where there is one, else the sources' ledgers.
fn instances(metrics: &Metrics) -> Plot {
    let by_legs = metrics.sources.iter().any(|source| source.legs.iter().any(|legs| *legs > 0));
    let columns: Vec<(String, &[u64])> = metrics
        .sources
        .iter()
        .map(|source| {
            let column = if by_legs { &source.legs } else { &source.connections };
            (metrics.tiers().source(source.source), column.as_slice())
        })
        .collect();
    let mut lines = instance_lines(&columns, Merge::Last, 1.0);
    if lines.iter().all(|line| line.values.iter().flatten().all(|value| *value == 0.0)) {
        drop_flat(&mut lines);
    }
    Plot {
        title: "Legs by source instance".to_owned(),
        y_label: "legs".to_owned(),
        y: Scale::counts(greatest(&lines), 5),
        lines,
    }
}

fn queues(metrics: &Metrics) -> Plot {
    let most = metrics.proxies.iter().flat_map(|proxy| &proxy.queue_bytes).max().copied().unwrap_or(0);
    let (unit, word) = match most {
        0..10_240 => (1.0, "B"),
        10_240..10_485_760 => (1024.0, "KiB"),
        _ => (1_048_576.0, "MiB"),
    };
    let columns = |suffix: &str, longest: bool| -> Vec<(String, &[u64])> {
        let column = |proxy: &'_ crate::metrics::ProxySeries| -> String {
            format!("{}{suffix}", metrics.tiers().proxy(proxy.proxy))
        };
        let values = metrics.proxies.iter();
        values
            .map(|proxy| {
                let values = if longest { &proxy.queue_bytes_max } else { &proxy.queue_bytes };
                (column(proxy), values.as_slice())
            })
            .collect()
    };
    let mut lines = instance_lines(&columns(", all clients", false), Merge::Max, unit);
    if let [_] = metrics.proxies.as_slice() {
        let mut longest = instance_lines(&columns(", longest queue", true), Merge::Max, unit);
        longest.iter_mut().for_each(|line| line.color = ORANGE);
        lines.append(&mut longest);
    }
    Plot {
        title: "Bytes queued for clients".to_owned(),
        y_label: format!("queued ({word})"),
        y: if word == "B" { Scale::counts(greatest(&lines), 5) } else { Scale::linear(greatest(&lines), 5) },
        lines,
    }
}

fn fairness_instances(metrics: &Metrics) -> Plot {
    let values = metrics.fairness.instances_jain.clone();
    let mut lines = vec![Line {
        label: "Jain's index over instances".to_owned(),
        color: BLUE,
        width: 2,
        values,
        merge: Merge::Last,
    }];
    if metrics.fairness.instances_jain_mean.is_none() {
        lines.clear();
    }
    Plot {
        title: "Fairness over sources without a fault (1 = even, 1/k = all on one of k)".to_owned(),
        y_label: "Jain's index".to_owned(),
        y: Scale::linear(1.0, 5),
        lines,
    }
}

fn fairness_clients(metrics: &Metrics) -> Chart {
    let fairness = &metrics.fairness;
    let title = format!(
        "Fairness over {} clients: share of clients at or below",
        figure::count(fairness.delivered.len() as u64)
    );
    let latencies: Vec<f64> = fairness.latency_us_p50.iter().flatten().map(|us| *us as f64 / 1e3).collect();
    let delivered: Vec<f64> = fairness.delivered.iter().map(|n| *n as f64).collect();
    let describe = format!(
        "{title}: messages delivered, Jain's index {}; median latency, Jain's index {}",
        figure::index(fairness.delivered_jain),
        figure::index(fairness.latency_jain)
    );
    let svg = spread::draw(
        &title,
        [
            Spread {
                title: format!("Messages delivered (Jain's index {})", figure::index(fairness.delivered_jain)),
                x_label: "messages delivered to the client".to_owned(),
                color: BLUE,
                values: delivered,
            },
            Spread {
                title: format!("Median latency (Jain's index {})", figure::index(fairness.latency_jain)),
                x_label: "the client's median latency (ms)".to_owned(),
                color: GREEN,
                values: latencies,
            },
        ],
    );
    let svg = labelled(svg, &describe);
    Chart { name: "fairness-clients", title, describe, svg }
}

fn count_line(label: &str, color: RGBColor, column: &[u64]) -> Line {
    Line {
        label: label.to_owned(),
        color,
        width: 2,
        values: column.iter().map(|n| Some(*n as f64)).collect(),
        merge: Merge::Last,
    }
}

/// A line for each of the first instances, and one for the sum of the others.
fn instance_lines(columns: &[(String, &[u64])], merge: Merge, unit: f64) -> Vec<Line> {
    let own = if columns.len() > INSTANCES_MAX { INSTANCES_MAX - 1 } else { columns.len() };
    let (own, others) = columns.split_at(own);
    let line = |label: String, color, values: Vec<u64>| Line {
        label,
        color,
        width: 2,
        values: values.into_iter().map(|n| Some(n as f64 / unit)).collect(),
        merge,
    };
    let mut lines: Vec<Line> =
        own.iter().zip(PALETTE).map(|((label, column), color)| line(label.clone(), color, column.to_vec())).collect();
    if let Some((_, first)) = others.first() {
        let sum = (0..first.len()).map(|place| others.iter().filter_map(|(_, column)| column.get(place)).sum());
        lines.push(line(format!("{} others together", others.len()), GREY, sum.collect()));
    }
    lines
}

fn greatest(lines: &[Line]) -> f64 {
    lines.iter().flat_map(|line| line.values.iter().flatten().copied()).fold(0.0, f64::max)
}

/// Where every line is zero all along, nothing was measured: rather no line than one that looks like a result.
fn drop_flat(lines: &mut Vec<Line>) {
    if greatest(lines) == 0.0 {
        lines.clear();
    }
}

/// Tells readers who do not see it what the picture shows.
pub(crate) fn labelled(svg: String, describe: &str) -> String {
    let mut escaped = String::with_capacity(describe.len());
    for character in describe.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{escaped}\" "), 1)
}
