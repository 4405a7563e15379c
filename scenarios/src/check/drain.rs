//! `drain`: a proxy that is told to leave loses nothing, tells everyone, spreads the closes, and is gone by its deadline.
//!
//! ```text
//!   told --- tell ---> shut --- grace ---> leaving --- time ---> empty          deadline
//!            clients   nobody    nobody     each at its slot, with the code,    nobody is
//!            come in   comes in  is closed  and has what was sent before it     left
//! ```
//!
//! What a client was to have: the newest tick of each of its symbols that was sent `settle` before its Close arrived; a slow reader, whose queue is full, what was sent before the first
//! slot. A gap that is told after the last tick answers for what is missing. Where the program starts again before its deadline, nobody who reads is left by then: the last slot has been. While another fault is in force, or was in the last second, ticks and times are not judged.
//!
//! A drain ends with its process: one that is killed in the middle of it starts again as if nobody had told it. Whom a fault has cut off in its session may not see it end: what the proxy says of it
//! counts. A proxy that itself was hit since then is not held to its deadline.
//!
//! A relay that is told to leave still closes with 1011 whom no source takes: a session whose leg the source refused a moment before was not ended by the drain.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use rustc_hash::{FxHashMap, FxHashSet};
use wire::close;
use wire::event::{Event, Phase, Side, ends_process};
use wire::id::{ClientId, SessionId};

use super::health::Health;
use super::objectives::life::Drains;
use super::{At, Checker, Facts, Findings, NONE};

/// Ticks of a symbol that are remembered at least; and all that are younger than `settle`.
const SENT_MIN: usize = 64;
/// Faults are felt for so long after they end.
const ECHO_US: u64 = 1_000_000;
/// A window that may hold its share of the closes, as a part of the drain time.
const WINDOWS: u64 = 4;

/// The checker. A check is a client that a drain closes.
pub(super) struct Leaves {
    settle_us: u64,
    facts: Facts,
    /// By symbol: when ticks were sent first, and their numbers.
    sent: Vec<VecDeque<(u64, u64)>>,
    /// By client: the proxy of its open session, and the opening event.
    sessions: Vec<Option<Open>>,
    /// By (client, symbol): what the newest session has.
    pairs: Vec<Option<Has>>,
    /// By client: its pairs.
    pairs_of: Vec<Vec<(u32, u32)>>,
    /// By proxy.
    drains: Vec<Option<Draining>>,
    /// Other faults: how many last, and when one ended last.
    others: (u32, Option<u64>),
    /// Which faults are drains.
    told: Vec<u16>,
    /// Faults in force that end a process, by their numbers: that of which proxy.
    dead: BTreeMap<u16, usize>,
    /// Who is hit by other faults.
    health: Health,
    /// When whoever comes in during a drain was admitted, by the proxy's own account. Never walked.
    admitted: FxHashMap<SocketAddr, u64>,
    /// Sessions that the proxy says it has ended, by the client's address. Never walked.
    ended: FxHashSet<SocketAddr>,
    /// Whom a relay's leg serves, by the leg's address. Never walked, nor is the next.
    serves: FxHashMap<SocketAddr, SocketAddr>,
    /// When a source last refused a leg of the client with this address.
    refused: FxHashMap<SocketAddr, u64>,
    worst_share: f64,
    over: bool,
}

#[derive(Clone, Copy)]
struct Open {
    proxy: usize,
    session: SessionId,
    event: u64,
    client: u32,
    local: SocketAddr,
    us: u64,
}

#[derive(Clone, Copy)]
struct Has {
    session: SessionId,
    since_us: u64,
    n: Option<u64>,
    told: bool,
    /// The session gave the symbol back: nothing is owed, though something may be on its way.
    given_back: bool,
}

struct Draining {
    fault: u16,
    at_us: u64,
    event: u64,
    /// Once the first slot has come: how many were there, and the newest tick of each symbol.
    leaving: Option<(u64, Vec<Option<u64>>)>,
    /// When readers that keep up were closed, in the last window.
    closes: VecDeque<u64>,
    judged: bool,
}

impl Leaves {
    pub(super) fn new(bound: Drains, facts: &Facts) -> Self {
        Self {
            settle_us: bound.settle.as_micros(),
            facts: facts.clone(),
            sent: Vec::new(),
            sessions: Vec::new(),
            pairs: Vec::new(),
            pairs_of: Vec::new(),
            drains: (0..facts.proxies).map(|_| None).collect(),
            others: (0, None),
            told: Vec::new(),
            dead: BTreeMap::new(),
            health: Health::new(facts),
            admitted: FxHashMap::default(),
            ended: FxHashSet::default(),
            serves: FxHashMap::default(),
            refused: FxHashMap::default(),
            worst_share: 0.0,
            over: false,
        }
    }

    fn disturbed(&self, us: u64) -> bool {
        self.others.0 > 0 || self.others.1.is_some_and(|ended| ended + ECHO_US >= us)
    }

    /// The newest tick of a symbol that was sent at `us` or before, as far as is remembered.
    fn newest(&self, symbol: u32, us: u64) -> Option<u64> {
        let sent = self.sent.get(symbol as usize)?;
        sent.iter().rev().find(|(at, _)| *at <= us).map(|(_, n)| *n)
    }

    /// Time has come to `at`: slots begin, deadlines pass.
    fn go_on(&mut self, at: At, findings: &mut Findings) {
        for proxy in 0..self.drains.len() {
            let Some(drain) = &self.drains[proxy] else { continue };
            let bound = &self.facts.drain;
            let first_slot = drain.at_us + bound.tell_us + bound.grace_us;
            if drain.leaving.is_none() && at.us >= first_slot {
                let here = self.sessions.iter().flatten().filter(|open| open.proxy == proxy).count() as u64;
                let newest = (0..self.sent.len()).map(|symbol| self.newest(symbol as u32, first_slot)).collect();
                if let Some(drain) = &mut self.drains[proxy] {
                    drain.leaving = Some((here, newest));
                }
            }
            self.judge_rest(proxy, at, findings);
        }
    }

    /// After the deadline nobody is left.
    fn judge_rest(&mut self, proxy: usize, at: At, findings: &mut Findings) {
        let Some(drain) = &self.drains[proxy] else { return };
        if at.us > drain.at_us + self.facts.drain.deadline_us + self.settle_us {
            self.judge_left(proxy, at, findings, "after the deadline of the drain");
        }
    }

    /// The program starts again, perhaps before its deadline: by then the last slot has been.
    fn judge_restart(&mut self, proxy: usize, at: At, findings: &mut Findings) {
        let Some(drain) = &self.drains[proxy] else { return };
        let bound = &self.facts.drain;
        let last_us = bound.tell_us + bound.grace_us + bound.time_us + self.settle_us;
        if at.us > drain.at_us + last_us && !self.disturbed(at.us) {
            self.judge_left(proxy, at, findings, "when the program starts again after the drain");
        }
    }

    /// Nobody is left, but for clients that do not read: they do not see that they were cut. Nor does one that the network has cut off.
    fn judge_left(&mut self, proxy: usize, at: At, findings: &mut Findings, when: &str) {
        let Some(drain) = self.drains[proxy].as_mut().filter(|drain| !drain.judged) else { return };
        drain.judged = true;
        let (event, fault, since_us) = (drain.event, drain.fault, at.us - drain.at_us);
        if self.health.proxy_hit(proxy, at.us, since_us) {
            return;
        }
        let cut_off = |open: &Open| {
            self.ended.contains(&open.local) && self.health.client_hit(open.client, at.us, at.us - open.us)
        };
        let left: Vec<Open> = self
            .sessions
            .iter()
            .flatten()
            .filter(|open| {
                open.proxy == proxy
                    && !self.facts.is_slow(open.client)
                    && !self.facts.is_hostile(open.client)
                    && !cut_off(open)
            })
            .copied()
            .collect();
        if let Some(first) = left.first() {
            findings.violation(at, &[event, first.event], || {
                format!("{} clients are still there {when} of proxy-{proxy} (fault {fault})", left.len())
            });
        }
    }

    /// Nobody is let in any more, once that is shut. What the network holds up is judged by when the proxy admitted it.
    fn let_in(&mut self, at: At, open: Open, findings: &mut Findings) {
        let admitted_us = self.admitted.remove(&open.local);
        let Some(Some(drain)) = self.drains.get(open.proxy) else { return };
        let since_us = at.us - drain.at_us;
        let shut_us = drain.at_us + self.facts.drain.tell_us + self.settle_us;
        if at.us <= shut_us || self.health.proxy_hit(open.proxy, at.us, since_us) {
            return;
        }
        let cut_off = self.health.client_hit(open.client, at.us, since_us);
        if cut_off && admitted_us.is_none_or(|admitted_us| admitted_us <= shut_us) {
            return;
        }
        findings.violation(at, &[drain.event], || {
            let (client, proxy) = (ClientId(open.client), open.proxy);
            format!("{client} is let in {since_us} us after proxy-{proxy} was told to drain")
        });
    }

    fn closed(&mut self, at: At, client: u32, by: Side, code: Option<u16>, findings: &mut Findings) {
        let Some(open) = self.sessions.get_mut(at.client as usize).and_then(Option::take) else { return };
        self.ended.remove(&open.local);
        let refused_us = self.refused.remove(&open.local);
        let disturbed = self.disturbed(at.us);
        let slow = self.facts.is_slow(client);
        let bound = self.facts.drain;
        let Some(drain) = self.drains.get(open.proxy).and_then(Option::as_ref) else { return };
        if by == Side::Own || self.over || self.facts.is_hostile(client) {
            return;
        }
        if code == Some(close::INTERNAL_ERROR) && refused_us.is_some_and(|us| at.us <= us + self.settle_us) {
            return;
        }
        findings.check();
        let evidence = [drain.event, open.event];
        let (drain_us, proxy) = (drain.at_us, open.proxy);
        let since_us = at.us.saturating_sub(drain_us);
        let from_us = bound.tell_us + bound.grace_us;
        let cut = slow && code.is_none();
        if code != Some(bound.code) && !cut && !disturbed {
            findings.violation(at, &evidence, || {
                let how = code.map_or_else(|| "without a Close frame".to_owned(), |code| format!("with {code}"));
                format!("the drain of proxy-{proxy} ends the session of c{client} {how}, and not with {}", bound.code)
            });
        }
        if since_us < from_us && !disturbed {
            findings.violation(at, &evidence, || {
                format!("c{client} is closed {since_us} us after proxy-{proxy} was told to drain: before its first slot at {from_us} us")
            });
        }
        let last_us = from_us + bound.time_us + self.settle_us;
        if !slow && since_us > last_us && !disturbed {
            findings.violation(at, &evidence, || {
                format!("c{client} is closed {since_us} us after proxy-{proxy} was told to drain: the last slot is at {last_us} us")
            });
        }
        // What else ends sessions meanwhile, such as a source that closes those of a relay, is no slot.
        if !slow && (code == Some(bound.code) || !disturbed) {
            self.spread(at, open.proxy, findings);
        }
        // Who is cut is not told: the proxy's account says what it lost.
        if !disturbed && !cut {
            self.complete(at, client, open, slow, findings);
        }
    }

    /// No window has more than its share of the closes.
    fn spread(&mut self, at: At, proxy: usize, findings: &mut Findings) {
        let window_us = self.facts.drain.time_us / WINDOWS;
        let Some(drain) = self.drains.get_mut(proxy).and_then(Option::as_mut) else { return };
        drain.closes.push_back(at.us);
        while drain.closes.front().is_some_and(|first| first + window_us <= at.us) {
            drain.closes.pop_front();
        }
        let (count, event) = (drain.closes.len() as u64, drain.event);
        let here = drain.leaving.as_ref().map_or(0, |(here, _)| *here);
        let share = here.div_ceil(WINDOWS);
        // Slots are evenly spaced; what the network adds moves a few over the rim.
        let most = share + share.div_ceil(3) + 2;
        self.worst_share = self.worst_share.max(count as f64 / here.max(1) as f64);
        if window_us > 0 && count > most {
            findings.violation(at, &[event], || {
                format!("{count} of {here} clients leave proxy-{proxy} within {window_us} us: their share is {share}")
            });
        }
    }

    /// What was sent before its Close has reached it, or it was told.
    fn complete(&mut self, at: At, client: u32, open: Open, slow: bool, findings: &mut Findings) {
        let Some(pairs) = self.pairs_of.get(at.client as usize) else { return };
        let Some(Some(drain)) = self.drains.get(open.proxy) else { return };
        for &(pair, symbol) in pairs {
            let Some(Some(has)) = self.pairs.get(pair as usize) else { continue };
            if has.session != open.session || has.given_back {
                continue;
            }
            let until_us = at.us.saturating_sub(self.settle_us);
            let owed = if slow {
                drain.leaving.as_ref().and_then(|(_, newest)| newest.get(symbol as usize).copied().flatten())
            } else {
                self.newest(symbol, until_us)
            };
            // A subscription that is younger than a moment may have had nothing yet.
            if has.told || has.since_us + ECHO_US > until_us {
                continue;
            }
            if let (Some(owed), Some(n)) = (owed, has.n)
                && n < owed
            {
                findings.violation(at, &[drain.event, open.event], || {
                    format!("c{client} has tick {n} of a symbol when it is sent away, and {owed} was sent before: the rest is lost and not told")
                });
                return;
            }
        }
    }

    fn pair(&mut self, at: At, session: SessionId) -> Option<&mut Has> {
        if at.pair == NONE {
            return None;
        }
        let pair = at.pair as usize;
        if self.pairs.len() <= pair {
            self.pairs.resize(pair + 1, None);
        }
        let client = at.client as usize;
        if self.pairs_of.len() <= client {
            self.pairs_of.resize(client + 1, Vec::new());
        }
        if self.pairs[pair].is_none() {
            self.pairs_of[client].push((at.pair, at.symbol));
        }
        let new = Has { session, since_us: at.us, n: None, told: false, given_back: false };
        let has = self.pairs[pair].get_or_insert(new);
        if has.session != session {
            *has = new;
        }
        Some(has)
    }
}

impl Checker for Leaves {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        if !self.told.is_empty() && !self.over {
            self.go_on(at, findings);
        }
        match event {
            Event::SourceSend { n, .. } => {
                let symbol = at.symbol as usize;
                if self.sent.len() <= symbol {
                    self.sent.resize(symbol + 1, VecDeque::new());
                }
                let sent = &mut self.sent[symbol];
                if sent.back().is_none_or(|(_, newest)| newest < n) {
                    sent.push_back((at.us, *n));
                    // One tick that is older is still needed: the newest that was owed then.
                    while sent.len() > SENT_MIN
                        && sent.get(1).is_some_and(|(sent_us, _)| sent_us + self.settle_us <= at.us)
                    {
                        sent.pop_front();
                    }
                }
            }
            Event::ClientDeliver { session, n, .. } => {
                if let Some(has) = self.pair(at, *session) {
                    has.n = Some(has.n.map_or(*n, |before| before.max(*n)));
                    has.told = false;
                }
            }
            Event::ClientGap { session, .. } => {
                if let Some(has) = self.pair(at, *session) {
                    has.told = true;
                }
            }
            Event::ClientUnsubscribe { session, .. } => {
                if let Some(has) = self.pair(at, *session) {
                    has.given_back = true;
                }
            }
            Event::ClientSubscribe { session, .. } => {
                // One that was given back begins anew.
                if let Some(Some(has)) = self.pairs.get_mut(at.pair as usize)
                    && has.session == *session
                    && has.given_back
                {
                    *has = Has { session: *session, since_us: at.us, n: None, told: false, given_back: false };
                }
            }
            Event::ClientOpen { client, session, target, local, .. } => {
                let slot = at.client as usize;
                if self.sessions.len() <= slot {
                    self.sessions.resize(slot + 1, None);
                }
                let proxy = usize::from(*target);
                let open =
                    Open { proxy, session: *session, event: at.event, client: client.0, local: *local, us: at.us };
                self.sessions[slot] = Some(open);
                self.ended.remove(local);
                self.let_in(at, open, findings);
            }
            // When nobody drains, nobody asks.
            Event::ProxyAdmit { peer, .. } if self.drains.iter().any(Option::is_some) => {
                self.admitted.insert(*peer, at.us);
            }
            Event::ProxyClientClose { peer, .. } => {
                self.ended.insert(*peer);
            }
            Event::ProxyLegUp { local, client: Some(client), .. } => {
                self.serves.insert(*local, *client);
            }
            Event::ProxyLegDown { local: Some(local), .. } => {
                self.serves.remove(local);
            }
            Event::SourceRefuse { peer, .. } => {
                if let Some(client) = self.serves.get(peer) {
                    self.refused.insert(*client, at.us);
                }
            }
            Event::ClientClose { client, by, code, .. } => self.closed(at, client.0, *by, *code, findings),
            Event::FaultStart { fault, kind, target } => {
                let number = target.strip_prefix("proxy-").and_then(|number| number.parse::<usize>().ok());
                let is_dead = number.is_some_and(|proxy| self.dead.values().any(|dead| *dead == proxy));
                match number.and_then(|proxy| Some((proxy, self.drains.get_mut(proxy)?))) {
                    Some((_, place)) if &**kind == "drain" => {
                        self.told.push(*fault);
                        // Whoever does not run is not told.
                        *place = (!is_dead).then(|| Draining {
                            fault: *fault,
                            at_us: at.us,
                            event: at.event,
                            leaving: None,
                            closes: VecDeque::new(),
                            judged: false,
                        });
                    }
                    _ if &**kind == "reload" => {}
                    hit => {
                        if let Some((proxy, place)) = hit.filter(|_| ends_process(kind)) {
                            *place = None;
                            self.dead.insert(*fault, proxy);
                        }
                        self.others.0 += 1;
                        self.health.observe(at.us, event);
                    }
                }
            }
            Event::FaultStop { fault } => {
                if !self.told.contains(fault) {
                    self.dead.remove(fault);
                    self.health.observe(at.us, event);
                    // A reload was not counted when it began.
                    let reload = self.facts.reloads.iter().any(|(number, _)| number == fault);
                    if !reload && self.others.0 > 0 {
                        self.others = (self.others.0 - 1, Some(at.us));
                    }
                    return;
                }
                for proxy in 0..self.drains.len() {
                    if self.drains[proxy].as_ref().is_some_and(|drain| drain.fault == *fault) {
                        self.judge_restart(proxy, at, findings);
                        // Another life begins.
                        self.drains[proxy] = None;
                    }
                }
            }
            Event::Phase { phase: Phase::End } => self.over = true,
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        if !self.over {
            self.go_on(end, findings);
        }
        format!(
            "{} clients sent away by {} drains; at most {:.0}% of them within a quarter of the time",
            findings.checked(),
            self.told.len(),
            self.worst_share * 100.0
        )
    }
}

#[cfg(test)]
mod tests;
