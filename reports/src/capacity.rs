//! What a measurement of capacity came to, as data: `capacity.json`. Whoever measured fills it in; the page and the tables show it as it is.
//!
//! ```text
//!   CapacityReport
//!     sentence        the verdict, first            conditions   where, what and how
//!     axes            a search each, with its steps (mixed, rate, connect, held)
//!     memory          lines through levels          limits       what each resource would hold, and which one binds
//!     law, queues     models beside what was measured
//!     fleet, cost, what_if                          forecast     the simulator's word
//!     regression      against an earlier report     not_tested   what nobody should conclude from it
//!
//!   page    index.html, the verdict first        csv       steps.csv, a row a trial
//!   text    for a terminal of 80 columns         write     a folder of all of them, with capacity.json and charts/*.svg
//! ```
//!
//! Rates are a second, times are microseconds where a name ends in `_us`, shares are from 0 to 1. What was not measured is absent, never 0.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::folder::WriteError;
use crate::record::Outcome;

mod block;
mod charts;
mod csv;
mod folder;
mod notes;
mod page;
mod picture;
mod text;
mod words;

/// The version of `capacity.json`.
pub const SCHEMA: u32 = 1;

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapacityReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The verdict in one sentence: what one instance holds, under which objective, what binds, where to operate, and what was not tested.
    pub sentence: String,
    /// Connections of the mix to operate at: the part of what it holds that leaves room for bursts, deploys and a lost instance. None where nothing held.
    #[serde(default)]
    pub operate_at: Option<f64>,
    /// Whether the sentence may be relied on: inconclusive where the generator was not healthy, or a search did not end.
    pub outcome: Outcome,
    /// Why it is not a pass, a line each.
    pub reasons: Vec<String>,
    /// Where, what, how.
    pub conditions: Conditions,
    /// One search each, in the order of reading; the first is the one that the sentence speaks of.
    pub axes: Vec<Axis>,
    /// Bytes a connection, in the states that were measured.
    pub memory: Vec<Memory>,
    /// What each resource would hold, in connections of the mix.
    pub limits: Vec<Limit>,
    /// The Universal Scalability Law over the steps of the first axis.
    pub law: Option<Law>,
    /// Measured ages beside those of queueing models, a row for each step of the first axis.
    pub queues: Vec<QueueRow>,
    /// Instances for a demand, with losses.
    pub fleet: Vec<FleetRow>,
    /// From a price file of the user's.
    pub cost: Option<Cost>,
    /// What changes if the load does.
    pub what_if: Vec<WhatIf>,
    /// What the simulator makes of the costs that were measured, beside what was, and what only it can say.
    pub forecast: Option<Forecast>,
    /// Against an earlier report.
    pub regression: Option<Regression>,
    /// What nobody should conclude from this, a line each.
    pub not_tested: Vec<String>,
}

/// Where, what and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// When it began, RFC 3339.
    pub began: String,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// The command that does it again.
    pub command: String,
    /// What was measured: `windtunnel proxy`, or the foreign program's command.
    pub proxy: String,
    /// The version of that.
    pub proxy_version: String,
    /// The version of Windtunnel.
    pub version: String,
    /// The build profile of the programs: `release`, `sim`, `dev`.
    pub profile: String,
    /// The machine's processor.
    pub cpu: String,
    /// Its cores.
    pub cores: usize,
    /// Its memory, in bytes.
    pub memory_bytes: u64,
    /// Its kernel.
    pub kernel: String,
    /// The core of the proxy, if it has one of its own, and those of the generator and the source, in words.
    pub placement: String,
    /// A delivery later than this after its planned instant misses the objective.
    pub objective_us: u64,
    /// The share of planned messages that must meet it.
    pub goodput_min: f64,
    /// What each connection of the mix gets, in words: "10 symbols, 1 tick/s each, 92 bytes".
    pub mix: String,
    /// Messages a second that each connection of the mix gets.
    pub messages_per_connection_s: f64,
    /// The share of clients that checked every byte; the others counted frames.
    pub verified_share: f64,
}

/// One search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// `mixed`, `rate`, `connect`, `held`.
    pub name: String,
    /// What is varied, in words: "connections, each with 10 messages a second".
    pub what: String,
    /// The unit of a load: "connections", "deliveries/s", "connections/s".
    pub unit: String,
    /// Every trial, in the order of time.
    pub steps: Vec<Step>,
    /// The greatest load that held in a longer window; none if none did.
    pub found: Option<Found>,
    /// How the search ended, in words.
    pub end: String,
    /// What gave out at the load that failed: "CPU of the proxy (98 %)"; none if unknown.
    pub binds: Option<String>,
}

/// The greatest load that holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The load.
    pub load: f64,
    /// The least load that did not hold; none if every one did.
    pub fails_at: Option<f64>,
    /// Longer windows in which it held.
    pub confirmations: u32,
    /// Whether that is as many as were asked for.
    pub confirmed: bool,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The load that was asked for.
    pub load: f64,
    /// `grow`, `bisect` or `confirm`.
    pub stage: String,
    /// `holds`, `fails` or `unhealthy`.
    pub answer: String,
    /// Why, in words.
    pub why: String,
    /// The measured window, in seconds.
    pub window_s: f64,
    /// Connections that were open in it.
    pub connections: u64,
    /// Messages (or connections, on the axis of connections a second) that were planned in the window.
    pub planned: u64,
    /// Those that came.
    pub delivered: u64,
    /// The share of those planned that came within the objective: an estimate from the clients that check.
    pub goodput: Option<f64>,
    /// Planned instant to arrival (or the beginning of a dial to its upgrade).
    pub latency: Option<Quantiles>,
    /// The proxy.
    pub proxy: Option<Footprint>,
    /// The generator: its share of one core.
    pub generator: Health,
    /// The source's share of one core.
    pub source_cpu: Option<f64>,
    /// Little's law on this step's own figures; none where nothing was in flight to count.
    pub little: Option<Little>,
}

/// Quantiles of one distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Samples.
    pub count: u64,
    /// The mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: u64,
    /// Nine of ten are not above it.
    pub p90_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
    /// 999 of 1,000.
    pub p999_us: u64,
    /// The greatest.
    pub max_us: u64,
}

/// What the proxy took, over the window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Footprint {
    /// Its CPU time as a share of one core.
    pub cpu: f64,
    /// Resident memory at the end of the window.
    pub rss_bytes: u64,
    /// The kernel's memory for TCP sockets at the end of the window, of both ends of every connection of the machine (`/proc/net/sockstat`), less that before.
    pub kernel_bytes: Option<u64>,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// TCP segments with data that the machine sent a second, where the kernel counts them (`TCPOrigDataSent`): those of the proxy, one for messages that are written
    /// together, and the few of the source and of clients that listen. None where clients come and go.
    #[serde(default)]
    pub segments_per_s: Option<f64>,
}

/// How the generator was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Whether what it measured says something of the proxy.
    pub healthy: bool,
    /// Why not, in words.
    pub reasons: Vec<String>,
    /// Its share of the cores that it may use.
    pub cpu: Option<f64>,
    /// How late its timers were: 99 of 100 not above it.
    pub lateness_p99_us: Option<u64>,
}

/// Little's law, L = lambda W: connections in their phase against their rate and how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Little {
    /// Counted under way.
    pub counted: f64,
    /// Rate times mean stay.
    pub computed: f64,
    /// How far apart, as a share of the greater.
    pub off: f64,
    /// Whether that is within the tenth that is allowed.
    pub agrees: bool,
}

/// Bytes a connection in one state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// `idle`, `subscribed`, `stalled`.
    pub state: String,
    /// What that means, in words.
    pub what: String,
    /// Connections, resident bytes of the proxy, kernel bytes of both ends.
    pub levels: Vec<(u64, u64, Option<u64>)>,
    /// Resident bytes over connections.
    pub line: Option<Line>,
    /// Kernel bytes over connections: both ends of each.
    pub kernel: Option<Line>,
}

/// A straight line with intervals of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Of one more.
    pub slope: f64,
    /// Its interval.
    pub slope_low: f64,
    /// Its interval.
    pub slope_high: f64,
    /// Of none.
    pub intercept: f64,
    /// The part of the variance that it explains.
    pub r_squared: f64,
}

/// What a resource would hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// `CPU`, `memory`, `descriptors`, `ports`, `clients_max`.
    pub resource: String,
    /// Connections of the mix.
    pub capacity: f64,
    /// Whether it was reached, or is reckoned from what was.
    pub basis: Basis,
    /// How, in words.
    pub how: String,
    /// Whether it is the one that binds.
    pub binds: bool,
}

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Seen.
    Measured,
    /// Reckoned from what was seen, within its range.
    Modelled,
    /// Reckoned beyond what was seen.
    Extrapolated,
    /// From the simulator.
    Simulated,
}

/// The Universal Scalability Law: throughput over load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Law {
    /// The unit of load.
    pub load_unit: String,
    /// Load, throughput measured, throughput of the law, the band's least and greatest.
    pub points: Vec<LawPoint>,
    /// Throughput of one unit.
    pub gamma: f64,
    /// Contention.
    pub alpha: f64,
    /// Coherency.
    pub beta: f64,
    /// Intervals of 95 %.
    pub alpha_interval: (f64, f64),
    /// Intervals of 95 %.
    pub beta_interval: (f64, f64),
    /// The peak's load and its interval, if these data identify it.
    pub peak: Option<(f64, (f64, f64))>,
    /// What the coefficients mean, or why there is no peak to be told.
    pub words: String,
}

/// A point of [`Law`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LawPoint {
    /// The load.
    pub load: f64,
    /// Measured; none where only the curve goes on.
    pub measured: Option<f64>,
    /// The law's.
    pub law: f64,
    /// The band.
    pub low: f64,
    /// The band.
    pub high: f64,
}

/// A step's age of messages beside what queues alone would make of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueRow {
    /// The load.
    pub load: f64,
    /// The proxy's share of its core.
    pub utilisation: f64,
    /// CPU time that a unit of work takes, in microseconds.
    pub service_us: f64,
    /// Measured mean age.
    pub measured_us: f64,
    /// M/M/1's mean stay; none where it is not stable.
    pub mm1_us: Option<f64>,
    /// M/D/1's.
    pub md1_us: Option<f64>,
    /// The squared coefficient of variation of service that M/G/1 would need for what was measured.
    pub implied_cv2: Option<f64>,
    /// What a difference says, in words.
    pub words: String,
}

/// Instances for a demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetRow {
    /// Connections in all.
    pub demand: f64,
    /// Instances that may be lost at once.
    pub losses: u32,
    /// Instances needed.
    pub instances: u32,
    /// How busy each is, as a share of its capacity.
    pub utilisation: f64,
    /// How busy when so many are lost.
    pub utilisation_after_losses: f64,
    /// Seconds over which clients must spread their coming back; none if connections a second were not measured.
    pub smallest_jitter_s: Option<f64>,
}

/// What it costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The price file.
    pub file: String,
    /// Its date.
    pub date: String,
    /// A row for each instance type that it names.
    pub rows: Vec<CostRow>,
}

/// One instance type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// Its name.
    pub instance: String,
    /// Currency, as the file has it.
    pub currency: String,
    /// Price of an instance an hour.
    pub price_per_hour: f64,
    /// Price an hour of 1,000 connections at the operating point, with the losses that are allowed for.
    pub per_thousand_hour: f64,
    /// The demand for which.
    pub demand: f64,
    /// Instances for it.
    pub instances: u32,
}

/// What changes if the load does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhatIf {
    /// "half as many clients again", "twice the messages".
    pub change: String,
    /// Each: name of the column, value in words, basis.
    pub cells: Vec<(String, String, Basis)>,
}

/// The simulator's word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The calibration file.
    pub calibration: String,
    /// Predicted beside measured.
    pub predicted: Vec<Predicted>,
    /// Loss of one of several instances.
    pub storm: Option<Storm>,
}

/// Predicted beside measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// "deliveries/s at the knee".
    pub what: String,
    /// The simulator's.
    pub predicted: f64,
    /// Measured; none if it was not.
    pub measured: Option<f64>,
    /// Whether the difference is held against a target, and which, as a share.
    pub target: Option<f64>,
}

/// Loss of one of several instances, over many seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// The world, in words.
    pub what: String,
    /// Seeds.
    pub seeds: u64,
    /// Each figure: name, median, interval of the median, p99, worst, the worst's seed; in the unit that the name says.
    pub figures: Vec<StormFigure>,
    /// The smallest window of jitter that keeps the objective, in words; none if it was not looked for.
    pub smallest_jitter: Option<String>,
    /// The command that does it again.
    pub command: String,
    /// Pictures: file name, title, description, SVG.
    pub charts: Vec<(String, String, String, String)>,
}

/// A figure of a storm over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StormFigure {
    /// With its unit.
    pub name: String,
    /// Half of the seeds are not above it.
    pub median: f64,
    /// 95 %.
    pub median_interval: Option<(f64, f64)>,
    /// 99 of 100.
    pub p99: f64,
    /// The greatest.
    pub worst: f64,
    /// In which seed.
    pub worst_seed: u64,
}

/// Against an earlier report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// Which.
    pub before: String,
    /// What is not alike between the two, a line each: another machine, another mix. Not empty: nothing is concluded.
    pub unlike: Vec<String>,
    /// One figure each.
    pub rows: Vec<RegressionRow>,
}

/// One figure of two reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressionRow {
    /// Its name.
    pub metric: String,
    /// Each run's value before.
    pub before: Vec<f64>,
    /// Each run's value now.
    pub now: Vec<f64>,
    /// Hodges and Lehmann's shift, as a share of the median before, and its interval.
    pub shift: Option<(f64, (f64, f64))>,
    /// Mann and Whitney's p, corrected by Holm.
    pub p: Option<f64>,
    /// `better`, `same`, `worse`, `inconclusive`.
    pub judgement: String,
}

impl CapacityReport {
    /// With nothing measured under these conditions, so that there is no sentence, and inconclusive.
    #[must_use]
    pub fn new(conditions: Conditions) -> Self {
        Self {
            schema: SCHEMA,
            sentence: String::new(),
            operate_at: None,
            outcome: Outcome::Inconclusive,
            reasons: Vec::new(),
            conditions,
            axes: Vec::new(),
            memory: Vec::new(),
            limits: Vec::new(),
            law: None,
            queues: Vec::new(),
            fleet: Vec::new(),
            cost: None,
            what_if: Vec::new(),
            forecast: None,
            regression: None,
            not_tested: Vec::new(),
        }
    }

    /// The axis of this name.
    #[must_use]
    pub fn axis(&self, name: &str) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.name == name)
    }
}

/// One offline page: the verdict first, then what it rests on. Parts that are absent are left out and named at the end.
///
/// # Errors
/// Fails only if memory does: everything in it is text.
pub fn page(report: &CapacityReport) -> Result<String, askama::Error> {
    page::page(report)
}

/// Every trial of every search, a row each: RFC 4180, names of columns with their units. What was not measured is an empty field.
#[must_use]
pub fn csv(report: &CapacityReport) -> String {
    csv::csv(report)
}

/// The report for a terminal, 80 columns wide: the sentence first, then short tables. There is not one escape sequence in it, whatever a name or a command holds.
#[must_use]
pub fn text(report: &CapacityReport) -> String {
    text::text(report)
}

/// Writes `index.html`, `steps.csv`, `charts/*.svg` and, last, `capacity.json` into `dir`, which is made if need be. Where `capacity.json` stands, the rest
/// stands.
///
/// # Errors
/// [`WriteError`] names the file and what to do.
pub fn write(dir: &Path, report: &CapacityReport) -> Result<(), WriteError> {
    folder::write(dir, report)
}

/// Which parts a report does not have, by their names.
fn absent(report: &CapacityReport) -> Vec<&'static str> {
    let forecast = report.forecast.as_ref();
    let has = |name: &str| report.axis(name).is_some_and(|axis| !axis.steps.is_empty());
    let parts = [
        ("the mix", !has("mixed")),
        ("message rate at fixed connections", !has("rate")),
        ("connections a second", !has("connect")),
        ("held connections", !has("held")),
        ("memory by connections", report.memory.is_empty()),
        ("limits of resources", report.limits.is_empty()),
        ("the scalability law", report.law.is_none()),
        ("queueing models", report.queues.is_empty()),
        ("instances for a demand", report.fleet.is_empty()),
        ("cost (no price file)", report.cost.is_none()),
        ("what-if", report.what_if.is_empty()),
        ("a prediction", forecast.is_none_or(|forecast| forecast.predicted.is_empty())),
        ("the loss of an instance", forecast.is_none_or(|forecast| forecast.storm.is_none())),
        ("a comparison with an earlier report", report.regression.is_none()),
    ];
    parts.into_iter().filter(|(_, absent)| *absent).map(|(name, _)| name).collect()
}
