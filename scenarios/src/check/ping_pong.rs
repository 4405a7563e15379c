//! `ping-pong`: each ping of a client is answered with its payload, or a newer one is, within the bound, also while data waits; and a client that answers no ping is given up, neither before its
//! time nor after it.
//!
//! ```text
//!   heard last ---- ping interval ----> pinged ---- pong timeout ----> gone
//! ```
//!
//! What was under way while a fault was in force, or soon after one, is not judged: within a second, or for as long again as it lasted. A segment that is lost over and over is sent again after
//! a time-out that doubles each time, so that what an outage of four seconds held up, the news that a peer is gone above all, may take four seconds more.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::event::{Event, Phase, Side, Why};

use super::objectives::life::PingPong;
use super::{At, Checker, Facts, Findings};

/// The checker. A check is a ping that is answered or should be, and a session of a client that answers none.
pub(super) struct Answered {
    within_us: u64,
    facts: Facts,
    /// By client.
    clients: Vec<One>,
    /// Never walked.
    by_address: FxHashMap<SocketAddr, u32>,
    worst_us: u64,
    given_up: u64,
    /// How many faults are in force, and until when one is felt.
    faults: (u32, u64),
    /// When each of those in force began.
    began: BTreeMap<u16, u64>,
    over: bool,
}

/// Faults are felt for so long after they end, at least.
const ECHO_US: u64 = 1_000_000;

#[derive(Clone, Default)]
struct One {
    id: u32,
    open: bool,
    /// When it said something last, as far as it says anything.
    heard_us: u64,
    event: u64,
    /// Pings without an answer: number, time, event.
    waits: VecDeque<(u64, u64, u64)>,
    /// The newest ping whose answer is not waited for, as a fault held it up.
    excused: Option<u64>,
}

impl Answered {
    pub(super) fn new(bound: PingPong, facts: &Facts) -> Self {
        Self {
            within_us: bound.within.as_micros(),
            facts: facts.clone(),
            clients: Vec::new(),
            by_address: FxHashMap::default(),
            worst_us: 0,
            given_up: 0,
            faults: (0, 0),
            began: BTreeMap::new(),
            over: false,
        }
    }

    /// So many faults are in force, and one is felt at least until then.
    fn felt(&mut self, faults: u32, until_us: u64) {
        self.faults = (faults, self.faults.1.max(until_us));
    }

    fn one(&mut self, at: At) -> &mut One {
        let place = at.client as usize;
        if self.clients.len() <= place {
            self.clients.resize(place + 1, One::default());
        }
        &mut self.clients[place]
    }

    /// Pings that wait for too long.
    fn late(within_us: u64, faults: (u32, u64), one: &mut One, at: At, findings: &mut Findings) {
        while let Some((n, since_us, event)) = one.waits.front().copied().filter(|wait| wait.1 + within_us < at.us) {
            one.waits.pop_front();
            if disturbed(faults, since_us) {
                one.excused = Some(n);
                continue;
            }
            findings.check();
            findings.violation(at, &[event], || {
                format!("ping {n} of c{} has no answer after {} us", one.id, at.us - since_us)
            });
        }
    }

    /// A client that answers no ping is given up at its time.
    fn silent(&mut self, at: At, ended: bool, findings: &mut Findings) {
        let (interval_us, timeout_us) = self.facts.pings;
        let (within_us, faults) = (self.within_us, self.faults);
        let one = self.one(at);
        if disturbed(faults, one.heard_us) {
            return;
        }
        let due_us = one.heard_us + interval_us + timeout_us;
        let (id, event) = (one.id, one.event);
        if at.us > due_us + within_us {
            findings.check();
            findings.violation(at, &[event], || {
                format!("c{id} answers no ping, and is still there {} us after it was due to go", at.us - due_us)
            });
        } else if ended {
            findings.check();
            self.given_up += 1;
            if at.us + within_us < due_us {
                findings.violation(at, &[event], || format!("c{id} is given up {} us before its time", due_us - at.us));
            }
        }
    }
}

/// Whether a fault was felt at some time since.
fn disturbed((faults, until_us): (u32, u64), since_us: u64) -> bool {
    faults > 0 || (until_us > 0 && until_us >= since_us)
}

impl Checker for Answered {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        let (within_us, faults) = (self.within_us, self.faults);
        match event {
            _ if self.over => {}
            Event::FaultStart { fault, .. } => {
                self.began.insert(*fault, at.us);
                self.felt(faults.0 + 1, at.us + ECHO_US);
            }
            Event::FaultStop { fault } => {
                let lasted_us = self.began.remove(fault).map_or(0, |began_us| at.us - began_us);
                self.felt(faults.0.saturating_sub(1), at.us + lasted_us.max(ECHO_US));
            }
            Event::ClientOpen { client, local, .. } => {
                self.by_address.insert(*local, client.0);
                *self.one(at) = One { id: client.0, open: true, heard_us: at.us, event: at.event, ..One::default() };
            }
            Event::ClientSubscribe { .. }
            | Event::ClientUnsubscribe { .. }
            | Event::ClientAsk { .. }
            | Event::ClientSend { .. } => {
                self.one(at).heard_us = at.us;
            }
            Event::ClientPing { n, .. } => {
                let one = self.one(at);
                one.heard_us = at.us;
                one.waits.push_back((*n, at.us, at.event));
                Self::late(within_us, faults, one, at, findings);
            }
            Event::ClientPong { client, n, .. } => {
                let one = self.one(at);
                let Some((_, since_us, _)) = one.waits.iter().find(|wait| wait.0 == *n).copied() else {
                    if one.excused.is_some_and(|excused| *n <= excused) {
                        return;
                    }
                    return findings.violation(at, &[], || {
                        format!("{client} got a pong for ping {n}, which does not wait for one")
                    });
                };
                Self::late(within_us, faults, one, at, findings);
                // Those before it are answered with it (RFC 6455 section 5.5.3).
                while one.waits.front().is_some_and(|wait| wait.0 <= *n) {
                    one.waits.pop_front();
                    findings.check();
                }
                self.worst_us = self.worst_us.max(at.us - since_us);
            }
            Event::ClientClose { client, by, .. } => {
                let one = self.one(at);
                one.open = false;
                Self::late(within_us, faults, one, at, findings);
                one.waits.clear();
                if self.facts.is_silent(client.0) && *by == Side::Peer {
                    self.silent(at, true, findings);
                }
            }
            Event::ProxyClientClose { peer, why: Why::PingTimeout, .. } => {
                let (interval_us, timeout_us) = self.facts.pings;
                if let Some(client) = self.by_address.get(peer).copied()
                    && !disturbed(faults, at.us.saturating_sub(interval_us + timeout_us))
                    && !self.facts.is_silent(client)
                    && !self.facts.is_slow(client)
                {
                    findings
                        .violation(at, &[], || format!("c{client} answers pings, and is given up as if it did not"));
                }
            }
            Event::Phase { phase: Phase::End } => {
                for place in 0..self.clients.len() {
                    let here = At { client: place as u32, ..at };
                    Self::late(within_us, faults, &mut self.clients[place], here, findings);
                    if self.clients[place].open && self.facts.is_silent(self.clients[place].id) {
                        self.silent(here, false, findings);
                    }
                }
                self.over = true;
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, _findings: &mut Findings) -> String {
        format!("{} us at most from a ping to its pong; {} given up that answered none", self.worst_us, self.given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    fn tape() -> Tape {
        let tape = Tape::new(r#"ping-pong = { within = "1s" }"#).facts(|facts| {
            facts.pings = (3_000_000, 2_000_000);
            facts.silent = std::iter::once(5..6).collect();
        });
        tape.open(0, 0)
    }

    #[test]
    fn a_ping_is_answered_itself_or_with_a_newer_one() {
        check(tape().ping(0, 0).after(900_000).pong(0, 0), Pass, 1);
        check(tape().ping(0, 0).ping(0, 1).pong(0, 1), Pass, 2);
        check(tape().ping(0, 0).close_own(0), Inconclusive, 0);
    }

    #[test]
    fn a_late_answer_none_and_a_wrong_one_fail() {
        check(tape().ping(0, 0).after(1_100_000).pong(0, 0), Fail, 1);
        check(tape().ping(0, 0).after(1_100_000).phase(Phase::End), Fail, 1);
        check(tape().ping(0, 0).after(1_100_000).close_by_peer(0, None), Fail, 1);
        check(tape().ping(0, 0).pong(0, 0).pong(0, 0), Fail, 1);
        check(tape().ping(0, 0).pong(0, 7), Fail, 0);
    }

    #[test]
    fn what_a_fault_holds_up_may_come_late() {
        let hurt = || tape().ping(0, 0).fault(0, "stall", "proxy-0/source-0").after(1_500_000).ping(0, 1);
        check(hurt().heal(0).pong(0, 0).pong(0, 1), Pass, 1);
        check(hurt().heal(0).after(2_000_000).ping(0, 2).after(1_100_000).phase(Phase::End), Fail, 1);
        let silent = || tape().open(5, 0).subscribe(5, 0).fault(0, "kill", "proxy-0").after(1_000_000);
        check(silent().close_by_peer(5, None), Inconclusive, 0);
    }

    #[test]
    fn what_a_long_fault_held_up_may_take_as_long_again() {
        let after = |lasted: u64, later: u64| {
            let dark = tape().fault(0, "power-off", "proxy-0").after(lasted).heal(0).after(later);
            dark.ping(0, 0).after(2_000_000).close_by_peer(0, None)
        };
        check(after(4_000_000, 3_900_000), Inconclusive, 0);
        check(after(4_000_000, 4_100_000), Fail, 1);
        check(after(100_000, 900_000), Inconclusive, 0);
        check(after(100_000, 1_100_000), Fail, 1);
        // A short one that ends later takes nothing from a long one.
        let both =
            tape().fault(0, "power-off", "proxy-0").after(4_000_000).heal(0).fault(1, "kill", "source-0").heal(1);
        check(both.after(3_900_000).ping(0, 0).after(2_000_000).close_by_peer(0, None), Inconclusive, 0);
    }

    #[test]
    fn who_answers_none_is_given_up_in_time_and_not_before() {
        let silent = || tape().open(5, 0).subscribe(5, 0);
        check(silent().after(5_000_000).close_by_peer(5, None), Pass, 1);
        check(silent().after(3_000_000).close_by_peer(5, None), Fail, 1);
        check(silent().after(6_100_000).close_by_peer(5, None), Fail, 1);
        check(silent().after(6_100_000).phase(Phase::End), Fail, 1);
        check(silent().after(4_000_000).phase(Phase::End), Inconclusive, 0);
    }
}
