//! `shrink`: a capsule's failure in the smallest scenario that still shows it.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Failure, ShrinkArgs, bank, exit, hang, one_watched, print, replay, say};
use crate::agenda::Place;
use crate::campaign::{self, Job};
use crate::fingerprint::Fingerprint;
use crate::folder::{Folder, Wanted, replay_command};
use crate::parse::{brief, parse};
use crate::shrink::{self, Became, Bounds, Ended, News, ShrinkError, Shrunk, Size, Step, said};

/// The version of `shrink.json`.
const SCHEMA: u32 = 1;

pub(super) fn shrink(args: &ShrinkArgs) -> Result<u8, Failure> {
    let (capsule, job) = replay::job(&args.capsule, &bank::no_captures())?;
    let fingerprint = match (&args.fingerprint, capsule.fingerprints.first()) {
        (Some(asked), _) => asked.clone(),
        (None, Some(first)) => first.clone(),
        (None, None) => {
            let run = one_watched(&job, args.watchdog)?;
            let none =
                || Failure::usage(format!("{} does not fail: there is nothing to shrink", args.capsule.display()));
            Fingerprint::first(&run.verdict).ok_or_else(none)?
        }
    };
    let name = format!("{} seed {}", capsule.scenario, reports::record::label(job.seed, job.options.order));
    let progress = Progress::new(&name);
    let fewest = Bounds::default();
    let bounds = Bounds {
        jobs: args.jobs.unwrap_or(fewest.jobs).max(1),
        time: Some(args.time_budget),
        watchdog: args.watchdog,
        ..fewest
    };
    let shrunk = shrink::shrink(&job.scenario, job.seed, job.options, &fingerprint, bounds, &mut |news| match news {
        News::Tried(step, tried) => progress.tried(step, tried),
        News::Hangs(what) => hang(&format!("{name}, {what}"), ""),
    });
    progress.finish();
    let shrunk = match shrunk {
        Ok(shrunk) => shrunk,
        Err(ShrinkError::DoesNotFail { became, .. }) => {
            let made = if capsule.is_of_this_program() { "" } else { "; the capsule is of another program" };
            let text = format!("{name} does not fail any more with `{fingerprint}`: it {}{made}\n", said(&became));
            print(&text)?;
            return Ok(exit::INCONCLUSIVE);
        }
        Err(error @ ShrinkError::Hangs) => return Err(Failure::harness(error.to_string())),
        Err(ShrinkError::Engine(error)) => return Err(Failure::engine(&error)),
    };
    let beside = || args.capsule.parent().unwrap_or(Path::new("")).join("shrunk");
    let out = args.out.clone().unwrap_or_else(beside);
    let (file, dir) = write(&out, &job, &fingerprint, &shrunk, capsule_command(&args.capsule))?;
    print(&words(&name, &fingerprint, &shrunk, &file, &dir))?;
    Ok(exit::BROKEN)
}

/// The name of what a scenario is shrunk to.
fn small_name(name: &str) -> String {
    let base = name.split('+').next().unwrap_or(name);
    format!("{}-shrunk", base.strip_suffix("-shrunk").unwrap_or(base))
}

/// Where it comes from, for the scenario's `about`.
fn about(job: &Job, fingerprint: &Fingerprint, shrunk: &Shrunk) -> String {
    let order = if job.options.order == 0 { String::new() } else { format!(" in order {}", job.options.order) };
    let mutant = job.options.mutant.map_or_else(String::new, |mutant| format!(" with the planted bug {}", mutant.name));
    format!(
        "Shrunk from {}, seed {}{order}{mutant}: of {} and {} {} and {} are left. It fails with `{fingerprint}`.",
        job.scenario.name,
        job.seed,
        faults(shrunk.before),
        several(u64::from(shrunk.before.clients), "client"),
        shrunk.after.faults,
        shrunk.after.clients,
    )
}

fn faults(size: Size) -> String {
    several(size.faults as u64, "fault")
}

fn several(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// `shrink.json`.
#[derive(Serialize)]
struct Record<'a> {
    schema: u32,
    scenario: &'a str,
    seed: u64,
    order: u64,
    engine: &'a str,
    mutant: Option<&'a str>,
    fingerprint: &'a Fingerprint,
    before: Size,
    after: Size,
    ended: Ended,
    tried: usize,
    taken: usize,
    unlawful: u64,
    control: Option<shrink::Control>,
    needed: &'a [shrink::Needed],
    steps: &'a [Step],
}

/// The counts of a shrunk failure: what, before, after.
pub(super) fn rows(shrunk: &Shrunk) -> Vec<(String, String, String)> {
    let Shrunk { before, after, .. } = shrunk;
    let row = |what: &str, size: &dyn Fn(&Size) -> String| (what.to_owned(), size(before), size(after));
    vec![
        row("faults", &|size| size.faults.to_string()),
        row("clients", &|size| size.clients.to_string()),
        row("sources", &|size| size.sources.to_string()),
        row("proxies", &|size| size.proxies.to_string()),
        row("symbols", &|size| size.symbols.to_string()),
        row("simulated", &|size| format!("{:.1} s", size.sim_seconds)),
        row("events", &|size| size.events.to_string()),
    ]
}

/// Writes the small scenario, its run and the way to it; `found` is the command that runs the failure as it was found. Gives the scenario's file, and the
/// run's folder.
pub(super) fn write(
    out: &Path,
    job: &Job,
    fingerprint: &Fingerprint,
    shrunk: &Shrunk,
    found: String,
) -> Result<(PathBuf, PathBuf), Failure> {
    let mut small = shrunk.scenario.clone();
    small.name = small_name(&job.scenario.name);
    small.about = about(job, fingerprint, shrunk);
    let text = brief::brief(&small).map_err(|error| Failure::harness(format!("failed to write TOML: {error}")))?;
    let file = out.join(format!("{}.toml", small.name));
    let wrong = |what: String| Failure::harness(format!("the small scenario {what}: a bug in the harness"));
    match parse(&file.display().to_string(), &text) {
        Ok(read) if read == small => {}
        Ok(_) => return Err(wrong("is read as another one".to_owned())),
        Err(problems) => return Err(wrong(format!("is not lawful: {}", problems[0]))),
    }
    let small = Job { scenario: small, text: text.clone(), service_time: None, trace: false, ..job.clone() };
    let run = campaign::one(&small).map_err(|error| Failure::engine(&error))?;
    if !fingerprint.shown_by(&run.verdict) {
        return Err(wrong("fails no more".to_owned()));
    }
    let io = |error: reports::folder::WriteError| Failure::io(format!("failed to {error}"));
    let dir = out.join(&run.verdict.scenario).join(run.verdict.label());
    let place = Place { scenario: 0, nth: 0, seed: job.seed, order: job.options.order };
    let mut folder = Folder::create(Some(out), &small.scenario.name).map_err(io)?;
    let told = reports::evidence::Shrunk { parts: rows(shrunk), found_command: Some(found) };
    folder.add_shrunk(place, &small, run, Wanted { page: true, events: true }, Some(told)).map_err(io)?;
    folder.look_closer().map_err(io)?;
    reports::folder::write_file(&file, text.as_bytes()).map_err(io)?;
    let record = Record {
        schema: SCHEMA,
        scenario: &job.scenario.name,
        seed: job.seed,
        order: job.options.order,
        engine: job.options.engine.word(),
        mutant: job.options.mutant.map(|mutant| mutant.name),
        fingerprint,
        before: shrunk.before,
        after: shrunk.after,
        ended: shrunk.ended,
        tried: shrunk.tried(),
        taken: shrunk.taken(),
        unlawful: shrunk.unlawful,
        control: shrunk.control,
        needed: &shrunk.needed,
        steps: &shrunk.steps,
    };
    let json = serde_json::to_vec_pretty(&record).map_err(|error| Failure::harness(error.to_string()))?;
    reports::folder::write_file(&out.join("shrink.json"), &json).map_err(io)?;
    Ok((file, dir))
}

/// What is said at the end.
fn words(name: &str, fingerprint: &Fingerprint, shrunk: &Shrunk, file: &Path, dir: &Path) -> String {
    let mut text = format!("{name}: fails with `{fingerprint}`\n\n{:>20} {:>12}\n", "before", "after");
    for (what, before, after) in rows(shrunk) {
        let _ = writeln!(text, "{what:<10}{before:>10} {after:>12}");
    }
    let (tried, taken) = (shrunk.tried(), shrunk.taken());
    let _ = writeln!(
        text,
        "\n{tried} smaller scenarios were run: {taken} fail in the same way and were taken, {} do not; {} more no file may say.",
        tried - taken,
        shrunk.unlawful
    );
    let _ = match shrunk.control {
        Some(control) => {
            writeln!(text, "Each that was taken was also run {}: it is not that nobody could pass.", control.words())
        }
        None => writeln!(text, "Whether it fails for the same cause could not be held against a run without it."),
    };
    match shrunk.ended {
        Ended::Minimal => {
            text.push_str(match shrunk.needed.as_slice() {
                [] => "Nothing more can be taken away.\n",
                _ => "Nothing more can be taken away. Without any one of these it no longer fails in this way:\n",
            });
            for needed in &shrunk.needed {
                let without = needed.without.as_ref().map_or("there must be one".to_owned(), said);
                let _ = writeln!(text, "  {:<44} {without}", needed.part);
            }
        }
        Ended::TimeOver => text.push_str(
            "The time was over before everything was tried: it may not be the least. More with --time-budget, or shrink the new capsule on.\n",
        ),
        Ended::RunsOver => text.push_str("The runs were used up before everything was tried: it may not be the least.\n"),
    }
    let _ = writeln!(text, "\nscenario: {}", file.display());
    let _ = writeln!(text, "report: {}", dir.join("report.html").display());
    let _ = writeln!(text, "again: {}", replay_command(dir));
    text
}

/// The command that runs a capsule again.
fn capsule_command(capsule: &Path) -> String {
    match (capsule.parent(), capsule.file_name()) {
        (Some(dir), Some(name)) if name == "capsule.json" => replay_command(dir),
        _ => format!("cargo windtunnel replay {}", capsule.display()),
    }
}
/// What a person sees meanwhile: a line that changes on a terminal, plain lines of what was taken otherwise.
enum Progress {
    Bar(ProgressBar),
    Lines,
}

impl Progress {
    fn new(name: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{elapsed} {pos} tried  {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        bar.tick();
        Self::Bar(bar)
    }

    fn tried(&self, step: &Step, tried: u64) {
        let Size { clients, sources, sim_seconds, events, .. } = step.size;
        let size = format!(
            "{}, {}, {}, {sim_seconds:.1} s, {events} events",
            faults(step.size),
            several(u64::from(clients), "client"),
            several(u64::from(sources), "source")
        );
        match self {
            Self::Bar(bar) => {
                bar.set_position(tried);
                bar.set_message(format!("{size}  {}: {}", step.part, step.what));
            }
            Self::Lines if step.became == Became::Taken => {
                say(&format!("{tried:>4} {}: {}  -> {size}", step.part, step.what))
            }
            Self::Lines => {}
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_scenario_bears_the_name_of_the_large_one_once() {
        for name in ["slow", "slow+conflate+100", "slow-shrunk"] {
            assert_eq!(small_name(name), "slow-shrunk");
        }
    }
}
