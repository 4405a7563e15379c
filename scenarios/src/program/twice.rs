//! The determinism check: proof, not hope.

use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Failure, TwiceArgs, exit, print, say, select};
use crate::campaign::{self, Bounds, Job, News};
use crate::engine::Options;
use crate::model::Engine;

/// Runs that are done in this process before those that count.
const OTHERS: u64 = 50;

/// Runs each (scenario, seed) in this process, after fifty others and with others at its side, and in a fresh process; compares the hashes of their events and
/// segments.
pub(super) fn twice(args: TwiceArgs) -> Result<u8, Failure> {
    let engine: Engine = args.engine.into();
    let (chosen, seeds) = select::choose(&args.select, engine)?;
    let mut jobs = Vec::new();
    let mut names = Vec::new();
    for chosen in &chosen {
        for (seed, order) in args.select.runs(seeds) {
            let options = Options { engine, mutant: None, order, keep_events: false };
            jobs.push(Job { scenario: chosen.scenario.clone(), text: chosen.text.clone(), seed, options });
            names.push(chosen.word.clone());
        }
    }
    busy(args.jobs)?;
    let mut here: Vec<Option<(String, u64)>> = vec![None; jobs.len()];
    let mut failed = None;
    campaign::run(&jobs, bounds(args.jobs), |news| match news {
        News::Done(done) => match done.result {
            Ok(run) => here[done.index] = Some((run.verdict.trace_hash, run.verdict.events)),
            Err(error) => failed = Some(error.to_string()),
        },
        News::Hangs(index) => hang(&jobs[index]),
    });
    if let Some(error) = failed {
        return Err(Failure::harness(error));
    }
    let mut different = 0;
    for ((job, word), here) in jobs.iter().zip(&names).zip(&here) {
        let Some((hash, events)) = here else { return Err(Failure::harness("a run was lost")) };
        let fresh = fresh(word, job, None)?;
        let equal = fresh == *hash;
        say(&format!(
            "{} {} seed {}: {hash} ({events} events)",
            if equal { "equal" } else { "DIFFERENT" },
            job.scenario.name,
            reports::record::label(job.seed, job.options.order)
        ));
        if !equal {
            different += 1;
            say(&format!("  fresh process: {fresh}"));
            say(&format!("  {}", first_difference(job, word)?));
        }
    }
    print(&format!(
        "{} runs, each in a fresh process and in one that had done {OTHERS} others: {}",
        jobs.len(),
        if different == 0 { "all equal".to_owned() } else { format!("{different} different") }
    ))?;
    Ok(if different == 0 { exit::PASSED } else { exit::BROKEN })
}

/// Does fifty small runs, so that whatever a run could leave behind is there.
fn busy(threads: usize) -> Result<(), Failure> {
    let mut small = select::one("upstream-crash-mid-fanout")?;
    small.scenario.warmup = crate::span::Span::from_millis(300);
    small.scenario.recovery = crate::span::Span::from_millis(300);
    small.scenario.steady = crate::span::Span::from_millis(700);
    for fault in &mut small.scenario.faults {
        fault.at = crate::span::Span::from_millis(200);
        fault.lasts = fault.lasts.map(|_| crate::span::Span::from_millis(300));
    }
    let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: false };
    let jobs: Vec<Job> = (0..OTHERS)
        .map(|seed| Job { scenario: small.scenario.clone(), text: String::new(), seed: 1_000 + seed, options })
        .collect();
    let mut failed = None;
    campaign::run(&jobs, bounds(threads), |news| match news {
        // These runs are too short to pass; only a harness that fails matters.
        News::Done(done) => failed = failed.take().or(done.result.err().map(|error| error.to_string())),
        News::Hangs(index) => hang(&jobs[index]),
    });
    failed.map_or(Ok(()), |error| Err(Failure::harness(error)))
}

fn bounds(threads: usize) -> Bounds {
    Bounds { threads, budget: None, watchdog: Duration::from_secs(300) }
}

fn hang(job: &Job) -> ! {
    say(&format!("windtunnel: {} seed {} hangs on the wall: a bug in the harness", job.scenario.name, job.seed));
    std::process::exit(i32::from(exit::HARNESS))
}

/// The hash of one run in a process of its own.
fn fresh(word: &str, job: &Job, events: Option<&Path>) -> Result<String, Failure> {
    let (seed, Options { order, engine, .. }) = (job.seed, job.options);
    let program =
        std::env::current_exe().map_err(|error| Failure::io(format!("failed to find this program: {error}")))?;
    let mut command = Command::new(program);
    command.args([
        "trace",
        word,
        "--seed",
        &seed.to_string(),
        "--order",
        &order.to_string(),
        "--engine",
        engine.word(),
    ]);
    if let Some(path) = events {
        command.arg("--events").arg(path);
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::io(format!("failed to start a fresh process: {error}")))?;
    if !output.status.success() {
        return Err(Failure::harness(format!("the fresh process for {word} seed {seed} ended with {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs both sides again with their events, and names the first that differs.
fn first_difference(job: &Job, word: &str) -> Result<String, Failure> {
    let io = |error: std::io::Error| Failure::io(format!("failed to compare events: {error}"));
    let path = std::env::temp_dir().join(format!("windtunnel-{}-{}.jsonl", std::process::id(), job.seed));
    fresh(word, job, Some(&path))?;
    let again = Job { options: Options { keep_events: true, ..job.options }, ..job.clone() };
    let run = campaign::one(&again).map_err(|error| Failure::engine(&error))?;
    let theirs = BufReader::new(std::fs::File::open(&path).map_err(io)?);
    let difference = differs(theirs, run.events.as_deref().unwrap_or_default());
    std::fs::remove_file(&path).map_err(io)?;
    difference.map_err(io)
}

/// The first line of a file of events that differs from the events given, in words.
pub(super) fn differs(file: impl std::io::BufRead, events: &[wire::event::Timed]) -> std::io::Result<String> {
    let mut lines = file.lines();
    for (number, event) in events.iter().enumerate() {
        let ours = serde_json::to_string(event)?;
        match lines.next() {
            Some(theirs) => {
                let theirs = theirs?;
                if theirs != ours {
                    return Ok(format!("event {number} differs:\n    there {theirs}\n    here  {ours}"));
                }
            }
            None => return Ok(format!("the other side ends before event {number}: {ours}")),
        }
    }
    Ok(match lines.next() {
        Some(theirs) => format!("this side ends before event {}: {}", events.len(), theirs?),
        None => "all events are equal: only the segments on the wire differ".to_owned(),
    })
}

/// One run, its hash on standard output.
pub(super) fn trace(word: &str, seed: u64, options: Options, events: Option<&Path>) -> Result<u8, Failure> {
    let chosen = select::one(word)?;
    let job = Job { scenario: chosen.scenario, text: chosen.text, seed, options };
    let run = campaign::one(&job).map_err(|error| Failure::engine(&error))?;
    if let (Some(path), Some(events)) = (events, &run.events) {
        write_events(path, events)
            .map_err(|error| Failure::io(format!("failed to write events to {}: {error}", path.display())))?;
    }
    print(&run.verdict.trace_hash)
}

/// Writes `events.jsonl`.
pub(super) fn write_events(path: &Path, events: &[wire::event::Timed]) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    for event in events {
        serde_json::to_writer(&mut out, event)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
