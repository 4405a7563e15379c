//! Faults and questions: the hand that reaches into a running world.

use std::time::Duration;

use crate::config::{LinkConfig, ServiceTime};
use crate::fault::{FaultError, FaultId, FaultKind, Target};
use crate::kernel::{self, Sockets};
use crate::trace::{Route, TraceKind};
use crate::{HostId, exec, fault, ready};

/// Reaches into the running world: kills, freezes, cuts, heals, asks. Every call takes effect at once, at the present virtual instant. Any task
/// inside may use it; a scenario's script is best a host of its own that sleeps and calls. Outside of the run all calls do nothing.
///
/// [`Control::inject`] and [`Control::lift`] count each fault by itself. The methods with names of their own are switches for a test's convenience:
/// on twice is on, and off is off, whatever was injected besides.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    pub(crate) run: u32,
}

/// How a host and its program are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostState {
    /// The program runs.
    Running,
    /// The program runs but is not scheduled; its kernel lives on.
    Frozen,
    /// The machine is up, the program is not: it ended or was killed. Connections are refused.
    Stopped,
    /// The machine is off: silence.
    Off,
}

impl HostState {
    pub(crate) fn of(powered: bool, running: bool, frozen: bool) -> Self {
        match (powered, running, frozen) {
            (false, ..) => Self::Off,
            (_, false, _) => Self::Stopped,
            (_, _, true) => Self::Frozen,
            _ => Self::Running,
        }
    }
}

impl Control {
    fn is_here(self) -> bool {
        self.run == kernel::run_id()
    }

    fn told(self, host: HostId, what: &str) {
        kernel::with(|world| {
            let now = world.now_us;
            world.trace.add(now, Route::fault(host.0), TraceKind::Fault, what.as_bytes());
        });
    }

    fn switch(self, kind: FaultKind, target: Target, on: bool) {
        if self.is_here() {
            fault::switch(kind, target, on);
        }
    }

    /// From now on the task that calls this has its turn before all others whenever it is woken, in every [`crate::Order`]: once whoever woke it gives
    /// way, nothing else moves and nothing is delivered before it. There is one such task, the last that asked. For a scenario's script that answers to what happens.
    pub fn go_first(self) {
        if self.is_here() {
            ready::put_first(ready::current());
        }
    }

    /// Begins a fault now. It ends with [`Control::lift`], or is over at once ([`FaultKind::is_instant`]).
    ///
    /// # Errors
    /// [`FaultError`] for a target that is not there or does not suit the kind.
    pub fn inject(self, kind: &FaultKind, target: &Target) -> Result<FaultId, FaultError> {
        if self.is_here() { fault::inject(kind, target) } else { Ok(FaultId(0)) }
    }

    /// Ends a fault now; others on the same target go on. Does nothing if it has ended already.
    pub fn lift(self, fault: FaultId) {
        if self.is_here() {
            fault::lift(fault);
        }
    }

    /// Ends the host's process, as SIGKILL does: its futures are dropped in spawn order with no other task of it running in between, then its
    /// kernel closes what it held: FIN after the bytes already written, or RST where received bytes were not read. New connections are refused.
    pub fn kill(self, host: HostId) {
        if self.is_here() {
            self.told(host, "kill");
            exec::stop(host.0);
        }
    }

    /// Cuts the machine's power: what it was sending is lost, its peers hear nothing. Once it is up again, it answers its old connections with RST.
    pub fn power_off(self, host: HostId) {
        if self.is_here() {
            self.told(host, "power off");
            kernel::with(|world| world.power_off(host.0));
            exec::stop(host.0);
        }
    }

    /// Starts the host's program (and the machine, if it is off) as a new incarnation, whatever faults are in force. Does nothing while it runs.
    pub fn start(self, host: HostId) {
        if self.is_here() {
            self.told(host, "start");
            kernel::with(|world| {
                if let Some(host) = world.hosts.get_mut(host.0 as usize) {
                    host.powered = true;
                }
            });
            exec::start(host.0);
        }
    }

    /// [`Control::kill`], then [`Control::start`].
    pub fn restart(self, host: HostId) {
        self.kill(host);
        self.start(host);
    }

    /// Switches [`FaultKind::Freeze`] on.
    pub fn freeze(self, host: HostId) {
        self.switch(FaultKind::Freeze, named(host), true);
    }

    /// And off. No wake-up is lost.
    pub fn thaw(self, host: HostId) {
        self.switch(FaultKind::Freeze, named(host), false);
    }

    /// Changes the link from `from` to `to`, this direction only, for segments that leave from now on. Faults come on top.
    pub fn set_link(self, from: HostId, to: HostId, link: LinkConfig) {
        if self.is_here() {
            self.told(from, "link");
            kernel::with(|world| {
                let index = world.link(from.0, to.0);
                world.change_link(index, |state| state.config = link);
            });
        }
    }

    /// The link from `from` to `to`, as it is set, without its faults.
    #[must_use]
    pub fn link(self, from: HostId, to: HostId) -> Option<LinkConfig> {
        if !self.is_here() {
            return None;
        }
        kernel::with(|world| {
            let index = world.link(from.0, to.0);
            world.link_state(index).config
        })
    }

    /// Switches [`FaultKind::Partition`] on, both ways between two hosts.
    pub fn partition(self, a: HostId, b: HostId) {
        self.partition_oneway(a, b);
        self.partition_oneway(b, a);
    }

    /// One way only.
    pub fn partition_oneway(self, from: HostId, to: HostId) {
        self.switch(FaultKind::Partition, way(from, to), true);
    }

    /// Switches it off, both ways.
    pub fn heal(self, a: HostId, b: HostId) {
        self.heal_oneway(a, b);
        self.heal_oneway(b, a);
    }

    /// One way only.
    pub fn heal_oneway(self, from: HostId, to: HostId) {
        self.switch(FaultKind::Partition, way(from, to), false);
    }

    /// Switches [`FaultKind::BlackHole`] on or off.
    pub fn black_hole(self, host: HostId, on: bool) {
        self.switch(FaultKind::BlackHole, named(host), on);
    }

    /// Switches [`FaultKind::Refuse`] on or off.
    pub fn refuse(self, host: HostId, on: bool) {
        self.switch(FaultKind::Refuse, named(host), on);
    }

    /// Sets the host's wall clock off by this many microseconds: [`FaultKind::ClockJump`], in place of the one before.
    pub fn skew_clock(self, host: HostId, offset_us: i64) {
        self.switch(FaultKind::ClockJump { by_us: offset_us }, named(host), offset_us != 0);
    }

    /// Sets what the host's CPU costs from now on; before this, [`crate::SimConfig::service`].
    pub fn set_service(self, host: HostId, service: ServiceTime) {
        if self.is_here() {
            kernel::with(|world| world.set_service(host.0, service));
        }
    }

    /// Ends the run, well, once the present poll returns.
    pub fn finish(self) {
        if self.is_here() {
            exec::finish();
        }
    }

    /// How a host is; None outside of the run.
    #[must_use]
    pub fn state(self, host: HostId) -> Option<HostState> {
        if !self.is_here() {
            return None;
        }
        let powered = kernel::with(|world| world.hosts.get(host.0 as usize).map(|host| host.powered)).flatten()?;
        let (running, frozen, ..) = exec::program_state(host.0)?;
        Some(HostState::of(powered, running, frozen))
    }

    /// How often the host's program was started; 0 outside of the run.
    #[must_use]
    pub fn incarnation(self, host: HostId) -> u32 {
        if self.is_here() { exec::program_state(host.0).map_or(0, |(.., boot)| boot) } else { 0 }
    }

    /// How many tasks the host's program has.
    #[must_use]
    pub fn tasks(self, host: HostId) -> usize {
        if self.is_here() { exec::tasks_of(host.0) } else { 0 }
    }

    /// What the host's sockets hold.
    #[must_use]
    pub fn sockets(self, host: HostId) -> Sockets {
        if self.is_here() {
            kernel::with(|world| world.sockets(host.0)).unwrap_or_default()
        } else {
            Sockets::default()
        }
    }

    /// The host with this name.
    #[must_use]
    pub fn host(self, name: &str) -> Option<HostId> {
        if !self.is_here() {
            return None;
        }
        kernel::with(|world| world.hosts.iter().position(|host| host.name == name))
            .flatten()
            .map(|index| HostId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// The rolling trace hash so far.
    #[must_use]
    pub fn trace_hash(self) -> u64 {
        if self.is_here() { kernel::with(|world| world.trace.hash).unwrap_or_default() } else { 0 }
    }

    /// For how long the host's cores have worked so far, those of several added up: nothing where its CPU is free.
    #[must_use]
    pub fn busy(self, host: HostId) -> Duration {
        if self.is_here() { kernel::with(|world| world.busy(host.0)).unwrap_or_default() } else { Duration::ZERO }
    }

    /// Virtual time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Duration::from_micros(kernel::now_us())
    }
}

fn named(host: HostId) -> Target {
    Target::Host(exec::host_name(host.0))
}

fn way(from: HostId, to: HostId) -> Target {
    Target::Way(exec::host_name(from.0), exec::host_name(to.0))
}
