//! The record of one run: stamps each event, hashes it, feeds checkers and metrics, and keeps the whole only on request.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use reports::metrics::Collector;
use reports::record::Reached;
use wire::event::{Event, Sink, Timed};
use wire::id::{LegId, SourceId};
use wire::reach::{self, Tally};
use xxhash_rust::xxh3::Xxh3;

use crate::check::Bench;
use crate::engine::Worked;
use crate::model::{FaultKind, State};
use crate::plan::{Plan, Trigger};
use crate::triggers::Triggers;

/// A sink for all programs of a run.
pub(crate) struct Recorder {
    inner: Mutex<Inner>,
    now_us: fn() -> u64,
    /// What happens from here on happens while a run that was stopped is torn down.
    until_us: u64,
    wants_ticks: bool,
    /// Counts the marks that the programs reach, on the thread of the run.
    marks: Tally,
}

struct Inner {
    hash: Xxh3,
    count: u64,
    checkpoints: Checkpoints,
    open: bool,
    judges: Option<(Bench, Collector)>,
    states: States,
    triggers: Option<Triggers>,
    kept: Option<Vec<Timed>>,
    worked: Vec<Worked>,
}

/// What a finished record holds.
pub(crate) struct Recorded {
    /// Hash over all events with their times.
    pub trace_hash: u64,
    /// Their number.
    pub events: u64,
    /// What the hash was on the way, see [`Checkpoints`].
    pub checkpoints: Vec<(u64, u64)>,
    /// The checkers, not yet finished.
    pub bench: Bench,
    /// The metrics, not yet finished.
    pub collector: Collector,
    /// How often each state was reached.
    pub reached: Vec<(State, u64)>,
    /// How often each mark in the programs was.
    pub marks: reach::Counts,
    /// What faults waited for.
    pub triggers: Triggers,
    /// All events, if they were to be kept.
    pub kept: Option<Vec<Timed>>,
    /// For how long hosts had worked at some times.
    pub worked: Vec<Worked>,
}

impl Recorder {
    /// A record with a clock (microseconds since the run began), which ends before `until` if that is given.
    #[must_use]
    pub(crate) fn new(
        plan: &Plan,
        bench: Bench,
        collector: Collector,
        keep: bool,
        until: Option<Duration>,
        now_us: fn() -> u64,
    ) -> Self {
        Self {
            inner: Mutex::new(Inner {
                hash: Xxh3::with_seed(plan.seed),
                count: 0,
                checkpoints: Checkpoints::default(),
                open: true,
                judges: Some((bench, collector)),
                states: States::new(plan.scenario.sources.count),
                triggers: Some(Triggers::new(plan)),
                kept: keep.then(Vec::new),
                worked: Vec::new(),
            }),
            now_us,
            until_us: until.map_or(u64::MAX, |until| u64::try_from(until.as_micros()).unwrap_or(u64::MAX)),
            marks: Tally::default(),
            wants_ticks: plan.triggers.iter().any(Trigger::wants_ticks),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while recording fails the run anyway; the record up to there is still good evidence.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source that carries most legs now (the first of them), if any carries one.
    #[must_use]
    pub(crate) fn active_source(&self) -> Option<SourceId> {
        self.lock().states.active_source()
    }

    /// What faults waited for and has come since this was last asked, by places in the plan; its asker is woken at the instant of the event.
    pub(crate) fn poll_due(&self, waker: &Waker) -> Poll<Vec<usize>> {
        self.lock().triggers.as_mut().map_or(Poll::Pending, |triggers| triggers.poll_due(waker))
    }

    /// Counts the marks that are reached on this thread, which is to be that of the run.
    pub(crate) fn listen(&self) {
        self.marks.listen();
    }

    /// Takes an event that happened at a time of its own; times never fall.
    pub(crate) fn record_at(&self, at_us: u64, mut event: Event) {
        let mut inner = self.lock();
        if !inner.open || at_us >= self.until_us {
            return;
        }
        inner.states.number_leg(&mut event);
        at_us.hash(&mut inner.hash);
        event.hash(&mut inner.hash);
        inner.count += 1;
        let Inner { hash, count, checkpoints, .. } = &mut *inner;
        checkpoints.pass(*count, || hash.digest());
        inner.states.observe(&event);
        if let Some((bench, collector)) = &mut inner.judges {
            bench.observe(at_us, &event);
            collector.observe(at_us, &event);
        }
        let rings = inner.triggers.as_mut().and_then(|triggers| triggers.observe(&event));
        if let Some(kept) = &mut inner.kept {
            kept.push(Timed { at_us, event });
        }
        drop(inner);
        rings.into_iter().for_each(Waker::wake);
    }

    /// Notes for how long a host has worked: no event, and not in the hash.
    pub(crate) fn note_work(&self, worked: Worked) {
        self.lock().worked.push(worked);
    }

    /// Takes no further events: what happens while a run is torn down is not part of it.
    pub(crate) fn close(&self) {
        self.lock().open = false;
        self.marks.close();
    }

    /// Ends the record and takes what it holds. None the second time.
    #[must_use]
    pub(crate) fn take(&self) -> Option<Recorded> {
        let mut inner = self.lock();
        inner.open = false;
        let (bench, collector) = inner.judges.take()?;
        let triggers = inner.triggers.take()?;
        Some(Recorded {
            trace_hash: inner.hash.digest(),
            events: inner.count,
            checkpoints: std::mem::take(&mut inner.checkpoints.kept),
            bench,
            collector,
            reached: inner.states.reached(),
            marks: self.marks.take(),
            triggers,
            kept: inner.kept.take(),
            worked: std::mem::take(&mut inner.worked),
        })
    }
}

impl Sink for Recorder {
    fn record(&self, event: Event) {
        self.record_at((self.now_us)(), event);
    }

    fn wants_ticks(&self) -> bool {
        self.wants_ticks
    }
}

/// The hash after every so many events, so that two records can be held against each other without the events: at most [`CHECKPOINTS_MAX`] of them, the
/// stretch between two doubled whenever they are full. It is a power of two: of two records of unequal length the checkpoints of one are among the other's.
struct Checkpoints {
    every: u64,
    /// How many events there were, and the hash over them.
    kept: Vec<(u64, u64)>,
}

/// See [`Checkpoints`].
const CHECKPOINTS_MAX: usize = 64;

impl Default for Checkpoints {
    fn default() -> Self {
        Self { every: 1, kept: Vec::with_capacity(CHECKPOINTS_MAX) }
    }
}

impl Checkpoints {
    fn pass(&mut self, count: u64, hash: impl FnOnce() -> u64) {
        if !count.is_multiple_of(self.every) {
            return;
        }
        if self.kept.len() == CHECKPOINTS_MAX {
            self.every *= 2;
            self.kept.retain(|(count, _)| count.is_multiple_of(self.every));
            if !count.is_multiple_of(self.every) {
                return;
            }
        }
        self.kept.push((count, hash()));
    }
}

/// Which states the run reached, and what is needed to know it.
struct States {
    counts: Vec<(State, u64)>,
    sources: Vec<SourceState>,
    legs_down: u64,
}

#[derive(Default, Clone)]
struct SourceState {
    open: u32,
    /// Legs numbered so far, over restarts.
    next_leg: u32,
    /// What a restarted source's own numbers are raised by.
    base_leg: u32,
    /// The faults that hold its process down.
    down: Vec<u16>,
}

impl States {
    fn new(sources: u16) -> Self {
        Self {
            counts: State::ALL.iter().map(|state| (*state, 0)).collect(),
            sources: vec![SourceState::default(); usize::from(sources)],
            legs_down: 0,
        }
    }

    fn reached(&self) -> Vec<(State, u64)> {
        self.counts.clone()
    }

    fn bump(&mut self, state: State) {
        if let Some(entry) = self.counts.iter_mut().find(|entry| entry.0 == state) {
            entry.1 += 1;
        }
    }

    fn active_source(&self) -> Option<SourceId> {
        let most = self.sources.iter().map(|source| source.open).max().filter(|most| *most > 0)?;
        let index = self.sources.iter().position(|source| source.open == most)?;
        u16::try_from(index).ok().map(SourceId)
    }

    /// A source counts its legs from 0 in each life; the record counts them over all lives.
    fn number_leg(&mut self, event: &mut Event) {
        let (source, leg) = match event {
            Event::SourceOpen { source, leg, .. }
            | Event::SourceSubscribe { source, leg, .. }
            | Event::SourceDeny { source, leg, .. }
            | Event::SourceUnsubscribe { source, leg, .. }
            | Event::SourceSend { source, leg, .. }
            | Event::SourceClose { source, leg, .. } => (source, leg),
            _ => return,
        };
        if let Some(state) = self.sources.get_mut(source.index()) {
            *leg = LegId(leg.0 + state.base_leg);
            state.next_leg = state.next_leg.max(leg.0 + 1);
        }
    }

    fn observe(&mut self, event: &Event) {
        match event {
            Event::ClientDeliver { .. } | Event::ClientEcho { .. } => self.bump(State::Delivered),
            Event::ClientOpen { .. } => self.bump(State::ClientOpened),
            Event::ClientGap { .. } => self.bump(State::GapTold),
            Event::ClientAnswer { accepted: false, .. } => self.bump(State::SubscriptionDenied),
            Event::ProxyShed { .. } => self.bump(State::ClientShed),
            Event::ProxyDrop { .. } => self.bump(State::MessageDropped),
            Event::ProxyDrainStop { .. } => self.bump(State::ProxyDrained),
            Event::ProxyReload { changes: 1.., .. } => self.bump(State::ProxyReloaded),
            Event::ProxyClientClose { why: wire::event::Why::Slow | wire::event::Why::Overflow, .. } => {
                self.bump(State::SlowClientClosed);
            }
            Event::ProxyLegDown { local: Some(_), .. } => self.legs_down += 1,
            Event::ProxyLegUp { .. } if self.legs_down > 0 => {
                self.legs_down -= 1;
                self.bump(State::Failover);
            }
            Event::SourceOpen { source, .. } => {
                if let Some(state) = self.sources.get_mut(source.index()) {
                    state.open += 1;
                }
            }
            Event::SourceClose { source, .. } => {
                if let Some(state) = self.sources.get_mut(source.index()) {
                    state.open = state.open.saturating_sub(1);
                }
            }
            Event::FaultStart { fault, kind, target } => self.fault_starts(*fault, kind, target),
            Event::FaultStop { fault } => self.fault_stops(*fault),
            _ => {}
        }
    }

    fn fault_starts(&mut self, fault: u16, kind: &str, target: &str) {
        let source = |name: &str| name.strip_prefix("source-").and_then(|number| number.parse::<usize>().ok());
        let Some(index) = target.split(['/', '>']).find_map(source) else { return };
        let Some(state) = self.sources.get_mut(index) else { return };
        let hit = state.open > 0;
        let kinds = [FaultKind::Kill, FaultKind::PowerOff, FaultKind::Restart];
        if kinds.iter().any(|ends| ends.word() == kind) {
            // It reports nothing any more: its legs are gone, and its next life numbers them from 0.
            state.open = 0;
            state.base_leg = state.next_leg;
            state.down.push(fault);
        }
        if hit {
            self.bump(State::FaultOnActiveSource);
        }
    }

    fn fault_stops(&mut self, fault: u16) {
        // A host that was down is up again when the last fault that held it is over.
        let mut restarted = false;
        for state in &mut self.sources {
            let before = state.down.len();
            state.down.retain(|other| *other != fault);
            restarted |= before > 0 && state.down.is_empty();
        }
        if restarted {
            self.bump(State::HostRestarted);
        }
    }
}

/// The states and marks that a scenario asks for, as they stand in a verdict.
#[must_use]
pub(crate) fn reached(plan: &Plan, states: &[(State, u64)], marks: &reach::Counts) -> Vec<Reached> {
    plan.scenario
        .reach
        .iter()
        .map(|reach| {
            let of_state = |state| states.iter().find(|entry| entry.0 == state).map(|entry| entry.1);
            let of_mark = |mark: &str| marks.get(mark).copied();
            let times = reach.state.and_then(of_state).or_else(|| reach.mark.as_deref().and_then(of_mark));
            Reached { name: reach.name().to_owned(), times: times.unwrap_or(0), at_least: reach.at_least }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_few_and_those_of_a_short_record_are_among_those_of_a_long_one_or_the_other_way_round() {
        let of = |events: u64| {
            let mut checkpoints = Checkpoints::default();
            (1..=events).for_each(|count| checkpoints.pass(count, || count * 7));
            checkpoints.kept
        };
        assert_eq!(of(0), []);
        assert_eq!(of(3), [(1, 7), (2, 14), (3, 21)]);
        for events in [64, 65, 127, 128, 1_000, 12_345] {
            let kept = of(events);
            let len = kept.len();
            assert!((CHECKPOINTS_MAX / 2..=CHECKPOINTS_MAX).contains(&len), "{events}: {len}");
            let last = kept.last().map_or(0, |last| last.0);
            assert!(events - last < kept[0].0, "{events}: the last stands at {last}");
            let longer = of(events * 5);
            let shared = kept.iter().filter(|one| longer.contains(one)).count();
            assert!(shared > 0 && longer.iter().all(|one| one.0 > events || kept.contains(one)), "{events}");
        }
    }
}
