//! A token bucket: for dials, so that no failure and no restart makes the proxy a storm at its source, and for moves of symbols.
//!
//! Kept as the generic cell rate algorithm (ITU-T I.371, "virtual scheduling"): one instant, the one at which the bucket will be full again, stands for the
//! number of tokens, and nothing is lost to rounding.

use std::time::Duration;

use tokio::time::Instant;

/// So many tokens a second, and so many that may gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Between two tokens; zero where there is no bound.
    every: Duration,
    /// How far the bucket may be from full for one more to be taken.
    slack: Duration,
}

impl Rate {
    /// `per_second` 0 stands for no bound; a burst is 1 at least.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let every = 1_000_000_000_u64.checked_div(u64::from(per_second)).map_or(Duration::ZERO, Duration::from_nanos);
        Self { every, slack: every.saturating_mul(burst.saturating_sub(1)) }
    }
}

/// What is left of a [`Rate`]. It begins full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// From when a token can be taken; None if from ever.
    pub(crate) fn ready_at(&self, rate: Rate) -> Option<Instant> {
        self.full_at.filter(|_| !rate.every.is_zero()).and_then(|full_at| full_at.checked_sub(rate.slack))
    }

    /// Takes a token. The caller has looked at [`Self::ready_at`].
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) {
        self.full_at = Some(self.full_at.map_or(now, |full_at| full_at.max(now)) + rate.every);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ready(bucket: &Bucket, rate: Rate, now: Instant) -> bool {
        bucket.ready_at(rate).is_none_or(|at| at <= now)
    }

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let (now, rate) = (Instant::now(), Rate::new(10, 3));
        let mut bucket = Bucket::default();
        let mut taken = |at: Instant| {
            let count =
                (0..9).take_while(|_| ready(&bucket, rate, at).then(|| bucket.take(rate, at)).is_some()).count();
            (count, bucket.ready_at(rate))
        };
        assert_eq!(taken(now), (3, Some(now + Duration::from_millis(100))));
        assert_eq!(taken(now + Duration::from_millis(99)).0, 0);
        assert_eq!(taken(now + Duration::from_millis(100)).0, 1);
        assert_eq!(taken(now + Duration::from_secs(9)).0, 3, "no more than the burst gathers");
    }

    #[test]
    fn without_a_bound_there_is_always_a_token() {
        let (now, rate) = (Instant::now(), Rate::new(0, 0));
        let mut bucket = Bucket::default();
        (0..1000).for_each(|_| bucket.take(rate, now));
        assert!(ready(&bucket, rate, now));
    }

    proptest! {
        /// Against a naive model: in no stretch of time is more taken than the burst and the rate allow, and a token is refused only where one more would be.
        #[test]
        fn no_stretch_of_time_sees_more_than_it_may(
            per_second in 1_u32..2000,
            burst in 1_u32..20,
            gaps_us in proptest::collection::vec(0_u64..50_000, 1..120),
        ) {
            let rate = Rate::new(per_second, burst);
            let (mut bucket, mut taken, mut now) = (Bucket::default(), Vec::<Instant>::new(), Instant::now());
            let most = |from: Instant, to: Instant| f64::from(burst) + (to - from).as_secs_f64() * f64::from(per_second);
            for gap in gaps_us {
                now += Duration::from_micros(gap);
                // With one more, would any stretch that ends now hold too many?
                let too_many = taken.iter().enumerate().any(|(i, from)| (taken.len() - i + 1) as f64 > most(*from, now) + 1e-3);
                let is_ready = ready(&bucket, rate, now);
                prop_assert!(is_ready || taken.iter().enumerate().any(|(i, from)| (taken.len() - i + 1) as f64 > most(*from, now) - 1e-3));
                if is_ready {
                    prop_assert!(!too_many, "{} taken", taken.len());
                    bucket.take(rate, now);
                    taken.push(now);
                }
            }
        }
    }
}
