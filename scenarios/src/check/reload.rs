//! `reload`: a proxy that goes over to another configuration closes nobody, and the new limit on clients counts for who comes next.
//!
//! Closes by the proxy are laid to a reload for `settle`, unless another fault is in force or was in the last second, or the client is slow on purpose. A client that comes `counts-within`
//! after the reload must find the new limit: none is let in beyond it, unless a session that the proxy has closed ends within two seconds, and none is refused while there is room.

use std::collections::VecDeque;

use wire::event::{Event, Phase, Side};
use wire::id::ClientId;

use super::objectives::life::Reloads;
use super::{At, Checker, Facts, Findings};

/// Faults are felt for so long after they end.
const ECHO_US: u64 = 1_000_000;
/// Sessions that end hold their place until the closing handshake is over; refused within this time, a client may have met one of those.
const LINGER_US: u64 = 2_000_000;

/// The checker.
pub(super) struct Stays {
    settle_us: u64,
    counts_us: u64,
    facts: Facts,
    /// By client: the proxy of its open session, and the opening event.
    open: Vec<Option<(usize, u64)>>,
    /// By client: the proxy that it dialled last.
    dialled: Vec<usize>,
    proxies: Vec<One>,
    others: (u32, Option<u64>),
    reloads: u64,
    over: bool,
}

#[derive(Clone, Default)]
struct One {
    open: u64,
    /// The last reload: when, its event, and the limit on clients since.
    reload: Option<(u64, u64)>,
    limit: Option<(u64, u64)>,
    /// When a session ended last.
    ended_us: Option<u64>,
    /// Dials under way.
    dials: u64,
    /// Let in beyond the limit, unless one that the proxy has closed does not know it yet.
    beyond: VecDeque<Beyond>,
}

#[derive(Clone)]
struct Beyond {
    client: ClientId,
    us: u64,
    event: u64,
    open: u64,
    limit: u64,
    set: u64,
}

impl Stays {
    pub(super) fn new(bound: Reloads, facts: &Facts) -> Self {
        Self {
            settle_us: bound.settle.as_micros(),
            counts_us: bound.counts_within.as_micros(),
            facts: facts.clone(),
            open: Vec::new(),
            dialled: Vec::new(),
            proxies: vec![One::default(); usize::from(facts.proxies)],
            others: (0, None),
            reloads: 0,
            over: false,
        }
    }

    fn disturbed(&self, us: u64) -> bool {
        self.others.0 > 0 || self.others.1.is_some_and(|ended| ended + ECHO_US >= us)
    }

    /// Those for whom no place has become free in time.
    fn too_many(&mut self, at: At, findings: &mut Findings) {
        for (proxy, one) in self.proxies.iter_mut().enumerate() {
            while one.beyond.front().is_some_and(|beyond| beyond.us + LINGER_US < at.us)
                && let Some(Beyond { client, event, open, limit, set, .. }) = one.beyond.pop_front()
            {
                findings.violation(at, &[set, event], || {
                    format!(
                        "{client} is let in as number {open} of proxy-{proxy}, which was told of a limit of {limit}"
                    )
                });
            }
        }
    }

    fn grow(&mut self, client: u32) {
        let len = client as usize + 1;
        if self.open.len() < len {
            self.open.resize(len, None);
            self.dialled.resize(len, usize::MAX);
        }
    }

    /// The client's dial is over.
    fn arrived(&mut self, client: u32) -> Option<usize> {
        self.grow(client);
        let proxy = std::mem::replace(&mut self.dialled[client as usize], usize::MAX);
        let one = self.proxies.get_mut(proxy)?;
        one.dials = one.dials.saturating_sub(1);
        Some(proxy)
    }

    /// The limit that a proxy has kept to by now, with the event that set it.
    fn limit(&self, proxy: usize, us: u64) -> Option<(u64, u64)> {
        let one = self.proxies.get(proxy)?;
        let (at_us, event) = one.reload?;
        let (limit, set_event) = one.limit?;
        (us >= at_us + self.counts_us || set_event != event).then_some((limit, set_event))
    }
}

impl Checker for Stays {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        if !self.over {
            self.too_many(at, findings);
        }
        match event {
            Event::Phase { phase: Phase::End } => self.over = true,
            _ if self.over => {}
            Event::ClientDial { target, .. } => {
                self.arrived(at.client);
                let proxy = usize::from(*target);
                if let Some(one) = self.proxies.get_mut(proxy) {
                    one.dials += 1;
                    self.dialled[at.client as usize] = proxy;
                }
            }
            Event::ClientOpen { client, target, .. } => {
                self.arrived(at.client);
                let proxy = usize::from(*target);
                let Some(one) = self.proxies.get_mut(proxy) else { return };
                one.open += 1;
                let open = one.open;
                self.open[at.client as usize] = Some((proxy, at.event));
                let Some((limit, set)) = self.limit(proxy, at.us) else { return };
                findings.check();
                if open > limit {
                    let (client, us, event) = (*client, at.us, at.event);
                    self.proxies[proxy].beyond.push_back(Beyond { client, us, event, open, limit, set });
                }
            }
            Event::ClientRefused { client, status: 503, .. } => {
                let Some(proxy) = self.arrived(at.client) else { return };
                let Some((limit, set)) = self.limit(proxy, at.us) else { return };
                let one = &self.proxies[proxy];
                if one.ended_us.is_some_and(|ended| ended + LINGER_US >= at.us) || self.disturbed(at.us) {
                    return;
                }
                findings.check();
                let (open, dials) = (one.open, one.dials);
                if open + dials + 1 < limit {
                    findings.violation(at, &[set], || {
                        format!("{client} is refused by proxy-{proxy} with {open} inside, which was told of a limit of {limit}")
                    });
                }
            }
            Event::ClientRefused { .. } => {
                self.arrived(at.client);
            }
            Event::ClientClose { client, session, by, code } => {
                let Some((proxy, opened)) = self.open.get_mut(at.client as usize).and_then(Option::take) else {
                    return;
                };
                let disturbed = self.disturbed(at.us);
                let one = &mut self.proxies[proxy];
                one.open = one.open.saturating_sub(1);
                one.ended_us = Some(at.us);
                if *by == Side::Peer
                    && let Some(place) = one.beyond.iter().position(|beyond| beyond.event > opened)
                {
                    // Its place was free before it knew.
                    one.beyond.remove(place);
                }
                let Some((reload_us, reload)) = one.reload else { return };
                if *by == Side::Own
                    || at.us > reload_us + self.settle_us
                    || disturbed
                    || self.facts.is_slow(client.0)
                    || self.facts.is_hostile(client.0)
                {
                    return;
                }
                findings.violation(at, &[opened, reload], || {
                    let how = code.map_or_else(|| "it broke".to_owned(), |code| format!("closed with {code}"));
                    format!(
                        "{client} lost {session} ({how}) {} us after the reload of proxy-{proxy}",
                        at.us - reload_us
                    )
                });
            }
            Event::FaultStart { fault, kind, target } if &**kind == "reload" => {
                let proxy = target.strip_prefix("proxy-").and_then(|number| number.parse::<usize>().ok());
                let Some(one) = proxy.and_then(|proxy| self.proxies.get_mut(proxy)) else { return };
                self.reloads += 1;
                one.reload = Some((at.us, at.event));
                let limit = self.facts.reloads.iter().find(|(number, _)| number == fault).and_then(|(_, limit)| *limit);
                if let Some(limit) = limit {
                    one.limit = Some((u64::from(limit), at.event));
                }
                (0..one.open).for_each(|_| findings.check());
            }
            Event::FaultStart { .. } => self.others.0 += 1,
            Event::FaultStop { fault } if self.facts.reloads.iter().all(|(number, _)| number != fault) => {
                self.others = (self.others.0.saturating_sub(1), Some(at.us));
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        if !self.over {
            self.too_many(end, findings);
        }
        format!("{} reloads; {} clients that were there or came under a new limit", self.reloads, findings.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    fn tape() -> Tape {
        let tape = Tape::new("reload = {}").facts(|facts| facts.reloads = vec![(7, Some(2))]);
        tape.dial(0).open(0, 0)
    }

    fn reloaded() -> Tape {
        tape().fault(7, "reload", "proxy-0").heal(7)
    }

    #[test]
    fn who_stays_and_who_goes_by_itself_pass() {
        check(reloaded(), Pass, 1);
        check(reloaded().close_own(0), Pass, 1);
        check(tape(), Inconclusive, 0);
    }

    #[test]
    fn who_is_closed_soon_after_is_a_violation_and_later_is_not() {
        check(reloaded().after(900_000).close_by_peer(0, Some(1001)), Fail, 1);
        check(reloaded().after(1_100_000).close_by_peer(0, Some(1001)), Pass, 1);
        check(reloaded().fault(0, "kill", "proxy-0").close_by_peer(0, None), Pass, 1);
    }

    #[test]
    fn the_new_limit_counts_for_who_comes_next() {
        let one = reloaded().after(60_000).dial(1).open(1, 0);
        check(one.clone(), Pass, 2);
        let beyond = one.clone().dial(2).open(2, 0);
        check(beyond.clone().after(2_100_000), Fail, 3);
        // The proxy has closed another, and the Close is on its way; its own session makes no room for it.
        let later = beyond.after(1_500_000);
        check(later.clone().close_by_peer(1, Some(1001)).after(2_100_000), Pass, 3);
        check(later.close_by_peer(2, Some(1001)).after(2_100_000), Fail, 3);
        // Before it counts, who was on its way may come in.
        check(reloaded().dial(1).open(1, 0).dial(2).open(2, 0), Pass, 1);
        check(one.dial(2).refused(2, 503), Pass, 3);
    }

    #[test]
    fn a_refusal_with_room_left_is_a_violation() {
        let wide = || {
            let tape = Tape::new("reload = {}").facts(|facts| facts.reloads = vec![(7, Some(5))]);
            tape.dial(0).open(0, 0).fault(7, "reload", "proxy-0").heal(7).after(60_000)
        };
        check(wide().dial(1).refused(1, 503), Fail, 2);
        check(wide().dial(1).refused(1, 0), Pass, 1);
        // Whoever has just left may still hold its place.
        check(wide().dial(1).open(1, 0).close_own(1).dial(2).refused(2, 503), Pass, 2);
    }
}
