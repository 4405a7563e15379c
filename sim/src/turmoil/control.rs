//! Faults, as far as turmoil knows them.

use std::time::Duration;

use super::state::{self, Command};
use super::{latencies, now_us};
use crate::config::LinkConfig;
use crate::control::HostState;
use crate::engine::{Faults, NotExpressible};
use crate::kernel::Sockets;
use crate::setup::HostId;

/// Reaches into a running turmoil world, at the end of the present tick. Outside of the run it does nothing.
#[derive(Clone, Copy, Debug)]
pub struct Control;

fn command(command: Command) -> Result<(), NotExpressible> {
    state::with(|state| state.commands.push_back(command));
    Ok(())
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

    fn power_off(self, _: HostId) -> Result<(), NotExpressible> {
        Err(NotExpressible("a loss of power with resets after it"))
    }

    fn freeze(self, _: HostId) -> Result<(), NotExpressible> {
        Err(NotExpressible("a frozen process"))
    }

    fn thaw(self, _: HostId) -> Result<(), NotExpressible> {
        Err(NotExpressible("a frozen process"))
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

    fn black_hole(self, _: HostId, _: bool) -> Result<(), NotExpressible> {
        Err(NotExpressible("requests that vanish"))
    }

    fn refuse(self, _: HostId, _: bool) -> Result<(), NotExpressible> {
        Err(NotExpressible("requests refused by a host that listens"))
    }

    fn skew_clock(self, _: HostId, _: i64) -> Result<(), NotExpressible> {
        Err(NotExpressible("a skewed clock"))
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

    fn elapsed(self) -> Duration {
        Duration::from_micros(now_us())
    }
}
