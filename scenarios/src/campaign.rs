//! Many runs: scenarios times seeds, on a few threads, in a fixed order of results.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::engine::{self, EngineError, Options, Run};
use crate::model::Scenario;
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
}

/// A job and what became of it.
#[derive(Debug)]
pub struct Done {
    /// Its place in the list of jobs.
    pub index: usize,
    /// The run, or how the harness failed.
    pub result: Result<Run, EngineError>,
}

/// Runs all jobs on `threads` threads and calls `each` on this thread as they are done (not in order). A failed run is run once more with its events kept: a
/// deterministic run may be looked at as often as one likes. Jobs that have not begun when `budget` is over are left out; their number comes back.
#[expect(
    clippy::disallowed_methods,
    reason = "the campaign stands outside all runs: it measures the wall and spreads runs over threads"
)]
pub fn run(jobs: &[Job], threads: usize, budget: Option<Duration>, mut each: impl FnMut(Done)) -> usize {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let skipped = AtomicUsize::new(0);
    let (sender, receiver) = std::sync::mpsc::channel();
    let sender = Mutex::new(sender);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            let sender = sender.lock().map(|sender| sender.clone());
            let Ok(sender) = sender else { continue };
            let (next, skipped) = (&next, &skipped);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    if budget.is_some_and(|budget| began.elapsed() > budget) {
                        skipped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let done = Done { index, result: one(job) };
                    if sender.send(done).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for done in receiver {
            each(done);
        }
    });
    skipped.into_inner()
}

/// Runs one job and measures it on the wall.
///
/// # Errors
/// As [`engine::run`].
#[expect(clippy::disallowed_methods, reason = "outside the run: measures the wall")]
pub fn one(job: &Job) -> Result<Run, EngineError> {
    let plan = Plan::new(&job.scenario, job.seed);
    let began = Instant::now();
    let mut run = engine::run(&plan, job.options)?;
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
