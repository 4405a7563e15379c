//! The determinism check: proof, not hope.

use std::ffi::OsString;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::difference::{self, Difference};
use super::{Failure, TwiceArgs, exit, hang, print, say, select};
use crate::campaign::{self, Bounds, Job, News};
use crate::engine::{self, Look, Options, Segments};
use crate::model::Engine;
use crate::plan::Plan;

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
            jobs.push(Job {
                scenario: chosen.scenario.clone(),
                text: chosen.text.clone(),
                seed,
                options,
                service_time: None,
                pcap: None,
                trace: false,
                look: Look::default(),
            });
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
        News::Hangs(index) => hangs(&jobs[index]),
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
            say(&format!("  {}", parting(job, word)?));
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
        fault.at = fault.at.map(|_| crate::span::Span::from_millis(200));
        fault.lasts = fault.lasts.map(|_| crate::span::Span::from_millis(300));
    }
    let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: false };
    let jobs: Vec<Job> = (0..OTHERS)
        .map(|seed| Job {
            scenario: small.scenario.clone(),
            text: String::new(),
            seed: 1_000 + seed,
            options,
            service_time: None,
            pcap: None,
            trace: false,
            look: Look::default(),
        })
        .collect();
    let mut failed = None;
    campaign::run(&jobs, bounds(threads), |news| match news {
        // These runs are too short to pass; only a harness that fails matters.
        News::Done(done) => failed = failed.take().or(done.result.err().map(|error| error.to_string())),
        News::Hangs(index) => hangs(&jobs[index]),
    });
    failed.map_or(Ok(()), |error| Err(Failure::harness(error)))
}

fn bounds(threads: usize) -> Bounds {
    Bounds { threads, ..Bounds::default() }
}

fn hangs(job: &Job) -> ! {
    hang(&format!("{} seed {}", job.scenario.name, job.seed), "")
}

/// The hash of one run in a process of its own.
fn fresh(word: &str, job: &Job, events: Option<&Path>) -> Result<String, Failure> {
    let mut args = again(word, job);
    if let Some(path) = events {
        args.extend(["--events".into(), path.into()]);
    }
    Ok(process(&args)?.trim().to_owned())
}

/// What makes this program do a job's run once more.
fn again(word: &str, job: &Job) -> Vec<OsString> {
    let (seed, Options { order, engine, .. }) = (job.seed.to_string(), job.options);
    ["trace", word, "--seed", &seed, "--order", &order.to_string(), "--engine", engine.word()]
        .map(OsString::from)
        .into()
}

/// What this program says on standard output in a process of its own.
fn process(args: &[OsString]) -> Result<String, Failure> {
    let program =
        std::env::current_exe().map_err(|error| Failure::io(format!("failed to find this program: {error}")))?;
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::io(format!("failed to start a fresh process: {error}")))?;
    if !output.status.success() {
        let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
        return Err(Failure::harness(format!("the fresh process `{}` ended with {}", words.join(" "), output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs both sides again with their events, and names the first that differs; where none does, the first delivery on the wire.
fn parting(job: &Job, word: &str) -> Result<String, Failure> {
    let io = |error: std::io::Error| Failure::io(format!("failed to compare events: {error}"));
    let path = std::env::temp_dir().join(format!("windtunnel-{}-{}.jsonl", std::process::id(), job.seed));
    fresh(word, job, Some(&path))?;
    let job_again = Job { options: Options { keep_events: true, ..job.options }, ..job.clone() };
    let run = campaign::one(&job_again).map_err(|error| Failure::engine(&error))?;
    let theirs = BufReader::new(std::fs::File::open(&path).map_err(io)?);
    let parting = differs(theirs, run.events.as_deref().unwrap_or_default());
    std::fs::remove_file(&path).map_err(io)?;
    match parting.map_err(io)? {
        Some(difference) => Ok(difference.to_string()),
        None => parting_on_the_wire(job, word),
    }
}

/// The first line of a file of events that differs from the events given.
pub(super) fn differs(
    file: impl std::io::BufRead,
    events: &[wire::event::Timed],
) -> std::io::Result<Option<Difference>> {
    difference::first(0, file.lines(), events.iter().map(|event| Ok(serde_json::to_string(event)?)))
}

/// The programs saw the same on both sides: names the first delivery that differs. Its stretch is found by the hashes kept on the way; then both sides run
/// once more for the deliveries of the stretch.
fn parting_on_the_wire(job: &Job, word: &str) -> Result<String, Failure> {
    let here = |from| {
        let plan = Plan::new(&job.scenario, job.seed);
        engine::segments(&plan, job.options, from).map_err(|error| Failure::engine(&error))
    };
    let there = |from| segments_of(word, job, from);
    let from = difference::stretch(&there(0)?.checkpoints, &here(0)?.checkpoints, sim::CHECKPOINT_EVERY);
    let (theirs, ours) = (there(from)?.lines, here(from)?.lines);
    let parting = difference::first(from, theirs.into_iter().map(Ok), ours.into_iter().map(Ok));
    Ok(match parting.map_err(|error| Failure::io(error.to_string()))? {
        Some(difference) => format!("all events are equal; on the wire {}", difference.describe("delivery")),
        None => "no difference can be found when both run again: it comes and goes".to_owned(),
    })
}

/// The deliveries of one run in a process of its own.
fn segments_of(word: &str, job: &Job, from: u64) -> Result<Segments, Failure> {
    let mut args = again(word, job);
    args.extend(["--segments".into(), from.to_string().into()]);
    let text = process(&args)?;
    let mut lines = text.lines();
    let hashes = lines.next().unwrap_or_default();
    let checkpoints = hashes.split_whitespace().filter_map(|hash| u64::from_str_radix(hash, 16).ok()).collect();
    Ok(Segments { checkpoints, lines: lines.map(str::to_owned).collect() })
}

/// One run for its deliveries: a line with the checkpoints, then a line for each delivery.
pub(super) fn trace_segments(word: &str, seed: u64, options: Options, from: u64) -> Result<u8, Failure> {
    let chosen = select::one(word)?;
    let segments =
        engine::segments(&Plan::new(&chosen.scenario, seed), options, from).map_err(|error| Failure::engine(&error))?;
    let hashes: Vec<String> = segments.checkpoints.iter().map(|hash| format!("{hash:016x}")).collect();
    print(&format!("{}\n{}", hashes.join(" "), segments.lines.join("\n")))
}

/// One run, its hash on standard output.
pub(super) fn trace(word: &str, seed: u64, options: Options, events: Option<&Path>) -> Result<u8, Failure> {
    let chosen = select::one(word)?;
    let job = Job {
        scenario: chosen.scenario,
        text: chosen.text,
        seed,
        options,
        service_time: None,
        pcap: None,
        trace: false,
        look: Look::default(),
    };
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
