//! Who is well by the fault plan: what the driver's own events say, not anyone's opinion.

use std::collections::BTreeMap;
use std::ops::Range;

use wire::event::{Event, ends_process};

use super::Facts;

/// The state of all hosts, fed from [`Event::FaultStart`] and [`Event::FaultStop`].
///
/// A fault is on a host (`source-1`, `proxy-0`, a host of clients), on a link between two (`proxy-0/source-1`) or on one way of it
/// (`source-1>proxy-0`). A source is down while a fault is on it or on a link to it: each makes it useless to someone, or may. So is a proxy that feeds edges,
/// which is a source to them.
pub(super) struct Health {
    facts: Facts,
    sources: Vec<Host>,
    proxies: Vec<Host>,
    client_hosts: Vec<(String, Range<u32>, Host)>,
    faults: BTreeMap<u16, Hit>,
    /// When a healthy source last came to be lacking, and until when.
    none: Option<(u64, u64)>,
    /// Faults on what feeds nobody: how many last, and when one ended last.
    elsewhere: (u32, Option<u64>),
}

#[derive(Clone, Default)]
struct Host {
    faults: u32,
    back_us: Option<u64>,
}

/// What a fault is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    /// A source; `dead` if its process or machine is gone, so that its connections are too.
    Source {
        /// Its number.
        source: usize,
        /// Whether its connections are gone.
        dead: bool,
    },
    /// A proxy.
    Proxy(usize),
    /// A host of clients, or a link to it.
    Clients(usize),
    /// Nothing that is known here.
    Other,
}

impl Health {
    pub(super) fn new(facts: &Facts) -> Self {
        let hosts = facts.client_hosts.iter().map(|(name, range)| (name.clone(), range.clone(), Host::default()));
        Self {
            facts: Facts { client_hosts: Vec::new(), slow_clients: Vec::new(), ..facts.clone() },
            sources: vec![Host::default(); usize::from(facts.sources)],
            proxies: vec![Host::default(); usize::from(facts.proxies)],
            client_hosts: hosts.collect(),
            faults: BTreeMap::new(),
            none: None,
            elsewhere: (0, None),
        }
    }

    /// Takes an event; says what a fault that starts now hits.
    pub(super) fn observe(&mut self, us: u64, event: &Event) -> Option<Hit> {
        match event {
            Event::FaultStart { fault, kind, target } => {
                let hit = self.hit(kind, target);
                if let Some(old) = self.faults.insert(*fault, hit) {
                    self.lift(us, old);
                }
                let before = self.healthy();
                if let Some(host) = self.host(hit) {
                    host.faults += 1;
                }
                self.elsewhere.0 += u32::from(!self.feeds(hit));
                if before > 0 && self.healthy() == 0 {
                    self.none = Some((us, u64::MAX));
                }
                Some(hit)
            }
            Event::FaultStop { fault } => {
                if let Some(hit) = self.faults.remove(fault) {
                    self.lift(us, hit);
                }
                None
            }
            _ => None,
        }
    }

    fn lift(&mut self, us: u64, hit: Hit) {
        if let Some(host) = self.host(hit) {
            host.faults = host.faults.saturating_sub(1);
            host.back_us = Some(us);
        }
        if !self.feeds(hit) {
            self.elsewhere = (self.elsewhere.0.saturating_sub(1), Some(us));
        }
        if self.healthy() > 0
            && let Some((_, until)) = &mut self.none
            && *until == u64::MAX
        {
            *until = us;
        }
    }

    /// Whether what is hit is a source to someone.
    fn feeds(&self, hit: Hit) -> bool {
        match hit {
            Hit::Source { .. } => true,
            Hit::Proxy(proxy) => self.facts.feeds_edges(proxy),
            Hit::Clients(_) | Hit::Other => false,
        }
    }

    fn host(&mut self, hit: Hit) -> Option<&mut Host> {
        match hit {
            Hit::Source { source, .. } => self.sources.get_mut(source),
            Hit::Proxy(proxy) => self.proxies.get_mut(proxy),
            Hit::Clients(host) => self.client_hosts.get_mut(host).map(|host| &mut host.2),
            Hit::Other => None,
        }
    }

    fn hit(&self, kind: &str, target: &str) -> Hit {
        let number = |prefix: &str| {
            target
                .split(['/', '>'])
                .find_map(|name| name.strip_prefix(prefix).and_then(|number| number.parse::<usize>().ok()))
        };
        if let Some(source) = number("source-") {
            let dead = !target.contains(['/', '>']) && ends_process(kind);
            return Hit::Source { source, dead };
        }
        let clients = |name: &str| self.client_hosts.iter().position(|host| host.0 == name);
        if let Some(host) = target.split(['/', '>']).find_map(clients) {
            return Hit::Clients(host);
        }
        match self.facts.proxy_named(target) {
            Some(proxy) => Hit::Proxy(proxy),
            // A link between an edge and what feeds it.
            None if target.contains("edge-") => number("proxy-").map_or(Hit::Other, Hit::Proxy),
            None => Hit::Other,
        }
    }

    /// Healthy sources now; none, where edges have no healthy proxy between them and the sources.
    pub(super) fn healthy(&self) -> usize {
        let middle = self.facts.middle();
        if middle > 0 && self.proxies.iter().take(middle).all(|host| host.faults > 0) {
            return 0;
        }
        self.sources.iter().filter(|host| host.faults == 0).count()
    }

    /// Whether the source is healthy now, and since when if it was not always.
    pub(super) fn source(&self, source: usize) -> (bool, Option<u64>) {
        self.sources.get(source).map_or((true, None), |host| (host.faults == 0, host.back_us))
    }

    /// Whether no source was healthy at some instant in `[from_us, now]`.
    pub(super) fn none_since(&self, from_us: u64) -> bool {
        self.none.is_some_and(|(_, until)| until >= from_us)
    }

    /// Whether a fault on what feeds nobody (a proxy that clients connect to, clients, a link between them) lasted at some instant in `[from_us, now]`.
    pub(super) fn elsewhere_since(&self, from_us: u64) -> bool {
        self.elsewhere.0 > 0 || self.elsewhere.1.is_some_and(|until| until >= from_us)
    }

    /// Whether the proxy is hit by a fault, or was in the last `settle_us`.
    pub(super) fn proxy_hit(&self, proxy: usize, now_us: u64, settle_us: u64) -> bool {
        self.proxies.get(proxy).is_some_and(|host| host.hit_lately(now_us, settle_us))
    }

    /// Whether the client's host or its link is hit by a fault, or was in the last `settle_us`.
    pub(super) fn client_hit(&self, client: u32, now_us: u64, settle_us: u64) -> bool {
        self.client_hosts.iter().any(|(_, range, host)| range.contains(&client) && host.hit_lately(now_us, settle_us))
    }
}

impl Host {
    fn hit_lately(&self, now_us: u64, settle_us: u64) -> bool {
        self.faults > 0 || self.back_us.is_some_and(|back| back.saturating_add(settle_us) >= now_us)
    }
}
