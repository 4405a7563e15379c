//! When a publisher publishes: by plan, whatever becomes of its sessions, or after its last message came back. Pure.

use std::time::Duration;

use tokio::time::Instant;
use wire::draw::Draws;

use crate::pace::{phase, planned, thought};

/// The publications of one client, over all its sessions.
#[derive(Debug)]
pub(crate) struct Plan {
    pace: Pace,
    until: Instant,
    /// It has no session because it wants none.
    rests: bool,
}

#[derive(Debug)]
enum Pace {
    /// Number `slot` is due at `first + slot / per_s`.
    Open { per_s: f64, first: Instant, slot: u64 },
    /// The next is due then; None: the last has not come back.
    Closed { think: Duration, draws: Draws, due: Option<Instant>, waits_for: u64, since: Option<Instant> },
}

/// One that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    /// When latency begins: the planned instant, or in a closed loop now.
    pub(crate) planned: Instant,
    /// How late it is.
    pub(crate) late: Duration,
}

impl Plan {
    /// So many a second, from then on. Each publisher has a phase of its own, or all would speak at once.
    pub(crate) fn open(per_s: f64, from: Instant, until: Instant, mut draws: Draws) -> Self {
        Self { pace: Pace::Open { per_s, first: from + phase(per_s, &mut draws), slot: 0 }, until, rests: false }
    }

    /// Each so long after the last came back as is drawn.
    pub(crate) fn closed(think: Duration, from: Instant, until: Instant, mut draws: Draws) -> Self {
        let due = Some(from + thought(think, &mut draws));
        Self { pace: Pace::Closed { think, draws, due, waits_for: 0, since: None }, until, rests: false }
    }

    /// When the next is due; None: none any more, or the last has not come back.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.pace {
            Pace::Open { per_s, first, slot } => Some(planned(*per_s, *first, *slot)),
            Pace::Closed { due, .. } => *due,
        }
        .filter(|due| *due < self.until)
    }

    /// Takes the next, if it is due: it will be sent now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Publication> {
        let due = self.due().filter(|due| *due <= now)?;
        let planned = match &mut self.pace {
            Pace::Open { slot, .. } => {
                *slot += 1;
                due
            }
            Pace::Closed { due, .. } => {
                *due = None;
                now
            }
        };
        Some(Publication { planned, late: now.duration_since(due) })
    }

    /// The message of this number is the last that was sent.
    pub(crate) fn sent(&mut self, n: u64, now: Instant) {
        if let Pace::Closed { waits_for, since, .. } = &mut self.pace {
            (*waits_for, *since) = (n, Some(now));
        }
    }

    /// Whether it waits for its last message to come back for so long, or longer. It sends no other.
    pub(crate) fn stopped(&self, now: Instant, for_: Duration) -> bool {
        matches!(self.pace, Pace::Closed { due: None, since: Some(since), .. } if now.saturating_duration_since(since) >= for_)
    }

    /// The message of this number came back to its publisher.
    pub(crate) fn returned(&mut self, n: u64, now: Instant) {
        if let Pace::Closed { think, draws, due, waits_for, .. } = &mut self.pace
            && *waits_for == n
            && due.is_none()
        {
            *due = Some(now + thought(*think, draws));
        }
    }

    /// It left by itself: what is planned until it comes again is not asked of it.
    pub(crate) fn rest(&mut self) {
        self.rests = true;
    }

    /// What was planned before now and not sent is left out; says how many, but for those of a rest. (In a closed loop nothing is planned: who comes again begins again.)
    pub(crate) fn skip(&mut self, now: Instant) -> u64 {
        let (now, rested) = (now.min(self.until), std::mem::take(&mut self.rests));
        match &mut self.pace {
            Pace::Open { per_s, first, slot } => {
                let before = *slot;
                if now > *first {
                    // Rounded: look about for the first that is not over.
                    *slot = (*slot).max((((now - *first).as_secs_f64() * *per_s) as u64).saturating_sub(1));
                    while planned(*per_s, *first, *slot) < now {
                        *slot += 1;
                    }
                }
                if rested { 0 } else { *slot - before }
            }
            Pace::Closed { think, draws, due, .. } => {
                if due.is_none_or(|due| due < now) {
                    *due = Some(now + thought(*think, draws));
                }
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn by_plan_what_is_late_counts_from_its_plan_and_what_had_no_session_is_left_out() {
        let now = Instant::now();
        let mut plan = Plan::open(10.0, now, now + ms(1_000), Draws::new(7, "publish", 0));
        let first = plan.due().unwrap();
        assert!(first < now + ms(100));
        assert_eq!(plan.next(first - ms(1)), None);
        assert_eq!(plan.next(first), Some(Publication { planned: first, late: ms(0) }));
        assert_eq!(plan.next(first + ms(150)), Some(Publication { planned: first + ms(100), late: ms(50) }));
        // Slots 2 and 3 pass without a session; slot 4 is due at that very instant.
        assert_eq!(plan.skip(first + ms(400)), 2);
        assert_eq!(plan.due(), Some(first + ms(400)));
        plan.rest();
        assert_eq!((plan.skip(first + ms(550)), plan.skip(first + ms(650))), (0, 1));
        assert_eq!(plan.skip(now + ms(9_000)), 3);
        assert_eq!(plan.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_closed_loop_the_next_waits_until_the_last_came_back() {
        let now = Instant::now();
        let mut plan = Plan::closed(ms(100), now, now + ms(1_000), Draws::new(7, "publish", 0));
        let due = plan.due().unwrap();
        assert!((ms(50)..ms(150)).contains(&(due - now)));
        assert_eq!(plan.next(due), Some(Publication { planned: due, late: ms(0) }));
        plan.sent(1, due);
        plan.returned(9, due);
        assert_eq!(plan.due(), None);
        assert!(!plan.stopped(due + ms(499), ms(500)) && plan.stopped(due + ms(500), ms(500)));
        plan.returned(1, due + ms(5));
        assert!(!plan.stopped(due + ms(500), ms(500)));
        assert!((ms(55)..ms(155)).contains(&(plan.due().unwrap() - due)));
        // Its session is lost, and with it what was under way.
        plan.next(due + ms(200)).unwrap();
        assert_eq!((plan.due(), plan.skip(due + ms(300))), (None, 0));
        assert!(plan.due().is_some());
    }
}
