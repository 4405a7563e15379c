//! Who is here: every client by its address, for those who ask, and for those who send one away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lock::lock;

/// What a client holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holds {
    /// Symbols that it subscribed to.
    pub(crate) symbols: usize,
    /// Payload bytes that wait for it.
    pub(crate) queue_bytes: usize,
    /// Messages that it was to get and did not.
    pub(crate) dropped: u64,
}

/// What can say how much a client holds.
pub(crate) trait Holder: Send + Sync {
    /// Now.
    fn holds(&self) -> Holds;
}

/// A client, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) since: Instant,
    /// None in relay, where nothing waits here.
    pub(crate) holds: Option<Holds>,
}

/// Every client from its admission to its end. Cloning is cheap; all clones are one roster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster(Arc<Mutex<BTreeMap<SocketAddr, Arc<Entry>>>>);

struct Entry {
    since: Instant,
    holder: OnceLock<Weak<dyn Holder>>,
    dismissed: CancellationToken,
    code: AtomicU16,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry")
    }
}

/// A client's place in the roster; given up when dropped.
pub(crate) struct Listed {
    roster: Roster,
    peer: SocketAddr,
    entry: Arc<Entry>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut entries = lock(&self.roster.0);
        // An address may be used again while its last user is still being taken down.
        if entries.get(&self.peer).is_some_and(|entry| Arc::ptr_eq(entry, &self.entry)) {
            entries.remove(&self.peer);
        }
    }
}

impl Roster {
    /// A client was admitted.
    pub(crate) fn enter(&self, peer: SocketAddr, now: Instant) -> Listed {
        let entry = Arc::new(Entry {
            since: now,
            holder: OnceLock::new(),
            dismissed: CancellationToken::new(),
            code: AtomicU16::new(0),
        });
        lock(&self.0).insert(peer, Arc::clone(&entry));
        Listed { roster: self.clone(), peer, entry }
    }

    fn entry(&self, peer: SocketAddr) -> Option<Arc<Entry>> {
        lock(&self.0).get(&peer).cloned()
    }

    /// Says who knows what a client holds.
    pub(crate) fn held_by(&self, peer: SocketAddr, holder: &Arc<impl Holder + 'static>) {
        if let Some(entry) = self.entry(peer) {
            let holder = Arc::downgrade(holder);
            let _ = entry.holder.set(holder);
        }
    }

    /// Sends a client away with a close code. False if there is none of this address.
    pub(crate) fn dismiss(&self, peer: SocketAddr, code: u16) -> bool {
        let Some(entry) = self.entry(peer) else { return false };
        entry.code.store(code, Relaxed);
        entry.dismissed.cancel();
        true
    }

    /// Waits until a client is sent away: the close code.
    pub(crate) async fn dismissed(&self, peer: SocketAddr) -> u16 {
        let Some(entry) = self.entry(peer) else { return std::future::pending().await };
        entry.dismissed.cancelled().await;
        entry.code.load(Relaxed)
    }

    /// At most `limit` clients in the order of their addresses, from the one after `after` on, and how many there are in all.
    pub(crate) fn page(&self, after: Option<SocketAddr>, limit: usize) -> (Vec<Client>, usize) {
        let entries = lock(&self.0);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page: Vec<_> = entries
            .range((from, Bound::Unbounded))
            .take(limit)
            .map(|(peer, entry)| (*peer, Arc::clone(entry)))
            .collect();
        let count = entries.len();
        // What a client holds is asked without the lock: it takes others.
        drop(entries);
        let client = |(peer, entry): (SocketAddr, Arc<Entry>)| {
            let holder = entry.holder.get().and_then(Weak::upgrade);
            Client { peer, since: entry.since, holds: holder.map(|holder| holder.holds()) }
        };
        (page.into_iter().map(client).collect(), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    #[test]
    fn pages_join_without_a_gap_and_who_left_is_not_on_them() {
        let roster = Roster::default();
        let now = Instant::now();
        let mut listed: Vec<_> = [5, 3, 9, 1, 7].into_iter().map(|port| roster.enter(peer(port), now)).collect();
        drop(listed.remove(2));
        let ports = |after, limit| {
            let (page, count) = roster.page(after, limit);
            assert_eq!(count, 4);
            page.iter().map(|client| client.peer.port()).collect::<Vec<_>>()
        };
        assert_eq!(ports(None, 3), [1, 3, 5]);
        assert_eq!(ports(Some(peer(5)), 3), [7]);
        assert_eq!(ports(Some(peer(4)), 1), [5], "the one asked for need not be there");
        assert_eq!(ports(Some(peer(7)), 3), [0; 0]);
    }

    #[tokio::test]
    async fn who_is_sent_away_hears_of_it_and_nobody_else() {
        let roster = Roster::default();
        let _listed = [1, 2].map(|port| roster.enter(peer(port), Instant::now()));
        assert!(!roster.dismiss(peer(3), 1008));
        assert!(roster.dismiss(peer(2), 4000));
        assert_eq!(roster.dismissed(peer(2)).await, 4000);
        use futures_util::FutureExt as _;
        assert_eq!(roster.dismissed(peer(1)).now_or_never(), None);
    }

    #[test]
    fn an_address_that_is_used_again_stays_listed_when_its_last_user_is_gone() {
        let roster = Roster::default();
        let before = roster.enter(peer(1), Instant::now());
        let after = roster.enter(peer(1), Instant::now());
        drop(before);
        assert_eq!(roster.page(None, 9).1, 1);
        drop(after);
        assert_eq!(roster.page(None, 9).1, 0);
    }
}
