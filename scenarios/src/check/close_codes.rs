//! `close-codes`: codes that cross the wire are lawful; and in relay the code with which one side closes reaches the other, unchanged, while a source that only leaves closes nobody.
//!
//! ```text
//!   source closes with c ----> c is a departure (1001, 1011, 1012, 1013): the client stays, and moves
//!                        `---> else: the client is closed with c, within the bound
//! ```
//!
//! 1014 was registered after RFC 6455, and may arrive as 1002. Which client a leg serves is the proxy's own account. Reasons are not in the record.
//!
//! Who is out of it: a client that reads slowly on purpose has much to read before its Close, and is cut where it does not take it, so only a code that it does get is judged. A hostile one may be
//! closed for what it did itself. And where another fault hit the source, the proxy, the client or a link between them since the source closed, that may have ended the session, or held the Close up.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::close::{self, is_lawful};
use wire::event::{Event, Phase, Side};
use wire::id::{ClientId, LegId, SourceId};

use super::health::Health;
use super::objectives::life::CloseCodes;
use super::{At, Checker, Facts, Findings, Offender};

/// Codes with which a source leaves, as opposed to ending a session.
const DEPARTURES: [u16; 4] = [close::GOING_AWAY, close::INTERNAL_ERROR, close::SERVICE_RESTART, close::TRY_AGAIN_LATER];

/// The checker. A check is a close whose code is known on both sides, or should be.
pub(super) struct Kept {
    within_us: u64,
    facts: Facts,
    /// Which connection of a source has this address at its other end. Never walked, like the next two.
    legs: FxHashMap<SocketAddr, (SourceId, LegId)>,
    /// Which client a leg serves, and whose leg it is.
    serves: FxHashMap<(SourceId, LegId), (SocketAddr, usize)>,
    /// The dense number of the client with this address.
    clients: FxHashMap<SocketAddr, u32>,
    /// By client.
    open: Vec<Option<Open>>,
    faults: u32,
    /// Who is hit by other faults than closes.
    health: Health,
    crossed: u64,
    over: bool,
}

#[derive(Clone, Copy)]
struct Open {
    id: u32,
    /// The source closed its leg.
    told: Option<Told>,
}

/// A source closed a leg.
#[derive(Clone, Copy)]
struct Told {
    us: u64,
    event: u64,
    code: u16,
    source: usize,
    proxy: usize,
}

impl Told {
    /// The source left, as opposed to ending the session.
    fn left(&self) -> bool {
        DEPARTURES.contains(&self.code)
    }
}

impl Kept {
    pub(super) fn new(bound: CloseCodes, facts: &Facts) -> Self {
        Self {
            within_us: bound.within.as_micros(),
            facts: facts.clone(),
            legs: FxHashMap::default(),
            serves: FxHashMap::default(),
            clients: FxHashMap::default(),
            open: Vec::new(),
            faults: 0,
            health: Health::new(facts),
            crossed: 0,
            over: false,
        }
    }

    /// No frame may carry a code that is not lawful. (1005 is how a witness says that there was none.)
    fn lawful(at: At, who: &str, code: Option<u16>, findings: &mut Findings) {
        if let Some(code) = code.filter(|code| !is_lawful(*code) && *code != close::NO_STATUS) {
            findings.violation(at, &[], || format!("{who} is closed with {code}, which must not cross the wire"));
        }
    }

    /// Another fault may have ended the session since the source closed, or have held the Close up.
    fn disturbed(&self, client: u32, told: &Told, now_us: u64) -> bool {
        let since_us = now_us - told.us;
        let (healthy, back_us) = self.health.source(told.source);
        !healthy
            || back_us.is_some_and(|back_us| back_us >= told.us)
            || self.health.proxy_hit(told.proxy, now_us, since_us)
            || self.health.client_hit(client, now_us, since_us)
    }

    /// The client may have been closed with this code for what it did itself.
    fn own_doing(&self, client: u32, code: Option<u16>) -> bool {
        match self.facts.offender(client) {
            Some(Offender::Closed(own)) => code == Some(own),
            Some(Offender::Refused) => false,
            // It asks for too much, or does not answer pings.
            None => self.facts.is_hostile(client) && code.is_none_or(|code| code == close::POLICY_VIOLATION),
        }
    }

    fn overdue(&mut self, at: At, findings: &mut Findings) {
        for place in 0..self.open.len() {
            let Some(Open { id, told: Some(told) }) = self.open[place] else { continue };
            let late = told.us + self.within_us < at.us;
            if !late || told.left() || self.facts.is_slow(id) || self.disturbed(id, &told, at.us) {
                continue;
            }
            findings.check();
            findings.violation(at, &[told.event], || {
                let (code, since_us) = (told.code, at.us - told.us);
                format!("the source closed c{id} with {code} {since_us} us ago, and it is still there")
            });
        }
    }

    /// A client's session is over.
    fn closed(&mut self, at: At, client: ClientId, by: Side, code: Option<u16>, findings: &mut Findings) {
        let told = self.open.get_mut(at.client as usize).and_then(Option::take).and_then(|open| open.told);
        let (slow, within_us) = (self.facts.is_slow(client.0), self.within_us);
        let late = move |told: &Told, within_us: u64| told.us + within_us < at.us;
        if by == Side::Own {
            // Its closing handshake, which ends with this event, may take as long again.
            let told = told.filter(|told| !told.left() && late(told, 2 * within_us) && !slow);
            if let Some(told) = told.filter(|told| !self.disturbed(client.0, told, at.us)) {
                findings.check();
                findings.violation(at, &[told.event], || {
                    let (expect, since_us) = (told.code, at.us - told.us);
                    format!("the source closed {client} with {expect}, and it was there for {since_us} us more, until it left by itself")
                });
            }
            return;
        }
        Self::lawful(at, "a client", code, findings);
        // A source that left long ago is no reason any more.
        let Some(told) = told.filter(|told| !told.left() || !late(told, within_us)) else {
            if let Some(code) = code.filter(|_| self.faults == 0 && !self.facts.is_hostile(client.0)) {
                findings.check();
                findings.violation(at, &[], || format!("{client} is closed with {code}, and its source did not close"));
            }
            return;
        };
        let expect = told.code;
        let kept = code == Some(expect) || (expect == close::BAD_GATEWAY && code == Some(close::PROTOCOL_ERROR));
        let excused = self.own_doing(client.0, code) || self.disturbed(client.0, &told, at.us);
        let wrong = if told.left() {
            Some(format!(
                "{client} is closed {} us after its source left with {expect}: it was to be moved",
                at.us - told.us
            ))
        } else if late(&told, within_us) && !slow {
            Some(format!("the source closed {client} with {expect}, and it was there for {} us more", at.us - told.us))
        } else if !(kept || slow && code.is_none()) {
            let said = code.map_or_else(|| "no Close frame".to_owned(), |code| code.to_string());
            Some(format!("the source closed with {expect}, and {client} was told {said}"))
        } else {
            None
        };
        match wrong {
            Some(_) if excused => {}
            Some(wrong) => {
                findings.check();
                findings.violation(at, &[told.event], || wrong);
            }
            None => {
                findings.check();
                self.crossed += u64::from(kept);
            }
        }
    }
}

impl Checker for Kept {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            _ if self.over => {}
            Event::ClientOpen { client, local, .. } => {
                let place = at.client as usize;
                if self.open.len() <= place {
                    self.open.resize(place + 1, None);
                }
                self.open[place] = Some(Open { id: client.0, told: None });
                self.clients.insert(*local, at.client);
            }
            Event::SourceOpen { source, leg, peer } => {
                self.legs.insert(*peer, (*source, *leg));
            }
            Event::ProxyLegUp { proxy, local, client: Some(client), .. } => {
                if let Some(leg) = self.legs.get(local) {
                    self.serves.insert(*leg, (*client, proxy.index()));
                }
            }
            Event::SourceClose { source, leg, by, code } => {
                let served = self.serves.remove(&(*source, *leg));
                if *by == Side::Peer {
                    Self::lawful(at, "a source", *code, findings);
                    return;
                }
                let (Some((local, proxy)), Some(code)) = (served, *code) else { return };
                let client = self.clients.get(&local).copied();
                let open = client.and_then(|client| self.open.get_mut(client as usize)).and_then(Option::as_mut);
                if let Some(open) = open {
                    open.told = Some(Told { us: at.us, event: at.event, code, source: source.index(), proxy });
                }
            }
            Event::ClientClose { client, by, code, .. } => self.closed(at, *client, *by, *code, findings),
            // One that ends sessions by itself says what for; those that others hit are others' matter.
            Event::FaultStart { kind, .. } if &**kind != "close-all" => {
                self.faults += 1;
                self.health.observe(at.us, event);
            }
            Event::FaultStop { .. } => {
                self.health.observe(at.us, event);
            }
            Event::Phase { phase: Phase::End } => {
                self.overdue(at, findings);
                self.over = true;
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!("{} closes crossed, {} of {} wrongly", self.crossed, findings.broken(), findings.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check, client_addr};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::{Event, Phase, Side};
    use wire::id::{LegId, SourceId};

    fn tape() -> Tape {
        Tape::new(r#"close-codes = { within = "500ms" }"#).open(0, 0).leg_of(0, 0, 0, Some(client_addr(0, 0)))
    }

    fn source_closes(tape: Tape, code: u16) -> Tape {
        let (source, leg) = (SourceId(0), LegId(0));
        tape.push(Event::SourceClose { source, leg, by: Side::Own, code: Some(code) })
    }

    /// The clients of a list that has this one only.
    fn only(client: u32) -> Vec<std::ops::Range<u32>> {
        std::iter::once(client..client + 1).collect()
    }

    #[test]
    fn a_code_that_crosses_unchanged_passes() {
        check(source_closes(tape(), 4001).after(10_000).close_by_peer(0, Some(4001)), Pass, 1);
        check(source_closes(tape(), 1000).close_by_peer(0, Some(1000)), Pass, 1);
        check(source_closes(tape(), 1014).close_by_peer(0, Some(1002)), Pass, 1);
        check(tape(), Inconclusive, 0);
    }

    #[test]
    fn a_changed_one_none_and_one_that_does_not_cross_fail() {
        for code in [Some(1000), Some(4002), None] {
            check(source_closes(tape(), 4001).close_by_peer(0, code), Fail, 1);
        }
        check(source_closes(tape(), 4001).after(600_000).phase(Phase::End), Fail, 1);
    }

    #[test]
    fn a_late_close_fails_whatever_its_code_and_a_departure_long_ago_is_no_reason() {
        for code in [Some(1000), Some(4001), None] {
            check(source_closes(tape(), 4001).after(600_000).close_by_peer(0, code), Fail, 1);
        }
        check(source_closes(tape(), 1012).after(600_000).close_by_peer(0, Some(1013)), Fail, 1);
        check(source_closes(tape(), 1012).after(600_000).close_by_peer(0, None), Inconclusive, 0);
    }

    #[test]
    fn who_goes_by_itself_long_after_its_source_closed_was_not_told() {
        check(source_closes(tape(), 4001).after(1_100_000).close_own(0), Fail, 1);
        // Its own Close and the source's may cross.
        check(source_closes(tape(), 4001).after(900_000).close_own(0), Inconclusive, 0);
        check(source_closes(tape(), 1012).after(1_100_000).close_own(0), Inconclusive, 0);
        check(tape().after(1_100_000).close_own(0), Inconclusive, 0);
    }

    #[test]
    fn a_source_that_leaves_closes_nobody() {
        check(source_closes(tape(), 1012).close_by_peer(0, Some(1012)), Fail, 1);
        check(source_closes(tape(), 1012).after(600_000).phase(Phase::End), Inconclusive, 0);
    }

    #[test]
    fn unlawful_codes_and_closes_out_of_nothing_fail() {
        check(tape().close_by_peer(0, Some(1006)), Fail, 1);
        check(tape().close_by_peer(0, Some(1013)), Fail, 1);
        check(tape().fault(0, "kill", "source-0").close_by_peer(0, Some(1013)), Inconclusive, 0);
    }

    #[test]
    fn a_slow_reader_gets_to_its_close_late_or_not_at_all_but_no_other_code() {
        let tape = || tape().facts(|facts| facts.slow_clients = only(0));
        let late = |code: u16| source_closes(tape(), code).after(1_100_000);
        for code in [Some(4001), None] {
            check(late(4001).close_by_peer(0, code), Pass, 1);
        }
        check(late(4001).close_by_peer(0, Some(1000)), Fail, 1);
        check(late(4001).close_own(0), Inconclusive, 0);
        check(late(4001).phase(Phase::End), Inconclusive, 0);
        check(source_closes(tape(), 1012).close_by_peer(0, Some(1012)), Fail, 1);
    }

    #[test]
    fn a_hostile_client_may_be_closed_for_what_it_did_itself() {
        use super::Offender::Closed;
        let offends =
            |tape: Tape| tape.facts(|facts| (facts.hostile, facts.offenders) = (only(0), vec![(0..1, Closed(1002))]));
        for code in [1012, 4001] {
            check(source_closes(offends(tape()), code).close_by_peer(0, Some(1002)), Inconclusive, 0);
            check(source_closes(offends(tape()), code).close_by_peer(0, Some(1000)), Fail, 1);
            check(source_closes(tape(), code).close_by_peer(0, Some(1002)), Fail, 1);
        }
        check(source_closes(offends(tape()), 1012).close_by_peer(0, Some(1012)), Fail, 1);
        check(source_closes(offends(tape()), 4001).close_by_peer(0, Some(4001)), Pass, 1);
        let asks = |tape: Tape| tape.facts(|facts| facts.hostile = only(0));
        for code in [Some(1008), None] {
            check(source_closes(asks(tape()), 1012).close_by_peer(0, code), Inconclusive, 0);
        }
        check(source_closes(asks(tape()), 1012).close_by_peer(0, Some(1002)), Fail, 1);
    }

    #[test]
    fn another_fault_on_the_way_may_end_the_session_or_hold_its_close_up() {
        let hosted =
            || tape().facts(|facts| facts.client_hosts = vec![("c-0".to_owned(), 0..1), ("c-1".to_owned(), 1..2)]);
        let ways = ["proxy-0", "source-0", "c-0/proxy-0", "proxy-0/source-0"];
        for way in ways {
            let hit = source_closes(hosted(), 1012).after(1_000).fault(0, "stall", way).heal(0);
            check(hit.close_by_peer(0, None), Inconclusive, 0);
            let hit = || source_closes(hosted().fault(0, "stall", way).after(9_000_000), 4001);
            check(hit().after(600_000).close_by_peer(0, Some(4001)), Inconclusive, 0);
            check(hit().after(600_000).phase(Phase::End), Inconclusive, 0);
            check(hit().after(1_100_000).close_own(0), Inconclusive, 0);
            // What was over before is no excuse.
            let before = hosted().fault(0, "stall", way).heal(0).after(1_000);
            check(source_closes(before, 4001).after(600_000).close_by_peer(0, Some(4001)), Fail, 1);
        }
        for elsewhere in ["source-1", "c-1/proxy-0"] {
            let hit = source_closes(hosted(), 1012).after(1_000).fault(0, "stall", elsewhere);
            check(hit.close_by_peer(0, Some(1012)), Fail, 1);
        }
        // That the source closes all is what this is about.
        let closes = source_closes(hosted().fault(0, "close-all", "source-0").heal(0), 1012);
        check(closes.close_by_peer(0, Some(1012)), Fail, 1);
    }
}
