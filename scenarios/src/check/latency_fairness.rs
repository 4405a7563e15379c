//! `latency-fairness`: no client is served later than the others, time after time.
//!
//! Each client's mean latency over its live deliveries, from the steady phase on. Over the clients: Jain's index, (sum x)^2 / (k * sum x^2), and the ratio of the
//! greatest mean to the mean of all. An unlucky delivery moves neither; a place at the end of each round moves both. Slow clients are not judged.

use wire::event::{Event, Phase};
use wire::feed::Kind;
use wire::id::ClientId;

use super::even_spread::jain;
use super::{At, Checker, Facts, Findings, FromPhase, LatencyFairness, Origin};

/// The checker. A check is a client with enough samples.
pub(super) struct FairLatency {
    bound: LatencyFairness,
    facts: Facts,
    phase: Phase,
    clients: Vec<Sum>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    client: ClientId,
    samples: u64,
    us: u64,
    last_event: u64,
}

impl FairLatency {
    pub(super) fn new(bound: LatencyFairness, facts: &Facts) -> Self {
        Self { bound, facts: facts.clone(), phase: Phase::Warmup, clients: Vec::new() }
    }
}

impl Checker for FairLatency {
    fn observe(&mut self, at: At, event: &Event, _findings: &mut Findings) {
        match event {
            Event::Phase { phase } => self.phase = *phase,
            Event::ClientDeliver { client, stamp, .. } => {
                let live = stamp.is_none_or(|stamp| stamp.kind == Kind::Live);
                let Origin::Sent { us, .. } = at.origin else { return };
                if !live || !FromPhase::Steady.counts(self.phase) {
                    return;
                }
                let number = at.client as usize;
                if self.clients.len() <= number {
                    self.clients.resize(number + 1, Sum::default());
                }
                let sum = &mut self.clients[number];
                sum.client = *client;
                sum.samples += 1;
                sum.us += at.us.saturating_sub(us);
                sum.last_event = at.event;
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        let samples_min = self.bound.samples_min.max(1);
        let fair = |sum: &&Sum| sum.samples >= samples_min && !self.facts.is_slow(sum.client.0);
        let means: Vec<(f64, &Sum)> =
            self.clients.iter().filter(fair).map(|sum| (sum.us as f64 / sum.samples as f64, sum)).collect();
        let Some((worst, last)) = means.iter().copied().max_by(|(a, _), (b, _)| a.total_cmp(b)) else {
            return "no client has enough samples".to_owned();
        };
        means.iter().for_each(|_| findings.check());
        let (count, sum) = (means.len() as f64, means.iter().map(|(mean, _)| mean).sum::<f64>());
        let jain = jain(means.iter().map(|(mean, _)| *mean)).unwrap_or(1.0);
        let ratio = if sum > 0.0 { worst / (sum / count) } else { 1.0 };
        let (jain_min, worst_max) = (self.bound.jain_min.get(), self.bound.worst_at_most);
        if jain < jain_min {
            findings.violation(end, &[last.last_event], || {
                format!("Jain's index over the mean latencies of {count} clients is {jain:.4}, {jain_min} is asked for")
            });
        }
        if ratio > worst_max {
            findings.violation(end, &[last.last_event], || {
                format!("{} waited {worst:.0} us on average, {ratio:.2} times the mean of all", last.client)
            });
        }
        let mean = sum / count;
        format!(
            "Jain's index {jain:.4} against {jain_min}; worst {worst:.0} us, {ratio:.2} times the mean of {mean:.0} us"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    /// Four clients get ten ticks each; the last of them so much later.
    fn tape(later_us: u64, objective: &str) -> Tape {
        let tape = Tape::new(objective).phase(Phase::Steady);
        (1..=10).fold(tape, |tape, n| {
            let tape = tape.after(100_000).send(0, 0, 0, n).after(1_000);
            let tape = tape.deliver(0, 0, n).deliver(1, 0, n).deliver(2, 0, n);
            tape.after(later_us).deliver(3, 0, n)
        })
    }

    const BOTH: &str = "latency-fairness = { jain-min = 0.95, worst-at-most = 1.5, samples-min = 10 }";

    #[test]
    fn one_that_is_always_last_fails_by_the_index_and_by_the_ratio() {
        check(tape(100, BOTH), Pass, 4);
        check(tape(2_000, BOTH), Fail, 4);
        check(tape(2_000, "latency-fairness = { jain-min = 0.1, worst-at-most = 1.5, samples-min = 10 }"), Fail, 4);
        check(tape(2_000, "latency-fairness = { jain-min = 0.95, worst-at-most = 9.0, samples-min = 10 }"), Fail, 4);
    }

    #[test]
    fn who_has_had_little_and_who_is_slow_is_not_judged() {
        check(tape(2_000, "latency-fairness = { jain-min = 0.95, samples-min = 11 }"), Inconclusive, 0);
        let slow = tape(2_000, BOTH).facts(|facts| facts.slow_clients = std::iter::once(3..4).collect());
        check(slow, Pass, 3);
    }
}
