//! What checkers may know of the plan beforehand.

use std::ops::Range;

use crate::model::SlowClient;

/// The shape of a run. Everything else is read from the record.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Clients that break a rule on purpose: what is promised to honest ones is not judged on them.
    pub hostile: Vec<Range<u32>>,
    /// What is to become of those of them that break the protocol or are not let in.
    pub offenders: Vec<(Range<u32>, Offender)>,
    /// Clients that present a key that the proxy does not know.
    pub wrong_keys: Vec<Range<u32>>,
    /// Clients that answer no ping.
    pub silent: Vec<Range<u32>>,
    /// Microseconds of silence after which a client is pinged, and after that given up.
    pub pings: (u64, u64),
    /// Clients that do not say their handshake at once.
    pub dawdlers: Vec<Range<u32>>,
    /// Microseconds that a handshake may take.
    pub handshake_us: u64,
    /// Handshakes that may be under way at once.
    pub handshakes_max: u64,
    /// Requests of a session: in a second, and at once.
    pub quota: (f64, f64),
    /// How a proxy drains.
    pub drain: Drain,
    /// The faults that are reloads, by their numbers, with the limit on clients that each sets.
    pub reloads: Vec<(u16, Option<u32>)>,
    /// Hosts of clients by name, with the clients that live there: which clients a fault on a host or on its link hits.
    pub client_hosts: Vec<(String, Range<u32>)>,
}

/// What is to become of a client that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offender {
    /// Its session is closed with this code.
    Closed(u16),
    /// Its handshake is answered with 403.
    Refused,
}

fn within(ranges: &[Range<u32>], client: u32) -> bool {
    ranges.iter().any(|range| range.contains(&client))
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

    /// Whether the client breaks a rule on purpose.
    #[must_use]
    pub fn is_hostile(&self, client: u32) -> bool {
        within(&self.hostile, client)
    }

    /// What is to become of the client, if it breaks the protocol or is not let in.
    #[must_use]
    pub fn offender(&self, client: u32) -> Option<Offender> {
        self.offenders.iter().find(|(range, _)| range.contains(&client)).map(|(_, offender)| *offender)
    }

    /// Whether the client breaks the protocol or is not let in.
    #[must_use]
    pub fn is_offender(&self, client: u32) -> bool {
        self.offender(client).is_some()
    }

    /// Whether the client's key is not known.
    #[must_use]
    pub fn has_wrong_key(&self, client: u32) -> bool {
        within(&self.wrong_keys, client)
    }

    /// Whether the client answers no ping.
    #[must_use]
    pub fn is_silent(&self, client: u32) -> bool {
        within(&self.silent, client)
    }

    /// Whether the client does not say its handshake at once.
    #[must_use]
    pub fn dawdles(&self, client: u32) -> bool {
        within(&self.dawdlers, client)
    }
}
