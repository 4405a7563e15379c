//! One run: a fresh thread, one paused tokio runtime, and the root future that is our scheduler.
//!
//! tokio's timers know whole milliseconds; our packets know microseconds. The rule that keeps both exact:
//!
//! ```text
//!   next packet in the same millisecond    advance the clock there, within the poll: no timer can be due in between
//!   next packet in a later one, clock
//!   between two milliseconds               advance to the next whole one, let tokio fire what is due there
//!   clock on a whole millisecond           sleep to the whole millisecond before the packet: tokio jumps from timer to timer
//! ```

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::config::{AtHorizon, Reseed, SimConfig, micros};
use crate::failure::{Cause, Ended, Failure, Report};
use crate::setup::Setup;
use crate::standing::{self, Standing};
use crate::{exec, fault, guard, interpose, kernel, panics, ready};

/// Numbers the runs of this process, so that a handle that strays into another run does nothing there. Has no influence on any run.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// Runs one world to its end.
///
/// `setup` adds the hosts; then virtual time starts. The run ends when all foreground programs have finished, when somebody calls
/// [`crate::Control::finish`], or at the horizon.
///
/// # Errors
/// [`Failure`], which says why and carries the report so far.
pub fn run(config: SimConfig, setup: impl FnOnce(&mut Setup) + Send) -> Result<Report, Failure> {
    fresh_thread(|| run_here(config, setup))
}

/// Calls `f` on a thread of its own, so that thread-local state (ours, `HashMap`'s keys, `rand`'s generators) starts fresh.
pub(crate) fn fresh_thread(f: impl FnOnce() -> Result<Report, Failure> + Send) -> Result<Report, Failure> {
    let broken = |text: &str| Failure { cause: Cause::Harness(text.to_owned()), report: Box::default() };
    std::thread::scope(|scope| {
        match std::thread::Builder::new().name("sim".to_owned()).stack_size(8 << 20).spawn_scoped(scope, f) {
            Ok(handle) => handle.join().unwrap_or_else(|_| Err(broken("the run's own thread panicked"))),
            Err(error) => Err(broken(&format!("no thread for the run: {error}"))),
        }
    })
}

fn run_here(config: SimConfig, setup: impl FnOnce(&mut Setup)) -> Result<Report, Failure> {
    panics::catch_here();
    wire::draw::reseed_world(0);
    interpose::enter(wire::draw::Draws::new(config.seed, "getrandom", 0).nth(0));
    let outcome = catch_unwind(AssertUnwindSafe(|| checked(config, setup)));
    let result = outcome.unwrap_or_else(|_| Err(panics::taken("", "the simulator or the set-up")));
    // Whatever is left of the world goes now, in this order: programs, then sockets.
    let _ = catch_unwind(AssertUnwindSafe(exec::uninstall));
    let result = guard::verdict().map_or(result, Err);
    let report = kernel::uninstall().map(|world| Report {
        trace_hash: world.trace.hash,
        trace_count: world.trace.count,
        trace_events: world.trace.events,
        trace_checkpoints: world.trace.checkpoints,
        hosts: world.hosts.into_iter().map(|host| host.name).collect(),
        capture: world.captured,
        faults: world.faults.log,
        elapsed_us: world.now_us,
        ..Report::default()
    });
    interpose::leave();
    wire::draw::reseed_world(0);
    match (result, report) {
        (Ok(end), Some(report)) => Ok(Report {
            ended: end.ended,
            polls: end.polls,
            connections_left: end.left,
            trace_hash: end.hash,
            trace_count: end.count,
            standing: end.standing,
            ..report
        }),
        (Err(cause), report) => Err(Failure { cause, report: Box::new(report.unwrap_or_default()) }),
        (Ok(_), None) => {
            Err(Failure { cause: Cause::Harness("the world vanished".to_owned()), report: Box::default() })
        }
    }
}

/// How a run stood at its last instant, before the rest was dropped.
struct End {
    ended: Ended,
    polls: u64,
    left: usize,
    hash: u64,
    count: u64,
    standing: Vec<Standing>,
}

fn checked(config: SimConfig, setup: impl FnOnce(&mut Setup)) -> Result<End, Cause> {
    interpose::check().map_err(|what| Cause::Harness(what.to_owned()))?;
    let run = RUNS.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| Cause::Harness(format!("no runtime: {error}")))?;
    let limits = Limits {
        horizon_us: micros(config.horizon).div_ceil(1000) * 1000,
        at_horizon: config.at_horizon,
        stuck_after_us: micros(config.stuck_after),
        polls_per_instant_max: config.polls_per_instant_max.max(1),
        stop_us: config.stop_at.map_or(kernel::NEVER, micros),
    };
    let ahead = Ahead { pause_us: config.pause_at.map(micros), reseed: config.reseed };
    ready::start(config.order, config.seed);
    kernel::install(config, run);
    exec::install();
    let result = runtime.block_on(tokio::task::unconstrained(async move {
        let origin = Instant::now();
        let hosts = setup_hosts(run, setup);
        for host in 0..hosts {
            exec::start(host);
        }
        let root = Root {
            origin,
            sleep: Box::pin(tokio::time::sleep_until(origin)),
            asleep_until_us: 0,
            limits,
            ahead,
            instant_us: u64::MAX,
            polls: 0,
        };
        let ended = root.await;
        let standing = if ended == Ok(Ended::Stopped) { standing::look() } else { Vec::new() };
        kernel::with(kernel::World::end_capture);
        let (polls, _) = exec::polls();
        let (left, hash, count) =
            kernel::with(|world| (world.conns.len(), world.trace.hash, world.trace.count)).unwrap_or_default();
        // Programs go while the runtime still stands: their timers belong to it.
        let _ = catch_unwind(AssertUnwindSafe(exec::uninstall));
        ended.map(|ended| End { ended, polls, left, hash, count, standing })
    }));
    drop(runtime);
    result
}

fn setup_hosts(run: u32, setup: impl FnOnce(&mut Setup)) -> u32 {
    let mut world = Setup::new(run);
    setup(&mut world);
    world.hosts()
}

struct Limits {
    horizon_us: u64,
    at_horizon: AtHorizon,
    stuck_after_us: u64,
    polls_per_instant_max: u64,
    stop_us: u64,
}

/// What is to be done once when its time has come, before what happens then; it moves no clock.
struct Ahead {
    pause_us: Option<u64>,
    reseed: Option<Reseed>,
}

impl Ahead {
    fn come(&mut self, now_us: u64) {
        if self.pause_us.take_if(|at| *at <= now_us).is_some() {
            crate::paused_at(now_us);
        }
        if let Some(Reseed { seed, .. }) = self.reseed.take_if(|reseed| micros(reseed.at) <= now_us) {
            let key = |purpose| wire::draw::Draws::new(seed, purpose, 0).nth(0);
            wire::draw::reseed_world(key("world again"));
            interpose::enter(key("getrandom again"));
        }
    }
}

/// The scheduler, as the one future that tokio sees.
struct Root {
    origin: Instant,
    /// Where tokio's clock must stop for us.
    sleep: Pin<Box<Sleep>>,
    asleep_until_us: u64,
    limits: Limits,
    ahead: Ahead,
    /// The instant at which `polls` were counted.
    instant_us: u64,
    polls: u64,
}

impl Future for Root {
    type Output = Result<Ended, Cause>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        ready::enter(cx.waker());
        let polled = guard::watched(|| this.go(cx));
        ready::leave();
        polled
    }
}

impl Root {
    fn go(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ended, Cause>> {
        let mut now_us = micros(Instant::now() - self.origin);
        kernel::with(|world| world.set_now(now_us));
        loop {
            self.ahead.come(now_us);
            if now_us >= self.limits.stop_us {
                crate::paused_at(now_us);
                return Poll::Ready(Ok(Ended::Stopped));
            }
            self.work(now_us)?;
            if let Some(verdict) = exec::verdict() {
                return Poll::Ready(verdict.map(|()| Ended::Finished));
            }
            if now_us >= self.limits.horizon_us {
                return Poll::Ready(self.at_horizon());
            }
            let next_us = kernel::with(|world| world.next_at()).unwrap_or(kernel::NEVER);
            let next_us = next_us.min(self.limits.horizon_us).min(self.limits.stop_us);
            if next_us / 1000 == now_us / 1000 {
                advance(next_us - now_us);
                now_us = next_us;
                kernel::with(|world| world.set_now(now_us));
                continue;
            }
            if !now_us.is_multiple_of(1000) {
                let whole = now_us.next_multiple_of(1000);
                advance(whole - now_us);
            }
            return self.sleep_until(next_us / 1000 * 1000, cx);
        }
    }

    /// Deliveries and polls of this instant, until there are none.
    fn work(&mut self, now_us: u64) -> Result<(), Cause> {
        if self.instant_us != now_us {
            self.instant_us = now_us;
            self.polls = 0;
        }
        loop {
            let happened = kernel::with(|world| world.happen()).unwrap_or(0);
            if happened > 0 {
                fault::carry_out();
            }
            let polled = exec::run_ready(self.limits.polls_per_instant_max - self.polls + 1);
            self.polls += polled + happened;
            if self.polls > self.limits.polls_per_instant_max {
                return Err(Cause::Livelock { polls: self.polls, busiest: exec::busiest() });
            }
            if happened + polled == 0 || exec::is_over() {
                return Ok(());
            }
        }
    }

    fn sleep_until(&mut self, until_us: u64, cx: &mut Context<'_>) -> Poll<Result<Ended, Cause>> {
        if self.asleep_until_us != until_us || self.sleep.is_elapsed() {
            self.asleep_until_us = until_us;
            self.sleep.as_mut().reset(self.origin + Duration::from_micros(until_us));
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            // Due now, as after an advance: once more, after tokio has fired what is due with it.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn at_horizon(&self) -> Result<Ended, Cause> {
        if self.limits.at_horizon == AtHorizon::End || !exec::is_unfinished() {
            return Ok(Ended::Horizon);
        }
        let (_, polled_us) = exec::polls();
        let since_us = kernel::with(|world| world.moved_us).unwrap_or(0).max(polled_us);
        let waiting = exec::waiting(100);
        if self.limits.horizon_us - since_us >= self.limits.stuck_after_us {
            Err(Cause::Stuck { since_us, waiting })
        } else {
            Err(Cause::Horizon { waiting })
        }
    }
}

/// Moves tokio's paused clock. Its future is polled once: the first poll moves the clock, the rest only yields.
fn advance(by_us: u64) {
    if by_us > 0 {
        let advance = pin!(tokio::time::advance(Duration::from_micros(by_us)));
        let _ = advance.poll(&mut Context::from_waker(Waker::noop()));
    }
}
