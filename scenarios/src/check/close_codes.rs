//! `close-codes`: codes that cross the wire are lawful; and in relay the code with which one side closes reaches the other, unchanged, while a source that only leaves closes nobody.
//!
//! ```text
//!   source closes with c ----> c is a departure (1001, 1011, 1012, 1013): the client stays, and moves
//!                        `---> else: the client is closed with c, within the bound
//! ```
//!
//! 1014 was registered after RFC 6455, and may arrive as 1002. Which client a leg serves is the proxy's own account. Reasons are not in the record.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::close::{self, is_lawful};
use wire::event::{Event, Phase, Side};
use wire::id::{LegId, SourceId};

use super::objectives::life::CloseCodes;
use super::{At, Checker, Facts, Findings};

/// Codes with which a source leaves, as opposed to ending a session.
const DEPARTURES: [u16; 4] = [close::GOING_AWAY, close::INTERNAL_ERROR, close::SERVICE_RESTART, close::TRY_AGAIN_LATER];

/// The checker. A check is a close whose code is known on both sides, or should be.
pub(super) struct Kept {
    within_us: u64,
    facts: Facts,
    /// Which connection of a source has this address at its other end. Never walked, like the next two.
    legs: FxHashMap<SocketAddr, (SourceId, LegId)>,
    /// Which client a leg serves.
    serves: FxHashMap<(SourceId, LegId), SocketAddr>,
    /// The dense number of the client with this address.
    clients: FxHashMap<SocketAddr, u32>,
    /// By client.
    open: Vec<Option<Open>>,
    faults: u32,
    crossed: u64,
    over: bool,
}

#[derive(Clone, Copy)]
struct Open {
    id: u32,
    /// The source closed its leg: when, the event, the code.
    told: Option<(u64, u64, u16)>,
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

    fn overdue(&mut self, at: At, findings: &mut Findings) {
        for open in self.open.iter_mut().flatten() {
            if let Some((since_us, event, code)) = open.told.filter(|told| told.0 + self.within_us < at.us) {
                open.told = None;
                if !DEPARTURES.contains(&code) {
                    findings.check();
                    let id = open.id;
                    findings.violation(at, &[event], || {
                        format!(
                            "the source closed c{id} with {code} {} us ago, and it is still there",
                            at.us - since_us
                        )
                    });
                }
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
            Event::ProxyLegUp { local, client: Some(client), .. } => {
                if let Some(leg) = self.legs.get(local) {
                    self.serves.insert(*leg, *client);
                }
            }
            Event::SourceClose { source, leg, by, code } => {
                let client = self.serves.remove(&(*source, *leg)).and_then(|local| self.clients.get(&local).copied());
                if *by == Side::Peer {
                    Self::lawful(at, "a source", *code, findings);
                    return;
                }
                let open = client.and_then(|client| self.open.get_mut(client as usize)).and_then(Option::as_mut);
                if let (Some(open), Some(code)) = (open, code) {
                    open.told = Some((at.us, at.event, *code));
                }
            }
            Event::ClientClose { client, by, code, .. } => {
                let open = self.open.get_mut(at.client as usize).and_then(Option::take);
                if *by == Side::Own {
                    // Its closing handshake, which ends with this event, may take as long again.
                    let told = open.and_then(|open| open.told).filter(|(_, _, code)| !DEPARTURES.contains(code));
                    if let Some((since_us, event, expect)) = told.filter(|told| told.0 + 2 * self.within_us < at.us) {
                        findings.check();
                        findings.violation(at, &[event], || {
                            format!(
                                "the source closed {client} with {expect}, and it was there for {} us more, until it left by itself",
                                at.us - since_us
                            )
                        });
                    }
                    return;
                }
                Self::lawful(at, "a client", *code, findings);
                let late = |since_us: u64| since_us + self.within_us < at.us;
                // A source that left long ago is no reason any more.
                let told = open.and_then(|open| open.told);
                let told = told.filter(|(since_us, _, code)| !late(*since_us) || !DEPARTURES.contains(code));
                let Some((since_us, event, expect)) = told else {
                    if code.is_some() && self.faults == 0 && !self.facts.is_hostile(client.0) {
                        findings.check();
                        findings.violation(at, &[], || {
                            format!(
                                "{client} is closed with {}, and its source did not close",
                                code.unwrap_or_default()
                            )
                        });
                    }
                    return;
                };
                findings.check();
                if late(since_us) {
                    findings.violation(at, &[event], || {
                        format!(
                            "the source closed {client} with {expect}, and it was there for {} us more",
                            at.us - since_us
                        )
                    });
                    return;
                }
                self.crossed += 1;
                let kept =
                    *code == Some(expect) || (expect == close::BAD_GATEWAY && *code == Some(close::PROTOCOL_ERROR));
                if DEPARTURES.contains(&expect) {
                    findings.violation(at, &[event], || {
                        format!(
                            "{client} is closed {} us after its source left with {expect}: it was to be moved",
                            at.us - since_us
                        )
                    });
                } else if !kept {
                    findings.violation(at, &[event], || {
                        let said = code.map_or_else(|| "no Close frame".to_owned(), |code| code.to_string());
                        format!("the source closed with {expect}, and {client} was told {said}")
                    });
                }
            }
            // One that ends sessions by itself says what for; those that others hit are others' matter.
            Event::FaultStart { kind, .. } if &**kind != "close-all" => self.faults += 1,
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
}
