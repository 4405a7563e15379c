//! `subscription-answers`: clients of a v2 feed are told what the source says to their subscriptions, when it has said it, and nobody else is.
//!
//! - A client is told of a symbol only if it asked for it, once, and again only if the answer is another.
//! - It is told what the sources say: accepted, where one of the open legs that have answered accepts; denied, where they have all denied. It may hear what was so until `settle` ago.
//! - Whoever asked is told within `settle`, also if what the sources say is otherwise than before: another leg has answered, or one is lost.
//!
//! What the sources say is taken together, to whichever proxy they say it: where they disagree, it is for one proxy, and no relay.
//!
//! Under the strong contract denials are told; what is accepted shows by its data. Slow clients are not judged.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::event::{Event, ends_process};
use wire::id::{ClientId, LegId, SessionId, SourceId, Symbol};

use super::{At, Checker, Facts, Findings, SubscriptionAnswers};

/// The checker. A check is an answer that a client got, or one that it should have by the end of its session.
pub(super) struct Answered {
    settle_us: u64,
    facts: Facts,
    /// By dense number of the symbol.
    symbols: Vec<Word>,
    /// By dense number of the client.
    clients: Vec<Option<Session>>,
    /// Open legs by the proxy's address. Never walked.
    legs: FxHashMap<SocketAddr, (SourceId, LegId)>,
    denied: u64,
}

/// What sources say to a symbol.
#[derive(Default)]
struct Word {
    /// The open legs that have answered, and whether they accept.
    legs: BTreeMap<(SourceId, LegId), bool>,
    /// What they say together, and since when.
    holds: Option<(bool, u64)>,
    /// Until when it was denied, or accepted, last.
    ended: [Option<u64>; 2],
}

struct Session {
    id: SessionId,
    judged: bool,
    strong: bool,
    /// By dense number of the symbol.
    asked: BTreeMap<u32, Asked>,
}

/// A subscription.
struct Asked {
    symbol: Symbol,
    us: u64,
    event: u64,
    told: Option<bool>,
}

impl Word {
    fn say(&mut self, leg: (SourceId, LegId), accepts: bool, us: u64) {
        self.legs.insert(leg, accepts);
        self.changed(us);
    }

    fn end(&mut self, us: u64, over: impl Fn(&(SourceId, LegId)) -> bool) {
        self.legs.retain(|leg, _| !over(leg));
        self.changed(us);
    }

    fn changed(&mut self, us: u64) {
        let holds = (!self.legs.is_empty()).then(|| self.legs.values().any(|accepts| *accepts));
        if holds == self.holds.map(|(accepts, _)| accepts) {
            return;
        }
        if let Some((before, _)) = self.holds {
            self.ended[usize::from(before)] = Some(us);
        }
        self.holds = holds.map(|accepts| (accepts, us));
    }

    /// Whether it is so, or was a moment ago.
    fn says(&self, accepts: bool, us: u64, settle_us: u64) -> bool {
        self.holds.is_some_and(|(holds, _)| holds == accepts)
            || self.ended[usize::from(accepts)].is_some_and(|until| us.saturating_sub(until) <= settle_us)
    }
}

fn word(accepted: bool) -> &'static str {
    if accepted { "accepted" } else { "denied" }
}

impl Answered {
    pub(super) fn new(bound: SubscriptionAnswers, facts: &Facts) -> Self {
        let settle_us = bound.settle.as_micros();
        let facts = facts.clone();
        Self { settle_us, facts, symbols: Vec::new(), clients: Vec::new(), legs: FxHashMap::default(), denied: 0 }
    }

    fn symbol(&mut self, number: u32) -> &mut Word {
        let number = number as usize;
        if self.symbols.len() <= number {
            self.symbols.resize_with(number + 1, Word::default);
        }
        &mut self.symbols[number]
    }

    fn session(&mut self, client: u32, id: SessionId) -> Option<&mut Session> {
        self.clients.get_mut(client as usize)?.as_mut().filter(|session| session.id == id && session.judged)
    }

    fn told(&mut self, at: At, event: &Event, findings: &mut Findings) {
        let Event::ClientAnswer { client, session, symbol, accepted } = event else { return };
        let (accepted, settle_us) = (*accepted, self.settle_us);
        let says = self.symbol(at.symbol).says(accepted, at.us, settle_us);
        self.denied += u64::from(!accepted);
        let Some(held) = self.session(at.client, *session) else { return };
        let strong = held.strong;
        findings.check();
        let word = word(accepted);
        match held.asked.get_mut(&at.symbol) {
            None => findings.violation(at, &[], || {
                format!("{client} {session} was told that {symbol} is {word}, and did not ask for it")
            }),
            Some(asked) => {
                let before = asked.told.replace(accepted);
                if before == Some(accepted) && !strong {
                    findings.violation(at, &[asked.event], || {
                        format!("{client} {session} was told twice that {symbol} is {word}")
                    });
                } else if !says {
                    findings.violation(at, &[asked.event], || {
                        format!(
                            "{client} {session} was told that {symbol} is {word}, which is not what the sources said"
                        )
                    });
                }
            }
        }
    }

    /// The session is over: what should it have been told by then?
    fn judge(&mut self, at: At, number: u32, client: Option<ClientId>, findings: &mut Findings) {
        let Some(session) = self.clients.get_mut(number as usize).and_then(Option::take) else { return };
        if !session.judged {
            return;
        }
        for (symbol, asked) in &session.asked {
            let Some((accepts, since)) = self.symbols.get(*symbol as usize).and_then(|word| word.holds) else {
                continue;
            };
            if at.us.saturating_sub(since.max(asked.us)) <= self.settle_us {
                continue;
            }
            if session.strong && accepts {
                continue;
            }
            findings.check();
            if asked.told != Some(accepts) {
                findings.violation(at, &[asked.event], || {
                    let (name, id) = (asked.symbol, session.id);
                    let client = client.map_or_else(|| format!("client {number}"), |client| client.to_string());
                    let last = asked.told.map_or("nothing", word);
                    format!("{client} {id} was told {last} of {name} last, and it is {}", word(accepts))
                });
            }
        }
    }

    fn legs_end(&mut self, us: u64, over: impl Fn(&(SourceId, LegId)) -> bool) {
        self.symbols.iter_mut().for_each(|word| word.end(us, &over));
    }
}

impl Checker for Answered {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::SourceOpen { source, leg, peer } => {
                self.legs.insert(*peer, (*source, *leg));
            }
            // The proxy has given it up, whatever its source knows of that.
            Event::ProxyLegDown { local: Some(local), .. } => {
                if let Some(gone) = self.legs.remove(local) {
                    self.legs_end(at.us, |leg| *leg == gone);
                }
            }
            Event::SourceSubscribe { source, leg, .. } => self.symbol(at.symbol).say((*source, *leg), true, at.us),
            Event::SourceDeny { source, leg, .. } => self.symbol(at.symbol).say((*source, *leg), false, at.us),
            Event::SourceUnsubscribe { source, leg, .. } => {
                let gone = (*source, *leg);
                self.symbol(at.symbol).end(at.us, |leg| *leg == gone);
            }
            Event::SourceClose { source, leg, .. } => {
                let gone = (*source, *leg);
                self.legs_end(at.us, |leg| *leg == gone);
            }
            Event::FaultStart { kind, target, .. } if ends_process(kind) => {
                if let Some(down) = target.strip_prefix("source-").and_then(|number| number.parse().ok()) {
                    self.legs_end(at.us, |(source, _)| *source == SourceId(down));
                }
            }
            Event::ClientOpen { client, session, strong, .. } => {
                let number = at.client as usize;
                if self.clients.len() <= number {
                    self.clients.resize_with(number + 1, || None);
                }
                let (judged, strong) = (!self.facts.is_slow(client.0), *strong);
                self.clients[number] = Some(Session { id: *session, judged, strong, asked: BTreeMap::new() });
            }
            Event::ClientSubscribe { session, symbol, .. } => {
                let asked = Asked { symbol: *symbol, us: at.us, event: at.event, told: None };
                if let Some(session) = self.session(at.client, *session) {
                    session.asked.insert(at.symbol, asked);
                }
            }
            Event::ClientAnswer { .. } => self.told(at, event, findings),
            Event::ClientClose { client, .. } => self.judge(at, at.client, Some(*client), findings),
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        for number in 0..self.clients.len() {
            self.judge(end, u32::try_from(number).unwrap_or(super::NONE), None, findings);
        }
        format!("{} of {} answers were wrong; {} denials told", findings.broken(), findings.checked(), self.denied)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    /// Client 0 asked for symbol 0, of which source 0 has a leg.
    fn tape() -> Tape {
        Tape::new("subscription-answers = { settle = \"1s\" }").leg(0, 0).open(0, 0).subscribe(0, 0)
    }

    #[test]
    fn what_the_source_said_is_told_and_nothing_before() {
        check(tape().asked(0, 0, 0).answered(0, 0, true).after(2_000_000), Pass, 2);
        check(tape().denied(0, 0, 0).answered(0, 0, false).after(2_000_000), Pass, 2);
        check(tape().answered(0, 0, true).asked(0, 0, 0), Fail, 1);
        check(tape().denied(0, 0, 0).answered(0, 0, true), Fail, 1);
    }

    #[test]
    fn who_did_not_ask_is_not_told_and_nobody_twice() {
        check(tape().denied(0, 0, 0).open(1, 0).answered(1, 0, false), Fail, 1);
        check(tape().denied(0, 0, 0).answered(0, 0, false).answered(0, 0, false), Fail, 2);
    }

    #[test]
    fn who_asked_is_told_in_time() {
        check(tape().denied(0, 0, 0).after(1_100_000), Fail, 1);
        check(tape().denied(0, 0, 0).after(900_000), Inconclusive, 0);
        check(tape().denied(0, 0, 0).after(1_100_000).close_own(0), Fail, 1);
        check(tape().after(9_000_000), Inconclusive, 0);
    }

    #[test]
    fn another_answer_of_the_next_leg_is_told() {
        let moved = tape().asked(0, 0, 0).answered(0, 0, true).fault(0, "kill", "source-0").leg(1, 0).denied(1, 0, 0);
        check(moved.clone().answered(0, 0, false).after(2_000_000), Pass, 3);
        check(moved.clone().after(2_000_000), Fail, 2);
        // While it is under way, either may be told.
        check(moved.open(1, 0).subscribe(1, 0).answered(1, 0, true).answered(1, 0, false), Pass, 3);
    }

    #[test]
    fn one_source_that_accepts_is_enough_and_a_lost_one_has_no_word() {
        let both = tape().leg(1, 1).denied(0, 0, 0).asked(1, 1, 0);
        check(both.clone().answered(0, 0, true).after(2_000_000), Pass, 2);
        check(both.clone().after(2_000_000).answered(0, 0, false).answered(0, 0, true), Fail, 3);
        check(both.clone().after(2_000_000), Fail, 1);
        let lost = both.after(2_000_000).answered(0, 0, true).leg_down(1, 1);
        check(lost.clone().answered(0, 0, false).after(2_000_000), Pass, 3);
        check(lost.after(2_000_000), Fail, 2);
    }

    #[test]
    fn a_strong_client_is_told_of_denials_alone() {
        let strong = || tape().close_own(0).strongly(1).subscribe(1, 0);
        check(strong().asked(0, 0, 0).after(2_000_000), Inconclusive, 0);
        check(strong().denied(0, 0, 0).answered(1, 0, false).after(2_000_000), Pass, 2);
        check(strong().denied(0, 0, 0).after(2_000_000), Fail, 1);
    }
}
