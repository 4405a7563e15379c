//! `gentle-rebalance`: an instance that joins a sharded feed gets its share of the symbols, a few at a time.
//!
//! A source that came back from a fault is asked for at most `burst + per-s x t` symbols in any time t that follows, as each of them moves away from a source that delivers it
//! well. And `within` after its return, symbols are spread over the healthy sources with a Jain's index of at least `jain-min` (see `even-spread`), judged at the end of the
//! run. While another source is down, nothing is counted: its symbols must move at once.

use rustc_hash::{FxHashMap, FxHashSet};
use wire::event::{Event, Phase};
use wire::id::LegId;

use super::even_spread::jain;
use super::health::{Health, Hit};
use super::taken::Taken;
use super::{At, Checker, Facts, Findings, GentleRebalance};

/// The checker. A check is a symbol that a source is asked for after it came back, and the spread at the end.
pub(super) struct Moves {
    bound: GentleRebalance,
    health: Health,
    /// By source, what is asked for on each leg, as dense numbers of symbols. Never walked but for sums.
    asked: Vec<FxHashMap<LegId, FxHashSet<u32>>>,
    /// By source: what was moved to it.
    buckets: Vec<Taken>,
    fullest: f64,
    index: Option<f64>,
    over: bool,
}

impl Moves {
    pub(super) fn new(bound: GentleRebalance, facts: &Facts) -> Self {
        let sources = usize::from(facts.sources);
        Self {
            bound,
            health: Health::new(facts),
            asked: vec![FxHashMap::default(); sources],
            buckets: vec![Taken::default(); sources],
            fullest: 0.0,
            index: None,
            over: false,
        }
    }

    fn moved(&mut self, at: At, source: usize, findings: &mut Findings) {
        let (_, Some(_)) = self.health.source(source) else { return };
        if self.health.healthy() < self.asked.len() {
            return;
        }
        findings.check();
        let GentleRebalance { per_s, burst, .. } = self.bound;
        let bucket = &mut self.buckets[source];
        let taken = bucket.one_more(at.us, per_s);
        self.fullest = self.fullest.max(taken);
        if taken > f64::from(burst) {
            bucket.give_back();
            findings.violation(at, &[], || {
                format!(
                    "source-{source}, which came back, is asked for more than {burst} symbols beyond {per_s} a second"
                )
            });
        }
    }

    fn judge_spread(&mut self, end: At, findings: &mut Findings) {
        self.over = true;
        let sources = 0..self.asked.len();
        let due = |source: &usize| {
            let back_us = self.health.source(*source).1;
            back_us.is_some_and(|back| back.saturating_add(self.bound.within.as_micros()) <= end.us)
        };
        let healthy: Vec<usize> = sources.clone().filter(|source| self.health.source(*source).0).collect();
        if healthy.len() < 2 || !healthy.iter().any(due) {
            return;
        }
        let held = |source: &usize| self.asked[*source].values().map(FxHashSet::len).sum::<usize>();
        let held: Vec<usize> = healthy.iter().map(held).collect();
        let Some(index) = jain(held.iter().map(|held| *held as f64)) else { return };
        findings.check();
        self.index = Some(index);
        let least = self.bound.jain_min.get();
        if index < least {
            findings.violation(end, &[], || {
                format!("Jain's index of symbols is {index:.4} at the end, bound {least}: {held:?}")
            });
        }
    }
}

impl Checker for Moves {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            _ if self.over => {}
            Event::SourceSubscribe { source, leg, .. } => {
                let Some(asked) = self.asked.get_mut(source.index()) else { return };
                if asked.entry(*leg).or_default().insert(at.symbol) {
                    self.moved(at, source.index(), findings);
                }
            }
            Event::SourceUnsubscribe { source, leg, .. } => {
                if let Some(leg) = self.asked.get_mut(source.index()).and_then(|asked| asked.get_mut(leg)) {
                    leg.remove(&at.symbol);
                }
            }
            Event::SourceClose { source, leg, .. } => {
                if let Some(asked) = self.asked.get_mut(source.index()) {
                    asked.remove(leg);
                }
            }
            Event::FaultStart { .. } | Event::FaultStop { .. } => {
                if let Some(Hit::Source { source, dead: true }) = self.health.observe(at.us, event)
                    && let Some(asked) = self.asked.get_mut(source)
                {
                    asked.clear();
                }
            }
            Event::Phase { phase: Phase::End } => self.judge_spread(at, findings),
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        if !self.over {
            self.judge_spread(end, findings);
        }
        let GentleRebalance { per_s, burst, jain_min, .. } = self.bound;
        let spread = self.index.map_or("not judged".to_owned(), |index| format!("{index:.4}"));
        format!(
            "{:.1} symbols beyond {per_s} a second at most against {burst}; Jain's index {spread} against {}",
            self.fullest,
            jain_min.get()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    /// Source 0 has 12 symbols; source 1 comes back now.
    fn back() -> Tape {
        let objective = r#"gentle-rebalance = { per-s = 2.0, burst = 2, within = "5s", jain-min = 0.95 }"#;
        let tape = Tape::new(objective).leg(0, 0).leg(1, 0);
        let tape = (0..12).fold(tape, |tape, symbol| tape.asked(0, 0, symbol));
        tape.fault(0, "kill", "source-1").heal(0).leg(1, 1)
    }

    fn moves(tape: Tape, symbols: std::ops::Range<u32>, apart_us: u64) -> Tape {
        symbols.fold(tape, |tape, symbol| tape.after(apart_us).asked(1, 1, symbol).given_back(0, 0, symbol))
    }

    #[test]
    fn its_share_a_few_at_a_time_passes() {
        check(moves(moves(back(), 0..2, 0), 2..6, 500_000).after(5_000_000), Pass, 7);
    }

    #[test]
    fn all_at_once_fails() {
        check(moves(back(), 0..6, 0).after(5_000_000), Fail, 7);
    }

    #[test]
    fn too_few_in_time_fail() {
        check(moves(back(), 0..2, 0).after(5_000_000), Fail, 3);
        check(moves(back(), 0..2, 0).after(4_000_000), Pass, 2);
    }

    #[test]
    fn the_symbols_of_a_dead_source_may_move_at_once() {
        check(moves(back().fault(1, "kill", "source-0"), 0..12, 0).after(9_000_000), Inconclusive, 0);
    }

    #[test]
    fn what_is_asked_for_again_is_no_move() {
        let again = |tape: Tape| (0..12).fold(tape, |tape, symbol| tape.asked(0, 0, symbol));
        check(again(again(back())), Inconclusive, 0);
    }
}
