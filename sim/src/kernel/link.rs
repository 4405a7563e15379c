//! One direction of the wire between two hosts: when a segment that leaves now arrives.

use std::collections::VecDeque;
use std::time::Duration;

use wire::draw::Draws;

use super::cpu::Work;
use super::{NEVER, World};
use crate::config::{LinkConfig, micros};
use crate::fault::FaultKind;

/// A direction of a link, made when first used.
pub(crate) struct LinkState {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) config: LinkConfig,
    pub(crate) toxics: Vec<Toxic>,
    /// Nothing passes: established connections stall, requests vanish.
    pub(crate) cut: bool,
    /// Nothing arrives, nothing is lost.
    pub(crate) held: bool,
    /// Handshakes that are held.
    pub(super) parked: Vec<super::Happening>,
    /// Bits per second, with all faults.
    pub(super) bandwidth: Option<u64>,
    queue_bytes_max: u64,
    /// Loss of each segment by itself, with all faults.
    loss: f64,
    /// What acknowledgements take one way, with all faults.
    pub(super) typical_us: u64,
    /// When the transmitter is free again, in nanoseconds.
    free_ns: u64,
}

/// A fault on a link.
pub(crate) struct Toxic {
    pub(crate) fault: u32,
    pub(crate) kind: FaultKind,
    pub(super) draws: Draws,
    spells: Spells,
}

/// Good and bad spells in turn, as far as they have been looked at.
struct Spells {
    /// Until when each lasts. Even places are good if `first_good`.
    until: VecDeque<u64>,
    first_good: bool,
    last_us: u64,
}

/// A segment's way over a link.
pub(super) struct Carried {
    /// When the sender's CPU is done with it and with all before it.
    pub(super) ready: u64,
    /// When it has left the transmitter.
    pub(super) departs: u64,
    /// When it arrives; None: it is lost.
    pub(super) arrives: Option<u64>,
}

impl Toxic {
    pub(super) fn new(fault: u32, kind: FaultKind, draws: Draws, now_us: u64) -> Self {
        Self { fault, kind, draws, spells: Spells { until: VecDeque::new(), first_good: true, last_us: now_us } }
    }

    /// The share of segments lost at `at_us`. What is past at `now_us` is forgotten.
    fn burst(&mut self, now_us: u64, at_us: u64) -> f64 {
        let FaultKind::BurstLoss { good, bad, loss_good, loss_bad } = self.kind else { return 0.0 };
        let spells = &mut self.spells;
        while spells.until.back().is_none_or(|until| *until <= at_us) {
            let is_good = spells.first_good == spells.until.len().is_multiple_of(2);
            let mean = micros(if is_good { good } else { bad }) as f64;
            let lasts = self.draws.exponential(mean).clamp(1.0, 1e15) as u64;
            spells.last_us = spells.last_us.saturating_add(lasts);
            spells.until.push_back(spells.last_us);
        }
        while spells.until.front().is_some_and(|until| *until <= now_us) {
            spells.until.pop_front();
            spells.first_good = !spells.first_good;
        }
        let place = spells.until.iter().position(|until| *until > at_us).unwrap_or_default();
        if spells.first_good == place.is_multiple_of(2) { loss_good } else { loss_bad }
    }

    /// What it adds to a segment's delay.
    fn delay(&mut self) -> u64 {
        match &self.kind {
            FaultKind::Latency { latency, jitter } => {
                let jitter_us = self.draws.below(micros(*jitter).saturating_add(1).max(1));
                latency.draw(&mut self.draws).saturating_add(jitter_us)
            }
            _ => 0,
        }
    }
}

impl LinkState {
    fn new(from: u32, to: u32, config: LinkConfig) -> Self {
        let mut link = Self {
            from,
            to,
            config,
            toxics: Vec::new(),
            cut: false,
            held: false,
            parked: Vec::new(),
            bandwidth: None,
            queue_bytes_max: 0,
            loss: 0.0,
            typical_us: 0,
            free_ns: 0,
        };
        link.work_out();
        link
    }

    /// Works out what the faults in force make of it.
    pub(super) fn work_out(&mut self) {
        let LinkConfig { latency, bandwidth, queue_bytes_max, loss } = self.config;
        (self.bandwidth, self.queue_bytes_max) = (bandwidth, queue_bytes_max);
        (self.cut, self.held, self.typical_us) = (false, false, latency.typical());
        let mut passes = 1.0 - loss;
        for toxic in &self.toxics {
            match &toxic.kind {
                FaultKind::Partition => self.cut = true,
                FaultKind::Stall => self.held = true,
                FaultKind::Latency { latency, jitter } => {
                    self.typical_us += latency.typical() + micros(*jitter) / 2;
                }
                FaultKind::Bandwidth { bits_per_s, queue_bytes } => {
                    let rate = (*bits_per_s).max(1);
                    self.bandwidth = Some(self.bandwidth.map_or(rate, |other| other.min(rate)));
                    self.queue_bytes_max = self.queue_bytes_max.min(*queue_bytes);
                }
                FaultKind::Loss { share } => passes *= 1.0 - share,
                _ => {}
            }
        }
        self.loss = if self.toxics.is_empty() { loss } else { 1.0 - passes };
    }

    /// When a segment that is ready at `at_us` has left the transmitter; None if the queue overflows.
    fn depart(&mut self, at_us: u64, bytes: u64) -> Option<u64> {
        let Some(bits_per_s) = self.bandwidth else { return Some(at_us) };
        let queued = u128::from(self.free_ns.saturating_sub(at_us * 1000)) * u128::from(bits_per_s) / 8_000_000_000;
        if queued > 0 && queued + u128::from(bytes) > u128::from(self.queue_bytes_max) {
            return None;
        }
        let needed = u128::from(bytes) * 8_000_000_000 / u128::from(bits_per_s.max(1));
        self.free_ns = self.free_ns.max(at_us * 1000).saturating_add(u64::try_from(needed).unwrap_or(u64::MAX));
        Some(self.free_ns.div_ceil(1000))
    }

    fn loses(&mut self, now_us: u64, at_us: u64, draws: &mut Draws) -> bool {
        let mut lost = self.loss > 0.0 && draws.chance(self.loss);
        for toxic in &mut self.toxics {
            let share = toxic.burst(now_us, at_us);
            lost |= share > 0.0 && toxic.draws.chance(share);
        }
        lost
    }

    fn delay(&mut self, draws: &mut Draws) -> u64 {
        let own = self.config.latency.draw(draws);
        self.toxics.iter_mut().fold(own, |sum, toxic| sum.saturating_add(toxic.delay()))
    }
}

impl World {
    /// The link from one host to another.
    pub(crate) fn link(&mut self, from: u32, to: u32) -> u32 {
        if let Some(&link) = self.links_by_pair.get(&(from, to)) {
            return link;
        }
        let config = if from == to { self.config.loopback } else { self.config.link };
        let index = u32::try_from(self.links.len()).unwrap_or(u32::MAX);
        self.links.push(LinkState::new(from, to, config));
        self.links_by_pair.insert((from, to), index);
        index
    }

    pub(crate) fn link_state(&mut self, link: u32) -> &mut LinkState {
        &mut self.links[link as usize]
    }

    /// Changes a link, and lets what is on it feel the change.
    pub(crate) fn change_link(&mut self, index: u32, change: impl FnOnce(&mut LinkState)) {
        let link = &mut self.links[index as usize];
        let (cut, held, rate) = (link.cut, link.held, link.bandwidth);
        change(link);
        link.work_out();
        let (now_cut, now_held, now_rate) = (link.cut, link.held, link.bandwidth);
        if now_cut && !cut {
            self.cut(index);
        }
        match (held, now_held) {
            (false, true) => self.hold(index),
            (true, false) => self.release_held(index),
            _ => {}
        }
        if rate != now_rate {
            self.rescale(index, rate, now_rate);
        }
        self.nudge(index);
    }

    /// The rate has changed: what waits for the transmitter leaves sooner or later by as much.
    fn rescale(&mut self, index: u32, before: Option<u64>, after: Option<u64>) {
        let Some(before) = before else { return };
        let now = self.now_us;
        let scaled = |left: u64| match after {
            None => 0,
            Some(after) => {
                u64::try_from(u128::from(left) * u128::from(before) / u128::from(after.max(1))).unwrap_or(u64::MAX)
            }
        };
        let link = &mut self.links[index as usize];
        link.free_ns = (now * 1000).saturating_add(scaled(link.free_ns.saturating_sub(now * 1000)));
        for id in self.flows_over(index) {
            let Some(conn) = self.conn(id.0) else { continue };
            for segment in &mut conn.flows[id.1 as usize].segments {
                if segment.departs > now && segment.arrives < super::flow::HELD {
                    let departs = now.saturating_add(scaled(segment.departs - now));
                    segment.arrives = segment.arrives.saturating_sub(segment.departs).saturating_add(departs);
                    segment.departs = departs;
                }
            }
            self.expect(id.0, id.1);
        }
    }

    /// Nothing gets through: the link is cut, or a machine at an end of it is without power.
    pub(super) fn is_blocked(&self, link: u32) -> bool {
        let link = &self.links[link as usize];
        link.cut || !self.hosts[link.to as usize].powered || !self.hosts[link.from as usize].powered
    }

    /// The typical round trip over a pair of links.
    pub(super) fn round_trip_us(&self, out: u32, back: u32) -> u64 {
        self.links[out as usize].typical_us + self.links[back as usize].typical_us
    }

    /// How a segment of the connection with this number fares that is sent now, were the link whole: CPU, bandwidth, loss, delay. Its forerunner is ready at
    /// `after_us`.
    pub(super) fn carry(&mut self, out: u32, number: u64, bytes: u64, after_us: u64, draws: &mut Draws) -> Carried {
        let (from, now) = (self.links[out as usize].from, self.now_us);
        let ready = self.serve(from, number, Work { segments: 1, bytes, connections: 0 }).max(after_us);
        let link = &mut self.links[out as usize];
        let Some(departs) = link.depart(ready, bytes) else { return Carried { ready, departs: ready, arrives: None } };
        if link.loses(now, departs, draws) {
            return Carried { ready, departs, arrives: None };
        }
        Carried { ready, departs, arrives: Some(departs.saturating_add(link.delay(draws)).min(NEVER - 2)) }
    }

    /// When a handshake packet that is sent now, and leaves at `after_us` at the earliest, arrives; None if it is lost.
    pub(super) fn carry_packet(&mut self, link: u32, number: u64, after_us: u64, draws: &mut Draws) -> Option<u64> {
        if self.is_blocked(link) {
            return None;
        }
        let (from, now) = (self.links[link as usize].from, self.now_us);
        let at = self.serve(from, number, Work { segments: 1, bytes: 0, connections: 0 }).max(after_us);
        let link = &mut self.links[link as usize];
        if link.loses(now, at, draws) {
            return None;
        }
        Some(at.saturating_add(link.delay(draws)))
    }

    /// The directions of connections that go over a link, in order of their places.
    pub(super) fn flows_over(&self, link: u32) -> Vec<(super::ConnId, u8)> {
        self.conns
            .iter()
            .flat_map(|(index, conn)| {
                (0..2_u8)
                    .filter(move |dir| conn.flows[*dir as usize].link == link)
                    .map(move |dir| (conn.id(index), dir))
            })
            .collect()
    }

    /// Whether a toxic of this kind is on the link.
    pub(super) fn has_toxic(&self, link: u32, which: impl Fn(&FaultKind) -> bool) -> bool {
        self.links[link as usize].toxics.iter().any(|toxic| which(&toxic.kind))
    }

    /// Faults that close connections from the middle some time after they were opened.
    pub(super) fn close_later(&mut self, id: super::ConnId) {
        let Some(conn) = self.conn(id) else { return };
        let links = [conn.flows[0].link, conn.flows[1].link];
        let mut due: Vec<(u32, Duration)> = Vec::new();
        for link in links {
            for toxic in &self.links[link as usize].toxics {
                if let FaultKind::Timeout { closes_after: Some(after) } = toxic.kind
                    && due.iter().all(|(fault, _)| *fault != toxic.fault)
                {
                    due.push((toxic.fault, after));
                }
            }
        }
        for (fault, after) in due {
            self.schedule(self.now_us.saturating_add(micros(after)), super::Happening::Close { conn: id, fault });
        }
    }
}
