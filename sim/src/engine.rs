//! What scenario code may ask of an engine, whichever it is: the common shape of our simulator and turmoil.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use wire::net::Network;

use crate::config::LinkConfig;
use crate::control::{Control, HostState};
use crate::fault::{FaultError, FaultId, FaultKind, Target};
use crate::kernel::Sockets;
use crate::kernel::address::Address;
use crate::net::SimNet;
use crate::setup::{HostId, Outcome, Setup};

/// The engine has no way to do or to tell this. The scenario must do without, or run elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this engine cannot express {0}")]
pub struct NotExpressible(pub &'static str);

/// A world being built, in either engine.
pub trait Build {
    /// The hosts' network.
    type Net: Network;
    /// The hand that reaches in.
    type Control: Faults;

    /// Adds a host whose program the run does not wait for. See [`Setup::host`].
    fn host<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(Self::Net) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome;

    /// Adds a host whose program the run waits for. See [`Setup::foreground`].
    fn foreground<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(Self::Net) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome;

    /// Sets both directions between two hosts.
    ///
    /// # Errors
    /// [`NotExpressible`] for what the engine's links cannot be.
    fn link(&mut self, a: HostId, b: HostId, link: LinkConfig) -> Result<(), NotExpressible>;

    /// Gives several hosts one name, see [`Setup::address`].
    ///
    /// # Errors
    /// [`NotExpressible`] where the engine's names have one host each.
    fn address(&mut self, name: &str, address: Address) -> Result<(), NotExpressible>;

    /// The hand that reaches into the world once it runs.
    fn control(&self) -> Self::Control;
}

/// Faults and questions, in either engine; [`Control`] says what each means. Every one may answer [`NotExpressible`].
#[expect(clippy::missing_errors_doc, reason = "one error, explained above")]
pub trait Faults: Copy + Debug + Send + Sync + 'static {
    /// See [`Control::kill`].
    fn kill(self, host: HostId) -> Result<(), NotExpressible>;
    /// See [`Control::start`].
    fn start(self, host: HostId) -> Result<(), NotExpressible>;
    /// See [`Control::restart`].
    fn restart(self, host: HostId) -> Result<(), NotExpressible>;
    /// See [`Control::partition`].
    fn partition(self, a: HostId, b: HostId) -> Result<(), NotExpressible>;
    /// See [`Control::partition_oneway`].
    fn partition_oneway(self, from: HostId, to: HostId) -> Result<(), NotExpressible>;
    /// See [`Control::heal`].
    fn heal(self, a: HostId, b: HostId) -> Result<(), NotExpressible>;
    /// See [`Control::heal_oneway`].
    fn heal_oneway(self, from: HostId, to: HostId) -> Result<(), NotExpressible>;
    /// See [`Control::set_link`].
    fn set_link(self, from: HostId, to: HostId, link: LinkConfig) -> Result<(), NotExpressible>;
    /// See [`Control::go_first`]. turmoil has no such turn, and need not: there, faults take hold at the end of the tick.
    fn go_first(self);
    /// See [`Control::inject`]. [`FaultError`] for a target that is not there, or a fault that the engine cannot express.
    fn inject(self, kind: &FaultKind, target: &Target) -> Result<FaultId, FaultError>;
    /// See [`Control::lift`].
    fn lift(self, fault: FaultId);
    /// See [`Control::finish`].
    fn finish(self);
    /// See [`Control::state`].
    fn state(self, host: HostId) -> Option<HostState>;
    /// See [`Control::sockets`].
    fn sockets(self, host: HostId) -> Result<Sockets, NotExpressible>;
    /// See [`Control::tasks`].
    fn tasks(self, host: HostId) -> Result<usize, NotExpressible>;
    /// See [`Control::busy`].
    fn busy(self, host: HostId) -> Result<Duration, NotExpressible>;
    /// See [`Control::elapsed`].
    fn elapsed(self) -> Duration;
}

impl Build for Setup {
    type Net = SimNet;
    type Control = Control;

    fn host<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(SimNet) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        Setup::host(self, name, program)
    }

    fn foreground<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(SimNet) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        Setup::foreground(self, name, program)
    }

    fn link(&mut self, a: HostId, b: HostId, link: LinkConfig) -> Result<(), NotExpressible> {
        Setup::link(self, a, b, link);
        Ok(())
    }

    fn address(&mut self, name: &str, address: Address) -> Result<(), NotExpressible> {
        Setup::address(self, name, address);
        Ok(())
    }

    fn control(&self) -> Control {
        Setup::control(self)
    }
}

/// Our simulator can do all of it.
macro_rules! all_expressible {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {
        $(fn $name(self, $($arg: $kind),*) -> Result<(), NotExpressible> {
            Control::$name(self, $($arg),*);
            Ok(())
        })*
    };
}

impl Faults for Control {
    all_expressible! {
        kill(host: HostId);
        start(host: HostId);
        restart(host: HostId);
        partition(a: HostId, b: HostId);
        partition_oneway(from: HostId, to: HostId);
        heal(a: HostId, b: HostId);
        heal_oneway(from: HostId, to: HostId);
        set_link(from: HostId, to: HostId, link: LinkConfig);
    }

    fn go_first(self) {
        Control::go_first(self);
    }

    fn inject(self, kind: &FaultKind, target: &Target) -> Result<FaultId, FaultError> {
        Control::inject(self, kind, target)
    }

    fn lift(self, fault: FaultId) {
        Control::lift(self, fault);
    }

    fn finish(self) {
        Control::finish(self);
    }

    fn state(self, host: HostId) -> Option<HostState> {
        Control::state(self, host)
    }

    fn sockets(self, host: HostId) -> Result<Sockets, NotExpressible> {
        Ok(Control::sockets(self, host))
    }

    fn tasks(self, host: HostId) -> Result<usize, NotExpressible> {
        Ok(Control::tasks(self, host))
    }

    fn busy(self, host: HostId) -> Result<Duration, NotExpressible> {
        Ok(Control::busy(self, host))
    }

    fn elapsed(self) -> Duration {
        Control::elapsed(self)
    }
}
