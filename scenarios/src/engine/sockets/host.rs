//! One host of a run over sockets: a process that calls the function which the simulated host calls, with the configuration that it would have.
//!
//! It says `ready`, waits until the run begins, and reports what happens into a file of its own, stamped with the clock that all processes share. SIGTERM ends it:
//! then it writes how it fared. SIGUSR1 tells a proxy to drain, SIGHUP to go over to what was reloaded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wire::event::{JsonLines, Observer, Sink};
use wire::net::TokioNet;
use wire::reach::Tally;

use super::book::{BEGIN, Seat, Stage, end_file, events_file, reloads_file};
use super::clock::Clock;
use super::net::NamedNet;
use super::pulse::{Lateness, Pulse, beat};
use crate::engine::cast;
use crate::engine::reins::Reins;
use crate::mutants::{self, Mutant};
use crate::plan::{Plan, number};

/// How a life of a host fared, as it says at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// How late it had its turns.
    pub(super) lateness: Lateness,
    /// The marks that it reached.
    pub(super) marks: BTreeMap<String, u64>,
    /// Whether something that it reported could not be written.
    pub(super) record_failed: bool,
}

/// The line that says that a host has what it needs and waits for the run to begin.
pub(super) const READY: &str = "ready";

/// How long a host waits for the run to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one host has.
struct Life {
    dir: PathBuf,
    name: String,
    life: u32,
    plan: Plan,
    mutant: Option<&'static Mutant>,
    seat: Seat,
}

/// Plays a host of the run in `dir`. Ends the process by itself when it is told to; comes back where the host ended before.
///
/// # Errors
/// A line for a person: the host could not begin, or its program failed.
pub(in crate::engine) fn play(dir: &Path, name: &str, life: u32) -> Result<(), String> {
    // A task that panics is a program that fails, as it is in the simulator: the process ends, and its log says why.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        std::process::abort();
    }));
    log();
    let stage = Stage::read(dir)?;
    let mutant = match &stage.mutant {
        Some(name) => Some(mutants::find(name).map_err(|unknown| unknown.to_string())?),
        None => None,
    };
    let seat = stage.seats.get(name).ok_or_else(|| format!("{} has no host {name}", dir.display()))?.clone();
    let plan = Plan::new(&stage.scenario, stage.seed);
    Life { dir: dir.to_owned(), name: name.to_owned(), life, plan, mutant, seat }.live()
}

impl Life {
    fn live(self) -> Result<(), String> {
        let runtime = runtime()?;
        let tally = Tally::default();
        let mut handles = vec![runtime.handle().clone()];
        let shards = proxy_number(&self.plan, &self.name).and(self.plan.scenario.proxy.shards).unwrap_or(1);
        for shard in 1..shards {
            handles.push(further(shard, tally.clone())?);
        }
        tally.listen();
        let pen = Pen::new(&self.dir.join(events_file(&self.name, self.life)), self.seat.at_once)?;
        say(READY);
        let clock = self.wait()?;
        runtime.block_on(self.begun(TokioNet::sharded(handles), clock, tally, pen))
    }

    /// Waits for the run to begin: to the microsecond, where this process is up in time.
    #[expect(clippy::disallowed_methods, reason = "a process over real sockets, before its run begins")]
    fn wait(&self) -> Result<Clock, String> {
        const LOOK: Duration = Duration::from_millis(2);
        let path = self.dir.join(BEGIN);
        for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
            let told = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            if let Some(began_us) = told {
                let left = u64::saturating_sub(began_us, super::clock::monotonic_us());
                std::thread::sleep(Duration::from_micros(left));
                return Ok(Clock { began_us });
            }
            std::thread::sleep(LOOK);
        }
        Err(format!("the run did not begin within {}", humantime::format_duration(PATIENCE)))
    }

    async fn begun(self, net: TokioNet, clock: Clock, tally: Tally, pen: Pen) -> Result<(), String> {
        let proxy = proxy_number(&self.plan, &self.name);
        // What proxies draw differs from life to life. What clients and sources draw is the seed's.
        let net = if proxy.is_some() { net } else { net.with_seed(self.plan.seed) };
        let net = NamedNet::new(net, self.seat.addr, self.seat.names.clone());
        let mut signals = Signals::listen().map_err(|error| format!("failed to listen to signals: {error}"))?;
        let lines = Arc::new(JsonLines::new(Box::new(pen.clone()), move || clock.now_us()));
        let sink: Arc<dyn Sink> = Arc::<JsonLines>::clone(&lines);
        let reins = cast::reins(&self.plan, self.mutant);
        let mut reloaded = 0;
        self.reload(&reins, proxy, &mut reloaded);
        let pulse = Arc::new(Mutex::new(Pulse::new()));
        let noting = Arc::clone(&pulse);
        let note = move |late| noting.lock().unwrap_or_else(PoisonError::into_inner).note(late);
        let program = self.program(net, sink, &reins, proxy);
        tokio::pin!(program);
        let beating = beat(note);
        tokio::pin!(beating);
        let ended = loop {
            let told = wire::select! {
                told = signals.next() => told,
                ended = &mut program => break ended,
                () = &mut beating => continue,
            };
            match (told, proxy) {
                (Told::End, _) => break Ok(()),
                (Told::Drain, Some(proxy)) => reins.drain(proxy),
                (Told::Reload, _) => self.reload(&reins, proxy, &mut reloaded),
                (Told::Drain, None) => {}
            }
        };
        let marks = tally.take().into_iter().map(|(mark, times)| (mark.to_owned(), times)).collect();
        let lateness = pulse.lock().unwrap_or_else(PoisonError::into_inner).lateness();
        let record_failed = pen.empty().is_err() || lines.failed();
        let path = self.dir.join(end_file(&self.name, self.life));
        let end = serde_json::to_vec(&End { lateness, marks, record_failed }).expect("an end always serialises");
        std::fs::write(&path, end).map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        ended?;
        // Farewells are no part of the run, and its parent waits.
        std::process::exit(0);
    }

    /// The function that the simulated host calls.
    async fn program(
        &self,
        net: NamedNet,
        sink: Arc<dyn Sink>,
        reins: &Reins,
        proxy: Option<u16>,
    ) -> Result<(), String> {
        let (plan, never) = (&self.plan, CancellationToken::new());
        if let Some(index) = proxy {
            let observer =
                if index < plan.scenario.proxy.count { Observer::new(sink) } else { cast::behind_proxies(plan, sink) };
            return cast::play(index, net, observer, self.mutant, reins).await.map_err(|error| error.to_string());
        }
        let observer = Observer::new(sink);
        if let Some(index) = number(Some(&self.name), "source-") {
            let served = mock_upstream::serve(cast::source(plan, index), net, never, observer).await;
            return served.map_err(|error| error.to_string());
        }
        let host = plan.client_hosts.iter().find(|host| host.name == self.name);
        let host = host.ok_or_else(|| format!("the plan has no host {}", self.name))?;
        loadgen::run(cast::clients(plan, host), net, never.clone(), observer)
            .await
            .map_err(|error| error.to_string())?;
        // All of its clients have left for good; the host stays.
        never.cancelled().await;
        Ok(())
    }

    /// Goes over to what was reloaded and is not yet known: faults of the plan by their numbers, in a file.
    fn reload(&self, reins: &Reins, proxy: Option<u16>, known: &mut usize) {
        let Some(proxy) = proxy else { return };
        let told = std::fs::read_to_string(self.dir.join(reloads_file(&self.name))).unwrap_or_default();
        for line in told.lines().skip(*known) {
            *known += 1;
            let fault = line.parse::<usize>().ok().and_then(|fault| self.plan.faults.get(fault));
            let Some(changes) = fault.and_then(|fault| fault.changes.as_ref()) else { continue };
            if let Err(refused) = reins.reload(proxy, changes) {
                tracing::error!(%refused, "the new configuration is refused");
            }
        }
    }
}

/// The number of a proxy or edge in the record, by its name.
fn proxy_number(plan: &Plan, host: &str) -> Option<u16> {
    let edge = || number(Some(host), "edge-")?.checked_add(plan.scenario.proxy.count);
    number(Some(host), "proxy-").or_else(edge)
}

/// Where events go: each at once, or many together.
#[derive(Clone)]
struct Pen {
    file: Arc<Mutex<BufWriter<File>>>,
    at_once: bool,
}

impl Pen {
    fn new(path: &Path, at_once: bool) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        Ok(Self { file: Arc::new(Mutex::new(BufWriter::with_capacity(1 << 16, file))), at_once })
    }

    /// Writes what waits.
    fn empty(&self) -> std::io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.at_once { self.empty() } else { Ok(()) }
    }
}

/// What the run tells a host.
enum Told {
    End,
    Drain,
    Reload,
}

struct Signals {
    end: Signal,
    drain: Signal,
    reload: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            end: signal(SignalKind::terminate())?,
            drain: signal(SignalKind::user_defined1())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        wire::select! {
            _ = self.end.recv() => Told::End,
            _ = self.drain.recv() => Told::Drain,
            _ = self.reload.recv() => Told::Reload,
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("failed to start a runtime: {error}"))
}

/// An event loop beyond the first, on a thread of its own for as long as the process lives.
fn further(shard: u16, tally: Tally) -> Result<tokio::runtime::Handle, String> {
    let runtime = runtime()?;
    let handle = runtime.handle().clone();
    let run = move || {
        tally.listen();
        runtime.block_on(std::future::pending::<()>());
    };
    let thread = std::thread::Builder::new().name(format!("shard-{shard}")).spawn(run);
    thread.map(|_| handle).map_err(|error| format!("failed to start a thread: {error}"))
}

/// A line for who started it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Logs to standard error; `RUST_LOG` chooses what, warnings by default.
fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
