//! Which ticks are due now. Pure: it is told the time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use wire::net::WallTime;
use wire::tick::{N_MAX, Schedule};

use crate::rates::Schedules;

/// Ticks to send at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// This one, of all symbols.
    All(u64),
    /// Of symbols with rates of their own: place and number, one of each place at most, by rising place.
    Some(Vec<(usize, u64)>),
}

/// Hands out the numbers of ticks, each once and in order, when they are due.
///
/// A wall clock that jumps back makes it silent until the clock has caught up: no tick goes out twice. One that jumps ahead, or a host that was
/// frozen, makes it skip: at most `burst_max` ticks of a symbol are caught up, else only the newest due one goes out.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    schedules: Arc<Schedules>,
    burst_max: u64,
    /// The next tick of each schedule.
    next: Vec<u64>,
    /// The same in order of time, with the place of the schedule.
    agenda: BTreeSet<(WallTime, usize)>,
}

impl Pacer {
    /// The first tick of each symbol is the next one due at or after `now`.
    pub(crate) fn new(schedules: Arc<Schedules>, burst_max: u32, now: WallTime) -> Self {
        let next: Vec<u64> = schedules.all().iter().map(|schedule| schedule.next(now)).collect();
        let due = |(place, schedule): (usize, &Schedule)| (schedule.due(next[place]), place);
        let agenda = schedules.all().iter().enumerate().map(due).collect();
        Self { burst_max: u64::from(burst_max.max(1)), next, agenda, schedules }
    }

    /// What to send now, one after the other: usually one thing or none, never more than `burst_max`.
    pub(crate) fn due(&mut self, now: WallTime) -> Vec<Due> {
        let mut rounds: Vec<Vec<(usize, u64)>> = Vec::new();
        while let Some((due, place)) = self.agenda.first().copied().filter(|(due, _)| *due <= now) {
            self.agenda.remove(&(due, place));
            let (schedule, next) = (self.schedules.all()[place], self.next[place]);
            // The first tick after `now` ends the range: a tick due exactly now is due.
            let end = schedule.next(WallTime(now.0.saturating_add(1))).min(N_MAX + 1);
            if end <= next {
                // The numbers are used up: it has no more.
                continue;
            }
            let begin = if end - next > self.burst_max { end - 1 } else { next };
            self.next[place] = end;
            self.agenda.insert((schedule.due(end), place));
            for (round, n) in (begin..end).enumerate() {
                if rounds.len() <= round {
                    rounds.push(Vec::new());
                }
                rounds[round].push((place, n));
            }
        }
        let alike = self.schedules.are_alike();
        let whole = |mut round: Vec<(usize, u64)>| {
            if alike {
                return Due::All(round[0].1);
            }
            round.sort_unstable();
            Due::Some(round)
        };
        rounds.into_iter().map(whole).collect()
    }

    /// How long until the next tick is due. None: there are no more.
    pub(crate) fn wait(&self, now: WallTime) -> Option<Duration> {
        self.agenda.first().map(|(due, _)| due.since(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::id::Symbol;

    use super::*;
    use crate::rates::Rates;

    fn at(us: u64) -> WallTime {
        WallTime(wire::tick::ORIGIN_US + us)
    }

    fn schedules(rates: &Rates, count: u32, period: Duration) -> Arc<Schedules> {
        let symbols: Vec<Symbol> = (0..count).map(Symbol::numbered).collect();
        Arc::new(rates.schedules(&symbols, period).unwrap())
    }

    fn pacer(now: u64) -> Pacer {
        Pacer::new(schedules(&Rates::Alike, 9, Duration::from_millis(10)), 3, at(now))
    }

    #[test]
    fn a_tick_goes_out_when_it_is_due_and_not_before() {
        let mut pacer = pacer(5);
        assert_eq!(pacer.wait(at(5)), Some(Duration::from_micros(9_995)));
        assert_eq!(pacer.due(at(9_999)), []);
        assert_eq!(pacer.due(at(10_000)), [Due::All(1)]);
        assert_eq!(pacer.due(at(10_000)), []);
    }

    #[test]
    fn a_short_freeze_is_caught_up_and_a_long_one_skipped() {
        let mut pacer = pacer(0);
        assert_eq!(pacer.due(at(20_000)), [Due::All(0), Due::All(1), Due::All(2)]);
        assert_eq!(pacer.due(at(60_000)), [Due::All(6)]);
    }

    #[test]
    fn a_clock_that_jumps_back_sends_nothing_twice() {
        let mut pacer = pacer(0);
        assert_eq!(pacer.due(at(10_000)), [Due::All(0), Due::All(1)]);
        assert_eq!(pacer.due(at(1_000)), []);
        assert_eq!(pacer.due(at(20_000)), [Due::All(2)]);
    }

    #[test]
    fn each_symbol_has_its_own_numbers_and_what_is_due_together_goes_together() {
        let rates = Rates::Own(vec![(Symbol::numbered(0), Duration::from_millis(10))]);
        let mut pacer = Pacer::new(schedules(&rates, 2, Duration::from_millis(40)), 3, at(0));
        // The rare one's ticks are due half of its period later.
        assert_eq!(pacer.due(at(0)), [Due::Some(vec![(0, 0)])]);
        assert_eq!(pacer.due(at(20_000)), [Due::Some(vec![(0, 1), (1, 0)]), Due::Some(vec![(0, 2)])]);
        // A freeze skips ticks of the hot one and none of the rare one.
        assert_eq!(pacer.due(at(64_000)), [Due::Some(vec![(0, 6), (1, 1)])]);
        assert_eq!(pacer.wait(at(64_000)), Some(Duration::from_millis(6)));
    }

    fn ticks(due: Due, count: usize) -> Vec<(usize, u64)> {
        match due {
            Due::All(n) => (0..count).map(|place| (place, n)).collect(),
            Due::Some(ticks) => ticks,
        }
    }

    proptest! {
        #[test]
        fn numbers_rise_bursts_are_bounded_nothing_is_early_and_two_instances_agree(
            rates in prop_oneof![
                Just(Rates::Alike),
                (1.0_f64..300.0, 0.0_f64..1.5).prop_map(|(per_s, exponent)| Rates::Zipf { per_s, exponent }),
                (1_000_u64..9_000).prop_map(|us| Rates::Own(vec![(Symbol::numbered(1), Duration::from_micros(us))])),
            ],
            period_us in 1_000_u64..200_000,
            burst in 1_u32..9,
            nows in proptest::collection::vec(0_u64..10_000_000, 1..50),
        ) {
            const COUNT: u32 = 3;
            let schedules = schedules(&rates, COUNT, Duration::from_micros(period_us));
            let mut pacer = Pacer::new(Arc::clone(&schedules), burst, at(nows[0]));
            let mut last = vec![None; COUNT as usize];
            let mut latest = 0;
            for now in nows {
                // Another instance, which starts now: from here on it sends what this one sends.
                let mut other = Pacer::new(Arc::clone(&schedules), burst, at(now));
                let due = pacer.due(at(now));
                prop_assert!(due.len() <= burst as usize);
                for (place, n) in due.into_iter().flat_map(|due| ticks(due, COUNT as usize)) {
                    prop_assert!(last[place].is_none_or(|last| n > last));
                    prop_assert!(schedules.of(place).due(n) <= at(now));
                    last[place] = Some(n);
                }
                for (place, next) in pacer.next.iter().enumerate() {
                    prop_assert!(schedules.of(place).due(*next) > at(now));
                }
                other.due(at(now));
                latest = latest.max(now);
                if now == latest {
                    prop_assert_eq!((&pacer.next, &pacer.agenda), (&other.next, &other.agenda));
                }
            }
        }
    }
}
