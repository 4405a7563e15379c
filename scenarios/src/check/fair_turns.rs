//! `fair-turns`: each symbol has its turn, also with a client that cannot take all.
//!
//! Within a session the numbers of deliveries of its symbols, counted since the last of them came first, never differ by more than the bound. For sources whose
//! symbols all tick alike, and runs in which none is lost with its leg: then whoever gets everything gets equally much of each, and who gets a part should, too.

use std::collections::BTreeMap;

use wire::event::{Event, Phase};
use wire::id::SessionId;

use super::{At, Checker, FairTurns, Findings};

/// The checker. A check is a delivery.
pub(super) struct Turns {
    apart_max: u64,
    over: bool,
    clients: Vec<Option<Counts>>,
    widest: u64,
}

/// Deliveries of one session.
struct Counts {
    session: SessionId,
    /// By dense number of the symbol; with the event that came last.
    symbols: BTreeMap<u32, (u64, u64)>,
    /// No symbol has had fewer.
    least: u64,
}

impl Turns {
    pub(super) fn new(bound: FairTurns) -> Self {
        Self { apart_max: bound.apart_at_most, over: false, clients: Vec::new(), widest: 0 }
    }
}

impl Counts {
    /// Counts a delivery; how far the symbol is ahead of the one that has had least, and that one's last event.
    fn take(&mut self, at: At, apart_max: u64) -> (u64, u64) {
        let Some((count, event)) = self.symbols.get_mut(&at.symbol) else {
            // From here on they are compared.
            self.symbols.values_mut().for_each(|(count, _)| *count = 0);
            self.symbols.insert(at.symbol, (0, at.event));
            self.least = 0;
            return (0, at.event);
        };
        (*count, *event) = (*count + 1, at.event);
        let count = *count;
        let mut behind = at.event;
        if count > self.least + apart_max {
            let least = self.symbols.values().min().copied().unwrap_or_default();
            (self.least, behind) = least;
        }
        (count.saturating_sub(self.least), behind)
    }
}

impl Checker for Turns {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::Phase { phase: Phase::End } => self.over = true,
            Event::ClientDeliver { client, session, symbol, .. } if !self.over => {
                let number = at.client as usize;
                if self.clients.len() <= number {
                    self.clients.resize_with(number + 1, || None);
                }
                let new = || Counts { session: *session, symbols: BTreeMap::new(), least: 0 };
                let counts = self.clients[number].get_or_insert_with(new);
                if counts.session != *session {
                    *counts = new();
                }
                findings.check();
                let (apart, behind) = counts.take(at, self.apart_max);
                if apart > self.apart_max {
                    self.widest = self.widest.max(apart);
                    let most = self.apart_max;
                    findings.violation(at, &[behind], || {
                        format!("{client} {session} has had {apart} messages more of {symbol} than of another, {most} are allowed")
                    });
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        let Self { widest, apart_max, .. } = self;
        if *widest == 0 {
            return format!("in {} deliveries no symbol was more than {apart_max} ahead", findings.checked());
        }
        format!("a symbol was {widest} messages ahead of another, {apart_max} are allowed")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    fn tape() -> Tape {
        Tape::new("fair-turns = { apart-at-most = 2 }").open(0, 0)
    }

    #[test]
    fn turns_pass_and_a_symbol_that_waits_for_ever_fails() {
        let turns = (1..=9).fold(tape(), |tape, n| tape.deliver(0, 0, n * 10).deliver(0, 1, n * 10));
        check(turns.clone().deliver(0, 0, 100).deliver(0, 0, 101), Pass, 20);
        check(turns.deliver(0, 0, 100).deliver(0, 0, 101).deliver(0, 0, 102), Fail, 21);
    }

    #[test]
    fn symbols_are_compared_from_the_last_that_began_and_within_a_session() {
        let alone = (1..=9).fold(tape(), |tape, n| tape.deliver(0, 0, n));
        check(alone.clone().deliver(0, 1, 9).deliver(0, 0, 10), Pass, 11);
        check(
            alone
                .deliver(0, 1, 9)
                .session(1)
                .open(0, 1)
                .deliver(0, 0, 10)
                .deliver(0, 0, 11)
                .deliver(0, 0, 12)
                .deliver(0, 0, 13),
            Pass,
            14,
        );
        check(tape(), Inconclusive, 0);
    }
}
