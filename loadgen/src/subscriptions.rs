//! Which of the symbols a client wants: all, some drawn alike, or some drawn as popularity goes. Pure.

use wire::draw::Draws;

/// What each client draws of the symbols.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Subscriptions {
    /// All of them.
    #[default]
    All,
    /// So many, each symbol as likely as another.
    Uniform {
        /// Symbols of a client.
        each: u32,
    },
    /// So many, one after the other without returning any, each with a probability in proportion to `rank ^ -exponent` of those left (Zipf's law); the first
    /// symbol has rank 1.
    Zipf {
        /// Symbols of a client.
        each: u32,
        /// 0: all alike; 1: the second is wanted half as often as the first. Finite, not below 0.
        exponent: f64,
    },
}

impl Subscriptions {
    /// The places of what one client wants among `all` symbols, rising.
    pub(crate) fn draw(self, all: usize, draws: Draws) -> Vec<usize> {
        let mut places = match self {
            Self::All => return (0..all).collect(),
            Self::Uniform { each } => uniform(each as usize, all, draws),
            Self::Zipf { each, exponent } => zipf(each as usize, all, exponent, draws),
        };
        places.sort_unstable();
        places
    }
}

fn uniform(each: usize, all: usize, mut draws: Draws) -> Vec<usize> {
    if each >= all {
        return (0..all).collect();
    }
    // The first steps of a Fisher-Yates shuffle.
    let mut places: Vec<usize> = (0..all).collect();
    for i in 0..each {
        let j = i + draws.below((all - i) as u64) as usize;
        places.swap(i, j);
    }
    places.truncate(each);
    places
}

/// Each place waits for an exponential time at the rate of its weight, and the first to come are taken: that is drawing without returning, in a fixed number
/// of draws (Efraimidis and Spirakis 2006).
fn zipf(each: usize, all: usize, exponent: f64, mut draws: Draws) -> Vec<usize> {
    let mut waits: Vec<(f64, usize)> =
        (0..all).map(|place| (draws.exponential(1.0) / weight(place, exponent), place)).collect();
    waits.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    waits.into_iter().take(each).map(|(_, place)| place).collect()
}

/// By Zipf's law, up to a constant. `libm`, so equal on every CPU.
fn weight(place: usize, exponent: f64) -> f64 {
    libm::pow(place as f64 + 1.0, -exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(all: usize, exponent: f64) -> Vec<f64> {
        let raw: Vec<f64> = (1..=all).map(|rank| (rank as f64).powf(-exponent)).collect();
        let sum: f64 = raw.iter().sum();
        raw.iter().map(|weight| weight / sum).collect()
    }

    /// How often each place was among the first `each` of so many clients.
    fn counts(each: u32, all: usize, exponent: f64, clients: u64, seed: u64) -> Vec<f64> {
        let mut counts = vec![0.0; all];
        for client in 0..clients {
            for place in (Subscriptions::Zipf { each, exponent }).draw(all, Draws::new(seed, "symbols", client)) {
                counts[place] += 1.0;
            }
        }
        counts
    }

    /// Each count is within six standard deviations of its mean, and six more for the rare ones, which are no normal numbers.
    fn fits(counts: &[f64], expected: &[f64], clients: f64) -> Result<(), TestCaseError> {
        for (place, (count, p)) in counts.iter().zip(expected).enumerate() {
            // A share that is all of it may come out a hair above 1.
            let deviation = (clients * p * (1.0 - p).max(0.0)).sqrt();
            prop_assert!(
                (count - clients * p).abs() <= 6.0 * deviation + 6.0,
                "place {place}: {count} of {clients}, expected {p}"
            );
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn one_symbol_each_is_drawn_with_zipfs_weights(all in 1_usize..30, exponent in 0.0_f64..2.5, seed: u64) {
            let clients = 4_000;
            fits(&counts(1, all, exponent, clients, seed), &weights(all, exponent), clients as f64)?;
        }

        #[test]
        fn two_each_are_drawn_without_returning_the_first(all in 2_usize..20, exponent in 0.0_f64..2.5, seed: u64) {
            let clients = 4_000;
            let p = weights(all, exponent);
            // Drawn first, or second after any other.
            let second = |i: usize| (0..all).filter(|j| *j != i).map(|j| p[j] * p[i] / (1.0 - p[j])).sum::<f64>();
            let expected: Vec<f64> = (0..all).map(|i| p[i] + second(i)).collect();
            fits(&counts(2, all, exponent, clients, seed), &expected, clients as f64)?;
        }

        #[test]
        fn who_draws_gets_so_many_different_ones_in_order_and_the_same_again(each in 0_u32..40, all in 0_usize..30, exponent in 0.0_f64..8.0, seed: u64) {
            for wanted in [Subscriptions::Uniform { each }, Subscriptions::Zipf { each, exponent }, Subscriptions::All] {
                let places = wanted.draw(all, Draws::new(seed, "symbols", 1));
                let count = if wanted == Subscriptions::All { all } else { all.min(each as usize) };
                prop_assert_eq!(places.len(), count);
                prop_assert!(places.is_sorted_by(|a, b| a < b));
                prop_assert!(places.iter().all(|place| *place < all));
                prop_assert_eq!(&wanted.draw(all, Draws::new(seed, "symbols", 1)), &places);
            }
        }
    }
}
