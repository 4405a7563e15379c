//! `run` and `replay`.

use std::io::IsTerminal as _;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reports::record::{Outcome, Verdict};

use super::{Failure, ReportsArg, RunArgs, exit, print, select, twice};
use crate::campaign::{self, Bounds, Job, News};
use crate::capsule::Capsule;
use crate::engine::Options;
use crate::folder::{Folder, Wanted};
use crate::model::Engine;
use crate::mutants::{self, Mutant};

pub(super) fn run(mut args: RunArgs) -> Result<u8, Failure> {
    let engine: Engine = args.engine.into();
    let mutant = match &args.mutant {
        Some(name) => Some(mutants::find(name).map_err(|unknown| Failure::usage(unknown.to_string()))?),
        None => None,
    };
    if let Some(mutant) = mutant
        && args.select.scenarios.is_empty()
    {
        args.select.scenarios.push(mutant.scenario.to_owned());
    }
    let named = !args.select.scenarios.is_empty();
    let (mut chosen, seeds) = select::choose(&args.select)?;
    if engine == Engine::Turmoil && !named {
        chosen.retain(|chosen| chosen.scenario.engines.contains(&engine));
    }
    let options = Options { engine, mutant, keep_events: args.events };
    let jobs: Vec<Job> = chosen
        .iter()
        .flat_map(|chosen| {
            (seeds.first..=seeds.last).map(|seed| Job {
                scenario: chosen.scenario.clone(),
                text: chosen.text.clone(),
                seed,
                options,
            })
        })
        .collect();
    let threads = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let name = match chosen.as_slice() {
        [one] => one.scenario.name.clone(),
        _ => "catalogue".to_owned(),
    };
    let mut folder = Folder::create(args.out.as_deref(), &name).map_err(|error| Failure::io(error.to_string()))?;
    let progress = progress(&args, jobs.len());
    let mut verdicts: Vec<Option<Verdict>> = vec![None; jobs.len()];
    let mut trouble: Option<Failure> = None;
    let bounds = Bounds { threads, budget: args.time_budget, watchdog: args.watchdog };
    let skipped = campaign::run(&jobs, bounds, |news| {
        let done = match news {
            News::Done(done) => done,
            News::Hangs(index) => hang(&jobs[index], &mut folder, &verdicts),
        };
        let job = &jobs[done.index];
        let result = done.result.map_err(|error| Failure::harness(error.to_string())).and_then(|run| {
            let failed = run.verdict.verdict != Outcome::Pass;
            let wanted = Wanted {
                page: match args.reports {
                    ReportsArg::All => true,
                    ReportsArg::First => failed || job.seed == seeds.first,
                    ReportsArg::Failed => failed,
                    ReportsArg::None => false,
                },
                events: args.events || failed,
            };
            folder.add(job, &run, wanted).map_err(|error| Failure::io(error.to_string()))?;
            Ok(run.verdict)
        });
        match result {
            Ok(verdict) => {
                progress.done(&verdict);
                verdicts[done.index] = Some(verdict);
            }
            Err(failure) => {
                progress.say(&format!("windtunnel: {}", failure.message));
                trouble.get_or_insert(failure);
            }
        }
    });
    progress.finish();
    let verdicts: Vec<Verdict> = verdicts.into_iter().flatten().collect();
    let summary = folder.finish(&verdicts).map_err(|error| Failure::io(error.to_string()))?;
    if args.json {
        print(&summary.json)?;
    } else {
        let mut text = if args.quiet { String::new() } else { summary.table };
        if let Some(mutant) = mutant {
            text.push_str(&blame(mutant, &verdicts));
        }
        if !args.quiet {
            text.push_str(&failures(&verdicts, &folder));
        }
        text.push_str(&closing(&verdicts, skipped, &folder));
        print(&text)?;
    }
    if let Some(failure) = trouble {
        return Err(failure);
    }
    let worst = verdicts.iter().fold(Outcome::Pass, |sum, verdict| sum.and(verdict.verdict));
    Ok(match worst {
        Outcome::Fail => exit::BROKEN,
        Outcome::Pass if skipped == 0 && !verdicts.is_empty() => exit::PASSED,
        Outcome::Pass | Outcome::Inconclusive => exit::INCONCLUSIVE,
    })
}

/// Ends the process because a run hangs; what is done so far is written.
fn hang(job: &Job, folder: &mut Folder, verdicts: &[Option<Verdict>]) -> ! {
    let so_far: Vec<Verdict> = verdicts.iter().flatten().cloned().collect();
    if let Err(error) = folder.finish(&so_far) {
        eprintln!("windtunnel: {error}");
    }
    eprintln!(
        "windtunnel: {} seed {} hangs on the wall: a bug in the harness; finished runs are in {}",
        job.scenario.name,
        job.seed,
        folder.path().display()
    );
    std::process::exit(i32::from(exit::HARNESS))
}

/// For each failing run: what is broken, and the command that runs it again.
fn failures(verdicts: &[Verdict], folder: &Folder) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    let failing: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.verdict != Outcome::Pass).collect();
    for verdict in failing.iter().take(SHOWN) {
        text.push_str(&format!("\n{} seed {}\n", verdict.scenario, verdict.seed));
        for invariant in verdict.invariants.iter().filter(|invariant| invariant.verdict != Outcome::Pass) {
            let word = if invariant.verdict == Outcome::Fail { "broken" } else { "inconclusive" };
            text.push_str(&format!("  {word}: {}: {}\n", invariant.name, invariant.summary));
            if let Some(first) = invariant.violations.first() {
                text.push_str(&format!("    at {:.6} s: {}\n", first.at_us as f64 / 1e6, first.message));
            }
        }
        for reached in verdict.reached.iter().filter(|reached| reached.times == 0) {
            text.push_str(&format!("  inconclusive: never reached {}\n", reached.name));
        }
        let capsule = folder.capsule(&verdict.scenario, verdict.seed);
        text.push_str(&format!("  again: cargo windtunnel replay {}\n", capsule.display()));
    }
    if failing.len() > SHOWN {
        text.push_str(&format!("\nand {} more runs, see index.html\n", failing.len() - SHOWN));
    }
    text
}

/// Whether the planted bug was blamed on those who must and may see it.
fn blame(mutant: &Mutant, verdicts: &[Verdict]) -> String {
    let judged = mutant.judge(verdicts);
    let mut text = format!("\nmutant {}: ", mutant.name);
    text.push_str(&if judged.caught.is_empty() {
        format!("NOT CAUGHT; it must be caught by {}", mutant.must.join(" or "))
    } else {
        format!("caught by {}", judged.caught.join(", "))
    });
    if !judged.wrongly.is_empty() {
        text.push_str(&format!("; WRONGLY BLAMED on {}", judged.wrongly.join(", ")));
    }
    text.push('\n');
    text
}

fn closing(verdicts: &[Verdict], skipped: usize, folder: &Folder) -> String {
    let count = |outcome: Outcome| verdicts.iter().filter(|verdict| verdict.verdict == outcome).count();
    let simulated: f64 = verdicts.iter().map(|verdict| verdict.sim_seconds).sum();
    let wall: f64 = verdicts.iter().map(|verdict| verdict.wall_seconds).sum();
    let speed = if wall > 0.0 { simulated / wall } else { 0.0 };
    let left_out = if skipped > 0 { format!(", {skipped} left out (time budget)") } else { String::new() };
    format!(
        "\n{} runs: {} passed, {} failed, {} inconclusive{left_out}\n{simulated:.0} simulated seconds, {speed:.0} in each second of a run's wall time\nreport: {}\n",
        verdicts.len(),
        count(Outcome::Pass),
        count(Outcome::Fail),
        count(Outcome::Inconclusive),
        folder.path().join("index.html").display(),
    )
}

/// What a person sees while runs are done: a bar on a terminal, plain lines otherwise.
enum Progress {
    Bar(ProgressBar),
    Lines,
    Silent,
}

fn progress(args: &RunArgs, jobs: usize) -> Progress {
    if args.quiet || args.json {
        return Progress::Silent;
    }
    if !std::io::stderr().is_terminal() {
        return Progress::Lines;
    }
    let bar = ProgressBar::with_draw_target(Some(jobs as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} runs {msg:.40}") {
        bar.set_style(style);
    }
    bar.tick();
    Progress::Bar(bar)
}

impl Progress {
    fn done(&self, verdict: &Verdict) {
        let word = match verdict.verdict {
            Outcome::Pass => "pass",
            Outcome::Fail => "FAIL",
            Outcome::Inconclusive => "inconclusive",
        };
        let line = format!("{word} {} seed {} ({:.1} s)", verdict.scenario, verdict.seed, verdict.wall_seconds);
        match self {
            Progress::Bar(bar) => {
                bar.set_message(line);
                bar.inc(1);
            }
            Progress::Lines => eprintln!("{line}"),
            Progress::Silent => {}
        }
    }

    fn say(&self, line: &str) {
        match self {
            Progress::Bar(bar) => bar.println(line),
            Progress::Lines | Progress::Silent => eprintln!("{line}"),
        }
    }

    fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Runs a capsule again and says whether it is the same run.
pub(super) fn replay(path: &Path) -> Result<u8, Failure> {
    let capsule = Capsule::read(path).map_err(|error| {
        let code = match &error {
            crate::capsule::CapsuleError::Unreadable { .. } => exit::IO,
            _ => exit::USAGE,
        };
        Failure { code, message: error.to_string() }
    })?;
    let engine = capsule
        .engine()
        .ok_or_else(|| Failure::usage(format!("{}: unknown engine {:?}", path.display(), capsule.engine)))?;
    let mutant = match &capsule.mutant {
        Some(name) => Some(mutants::find(name).map_err(|unknown| Failure::usage(unknown.to_string()))?),
        None => None,
    };
    let scenario = crate::parse::parse(&format!("{}.toml", capsule.scenario), &capsule.scenario_toml).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::usage(format!("the scenario inside {} does not fit this build\n{}", path.display(), lines.join("\n")))
    })?;
    let options = Options { engine, mutant, keep_events: true };
    let job = Job { scenario, text: capsule.scenario_toml.clone(), seed: capsule.seed, options };
    let run = campaign::one(&job).map_err(|error| Failure::harness(error.to_string()))?;
    let mut text = format!("{} seed {} engine {}: ", capsule.scenario, capsule.seed, capsule.engine);
    let same = run.verdict.trace_hash == capsule.trace_hash;
    if same {
        text.push_str(&format!("replayed bit for bit ({} events, hash {})\n", run.verdict.events, capsule.trace_hash));
    } else {
        text.push_str(&format!("NOT the same run: hash {} then, {} now\n", capsule.trace_hash, run.verdict.trace_hash));
        if capsule.version != env!("CARGO_PKG_VERSION") || capsule.profile != crate::capsule::profile() {
            text.push_str(&format!("  made by version {} in profile {}\n", capsule.version, capsule.profile));
        }
        let beside = path.with_file_name("events.jsonl");
        match std::fs::File::open(&beside) {
            Ok(file) => {
                let events = run.events.as_deref().unwrap_or_default();
                let difference = twice::differs(std::io::BufReader::new(file), events)
                    .map_err(|error| Failure::io(format!("failed to read {}: {error}", beside.display())))?;
                text.push_str(&format!("  {difference}\n"));
            }
            Err(_) => text.push_str("  no events.jsonl beside the capsule: the first difference cannot be named\n"),
        }
    }
    for invariant in run.verdict.invariants.iter().filter(|invariant| invariant.verdict != Outcome::Pass) {
        text.push_str(&format!("  {}: {}\n", invariant.name, invariant.summary));
        if let Some(first) = invariant.violations.first() {
            text.push_str(&format!("    at {:.6} s: {}\n", first.at_us as f64 / 1e6, first.message));
        }
    }
    print(&text)?;
    Ok(match (same, run.verdict.verdict) {
        (false, _) => exit::HARNESS,
        (true, Outcome::Fail) => exit::BROKEN,
        (true, Outcome::Inconclusive) => exit::INCONCLUSIVE,
        (true, Outcome::Pass) => exit::PASSED,
    })
}

