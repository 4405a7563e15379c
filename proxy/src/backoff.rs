//! How long an instance that failed is left alone.

use std::time::Duration;

use wire::draw::Draws;

use crate::config::Backoff;

/// Tells the delay before an instance may be dialled again.
pub trait Redial: Send {
    /// The delay after the `failures`-th failure in turn (from 1). `draws` is the instance's own stream of chance.
    fn delay(&mut self, failures: u32, draws: &mut Draws) -> Duration;
}

/// Capped exponential with full jitter: uniform in `[base / 10, min(cap, base * 2^(failures - 1)))`.
///
/// Full jitter spreads the proxies of a fleet best (Brooker, "Exponential Backoff And Jitter", AWS 2015); the floor keeps an unlucky draw from
/// making a hot loop.
#[derive(Clone, Copy, Debug)]
pub struct FullJitter {
    backoff: Backoff,
}

impl FullJitter {
    /// With the bounds given.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff }
    }
}

impl Redial for FullJitter {
    fn delay(&mut self, failures: u32, draws: &mut Draws) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let ceiling = self.backoff.base.saturating_mul(1 << doublings).min(self.backoff.cap);
        let floor = (self.backoff.base / 10).min(ceiling);
        floor + draws.jitter(ceiling - floor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_delay_stays_in_its_bounds(seed: u64, failures in 0_u32..100, base_ms in 1_u64..5_000, factor in 1_u32..100) {
            let base = Duration::from_millis(base_ms);
            let backoff = Backoff { base, cap: base * factor, ..Backoff::default() };
            let delay = FullJitter::new(backoff).delay(failures, &mut Draws::new(seed, "backoff", 0));
            prop_assert!(delay <= backoff.cap);
            prop_assert!(delay >= base / 10);
            prop_assert!(delay <= base.saturating_mul(1 << failures.saturating_sub(1).min(31)));
        }
    }

    #[test]
    fn delays_spread_over_the_whole_range() {
        let mut draws = Draws::new(3, "backoff", 0);
        let mut redial = FullJitter::new(Backoff::default());
        let delays: Vec<_> = (0..200).map(|_| redial.delay(30, &mut draws)).collect();
        assert!(delays.iter().any(|delay| *delay < Duration::from_secs(1)));
        assert!(delays.iter().any(|delay| *delay > Duration::from_secs(9)));
    }
}
