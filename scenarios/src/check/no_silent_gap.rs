//! `no-silent-gap`: what a client misses, it is told of (strong contract) or can be charged to a cause (plain).
//!
//! The two contracts are judged apart, by whether a delivery carries a stamp: see [`strong`] and [`plain`].

mod plain;
mod strong;

use std::collections::VecDeque;
use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::event::Event;
use wire::id::SessionId;

use self::plain::{Causes, PlainPair};
use self::strong::StrongPair;
use super::homes::{Home, Homes};
use super::legs::{Candidates, Legs};
use super::{At, Checker, Facts, Findings, Origin};

/// A drop on the way to an edge is recorded before what waited in front of it has come through: who begins meanwhile meets the hole. Of what was dropped longer ago it has no credit.
const UNDER_WAY_US: u64 = 5_000_000;
const SECOND_US: u64 = 1_000_000;

/// The checker. A check is a delivery that had one before it, or a gap notice.
pub(super) struct Accounted {
    facts: Facts,
    routes: Routes,
    causes: Causes,
    told: u64,
    pairs: Vec<Option<Pair>>,
}

struct Pair {
    session: SessionId,
    contract: Contract,
    /// How often the symbol was taken up again, and that did not show yet: what was under way before comes first.
    again: u32,
    /// When it was last.
    again_us: u64,
}

impl Pair {
    fn new(session: SessionId, contract: Contract) -> Self {
        Self { session, contract, again: 0, again_us: 0 }
    }

    /// Whether what comes now may be the first of a subscription that was made while older messages were under way. A slow reader may have much before it.
    fn may_begin(&self, us: u64, slow: bool) -> bool {
        self.again > 0 && (slow || us <= self.again_us.saturating_add(UNDER_WAY_US))
    }

    /// It is.
    fn begin(&mut self, contract: Contract) {
        self.again -= 1;
        self.contract = contract;
    }
}

enum Contract {
    Plain(PlainPair),
    Strong(StrongPair),
}

/// Who is behind what, and what it lost on the way by the proxy's account.
struct Routes {
    legs: Legs,
    homes: Homes,
    // Maps are never walked.
    clients: FxHashMap<SocketAddr, (u32, SessionId)>,
    /// Messages dropped by (client, symbol), in that session.
    drops: FxHashMap<(u32, u32), (SessionId, u64)>,
    /// Messages dropped on the way to an edge, by (edge, symbol).
    edge_drops: FxHashMap<(usize, u32), EdgeDrops>,
}

/// Messages of a symbol that were dropped on the way to an edge.
#[derive(Default)]
struct EdgeDrops {
    count: u64,
    /// Seconds in which some were, and how many; those that may be under way still.
    recent: VecDeque<(u64, u64)>,
}

impl EdgeDrops {
    fn push(&mut self, us: u64) {
        self.count += 1;
        while self.recent.front().is_some_and(|(second, _)| is_through(*second, us)) {
            self.recent.pop_front();
        }
        match self.recent.back_mut() {
            Some((second, count)) if *second == us / SECOND_US => *count += 1,
            _ => self.recent.push_back((us / SECOND_US, 1)),
        }
    }

    /// Those that nobody meets any more who begins now.
    fn through(&self, us: u64) -> u64 {
        let under_way = self.recent.iter().filter(|(second, _)| !is_through(*second, us));
        self.count - under_way.map(|(_, count)| count).sum::<u64>()
    }
}

/// Whether what was dropped in this second is no longer under way.
fn is_through(second: u64, us: u64) -> bool {
    (second + 1) * SECOND_US + UNDER_WAY_US <= us
}

impl Routes {
    fn observe(&mut self, at: At, event: &Event) {
        match event {
            Event::ProxyAdmit { .. } => self.homes.observe(at, event),
            Event::ClientOpen { session, local, .. } => {
                self.homes.observe(at, event);
                self.clients.insert(*local, (at.client, *session));
            }
            Event::ProxyDrop { peer, .. } => {
                if let Some((client, session)) = self.clients.get(peer) {
                    let entry = self.drops.entry((*client, at.symbol)).or_insert((*session, 0));
                    if entry.0 == *session {
                        entry.1 += 1;
                    } else {
                        *entry = (*session, 1);
                    }
                } else if let Some(edge) = self.legs.edge_at(peer) {
                    self.edge_drops.entry((edge, at.symbol)).or_default().push(at.us);
                }
            }
            _ => self.legs.observe(at, event),
        }
    }

    /// Legs that can have carried what reached a client and was sent after the event `since`.
    fn candidates(&self, client: u32, since: u64) -> Candidates {
        match self.homes.of(client) {
            Some(Home { local, admitted_by, .. }) => self.legs.of(local, admitted_by, since),
            None => Candidates::default(),
        }
    }

    /// What this session was not given of a symbol, by the proxies' account; `through` were dropped on the way to its edge before it began.
    fn drops(&self, client: u32, session: SessionId, symbol: u32, through: u64) -> u64 {
        let own = self.drops.get(&(client, symbol)).filter(|drops| drops.0 == session).map_or(0, |drops| drops.1);
        own + self.edge_drops(client, symbol).map_or(0, |drops| drops.count - through)
    }

    /// What the client's edge did not get of a symbol.
    fn edge_drops(&self, client: u32, symbol: u32) -> Option<&EdgeDrops> {
        if self.edge_drops.is_empty() {
            return None;
        }
        let edge = self.homes.of(client)?.admitted_by?;
        self.edge_drops.get(&(edge, symbol))
    }

    /// What was dropped on the way to the client's edge so long ago that nobody meets the hole who begins now.
    fn through(&self, at: At) -> u64 {
        self.edge_drops(at.client, at.symbol).map_or(0, |drops| drops.through(at.us))
    }
}

impl Accounted {
    pub(super) fn new(facts: &Facts) -> Self {
        Self {
            facts: facts.clone(),
            routes: Routes {
                legs: Legs::new(facts),
                homes: Homes::new(facts),
                clients: FxHashMap::default(),
                drops: FxHashMap::default(),
                edge_drops: FxHashMap::default(),
            },
            causes: Causes::default(),
            told: 0,
            pairs: Vec::new(),
        }
    }
}

/// The event in which a source first sent what is delivered; 0 where that is not known. It may have waited for long before its client on a line that stalled, and its
/// edge may have changed its leg meanwhile.
fn sent(at: At) -> u64 {
    if let Origin::Sent { event, .. } = at.origin { event } else { 0 }
}

/// The pair's state in this session, and whether it is new.
fn enter(
    pairs: &mut Vec<Option<Pair>>,
    pair: u32,
    session: SessionId,
    begin: impl FnOnce() -> Contract,
) -> (&mut Pair, bool) {
    let pair = pair as usize;
    if pairs.len() <= pair {
        pairs.resize_with(pair + 1, || None);
    }
    let slot = &mut pairs[pair];
    let fresh = slot.as_ref().is_none_or(|held| held.session != session);
    if fresh {
        *slot = None;
    }
    (slot.get_or_insert_with(|| Pair::new(session, begin())), fresh)
}

impl Checker for Accounted {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ClientDeliver { client, session, symbol, n, stamp, .. } => {
                let (n, session) = (*n, *session);
                let routes = &self.routes;
                let (pair, fresh) = enter(&mut self.pairs, at.pair, session, || match stamp {
                    Some(stamp) => Contract::Strong(StrongPair::begin(*stamp, n, at, routes.through(at))),
                    None => Contract::Plain(PlainPair::begin(n, at, routes.through(at))),
                });
                if fresh {
                    self.causes.delivered += u64::from(stamp.is_none());
                    return;
                }
                findings.check();
                let begins = pair.may_begin(at.us, self.facts.is_slow(client.0));
                // A session speaks one contract: whatever does not fit is a step that cannot be accounted for.
                match (&mut pair.contract, stamp) {
                    (Contract::Plain(plain), None) => {
                        self.causes.delivered += 1;
                        if let Some(hole) = plain.deliver(n, at) {
                            if begins {
                                pair.begin(Contract::Plain(PlainPair::begin(n, at, routes.through(at))));
                                return;
                            }
                            let drops = self.routes.drops(at.client, session, at.symbol, plain.through);
                            let unexplained = plain.charge(hole, at, &self.routes, drops, &mut self.causes);
                            if let Some(missed) = unexplained {
                                let after = hole.after;
                                findings.violation(at, &[hole.event], || {
                                    format!(
                                        "{client} {session} got {symbol} {n} after {after}: {missed} was sent before it on its leg, \
                                         and is not accounted for"
                                    )
                                });
                            }
                        }
                    }
                    (Contract::Strong(strong), Some(stamp)) => {
                        if begins && strong.is_left_by(*stamp) {
                            pair.begin(Contract::Strong(StrongPair::begin(*stamp, n, at, routes.through(at))));
                            return;
                        }
                        let earlier = strong.event();
                        if let Some(fault) = strong.deliver(*stamp, n, at, &self.routes) {
                            findings.violation(at, &[earlier], || format!("{client} {session} {symbol}: {fault}"));
                        }
                    }
                    _ => findings.violation(at, &[], || {
                        format!("{client} {session} got {symbol} {n} under another contract than before")
                    }),
                }
            }
            Event::ClientGap { client, session, symbol, epoch, from, to, reason } => {
                findings.check();
                self.told += 1;
                let (pair, fresh) = enter(&mut self.pairs, at.pair, *session, || {
                    Contract::Strong(StrongPair::begin_with_gap(*epoch, *to, *reason, at.event))
                });
                if fresh {
                    return;
                }
                let begins = pair.may_begin(at.us, self.facts.is_slow(client.0));
                match &mut pair.contract {
                    Contract::Strong(strong) if begins && strong.is_left_by_gap(*epoch, *from) => {
                        pair.begin(Contract::Strong(StrongPair::begin_with_gap(*epoch, *to, *reason, at.event)));
                    }
                    Contract::Strong(strong) => {
                        let earlier = strong.event();
                        if let Some(fault) = strong.gap(*epoch, *from, *to, *reason, at.event) {
                            findings.violation(at, &[earlier], || format!("{client} {session} {symbol}: {fault}"));
                        }
                    }
                    Contract::Plain(_) => {
                        findings
                            .violation(at, &[], || format!("{client} {session} got a gap notice on a plain session"));
                    }
                }
            }
            // A symbol that is taken up again within a session begins anew, once what was under way has come.
            Event::ClientSubscribe { session, .. } => {
                if let Some(Some(pair)) = self.pairs.get_mut(at.pair as usize)
                    && pair.session == *session
                {
                    (pair.again, pair.again_us) = (pair.again + 1, at.us);
                }
            }
            Event::ClientResumed { session, epoch, seq, .. } => {
                let place = at.pair as usize;
                if self.pairs.len() <= place {
                    self.pairs.resize_with(place + 1, || None);
                }
                let before = self.pairs[place].take().map(|pair| pair.contract);
                let before = before.as_ref().and_then(|contract| match contract {
                    Contract::Strong(strong) => Some(strong),
                    Contract::Plain(_) => None,
                });
                let contract = Contract::Strong(StrongPair::resume((*epoch, *seq), before, at.event));
                self.pairs[place] = Some(Pair::new(*session, contract));
            }
            _ => self.routes.observe(at, event),
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        let strong = format!("strong: {} gaps told", self.told);
        format!("{}; {strong}; {} breaches", self.causes, findings.broken())
    }
}

#[cfg(test)]
mod tests;
