//! The measured window as a script and as this process see it: two lines, and the processor time between them.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep_until};
use wire::net::Network;

use crate::measure::{Meter, Meters, Window};

/// How often each event loop is asked how late its timers are.
const BEAT: Duration = Duration::from_millis(10);

/// Processor time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Says when the window begins and ends, and what was computed between.
#[derive(Debug)]
pub(super) struct Clock {
    window: Window,
    /// Computing counts from the beginning: the arrivals are the load.
    whole: bool,
    /// Standard output has something else to say.
    to_stderr: bool,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Before,
    Inside(Instant, Duration),
    After(f64),
}

impl Clock {
    pub(super) fn new(window: Window, whole: bool, to_stderr: bool) -> Self {
        Self { window, whole, to_stderr, state: Mutex::new(State::Before) }
    }

    /// Runs until the window is over.
    pub(super) async fn run(&self) {
        if self.whole {
            self.begin();
        }
        sleep_until(self.window.begins).await;
        if !self.whole {
            self.begin();
        }
        self.say("loadgen measuring");
        sleep_until(self.window.ends).await;
        self.end();
    }

    fn begin(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Inside(Instant::now(), cpu());
    }

    /// The window is over, by plan or because the run is.
    pub(super) fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Inside(began, before) = *state {
            let (wall, used) = (began.elapsed().as_secs_f64(), (cpu() - before).as_secs_f64());
            *state = State::After(if wall > 0.0 { used / wall } else { 0.0 });
            drop(state);
            if Instant::now() >= self.window.begins {
                self.say("loadgen measured");
            }
        }
    }

    /// Processor seconds a second in the window, or from the beginning.
    pub(super) fn cpu(&self) -> Option<f64> {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::After(share) => Some(share),
            State::Before | State::Inside(..) => None,
        }
    }

    /// A line for scripts. A closed standard output is nobody's problem.
    fn say(&self, line: &str) {
        if self.to_stderr {
            eprintln!("{line}");
        } else {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

/// Asks each event loop again and again how late its timers are, until it is dropped. A beat that was missed counts as late as it was.
pub(super) fn beats<N: Network>(net: &N, meters: &Meters) -> Vec<impl Drop + use<N>> {
    let beat = |shard: usize| {
        let figures = meters.shard(shard);
        let life = async move {
            let mut planned = Instant::now();
            loop {
                planned += BEAT;
                sleep_until(planned).await;
                let now = Instant::now();
                figures.record(Meter::TimerLate, now.duration_since(planned), now);
            }
        };
        net.spawn_on(shard, "loadgen beat", life).guard()
    };
    (0..net.shards()).map(beat).collect()
}
