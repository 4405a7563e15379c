//! What one client may say in a second.

use tokio::time::Instant;

use crate::bucket::{Bucket, Rate};
use crate::limits::Limits;

/// A client's account of what it says. Pure. The limits are those of now, so a reload counts at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quota {
    messages: Bucket,
    requests: Bucket,
}

/// It says more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OverQuota {
    #[error("too many messages")]
    Messages,
    #[error("too many requests")]
    Requests,
}

impl Quota {
    /// A message came, of any kind.
    pub(crate) fn message(&mut self, limits: &Limits, now: Instant) -> Result<(), OverQuota> {
        let rate = Rate::new(limits.client_messages_per_second_max, limits.client_messages_burst);
        if take(&mut self.messages, rate, now) { Ok(()) } else { Err(OverQuota::Messages) }
    }

    /// It asks for other symbols.
    pub(crate) fn request(&mut self, limits: &Limits, now: Instant) -> Result<(), OverQuota> {
        let rate = Rate::new(limits.client_requests_per_second_max, limits.client_requests_burst);
        if take(&mut self.requests, rate, now) { Ok(()) } else { Err(OverQuota::Requests) }
    }
}

fn take(bucket: &mut Bucket, rate: Rate, now: Instant) -> bool {
    let ready = bucket.ready_at(rate).is_none_or(|at| at <= now);
    if ready {
        bucket.take(rate, now);
    }
    ready
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_and_each_kind_has_its_own() {
        let limits = Limits {
            client_messages_per_second_max: 10,
            client_messages_burst: 3,
            client_requests_per_second_max: 1,
            client_requests_burst: 2,
            ..Limits::default()
        };
        let start = Instant::now();
        let mut quota = Quota::default();
        for _ in 0..3 {
            assert_eq!(quota.message(&limits, start), Ok(()));
        }
        assert_eq!(quota.message(&limits, start), Err(OverQuota::Messages));
        assert_eq!(quota.message(&limits, start + Duration::from_millis(99)), Err(OverQuota::Messages));
        assert_eq!(quota.message(&limits, start + Duration::from_millis(100)), Ok(()));
        assert_eq!((quota.request(&limits, start), quota.request(&limits, start)), (Ok(()), Ok(())));
        assert_eq!(quota.request(&limits, start), Err(OverQuota::Requests));
        // At the rate for ever.
        for second in 1..100 {
            assert_eq!(quota.request(&limits, start + Duration::from_secs(second)), Ok(()));
        }
        let none = Limits { client_requests_per_second_max: 0, ..limits };
        assert!((0..1000).all(|_| quota.request(&none, start).is_ok()), "0 is no bound");
    }
}
