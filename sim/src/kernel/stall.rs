//! Losses that take time: outages, retransmission, giving up.
//!
//! What was on the way when a link or a machine went is lost; the sender tries again at growing intervals until something comes back.

use super::flow::{Fin, SegmentKind, Stall};
use super::{ConnId, EndState, Happening, NEVER, World};

impl World {
    /// What is on the way is lost; the sender tries again. `began` is when it first sent what is lost. A reset is not sent again: who did not hear it
    /// and waits for an answer to what it sent tries again itself, and is answered anew. An idle end never hears of it.
    pub(super) fn stall(&mut self, id: ConnId, dir: u8, began: u64) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        let unheard = &conn.ends[1 - dir as usize];
        let sent = &mut conn.flows[1 - dir as usize];
        sent.settle(now);
        let unanswered = sent.acked < sent.written || matches!(sent.fin, Fin::Wanted | Fin::Sent);
        let asks_again = unanswered
            && unheard.state != EndState::Dead
            && !unheard.broken
            && conn.flows[dir as usize].segments.iter().any(|segment| segment.kind == SegmentKind::Reset);
        self.lose(id, dir, began);
        if asks_again {
            self.stall_answers(id, 1 - dir);
        }
    }

    fn lose(&mut self, id: ConnId, dir: u8, began: u64) {
        let now = self.now_us;
        let Some(conn) = self.conn(id) else { return };
        let sender_dead = conn.ends[dir as usize].state == EndState::Dead;
        let back = conn.flows[1 - dir as usize].link;
        let flow = &mut conn.flows[dir as usize];
        flow.arrive_at = NEVER;
        flow.gated = false;
        if sender_dead {
            flow.silence();
            self.forget_handshake(id);
            self.free_if_over(id);
            return;
        }
        flow.segments.retain(|segment| segment.kind != SegmentKind::Reset);
        for segment in &mut flow.segments {
            (segment.arrives, segment.lost) = (NEVER, 0);
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
        let receiver = &conn.ends[1 - dir as usize];
        let receiver_dead = receiver.state == EndState::Dead || receiver.broken || conn.flows[dir as usize].severed;
        let flow = &mut conn.flows[dir as usize];
        let Some(stall) = flow.stall.filter(|stall| stall.next == at) else { return };
        let link = flow.link;
        let (forward, backward) = (!self.is_blocked(link), !self.is_blocked(back));
        let round_trip = self.round_trip_us(link, back);
        self.tap_tries(id, dir, forward);
        if forward {
            // All that was lost.
            let served = self.service_free;
            self.launch_again(
                id,
                dir,
                |segment| segment.arrives == NEVER,
                |segment| (segment.sent_at, segment.served) = (now, served),
            );
            self.expect(id, dir);
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

    /// A direction of the wire between two hosts has gone dead: what is on it is lost.
    pub(super) fn cut(&mut self, link: u32) {
        self.tap_lost(|_, on| on == link);
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

    /// A sender before a closed window asks from time to time (the persist timer). That matters only where no answer would come by itself:
    /// the receiver has forgotten the connection and its reset was lost, or its machine is off.
    pub(super) fn probe(&mut self, id: ConnId, dir: u8) {
        let Some(conn) = self.conn(id) else { return };
        let (sender, receiver) = (&conn.ends[dir as usize], &conn.ends[1 - dir as usize]);
        let flow = &conn.flows[dir as usize];
        let waits = conn.established
            && sender.state != EndState::Dead
            && !sender.broken
            && flow.sent < flow.written
            && flow.segments.is_empty();
        let gone = receiver.state == EndState::Dead || receiver.broken || flow.severed;
        let to = receiver.host;
        if waits && (gone || !self.hosts[to as usize].powered) {
            self.stall_answers(id, dir);
        }
    }

    /// Answers a segment of a connection that this end does not know. If the answer is lost, the sender tries again.
    pub(super) fn answer_reset(&mut self, id: ConnId, end: u8) {
        self.send_reset(id, end);
        let Some(conn) = self.conn(id) else { return };
        let (sender, link) = (&conn.ends[1 - end as usize], conn.flows[end as usize].link);
        if sender.state != EndState::Dead && !sender.broken && self.is_blocked(link) {
            self.stall_answers(id, 1 - end);
        }
    }

    /// Only the answers were lost: what is on the way arrives, and the sender tries again because it hears nothing.
    pub(super) fn stall_answers(&mut self, id: ConnId, dir: u8) {
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
