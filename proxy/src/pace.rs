//! How fast handshakes are begun: a token bucket, whose rate rises after a start.
//!
//! ```text
//!   tokens per second
//!     full |          .-------------      a start is when everyone comes back at once:
//!          |      .-'                     the first get in at a tenth of the rate, and it rises in a straight line
//!          |  .-'
//!   a 10th |-'
//!          '----------|------------- time since the start
//!                 accept_ramp
//! ```
//!
//! Who comes sooner waits in the kernel's queue of connections ([`Limits::accept_backlog`]): nobody is refused for coming early, as long as that has room.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Limits;

/// Where the rate begins, as a share of the full one.
const FIRST: f64 = 0.1;
/// What the bucket may lack of a whole token: rounding of sums of fractions.
const ROUNDING: f64 = 1e-6;
/// The grain of tokio's timers: a shorter wait would come back too early, and spin.
const GRAIN: Duration = Duration::from_millis(1);

/// When the next handshake may begin. Pure: it is told the time.
///
/// All arithmetic is of IEEE 754's exactly rounded operations, so it comes out the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    started: Instant,
    /// Tokens a second; 0 stands for no bound.
    rate: f64,
    ramp_s: f64,
    burst: f64,
    tokens: f64,
    /// Until when tokens were counted, in seconds since the start.
    counted_s: f64,
}

impl Pace {
    /// The pace of a proxy that starts `now`. With a ramp it begins with one token, without one it begins with all.
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        let burst = f64::from(limits.handshakes_burst.max(1));
        Self {
            started: now,
            rate: f64::from(limits.handshakes_per_second_max),
            ramp_s: limits.accept_ramp.as_secs_f64(),
            burst,
            tokens: if limits.accept_ramp.is_zero() { burst } else { 1.0 },
            counted_s: 0.0,
        }
    }

    /// None if a handshake may begin now, else when to ask again.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Instant> {
        if self.rate == 0.0 {
            return None;
        }
        self.count(now);
        if self.tokens >= 1.0 - ROUNDING {
            return None;
        }
        let due_s = self.earned_by(self.earned(self.counted_s) + 1.0 - self.tokens);
        // Never without progress, and never so far that an instant overflows.
        let wait_s = (due_s - self.counted_s).clamp(GRAIN.as_secs_f64(), 3600.0);
        Some(now + Duration::from_secs_f64(wait_s))
    }

    /// A handshake begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.rate > 0.0 {
            self.count(now);
            self.tokens -= 1.0;
        }
    }

    fn count(&mut self, now: Instant) {
        let now_s = now.saturating_duration_since(self.started).as_secs_f64();
        if now_s > self.counted_s {
            self.tokens = (self.tokens + self.earned(now_s) - self.earned(self.counted_s)).min(self.burst);
            self.counted_s = now_s;
        }
    }

    /// Tokens earned from the start to `at_s`: the area under the picture above.
    fn earned(&self, at_s: f64) -> f64 {
        let in_ramp = at_s.min(self.ramp_s);
        let slope = if self.ramp_s > 0.0 { (1.0 - FIRST) / (2.0 * self.ramp_s) } else { 0.0 };
        self.rate * (FIRST * in_ramp + slope * in_ramp * in_ramp + (at_s - in_ramp))
    }

    /// When `tokens` will have been earned, in seconds since the start: the inverse of [`Self::earned`].
    fn earned_by(&self, tokens: f64) -> f64 {
        let in_ramp = self.earned(self.ramp_s);
        if tokens >= in_ramp {
            return self.ramp_s + (tokens - in_ramp) / self.rate;
        }
        // The positive root of slope x t^2 + FIRST x t = tokens / rate.
        let slope = (1.0 - FIRST) / (2.0 * self.ramp_s);
        ((FIRST * FIRST + 4.0 * slope * tokens / self.rate).sqrt() - FIRST) / (2.0 * slope)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(rate: u32, burst: u32, ramp_ms: u64) -> Limits {
        Limits {
            handshakes_per_second_max: rate,
            handshakes_burst: burst,
            accept_ramp: Duration::from_millis(ramp_ms),
            ..Limits::default()
        }
    }

    /// When each of `count` clients that are all there at the start gets in, in milliseconds, under timers of whole milliseconds.
    fn storm(limits: &Limits, count: usize) -> Vec<u64> {
        let start = Instant::now();
        let mut pace = Pace::new(limits, start);
        let mut now_ms = 0;
        let mut begun = Vec::new();
        while begun.len() < count {
            let now = start + Duration::from_millis(now_ms);
            match pace.wait(now) {
                None => {
                    pace.begin(now);
                    begun.push(now_ms);
                }
                Some(until) => {
                    assert!(until > now, "a wait without progress");
                    now_ms = u64::try_from((until - start).as_nanos().div_ceil(1_000_000)).unwrap();
                }
            }
        }
        begun
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        assert_eq!(storm(&limits(10, 3, 0), 6), [0, 0, 0, 100, 200, 300]);
        assert_eq!(storm(&limits(1000, 1, 0), 4), [0, 1, 2, 3]);
        assert_eq!(storm(&limits(0, 1, 1000), 100), [0; 100], "no bound");
    }

    #[test]
    fn after_a_start_the_rate_rises_from_a_tenth_to_the_whole() {
        let begun = storm(&limits(100, 5, 10_000), 1000);
        let in_second = |n: u64| begun.iter().filter(|at| **at / 1000 == n).count();
        // The first token, and the area under the ramp: 10 n + 4.5 n^2 by second n; who comes on the full second counts for the next.
        assert_eq!([0, 1, 2, 4, 9].map(in_second), [15, 23, 33, 51, 95]);
        assert_eq!([10, 11].map(in_second), [100, 100]);
    }

    #[test]
    fn idle_time_saves_no_more_than_the_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(&limits(100, 4, 0), start);
        let later = start + Duration::from_secs(86_400);
        for _ in 0..4 {
            assert_eq!(pace.wait(later), None);
            pace.begin(later);
        }
        assert_eq!(pace.wait(later), Some(later + Duration::from_millis(10)));
    }

    proptest! {
        /// Against a bucket that is filled in steps of a hundredth of a millisecond.
        #[test]
        fn the_pace_is_that_of_a_bucket_filled_drop_by_drop(
            rate in 1..2000_u32,
            burst in 1..50_u32,
            ramp_ms in prop_oneof![Just(0_u64), 1..3000_u64],
            gaps_ms in prop::collection::vec(0..40_u64, 1..100),
        ) {
            let limits = limits(rate, burst, ramp_ms);
            let start = Instant::now();
            let mut pace = Pace::new(&limits, start);
            let (mut tokens, mut steps) = (if ramp_ms == 0 { f64::from(burst) } else { 1.0 }, 0_u64);
            let mut now_ms = 0;
            for gap in gaps_ms {
                now_ms += gap;
                while steps < now_ms * 100 {
                    let at_ms = (steps as f64 + 0.5) / 100.0;
                    let share = if at_ms < ramp_ms as f64 { 0.1 + 0.9 * at_ms / ramp_ms as f64 } else { 1.0 };
                    tokens = (tokens + share * f64::from(rate) / 100_000.0).min(f64::from(burst));
                    steps += 1;
                }
                let now = start + Duration::from_millis(now_ms);
                let may = pace.wait(now).is_none();
                prop_assert_eq!(may, pace.tokens >= 1.0 - ROUNDING);
                prop_assert!((pace.tokens - tokens).abs() < 0.01, "{} against {tokens} at {now_ms} ms", pace.tokens);
                if may {
                    pace.begin(now);
                    tokens -= 1.0;
                }
            }
        }
    }
}
