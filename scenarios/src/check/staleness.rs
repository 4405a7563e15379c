//! `staleness`: no value that is delivered as live is older than the bound, to whomever.
//!
//! From a tick's first send by any source to its arrival at a client, slow ones too: theirs is the age that matters. Snapshots and replays are old by nature,
//! and marked so. From the steady phase on.

use wire::event::{Event, Phase};
use wire::feed::Kind;

use super::{At, Checker, Findings, FromPhase, Origin, Staleness};

/// The checker. A check is a live delivery.
pub(super) struct Fresh {
    bound_us: u64,
    phase: Phase,
    oldest_us: u64,
}

impl Fresh {
    pub(super) fn new(bound: Staleness) -> Self {
        Self { bound_us: bound.at_most.as_micros(), phase: Phase::Warmup, oldest_us: 0 }
    }
}

impl Checker for Fresh {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::Phase { phase } => self.phase = *phase,
            Event::ClientDeliver { client, session, symbol, n, stamp, .. } => {
                let live = stamp.is_none_or(|stamp| stamp.kind == Kind::Live);
                let Origin::Sent { us, event } = at.origin else { return };
                if !live || !FromPhase::Steady.counts(self.phase) {
                    return;
                }
                findings.check();
                let age_us = at.us.saturating_sub(us);
                self.oldest_us = self.oldest_us.max(age_us);
                let bound_us = self.bound_us;
                if age_us > bound_us {
                    findings.violation(at, &[event], || {
                        format!("{client} {session} got {symbol} {n} when it was {age_us} us old, bound {bound_us} us")
                    });
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!(
            "the oldest of {} values was {} us old, against {} us",
            findings.checked(),
            self.oldest_us,
            self.bound_us
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;
    use wire::feed::Kind;

    fn tape() -> Tape {
        Tape::new("staleness = { at-most = \"1s\" }").open(9, 0)
    }

    #[test]
    fn one_old_value_of_a_slow_client_fails() {
        let sent = tape().phase(Phase::Steady).send(0, 0, 0, 1);
        check(sent.clone().after(900_000).deliver(9, 0, 1), Pass, 1);
        check(sent.after(1_100_000).deliver(9, 0, 1), Fail, 1);
    }

    #[test]
    fn what_is_marked_as_old_and_what_arrives_in_the_warmup_does_not_count() {
        let snapshot = tape().phase(Phase::Steady).send(0, 0, 0, 1).after(2_000_000);
        check(snapshot.stamped(9, 0, 1, Kind::Snapshot, (1, 1)), Inconclusive, 0);
        check(tape().send(0, 0, 0, 1).after(2_000_000).deliver(9, 0, 1), Inconclusive, 0);
    }
}
