//! How a world stands at an instant: what each host holds and what its tasks wait for. Looks, and touches nothing.

use std::net::SocketAddrV4;

use crate::control::HostState;
use crate::failure::Waiting;
use crate::kernel::{self, Sockets};
use crate::{exec, kernel::World};

/// How one host stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// Its name.
    pub host: String,
    /// Whether its machine and its program are up.
    pub state: HostState,
    /// What its sockets hold, in sum.
    pub sockets: Sockets,
    /// Its connections, in the order of their numbers.
    pub connections: Vec<Connection>,
    /// What each of its tasks waits for, in the order in which they were spawned.
    pub waiting: Vec<Waiting>,
}

/// One connection, as one of its ends sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// The end's own address.
    pub local: SocketAddrV4,
    /// The other's.
    pub remote: SocketAddrV4,
    /// The other's host.
    pub peer: String,
    /// `opening`, `open`, `closing` (the program is done with it, the kernel not yet) or `dead` (broken, and the program still holds it).
    pub state: &'static str,
    /// Bytes that arrived and were not read.
    pub unread: u64,
    /// Bytes written that the peer has not taken in: waiting or on the way.
    pub unsent: u64,
}

/// All hosts, by number.
pub(crate) fn look() -> Vec<Standing> {
    let mut waiting = exec::waiting(usize::MAX);
    let hosts = kernel::with(|world| world.hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>());
    let one = |(index, host): (u32, String)| {
        let (own, others) =
            std::mem::take(&mut waiting).into_iter().partition(|waiting: &Waiting| waiting.host == host);
        waiting = others;
        let (powered, sockets, connections) = kernel::with(|world| {
            let powered = world.hosts[index as usize].powered;
            (powered, world.sockets(index), world.connections(index))
        })
        .unwrap_or_default();
        let (running, frozen, ..) = exec::program_state(index).unwrap_or_default();
        Standing { host, state: HostState::of(powered, running, frozen), sockets, connections, waiting: own }
    };
    (0..).zip(hosts.unwrap_or_default()).map(one).collect()
}

impl World {
    fn connections(&self, host: u32) -> Vec<Connection> {
        use crate::kernel::EndState;
        let mut found = Vec::new();
        for (_, conn) in &self.conns {
            for end in 0..2 {
                let (this, other) = (&conn.ends[end], &conn.ends[1 - end]);
                let state = match this.state {
                    EndState::Opening if end == 0 => "opening",
                    EndState::Open => "open",
                    EndState::Orphan => "closing",
                    EndState::Dead if this.held => "dead",
                    _ => continue,
                };
                if this.host != host {
                    continue;
                }
                let alive = matches!(this.state, EndState::Open | EndState::Orphan);
                let connection = Connection {
                    local: this.addr,
                    remote: other.addr,
                    peer: self.hosts.get(other.host as usize).map(|host| host.name.clone()).unwrap_or_default(),
                    state,
                    unread: if this.state == EndState::Open { conn.flows[1 - end].readable() } else { 0 },
                    unsent: if alive { conn.flows[end].written - conn.flows[end].arrived } else { 0 },
                };
                found.push((conn.number, end, connection));
            }
        }
        found.sort_by_key(|(number, end, _)| (*number, *end));
        found.into_iter().map(|(.., connection)| connection).collect()
    }
}
