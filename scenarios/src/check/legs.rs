//! Which ticks went out on which leg, and which legs serve which client: what a missing tick is charged by.
//!
//! A leg is tied to a client by addresses: the source's `peer` is the client's own address (direct), or the address of a proxy's leg that serves this client
//! (relay, by the proxy's account), or of any leg of the client's proxy (fan-out). Where nothing ties them and there is one proxy, all legs are its own. The legs of
//! an edge are those of the proxy that feeds it; of all that ever fed it, while it may still pass on what another has sent.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::event::Event;
use wire::id::{LegId, SourceId};

use super::{At, Facts};

/// Legs of one proxy that are remembered; a proxy in fan-out holds one or two.
const LEGS_MAX: usize = 64;
/// Stretches of ticks of one symbol on one leg that are remembered. A leg carries one, unless its source skips.
const STRETCHES_MAX: usize = 32;

/// An edge, and the proxies that feed it.
#[derive(Default)]
struct Edge {
    /// Of the legs that are up.
    up: Vec<usize>,
    /// Of all legs, each once.
    ever: Vec<usize>,
    /// The event in which a leg came up or went down last.
    changed: u64,
}

/// Every leg of a record. Memory: a few words for each leg, and for each symbol on it.
#[derive(Default)]
pub(super) struct Legs {
    // Maps are never walked.
    numbers: FxHashMap<(SourceId, LegId), u32>,
    by_peer: FxHashMap<SocketAddr, u32>,
    claims: FxHashMap<SocketAddr, Claim>,
    by_client: FxHashMap<SocketAddr, VecDeque<u32>>,
    by_proxy: Vec<VecDeque<u32>>,
    all: VecDeque<u32>,
    sent: FxHashMap<(u32, u32), Stretches>,
    facts: Facts,
    /// By number of the proxy; empty for those that are no edges.
    edges: Vec<Edge>,
    /// Which edge a leg is of, by its own address.
    edge_legs: FxHashMap<SocketAddr, usize>,
    /// More legs than are remembered: what the lists say is not the whole.
    crowded: bool,
    next: u32,
}

#[derive(Clone, Copy)]
struct Claim {
    proxy: usize,
    client: Option<SocketAddr>,
}

/// Ticks of one symbol on one leg, as stretches without a hole, oldest first.
#[derive(Default)]
pub(super) struct Stretches(Vec<(u64, u64)>);

impl Legs {
    pub(super) fn new(facts: &Facts) -> Self {
        Self { facts: facts.clone(), ..Self::default() }
    }

    /// The edge whose leg has this address.
    pub(super) fn edge_at(&self, leg: &SocketAddr) -> Option<usize> {
        self.edge_legs.get(leg).copied()
    }

    /// A leg between an edge and a proxy that feeds it comes up or goes down.
    fn edge_leg(&mut self, at: At, edge: usize, middle: usize, up: bool) {
        if self.edges.len() <= edge {
            self.edges.resize_with(edge + 1, Edge::default);
        }
        let edge = &mut self.edges[edge];
        edge.changed = at.event;
        if up {
            edge.up.push(middle);
            if !edge.ever.contains(&middle) {
                edge.ever.push(middle);
            }
        } else if let Some(place) = edge.up.iter().position(|up| *up == middle) {
            edge.up.remove(place);
        }
    }

    /// Takes what sources and proxies say of legs.
    pub(super) fn observe(&mut self, at: At, event: &Event) {
        match event {
            Event::SourceSend { source, leg, n, .. } => {
                let leg = self.number(*source, *leg);
                self.sent.entry((leg, at.symbol)).or_default().push(*n);
            }
            Event::SourceOpen { source, leg, peer } => {
                let leg = self.number(*source, *leg);
                self.by_peer.insert(*peer, leg);
                if self.all.len() == LEGS_MAX {
                    self.all.pop_front();
                    self.crowded = true;
                }
                self.all.push_back(leg);
                if let Some(claim) = self.claims.remove(peer) {
                    self.tie(leg, claim);
                }
            }
            Event::ProxyLegUp { proxy, source, local, client, .. } => {
                if let Some(middle) = self.facts.proxy_behind(*source) {
                    self.edge_legs.insert(*local, proxy.index());
                    return self.edge_leg(at, proxy.index(), middle, true);
                }
                let claim = Claim { proxy: proxy.index(), client: *client };
                match self.by_peer.get(local) {
                    Some(leg) => self.tie(*leg, claim),
                    None => {
                        self.claims.insert(*local, claim);
                    }
                }
            }
            Event::ProxyLegDown { proxy, source, local: Some(_), .. } => {
                if let Some(middle) = self.facts.proxy_behind(*source) {
                    self.edge_leg(at, proxy.index(), middle, false);
                }
            }
            _ => {}
        }
    }

    fn number(&mut self, source: SourceId, leg: LegId) -> u32 {
        let number = *self.numbers.entry((source, leg)).or_insert(self.next);
        self.next = self.next.max(number.saturating_add(1));
        number
    }

    fn tie(&mut self, leg: u32, claim: Claim) {
        let legs = match claim.client {
            Some(client) => self.by_client.entry(client).or_default(),
            None => {
                if self.by_proxy.len() <= claim.proxy {
                    self.by_proxy.resize_with(claim.proxy + 1, VecDeque::new);
                }
                &mut self.by_proxy[claim.proxy]
            }
        };
        if legs.contains(&leg) {
            return;
        }
        if legs.len() == LEGS_MAX {
            legs.pop_front();
        }
        legs.push_back(leg);
    }

    /// The legs that can have carried a tick, and whatever was sent after the event `since`, to the client at `local` behind `proxy`; nothing if that cannot be told.
    pub(super) fn of(&self, local: SocketAddr, proxy: Option<usize>, since: u64) -> Candidates {
        let proxies = usize::from(self.facts.proxies);
        let mut legs = Vec::new();
        if let Some(edge) = proxy.and_then(|proxy| self.edges.get(proxy)).filter(|edge| !edge.ever.is_empty()) {
            let certain = edge.changed < since;
            let middles = if certain { &edge.up } else { &edge.ever };
            legs.extend(middles.iter().filter_map(|middle| self.by_proxy.get(*middle)).flatten());
            return Candidates { legs, certain, through_edge: true };
        }
        if let Some(own) = self.by_client.get(&local) {
            legs.extend(own);
        } else if let Some(of_proxy) = proxy.and_then(|proxy| self.by_proxy.get(proxy)).filter(|legs| !legs.is_empty())
        {
            legs.extend(of_proxy);
        } else if proxies == 0 {
            legs.extend(self.by_peer.get(&local));
        } else if proxies == 1 && !self.crowded {
            legs.extend(&self.all);
        }
        Candidates { legs, certain: true, through_edge: false }
    }

    /// What went out of a symbol on a leg.
    pub(super) fn sent(&self, leg: u32, symbol: u32) -> Option<&Stretches> {
        self.sent.get(&(leg, symbol))
    }
}

/// Legs that can have carried a tick to a client.
#[derive(Default)]
pub(super) struct Candidates {
    legs: Vec<u32>,
    certain: bool,
    through_edge: bool,
}

impl Candidates {
    /// What went out of the symbol on each of them.
    pub(super) fn sent<'a>(&'a self, legs: &'a Legs, symbol: u32) -> impl Iterator<Item = &'a Stretches> {
        self.legs.iter().filter_map(move |leg| legs.sent(*leg, symbol))
    }

    /// Whether what went out on one of them did come as far as the client's proxy. A leg between an edge and what feeds it may have taken it along.
    pub(super) fn certain(&self) -> bool {
        self.certain
    }

    /// Whether what one leg after the other brought came to the client's proxy as one stream: it is an edge, and sees no change of the legs of what feeds it.
    pub(super) fn are_one_stream(&self) -> bool {
        self.through_edge
    }

    /// How many of `first..=last` of the symbol went out on any of them.
    pub(super) fn count_any(&self, legs: &Legs, symbol: u32, first: u64, last: u64) -> u64 {
        let stretches = self.sent(legs, symbol).flat_map(|leg| leg.0.iter());
        let mut within: Vec<(u64, u64)> = stretches.map(|(from, to)| (first.max(*from), last.min(*to))).collect();
        within.retain(|(from, to)| from <= to);
        within.sort_unstable();
        let (mut count, mut next) = (0, first);
        for (from, to) in within {
            let from = from.max(next);
            if from <= to {
                (count, next) = (count + (to - from + 1), to.saturating_add(1));
            }
        }
        count
    }

    /// Whether nothing ties the client to any leg.
    pub(super) fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }
}

impl Stretches {
    fn push(&mut self, n: u64) {
        match self.0.last_mut() {
            Some((_, last)) if n <= *last => return,
            Some((_, last)) if n - 1 == *last => {
                *last = n;
                return;
            }
            _ => {}
        }
        if self.0.len() == STRETCHES_MAX {
            self.0.remove(0);
        }
        self.0.push((n, n));
    }

    /// Whether n went out.
    pub(super) fn holds(&self, n: u64) -> bool {
        self.0.iter().rev().any(|(first, last)| (*first..=*last).contains(&n))
    }

    /// How many of `first..=last` went out.
    pub(super) fn count(&self, first: u64, last: u64) -> u64 {
        let overlap = |stretch: &(u64, u64)| {
            let (from, to) = (stretch.0.max(first), stretch.1.min(last));
            if from <= to { to - from + 1 } else { 0 }
        };
        self.0.iter().map(overlap).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_count_what_went_out() {
        let mut sent = Stretches::default();
        for n in [3, 4, 5, 9, 10, 4] {
            sent.push(n);
        }
        assert_eq!(sent.0, [(3, 5), (9, 10)]);
        assert!(sent.holds(4) && sent.holds(9) && !sent.holds(6) && !sent.holds(11));
        assert_eq!((sent.count(4, 9), sent.count(6, 8), sent.count(0, 100)), (3, 0, 5));
    }

    #[test]
    fn what_went_out_on_several_legs_counts_once() {
        let mut legs = Legs::new(&Facts::default());
        for (leg, range) in [(0, 1..=5), (1, 4..=8), (2, 12..=12), (3, 2..=3)] {
            let sent = legs.sent.entry((leg, 7)).or_default();
            range.for_each(|n| sent.push(n));
        }
        let candidates = Candidates { legs: vec![0, 1, 2, 3, 9], ..Candidates::default() };
        let count = |first, last| candidates.count_any(&legs, 7, first, last);
        assert_eq!((count(1, 12), count(3, 6), count(9, 11), count(8, 20)), (9, 4, 0, 2));
        assert_eq!(candidates.count_any(&legs, 6, 1, 12), 0);
    }
}
