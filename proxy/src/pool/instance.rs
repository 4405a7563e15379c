//! One instance of the source.

use std::time::Duration;

use tokio::time::Instant;
use wire::draw::Draws;
use wire::id::SourceId;

use super::rules::Rules;
use super::{InstanceState, slow_start};
use crate::backoff::Redial;
use crate::bucket::Bucket;
use crate::config::Upstream;

pub(super) struct Instance {
    pub(super) upstream: Upstream,
    pub(super) leaving: bool,
    /// Since when it is healthy again; None if it always was. Its weight rises from there.
    pub(super) back_since: Option<Instant>,
    /// Connections, dials under way included.
    pub(super) open: u32,
    dialing: u32,
    /// In turn, without a connection that held between them.
    failures: u32,
    refusals: u32,
    /// Not to be used before, and then by one at a time until that succeeds; None while healthy.
    rests_until: Option<Instant>,
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
            back_since,
            open: 0,
            dialing: 0,
            failures: 0,
            refusals: 0,
            rests_until: None,
            dials: Bucket::default(),
            draws,
        }
    }

    pub(super) fn healthy(&self) -> bool {
        self.rests_until.is_none()
    }

    pub(super) fn usable(&self, now: Instant, rules: &Rules) -> Usable {
        // Half open: as long as nothing has succeeded since a failure, one at a time finds out.
        let dials_max = if self.rests_until.is_some() { 1 } else { rules.dials_max };
        if self.leaving || self.dialing >= dials_max || self.open >= rules.connections_max {
            return Usable::OnNews;
        }
        let from = self.rests_until.max(self.dials.ready_at(rules.dials_each));
        from.filter(|from| *from > now).map_or(Usable::Now, Usable::At)
    }

    /// A dial begins.
    pub(super) fn take(&mut self, now: Instant, rules: &Rules) {
        self.open += 1;
        self.dialing += 1;
        self.dials.take(rules.dials_each, now);
    }

    /// A dial succeeded.
    pub(super) fn up(&mut self, now: Instant) {
        self.dialing = self.dialing.saturating_sub(1);
        self.proved(now);
    }

    /// It works.
    pub(super) fn proved(&mut self, now: Instant) {
        if self.rests_until.is_some_and(|until| until <= now) {
            self.rests_until = None;
            self.back_since = Some(now);
        }
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
    pub(super) fn failed(&mut self, now: Instant, redial: &mut dyn Redial) {
        if self.rests_until.is_none_or(|until| until <= now) {
            self.failures = self.failures.saturating_add(1);
            self.rests_until = Some(now + redial.delay(self.failures, &mut self.draws));
        }
    }

    /// It works, but not for us now.
    pub(super) fn refused(&mut self, now: Instant, redial: &mut dyn Redial) {
        if self.rests_until.is_none_or(|until| until <= now) {
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
            open: self.open,
            dialing: self.dialing,
            healthy: self.healthy(),
            failures: self.failures,
            rests_until: self.rests_until,
        }
    }
}
