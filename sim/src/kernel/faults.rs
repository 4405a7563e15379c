//! Faults in force: who is hit by what, and what that makes of hosts and links.

use std::collections::BTreeMap;
use std::time::Duration;

use super::link::Toxic;
use super::{ConnId, Happening, World};
use crate::config::micros;
use crate::fault::{Due, Fault, FaultEvent, FaultId, FaultKind};
use crate::trace::{Route, TraceKind};

/// Beginnings and ends of faults that a report tells of.
const LOG_MAX: usize = 10_000;

/// Whom a fault hits: hosts, or ways from one to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) hosts: Vec<u32>,
    pub(crate) ways: Vec<(u32, u32)>,
}

/// A fault in force.
struct Active {
    kind: FaultKind,
    hit: Hit,
    target: String,
    since_us: u64,
    /// A slow host that costs no CPU time goes by turns.
    turns: bool,
}

/// All faults of a run.
#[derive(Default)]
pub(crate) struct Faults {
    count: u32,
    active: BTreeMap<u32, Active>,
    /// The plan, and what its faults are in force as.
    pub(crate) planned: Vec<(Fault, Option<FaultId>)>,
    /// What is switched on by hand.
    pub(crate) switched: BTreeMap<(&'static str, String), FaultId>,
    /// What the clock has brought.
    pub(crate) due: Vec<Due>,
    pub(crate) log: Vec<FaultEvent>,
}

impl World {
    /// Begins a fault, as far as kernels and links are concerned, and gives its number.
    pub(crate) fn strike(&mut self, kind: &FaultKind, hit: &Hit, target: &str) -> u32 {
        self.faults.count += 1;
        let id = self.faults.count;
        self.tell(id, kind.word(), target, hit, true);
        if kind.is_instant() {
            if *kind == FaultKind::HalfOpen {
                self.each_end(&hit.ways, Self::forget);
            }
            return id;
        }
        let turns = matches!(kind, FaultKind::SlowHost { .. })
            && hit.hosts.iter().all(|host| self.hosts[*host as usize].cpu.is_free());
        let active =
            Active { kind: kind.clone(), hit: hit.clone(), target: target.to_owned(), since_us: self.now_us, turns };
        self.faults.active.insert(id, active);
        for &host in &hit.hosts {
            if let FaultKind::SlowHost { times, period } = kind
                && turns
            {
                self.next_turn(id, host, *times, *period, false);
            }
            if *kind == FaultKind::PowerOff {
                self.power_off(host);
            }
            self.hurt(host);
        }
        for &(from, to) in &hit.ways {
            let link = self.link(from, to);
            let toxic = Toxic::new(id, kind.clone(), self.draws(kind.word(), way_key(id, from, to)), self.now_us);
            self.change_link(link, |state| state.toxics.push(toxic));
        }
        match *kind {
            FaultKind::ResetPeer { bytes: 0 } => self.each_conn(&hit.ways, Self::cut_off),
            FaultKind::Timeout { closes_after: Some(after) } => {
                let at = self.now_us.saturating_add(micros(after));
                self.each_conn(&hit.ways, |world, conn| world.schedule(at, Happening::Close { conn, fault: id }));
            }
            _ => {}
        }
        id
    }

    /// Ends a fault; None if it is not in force.
    pub(crate) fn lift(&mut self, id: u32) -> Option<(FaultKind, Hit)> {
        let Active { kind, hit, target, .. } = self.faults.active.remove(&id)?;
        self.tell(id, kind.word(), &target, &hit, false);
        for &host in &hit.hosts {
            if kind == FaultKind::PowerOff && !self.is_hit(host, |kind| *kind == FaultKind::PowerOff) {
                self.hosts[host as usize].powered = true;
            }
            self.hurt(host);
        }
        for &(from, to) in &hit.ways {
            let link = self.link(from, to);
            self.change_link(link, |state| state.toxics.retain(|toxic| toxic.fault != id));
        }
        Some((kind, hit))
    }

    fn tell(&mut self, id: u32, kind: &'static str, target: &str, hit: &Hit, begins: bool) {
        let host = hit.hosts.first().or(hit.ways.first().map(|(from, _)| from)).copied().unwrap_or_default();
        let text = format!("{kind} {target} {}", if begins { "begins" } else { "ends" });
        let at_us = self.now_us;
        let route = Route { conn: u64::from(id), ..Route::fault(host) };
        self.trace.add(at_us, route, TraceKind::Fault, text.as_bytes());
        if self.faults.log.len() < LOG_MAX {
            self.faults.log.push(FaultEvent { at_us, id, kind, target: target.to_owned(), begins });
        }
    }

    fn is_hit(&self, host: u32, which: impl Fn(&FaultKind) -> bool) -> bool {
        self.faults.active.values().any(|active| which(&active.kind) && active.hit.hosts.contains(&host))
    }

    /// Whether a program that is to start again may: no other fault holds its process or machine down.
    pub(crate) fn may_run(&self, host: u32) -> bool {
        self.hosts[host as usize].powered
            && !self.is_hit(host, |kind| matches!(kind, FaultKind::Kill | FaultKind::PowerOff))
    }

    pub(crate) fn is_active(&self, id: u32) -> bool {
        self.faults.active.contains_key(&id)
    }

    /// Works out what the faults in force make of a host.
    fn hurt(&mut self, host: u32) {
        let (mut times, mut descriptors_max, mut backlog_max) = (1.0, usize::MAX, usize::MAX);
        for active in self.faults.active.values().filter(|active| active.hit.hosts.contains(&host)) {
            match active.kind {
                FaultKind::SlowHost { times: slower, .. } if !active.turns => times *= slower,
                FaultKind::Descriptors { at_most } => descriptors_max = descriptors_max.min(at_most as usize),
                FaultKind::Backlog { at_most } => backlog_max = backlog_max.min(at_most as usize),
                _ => {}
            }
        }
        let host = &mut self.hosts[host as usize];
        (host.descriptors_max, host.backlog_max) = (descriptors_max, backlog_max);
        host.cpu.slow_down(times);
    }

    /// How far a host's wall clock is off, in microseconds.
    pub(crate) fn clock_error(&self, host: u32) -> i64 {
        let hitting = self.faults.active.values().filter(|active| active.hit.hosts.contains(&host));
        hitting
            .fold(0, |off: i64, active| off.saturating_add(active.kind.clock_error_us(self.now_us - active.since_us)))
    }

    /// A turn of a slow host is over: whether the fault is still in force. The next one is put on the clock.
    pub(crate) fn turn(&mut self, id: u32, host: u32, runs: bool) -> bool {
        let Some(Active { kind: FaultKind::SlowHost { times, period }, .. }) = self.faults.active.get(&id) else {
            return false;
        };
        let (times, period) = (*times, *period);
        self.next_turn(id, host, times, period, !runs);
        true
    }

    fn next_turn(&mut self, fault: u32, host: u32, times: f64, period: Duration, runs: bool) {
        let period = micros(period).max(2);
        let running = ((period as f64 / times.max(1.0)) as u64).clamp(1, period - 1);
        let lasts = if runs { period - running } else { running };
        self.schedule(self.now_us.saturating_add(lasts), Happening::Fault(Due::Turn { fault, host, runs }));
    }

    /// How a lookup of the host named `name` by `from` goes: how much longer it takes, and whether it fails.
    pub(crate) fn lookup_trouble(&mut self, from: u32, name: &str) -> (u64, bool) {
        let Some(to) = self.hosts.iter().position(|host| host.name == name) else { return (0, false) };
        let Some(&link) = self.links_by_pair.get(&(from, to as u32)) else { return (0, false) };
        let (mut delay_us, mut fails) = (0_u64, false);
        for toxic in &self.links[link as usize].toxics {
            match toxic.kind {
                FaultKind::SlowLookup { delay } => delay_us = delay_us.saturating_add(micros(delay)),
                FaultKind::Nxdomain => fails = true,
                _ => {}
            }
        }
        (delay_us, fails)
    }

    /// Calls `f` for each established connection that uses one of the ways.
    fn each_conn(&mut self, ways: &[(u32, u32)], mut f: impl FnMut(&mut Self, ConnId)) {
        let mut last = None;
        self.each_end(ways, |world, id, _| {
            if last.replace(id) != Some(id) {
                f(world, id);
            }
        });
    }

    /// Calls `f` for each end of an established connection whose way out is one of these.
    fn each_end(&mut self, ways: &[(u32, u32)], mut f: impl FnMut(&mut Self, ConnId, u8)) {
        let ends: Vec<(ConnId, u8)> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.established)
            .flat_map(|(index, conn)| {
                let way = |end: u8| (conn.ends[end as usize].host, conn.ends[1 - end as usize].host);
                let hit = (0..2_u8).filter(move |end| ways.binary_search(&way(*end)).is_ok());
                hit.map(move |end| (conn.id(index), end))
            })
            .collect();
        for (id, end) in ends {
            f(self, id, end);
        }
    }
}

/// Names the draws of one fault on one way.
fn way_key(id: u32, from: u32, to: u32) -> u64 {
    u64::from(from) << 42 | u64::from(to) << 21 | u64::from(id & 0x1f_ffff)
}
