//! Faults, as far as turmoil knows them.

use std::time::Duration;

use super::state::{self, Command};
use super::{latencies, now_us};
use crate::config::{Latency, LinkConfig};
use crate::control::HostState;
use crate::engine::{Faults, NotExpressible};
use crate::fault::{FaultError, FaultId, FaultKind, Target};
use crate::kernel::Sockets;
use crate::setup::HostId;

/// Reaches into a running turmoil world, at the end of the present tick. Outside of the run it does nothing.
#[derive(Clone, Copy, Debug)]
pub struct Control;

fn command(command: Command) -> Result<(), NotExpressible> {
    state::with(|state| state.commands.push_back(command));
    Ok(())
}

/// Whether turmoil can do this.
///
/// # Errors
/// [`NotExpressible`] names what it lacks.
pub fn expressible(kind: &FaultKind, target: &Target) -> Result<(), NotExpressible> {
    let lacks = match kind {
        FaultKind::Kill | FaultKind::Restart => return Ok(()),
        // Clocks, names and answers to those who want to connect are not turmoil's but this adapter's, as they are our simulator's.
        FaultKind::ClockJump { .. } | FaultKind::ClockDrift { .. } => return Ok(()),
        FaultKind::Nxdomain | FaultKind::SlowLookup { .. } | FaultKind::Refuse => return Ok(()),
        FaultKind::Partition | FaultKind::Stall if matches!(target, Target::Way(..)) => "an outage in one direction",
        FaultKind::Partition | FaultKind::Stall => return Ok(()),
        FaultKind::Latency { .. } if matches!(target, Target::Way(..)) => "a delay in one direction",
        FaultKind::Latency { latency: Latency::Fixed(_), jitter } if jitter.is_zero() => return Ok(()),
        FaultKind::Latency { .. } => "a varying latency on one link",
        FaultKind::PowerOff => "a loss of power with resets after it",
        FaultKind::Freeze | FaultKind::SlowHost { .. } => "a process that stands still",
        FaultKind::Backlog { .. } => "a backlog that overflows",
        FaultKind::Descriptors { .. } => {
            "a listener that tells whether a connection waits, so that one may be refused a descriptor"
        }
        FaultKind::AcceptClose => "connections that are closed before their listener sees them",
        FaultKind::BlackHole => "requests that vanish",
        FaultKind::Bandwidth { .. } => "bandwidth",
        FaultKind::Loss { .. } | FaultKind::BurstLoss { .. } => "loss as delay",
        FaultKind::Slicer { .. } => "bytes that trickle",
        FaultKind::SlowClose { .. } => "an end that comes later than the bytes before it",
        FaultKind::Timeout { .. } | FaultKind::LimitData { .. } | FaultKind::ResetPeer { .. } => {
            "a connection that ends on its way"
        }
        FaultKind::HalfOpen => "a connection that one end forgets",
    };
    Err(NotExpressible(lacks))
}

impl Faults for Control {
    fn kill(self, host: HostId) -> Result<(), NotExpressible> {
        command(Command::Kill(host))
    }

    fn start(self, host: HostId) -> Result<(), NotExpressible> {
        command(Command::Start(host))
    }

    fn restart(self, host: HostId) -> Result<(), NotExpressible> {
        self.kill(host)?;
        self.start(host)
    }

    /// turmoil's `hold`: its `partition` loses bytes of established connections for good.
    fn partition(self, a: HostId, b: HostId) -> Result<(), NotExpressible> {
        command(Command::Hold(a, b))
    }

    fn partition_oneway(self, _: HostId, _: HostId) -> Result<(), NotExpressible> {
        Err(NotExpressible("an outage in one direction"))
    }

    fn heal(self, a: HostId, b: HostId) -> Result<(), NotExpressible> {
        command(Command::Release(a, b))
    }

    fn heal_oneway(self, _: HostId, _: HostId) -> Result<(), NotExpressible> {
        Err(NotExpressible("an outage in one direction"))
    }

    /// Both directions: turmoil's links have no others.
    fn set_link(self, from: HostId, to: HostId, link: LinkConfig) -> Result<(), NotExpressible> {
        let (min, max) = latencies(link)?;
        if min != max {
            return Err(NotExpressible("a varying latency on one link"));
        }
        command(Command::Latency(from, to, min))
    }

    fn go_first(self) {}

    fn inject(self, kind: &FaultKind, target: &Target) -> Result<FaultId, FaultError> {
        expressible(kind, target)?;
        let at_us = now_us();
        state::with(|state| state.strike(at_us, kind, target)).unwrap_or(Ok(FaultId(0)))
    }

    fn lift(self, fault: FaultId) {
        let at_us = now_us();
        state::with(|state| state.lift(at_us, fault));
    }

    fn finish(self) {
        state::with(|state| state.finish = true);
    }

    fn state(self, host: HostId) -> Option<HostState> {
        state::with(|state| state.host_state(host)).flatten()
    }

    fn sockets(self, _: HostId) -> Result<Sockets, NotExpressible> {
        Err(NotExpressible("what a host's sockets hold"))
    }

    fn tasks(self, _: HostId) -> Result<usize, NotExpressible> {
        Err(NotExpressible("how many tasks a host has"))
    }

    fn busy(self, _: HostId) -> Result<Duration, NotExpressible> {
        Err(NotExpressible("how busy a host is"))
    }

    fn elapsed(self) -> Duration {
        Duration::from_micros(now_us())
    }
}
