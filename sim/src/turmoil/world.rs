//! What the hosts of one run share. One lock, never held while a program or turmoil runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wire::draw::Draws;
use wire::net::WallTime;

use super::TurmoilConfig;
use super::stream::Window;
use crate::failure::{Cause, Report};
use crate::trace::{Trace, TraceKind};
use crate::{HostId, HostState};

/// Task polls in one step of a millisecond, over all hosts, beyond which the run is a livelock.
const POLLS_PER_STEP_MAX: u64 = 5_000_000;

/// What happens to the world between two steps: turmoil cannot be reached from inside.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Stop(HostId),
    Start(HostId),
    Hold(HostId, HostId),
    Release(HostId, HostId),
    Cut(HostId),
    Mend(HostId),
    Latency(HostId, HostId, Duration),
}

pub(super) struct Shared {
    seed: u64,
    epoch: WallTime,
    /// How long a refusal takes.
    pub(super) round_trip: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hosts: Vec<Host>,
    commands: VecDeque<Command>,
    held: BTreeSet<(u32, u32)>,
    windows: BTreeMap<(SocketAddr, SocketAddr), Arc<Window>>,
    failure: Option<Cause>,
    foreground_left: usize,
    has_foreground: bool,
    over: bool,
    stepping: bool,
    now_us: u64,
    polls: u64,
    polls_this_step: u64,
    trace: Trace,
}

struct Host {
    name: String,
    ip: Ipv4Addr,
    state: HostState,
    boot: u32,
    foreground: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("turmoil's world")
    }
}

impl Shared {
    pub(super) fn new(config: &TurmoilConfig) -> Self {
        Self {
            seed: config.seed,
            epoch: config.epoch,
            round_trip: config.latency_min.saturating_mul(2),
            state: Mutex::new(State { trace: Trace::new(0), ..State::default() }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The run.

    pub(super) fn begin_step(&self) {
        let mut state = self.state();
        state.stepping = true;
        state.polls_this_step = 0;
    }

    pub(super) fn end_step(&self, now_us: u64) {
        let mut state = self.state();
        state.stepping = false;
        state.now_us = now_us;
    }

    pub(super) fn failure(&self) -> Option<Cause> {
        self.state().failure.clone()
    }

    /// Keeps the first failure: the rest follow from it.
    pub(super) fn fail(&self, cause: Cause) {
        self.state().failure.get_or_insert(cause);
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }

    pub(super) fn finish(&self) {
        self.state().over = true;
    }

    pub(super) fn has_foreground(&self) -> bool {
        self.state().has_foreground
    }

    pub(super) fn next_command(&self) -> Option<Command> {
        self.state().commands.pop_front()
    }

    pub(super) fn report(&self) -> Report {
        let state = self.state();
        Report {
            trace_hash: state.trace.hash,
            trace_count: state.trace.count,
            elapsed_us: state.now_us,
            polls: state.polls,
            ..Report::default()
        }
    }

    /// Virtual microseconds. turmoil's own clock can be asked inside a step only.
    pub(super) fn now_us(&self) -> u64 {
        let (stepping, last) = {
            let state = self.state();
            (state.stepping, state.now_us)
        };
        if !stepping {
            return last;
        }
        ::turmoil::sim_elapsed().map_or(last, crate::config::micros)
    }

    pub(super) fn trace(&self, host: HostId, conn: u64, kind: TraceKind, payload: &[u8]) {
        let now_us = self.now_us();
        self.state().trace.add(now_us, host.0, conn, kind, payload);
    }

    /// Counts a poll; false if there were too many at this instant.
    pub(super) fn may_poll(&self, host: HostId, task: &str) -> bool {
        let mut state = self.state();
        state.polls += 1;
        state.polls_this_step += 1;
        if state.polls_this_step <= POLLS_PER_STEP_MAX {
            return true;
        }
        let polls = state.polls_this_step;
        let name = state.hosts.get(host.index()).map(|host| host.name.clone()).unwrap_or_default();
        let busiest = vec![(name, task.to_owned(), polls)];
        state.failure.get_or_insert(Cause::Livelock { polls, busiest });
        false
    }

    // Hosts.

    pub(super) fn add_host(&self, name: &str, ip: Ipv4Addr, foreground: bool) -> HostId {
        let mut state = self.state();
        assert!(state.hosts.iter().all(|host| host.name != name), "two hosts are named {name}");
        let id = HostId(u32::try_from(state.hosts.len()).unwrap_or(u32::MAX));
        state.hosts.push(Host { name: name.to_owned(), ip, state: HostState::Running, boot: 1, foreground });
        state.foreground_left += usize::from(foreground);
        state.has_foreground |= foreground;
        id
    }

    fn host<T>(&self, host: HostId, f: impl FnOnce(&Host) -> T) -> Option<T> {
        self.state().hosts.get(host.index()).map(f)
    }

    pub(super) fn ip(&self, host: HostId) -> IpAddr {
        self.host(host, |host| host.ip).unwrap_or(Ipv4Addr::UNSPECIFIED).into()
    }

    pub(super) fn name(&self, host: HostId) -> String {
        self.host(host, |host| host.name.clone()).unwrap_or_default()
    }

    pub(super) fn boot(&self, host: HostId) -> u32 {
        self.host(host, |host| host.boot).unwrap_or(0)
    }

    pub(super) fn host_state(&self, host: HostId) -> Option<HostState> {
        self.host(host, |host| host.state)
    }

    pub(super) fn named(&self, name: &str) -> Option<HostId> {
        let index = self.state().hosts.iter().position(|host| host.name == name)?;
        Some(HostId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    pub(super) fn state_at(&self, ip: IpAddr) -> Option<HostState> {
        self.state().hosts.iter().find(|host| host.ip == ip).map(|host| host.state)
    }

    pub(super) fn others(&self, host: HostId) -> Vec<IpAddr> {
        let others = |(index, other): (usize, &Host)| (index != host.index()).then_some(other.ip.into());
        self.state().hosts.iter().enumerate().filter_map(others).collect()
    }

    pub(super) fn wall_clock(&self) -> WallTime {
        WallTime(self.epoch.as_micros().saturating_add(self.now_us()))
    }

    /// As in our own engine: the host's name and incarnation are part of the key.
    pub(super) fn draws(&self, host: HostId, boot: u32, purpose: &str, entity: u64) -> Draws {
        Draws::new(Draws::new(self.seed, &self.name(host), u64::from(boot)).nth(0), purpose, entity)
    }

    // Processes and links.

    /// The main future of an incarnation ended: so does its process, after this step.
    pub(super) fn main_ended(&self, host: HostId, boot: u32, outcome: Option<Result<(), String>>) {
        let mut state = self.state();
        let State { hosts, commands, failure, foreground_left, over, .. } = &mut *state;
        let Some(entry) = hosts.get_mut(host.index()) else { return };
        if let Some(Err(error)) = &outcome {
            failure.get_or_insert(Cause::Program { host: entry.name.clone(), error: error.clone() });
        }
        if entry.boot != boot || entry.state != HostState::Running {
            return;
        }
        entry.state = HostState::Stopped;
        commands.push_back(Command::Stop(host));
        if entry.foreground {
            entry.foreground = false;
            *foreground_left -= 1;
            *over |= *foreground_left == 0;
        }
    }

    /// Ends the host's process, or its power with it. False if it does not run.
    pub(super) fn stop(&self, host: HostId, then: HostState) -> bool {
        let mut state = self.state();
        let State { hosts, commands, .. } = &mut *state;
        let Some(entry) = hosts.get_mut(host.index()) else { return false };
        let ran = entry.state == HostState::Running;
        if then == HostState::Off && entry.state != HostState::Off {
            commands.push_back(Command::Cut(host));
        }
        if ran {
            commands.push_back(Command::Stop(host));
        }
        if entry.state != HostState::Off {
            entry.state = then;
        }
        ran
    }

    pub(super) fn start(&self, host: HostId) {
        let mut state = self.state();
        let State { hosts, commands, .. } = &mut *state;
        let Some(entry) = hosts.get_mut(host.index()) else { return };
        if entry.state == HostState::Running {
            return;
        }
        if entry.state == HostState::Off {
            commands.push_back(Command::Mend(host));
        }
        commands.push_back(Command::Start(host));
        entry.state = HostState::Running;
        entry.boot += 1;
    }

    pub(super) fn command(&self, command: Command) {
        self.state().commands.push_back(command);
    }

    /// Marks a link as stalled or not; false if it was so before.
    pub(super) fn mark_held(&self, a: HostId, b: HostId, held: bool) -> bool {
        let key = (a.0.min(b.0), a.0.max(b.0));
        let mut state = self.state();
        if held { state.held.insert(key) } else { state.held.remove(&key) }
    }

    pub(super) fn is_any_held(&self, host: HostId) -> bool {
        self.state().held.iter().any(|&(a, b)| a == host.0 || b == host.0)
    }

    // Windows.

    /// The window of bytes from one address to another. Whichever end comes first makes it, the other takes it away from here.
    pub(super) fn window(&self, from: SocketAddr, to: SocketAddr) -> Arc<Window> {
        let mut state = self.state();
        if let Some(window) = state.windows.remove(&(from, to)) {
            return window;
        }
        let window = Arc::new(Window::default());
        state.windows.insert((from, to), Arc::clone(&window));
        window
    }

    /// The end that came first goes, and the other may never come.
    pub(super) fn forget_window(&self, from: SocketAddr, to: SocketAddr, window: &Arc<Window>) {
        let mut state = self.state();
        if state.windows.get(&(from, to)).is_some_and(|known| Arc::ptr_eq(known, window)) {
            state.windows.remove(&(from, to));
        }
    }
}
