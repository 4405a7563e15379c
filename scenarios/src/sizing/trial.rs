//! One trial: a source, the proxy and the generator as processes, looked at from the beginning of the window to its end.

use std::path::Path;
use std::time::{Duration, Instant};

use reports::capacity::Footprint;

use super::axis::{Arrivals, STAY, Trial, WARM_UP};
use super::generator;
use super::judge::Measured;
use super::machine::{self, Placement};
use crate::process::{Launch, Process, ProcessError, Usage};

/// A process says where it is, or that its clients have arrived, within this beyond what is planned.
const PATIENCE: Duration = Duration::from_secs(20);
/// Addresses that clients connect from: each has the ports of the range.
const SOURCE_ADDRESSES: &str = "127.0.0.2..127.0.0.9";

/// Over less than this, ticks of accounts are too coarse to be a share of anything.
const OVER_MIN: Duration = Duration::from_millis(500);
/// How often connections under way are counted.
const LOOKS: u32 = 10;

/// Why a trial came to nothing. None of them is the proxy's doing.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The generator's summary cannot be read.
    #[error("failed to read what the generator wrote ({path}): {why}")]
    Summary {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A folder or a file.
    #[error("failed to write below {path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// Where and with what trials are run.
#[derive(Clone, Debug)]
pub struct Bench<'a> {
    /// Who runs where.
    pub placement: Placement,
    /// The program of the proxy, `windtunnel` or `proxy` of another build; none: this one.
    pub proxy_program: Option<&'a Path>,
    /// Further arguments of the proxy.
    pub proxy_args: &'a [String],
    /// Logs and summaries.
    pub dir: &'a Path,
}

/// The processes of a trial whose clients have not begun.
struct Stage {
    placement: Placement,
    source: Process,
    proxy: Process,
    address: String,
    kernel_before: Option<u64>,
}

/// What processes had used at an instant.
struct Reading {
    at: Instant,
    proxy: Option<Usage>,
    source: Option<Usage>,
    clients: Option<Usage>,
    kernel: Option<u64>,
    segments: Option<u64>,
    /// How long the proxy's core was at work, for whomever.
    core: Option<Duration>,
}

impl Reading {
    /// Memory of the proxy and of the kernel's sockets, in bytes.
    fn held(&self) -> Option<u64> {
        Some(self.proxy?.rss_bytes + self.kernel?)
    }
}

impl Bench<'_> {
    fn launch(&self, role: &str, args: &[String]) -> Result<Launch, ProcessError> {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let failed = |source| ProcessError::Start { name: role.to_owned(), source };
        Launch::role(role, role, &args, self.dir).map_err(failed)
    }

    fn proxy(&self, args: &[String]) -> Result<Launch, ProcessError> {
        let mut launch = self.launch("proxy", args)?;
        if let Some(program) = self.proxy_program {
            let alone = program.file_stem().is_some_and(|stem| stem == "proxy");
            let words = ["role", "proxy"].into_iter().filter(|_| !alone).chain(args.iter().map(String::as_str));
            launch.command = std::iter::once(program.as_os_str().to_owned()).chain(words.map(Into::into)).collect();
        }
        Ok(launch)
    }

    fn stage(&self, trial: &Trial) -> Result<Stage, TrialError> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (symbols, rate) = (trial.symbols.to_string(), trial.ticks_per_s.to_string());
        // With an exponent of 0 all tick alike, each at instants of its own: no burst of all at once.
        let mut args = words(&["--listen", "127.0.0.1:0", "--symbols", &symbols, "--rate", &rate, "--zipf", "0"]);
        if trial.padding > 0 {
            args.extend(["--padding".to_owned(), trial.padding.to_string()]);
        }
        let mut source = self.launch("mock-upstream", &args)?.on(self.placement.rest).start()?;
        let url = source.says("listening on ", PATIENCE)?;
        let url = url.split_whitespace().next().unwrap_or_default().to_owned();
        // All clients may come, from one address, as fast as they do: what the proxy would turn away is not what is looked for.
        let clients = (trial.clients + 100).to_string();
        let mut args = words(&["--listen", "127.0.0.1:0", "--upstream", &url, "--clients-max", &clients]);
        args.extend_from_slice(self.proxy_args);
        let mut proxy = self.proxy(&args)?.on(self.placement.proxy).start()?;
        let address = proxy.says("listening on ", PATIENCE)?;
        let address = address.split_whitespace().next().unwrap_or_default().to_owned();
        Ok(Stage { placement: self.placement, source, proxy, address, kernel_before: machine::socket_bytes() })
    }

    fn clients(&self, trial: &Trial, target: &str, summary: &Path) -> Result<Process, TrialError> {
        let time = |time: Duration| format!("{}s", time.as_secs_f64());
        let mut args: Vec<String> = Vec::new();
        let mut say = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
        say("--target", target.to_owned());
        say("--clients", trial.clients.to_string());
        say("--symbols", trial.symbols.to_string());
        if trial.symbols_per_client < trial.symbols {
            say("--symbols-per-client", trial.symbols_per_client.to_string());
        }
        say("--source-address", SOURCE_ADDRESSES.to_owned());
        say("--verify", trial.verify.to_string());
        say("--objective", time(trial.objective));
        say("--out", summary.display().to_string());
        if let Some(bytes) = trial.bytes_per_s {
            say("--read-rate", bytes.to_string());
        }
        match trial.arrivals {
            Arrivals::Ramp => {
                say("--ramp", time(trial.ramp()));
                say("--warm-up", time(WARM_UP));
                say("--window", time(trial.window));
            }
            Arrivals::Poisson { per_s } => {
                say("--poisson", per_s.to_string());
                say("--stay", time(STAY));
                say("--duration", time(trial.window + STAY));
            }
        }
        Ok(self.launch("loadgen", &args)?.on(self.placement.rest).start()?)
    }

    /// Runs a trial to its end.
    ///
    /// # Errors
    /// [`TrialError`] where a process of ours failed; a proxy that ended is no error, but measured.
    pub fn run(&self, trial: &Trial) -> Result<Measured, TrialError> {
        let mut stage = self.stage(trial)?;
        let out = self.dir.join("loadgen");
        let summary = out.join("summary.json");
        // What an earlier trial left must not be taken for this one's.
        let _ = std::fs::remove_file(&summary);
        let mut clients = self.clients(trial, &stage.address.clone(), &out)?;
        let (before, after, under_way, measured);
        if trial.arrivals == Arrivals::Ramp {
            let began = reach(&mut clients, "loadgen measuring", trial.ramp() + WARM_UP + PATIENCE)?;
            before = stage.read(&clients);
            measured = reach(&mut clients, "loadgen measured", trial.window + PATIENCE)? && began;
            after = stage.read(&clients);
            under_way = None;
        } else {
            let idle = stage.read(&clients);
            (before, after, under_way) = stage.steady(&clients, trial.window, &idle);
            measured = under_way.is_some();
        }
        let descriptors_max = machine::descriptors_max(stage.proxy.id());
        clients.wait(trial.window + STAY + PATIENCE * 3)?;
        let mut heard = generator::read(&summary, trial)?;
        if trial.arrivals != Arrivals::Ramp {
            // Its own account is of the end, when nobody arrives any more.
            heard.cpu = share(before.clients, after.clients, after.at - before.at);
        }
        let proxy_ended = stage.proxy.ended()?.map(|status| format!("{status}{}", stage.proxy.last_words()));
        Ok(Measured {
            trial: *trial,
            heard,
            proxy: stage.footprint(trial, &before, &after).filter(|_| measured),
            descriptors_max,
            under_way,
            source_cpu: share(before.source, after.source, after.at - before.at),
            grew: after
                .held()
                .zip(before.held())
                .map(|(now, before)| now.saturating_sub(before) as f64 / now.max(1) as f64),
            taken: taken(&before, &after),
            proxy_ended,
        })
    }
}

impl Stage {
    #[expect(clippy::disallowed_methods, reason = "processes over real sockets take real time")]
    fn read(&self, clients: &Process) -> Reading {
        // A process that has ended has no account.
        let of = |process: &Process| process.usage().ok();
        let (proxy, source, clients) = (of(&self.proxy), of(&self.source), of(clients));
        Reading {
            at: Instant::now(),
            proxy,
            source,
            clients,
            kernel: machine::socket_bytes(),
            segments: machine::segments_sent(),
            core: self.placement.proxy.and_then(machine::core_taken),
        }
    }

    /// What is used, and how many connections the proxy has on average (by its descriptors, less those of `idle`), from when as many go as come to shortly before no
    /// more come. No connections where the window is too short for that, or the proxy has ended.
    #[expect(clippy::disallowed_methods, reason = "processes over real sockets take real time")]
    fn steady(&self, clients: &Process, window: Duration, idle: &Reading) -> (Reading, Reading, Option<f64>) {
        let settled = STAY * 2;
        let over = window.saturating_sub(settled).mul_f64(0.8);
        std::thread::sleep(settled);
        let before = self.read(clients);
        let mut counts = Vec::new();
        for _ in 0..LOOKS {
            std::thread::sleep(over / LOOKS);
            if let (Ok(now), Some(idle)) = (self.proxy.usage(), idle.proxy) {
                counts.push(now.descriptors.saturating_sub(idle.descriptors) as f64);
            }
        }
        let after = self.read(clients);
        let whole = counts.len() == LOOKS as usize && !over.is_zero();
        (before, after, whole.then(|| counts.iter().sum::<f64>() / f64::from(LOOKS)))
    }

    fn footprint(&self, trial: &Trial, before: &Reading, after: &Reading) -> Option<Footprint> {
        let now = after.proxy?;
        let over = (after.at - before.at).as_secs_f64();
        let segments =
            after.segments.zip(before.segments).map(|(now, before)| now.saturating_sub(before) as f64 / over);
        let kernel = after.kernel.zip(self.kernel_before).map(|(now, before)| now.saturating_sub(before));
        Some(Footprint {
            cpu: share(before.proxy, after.proxy, after.at - before.at)?,
            rss_bytes: now.rss_bytes,
            kernel_bytes: kernel,
            descriptors: now.descriptors,
            threads: now.threads,
            // Clients that come and go say as much as the proxy does.
            segments_per_s: segments.filter(|_| trial.arrivals == Arrivals::Ramp),
        })
    }
}

/// Whether the generator came to its window: one whose clients are all through ends before, and its summary says why.
fn reach(clients: &mut Process, words: &str, patience: Duration) -> Result<bool, ProcessError> {
    match clients.says(words, patience) {
        Ok(_) => Ok(true),
        Err(_) if clients.ended()?.is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The part of the proxy's own core that others took, the hypervisor's other guests among them.
fn taken(before: &Reading, after: &Reading) -> Option<f64> {
    let own = after.proxy?.user.saturating_sub(before.proxy?.user);
    let others = after.core?.saturating_sub(before.core?).saturating_sub(own);
    (after.at - before.at >= OVER_MIN).then(|| others.as_secs_f64() / (after.at - before.at).as_secs_f64())
}

/// CPU time over a time, as a share of one core.
fn share(before: Option<Usage>, after: Option<Usage>, over: Duration) -> Option<f64> {
    let used = after?.cpu.saturating_sub(before?.cpu);
    (over >= OVER_MIN).then(|| used.as_secs_f64() / over.as_secs_f64())
}
