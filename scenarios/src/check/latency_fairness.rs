//! `latency-fairness` and `symbol-fairness`: no client, and no symbol, is served later than the others, time after time.
//!
//! Each client's (symbol's) mean latency over its live deliveries, from the steady phase on; what slow clients get is not judged. An unlucky delivery moves it little, a place at the end of each
//! round much.
//!
//! Over the clients: Jain's index, (sum x)^2 / (k * sum x^2), and the ratio of the greatest mean to the mean of all.
//!
//! Over the symbols: the ratio of the greatest mean to the least. Each symbol counts alike, however often it ticks: neither does a hot one hide what the rare ones pay for it, nor do they, who are many, by
//! all paying alike.

use wire::event::{Event, Phase};
use wire::feed::Kind;

use super::even_spread::jain;
use super::{At, Checker, Facts, Findings, FromPhase, LatencyFairness, Origin, SymbolFairness};

/// Whose latencies are compared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Over {
    Clients(LatencyFairness),
    Symbols(SymbolFairness),
}

/// The checker. A check is a client or a symbol with enough samples.
pub(super) struct FairLatency {
    over: Over,
    facts: Facts,
    phase: Phase,
    /// By dense number.
    sums: Vec<Sum>,
}

#[derive(Clone, Default)]
struct Sum {
    name: String,
    samples: u64,
    us: u64,
    last_event: u64,
}

impl FairLatency {
    pub(super) fn new(over: Over, facts: &Facts) -> Self {
        Self { over, facts: facts.clone(), phase: Phase::Warmup, sums: Vec::new() }
    }
}

impl Checker for FairLatency {
    fn observe(&mut self, at: At, event: &Event, _findings: &mut Findings) {
        match event {
            Event::Phase { phase } => self.phase = *phase,
            Event::ClientDeliver { client, symbol, stamp, .. } => {
                let live = stamp.is_none_or(|stamp| stamp.kind == Kind::Live);
                let Origin::Sent { us, .. } = at.origin else { return };
                if !live || !FromPhase::Steady.counts(self.phase) || self.facts.is_slow(client.0) {
                    return;
                }
                let number = match self.over {
                    Over::Clients(_) => at.client,
                    Over::Symbols(_) => at.symbol,
                } as usize;
                if self.sums.len() <= number {
                    self.sums.resize(number + 1, Sum::default());
                }
                let sum = &mut self.sums[number];
                if sum.samples == 0 {
                    sum.name = match self.over {
                        Over::Clients(_) => client.to_string(),
                        Over::Symbols(_) => symbol.to_string(),
                    };
                }
                sum.samples += 1;
                sum.us += at.us.saturating_sub(us);
                sum.last_event = at.event;
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        match self.over {
            Over::Clients(bound) => self.clients(bound, end, findings),
            Over::Symbols(bound) => self.symbols(bound, end, findings),
        }
    }
}

impl FairLatency {
    /// Those with enough samples: the mean of each.
    fn means(&self, samples_min: u64, findings: &mut Findings) -> Vec<(f64, &Sum)> {
        let judged = self.sums.iter().filter(|sum| sum.samples >= samples_min.max(1));
        let means: Vec<(f64, &Sum)> = judged.map(|sum| (sum.us as f64 / sum.samples as f64, sum)).collect();
        means.iter().for_each(|_| findings.check());
        means
    }

    fn clients(&self, bound: LatencyFairness, end: At, findings: &mut Findings) -> String {
        let means = self.means(bound.samples_min, findings);
        let Some((worst, last)) = means.iter().copied().max_by(|(a, _), (b, _)| a.total_cmp(b)) else {
            return "no client has enough samples".to_owned();
        };
        let (count, sum) = (means.len() as f64, means.iter().map(|(mean, _)| mean).sum::<f64>());
        let jain = jain(means.iter().map(|(mean, _)| *mean)).unwrap_or(1.0);
        let ratio = if sum > 0.0 { worst / (sum / count) } else { 1.0 };
        let (jain_min, worst_max) = (bound.jain_min.get(), bound.worst_at_most);
        if jain < jain_min {
            findings.violation(end, &[last.last_event], || {
                format!("Jain's index over the mean latencies of {count} clients is {jain:.4}, {jain_min} is asked for")
            });
        }
        if ratio > worst_max {
            findings.violation(end, &[last.last_event], || {
                format!("{} waited {worst:.0} us on average, {ratio:.2} times the mean of all", last.name)
            });
        }
        let mean = sum / count;
        format!(
            "Jain's index {jain:.4} against {jain_min}; worst {worst:.0} us, {ratio:.2} times the mean of {mean:.0} us"
        )
    }

    fn symbols(&self, bound: SymbolFairness, end: At, findings: &mut Findings) -> String {
        let means = self.means(bound.samples_min, findings);
        let by_mean = |(a, _): &&(f64, &Sum), (b, _): &&(f64, &Sum)| a.total_cmp(b);
        let (Some((least, soonest)), Some((worst, latest))) =
            (means.iter().min_by(by_mean), means.iter().max_by(by_mean))
        else {
            return "no symbol has enough samples".to_owned();
        };
        let ratio = if *least > 0.0 { worst / least } else { 1.0 };
        if ratio > bound.worst_at_most {
            findings.violation(end, &[latest.last_event, soonest.last_event], || {
                let (late, soon) = (&latest.name, &soonest.name);
                format!("{late} took {worst:.0} us on average, {ratio:.2} times the {least:.0} us of {soon}")
            });
        }
        format!(
            "of {} symbols the latest took {worst:.0} us on average, {ratio:.2} times the {least:.0} us of the soonest, against {}",
            means.len(),
            bound.worst_at_most
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

    /// A hot symbol that comes at once, and ten rare ones of which the last comes so much later, if only once.
    fn symbols(later_us: u64) -> Tape {
        let tape = Tape::new("symbol-fairness = { worst-at-most = 1.5, samples-min = 1 }");
        let hot = |tape: Tape, n: u64| tape.after(1_000).send(0, 0, 0, n).after(1_000).deliver(0, 0, n);
        let tape = (1..=900).fold(tape.phase(Phase::Steady), hot);
        let rare = |tape: Tape, symbol: u32| tape.send(0, 0, symbol, 1).after(1_000).deliver(0, symbol, 1);
        (1..10).fold(tape, rare).send(0, 0, 10, 1).after(1_000 + later_us).deliver(0, 10, 1)
    }

    #[test]
    fn a_rare_symbol_that_is_late_fails_however_often_the_hot_one_is_in_time() {
        check(symbols(100), Pass, 11);
        check(symbols(1_000), Fail, 11);
        let slow = symbols(1_000).facts(|facts| facts.slow_clients = std::iter::once(0..1).collect());
        check(slow, Inconclusive, 0);
    }

    #[test]
    fn who_has_had_little_and_who_is_slow_is_not_judged() {
        check(tape(2_000, "latency-fairness = { jain-min = 0.95, samples-min = 11 }"), Inconclusive, 0);
        let slow = tape(2_000, BOTH).facts(|facts| facts.slow_clients = std::iter::once(3..4).collect());
        check(slow, Pass, 3);
    }
}
