//! `first-tick`: who subscribes to a symbol has a tick of it within the bound.
//!
//! The time runs from the client's subscription to its first delivery in that session, or to the end of the record; one period of the ticks is added to the bound. This finds
//! clients that are let in and then get nothing, who have no pause to measure because nothing ever began. Not judged: slow clients, sessions that end before, and waits in
//! which no source was healthy or a fault was on something else than a source.

use wire::event::{Event, Phase};
use wire::id::{ClientId, Symbol};

use super::health::Health;
use super::{At, Checker, Facts, Findings, FirstTick, NONE};

/// The checker. A check is a subscription that was served, or waited for too long.
pub(super) struct Served {
    /// A symbol's period is added to it.
    at_most_us: u64,
    facts: Facts,
    health: Health,
    /// By dense number of the pair: what waits for its first tick.
    waiting: Vec<Option<Waiting>>,
    /// By dense number of the client: pairs that wait, or did.
    pairs: Vec<Vec<u32>>,
    worst_us: u64,
    over: bool,
}

#[derive(Clone, Copy)]
struct Waiting {
    client: ClientId,
    symbol: Symbol,
    since: At,
}

impl Served {
    pub(super) fn new(bound: FirstTick, facts: &Facts) -> Self {
        Self {
            at_most_us: bound.at_most.as_micros(),
            facts: facts.clone(),
            health: Health::new(facts),
            waiting: Vec::new(),
            pairs: Vec::new(),
            worst_us: 0,
            over: false,
        }
    }

    fn wait(&mut self, at: At, client: ClientId, symbol: Symbol) {
        if self.facts.is_slow(client.0) {
            return;
        }
        let (pair, number) = (at.pair as usize, at.client as usize);
        if self.waiting.len() <= pair {
            self.waiting.resize(pair + 1, None);
        }
        if self.pairs.len() <= number {
            self.pairs.resize_with(number + 1, Vec::new);
        }
        if !self.pairs[number].contains(&at.pair) {
            self.pairs[number].push(at.pair);
        }
        self.waiting[pair] = Some(Waiting { client, symbol, since: at });
    }

    /// The wait of a pair ends, or the record does.
    fn judge(&mut self, at: At, pair: usize, findings: &mut Findings) {
        let Some(Waiting { client, symbol, since }) = self.waiting.get_mut(pair).and_then(Option::take) else {
            return;
        };
        let waited_us = at.us.saturating_sub(since.us);
        let bound_us = self.at_most_us.saturating_add(self.facts.periods.of_us(symbol));
        let served = at.pair != NONE;
        if waited_us > bound_us {
            if self.health.none_since(since.us) || self.health.elsewhere_since(since.us) {
                return;
            }
            findings.violation(at, &[since.event], || {
                let until = if served { "its first tick came" } else { "the record ended" };
                format!("{client} had waited for {symbol} for {waited_us} us when {until}, bound {bound_us} us")
            });
        } else if !served {
            // There was time left.
            return;
        }
        self.worst_us = self.worst_us.max(waited_us);
        findings.check();
    }

    fn judge_all(&mut self, end: At, findings: &mut Findings) {
        for pair in 0..self.waiting.len() {
            self.judge(end, pair, findings);
        }
    }
}

impl Checker for Served {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            _ if self.over => {}
            Event::ClientSubscribe { client, symbol, .. } => self.wait(at, *client, *symbol),
            Event::ClientUnsubscribe { .. } => {
                self.judge(at, at.pair as usize, findings);
                if let Some(waiting) = self.waiting.get_mut(at.pair as usize) {
                    *waiting = None;
                }
            }
            Event::ClientDeliver { .. } => self.judge(at, at.pair as usize, findings),
            Event::ClientClose { .. } => {
                for pair in self.pairs.get(at.client as usize).into_iter().flatten() {
                    self.waiting[*pair as usize] = None;
                }
            }
            Event::FaultStart { .. } | Event::FaultStop { .. } => {
                self.health.observe(at.us, event);
            }
            Event::Phase { phase: Phase::End } => {
                self.judge_all(At { pair: NONE, ..at }, findings);
                self.over = true;
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        self.judge_all(end, findings);
        format!(
            "{} us at most to the first tick against {} us",
            self.worst_us,
            self.at_most_us.saturating_add(self.facts.periods.longest_us())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    fn tape() -> Tape {
        Tape::new(r#"first-tick = { at-most = "2s" }"#).open(0, 0).subscribe(0, 0)
    }

    #[test]
    fn who_is_served_in_time_passes() {
        check(tape().after(2_000_000).deliver(0, 0, 1).after(9_000_000).deliver(0, 0, 2), Pass, 1);
    }

    #[test]
    fn who_is_served_late_or_never_fails() {
        check(tape().after(3_000_000).deliver(0, 0, 1), Fail, 1);
        check(tape().after(3_000_000), Fail, 1);
        check(tape().after(3_000_000).phase(Phase::End).after(9_000_000), Fail, 1);
    }

    #[test]
    fn who_leaves_or_is_slow_or_came_just_now_is_not_judged() {
        check(tape().after(1_000_000), Inconclusive, 0);
        check(tape().close_own(0).after(9_000_000), Inconclusive, 0);
        let slow = Tape::new(r#"first-tick = { at-most = "2s" }"#).open(9, 0).subscribe(9, 0);
        check(slow.after(9_000_000), Inconclusive, 0);
    }

    #[test]
    fn each_session_counts_anew() {
        let again = tape().deliver(0, 0, 1).close_own(0).session(1).open(0, 1).subscribe(0, 0);
        check(again.clone().after(1_000_000).deliver(0, 0, 9), Pass, 2);
        check(again.after(3_000_000), Fail, 2);
    }

    #[test]
    fn a_fault_on_a_source_excuses_nothing_while_another_is_well() {
        check(tape().fault(0, "mute", "source-0").after(3_000_000), Fail, 1);
        let both = tape().fault(0, "mute", "source-0").fault(1, "kill", "source-1").after(3_000_000);
        check(both.heal(1).deliver(0, 0, 1), Inconclusive, 0);
        check(tape().fault(0, "freeze", "proxy-0").after(3_000_000).deliver(0, 0, 1), Inconclusive, 0);
    }
}
