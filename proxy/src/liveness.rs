//! Whether a client that says nothing is still there.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Limits;

/// What to do about a client's silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing; look again then.
    Again(Instant),
    /// Ping it, and look again then.
    Ping(Instant),
    /// It is gone.
    Gone,
}

/// Pings a silent client, and gives it up when it stays silent. Pure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Liveness {
    interval: Duration,
    timeout: Duration,
    heard: Instant,
    pinged: Option<Instant>,
}

impl Liveness {
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        Self { interval: limits.client_ping_interval, timeout: limits.client_pong_timeout, heard: now, pinged: None }
    }

    /// It said something.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    /// When a client that says nothing is to be looked at for the first time.
    pub(crate) fn due(&self) -> Instant {
        self.heard + self.interval
    }

    /// What to do now.
    pub(crate) fn look(&mut self, now: Instant) -> Look {
        match self.pinged {
            Some(at) if now >= at + self.timeout => Look::Gone,
            Some(at) => Look::Again(at + self.timeout),
            None if now >= self.due() => {
                self.pinged = Some(now);
                Look::Ping(now + self.timeout)
            }
            None => Look::Again(self.due()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_client_is_pinged_once_and_then_given_up() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut liveness = Liveness::new(&Limits::default(), start);
        assert_eq!(liveness.look(start), Look::Again(at(30)));
        liveness.heard(at(10));
        assert_eq!(liveness.look(at(30)), Look::Again(at(40)));
        assert_eq!(liveness.look(at(40)), Look::Ping(at(100)));
        assert_eq!(liveness.look(at(50)), Look::Again(at(100)));
        assert_eq!(liveness.look(at(100)), Look::Gone);
    }
}
