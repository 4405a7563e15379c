//! The `loadgen` program: command line, progress, a table at the end, exit codes.
//!
//! Exit codes: 0 everything that came was right and complete, and what was required held; 1 ticks were missing unannounced, doubled, out of order or garbled,
//! the peer ended sessions, or a requirement is broken; 2 inconclusive: nothing was received (and nothing is known to be lost), the generator itself could not keep up ([`crate::health`]), or there
//! are too few samples for what is required; 64 usage; 70 a bug of ours (a client that panicked); 74 I/O (unwritable files, too few ports or file descriptors).
//!
//! Two lines on standard output, flushed, are for scripts: `loadgen measuring` where the measured window begins, and `loadgen measured` where it ends. With `--json`
//! they go to standard error, and standard output is the summary alone.
//!
//! Every client needs a file descriptor: at the start the soft limit (`ulimit -n`) is raised to the hard one, and where that is not enough the program
//! says so and stops.

mod args;
mod clock;
mod live;
mod loops;
mod page;
mod rows;
mod self_test;
mod table;
mod verdict;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use reports::load::Second;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::event::{JsonLines, Observer};
use wire::net::{ListenOptions, Network, TokioNet};

use self::args::Args;
use self::clock::Clock;
use self::live::Live;
use self::rows::Rows;
use self::self_test::Shown;
use crate::arrival::Arrival;
use crate::config::Config;
use crate::distribution::Quantiles;
use crate::health::{Facts, Health};
use crate::measure::Meter;
use crate::ports;
use crate::run::run_watched;
use crate::summary::Summary;
use crate::tls::Trust;

const INCONCLUSIVE: u8 = 2;
const USAGE: u8 = 64;
/// A bug of ours (BSD's `EX_SOFTWARE`).
const BUG: u8 = 70;
const IO: u8 = 74;

/// Descriptors that the program needs beside its clients.
const SPARE_DESCRIPTORS: u64 = 64;

type Failure = (u8, String);

fn io(what: &str) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |error| (IO, format!("{what}: {error}"))
}

/// Runs the program with its command line (the first argument is its name). Logs go to standard error, filtered by `RUST_LOG`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let result = if args.self_test { self_test() } else { start(args) };
    match result {
        Ok(code) => ExitCode::from(code),
        Err((code, message)) => {
            eprintln!("loadgen: {message}");
            ExitCode::from(code)
        }
    }
}

/// Exit codes: 0 the effect shows; 2 this machine is too busy; 70 it does not show, which is a bug.
fn self_test() -> Result<u8, Failure> {
    let runtime = loops::runtime().map_err(io("runtime"))?;
    let shown = runtime.block_on(async { self_test::test(TokioNet::current()).await }).map_err(|why| (IO, why))?;
    let (code, table, word) = match shown {
        Shown::Effect(table) => {
            let word = "Passed: the stall shows where latency counts from the plan, and cannot hide.";
            (0, table, word.to_owned())
        }
        Shown::Busy(table, why) => (INCONCLUSIVE, table, format!("Inconclusive: this machine is too busy; {why}.")),
        Shown::Hidden(table) => {
            (BUG, table, "Failed: the stall is hidden, which is a bug of this generator.".to_owned())
        }
    };
    println!("{table}{word}");
    Ok(code)
}

fn start(args: Args) -> Result<u8, Failure> {
    let mut config = args.config();
    config.trust = trust(&args)?;
    if config.objective.is_none()
        && let Some(require) = args.require.iter().find(|require| require.needs_objective())
    {
        return Err((USAGE, format!("{require} needs --objective: a share of the ticks that come within it")));
    }
    ports(&config)?;
    descriptors(u64::from(config.clients))?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(io(&out.display().to_string()))?;
    }
    let stop = CancellationToken::new();
    let runtime = loops::runtime().map_err(io("runtime"))?;
    let others = loops::start(args.threads, &stop).map_err(io("threads"))?;
    let result = runtime.block_on(async {
        let mut handles = vec![tokio::runtime::Handle::current()];
        handles.extend(others);
        measure(config.clone(), TokioNet::sharded(handles), &args).await
    });
    stop.cancel();
    let Measured { mut summary, seconds, window } = result?;
    let finding = verdict::find(&summary);
    summary.verdict = Some(finding.verdict.word());
    summary.sentence = Some(finding.sentence.clone());
    let mut text = serde_json::to_string_pretty(&summary).expect("a summary always serialises");
    text.push('\n');
    if args.json {
        say(&text);
    } else {
        say(&table::render(&summary, &finding));
    }
    if let Some(out) = &args.out {
        let load = page::load(&summary, &finding, &config, args.bounds(), &command(), seconds.clone(), window);
        let html = reports::load::page(&load).map_err(|error| (IO, format!("report.html: {error}")))?;
        for (name, text) in [("summary.json", text), ("seconds.csv", rows::csv(&seconds)), ("report.html", html)] {
            let path = out.join(name);
            std::fs::write(&path, text).map_err(io(&path.display().to_string()))?;
        }
    }
    if let Some(why) = verdict::gone(&summary) {
        return Err((BUG, why));
    }
    Ok(finding.verdict.code())
}

/// Whom to trust at `wss://` targets, if the command line says it.
fn trust(args: &Args) -> Result<Option<Trust>, Failure> {
    match &args.ca {
        None => Ok(args.insecure.then(Trust::anybody)),
        Some(path) => Trust::and_of(path).map(Some).map_err(|error| (IO, format!("--ca {error}"))),
    }
}

/// The command line of this process.
fn command() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}

/// What stands on standard output. That it is closed is nobody's problem.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Where the kernel says which ports it gives out by itself.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

fn ports(config: &Config) -> Result<(), Failure> {
    // Elsewhere there is no such file, and dials say what they lack.
    let Some(range) = std::fs::read_to_string(PORT_RANGE).ok().and_then(|text| ports::range(&text)) else {
        return Ok(());
    };
    let mut targets = config.targets.clone();
    targets.sort_unstable();
    targets.dedup();
    let (clients, targets) = (u64::from(config.clients), targets.len() as u64);
    ports::Need { clients, targets, sources: &config.source_addresses, range }.check().map_err(|why| (IO, why))
}

fn descriptors(clients: u64) -> Result<(), Failure> {
    let limit = rlimit::increase_nofile_limit(u64::MAX).map_err(io("open-file limit"))?;
    enough(clients, limit).map_err(|why| (IO, why))
}

fn enough(clients: u64, limit: u64) -> Result<(), String> {
    let needed = clients + SPARE_DESCRIPTORS;
    if limit < needed {
        return Err(format!(
            "{clients} clients need {needed} open files, and the hard limit is {limit}: raise it (ulimit -Hn {needed}), or have at most {} clients",
            limit.saturating_sub(SPARE_DESCRIPTORS)
        ));
    }
    Ok(())
}

/// What came of a run.
struct Measured {
    summary: Summary,
    seconds: Vec<Second>,
    /// In seconds since the beginning.
    window: Option<(f64, f64)>,
}

async fn measure(config: Config, net: TokioNet, args: &Args) -> Result<Measured, Failure> {
    let record = match &args.events {
        None => Observer::none(),
        Some(path) => {
            let file = File::create(path).map_err(io(&path.display().to_string()))?;
            let (clock, began) = (net.clone(), net.wall_clock());
            let clock_us = move || u64::try_from(clock.wall_clock().since(began).as_micros()).unwrap_or(u64::MAX);
            Observer::new(Arc::new(JsonLines::new(Box::new(file), clock_us)))
        }
    };
    // An address that is none of this host's fails each dial: better one word before.
    for address in &config.source_addresses {
        let what = format!("--source-address {address}");
        net.bind((*address, 0).into(), ListenOptions::default()).await.map_err(io(&what))?;
    }
    let shutdown = CancellationToken::new();
    let (clients, dials_together) =
        (config.clients, matches!(config.load.arrival(), Arrival::AtOnce | Arrival::Waves { .. } | Arrival::Steps(_)));
    let rows = Rows::default();
    let mut watched = None;
    let running = run_watched(config, net.clone(), shutdown.clone(), record, |schedule, meters| {
        let clock = Arc::new(Clock::new(schedule.window, !args.has_window(), args.json));
        let ticking = Arc::clone(&clock);
        let mut live = Live::new(clients, schedule.began, schedule.window);
        let taking = rows.clone().take(meters.clone(), schedule.began, move |row, counters| live.show(row, counters));
        let tasks = [
            net.spawn("loadgen window", async move { ticking.run().await }).guard(),
            net.spawn("loadgen progress", taking).guard(),
        ];
        let since = |at: Instant| at.saturating_duration_since(schedule.began).as_secs_f64();
        let window = (since(schedule.window.begins), since(schedule.window.ends));
        watched = Some((clock, tasks, clock::beats(&net, meters), window));
    });
    let result = {
        tokio::pin!(running);
        let mut stop = std::pin::pin!(stop_signal());
        wire::select! {
            result = &mut running => result,
            stopped = &mut stop => {
                stopped.map_err(io("signals"))?;
                shutdown.cancel();
                running.await
            }
        }
    };
    let (mut summary, meters) = result.map_err(|error| (USAGE, error.to_string()))?;
    let Some((clock, tasks, beats, window)) = watched else {
        return Ok(Measured { summary, seconds: Vec::new(), window: None });
    };
    clock.end();
    drop((tasks, beats));
    let threads = u64::from(args.threads);
    let quantiles =
        |meter, inside| meters.histogram(meter, inside).map_or_else(Quantiles::default, |it| Quantiles::of(&it));
    let facts = Facts {
        threads,
        cpu_share: clock.cpu().map(|cpu| cpu / threads as f64),
        // Where clients arrive before a window that was asked for, that time says nothing of what came in it; else the arrivals are part of the load.
        timers: quantiles(Meter::TimerLate, args.has_window()),
        sends: quantiles(Meter::SendLate, args.has_window()),
        dials: quantiles(Meter::DialLate, args.has_window()),
        dials_together,
        dials_dropped: summary.dials.dropped,
        sends_dropped: summary.requests_skipped,
        no_port: summary.dials.no_port,
        no_descriptor: summary.dials.no_descriptor,
    };
    summary.health = Some(Health::judge(&facts, args.bounds()));
    summary.requirements = args.require.iter().map(|require| require.judge(&summary)).collect();
    let window = summary.window.as_ref().map(|measured| (window.0, window.0 + measured.seconds));
    Ok(Measured { summary, seconds: rows.all(), window })
}

/// Waits for SIGINT or SIGTERM: then every client closes and the table is printed.
async fn stop_signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        wire::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
