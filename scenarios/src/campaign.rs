//! Many runs: scenarios times seeds, on a few threads, in a fixed order of results.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::agenda::{Agenda, Next, Place};
use crate::engine::{self, EngineError, Look, Options, Run};
use crate::logs;
use crate::model::{Engine, Scenario, ServiceTime};
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
    /// How it is looked at besides.
    pub look: Look,
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

impl Default for Bounds {
    /// A run on each core, no budget, five minutes for each run.
    fn default() -> Self {
        Self { threads: cores(), budget: None, watchdog: Duration::from_secs(300) }
    }
}

/// Runs that this machine does at the same time.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
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
                return Next::Over;
            }
            if bounds.budget.is_none_or(|budget| elapsed <= budget) {
                return Next::Run(index);
            }
            skipped.fetch_add(1, Ordering::Relaxed);
        }
    };
    let bounds = Bounds { threads: bounds.threads.min(jobs.len()), ..bounds };
    drive(bounds, &next, &|index: usize| one(&jobs[index]), &|_, _| {}, |step| {
        each(match step {
            Step::Done(index, result) => News::Done(Box::new(Done { index, result: *result })),
            Step::Hangs(index) => News::Hangs(index),
        });
    });
    skipped.into_inner()
}

/// News from an agenda.
#[derive(Debug)]
pub enum Step<K, R = Result<Run, EngineError>> {
    /// This run is done.
    Done(K, Box<R>),
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
        &|place| one(&job(place)),
        &|place: Place, took| agenda().done(place.scenario, took),
        each,
    );
}

/// Does what `work` makes of each key that `next` gives, on a few threads, until there is none; `next` is told how long all has taken so far.
pub fn sweep<K: Copy + Ord + Send, R: Send>(
    bounds: Bounds,
    next: impl Fn(Duration) -> Option<K> + Sync,
    work: impl Fn(K) -> R + Sync,
    each: impl FnMut(Step<K, R>),
) {
    let next = |elapsed| next(elapsed).map_or(Next::Over, Next::Run);
    drive(bounds, &next, &work, &|_, _| {}, each);
}

/// The threads: each asks for the next run, does it, tells how long it took, and hands over what it came to. One that is to wait asks again once a run is done.
#[expect(
    clippy::disallowed_methods,
    reason = "the campaign stands outside all runs: it measures the wall and spreads runs over threads"
)]
fn drive<K: Copy + Ord + Send, R: Send>(
    bounds: Bounds,
    next: &(impl Fn(Duration) -> Next<K> + Sync),
    work: &(impl Fn(K) -> R + Sync),
    done: &(impl Fn(K, Duration) + Sync),
    mut each: impl FnMut(Step<K, R>),
) {
    let began = Instant::now();
    let under_way: Mutex<BTreeMap<K, Instant>> = Mutex::default();
    // How many are done, and the bell that it rings.
    let (over, bell) = (Mutex::new(0_u64), Condvar::new());
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..bounds.threads.max(1) {
            let (sender, under_way, over, bell) = (sender.clone(), &under_way, &over, &bell);
            scope.spawn(move || {
                let clock = || under_way.lock().unwrap_or_else(PoisonError::into_inner);
                let count = || over.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    let before = *count();
                    let key = match next(began.elapsed()) {
                        Next::Run(key) => key,
                        Next::Wait => {
                            drop(bell.wait_while(count(), |now| *now == before));
                            continue;
                        }
                        Next::Over => return,
                    };
                    let since = Instant::now();
                    clock().insert(key, since);
                    let result = work(key);
                    clock().remove(&key);
                    done(key, since.elapsed());
                    *count() += 1;
                    bell.notify_all();
                    if sender.send((key, Box::new(result))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let every = Duration::from_secs(1).min(bounds.watchdog);
        let mut looked = Instant::now();
        loop {
            match receiver.recv_timeout(every) {
                Ok((key, result)) => each(Step::Done(key, result)),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            // Whether or not others bring news meanwhile.
            if looked.elapsed() < every {
                continue;
            }
            looked = Instant::now();
            let under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let hanging = under_way.iter().find(|(_, since)| since.elapsed() > bounds.watchdog);
            if let Some((key, _)) = hanging {
                each(Step::Hangs(*key));
            }
        }
    });
}

/// Does something on a thread of its own and waits for it for so long at most. `None`: it hangs, and its thread cannot be ended.
///
/// # Panics
/// If it panics.
#[expect(clippy::disallowed_methods, reason = "outside all runs: a watch on the wall")]
pub fn watched<T: Send + 'static>(watchdog: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(watchdog) {
        Ok(done) => Some(done),
        Err(mpsc::RecvTimeoutError::Timeout) => None,
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => None,
        },
    }
}

/// Runs one job and measures it on the wall. A run that fails has its events kept, and its log: by a second run where the first did without.
///
/// # Errors
/// As [`engine::run`].
#[expect(clippy::disallowed_methods, reason = "outside the run: measures the wall")]
pub fn one(job: &Job) -> Result<Run, EngineError> {
    let plan = Plan::new(&job.scenario, job.seed);
    let began = Instant::now();
    // A run over sockets happens once: there is no second one to keep the events of.
    let once = job.options.engine == Engine::Sockets;
    let options = Options { keep_events: job.options.keep_events || job.trace || once, ..job.options };
    // Where this is the only run, it must have what a failing one is to have.
    let in_case =
        |look: &Look| Look { log: look.log.clone().or_else(|| Some(logs::Wanted::default())), ..look.clone() };
    let look = if options.keep_events { in_case(&job.look) } else { job.look.clone() };
    let mut run = engine::run_looked_at(&plan, options, job.pcap.as_ref(), &look)?;
    let wall = began.elapsed().as_secs_f64();
    if run.verdict.verdict == reports::record::Outcome::Fail && run.events.is_none() {
        let mut look = in_case(&job.look);
        look.log.iter_mut().for_each(|log| log.live = false);
        let again = engine::run_looked_at(&plan, Options { keep_events: true, ..job.options }, None, &look)?;
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
        run.said = again.said;
    }
    if run.verdict.verdict != reports::record::Outcome::Fail && run.standing.is_empty() && job.look.log.is_none() {
        run.said = None;
    }
    run.verdict.wall_seconds = wall;
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "runs that take their time on the wall")]
    fn one_that_hangs_is_told_of_while_others_go_on() {
        const KEYS: usize = 1_000;
        let next = AtomicUsize::new(0);
        let (release, wait) = mpsc::channel::<()>();
        let (mut release, wait) = (Some(release), Mutex::new(wait));
        let (mut done, mut hung) = (0, None);
        sweep(
            Bounds { threads: 2, budget: None, watchdog: Duration::from_millis(50) },
            |_| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|key| *key < KEYS),
            |key| match key {
                0 => drop(wait.lock().map(|wait| wait.recv())),
                _ => std::thread::sleep(Duration::from_millis(2)),
            },
            |step| match step {
                Step::Done(..) => done += 1,
                Step::Hangs(key) => {
                    drop(release.take());
                    hung.get_or_insert((key, done));
                }
            },
        );
        let (key, before) = hung.expect("it hangs");
        assert_eq!((key, done), (0, KEYS));
        assert!(before < KEYS - 1, "only when all others were done");
    }

    #[test]
    fn what_is_watched_comes_back_or_hangs() {
        assert_eq!(watched(Duration::from_secs(60), || 5), Some(5));
        let (release, wait) = mpsc::channel::<()>();
        assert_eq!(watched(Duration::from_millis(1), move || wait.recv().is_ok()), None);
        drop(release);
    }
}
