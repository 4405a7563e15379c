//! `delivery-latency`: a quantile of the time from a tick's first send by any source to its arrival at a client.
//!
//! Snapshots and replays are left out: they are old by nature. Where requests are echoed, an answer counts from the planned instant of its request.
//! Judged at the end; with fewer samples than asked for it is inconclusive.

use wire::event::Event;

use super::latency::Latency;
use super::{At, Checker, DeliveryLatency, Findings};

/// The checker. A check is a sample.
pub(super) struct Delivery(Latency);

impl Delivery {
    pub(super) fn new(bound: DeliveryLatency) -> Self {
        Self(Latency::new(bound))
    }
}

impl Checker for Delivery {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        self.0.observe(at, event, findings);
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        self.0.finish(findings)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::{Event, Phase};
    use wire::id::{ClientId, SessionId};

    /// `late` of a hundred deliveries take 30 ms, the others 1 ms.
    fn tape(late: u64) -> Tape {
        let objective = r#"delivery-latency = { quantile = 0.95, at-most = "20ms", samples-min = 100 }"#;
        let mut tape = Tape::new(objective).open(0, 0).phase(Phase::Steady);
        for n in 0..100 {
            tape = tape.after(100_000).send(0, 0, 0, n);
            let us = if n < late { 30_000 } else { 1_000 };
            tape = tape.after(us).deliver(0, 0, n);
        }
        tape
    }

    #[test]
    fn a_few_late_ones_are_allowed_by_the_quantile() {
        check(tape(4), Pass, 100);
    }

    #[test]
    fn too_many_late_ones_fail_and_are_named() {
        let found = check(tape(6), Fail, 100);
        assert_eq!(found.violations.len(), 5);
        assert_eq!(found.violations[0].events.len(), 2, "the send and the delivery");
    }

    #[test]
    fn too_few_samples_are_inconclusive() {
        let objective = r#"delivery-latency = { quantile = 0.95, at-most = "20ms", samples-min = 2 }"#;
        let tape = Tape::new(objective).open(0, 0).phase(Phase::Steady).send(0, 0, 0, 1).after(90_000).deliver(0, 0, 1);
        check(tape, Inconclusive, 1);
    }

    #[test]
    fn the_warmup_does_not_count() {
        let objective = r#"delivery-latency = { quantile = 1.0, at-most = "20ms", samples-min = 1 }"#;
        check(Tape::new(objective).open(0, 0).send(0, 0, 0, 1).after(90_000).deliver(0, 0, 1), Inconclusive, 0);
    }

    #[test]
    fn echoes_count_from_their_planned_instant() {
        let objective = r#"delivery-latency = { quantile = 1.0, at-most = "20ms", samples-min = 1 }"#;
        let echo = |latency_us| Event::ClientEcho { client: ClientId(0), session: SessionId(0), n: 0, latency_us };
        check(Tape::new(objective).phase(Phase::Steady).push(echo(20_000)), Pass, 1);
        check(Tape::new(objective).phase(Phase::Steady).push(echo(20_001)), Fail, 1);
    }
}
