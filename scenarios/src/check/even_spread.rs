//! `even-spread`: open legs are spread evenly over the healthy sources.
//!
//! Jain's index over k sources with x legs each is (sum x)^2 / (k * sum x^2): 1 when all carry the same, 1/k when one carries all (Jain, Chiu, Hawe: A
//! Quantitative Measure of Fairness, DEC-TR-301, 1984). Judged at each whole second of the steady phase and at the end of the run, where nothing opened,
//! closed, failed or healed for `settled`. A source that came back counts again after `rebalance-within`, or never.

use wire::event::{Event, Phase};

use super::open_legs::OpenLegs;
use super::{At, Checker, EvenSpread, Facts, Findings};

const SECOND_US: u64 = 1_000_000;

/// The checker. A check is a settled second with at least two sources and one leg.
pub(super) struct Spread {
    bound: EvenSpread,
    legs: OpenLegs,
    changed_us: u64,
    next_us: u64,
    phase: Phase,
    worst: Option<f64>,
}

/// Jain's index of fairness; None without load.
pub(super) fn jain(loads: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum, squares) =
        loads.fold((0.0, 0.0, 0.0), |(count, sum, squares), load| (count + 1.0, sum + load, squares + load * load));
    (squares > 0.0).then(|| sum * sum / (count * squares))
}

impl Spread {
    pub(super) fn new(bound: EvenSpread, facts: &Facts) -> Self {
        Self { bound, legs: OpenLegs::new(facts), changed_us: 0, next_us: SECOND_US, phase: Phase::Warmup, worst: None }
    }

    /// Judges the state that has stood since the last change, as of `us`.
    fn judge(&mut self, at: At, us: u64, findings: &mut Findings) {
        if us < self.changed_us.saturating_add(self.bound.settled.as_micros()) {
            return;
        }
        let counted = |source: &usize| {
            let (healthy, back_us) = self.legs.health().source(*source);
            let back = back_us.is_none_or(|back| {
                self.bound.rebalance_within.is_some_and(|within| us >= back.saturating_add(within.as_micros()))
            });
            healthy && back
        };
        let loads: Vec<(usize, usize)> =
            self.legs.sources().filter(counted).map(|source| (source, self.legs.at(source))).collect();
        if loads.len() < 2 {
            return;
        }
        let Some(index) = jain(loads.iter().map(|load| load.1 as f64)) else { return };
        findings.check();
        self.worst = Some(self.worst.map_or(index, |worst| worst.min(index)));
        let least = self.bound.jain_min.get();
        if index < least {
            findings.violation(At { us, ..at }, &[], || {
                let loads: Vec<String> = loads.iter().map(|(source, legs)| format!("source-{source} {legs}")).collect();
                format!("Jain's index of legs is {index:.4}, bound {least}: {}", loads.join(", "))
            });
        }
    }
}

impl Checker for Spread {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        if at.us >= self.next_us {
            // Nothing changed between the last event and this one: one look stands for all seconds between them.
            let second = at.us - at.us % SECOND_US;
            self.next_us = second + SECOND_US;
            if self.phase == Phase::Steady {
                self.judge(at, second, findings);
            }
        }
        if self.legs.observe(at.us, event).is_some() {
            self.changed_us = at.us;
        }
        if let Event::Phase { phase } = event {
            if *phase == Phase::End && self.phase != Phase::End {
                self.judge(at, at.us, findings);
            }
            self.phase = *phase;
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        if self.phase != Phase::End {
            self.judge(end, end.us, findings);
        }
        let least = self.bound.jain_min.get();
        self.worst.map_or_else(
            || "never settled with two healthy sources".to_owned(),
            |worst| format!("Jain's index {worst:.4} at worst against {least}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use super::jain;
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    fn tape(first: u32, second: u32) -> Tape {
        let mut tape = Tape::new("even-spread = { jain-min = 0.98 }").phase(Phase::Steady);
        for leg in 0..first {
            tape = tape.leg(0, leg);
        }
        for leg in 0..second {
            tape = tape.leg(1, leg);
        }
        tape
    }

    #[test]
    fn jain_s_index_has_its_known_values() {
        for (loads, expect) in
            [(vec![5, 5, 5], Some(1.0)), (vec![4, 0], Some(0.5)), (vec![1, 3], Some(0.8)), (vec![0, 0], None)]
        {
            assert_eq!(jain(loads.into_iter().map(f64::from)), expect);
        }
    }

    #[test]
    fn an_even_spread_passes_and_is_judged_each_second() {
        check(tape(10, 10).after(2_000_000).gauge(0, 0, 0).after(1_000_000).gauge(0, 0, 0), Pass, 3);
    }

    #[test]
    fn an_uneven_spread_fails() {
        check(tape(15, 5).after(2_000_000).gauge(0, 0, 0), Fail, 2);
    }

    #[test]
    fn a_source_that_is_down_or_only_just_back_does_not_count() {
        let killed = tape(10, 10).fault(0, "kill", "source-0").after(2_000_000).gauge(0, 0, 0);
        check(killed.clone(), Inconclusive, 0);
        check(killed.heal(0).after(5_000_000), Inconclusive, 0);
        let objective = r#"even-spread = { jain-min = 0.98, rebalance-within = "3s" }"#;
        let back = Tape::new(objective).phase(Phase::Steady).leg(1, 0).fault(0, "kill", "source-0").heal(0);
        check(back.clone().after(2_000_000), Inconclusive, 0);
        check(back.after(4_000_000), Fail, 1);
    }

    #[test]
    fn what_has_not_settled_is_inconclusive() {
        check(tape(15, 5).after(900_000), Inconclusive, 0);
    }
}
