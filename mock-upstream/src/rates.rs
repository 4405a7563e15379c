//! How often each symbol ticks: all alike, or some hot and most rare. Pure.

use std::time::Duration;

use wire::id::Symbol;
use wire::tick::{Schedule, ScheduleError};

/// How often the symbols tick.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Rates {
    /// All alike, every [`crate::Config::period`], and at the same instants.
    #[default]
    Alike,
    /// These have periods of their own; the others have [`crate::Config::period`]. A symbol that is named twice has the later one.
    Own(Vec<(Symbol, Duration)>),
    /// So many ticks a second of all symbols together, of which each has a share in proportion to `rank ^ -exponent` (Zipf's law); the first symbol has rank 1.
    Zipf {
        /// Ticks of all symbols a second, above 0.
        per_s: f64,
        /// 0: all alike; 1: the second ticks half as often as the first. Finite, not below 0.
        exponent: f64,
    },
}

impl Rates {
    /// Between two ticks of each symbol, in the order of `symbols`, in whole microseconds. `period` is that of a symbol of which nothing is said.
    #[must_use]
    pub fn periods(&self, symbols: &[Symbol], period: Duration) -> Vec<Duration> {
        match self {
            Self::Alike => vec![period; symbols.len()],
            Self::Own(own) => {
                let own_of = |symbol: &Symbol| own.iter().rev().find(|(name, _)| name == symbol);
                symbols.iter().map(|symbol| own_of(symbol).map_or(period, |(_, own)| *own)).collect()
            }
            Self::Zipf { per_s, exponent } => {
                // `libm`, so equal on every CPU: all instances of a source must agree.
                let weights = (1..=symbols.len()).map(|rank| libm::pow(rank as f64, -exponent));
                let sum: f64 = weights.clone().sum();
                let micros = |weight: f64| (1e6 * sum / (per_s * weight)).round();
                weights.map(|weight| Duration::from_micros(micros(weight) as u64)).collect()
            }
        }
    }

    /// When the ticks are due.
    pub(crate) fn schedules(&self, symbols: &[Symbol], period: Duration) -> Result<Schedules, ScheduleError> {
        if *self == Self::Alike {
            return Ok(Schedules(vec![Schedule::every(period)?], true));
        }
        let parts = u32::try_from(symbols.len()).unwrap_or(u32::MAX);
        let each = self.periods(symbols, period).into_iter().zip(0_u32..);
        each.map(|(period, part)| Ok(Schedule::every(period)?.shifted(part, parts)))
            .collect::<Result<_, _>>()
            .map(|all| Schedules(all, false))
    }
}

/// When the ticks of each symbol are due: one schedule for all, or one for each, spread over their periods.
#[derive(Clone, Debug)]
pub(crate) struct Schedules(Vec<Schedule>, bool);

impl Schedules {
    /// That of the symbol at this place.
    pub(crate) fn of(&self, place: usize) -> Schedule {
        self.0[if self.1 { 0 } else { place }]
    }

    /// All that differ: one, if [`Schedules::are_alike`].
    pub(crate) fn all(&self) -> &[Schedule] {
        &self.0
    }

    /// Whether one schedule is that of all symbols.
    pub(crate) fn are_alike(&self) -> bool {
        self.1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn symbols(count: u32) -> Vec<Symbol> {
        (0..count).map(Symbol::numbered).collect()
    }

    #[test]
    fn one_hot_symbol_has_its_own_period_and_the_others_the_common_one() {
        let (hot, rare) = (Duration::from_millis(5), Duration::from_secs(5));
        let rates = Rates::Own(vec![(Symbol::numbered(1), hot)]);
        assert_eq!(rates.periods(&symbols(3), rare), [rare, hot, rare]);
        let schedules = rates.schedules(&symbols(3), rare).unwrap();
        assert_eq!(
            (0..3).map(|place| schedules.of(place).period_us()).collect::<Vec<_>>(),
            [5_000_000, 5_000, 5_000_000]
        );
        assert!(!schedules.are_alike());
        // The third of three rare symbols is two thirds of its period later than the first.
        let late = schedules.of(2).due(0).since(schedules.of(0).due(0));
        assert_eq!(late, Duration::from_micros(3_333_333));
    }

    #[test]
    fn a_period_out_of_range_is_refused() {
        let rates = Rates::Zipf { per_s: 5_000.0, exponent: 2.0 };
        assert!(rates.schedules(&symbols(3), Duration::from_secs(1)).is_err());
        assert!(Rates::Alike.schedules(&symbols(3), Duration::from_secs(1)).unwrap().are_alike());
    }

    proptest! {
        #[test]
        fn zipf_gives_out_the_whole_rate_and_falls_with_rank(count in 1_u32..500, per_s in 1.0_f64..900.0, exponent in 0.0_f64..1.5) {
            let periods = Rates::Zipf { per_s, exponent }.periods(&symbols(count), Duration::from_secs(1));
            prop_assert!(periods.is_sorted());
            let sum: f64 = periods.iter().map(|period| 1.0 / period.as_secs_f64()).sum();
            // Whole microseconds at a millisecond or more are exact to a thousandth.
            prop_assert!((sum / per_s - 1.0).abs() < 1e-3, "{} of {}", sum, per_s);
            let ratio = periods[periods.len() - 1].as_secs_f64() / periods[0].as_secs_f64();
            prop_assert!((ratio / f64::from(count).powf(exponent) - 1.0).abs() < 2e-3);
        }
    }
}
