//! What hosts are called: proxies and sources by their numbers, and edges, which stand between clients and the other proxies.

use wire::id::{ProxyId, SourceId};

/// How many there are of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tiers {
    /// Instances of the source.
    pub sources: u16,
    /// Proxies, edges among them.
    pub proxies: u16,
    /// How many of these, the last ones, are edges. What an edge has for a source is another proxy, numbered after the sources.
    pub edges: u16,
}

impl Tiers {
    /// The number of the first edge.
    fn first_edge(self) -> u16 {
        self.proxies.saturating_sub(self.edges)
    }

    /// The host of a proxy.
    #[must_use]
    pub fn proxy(self, proxy: ProxyId) -> String {
        match proxy.0.checked_sub(self.first_edge()).filter(|_| self.edges > 0) {
            Some(edge) => format!("edge-{edge}"),
            None => proxy.to_string(),
        }
    }

    /// The host of what a proxy has for a source.
    #[must_use]
    pub fn source(self, source: SourceId) -> String {
        match source.0.checked_sub(self.sources).filter(|_| self.edges > 0) {
            Some(proxy) => ProxyId(proxy).to_string(),
            None => source.to_string(),
        }
    }

    /// Whether what an edge has for a source is meant.
    #[must_use]
    pub fn is_proxy(self, source: SourceId) -> bool {
        self.edges > 0 && source.0 >= self.sources
    }

    /// The host of what clients have at this place of their list.
    #[must_use]
    pub fn target(self, place: u16) -> String {
        self.proxy(self.target_id(place))
    }

    /// Its number.
    #[must_use]
    pub fn target_id(self, place: u16) -> ProxyId {
        let first = if self.edges > 0 { self.first_edge() } else { 0 };
        ProxyId(place.saturating_add(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_proxies_are_edges_and_have_the_others_for_sources() {
        let tiers = Tiers { sources: 2, proxies: 5, edges: 3 };
        assert_eq!([0, 1, 2, 4].map(|n| tiers.proxy(ProxyId(n))), ["proxy-0", "proxy-1", "edge-0", "edge-2"]);
        assert_eq!([1, 2, 3].map(|n| tiers.source(SourceId(n))), ["source-1", "proxy-0", "proxy-1"]);
        assert_eq!(tiers.target(1), "edge-1");
        let one = Tiers { sources: 2, proxies: 2, edges: 0 };
        assert_eq!(
            (one.proxy(ProxyId(1)), one.source(SourceId(7)), one.target(1)),
            ("proxy-1".into(), "source-7".into(), "proxy-1".into())
        );
    }
}
