//! Many runs: scenarios times seeds, on a few threads, in a fixed order of results.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::agenda::{Agenda, Place};
use crate::engine::{self, EngineError, Options, Run};
use crate::model::{Scenario, ServiceTime};
use crate::pcap::Pcap;
use crate::plan::Plan;

/// One run to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// The scenario.
    pub scenario: Scenario,
    /// Its text.
    pub text: String,
    /// The seed.
    pub seed: u64,
    /// How.
    pub options: Options,
    /// What work costs in place of what the scenario says, if that was asked for. The scenario has it already.
    pub service_time: Option<ServiceTime>,
    /// Where packets are captured, if they are.
    pub pcap: Option<Pcap>,
    /// Whether `trace.json` is wanted; it needs the events kept.
    pub trace: bool,
}

/// A job and what became of it.
#[derive(Debug)]
pub struct Done {
    /// Its place in the list of jobs.
    pub index: usize,
    /// The run, or how the harness failed.
    pub result: Result<Run, EngineError>,
}

/// Bounds of a campaign.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Runs at the same time, at least 1.
    pub threads: usize,
    /// No further run begins after this long.
    pub budget: Option<Duration>,
    /// A run that takes longer than this on the wall hangs.
    pub watchdog: Duration,
}

/// News from a campaign.
#[derive(Debug)]
pub enum News {
    /// A run is done.
    Done(Box<Done>),
    /// The run of this job hangs: a bug in the harness. Its thread cannot be ended, so the process must be: write what there is, and exit.
    Hangs(usize),
}

/// Runs all jobs and calls `each` on this thread as they are done (not in order). A failed run is run once more with its events kept: a deterministic run
/// may be looked at as often as one likes. Gives the number of jobs left out because the budget was over.
pub fn run(jobs: &[Job], bounds: Bounds, mut each: impl FnMut(News)) -> usize {
    let next = AtomicUsize::new(0);
    let skipped = AtomicUsize::new(0);
    let next = |elapsed: Duration| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= jobs.len() {
                return None;
            }
            if bounds.budget.is_none_or(|budget| elapsed <= budget) {
                return Some(index);
            }
            skipped.fetch_add(1, Ordering::Relaxed);
        }
    };
    let bounds = Bounds { threads: bounds.threads.min(jobs.len()), ..bounds };
    drive(bounds, &next, &|index: usize| jobs[index].clone(), &|_, _| {}, |step| {
        each(match step {
            Step::Done(index, result) => News::Done(Box::new(Done { index, result: *result })),
            Step::Hangs(index) => News::Hangs(index),
        });
    });
    skipped.into_inner()
}

/// News from an agenda.
#[derive(Debug)]
pub enum Step<K> {
    /// This run is done.
    Done(K, Box<Result<Run, EngineError>>),
    /// This run hangs, see [`News::Hangs`].
    Hangs(K),
}

/// Runs what an agenda says, each place as the job that `job` makes of it; as [`run`] otherwise. The agenda keeps its own budget.
pub fn spread(
    agenda: &Mutex<Agenda>,
    bounds: Bounds,
    job: impl Fn(Place) -> Job + Sync,
    each: impl FnMut(Step<Place>),
) {
    let agenda = || agenda.lock().unwrap_or_else(PoisonError::into_inner);
    drive(
        bounds,
        &|elapsed| agenda().next(elapsed),
        &job,
        &|place: Place, took| agenda().done(place.scenario, took),
        each,
    );
}

/// The threads: each asks for the next run, does it, tells how long it took, and hands over what it came to.
#[expect(
    clippy::disallowed_methods,
    reason = "the campaign stands outside all runs: it measures the wall and spreads runs over threads"
)]
fn drive<K: Copy + Ord + Send>(
    bounds: Bounds,
    next: &(impl Fn(Duration) -> Option<K> + Sync),
    job: &(impl Fn(K) -> Job + Sync),
    done: &(impl Fn(K, Duration) + Sync),
    mut each: impl FnMut(Step<K>),
) {
    let began = Instant::now();
    let under_way: Mutex<BTreeMap<K, Instant>> = Mutex::default();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..bounds.threads.max(1) {
            let (sender, under_way) = (sender.clone(), &under_way);
            scope.spawn(move || {
                let clock = || under_way.lock().unwrap_or_else(PoisonError::into_inner);
                while let Some(key) = next(began.elapsed()) {
                    let since = Instant::now();
                    clock().insert(key, since);
                    let result = one(&job(key));
                    clock().remove(&key);
                    done(key, since.elapsed());
                    if sender.send((key, Box::new(result))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        loop {
            match receiver.recv_timeout(Duration::from_secs(1)) {
                Ok((key, result)) => each(Step::Done(key, result)),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    let hanging = under_way.iter().find(|(_, since)| since.elapsed() > bounds.watchdog);
                    if let Some((key, _)) = hanging {
                        each(Step::Hangs(*key));
                    }
                }
            }
        }
    });
}

/// Runs one job and measures it on the wall.
///
/// # Errors
/// As [`engine::run`].
#[expect(clippy::disallowed_methods, reason = "outside the run: measures the wall")]
pub fn one(job: &Job) -> Result<Run, EngineError> {
    let plan = Plan::new(&job.scenario, job.seed);
    let began = Instant::now();
    let options = Options { keep_events: job.options.keep_events || job.trace, ..job.options };
    let mut run = engine::run_captured(&plan, options, job.pcap.as_ref())?;
    let wall = began.elapsed().as_secs_f64();
    if run.verdict.verdict == reports::record::Outcome::Fail && run.events.is_none() {
        let again = engine::run(&plan, Options { keep_events: true, ..job.options })?;
        if again.verdict.trace_hash != run.verdict.trace_hash {
            return Err(EngineError::Failed {
                engine: job.options.engine.word(),
                scenario: job.scenario.name.clone(),
                seed: job.seed,
                why: format!(
                    "the failing run is not deterministic: trace hash {} the first time, {} the second; run `windtunnel twice {}`",
                    run.verdict.trace_hash, again.verdict.trace_hash, job.scenario.name
                ),
            });
        }
        run.events = again.events;
    }
    run.verdict.wall_seconds = wall;
    Ok(run)
}
