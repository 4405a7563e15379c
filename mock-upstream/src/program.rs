//! The `mock-upstream` program: command line, signals, exit codes.
//!
//! Exit codes: 0 stopped by SIGINT or SIGTERM; 64 usage or a bad script; 74 I/O (port in use, unwritable record).

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio_util::sync::CancellationToken;
use wire::args::{Symbols, bytes, duration, symbols};
use wire::event::{JsonLines, Observer};
use wire::id::{SourceId, Symbol};
use wire::net::{ListenOptions, Listener, Network, TokioNet};
use wire::tick::Padding;
use wire::ws::Fragments;

use crate::config::{Config, Mode};
use crate::rates::Rates;
use crate::script::Script;
use crate::serve::serve_on;

const USAGE: u8 = 64;
const IO: u8 = 74;

/// A scriptable WebSocket feed server.
#[derive(Parser, Debug)]
#[command(name = "mock-upstream", version, about, max_term_width = 120)]
struct Args {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// How many symbols (S0000, S0001, ...), or a list: EURUSD,GBPUSD.
    #[arg(long, value_name = "N|LIST", default_value = "10", value_parser = symbols)]
    symbols: Symbols,
    /// Ticks of each symbol per second, from one a day to 1000.
    #[arg(long, value_name = "MSGS_PER_S", default_value = "10", value_parser = period)]
    rate: Duration,
    /// Symbols that tick more or less often than the others, with their ticks per second: S0000=200,S0007=0.1.
    #[arg(long, value_name = "SYMBOL=MSGS_PER_S,...", value_delimiter = ',', value_parser = own_rate, conflicts_with_all = ["zipf", "echo"])]
    rates: Vec<(Symbol, Duration)>,
    /// The symbols share --rate times their number by Zipf's law: 0 all alike, 1 the second ticks half as often as the first.
    #[arg(long, value_name = "EXPONENT", value_parser = exponent, conflicts_with = "echo")]
    zipf: Option<f64>,
    /// Seed of the payloads: the same for all instances of one feed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Filler that makes ticks large: a size, or a range to draw each from: 16KiB, 1KiB..64KiB.
    #[arg(long, value_name = "BYTES|MIN..MAX", value_parser = padding, conflicts_with = "echo")]
    padding: Option<Padding>,
    /// Sends ticks and echoes in frames of so many bytes at most, as fragments of one message.
    #[arg(long, value_name = "BYTES", value_parser = fragment_bytes)]
    fragment: Option<usize>,
    /// A ping between each two fragments.
    #[arg(long, requires = "fragment")]
    fragment_pings: bool,
    /// What goes wrong and when (TOML).
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// What it speaks: v1 or v2.
    #[arg(long, value_name = "v1|v2", default_value = "v1", value_parser = ["v1", "v2"])]
    protocol: String,
    /// Symbols of which subscriptions are denied (v2).
    #[arg(long, value_name = "LIST", value_parser = symbols)]
    deny: Option<Symbols>,
    /// Symbols that one connection may have (v2).
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    symbol_limit: u32,
    /// Keys that may log in (v2); any, where none is named.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    user_keys: Vec<String>,
    /// Sends a heartbeat message this often (v2).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    heartbeat: Option<Duration>,
    /// Send every message back; no ticks.
    #[arg(long, conflicts_with_all = ["raw", "greeting", "key_limit", "protocol"])]
    echo: bool,
    /// Send all ticks to everyone, without subscription.
    #[arg(long, conflicts_with_all = ["greeting", "key_limit", "protocol"])]
    raw: bool,
    /// The first text of each connection; empty for none. [default: Connected]
    #[arg(long, value_name = "TEXT")]
    greeting: Option<String>,
    /// Connections that one user key may hold.
    #[arg(long, value_name = "N")]
    key_limit: Option<u32>,
    /// This source's number in the record.
    #[arg(long, value_name = "N", default_value_t = 0)]
    id: u16,
    /// Write what was really sent, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

fn period(text: &str) -> Result<Duration, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (1.0 / 86_400.0..=1000.0).contains(&rate) {
        Ok(Duration::from_secs_f64(1.0 / rate))
    } else {
        Err("must be from one a day to 1000; for a higher rate use more symbols".to_owned())
    }
}

fn padding(text: &str) -> Result<Padding, String> {
    let size = |text| u32::try_from(bytes(text)?).map_err(|_| format!("{text:?} is too much for one message"));
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    Padding::between(size(min)?, size(max)?).map_err(|error| error.to_string())
}

fn fragment_bytes(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        0 => Err("a fragment has a byte at least".to_owned()),
        size => usize::try_from(size).map_err(|error| error.to_string()),
    }
}

fn own_rate(text: &str) -> Result<(Symbol, Duration), String> {
    let (symbol, rate) = text.split_once('=').ok_or_else(|| format!("{text:?} lacks a rate: write S0000=200"))?;
    let symbol = Symbol::new(symbol.trim()).map_err(|error| format!("{symbol:?}: {error}"))?;
    Ok((symbol, period(rate.trim()).map_err(|error| format!("the rate of {symbol}: {error}"))?))
}

fn exponent(text: &str) -> Result<f64, String> {
    let exponent = text.parse().ok().filter(|exponent| (0.0..=10.0).contains(exponent));
    exponent.ok_or_else(|| format!("{text:?} is not a number from 0 to 10"))
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
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            eprintln!("mock-upstream: {message}");
            ExitCode::from(code)
        }
    }
}

type Failure = (u8, String);

fn io(what: &str) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |error| (IO, format!("{what}: {error}"))
}

fn start(args: Args) -> Result<(), Failure> {
    let mut config = Config::new(SourceId(args.id), args.listen);
    if let Some(path) = &args.script {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(io(&name))?;
        config.script = Script::from_toml(&text).map_err(|error| (USAGE, format!("{name}:{error}")))?;
    }
    config.symbols = args.symbols.0;
    config.period = args.rate;
    config.rates = rates(&config, args.rates, args.zipf)?;
    config.seed = args.seed;
    config.padding = args.padding.unwrap_or_default();
    config.fragments = args.fragment.map(|bytes| Fragments { bytes, pings: args.fragment_pings });
    config.key_limit = args.key_limit;
    config.mode = match (args.echo, args.raw) {
        (true, _) => Mode::Echo,
        (_, true) => Mode::Raw,
        _ if args.protocol == "v2" => Mode::V2,
        _ => Mode::V1,
    };
    if config.mode != Mode::V2 {
        let v2_only = [
            ("--deny", args.deny.is_some()),
            ("--symbol-limit", args.symbol_limit != config.symbol_limit),
            ("--user-keys", !args.user_keys.is_empty()),
            ("--heartbeat", args.heartbeat.is_some()),
        ];
        if let Some((flag, _)) = v2_only.iter().find(|(_, given)| *given) {
            return Err((USAGE, format!("{flag} is for v2: add --protocol v2")));
        }
    }
    config.denied = args.deny.map(|symbols| symbols.0).unwrap_or_default();
    config.symbol_limit = args.symbol_limit;
    config.user_keys = args.user_keys;
    config.heartbeat = args.heartbeat;
    if let Some(greeting) = args.greeting {
        config.greeting = Some(greeting).filter(|text| !text.is_empty());
    }
    // One descriptor a connection: take what the system allows.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io("runtime"))?;
    runtime.block_on(run(config, args.events))
}

/// How often the symbols of this configuration tick.
fn rates(config: &Config, own: Vec<(Symbol, Duration)>, zipf: Option<f64>) -> Result<Rates, Failure> {
    if let Some((symbol, _)) = own.iter().find(|(symbol, _)| !config.symbols.contains(symbol)) {
        return Err((USAGE, format!("--rates names {symbol}, which is none of --symbols")));
    }
    Ok(match zipf {
        Some(exponent) => Rates::Zipf { per_s: config.symbols.len() as f64 / config.period.as_secs_f64(), exponent },
        None if own.is_empty() => Rates::Alike,
        None => Rates::Own(own),
    })
}

async fn run(config: Config, events: Option<PathBuf>) -> Result<(), Failure> {
    let net = TokioNet::current();
    let observer = match &events {
        None => Observer::none(),
        Some(path) => {
            let file = File::create(path).map_err(io(&path.display().to_string()))?;
            let (net, began) = (net.clone(), net.wall_clock());
            let clock = move || u64::try_from(net.wall_clock().since(began).as_micros()).unwrap_or(u64::MAX);
            Observer::new(Arc::new(JsonLines::new(Box::new(file), clock)))
        }
    };
    config.schedules(net.wall_clock()).map_err(|error| (USAGE, error.to_string()))?;
    let shutdown = CancellationToken::new();
    let mut stop = stop_signals().map_err(io("signals"))?;
    let options = ListenOptions { accepted: config.socket, ..ListenOptions::default() };
    let listener =
        net.bind(config.listen, options).await.map_err(io(&format!("cannot listen on {}", config.listen)))?;
    let addr = listener.local_addr().map_err(io("listener"))?;
    let what = match config.mode {
        Mode::Echo => "echo".to_owned(),
        mode => {
            let word = match mode {
                Mode::Raw => "raw",
                Mode::V2 => "v2",
                _ => "v1",
            };
            let periods = config.rates.periods(&config.symbols, config.period);
            let every = match (periods.iter().min(), periods.iter().max()) {
                (Some(least), Some(most)) if least != most => format!("{least:?} to {most:?}"),
                _ => format!("{:?}", config.period),
            };
            format!("{word}, {} symbols, each every {every}, seed {}", config.symbols.len(), config.seed)
        }
    };
    // The line is a contract with scripts: they wait for it and read the port. A closed pipe is no reason to stop.
    let _ = writeln!(std::io::stdout(), "mock-upstream listening on ws://{addr} ({what})");
    let serving = serve_on(config, listener, net, shutdown.clone(), observer);
    tokio::pin!(serving);
    let result = wire::select! {
        result = &mut serving => result,
        () = stop.wait() => {
            shutdown.cancel();
            serving.await
        }
    };
    result.map_err(|error| (USAGE, error.to_string()))
}

struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

fn stop_signals() -> std::io::Result<StopSignals> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(StopSignals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }
    #[cfg(not(unix))]
    Ok(StopSignals {})
}

impl StopSignals {
    async fn wait(&mut self) {
        #[cfg(unix)]
        wire::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
