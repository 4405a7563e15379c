//! Faults and questions: the hand that reaches into a running world.

use std::time::Duration;

use crate::config::{LinkConfig, ServiceTime};
use crate::kernel::{self, Sockets};
use crate::trace::{Route, TraceKind};
use crate::{HostId, exec};

/// Reaches into the running world: kills, freezes, cuts, heals, asks. Every call takes effect at once, at the present virtual instant. Any task
/// inside may use it; a scenario's script is best a host of its own that sleeps and calls. Outside of the run all calls do nothing.
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

impl Control {
    fn is_here(self) -> bool {
        self.run == kernel::run_id()
    }

    fn fault(self, host: HostId, what: &str) {
        kernel::with(|world| {
            let now = world.now_us;
            world.trace.add(now, Route::fault(host.0), TraceKind::Fault, what.as_bytes());
        });
    }

    /// Ends the host's process, as SIGKILL does: its futures are dropped in spawn order with no other task of it running in between, then its
    /// kernel closes what it held: FIN after the bytes already written, or RST where received bytes were not read. New connections are refused.
    pub fn kill(self, host: HostId) {
        if self.is_here() {
            self.fault(host, "kill");
            exec::stop(host.0);
        }
    }

    /// Cuts the machine's power: what it was sending is lost, its peers hear nothing. Once it is up again, it answers its old connections with RST.
    pub fn power_off(self, host: HostId) {
        if self.is_here() {
            kernel::with(|world| world.power_off(host.0));
            exec::stop(host.0);
        }
    }

    /// Starts the host's program (and the machine, if it is off) as a new incarnation. Does nothing while it runs.
    pub fn start(self, host: HostId) {
        if self.is_here() {
            self.fault(host, "start");
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

    /// Stops scheduling the host's process, as SIGSTOP does. Its kernel lives on: connections are established up to the backlog, bytes are
    /// taken in up to the receive buffers.
    pub fn freeze(self, host: HostId) {
        if self.is_here() {
            self.fault(host, "freeze");
            exec::freeze(host.0);
        }
    }

    /// Goes on scheduling it. No wake-up is lost.
    pub fn thaw(self, host: HostId) {
        if self.is_here() {
            self.fault(host, "thaw");
            exec::thaw(host.0);
        }
    }

    /// Changes the link from `from` to `to`, this direction only, for segments that leave from now on.
    pub fn set_link(self, from: HostId, to: HostId, link: LinkConfig) {
        if self.is_here() {
            self.fault(from, "link");
            kernel::with(|world| {
                let index = world.link(from.0, to.0);
                world.link_state(index).config = link;
            });
        }
    }

    /// The link from `from` to `to`, as it is set.
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

    /// Cuts both directions between two hosts. Established connections stall and lose nothing; what is under way arrives after the heal, at the
    /// sender's next retransmission. Connection requests vanish.
    pub fn partition(self, a: HostId, b: HostId) {
        self.partition_oneway(a, b);
        self.partition_oneway(b, a);
    }

    /// Cuts one direction.
    pub fn partition_oneway(self, from: HostId, to: HostId) {
        if self.is_here() {
            self.fault(from, "cut");
            kernel::with(|world| {
                let link = world.link(from.0, to.0);
                world.cut(link);
            });
        }
    }

    /// Heals both directions between two hosts.
    pub fn heal(self, a: HostId, b: HostId) {
        self.heal_oneway(a, b);
        self.heal_oneway(b, a);
    }

    /// Heals one direction.
    pub fn heal_oneway(self, from: HostId, to: HostId) {
        if self.is_here() {
            self.fault(from, "heal");
            kernel::with(|world| {
                let link = world.link(from.0, to.0);
                world.link_state(link).cut = false;
            });
        }
    }

    /// With `true`, connection requests to the host vanish without an answer (a full filter table, a wrong route). Established connections go on.
    pub fn black_hole(self, host: HostId, on: bool) {
        if self.is_here() {
            self.fault(host, if on { "black hole" } else { "black hole ends" });
            kernel::with(|world| {
                if let Some(host) = world.hosts.get_mut(host.0 as usize) {
                    host.black_hole = on;
                }
            });
        }
    }

    /// With `true`, connection requests to the host are refused, whoever listens. Established connections go on.
    pub fn refuse(self, host: HostId, on: bool) {
        if self.is_here() {
            self.fault(host, if on { "refuse" } else { "refuse ends" });
            kernel::with(|world| {
                if let Some(host) = world.hosts.get_mut(host.0 as usize) {
                    host.refuse = on;
                }
            });
        }
    }

    /// Sets the host's wall clock off by this many microseconds. Its timers are not affected.
    pub fn skew_clock(self, host: HostId, offset_us: i64) {
        if self.is_here() {
            self.fault(host, "clock");
            kernel::with(|world| {
                if let Some(host) = world.hosts.get_mut(host.0 as usize) {
                    host.skew_us = offset_us;
                }
            });
        }
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
        Some(match (powered, running, frozen) {
            (false, ..) => HostState::Off,
            (_, false, _) => HostState::Stopped,
            (_, _, true) => HostState::Frozen,
            _ => HostState::Running,
        })
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

    /// Virtual time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Duration::from_micros(kernel::now_us())
    }
}
