//! `forecast`: what the simulator says beforehand of proxies that were calibrated.

mod knee;
mod storm;
mod window;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, Subcommand};
use reports::folder;
use serde::Serialize;

use super::select::Seeds;
use super::{Failure, hang, print, select};
use crate::campaign::{self, Bounds, Step};
use crate::forecast::{self, Feed, ForecastError};
use crate::model::ServiceTime;

#[derive(Debug, Subcommand)]
pub(super) enum ForecastCommand {
    /// One of n instances behind one address is lost, over many seeds: how soon its clients are back, and what the others' clients notice
    Storm(Box<storm::StormArgs>),
    /// The smallest window in which the clients of a lost instance may come again and an objective still holds
    Window(Box<window::WindowArgs>),
    /// One instance under growing load: the most deliveries a second within an objective, and how busy it is
    Knee(Box<knee::KneeArgs>),
}

/// What all forecasts ask for.
#[derive(Debug, Args)]
struct CommonArgs {
    /// What network work costs an instance: a calibration file
    #[arg(long, value_name = "FILE")]
    service_time: PathBuf,
    #[command(flatten)]
    feed: FeedArgs,
    /// Simulated clients at most: each stands for as many as it takes, at as many times the cost
    #[arg(long, value_name = "N", default_value_t = forecast::CLIENTS_MAX, value_parser = clap::value_parser!(u32).range(2..=i64::from(forecast::CLIENTS_MAX)))]
    simulated: u32,
    /// Runs at the same time, which changes nothing in the result; default: one for each core
    #[arg(long)]
    jobs: Option<usize>,
    /// A run that takes longer than this on the wall is a bug in the harness
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5m")]
    watchdog: Duration,
    /// Write it as JSON, with its pictures, into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the source sends, and each client gets of it.
#[derive(Debug, Args)]
struct FeedArgs {
    /// Symbols of the source
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    symbols: u32,
    /// Symbols that each client draws of these [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    symbols_each: Option<u32>,
    /// Bytes of a tick [default: a plain one, about 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    bytes: Option<u32>,
    /// Symbols tick at instants of their own, not all at the same, as `mock-upstream` has them
    #[arg(long)]
    apart: bool,
}

impl FeedArgs {
    fn feed(&self, ticks_per_s: f64) -> Feed {
        Feed {
            symbols: self.symbols,
            each: self.symbols_each.unwrap_or(self.symbols),
            ticks_per_s,
            message_bytes: self.bytes,
            together: !self.apart,
        }
    }
}

impl CommonArgs {
    fn costs(&self) -> Result<ServiceTime, Failure> {
        Ok(select::calibration(&self.service_time)?.service_time_of(self.feed.feed(1.0).bytes()))
    }

    fn runs(&self, seeds: Seeds) -> Runs {
        let threads = self.jobs.unwrap_or_else(campaign::cores);
        Runs { seeds, bounds: Bounds { threads, budget: None, watchdog: self.watchdog } }
    }
}

pub(super) fn forecast(command: ForecastCommand) -> Result<u8, Failure> {
    match command {
        ForecastCommand::Storm(args) => storm::storm(&args),
        ForecastCommand::Window(args) => window::window(&args),
        ForecastCommand::Knee(args) => knee::knee(&args),
    }
}

impl From<ForecastError> for Failure {
    fn from(error: ForecastError) -> Self {
        match error {
            ForecastError::Asked(what) => Failure::usage(what),
            ForecastError::Program(..) => Failure::harness(error.to_string()),
            ForecastError::Engine(error) => Failure::engine(&error),
        }
    }
}

/// Seeds on a few threads.
pub(super) struct Runs {
    seeds: Seeds,
    bounds: Bounds,
}

impl Runs {
    /// On all cores.
    pub(super) fn new(seeds: Seeds) -> Self {
        Self { seeds, bounds: Bounds { threads: campaign::cores(), budget: None, watchdog: Duration::from_secs(300) } }
    }
}

impl forecast::Seeds for Runs {
    fn each<T: Send>(&self, work: impl Fn(u64) -> Result<T, ForecastError> + Sync) -> Result<Vec<T>, ForecastError> {
        let Seeds { first, last } = self.seeds;
        let next = AtomicU64::new(first);
        let mut found = std::collections::BTreeMap::new();
        let mut trouble = None;
        campaign::sweep(
            self.bounds,
            // The first failure ends it: the others would fail alike.
            |_| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed <= last),
            work,
            |step| match step {
                Step::Done(seed, result) => match *result {
                    Ok(one) => drop(found.insert(seed, one)),
                    Err(error) => {
                        next.store(last.saturating_add(1), Ordering::Relaxed);
                        trouble.get_or_insert(error);
                    }
                },
                Step::Hangs(seed) => hang(&format!("the world of seed {seed}"), ""),
            },
        );
        match trouble {
            Some(error) => Err(error),
            None => Ok(found.into_values().collect()),
        }
    }
}

/// Writes a forecast into its folder, if there is one, and prints it.
fn told<T: Serialize>(
    common: &CommonArgs,
    name: &str,
    forecast: &T,
    pictures: &[(&str, String)],
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(forecast).map_err(|error| Failure::harness(error.to_string()))?;
    if let Some(dir) = &common.out {
        let write = |name: &str, text: &str| {
            folder::write_file(&dir.join(name), text.as_bytes())
                .map_err(|error| Failure::io(format!("failed to {error}")))
        };
        write(&format!("{name}.json"), &json)?;
        pictures.iter().try_for_each(|(name, svg)| write(&format!("{name}.svg"), svg))?;
    }
    print(&if common.json { json } else { text() }).map(drop)
}

/// A positive, finite number.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("expected a number above 0".to_owned()),
    }
}
