//! One instance of the source.

use std::time::Duration;

use tokio::time::Instant;
use wire::draw::Draws;
use wire::id::SourceId;

use super::outlier::{Counts, Ejections, Window};
use super::rules::Rules;
use super::{InstanceState, slow_start};
use crate::backoff::Redial;
use crate::bucket::Bucket;
use crate::config::Upstream;

pub(super) struct Instance {
    pub(super) upstream: Upstream,
    pub(super) leaving: bool,
    /// An operator wants no new connections to it.
    pub(super) held: bool,
    /// Since when it is healthy again; None if it always was. Its weight rises from there.
    pub(super) back_since: Option<Instant>,
    /// Connections, dials under way included.
    pub(super) open: u32,
    dialing: u32,
    /// In turn, without a connection that held between them.
    failures: u32,
    failed_at: Option<Instant>,
    refusals: u32,
    /// Not to be used before, and then by one at a time until that succeeds; None if the last thing that was tried succeeded.
    rests_until: Option<Instant>,
    /// As many failures in turn as make it unhealthy, and not yet as many successes as make it healthy again.
    down: bool,
    /// In turn, while it is unhealthy.
    successes: u32,
    window: Window,
    ejections: Ejections,
    dials: Bucket,
    draws: Draws,
}

/// Whether an instance can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usable {
    Now,
    /// Then, unless something happens.
    At(Instant),
    /// Only when something happens: a connection ends, a dial is decided.
    OnNews,
}

impl Instance {
    pub(super) fn new(upstream: Upstream, back_since: Option<Instant>, draws: Draws) -> Self {
        Self {
            upstream,
            leaving: false,
            held: false,
            back_since,
            open: 0,
            dialing: 0,
            failures: 0,
            failed_at: None,
            refusals: 0,
            rests_until: None,
            down: false,
            successes: 0,
            window: Window::default(),
            ejections: Ejections::default(),
            dials: Bucket::default(),
            draws,
        }
    }

    /// The opinion of it, which is slow to change.
    pub(super) fn healthy(&self) -> bool {
        !self.down && !self.ejected()
    }

    /// Whether it is left out, as it does worse than its siblings, and has not proved itself since.
    pub(super) fn ejected(&self) -> bool {
        self.ejections.until().is_some()
    }

    /// Whether it bears a connection.
    pub(super) fn carries(&self) -> bool {
        self.open > self.dialing
    }

    /// In a `panic` the opinion does not count. What was seen does: a rest is a rest, so that no panic makes a storm.
    pub(super) fn usable(&self, now: Instant, rules: &Rules, panic: bool) -> Usable {
        // Half open: as long as nothing has succeeded since a failure, one at a time finds out.
        let half_open = self.rests_until.is_some() || !(panic || self.healthy());
        let dials_max = if half_open { 1 } else { rules.dials_max };
        if self.leaving || self.held || self.dialing >= dials_max || self.open >= rules.connections_max {
            return Usable::OnNews;
        }
        let ejected_until = self.ejections.until().filter(|_| !panic);
        let from = self.rests_until.max(ejected_until).max(self.dials.ready_at(rules.dials_each));
        from.filter(|from| *from > now).map_or(Usable::Now, Usable::At)
    }

    /// A dial begins.
    pub(super) fn take(&mut self, now: Instant, rules: &Rules) {
        self.open += 1;
        self.dialing += 1;
        self.dials.take(rules.dials_each, now);
    }

    /// A dial succeeded.
    pub(super) fn up(&mut self, now: Instant, rules: &Rules) {
        self.dialing = self.dialing.saturating_sub(1);
        self.window.add(now, Counts { dials: 1, failures: 0 }, rules.ejection.window);
        self.proved(now, rules);
    }

    /// It works. What was begun before a failure cuts no rest short, and nothing an ejection: an outlier does work, now and then.
    fn proved(&mut self, now: Instant, rules: &Rules) {
        if self.rests_until.max(self.ejections.until()).is_some_and(|until| until > now) {
            wire::reached!("success that cut no rest short");
            return;
        }
        let rested = self.rests_until.take().is_some();
        wire::reached!("half-open probe succeeded", if rested);
        if !self.healthy() {
            self.successes += 1;
            if self.successes < rules.rise {
                return;
            }
            (self.down, self.successes) = (false, 0);
            self.ejections.lift(now);
        } else if !rested {
            return;
        }
        self.back_since = Some(now);
    }

    /// A place is given back.
    pub(super) fn closed(&mut self, now: Instant, up_since: Option<Instant>, rules: &Rules) {
        debug_assert!(self.open > 0, "a place is given back once");
        self.open = self.open.saturating_sub(1);
        match up_since {
            None => self.dialing = self.dialing.saturating_sub(1),
            Some(since) if now.saturating_duration_since(since) >= rules.stable_after => {
                (self.failures, self.refusals) = (0, 0);
            }
            Some(_) => {}
        }
    }

    /// It does not work: a failed dial, a leg that broke. A crash ends many connections in one instant, and is one failure: so what happens during a rest does
    /// not count.
    pub(super) fn failed(&mut self, now: Instant, dial: bool, rules: &Rules, redial: &mut dyn Redial) {
        if self.rests(now) {
            wire::reached!("failures during a rest counted as one");
            return;
        }
        wire::reached!("half-open probe failed", if self.rests_until.is_some());
        self.window.add(now, Counts { dials: u32::from(dial), failures: 1 }, rules.ejection.window);
        self.blame(now, rules);
        self.rests_until = Some(now + redial.delay(self.failures, &mut self.draws));
    }

    /// What a probe found. A good one cuts no rest short: an instance that answers probes and breaks connections is not well. A bad one is no reason for a rest
    /// before there are as many as make it unhealthy.
    pub(super) fn probed(&mut self, now: Instant, well: bool, rules: &Rules, redial: &mut dyn Redial) {
        if self.rests(now) {
            return;
        }
        if well {
            self.proved(now, rules);
            if self.failed_at.is_none_or(|at| now.saturating_duration_since(at) >= rules.stable_after) {
                self.failures = 0;
            }
            return;
        }
        self.blame(now, rules);
        if self.down {
            self.rests_until = Some(now + redial.delay(self.failures, &mut self.draws));
        }
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    fn blame(&mut self, now: Instant, rules: &Rules) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        self.successes = 0;
        self.down |= self.failures >= rules.fall;
    }

    /// It is left out, as it does worse than its siblings.
    pub(super) fn eject(&mut self, now: Instant, rules: &Rules) {
        self.successes = 0;
        self.ejections.eject(now, &rules.ejection);
    }

    /// What came of its dials and legs lately.
    pub(super) fn lately(&self, now: Instant, rules: &Rules) -> Counts {
        self.window.sum(now, rules.ejection.window)
    }

    /// It works, but not for us now.
    pub(super) fn refused(&mut self, now: Instant, redial: &mut dyn Redial) {
        if !self.rests(now) {
            wire::reached!("instance rests after it refused the key");
            self.refusals = self.refusals.saturating_add(1);
            self.rests_until = Some(now + redial.delay(self.refusals, &mut self.draws));
        }
    }

    /// Its weight now, in thousandths.
    pub(super) fn weight(&self, now: Instant, slow_start: Duration) -> u32 {
        let back_for = self.back_since.map(|since| now.saturating_duration_since(since));
        slow_start::weight(self.upstream.weight, back_for, slow_start)
    }

    pub(super) fn state(&self, source: SourceId) -> InstanceState {
        InstanceState {
            source,
            upstream: self.upstream.clone(),
            leaving: self.leaving,
            held: self.held,
            open: self.open,
            dialing: self.dialing,
            healthy: self.healthy(),
            ejected: self.ejected(),
            failures: self.failures,
            rests_until: self.rests_until,
        }
    }
}
