//! `upstream-connections`: the sources never see more legs of one proxy than its share.
//!
//! Legs are counted where the sources stand, by the address that they come from. A few more (`switching`) may be open while the proxy moves to another
//! source, and for `linger` at most. Legs of a source that is down are not counted: it cannot say what became of them. On loopback all proxies share one
//! address, and the bounds are multiplied by their number.

use std::net::IpAddr;

use rustc_hash::FxHashMap;
use wire::event::Event;
use wire::id::LegId;

use super::health::{Health, Hit};
use super::{At, Checker, Facts, Findings, UpstreamConnections};

/// The checker. A check is a leg that opens.
pub(super) struct Connections {
    bound: UpstreamConnections,
    proxies: u32,
    health: Health,
    /// Dense numbers of addresses. Never walked.
    numbers: FxHashMap<IpAddr, usize>,
    peers: Vec<Peer>,
    /// By source: who holds each open leg (never walked), and how many legs each peer holds.
    sources: Vec<(FxHashMap<LegId, usize>, Vec<u32>)>,
    worst: u32,
}

struct Peer {
    ip: IpAddr,
    /// Since when it has been above `at-most`, with the event's number.
    over: Option<(u64, u64)>,
    told: bool,
}

impl Connections {
    pub(super) fn new(bound: UpstreamConnections, facts: &Facts) -> Self {
        Self {
            bound,
            proxies: u32::from(facts.proxies.max(1)),
            health: Health::new(facts),
            numbers: FxHashMap::default(),
            peers: Vec::new(),
            sources: Vec::new(),
            worst: 0,
        }
    }

    fn peer(&mut self, ip: IpAddr) -> usize {
        let next = self.peers.len();
        let number = *self.numbers.entry(ip).or_insert(next);
        if number == next {
            self.peers.push(Peer { ip, over: None, told: false });
        }
        number
    }

    fn open(&self, peer: usize) -> u32 {
        let counted = self.sources.iter().enumerate().filter(|(source, _)| self.health.source(*source).0);
        counted.map(|(_, (_, counts))| counts.get(peer).copied().unwrap_or(0)).sum()
    }

    /// Looks at every peer after a change: there are as many as proxies.
    fn judge(&mut self, at: At, opened: bool, findings: &mut Findings) {
        for number in 0..self.peers.len() {
            let open = self.open(number);
            self.worst = self.worst.max(open);
            let peer = &mut self.peers[number];
            let times = if peer.ip.is_loopback() { self.proxies } else { 1 };
            let (at_most, linger_us) = (self.bound.at_most.saturating_mul(times), self.bound.linger.as_micros());
            let most = at_most.saturating_add(self.bound.switching.saturating_mul(times));
            let ip = peer.ip;
            if opened && open > most {
                findings.violation(at, &[], || {
                    format!("{ip} holds {open} legs, {at_most} and {} to switch are allowed", most - at_most)
                });
            }
            match peer.over {
                Some((since, event)) if at.us.saturating_sub(since) > linger_us && !peer.told => {
                    peer.told = true;
                    findings.violation(at, &[event], || {
                        format!(
                            "{ip} has held more than {at_most} legs for {} us, {linger_us} are allowed",
                            at.us - since
                        )
                    });
                }
                None if open > at_most => peer.over = Some((at.us, at.event)),
                _ => {}
            }
            if open <= at_most {
                (peer.over, peer.told) = (None, false);
            }
        }
    }
}

impl Checker for Connections {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::SourceOpen { source, leg, peer } => {
                findings.check();
                let peer = self.peer(peer.ip());
                if self.sources.len() <= source.index() {
                    self.sources.resize_with(source.index() + 1, Default::default);
                }
                let (legs, counts) = &mut self.sources[source.index()];
                if counts.len() <= peer {
                    counts.resize(peer + 1, 0);
                }
                counts[peer] += 1;
                if let Some(before) = legs.insert(*leg, peer) {
                    counts[before] -= 1;
                }
                self.judge(at, true, findings);
            }
            Event::SourceClose { source, leg, .. } => {
                if let Some((legs, counts)) = self.sources.get_mut(source.index())
                    && let Some(peer) = legs.remove(leg)
                {
                    counts[peer] -= 1;
                    self.judge(at, false, findings);
                }
            }
            Event::FaultStart { .. } | Event::FaultStop { .. } => {
                let hit = self.health.observe(at.us, event);
                if let Some(Hit::Source { source, dead: true }) = hit
                    && let Some(of) = self.sources.get_mut(source)
                {
                    *of = Default::default();
                }
                self.judge(at, false, findings);
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        self.judge(end, false, findings);
        let UpstreamConnections { at_most, switching, .. } = self.bound;
        format!("{} legs of one proxy at most against {at_most} and {switching} to switch", self.worst)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    fn tape() -> Tape {
        Tape::new(r#"upstream-connections = { at-most = 1, linger = "2s" }"#).leg(0, 0)
    }

    #[test]
    fn one_leg_and_a_switch_pass() {
        check(tape().leg(1, 0).after(1_000_000).leg_closed(0, 0), Pass, 2);
    }

    #[test]
    fn a_third_leg_fails() {
        check(tape().leg(1, 0).leg(1, 1), Fail, 3);
    }

    #[test]
    fn an_old_leg_that_stays_fails() {
        check(tape().leg(1, 0).after(3_000_000).leg_closed(0, 0), Fail, 2);
        check(tape().leg(1, 0).after(3_000_000), Fail, 2);
    }

    #[test]
    fn legs_of_a_killed_source_are_gone() {
        check(tape().fault(0, "kill", "source-0").leg(1, 0).heal(0).after(9_000_000), Pass, 2);
        check(tape().fault(0, "kill", "source-0").leg(1, 0).leg(1, 1).leg(1, 2), Fail, 4);
    }

    #[test]
    fn legs_behind_a_stall_count_again_after_the_heal() {
        let stalled = tape().fault(0, "stall", "proxy-0/source-0").leg(1, 0).after(9_000_000);
        check(stalled.clone().heal(0).leg_closed(0, 0), Pass, 2);
        check(stalled.heal(0).after(9_000_000), Fail, 2);
    }

    #[test]
    fn each_proxy_has_its_own_share() {
        check(tape().leg_of(1, 0, 1, None).leg_of(2, 1, 2, None), Pass, 3);
    }

    #[test]
    fn no_leg_is_inconclusive() {
        check(Tape::new("upstream-connections = { at-most = 1 }"), Inconclusive, 0);
    }
}
