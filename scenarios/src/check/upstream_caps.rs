//! `upstream-caps`: no source has more legs of a proxy than its cap, and the line of clients before full sources has an end, in length and in time.
//!
//! Legs are counted where the source stands. Who waits is a client with an open session and without a leg, by the proxy's account of its legs (nothing outside shows which leg
//! serves whom), until it has one, or its session ends.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rustc_hash::{FxHashMap, FxHashSet};
use wire::event::{Event, Phase};

use super::open_legs::{Changed, OpenLegs};
use super::{At, Checker, Facts, Findings, UpstreamCaps};

/// The checker. A check is a leg that opens, or a client whose wait ends.
pub(super) struct Capped {
    bound: UpstreamCaps,
    proxies: u64,
    legs: OpenLegs,
    /// By the client's address: the session's place in the line. Never walked.
    places: FxHashMap<SocketAddr, u64>,
    /// Where each client's open session comes from, by dense number.
    addresses: Vec<Option<SocketAddr>>,
    /// Clients that a leg came up for before they said that they are in. Never walked.
    early: FxHashSet<SocketAddr>,
    line: Line,
    most_legs: u64,
    over: bool,
}

/// Those who wait, in the order in which they came.
#[derive(Default)]
struct Line {
    /// When each came, with the event; None where it waits no more.
    places: VecDeque<Option<At>>,
    /// The number of the first of `places`.
    first: u64,
    waiting: u64,
    longest: u64,
    most_us: u64,
}

impl Line {
    fn enter(&mut self, at: At) -> u64 {
        self.places.push_back(Some(at));
        self.waiting += 1;
        self.longest = self.longest.max(self.waiting);
        self.first + self.places.len() as u64 - 1
    }

    /// Since when it waited, if it did.
    fn leave(&mut self, place: u64) -> Option<At> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        let since = self.places.get_mut(index)?.take()?;
        self.waiting -= 1;
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        Some(since)
    }
}

impl Capped {
    pub(super) fn new(bound: UpstreamCaps, facts: &Facts) -> Self {
        Self {
            bound,
            proxies: u64::from(facts.proxies.max(1)),
            legs: OpenLegs::new(facts),
            places: FxHashMap::default(),
            addresses: Vec::new(),
            early: FxHashSet::default(),
            line: Line::default(),
            most_legs: 0,
            over: false,
        }
    }

    fn enter(&mut self, at: At, client: SocketAddr, findings: &mut Findings) {
        let most = self.bound.waiting_at_most.saturating_mul(self.proxies);
        let place = self.line.enter(at);
        self.places.insert(client, place);
        let waiting = self.line.waiting;
        if waiting > most {
            findings.violation(at, &[], || format!("{waiting} clients wait for a leg, {most} may"));
        }
    }

    fn leave(&mut self, at: At, client: SocketAddr, findings: &mut Findings) {
        let Some(since) = self.places.remove(&client).and_then(|place| self.line.leave(place)) else { return };
        findings.check();
        self.judge_wait(at, since, findings);
    }

    fn judge_wait(&mut self, at: At, since: At, findings: &mut Findings) {
        let (waited_us, most_us) = (at.us.saturating_sub(since.us), self.bound.waits_at_most.as_micros());
        self.line.most_us = self.line.most_us.max(waited_us);
        if waited_us > most_us {
            findings.violation(at, &[since.event], || {
                format!("a client waited for a leg for {waited_us} us, {most_us} are allowed")
            });
        }
    }

    /// Who still waits when the run ends has waited until then.
    fn judge_rest(&mut self, end: At, findings: &mut Findings) {
        for since in std::mem::take(&mut self.line.places).into_iter().flatten() {
            self.judge_wait(end, since, findings);
        }
        self.over = true;
    }
}

impl Checker for Capped {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        if self.over {
            return;
        }
        if let Some(Changed::Opened(source)) = self.legs.observe(at.us, event) {
            findings.check();
            let (open, most) = (self.legs.at(source) as u64, self.bound.each_at_most.saturating_mul(self.proxies));
            self.most_legs = self.most_legs.max(open);
            if open > most {
                findings.violation(at, &[], || format!("source-{source} has {open} legs, its cap is {most}"));
            }
        }
        match event {
            Event::ClientOpen { local, .. } => {
                let number = at.client as usize;
                if self.addresses.len() <= number {
                    self.addresses.resize(number + 1, None);
                }
                self.addresses[number] = Some(*local);
                if !self.early.remove(local) {
                    self.enter(at, *local, findings);
                }
            }
            Event::ClientClose { .. } => {
                if let Some(local) = self.addresses.get_mut(at.client as usize).and_then(Option::take) {
                    self.leave(at, local, findings);
                }
            }
            Event::ProxyLegUp { client: Some(client), .. } => {
                if self.places.contains_key(client) {
                    self.leave(at, *client, findings);
                } else {
                    self.early.insert(*client);
                }
            }
            Event::ProxyClientClose { peer, .. } => self.leave(at, *peer, findings),
            Event::Phase { phase: Phase::End } => self.judge_rest(at, findings),
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        if !self.over {
            self.judge_rest(end, findings);
        }
        let UpstreamCaps { each_at_most, waiting_at_most, waits_at_most, .. } = self.bound;
        format!(
            "{} legs of one source at most against {each_at_most}; {} clients waited at once against {waiting_at_most}, for {} us at most against {} us",
            self.most_legs,
            self.line.longest,
            self.line.most_us,
            waits_at_most.as_micros()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check, client_addr};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    fn tape() -> Tape {
        Tape::new(r#"upstream-caps = { each-at-most = 2, waiting-at-most = 1, waits-at-most = "3s" }"#)
    }

    /// Client and leg of the same number.
    fn served(tape: Tape, client: u32) -> Tape {
        tape.open(client, 0).leg_of(0, 0, client, Some(client_addr(client, 0)))
    }

    #[test]
    fn legs_up_to_the_cap_and_one_who_waits_pass() {
        let full = served(served(tape(), 0), 1);
        check(full.clone().open(2, 0).after(2_000_000), Pass, 4);
        let freed = full.open(2, 0).after(2_000_000).leg_closed(0, 0);
        check(freed.leg_of(0, 0, 2, Some(client_addr(2, 0))).after(9_000_000), Pass, 6);
    }

    #[test]
    fn a_leg_beyond_the_cap_fails() {
        check(served(served(served(tape(), 0), 1), 2), Fail, 6);
    }

    #[test]
    fn legs_of_a_killed_source_are_gone() {
        let killed = served(served(tape(), 0), 1).fault(0, "kill", "source-0").heal(0);
        check(served(served(killed, 2), 3), Pass, 8);
    }

    #[test]
    fn one_too_many_in_the_line_fails() {
        check(tape().open(0, 0).open(1, 0).close_by_peer(0, Some(1013)), Fail, 1);
        check(tape().open(0, 0).close_by_peer(0, Some(1013)).open(1, 0), Pass, 1);
    }

    #[test]
    fn one_who_waits_too_long_fails_whatever_ends_it() {
        let waits = tape().open(0, 0).after(4_000_000);
        check(waits.clone().closed_by_proxy(0), Fail, 1);
        check(waits.clone().close_by_peer(0, Some(1013)), Fail, 1);
        check(waits.clone().leg_of(0, 0, 0, Some(client_addr(0, 0))), Fail, 2);
        check(waits.phase(Phase::End), Fail, 0);
        check(tape().open(0, 0).after(2_000_000).closed_by_proxy(0).close_by_peer(0, None), Pass, 1);
    }

    #[test]
    fn a_leg_that_is_there_before_its_client_says_so_is_no_wait() {
        let early = tape().leg_of(0, 0, 0, Some(client_addr(0, 0))).open(0, 0);
        check(early.open(1, 0).after(1_000_000), Pass, 1);
    }

    #[test]
    fn nothing_seen_is_inconclusive() {
        check(tape(), Inconclusive, 0);
    }
}
