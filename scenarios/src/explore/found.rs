//! What an exploration has found so far: failures by kind, and how much of everything there was.

use std::collections::{BTreeMap, BTreeSet};

use reports::record::{Outcome, Verdict};

use super::{Family, World};
use crate::fingerprint::Fingerprint;
use crate::model::Scenario;

/// Kinds of failures that are kept apart; those that come later are counted together.
pub const KINDS_MAX: usize = 50;

/// Seeds of one kind that are told by name.
pub const SEEDS_MAX: usize = 20;

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Runs that failed in this way first.
    pub count: u64,
    /// The lowest seeds, up to [`SEEDS_MAX`].
    pub seeds: BTreeSet<u64>,
    /// The seed of the smallest world: fewest faults, then fewest clients, hosts and symbols; of equals the lowest.
    pub smallest: u64,
    size: Size,
    /// What could go wrong in every world that failed so.
    pub families: Vec<Family>,
}

/// How much there is in a world, most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    faults: usize,
    clients: u32,
    hosts: u32,
    symbols: u32,
}

impl Kind {
    /// The lowest seed.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.seeds.first().copied().unwrap_or(self.smallest)
    }
}

impl Size {
    fn of(scenario: &Scenario) -> Self {
        let edges = scenario.edge.as_ref().map_or(0, |edge| edge.count);
        Self {
            faults: scenario.faults.len(),
            clients: scenario.clients.iter().map(|group| group.count).sum(),
            hosts: u32::from(scenario.sources.count) + u32::from(scenario.proxy.count) + u32::from(edges),
            symbols: scenario.sources.symbols,
        }
    }
}

/// The account of an exploration. It does not depend on the order in which runs are told.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Runs told.
    pub runs: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs in which not one invariant was checked: they say nothing.
    pub idle: u64,
    /// Draws that the rules refused.
    pub refused: u64,
    /// Simulated seconds.
    pub sim_seconds: f64,
    /// Events.
    pub events: u64,
    /// Failures of kinds beyond [`KINDS_MAX`].
    pub beyond: u64,
    marks: BTreeSet<String>,
    kinds: BTreeMap<Fingerprint, Kind>,
}

impl Found {
    /// A run is done. Gives its kind if it is one that was not known.
    pub fn tell(&mut self, world: &World, verdict: &Verdict) -> Option<Fingerprint> {
        self.runs += 1;
        self.refused += world.refused.len() as u64;
        self.sim_seconds += verdict.sim_seconds;
        self.events += verdict.events;
        // These say something of every run, or of every run whose faults wait, and nothing of what was promised.
        let promised = |name: &str| !["programs-live", "faults-begin"].contains(&name);
        self.idle += u64::from(!verdict.invariants.iter().any(|one| one.checked > 0 && promised(&one.name)));
        for mark in verdict.marks.keys() {
            if !self.marks.contains(mark) {
                self.marks.insert(mark.clone());
            }
        }
        if verdict.verdict != Outcome::Fail {
            return None;
        }
        self.failed += 1;
        let fingerprint = Fingerprint::first(verdict)?;
        let (seed, size) = (world.seed, Size::of(&world.scenario));
        if let Some(kind) = self.kinds.get_mut(&fingerprint) {
            kind.count += 1;
            kind.seeds.insert(seed);
            if kind.seeds.len() > SEEDS_MAX {
                kind.seeds.pop_last();
            }
            kind.families.retain(|family| world.families.has(*family));
            if (size, seed) < (kind.size, kind.smallest) {
                (kind.size, kind.smallest) = (size, seed);
            }
            return None;
        }
        if self.kinds.len() >= KINDS_MAX {
            self.beyond += 1;
            return None;
        }
        let families = world.families.iter().collect();
        self.kinds.insert(
            fingerprint.clone(),
            Kind { count: 1, seeds: BTreeSet::from([seed]), smallest: seed, size, families },
        );
        Some(fingerprint)
    }

    /// Kinds of failures, the most frequent first.
    #[must_use]
    pub fn kinds(&self) -> Vec<(&Fingerprint, &Kind)> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(fingerprint, kind)| (std::cmp::Reverse(kind.count), kind.first(), *fingerprint));
        kinds
    }

    /// How many kinds of failures.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.kinds.len()
    }

    /// The marks that the runs reached together.
    #[must_use]
    pub fn marks(&self) -> &BTreeSet<String> {
        &self.marks
    }
}
