//! `failover-time`: when a source fails, no client waits longer than the bound for the next tick of a symbol.
//!
//! ```text
//!   deliveries  | | | |                    | | | |        gap p..t <= at-most + one period
//!                     p                    t
//!   fault            |----- watched window -----|         [start, start + at-most + period]
//! ```
//!
//! A fault on a source (or on a link to it, or on a proxy that feeds edges) that carries a leg opens a window; so does a source that ends a leg by itself outside of one. For each (window,
//! client, symbol) every gap between two deliveries that touches the window is measured; silence at the end of the record counts as a gap. It is decided,
//! and counted as a check, when a delivery comes after the window, or a gap is too long. A new session carries the silence on; a client that closes by
//! itself ends it. Not judged: slow clients, gaps in which no source was healthy or a fault was on something else than a source (failing over was
//! impossible, or is not what was lacking).

use wire::event::{Event, Phase, Side};
use wire::id::{ClientId, SourceId, Symbol};

use super::health::{Health, Hit};
use super::{At, Checker, Facts, FailoverTime, Findings, NONE, Origin};

/// Windows watched at most; later faults open none.
const WINDOWS_MAX: usize = 1_024;

/// The checker. A check is a (window, client, symbol) decided.
pub(super) struct Failover {
    /// A symbol's period is added to it.
    at_most_us: u64,
    facts: Facts,
    health: Health,
    /// Open legs by source.
    legs: Vec<u32>,
    /// Open legs of edges, by the proxy that feeds them.
    edge_legs: Vec<u32>,
    /// In order of time.
    windows: Vec<Window>,
    pairs: Vec<Option<Pair>>,
    /// How often each client closed by itself.
    closed: Vec<u32>,
    end_us: Option<u64>,
    worst_us: u64,
}

struct Window {
    start_us: u64,
    event: u64,
    what: Box<str>,
}

struct Pair {
    client: ClientId,
    number: u32,
    symbol: Symbol,
    slow: bool,
    closed: u32,
    bound_us: u64,
    last: At,
    /// The first window that is not decided.
    next: usize,
}

impl Window {
    /// Until when silence of that bound is laid to it.
    fn until_us(&self, bound_us: u64) -> u64 {
        self.start_us.saturating_add(bound_us)
    }
}

impl Failover {
    pub(super) fn new(bound: FailoverTime, facts: &Facts) -> Self {
        Self {
            at_most_us: bound.at_most.as_micros(),
            facts: facts.clone(),
            health: Health::new(facts),
            legs: vec![0; usize::from(facts.sources)],
            edge_legs: vec![0; facts.middle()],
            windows: Vec::new(),
            pairs: Vec::new(),
            closed: Vec::new(),
            end_us: None,
            worst_us: 0,
        }
    }

    /// The open legs of what an edge means by this source.
    fn edge_legs(&mut self, source: SourceId) -> Option<&mut u32> {
        self.edge_legs.get_mut(self.facts.proxy_behind(source)?)
    }

    fn watch(&mut self, at: At, what: impl FnOnce() -> Box<str>) {
        if self.windows.len() < WINDOWS_MAX {
            self.windows.push(Window { start_us: at.us, event: at.event, what: what() });
        }
    }

    fn deliver(&mut self, at: At, client: ClientId, symbol: Symbol, findings: &mut Findings) {
        let closed = self.closed.get(at.client as usize).copied().unwrap_or(0);
        let number = at.pair as usize;
        if self.pairs.len() <= number {
            self.pairs.resize_with(number + 1, || None);
        }
        let Some(pair) = &mut self.pairs[number] else {
            let slow = self.facts.is_slow(client.0);
            let bound_us = self.at_most_us.saturating_add(self.facts.periods.of_us(symbol));
            let next = self.windows.partition_point(|window| window.until_us(bound_us) < at.us);
            self.pairs[number] =
                Some(Pair { client, number: at.client, symbol, slow, closed, bound_us, last: at, next });
            return;
        };
        if pair.closed != closed {
            (pair.closed, pair.next) =
                (closed, self.windows.partition_point(|window| window.until_us(pair.bound_us) < at.us));
        } else if pair.next < self.windows.len() && !pair.slow {
            let worst_us = pair.gap(at, &self.windows, &self.health, findings);
            self.worst_us = self.worst_us.max(worst_us);
        }
        pair.last = at;
    }
}

impl Pair {
    /// Judges the gap from the last delivery to `at`; says the longest gap that counts.
    fn gap(&mut self, at: At, windows: &[Window], health: &Health, findings: &mut Findings) -> u64 {
        let bound_us = self.bound_us;
        let gap_us = at.us.saturating_sub(self.last.us);
        let mut worst_us = 0;
        while let Some(window) = windows.get(self.next) {
            if self.last.us > window.until_us(bound_us) {
                findings.check();
            } else if at.us < window.start_us {
                break;
            } else if gap_us > bound_us {
                if !health.none_since(self.last.us) && !health.elsewhere_since(self.last.us) {
                    worst_us = gap_us;
                    findings.check();
                    findings.violation(at, &[window.event, self.last.event], || {
                        let Self { client, symbol, .. } = self;
                        format!("{client} had no {symbol} for {gap_us} us around {}, bound {bound_us} us", window.what)
                    });
                }
            } else {
                worst_us = gap_us;
                if at.us <= window.until_us(bound_us) {
                    break;
                }
                findings.check();
            }
            self.next += 1;
        }
        worst_us
    }
}

impl Checker for Failover {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ClientDeliver { client, symbol, .. } if self.end_us.is_none() => {
                self.deliver(at, *client, *symbol, findings);
            }
            Event::ClientClose { by: Side::Own, .. } if self.end_us.is_none() => {
                let client = at.client as usize;
                if self.closed.len() <= client {
                    self.closed.resize(client + 1, 0);
                }
                self.closed[client] += 1;
            }
            Event::SourceOpen { source, .. } => {
                if let Some(legs) = self.legs.get_mut(source.index()) {
                    *legs += 1;
                }
            }
            Event::SourceClose { source, by, .. } => {
                if let Some(legs) = self.legs.get_mut(source.index()) {
                    *legs = legs.saturating_sub(1);
                }
                let longest_us = self.at_most_us.saturating_add(self.facts.periods.longest_us());
                let watched = self.windows.last().is_some_and(|window| at.us <= window.until_us(longest_us));
                if *by == Side::Own && !watched && self.end_us.is_none() {
                    self.watch(at, || format!("the close of a leg by {source}").into());
                }
            }
            Event::ProxyLegUp { source, .. } => {
                if let Some(legs) = self.edge_legs(*source) {
                    *legs += 1;
                }
            }
            Event::ProxyLegDown { source, local: Some(_), .. } => {
                if let Some(legs) = self.edge_legs(*source) {
                    *legs = legs.saturating_sub(1);
                }
            }
            Event::FaultStart { kind, target, .. } => {
                let carried = match self.health.observe(at.us, event) {
                    Some(Hit::Source { source, dead }) => self.legs.get_mut(source).is_some_and(|legs| {
                        let carried = *legs > 0;
                        if dead {
                            *legs = 0;
                        }
                        carried
                    }),
                    // The edges say themselves when their legs are gone.
                    Some(Hit::Proxy(proxy)) => self.edge_legs.get(proxy).is_some_and(|legs| *legs > 0),
                    _ => false,
                };
                if carried && self.health.healthy() > 0 {
                    self.watch(at, || format!("the {kind} of {target}").into());
                }
            }
            Event::FaultStop { .. } => {
                self.health.observe(at.us, event);
            }
            Event::Phase { phase: Phase::End } => {
                self.end_us.get_or_insert(at.us);
            }
            _ => {}
        }
    }

    fn finish(&mut self, end: At, findings: &mut Findings) -> String {
        let end = At { us: self.end_us.unwrap_or(end.us), symbol: NONE, client: NONE, origin: Origin::Unasked, ..end };
        for pair in self.pairs.iter_mut().flatten() {
            let closed = self.closed.get(pair.number as usize).copied().unwrap_or(0);
            if !pair.slow && pair.closed == closed {
                let worst_us = pair.gap(end, &self.windows, &self.health, findings);
                self.worst_us = self.worst_us.max(worst_us);
            }
        }
        let bound_us = self.at_most_us.saturating_add(self.facts.periods.longest_us());
        let (worst_us, faults) = (self.worst_us, self.windows.len());
        format!(
            "longest silence of a symbol {worst_us} us against {bound_us} us, around {faults} faults on sources in use"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check, leg_addr};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::{Event, Side};
    use wire::id::{LegId, ProxyId, SourceId};

    /// The bound is 500 ms and one period of 100 ms.
    fn tape() -> Tape {
        Tape::new(r#"failover-time = { at-most = "500ms" }"#).leg(0, 0).open(0, 0).deliver(0, 0, 1)
    }

    fn after_kill(silence_us: u64) -> Tape {
        tape().fault(0, "kill", "source-0").after(silence_us).deliver(0, 0, 5).after(650_000).deliver(0, 0, 6)
    }

    #[test]
    fn a_short_silence_passes() {
        // The second gap is too long, but begins when the window is over.
        check(
            tape().fault(0, "kill", "source-0").after(599_000).deliver(0, 0, 5).after(10_000).deliver(0, 0, 6),
            Pass,
            1,
        );
    }

    #[test]
    fn a_long_silence_fails() {
        check(after_kill(600_000), Fail, 1);
        check(tape().fault(0, "stall", "proxy-0/source-0").after(700_000).deliver(0, 0, 5), Fail, 1);
    }

    #[test]
    fn a_second_silence_that_begins_in_the_window_fails_too() {
        check(after_kill(300_000), Fail, 1);
    }

    #[test]
    fn a_symbol_that_never_comes_back_fails_at_the_end() {
        let tape = tape().deliver(0, 1, 1).fault(0, "kill", "source-0").after(100_000).deliver(0, 0, 2);
        let tape = tape.after(550_000).deliver(0, 0, 3);
        check(tape, Fail, 2);
    }

    #[test]
    fn a_new_session_carries_the_silence_on_and_the_client_s_own_close_ends_it() {
        let lost = tape().fault(0, "kill", "source-0").close_by_peer(0, None).session(1).after(700_000).open(0, 1);
        check(lost.deliver(0, 0, 9), Fail, 1);
        check(tape().fault(0, "kill", "source-0").close_own(0).after(700_000), Inconclusive, 0);
    }

    #[test]
    fn a_fault_on_an_idle_source_or_with_no_other_source_proves_nothing() {
        check(tape().fault(0, "kill", "source-1").after(700_000).deliver(0, 0, 2), Inconclusive, 0);
        let all = tape().fault(0, "kill", "source-1").fault(1, "kill", "source-0").after(700_000).deliver(0, 0, 2);
        check(all, Inconclusive, 0);
        let later = tape().fault(0, "kill", "source-0").fault(1, "kill", "source-1").after(700_000).deliver(0, 0, 2);
        check(later, Inconclusive, 0);
    }

    #[test]
    fn a_source_that_ends_its_leg_opens_a_window() {
        let close = Event::SourceClose { source: SourceId(0), leg: LegId(0), by: Side::Own, code: Some(1001) };
        check(tape().push(close).after(700_000).deliver(0, 0, 2), Fail, 1);
    }

    #[test]
    fn slow_clients_are_not_judged() {
        check(
            tape()
                .deliver(9, 0, 1)
                .fault(0, "kill", "source-0")
                .after(550_000)
                .deliver(0, 0, 2)
                .after(90_000)
                .deliver(0, 0, 3),
            Pass,
            1,
        );
    }

    /// Proxies 0 and 1 feed edge 0, proxy 2 in the record, which has its leg to proxy 0.
    fn edge() -> Tape {
        let tape = tape().facts(|facts| (facts.proxies, facts.edges) = (3, 1));
        let leg = |source: u16| Event::ProxyLegUp {
            proxy: ProxyId(2),
            source: SourceId(source),
            local: leg_addr(2, source),
            epoch: 1,
            client: None,
        };
        tape.push(leg(2))
    }

    #[test]
    fn a_proxy_that_feeds_edges_is_a_source_to_them() {
        let silent = |target: &str| edge().fault(0, "kill", target).after(700_000).deliver(0, 0, 6);
        check(silent("proxy-0"), Fail, 1);
        check(silent("proxy-0/edge-0"), Fail, 1);
        // It carries no leg.
        check(silent("proxy-1"), Inconclusive, 0);
        // Nothing is left to move to, or what is lacking is the edge itself.
        let none = edge().fault(0, "kill", "proxy-1").fault(1, "kill", "proxy-0").after(700_000).deliver(0, 0, 6);
        check(none, Inconclusive, 0);
        check(silent("edge-0"), Inconclusive, 0);
    }
}
