//! `fair-turns`: each symbol has its turn, also with a client that cannot take all.
//!
//! Of two symbols of a session, the one that had fewer messages must not be one that lacks some of its own: else it gave way to one that had its turn. That is max-min fairness. So it holds for
//! symbols that tick alike (who gets half of what comes gets half of each) and for a rare one beside a hot one (who gets half of what comes gets all of the rare one). A symbol is blamed that is more
//! than `apart-at-most` deliveries behind another and lacks more than `lacks-at-most` of its own ticks, counted since the last of the session's symbols came first: when it is delivered,
//! and at the end, where what was sent after the session's last delivery does not count. For runs in which none is lost with its leg and no session changes what it wants.

use std::collections::{BTreeMap, VecDeque};

use wire::event::{Event, Phase};
use wire::id::{ClientId, SessionId, Symbol};

use super::{At, Checker, FairTurns, Findings};

/// First sends of one symbol that are remembered.
const SENDS_MAX: usize = 1_024;

/// The checker. A check is a delivery.
pub(super) struct Turns {
    bound: FairTurns,
    over: bool,
    clients: Vec<Option<Counts>>,
    /// By dense number of the symbol: number and time of its newest ticks.
    sends: Vec<VecDeque<(u64, u64)>>,
    widest: u64,
}

/// Deliveries of one session.
struct Counts {
    client: ClientId,
    session: SessionId,
    /// By dense number of the symbol.
    turns: BTreeMap<u32, Turn>,
    /// The most deliveries of one symbol, and the event of the last of them.
    most: (u64, u64),
    last_us: u64,
}

/// One symbol of a session.
struct Turn {
    symbol: Symbol,
    count: u64,
    /// The number of the tick from which on it is counted.
    base: u64,
    last: u64,
    event: u64,
}

impl Turn {
    /// Ticks that it lacks of those up to this one.
    fn lacks(&self, n: u64) -> u64 {
        n.saturating_sub(self.base).saturating_sub(self.count)
    }
}

impl Turns {
    pub(super) fn new(bound: FairTurns) -> Self {
        Self { bound, over: false, clients: Vec::new(), sends: Vec::new(), widest: 0 }
    }

    fn sent(&mut self, at: At, n: u64) {
        let number = at.symbol as usize;
        if self.sends.len() <= number {
            self.sends.resize_with(number + 1, VecDeque::new);
        }
        let sends = &mut self.sends[number];
        // Each instance sends it: the first counts.
        if sends.back().is_none_or(|(newest, _)| *newest < n) {
            sends.push_back((n, at.us));
            if sends.len() > SENDS_MAX {
                sends.pop_front();
            }
        }
    }

    /// The newest tick of a symbol that was sent by then.
    fn newest(&self, symbol: u32, us: u64) -> Option<u64> {
        let sends = self.sends.get(symbol as usize)?;
        let later = sends.partition_point(|(_, sent_us)| *sent_us <= us);
        sends.get(later.checked_sub(1)?).map(|(n, _)| *n)
    }

    /// How far a symbol is behind, if it is so unfairly.
    fn unfair(bound: FairTurns, counts: &Counts, turn: &Turn, n: u64) -> Option<u64> {
        let behind = counts.most.0.saturating_sub(turn.count);
        (behind > bound.apart_at_most && turn.lacks(n) > bound.lacks_at_most).then_some(behind)
    }

    fn end(&mut self, at: At, findings: &mut Findings) {
        self.over = true;
        for counts in self.clients.iter().flatten() {
            for (symbol, turn) in &counts.turns {
                let Some(newest) = self.newest(*symbol, counts.last_us) else { continue };
                if let Some(behind) = Self::unfair(self.bound, counts, turn, newest) {
                    self.widest = self.widest.max(behind);
                    blame(at, counts, turn, (behind, turn.lacks(newest)), findings);
                }
            }
        }
    }
}

fn blame(at: At, counts: &Counts, turn: &Turn, (behind, lacks): (u64, u64), findings: &mut Findings) {
    findings.violation(at, &[turn.event, counts.most.1], || {
        let Counts { client, session, .. } = counts;
        format!("{client} {session} lacks {lacks} messages of {}, and had {behind} more of another", turn.symbol)
    });
}

impl Counts {
    /// Counts a delivery.
    fn take(&mut self, at: At, symbol: Symbol, n: u64) {
        self.last_us = at.us;
        let Some(turn) = self.turns.get_mut(&at.symbol) else {
            // From here on they are compared.
            for turn in self.turns.values_mut() {
                (turn.count, turn.base) = (0, turn.last);
            }
            self.turns.insert(at.symbol, Turn { symbol, count: 0, base: n, last: n, event: at.event });
            self.most = (0, at.event);
            return;
        };
        (turn.count, turn.last, turn.event) = (turn.count + 1, n, at.event);
        if turn.count > self.most.0 {
            self.most = (turn.count, at.event);
        }
    }
}

impl Checker for Turns {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            _ if self.over => {}
            Event::Phase { phase: Phase::End } => self.end(at, findings),
            Event::SourceSend { n, .. } => self.sent(at, *n),
            Event::ClientDeliver { client, session, symbol, n, .. } => {
                let number = at.client as usize;
                if self.clients.len() <= number {
                    self.clients.resize_with(number + 1, || None);
                }
                let (client, session) = (*client, *session);
                let new = || Counts { client, session, turns: BTreeMap::new(), most: (0, 0), last_us: at.us };
                let counts = self.clients[number].get_or_insert_with(new);
                if counts.session != session {
                    *counts = new();
                }
                findings.check();
                counts.take(at, *symbol, *n);
                let Some(turn) = counts.turns.get(&at.symbol) else { return };
                if let Some(behind) = Self::unfair(self.bound, counts, turn, *n) {
                    self.widest = self.widest.max(behind);
                    blame(at, counts, turn, (behind, turn.lacks(*n)), findings);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        if !self.over {
            self.end(end, findings);
        }
        let (widest, FairTurns { apart_at_most, lacks_at_most, .. }) = (self.widest, self.bound);
        if widest == 0 {
            let checked = findings.checked();
            return format!(
                "in {checked} deliveries no symbol that lacked more than {lacks_at_most} was more than {apart_at_most} behind"
            );
        }
        format!(
            "a symbol that lacked more than {lacks_at_most} messages was {widest} behind another, {apart_at_most} are allowed"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    fn tape() -> Tape {
        Tape::new("fair-turns = { apart-at-most = 2, lacks-at-most = 1 }").open(0, 0)
    }

    /// Both symbols tick alike, and the client gets every tenth of each; then only the first, until a last one of the second.
    fn alike(alone: u64) -> Tape {
        let turns = (1..=9).fold(tape(), |tape, n| tape.deliver(0, 0, n * 10).deliver(0, 1, n * 10));
        (10..10 + alone).fold(turns, |tape, n| tape.deliver(0, 0, n * 10)).deliver(0, 1, (9 + alone) * 10)
    }

    #[test]
    fn who_gets_a_part_of_each_passes_and_a_symbol_that_waits_for_another_fails() {
        check(alike(1), Pass, 20);
        check(alike(3), Pass, 22);
        let found = check(alike(4), Fail, 23);
        assert!(found.violations[0].message.contains("had 3 more of another"), "{:?}", found.violations);
    }

    /// A hot symbol, and a rare one of which these ticks come.
    fn rare(ticks: &[u64]) -> Tape {
        let tape = tape().deliver(0, 0, 0).deliver(0, 1, 0);
        ticks.iter().fold(tape, |tape, n| {
            let hot = (n * 100 - 99..=n * 100).step_by(5);
            hot.fold(tape, |tape, n| tape.deliver(0, 0, n)).deliver(0, 1, *n)
        })
    }

    #[test]
    fn a_rare_symbol_that_lacks_nothing_is_as_far_behind_as_it_is_rare() {
        check(rare(&[1, 2, 3, 4]), Pass, 86);
        check(rare(&[1, 3, 4]), Pass, 65);
        check(rare(&[1, 3, 5]), Fail, 65);
    }

    #[test]
    fn a_symbol_that_never_comes_again_fails_at_the_end_and_what_is_sent_to_a_sleeper_does_not_count() {
        let sent = |tape: Tape| (1..=3).fold(tape, |tape, n| tape.after(1_000).send(0, 0, 1, n));
        let hot = |tape: Tape| (1..=9).fold(tape, |tape, n| tape.deliver(0, 0, n));
        check(hot(sent(rare(&[]))), Fail, 11);
        check(sent(hot(rare(&[]))), Pass, 11);
        check(hot(rare(&[]).after(1_000).send(0, 0, 1, 1)), Pass, 11);
    }

    #[test]
    fn symbols_are_compared_from_the_last_that_began_and_within_a_session() {
        let alone = (1..=9).fold(tape(), |tape, n| tape.deliver(0, 0, n));
        check(alone.clone().deliver(0, 1, 9).deliver(0, 0, 10), Pass, 11);
        let again = alone.deliver(0, 1, 9).session(1).open(0, 1).deliver(0, 0, 10);
        check((11..=13).fold(again, |tape, n| tape.deliver(0, 0, n)), Pass, 14);
        check(tape(), Inconclusive, 0);
    }
}
