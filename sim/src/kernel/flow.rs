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

use super::cpu::Work;
use super::middle::Gate;
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
    /// The head has arrived and waits for a fault on the link to let it go on.
    pub(super) gated: bool,
    /// Closed from the middle: the reader comes to the end, and nothing that is sent arrives.
    pub(crate) severed: bool,
    /// What faults on the link have noted.
    pub(super) marks: Vec<Mark>,
}

/// What a fault has noted of a direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    pub(super) fault: u32,
    /// Bytes that arrived since it began.
    pub(super) bytes: u64,
    /// Pieces that it has cut.
    pub(super) pieces: u64,
    /// Nothing goes on before.
    pub(super) until_us: u64,
}

/// An arrival that waits for a fault to end.
pub(super) const HELD: u64 = NEVER - 1;

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
    /// When it arrives; if it is lost, when it is sent again. [`NEVER`] in an outage, [`HELD`] while a fault holds it.
    pub(super) arrives: u64,
    /// When the sender's CPU is done with it and with all before it.
    pub(super) ready: u64,
    /// When it has left the transmitter.
    pub(super) departs: u64,
    pub(super) sent_at: u64,
    pub(super) end: u64,
    pub(crate) kind: SegmentKind,
    pub(super) served: bool,
    /// How often it was lost in a row.
    pub(super) lost: u32,
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
    pub(super) known_at: u64,
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
            gated: false,
            severed: false,
            marks: Vec::new(),
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

    /// How many segments, from the head on, the receiver's CPU has got.
    fn served(&self) -> usize {
        self.segments.partition_point(|segment| segment.served)
    }

    /// When the first segment arrives that the receiver's CPU has not got, if that is still to come.
    fn newcomer(&self, now: u64) -> Option<u64> {
        let next = self.segments.get(self.served())?;
        (next.lost == 0 && next.arrives > now).then_some(next.arrives)
    }

    /// The sender is gone: nothing is sent again, nobody waits.
    pub(crate) fn silence(&mut self) {
        self.segments.clear();
        self.notices.clear();
        self.stall = None;
        self.gated = false;
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
        let (number, back) = (conn.number, conn.flows[1 - dir as usize].link);
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
            && self.links[link as usize].bandwidth.is_none()
        {
            last.end = end;
            return;
        }
        let (mut draws, ready) = (flow.draws.clone(), flow.segments.back().map_or(now, |last| last.ready));
        let blocked = self.is_blocked(link);
        if blocked && kind == SegmentKind::Reset {
            // Nobody sends a reset again.
            return;
        }
        let mut segment =
            Segment { arrives: NEVER, ready, departs: now, sent_at: now, end, kind, served: free, lost: 0 };
        if !blocked {
            self.launch(&mut segment, number, (link, back), n, &mut draws);
            if let Some(conn) = self.conn(id) {
                conn.flows[dir as usize].draws = draws;
            }
        }
        let Some(conn) = self.conn(id) else { return };
        conn.flows[dir as usize].segments.push_back(segment);
        if blocked {
            self.stall(id, dir, now);
        } else {
            self.expect(id, dir);
        }
    }

    /// Puts a segment of so many bytes on a link (that out, with the one back) that is whole: it arrives, or is lost once more and sent again after the time-out.
    fn launch(&mut self, segment: &mut Segment, number: u64, links: (u32, u32), bytes: u64, draws: &mut Draws) {
        let (out, back) = links;
        let carried = self.carry(out, number, bytes, segment.ready, draws);
        (segment.ready, segment.departs) = (carried.ready, carried.departs);
        match carried.arrives {
            Some(arrives) => (segment.arrives, segment.lost) = (arrives, 0),
            None => {
                let after = self.retransmit_after(segment.lost, self.round_trip_us(out, back));
                (segment.arrives, segment.lost) =
                    (carried.departs.saturating_add(after).min(HELD - 1), segment.lost + 1);
            }
        }
    }

    /// Schedules the arrival of the head segment, or of the next one that will queue for the receiver's CPU.
    pub(super) fn expect(&mut self, id: ConnId, dir: u8) {
        let (now, free) = (self.now_us, self.service_free);
        let Some(conn) = self.conn(id) else { return };
        let flow = &mut conn.flows[dir as usize];
        let mut next = flow.segments.front().map_or(NEVER, |head| head.arrives);
        if !free && let Some(newcomer) = flow.newcomer(now) {
            next = next.min(newcomer);
        }
        if next < HELD && flow.arrive_at != next {
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
            let (number, to) = (conn.number, conn.ends[1 - dir as usize].host);
            let flow = &mut conn.flows[dir as usize];
            let Some(&head) = flow.segments.front() else { break };
            if head.arrives > now {
                break;
            }
            flow.gated = false;
            // The end of a connection that was closed on its way is the box that closed it.
            let (link, looked_at) = (flow.link, !flow.severed);
            let n = if head.kind == SegmentKind::Data { head.end - flow.arrived } else { 0 };
            if head.lost > 0 {
                if !self.send_again(id, dir, head) {
                    return;
                }
                continue;
            }
            if !self.hosts[to as usize].powered {
                self.stall(id, dir, head.sent_at);
                return;
            }
            let mut most = u64::MAX;
            if looked_at && !self.links[link as usize].toxics.is_empty() {
                match self.gate(id, dir, head) {
                    Gate::Pass(bytes) => most = bytes,
                    Gate::Wait(until) => {
                        let Some(conn) = self.conn(id) else { return };
                        let flow = &mut conn.flows[dir as usize];
                        flow.gated = true;
                        flow.segments[0].arrives = until;
                        break;
                    }
                }
            }
            if !head.served {
                let done = self.serve(to, number, Work { segments: 1, bytes: n, connections: 0 });
                let Some(conn) = self.conn(id) else { return };
                let head = &mut conn.flows[dir as usize].segments[0];
                (head.served, head.arrives) = (true, done);
                if done > now {
                    break;
                }
            }
            let Some(conn) = self.conn(id) else { return };
            let receiver = &conn.ends[1 - dir as usize];
            let takes = receiver.state == EndState::Open && !receiver.broken;
            let flow = &mut conn.flows[dir as usize];
            // Who knows nothing of the connection answers a segment as a whole.
            let piece = if takes { n.min(most) } else { n };
            let mut arriving = head;
            if piece < n {
                arriving.end = flow.arrived + piece;
            } else {
                flow.segments.pop_front();
            }
            if piece > 0 || head.kind != SegmentKind::Data {
                self.deliver(id, dir, arriving);
            }
            if head.kind == SegmentKind::Data
                && looked_at
                && !self.links[link as usize].toxics.is_empty()
                && self.passed(id, dir, piece)
            {
                return;
            }
        }
        self.queue_up(id, dir);
        self.expect(id, dir);
        self.free_if_over(id);
    }

    /// What has arrived behind the head queues for the receiver's CPU: the head's own wait must not keep it from its place. Where something on the link looks
    /// at each head, all behind it are still on their way.
    fn queue_up(&mut self, id: ConnId, dir: u8) {
        let now = self.now_us;
        if self.service_free {
            return;
        }
        let Some(conn) = self.conn(id) else { return };
        let (number, to) = (conn.number, conn.ends[1 - dir as usize].host);
        let flow = &conn.flows[dir as usize];
        let (link, mut index) = (flow.link, flow.served());
        if !self.links[link as usize].toxics.is_empty() || !self.hosts[to as usize].powered {
            return;
        }
        while let Some(conn) = self.conn(id) {
            let flow = &conn.flows[dir as usize];
            let Some(&segment) = flow.segments.get(index).filter(|it| it.lost == 0 && it.arrives <= now) else {
                return;
            };
            let before = index.checked_sub(1).map(|index| flow.segments[index]);
            let (begin, after) = before.map_or((flow.arrived, now), |before| (before.end, before.arrives));
            let bytes = if segment.kind == SegmentKind::Data { segment.end.saturating_sub(begin) } else { 0 };
            // One that still waits in front of it is read with it, if reads are joined; its bytes cost what they cost.
            let joins = self.hosts[to as usize].cpu.joins()
                && segment.kind == SegmentKind::Data
                && before.is_some_and(|before| before.kind == SegmentKind::Data && before.arrives > now);
            let done = self.serve(to, number, Work { segments: u64::from(!joins), bytes, connections: 0 });
            if let Some(conn) = self.conn(id) {
                let segment = &mut conn.flows[dir as usize].segments[index];
                (segment.served, segment.arrives) = (true, if joins { after } else { done.max(after) });
            }
            index += 1;
        }
    }

    /// The head was lost, and its time-out is over: it is sent again, and with it all whose time-out is over, too. False if that was once too often.
    fn send_again(&mut self, id: ConnId, dir: u8, head: Segment) -> bool {
        let now = self.now_us;
        if head.lost > self.config.tcp.retransmits_max {
            self.time_out(id, dir);
            return false;
        }
        let Some(conn) = self.conn(id) else { return false };
        let dead = conn.ends[dir as usize].state == EndState::Dead || conn.ends[dir as usize].broken;
        let flow = &mut conn.flows[dir as usize];
        if dead && head.kind != SegmentKind::Reset {
            // Without it, nothing behind it can be read. A reset needs no order.
            flow.segments.retain(|segment| segment.kind == SegmentKind::Reset);
            return true;
        }
        self.launch_again(id, dir, |segment| segment.lost > 0 && segment.arrives <= now, |_| {});
        true
    }

    /// Puts those segments of a direction on its link once more that `is_due` picks; `launched` notes it in each.
    pub(super) fn launch_again(
        &mut self,
        id: ConnId,
        dir: u8,
        is_due: impl Fn(&Segment) -> bool,
        launched: impl Fn(&mut Segment),
    ) {
        let Some(conn) = self.conn(id) else { return };
        let (number, back) = (conn.number, conn.flows[1 - dir as usize].link);
        let flow = &mut conn.flows[dir as usize];
        let link = flow.link;
        let (mut segments, mut draws, mut done, mut ready) =
            (std::mem::take(&mut flow.segments), flow.draws.clone(), flow.arrived, 0);
        for segment in &mut segments {
            if is_due(segment) {
                self.tap_leaves_again(id, dir, segment.kind, (done, segment.end));
                segment.ready = ready;
                self.launch(segment, number, (link, back), segment.end.saturating_sub(done), &mut draws);
                launched(segment);
            }
            (done, ready) = (segment.end, segment.ready);
        }
        if let Some(conn) = self.conn(id) {
            let flow = &mut conn.flows[dir as usize];
            (flow.segments, flow.draws) = (segments, draws);
        }
    }

    fn deliver(&mut self, id: ConnId, dir: u8, segment: Segment) {
        let now = self.now_us;
        let to = 1 - dir;
        self.tap_arrives(id, dir, segment);
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.serial == id.serial) else { return };
        let (route, state) = (conn.route(dir), conn.ends[to as usize].state);
        let unknown = state == EndState::Dead || conn.ends[to as usize].broken;
        let flow = &mut conn.flows[dir as usize];
        let severed = flow.severed;
        match segment.kind {
            SegmentKind::Reset => {
                self.trace.add(now, route, TraceKind::Reset, &[]);
                self.reset_arrives(id, to);
            }
            SegmentKind::Data if severed => self.answer_reset(id, to),
            SegmentKind::Fin if severed => flow.fin = Fin::Arrived,
            _ if unknown => self.answer_reset(id, to),
            SegmentKind::Ack => self.ack_arrives(id),
            SegmentKind::Data => {
                self.trace.add(now, route, TraceKind::Data, flow.bytes(flow.arrived, segment.end));
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
        if severed {
            // It was the last on its way: a sender behind it hears of nothing any more.
            self.probe(id, dir);
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
        let link = &self.links[back as usize];
        let known_at = if link.held { HELD } else { now + link.typical_us };
        self.announce(id, dir, known_at);
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
            && let Some(notice) = flow.notices.front().filter(|notice| notice.known_at < HELD)
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
