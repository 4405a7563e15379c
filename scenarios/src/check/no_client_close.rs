//! `no-client-close`: a failing source is the proxy's business: clients keep their sessions while one source is healthy.
//!
//! A session that ends from the other side is a violation, unless no source was healthy (by the fault plan) at some instant in the last `settle`, or a
//! fault hit its proxy or its own host or link, or the client is slow on purpose and `allow-slow` lets it be closed with 1013, or the run is over.
//!
//! ```text
//!   fault: the proxy's process ends, or the proxy gives the client up ---> ... ---> the client learns of it
//!          here the session is lost, and this is judged                             (its next ping is answered with RST; it has read what came before the Close)
//! ```
//!
//! A client that says little, or that has much to read first, may learn long after `settle` that its session was lost in a fault. That the process of its proxy ended, that connections were
//! forgotten or, for a slow reader, that something on the way closed them, is in the plan. That the proxy gave it up is the proxy's own account, as nothing outside shows it: where no fault excuses that, the account excuses nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::close::TRY_AGAIN_LATER;
use wire::event::{Event, Phase, Side, ends_process};

use super::health::{Health, Hit};
use super::{At, Checker, Facts, Findings, NoClientClose};

/// The checker. A check is a session that opens.
pub(super) struct ClientsStay {
    allow_slow: bool,
    settle_us: u64,
    facts: Facts,
    health: Health,
    /// Which proxy admitted whom. Never walked.
    admitted: FxHashMap<SocketAddr, usize>,
    /// The open session by client.
    open: Vec<Option<Open>>,
    /// Whose open session has this address. Never walked.
    clients: FxHashMap<SocketAddr, u32>,
    /// Faults in force that end sessions.
    ending: BTreeMap<u16, (Hit, Whose)>,
    excused: u64,
    over: bool,
}

#[derive(Clone)]
struct Open {
    client: u32,
    /// As far as known.
    proxy: Option<usize>,
    local: SocketAddr,
    /// The opening event.
    event: u64,
    /// It was lost in a fault, whenever its client learns of that.
    lost: bool,
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
            clients: FxHashMap::default(),
            ending: BTreeMap::new(),
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

    /// Sessions that a fault ends, by the plan alone: as it begins, and those that came in meanwhile as it stops.
    fn plan_ends(&mut self, us: u64, event: &Event) {
        let hit = self.health.observe(us, event);
        match event {
            Event::FaultStart { fault, kind, .. } => {
                if let (Some(hit), Some(whose)) = (hit, Whose::of(kind)) {
                    self.ending.insert(*fault, (hit, whose));
                    self.lose(hit, whose);
                }
            }
            Event::FaultStop { fault } => {
                if let Some((hit, whose)) = self.ending.remove(fault) {
                    self.lose(hit, whose);
                }
            }
            _ => {}
        }
    }

    fn lose(&mut self, hit: Hit, whose: Whose) {
        let facts = &self.facts;
        let is_hit = |open: &Open| match hit {
            Hit::Proxy(proxy) => open.proxy == Some(proxy),
            Hit::Clients(host) => facts.client_hosts.get(host).is_some_and(|(_, range)| range.contains(&open.client)),
            Hit::Source { .. } | Hit::Other => false,
        };
        let lost = |open: &Open| is_hit(open) && (whose == Whose::All || facts.is_slow(open.client));
        self.open.iter_mut().flatten().filter(|open| lost(open)).for_each(|open| open.lost = true);
    }
}

/// Whose sessions a fault may end so that their clients learn of it late.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The process ends, or the connections are forgotten: no session is left.
    All,
    /// Something on the way closes connections: a slow reader has much to read before it sees that.
    Slow,
}

impl Whose {
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "drain" | "half-open" => Some(Whose::All),
            "timeout" | "limit-data" | "reset-peer" => Some(Whose::Slow),
            _ => ends_process(kind).then_some(Whose::All),
        }
    }
}

impl Checker for ClientsStay {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ProxyAdmit { proxy, peer } => {
                self.admitted.insert(*peer, proxy.index());
            }
            Event::ClientOpen { client: id, local, target, .. } => {
                findings.check();
                // A proxy of others does not say whom it admitted: then the client's list of targets is the list of proxies.
                let proxy = self.admitted.remove(local).unwrap_or(usize::from(*target));
                let client = at.client as usize;
                if self.open.len() <= client {
                    self.open.resize(client + 1, None);
                }
                let proxy = (self.facts.proxies > 0).then_some(proxy);
                self.open[client] = Some(Open { client: id.0, proxy, local: *local, event: at.event, lost: false });
                self.clients.insert(*local, at.client);
            }
            Event::ProxyClientClose { peer, code, .. } => {
                let Some(place) = self.clients.get(peer).map(|client| *client as usize) else { return };
                let Some(Some(open)) = self.open.get(place) else { return };
                let lost = self.excuse(at, open.client, open.proxy, *code);
                if let Some(Some(open)) = self.open.get_mut(place) {
                    open.lost |= lost;
                }
            }
            Event::ClientClose { client, session, by, code } => {
                let Some(open) = self.open.get_mut(at.client as usize).and_then(Option::take) else { return };
                self.clients.remove(&open.local);
                if *by == Side::Own || self.over || self.facts.is_hostile(client.0) {
                    return;
                }
                if open.lost || self.excuse(at, client.0, open.proxy, *code) {
                    self.excused += 1;
                    return;
                }
                let healthy = self.health.healthy();
                findings.violation(at, &[open.event], || {
                    let how = code.map_or_else(|| "it broke".to_owned(), |code| format!("closed with {code}"));
                    format!("{client} lost {session} ({how}) with {healthy} sources healthy")
                });
            }
            Event::Phase { phase: Phase::End } => self.over = true,
            Event::FaultStart { .. } | Event::FaultStop { .. } => self.plan_ends(at.us, event),
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
    fn a_session_that_was_lost_in_a_fault_is_excused_whenever_its_client_learns_of_it() {
        for kind in ["kill", "power-off", "drain", "half-open"] {
            let lost = tape().fault(0, kind, "proxy-0").after(4_000_000).heal(0).after(10_000_000);
            check(lost.clone().close_by_peer(0, None), Pass, 1);
            // The next life's sessions are no matter of the fault.
            check(lost.session(1).open(0, 1).close_by_peer(0, None), Fail, 2);
        }
        // It stays where it is through these.
        for (kind, target) in [("freeze", "proxy-0"), ("kill", "source-0")] {
            let kept = tape().fault(0, kind, target).after(4_000_000).heal(0).after(10_000_000);
            check(kept.close_by_peer(0, None), Fail, 1);
        }
        // Who came in while the program left went with it.
        let late = tape().fault(0, "drain", "proxy-0").after(100_000).open(1, 0).after(1_000_000).heal(0);
        check(late.after(10_000_000).close_by_peer(1, Some(1012)), Pass, 2);
    }

    #[test]
    fn connections_that_a_link_forgot_are_those_of_its_clients() {
        let hosted =
            tape().facts(|facts| facts.client_hosts = vec![("c-0".to_owned(), 0..1), ("c-1".to_owned(), 1..2)]);
        let forgot = |target: &str| hosted.clone().fault(0, "half-open", target).heal(0).after(10_000_000);
        check(forgot("c-0/proxy-0").close_by_peer(0, None), Pass, 1);
        check(forgot("c-1/proxy-0").close_by_peer(0, None), Fail, 1);
    }

    #[test]
    fn a_slow_reader_learns_late_that_something_on_the_way_closed_it() {
        let cut = |kind: &str, target: &str| tape().open(9, 0).fault(0, kind, target).heal(0).after(10_000_000);
        for kind in ["timeout", "limit-data", "reset-peer"] {
            check(cut(kind, "proxy-0").close_by_peer(9, None), Pass, 2);
            check(cut(kind, "proxy-0").close_by_peer(0, None), Fail, 2);
            check(cut(kind, "proxy-0/source-0").close_by_peer(9, None), Fail, 2);
        }
        check(cut("stall", "proxy-0").close_by_peer(9, None), Fail, 2);
    }

    #[test]
    fn what_the_proxy_says_of_a_close_excuses_it_in_a_fault_only() {
        let hosted = || tape().facts(|facts| facts.client_hosts = vec![("c-0".to_owned(), 0..1)]);
        // The client is given up while nothing of it is heard, and learns from the RST to its next ping.
        let given_up = hosted().fault(0, "stall", "c-0/proxy-0").after(2_000_000).closed_by_proxy(0).heal(0);
        check(given_up.after(5_000_000).close_by_peer(0, None), Pass, 1);
        let kept = hosted().fault(0, "stall", "c-0/proxy-0").after(2_000_000).heal(0);
        check(kept.clone().after(5_000_000).close_by_peer(0, None), Fail, 1);
        check(kept.after(5_000_000).closed_by_proxy(0).close_by_peer(0, None), Fail, 1);
        check(hosted().fault(0, "kill", "source-0").closed_by_proxy(0).close_by_peer(0, None), Fail, 1);
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
