//! What checkers may know of the plan beforehand.

use std::ops::Range;

use crate::model::SlowClient;

/// The shape of a run. Everything else is read from the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Instances of the source. 0: the sources keep no ledger (a feed of others), and nothing can be held against it.
    pub sources: u16,
    /// Instances of the proxy. 0: clients go to the sources directly.
    pub proxies: u16,
    /// Clients.
    pub clients: u32,
    /// Microseconds between two ticks of one symbol.
    pub period_us: u64,
    /// Clients that read slowly on purpose, as half-open ranges.
    pub slow_clients: Vec<Range<u32>>,
    /// Legs of one proxy that are each asked for the same symbol; 0: not known.
    pub copies: u16,
    /// Whether symbols move from one leg to another while both are up, so that for a while both have them.
    pub moves: bool,
    /// What becomes of a client whose queue is full, where the scenario says so.
    pub slow_client: Option<SlowClient>,
    /// How a proxy drains.
    pub drain: Drain,
    /// The faults that are reloads, by their numbers, with the limit on clients that each sets.
    pub reloads: Vec<(u16, Option<u32>)>,
    /// Hosts of clients by name, with the clients that live there: which clients a fault on a host or on its link hits.
    pub client_hosts: Vec<(String, Range<u32>)>,
}

/// How a proxy drains, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    /// From its beginning to the end of accepting.
    pub tell_us: u64,
    /// Then clients may go by themselves.
    pub grace_us: u64,
    /// Then they are closed.
    pub time_us: u64,
    /// From its beginning to its end.
    pub deadline_us: u64,
    /// The close code.
    pub code: u16,
}

impl Facts {
    /// Whether the client reads slowly on purpose.
    #[must_use]
    pub fn is_slow(&self, client: u32) -> bool {
        self.slow_clients.iter().any(|range| range.contains(&client))
    }
}
