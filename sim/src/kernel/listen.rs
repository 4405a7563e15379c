//! Listeners, the handshake at both sides, and accept queues.
//!
//! ```text
//!   client   SYN ------->  place reserved in the backlog, or dropped (client asks again after 1, 3, 7, 15, 31, 63 s), or refused
//!            <------- SYN-ACK          connect() returns: one round trip
//!            ACK ------->  accept() returns: one and a half
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddrV4;

use wire::net::ListenOptions;

use super::cpu::Work;
use super::flow::SegmentKind;
use super::tap::{Seen, Shake};
use super::{ConnId, EndState, Happening, Waiter, World};
use crate::fault::FaultKind;
use crate::trace::TraceKind;

/// A listener's place and serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenId {
    pub(crate) index: u32,
    pub(crate) serial: u32,
}

/// A listening socket.
pub(crate) struct Listening {
    pub(crate) host: u32,
    pub(crate) addr: SocketAddrV4,
    pub(crate) options: ListenOptions,
    serial: u32,
    /// Places held by handshakes under way.
    reserved: usize,
    pub(crate) queue: VecDeque<ConnId>,
    pub(crate) waiters: Vec<Waiter>,
}

impl Listening {
    pub(super) fn id(&self, index: usize) -> ListenId {
        ListenId { index: u32::try_from(index).unwrap_or(u32::MAX), serial: self.serial }
    }
}

/// A request is given up after this many.
const SYN_TRIES: u8 = 7;
/// Stands for the end of the server's own patience in [`Happening::SynRetry`].
const CONSENT_ENDS: u8 = SYN_TRIES + 1;
/// How long a server waits for the third step of the handshake: five repetitions of its consent (tcp_synack_retries).
const CONSENT_US: u64 = 63_000_000;

impl World {
    pub(crate) fn listener(&mut self, id: ListenId) -> Option<&mut Listening> {
        self.listeners.get_mut(id.index as usize).filter(|listener| listener.serial == id.serial)
    }

    /// Binds and listens.
    pub(crate) fn bind(&mut self, host: u32, addr: SocketAddrV4, options: ListenOptions) -> io::Result<ListenId> {
        let ip = *addr.ip();
        self.may_open_socket(host)?;
        let machine = &self.hosts[host as usize];
        if !ip.is_unspecified() && !ip.is_loopback() && ip != machine.ip {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let port = match addr.port() {
            0 => (super::PORT_FIRST..=super::PORT_LAST)
                .rev()
                .find(|port| !self.listeners_by_port.contains_key(&(host, *port)))
                .ok_or(io::ErrorKind::AddrInUse)?,
            port => port,
        };
        if let Some(others) = self.listeners_by_port.get(&(host, port)) {
            for other in others {
                let other = &self.listeners[other.index as usize];
                let overlap = ip.is_unspecified() || other.addr.ip().is_unspecified() || *other.addr.ip() == ip;
                if overlap && !(options.reuse_port && other.options.reuse_port) {
                    return Err(io::ErrorKind::AddrInUse.into());
                }
            }
        }
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let addr = SocketAddrV4::new(ip, port);
        let index = self.listeners.insert(Listening {
            host,
            addr,
            options,
            serial,
            reserved: 0,
            queue: VecDeque::new(),
            waiters: Vec::new(),
        });
        let id = ListenId { index: u32::try_from(index).unwrap_or(u32::MAX), serial };
        self.listeners_by_port.entry((host, port)).or_default().push(id);
        Ok(id)
    }

    /// Stops listening: connections that nobody accepted are reset.
    pub(crate) fn unbind(&mut self, id: ListenId) {
        if self.listener(id).is_none() {
            return;
        }
        let listener = self.listeners.remove(id.index as usize);
        let key = (listener.host, listener.addr.port());
        if let Some(ids) = self.listeners_by_port.get_mut(&key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.listeners_by_port.remove(&key);
            }
        }
        for conn in listener.queue {
            self.reset(conn, 1);
        }
    }

    pub(super) fn forget_listeners(&mut self, host: u32) {
        self.listeners.retain(|_, listener| listener.host != host);
        self.listeners_by_port.retain(|(owner, _), _| *owner != host);
    }

    /// The next connection of the accept queue. Without a free descriptor it stays there.
    pub(crate) fn accept(&mut self, id: ListenId) -> io::Result<Option<ConnId>> {
        let Some(listener) = self.listener(id).filter(|listener| !listener.queue.is_empty()) else { return Ok(None) };
        let host = listener.host;
        self.may_open_socket(host)?;
        Ok(self.listener(id).and_then(|listener| listener.queue.pop_front()))
    }

    /// Whether the host's process may have one more socket.
    pub(super) fn may_open_socket(&self, host: u32) -> io::Result<()> {
        let most = self.hosts[host as usize].descriptors_max;
        if most == usize::MAX {
            return Ok(());
        }
        let found = self.sockets(host);
        // What waits to be accepted has no descriptor yet.
        let open = found.connections.saturating_sub(found.backlog) + found.opening + found.listeners;
        if open < most { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EMFILE)) }
    }

    /// The listener for a request: of several, the one that the connection's number picks.
    fn listener_for(&self, host: u32, addr: SocketAddrV4, number: u64) -> Option<ListenId> {
        let ids = self.listeners_by_port.get(&(host, addr.port()))?;
        let fits = |id: &&ListenId| {
            let ip = *self.listeners[id.index as usize].addr.ip();
            ip.is_unspecified() || ip == *addr.ip()
        };
        let count = ids.iter().filter(fits).count() as u64;
        let pick = if count > 1 { self.lane(number) % count } else { 0 };
        ids.iter().filter(fits).nth(pick as usize).copied()
    }

    /// Sends a request, the first time (`tries` 0) or again.
    pub(super) fn syn_again(&mut self, id: ConnId, tries: u8) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        if conn.established {
            if tries == CONSENT_ENDS && conn.has_forgotten_handshake() {
                conn.ends[1].state = EndState::Dead;
                self.release(id);
                self.free_if_over(id);
            }
            return;
        }
        if conn.ends[0].state != EndState::Opening {
            // The client has lost interest, and the answer got lost: the server's half of it ends here.
            self.release(id);
            self.free_if_over(id);
            return;
        }
        if tries >= SYN_TRIES {
            self.release(id);
            self.connect_fails(id, io::ErrorKind::TimedOut);
            return;
        }
        let link = conn.flows[0].link;
        self.tap_shake(id, Shake::Syn, Seen::Leaving);
        if let Some(at) = self.packet(id, link, now) {
            self.schedule(at, Happening::Syn { conn: id });
        }
        self.schedule(now + (1_000_000 << tries), Happening::SynRetry { conn: id, tries: tries + 1 });
    }

    /// When a handshake packet arrives, if it does. It leaves at `after_us` at the earliest.
    fn packet(&mut self, id: ConnId, link: u32, after_us: u64) -> Option<u64> {
        let conn = self.conn(id)?;
        let (number, mut draws) = (conn.number, conn.asks.clone());
        let at = self.carry_packet(link, number, after_us, &mut draws);
        self.conn(id)?.asks = draws;
        at
    }

    pub(super) fn syn_arrives(&mut self, id: ConnId) {
        let now = self.now_us;
        self.moved_us = now;
        let Some(conn) = self.conn(id) else { return };
        if conn.established {
            return;
        }
        if conn.ends[0].state != EndState::Opening {
            self.free_if_over(id);
            return;
        }
        let (host, addr, number, route) = (conn.ends[1].host, conn.ends[1].addr, conn.number, conn.route(0));
        let (out, back) = (conn.flows[0].link, conn.flows[1].link);
        let reserved = conn.reserved;
        let (powered, backlog_max) = (self.hosts[host as usize].powered, self.hosts[host as usize].backlog_max);
        if self.parks(out, Happening::Syn { conn: id }) {
            return;
        }
        let vanishes = self.has_toxic(out, |kind| *kind == FaultKind::BlackHole);
        let refuse = self.has_toxic(out, |kind| *kind == FaultKind::Refuse);
        if !powered || vanishes || self.links[out as usize].cut {
            return;
        }
        self.trace.add(now, route, TraceKind::Syn, &[]);
        self.tap_shake(id, Shake::Syn, Seen::Arriving);
        let done = self.serve(host, number, Work { segments: 1, bytes: 0, connections: 1 });
        // A place at a listener that is gone is no place.
        if reserved.is_none_or(|listen| self.listener(listen).is_none()) {
            let listener = if refuse { None } else { self.listener_for(host, addr, number) };
            let Some(listen) = listener else {
                self.tap_shake(id, Shake::Refusal, Seen::Leaving);
                if let Some(at) = self.packet(id, back, done) {
                    self.schedule(at, Happening::Refused { conn: id });
                }
                return;
            };
            let listener = &mut self.listeners[listen.index as usize];
            // Linux lets one more in than the backlog says (sk_acceptq_is_full).
            if listener.queue.len() + listener.reserved > backlog_max.min(listener.options.backlog as usize) {
                return;
            }
            listener.reserved += 1;
            let accepted = listener.options.accepted;
            let Some(conn) = self.conn(id) else { return };
            conn.reserved = Some(listen);
            conn.flows[1].lowat = accepted.notsent_lowat.map_or(u64::MAX, |lowat| u64::from(lowat.max(1)));
            if let Some(bytes) = accepted.send_buffer {
                conn.flows[1].send_cap = bytes.max(1) as u64;
            }
            if let Some(bytes) = accepted.recv_buffer {
                conn.flows[0].agree_window(bytes.max(1) as u64);
            }
        }
        self.tap_shake(id, Shake::SynAck, Seen::Leaving);
        if let Some(at) = self.packet(id, back, done) {
            self.schedule(at, Happening::SynAck { conn: id });
        }
    }

    pub(super) fn refused_arrives(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        let back = conn.flows[1].link;
        if !self.parks(back, Happening::Refused { conn: id }) && !self.links[back as usize].cut {
            self.tap_shake(id, Shake::Refusal, Seen::Arriving);
            self.connect_fails(id, io::ErrorKind::ConnectionRefused);
        }
    }

    pub(super) fn syn_ack_arrives(&mut self, id: ConnId) {
        let now = self.now_us;
        self.moved_us = now;
        let Some(conn) = self.conn(id) else { return };
        if conn.established {
            return;
        }
        let (host, route, link) = (conn.ends[0].host, conn.route(1), conn.flows[0].link);
        let back = conn.flows[1].link;
        if self.parks(back, Happening::SynAck { conn: id }) {
            return;
        }
        if self.links[back as usize].cut || !self.hosts[host as usize].powered {
            return;
        }
        self.trace.add(now, route, TraceKind::SynAck, &[]);
        self.tap_shake(id, Shake::SynAck, Seen::Arriving);
        let Some(conn) = self.conn(id) else { return };
        if conn.ends[0].state != EndState::Opening {
            // Cancelled meanwhile: the kernel refuses what nobody asked for any more. If this is lost, the server's half ends with the retries.
            if !self.is_blocked(link) {
                self.transmit(id, 0, SegmentKind::Reset, 0);
            }
            return;
        }
        let waiter = conn.ends[0].reader.take();
        self.establish(id);
        self.transmit(id, 0, SegmentKind::Ack, 0);
        self.wake(waiter);
    }

    /// The handshake is complete at the server: the connection waits to be accepted.
    pub(super) fn ack_arrives(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        let listen = conn.reserved.take();
        let Some(listener) = listen.and_then(|listen| self.listener(listen)) else {
            self.reset(id, 1);
            return;
        };
        listener.reserved -= 1;
        if self.closes_at_once(id) {
            return;
        }
        let Some(listener) = listen.and_then(|listen| self.listener(listen)) else { return };
        listener.queue.push_back(id);
        // All of them: one that has given up meanwhile must not swallow the news.
        let waiters = std::mem::take(&mut listener.waiters);
        if let Some(conn) = self.conn(id) {
            conn.ends[1].state = EndState::Open;
            conn.ends[1].held = true;
        }
        for waiter in waiters {
            self.wake(Some(waiter));
        }
    }

    /// Whether something before the listener takes the connection and closes it.
    fn closes_at_once(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.conn(id) else { return false };
        let link = conn.flows[0].link;
        let closes = self.has_toxic(link, |kind| *kind == FaultKind::AcceptClose);
        if closes && let Some(conn) = self.conn(id) {
            conn.ends[1].state = EndState::Orphan;
            self.end_flow(id, 1);
        }
        closes
    }

    /// Lets the server's half of a handshake end, if the client's has gone without a word.
    pub(super) fn forget_handshake(&mut self, id: ConnId) {
        if self.conn(id).is_some_and(|conn| conn.has_forgotten_handshake()) {
            self.schedule(self.now_us + CONSENT_US, Happening::SynRetry { conn: id, tries: CONSENT_ENDS });
        }
    }

    /// Gives back the place that a handshake holds.
    pub(super) fn release(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        if let Some(listen) = conn.reserved.take()
            && let Some(listener) = self.listener(listen)
        {
            listener.reserved -= 1;
        }
    }
}
