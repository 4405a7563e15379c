//! `upstream-dials`: a source is not stormed with dials.
//!
//! Two bounds, on the dials that the proxies report (a source that is down sees none):
//! - **rate**: one proxy dials one source at most `burst + per-s x t` times in any time t (a token bucket);
//! - **together**: within any 20 ms, at most so many different proxies dial one source, except in the second after a fault begins or ends: there all lose their legs at one
//!   instant and look for another at once, as they should. Later they must come at instants of their own, or a fleet returns as one wave, however seldom each of them tries.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use wire::event::{Event, Phase};
use wire::id::{ProxyId, SourceId};

use super::taken::Taken;
use super::{At, Checker, Facts, Findings, UpstreamDials};

/// What counts as one instant.
const TOGETHER_US: u64 = 20_000;
/// How long after a fault begins or ends dials may come together.
const SETTLE_US: u64 = 1_000_000;

/// The checker. A check is a dial.
pub(super) struct Dials {
    bound: UpstreamDials,
    facts: Facts,
    /// Never walked.
    buckets: FxHashMap<(ProxyId, SourceId), Taken>,
    /// By source: dials of the last instant. Never walked.
    lately: FxHashMap<SourceId, VecDeque<(u64, ProxyId)>>,
    /// Until when dials may come together.
    settled_us: u64,
    over: bool,
    fullest: f64,
    most_together: usize,
}

impl Dials {
    pub(super) fn new(bound: UpstreamDials, facts: &Facts) -> Self {
        Self {
            bound,
            facts: facts.clone(),
            buckets: FxHashMap::default(),
            lately: FxHashMap::default(),
            // The proxies start with the run, and the first of them before anything says so.
            settled_us: SETTLE_US,
            over: false,
            fullest: 0.0,
            most_together: 0,
        }
    }

    fn rate(&mut self, at: At, proxy: ProxyId, source: SourceId, findings: &mut Findings) {
        let UpstreamDials { per_s, burst, .. } = self.bound;
        let bucket = self.buckets.entry((proxy, source)).or_default();
        let taken = bucket.one_more(at.us, per_s);
        self.fullest = self.fullest.max(taken);
        if taken > f64::from(burst) {
            findings.violation(at, &[], || {
                format!("{proxy} dials {source} more than {burst} times beyond {per_s} a second")
            });
            bucket.give_back();
        }
    }

    fn together(&mut self, at: At, proxy: ProxyId, source: SourceId, findings: &mut Findings) {
        let Some(most) = self.bound.together.filter(|_| at.us >= self.settled_us) else { return };
        let lately = self.lately.entry(source).or_default();
        while lately.front().is_some_and(|(us, _)| at.us.saturating_sub(*us) >= TOGETHER_US) {
            lately.pop_front();
        }
        if !lately.iter().any(|(_, other)| *other == proxy) {
            lately.push_back((at.us, proxy));
        }
        self.most_together = self.most_together.max(lately.len());
        if lately.len() > most as usize {
            let count = lately.len();
            findings.violation(at, &[], || {
                format!("{count} proxies dial {source} within {TOGETHER_US} us, long after a fault; {most} may")
            });
            lately.clear();
        }
    }
}

impl Checker for Dials {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            _ if self.over => {}
            // An edge dials a proxy.
            Event::ProxyDial { source, .. } if self.facts.proxy_behind(*source).is_some() => {}
            Event::ProxyDial { proxy, source } => {
                findings.check();
                self.rate(at, *proxy, *source, findings);
                self.together(at, *proxy, *source, findings);
            }
            Event::FaultStart { .. } | Event::FaultStop { .. } | Event::Phase { phase: Phase::Warmup } => {
                self.settled_us = at.us.saturating_add(SETTLE_US);
                self.lately.clear();
            }
            Event::Phase { phase: Phase::End } => self.over = true,
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, _findings: &mut Findings) -> String {
        let UpstreamDials { per_s, burst, together, .. } = self.bound;
        let rate = format!("{:.1} dials beyond {per_s} a second at most against {burst}", self.fullest);
        match together {
            Some(most) => format!("{rate}; {} proxies together against {most}", self.most_together),
            None => rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::{Event, Phase};
    use wire::id::{ProxyId, SourceId};

    fn tape() -> Tape {
        Tape::new("upstream-dials = { per-s = 1.0, burst = 3, together = 2 }").phase(Phase::Warmup).after(2_000_000)
    }

    fn dial(tape: Tape, proxy: u16) -> Tape {
        tape.push(Event::ProxyDial { proxy: ProxyId(proxy), source: SourceId(0) })
    }

    fn dials(tape: Tape, times: usize, apart_us: u64) -> Tape {
        (0..times).fold(tape, |tape, _| dial(tape.after(apart_us), 0))
    }

    #[test]
    fn a_burst_and_the_rate_after_it_pass() {
        check(dials(dials(tape(), 3, 0), 9, 1_000_000), Pass, 12);
    }

    #[test]
    fn more_than_the_burst_or_faster_than_the_rate_fails() {
        check(dials(tape(), 4, 0), Fail, 4);
        check(dials(tape(), 20, 500_000), Fail, 20);
    }

    #[test]
    fn a_fleet_that_comes_as_one_wave_fails_but_right_after_a_fault() {
        let wave = |tape| (0..3).fold(tape, dial);
        check(wave(tape()), Fail, 3);
        check(wave(tape().fault(0, "kill", "source-0").after(500_000)), Pass, 3);
        check(wave(tape().fault(0, "kill", "source-0").after(1_000_000)), Fail, 3);
        let apart = (0..3).fold(tape(), |tape, proxy| dial(tape.after(10_000), proxy));
        check(apart, Pass, 3);
        check(dials(tape(), 3, 0), Pass, 3);
    }

    #[test]
    fn a_fleet_that_starts_may_come_as_one_wave_whoever_speaks_first() {
        let start = Tape::new("upstream-dials = { per-s = 1.0, burst = 3, together = 2 }");
        check((0..3).fold(start, dial).phase(Phase::Warmup), Pass, 3);
    }

    #[test]
    fn without_a_dial_it_is_inconclusive() {
        check(tape(), Inconclusive, 0);
    }
}
