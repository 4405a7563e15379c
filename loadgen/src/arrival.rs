//! When clients arrive: planned before the run, whatever the server does. Pure.

use std::time::Duration;

use wire::draw::Draws;

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
