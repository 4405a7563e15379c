//! `sweep`: runs spread over machines by a NATS server. `start` hands out the parts and puts the results together, `work` does parts, `remove` clears up.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser as _, Subcommand};
use tokio::time::Instant;

use super::{Cli, Command, Failure, MergeArgs, RunArgs, exit, merge, run, say, select};
use crate::agenda::Shard;
use crate::capsule;
use crate::folder::Folder;
use crate::gate;
use crate::sweep::{self, Done, End, Ledger, Manifest, Queue, QueueError, SCHEMA, TRIES};

/// How long a worker waits in one question for a part.
const ASK: Duration = Duration::from_secs(2);
/// How long a part rests after a worker could not run it.
const REST: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(super) enum SweepCommand {
    /// Hand out the runs in parts, wait for the results, and put them together as one run folder
    Start(Box<StartArgs>),
    /// Do parts of a sweep until it is done
    Work(WorkArgs),
    /// Take a sweep and all its results off the server
    Remove(At),
}

/// Which sweep, and where.
#[derive(Clone, Debug, Args)]
pub(super) struct At {
    /// The NATS server (with JetStream), with user and password or a token where it asks for them
    #[arg(long, value_name = "URL", env = "NATS_URL", hide_env_values = true, default_value = "nats://127.0.0.1:4222")]
    nats: String,
    /// The sweep's name: small letters, digits, hyphens
    #[arg(long)]
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    #[command(flatten)]
    at: At,
    /// How many parts; several times the number of workers, so that they end together
    #[arg(long, default_value_t = 16)]
    parts: u32,
    /// The run folder; default: target/windtunnel/TIME-sweep
    #[arg(long)]
    out: Option<PathBuf>,
    /// A worker that says nothing for so long is dead, and its part goes to another
    #[arg(long, value_parser = humantime::parse_duration, default_value = "30s")]
    lease: Duration,
    /// Without a further result for so long, the sweep ends as inconclusive with what there is
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10m")]
    patience: Duration,
    /// Hold the runs against the baselines in DIR, as `run` does
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = gate::FOLDER)]
    baseline: Option<PathBuf>,
    /// A mark in the programs that no run reached makes the result inconclusive, as `run` does
    #[arg(long)]
    require_reached: bool,
    /// Leave the sweep on the server
    #[arg(long)]
    keep: bool,
    /// Arguments of `windtunnel run`, after `--`. Scenarios outside the catalogue must lie at the same path for every worker
    #[arg(last = true, value_name = "RUN ARGS")]
    run: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct WorkArgs {
    #[command(flatten)]
    at: At,
    /// Runs at the same time; default: one for each core
    #[arg(long)]
    jobs: Option<usize>,
    /// End without a part to do for so long: the sweep may not be there yet, or others have what is left
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1m")]
    idle: Duration,
}

pub(super) fn sweep(command: SweepCommand) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::harness(format!("failed to start a runtime: {error}")))?;
    match command {
        SweepCommand::Start(args) => start(&runtime, *args),
        SweepCommand::Work(args) => runtime.block_on(work(&args)),
        SweepCommand::Remove(at) => {
            named(&at)?;
            runtime.block_on(async { Queue::connect(&at.nats, &at.name).await?.remove().await })?;
            Ok(exit::PASSED)
        }
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let code = match &error {
            QueueError::Unreachable { .. } | QueueError::Failed { .. } => exit::IO,
            QueueError::Other(_) | QueueError::Absent(_) => exit::USAGE,
        };
        Self { code, message: error.to_string() }
    }
}

fn named(at: &At) -> Result<(), Failure> {
    if sweep::is_name(&at.name) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--name {:?}: a sweep's name is of small letters, digits and hyphens, at most 48",
        at.name
    )))
}

/// Arguments of `run` understood, and those refused that are the sweep's own.
fn run_args(args: &[String]) -> Result<RunArgs, Failure> {
    let words = ["windtunnel", "run"].map(OsString::from).into_iter().chain(args.iter().map(OsString::from));
    let cli = Cli::try_parse_from(words).map_err(|error| Failure::usage(format!("after `--`: {error}")))?;
    let Command::Run(args) = cli.command else {
        return Err(Failure::usage("after `--`: arguments of `run` are expected"));
    };
    let own = [
        (args.shard.is_some(), "--shard", "the sweep makes the parts"),
        (args.out.is_some(), "--out", "give it before `--`"),
        (args.baseline.is_some(), "--baseline", "give it before `--`"),
        (args.require_reached, "--require-reached", "give it before `--`"),
        (args.time_budget.is_some(), "--time-budget", "parts are of fixed seeds"),
        (args.json, "--json", "read the folder's summary.json"),
        (args.jobs.is_some(), "--jobs", "each worker has its own"),
    ];
    match own.iter().find(|(given, ..)| *given) {
        Some((_, word, why)) => Err(Failure::usage(format!("{word} after `--`: {why}"))),
        None => Ok(*args),
    }
}

fn start(runtime: &tokio::runtime::Runtime, args: StartArgs) -> Result<u8, Failure> {
    named(&args.at)?;
    if !(1..=select::SHARDS_MAX).contains(&u64::from(args.parts)) {
        return Err(Failure::usage(format!("--parts {}: expected 1 to {}", args.parts, select::SHARDS_MAX)));
    }
    if args.lease < Duration::from_secs(1) || args.patience < args.lease {
        return Err(Failure::usage("--lease is at least 1s, and --patience at least as long as --lease"));
    }
    // What no worker could run is told here.
    let asked = run_args(&args.run)?;
    select::choose(&asked.select, asked.engine.into())?;
    if let Some(dir) = &args.baseline {
        run::baseline_folder(dir)?;
    }
    let manifest = Manifest {
        schema: SCHEMA,
        args: args.run.clone(),
        parts: args.parts,
        lease_ms: u64::try_from(args.lease.as_millis()).unwrap_or(u64::MAX),
        program: capsule::program().map(str::to_owned),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let folder = Folder::create(args.out.as_deref(), "sweep").map_err(|e| Failure::io(format!("failed to {e}")))?;
    let out = folder.path().to_owned();
    let parts = out.with_file_name(format!(
        "{}.parts",
        out.file_name().map_or_else(|| "sweep".into(), |name| name.to_string_lossy())
    ));
    let (queue, folders, trouble) = runtime.block_on(collect(&args, &manifest, &parts))?;
    let merged = if folders.is_empty() {
        Err(Failure { code: exit::INCONCLUSIVE, message: "no part was run".to_owned() })
    } else {
        merge::merge(&MergeArgs {
            folders,
            out,
            baseline: args.baseline,
            require_reached: args.require_reached,
            annotations: false,
        })
    };
    // The results are in the merged folder, or nothing can be made of them.
    if merged.is_ok() {
        let _ = std::fs::remove_dir_all(&parts);
    }
    if !args.keep {
        runtime.block_on(queue.remove())?;
    }
    for line in &trouble {
        say(&format!("windtunnel: {line}"));
    }
    match merged? {
        // What was not run cannot have held.
        exit::PASSED if !trouble.is_empty() => Ok(exit::INCONCLUSIVE),
        code => Ok(code),
    }
}

/// Publishes the parts and takes the results: each part's folder below `parts`, and what is missing in words.
async fn collect(
    args: &StartArgs,
    manifest: &Manifest,
    parts: &Path,
) -> Result<(Queue, Vec<PathBuf>, Vec<String>), Failure> {
    let queue = Queue::connect(&args.at.nats, &args.at.name).await?;
    queue.begin(manifest).await?;
    say(&format!(
        "sweep {}: {} parts; on each machine: windtunnel sweep work --nats URL --name {}",
        args.at.name, args.parts, args.at.name
    ));
    let mut ledger = Ledger::new(args.parts);
    let mut folders = Vec::new();
    let mut trouble = Vec::new();
    let whole = queue
        .follow(args.patience, async |done: Done| {
            if !ledger.note(done.clone()) {
                return Ok::<bool, Failure>(ledger.is_whole());
            }
            let Done { part, worker, tries, end, .. } = done;
            match end {
                End::Folder(name) => {
                    let folder = parts.join(part.to_string());
                    let blob = queue.get(&name).await?;
                    // A start that did not come to its end may have left one of another sweep.
                    match std::fs::remove_dir_all(&folder) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                            return Err(Failure::io(format!("failed to clear {}: {error}", folder.display())));
                        }
                        _ => {}
                    }
                    sweep::unpack(&blob, &folder).map_err(|error| Failure::io(format!("part {part}: {error}")))?;
                    let again = if tries > 1 { format!(", handed out {tries} times") } else { String::new() };
                    say(&format!("part {part} of {} by {worker}{again}", manifest.parts));
                    folders.push((part, folder));
                }
                End::Failed(why) => trouble.push(format!("part {part} was not run (by {worker}): {why}")),
            }
            Ok(ledger.is_whole())
        })
        .await?;
    if !whole {
        let missing: Vec<String> = ledger.missing().map(|part| part.to_string()).collect();
        let patience = humantime::format_duration(args.patience);
        trouble.push(format!("no further result within {patience}; missing: part {}", missing.join(", ")));
    }
    folders.sort();
    Ok((queue, folders.into_iter().map(|(_, folder)| folder).collect(), trouble))
}

/// Does parts until the sweep is done or gone.
async fn work(args: &WorkArgs) -> Result<u8, Failure> {
    named(&args.at)?;
    let queue = Queue::connect(&args.at.nats, &args.at.name).await?;
    let worker = format!("{}-{}", host(), std::process::id());
    let mut idle_since = Instant::now();
    let mut done = 0_u32;
    let manifest = loop {
        match queue.manifest().await? {
            Some(manifest) => break manifest,
            None if idle_since.elapsed() > args.idle => return Err(QueueError::Absent(args.at.name.clone()).into()),
            None => tokio::time::sleep(ASK.min(args.idle)).await,
        }
    };
    let ours = capsule::program().map(str::to_owned);
    if manifest.program != ours {
        let word = |program: &Option<String>| program.clone().unwrap_or_else(|| "unknown".to_owned());
        return Err(Failure::usage(format!(
            "this is another program than the sweep's ({} here, {} there): runs of two programs do not make one sweep",
            word(&ours),
            word(&manifest.program)
        )));
    }
    loop {
        let lease = match queue.take(ASK).await {
            Ok(Some(lease)) => lease,
            Ok(None) => {
                let over = queue.results().await.is_ok_and(|results| results >= u64::from(manifest.parts));
                if over || idle_since.elapsed() > args.idle {
                    break;
                }
                continue;
            }
            // Whoever started it has what it wants; or it is still being made, for the manifest comes first and goes last.
            Err(QueueError::Absent(_)) => {
                if idle_since.elapsed() > args.idle || queue.manifest().await?.is_none() {
                    break;
                }
                tokio::time::sleep(ASK.min(args.idle)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let (part, tries) = (lease.part, lease.tries);
        if tries > TRIES {
            let end = End::Failed(format!("{TRIES} workers took it, and none came to its end"));
            match queue.report(&Done { schema: SCHEMA, part, worker: worker.clone(), tries, end }).await {
                Ok(_) => {}
                Err(QueueError::Absent(_)) => break,
                Err(error) => return Err(error.into()),
            }
            let _ = lease.finish().await;
            continue;
        }
        say(&format!("part {part} of {}", manifest.parts));
        let end = match one(args, &manifest, &lease).await? {
            Ok(blob) => match queue.put(part, &blob).await {
                Ok(name) => End::Folder(name),
                // Gone while the part was run: another had it, or nobody waits any more.
                Err(QueueError::Absent(_)) => break,
                Err(error) => return Err(error.into()),
            },
            Err(failure) if tries == TRIES => End::Failed(failure.message),
            // Whoever started it has understood the arguments: what this machine lacks, a file or room on its disk, it lacks for every part.
            Err(failure) if matches!(failure.code, exit::USAGE | exit::IO) => {
                lease.give_back(Duration::ZERO).await?;
                return Err(Failure { message: format!("part {part}: {}", failure.message), ..failure });
            }
            Err(failure) => {
                say(&format!("part {part}: {}; another may try", failure.message));
                lease.give_back(REST).await?;
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let first = match queue.report(&Done { schema: SCHEMA, part, worker: worker.clone(), tries, end }).await {
            Ok(first) => first,
            Err(QueueError::Absent(_)) => break,
            Err(error) => return Err(error.into()),
        };
        // With the last result the sweep may be gone already; and a part that comes again has its result.
        let _ = lease.finish().await;
        done += u32::from(first);
        idle_since = Instant::now();
    }
    say(&format!("{done} parts done"));
    Ok(exit::PASSED)
}

/// Runs a part in a thread of its own while the lease is kept; gives the packed folder.
#[expect(clippy::disallowed_methods, reason = "outside all runs: the server is spoken to while the runs go on")]
async fn one(args: &WorkArgs, manifest: &Manifest, lease: &sweep::Lease) -> Result<Result<Vec<u8>, Failure>, Failure> {
    let dir = std::env::temp_dir().join(format!("windtunnel-sweep-{}-{}", std::process::id(), lease.part));
    let shard = Shard { index: u64::from(lease.part), of: u64::from(manifest.parts) };
    let run = run_args(&manifest.args).map(|run| RunArgs {
        shard: Some(shard),
        out: Some(dir.clone()),
        jobs: args.jobs,
        quiet: true,
        ..run
    });
    let run = match run {
        Ok(run) => run,
        Err(failure) => return Ok(Err(failure)),
    };
    let (tell, mut told) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        // Whether runs passed or failed stands in the folder; only what kept them from being run is a failure here.
        let ended = run::run(run).and_then(|_| sweep::pack(&dir).map_err(|error| Failure::io(error.to_string())));
        let _ = std::fs::remove_dir_all(&dir);
        // Nobody listens any more where the server was lost.
        let _ = tell.send(ended);
    });
    let mut beat = tokio::time::interval(manifest.lease() / 4);
    let ended = loop {
        wire::select! {
            ended = &mut told => break ended,
            _ = beat.tick() => lease.extend().await?,
        }
    };
    let _ = thread.join();
    Ok(ended.unwrap_or_else(|_| Err(Failure::harness("the thread of the runs panicked"))))
}

/// This machine's name, for the record.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "host".to_owned())
}
