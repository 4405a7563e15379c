//! `quota`: who asks for more than its rate is closed with 1008, soon after it has passed it, and who does not is not.
//!
//! Each session has a bucket of `proxy.guard.requests-burst` requests, filled with `requests-per-s`, by the clock of the client. A few requests on the way either way are not judged.
//! Who kept to its rate may be closed with another code, for being slow, say. What it asks once the proxy has closed it, by the proxy's account, nobody reads: a slow client
//! sees its close late.
//! Sessions that a fault was felt in are not judged: what it holds up comes all at once. Of how they end this is: who is beyond its rate is closed with 1008 and no other code, but it may be cut
//! without one, since what a fault has lost may come long after it, and neither requests nor pongs are heard till then.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::close::POLICY_VIOLATION;
use wire::event::{Event, Phase, Side};

use super::objectives::life::Quota;
use super::{At, Checker, Facts, Findings};

/// Requests by which the client's clock and the proxy's may differ.
const SLACK: f64 = 3.0;

/// What sums of fractions of a request may be off by.
const ROUNDING: f64 = 1e-6;

/// The checker. A check is a request that is asked again.
pub(super) struct Rated {
    settle_us: u64,
    facts: Facts,
    /// By client: its open session.
    sessions: Vec<Option<Session>>,
    /// The dense number of the client with this address. Never walked.
    clients: FxHashMap<SocketAddr, u32>,
    closed: u64,
    faults: u32,
    over: bool,
}

#[derive(Clone, Copy)]
struct Session {
    id: u32,
    tokens: f64,
    counted_us: u64,
    lowest: f64,
    /// When it was beyond its rate for sure, and the event.
    beyond: Option<(u64, u64)>,
    /// The proxy has closed it, by its own account.
    left: bool,
    /// A fault was in force for a part of it.
    disturbed: bool,
}

impl Rated {
    pub(super) fn new(bound: Quota, facts: &Facts) -> Self {
        Self {
            settle_us: bound.settle.as_micros(),
            facts: facts.clone(),
            sessions: Vec::new(),
            clients: FxHashMap::default(),
            closed: 0,
            faults: 0,
            over: false,
        }
    }

    fn judge(&self, at: At, session: &Session, findings: &mut Findings) -> bool {
        let late = session.beyond.filter(|(since_us, _)| !session.disturbed && since_us + self.settle_us < at.us);
        if let Some((since_us, event)) = late {
            findings.violation(at, &[event], || {
                format!("c{} asks for more than its rate since {} us, and is still there", session.id, at.us - since_us)
            });
        }
        late.is_some()
    }
}

impl Checker for Rated {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        let (per_s, burst) = self.facts.quota;
        match event {
            _ if self.over => {}
            Event::ClientOpen { client, local, .. } => {
                let place = at.client as usize;
                if self.sessions.len() <= place {
                    self.sessions.resize(place + 1, None);
                }
                // The subscription takes the first.
                let tokens = burst - 1.0;
                self.sessions[place] = Some(Session {
                    id: client.0,
                    tokens,
                    counted_us: at.us,
                    lowest: tokens,
                    beyond: None,
                    left: false,
                    disturbed: self.faults > 0,
                });
                self.clients.insert(*local, at.client);
            }
            Event::ProxyClientClose { peer, .. } => {
                let client = self.clients.get(peer).and_then(|client| self.sessions.get_mut(*client as usize));
                if let Some(session) = client.and_then(Option::as_mut) {
                    session.left = true;
                }
            }
            Event::ClientAsk { .. } => {
                let Some(mut session) = self.sessions.get(at.client as usize).copied().flatten() else { return };
                findings.check();
                let passed_s = (at.us - session.counted_us) as f64 / 1e6;
                session.tokens = (session.tokens + passed_s * per_s).min(burst) - 1.0;
                session.counted_us = at.us;
                if !session.left {
                    session.lowest = session.lowest.min(session.tokens);
                    if session.tokens < -SLACK {
                        session.beyond.get_or_insert((at.us, at.event));
                    }
                }
                let judged = self.judge(at, &session, findings);
                self.sessions[at.client as usize] = Some(session).filter(|_| !judged);
            }
            Event::ClientClose { client, by, code, .. } => {
                let Some(session) = self.sessions.get_mut(at.client as usize).and_then(Option::take) else { return };
                let asks_too_often = *by == Side::Peer && *code == Some(POLICY_VIOLATION);
                self.closed += u64::from(asks_too_often);
                if self.judge(at, &session, findings) {
                    return;
                }
                if asks_too_often && session.lowest > SLACK && !session.disturbed && !self.facts.is_offender(client.0) {
                    let left = session.lowest;
                    findings.violation(at, &[], || {
                        format!("{client} is closed with 1008, and had {left:.0} requests left of its rate")
                    });
                } else if session.lowest < -ROUNDING
                    && *by == Side::Peer
                    && !asks_too_often
                    && self.faults == 0
                    && !(session.disturbed && code.is_none())
                {
                    findings.violation(at, &[], || {
                        let how =
                            code.map_or_else(|| "without a Close frame".to_owned(), |code| format!("with {code}"));
                        format!("{client} asks for more than its rate, and is closed {how}, not with 1008")
                    });
                }
            }
            Event::FaultStart { .. } => {
                self.faults += 1;
                self.sessions.iter_mut().flatten().for_each(|session| session.disturbed = true);
            }
            Event::FaultStop { .. } => self.faults = self.faults.saturating_sub(1),
            Event::Phase { phase: Phase::End } => {
                for session in std::mem::take(&mut self.sessions).into_iter().flatten() {
                    self.judge(at, &session, findings);
                }
                self.over = true;
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!(
            "{} requests, {} sessions closed with 1008, {} breaches",
            findings.checked(),
            self.closed,
            findings.broken()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    /// Ten a second, five at once.
    fn tape() -> Tape {
        Tape::new(r#"quota = { settle = "1s" }"#).facts(|facts| facts.quota = (10.0, 5.0)).open(0, 0)
    }

    fn asks(mut tape: Tape, count: u64, every_us: u64) -> Tape {
        for n in 0..count {
            tape = tape.ask(0, n).after(every_us);
        }
        tape
    }

    #[test]
    fn who_keeps_to_its_rate_stays() {
        check(asks(tape(), 40, 110_000), Pass, 40);
        check(asks(tape(), 4, 0), Pass, 4);
        check(tape(), Inconclusive, 0);
    }

    #[test]
    fn who_asks_too_often_is_closed_with_1008_soon() {
        check(asks(tape(), 8, 0).after(100_000).close_by_peer(0, Some(1008)), Pass, 8);
        check(asks(tape(), 8, 0).after(100_000).close_by_peer(0, Some(1000)), Fail, 8);
        check(asks(tape(), 100, 50_000).close_by_peer(0, Some(1008)), Fail, 34);
    }

    #[test]
    fn who_kept_to_its_rate_may_be_closed_with_another_code() {
        check(asks(tape(), 4, 0).after(100_000).close_by_peer(0, Some(1013)), Pass, 4);
        check(asks(tape(), 40, 100_000).close_by_peer(0, Some(1013)), Pass, 40);
        check(asks(tape(), 5, 0).after(100_000).close_by_peer(0, Some(1013)), Fail, 5);
        // A slow client asks on until it sees the close that the proxy wrote long before.
        check(asks(asks(tape(), 4, 0).closed_by_proxy(0), 3, 0).close_by_peer(0, Some(1013)), Pass, 7);
    }

    #[test]
    fn who_does_not_is_not_closed_with_1008() {
        let calm = tape().facts(|facts| facts.quota = (10.0, 50.0)).open(0, 1);
        check(calm.ask(0, 0).close_by_peer(0, Some(1008)), Fail, 1);
    }

    #[test]
    fn what_a_fault_holds_up_comes_all_at_once_and_is_not_judged() {
        let hurt = || tape().fault(0, "stall", "c-0/proxy-0").after(200_000).heal(0).ask(0, 0);
        check(hurt().close_by_peer(0, Some(1008)), Pass, 1);
        check(tape().after(200_000).ask(0, 0).close_by_peer(0, Some(1008)), Fail, 1);
    }

    #[test]
    fn who_is_beyond_its_rate_may_be_cut_for_a_silence_after_a_fault() {
        // Seed 9429 of `explore`: after an outage of 3 s its proxy heard nothing for 3 s more, and its pong was late.
        let hurt = || asks(tape().fault(0, "partition", "c-0/proxy-0").after(200_000).heal(0), 8, 0);
        check(hurt().close_by_peer(0, None), Pass, 8);
        check(hurt().close_by_peer(0, Some(1000)), Fail, 8);
        check(asks(tape(), 8, 0).close_by_peer(0, None), Fail, 8);
    }
}
