//! One direction of a connection: bytes from writer to reader, as an application sees TCP.
//!
//! ```text
//!   read        arrived      sent       written          counters, in bytes since the start
//!    |  readable   |  on the way |  waits    |
//!    +-------------+-------------+-----------+           one buffer holds all of it
//!                        ^ edge: what the sender knows of the window
//! ```
//!
//! Acknowledgements and window updates are not packets: they are notices with the time from which the sender knows them, looked at when the
//! sender wants to know. Only a sender that waits for one costs a happening.

use std::collections::VecDeque;
use std::io::IoSlice;

use wire::draw::Draws;

use super::{ConnId, EndState, Happening, NEVER, World};
use crate::trace::TraceKind;

/// The largest segment: what Linux hands to the network card at once.
const SEGMENT_MAX: u64 = 64 << 10;
/// A window smaller than this is not announced (RFC 9293, silly window avoidance).
const WINDOW_MIN: u64 = 1460;

/// A direction of a connection.
pub(crate) struct Flow {
    bytes: Vec<u8>,
    head: usize,
    pub(crate) written: u64,
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) arrived: u64,
    pub(crate) read: u64,
    /// The end of the window, as the sender knows it.
    edge: u64,
    /// The end of the window, as the receiver last announced it.
    announced: u64,
    pub(crate) send_cap: u64,
    pub(crate) recv_cap: u64,
    /// Not writable while this much waits unsent.
    pub(crate) lowat: u64,
    pub(crate) segments: VecDeque<Segment>,
    pub(super) notices: VecDeque<Notice>,
    pub(crate) fin: Fin,
    pub(crate) arrive_at: u64,
    pub(super) credit_at: u64,
    pub(crate) stall: Option<Stall>,
    pub(crate) draws: Draws,
    pub(crate) link: u32,
}

/// Where the end of a direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fin {
    None,
    Wanted,
    Sent,
    Arrived,
}

/// What is on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(super) arrives: u64,
    pub(super) sent_at: u64,
    pub(super) end: u64,
    pub(crate) kind: SegmentKind,
    pub(super) served: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    Data,
    Fin,
    Reset,
    /// The third step of the handshake.
    Ack,
}

/// What the receiver told the sender, and from when on the sender knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notice {
    known_at: u64,
    acked: u64,
    edge: u64,
}

/// Segments or their acknowledgements were lost: the sender tries again at growing intervals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    pub(super) tries: u32,
    pub(super) next: u64,
}

impl Flow {
    pub(crate) fn new(link: u32, send_cap: u64, recv_cap: u64, draws: Draws) -> Self {
        Self {
            bytes: Vec::new(),
            head: 0,
            written: 0,
            sent: 0,
            acked: 0,
            arrived: 0,
            read: 0,
            edge: recv_cap,
            announced: recv_cap,
            send_cap,
            recv_cap,
            lowat: u64::MAX,
            segments: VecDeque::new(),
            notices: VecDeque::new(),
            fin: Fin::None,
            arrive_at: NEVER,
            credit_at: NEVER,
            stall: None,
            draws,
            link,
        }
    }

    /// Agrees on the window during the handshake, before anything was sent.
    pub(crate) fn agree_window(&mut self, recv_cap: u64) {
        self.recv_cap = recv_cap;
        self.edge = recv_cap;
        self.announced = recv_cap;
    }

    /// Bytes that a reader may take now.
    pub(crate) fn readable(&self) -> u64 {
        self.arrived - self.read
    }

    /// The bytes from `begin` to `end`, counted from the start; none where they are not at hand any more.
    pub(super) fn bytes(&self, begin: u64, end: u64) -> &[u8] {
        let place = |at: u64| usize::try_from(at.checked_sub(self.read)?).ok()?.checked_add(self.head);
        let range = place(begin).zip(place(end));
        range.and_then(|(begin, end)| self.bytes.get(begin..end)).unwrap_or_default()
    }

    /// The window that the receiver announced, as far as it is not used up.
    pub(super) fn window(&self) -> u64 {
        self.announced.saturating_sub(self.arrived)
    }

    /// Takes what is readable into `out`.
    pub(crate) fn take(&mut self, out: &mut tokio::io::ReadBuf<'_>) -> usize {
        let n = usize::try_from(self.readable()).unwrap_or(usize::MAX).min(out.remaining());
        out.put_slice(&self.bytes[self.head..self.head + n]);
        self.head += n;
        self.read += n as u64;
        if self.head == self.bytes.len() {
            self.bytes.clear();
            self.head = 0;
            if self.bytes.capacity() > 256 << 10 {
                self.bytes = Vec::new();
            }
        } else if self.head > 4096 && self.head >= self.bytes.len() / 2 {
            self.bytes.copy_within(self.head.., 0);
            self.bytes.truncate(self.bytes.len() - self.head);
            self.head = 0;
        }
        n
    }

    /// Applies the notices that the sender knows by now.
    pub(super) fn settle(&mut self, now: u64) {
        while let Some(notice) = self.notices.front()
            && notice.known_at <= now
        {
            self.acked = self.acked.max(notice.acked);
            self.edge = self.edge.max(notice.edge);
            self.notices.pop_front();
        }
    }

    /// How many bytes a write may add now.
    fn room(&self) -> u64 {
        let room = self.send_cap.saturating_sub(self.written - self.acked);
        if self.lowat == u64::MAX { room } else { room.min(self.lowat.saturating_sub(self.written - self.sent)) }
    }

    /// A waiting writer is woken when a third of the buffer is free and half of the low-water mark, as Linux does.
    fn wakes_writer(&self) -> bool {
        let free = self.send_cap.saturating_sub(self.written - self.acked);
        free > 0 && free * 3 >= self.send_cap && (self.lowat == u64::MAX || (self.written - self.sent) * 2 < self.lowat)
    }

    /// The sender is gone: nothing is sent again, nobody waits.
    pub(crate) fn silence(&mut self) {
        self.segments.clear();
        self.notices.clear();
        self.stall = None;
        self.arrive_at = NEVER;
        self.credit_at = NEVER;
        self.acked = self.written;
        self.sent = self.written;
    }

    /// Nothing of it is under way or waits to be.
    pub(crate) fn is_quiet(&self) -> bool {
        self.segments.is_empty() && self.sent == self.written && self.fin != Fin::Wanted
    }
}

impl World {
    /// Takes bytes from a writer: how many; 0 if it must wait.
    pub(crate) fn write(&mut self, id: ConnId, dir: u8, data: &[IoSlice<'_>]) -> usize {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return 0 };
        let flow = &mut conn.flows[dir as usize];
        flow.settle(now);
        let mut taken = 0;
        for slice in data {
            let room = usize::try_from(flow.room()).unwrap_or(usize::MAX);
            let n = slice.len().min(room);
            flow.bytes.extend_from_slice(&slice[..n]);
            flow.written += n as u64;
            taken += n;
            if n < slice.len() {
                break;
            }
        }
        if taken > 0 {
            self.pump(id, dir);
        }
        taken
    }

    /// Bytes written and not known to have arrived.
    pub(crate) fn unacknowledged(&mut self, id: ConnId, dir: u8) -> u64 {
        let now = self.now_us;
        self.conn(id).map_or(0, |conn| {
            let flow = &mut conn.flows[dir as usize];
            flow.settle(now);
            flow.written - flow.acked
        })
    }

    /// The reader took something: perhaps the sender should hear of the larger window.
    pub(crate) fn after_read(&mut self, id: ConnId, dir: u8) {
        let Some(conn) = self.conn(id) else { return };
        let flow = &conn.flows[dir as usize];
        let left = flow.announced - flow.arrived;
        let window = (flow.read + flow.recv_cap).saturating_sub(flow.arrived);
        if window >= 2 * left && window >= WINDOW_MIN.min(flow.recv_cap / 2) && flow.fin < Fin::Sent {
            self.notify(id, dir);
        }
    }

    /// Sends what the window allows, and the end once all is sent.
    pub(super) fn pump(&mut self, id: ConnId, dir: u8) {
        loop {
            let Some(conn) = self.conn(id) else { return };
            if !conn.established {
                return;
            }
            let flow = &mut conn.flows[dir as usize];
            if flow.stall.is_some() {
                break;
            }
            let n = flow.written.min(flow.edge).saturating_sub(flow.sent).min(SEGMENT_MAX);
            if n > 0 {
                self.transmit(id, dir, SegmentKind::Data, n);
            } else if flow.fin == Fin::Wanted && flow.sent == flow.written {
                flow.fin = Fin::Sent;
                self.transmit(id, dir, SegmentKind::Fin, 0);
            } else {
                break;
            }
        }
        self.probe(id, dir);
        self.want_credit(id, dir);
    }

    /// Puts one segment on the wire.
    pub(super) fn transmit(&mut self, id: ConnId, dir: u8, kind: SegmentKind, n: u64) {
        let now = self.now_us;
        let free = self.service_free;
        self.tap_leaves(id, dir, kind, n);
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.serial == id.serial) else { return };
        let back = conn.flows[1 - dir as usize].link;
        let flow = &mut conn.flows[dir as usize];
        flow.sent += n;
        let (link, end) = (flow.link, flow.sent);
        // Writes of one instant travel together, where that changes no cost.
        if kind == SegmentKind::Data
            && let Some(last) = flow.segments.back_mut()
            && last.kind == SegmentKind::Data
            && last.sent_at == now
            && last.arrives > now
            && free
            && self.links[link as usize].config.bandwidth.is_none()
        {
            last.end = end;
            return;
        }
        let mut draws = flow.draws.clone();
        let behind = flow.segments.back().map_or(0, |last| last.arrives);
        let blocked = self.is_blocked(link);
        let arrives = if blocked { NEVER } else { self.carry(link, back, n, &mut draws).max(behind) };
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[dir as usize];
        flow.draws = draws;
        if blocked && kind == SegmentKind::Reset {
            // Nobody sends a reset again.
            return;
        }
        flow.segments.push_back(Segment { arrives, sent_at: now, end, kind, served: free });
        if blocked {
            self.stall(id, dir, now);
        } else {
            self.expect(id, dir);
        }
    }

    /// Schedules the arrival of the head segment.
    pub(super) fn expect(&mut self, id: ConnId, dir: u8) {
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[dir as usize];
        let next = flow.segments.front().map_or(NEVER, |head| head.arrives);
        if next != NEVER && flow.arrive_at != next {
            flow.arrive_at = next;
            self.schedule(next, Happening::Arrive { conn: id, dir });
        }
    }

    pub(super) fn arrive(&mut self, id: ConnId, dir: u8, at: u64) {
        let now = self.now_us;
        match self.conn(id) {
            Some(conn) if conn.flows[dir as usize].arrive_at == at => conn.flows[dir as usize].arrive_at = NEVER,
            _ => return,
        }
        self.moved_us = now;
        while let Some(conn) = self.conn(id) {
            let to = conn.ends[1 - dir as usize].host;
            let flow = &mut conn.flows[dir as usize];
            let Some(&head) = flow.segments.front() else { break };
            if head.arrives > now {
                break;
            }
            let n = if head.kind == SegmentKind::Data { head.end - flow.arrived } else { 0 };
            if head.served && self.hosts[to as usize].powered {
                let Some(conn) = self.conn(id) else { return };
                conn.flows[dir as usize].segments.pop_front();
                self.deliver(id, dir, head);
                continue;
            }
            if !self.hosts[to as usize].powered {
                self.stall(id, dir, head.sent_at);
                return;
            }
            {
                let done = self.serve(to, now, 1, n, 0);
                let Some(conn) = self.conn(id) else { return };
                let flow = &mut conn.flows[dir as usize];
                flow.segments[0].served = true;
                if done > now {
                    for segment in &mut flow.segments {
                        segment.arrives = segment.arrives.max(done);
                    }
                    break;
                }
            }
        }
        self.expect(id, dir);
        self.free_if_over(id);
    }

    fn deliver(&mut self, id: ConnId, dir: u8, segment: Segment) {
        let now = self.now_us;
        let to = 1 - dir;
        self.tap_arrives(id, dir, segment);
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.serial == id.serial) else { return };
        let (route, state) = (conn.route(dir), conn.ends[to as usize].state);
        let unknown = state == EndState::Dead || conn.ends[to as usize].broken;
        let flow = &mut conn.flows[dir as usize];
        match segment.kind {
            SegmentKind::Reset => {
                self.trace.add(now, route, TraceKind::Reset, &[]);
                self.reset_arrives(id, to);
            }
            _ if unknown => self.answer_reset(id, to),
            SegmentKind::Ack => self.ack_arrives(id),
            SegmentKind::Data => {
                let from = flow.head + usize::try_from(flow.arrived - flow.read).unwrap_or(0);
                let n = usize::try_from(segment.end - flow.arrived).unwrap_or(0);
                self.trace.add(now, route, TraceKind::Data, &flow.bytes[from..from + n]);
                if state == EndState::Orphan {
                    // Nobody is left to read it.
                    self.reset(id, to);
                    self.answer_reset(id, to);
                    return;
                }
                flow.arrived = segment.end;
                let reader = conn.ends[to as usize].reader.take();
                self.wake(reader);
                self.notify(id, dir);
            }
            SegmentKind::Fin => {
                self.trace.add(now, route, TraceKind::Fin, &[]);
                flow.fin = Fin::Arrived;
                let reader = conn.ends[to as usize].reader.take();
                self.wake(reader);
                self.notify(id, dir);
            }
        }
    }

    /// The receiver tells the sender how far it is.
    fn notify(&mut self, id: ConnId, dir: u8) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        if conn.ends[dir as usize].state == EndState::Dead {
            return;
        }
        let back = conn.flows[1 - dir as usize].link;
        if self.is_blocked(back) {
            self.tap_tells(id, dir, None, NEVER);
            self.stall_answers(id, dir);
            return;
        }
        let delay = self.links[back as usize].config.latency.typical();
        self.announce(id, dir, now + delay);
        self.want_credit(id, dir);
    }

    pub(super) fn announce(&mut self, id: ConnId, dir: u8, known_at: u64) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[dir as usize];
        flow.settle(now);
        let window = (flow.read + flow.recv_cap).saturating_sub(flow.arrived);
        if window >= WINDOW_MIN.min(flow.recv_cap / 2) {
            flow.announced = flow.announced.max(flow.read + flow.recv_cap);
        }
        let due = known_at;
        let known_at = flow.notices.back().map_or(known_at, |last| last.known_at.max(known_at));
        let notice = Notice { known_at, acked: flow.arrived, edge: flow.announced };
        match flow.notices.back_mut() {
            Some(last) if last.known_at == known_at => *last = notice,
            _ => flow.notices.push_back(notice),
        }
        self.tap_tells(id, dir, Some(due), known_at);
    }

    /// Schedules the next notice for a sender that waits for it.
    pub(crate) fn want_credit(&mut self, id: ConnId, dir: u8) {
        let Some(conn) = self.conn(id) else { return };
        let waits = conn.ends[dir as usize].writer.is_some();
        let flow = &mut conn.flows[dir as usize];
        if (waits || flow.sent < flow.written)
            && flow.credit_at == NEVER
            && let Some(notice) = flow.notices.front()
        {
            let at = notice.known_at;
            flow.credit_at = at;
            self.schedule(at, Happening::Credit { conn: id, dir });
        }
    }

    pub(super) fn credit(&mut self, id: ConnId, dir: u8, at: u64) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[dir as usize];
        if flow.credit_at != at {
            return;
        }
        flow.credit_at = NEVER;
        flow.settle(now);
        self.pump(id, dir);
        self.wake_writer(id, dir);
        self.want_credit(id, dir);
    }

    /// Wakes a waiting writer if there is room enough by now.
    pub(super) fn wake_writer(&mut self, id: ConnId, dir: u8) {
        let Some(conn) = self.conn(id) else { return };
        if conn.flows[dir as usize].wakes_writer() {
            let writer = conn.ends[dir as usize].writer.take();
            self.wake(writer);
        }
    }
}
