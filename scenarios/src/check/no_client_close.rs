//! `no-client-close`: a failing source is the proxy's business: clients keep their sessions while one source is healthy.
//!
//! A session that ends from the other side is a violation, unless no source was healthy (by the fault plan) at some instant in the last `settle`, or a
//! fault hit its proxy or its own host or link, or the client is slow on purpose and `allow-slow` lets it be closed with 1013, or the run is over.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::close::TRY_AGAIN_LATER;
use wire::event::{Event, Phase, Side};

use super::health::Health;
use super::{At, Checker, Facts, Findings, NoClientClose};

/// The checker. A check is a session that opens.
pub(super) struct ClientsStay {
    allow_slow: bool,
    settle_us: u64,
    facts: Facts,
    health: Health,
    /// Which proxy admitted whom. Never walked.
    admitted: FxHashMap<SocketAddr, usize>,
    /// The proxy of the open session by client, as far as known, with the number of the opening event.
    open: Vec<Option<(Option<usize>, u64)>>,
    excused: u64,
    over: bool,
}

impl ClientsStay {
    pub(super) fn new(bound: NoClientClose, facts: &Facts) -> Self {
        Self {
            allow_slow: bound.allow_slow,
            settle_us: bound.settle.as_micros(),
            facts: facts.clone(),
            health: Health::new(facts),
            admitted: FxHashMap::default(),
            open: Vec::new(),
            excused: 0,
            over: false,
        }
    }

    fn excuse(&self, at: At, client: u32, proxy: Option<usize>, code: Option<u16>) -> bool {
        self.health.none_since(at.us.saturating_sub(self.settle_us))
            || proxy.is_some_and(|proxy| self.health.proxy_hit(proxy, at.us, self.settle_us))
            || self.health.client_hit(client, at.us, self.settle_us)
            || (self.allow_slow && code == Some(TRY_AGAIN_LATER) && self.facts.is_slow(client))
    }
}

impl Checker for ClientsStay {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ProxyAdmit { proxy, peer } => {
                self.admitted.insert(*peer, proxy.index());
            }
            Event::ClientOpen { local, target, .. } => {
                findings.check();
                // A proxy of others does not say whom it admitted: then the client's list of targets is the list of proxies.
                let proxy = self.admitted.remove(local).unwrap_or(usize::from(*target));
                let client = at.client as usize;
                if self.open.len() <= client {
                    self.open.resize(client + 1, None);
                }
                self.open[client] = Some(((self.facts.proxies > 0).then_some(proxy), at.event));
            }
            Event::ClientClose { client, session, by, code } => {
                let Some((proxy, opened)) = self.open.get_mut(at.client as usize).and_then(Option::take) else {
                    return;
                };
                if *by == Side::Own || self.over || self.facts.is_hostile(client.0) {
                    return;
                }
                if self.excuse(at, client.0, proxy, *code) {
                    self.excused += 1;
                    return;
                }
                let healthy = self.health.healthy();
                findings.violation(at, &[opened], || {
                    let how = code.map_or_else(|| "it broke".to_owned(), |code| format!("closed with {code}"));
                    format!("{client} lost {session} ({how}) with {healthy} sources healthy")
                });
            }
            Event::Phase { phase: Phase::End } => self.over = true,
            Event::FaultStart { .. } | Event::FaultStop { .. } => {
                self.health.observe(at.us, event);
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        let excused =
            if self.excused > 0 { format!(", {} more excused by the plan", self.excused) } else { String::new() };
        format!("{} of {} sessions lost{excused}", findings.broken(), findings.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    fn tape() -> Tape {
        Tape::new(r#"no-client-close = { settle = "1s" }"#).facts(|facts| facts.client_hosts.clear()).open(0, 0)
    }

    #[test]
    fn sessions_that_stay_or_end_by_the_client_pass() {
        check(tape().open(1, 0).close_own(0), Pass, 2);
    }

    #[test]
    fn a_close_while_one_source_is_healthy_fails() {
        check(tape().fault(0, "kill", "source-0").close_by_peer(0, Some(1014)), Fail, 1);
        check(tape().fault(0, "stall", "proxy-0/source-0").close_by_peer(0, None), Fail, 1);
        check(tape().close_by_peer(0, Some(1000)), Fail, 1);
    }

    #[test]
    fn a_close_while_no_source_is_healthy_is_excused_for_the_settling_time() {
        let down = tape().fault(0, "kill", "source-0").fault(1, "freeze", "source-1");
        check(down.clone().close_by_peer(0, Some(1014)), Pass, 1);
        check(down.clone().after(5_000_000).close_by_peer(0, Some(1014)), Pass, 1);
        check(down.clone().heal(0).after(900_000).close_by_peer(0, Some(1014)), Pass, 1);
        check(down.heal(0).after(1_100_000).close_by_peer(0, Some(1014)), Fail, 1);
    }

    #[test]
    fn a_fault_on_the_proxy_excuses_its_clients_only() {
        check(tape().fault(0, "kill", "proxy-0").close_by_peer(0, None), Pass, 1);
        let two = tape().facts(|facts| facts.proxies = 2);
        check(two.fault(0, "kill", "proxy-1").close_by_peer(0, None), Fail, 1);
    }

    #[test]
    fn a_fault_on_the_clients_own_host_or_link_excuses_it() {
        let hosted =
            tape().facts(|facts| facts.client_hosts = vec![("c-0".to_owned(), 0..1), ("c-1".to_owned(), 1..2)]);
        check(hosted.clone().fault(0, "stall", "c-0/proxy-0").close_by_peer(0, None), Pass, 1);
        check(hosted.fault(0, "stall", "c-1/proxy-0").close_by_peer(0, None), Fail, 1);
    }

    #[test]
    fn slow_clients_may_be_closed_only_where_it_is_allowed_and_said() {
        let allow = Tape::new("no-client-close = { allow-slow = true }").open(9, 0);
        check(allow.clone().close_by_peer(9, Some(1013)), Pass, 1);
        check(allow.close_by_peer(9, None), Fail, 1);
        check(tape().open(9, 0).close_by_peer(9, Some(1013)), Fail, 2);
    }

    #[test]
    fn the_end_of_the_run_closes_all_and_no_session_is_inconclusive() {
        check(tape().phase(Phase::End).close_by_peer(0, Some(1001)), Pass, 1);
        check(Tape::new("no-client-close = {}"), Inconclusive, 0);
    }
}
