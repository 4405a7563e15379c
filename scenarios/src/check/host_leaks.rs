//! `host-leaks`: after the faults each host holds what it held before them.
//!
//! The driver looks at each host twice, at the end of the warm-up and at the end of the run, from outside: how many tasks its program has, how many sockets, how
//! many bytes its kernel holds. What is more at the end must be explained by who is there:
//!
//! - tasks: a client with the proxy is one, a leg with its source is one, a client on its own host is one;
//! - sockets: a client and a leg are one each;
//! - bytes in the kernel, where nobody is slow: what is on its way at any instant, at most `queued-bytes` more than before.
//!
//! To a proxy that feeds edges, a leg of an edge is a client. What a host holds without a task or a socket of its own is not seen: a timer within a task, a count of references that never
//! falls to zero, memory.
//!
//! Who came, left or moved within `settle` of a look may be half there: for each such event one task and one socket more are borne with. Who is in its handshake when the host
//! is looked at may be with the proxy, still in its backlog, or turned away without knowing it yet: it explains more at the end, and less of what there was before. What a client
//! has sent too much of within `settle` may be on its way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use wire::event::{Event, Phase};
use wire::id::{ClientId, LegId, SessionId, SourceId};

use super::{At, Checker, Facts, Findings, HostLeaks};

/// Bytes that an offence sends at most: a message beyond the largest that any proxy takes (relay: 256 KiB), and its head.
const OFFENCE_BYTES_MAX: u64 = 262_144 + 64;

/// The checker. A check is one figure of one host at the end against the same before.
pub(super) struct Holdings {
    bound: HostLeaks,
    facts: Facts,
    /// Hosts and what they hold by the accounts of clients, sources and proxies.
    hosts: BTreeMap<Box<str>, Host>,
    /// At which proxy each session is, from its dial to its end.
    sessions: BTreeMap<(ClientId, SessionId), Session>,
    /// Legs of proxies that are up, by the proxy's number and its own address.
    up: BTreeSet<(usize, SourceId, SocketAddr)>,
    /// Legs between an edge and a proxy that feeds it: both by their numbers.
    links: Vec<(usize, usize)>,
    legs: BTreeSet<(SourceId, LegId)>,
    came: BTreeSet<ClientId>,
    over: bool,
    worst: Option<String>,
    most: u64,
}

#[derive(Clone, Copy)]
struct Session {
    proxy: usize,
    open: bool,
}

#[derive(Default)]
struct Host {
    /// Sessions (at a proxy, at a host of clients), or legs (at a source).
    there: u64,
    /// Of a proxy: those of them whose handshake is not over.
    dialling: u64,
    /// Legs of a proxy.
    legs: u64,
    /// Of a host of clients: how many ever came.
    came: u64,
    /// The times of what has changed lately.
    changes: VecDeque<u64>,
    /// The times at which a client of the host has broken a rule lately.
    offences: VecDeque<u64>,
    before: Option<Held>,
}

/// What a host held when it was looked at.
#[derive(Clone, Copy)]
struct Held {
    tasks: u64,
    sockets: u64,
    bytes: u64,
    there: u64,
    /// Those of them of whom it is sure.
    sure: u64,
    legs: u64,
    came: u64,
    restless: u64,
    offences: u64,
    event: u64,
}

impl Holdings {
    pub(super) fn new(bound: HostLeaks, facts: &Facts) -> Self {
        Self {
            bound,
            facts: facts.clone(),
            hosts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            up: BTreeSet::new(),
            links: Vec::new(),
            legs: BTreeSet::new(),
            came: BTreeSet::new(),
            over: false,
            worst: None,
            most: 0,
        }
    }

    fn host(&mut self, name: &str, now_us: u64) -> &mut Host {
        if !self.hosts.contains_key(name) {
            self.hosts.insert(name.into(), Host::default());
        }
        let settle_us = self.bound.settle.as_micros();
        let host = self.hosts.get_mut(name).expect("it was put there");
        for times in [&mut host.changes, &mut host.offences] {
            while times.front().is_some_and(|us| us.saturating_add(settle_us) < now_us) {
                times.pop_front();
            }
        }
        host
    }

    fn changed(&mut self, at: At, name: &str, change: impl FnOnce(&mut Host)) {
        let host = self.host(name, at.us);
        change(host);
        host.changes.push_back(at.us);
    }

    fn home(&self, client: ClientId) -> Option<String> {
        self.facts.client_hosts.iter().find(|(_, range)| range.contains(&client.0)).map(|(name, _)| name.clone())
    }

    /// The name of a proxy's host.
    fn proxy(&self, number: usize) -> String {
        match number.checked_sub(self.facts.middle()).filter(|_| self.facts.is_edge(number)) {
            Some(edge) => format!("edge-{edge}"),
            None => format!("proxy-{number}"),
        }
    }

    fn dials(&mut self, at: At, client: ClientId, session: SessionId, target: u16) {
        // Clients know the edges only, where there are some.
        let proxy = usize::from(target) + self.facts.middle();
        self.sessions.insert((client, session), Session { proxy, open: false });
        let came = u64::from(self.came.insert(client));
        self.changed(at, &self.proxy(proxy), |host| (host.there, host.dialling) = (host.there + 1, host.dialling + 1));
        if let Some(home) = self.home(client) {
            self.changed(at, &home, |host| (host.there, host.came) = (host.there + 1, host.came + came));
        }
    }

    /// A handshake has become a session.
    fn opens(&mut self, at: At, client: ClientId, session: SessionId) {
        let Some(one) = self.sessions.get_mut(&(client, session)) else { return };
        let dialled = u64::from(!std::mem::replace(&mut one.open, true));
        let proxy = one.proxy;
        self.changed(at, &self.proxy(proxy), |host| host.dialling = host.dialling.saturating_sub(dialled));
    }

    fn ends(&mut self, at: At, client: ClientId, session: SessionId) {
        let Some(Session { proxy, open }) = self.sessions.remove(&(client, session)) else { return };
        self.changed(at, &self.proxy(proxy), |host| {
            host.there = host.there.saturating_sub(1);
            host.dialling = host.dialling.saturating_sub(u64::from(!open));
        });
        if let Some(home) = self.home(client) {
            self.changed(at, &home, |host| host.there = host.there.saturating_sub(1));
        }
    }

    /// What a client sends too much of is at its host and at the proxy.
    fn offends(&mut self, at: At, client: ClientId, session: SessionId) {
        let proxy = self.sessions.get(&(client, session)).map(|session| self.proxy(session.proxy));
        for name in [proxy, self.home(client)].into_iter().flatten() {
            self.host(&name, at.us).offences.push_back(at.us);
        }
    }

    /// A leg of a proxy comes up or goes down. To a proxy that feeds it an edge is a client. One that goes down need not have been up: its source may have said no.
    fn leg(&mut self, at: At, proxy: usize, source: SourceId, local: SocketAddr, up: bool) {
        let leg = (proxy, source, local);
        let counts = if up { self.up.insert(leg) } else { self.up.remove(&leg) };
        self.changed(at, &self.proxy(proxy), |host| match (counts, up) {
            (true, true) => host.legs += 1,
            (true, false) => host.legs = host.legs.saturating_sub(1),
            (false, _) => {}
        });
        let Some(middle) = self.facts.proxy_behind(source) else { return };
        if up {
            self.links.push((proxy, middle));
            self.changed(at, &self.proxy(middle), |host| host.there += 1);
        } else if let Some(place) = self.links.iter().position(|link| *link == (proxy, middle)) {
            self.links.swap_remove(place);
            self.changed(at, &self.proxy(middle), |host| host.there = host.there.saturating_sub(1));
        }
    }

    /// A process that ends reports nothing: what it held is gone.
    fn fault(&mut self, at: At, kind: &str, target: &str) {
        if !wire::event::ends_process(kind) {
            return;
        }
        if let Some(source) = target.strip_prefix("source-").and_then(|number| number.parse().ok()) {
            self.legs.retain(|(of, _)| *of != SourceId(source));
            self.changed(at, target, |host| host.there = 0);
        } else if let Some(proxy) = self.facts.proxy_named(target) {
            self.up.retain(|(of, ..)| *of != proxy);
            self.changed(at, target, |host| host.legs = 0);
            let (gone, left) = std::mem::take(&mut self.links).into_iter().partition(|(edge, _)| *edge == proxy);
            self.links = left;
            let gone: Vec<(usize, usize)> = gone;
            for (_, middle) in gone {
                self.changed(at, &self.proxy(middle), |host| host.there = host.there.saturating_sub(1));
            }
        } else if let Some((_, range)) = self.facts.client_hosts.iter().find(|(name, _)| name == target) {
            let gone: Vec<_> = self.sessions.keys().filter(|(client, _)| range.contains(&client.0)).copied().collect();
            gone.into_iter().for_each(|(client, session)| self.ends(at, client, session));
        }
    }

    fn judge(&mut self, at: At, name: &str, before: Held, now: Held, findings: &mut Findings) {
        let restless = before.restless + now.restless + self.bound.slack;
        let more = |now: u64, before: u64| now.saturating_sub(before);
        // Those who have left since make room; those who have come take it.
        let explained = |figure: u64, parts: &[(u64, u64)]| {
            let (came, went) = parts
                .iter()
                .fold((0, 0), |sum, (now, before)| (sum.0 + more(*now, *before), sum.1 + more(*before, *now)));
            (figure + came).saturating_sub(went) + restless
        };
        let of_clients = self.facts.client_hosts.iter().any(|(host, _)| host == name);
        let tasks = match of_clients {
            // A client's task outlives its sessions.
            true => explained(before.tasks, &[(now.came.max(before.came), before.came)]),
            false => explained(before.tasks, &[(now.there, before.sure)]),
        };
        let sockets = explained(before.sockets, &[(now.there, before.sure), (now.legs, before.legs)]);
        let mut figures =
            vec![("tasks", now.tasks, before.tasks, tasks), ("sockets", now.sockets, before.sockets, sockets)];
        if self.facts.slow_clients.is_empty() {
            let bytes = before.bytes + self.bound.queued_bytes + now.offences * OFFENCE_BYTES_MAX;
            figures.push(("bytes in its kernel", now.bytes, before.bytes, bytes));
        }
        for (what, has, had, may) in figures {
            findings.check();
            if has > had && what != "bytes in its kernel" && has - had > self.most {
                self.most = has - had;
                self.worst = Some(format!("{name} from {had} to {has} {what}, of which {may} are explained"));
            }
            if has > may {
                findings.violation(at, &[before.event], || {
                    let (there, were) = (now.there, before.there);
                    let who = if name.starts_with("source-") { "legs" } else { "sessions" };
                    format!(
                        "{name} holds {has} {what} at the end and held {had} before the faults; with {there} {who} where there were {were}, {may} are explained"
                    )
                });
            }
        }
    }
}

impl Checker for Holdings {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        if self.over {
            return;
        }
        match event {
            Event::ClientDial { client, session, target } => self.dials(at, *client, *session, *target),
            Event::ClientOpen { client, session, .. } => self.opens(at, *client, *session),
            Event::ClientOffend { client, session } => self.offends(at, *client, *session),
            // It may still be told why.
            Event::ProxyShed { proxy, .. } => self.changed(at, &self.proxy(proxy.index()), |_| {}),
            Event::ClientRefused { client, session, .. } | Event::ClientClose { client, session, .. } => {
                self.ends(at, *client, *session);
            }
            Event::SourceOpen { source, leg, .. } => {
                self.legs.insert((*source, *leg));
                self.changed(at, &format!("source-{}", source.0), |host| host.there += 1);
            }
            Event::SourceClose { source, leg, .. } if self.legs.remove(&(*source, *leg)) => {
                self.changed(at, &format!("source-{}", source.0), |host| host.there = host.there.saturating_sub(1));
            }
            Event::ProxyLegUp { proxy, source, local, .. } => self.leg(at, proxy.index(), *source, *local, true),
            Event::ProxyLegDown { proxy, source, local: Some(local), .. } => {
                self.leg(at, proxy.index(), *source, *local, false);
            }
            // A dial is a socket, too, at both ends.
            Event::ProxyDial { proxy, source } | Event::ProxyLegDown { proxy, source, local: None, .. } => {
                self.changed(at, &self.proxy(proxy.index()), |_| {});
                if let Some(middle) = self.facts.proxy_behind(*source) {
                    self.changed(at, &self.proxy(middle), |_| {});
                }
            }
            Event::FaultStart { kind, target, .. } => self.fault(at, kind, target),
            Event::Phase { phase: Phase::End } => self.over = true,
            Event::HostGauge { host: name, tasks, sockets, unread, unsent } => {
                let host = self.host(name, at.us);
                let held = Held {
                    tasks: *tasks,
                    sockets: *sockets,
                    bytes: unread + unsent,
                    there: host.there,
                    sure: host.there.saturating_sub(host.dialling),
                    legs: host.legs,
                    came: host.came,
                    restless: host.changes.len() as u64,
                    offences: host.offences.len() as u64,
                    event: at.event,
                };
                match host.before {
                    None => host.before = Some(held),
                    Some(before) => self.judge(at, name, before, held, findings),
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        let grew = self.worst.take().unwrap_or_else(|| "none holds more than before".to_owned());
        format!("{} figures of {} hosts; most grew {grew}", findings.checked(), self.hosts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check, leg_addr};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::{Event, Phase, Why};
    use wire::id::{ProxyId, SourceId};

    fn held(tape: Tape, host: &str, tasks: u64, sockets: u64, unsent: u64) -> Tape {
        tape.push(Event::HostGauge { host: host.into(), tasks, sockets, unread: 0, unsent })
    }

    /// One client at the proxy, and a look at it two seconds later: five tasks, two sockets.
    fn tape() -> Tape {
        let tape = Tape::new("host-leaks = {}").facts(|facts| facts.slow_clients.clear()).dial(0).open(0, 0);
        held(tape.after(2_000_000).phase(Phase::Steady), "proxy-0", 5, 2, 100)
    }

    #[test]
    fn what_is_more_and_not_explained_fails() {
        check(held(tape().after(5_000_000), "proxy-0", 5, 2, 100), Pass, 3);
        check(held(tape().after(5_000_000), "proxy-0", 6, 2, 100), Fail, 3);
        check(held(tape().after(5_000_000), "proxy-0", 5, 3, 100), Fail, 3);
        check(held(tape().after(5_000_000), "proxy-0", 5, 2, 100_000), Fail, 3);
    }

    #[test]
    fn who_came_explains_more_and_who_left_explains_less() {
        let came = tape().dial(1).open(1, 0).after(5_000_000);
        check(held(came.clone(), "proxy-0", 6, 3, 100), Pass, 3);
        check(held(came, "proxy-0", 7, 3, 100), Fail, 3);
        let left = tape().close_own(0).after(5_000_000);
        check(held(left.clone(), "proxy-0", 4, 1, 100), Pass, 3);
        check(held(left, "proxy-0", 5, 1, 100), Fail, 3);
    }

    #[test]
    fn what_has_just_changed_may_be_half_done() {
        check(held(tape().close_own(0), "proxy-0", 5, 2, 100), Pass, 3);
    }

    #[test]
    fn the_legs_of_a_source_are_its_own_and_a_process_that_ended_holds_none() {
        let tape = Tape::new("host-leaks = {}").leg(0, 0).after(2_000_000).phase(Phase::Steady);
        let tape = held(tape, "source-0", 4, 1, 0).fault(0, "kill", "source-0").heal(0).after(5_000_000);
        check(held(tape.clone(), "source-0", 3, 0, 0), Pass, 2);
        check(held(tape, "source-0", 4, 0, 0), Fail, 2);
    }

    #[test]
    fn to_a_proxy_that_feeds_edges_their_legs_are_clients() {
        // Two proxies feed edge-0, which is proxy 2 of the record; what it has for sources are 2 and 3.
        let link = |tape: Tape, source: u16, up: bool| {
            let (proxy, source, local) = (ProxyId(2), SourceId(source), leg_addr(2, source));
            tape.push(if up {
                Event::ProxyLegUp { proxy, source, local, epoch: 1, client: None }
            } else {
                Event::ProxyLegDown { proxy, source, local: Some(local), why: Why::Reset }
            })
        };
        let tiers = Tape::new("host-leaks = {}").facts(|facts| (facts.proxies, facts.edges) = (3, 1));
        let before = link(tiers.dial(0).open(0, 0), 2, true).after(2_000_000).phase(Phase::Steady);
        let before = ["proxy-0", "proxy-1", "edge-0"].into_iter().fold(before, |tape, host| held(tape, host, 5, 2, 0));
        let moved = link(link(before.clone(), 2, false), 3, true).after(5_000_000);
        for (host, tasks, sockets, expect) in [
            ("proxy-0", 4, 1, Pass),
            ("proxy-0", 5, 1, Fail),
            ("proxy-1", 6, 3, Pass),
            ("proxy-1", 6, 4, Fail),
            ("edge-0", 5, 2, Pass),
            ("edge-0", 6, 2, Fail),
        ] {
            check(held(moved.clone(), host, tasks, sockets, 0), expect, 2);
        }
        // One more at the edge; and an edge that ended is no client any more.
        let came = before.clone().dial(1).open(1, 0).after(5_000_000);
        check(held(came, "edge-0", 6, 3, 0), Pass, 2);
        let ended = before.fault(0, "kill", "edge-0").after(5_000_000);
        check(held(ended, "proxy-0", 5, 2, 0), Fail, 2);
    }

    #[test]
    fn who_dawdles_in_its_handshake_need_not_be_with_the_proxy() {
        let look = |tape: Tape| held(tape.after(2_000_000).phase(Phase::Steady), "proxy-0", 5, 2, 0);
        let tape = || Tape::new("host-leaks = {}").dial(0);
        // It was turned away before the look, and learned of it after: what the proxy holds is its own.
        let turned_away = look(tape()).refused(0, 0).after(5_000_000);
        check(held(turned_away.clone(), "proxy-0", 5, 2, 0), Pass, 2);
        check(held(turned_away, "proxy-0", 6, 2, 0), Fail, 2);
        // Who has its session by then was there.
        let there = look(tape().open(0, 0)).close_own(0).after(5_000_000);
        check(held(there, "proxy-0", 5, 2, 0), Fail, 2);
    }

    #[test]
    fn a_leg_that_never_came_up_is_none_less_when_it_goes_down() {
        let down = |local: u16| {
            let (proxy, source, local) = (ProxyId(0), SourceId(0), Some(leg_addr(0, local)));
            Event::ProxyLegDown { proxy, source, local, why: Why::Closed }
        };
        let up =
            Event::ProxyLegUp { proxy: ProxyId(0), source: SourceId(0), local: leg_addr(0, 1), epoch: 1, client: None };
        let tape = tape().push(up).after(2_000_000);
        check(held(tape.clone().push(down(2)).after(5_000_000), "proxy-0", 5, 3, 100), Pass, 3);
        check(held(tape.push(down(1)).after(5_000_000), "proxy-0", 5, 3, 100), Fail, 3);
    }

    #[test]
    fn what_is_too_big_may_be_on_its_way_for_a_moment() {
        let offends = |later_us: u64| tape().offend(0).after(later_us);
        check(held(offends(100_000), "proxy-0", 5, 2, 262_200), Pass, 3);
        check(held(offends(100_000), "proxy-0", 5, 2, 400_000), Fail, 3);
        check(held(offends(5_000_000), "proxy-0", 5, 2, 262_200), Fail, 3);
    }

    #[test]
    fn one_look_is_no_check() {
        check(tape(), Inconclusive, 0);
    }
}
