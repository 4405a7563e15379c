//! What is measured while clients live: histograms and counters, one set a shard, so that no two cores write to one.
//!
//! Each figure is kept twice: inside the measured window, and outside of it. The window is a matter of instants alone: nothing is started or stopped at its ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

/// What is measured. Places of its histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meter {
    /// The name's lookup.
    Lookup,
    /// From the first SYN to the connection.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// From the request of the handshake to its answer.
    Upgrade,
    /// From the planned arrival (or the end of a back-off) to the open session.
    Connect,
    /// From the open session to its first tick or answer.
    First,
    /// The age of a tick at its delivery.
    Tick,
    /// Between two ticks or answers of a session.
    Gap,
    /// From the loss of a session to the first tick or answer of the next.
    Reconnect,
    /// From a request's planned instant to its answer.
    Echo,
    /// From when a request was really sent to its answer.
    EchoSent,
    /// From a publication's planned instant to its delivery.
    Published,
    /// From when a publication was really sent to its delivery.
    PublishedSent,
    /// How late requests were sent by this generator's own fault.
    SendLate,
    /// How late dials began against their plan.
    DialLate,
    /// How late timers of the event loop fired.
    TimerLate,
}

const METERS: usize = 16;

/// Ten minutes: the highest latency told apart, in microseconds.
const HIGHEST_US: u64 = 600_000_000;

/// The buffer that draining clients read into, one a shard.
const READ_BYTES: usize = 256 << 10;

/// When the measured window begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) begins: Instant,
    pub(crate) ends: Instant,
}

impl Window {
    fn holds(&self, now: Instant) -> bool {
        self.begins <= now && now < self.ends
    }
}

/// What came, and how many are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) dialled: u64,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) failed: u64,
    /// Ticks that were read and checked.
    pub(crate) ticks: u64,
    /// Ticks and publications whose age is known.
    pub(crate) aged: u64,
    /// Those within the objective.
    pub(crate) within: u64,
    pub(crate) echoes: u64,
    /// Publications that reached a subscriber that checks.
    pub(crate) heard: u64,
    /// Messages that were only counted.
    pub(crate) drained: u64,
    /// Payload bytes of all messages.
    pub(crate) bytes: u64,
}

impl Counters {
    /// Ticks, answers, publications and counted messages.
    pub(crate) fn came(&self) -> u64 {
        self.ticks + self.echoes + self.heard + self.drained
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.dialled += other.dialled;
        self.opened += other.opened;
        self.closed += other.closed;
        self.failed += other.failed;
        self.ticks += other.ticks;
        self.aged += other.aged;
        self.within += other.within;
        self.echoes += other.echoes;
        self.heard += other.heard;
        self.drained += other.drained;
        self.bytes += other.bytes;
    }
}

/// Made when something is first recorded: a simulated world has many shards that measure little.
type Histograms = [Option<Histogram<u64>>; METERS];

fn record(histograms: &mut Histograms, meter: Meter, latency: Duration) {
    let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    histograms[meter as usize].get_or_insert_with(histogram).saturating_record(us);
}

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("1 to ten minutes with 3 digits is a lawful range")
}

#[derive(Debug, Default)]
struct State {
    outside: Histograms,
    inside: Histograms,
    counters: Counters,
    counters_inside: Counters,
    /// Latencies of ticks and answers since they were last taken, where somebody looks on.
    recent: Option<Histogram<u64>>,
}

#[derive(Debug)]
struct Inner {
    window: Window,
    objective: Option<Duration>,
    state: Mutex<State>,
    buffer: Mutex<Vec<u8>>,
}

/// The figures of one shard. Its clients take turns: the locks are waited for only while somebody looks on.
#[derive(Clone, Debug)]
pub(crate) struct Shard(Arc<Inner>);

impl Shard {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something took so long, up to now.
    pub(crate) fn record(&self, meter: Meter, latency: Duration, now: Instant) {
        let mut state = self.state();
        let state = &mut *state;
        let histograms = if self.0.window.holds(now) { &mut state.inside } else { &mut state.outside };
        record(histograms, meter, latency);
    }

    /// Silence that nothing ended: from `last` to now, or to the end of the window.
    pub(crate) fn silence(&self, last: Instant, longest: Duration, now: Instant) {
        let within = self.0.window.ends.checked_sub(Duration::from_micros(1)).unwrap_or(now);
        let until = now.min(self.0.window.ends);
        let silence = until.saturating_duration_since(last);
        // One that is no longer than those that ended is a stretch of what is usual, cut off by chance.
        if silence > longest {
            self.record(Meter::Gap, silence, now.min(within));
        }
    }

    /// Counts.
    pub(crate) fn count(&self, now: Instant, count: impl Fn(&mut Counters)) {
        let mut state = self.state();
        count(&mut state.counters);
        if self.0.window.holds(now) {
            count(&mut state.counters_inside);
        }
    }

    /// A tick was read: its age, if that says something, and the time since the one before.
    pub(crate) fn tick(&self, now: Instant, age: Option<Duration>, gap: Option<Duration>) {
        self.count(now, |counters| counters.ticks += 1);
        self.aged(now, age);
        self.took([(Meter::Tick, now, age), (Meter::Gap, now, gap)], age);
    }

    /// An answer came, so long after it was planned and after it was sent. Its latency belongs to the window in which it was planned, as that of a publication; what came a second is
    /// counted when it comes.
    pub(crate) fn echo(&self, now: Instant, planned: Duration, sent: Duration, gap: Option<Duration>) {
        let belongs = now.checked_sub(planned).unwrap_or(now);
        self.count(now, |counters| counters.echoes += 1);
        let (echo, uncorrected) = ((Meter::Echo, belongs, Some(planned)), (Meter::EchoSent, belongs, Some(sent)));
        self.took([echo, uncorrected, (Meter::Gap, now, gap)], Some(planned));
    }

    /// Requests that had no answer up to now: since when they were planned, and sent, if they were. They took as long at least.
    pub(crate) fn unanswered(&self, now: Instant, requests: impl Iterator<Item = (Instant, Option<Instant>)>) {
        for (planned, sent) in requests {
            let age = |since: Instant| Some(now.saturating_duration_since(since));
            self.took([(Meter::Echo, planned, age(planned)), (Meter::EchoSent, planned, sent.and_then(age))], None);
        }
    }

    /// A publication reached a subscriber. Its age belongs to the window in which it was planned: one that was late until the window was over is the one that counts most.
    pub(crate) fn heard(&self, now: Instant, [planned, sent]: [Instant; 2], gap: Option<Duration>) {
        let [age, uncorrected] = [planned, sent].map(|since| Some(now.saturating_duration_since(since)));
        self.count(now, |counters| counters.heard += 1);
        self.aged(planned, age);
        let ages = [(Meter::Published, planned, age), (Meter::PublishedSent, planned, uncorrected)];
        self.took([ages[0], ages[1], (Meter::Gap, planned, gap)], age);
    }

    /// The age of something, if it is known, that belongs to this instant.
    fn aged(&self, belongs: Instant, age: Option<Duration>) {
        let Some(age) = age else { return };
        let within = self.0.objective.is_some_and(|objective| age <= objective);
        self.count(belongs, |counters| {
            counters.aged += 1;
            counters.within += u64::from(within);
        });
    }

    /// Latencies, each with the instant that says whether it is of the window; and that which is shown while the run goes on.
    fn took<const N: usize>(&self, meters: [(Meter, Instant, Option<Duration>); N], shown: Option<Duration>) {
        let mut state = self.state();
        let state = &mut *state;
        for (meter, belongs, latency) in meters {
            let histograms = if self.0.window.holds(belongs) { &mut state.inside } else { &mut state.outside };
            if let Some(latency) = latency {
                record(histograms, meter, latency);
            }
        }
        if let (Some(recent), Some(latency)) = (&mut state.recent, shown) {
            recent.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// The buffer of who only counts. Held for as long as bytes are looked at, never over an await.
    pub(crate) fn buffer(&self) -> MutexGuard<'_, Vec<u8>> {
        let mut buffer = self.0.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.is_empty() {
            buffer.resize(READ_BYTES, 0);
        }
        buffer
    }
}

/// The figures of all shards.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    shards: Vec<Shard>,
}

impl Meters {
    pub(crate) fn new(shards: usize, window: Window, objective: Option<Duration>) -> Self {
        let shard = || {
            let (state, buffer) = Default::default();
            Shard(Arc::new(Inner { window, objective, state, buffer }))
        };
        Self { shards: (0..shards.max(1)).map(|_| shard()).collect() }
    }

    pub(crate) fn shard(&self, shard: usize) -> Shard {
        self.shards[shard % self.shards.len()].clone()
    }

    /// The counters, of the whole run or of the window.
    pub(crate) fn counters(&self, inside: bool) -> Counters {
        let mut sum = Counters::default();
        for shard in &self.shards {
            let state = shard.state();
            sum.add(if inside { &state.counters_inside } else { &state.counters });
        }
        sum
    }

    /// A histogram of all shards, of the whole run or of the window; None where nothing was recorded.
    pub(crate) fn histogram(&self, meter: Meter, inside: bool) -> Option<Histogram<u64>> {
        let mut sum: Option<Histogram<u64>> = None;
        for shard in &self.shards {
            let state = shard.state();
            let parts = [Some(&state.inside), (!inside).then_some(&state.outside)];
            for part in parts.into_iter().flatten().filter_map(|histograms| histograms[meter as usize].as_ref()) {
                match &mut sum {
                    None => sum = Some(part.clone()),
                    Some(sum) => sum.add(part).expect("all histograms have one range"),
                }
            }
        }
        sum
    }

    /// Latencies since the last call; the first call begins to keep them.
    pub(crate) fn recent(&self) -> Histogram<u64> {
        let mut sum = histogram();
        for shard in &self.shards {
            let mut state = shard.state();
            let recent = state.recent.get_or_insert_with(histogram);
            sum.add(&*recent).expect("all histograms have one range");
            recent.reset();
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silence_that_lasts_to_the_end_of_the_window_is_a_gap_of_it() {
        let now = Instant::now();
        let ms = Duration::from_millis;
        let window = Window { begins: now, ends: now + ms(1_000) };
        let check = |last, longest, at, expect: Option<u64>| {
            let meters = Meters::new(1, window, None);
            meters.shard(0).silence(now + ms(last), ms(longest), now + ms(at));
            assert_eq!(meters.histogram(Meter::Gap, true).map(|gaps| gaps.max().div_ceil(1_001)), expect);
        };
        check(100, 50, 1_000, Some(900));
        check(100, 50, 1_500, Some(900));
        check(100, 50, 600, Some(500));
        check(100, 950, 1_000, None);
        check(1_100, 50, 1_500, None);
    }

    #[tokio::test(start_paused = true)]
    async fn latency_is_of_the_window_in_which_it_was_planned_and_what_came_of_that_in_which_it_came() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let meters = Meters::new(1, Window { begins: now, ends: now + ms(1_000) }, Some(ms(500)));
        let shard = meters.shard(0);
        // Planned within, and there after 100 ms, and after 900 ms when the window is over.
        for came in [200, 1_000] {
            shard.echo(now + ms(came), ms(came - 100), ms(1), None);
            shard.heard(now + ms(came), [now + ms(100); 2], None);
        }
        // Nothing came, though one could be sent.
        let requests = [(now + ms(300), Some(now + ms(300))), (now + ms(400), None), (now + ms(1_100), None)];
        shard.unanswered(now + ms(1_200), requests.into_iter());
        let told = |meter| meters.histogram(meter, true).map(|it| (it.len(), it.max().div_ceil(1_001)));
        assert_eq!((told(Meter::Echo), told(Meter::EchoSent)), (Some((4, 900)), Some((3, 900))));
        assert_eq!(told(Meter::Published), Some((2, 900)));
        let inside = meters.counters(true);
        assert_eq!((inside.echoes, inside.heard, inside.came()), (1, 1, 2));
        assert_eq!((inside.aged, inside.within), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_inside_the_window_is_kept_apart_and_shards_are_merged() {
        let now = Instant::now();
        let ms = Duration::from_millis;
        let window = Window { begins: now + ms(10), ends: now + ms(20) };
        let meters = Meters::new(2, window, Some(ms(5)));
        for (shard, at, age) in [(0, 9, 1), (0, 10, 2), (1, 19, 6), (1, 20, 9)] {
            meters.shard(shard).tick(now + ms(at), Some(ms(age)), None);
        }
        // One without an age says nothing of the objective.
        meters.shard(0).tick(now + ms(11), None, None);
        let count = |inside| meters.histogram(Meter::Tick, inside).map(|histogram| histogram.len());
        assert_eq!((count(true), count(false)), (Some(2), Some(4)));
        assert_eq!(meters.histogram(Meter::Gap, false), None);
        let (inside, whole) = (meters.counters(true), meters.counters(false));
        assert_eq!((inside.ticks, inside.aged, inside.within), (3, 2, 1));
        assert_eq!((whole.ticks, whole.aged, whole.within), (5, 4, 2));
        // Nobody looked on before: nothing was kept.
        assert_eq!(meters.recent().len(), 0);
        meters.shard(0).tick(now, Some(ms(1)), None);
        assert_eq!((meters.recent().len(), meters.recent().len()), (1, 0));
    }
}
