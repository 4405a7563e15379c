//! At which proxy a client's session is.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::event::Event;

use super::{At, Facts};

/// Sessions of all clients. Memory: a few words for each client.
#[derive(Default)]
pub(super) struct Homes {
    proxies: usize,
    // Maps are never walked.
    admitted: FxHashMap<SocketAddr, usize>,
    /// By dense number of the client.
    homes: Vec<Option<Home>>,
}

/// One client's newest session.
#[derive(Clone, Copy)]
pub(super) struct Home {
    /// The client's own address.
    pub(super) local: SocketAddr,
    /// The proxy that admitted it, by its own account.
    pub(super) admitted_by: Option<usize>,
    /// The event in which it opened.
    pub(super) event: u64,
}

impl Homes {
    pub(super) fn new(facts: &Facts) -> Self {
        Self { proxies: usize::from(facts.proxies), ..Self::default() }
    }

    /// Takes what proxies and clients say of sessions.
    pub(super) fn observe(&mut self, at: At, event: &Event) {
        match event {
            Event::ProxyAdmit { proxy, peer } => {
                self.admitted.insert(*peer, proxy.index());
            }
            Event::ClientOpen { local, .. } => {
                let client = at.client as usize;
                if self.homes.len() <= client {
                    self.homes.resize(client + 1, None);
                }
                self.homes[client] =
                    Some(Home { local: *local, admitted_by: self.admitted.remove(local), event: at.event });
            }
            _ => {}
        }
    }

    /// Where the client's newest session is, by dense number.
    pub(super) fn of(&self, client: u32) -> Option<Home> {
        self.homes.get(client as usize).copied().flatten()
    }

    /// The proxy behind which the client is: the one that admitted it, or the only one.
    pub(super) fn proxy(&self, client: u32) -> Option<usize> {
        self.of(client)?.admitted_by.or((self.proxies == 1).then_some(0))
    }
}
