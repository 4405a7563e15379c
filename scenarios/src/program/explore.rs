//! `explore`: random worlds until the time is over, and what was found in them.

mod progress;
mod prove;
mod words;

use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reports::summary::SummaryMeta;

use self::progress::Progress;
use self::words::{Saved, Small};
use super::run::{command, graver};
use super::select::{self, Seeds};
use super::{ExploreArgs, Failure, exit, hang, print, say};
use crate::agenda::{Place, SEEDS_MAX};
use crate::campaign::{self, Bounds, Job, Step};
use crate::engine::{self, EngineError, Options, Run};
use crate::explain;
use crate::explore::found::{Found, Kind};
use crate::explore::{self, Ground, NoWorld, World};
use crate::fingerprint::Fingerprint;
use crate::folder::{Folder, Wanted, replay_command};
use crate::marks;
use crate::model::{Engine, Scenario};
use crate::mutants::{self, Mutant};
use crate::plan::Plan;
use crate::shrink::{self, ShrinkError};

/// How long it goes on where neither seeds nor a time are given.
const TIME: Duration = Duration::from_secs(60);

/// Kinds, those that came up most, that get a report with charts and are made smaller; the others by `windtunnel shrink`.
const PAGES_MAX: usize = 10;

/// The worlds that planted bugs are held against where no seeds are given.
const PROVEN: Seeds = Seeds { first: 1, last: 400 };

/// What is asked for.
struct Asked {
    ground: Ground,
    mutant: Option<&'static Mutant>,
    seeds: Seeds,
    time: Option<Duration>,
}

/// Why a world has no verdict.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    NoWorld(#[from] NoWorld),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

pub(super) fn explore(args: &ExploreArgs) -> Result<u8, Failure> {
    let asked = asked(args)?;
    if args.print {
        return shown(&asked);
    }
    let threads = args.jobs.unwrap_or_else(campaign::cores);
    let bounds = Bounds { threads, budget: None, watchdog: args.watchdog };
    if args.prove {
        return prove::prove(args.seeds.unwrap_or(PROVEN), bounds);
    }
    let progress = Progress::new(args.quiet || args.json, asked.time.is_none().then(|| asked.seeds.count()));
    let name = asked.ground.scenario.as_ref().map_or("explore".to_owned(), |one| format!("explore-{}", one.name));
    let mut folder =
        Folder::create(args.out.as_deref(), &name).map_err(|error| Failure::io(format!("failed to {error}")))?;
    let (found, wall, trouble) = explored(&asked, bounds, &progress, |found, wall, seed| {
        progress.finish();
        // What the others came to is told all the same; nothing is made smaller beside a run that does not end.
        if let Err(failure) = conclude(&asked, &mut folder, found, wall, None, args.json, None) {
            say(&format!("windtunnel: {}", failure.message));
        }
        let seen = format!("see it with `windtunnel explore --seed {seed} --print`");
        hang(&format!("the world of seed {seed}"), &format!("{seen}; what was found is in {}", folder.path().display()))
    });
    progress.finish();
    let shrinking = (!args.no_shrink).then_some(shrink::Bounds {
        jobs: threads,
        time: Some(args.shrink_budget),
        watchdog: args.watchdog,
        ..shrink::Bounds::default()
    });
    conclude(&asked, &mut folder, &found, wall, shrinking, args.json, trouble)?;
    Ok(if found.failed > 0 {
        exit::BROKEN
    } else if found.runs == 0 || found.idle == found.runs {
        exit::INCONCLUSIVE
    } else {
        exit::PASSED
    })
}

/// Saves each kind of failure, writes the folder and says what was found.
fn conclude(
    asked: &Asked,
    folder: &mut Folder,
    found: &Found,
    wall: Duration,
    shrinking: Option<shrink::Bounds>,
    as_json: bool,
    mut trouble: Option<Failure>,
) -> Result<(), Failure> {
    let mut saved = Vec::new();
    for (rank, kind) in found.kinds().into_iter().enumerate() {
        match save(asked, folder, rank, kind, shrinking) {
            Ok(one) => saved.push(one),
            Err(failure) => {
                say(&format!("windtunnel: {}", failure.message));
                trouble = Some(graver(trouble, failure));
            }
        }
    }
    folder.look_closer().map_err(|error| Failure::io(format!("failed to {error}")))?;
    let reached = found.marks().len() as u64;
    let meta = meta(asked, wall);
    folder.finish(&meta).map_err(|error| Failure::io(format!("failed to {error}")))?;
    let json = words::json(asked, found, &saved, wall, folder.path());
    let path = folder.path().join("explore.json");
    reports::folder::write_file(&path, format!("{json:#}\n").as_bytes())
        .map_err(|error| Failure::io(format!("failed to {error}")))?;
    if as_json {
        print(&format!("{json:#}"))?;
    } else {
        print(&words::text(asked, found, &saved, wall, (reached, marks::all().len() as u64), folder.path()))?;
    }
    match trouble {
        Some(failure) => Err(Failure { message: format!("{}; the results are not whole", failure.message), ..failure }),
        None => Ok(()),
    }
}

fn asked(args: &ExploreArgs) -> Result<Asked, Failure> {
    let mutant = match &args.mutant {
        Some(name) => Some(mutants::find(name).map_err(|unknown| Failure::usage(unknown.to_string()))?),
        None => None,
    };
    let scenario = args.scenario.as_deref().map(select::one).transpose()?.map(|chosen| chosen.scenario);
    if args.print && args.seed.is_none() {
        return Err(Failure::usage("--print shows one world: say which with --seed N"));
    }
    let given = args.seed.map(|seed| Seeds { first: seed, last: seed }).or(args.seeds);
    let time = args.time_budget.or(given.is_none().then_some(TIME));
    let seeds = given.unwrap_or(Seeds { first: 1, last: SEEDS_MAX });
    Ok(Asked { ground: Ground { scenario, unrecoverable: args.unrecoverable }, mutant, seeds, time })
}

impl Asked {
    fn options(&self, world: &World, keep_events: bool) -> Options {
        Options { engine: Engine::Sim, mutant: self.mutant, order: world.order, keep_events }
    }

    fn world(&self, seed: u64) -> Result<World, Failure> {
        explore::world(&self.ground, seed).map_err(|error| Failure::harness(error.to_string()))
    }

    /// A run of a world, without its events.
    fn run(&self, seed: u64) -> Result<(World, Run), Trouble> {
        let world = explore::world(&self.ground, seed)?;
        let run = engine::run(&Plan::new(&world.scenario, seed), self.options(&world, false))?;
        Ok((world, run))
    }
}

/// The world of the seed, as a timeline and as its file.
fn shown(asked: &Asked) -> Result<u8, Failure> {
    let world = asked.world(asked.seeds.first)?;
    let text = toml(&world.scenario)?;
    print(&format!(
        "# seed {}, order {}; families: {}\n\n{}\n\n{text}",
        world.seed,
        world.order,
        world.families,
        explain::explain(&world.scenario)
    ))
}

fn toml(scenario: &Scenario) -> Result<String, Failure> {
    scenario.to_toml().map_err(|error| Failure::harness(format!("failed to write TOML: {error}")))
}

/// Runs worlds until there are no more, or the time is over. Where one hangs, `hangs` is told what was found by then, after how long, and its seed, and ends the
/// process.
#[expect(clippy::disallowed_methods, reason = "outside all runs: measures the wall")]
fn explored(
    asked: &Asked,
    bounds: Bounds,
    progress: &Progress,
    mut hangs: impl FnMut(&Found, Duration, u64) -> Infallible,
) -> (Found, Duration, Option<Failure>) {
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let seed = |elapsed: Duration| {
        if asked.time.is_some_and(|time| elapsed >= time) {
            return None;
        }
        let nth = next.fetch_add(1, Ordering::Relaxed);
        (nth < asked.seeds.count()).then(|| asked.seeds.first + nth)
    };
    let mut found = Found::default();
    let mut trouble: Option<Failure> = None;
    campaign::sweep(
        bounds,
        seed,
        |seed| asked.run(seed).map(|(world, run)| (world, run.verdict)),
        |step| match step {
            Step::Done(_, result) => match *result {
                Ok((world, verdict)) => {
                    if let Some(fingerprint) = found.tell(&world, &verdict) {
                        progress.say(&format!("seed {}: {fingerprint}", world.seed));
                    }
                    progress.told(&found, began.elapsed());
                }
                Err(error) => {
                    progress.say(&format!("windtunnel: {error}"));
                    trouble = Some(graver(trouble.take(), Failure::harness(error.to_string())));
                }
            },
            Step::Hangs(seed) => match hangs(&found, began.elapsed(), seed) {},
        },
    );
    (found, began.elapsed(), trouble)
}

/// Runs the smallest world of a kind once more with its events kept, and puts it in the folder.
fn save(
    asked: &Asked,
    folder: &mut Folder,
    rank: usize,
    (fingerprint, kind): (&Fingerprint, &Kind),
    shrinking: Option<shrink::Bounds>,
) -> Result<Saved, Failure> {
    let world = asked.world(kind.smallest)?;
    let job = Job {
        text: toml(&world.scenario)?,
        seed: world.seed,
        options: asked.options(&world, true),
        service_time: None,
        pcap: None,
        trace: false,
        look: Default::default(),
        scenario: world.scenario,
    };
    let run = campaign::one(&job).map_err(|error| Failure::engine(&error))?;
    if !fingerprint.shown_by(&run.verdict) {
        return Err(Failure::harness(format!(
            "seed {} failed with `{fingerprint}`, and does not when it is run again: not deterministic",
            kind.smallest
        )));
    }
    let place = Place { scenario: rank, nth: 0, seed: job.seed, order: job.options.order };
    let dir = folder.path().join(&run.verdict.scenario).join(run.verdict.label());
    let wanted = Wanted { page: rank < PAGES_MAX, events: true };
    folder.add(place, &job, run, wanted).map_err(|error| Failure::io(format!("failed to {error}")))?;
    let small = match shrinking {
        Some(bounds) if rank < PAGES_MAX => small(&job, fingerprint, bounds, &dir)?,
        _ => None,
    };
    Ok(Saved { fingerprint: fingerprint.clone(), kind: kind.clone(), dir, small })
}

/// Makes a saved world smaller, into a folder beside its capsule. None where it does not fail alone, which a run that was just seen to fail does.
fn small(job: &Job, fingerprint: &Fingerprint, bounds: shrink::Bounds, dir: &Path) -> Result<Option<Small>, Failure> {
    let shrunk = shrink::shrink(&job.scenario, job.seed, job.options, fingerprint, bounds, &mut |news| {
        if let shrink::News::Hangs(what) = news {
            hang(&format!("the world of seed {}, {what}", job.seed), "")
        }
    });
    match shrunk {
        Ok(shrunk) => {
            let found = replay_command(dir);
            let (file, dir) = super::shrink::write(&dir.join("shrunk"), job, fingerprint, &shrunk, found)?;
            Ok(Some(Small { before: shrunk.before, after: shrunk.after, ended: shrunk.ended, file, dir }))
        }
        Err(ShrinkError::DoesNotFail { .. }) => Ok(None),
        Err(error @ ShrinkError::Hangs) => Err(Failure::harness(error.to_string())),
        Err(ShrinkError::Engine(error)) => Err(Failure::engine(&error)),
    }
}

fn meta(asked: &Asked, wall: Duration) -> SummaryMeta {
    SummaryMeta {
        command: command(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: crate::capsule::profile().to_owned(),
        wall_seconds: wall.as_secs_f64(),
        shares: Vec::new(),
        asked: Some(words::worlds(asked)),
        seeds_from: None,
        shard: None,
        missing: Vec::new(),
        canary: None,
        marks: None,
        gate: None,
        regressions: Vec::new(),
    }
}
