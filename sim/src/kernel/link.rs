//! One direction of the wire between two hosts: when a segment that leaves now arrives.

use wire::draw::Draws;

use super::World;
use crate::config::LinkConfig;

/// A direction of a link, made when first used.
pub(crate) struct LinkState {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) config: LinkConfig,
    /// Nothing passes: established connections stall, requests vanish.
    pub(crate) cut: bool,
    /// When the transmitter is free again, in nanoseconds.
    free_ns: u64,
}

impl World {
    /// The link from one host to another.
    pub(crate) fn link(&mut self, from: u32, to: u32) -> u32 {
        if let Some(&link) = self.links_by_pair.get(&(from, to)) {
            return link;
        }
        let config = if from == to { self.config.loopback } else { self.config.link };
        let index = u32::try_from(self.links.len()).unwrap_or(u32::MAX);
        self.links.push(LinkState { from, to, config, cut: false, free_ns: 0 });
        self.links_by_pair.insert((from, to), index);
        index
    }

    pub(crate) fn link_state(&mut self, link: u32) -> &mut LinkState {
        &mut self.links[link as usize]
    }

    /// Nothing gets through: the link is cut, or a machine at an end of it is without power.
    pub(super) fn is_blocked(&self, link: u32) -> bool {
        let link = &self.links[link as usize];
        link.cut || !self.hosts[link.to as usize].powered || !self.hosts[link.from as usize].powered
    }

    /// The typical round trip over a pair of links.
    pub(super) fn round_trip_us(&self, out: u32, back: u32) -> u64 {
        self.links[out as usize].config.latency.typical() + self.links[back as usize].config.latency.typical()
    }

    /// When a segment that is ready now arrives, were the link whole: CPU, bandwidth, losses (each a retransmission time-out), delay.
    pub(super) fn carry(&mut self, out: u32, back: u32, bytes: u64, draws: &mut Draws) -> u64 {
        let from = self.links[out as usize].from;
        let mut at = self.serve(from, self.now_us, 1, bytes, 0);
        let config = self.links[out as usize].config;
        let mut tries = 0;
        if let Some(bits_per_s) = config.bandwidth {
            let free = self.links[out as usize].free_ns;
            let ahead_ns = free.saturating_sub(at * 1000);
            let queued = u128::from(ahead_ns) * u128::from(bits_per_s) / 8_000_000_000;
            if queued > 0 && queued + u128::from(bytes) > u128::from(config.queue_bytes_max) {
                // The queue overflows: lost, and comes again after the time-out.
                at += self.retransmit_after(tries, self.round_trip_us(out, back));
                tries += 1;
            }
            let needed = u128::from(bytes) * 8_000_000_000 / u128::from(bits_per_s.max(1));
            let sent = free.max(at * 1000).saturating_add(u64::try_from(needed).unwrap_or(u64::MAX));
            // What comes again later does not hold the transmitter until then.
            if tries == 0 {
                self.links[out as usize].free_ns = sent;
            }
            at = sent.div_ceil(1000);
        }
        if config.loss > 0.0 {
            let loss = config.loss.min(0.99);
            while tries < self.config.tcp.retransmits_max && draws.chance(loss) {
                at = at.saturating_add(self.retransmit_after(tries, self.round_trip_us(out, back)));
                tries += 1;
            }
        }
        at.saturating_add(config.latency.draw(draws))
    }

    /// When a handshake packet that leaves now arrives; None if it is lost.
    pub(super) fn carry_packet(&mut self, link: u32, draws: &mut Draws) -> Option<u64> {
        if self.is_blocked(link) {
            return None;
        }
        let from = self.links[link as usize].from;
        let at = self.serve(from, self.now_us, 1, 0, 0);
        let config = self.links[link as usize].config;
        if config.loss > 0.0 && draws.chance(config.loss) {
            return None;
        }
        Some(at.saturating_add(config.latency.draw(draws)))
    }
}
