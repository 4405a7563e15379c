//! `no-leakage`: a client gets only what it asked for, only while its session is open, and nothing of a symbol that it was told is denied. Of an echo it gets the answers
//! to what it said, and no piece of what another said.

use std::collections::BTreeSet;
use std::ops::Range;

use wire::event::Event;
use wire::id::SessionId;

use super::{At, Checker, Facts, Findings};

/// How long after a symbol was given up, or after a fault ended, what was on the way may still come.
const ON_THE_WAY_US: u64 = 250_000;

/// How long after a fault ended bytes may still wait for being sent again; after one that lasted longer, see [`Held`].
const RESENT_US: u64 = 3_000_000;

/// By how much more than all that it has waited for already what was lost may wait once more: a retransmission time-out, and the way.
const RESENT_AGAIN_US: u64 = 1_000_000;

/// The checker. A check is a delivery, a gap notice, an answer to a resume or an answer of an echo.
#[derive(Default)]
pub(super) struct Private {
    /// The open session by client.
    open: Vec<Option<SessionId>>,
    /// The session that subscribed, by (client, symbol).
    subscribed: Vec<Option<SessionId>>,
    /// The session that was told last that it is denied, by (client, symbol). Not under the strong contract, where data says that it no longer is.
    denied: Vec<Option<SessionId>>,
    /// The newest session under the strong contract, by client.
    strong: Vec<Option<SessionId>>,
    /// The session that gave the symbol up, and when, by (client, symbol).
    given_up: Vec<Option<(SessionId, u64)>>,
    /// Clients that read slowly: for them it may be on the way for long.
    slow: Vec<Range<u32>>,
    /// What faults hold up may be on the way for long.
    held: Held,
}

/// How long faults hold up what is on the way.
///
/// What was lost is sent again at intervals that double, so that the next try may be as far away as the whole outage was long:
///
/// ```text
///   fault        |-------------------|
///   tries        |.|..|....|........|................|
///   it may come   ----------------------------------->
/// ```
#[derive(Default)]
struct Held {
    /// How many are in force, and when one ended last.
    faults: (u32, u64),
    /// Those in force that are on the way to clients, by their numbers.
    near: BTreeSet<u16>,
    /// Since when such faults follow so closely that what the first of them has lost may not have come before the next.
    since_us: u64,
    /// Until when, after the last of them, it may not have come.
    until_us: u64,
}

impl Held {
    fn begin(&mut self, us: u64, fault: u16, target: &str) {
        self.faults.0 += 1;
        // What a source's link holds up, its proxy has not: it asks nobody whether it may pass it on.
        if !target.contains("source-") {
            if self.near.is_empty() && us > self.until_us {
                self.since_us = us;
            }
            self.near.insert(fault);
        }
    }

    fn end(&mut self, us: u64, fault: u16) {
        self.faults = (self.faults.0.saturating_sub(1), us);
        if self.near.remove(&fault) {
            self.until_us = us + us.saturating_sub(self.since_us) + RESENT_AGAIN_US;
        }
    }

    /// Whether something may be held up.
    fn is(&self, us: u64) -> bool {
        let (faults, ended_us) = self.faults;
        faults > 0 || ended_us > 0 && us < self.until_us.max(ended_us.saturating_add(RESENT_US))
    }
}

impl Private {
    pub(super) fn new(facts: &Facts) -> Self {
        Self { slow: facts.slow_clients.clone(), ..Self::default() }
    }

    fn give_up(&mut self, pair: u32, given_up: Option<(SessionId, u64)>) {
        let pair = pair as usize;
        if self.given_up.len() <= pair {
            self.given_up.resize(pair + 1, None);
        }
        self.given_up[pair] = given_up;
    }

    /// When the session gave the symbol up, if it has not taken it up again.
    fn given_up(&self, pair: u32, session: SessionId) -> Option<u64> {
        let (by, us) = self.given_up.get(pair as usize).copied().flatten()?;
        (by == session).then_some(us)
    }

    /// Whether what was on the way at this time may still come.
    fn may_come(&self, since_us: u64, now_us: u64) -> bool {
        self.held.is(now_us) || now_us <= since_us.saturating_add(ON_THE_WAY_US)
    }
}

impl Checker for Private {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ClientOpen { session, strong, .. } => {
                set(&mut self.open, at.client, Some(*session));
                set(&mut self.strong, at.client, strong.then_some(*session));
            }
            Event::ClientClose { .. } => set(&mut self.open, at.client, None),
            Event::FaultStart { fault, target, .. } => self.held.begin(at.us, *fault, target),
            Event::FaultStop { fault } => self.held.end(at.us, *fault),
            Event::ClientSubscribe { session, .. } => {
                set(&mut self.subscribed, at.pair, Some(*session));
                self.give_up(at.pair, None);
            }
            Event::ClientUnsubscribe { session, .. } => self.give_up(at.pair, Some((*session, at.us))),
            Event::ClientAnswer { session, accepted, .. } => {
                let told = !accepted && get(&self.strong, at.client) != Some(*session);
                set(&mut self.denied, at.pair, told.then_some(*session));
            }
            Event::ClientDeliver { client, session, symbol, .. }
            | Event::ClientGap { client, session, symbol, .. }
            | Event::ClientResumed { client, session, symbol, .. } => {
                findings.check();
                if get(&self.open, at.client) != Some(*session) {
                    findings.violation(at, &[], || format!("{client} got {symbol} in {session}, which is not open"));
                } else if get(&self.subscribed, at.pair) != Some(*session) {
                    findings.violation(at, &[], || format!("{client} {session} got {symbol} without asking for it"));
                } else if let Some(since_us) = self.given_up(at.pair, *session)
                    && !self.may_come(since_us, at.us)
                    && !self.slow.iter().any(|range| range.contains(&client.0))
                {
                    findings.violation(at, &[], || {
                        format!("{client} {session} got {symbol}, which it gave up {} us before", at.us - since_us)
                    });
                } else if get(&self.denied, at.pair) == Some(*session) {
                    findings.violation(at, &[], || format!("{client} {session} got {symbol}, which it is denied"));
                }
            }
            Event::ClientEcho { client, session, n, .. } => {
                findings.check();
                if get(&self.open, at.client) != Some(*session) {
                    findings.violation(at, &[], || format!("{client} got answer {n} in {session}, which is not open"));
                }
            }
            Event::ClientGarbled { client, session, of: Some(of), .. } => {
                findings.check();
                findings.violation(at, &[], || format!("{client} {session} got a piece of what {of} said"));
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!("{} of {} deliveries were not asked for", findings.broken(), findings.checked())
    }
}

fn set(sessions: &mut Vec<Option<SessionId>>, number: u32, session: Option<SessionId>) {
    let number = number as usize;
    if sessions.len() <= number {
        sessions.resize(number + 1, None);
    }
    sessions[number] = session;
}

fn get(sessions: &[Option<SessionId>], number: u32) -> Option<SessionId> {
    sessions.get(number as usize).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Event;
    use wire::id::{ClientId, SessionId};

    fn tape() -> Tape {
        Tape::new("no-leakage = {}")
    }

    #[test]
    fn what_was_asked_for_passes() {
        check(tape().open(0, 0).subscribe(0, 0).deliver(0, 0, 1).deliver(0, 0, 2), Pass, 2);
    }

    #[test]
    fn another_symbol_fails() {
        check(tape().open(0, 0).subscribe(0, 0).deliver(0, 1, 1), Fail, 1);
        check(tape().open(0, 0).subscribe(0, 0).open(1, 0).deliver(1, 0, 1), Fail, 1);
    }

    #[test]
    fn a_closed_or_unopened_session_fails() {
        check(tape().subscribe(0, 0).deliver(0, 0, 1), Fail, 1);
        check(tape().open(0, 0).subscribe(0, 0).close_by_peer(0, None).deliver(0, 0, 1), Fail, 1);
    }

    #[test]
    fn a_subscription_ends_with_its_session() {
        check(tape().open(0, 0).subscribe(0, 0).close_by_peer(0, None).session(1).open(0, 1).deliver(0, 0, 1), Fail, 1);
    }

    #[test]
    fn what_is_denied_fails_until_it_is_accepted() {
        let denied = tape().open(0, 0).subscribe(0, 0).answered(0, 0, false);
        check(denied.clone().deliver(0, 0, 1), Fail, 1);
        check(denied.answered(0, 0, true).deliver(0, 0, 1), Pass, 1);
    }

    #[test]
    fn what_was_given_up_fails_unless_it_was_on_the_way_or_is_taken_up_again() {
        let gone = tape().open(0, 0).subscribe(0, 0).unsubscribe(0, 0);
        check(gone.clone().after(200_000).deliver(0, 0, 1), Pass, 1);
        check(gone.clone().after(300_000).deliver(0, 0, 1), Fail, 1);
        check(gone.after(300_000).subscribe(0, 0).deliver(0, 0, 1), Pass, 1);
    }

    #[test]
    fn a_piece_of_another_s_conversation_fails() {
        let (client, session) = (ClientId(0), SessionId(0));
        let answer = Event::ClientEcho { client, session, n: 0, latency_us: 5 };
        let garbled = |of: Option<u32>| Event::ClientGarbled { client, session, bytes: 9, of: of.map(ClientId) };
        check(tape().open(0, 0).push(answer.clone()).push(garbled(None)), Pass, 1);
        check(tape().open(0, 0).push(answer.clone()).push(garbled(Some(1))), Fail, 2);
        check(tape().push(answer), Fail, 1);
    }

    #[test]
    fn no_delivery_is_inconclusive() {
        check(tape().open(0, 0).subscribe(0, 0), Inconclusive, 0);
    }

    #[test]
    fn what_a_fault_holds_up_may_come_late() {
        let gone = || tape().open(0, 0).subscribe(0, 0).fault(0, "stall", "proxy-0/source-0").unsubscribe(0, 0);
        check(gone().after(2_000_000).deliver(0, 0, 1).heal(0).after(2_000_000).deliver(0, 0, 2), Pass, 2);
        check(gone().after(2_000_000).heal(0).after(4_000_000).deliver(0, 0, 2), Fail, 1);
    }

    #[test]
    fn what_an_outage_has_lost_may_take_as_long_again() {
        // Seed 10877 of `explore`: tries at 0.2, 0.6, 1.4, 3.0 and 6.2 s, and the outage lasted for 4 s.
        let cut = |target| tape().open(0, 0).subscribe(0, 0).fault(0, "partition", target).after(4_000_000).heal(0);
        let late = |target, us| cut(target).unsubscribe(0, 0).after(us).deliver(0, 0, 1);
        check(late("c-0>proxy-0", 4_900_000), Pass, 1);
        check(late("c-0>proxy-0", 5_100_000), Fail, 1);
        check(late("proxy-0/source-0", 4_900_000), Fail, 1);
        // The next outage came before what the first had lost, and goes on with it.
        let again =
            |after| cut("c-0>proxy-0").after(after).fault(1, "partition", "c-0/proxy-0").after(1_000_000).heal(1);
        let late = |after, us| again(after).unsubscribe(0, 0).after(us).deliver(0, 0, 1);
        check(late(4_000_000, 9_900_000), Pass, 1);
        check(late(4_000_000, 10_100_000), Fail, 1);
        check(late(6_000_000, 2_900_000), Pass, 1);
        check(late(6_000_000, 3_100_000), Fail, 1);
    }
}
