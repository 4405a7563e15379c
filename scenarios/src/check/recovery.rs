//! `recovery`: how long it takes after the faults until everyone is live and caught up, measured, with a budget.
//!
//! ```text
//!   fault --- fault ---| heal ........ everyone live and caught up ...............| next fault, or the end
//!                      '-- recovery --'
//!                      '------------------- a calm stretch ----------------------'
//! ```
//!
//! A calm stretch begins when the last fault in force ends (where some last to the end of the run: with the phase of recovery). **Live** is a client with an open
//! session. **Caught up** it is on a symbol with the first delivery of a tick that a source first sent in the stretch. The recovery is over when both hold of
//! every client that was there before and every symbol of which it has had a tick; a session that is lost in the stretch makes its client begin anew.
//!
//! A symbol that a client takes up within a session in the stretch is waited for from then on.
//!
//! Not asked for: slow clients; a symbol that is given back; who leaves by itself or is turned away by admission in the stretch; a symbol that is denied. A stretch that ends before the
//! budget does, and before the recovery, is not judged. The budget is `within` and one period of the sources: a tick must be due before it can come.

use std::collections::BTreeSet;

use wire::event::{Event, Phase, Side};
use wire::id::{ClientId, SessionId, Symbol};

use super::{At, Checker, Facts, Findings, Origin, Recovery};

/// The checker. A check is a client, or one of its symbols, in a stretch that is judged.
pub(super) struct Recovered {
    /// A symbol's period is added to it.
    within_us: u64,
    facts: Facts,
    faults: BTreeSet<u16>,
    calm: Option<Calm>,
    clients: Vec<Option<Client>>,
    pairs: Vec<Option<Pair>>,
    stretches: u64,
    unjudged: u64,
    worst_us: Option<u64>,
    over: bool,
}

#[derive(Clone, Copy)]
struct Calm {
    since_us: u64,
    /// The event with which it began.
    event: u64,
}

struct Client {
    client: ClientId,
    slow: bool,
    /// It dialled first in this stretch, left or was turned away in it: it is not asked for.
    excused: bool,
    open: Option<(SessionId, u64)>,
    event: u64,
}

struct Pair {
    client: u32,
    symbol: Symbol,
    session: SessionId,
    /// It has had a tick, in whatever session.
    had: bool,
    denied: bool,
    /// It is asked for from here on, or from the beginning of the stretch if that is later.
    since_us: u64,
    /// The first delivery of a tick of this stretch.
    caught_us: Option<u64>,
    event: u64,
}

impl Recovered {
    pub(super) fn new(bound: Recovery, facts: &Facts) -> Self {
        Self {
            within_us: bound.within.as_micros(),
            facts: facts.clone(),
            faults: BTreeSet::new(),
            calm: None,
            clients: Vec::new(),
            pairs: Vec::new(),
            stretches: 0,
            unjudged: 0,
            worst_us: None,
            over: false,
        }
    }

    fn begin(&mut self, at: At) {
        self.calm = Some(Calm { since_us: at.us, event: at.event });
        for client in self.clients.iter_mut().flatten() {
            // Who is away by its own will has nothing to recover from.
            client.excused &= client.open.is_none();
        }
        for pair in self.pairs.iter_mut().flatten() {
            pair.caught_us = None;
        }
    }

    fn client(&mut self, at: At, client: ClientId) -> &mut Client {
        let number = at.client as usize;
        if self.clients.len() <= number {
            self.clients.resize_with(number + 1, || None);
        }
        let slow = self.facts.is_slow(client.0);
        // Until it is open for the first time nobody waits for it.
        let fresh = || Client { client, slow, excused: true, open: None, event: at.event };
        let client = self.clients[number].get_or_insert_with(fresh);
        client.event = at.event;
        client
    }

    /// What a symbol may take; none: the one that ticks least often, and a session.
    fn budget_us(&self, symbol: Option<Symbol>) -> u64 {
        let periods = &self.facts.periods;
        self.within_us.saturating_add(symbol.map_or(periods.longest_us(), |symbol| periods.of_us(symbol)))
    }

    /// The stretch is over.
    fn judge(&mut self, at: At, findings: &mut Findings) {
        let Some(calm) = self.calm.take() else { return };
        let length_us = at.us - calm.since_us;
        // What each took; None: it had not recovered when the stretch ended.
        let mut took: Vec<(Option<u64>, u64, ClientId, Option<Symbol>)> = Vec::new();
        let asked = |client: &&Client| !client.slow && !client.excused;
        for client in self.clients.iter().flatten().filter(asked) {
            let open = client.open.map(|(_, us)| us.saturating_sub(calm.since_us));
            took.push((open, client.event, client.client, None));
        }
        for pair in self.pairs.iter().flatten().filter(|pair| pair.had && !pair.denied) {
            let client = self.clients.get(pair.client as usize).and_then(Option::as_ref).filter(asked);
            let Some(client) = client.filter(|it| it.open.is_some_and(|(session, _)| session == pair.session)) else {
                continue;
            };
            let since_us = pair.since_us.max(calm.since_us);
            if pair.caught_us.is_none()
                && since_us > calm.since_us
                && at.us - since_us < self.budget_us(Some(pair.symbol))
            {
                // Asked for of its own will, and too late to say.
                continue;
            }
            let caught = pair.caught_us.map(|us| us.saturating_sub(since_us));
            took.push((caught, pair.event, client.client, Some(pair.symbol)));
        }
        if took.is_empty() {
            return;
        }
        let whole = took.iter().all(|it| it.0.is_some());
        if !whole && length_us < self.budget_us(None) {
            self.unjudged += 1;
            return;
        }
        self.stretches += 1;
        let worst = took.iter().map(|it| it.0.unwrap_or(length_us)).max();
        self.worst_us = self.worst_us.max(worst);
        for (us, event, client, symbol) in took {
            findings.check();
            let budget_us = self.budget_us(symbol);
            if us.is_some_and(|us| us <= budget_us) {
                continue;
            }
            findings.violation(at, &[calm.event, event], || {
                let what = match (us, symbol) {
                    (None, None) => format!("had no session {length_us} us"),
                    (None, Some(symbol)) => format!("had nothing new of {symbol} {length_us} us"),
                    (Some(us), None) => format!("had a session only {us} us"),
                    (Some(us), Some(symbol)) => format!("had something new of {symbol} only {us} us"),
                };
                format!("{client} {what} after the last fault; the budget is {budget_us} us with one period")
            });
        }
    }
}

impl Checker for Recovered {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        if self.over {
            return;
        }
        match event {
            Event::ClientDeliver { session, .. } => {
                let Some(Some(pair)) = self.pairs.get_mut(at.pair as usize) else { return };
                if pair.session != *session {
                    return;
                }
                pair.had = true;
                pair.denied = false;
                if pair.caught_us.is_none()
                    && let (Some(calm), Origin::Sent { us, .. }) = (self.calm, at.origin)
                    && us >= calm.since_us
                {
                    (pair.caught_us, pair.event) = (Some(at.us), at.event);
                }
            }
            Event::ClientSubscribe { session, symbol, .. } => {
                let number = at.pair as usize;
                if self.pairs.len() <= number {
                    self.pairs.resize_with(number + 1, || None);
                }
                let before = self.pairs[number].as_ref();
                let had = before.is_some_and(|pair| pair.had);
                // A session that was lost is no excuse; who asks anew of its own will waits from then on.
                let lost = before.is_some_and(|pair| pair.had && pair.session != *session);
                let since_us = if lost { 0 } else { at.us };
                let (client, symbol, session, event) = (at.client, *symbol, *session, at.event);
                let caught_us = None;
                self.pairs[number] =
                    Some(Pair { client, symbol, session, had, denied: false, since_us, caught_us, event });
            }
            Event::ClientUnsubscribe { session, .. } => {
                if let Some(place) = self.pairs.get_mut(at.pair as usize)
                    && place.as_ref().is_some_and(|pair| pair.session == *session)
                {
                    *place = None;
                }
            }
            Event::ClientAnswer { accepted, .. } => {
                if let Some(Some(pair)) = self.pairs.get_mut(at.pair as usize) {
                    pair.denied = !accepted;
                }
            }
            Event::ClientDial { client, .. } => {
                self.client(at, *client);
            }
            Event::ClientOpen { client, session, .. } => {
                let calm = self.calm.is_some();
                let client = self.client(at, *client);
                client.open = Some((*session, at.us));
                // One that comes in a stretch is asked for from the next one on.
                client.excused &= calm;
            }
            Event::ClientRefused { client, status, .. } => {
                let turned_away = matches!(status, 503 | 429);
                let client = self.client(at, *client);
                client.open = None;
                client.excused |= turned_away;
            }
            Event::ClientClose { client, by, .. } => {
                let client = self.client(at, *client);
                client.open = None;
                client.excused |= *by == Side::Own;
            }
            Event::FaultStart { fault, .. } => {
                self.judge(at, findings);
                self.faults.insert(*fault);
            }
            Event::FaultStop { fault } => {
                self.faults.remove(fault);
                if self.faults.is_empty() && self.calm.is_none() {
                    self.begin(at);
                }
            }
            // What is in force now lasts to the end.
            Event::Phase { phase: Phase::Recovery } if !self.faults.is_empty() && self.calm.is_none() => self.begin(at),
            Event::Phase { phase: Phase::End } => {
                self.judge(at, findings);
                self.over = true;
            }
            _ => {}
        }
    }

    fn measured_us(&self) -> Option<u64> {
        self.worst_us
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        if !self.over {
            self.judge(end, findings);
        }
        match self.worst_us {
            Some(us) => format!(
                "the slowest of {} recoveries took {us} us, of {} us with one period; {} were cut short by the next fault",
                self.stretches,
                self.budget_us(None),
                self.unjudged
            ),
            None => format!("no recovery was seen to its end; {} were cut short", self.unjudged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    /// A client that has had a tick, and a fault that is over. Ticks are 100 ms apart, so that the budget is 600 ms.
    fn tape() -> Tape {
        let tape = Tape::new(r#"recovery = { within = "500ms" }"#).dial(0).open(0, 0).subscribe(0, 0);
        tape.send(0, 0, 0, 1)
            .deliver(0, 0, 1)
            .fault(0, "stall", "proxy-0/source-0")
            .after(100_000)
            .send(0, 0, 0, 2)
            .heal(0)
    }

    #[test]
    fn what_was_sent_after_the_fault_must_come_within_the_budget() {
        let good = tape().after(100_000).send(0, 0, 0, 3).after(100_000).deliver(0, 0, 3).after(1_000_000);
        let found = check(good.clone(), Pass, 2);
        assert!(found.summary.contains("the slowest of 1 recoveries took 200"), "{}", found.summary);
        check(good.phase(Phase::End), Pass, 2);
        check(tape().after(700_000).send(0, 0, 0, 3).deliver(0, 0, 3).after(1_000_000), Fail, 2);
    }

    #[test]
    fn what_was_sent_before_the_end_of_the_fault_does_not_count() {
        check(tape().deliver(0, 0, 2).after(1_000_000), Fail, 2);
    }

    #[test]
    fn a_client_without_a_session_fails_and_one_that_comes_back_begins_anew() {
        check(tape().close_by_peer(0, None).after(1_000_000), Fail, 1);
        let back = tape().send(0, 0, 0, 3).deliver(0, 0, 3).close_by_peer(0, None).session(1).dial(0).open(0, 1);
        let back = back.subscribe(0, 0);
        check(back.clone().after(1_000_000), Fail, 2);
        check(back.send(0, 0, 0, 4).deliver(0, 0, 4).after(1_000_000), Pass, 2);
    }

    #[test]
    fn a_stretch_that_the_next_fault_cuts_short_is_not_judged() {
        let next = |tape: Tape| tape.fault(1, "stall", "proxy-0/source-0").after(2_000_000);
        check(next(tape().after(300_000)), Inconclusive, 0);
        check(next(tape().after(700_000)), Fail, 2);
        check(next(tape().send(0, 0, 0, 3).deliver(0, 0, 3)), Pass, 2);
    }

    #[test]
    fn who_is_not_asked_for_is_not_missed() {
        // Who leaves, is turned away, comes later, or is slow.
        check(tape().close_own(0).after(1_000_000), Inconclusive, 0);
        check(tape().close_by_peer(0, None).refused(0, 503).after(1_000_000), Inconclusive, 0);
        let good = tape().send(0, 0, 0, 3).deliver(0, 0, 3);
        check(good.clone().dial(1).open(1, 0).subscribe(1, 0).after(1_000_000), Pass, 2);
        check(good.clone().dial(9).open(9, 0).subscribe(9, 0).after(1_000_000), Pass, 2);
        // And a symbol that is denied.
        check(tape().answered(0, 0, false).after(1_000_000), Pass, 1);
    }

    #[test]
    fn who_gives_a_symbol_back_does_not_wait_for_it_and_who_takes_one_up_waits_from_then_on() {
        check(tape().unsubscribe(0, 0).after(1_000_000), Pass, 1);
        let again = |tape: Tape| tape.after(1_000_000).unsubscribe(0, 0).subscribe(0, 0);
        let good = tape().send(0, 0, 0, 3).deliver(0, 0, 3);
        check(again(good.clone()).after(200_000), Pass, 1);
        check(again(good.clone()).after(200_000).send(0, 0, 0, 4).deliver(0, 0, 4).after(500_000), Pass, 2);
        check(again(good.clone()).after(700_000).send(0, 0, 0, 4).deliver(0, 0, 4).after(500_000), Fail, 2);
        // Without giving it back first.
        let twice = good.after(1_000_000).subscribe(0, 0);
        check(twice.clone().after(100_000), Pass, 1);
        check(twice.after(700_000), Fail, 2);
    }

    #[test]
    fn where_a_fault_lasts_the_recovery_begins_with_its_phase() {
        let lasting = |tape: Tape| tape.fault(1, "kill", "source-1").after(900_000).phase(Phase::Recovery);
        let good = tape().send(0, 0, 0, 3).deliver(0, 0, 3);
        check(lasting(good.clone()).after(1_000_000), Fail, 4);
        check(lasting(good).send(0, 0, 0, 4).deliver(0, 0, 4).after(1_000_000), Pass, 4);
    }
}
