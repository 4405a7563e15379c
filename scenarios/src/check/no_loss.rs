//! `no-loss`: nothing is missing, told or not. For scenarios in which the proxy has all that it takes to lose nothing: hot sources of which one dies.

use wire::event::Event;
use wire::id::SessionId;

use super::{At, Checker, Findings};

/// The checker. A check is a delivery that follows another of its symbol in its session: its tick is the next.
#[derive(Default)]
pub(super) struct Complete {
    /// The session and the tick last delivered, by (client, symbol).
    last: Vec<Option<(SessionId, u64)>>,
}

impl Checker for Complete {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ClientDeliver { client, session, symbol, n, .. } => {
                let pair = at.pair as usize;
                if self.last.len() <= pair {
                    self.last.resize(pair + 1, None);
                }
                if let Some((before, last)) = self.last[pair]
                    && before == *session
                {
                    findings.check();
                    if *n > last + 1 {
                        findings.violation(at, &[], || {
                            format!("{client} {session} got tick {n} of {symbol} after tick {last}")
                        });
                    }
                }
                self.last[pair] = Some((*session, *n));
            }
            Event::ClientGap { client, session, symbol, .. } => {
                findings.violation(at, &[], || format!("{client} {session} was told of a gap in {symbol}"));
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!("{} gaps in {} deliveries", findings.broken(), findings.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    fn tape() -> Tape {
        Tape::new("no-loss = {}")
    }

    #[test]
    fn tick_after_tick_passes_from_wherever_a_session_begins() {
        check(tape().deliver(0, 0, 7).deliver(0, 0, 8).deliver(0, 1, 3).session(1).deliver(0, 0, 20), Pass, 1);
        check(tape().strong(0, 0, 7, (1, 1)).strong(0, 0, 8, (1, 2)), Pass, 1);
    }

    #[test]
    fn a_missing_tick_fails_for_every_client() {
        check(tape().deliver(0, 0, 7).deliver(0, 0, 9), Fail, 1);
        check(tape().strong(0, 0, 7, (1, 1)).gap(0, 0, 1, 2, None).strong(0, 0, 8, (2, 1)), Fail, 1);
    }

    #[test]
    fn one_delivery_is_inconclusive() {
        check(tape().deliver(0, 0, 7), Inconclusive, 0);
    }
}
