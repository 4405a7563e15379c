//! What checkers may know of the plan beforehand.

use std::collections::BTreeMap;
use std::ops::Range;

use wire::event::ends_process;
use wire::id::{SourceId, Symbol};

use crate::model::SlowClient;

/// The fault in which a host forgets its connections without a word.
const HALF_OPEN: &str = "half-open";

/// The shape of a run. Everything else is read from the record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Instances of the source. 0: the sources keep no ledger (a feed of others), and nothing can be held against it.
    pub sources: u16,
    /// Instances of the proxy, edges among them. 0: clients go to the sources directly.
    pub proxies: u16,
    /// How many of them, the last ones, are edges: clients connect to these, and what they have for sources are the other proxies, numbered after the sources.
    pub edges: u16,
    /// Clients.
    pub clients: u32,
    /// Between two ticks of each symbol.
    pub periods: Periods,
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
    /// The same of edges.
    pub edge_slow_client: Option<SlowClient>,
    /// Hosts of clients by name, with the clients that live there: which clients a fault on a host or on its link hits.
    pub client_hosts: Vec<(String, Range<u32>)>,
}

/// Microseconds between two ticks of each symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Periods {
    /// Of a symbol that is not in the map; none of the map is longer.
    longest_us: u64,
    own_us: BTreeMap<Symbol, u64>,
}

impl Periods {
    /// All symbols tick every so many microseconds.
    #[must_use]
    pub fn alike(period_us: u64) -> Self {
        Self { longest_us: period_us, own_us: BTreeMap::new() }
    }

    /// Each of these has its own.
    #[must_use]
    pub fn each(own_us: impl IntoIterator<Item = (Symbol, u64)>) -> Self {
        let own_us: BTreeMap<Symbol, u64> = own_us.into_iter().collect();
        Self { longest_us: own_us.values().copied().max().unwrap_or(0), own_us }
    }

    /// That of a symbol.
    #[must_use]
    pub fn of_us(&self, symbol: Symbol) -> u64 {
        self.own_us.get(&symbol).copied().unwrap_or(self.longest_us)
    }

    /// That of the symbol that ticks least often.
    #[must_use]
    pub fn longest_us(&self) -> u64 {
        self.longest_us
    }
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

    /// The number of the first edge: that many proxies are none.
    fn first_edge(&self) -> usize {
        usize::from(self.proxies - self.edges.min(self.proxies))
    }

    /// Whether the proxy is an edge.
    #[must_use]
    pub fn is_edge(&self, proxy: usize) -> bool {
        self.edges > 0 && proxy >= self.first_edge()
    }

    /// Whether the proxy feeds edges.
    #[must_use]
    pub fn feeds_edges(&self, proxy: usize) -> bool {
        self.edges > 0 && proxy < self.first_edge()
    }

    /// How many proxies feed edges.
    #[must_use]
    pub fn middle(&self) -> usize {
        if self.edges > 0 { self.first_edge() } else { 0 }
    }

    /// The proxy that an edge means by this source; none: it is a source.
    #[must_use]
    pub fn proxy_behind(&self, source: SourceId) -> Option<usize> {
        source.index().checked_sub(usize::from(self.sources)).filter(|_| self.edges > 0)
    }

    /// Whether a fault makes a proxy lose its session with a client, whatever becomes of what it says to it then: its process ends, or its kernel forgets the
    /// connection (`half-open`, on the host or on its way to the client's).
    #[must_use]
    pub fn loses(&self, kind: &str, target: &str, proxy: usize, client: u32) -> bool {
        let (host, to) = target.split_once('>').map_or((target, None), |(host, to)| (host, Some(to)));
        let to_client = |to: &str| self.client_hosts.iter().any(|(host, range)| host == to && range.contains(&client));
        self.proxy_named(host) == Some(proxy)
            && (ends_process(kind) && to.is_none() || kind == HALF_OPEN && to.is_none_or(to_client))
    }

    /// The number of the proxy whose host bears this name: `proxy-1`, `edge-0`.
    #[must_use]
    pub fn proxy_named(&self, host: &str) -> Option<usize> {
        let number = |begin: &str| host.strip_prefix(begin)?.parse::<usize>().ok();
        number("proxy-").or_else(|| Some(number("edge-")? + self.first_edge()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_loses_the_sessions_that_end_with_it_or_that_it_forgets() {
        let client_hosts = vec![("desk-0".to_owned(), 0..2), ("desk-1".to_owned(), 2..4)];
        let facts = Facts { proxies: 2, client_hosts, ..Facts::default() };
        let lost = |kind, target| {
            let sessions = (0..2).flat_map(|proxy| (0..4).map(move |client| (proxy, client)));
            sessions.filter(|(proxy, client)| facts.loses(kind, target, *proxy, *client)).collect::<Vec<_>>()
        };
        let of_first = [(0, 0), (0, 1), (0, 2), (0, 3)];
        for kind in ["kill", "restart", "power-off", "half-open"] {
            assert_eq!(lost(kind, "proxy-0"), of_first, "{kind}");
        }
        assert_eq!(lost("half-open", "proxy-1>desk-1"), [(1, 2), (1, 3)]);
        assert_eq!(lost("half-open", "desk-1>proxy-1"), []);
        assert_eq!(lost("freeze", "proxy-0"), []);
    }

    #[test]
    fn edges_are_numbered_after_the_proxies_and_what_feeds_them_after_the_sources() {
        let facts = Facts { sources: 3, proxies: 5, edges: 3, ..Facts::default() };
        assert_eq!(facts.middle(), 2);
        assert_eq!(
            (facts.is_edge(1), facts.is_edge(2), facts.feeds_edges(1), facts.feeds_edges(2)),
            (false, true, true, false)
        );
        assert_eq!(
            (facts.proxy_named("proxy-1"), facts.proxy_named("edge-0"), facts.proxy_named("source-0")),
            (Some(1), Some(2), None)
        );
        assert_eq!((facts.proxy_behind(SourceId(2)), facts.proxy_behind(SourceId(4))), (None, Some(1)));
        let one_tier = Facts { sources: 3, proxies: 2, ..Facts::default() };
        assert_eq!((one_tier.middle(), one_tier.is_edge(1), one_tier.feeds_edges(0)), (0, false, false));
        assert_eq!(one_tier.proxy_behind(SourceId(9)), None);
    }
}
