//! What happens to connections on their way: a box between two hosts that holds back, cuts into pieces, closes and resets.
//!
//! Each fault looks at the head of a direction's segments when it arrives. Behind it all wait, so that order is kept whatever happens.

use super::flow::{Fin, HELD, Mark, Segment, SegmentKind};
use super::{ConnId, EndState, Happening, NEVER, World};
use crate::config::micros;
use crate::fault::FaultKind;
use crate::trace::TraceKind;

/// What becomes of the head.
pub(super) enum Gate {
    /// So many bytes of it go on.
    Pass(u64),
    /// It waits until then.
    Wait(u64),
}

impl World {
    /// Whether the head may go on, and how much of it.
    pub(super) fn gate(&mut self, id: ConnId, dir: u8, head: Segment) -> Gate {
        let now = self.now_us;
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.serial == id.serial) else {
            return Gate::Pass(u64::MAX);
        };
        let entity = conn.number * 2 + u64::from(dir);
        let flow = &mut conn.flows[dir as usize];
        let mut most = u64::MAX;
        for toxic in &self.links[flow.link as usize].toxics {
            let wait = match toxic.kind {
                FaultKind::Stall => HELD,
                FaultKind::Timeout { .. } if matches!(head.kind, SegmentKind::Data | SegmentKind::Fin) => HELD,
                FaultKind::SlowClose { delay } if head.kind == SegmentKind::Fin => {
                    let mark = flow.mark(toxic.fault);
                    if mark.until_us == 0 {
                        mark.until_us = now.saturating_add(micros(delay)).min(HELD);
                    }
                    mark.until_us
                }
                FaultKind::Slicer { size, variation, .. } if head.kind == SegmentKind::Data => {
                    let mark = flow.mark(toxic.fault);
                    // The same piece however often it is asked for.
                    let spread = u64::from(variation.min(size.saturating_sub(1)));
                    let nth = wire::draw::Draws::new(toxic.draws.nth(0), "slicer", entity).nth(mark.pieces);
                    let piece =
                        u64::from(size.max(1)) - spread + ((u128::from(nth) * u128::from(2 * spread + 1)) >> 64) as u64;
                    most = most.min(piece);
                    mark.until_us
                }
                FaultKind::LimitData { bytes } | FaultKind::ResetPeer { bytes } if head.kind == SegmentKind::Data => {
                    most = most.min(bytes.saturating_sub(flow.mark(toxic.fault).bytes));
                    0
                }
                _ => 0,
            };
            if wait > now {
                return Gate::Wait(wait);
            }
        }
        Gate::Pass(most)
    }

    /// So many bytes have gone on. True if that ended the connection.
    pub(super) fn passed(&mut self, id: ConnId, dir: u8, bytes: u64) -> bool {
        let now = self.now_us;
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.serial == id.serial) else {
            return true;
        };
        let flow = &mut conn.flows[dir as usize];
        let (mut close, mut reset) = (false, false);
        for toxic in &self.links[flow.link as usize].toxics {
            match toxic.kind {
                FaultKind::Slicer { delay, .. } => {
                    let mark = flow.mark(toxic.fault);
                    mark.pieces += 1;
                    mark.until_us = now.saturating_add(micros(delay)).min(HELD);
                }
                FaultKind::LimitData { bytes: most } => {
                    let mark = flow.mark(toxic.fault);
                    mark.bytes += bytes;
                    close |= mark.bytes >= most;
                }
                FaultKind::ResetPeer { bytes: most } => {
                    let mark = flow.mark(toxic.fault);
                    mark.bytes += bytes;
                    reset |= mark.bytes >= most;
                }
                _ => {}
            }
        }
        if reset {
            self.cut_off(id);
        } else if close {
            self.sever(id);
        }
        reset || close
    }

    /// A link has changed: who waits at the gate looks again.
    pub(super) fn nudge(&mut self, link: u32) {
        let now = self.now_us;
        for (id, dir) in self.flows_over(link) {
            let Some(conn) = self.conn(id) else { continue };
            let flow = &mut conn.flows[dir as usize];
            let gated = std::mem::take(&mut flow.gated);
            if let Some(head) = flow.segments.front_mut().filter(|head| gated || head.arrives == HELD) {
                head.arrives = now;
                self.expect(id, dir);
            }
        }
    }

    /// The answers of receivers on a link that holds all are held, too.
    pub(super) fn hold(&mut self, link: u32) {
        let now = self.now_us;
        for (id, dir) in self.flows_over(link) {
            let dir = 1 - dir;
            let Some(conn) = self.conn(id) else { continue };
            let flow = &mut conn.flows[dir as usize];
            flow.settle(now);
            flow.credit_at = NEVER;
            for notice in &mut flow.notices {
                notice.known_at = HELD;
            }
        }
    }

    /// What a link has held arrives: answers now, handshakes now; the gate opens for the rest.
    pub(super) fn release_held(&mut self, link: u32) {
        let now = self.now_us;
        for (id, dir) in self.flows_over(link) {
            let dir = 1 - dir;
            let Some(conn) = self.conn(id) else { continue };
            for notice in &mut conn.flows[dir as usize].notices {
                notice.known_at = notice.known_at.min(now);
            }
            self.want_credit(id, dir);
        }
        for happening in std::mem::take(&mut self.links[link as usize].parked) {
            self.schedule(now, happening);
        }
    }

    /// Whether a handshake packet is held on its link. It comes again when the link lets go.
    pub(super) fn parks(&mut self, link: u32, happening: Happening) -> bool {
        let link = &mut self.links[link as usize];
        if link.held {
            link.parked.push(happening);
        }
        link.held
    }

    /// Both ends are reset from the middle: what had arrived can be read, what is on the way is lost.
    pub(super) fn cut_off(&mut self, id: ConnId) {
        let now = self.now_us;
        for end in 0..2_u8 {
            let Some(conn) = self.conn(id) else { return };
            if conn.ends[end as usize].state == EndState::Dead || conn.ends[end as usize].broken {
                conn.flows[end as usize].silence();
                continue;
            }
            let route = conn.route(1 - end);
            self.trace.add(now, route, TraceKind::Reset, &[]);
            self.reset_arrives(id, end);
        }
        self.free_if_over(id);
    }

    /// A fault closes a connection some time after it began.
    pub(super) fn close_at(&mut self, id: ConnId, fault: u32) {
        if self.is_active(fault) {
            self.sever(id);
        }
    }

    /// The connection is closed from the middle: each end reads what has arrived and the end; who has bytes under way, or sends later, gets RST.
    pub(super) fn sever(&mut self, id: ConnId) {
        let now = self.now_us;
        for dir in 0..2_u8 {
            let Some(conn) = self.conn(id) else { return };
            let (route, reader) = (conn.route(dir), conn.ends[1 - dir as usize].reader.take());
            let flow = &mut conn.flows[dir as usize];
            if std::mem::replace(&mut flow.severed, true) {
                return;
            }
            let lost = flow.sent > flow.arrived;
            flow.segments.retain(|segment| matches!(segment.kind, SegmentKind::Ack | SegmentKind::Reset));
            flow.gated = false;
            flow.arrive_at = NEVER;
            if flow.fin == Fin::Sent {
                flow.fin = Fin::Arrived;
            }
            self.trace.add(now, route, TraceKind::Fin, &[]);
            self.wake(reader);
            self.expect(id, dir);
            if lost {
                self.answer_reset(id, 1 - dir);
            }
        }
        self.probe(id, 0);
        self.probe(id, 1);
        self.free_if_over(id);
    }

    /// An end gives its connection up and says nothing. What it had put on the wire still arrives.
    pub(super) fn forget(&mut self, id: ConnId, end: u8) {
        let Some(conn) = self.conn(id) else { return };
        if conn.ends[end as usize].broken {
            return;
        }
        let mut segments = std::mem::take(&mut conn.flows[end as usize].segments);
        // What was lost on the way stays lost, and what is behind it is of no use.
        let whole = segments.iter().position(|segment| segment.arrives == NEVER || segment.lost > 0);
        segments.truncate(whole.unwrap_or(segments.len()));
        self.breaks(id, end, std::io::ErrorKind::TimedOut);
        if let Some(conn) = self.conn(id) {
            conn.flows[end as usize].segments = segments;
        }
        self.expect(id, end);
        self.probe(id, 1 - end);
        self.free_if_over(id);
    }
}

impl super::flow::Flow {
    /// What a fault has noted of this direction.
    fn mark(&mut self, fault: u32) -> &mut Mark {
        let place = self.marks.iter().position(|mark| mark.fault == fault).unwrap_or_else(|| {
            self.marks.push(Mark { fault, ..Mark::default() });
            self.marks.len() - 1
        });
        &mut self.marks[place]
    }
}
