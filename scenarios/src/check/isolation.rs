//! `isolation`: slow clients do not make the others slow. The latency of clients that read well, while at least one slow client is connected.

use wire::event::Event;

use super::latency::Latency;
use super::{At, Checker, Facts, Findings, Isolation};

/// The checker. A check is a sample.
pub(super) struct Isolated {
    facts: Facts,
    /// Which clients are slow, by dense number.
    slow: Vec<Option<bool>>,
    slow_open: u64,
    latency: Latency,
}

impl Isolated {
    pub(super) fn new(bound: Isolation, facts: &Facts) -> Self {
        Self { facts: facts.clone(), slow: Vec::new(), slow_open: 0, latency: Latency::new(bound) }
    }

    fn is_slow(&mut self, number: u32, client: u32) -> bool {
        let number = number as usize;
        if self.slow.len() <= number {
            self.slow.resize(number + 1, None);
        }
        *self.slow[number].get_or_insert_with(|| self.facts.is_slow(client))
    }
}

impl Checker for Isolated {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ClientOpen { client, .. } => self.slow_open += u64::from(self.is_slow(at.client, client.0)),
            Event::ClientClose { client, .. } => {
                let slow = u64::from(self.is_slow(at.client, client.0));
                self.slow_open = self.slow_open.saturating_sub(slow);
            }
            Event::ClientDeliver { client, .. } | Event::ClientEcho { client, .. }
                if self.slow_open > 0 && !self.is_slow(at.client, client.0) =>
            {
                self.latency.observe(at, event, findings);
            }
            Event::Phase { .. } => self.latency.observe_phase(event),
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        self.latency.finish(findings)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    const OBJECTIVE: &str = r#"isolation = { quantile = 1.0, at-most = "20ms", samples-min = 1 }"#;

    /// Client 9 is slow by the facts of all tapes.
    fn tape() -> Tape {
        Tape::new(OBJECTIVE).phase(Phase::Steady).open(0, 0)
    }

    #[test]
    fn the_slow_one_s_own_lateness_does_not_count() {
        let tape = tape().open(9, 0).send(0, 0, 0, 1).after(1_000).deliver(0, 0, 1);
        check(tape.after(90_000).deliver(9, 0, 1), Pass, 1);
    }

    #[test]
    fn others_late_while_a_slow_one_is_there_fail() {
        check(tape().open(9, 0).send(0, 0, 0, 1).after(30_000).deliver(0, 0, 1), Fail, 1);
    }

    #[test]
    fn without_a_slow_client_it_is_inconclusive() {
        check(tape().send(0, 0, 0, 1).after(30_000).deliver(0, 0, 1), Inconclusive, 0);
        let tape = tape().open(9, 0).close_by_peer(9, None);
        check(tape.send(0, 0, 0, 1).after(30_000).deliver(0, 0, 1), Inconclusive, 0);
    }
}
