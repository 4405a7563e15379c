//! `host-leaks`: after the faults each host holds what it held before them.
//!
//! The driver looks at each host twice, at the end of the warm-up and at the end of the run, from outside: how many tasks its program has, how many sockets, how
//! many bytes its kernel holds. What is more at the end must be explained by who is there:
//!
//! - tasks: a client with the proxy is one, a leg with its source is one, a client on its own host is one;
//! - sockets: a client and a leg are one each;
//! - bytes in the kernel, where nobody is slow: what is on its way at any instant, at most `queued-bytes` more than before.
//!
//! Who came, left or moved within `settle` of a look may be half there: for each such event one task and one socket more are borne with.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wire::event::{Event, Phase};
use wire::id::{ClientId, LegId, SessionId, SourceId};

use super::{At, Checker, Facts, Findings, HostLeaks};

/// The checker. A check is one figure of one host at the end against the same before.
pub(super) struct Holdings {
    bound: HostLeaks,
    facts: Facts,
    /// Hosts and what they hold by the accounts of clients, sources and proxies.
    hosts: BTreeMap<Box<str>, Host>,
    /// Where each session is, from its dial to its end.
    sessions: BTreeMap<(ClientId, SessionId), u16>,
    legs: BTreeSet<(SourceId, LegId)>,
    came: BTreeSet<ClientId>,
    over: bool,
    worst: Option<String>,
    most: u64,
}

#[derive(Default)]
struct Host {
    /// Sessions (at a proxy, at a host of clients), or legs (at a source).
    there: u64,
    /// Legs of a proxy.
    legs: u64,
    /// Of a host of clients: how many ever came.
    came: u64,
    /// The times of what has changed lately.
    changes: VecDeque<u64>,
    before: Option<Held>,
}

/// What a host held when it was looked at.
#[derive(Clone, Copy)]
struct Held {
    tasks: u64,
    sockets: u64,
    bytes: u64,
    there: u64,
    legs: u64,
    came: u64,
    restless: u64,
    event: u64,
}

impl Holdings {
    pub(super) fn new(bound: HostLeaks, facts: &Facts) -> Self {
        Self {
            bound,
            facts: facts.clone(),
            hosts: BTreeMap::new(),
            sessions: BTreeMap::new(),
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
        while host.changes.front().is_some_and(|us| us.saturating_add(settle_us) < now_us) {
            host.changes.pop_front();
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

    fn dials(&mut self, at: At, client: ClientId, session: SessionId, target: u16) {
        self.sessions.insert((client, session), target);
        let came = u64::from(self.came.insert(client));
        self.changed(at, &format!("proxy-{target}"), |host| host.there += 1);
        if let Some(home) = self.home(client) {
            self.changed(at, &home, |host| (host.there, host.came) = (host.there + 1, host.came + came));
        }
    }

    fn ends(&mut self, at: At, client: ClientId, session: SessionId) {
        let Some(target) = self.sessions.remove(&(client, session)) else { return };
        self.changed(at, &format!("proxy-{target}"), |host| host.there = host.there.saturating_sub(1));
        if let Some(home) = self.home(client) {
            self.changed(at, &home, |host| host.there = host.there.saturating_sub(1));
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
        } else if let Some(proxy) = target.strip_prefix("proxy-").and_then(|number| number.parse::<u16>().ok()) {
            self.changed(at, &format!("proxy-{proxy}"), |host| host.legs = 0);
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
        let of_clients = !name.starts_with("proxy-") && !name.starts_with("source-");
        let tasks = match of_clients {
            // A client's task outlives its sessions.
            true => explained(before.tasks, &[(now.came.max(before.came), before.came)]),
            false => explained(before.tasks, &[(now.there, before.there)]),
        };
        let sockets = explained(before.sockets, &[(now.there, before.there), (now.legs, before.legs)]);
        let mut figures =
            vec![("tasks", now.tasks, before.tasks, tasks), ("sockets", now.sockets, before.sockets, sockets)];
        if self.facts.slow_clients.is_empty() {
            let bytes = before.bytes + self.bound.queued_bytes;
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
            Event::ClientOpen { client, session, .. } => {
                // A handshake has become a session.
                if let Some(target) = self.sessions.get(&(*client, *session)).copied() {
                    self.changed(at, &format!("proxy-{target}"), |_| {});
                }
            }
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
            Event::ProxyLegUp { proxy, .. } => {
                self.changed(at, &format!("proxy-{}", proxy.0), |host| host.legs += 1);
            }
            Event::ProxyLegDown { proxy, local: Some(_), .. } => {
                self.changed(at, &format!("proxy-{}", proxy.0), |host| host.legs = host.legs.saturating_sub(1));
            }
            // A dial is a socket, too.
            Event::ProxyDial { proxy, .. } | Event::ProxyLegDown { proxy, local: None, .. } => {
                self.changed(at, &format!("proxy-{}", proxy.0), |_| {});
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
                    legs: host.legs,
                    came: host.came,
                    restless: host.changes.len() as u64,
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
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::{Event, Phase};

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
    fn one_look_is_no_check() {
        check(tape(), Inconclusive, 0);
    }
}
