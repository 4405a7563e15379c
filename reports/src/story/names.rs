//! Whose is an address, whose is a leg: what ties the accounts of the witnesses together.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use wire::event::{Event, Timed};
use wire::id::{ClientId, LegId, ProxyId, SessionId, SourceId};

use super::words::{Party, client_of};
use crate::tiers::Tiers;

/// What is known of addresses, legs and sessions from the whole record. Where an address was used twice, its last user counts.
#[derive(Clone, Debug, Default)]
pub struct Names {
    tiers: Tiers,
    clients: BTreeMap<SocketAddr, (ClientId, SessionId)>,
    /// Whose leg has this address.
    proxies: BTreeMap<SocketAddr, ProxyId>,
    /// The other end of a connection that a source accepted.
    peers: BTreeMap<(SourceId, LegId), SocketAddr>,
    /// The place in its list of targets that a session goes to.
    targets: BTreeMap<(ClientId, SessionId), u16>,
    /// Faults by their numbers: kind and target.
    faults: BTreeMap<u16, String>,
}

impl Names {
    /// Reads them from all events.
    #[must_use]
    pub fn new(tiers: Tiers, events: &[Timed]) -> Self {
        let mut names = Self { tiers, ..Self::default() };
        for Timed { event, .. } in events {
            match event {
                Event::ClientOpen { client, session, local, .. } => {
                    names.clients.insert(*local, (*client, *session));
                }
                Event::ClientDial { client, session, target } => {
                    names.targets.insert((*client, *session), *target);
                }
                Event::ProxyLegUp { proxy, local, .. } => {
                    names.proxies.insert(*local, *proxy);
                }
                Event::SourceOpen { source, leg, peer } => {
                    names.peers.insert((*source, *leg), *peer);
                }
                Event::FaultStart { fault, kind, target } => {
                    names.faults.insert(*fault, format!("{kind} {target}"));
                }
                _ => {}
            }
        }
        names
    }

    /// The same of another run of the same hosts.
    #[must_use]
    pub fn again(&self, events: &[Timed]) -> Self {
        Self::new(self.tiers, events)
    }

    /// What a party is called.
    #[must_use]
    pub fn host(&self, party: &Party) -> String {
        match party {
            Party::Source(source) => self.tiers.source(*source),
            Party::Proxy(proxy) => self.tiers.proxy(*proxy),
            Party::Client(client) => client.to_string(),
            Party::Driver => "driver".to_owned(),
        }
    }

    /// Who is called so.
    #[must_use]
    pub(super) fn party(&self, host: &str) -> Option<Party> {
        let number = |prefix: &str| host.strip_prefix(prefix)?.parse::<u32>().ok();
        let short = |number: u32| u16::try_from(number).ok();
        if let Some(source) = number("source-").and_then(short) {
            return Some(Party::Source(SourceId(source)));
        }
        if let Some(edge) = number("edge-").and_then(short) {
            return Some(Party::Proxy(ProxyId(edge + self.tiers.proxies.saturating_sub(self.tiers.edges))));
        }
        number("proxy-").and_then(short).map(|proxy| Party::Proxy(ProxyId(proxy)))
    }

    /// A source as a party; what edges have for a source is a proxy.
    pub(super) fn source(&self, source: SourceId) -> Party {
        match source.0.checked_sub(self.tiers.sources) {
            Some(proxy) if self.tiers.is_proxy(source) => Party::Proxy(ProxyId(proxy)),
            _ => Party::Source(source),
        }
    }

    /// A fault in words: `kill source-0`; where its beginning is not known, its number.
    pub(super) fn fault(&self, fault: u16) -> String {
        self.faults.get(&fault).cloned().unwrap_or_else(|| fault.to_string())
    }

    /// The proxy that a client's session goes to.
    pub(super) fn target(&self, client: ClientId, session: SessionId) -> Party {
        let place = self.targets.get(&(client, session)).copied().unwrap_or(0);
        Party::Proxy(self.tiers.target_id(place))
    }

    /// The other end of a source's connection, if the record knows it.
    pub(super) fn peer(&self, source: SourceId, leg: LegId) -> Option<Party> {
        self.peers.get(&(source, leg)).and_then(|peer| self.at(*peer))
    }

    /// Who has this address.
    pub(super) fn at(&self, address: SocketAddr) -> Option<Party> {
        let proxy = self.proxies.get(&address).map(|proxy| Party::Proxy(*proxy));
        proxy.or_else(|| self.clients.get(&address).map(|(client, _)| Party::Client(*client)))
    }

    /// An address in words: the client's session behind it, or itself.
    pub(super) fn client_at(&self, address: SocketAddr) -> String {
        match self.clients.get(&address) {
            Some((client, SessionId(0))) => client.to_string(),
            Some((client, session)) => format!("{client} {session}"),
            None => address.to_string(),
        }
    }

    /// Whose account an event is.
    pub(super) fn teller(&self, event: &Event) -> Party {
        if let Some((client, _)) = client_of(event) {
            return Party::Client(client);
        }
        match event {
            Event::SourceOpen { source, .. }
            | Event::SourceSubscribe { source, .. }
            | Event::SourceDeny { source, .. }
            | Event::SourceUnsubscribe { source, .. }
            | Event::SourceSend { source, .. }
            | Event::SourceClose { source, .. }
            | Event::SourceRefuse { source, .. } => self.source(*source),
            Event::ProxyAdmit { proxy, .. }
            | Event::ProxyShed { proxy, .. }
            | Event::ProxyClientClose { proxy, .. }
            | Event::ProxyDrop { proxy, .. }
            | Event::ProxyDial { proxy, .. }
            | Event::ProxyLegUp { proxy, .. }
            | Event::ProxyLegDown { proxy, .. }
            | Event::ProxyHealth { proxy, .. }
            | Event::ProxyDrainStart { proxy }
            | Event::ProxyDrainStop { proxy, .. }
            | Event::ProxyReload { proxy, .. }
            | Event::ProxyGauge { proxy, .. }
            | Event::ProxyTick { proxy, .. } => Party::Proxy(*proxy),
            _ => Party::Driver,
        }
    }
}
