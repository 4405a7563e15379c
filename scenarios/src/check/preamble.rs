//! `preamble`: the instance that a relay's client is moved to hears what its client asked for last, once, so that the conversation goes on as if nothing had been.
//!
//! A leg is tied to its client by the relay's account of whom it serves. At the end of the run each leg that has stood for `settle` has exactly the symbols that its client wants; where the client changed its mind within
//! `settle`, it is not judged. And at no time is a leg asked for a symbol that it has: clients of the v1 feed ask for what changes, so that would be the relay repeating itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use wire::event::{Event, Phase};
use wire::id::{ClientId, LegId, SourceId, Symbol};

use super::objectives::life::Preamble;
use super::{At, Checker, Facts, Findings};

/// The checker. A check is a subscription that a source hears of a client, and a leg at the end.
pub(super) struct Introduced {
    settle_us: u64,
    facts: Facts,
    sessions: BTreeMap<SocketAddr, Session>,
    /// The address of each client's open session.
    addresses: BTreeMap<ClientId, SocketAddr>,
    legs: BTreeMap<(SourceId, LegId), Leg>,
    /// By the leg's own address: the client that it serves, where the relay has said so and no source has the leg yet.
    claims: BTreeMap<SocketAddr, SocketAddr>,
    /// The legs of a client so far, for the summary: more than one is a move.
    moves: u64,
    over: bool,
}

struct Session {
    client: ClientId,
    wanted: BTreeSet<Symbol>,
    changed_us: u64,
    event: u64,
    legs: u64,
}

struct Leg {
    peer: SocketAddr,
    client: Option<SocketAddr>,
    opened_us: u64,
    has: BTreeSet<Symbol>,
    event: u64,
}

impl Introduced {
    pub(super) fn new(bound: Preamble, facts: &Facts) -> Self {
        Self {
            settle_us: bound.settle.as_micros(),
            facts: facts.clone(),
            sessions: BTreeMap::new(),
            addresses: BTreeMap::new(),
            legs: BTreeMap::new(),
            claims: BTreeMap::new(),
            moves: 0,
            over: false,
        }
    }

    fn session(&mut self, client: ClientId) -> Option<&mut Session> {
        self.sessions.get_mut(self.addresses.get(&client)?)
    }

    /// The leg serves this client.
    fn serve(&mut self, client: SocketAddr) {
        if let Some(session) = self.sessions.get_mut(&client) {
            session.legs += 1;
            self.moves += u64::from(session.legs > 1);
        }
    }

    fn asked(&mut self, at: At, (source, leg): (SourceId, LegId), symbol: Symbol, findings: &mut Findings) {
        let Some(held) = self.legs.get_mut(&(source, leg)) else { return };
        let before = held.event;
        held.event = at.event;
        let again = !held.has.insert(symbol);
        let Some(client) = held.client.and_then(|client| self.sessions.get(&client)) else { return };
        findings.check();
        if again && !self.facts.is_hostile(client.client.0) {
            findings.violation(at, &[before], || {
                format!("{source} is asked for {symbol} again on a leg of {} that has it", client.client)
            });
        }
    }

    fn end(&mut self, at: At, findings: &mut Findings) {
        self.over = true;
        let settled = |us: u64| us.saturating_add(self.settle_us) <= at.us;
        for ((source, _), leg) in &self.legs {
            let Some(session) = leg.client.and_then(|client| self.sessions.get(&client)) else { continue };
            if !settled(leg.opened_us) || !settled(session.changed_us) || self.facts.is_hostile(session.client.0) {
                continue;
            }
            findings.check();
            if leg.has != session.wanted {
                findings.violation(at, &[leg.event, session.event], || {
                    let lacks: Vec<String> = session.wanted.difference(&leg.has).map(ToString::to_string).collect();
                    let extra: Vec<String> = leg.has.difference(&session.wanted).map(ToString::to_string).collect();
                    let (lacks, extra) = (listed(&lacks), listed(&extra));
                    format!(
                        "{source} does not know what {} wants: it lacks {lacks}, and has {extra} too much",
                        session.client
                    )
                });
            }
        }
    }
}

/// Some of many names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len() {
        0 => "nothing".to_owned(),
        count if count <= SHOWN => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

impl Checker for Introduced {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            _ if self.over => {}
            Event::ClientOpen { client, local, .. } => {
                let fresh =
                    Session { client: *client, wanted: BTreeSet::new(), changed_us: at.us, event: at.event, legs: 0 };
                // Its first leg may have been there before it.
                let before = self.legs.values().filter(|leg| leg.client == Some(*local)).count();
                self.addresses.insert(*client, *local);
                self.sessions.insert(*local, Session { legs: before as u64, ..fresh });
            }
            Event::ClientSubscribe { client, symbol, .. } => {
                if let Some(session) = self.session(*client) {
                    session.wanted.insert(*symbol);
                    (session.changed_us, session.event) = (at.us, at.event);
                }
            }
            Event::ClientUnsubscribe { client, symbol, .. } => {
                if let Some(session) = self.session(*client) {
                    session.wanted.remove(symbol);
                    (session.changed_us, session.event) = (at.us, at.event);
                }
            }
            Event::ClientClose { client, .. } => {
                if let Some(local) = self.addresses.remove(client) {
                    self.sessions.remove(&local);
                }
            }
            Event::ProxyLegUp { local, client: Some(client), .. } => {
                match self.legs.values_mut().find(|leg| leg.peer == *local) {
                    Some(leg) => leg.client = Some(*client),
                    None => {
                        self.claims.insert(*local, *client);
                    }
                }
                self.serve(*client);
            }
            Event::ProxyLegDown { local: Some(local), .. } => {
                self.claims.remove(local);
                self.legs.retain(|_, leg| leg.peer != *local);
            }
            Event::SourceOpen { source, leg, peer } => {
                let client = self.claims.remove(peer);
                let (opened_us, event) = (at.us, at.event);
                let opened = Leg { peer: *peer, client, opened_us, has: BTreeSet::new(), event };
                self.legs.insert((*source, *leg), opened);
            }
            Event::SourceClose { source, leg, .. } => {
                self.legs.remove(&(*source, *leg));
            }
            Event::SourceSubscribe { source, leg, symbol } => self.asked(at, (*source, *leg), *symbol, findings),
            Event::SourceUnsubscribe { source, leg, symbol } => {
                if let Some(leg) = self.legs.get_mut(&(*source, *leg)) {
                    leg.has.remove(symbol);
                    leg.event = at.event;
                }
            }
            Event::Phase { phase: Phase::End } => self.end(at, findings),
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        if !self.over {
            self.end(end, findings);
        }
        format!("{} subscriptions and legs, {} moves, {} breaches", findings.checked(), self.moves, findings.broken())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check, client_addr};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    /// A client wants two symbols, and its first leg knows.
    fn tape() -> Tape {
        let tape = Tape::new("preamble = { settle = \"500ms\" }").open(0, 0).leg_of(0, 0, 0, Some(client_addr(0, 0)));
        tape.subscribe(0, 1).subscribe(0, 2).asked(0, 0, 1).asked(0, 0, 2).after(1_000_000)
    }

    /// It is moved to another instance.
    fn moved() -> Tape {
        tape().leg_down(0, 0).leg_of(0, 1, 0, Some(client_addr(0, 0)))
    }

    #[test]
    fn an_instance_that_hears_all_of_it_once_passes() {
        check(tape(), Pass, 3);
        check(moved().asked(1, 0, 1).asked(1, 0, 2).after(500_000), Pass, 5);
    }

    #[test]
    fn one_that_hears_nothing_a_part_or_what_was_given_up_fails() {
        check(moved().after(500_000), Fail, 3);
        check(moved().asked(1, 0, 1).after(500_000), Fail, 4);
        let given_up = moved().unsubscribe(0, 1).asked(1, 0, 1).asked(1, 0, 2).after(500_000);
        let found = check(given_up, Fail, 5);
        assert!(found.violations[0].message.ends_with("it lacks nothing, and has S0001 too much"), "{found:?}");
    }

    #[test]
    fn what_is_heard_twice_fails_unless_it_was_given_back_between() {
        let whole = moved().asked(1, 0, 1).asked(1, 0, 2);
        check(whole.clone().asked(1, 0, 2).after(500_000), Fail, 6);
        check(whole.given_back(1, 0, 2).asked(1, 0, 2).after(500_000), Pass, 6);
    }

    #[test]
    fn who_has_just_come_or_just_changed_its_mind_is_not_judged() {
        check(moved().after(499_000), Pass, 2);
        check(moved().after(500_000).subscribe(0, 3), Pass, 2);
        check(Tape::new("preamble = {}").open(0, 0), Inconclusive, 0);
    }
}
