//! Where packets are seen, for a capture ([`crate::capture`]). Each call is one branch where none is taken.
//!
//! A machine without power sees nothing; a cut wire is seen by the sender only. The news that receivers have for senders leave as acknowledgements of their
//! own and never ride on data, as with TCP_QUICKACK.

use super::flow::{HELD, Segment, SegmentKind};
use super::{Conn, ConnId, EndState, Fin, World};
use crate::capture::{Header, InFlight, PAYLOAD_MAX, Recorder, WINDOW_SCALE, Wanted, Way, first_seq, flags};

/// A packet of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shake {
    Syn,
    SynAck,
    Refusal,
}

/// At which end of the wire a packet is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Leaving,
    Arriving,
}

/// A connection under a capture.
struct Tapped<'a> {
    recorder: &'a mut Recorder,
    conn: &'a Conn,
    now: u64,
}

impl Tapped<'_> {
    fn way(&mut self, dir: u8) -> &mut Way {
        &mut self.recorder.ways.entry(self.conn.number).or_default()[dir as usize]
    }

    fn header(&self, from: u8, flags: u8, seq: u32, (ack, window): (u32, u16)) -> Header {
        let (from, to) = (&self.conn.ends[from as usize], &self.conn.ends[1 - from as usize]);
        Header { from: from.addr, to: to.addr, seq, ack, flags, window }
    }

    /// The number of a byte of a direction.
    fn seq(&self, dir: u8, offset: u64) -> u32 {
        first_seq(self.conn.number, dir).wrapping_add(1).wrapping_add(offset as u32)
    }

    /// The number after all that was put on the wire.
    fn seq_next(&mut self, dir: u8) -> u32 {
        let (next, ended) = (self.way(dir).next, self.way(dir).ended);
        self.seq(dir, next + u64::from(ended))
    }

    /// What an end acknowledges now, and its window.
    fn says(&self, end: u8) -> (u32, u16) {
        let flow = &self.conn.flows[1 - end as usize];
        let ended = u64::from(flow.fin == Fin::Arrived);
        let window = flow.window().div_ceil(1 << WINDOW_SCALE).min(u64::from(u16::MAX));
        (self.seq(1 - end, flow.arrived + ended), u16::try_from(window).unwrap_or(u16::MAX))
    }

    /// The same host at both ends: its card for itself shows each packet once.
    fn is_loopback(&self) -> bool {
        self.conn.ends[0].host == self.conn.ends[1].host
    }

    fn add(&mut self, from: u8, seen: Seen, header: Header, payload: &[u8]) {
        let (from, to) = (self.conn.ends[from as usize].host, self.conn.ends[1 - from as usize].host);
        match seen {
            Seen::Leaving => self.recorder.add(self.now, (from, to), true, header, payload),
            Seen::Arriving if self.is_loopback() => {}
            Seen::Arriving => self.recorder.add(self.now, (to, from), false, header, payload),
        }
    }

    /// A packet without payload that arrives later.
    fn add_later(&mut self, at_us: u64, from: u8, header: Header) {
        if !self.is_loopback() {
            let (host, peer) = (self.conn.ends[1 - from as usize].host, self.conn.ends[from as usize].host);
            self.recorder.add_later(at_us, Some(self.conn.flows[from as usize].link), (host, peer), header);
        }
    }

    /// Payload from `begin` to `end` of a direction, in as many packets as it takes.
    fn add_data(&mut self, dir: u8, seen: Seen, (begin, end): (u64, u64), said: (u32, u16)) {
        let conn = self.conn;
        let bytes = conn.flows[dir as usize].bytes(begin, end);
        let mut at = begin;
        for piece in bytes.chunks(usize::from(PAYLOAD_MAX)) {
            let last = at + piece.len() as u64 == end;
            let flags = if last { flags::ACK | flags::PSH } else { flags::ACK };
            let header = self.header(dir, flags, self.seq(dir, at), said);
            self.add(dir, seen, header, piece);
            at += piece.len() as u64;
        }
    }

    /// A segment leaves, the first time or again.
    fn leaves(&mut self, dir: u8, kind: SegmentKind, begin: u64, end: u64) {
        let said = self.says(dir);
        let bits = bits(kind);
        match kind {
            SegmentKind::Data => self.add_data(dir, Seen::Leaving, (begin, end), said),
            SegmentKind::Reset => {
                let seq = self.seq_next(dir);
                let header = self.header(dir, bits, seq, (said.0, 0));
                self.add(dir, Seen::Leaving, header, &[]);
            }
            SegmentKind::Fin | SegmentKind::Ack => {
                let header = self.header(dir, bits, self.seq(dir, end), said);
                self.add(dir, Seen::Leaving, header, &[]);
            }
        }
        let way = self.way(dir);
        if kind != SegmentKind::Reset {
            way.next = way.next.max(end);
        }
        way.ended |= kind == SegmentKind::Fin;
        way.leaves(InFlight { end, flags: bits, ack: said.0, window: said.1 });
    }
}

/// What tells a segment's packet from others.
fn bits(kind: SegmentKind) -> u8 {
    match kind {
        SegmentKind::Data => flags::ACK | flags::PSH,
        SegmentKind::Fin => flags::ACK | flags::FIN,
        SegmentKind::Reset => flags::ACK | flags::RST,
        SegmentKind::Ack => flags::ACK,
    }
}

impl World {
    /// Begins to capture.
    pub(crate) fn start_capture(&mut self, wanted: Wanted) {
        self.capture = Some(Box::new(Recorder::new(&wanted)));
    }

    /// Ends the capture.
    pub(crate) fn end_capture(&mut self) {
        if let Some(mut recorder) = self.capture.take() {
            self.captured = Some(recorder.finish(self.now_us));
        }
    }

    fn tapped(&mut self, id: ConnId) -> Option<Tapped<'_>> {
        let recorder = self.capture.as_deref_mut()?;
        let conn = self.conns.get(id.index as usize).filter(|conn| conn.serial == id.serial)?;
        let watched = recorder.watches(conn.ends[0].host, conn.ends[1].host);
        watched.then_some(Tapped { recorder, conn, now: self.now_us })
    }

    /// A packet of the handshake.
    #[inline]
    pub(super) fn tap_shake(&mut self, id: ConnId, shake: Shake, seen: Seen) {
        if self.capture.is_some() {
            self.shakes(id, shake, seen);
        }
    }

    fn shakes(&mut self, id: ConnId, shake: Shake, seen: Seen) {
        let from = if shake == Shake::Syn { 0 } else { 1 };
        let Some(conn) = self.conn(id) else { return };
        let link = conn.flows[from as usize].link;
        if seen == Seen::Arriving && self.is_blocked(link) {
            return;
        }
        let Some(mut tapped) = self.tapped(id) else { return };
        let number = tapped.conn.number;
        let window = u16::try_from(tapped.conn.flows[1 - from as usize].window()).unwrap_or(u16::MAX);
        let (own, other) = (first_seq(number, from), first_seq(number, 1 - from).wrapping_add(1));
        let header = match shake {
            Shake::Syn => tapped.header(from, flags::SYN, own, (0, window)),
            Shake::SynAck => tapped.header(from, flags::SYN | flags::ACK, own, (other, window)),
            Shake::Refusal => tapped.header(from, flags::RST | flags::ACK, 0, (other, 0)),
        };
        tapped.add(from, seen, header, &[]);
    }

    /// A segment leaves for the first time; its bytes are still counted as not sent.
    #[inline]
    pub(super) fn tap_leaves(&mut self, id: ConnId, dir: u8, kind: SegmentKind, bytes: u64) {
        if self.capture.is_some()
            && let Some(conn) = self.conn(id)
        {
            let begin = conn.flows[dir as usize].sent;
            self.tap_leaves_again(id, dir, kind, (begin, begin + bytes));
        }
    }

    /// A segment leaves again.
    #[inline]
    pub(super) fn tap_leaves_again(&mut self, id: ConnId, dir: u8, kind: SegmentKind, (begin, end): (u64, u64)) {
        if self.capture.is_some()
            && let Some(conn) = self.conn(id)
        {
            let host = conn.ends[dir as usize].host;
            if self.hosts[host as usize].powered
                && let Some(mut tapped) = self.tapped(id)
            {
                tapped.leaves(dir, kind, begin, end);
            }
        }
    }

    /// A segment, or a part of one, arrives; its bytes are still counted as not arrived.
    #[inline]
    pub(super) fn tap_arrives(&mut self, id: ConnId, dir: u8, segment: Segment) {
        if self.capture.is_some()
            && let Some(mut tapped) = self.tapped(id)
        {
            let bits = bits(segment.kind);
            let said = tapped.way(dir).arrives(segment.end, bits).unwrap_or_else(|| tapped.says(dir));
            let begin = tapped.conn.flows[dir as usize].arrived;
            match segment.kind {
                SegmentKind::Data => tapped.add_data(dir, Seen::Arriving, (begin, segment.end), said),
                SegmentKind::Reset => {
                    let seq = tapped.seq_next(dir);
                    let header = tapped.header(dir, bits, seq, (said.0, 0));
                    tapped.add(dir, Seen::Arriving, header, &[]);
                }
                SegmentKind::Fin | SegmentKind::Ack => {
                    let header = tapped.header(dir, bits, tapped.seq(dir, segment.end), said);
                    tapped.add(dir, Seen::Arriving, header, &[]);
                }
            }
        }
    }

    /// A sender tries again, and the wire is dead or nothing but the answer was lost.
    #[inline]
    pub(super) fn tap_tries(&mut self, id: ConnId, dir: u8, forward: bool) {
        if self.capture.is_some() {
            self.tries(id, dir, forward);
        }
    }

    fn tries(&mut self, id: ConnId, dir: u8, forward: bool) {
        let Some(conn) = self.conn(id) else { return };
        let flow = &conn.flows[dir as usize];
        let (host, link, head, begin) =
            (conn.ends[dir as usize].host, flow.link, flow.segments.front().copied(), flow.arrived);
        let delay = self.links[link as usize].typical_us;
        match head {
            // What goes through is seen as it leaves.
            Some(_) if forward => {}
            Some(head) => self.tap_leaves_again(id, dir, head.kind, (begin, head.end)),
            None => {
                // The bytes have arrived and may have been read: an empty packet in their place, as a keep-alive is (RFC 9293, section 3.8.4).
                if !self.hosts[host as usize].powered {
                    return;
                }
                let Some(mut tapped) = self.tapped(id) else { return };
                let seq = tapped.seq_next(dir).wrapping_sub(1);
                let header = tapped.header(dir, flags::ACK, seq, tapped.says(dir));
                tapped.add(dir, Seen::Leaving, header, &[]);
                if forward {
                    tapped.add_later(tapped.now + delay, dir, header);
                }
            }
        }
    }

    /// A receiver tells its sender how far it is, and the sender knows at `known_at`. `due` is when it would without others before it; None: never, for the
    /// wire back is dead.
    #[inline]
    pub(super) fn tap_tells(&mut self, id: ConnId, dir: u8, due: Option<u64>, known_at: u64) {
        if self.capture.is_some() {
            self.tells(id, dir, due, known_at);
        }
    }

    fn tells(&mut self, id: ConnId, dir: u8, due: Option<u64>, known_at: u64) {
        let Some(conn) = self.conn(id) else { return };
        let from = 1 - dir;
        let receiver = &conn.ends[from as usize];
        let (dead, host, back) = (receiver.state == EndState::Dead, receiver.host, conn.flows[from as usize].link);
        if dead || !self.hosts[host as usize].powered {
            return;
        }
        let delay = self.links[back as usize].typical_us;
        let Some(mut tapped) = self.tapped(id) else { return };
        let now = tapped.now;
        let says = tapped.says(from);
        // An answer to a try, one way later.
        let leaves_at = due.filter(|due| *due < HELD).map_or(now, |due| due.saturating_sub(delay).max(now));
        let answers = leaves_at > now;
        if tapped.way(from).said.replace(says) == Some(says) && !answers {
            return;
        }
        let seq = tapped.seq_next(from);
        let header = tapped.header(from, flags::ACK, seq, says);
        if answers {
            let (host, peer) = (tapped.conn.ends[from as usize].host, tapped.conn.ends[dir as usize].host);
            tapped.recorder.add_later(leaves_at, None, (host, peer), header);
        } else {
            tapped.add(from, Seen::Leaving, header, &[]);
        }
        if due.is_some() {
            tapped.add_later(known_at, from, header);
        }
    }

    /// What is on its way over a link, or to or from a machine without power, is lost.
    #[inline]
    pub(super) fn tap_lost(&mut self, lost: impl Fn(&Self, u32) -> bool) {
        if let Some(mut recorder) = self.capture.take() {
            recorder.lose(self.now_us, |link| lost(self, link));
            self.capture = Some(recorder);
        }
    }

    /// A connection is over.
    #[inline]
    pub(super) fn tap_over(&mut self, number: u64) {
        if let Some(recorder) = &mut self.capture {
            recorder.ways.remove(&number);
        }
    }
}
