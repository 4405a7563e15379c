//! The command line program: flags and file to a configuration, one runtime a shard, signals to a clean stop.
//!
//! Exit codes: 0 stopped in order · 64 bad usage or configuration · 70 a bug of ours · 74 I/O, such as a port in use.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio_util::sync::CancellationToken;
use wire::event::{JsonLines, Observer};
use wire::feed::Protocol;
use wire::id::ProxyId;
use wire::net::{Network, TokioNet};

use crate::config::{Config, File, Mode, Span, Upstream};
use crate::descriptors;
use crate::limits::SlowClient;
use crate::policy::Policies;
use crate::secret::Secret;
use crate::serve::{Handle, ServeError, Server};
use crate::tls::Loaded;

/// Bad usage or configuration (BSD's `EX_USAGE`).
const EX_USAGE: u8 = 64;
/// A bug of ours (`EX_SOFTWARE`).
const EX_SOFTWARE: u8 = 70;
/// Input or output failed (`EX_IOERR`).
const EX_IOERR: u8 = 74;

/// A WebSocket proxy for real-time feeds: fans one source out to many clients, or balances clients over many sources, and moves them when a source is lost.
#[derive(Debug, Parser)]
#[command(name = "proxy", version, max_term_width = 120)]
struct Args {
    /// Where clients connect; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// One upstream leg in all, or one for each client [default: fanout]
    #[arg(long, value_name = "fanout|relay", value_parser = mode)]
    mode: Option<Mode>,
    /// An instance of the source, ws://host:port/path; repeat for more
    #[arg(long, value_name = "WS_URL")]
    upstream: Vec<String>,
    /// Where /metrics, /healthz, /readyz, /upstreams and POST /drain are served
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Configuration file (TOML); flags win over it
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(long)]
    check_config: bool,
    /// Print every key of the configuration file with its default, unit, range and meaning (Markdown), and exit
    #[arg(long)]
    config_keys: bool,
    /// What the sources speak [default: v1]
    #[arg(long, value_name = "v1|v2|raw", value_parser = protocol)]
    protocol: Option<Protocol>,
    /// The key that fan-out presents to the source
    #[arg(long, value_name = "KEY")]
    user_key: Option<Secret>,
    /// Clients at once; beyond it they are answered HTTP 503 [default: 10000]
    #[arg(long, value_name = "N")]
    clients_max: Option<u64>,
    /// Bytes that may wait for one client [default: 24576]
    #[arg(long, value_name = "N")]
    queue_bytes: Option<usize>,
    /// What happens to a client that is behind [default: conflate]
    #[arg(long, value_name = "conflate|drop-oldest|disconnect", value_parser = slow_client)]
    slow_client: Option<SlowClient>,
    /// Silence of data after which a source counts as dead [default: 2s]
    #[arg(long, value_name = "DURATION")]
    stale_after: Option<Span>,
    /// Write the record of what happens, one JSON object a line
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// The proxy's number in records [default: 0]
    #[arg(long, value_name = "N")]
    id: Option<u16>,
    /// Event loops on threads of their own that share the clients
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    shards: u16,
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "fanout" => Ok(Mode::Fanout),
        "relay" => Ok(Mode::Relay),
        _ => Err("expected fanout or relay".into()),
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "v1" => Ok(Protocol::V1),
        "v2" => Ok(Protocol::V2),
        "raw" => Ok(Protocol::Raw),
        _ => Err("expected v1, v2 or raw".into()),
    }
}

fn slow_client(text: &str) -> Result<SlowClient, String> {
    match text {
        "conflate" => Ok(SlowClient::Conflate),
        "drop-oldest" => Ok(SlowClient::DropOldest),
        "disconnect" => Ok(SlowClient::Disconnect),
        _ => Err("expected conflate, drop-oldest or disconnect".into()),
    }
}

/// Runs the program. `args` begin with its name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EX_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "proxy: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn usage(message: impl ToString) -> Self {
        Self { code: EX_USAGE, message: message.to_string() }
    }

    fn io(message: impl ToString) -> Self {
        Self { code: EX_IOERR, message: message.to_string() }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    if args.config_keys {
        say(crate::config::reference().trim_end());
        return Ok(());
    }
    let mut config = configuration(&args)?;
    if args.check_config {
        Loaded::check(&config).map_err(|error| Failure::usage(format!("TLS: {error}")))?;
        say(&format!("configuration is fine ({}, {})", config.mode, upstreams(config.upstreams.len())));
        return Ok(());
    }
    log();
    descriptors::fit(&mut config).map_err(Failure::io)?;
    let stop = CancellationToken::new();
    let runtime = runtime()?;
    let shards = Shards::start(args.shards, stop.clone())?;
    let result = runtime.block_on(async {
        let mut handles = vec![tokio::runtime::Handle::current()];
        handles.extend(shards.handles.iter().cloned());
        serve(config, TokioNet::sharded(handles), args, stop.clone()).await
    });
    stop.cancel();
    result
}

async fn serve(config: Config, net: TokioNet, args: Args, stop: CancellationToken) -> Result<(), Failure> {
    let observer = match &args.events {
        None => Observer::none(),
        Some(path) => {
            let file = std::fs::File::create(path)
                .map_err(|error| Failure::io(format!("cannot write events to {}: {error}", path.display())))?;
            let clock = net.clone();
            Observer::new(Arc::new(JsonLines::new(Box::new(file), move || clock.wall_clock().as_micros())))
        }
    };
    let (mode, instances) = (config.mode, config.upstreams.len());
    let scheme = if config.tls_cert.is_some() { "wss" } else { "ws" };
    let mut server =
        Server::bind(config, Policies::default(), net.clone(), observer).await.map_err(|error| match error {
            ServeError::Config(_) | ServeError::Tls(_) => Failure::usage(error),
            ServeError::Bind { .. } => Failure::io(error),
        })?;
    if args.config.is_some() {
        // The flags win over the file again.
        server = server.reload_with(move || {
            let mut config = configuration(&args).map_err(|failure| failure.message)?;
            descriptors::fit(&mut config).map_err(|error| error.to_string())?;
            Ok(config)
        });
    }
    say(&format!("proxy listening on {scheme}://{} ({mode}, {})", server.local_addr(), upstreams(instances)));
    if let Some(admin) = server.admin_addr() {
        say(&format!("proxy admin on http://{admin}"));
    }
    let _signals = net.spawn("signals", signals(server.handle(), stop.clone())).guard();
    server.run(stop).await;
    Ok(())
}

fn upstreams(n: usize) -> String {
    if n == 1 { "1 upstream".to_owned() } else { format!("{n} upstreams") }
}

/// A line for scripts that wait. A closed standard output is nobody's problem.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Logs to standard error; `RUST_LOG` chooses what, `info` by default.
fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second program in the same process finds a logger already there.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// The first SIGTERM or SIGINT begins a drain, or leaves one that was asked for elsewhere to its end; the second stops at once. SIGHUP reads the configuration file again.
async fn signals<N: Network>(proxy: Handle<N>, stop: CancellationToken) {
    let Ok(mut signals) = Signals::listen() else { return std::future::pending().await };
    let mut ends = 0;
    loop {
        match signals.next().await {
            // What came of it stands in the log.
            #[cfg(unix)]
            Signal::Reload => drop(proxy.reload()),
            Signal::End => {
                ends += 1;
                if ends > 1 {
                    return stop.cancel();
                }
                proxy.drain();
            }
        }
    }
}

/// What the operating system says.
enum Signal {
    End,
    #[cfg(unix)]
    Reload,
}

struct Signals {
    #[cfg(unix)]
    ends: [tokio::signal::unix::Signal; 2],
    #[cfg(unix)]
    reloads: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let ends = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        Ok(Self { ends, reloads: signal(SignalKind::hangup())? })
    }

    async fn next(&mut self) -> Signal {
        let [terminate, interrupt] = &mut self.ends;
        wire::select! {
            _ = terminate.recv() => Signal::End,
            _ = interrupt.recv() => Signal::End,
            _ = self.reloads.recv() => Signal::Reload,
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) -> Signal {
        let _ = tokio::signal::ctrl_c().await;
        Signal::End
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure { code: EX_SOFTWARE, message: format!("cannot start a runtime: {error}") })
}

/// Event loops beyond the first, each on a thread of its own until the program stops.
struct Shards {
    handles: Vec<tokio::runtime::Handle>,
}

impl Shards {
    fn start(shards: u16, stop: CancellationToken) -> Result<Self, Failure> {
        let mut handles = Vec::new();
        for n in 1..shards {
            let runtime = runtime()?;
            handles.push(runtime.handle().clone());
            let stop = stop.clone();
            std::thread::Builder::new()
                .name(format!("shard-{n}"))
                .spawn(move || {
                    runtime.block_on(async {
                        stop.cancelled().await;
                        // Farewells of this shard's clients; the program ends sooner if they are done.
                        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
                    });
                })
                .map_err(|error| Failure { code: EX_SOFTWARE, message: format!("cannot start a thread: {error}") })?;
        }
        Ok(Self { handles })
    }
}

/// Flags over file over defaults.
fn configuration(args: &Args) -> Result<Config, Failure> {
    let file = match &args.config {
        None => File::default(),
        Some(path) => {
            let name = path.display().to_string();
            let text =
                std::fs::read_to_string(path).map_err(|error| Failure::io(format!("cannot read {name}: {error}")))?;
            let mut file = File::parse(&name, &text).map_err(Failure::usage)?;
            let base = path.parent().unwrap_or(std::path::Path::new(""));
            file.follow(base, |variable| std::env::var(variable).ok()).map_err(|error| {
                let message = format!("{name}: {error}");
                if error.is_io() { Failure::io(message) } else { Failure::usage(message) }
            })?;
            file
        }
    };
    let (file_mode, file_protocol) = file.mode_and_protocol();
    let listen = args.listen.or(file.listen()).ok_or_else(|| {
        Failure::usage(
            "no address to listen on: give --listen 127.0.0.1:9000, or listen = \"127.0.0.1:9000\" in --config",
        )
    })?;
    let mode = args.mode.or(file_mode).unwrap_or_default();
    let protocol = args.protocol.or(file_protocol).unwrap_or_default();
    let mut config = Config::new(listen, mode, Vec::<String>::new()).with_protocol(protocol);
    file.apply(&mut config);
    (config.listen, config.mode, config.protocol) = (listen, mode, protocol);
    if !args.upstream.is_empty() {
        config.upstreams = args.upstream.iter().map(Upstream::new).collect();
    }
    config.admin = args.admin.or(config.admin);
    if let Some(id) = args.id {
        config.id = ProxyId(id);
    }
    if let Some(key) = &args.user_key {
        config.user_key.clone_from(key);
    }
    config.limits.clients_max = args.clients_max.unwrap_or(config.limits.clients_max);
    config.limits.queue_bytes_max = args.queue_bytes.unwrap_or(config.limits.queue_bytes_max);
    config.limits.slow_client = args.slow_client.unwrap_or(config.limits.slow_client);
    config.health.stale_after = args.stale_after.map_or(config.health.stale_after, |span| span.0);
    config.check().map_err(Failure::usage)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure(flags: &str) -> Result<Config, String> {
        let args = std::iter::once("proxy").chain(flags.split_whitespace());
        let args = Args::try_parse_from(args).map_err(|error| error.to_string())?;
        configuration(&args).map_err(|failure| failure.message)
    }

    #[test]
    fn flags_make_a_configuration() {
        let config = configure(
            "--listen 127.0.0.1:0 --mode relay --upstream ws://a:1 --upstream ws://b:2 --protocol raw --stale-after 3s \
             --queue-bytes 1000 --slow-client disconnect --clients-max 7 --id 3 --user-key K --admin 127.0.0.1:0",
        )
        .unwrap();
        assert_eq!((config.mode, config.protocol, config.upstreams.len()), (Mode::Relay, Protocol::Raw, 2));
        assert_eq!((config.limits.clients_max, config.limits.queue_bytes_max), (7, 1000));
        assert_eq!(config.limits.slow_client, SlowClient::Disconnect);
        assert_eq!((config.preamble_messages, config.id, config.user_key.reveal()), (0, ProxyId(3), "K"));
        assert_eq!(config.health.stale_after, std::time::Duration::from_secs(3));
    }

    #[test]
    fn bad_usage_is_said_in_one_line() {
        for (flags, word) in [
            ("--upstream ws://a:1", "no address to listen on"),
            ("--listen 127.0.0.1:0", "no upstream given"),
            ("--listen 127.0.0.1:0 --upstream http://a", "expected ws://"),
            ("--listen 127.0.0.1:0 --upstream ws://a --queue-bytes 0", "must not be zero"),
            ("--listen 127.0.0.1:0 --upstream ws://a --mode both", "expected fanout or relay"),
        ] {
            let error = configure(flags).unwrap_err();
            assert!(error.contains(word), "{flags}: {error}");
        }
    }
}
