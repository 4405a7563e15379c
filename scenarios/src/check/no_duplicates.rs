//! `no-duplicates`: no tick reaches a session twice.
//!
//! For each (client, session, symbol), no n comes twice, and no (epoch, seq). The last 1,024 numbers are remembered; what is older than that counts as
//! disorder (see `symbol-order`). A snapshot may show a value again that the session has, but only after a gap that ends an epoch, or where it begins a new subscription
//! (what was under way of the former one may come before it).

use wire::event::Event;
use wire::feed::Kind;

use super::border::{Border, Side};
use super::seen::{Seen, Step};
use super::{At, Checker, Findings};

/// The checker. A check is a delivery that had one before it.
#[derive(Default)]
pub(super) struct Once {
    pairs: Vec<Option<Seen>>,
    /// By pair: what may be shown again as a snapshot.
    again: Vec<Again>,
}

#[derive(Clone, Default)]
struct Again {
    /// An epoch has ended, and nothing has come since.
    reset: bool,
    border: Border,
}

impl Once {
    fn again(&mut self, pair: u32) -> &mut Again {
        let pair = pair as usize;
        if self.again.len() <= pair {
            self.again.resize(pair + 1, Again::default());
        }
        &mut self.again[pair]
    }
}

impl Checker for Once {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ClientSubscribe { session, .. } => self.again(at.pair).border.subscribe(*session),
            Event::ClientGap { session, to, .. } => {
                let again = self.again(at.pair);
                again.reset |= to.is_none();
                again.border.gap(*session);
            }
            _ => {}
        }
        let Event::ClientDeliver { client, session, symbol, n, stamp, .. } = event else { return };
        let begins = stamp.is_some_and(|stamp| {
            let again = self.again(at.pair);
            let reset = std::mem::take(&mut again.reset);
            let begins = again.border.deliver(*session, stamp) == Side::First;
            stamp.kind == Kind::Snapshot && (reset || begins)
        });
        let taken = Seen::take(&mut self.pairs, at.pair, at.event, *session, *n, *stamp);
        if taken.n == Step::First {
            return;
        }
        findings.check();
        if begins {
            return;
        }
        if taken.n == Step::Repeat {
            findings
                .violation(at, &[taken.event_before], || format!("{client} {session} got {symbol} {n} a second time"));
        } else if taken.stamp == Step::Repeat
            && let Some(stamp) = stamp
        {
            findings.violation(at, &[taken.event_before], || {
                let (epoch, seq) = (stamp.epoch, stamp.seq);
                format!(
                    "{client} {session} got {symbol} epoch {epoch} seq {seq} a second time, with another tick ({n})"
                )
            });
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!("{} of {} deliveries were repeats", findings.broken(), findings.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::feed::Kind::Snapshot;

    fn tape() -> Tape {
        Tape::new("no-duplicates = {}").open(0, 0)
    }

    #[test]
    fn each_tick_once_passes_even_out_of_order() {
        check(tape().deliver(0, 0, 1).deliver(0, 0, 5).deliver(0, 0, 3), Pass, 2);
    }

    #[test]
    fn a_tick_twice_fails() {
        check(tape().deliver(0, 0, 1).deliver(0, 0, 1), Fail, 1);
        check(tape().deliver(0, 0, 1).deliver(0, 0, 2).deliver(0, 0, 3).deliver(0, 0, 1), Fail, 3);
    }

    #[test]
    fn a_stamp_twice_fails() {
        check(tape().strong(0, 0, 1, (1, 1)).strong(0, 0, 2, (1, 1)), Fail, 1);
    }

    #[test]
    fn a_snapshot_may_repeat_what_the_session_has_after_a_reset() {
        let live = tape().strong(0, 0, 7, (1, 4));
        check(live.clone().stamped(0, 0, 7, Snapshot, (1, 4)), Fail, 1);
        check(live.clone().gap(0, 0, 1, 5, Some(6)).stamped(0, 0, 7, Snapshot, (1, 4)), Fail, 1);
        check(live.clone().gap(0, 0, 1, 5, None).stamped(0, 0, 7, Snapshot, (1, 4)), Pass, 1);
        check(live.gap(0, 0, 1, 5, None).strong(0, 0, 7, (2, 1)), Fail, 1);
    }

    #[test]
    fn a_snapshot_of_a_new_subscription_may_repeat_what_came_late_of_the_former_one() {
        // Seed 1601 of `explore`: a link stalled while the client gave the symbol up and took it up again.
        let late = tape().subscribe(0, 0).unsubscribe(0, 0).subscribe(0, 0).strong(0, 0, 7, (1, 1));
        check(late.clone().stamped(0, 0, 7, Snapshot, (1, 1)), Pass, 1);
        // Once, and no live message.
        check(late.clone().stamped(0, 0, 7, Snapshot, (1, 1)).stamped(0, 0, 7, Snapshot, (1, 1)), Fail, 2);
        check(late.strong(0, 0, 7, (1, 1)), Fail, 1);
        // The first subscription has no former one.
        check(tape().subscribe(0, 0).strong(0, 0, 7, (1, 1)).stamped(0, 0, 7, Snapshot, (1, 1)), Fail, 1);
        // Nor has what does not go on come late.
        let anew = tape().subscribe(0, 0).strong(0, 0, 7, (1, 1)).subscribe(0, 0).strong(0, 0, 9, (1, 3));
        check(anew.stamped(0, 0, 9, Snapshot, (1, 3)), Fail, 2);
    }

    #[test]
    fn other_symbols_clients_and_sessions_have_their_own_count() {
        let tape = tape().open(1, 0).deliver(0, 0, 1).deliver(0, 1, 1).deliver(1, 0, 1);
        check(tape.session(1).open(0, 1).deliver(0, 0, 1), Inconclusive, 0);
    }
}
