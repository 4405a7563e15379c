//! `capacity`: what one instance carries, measured over real sockets, with a report.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reports::capacity::{self, CapacityReport, Step};
use reports::record::Outcome;

use super::forecast::Runs;
use super::select::Seeds;
use super::{Failure, exit, print, say};
use crate::folder;
use crate::sizing::axis::Axis;
use crate::sizing::{self, Mix, Progress, Settings, SizingError};
use reports::figure::number;

/// Seeds for a first answer, where many confirm it.
const PROBE: u64 = 20;

#[derive(Debug, Args)]
pub(super) struct CapacityArgs {
    /// For all of it. Shorter windows tell less: below a minute hardly anything
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "5m")]
    time_budget: Duration,
    /// A message later than this after its planned instant misses the objective
    #[arg(long, visible_alias = "objective", value_name = "TIME", value_parser = humantime::parse_duration, default_value = "50ms")]
    p99: Duration,
    /// The share of planned messages that must come within it, 0.5 to 0.9999
    #[arg(long, value_name = "SHARE", value_parser = goodput, default_value = "0.99")]
    goodput: f64,
    /// A connection that takes longer than this from its planned dial to its upgrade misses its objective
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "250ms")]
    connect_p99: Duration,
    /// Symbols of the source
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000), default_value_t = 100)]
    symbols: u32,
    /// Symbols that each connection subscribes to
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000), default_value_t = 10)]
    symbols_per_connection: u32,
    /// Ticks of each symbol a second
    #[arg(long, value_name = "R", value_parser = rate, default_value = "1")]
    rate: f64,
    /// Filler of each tick, in bytes
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(..=65_536), default_value_t = 0)]
    padding: u32,
    /// Connections of the axis of the message rate
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000), default_value_t = 1_000)]
    connections: u32,
    /// The most connections that are tried
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(50..=200_000), default_value_t = 60_000)]
    connections_max: u32,
    /// The share of connections that check every byte; the others count frames
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "0.05")]
    verify: f64,
    /// Another build of `windtunnel` or `proxy`: half of the time goes into runs of both in turns, and the report says whether this one is better or worse
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
    /// Runs of each of the two
    #[arg(long, value_name = "N", requires = "against", value_parser = clap::value_parser!(u32).range(3..=50), default_value_t = 3)]
    runs: u32,
    /// Earlier reports (capacity.json), three or more of them, to hold this one and those of --beside against
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "against")]
    before: Vec<PathBuf>,
    /// Further reports of this build
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "before")]
    beside: Vec<PathBuf>,
    /// Afterwards, what was measured goes into the simulator: what it predicts beside what was measured, one of several instances lost once for each of N seeds, and
    /// the smallest window of jitter that keeps the objectives. Takes minutes beyond the time budget
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1000", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    predict: Option<u64>,
    /// Connections in all, for which instances are reckoned [default: 2, 5 and 10 times what one holds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    demand: Option<u32>,
    /// What instances cost: a TOML file with a date, a currency, and [[instance]] tables of name and per_hour
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// The folder of the report; default: target/windtunnel/TIME-capacity, with a link `latest` beside it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Say nothing while it goes on, and the sentence at the end
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Print capacity.json
    #[arg(long)]
    json: bool,
    /// Further arguments of the proxy
    #[arg(last = true, value_name = "PROXY_ARGS")]
    proxy_args: Vec<String>,
}

fn goodput(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.5..=0.9999).contains(share)).ok_or_else(|| "must be from 0.5 to 0.9999".into())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.001..=1.0).contains(share)).ok_or_else(|| "must be from 0.001 to 1".into())
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate| (0.01..=1_000.0).contains(rate)).ok_or_else(|| "must be from 0.01 to 1000".into())
}

pub(super) fn capacity(args: &CapacityArgs) -> Result<u8, Failure> {
    if args.symbols_per_connection > args.symbols {
        return Err(Failure::usage(format!(
            "--symbols-per-connection {} is more than --symbols {}",
            args.symbols_per_connection, args.symbols
        )));
    }
    if let Some(program) = args.against.as_ref().filter(|program| !program.is_file()) {
        return Err(Failure::usage(format!("--against {}: there is no such program", program.display())));
    }
    let out = folder::make(args.out.as_deref(), "capacity").map_err(|error| Failure::io(error.to_string()))?;
    let logs = out.join("logs");
    std::fs::create_dir_all(&logs)
        .map_err(|error| Failure::io(format!("failed to make {}: {error}", logs.display())))?;
    // Read first: what is amiss with them is said before minutes have passed.
    let (before, mut now) = (read(&args.before)?, read(&args.beside)?);
    let (settings, mut lines) = (settings(args, &logs), Lines { quiet: args.quiet || args.json });
    let mut report = sizing::measure(&settings, &mut lines).map_err(failed)?;
    if !before.is_empty() {
        now.push(report.clone());
        let names: Vec<String> = args.before.iter().map(|path| path.display().to_string()).collect();
        report.regression = Some(sizing::against::against(&names.join(", "), &before, &now));
    }
    // Minutes went into it: it stands, whatever the simulator comes to.
    capacity::write(&out, &report).map_err(|error| Failure::io(format!("failed to {error}")))?;
    if let Some(seeds) = args.predict {
        let probe = Seeds { first: 1, last: seeds.min(PROBE) };
        let (probe, all) = (Runs::new(probe), Runs::new(Seeds { first: 1, last: seeds }));
        lines.word("the simulator, with what was measured: prediction, storms, the smallest window of jitter");
        report.forecast = sizing::foresee::foresee(&report, &settings, &probe, &all)?;
        capacity::write(&out, &report).map_err(|error| Failure::io(format!("failed to {error}")))?;
    }
    if args.json {
        print(&json(&report))?;
    } else if args.quiet {
        print(&report.sentence)?;
    } else {
        print(&capacity::text(&report))?;
        say(&format!("report: {}", out.join("index.html").display()));
    }
    Ok(match report.outcome {
        Outcome::Pass => exit::PASSED,
        Outcome::Fail => exit::BROKEN,
        Outcome::Inconclusive => exit::INCONCLUSIVE,
    })
}

fn read(paths: &[PathBuf]) -> Result<Vec<CapacityReport>, Failure> {
    let one = |path: &PathBuf| {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::io(format!("failed to read {}: {error}", path.display())))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{} is no capacity.json: {error}", path.display())))
    };
    paths.iter().map(one).collect()
}

fn json(report: &CapacityReport) -> String {
    serde_json::to_string_pretty(report).expect("a report always serialises")
}

fn settings(args: &CapacityArgs, logs: &Path) -> Settings {
    let words: Vec<String> = std::env::args().skip(1).collect();
    Settings {
        objective: args.p99,
        goodput_min: args.goodput,
        connect_objective: args.connect_p99,
        mix: Mix {
            symbols: args.symbols,
            symbols_per_connection: args.symbols_per_connection,
            ticks_per_s: args.rate,
            padding: args.padding,
        },
        fixed_connections: args.connections,
        connections_max: args.connections_max,
        verify: args.verify,
        time_budget: args.time_budget,
        proxy_args: args.proxy_args.clone(),
        against: args.against.clone(),
        runs: args.runs,
        demand: args.demand.map(f64::from),
        prices: args.prices.clone(),
        command: format!("windtunnel {}", words.join(" ")),
        ..Settings::new(logs.to_owned())
    }
}

fn failed(error: SizingError) -> Failure {
    match error {
        SizingError::Prices(error) => Failure::usage(error.to_string()),
        SizingError::Trial(error) => Failure::io(error.to_string()),
    }
}

/// A line for each trial.
struct Lines {
    quiet: bool,
}

impl Progress for Lines {
    fn axis(&mut self, axis: Axis, what: &str) {
        self.word(&format!("{}: {what}", axis.name()));
    }

    fn step(&mut self, axis: Axis, step: &Step) {
        let percent =
            |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0));
        let p99 = step.latency.map_or_else(|| "-".to_owned(), |one| format!("{:.1} ms", one.p99_us as f64 / 1e3));
        self.word(&format!(
            "  {:>9} {:<13} {:<7} {:<9} p99 {p99:>9}, proxy {:>5}, generator {:>5}; {}",
            number(step.load),
            axis.unit(),
            step.stage,
            step.answer,
            percent(step.proxy.map(|proxy| proxy.cpu)),
            percent(step.generator.cpu),
            step.why,
        ));
    }

    fn word(&mut self, word: &str) {
        if !self.quiet {
            say(word);
        }
    }
}
