//! When to try again: exponential with full jitter. Pure.

use std::time::Duration;

use wire::draw::Draws;

use crate::config::Reconnect;

/// One client's attempts.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    policy: Reconnect,
    draws: Draws,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(policy: Reconnect, draws: Draws) -> Self {
        Self { policy, draws, attempts: 0 }
    }

    /// How long to wait before the next attempt; None after too many.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        if self.attempts >= self.policy.attempts_max {
            return None;
        }
        let factor = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        self.attempts += 1;
        Some(self.draws.jitter(self.policy.base.saturating_mul(factor).min(self.policy.cap)))
    }

    /// A session brought a message: the count starts anew.
    pub(crate) fn succeeded(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_end() {
        let policy = Reconnect { base: Duration::from_millis(100), cap: Duration::from_secs(1), attempts_max: 50 };
        let mut backoff = Backoff::new(policy, Draws::new(1, "backoff", 0));
        for k in 0..50_u32 {
            let wait = backoff.next().unwrap();
            assert!(wait < policy.cap.min(policy.base * (1 << k.min(10))), "{k}: {wait:?}");
        }
        assert_eq!(backoff.next(), None);
        backoff.succeeded();
        assert!(backoff.next().unwrap() < policy.base);
    }
}
