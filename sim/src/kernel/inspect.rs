//! Looking at the world without touching it: who waits for what, what a host holds. And closing what a dead program left open.

use super::{ConnId, EndState, ListenId, World};
use crate::ready::TaskKey;

/// What the sockets of a host hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sockets {
    /// Connections that the program holds, or that wait to be accepted.
    pub connections: usize,
    /// Connections of which the program has a handle, or will get one from accept, alive or not: those being opened and those that broke are among them.
    pub held: usize,
    /// Connections that the program has closed and the kernel still works on.
    pub closing: usize,
    /// Connections being opened.
    pub opening: usize,
    /// Listening sockets.
    pub listeners: usize,
    /// Connections that wait to be accepted.
    pub backlog: usize,
    /// Bytes that arrived and were not read.
    pub unread: u64,
    /// Bytes written that the peer has not taken in: waiting or on the way.
    pub unsent: u64,
}

impl World {
    /// What a host's sockets hold.
    pub(crate) fn sockets(&self, host: u32) -> Sockets {
        let mut found = Sockets::default();
        for (_, conn) in &self.conns {
            for end in 0..2 {
                let this = &conn.ends[end];
                if this.host != host {
                    continue;
                }
                found.held += usize::from(this.held);
                match this.state {
                    EndState::Open if this.held => found.connections += 1,
                    EndState::Opening if end == 0 => found.opening += 1,
                    EndState::Orphan => found.closing += 1,
                    _ => {}
                }
                if this.state == EndState::Open {
                    found.unread += conn.flows[1 - end].readable();
                }
                if this.state == EndState::Open || this.state == EndState::Orphan {
                    found.unsent += conn.flows[end].written - conn.flows[end].arrived;
                }
            }
        }
        for (_, listener) in &self.listeners {
            if listener.host == host {
                found.listeners += 1;
                found.backlog += listener.queue.len();
            }
        }
        found
    }

    /// What a task waits for, in words.
    pub(crate) fn waits_for(&self, task: TaskKey) -> Option<String> {
        for (_, listener) in &self.listeners {
            if listener.waiters.iter().any(|waiter| waiter.task == task) {
                return Some(format!("accept on {}", listener.addr));
            }
        }
        for (_, conn) in &self.conns {
            for end in 0..2 {
                let (this, peer) = (&conn.ends[end], &conn.ends[1 - end]);
                let who = || {
                    let name = self.hosts.get(peer.host as usize).map_or("nobody", |host| host.name.as_str());
                    format!("{} ({name})", peer.addr)
                };
                if this.reader.as_ref().is_some_and(|waiter| waiter.task == task) {
                    return Some(if this.state == EndState::Opening {
                        format!("connect to {}", who())
                    } else {
                        format!("read on {} from {}", this.addr, who())
                    });
                }
                if this.writer.as_ref().is_some_and(|waiter| waiter.task == task) {
                    let waiting = conn.flows[end].written - conn.flows[end].acked;
                    return Some(format!("write on {} to {}, which has not taken {waiting} bytes", this.addr, who()));
                }
            }
        }
        None
    }

    /// Closes all that a host's program held: the kernel outlives it.
    pub(crate) fn close_all(&mut self, host: u32) {
        let listeners: Vec<ListenId> = self
            .listeners
            .iter()
            .filter(|(_, listener)| listener.host == host)
            .map(|(index, listener)| listener.id(index))
            .collect();
        for id in listeners {
            self.unbind(id);
        }
        let held: Vec<(ConnId, u8)> = self
            .conns
            .iter()
            .flat_map(|(index, conn)| (0..2_u8).map(move |end| (conn, conn.id(index), end)))
            .filter(|(conn, _, end)| conn.ends[*end as usize].host == host && conn.ends[*end as usize].held)
            .map(|(_, id, end)| (id, end))
            .collect();
        for (id, end) in held {
            self.close(id, end);
        }
    }
}
