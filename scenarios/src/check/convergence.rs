//! `convergence`: when the faults are over, everything comes right within the bound.
//!
//! Judged once, at the end of the run (the entry into the phase End, else the end of the record), if the recovery has lasted for `within`:
//! - every client that came and did not leave by itself has an open session (unless admission turned it away last, or it dialled within the bound);
//! - on every subscription older than the bound, the client has at least the newest tick that a source first sent in the recovery and more than the bound
//!   ago: nothing older is outstanding.
//!
//! Clients that are slow or hostile on purpose are not judged, nor is a symbol of which a client was last told that it is denied (v2): it may be had of another source.

use std::collections::VecDeque;

use wire::event::{Event, Phase, Side, Why};
use wire::id::{ClientId, SessionId, Symbol};

use super::{At, Checker, Convergence, Facts, Findings, Origin};

/// Ticks of one symbol younger than the bound that are remembered.
const YOUNG_MAX: usize = 4_096;

/// The checker. A check is a client, or one of its symbols, at the end.
pub(super) struct Converged {
    within_us: u64,
    facts: Facts,
    recovery_us: Option<u64>,
    symbols: Vec<Sent>,
    clients: Vec<Option<Client>>,
    pairs: Vec<Option<Pair>>,
    judged: Option<String>,
}

/// First sends of one symbol.
#[derive(Default)]
struct Sent {
    /// The newest tick that is older than the bound.
    old: Option<Tick>,
    young: VecDeque<Tick>,
}

#[derive(Clone, Copy)]
struct Tick {
    us: u64,
    n: u64,
    event: u64,
}

struct Client {
    client: ClientId,
    slow: bool,
    state: State,
    event: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Dialling(u64),
    Open(SessionId),
    Left,
    Lost,
    Refused,
}

struct Pair {
    client: u32,
    symbol: (u32, Symbol),
    session: SessionId,
    since_us: u64,
    /// The greatest n had, with the event's number.
    had: Option<(u64, u64)>,
    /// It was told that it may not have it.
    denied: bool,
}

impl Converged {
    pub(super) fn new(bound: Convergence, facts: &Facts) -> Self {
        Self {
            within_us: bound.within.as_micros(),
            facts: facts.clone(),
            recovery_us: None,
            symbols: Vec::new(),
            clients: Vec::new(),
            pairs: Vec::new(),
            judged: None,
        }
    }

    fn client(&mut self, at: At, client: ClientId, state: State) {
        let number = at.client as usize;
        if self.clients.len() <= number {
            self.clients.resize_with(number + 1, || None);
        }
        let slow = self.facts.is_slow(client.0) || self.facts.is_hostile(client.0);
        self.clients[number] = Some(Client { client, slow, state, event: at.event });
    }

    fn judge(&mut self, end: At, findings: &mut Findings) -> String {
        let Some(recovery_us) = self.recovery_us.filter(|since| since.saturating_add(self.within_us) <= end.us) else {
            return "the recovery was shorter than the bound".to_owned();
        };
        let old_us = end.us.saturating_sub(self.within_us);
        for sent in &mut self.symbols {
            sent.age(old_us);
        }
        let mut lost = 0_u64;
        for client in self.clients.iter().flatten().filter(|client| !client.slow) {
            match client.state {
                State::Left | State::Refused => continue,
                State::Dialling(since_us) if since_us > old_us => continue,
                State::Open(_) => findings.check(),
                State::Dialling(_) | State::Lost => {
                    findings.check();
                    lost += 1;
                    findings.violation(end, &[client.event], || format!("{} has no session at the end", client.client));
                }
            }
        }
        let mut behind = 0_u64;
        for pair in self.pairs.iter().flatten() {
            let Some(client) = self.clients.get(pair.client as usize).and_then(Option::as_ref) else { continue };
            if client.slow || pair.denied || client.state != State::Open(pair.session) || pair.since_us > old_us {
                continue;
            }
            let Some(tick) = self.symbols.get(pair.symbol.0 as usize).and_then(|sent| sent.old) else { continue };
            if tick.us < recovery_us {
                continue;
            }
            findings.check();
            if pair.had.is_none_or(|(n, _)| n < tick.n) {
                behind += 1;
                let last = pair.had.map(|(_, event)| event);
                let events = [last, Some(tick.event)];
                findings.violation(end, events.iter().flatten().copied().collect::<Vec<u64>>().as_slice(), || {
                    let had = pair.had.map_or_else(|| "nothing".to_owned(), |(n, _)| n.to_string());
                    let (client, symbol, age_us) = (client.client, pair.symbol.1, end.us - tick.us);
                    format!("{client} has {had} of {symbol} at the end; {} was sent {age_us} us ago", tick.n)
                });
            }
        }
        format!(
            "at the end {lost} clients without a session, {behind} subscriptions more than {} us behind",
            self.within_us
        )
    }
}

impl Sent {
    fn age(&mut self, old_us: u64) {
        while let Some(tick) = self.young.front().copied().filter(|tick| tick.us <= old_us) {
            self.young.pop_front();
            if self.old.is_none_or(|old| old.n < tick.n) {
                self.old = Some(tick);
            }
        }
    }
}

impl Checker for Converged {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        if self.judged.is_some() {
            return;
        }
        match event {
            Event::ClientDeliver { session, n, .. } => {
                if let Some(Some(pair)) = self.pairs.get_mut(at.pair as usize)
                    && pair.session == *session
                    && pair.had.is_none_or(|(had, _)| had < *n)
                {
                    pair.had = Some((*n, at.event));
                }
            }
            Event::SourceSend { n, .. } if at.origin == Origin::Never => {
                let number = at.symbol as usize;
                if self.symbols.len() <= number {
                    self.symbols.resize_with(number + 1, Sent::default);
                }
                let sent = &mut self.symbols[number];
                sent.age(at.us.saturating_sub(self.within_us));
                if sent.young.len() < YOUNG_MAX {
                    sent.young.push_back(Tick { us: at.us, n: *n, event: at.event });
                }
            }
            Event::ClientSubscribe { session, symbol, .. } => {
                let number = at.pair as usize;
                if self.pairs.len() <= number {
                    self.pairs.resize_with(number + 1, || None);
                }
                let (client, symbol, session) = (at.client, (at.symbol, *symbol), *session);
                self.pairs[number] = Some(Pair { client, symbol, session, since_us: at.us, had: None, denied: false });
            }
            Event::ClientAnswer { session, accepted, .. } => {
                if let Some(Some(pair)) = self.pairs.get_mut(at.pair as usize)
                    && pair.session == *session
                {
                    pair.denied = !accepted;
                }
            }
            Event::ClientUnsubscribe { .. } => {
                if let Some(pair) = self.pairs.get_mut(at.pair as usize) {
                    *pair = None;
                }
            }
            Event::ClientDial { client, .. } => self.client(at, *client, State::Dialling(at.us)),
            Event::ClientOpen { client, session, .. } => self.client(at, *client, State::Open(*session)),
            Event::ClientRefused { client, status: 503 | 429, .. } => self.client(at, *client, State::Refused),
            // It left before it was in.
            Event::ClientRefused { client, why: Why::Shutdown, .. } => self.client(at, *client, State::Left),
            Event::ClientRefused { client, .. } => self.client(at, *client, State::Lost),
            Event::ClientClose { client, by, .. } => {
                let state = if *by == Side::Own { State::Left } else { State::Lost };
                self.client(at, *client, state);
            }
            Event::Phase { phase: Phase::Recovery } => self.recovery_us = Some(at.us),
            Event::Phase { phase: Phase::End } => self.judged = Some(self.judge(at, findings)),
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        self.judged.take().unwrap_or_else(|| self.judge(end, findings))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::{Event, Phase, Why};
    use wire::id::{ClientId, SessionId};

    fn tape() -> Tape {
        let tape = Tape::new(r#"convergence = { within = "1s" }"#).dial(0).open(0, 0).subscribe(0, 0);
        tape.phase(Phase::Recovery).after(100_000).send(0, 0, 0, 7)
    }

    #[test]
    fn a_client_that_is_open_and_caught_up_passes() {
        check(tape().deliver(0, 0, 7).after(1_500_000).phase(Phase::End), Pass, 2);
        check(tape().deliver(0, 0, 7).after(1_500_000), Pass, 2);
    }

    #[test]
    fn what_is_younger_than_the_bound_may_be_outstanding() {
        check(tape().deliver(0, 0, 7).after(800_000).send(0, 0, 0, 8).after(900_000), Pass, 2);
        check(tape().deliver(0, 0, 7).after(800_000).send(0, 0, 0, 8).after(1_100_000), Fail, 2);
    }

    #[test]
    fn a_client_that_is_behind_fails() {
        check(tape().after(1_500_000).phase(Phase::End).deliver(0, 0, 7), Fail, 2);
        check(tape().deliver(0, 0, 6).after(1_500_000), Fail, 2);
    }

    #[test]
    fn a_client_without_a_session_fails() {
        check(tape().deliver(0, 0, 7).close_by_peer(0, None).after(1_500_000), Fail, 1);
        check(tape().close_by_peer(0, None).dial(0).after(1_500_000), Fail, 1);
        check(tape().close_by_peer(0, None).refused(0, 0).after(1_500_000), Fail, 1);
    }

    #[test]
    fn who_left_or_was_turned_away_or_is_slow_is_not_missed() {
        check(tape().close_own(0).after(1_500_000), Inconclusive, 0);
        let (client, session) = (ClientId(0), SessionId(1));
        let gone = Event::ClientRefused { client, session, status: 0, why: Why::Shutdown };
        check(tape().close_by_peer(0, None).dial(0).push(gone).after(1_500_000), Inconclusive, 0);
        check(tape().close_by_peer(0, None).refused(0, 503).after(1_500_000), Inconclusive, 0);
        check(tape().deliver(0, 0, 7).open(9, 0).subscribe(9, 0).after(1_500_000), Pass, 2);
    }

    #[test]
    fn what_a_client_was_told_it_may_not_have_is_not_missed() {
        check(tape().answered(0, 0, false).after(1_500_000), Pass, 1);
        check(tape().answered(0, 0, true).after(1_500_000), Fail, 2);
        // Told otherwise since.
        check(tape().answered(0, 0, false).answered(0, 0, true).after(1_500_000), Fail, 2);
    }

    #[test]
    fn a_recovery_shorter_than_the_bound_is_inconclusive() {
        check(tape().after(500_000).phase(Phase::End), Inconclusive, 0);
    }
}
