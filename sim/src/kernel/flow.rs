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
    notices: VecDeque<Notice>,
    pub(crate) fin: Fin,
    pub(crate) arrive_at: u64,
    credit_at: u64,
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
    arrives: u64,
    sent_at: u64,
    end: u64,
    pub(crate) kind: SegmentKind,
    served: bool,
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
struct Notice {
    known_at: u64,
    acked: u64,
    edge: u64,
}

/// Segments or their acknowledgements were lost: the sender tries again at growing intervals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    tries: u32,
    next: u64,
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
    fn settle(&mut self, now: u64) {
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
        self.want_credit(id, dir);
    }

    /// Puts one segment on the wire.
    pub(super) fn transmit(&mut self, id: ConnId, dir: u8, kind: SegmentKind, n: u64) {
        let now = self.now_us;
        let free = self.service_free;
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
    fn expect(&mut self, id: ConnId, dir: u8) {
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
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.serial == id.serial) else { return };
        let (host, number, state) = (conn.ends[to as usize].host, conn.number, conn.ends[to as usize].state);
        let flow = &mut conn.flows[dir as usize];
        match segment.kind {
            SegmentKind::Reset => {
                self.trace.add(now, host, number, TraceKind::Reset, &[]);
                self.reset_arrives(id, to);
            }
            _ if state == EndState::Dead => self.send_reset(id, to),
            SegmentKind::Ack => self.ack_arrives(id),
            SegmentKind::Data => {
                let from = flow.head + usize::try_from(flow.arrived - flow.read).unwrap_or(0);
                let n = usize::try_from(segment.end - flow.arrived).unwrap_or(0);
                self.trace.add(now, host, number, TraceKind::Data, &flow.bytes[from..from + n]);
                if state == EndState::Orphan {
                    // Nobody is left to read it.
                    self.reset(id, to);
                    return;
                }
                flow.arrived = segment.end;
                let reader = conn.ends[to as usize].reader.take();
                self.wake(reader);
                self.notify(id, dir);
            }
            SegmentKind::Fin => {
                self.trace.add(now, host, number, TraceKind::Fin, &[]);
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
            self.stall_answers(id, dir);
            return;
        }
        let delay = self.links[back as usize].config.latency.typical();
        self.announce(id, dir, now + delay);
        self.want_credit(id, dir);
    }

    fn announce(&mut self, id: ConnId, dir: u8, known_at: u64) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[dir as usize];
        flow.settle(now);
        let window = (flow.read + flow.recv_cap).saturating_sub(flow.arrived);
        if window >= WINDOW_MIN.min(flow.recv_cap / 2) {
            flow.announced = flow.announced.max(flow.read + flow.recv_cap);
        }
        let known_at = flow.notices.back().map_or(known_at, |last| last.known_at.max(known_at));
        let notice = Notice { known_at, acked: flow.arrived, edge: flow.announced };
        match flow.notices.back_mut() {
            Some(last) if last.known_at == known_at => *last = notice,
            _ => flow.notices.push_back(notice),
        }
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

    /// What is on the way is lost; the sender tries again. `began` is when it first sent what is lost.
    pub(super) fn stall(&mut self, id: ConnId, dir: u8, began: u64) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        let sender_dead = conn.ends[dir as usize].state == EndState::Dead;
        let back = conn.flows[1 - dir as usize].link;
        let flow = &mut conn.flows[dir as usize];
        flow.arrive_at = NEVER;
        if sender_dead {
            flow.silence();
            return;
        }
        flow.segments.retain(|segment| segment.kind != SegmentKind::Reset);
        for segment in &mut flow.segments {
            segment.arrives = NEVER;
        }
        if flow.stall.is_some() {
            return;
        }
        let link = flow.link;
        let round_trip = self.round_trip_us(link, back);
        let (mut tries, mut next) = (0, began + self.retransmit_after(0, round_trip));
        while next <= now {
            tries += 1;
            next += self.retransmit_after(tries, round_trip);
        }
        let Some(conn) = self.conn(id) else { return };
        conn.flows[dir as usize].stall = Some(Stall { tries, next });
        self.schedule(next, Happening::Retransmit { conn: id, dir });
    }

    pub(super) fn retransmit(&mut self, id: ConnId, dir: u8, at: u64) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        let back = conn.flows[1 - dir as usize].link;
        let receiver_dead = conn.ends[1 - dir as usize].state == EndState::Dead;
        let flow = &mut conn.flows[dir as usize];
        let Some(stall) = flow.stall.filter(|stall| stall.next == at) else { return };
        let link = flow.link;
        let (forward, backward) = (!self.is_blocked(link), !self.is_blocked(back));
        let round_trip = self.round_trip_us(link, back);
        if forward {
            self.resend(id, dir, link, back, now);
        }
        if forward && backward {
            let Some(conn) = self.conn(id) else { return };
            let flow = &mut conn.flows[dir as usize];
            flow.stall = None;
            if flow.segments.is_empty() {
                if receiver_dead {
                    self.send_reset(id, 1 - dir);
                } else {
                    self.announce(id, dir, now + round_trip);
                }
            }
            self.pump(id, dir);
            self.want_credit(id, dir);
            return;
        }
        let tries = stall.tries + 1;
        if tries > self.config.tcp.retransmits_max {
            self.time_out(id, dir);
            return;
        }
        let next = now + self.retransmit_after(tries, round_trip);
        let Some(conn) = self.conn(id) else { return };
        conn.flows[dir as usize].stall = Some(Stall { tries, next });
        self.schedule(next, Happening::Retransmit { conn: id, dir });
    }

    /// Sends again all that was lost.
    fn resend(&mut self, id: ConnId, dir: u8, link: u32, back: u32, now: u64) {
        let served = self.service_free;
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[dir as usize];
        let mut segments = std::mem::take(&mut flow.segments);
        let mut draws = flow.draws.clone();
        let mut done = flow.arrived;
        let mut behind = 0;
        for segment in &mut segments {
            if segment.arrives == NEVER {
                segment.arrives = self.carry(link, back, segment.end - done, &mut draws).max(behind);
                segment.sent_at = now;
                segment.served = served;
            }
            behind = segment.arrives;
            done = segment.end;
        }
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[dir as usize];
        flow.segments = segments;
        flow.draws = draws;
        self.expect(id, dir);
    }

    /// A direction of the wire between two hosts goes dead: what is on it is lost.
    pub(crate) fn cut(&mut self, link: u32) {
        self.links[link as usize].cut = true;
        let now = self.now_us;
        let ids: Vec<ConnId> = self.conns.iter().map(|(index, conn)| conn.id(index)).collect();
        for id in ids {
            for dir in 0..2_u8 {
                let Some(conn) = self.conn(id) else { continue };
                let back = conn.flows[1 - dir as usize].link;
                let flow = &mut conn.flows[dir as usize];
                if flow.link == link
                    && let Some(head) = flow.segments.front()
                {
                    let began = head.sent_at;
                    self.stall(id, dir, began);
                } else if back == link {
                    flow.settle(now);
                    if !flow.notices.is_empty() {
                        flow.notices.clear();
                        flow.credit_at = NEVER;
                        self.stall_answers(id, dir);
                    }
                }
            }
        }
    }

    /// Only the answers were lost: what is on the way arrives, and the sender tries again because it hears nothing.
    fn stall_answers(&mut self, id: ConnId, dir: u8) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        if conn.flows[dir as usize].stall.is_some() {
            return;
        }
        let (link, back) = (conn.flows[dir as usize].link, conn.flows[1 - dir as usize].link);
        let next = now + self.retransmit_after(0, self.round_trip_us(link, back));
        let Some(conn) = self.conn(id) else { return };
        conn.flows[dir as usize].stall = Some(Stall { tries: 0, next });
        self.schedule(next, Happening::Retransmit { conn: id, dir });
    }
}
