//! When clients arrive: planned before the run, whatever the server does. Pure.

use std::fmt;
use std::time::Duration;

use wire::draw::Draws;

/// Steps at most.
pub const STEPS_MAX: usize = 16;

/// Stairs: at the beginning of each step as many arrive at once as bring the population to its number; the step lasts its time. What is beyond the last step's number
/// arrives with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Clients in all, and milliseconds: small, for a plan is copied.
    steps: [(u32, u32); STEPS_MAX],
    count: u8,
}

impl Steps {
    /// Steps of (clients in all, how long, in whole milliseconds).
    ///
    /// # Errors
    /// What is wrong: there are none or too many, their numbers do not rise, or one lasts longer than 49 days.
    pub fn new(list: &[(u32, Duration)]) -> Result<Self, String> {
        if list.is_empty() || list.len() > STEPS_MAX {
            return Err(format!("1 to {STEPS_MAX} steps"));
        }
        if !list.is_sorted_by(|a, b| a.0 < b.0) || list[0].0 == 0 {
            return Err("each step has more clients than the one before".to_owned());
        }
        let mut steps = [(0, 0); STEPS_MAX];
        for (step, (clients, lasts)) in steps.iter_mut().zip(list) {
            let ms = u32::try_from(lasts.as_millis()).map_err(|_| "a step lasts 49 days at most".to_owned())?;
            *step = (*clients, ms);
        }
        Ok(Self { steps, count: list.len() as u8 })
    }

    /// The steps.
    fn list(&self) -> impl ExactSizeIterator<Item = (u32, Duration)> {
        let steps = self.steps[..usize::from(self.count)].iter();
        steps.map(|(clients, ms)| (*clients, Duration::from_millis(u64::from(*ms))))
    }

    /// When client i arrives.
    fn at(&self, i: u32) -> Duration {
        let before = self.list().take(usize::from(self.count) - 1).take_while(|(clients, _)| *clients <= i);
        before.map(|(_, lasts)| lasts).sum()
    }

    /// Clients in all, and how long all steps last.
    #[must_use]
    pub fn whole(&self) -> (u32, Duration) {
        (self.list().last().map_or(0, |(clients, _)| clients), self.list().map(|(_, lasts)| lasts).sum())
    }
}

/// The schedule of arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Arrival {
    /// All at once.
    #[default]
    AtOnce,
    /// Evenly spread: client i of n at `over * i / n`.
    Ramp {
        /// From the first arrival to just after the last.
        over: Duration,
    },
    /// A Poisson process: independent, exponentially distributed intervals, drawn by key.
    Poisson {
        /// Mean arrivals per second; above 0.
        per_s: f64,
    },
    /// So many at once, every so often.
    Waves {
        /// Clients of a wave; above 0.
        each: u32,
        /// From one wave to the next.
        every: Duration,
        /// How many of the first wave are elsewhere, where several populations share waves. Default 0.
        ahead: u32,
    },
    /// Stairs.
    Steps(Steps),
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |time: Duration| format!("{} s", time.as_secs_f64());
        match self {
            Self::AtOnce => f.write_str("all at once"),
            Self::Ramp { over } => write!(f, "evenly over {}", s(*over)),
            Self::Poisson { per_s } => write!(f, "at random, {per_s} a second on average"),
            Self::Waves { each, every, .. } => write!(f, "in waves of {each}, every {}", s(*every)),
            Self::Steps(steps) => {
                let list = steps.list().map(|(clients, lasts)| format!("{clients} for {}", s(lasts)));
                write!(f, "in steps: {}", list.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Arrival {
    /// The planned arrivals of `clients` clients, never falling, since the first instant of the plan.
    pub(crate) fn plan(self, clients: u32, mut draws: Draws) -> Vec<Duration> {
        let mut at_s = 0.0;
        (0..clients)
            .map(|i| match self {
                Self::AtOnce => Duration::ZERO,
                Self::Ramp { over } => {
                    let micros = over.as_micros() * u128::from(i) / u128::from(clients);
                    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
                }
                Self::Poisson { per_s } => {
                    at_s += draws.exponential(1.0 / per_s);
                    Duration::try_from_secs_f64(at_s).unwrap_or(Duration::MAX)
                }
                Self::Steps(steps) => steps.at(i),
                Self::Waves { each, every, ahead } => every.saturating_mul(i.saturating_add(ahead) / each.max(1)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ramp_is_even_and_ends_before_its_span() {
        let plan = Arrival::Ramp { over: Duration::from_secs(1) }.plan(4, Draws::new(1, "arrival", 0));
        assert_eq!(plan, [0, 250, 500, 750].map(Duration::from_millis));
    }

    #[test]
    fn waves_come_whole_and_one_that_began_elsewhere_is_filled_first() {
        let waves = |ahead| Arrival::Waves { each: 3, every: Duration::from_secs(2), ahead };
        let plan =
            |ahead| waves(ahead).plan(5, Draws::new(1, "arrival", 0)).iter().map(Duration::as_secs).collect::<Vec<_>>();
        assert_eq!(plan(0), [0, 0, 0, 2, 2]);
        assert_eq!(plan(2), [0, 2, 2, 2, 4]);
    }

    #[test]
    fn each_step_brings_the_population_to_its_number() {
        let s = Duration::from_secs;
        let steps = Steps::new(&[(2, s(10)), (3, s(20)), (5, s(5))]).unwrap();
        let plan = Arrival::Steps(steps).plan(6, Draws::new(1, "arrival", 0));
        assert_eq!(plan, [0, 0, 10, 30, 30, 30].map(s));
        assert_eq!(steps.whole(), (5, s(35)));
        for wrong in [&[][..], &[(0, s(1))], &[(2, s(1)), (2, s(1))], &[(1, s(1)); STEPS_MAX + 1]] {
            assert!(Steps::new(wrong).is_err());
        }
    }

    #[test]
    fn an_arrival_is_said_in_words() {
        let s = Duration::from_secs;
        let check = |arrival: Arrival, expect: &str| assert_eq!(arrival.to_string(), expect);
        check(Arrival::AtOnce, "all at once");
        check(Arrival::Ramp { over: Duration::from_millis(1_500) }, "evenly over 1.5 s");
        check(Arrival::Poisson { per_s: 2.5 }, "at random, 2.5 a second on average");
        check(Arrival::Waves { each: 3, every: s(2), ahead: 0 }, "in waves of 3, every 2 s");
        check(Arrival::Steps(Steps::new(&[(2, s(10)), (3, s(20))]).unwrap()), "in steps: 2 for 10 s, 3 for 20 s");
    }

    #[test]
    fn poisson_arrivals_have_their_rate() {
        let plan = Arrival::Poisson { per_s: 100.0 }.plan(10_000, Draws::new(1, "arrival", 0));
        let seconds = plan.last().unwrap().as_secs_f64();
        assert!((seconds - 100.0).abs() < 4.0, "{seconds}");
    }

    proptest! {
        #[test]
        fn plans_never_fall_and_a_longer_one_begins_like_a_shorter(clients in 0_u32..200, rate in 0.1_f64..1e4, seed: u64) {
            let draws = Draws::new(seed, "arrival", 0);
            let poisson = Arrival::Poisson { per_s: rate };
            let plan = poisson.plan(clients, draws.clone());
            prop_assert!(plan.is_sorted());
            prop_assert_eq!(plan.len(), clients as usize);
            prop_assert!(poisson.plan(clients + 1, draws).starts_with(&plan));
        }
    }
}
