//! `symbol-order`: the ticks of a symbol reach a session in order.
//!
//! For each (client, session, symbol), n grows with every delivery, and so does the stamp (epoch, seq) of strong clients, whether it came as snapshot,
//! replay or live. A repeat of what the session already had is not disorder: it is left to `no-duplicates`. (Beyond 1,024 ticks back the two cannot be
//! told apart, and it counts as disorder.)

use wire::event::Event;

use super::seen::{Seen, Step};
use super::{At, Checker, Findings};

/// The checker. A check is a delivery that had one before it.
#[derive(Default)]
pub(super) struct Ordered {
    pairs: Vec<Option<Seen>>,
}

impl Checker for Ordered {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        let Event::ClientDeliver { client, session, symbol, n, stamp, .. } = event else { return };
        let taken = Seen::take(&mut self.pairs, at.pair, at.event, *session, *n, *stamp);
        if taken.n == Step::First {
            return;
        }
        findings.check();
        if taken.n == Step::Repeat || taken.stamp == Step::Repeat {
            return;
        }
        if taken.n == Step::Back {
            findings.violation(at, &[taken.event_before], || {
                format!("{client} {session} got {symbol} {n} after {}", taken.n_before)
            });
        } else if taken.stamp == Step::Back
            && let Some(stamp) = stamp
        {
            findings.violation(at, &[taken.event_before], || {
                format!("{client} {session} got {symbol} epoch {} seq {} after a later stamp", stamp.epoch, stamp.seq)
            });
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!("{} of {} deliveries out of order", findings.broken(), findings.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    fn tape() -> Tape {
        Tape::new("symbol-order = {}").open(0, 0)
    }

    #[test]
    fn growing_numbers_are_in_order() {
        check(tape().deliver(0, 0, 1).deliver(0, 0, 2).deliver(0, 0, 9), Pass, 2);
        check(tape().strong(0, 0, 1, (1, 1)).strong(0, 0, 2, (1, 2)).strong(0, 0, 3, (2, 1)), Pass, 2);
    }

    #[test]
    fn a_smaller_number_is_disorder() {
        check(tape().deliver(0, 0, 1).deliver(0, 0, 5).deliver(0, 0, 3), Fail, 2);
    }

    #[test]
    fn a_stamp_of_an_older_epoch_is_disorder() {
        check(tape().strong(0, 0, 1, (2, 1)).strong(0, 0, 2, (1, 9)), Fail, 1);
        check(tape().strong(0, 0, 1, (1, 5)).strong(0, 0, 2, (1, 4)), Fail, 1);
    }

    #[test]
    fn a_repeat_is_left_to_no_duplicates() {
        check(tape().deliver(0, 0, 1).deliver(0, 0, 5).deliver(0, 0, 1), Pass, 2);
    }

    #[test]
    fn a_new_session_starts_anew_and_nothing_delivered_is_inconclusive() {
        check(tape().deliver(0, 0, 5).session(1).open(0, 1).deliver(0, 0, 4), Inconclusive, 0);
        check(tape(), Inconclusive, 0);
    }
}
