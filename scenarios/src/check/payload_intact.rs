//! `payload-intact`: what reaches a client is what a source sent, byte for byte, and a source sent it before.

use wire::event::Event;

use super::{At, Checker, Facts, Findings, Origin};

/// The checker. A check is a delivery, an answer of an echo, or something unreadable.
pub(super) struct Intact {
    ledger: bool,
    forgotten: u64,
}

impl Intact {
    pub(super) fn new(facts: &Facts) -> Self {
        Self { ledger: facts.sources > 0, forgotten: 0 }
    }
}

impl Checker for Intact {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ClientDeliver { client, session, symbol, n, intact, .. } => {
                findings.check();
                if !intact {
                    findings.violation(at, &[], || format!("{client} {session} got {symbol} {n} altered"));
                } else if self.ledger && at.origin == Origin::Never {
                    findings
                        .violation(at, &[], || format!("{client} {session} got {symbol} {n}, which no source sent"));
                }
                self.forgotten += u64::from(at.origin == Origin::Forgotten);
            }
            // A client takes none for an answer that is not, byte for byte, what it asked.
            Event::ClientEcho { .. } => findings.check(),
            Event::ClientGarbled { client, session, bytes, .. } => {
                findings.check();
                findings.violation(at, &[], || format!("{client} {session} got {bytes} bytes that it cannot read"));
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        let old = if self.forgotten > 0 { format!(", {} too old to trace", self.forgotten) } else { String::new() };
        format!("{} of {} messages altered or invented{old}", findings.broken(), findings.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Event;
    use wire::id::{ClientId, SessionId};

    fn tape() -> Tape {
        Tape::new("payload-intact = {}").open(0, 0)
    }

    #[test]
    fn what_was_sent_passes() {
        check(tape().send(0, 0, 0, 1).deliver(0, 0, 1), Pass, 1);
    }

    #[test]
    fn an_altered_payload_fails() {
        check(tape().send(0, 0, 0, 1).altered(0, 0, 1), Fail, 1);
    }

    #[test]
    fn garbage_fails() {
        let garbled = Event::ClientGarbled { client: ClientId(0), session: SessionId(0), bytes: 3, of: None };
        check(tape().push(garbled), Fail, 1);
    }

    #[test]
    fn an_invented_tick_fails() {
        check(tape().send(0, 0, 0, 1).deliver(0, 0, 2), Fail, 1);
        check(tape().deliver(0, 0, 1).send(0, 0, 0, 1), Fail, 1);
    }

    #[test]
    fn no_delivery_is_inconclusive() {
        check(tape().send(0, 0, 0, 1), Inconclusive, 0);
    }
}
