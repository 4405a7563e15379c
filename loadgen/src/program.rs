//! The `loadgen` program: command line, progress, a table at the end, exit codes.
//!
//! Exit codes: 0 everything that came was right and complete; 1 ticks were missing unannounced, doubled, out of order or garbled, or the peer ended
//! sessions; 2 inconclusive: nothing was received; 64 usage; 74 I/O (unwritable files, too few file descriptors).
//!
//! Every client needs a file descriptor: at the start the soft limit (`ulimit -n`) is raised to the hard one, and where that is not enough the program
//! says so and stops.

mod args;
mod live;
mod table;

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio_util::sync::CancellationToken;
use wire::event::{JsonLines, Observer};
use wire::net::{Network, TokioNet};

use self::args::Args;
use self::live::Live;
use crate::config::Config;
use crate::run::run;
use crate::summary::Summary;

const FLAWED: u8 = 1;
const INCONCLUSIVE: u8 = 2;
const USAGE: u8 = 64;
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
    match start(args) {
        Ok(summary) if summary.is_empty() => ExitCode::from(INCONCLUSIVE),
        Ok(summary) if summary.is_flawed() => ExitCode::from(FLAWED),
        Ok(_) => ExitCode::SUCCESS,
        Err((code, message)) => {
            eprintln!("loadgen: {message}");
            ExitCode::from(code)
        }
    }
}

fn start(args: Args) -> Result<Summary, Failure> {
    let config = args.config();
    descriptors(u64::from(config.clients))?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(io(&out.display().to_string()))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io("runtime"))?;
    let summary = runtime.block_on(measure(config, args.events.as_deref()))?;
    print!("{}", table::render(&summary));
    if let Some(out) = &args.out {
        let path = out.join("summary.json");
        let mut text = serde_json::to_string_pretty(&summary).expect("a summary always serialises");
        text.push('\n');
        std::fs::write(&path, text).map_err(io(&path.display().to_string()))?;
    }
    Ok(summary)
}

fn descriptors(clients: u64) -> Result<(), Failure> {
    let needed = clients + SPARE_DESCRIPTORS;
    let limit = rlimit::increase_nofile_limit(u64::MAX).map_err(io("open-file limit"))?;
    if limit < needed {
        let why =
            format!("{clients} clients need {needed} open files, and the hard limit is {limit}: raise it (ulimit -Hn)");
        return Err((IO, why));
    }
    Ok(())
}

async fn measure(config: Config, events: Option<&Path>) -> Result<Summary, Failure> {
    let net = TokioNet::current();
    let record = match events {
        None => Observer::none(),
        Some(path) => {
            let file = File::create(path).map_err(io(&path.display().to_string()))?;
            let (clock, began) = (net.clone(), net.wall_clock());
            let clock_us = move || u64::try_from(clock.wall_clock().since(began).as_micros()).unwrap_or(u64::MAX);
            Observer::new(Arc::new(JsonLines::new(Box::new(file), clock_us)))
        }
    };
    let shutdown = CancellationToken::new();
    let live = Arc::new(Live::new(record));
    let showing = net.spawn("loadgen progress", live::show(Arc::clone(&live), config.clients, config.duration)).guard();
    let running = run(config, net.clone(), shutdown.clone(), Observer::new(live));
    tokio::pin!(running);
    let mut stop = std::pin::pin!(stop_signal());
    let result = wire::select! {
        result = &mut running => result,
        stopped = &mut stop => {
            stopped.map_err(io("signals"))?;
            shutdown.cancel();
            running.await
        }
    };
    drop(showing);
    result.map_err(|error| (USAGE, error.to_string()))
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
