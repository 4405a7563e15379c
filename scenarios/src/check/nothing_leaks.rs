//! `nothing-leaks`: when everyone has gone, nothing of them is left.
//!
//! Judged at each gauge of a proxy that comes `settle` or longer after the last client's session ended, while nobody dials: no client, no handshake, no queued byte is
//! counted, and no more legs than sources. (The clients of a proxy that feeds edges are these.) And each session that opened has ended once by then.

use std::collections::BTreeSet;

use wire::event::{Event, Phase};
use wire::id::{ClientId, SessionId};

use super::{At, Checker, Facts, Findings, NothingLeaks};

/// The checker. A check is a gauge when nobody is there.
pub(super) struct Leaks {
    settle_us: u64,
    facts: Facts,
    /// Who dials, or has a session.
    there: BTreeSet<(ClientId, SessionId)>,
    quiet_since: Option<(u64, u64)>,
    came: u64,
    over: bool,
}

impl Leaks {
    pub(super) fn new(bound: NothingLeaks, facts: &Facts) -> Self {
        Self {
            settle_us: bound.settle.as_micros(),
            facts: facts.clone(),
            there: BTreeSet::new(),
            quiet_since: None,
            came: 0,
            over: false,
        }
    }

    fn left(&mut self, at: At, who: (ClientId, SessionId), findings: &mut Findings) {
        if !self.there.remove(&who) {
            findings.violation(at, &[], || format!("{} {} ended and was not there, or ended twice", who.0, who.1));
        }
        if self.there.is_empty() {
            self.quiet_since = Some((at.us, at.event));
        }
    }
}

impl Checker for Leaks {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ClientDial { client, session, .. } => {
                self.there.insert((*client, *session));
                self.quiet_since = None;
                self.came += 1;
            }
            Event::ClientClose { client, session, .. } | Event::ClientRefused { client, session, .. } if !self.over => {
                self.left(at, (*client, *session), findings);
            }
            Event::Phase { phase: Phase::End } => self.over = true,
            Event::ProxyGauge { proxy, clients, handshakes, legs, queue_bytes, .. } => {
                let Some((since, event)) = self.quiet_since.filter(|_| !self.over) else { return };
                if at.us.saturating_sub(since) < self.settle_us {
                    return;
                }
                findings.check();
                let edges = if self.facts.feeds_edges(proxy.index()) { u64::from(self.facts.edges) } else { 0 };
                let behind = if self.facts.is_edge(proxy.index()) {
                    self.facts.middle() as u64
                } else {
                    u64::from(self.facts.sources)
                };
                for (what, count, most) in [
                    ("clients", *clients, edges),
                    ("handshakes", *handshakes, 0),
                    ("queued bytes", *queue_bytes, 0),
                    ("legs", *legs, behind),
                ] {
                    if count > most {
                        findings.violation(at, &[event], || {
                            format!(
                                "{proxy} still counts {count} {what}, {} us after the last client left",
                                at.us - since
                            )
                        });
                    }
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        let left = self.there.len();
        format!("{} sessions began, {left} are there; {} gauges when nobody was", self.came, findings.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    /// A client came and left, and a second has gone by.
    fn tape() -> Tape {
        Tape::new("nothing-leaks = { settle = \"1s\" }").dial(0).open(0, 0).close_own(0).after(1_100_000)
    }

    #[test]
    fn what_is_still_counted_when_nobody_is_there_fails() {
        check(tape().gauge(0, 0, 0), Pass, 1);
        check(tape().gauge(1, 0, 0), Fail, 1);
        check(tape().gauge(0, 1, 0), Fail, 1);
    }

    #[test]
    fn a_proxy_that_feeds_edges_keeps_them_and_an_edge_keeps_nobody() {
        let tiers =
            |edge: bool| tape().facts(move |facts| (facts.proxies, facts.edges) = if edge { (1, 1) } else { (3, 2) });
        check(tiers(false).gauge(2, 0, 0), Pass, 1);
        check(tiers(false).gauge(3, 0, 0), Fail, 1);
        check(tiers(true).gauge(1, 0, 0), Fail, 1);
    }

    #[test]
    fn while_somebody_is_there_nothing_is_judged() {
        check(tape().dial(1).gauge(2, 9, 9), Inconclusive, 0);
        check(tape().dial(1).refused(1, 503).gauge(2, 9, 9).after(1_100_000).gauge(0, 0, 0), Pass, 1);
    }

    #[test]
    fn a_session_that_ends_twice_fails() {
        check(tape().close_own(0), Fail, 0);
    }
}
