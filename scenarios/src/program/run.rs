//! `run`.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reports::gate::{Change, Gate};
use reports::measures::Measures;
use reports::record::{Outcome, Verdict};
use reports::summary::regressions::Replayed;
use reports::summary::{self, Canary, Overall, RunSummary, Share, SummaryMeta};
use reports::text;
use xxhash_rust::xxh3::xxh3_64;

use super::select::{Chosen, DEFAULT};
use super::{EngineArg, Failure, ReportsArg, RunArgs, annotations, exit, print, say, select, stop};
use crate::agenda::{Agenda, MINIMUM, Place, SEEDS_MAX, Seeds, Shard, Wish};
use crate::campaign::{self, Bounds, Job, Step};
use crate::canary;
use crate::engine::{self, Foreign, Look, Options};
use crate::folder::{Folder, Wanted};
use crate::gate::{self, Against, BaselineError};
use crate::marks;
use crate::model::{Engine, ServiceTime};
use crate::mutants::{self, Mutant};
use crate::pcap::Pcap;
use crate::plan::Plan;

#[expect(clippy::disallowed_methods, reason = "outside all runs: measures the wall")]
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
    // A planted failure beside the whole catalogue: see `canary`.
    let whole = args.select.scenarios.is_empty() && args.select.tag.is_none();
    let (mut chosen, _) = select::choose(&args.select, engine)?;
    let service_time = args.service_time.as_deref().map(|path| select::service_time(path, engine)).transpose()?;
    for chosen in &mut chosen {
        chosen.scenario.service_time = service_time.or(chosen.scenario.service_time);
    }
    let mut against = args.baseline.as_deref().map(|dir| baselines(dir, &chosen, engine, service_time)).transpose()?;
    let word = args.seeds_from.as_deref().map(word);
    let wishes: Vec<Wish> =
        chosen.iter().map(|chosen| wish(&args, &chosen.scenario.name, word.as_deref(), against.as_ref())).collect();
    let asked = asked(&wishes);
    let pcap = args.captures.pcap();
    for (chosen, wish) in chosen.iter().zip(&wishes) {
        let seed = wish.seeds.nth(&chosen.scenario.name, 0).unwrap_or_default();
        able_to_capture(pcap.as_ref(), &Plan::new(&chosen.scenario, seed), engine)?;
    }
    let names = chosen.iter().map(|chosen| chosen.scenario.name.clone());
    let agenda = Mutex::new(Agenda::new(names.zip(wishes), args.time_budget));
    let total = unlocked(&agenda).total();
    let single = total == Some(1);
    let closely = args.captures.closely(single, engine)?;
    let proxy = foreign(&args, engine, mutant, &chosen)?;
    let job = |place: Place| {
        let Chosen { scenario, text, .. } = &chosen[place.scenario];
        Job {
            scenario: scenario.clone(),
            text: text.clone(),
            seed: place.seed,
            options: Options { engine, mutant, order: place.order, keep_events: args.events || closely },
            service_time,
            pcap: pcap.clone(),
            trace: args.captures.trace,
            look: Look { proxy: proxy.clone(), ..args.captures.look(single) },
        }
    };
    let name = match chosen.as_slice() {
        [one] => one.scenario.name.clone(),
        _ => "catalogue".to_owned(),
    };
    let mut folder =
        Folder::create(args.out.as_deref(), &name).map_err(|error| Failure::io(format!("failed to {error}")))?;
    if closely
        && !args.captures.debugger
        && let Some(place) = unlocked(&agenda).next(Duration::ZERO).run()
    {
        let dir = folder.path().to_owned();
        return stop::stop(&job(place), args.watchdog, |run| dir.join(&run.verdict.scenario).join(run.verdict.label()));
    }
    if args.captures.debugger {
        say(DEBUGGED);
    }
    let began = Instant::now();
    // Runs over sockets take the machine's own time, and would take it from one another.
    let threads = args.jobs.unwrap_or_else(|| if engine == Engine::Sockets { 1 } else { campaign::cores() });
    // Whoever steps through a run takes his time.
    let watchdog = if args.captures.debugger { Duration::MAX } else { args.watchdog };
    let bounds = Bounds { threads, budget: None, watchdog };
    let progress = progress(&args, total);
    let meta_with = |canary: Option<Canary>, regressions: Vec<Replayed>| {
        let share =
            |(scenario, done, minimum): (&str, u64, u64)| Share { scenario: scenario.to_owned(), done, minimum };
        let shares = unlocked(&agenda).shares().map(share).collect();
        SummaryMeta {
            command: command(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: crate::capsule::profile().to_owned(),
            wall_seconds: began.elapsed().as_secs_f64(),
            shares,
            asked: Some(asked.clone()),
            seeds_from: word.clone(),
            shard: args.shard.map(|Shard { index, of }| format!("{index}/{of}")),
            missing: Vec::new(),
            canary,
            regressions,
            marks: None,
            gate: None,
        }
    };
    // What was found once is looked at first.
    let banked = whole && engine == Engine::Sim && mutant.is_none() && !args.no_regressions;
    let regressions = if banked {
        super::bank::replay_all(bounds, |name, replayed| {
            end(&format!("the regression {name}"), &mut folder, &meta_with(None, replayed), None)
        })?
    } else {
        Vec::new()
    };
    let heard = whole.then(|| canary::watched(engine, args.watchdog));
    let (canary, hangs) = heard.map_or((None, false), |heard| (Some(heard.canary), heard.hangs));
    let meta = || meta_with(canary.clone(), regressions.clone());
    if hangs {
        end("the canary", &mut folder, &meta(), None);
    }
    let mut trouble: Option<Failure> = None;
    campaign::spread(&agenda, bounds, job, |step| {
        let (place, result) = match step {
            Step::Done(place, result) => (place, result),
            Step::Hangs(place) => {
                let what = format!("{} seed {}", chosen[place.scenario].scenario.name, place.seed);
                end(&what, &mut folder, &meta(), trouble.take())
            }
        };
        let job = job(place);
        let result = result.map_err(|error| Failure::engine(&error)).and_then(|run| {
            let failed = run.verdict.verdict != Outcome::Pass;
            let wanted = Wanted {
                page: match args.reports {
                    ReportsArg::All => true,
                    ReportsArg::First => failed || place.nth == 0,
                    ReportsArg::Failed => failed,
                    ReportsArg::None => false,
                },
                // A trace needs the events kept; that alone is no wish for a file of them.
                events: run.events.is_some() && (args.events || run.verdict.verdict == Outcome::Fail),
            };
            progress.done(&run.verdict);
            if place.order == 0
                && let Some(against) = &mut against
            {
                against.note(&run.verdict.scenario, run.verdict.seed, &Measures::of(&run.metrics));
            }
            let name = format!("{} seed {}", run.verdict.scenario, run.verdict.label());
            let cut = folder.add(place, &job, run, wanted);
            cut.map_err(|error| Failure::io(format!("failed to {error}"))).map(|cut| cut.map(|cut| (name, cut)))
        });
        let result = result.map(|cut| {
            if let Some((name, cut)) = cut {
                progress.say(&format!("windtunnel: trace.json of {name}: {cut}"));
            }
        });
        if let Err(failure) = result {
            progress.say(&format!("windtunnel: {}", failure.message));
            trouble = Some(graver(trouble.take(), failure));
        }
    });
    progress.finish();
    if folder.failed() > 0 {
        if !args.quiet && !args.json {
            say(&format!(
                "looking closer at {} of the failing runs: their frames, and what passes with one fault less",
                folder.failed()
            ));
        }
        folder.look_closer().map_err(|error| Failure::io(format!("failed to {error}")))?;
    }
    let reached = marks::over(folder.verdicts(), args.require_reached);
    let gate = against.map(|against| against.compare());
    let meta = SummaryMeta { marks: Some(reached), gate, ..meta() };
    let runs = folder.finish(&meta).map_err(|error| Failure::io(format!("failed to {error}")))?;
    if args.json {
        let path = folder.path().join("summary.json");
        let json = std::fs::read_to_string(&path)
            .map_err(|error| Failure::io(format!("failed to read {}: {error}", path.display())))?;
        print(&json)?;
    } else {
        print(&words(&args, &runs, &meta, mutant, &folder))?;
        annotations::publish(args.annotations, &runs, meta.gate.as_ref(), || annotations::files(&chosen))?;
    }
    annotations::job_summary(folder.path());
    if let Some(failure) = trouble {
        return Err(Failure { message: format!("{}; the results are not whole", failure.message), ..failure });
    }
    code(&runs, &meta)
}

/// The program that is to stand in the proxy's place, if one is.
fn foreign(
    args: &RunArgs,
    engine: Engine,
    mutant: Option<&'static Mutant>,
    chosen: &[Chosen],
) -> Result<Option<Foreign>, Failure> {
    let Some(command) = &args.proxy_cmd else { return Ok(None) };
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::io(format!("failed to read --proxy-config {}: {error}", path.display())))
    };
    let template = args.proxy_config.as_ref().map(read).transpose()?;
    let named = |path: &std::path::PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = args.proxy_config.as_ref().map(named);
    let foreign = Foreign::new(command, name.as_deref().zip(template.as_deref()))
        .map_err(|error| Failure::usage(error.to_string()))?;
    for Chosen { scenario, .. } in chosen {
        let options = Options { engine, mutant, order: 0, keep_events: true };
        engine::able_with_foreign(&Plan::new(scenario, 0), options).map_err(|error| Failure::engine(&error))?;
    }
    Ok(Some(foreign))
}

/// Where to break.
pub(super) const DEBUGGED: &str =
    "windtunnel: the run is on the thread `sim`, and no watchdog ends it; break on paused_at for the time of --stop-at";

/// The exit code that a summary comes to.
pub(super) fn code(runs: &[RunSummary], meta: &SummaryMeta) -> Result<u8, Failure> {
    if let Some(silent) = meta.canary.as_ref().filter(|canary| !canary.rang) {
        return Err(Failure::harness(format!("canary: {}", silent.message)));
    }
    Ok(match summary::overall(runs, meta) {
        Overall::Fail => exit::BROKEN,
        Overall::Worse => exit::WORSE,
        Overall::Inconclusive => exit::INCONCLUSIVE,
        Overall::Pass => exit::PASSED,
    })
}

/// What is asked of one scenario.
fn wish(args: &RunArgs, scenario: &str, word: Option<&str>, against: Option<&Against>) -> Wish {
    let many = |few: u64| if args.time_budget.is_some() { SEEDS_MAX } else { few };
    let (seeds, minimum) = match (word, args.select.asked()) {
        (Some(word), _) => {
            // What is compared is run in any case; then at least one seed that nobody has seen.
            let given = against.map_or(&[][..], |against| match against.seeds(scenario) {
                [] => &gate::SEEDS,
                seeds => seeds,
            });
            let fresh = if given.is_empty() { MINIMUM } else { 1 };
            let minimum = given.len() as u64 + fresh;
            (Seeds::From { given: given.to_vec(), word: word.to_owned(), count: many(MINIMUM) }, minimum)
        }
        (None, Some(asked)) => (Seeds::Range(asked.first, asked.last), MINIMUM),
        // Another seed is other symbols and payloads; what differs most from run to run over sockets is the machine's doing.
        (None, None) if args.engine == EngineArg::Sockets => (Seeds::Range(DEFAULT.first, many(DEFAULT.first)), 1),
        (None, None) => (Seeds::Range(DEFAULT.first, many(DEFAULT.last)), MINIMUM),
    };
    let select::Seeds { first, last } = args.select.orders;
    let minimum = minimum.min(seeds.count()).saturating_mul(last - first + 1);
    Wish { seeds, orders: (first, last), minimum, shard: args.shard }
}

/// The wishes in words, each once: what shards of one sweep have in common.
fn asked(wishes: &[Wish]) -> String {
    let words = |wish: &Wish| {
        let seeds = match &wish.seeds {
            Seeds::Range(first, last) => format!("{first}..{last}"),
            Seeds::From { given, word, count } => {
                let given: String = given.iter().map(|seed| format!("{seed}, ")).collect();
                format!("{given}{count} from {word}")
            }
        };
        format!("seeds {seeds} in orders {}..{}", wish.orders.0, wish.orders.1)
    };
    let all: indexmap::IndexSet<String> = wishes.iter().map(words).collect();
    all.into_iter().collect::<Vec<_>>().join("; ")
}

/// Where seeds come from: the word itself, or for `random` one that nobody chose.
#[expect(clippy::disallowed_methods, reason = "outside all runs, and printed: the word makes it the same again")]
fn word(text: &str) -> String {
    if text != "random" {
        return text.to_owned();
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:016x}", xxh3_64(format!("{} {}", now.as_nanos(), std::process::id()).as_bytes()))
}

fn unlocked(agenda: &Mutex<Agenda>) -> std::sync::MutexGuard<'_, Agenda> {
    agenda.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The baselines of the chosen scenarios.
fn baselines(
    dir: &Path,
    chosen: &[Chosen],
    engine: Engine,
    service_time: Option<ServiceTime>,
) -> Result<Against, Failure> {
    if engine != Engine::Sim {
        return Err(Failure::usage(format!(
            "baselines are of engine sim, not {}: leave out --baseline",
            engine.word()
        )));
    }
    baseline_folder(dir)?;
    let mut against = Against::new(dir);
    for Chosen { scenario, text, .. } in chosen {
        against.expect(&scenario.name, text, service_time).map_err(|error| baseline_failure(&error))?;
    }
    Ok(against)
}

/// Whether there is a folder of baselines.
pub(super) fn baseline_folder(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "there is no folder {}: go to the top of the tree, or say --baseline DIR (scenarios come before it); `windtunnel bless` makes one",
        dir.display()
    )))
}

/// A baseline that cannot be used.
pub(super) fn baseline_failure(error: &BaselineError) -> Failure {
    match error {
        BaselineError::Unreadable { .. } | BaselineError::Missing(_) => Failure::io(error.to_string()),
        _ => Failure::usage(format!("{error}; mend it, or take it away and bless again")),
    }
}

/// What to do with what a comparison shows, if anything.
pub(super) fn advice(gate: &Gate, folder: &Path) -> Option<String> {
    let bless = format!("windtunnel bless {} --reason \"...\"", folder.display());
    let any = |change| gate.scenarios.iter().any(|scenario| scenario.has(change));
    if any(Change::Worse) {
        Some(format!("if that is the price of something better: {bless}\n"))
    } else if any(Change::Better) || any(Change::Tolerated) || any(Change::Other) {
        Some(format!("to make that the baseline: {bless}\n"))
    } else {
        None
    }
}

/// Whether packets can be captured as they are wanted.
pub(super) fn able_to_capture(pcap: Option<&Pcap>, plan: &Plan, engine: Engine) -> Result<(), Failure> {
    match pcap.map(|pcap| pcap.places(plan, engine)) {
        Some(Err(error)) => Err(Failure::usage(error.to_string())),
        _ => Ok(()),
    }
}

/// The table of a run folder for whoever gave the command: in the folder's own pages reports are named from the folder; here, from where the command was given.
pub(super) fn table(runs: &[RunSummary], meta: &SummaryMeta, folder: &Path) -> String {
    let colors = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let from_here = |report: &String| folder.join(report).display().to_string();
    let runs: Vec<RunSummary> =
        runs.iter().map(|run| RunSummary { report: run.report.as_ref().map(from_here), ..run.clone() }).collect();
    text::table(&runs, meta, colors)
}

/// What is said at the end.
fn words(args: &RunArgs, runs: &[RunSummary], meta: &SummaryMeta, mutant: Option<&Mutant>, folder: &Folder) -> String {
    let mut text = String::new();
    if args.quiet {
        let counts = |outcome| runs.iter().filter(|run| run.verdict.verdict == outcome).count();
        text.push_str(&format!(
            "{} passed, {} failed, {} inconclusive\n",
            counts(Outcome::Pass),
            counts(Outcome::Fail),
            counts(Outcome::Inconclusive)
        ));
    } else {
        text.push_str(&table(runs, meta, folder.path()));
    }
    if let Some(mutant) = mutant {
        text.push_str(&blame(mutant, runs, meta.gate.as_ref()));
    }
    if let Some(gate) = &meta.gate {
        if args.quiet {
            text.push_str(&format!("{}\n", gate.headline()));
        } else if mutant.is_none() {
            text.extend(advice(gate, folder.path()));
        }
    }
    if let Some(word) = &meta.seeds_from {
        text.push_str(&format!("seeds from {word}: the same again with --seeds-from {word}\n"));
    }
    if !args.quiet {
        let simulated: f64 = runs.iter().map(|run| run.verdict.sim_seconds).sum();
        let wall: f64 = runs.iter().map(|run| run.verdict.wall_seconds).sum();
        if wall > 0.0 && !runs.iter().any(|run| run.verdict.engine == Engine::Sockets.word()) {
            text.push_str(&format!("{:.0} simulated seconds per second of one core\n", simulated / wall));
        }
        text.push_str(&format!("report: {}\n", folder.path().join("index.html").display()));
    }
    text
}

/// The command that was given, for the record.
pub(super) fn command() -> String {
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once("windtunnel".to_owned()).chain(args).collect::<Vec<_>>().join(" ")
}

/// Ends the process because something hangs; what is done so far is written.
fn end(what: &str, folder: &mut Folder, meta: &SummaryMeta, mut trouble: Option<Failure>) -> ! {
    if let Err(error) = folder.finish(meta) {
        say(&format!("windtunnel: failed to {error}"));
        trouble = Some(graver(trouble, Failure::io(String::new())));
    }
    say(&format!(
        "windtunnel: {what} hangs on the wall: a bug in the harness; finished runs are in {}",
        folder.path().display()
    ));
    std::process::exit(i32::from(graver(trouble, Failure::harness(String::new())).code))
}

/// Of two troubles the one whose exit code ranks first: 74, 70, 1, 3, 2, as in the docs; the earlier one of equals.
pub(super) fn graver(earlier: Option<Failure>, now: Failure) -> Failure {
    let rank = |failure: &Failure| {
        let ranks = [exit::IO, exit::HARNESS, exit::USAGE, exit::BROKEN, exit::WORSE, exit::INCONCLUSIVE];
        ranks.iter().position(|code| *code == failure.code)
    };
    match earlier {
        Some(earlier) if rank(&earlier) <= rank(&now) => earlier,
        _ => now,
    }
}

/// Whether the planted bug was blamed on those who must and may see it.
fn blame(mutant: &Mutant, runs: &[RunSummary], gate: Option<&Gate>) -> String {
    let mut judged = mutant.judge(runs.iter().map(|run| &run.verdict));
    judged.caught.extend(gate.into_iter().flat_map(|gate| mutant.worse(gate)));
    let mut text = format!("mutant {}: ", mutant.name);
    text.push_str(&if judged.caught.is_empty() {
        let order = match mutant.order {
            0 => String::new(),
            order => format!(" with --orders {order}..{order}"),
        };
        let only = if mutant.drifts() { " with --baseline" } else { "" };
        let how_often = match judged.seen {
            0 => "NOT CAUGHT".to_owned(),
            seen => format!("caught in {seen} of {} runs, NOT IN EACH BY THE SAME", judged.runs),
        };
        format!("{how_often}; it must be caught by {}{order}{only}", mutant.must.join(" or "))
    } else {
        format!("caught by {}", judged.caught.join(", "))
    });
    if !judged.wrongly.is_empty() {
        text.push_str(&format!("; WRONGLY BLAMED on {}", judged.wrongly.join(", ")));
    }
    text.push('\n');
    text
}

/// What a person sees while runs are done: a bar on a terminal, plain lines otherwise.
enum Progress {
    Bar(ProgressBar),
    Lines,
    Silent,
}

fn progress(args: &RunArgs, jobs: Option<u64>) -> Progress {
    if args.quiet || args.json {
        return Progress::Silent;
    }
    let live_log = args.captures.log.is_some() && jobs == Some(1);
    if live_log || !std::io::stderr().is_terminal() {
        return Progress::Lines;
    }
    let bar = ProgressBar::with_draw_target(jobs, ProgressDrawTarget::stderr());
    let template = match jobs {
        Some(_) => "{bar:24} {pos}/{len} runs  {wide_msg}",
        None => "{elapsed} {pos} runs  {wide_msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
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
        let line = format!("{word} {} seed {} ({:.1} s)", verdict.scenario, verdict.label(), verdict.wall_seconds);
        match self {
            Progress::Bar(bar) => {
                bar.set_message(line);
                bar.inc(1);
            }
            Progress::Lines => say(&line),
            Progress::Silent => {}
        }
    }

    fn say(&self, line: &str) {
        match self {
            Progress::Bar(bar) => bar.println(line),
            Progress::Lines | Progress::Silent => say(line),
        }
    }

    fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_troubles_the_one_that_ranks_first_is_told() {
        let all = || [Failure::harness("a"), Failure::usage("b"), Failure::io("c"), Failure::io("d")].into_iter();
        let told = |troubles: Vec<Failure>| troubles.into_iter().fold(None, |sum, now| Some(graver(sum, now)));
        let first = told(all().collect()).map(|failure| (failure.code, failure.message));
        assert_eq!(first, Some((exit::IO, "c".to_owned())));
        let last = told(all().rev().collect()).map(|failure| (failure.code, failure.message));
        assert_eq!(last, Some((exit::IO, "d".to_owned())));
        assert_eq!(told(all().take(2).collect()).map(|failure| failure.code), Some(exit::HARNESS));
    }
}
