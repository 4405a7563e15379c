//! What a run shows: medians over the repeats, and whether the targets are met.

use super::role::Place;

/// What a server did in one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Ticks that reached clients, a second.
    pub(crate) per_s: f64,
    /// CPU time of the server for each, in microseconds.
    pub(crate) cpu_us: f64,
    /// Ages at the client.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A figure that stands alone, with its unit and what it should be at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    RssIdle,
    RssLight,
    StalledUser,
    StalledKernel,
    ChurnBare,
    ChurnPlain,
    Churn,
    ChurnRatio,
    ManyBare,
    ManyPlain,
    Many,
    ManyRatio,
    ManyOfPlain,
    Relay,
    RelayNginx,
    RelayRatio,
}

impl Figure {
    fn describe(self) -> (&'static str, &'static str, Option<f64>) {
        match self {
            Self::RssIdle => ("RSS for each of 5,000 clients, idle", "KiB", Some(5.0)),
            Self::RssLight => ("RSS for each of 5,000 clients, 2 ticks/s", "KiB", Some(5.0)),
            Self::StalledUser => ("RSS that each of 200 clients adds when it stalls", "KiB", None),
            Self::StalledKernel => ("kernel memory of a stalled client's connection, the most", "KiB", None),
            Self::ChurnBare => ("CPU of connect, upgrade and close, one after the other, of a bare loop", "us", None),
            Self::ChurnPlain => ("the same, of plain tokio-tungstenite", "us", None),
            Self::Churn => ("the same, of the proxy", "us", None),
            Self::ChurnRatio => ("the proxy's, of bare", "x", None),
            Self::ManyBare => ("CPU of connect, upgrade and close, 32 at once, of a bare loop", "us", None),
            Self::ManyPlain => ("the same, of plain tokio-tungstenite", "us", None),
            Self::Many => ("the same, of the proxy", "us", Some(40.0)),
            // 40 us where the bare loop took 26.
            Self::ManyRatio => ("the proxy's, of bare", "x", Some(1.54)),
            // 40 us where plain tokio-tungstenite took 36.
            Self::ManyOfPlain => ("the proxy's, of plain tokio-tungstenite", "x", Some(1.11)),
            Self::Relay => ("CPU of a round trip through the relay, 100 connections", "us", None),
            Self::RelayNginx => ("the same through nginx", "us", None),
            Self::RelayRatio => ("the relay's, of nginx's", "x", Some(1.5)),
        }
    }
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    samples: Vec<(&'static str, &'static str, Vec<Sample>)>,
    figures: Vec<(Figure, Vec<f64>)>,
}

impl Table {
    pub(crate) fn add(&mut self, case: &'static str, server: &'static str, sample: Sample) {
        match self.samples.iter_mut().find(|row| (row.0, row.1) == (case, server)) {
            Some(row) => row.2.push(sample),
            None => self.samples.push((case, server, vec![sample])),
        }
    }

    pub(crate) fn figure(&mut self, figure: Figure, value: f64) {
        match self.figures.iter_mut().find(|row| row.0 == figure) {
            Some(row) => row.1.push(value),
            None => self.figures.push((figure, vec![value])),
        }
    }

    /// In the form of the documents.
    pub(crate) fn print(&self, repeats: usize) {
        println!("\nmedian of {repeats}\n");
        println!("| case | server | deliveries/s | CPU us a delivery | of bare | age p50 ms | age p99 ms |");
        println!("|---|---|--:|--:|--:|--:|--:|");
        for (case, server, samples) in &self.samples {
            let of = |field: fn(&Sample) -> f64| median(samples.iter().map(field));
            // Within each repeat, as machines have moods.
            let bare = self.samples.iter().find(|row| (row.0, row.1) == (case, "bare"));
            let ratio = bare.map_or(f64::NAN, |bare| {
                median(samples.iter().zip(&bare.2).map(|(sample, bare)| sample.cpu_us / bare.cpu_us))
            });
            println!(
                "| {case} | {server} | {:.0} | {:.2} | {ratio:.2} | {:.2} | {:.2} |",
                of(|it| it.per_s),
                of(|it| it.cpu_us),
                of(|it| it.p50_ms),
                of(|it| it.p99_ms)
            );
        }
        println!("\n| figure | measured | target |\n|---|--:|--:|");
        for (figure, values) in &self.figures {
            let (name, unit, target) = figure.describe();
            let target = target.map_or_else(|| "-".to_owned(), |most| format!("<= {most} {unit}"));
            println!("| {name} | {:.2} {unit} | {target} |", median(values.iter().copied()));
        }
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The machine in a line.
pub(crate) fn described(place: Place) -> String {
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |it| it.1);
    format!("{} cores, {model}, Linux {}", place.cores, read("/proc/sys/kernel/osrelease").trim())
}

/// What the figures hold for.
pub(crate) fn machine(place: Place) {
    println!("{}", described(place));
    println!("load {}", read("/proc/loadavg").trim());
    if place.cores < 2 {
        println!("one core: server, source and clients share it, and ages mean little");
    }
    if !place.nice {
        println!("no better priority than other programs: ages include their turns");
    }
}
