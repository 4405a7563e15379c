//! `pin`: when a failure became inevitable, and what happened there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::Args;
use reports::chart::{self, Share};
use reports::folder;
use reports::story::Names;
use serde::Serialize;
use wire::event::Timed;

use super::{CaptureArgs, Failure, exit, hang, one_watched, print, replay, say};
use crate::campaign::{self, Bounds, Job, Step};
use crate::engine::{self, EngineError, Look, Options};
use crate::fingerprint::Fingerprint;
use crate::model::Engine;
use crate::pin::{self, Effort, Pinned, Probe};
use crate::plan::Plan;
use crate::span::Span;

/// Runs at one time: more tell little more.
const RUNS_MAX: u32 = 10_000;

#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// A capsule.json of a run that failed
    capsule: PathBuf,
    /// Runs at each time that is looked at
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(RUNS_MAX)))]
    runs: u32,
    /// Stretches of the first grid over the run
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    grid: u32,
    /// How close to come to the place where it is steep
    #[arg(long, value_name = "TIME", default_value = "5ms")]
    resolution: Span,
    /// Runs at the same time; default: one for each core
    #[arg(long)]
    jobs: Option<usize>,
    /// A run that takes longer than this on the wall is a bug in the harness
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5m")]
    watchdog: Duration,
    /// Where pin.json and pin.svg go; default: beside the capsule
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// `pin.json`.
#[derive(Debug, Serialize)]
struct Record<'a> {
    schema: u32,
    scenario: &'a str,
    seed: u64,
    order: u64,
    /// What counts as the same failure.
    fingerprint: &'a Fingerprint,
    /// When it was seen in the capsule's run.
    seen_at_us: u64,
    sentence: String,
    #[serde(flatten)]
    pinned: &'a Pinned,
    /// What happened in the capsule's run where P rises.
    happened: &'a [String],
}

pub(super) fn pin(args: &PinArgs) -> Result<u8, Failure> {
    let (capsule, job) = replay::job(&args.capsule, &CaptureArgs::default())?;
    let shown = args.capsule.display();
    if job.options.engine != Engine::Sim {
        return Err(Failure::usage(format!(
            "engine {} draws by itself: only runs of engine sim can be pinned",
            capsule.engine
        )));
    }
    let run = one_watched(&job, args.watchdog)?;
    let Some(fingerprint) = Fingerprint::first(&run.verdict) else {
        return Err(Failure::usage(format!("the run of {shown} does not fail: there is nothing to pin")));
    };
    if run.verdict.trace_hash != capsule.trace_hash {
        say(
            "windtunnel: this is not the capsule's run bit for bit (`windtunnel replay` says what differs); it is the one that is pinned",
        );
    }
    let end_us = (run.verdict.sim_seconds * 1e6).round() as u64;
    let of = run.verdict.invariants.iter().find(|invariant| invariant.name == fingerprint.invariant());
    let seen_us = of.and_then(|of| of.violations.iter().map(|one| one.at_us).min()).unwrap_or(end_us).min(end_us);
    // What happens at an instant is not yet in the beginning that ends there.
    let last_us = (seen_us + 1).min(end_us);
    let threads = args.jobs.unwrap_or_else(campaign::cores);
    let bounds = Bounds { threads, budget: None, watchdog: args.watchdog };
    let mut runs = Runs::new(&job, &fingerprint, bounds);
    let effort =
        Effort { runs: args.runs, grid: args.grid, rounds: ROUNDS, resolution_us: args.resolution.as_micros() };
    let pinned = pin::pin(&mut runs, last_us, effort).map_err(|error| Failure::engine(&error))?;
    let events = run.events.as_deref().unwrap_or_default();
    let names = Names::new(crate::perfetto::hosts(&runs.plan).tiers(), events);
    let happened = happened(events, &names, &pinned);
    let record = Record {
        schema: 1,
        scenario: &run.verdict.scenario,
        seed: run.verdict.seed,
        order: run.verdict.order,
        fingerprint: &fingerprint,
        seen_at_us: seen_us,
        sentence: pinned.sentence(),
        pinned: &pinned,
        happened: &happened,
    };
    let dir = args.out.clone().unwrap_or_else(|| args.capsule.parent().unwrap_or(Path::new("")).to_owned());
    write(&dir, &record)?;
    let mut text = format!(
        "{} seed {}: {fingerprint}\nseen at {:.6} s; P(it fails so | the run up to t, drawn anew from t on)\n{}{}\n",
        record.scenario,
        run.verdict.label(),
        seen_us as f64 / 1e6,
        pinned.chart(),
        record.sentence
    );
    if !happened.is_empty() {
        text.push_str("what happened there:\n");
        happened.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    } else if pinned.steepest_us.is_some() {
        text.push_str(
            "no program had an event then: it happened on the wire, as `windtunnel replay --pcap` shows it\n",
        );
    }
    text.push_str(&format!("chart: {}\n", dir.join("pin.svg").display()));
    print(&text)?;
    Ok(exit::PASSED)
}

/// Times that bisection adds at most: from an hour to a microsecond in 32.
const ROUNDS: u32 = 32;

fn write(dir: &Path, record: &Record<'_>) -> Result<(), Failure> {
    let failed = |error| Failure::io(format!("failed to {error}"));
    let json = serde_json::to_vec_pretty(record).map_err(|error| Failure::harness(error.to_string()))?;
    folder::write_file(&dir.join("pin.json"), &json).map_err(failed)?;
    let seconds = |us: u64| us as f64 / 1e6;
    let shares: Vec<Share> = record
        .pinned
        .points
        .iter()
        .map(|point| Share { at_s: seconds(point.at_us), p: point.p, low: point.low, high: point.high })
        .collect();
    let mark =
        record.pinned.inevitable_from_us.map(|from| (seconds(from), format!("inevitable from {:.3} s", seconds(from))));
    let title = format!("{} seed {}: {}", record.scenario, record.seed, record.fingerprint.invariant());
    let svg = chart::likelihood(
        &title,
        "P(it fails | the run up to t)",
        &shares,
        mark.as_ref().map(|(at, label)| (*at, label.as_str())),
    );
    folder::write_file(&dir.join("pin.svg"), svg.as_bytes()).map_err(failed)
}

/// The capsule's run, again and again, with other ends.
struct Runs<'a> {
    plan: Plan,
    options: Options,
    fingerprint: &'a Fingerprint,
    bounds: Bounds,
}

impl<'a> Runs<'a> {
    fn new(job: &Job, fingerprint: &'a Fingerprint, bounds: Bounds) -> Self {
        let options = Options { keep_events: false, ..job.options };
        Self { plan: Plan::new(&job.scenario, job.seed), options, fingerprint, bounds }
    }

    fn one(&self, at_us: u64, seed: u64) -> Result<bool, EngineError> {
        let reseed = Some(sim::Reseed { at: Duration::from_micros(at_us), seed });
        let run = engine::run_looked_at(&self.plan, self.options, None, &Look { reseed, ..Look::default() })?;
        Ok(self.fingerprint.shown_by(&run.verdict))
    }
}

impl Probe for Runs<'_> {
    type Error = EngineError;

    fn fails(&mut self, at_us: u64, runs: u32) -> Result<u32, EngineError> {
        let next = AtomicU32::new(0);
        let (mut failed, mut trouble) = (0, None);
        campaign::sweep(
            self.bounds,
            // Seeds from 1, the same at each time: what differs between two times is the time.
            |_| Some(next.fetch_add(1, Ordering::Relaxed) + 1).filter(|seed| *seed <= runs),
            |seed| self.one(at_us, u64::from(seed)),
            |step| match step {
                Step::Done(_, result) => match *result {
                    Ok(fails) => failed += u32::from(fails),
                    Err(error) => {
                        trouble.get_or_insert(error);
                    }
                },
                Step::Hangs(seed) => {
                    hang(&format!("the run that is drawn anew from {at_us} us on with seed {seed}"), "")
                }
            },
        );
        if let Some(error) = trouble {
            return Err(error);
        }
        say(&format!("up to {:.6} s: {failed} of {runs} fail", at_us as f64 / 1e6));
        Ok(failed)
    }
}

/// What happened in the run where P rises: what is rare in words, what is frequent as a count.
fn happened(events: &[Timed], names: &Names, pinned: &Pinned) -> Vec<String> {
    /// Of one kind, and in all.
    const FREQUENT: usize = 6;
    const LINES_MAX: usize = 24;
    let before = |at: u64| pinned.points.iter().rev().find(|point| point.at_us < at).map(|point| point.at_us);
    let steep = pinned.steepest_us.or_else(|| pinned.inevitable_from_us.and_then(|at| Some((before(at)?, at))));
    let Some((from, to)) = steep else { return Vec::new() };
    let within = events.iter().filter(|timed| (from..to).contains(&timed.at_us));
    let mut kinds: BTreeMap<String, Vec<&Timed>> = BTreeMap::new();
    for timed in within {
        let name = serde_json::to_value(&timed.event).ok();
        let name = name.as_ref().and_then(|value| value.get("event")).and_then(|name| name.as_str()).unwrap_or("event");
        kinds.entry(name.to_owned()).or_default().push(timed);
    }
    let (rare, frequent): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|(_, these)| these.len() <= FREQUENT);
    let mut rare: Vec<&Timed> = rare.into_iter().flat_map(|(_, these)| these).collect();
    rare.sort_by_key(|timed| timed.at_us);
    let cut = rare.len().saturating_sub(LINES_MAX);
    let mut lines: Vec<String> = rare.iter().take(LINES_MAX).map(|timed| names.line(timed)).collect();
    let counts = frequent.iter().map(|(name, these)| format!("{} {name}", these.len()));
    let rest: Vec<String> = (cut > 0).then(|| format!("{cut} rarer ones")).into_iter().chain(counts).collect();
    if !rest.is_empty() {
        lines.push(format!("and {}", rest.join(", ")));
    }
    lines
}
