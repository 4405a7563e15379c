//! Which legs are open at each source, by the sources' own account, and how the sources are.

use rustc_hash::FxHashSet;
use wire::event::Event;
use wire::id::LegId;

use super::Facts;
use super::health::{Health, Hit};

/// Legs of a source that is down are not counted: it cannot say what became of them.
pub(super) struct OpenLegs {
    health: Health,
    /// By source. Never walked.
    legs: Vec<FxHashSet<LegId>>,
}

/// What an event changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// A leg of this source opened.
    Opened(usize),
    /// A leg closed.
    Closed,
    /// A fault began or ended.
    Health,
}

impl OpenLegs {
    pub(super) fn new(facts: &Facts) -> Self {
        Self { health: Health::new(facts), legs: vec![FxHashSet::default(); usize::from(facts.sources)] }
    }

    /// Takes what sources say of legs, and the faults. A source that the record does not know changes nothing.
    pub(super) fn observe(&mut self, us: u64, event: &Event) -> Option<Changed> {
        match event {
            Event::SourceOpen { source, leg, .. } => {
                self.legs.get_mut(source.index())?.insert(*leg);
                Some(Changed::Opened(source.index()))
            }
            Event::SourceClose { source, leg, .. } => {
                self.legs.get_mut(source.index())?.remove(leg);
                Some(Changed::Closed)
            }
            Event::FaultStart { .. } | Event::FaultStop { .. } => {
                if let Some(Hit::Source { source, dead: true }) = self.health.observe(us, event)
                    && let Some(legs) = self.legs.get_mut(source)
                {
                    legs.clear();
                }
                Some(Changed::Health)
            }
            _ => None,
        }
    }

    /// Open legs of a source.
    pub(super) fn at(&self, source: usize) -> usize {
        self.legs[source].len()
    }

    /// All sources.
    pub(super) fn sources(&self) -> std::ops::Range<usize> {
        0..self.legs.len()
    }

    /// How the sources are.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }
}
