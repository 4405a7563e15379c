//! Which ticks are due now. Pure: it is told the time.

use std::ops::Range;
use std::time::Duration;

use wire::net::WallTime;
use wire::tick::{N_MAX, Schedule};

/// Hands out the numbers of ticks, each once and in order, when they are due.
///
/// A wall clock that jumps back makes it silent until the clock has caught up: no tick goes out twice. One that jumps ahead, or a host that was
/// frozen, makes it skip: at most `burst_max` ticks are caught up, else only the newest due one goes out.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    schedule: Schedule,
    burst_max: u64,
    next: u64,
}

impl Pacer {
    /// The first tick is the next one due at or after `now`.
    pub(crate) fn new(schedule: Schedule, burst_max: u32, now: WallTime) -> Self {
        Self { schedule, burst_max: u64::from(burst_max.max(1)), next: schedule.next(now) }
    }

    /// The ticks to send now: usually one or none, never more than `burst_max`.
    pub(crate) fn due(&mut self, now: WallTime) -> Range<u64> {
        // The first tick after `now` ends the range: a tick due exactly now is due.
        let end = self.schedule.next(WallTime(now.0.saturating_add(1))).min(N_MAX + 1);
        if end <= self.next {
            return self.next..self.next;
        }
        let begin = if end - self.next > self.burst_max { end - 1 } else { self.next };
        self.next = end;
        begin..end
    }

    /// How long until the next tick is due.
    pub(crate) fn wait(&self, now: WallTime) -> Duration {
        self.schedule.due(self.next).since(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(us: u64) -> WallTime {
        WallTime(wire::tick::ORIGIN_US + us)
    }

    fn pacer(now: u64) -> Pacer {
        Pacer::new(Schedule::every(Duration::from_millis(10)).unwrap(), 3, at(now))
    }

    #[test]
    fn a_tick_goes_out_when_it_is_due_and_not_before() {
        let mut pacer = pacer(5);
        assert_eq!(pacer.wait(at(5)), Duration::from_micros(9_995));
        assert!(pacer.due(at(9_999)).is_empty());
        assert_eq!(pacer.due(at(10_000)), 1..2);
        assert!(pacer.due(at(10_000)).is_empty());
    }

    #[test]
    fn a_short_freeze_is_caught_up_and_a_long_one_skipped() {
        let mut pacer = pacer(0);
        assert_eq!(pacer.due(at(20_000)), 0..3);
        assert_eq!(pacer.due(at(60_000)), 6..7);
    }

    #[test]
    fn a_clock_that_jumps_back_sends_nothing_twice() {
        let mut pacer = pacer(0);
        assert_eq!(pacer.due(at(10_000)), 0..2);
        assert!(pacer.due(at(1_000)).is_empty());
        assert_eq!(pacer.due(at(20_000)), 2..3);
    }

    proptest! {
        #[test]
        fn numbers_rise_bursts_are_bounded_and_nothing_is_early(
            period_us in 1_000_u64..200_000,
            burst in 1_u32..9,
            nows in proptest::collection::vec(0_u64..10_000_000, 1..50),
        ) {
            let schedule = Schedule::every(Duration::from_micros(period_us)).unwrap();
            let mut pacer = Pacer::new(schedule, burst, at(nows[0]));
            let mut last = None;
            for now in nows {
                let due = pacer.due(at(now));
                prop_assert!(due.end - due.start <= u64::from(burst));
                for n in due {
                    prop_assert!(last.is_none_or(|last| n > last));
                    prop_assert!(schedule.due(n) <= at(now));
                    last = Some(n);
                }
                prop_assert!(schedule.due(pacer.next) > at(now));
            }
        }
    }
}
