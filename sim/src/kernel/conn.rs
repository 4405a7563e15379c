//! A connection: two ends, two flows, and how it opens, closes and breaks.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::task::{Context, Waker};

use wire::draw::Draws;
use wire::net::SocketOptions;

use super::flow::{Fin, Flow, SegmentKind};
use super::{Happening, ListenId, NEVER, PORT_FIRST, PORT_LAST, World};
use crate::ready::{self, TaskKey};
use crate::trace::{Route, TraceKind};

/// A connection's place, and which of the place's tenants is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnId {
    pub(crate) index: u32,
    pub(crate) serial: u32,
}

/// A task that waits for a socket.
pub(crate) struct Waiter {
    pub(crate) waker: Waker,
    pub(crate) task: TaskKey,
}

impl Waiter {
    /// Puts the running task into `place`.
    pub(crate) fn park(place: &mut Option<Self>, cx: &Context<'_>) {
        let task = ready::current();
        match place {
            Some(waiter) if waiter.waker.will_wake(cx.waker()) => waiter.task = task,
            _ => *place = Some(Self { waker: cx.waker().clone(), task }),
        }
    }
}

/// What the kernel at one end knows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndState {
    /// The handshake is under way.
    Opening,
    /// Established, and the program holds it (or it waits to be accepted).
    Open,
    /// The program has closed it; the kernel still sends what was written, and the end.
    Orphan,
    /// Unknown: whatever arrives is answered with a reset.
    Dead,
}

/// One end of a connection. Its flow out has its own number, its flow in the other one.
pub(crate) struct End {
    pub(crate) host: u32,
    pub(crate) addr: SocketAddrV4,
    pub(crate) state: EndState,
    /// The program has a handle of it, or will get one from accept.
    pub(crate) held: bool,
    /// To be reported once.
    pub(crate) error: Option<io::ErrorKind>,
    /// A reset has arrived: reads end, writes break.
    pub(crate) broken: bool,
    pub(crate) reader: Option<Waiter>,
    pub(crate) writer: Option<Waiter>,
}

/// A connection. End 0 opened it.
pub(crate) struct Conn {
    pub(crate) serial: u32,
    /// The opener's host number in the high half, its count of connections in the low half.
    pub(crate) number: u64,
    pub(crate) ends: [End; 2],
    pub(crate) flows: [Flow; 2],
    pub(crate) established: bool,
    /// The listener that holds a place for it.
    pub(super) reserved: Option<ListenId>,
    pub(super) asks: Draws,
}

impl Conn {
    pub(crate) fn id(&self, index: usize) -> ConnId {
        ConnId { index: u32::try_from(index).unwrap_or(u32::MAX), serial: self.serial }
    }

    /// The way of a direction, for the trace.
    pub(super) fn route(&self, dir: u8) -> Route {
        let [from, to] = [dir, 1 - dir].map(|end| self.ends[end as usize].host);
        Route { from, to, conn: self.number, outward: dir == 0 }
    }

    /// The client is done with it, the server waits for the third step of the handshake, and none will come.
    pub(super) fn has_forgotten_handshake(&self) -> bool {
        let [client, server] = &self.ends;
        self.established
            && server.state == EndState::Opening
            && (client.state == EndState::Dead || client.broken)
            && self.flows[0].segments.is_empty()
    }
}

impl World {
    pub(crate) fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.index as usize).filter(|conn| conn.serial == id.serial)
    }

    /// Begins to open a connection.
    pub(crate) fn open(&mut self, host: u32, remote: SocketAddrV4, options: SocketOptions) -> io::Result<ConnId> {
        let server = self.host_at(*remote.ip(), host);
        let local_ip = if remote.ip().is_loopback() { *remote.ip() } else { self.hosts[host as usize].ip };
        let remote = if remote.ip().is_unspecified() { SocketAddrV4::new(local_ip, remote.port()) } else { remote };
        if options.local.is_some_and(|local| local != IpAddr::V4(local_ip)) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        self.may_open_socket(host)?;
        let port = self.take_port(host, remote)?;
        let machine = &mut self.hosts[host as usize];
        machine.opened += 1;
        let number = (u64::from(host) << 32) | u64::from(machine.opened);
        let to = server.unwrap_or(host);
        let (out, back) = (self.link(host, to), self.link(to, host));
        self.serial = self.serial.wrapping_add(1);
        let tcp = self.config.tcp;
        let cap = |asked: Option<usize>, default: usize| asked.unwrap_or(default).max(1) as u64;
        let end = |host, addr| End {
            host,
            addr,
            state: EndState::Opening,
            held: false,
            error: None,
            broken: false,
            reader: None,
            writer: None,
        };
        let mut conn = Conn {
            serial: self.serial,
            number,
            ends: [end(host, SocketAddrV4::new(local_ip, port)), end(to, remote)],
            flows: [
                Flow::new(
                    out,
                    cap(options.send_buffer, tcp.send_buffer),
                    tcp.recv_buffer as u64,
                    self.draws("flow", number * 2),
                ),
                Flow::new(
                    back,
                    tcp.send_buffer as u64,
                    cap(options.recv_buffer, tcp.recv_buffer),
                    self.draws("flow", number * 2 + 1),
                ),
            ],
            established: false,
            reserved: None,
            asks: self.draws("handshake", number),
        };
        conn.flows[0].lowat = options.notsent_lowat.map_or(u64::MAX, |lowat| u64::from(lowat.max(1)));
        conn.ends[0].held = true;
        let index = self.conns.insert(conn);
        let id = self.conns[index].id(index);
        if server.is_none() {
            // Three tries of address resolution, as on a local network.
            self.schedule(self.now_us + 3_000_000, Happening::Unreachable { conn: id });
        } else {
            self.syn_again(id, 0);
        }
        Ok(id)
    }

    /// A free local port towards `remote`: Linux's range, unique for each remote address.
    fn take_port(&mut self, host: u32, remote: SocketAddrV4) -> io::Result<u16> {
        for _ in PORT_FIRST..=PORT_LAST {
            let next = &mut self.hosts[host as usize].port_next;
            let port = *next;
            *next = if port >= PORT_LAST { PORT_FIRST } else { port + 1 };
            if self.ports_used.insert((host, port, remote)) {
                return Ok(port);
            }
        }
        Err(io::ErrorKind::AddrNotAvailable.into())
    }

    /// The client's attempt ends with an error.
    pub(super) fn connect_fails(&mut self, id: ConnId, kind: io::ErrorKind) {
        self.moved_us = self.now_us;
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        if conn.ends[0].state != EndState::Opening {
            return;
        }
        conn.ends[0].state = EndState::Dead;
        conn.ends[0].error = Some(kind);
        let (route, waiter) = (conn.route(1), conn.ends[0].reader.take());
        self.trace.add(now, route, TraceKind::Refused, &[]);
        self.wake(waiter);
        self.free_if_over(id);
    }

    /// The program closes its end, as the end of a process does.
    pub(crate) fn close(&mut self, id: ConnId, end: u8) {
        let Some(conn) = self.conn(id) else { return };
        let this = &mut conn.ends[end as usize];
        this.held = false;
        this.reader = None;
        this.writer = None;
        match this.state {
            EndState::Dead | EndState::Orphan => {}
            EndState::Opening => this.state = EndState::Dead,
            EndState::Open if this.broken => this.state = EndState::Dead,
            EndState::Open if conn.flows[1 - end as usize].readable() > 0 => {
                self.reset(id, end);
                return;
            }
            EndState::Open => {
                this.state = EndState::Orphan;
                self.end_flow(id, end);
            }
        }
        self.free_if_over(id);
    }

    /// The end of a direction: FIN after what was written.
    pub(crate) fn end_flow(&mut self, id: ConnId, dir: u8) {
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[dir as usize];
        if flow.fin == Fin::None {
            flow.fin = Fin::Wanted;
            self.pump(id, dir);
        }
    }

    /// This end forgets the connection and says so: RST. Bytes not yet sent are lost.
    pub(crate) fn reset(&mut self, id: ConnId, end: u8) {
        let Some(conn) = self.conn(id) else { return };
        let this = &mut conn.ends[end as usize];
        this.held = false;
        this.state = EndState::Dead;
        let (reader, writer) = (this.reader.take(), this.writer.take());
        let flow = &mut conn.flows[end as usize];
        if flow.stall.is_some() {
            // What was lost on the way stays lost. What only was not answered still arrives.
            let mut segments = std::mem::take(&mut flow.segments);
            segments.retain(|segment| segment.arrives != NEVER && segment.lost == 0);
            flow.silence();
            flow.segments = segments;
            self.expect(id, end);
        } else {
            flow.sent = flow.written;
        }
        self.wake(reader);
        self.wake(writer);
        self.send_reset(id, end);
        self.forget_handshake(id);
        self.probe(id, 1 - end);
        self.free_if_over(id);
    }

    /// Sends a reset from this end. The end itself is left as it is.
    pub(super) fn send_reset(&mut self, id: ConnId, end: u8) {
        let Some(conn) = self.conn(id) else { return };
        let (host, link) = (conn.ends[end as usize].host, conn.flows[end as usize].link);
        if self.hosts[host as usize].powered && !self.is_blocked(link) {
            if let Some(conn) = self.conn(id)
                && conn.flows[end as usize].segments.back().is_some_and(|last| last.kind == SegmentKind::Reset)
            {
                return;
            }
            self.transmit(id, end, SegmentKind::Reset, 0);
        }
    }

    /// A reset has reached this end.
    pub(super) fn reset_arrives(&mut self, id: ConnId, end: u8) {
        let Some(conn) = self.conn(id) else { return };
        if conn.ends[end as usize].state == EndState::Opening && end == 1 {
            self.release(id);
            let Some(conn) = self.conn(id) else { return };
            conn.ends[1].state = EndState::Dead;
            conn.flows[1].silence();
            return;
        }
        // Once the peer's FIN was seen, Linux calls a reset a broken pipe (tcp_reset in CLOSE_WAIT).
        let flow = &conn.flows[1 - end as usize];
        let ended = flow.fin == Fin::Arrived || flow.severed;
        self.breaks(id, end, if ended { io::ErrorKind::BrokenPipe } else { io::ErrorKind::ConnectionReset });
    }

    /// The connection is gone for this end: readable bytes first, then `kind` once, then the end.
    pub(super) fn breaks(&mut self, id: ConnId, end: u8, kind: io::ErrorKind) {
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[end as usize];
        let mut segments = std::mem::take(&mut flow.segments);
        flow.silence();
        if flow.severed {
            // Resets come from where the connection was closed, not from this end.
            segments.retain(|segment| segment.kind == SegmentKind::Reset);
            flow.segments = segments;
        }
        let this = &mut conn.ends[end as usize];
        match this.state {
            EndState::Orphan | EndState::Opening => this.state = EndState::Dead,
            EndState::Open => {
                this.error.get_or_insert(kind);
                this.broken = true;
            }
            EndState::Dead => {}
        }
        let (reader, writer) = (this.reader.take(), this.writer.take());
        self.wake(reader);
        self.wake(writer);
        self.expect(id, end);
        self.forget_handshake(id);
    }

    /// The sender of a flow has tried often enough.
    pub(super) fn time_out(&mut self, id: ConnId, dir: u8) {
        self.breaks(id, dir, io::ErrorKind::TimedOut);
        self.free_if_over(id);
    }

    /// Frees a connection that nobody holds and nothing is under way of.
    pub(crate) fn free_if_over(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        let over = |end: usize| {
            let this = &conn.ends[end];
            !this.held
                && match this.state {
                    // An end that still waits for the other's consent or request is freed by the handshake.
                    EndState::Opening => conn.reserved.is_none(),
                    EndState::Open => false,
                    EndState::Orphan | EndState::Dead => true,
                }
                && (conn.flows[end].is_quiet() || this.state == EndState::Dead && conn.flows[end].segments.is_empty())
        };
        if over(0) && over(1) {
            let key = (conn.ends[0].host, conn.ends[0].addr.port(), conn.ends[1].addr);
            let number = conn.number;
            self.conns.remove(id.index as usize);
            self.ports_used.remove(&key);
            self.tap_over(number);
        }
    }

    /// A machine loses its power: what it was sending is gone, and it forgets all.
    pub(crate) fn power_off(&mut self, host: u32) {
        self.tap_lost(|world, link| world.links[link as usize].to == host);
        self.hosts[host as usize].powered = false;
        self.hosts[host as usize].cpu.stop();
        let ids: Vec<ConnId> = self.conns.iter().map(|(index, conn)| conn.id(index)).collect();
        for id in ids {
            for end in 0..2_u8 {
                let Some(conn) = self.conn(id) else { continue };
                if conn.ends[end as usize].host != host {
                    continue;
                }
                if end == 1 {
                    self.release(id);
                }
                let Some(conn) = self.conn(id) else { continue };
                let opening = !conn.established && end == 1;
                let this = &mut conn.ends[end as usize];
                this.held = false;
                this.reader = None;
                this.writer = None;
                if !opening {
                    this.state = EndState::Dead;
                    this.broken = true;
                    conn.flows[end as usize].silence();
                    conn.flows[end as usize].fin = Fin::None;
                }
                self.forget_handshake(id);
                self.probe(id, 1 - end);
                self.free_if_over(id);
            }
        }
        self.forget_listeners(host);
    }

    /// Whether this end is closed as TCP sees it: reset, or both directions have ended and it knows that.
    pub(crate) fn is_over(&mut self, id: ConnId, end: u8) -> bool {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return true };
        let ended = conn.flows[1 - end as usize].fin == Fin::Arrived;
        let out = &mut conn.flows[end as usize];
        out.settle(now);
        conn.ends[end as usize].broken || ended && out.fin == Fin::Arrived && out.notices.is_empty()
    }

    /// Options of a live connection. Buffers never shrink below what they hold.
    pub(crate) fn set_options(&mut self, id: ConnId, end: u8, options: SocketOptions) {
        let Some(conn) = self.conn(id) else { return };
        if let Some(bytes) = options.send_buffer {
            conn.flows[end as usize].send_cap = bytes.max(1) as u64;
        }
        if let Some(bytes) = options.recv_buffer {
            conn.flows[1 - end as usize].recv_cap = bytes.max(1) as u64;
        }
        if let Some(lowat) = options.notsent_lowat {
            conn.flows[end as usize].lowat = u64::from(lowat.max(1));
        }
        self.wake_writer(id, end);
        self.after_read(id, 1 - end);
    }

    /// Whether `addr` is an IPv4 address; the simulated network has no other.
    pub(crate) fn v4(addr: SocketAddr) -> io::Result<SocketAddrV4> {
        match addr {
            SocketAddr::V4(addr) => Ok(addr),
            SocketAddr::V6(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "the simulated network is IPv4 only")),
        }
    }

    /// What an established connection needs at its start.
    pub(super) fn establish(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id) {
            conn.established = true;
            conn.ends[0].state = EndState::Open;
            debug_assert_eq!(conn.flows[0].arrive_at, NEVER, "nothing is sent before the handshake");
        }
        self.close_later(id);
    }
}
