//! All of a measurement, in its order.

use std::path::Path;
use std::time::{Duration, Instant};

use reports::capacity::{CapacityReport, Conditions, Regression, SCHEMA, Step};
use reports::record::Outcome;

use super::against;
use super::axis::Axis;
use super::budget;
use super::machine::{Machine, Placement};
use super::memory;
use super::model::{self, Instance};
use super::prices::{self, PricesError};
use super::search::search;
use super::sentence::{self, Facts, sentence};
use super::settings::Settings;
use super::trial::{Bench, TrialError};

/// Descriptors that a program needs beside its connections: the proxy of these keeps most, for those that it refuses.
const SPARE_DESCRIPTORS: u64 = 400;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum SizingError {
    /// A trial.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The price file.
    #[error(transparent)]
    Prices(#[from] PricesError),
}

/// Who wants to know how it goes.
pub trait Progress {
    /// An axis begins.
    fn axis(&mut self, axis: Axis, what: &str);
    /// A trial has ended.
    fn step(&mut self, axis: Axis, step: &Step);
    /// A word.
    fn word(&mut self, word: &str);
}

struct Clock {
    began: Instant,
    whole: Duration,
}

impl Clock {
    fn left(&self) -> Duration {
        self.whole.saturating_sub(self.began.elapsed())
    }
}

/// Measures all axes within the time, and draws the conclusions. Begins with nothing but processes of its own, and leaves none.
///
/// # Errors
/// [`SizingError`]; what the proxy does is never one.
#[expect(clippy::disallowed_methods, reason = "processes over real sockets take real time")]
pub fn measure(settings: &Settings, progress: &mut dyn Progress) -> Result<CapacityReport, SizingError> {
    let prices = settings.prices.as_deref().map(|path| prices::read(path).map(|read| (path, read))).transpose()?;
    let whole = if settings.against.is_some() { settings.time_budget / 2 } else { settings.time_budget };
    let clock = Clock { began: Instant::now(), whole };
    let began = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let placement = Placement::here();
    let settings = &within_descriptors(settings);
    let bench = Bench { placement, proxy_program: None, proxy_args: &settings.proxy_args, dir: &settings.logs };
    let mut axes = Vec::new();
    let mut descriptors_max = None;
    for axis in Axis::ALL {
        let time = budget::time(axis, clock.whole, clock.left());
        let searched = search(axis, time, settings, &bench, progress)?;
        descriptors_max = descriptors_max.or(searched.descriptors_max);
        axes.push(searched.report);
    }
    let of = |name: &str| axes.iter().find(|axis| axis.name == name);
    let levels = |name: &str| of(name).map(|axis| memory::levels(&axis.steps)).unwrap_or_default();
    let subscribed = memory::state("subscribed", "connections of the mix, at their rate", levels("mixed"));
    let idle = memory::state("idle", "connections with a message in ten seconds", levels("held"));
    progress.word("memory of clients that read nothing");
    let stalled = stalled(settings, &bench, &clock)?;
    let machine = Machine::here();
    // The first axis is that of the verdict.
    let mixed = &axes[0];
    let limits = model::limits(mixed, Some(&subscribed), machine.memory_bytes, descriptors_max);
    let not_tested = sentence::not_tested(settings, &placement);
    let goodput = settings.goodput_min * 100.0;
    let objective = format!("{goodput} % of messages within {}", humantime::format_duration(settings.objective));
    let facts = Facts {
        mixed,
        limits: &limits,
        messages_per_s: settings.mix.messages_per_s(),
        objective: &objective,
        not_tested: "a real network, TLS, other machines",
    };
    let (sentence, mut outcome, mut reasons) = sentence(&facts);
    if crate::capsule::profile() == "debug" && outcome == Outcome::Pass {
        outcome = Outcome::Inconclusive;
        reasons.push("the programs are a debug build: build with --release".to_owned());
    }
    let accepts = of("connect").and_then(|axis| axis.found).map(|found| found.load);
    let (mut fleet, mut cost, mut what_if) = (Vec::new(), None, Vec::new());
    let holds = mixed.found.map(|found| sentence::capacity(found.load, limits.iter().find(|limit| limit.binds)));
    if let Some(holds) = holds {
        let demands = settings.demand.map_or_else(|| [2.0, 5.0, 10.0].map(|n| n * holds).to_vec(), |one| vec![one]);
        fleet = model::fleet(holds, accepts, &demands);
        cost = prices
            .as_ref()
            .zip(fleet.first())
            .map(|((path, prices), row)| model::cost(&path.display().to_string(), prices, row));
        what_if = model::what_if(&Instance {
            capacity: holds,
            demand: demands[0],
            deliveries_per_s: of("rate").and_then(|axis| axis.found).map(|found| found.load),
            messages_per_s: settings.mix.messages_per_s(),
            subscribed: Some(&subscribed),
            stalled: Some(&stalled),
        });
    }
    let report = CapacityReport {
        schema: SCHEMA,
        sentence,
        operate_at: holds.map(|holds| holds * model::OPERATE),
        outcome,
        reasons,
        conditions: Conditions {
            began,
            took_s: clock.began.elapsed().as_secs_f64(),
            command: settings.command.clone(),
            proxy: format!("windtunnel role proxy {}", settings.proxy_args.join(" ")).trim_end().to_owned(),
            proxy_version: env!("CARGO_PKG_VERSION").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: crate::capsule::profile().to_owned(),
            cpu: machine.cpu,
            cores: placement.cores,
            memory_bytes: machine.memory_bytes,
            kernel: machine.kernel,
            placement: placement.words(),
            objective_us: u64::try_from(settings.objective.as_micros()).unwrap_or(u64::MAX),
            goodput_min: settings.goodput_min,
            mix: settings.mix.words(),
            messages_per_connection_s: settings.mix.messages_per_s(),
            verified_share: settings.verify,
        },
        law: model::law(mixed),
        queues: model::queues(mixed, &settings.mix),
        memory: vec![idle, subscribed, stalled],
        limits,
        fleet,
        cost,
        what_if,
        forecast: None,
        regression: None,
        not_tested,
        axes,
    };
    let Some(program) = &settings.against else { return Ok(report) };
    // What was measured before is not lost where the other program is none.
    let regression = turns(program, &report, settings, &bench, progress).unwrap_or_else(|error| Regression {
        before: program.display().to_string(),
        unlike: vec![error.to_string()],
        rows: Vec::new(),
    });
    Ok(CapacityReport { regression: Some(regression), ..report })
}

/// The same, with no more connections than the generator may have descriptors: that it cannot say of more what it would be like is no fault of the proxy.
fn within_descriptors(settings: &Settings) -> Settings {
    let most = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(_, hard)| hard);
    let most = u32::try_from(most.saturating_sub(SPARE_DESCRIPTORS)).unwrap_or(u32::MAX).max(1);
    Settings {
        connections_max: settings.connections_max.min(most),
        fixed_connections: settings.fixed_connections.min(most),
        clients_max: settings.clients_max.min(most),
        ..settings.clone()
    }
}

/// The first axis with both programs in turns (A B B A), so that what drifts on the machine drifts for both.
fn turns(
    program: &Path,
    report: &CapacityReport,
    settings: &Settings,
    bench: &Bench<'_>,
    progress: &mut dyn Progress,
) -> Result<Regression, SizingError> {
    let each = settings.time_budget / 2 / (2 * settings.runs);
    let (mut before, mut now) = (Vec::new(), Vec::new());
    for turn in 0..2 * settings.runs {
        let other = matches!(turn % 4, 1 | 2);
        progress.word(&format!(
            "turn {} of {}: {}",
            turn + 1,
            2 * settings.runs,
            if other { "the other" } else { "this one" }
        ));
        let bench = Bench { proxy_program: other.then_some(program), ..bench.clone() };
        let axis = search(Axis::Mixed, each, settings, &bench, progress)?.report;
        let subscribed = memory::state("subscribed", "", memory::levels(&axis.steps));
        let run = CapacityReport { axes: vec![axis], memory: vec![subscribed], ..report.clone() };
        if other { before.push(run) } else { now.push(run) }
    }
    Ok(against::against(&program.display().to_string(), &before, &now))
}

fn stalled(settings: &Settings, bench: &Bench<'_>, clock: &Clock) -> Result<reports::capacity::Memory, SizingError> {
    let mut measured = Vec::new();
    for trial in memory::stalled(settings) {
        if clock.left() < trial.takes() {
            break;
        }
        measured.push(bench.run(&trial)?);
    }
    Ok(memory::stalled_state(&measured))
}
