//! The cores of a host as a queueing station. Pure: it is told the time and the work, and says when the work is done.
//!
//! Work is told in the order in which it comes up, so that the instant at which it ends is known at once: no event, no list of who waits.

use std::time::Duration;

use wire::draw::Draws;

use crate::config::{Queues, Reads, ServiceTime, Spread};

/// A piece of network work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
    pub(crate) connections: u64,
}

/// The cores, and what work costs on them.
#[derive(Debug)]
pub(crate) struct Cpu {
    service: ServiceTime,
    /// When each core is free again, in nanoseconds since the run began. Never empty.
    free_ns: Vec<u64>,
    /// How many times slower than normal the machine is, at least 1.
    times: f64,
    draws: Draws,
    /// What all work so far costs.
    charged_ns: u64,
}

impl Cpu {
    /// Idle cores. `draws` are those of the spread.
    pub(crate) fn new(service: ServiceTime, draws: Draws) -> Self {
        Self { service, free_ns: vec![0; cores(service)], times: 1.0, draws, charged_ns: 0 }
    }

    /// What work costs from now on. Work under way ends as it would have; a core that is taken away takes its work along.
    pub(crate) fn set(&mut self, service: ServiceTime) {
        self.free_ns.resize(cores(service), 0);
        self.service = service;
    }

    /// How many times slower than normal work is from now on.
    pub(crate) fn slow_down(&mut self, times: f64) {
        self.times = times.max(1.0);
    }

    /// Nobody works any more.
    pub(crate) fn stop(&mut self) {
        self.free_ns.fill(0);
    }

    /// For how long cores have worked until now, those of several added up. Work that was lost with the power counts as done.
    pub(crate) fn busy(&self, now_us: u64) -> Duration {
        let now = now_us.saturating_mul(1_000);
        let to_do: u64 = self.free_ns.iter().map(|free| free.saturating_sub(now)).sum();
        Duration::from_nanos(self.charged_ns.saturating_sub(to_do))
    }

    pub(crate) fn is_free(&self) -> bool {
        self.service.is_free()
    }

    /// Whether what arrives while an earlier segment of its connection waits is read with that.
    pub(crate) fn joins(&self) -> bool {
        self.service.reads == Reads::Joined
    }

    /// Whether it matters by which number [`Cpu::serve`] picks a core.
    pub(crate) fn wants_lane(&self) -> bool {
        self.service.queues == Queues::PerCore && self.free_ns.len() > 1
    }

    /// When work that comes up at `at_us` is done, in whole microseconds, rounded up. `lane` picks the core where each has its own queue. Times of calls
    /// never decrease.
    pub(crate) fn serve(&mut self, at_us: u64, lane: u64, work: Work) -> u64 {
        if self.is_free() {
            return at_us;
        }
        let cost = self.cost_ns(work);
        let free = match self.service.queues {
            Queues::PerCore => {
                let core = (lane % self.free_ns.len() as u64) as usize;
                &mut self.free_ns[core]
            }
            Queues::Shared => {
                // The first of those that are free soonest: it takes the work that has waited longest, which is this one.
                let (mut soonest, mut core) = (u64::MAX, 0);
                for (index, &free) in self.free_ns.iter().enumerate() {
                    if free < soonest {
                        (soonest, core) = (free, index);
                    }
                }
                &mut self.free_ns[core]
            }
        };
        *free = at_us.saturating_mul(1_000).max(*free).saturating_add(cost);
        self.charged_ns = self.charged_ns.saturating_add(cost);
        free.div_ceil(1_000)
    }

    fn cost_ns(&mut self, work: Work) -> u64 {
        let ServiceTime { per_segment, per_kib, per_connection, spread, .. } = self.service;
        let bytes = (u128::from(nanos(per_kib)) * u128::from(work.bytes) + 512) / 1024;
        let cost = nanos(per_segment)
            .saturating_mul(work.segments)
            .saturating_add(nanos(per_connection).saturating_mul(work.connections))
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let cost = if self.times > 1.0 { (cost as f64 * self.times) as u64 } else { cost };
        match spread {
            Spread::Fixed => cost,
            Spread::Exponential => self.draws.exponential(cost as f64).round() as u64,
        }
    }
}

fn cores(service: ServiceTime) -> usize {
    usize::from(service.cores.max(1))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
