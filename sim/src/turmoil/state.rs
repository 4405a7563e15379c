//! What the runner, the networks and the control share: one value in a thread-local.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::Commands;
use crate::config::{Latency, SimConfig, micros};
use crate::control::HostState;
use crate::failure::Cause;
use crate::fault::{self, FaultError, FaultId, FaultKind, Target};
use crate::kernel::Hit;
use crate::setup::HostId;
use crate::trace::{Route, Trace, TraceKind};
use crate::{guard, panics, whose};

/// What the control asks for, until the tick's end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Kill(HostId),
    Start(HostId),
    Hold(HostId, HostId),
    Release(HostId, HostId),
    Latency(HostId, HostId, Duration),
    /// What faults add to it.
    Extra(HostId, HostId, Duration),
}

struct Host {
    name: String,
    addr: IpAddr,
    foreground: bool,
    finished: bool,
    running: bool,
    boot: u32,
}

/// A fault in force.
struct Active {
    kind: FaultKind,
    hit: Hit,
    target: String,
    since_us: u64,
}

/// What is between two hosts, where it is not the default.
#[derive(Clone, Copy)]
struct Between {
    delay: Duration,
    /// What faults add.
    extra: Duration,
    held: bool,
}

pub(super) struct State {
    pub(super) seed: u64,
    pub(super) epoch_us: u64,
    pub(super) shards: usize,
    pub(super) elapsed_us: u64,
    pub(super) trace: Trace,
    pub(super) commands: Commands,
    pub(super) finish: bool,
    failure: Option<Cause>,
    hosts: Vec<Host>,
    /// The one-way delay where none is set.
    delay: Duration,
    /// By the lower and the higher host number.
    between: BTreeMap<(u32, u32), Between>,
    /// Faults in force, by their numbers.
    faults: BTreeMap<u32, Active>,
    faults_count: u32,
    polls_max: u64,
    /// Polls at the instant `polled_us`.
    polls: u64,
    polled_us: u64,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

pub(super) fn install(state: State) {
    STATE.with(|cell| *cell.borrow_mut() = Some(state));
}

pub(super) fn uninstall() -> Option<State> {
    STATE.with(|cell| cell.borrow_mut().take())
}

pub(super) fn with<R>(f: impl FnOnce(&mut State) -> R) -> Option<R> {
    STATE.try_with(|cell| cell.borrow_mut().as_mut().map(f)).ok().flatten()
}

/// Virtual microseconds since the run began.
pub(crate) fn now_us() -> u64 {
    match turmoil::sim_elapsed() {
        Some(elapsed) => micros(elapsed),
        None => with(|state| state.elapsed_us).unwrap_or(0),
    }
}

/// A host's name.
pub(crate) fn host_name(host: u32) -> Option<String> {
    with(|state| state.hosts.get(host as usize).map(|host| host.name.clone())).flatten()
}

/// Runs a future so that a panic of it fails the run and ends only this task.
pub(super) async fn caught<F: Future>(host: u32, task: &'static str, future: F) -> Option<F::Output> {
    let mut future: Pin<Box<F>> = Box::pin(future);
    let mut own = (0, 0);
    poll_fn(move |cx| {
        if is_runaway(host, task, &mut own) {
            return Poll::Ready(None);
        }
        let poll = || whose::in_the_name_of(host, task, || future.as_mut().poll(cx));
        match guard::watched(|| catch_unwind(AssertUnwindSafe(poll))) {
            Ok(polled) => polled.map(Some),
            Err(_) => {
                with(|state| {
                    let name = state.hosts.get(host as usize).map_or("", |host| host.name.as_str());
                    let cause = panics::taken(name, task);
                    state.failure.get_or_insert(cause);
                });
                Poll::Ready(None)
            }
        }
    })
    .await
}

/// Counts a poll, of all and of this task (instant, polls). True if there were too many at this instant: the run fails, the task ends.
fn is_runaway(host: u32, task: &str, own: &mut (u64, u64)) -> bool {
    let now = now_us();
    if own.0 != now {
        *own = (now, 0);
    }
    own.1 += 1;
    with(|state| {
        if state.polled_us != now {
            state.polled_us = now;
            state.polls = 0;
        }
        state.polls += 1;
        if state.polls <= state.polls_max {
            return false;
        }
        let name = state.hosts.get(host as usize).map_or("", |host| host.name.as_str()).to_owned();
        let busiest = vec![(name, task.to_owned(), own.1)];
        state.failure.get_or_insert(Cause::Livelock { polls: state.polls, busiest });
        true
    })
    .unwrap_or(false)
}

/// The main future of a host has ended.
pub(super) fn ended(host: u32, boot: u32, result: Option<Result<(), String>>) {
    with(|state| {
        let machine = &mut state.hosts[host as usize];
        if machine.boot != boot {
            return;
        }
        machine.finished = result.is_some();
        if let Some(Err(error)) = result {
            state.failure.get_or_insert(Cause::Program { host: machine.name.clone(), error });
        }
        state.commands.push_back(Command::Kill(HostId(host)));
    });
}

impl State {
    pub(super) fn new(config: &SimConfig) -> Self {
        Self {
            seed: config.seed,
            epoch_us: config.epoch.as_micros(),
            shards: config.shards.max(1),
            elapsed_us: 0,
            trace: Trace::new(config),
            commands: Commands::new(),
            finish: false,
            failure: None,
            hosts: Vec::new(),
            delay: Duration::ZERO,
            between: BTreeMap::new(),
            faults: BTreeMap::new(),
            faults_count: 0,
            polls_max: config.polls_per_instant_max.max(1),
            polls: 0,
            polled_us: 0,
        }
    }

    /// Sets the one-way delay between hosts for which [`State::set_delay`] sets no other.
    pub(super) fn set_default_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    fn between(&mut self, a: HostId, b: HostId) -> &mut Between {
        let default = Between { delay: self.delay, extra: Duration::ZERO, held: false };
        self.between.entry((a.0.min(b.0), a.0.max(b.0))).or_insert(default)
    }

    pub(super) fn set_delay(&mut self, a: HostId, b: HostId, delay: Duration) {
        self.between(a, b).delay = delay;
    }

    pub(super) fn set_extra(&mut self, a: HostId, b: HostId, extra: Duration) {
        self.between(a, b).extra = extra;
    }

    /// The one-way delay between two hosts.
    pub(super) fn delay(&self, a: HostId, b: HostId) -> Duration {
        self.between.get(&(a.0.min(b.0), a.0.max(b.0))).map_or(self.delay, |between| between.delay + between.extra)
    }

    /// Begins a fault that turmoil can express.
    pub(super) fn strike(&mut self, at_us: u64, kind: &FaultKind, target: &Target) -> Result<FaultId, FaultError> {
        let names: Vec<&str> = self.hosts.iter().map(|host| host.name.as_str()).collect();
        let hit = fault::resolve(kind, target, &names)?;
        self.faults_count += 1;
        let id = self.faults_count;
        self.tell(at_us, id, kind, target.to_string(), "begins");
        let dying = hit.hosts.iter().filter(|_| matches!(kind, FaultKind::Kill | FaultKind::Restart));
        for &host in dying {
            self.commands.push_back(Command::Kill(HostId(host)));
            if *kind == FaultKind::Restart {
                self.commands.push_back(Command::Start(HostId(host)));
            }
        }
        if !kind.is_instant() {
            let target = target.to_string();
            self.faults.insert(id, Active { kind: kind.clone(), hit: hit.clone(), target, since_us: at_us });
            self.relink(&hit);
        }
        Ok(FaultId(id))
    }

    /// Ends one.
    pub(super) fn lift(&mut self, at_us: u64, id: FaultId) {
        let Some(Active { kind, hit, target, .. }) = self.faults.remove(&id.0) else { return };
        self.tell(at_us, id.0, &kind, target, "ends");
        for &host in hit.hosts.iter().filter(|_| kind == FaultKind::Kill) {
            let killed = |other: &Active| other.kind == FaultKind::Kill && other.hit.hosts.contains(&host);
            if !self.faults.values().any(killed) {
                self.commands.push_back(Command::Start(HostId(host)));
            }
        }
        self.relink(&hit);
    }

    fn tell(&mut self, at_us: u64, id: u32, kind: &FaultKind, target: String, how: &str) {
        let text = format!("{} {target} {how}", kind.word());
        let route = Route { conn: u64::from(id), ..Route::fault(0) };
        self.trace.add(at_us, route, TraceKind::Fault, text.as_bytes());
    }

    /// What the faults in force make of the links of a hit.
    fn relink(&mut self, hit: &Hit) {
        for &(a, b) in hit.ways.iter().filter(|(a, b)| a < b) {
            let over = || self.on_way(a, b);
            let held = over().any(|kind| matches!(kind, FaultKind::Partition | FaultKind::Stall));
            let extra = over().fold(Duration::ZERO, |sum, kind| match kind {
                FaultKind::Latency { latency: Latency::Fixed(delay), .. } => sum + *delay,
                _ => sum,
            });
            let (a, b) = (HostId(a), HostId(b));
            let was = *self.between(a, b);
            if held != was.held {
                self.commands.push_back(if held { Command::Hold(a, b) } else { Command::Release(a, b) });
            }
            if extra != was.extra {
                self.commands.push_back(Command::Extra(a, b, extra));
            }
        }
    }

    /// The faults in force on what one host sends to another.
    fn on_way(&self, from: u32, to: u32) -> impl Iterator<Item = &FaultKind> {
        let on_it = self.faults.values().filter(move |active| active.hit.ways.contains(&(from, to)));
        on_it.map(|active| &active.kind)
    }

    /// How far a host's wall clock is off, in microseconds.
    pub(super) fn clock_error(&self, host: u32, now_us: u64) -> i64 {
        let hitting = self.faults.values().filter(|active| active.hit.hosts.contains(&host));
        hitting.fold(0, |off: i64, active| {
            off.saturating_add(active.kind.clock_error_us(now_us.saturating_sub(active.since_us)))
        })
    }

    /// How a lookup of the host named `name` by `from` goes: how much longer it takes, and whether it fails.
    pub(super) fn lookup_trouble(&self, from: u32, name: &str) -> (Duration, bool) {
        let Some(to) = self.hosts.iter().position(|host| host.name == name) else { return (Duration::ZERO, false) };
        self.on_way(from, to as u32).fold((Duration::ZERO, false), |(sum, fails), kind| match kind {
            FaultKind::SlowLookup { delay } => (sum + *delay, fails),
            FaultKind::Nxdomain => (sum, true),
            _ => (sum, fails),
        })
    }

    pub(super) fn set_held(&mut self, a: HostId, b: HostId, held: bool) {
        self.between(a, b).held = held;
    }

    pub(super) fn host_at(&self, addr: IpAddr) -> Option<u32> {
        self.hosts.iter().position(|host| host.addr == addr).map(|index| index as u32)
    }

    /// The machine at `addr` is within reach and runs no program, or a fault refuses who asks.
    pub(super) fn refuses(&self, from: u32, addr: IpAddr) -> bool {
        self.host_at(addr).is_some_and(|to| {
            let held = self.between.get(&(from.min(to), from.max(to))).is_some_and(|between| between.held);
            let refused = || self.on_way(from, to).any(|kind| *kind == FaultKind::Refuse);
            !held && (!self.hosts[to as usize].running || refused())
        })
    }

    /// Twice the one-way delay, at least a millisecond.
    pub(super) fn round_trip(&self, from: u32, addr: IpAddr) -> Duration {
        let delay = self.host_at(addr).map_or(self.delay, |to| self.delay(HostId(from), HostId(to)));
        (delay * 2).max(Duration::from_millis(1))
    }

    pub(super) fn add_host(&mut self, name: &str, addr: IpAddr, foreground: bool) {
        let name = name.to_owned();
        self.hosts.push(Host { name, addr, foreground, finished: false, running: true, boot: 0 });
    }

    /// A program starts: its incarnation, from 1.
    pub(super) fn boot(&mut self, host: u32) -> u32 {
        let machine = &mut self.hosts[host as usize];
        machine.boot += 1;
        machine.boot
    }

    pub(super) fn stop(&mut self, host: HostId) -> bool {
        std::mem::replace(&mut self.hosts[host.index()].running, false)
    }

    pub(super) fn start(&mut self, host: HostId) -> bool {
        let machine = &mut self.hosts[host.index()];
        machine.finished = false;
        !std::mem::replace(&mut machine.running, true)
    }

    pub(super) fn host_state(&self, host: HostId) -> Option<HostState> {
        let machine = self.hosts.get(host.index())?;
        Some(if machine.running { HostState::Running } else { HostState::Stopped })
    }

    pub(super) fn name(&self, host: u32) -> &str {
        &self.hosts[host as usize].name
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.name.clone()).collect()
    }

    pub(super) fn addr(&self, name: &str) -> Option<IpAddr> {
        self.hosts.iter().find(|host| host.name == name).map(|host| host.addr)
    }

    pub(super) fn is_own_addr(&self, host: u32, addr: IpAddr) -> bool {
        self.hosts[host as usize].addr == addr
    }

    pub(super) fn is_unfinished(&self) -> bool {
        self.hosts.iter().any(|host| host.foreground && !host.finished)
    }

    pub(super) fn verdict(&mut self) -> Option<Result<(), Cause>> {
        if let Some(cause) = self.failure.take() {
            return Some(Err(cause));
        }
        let done = self.hosts.iter().any(|host| host.foreground) && !self.is_unfinished();
        (self.finish || done).then_some(Ok(()))
    }
}
