//! Building a world: hosts and their programs, links.

use std::fmt::Display;
use std::net::Ipv4Addr;

use crate::config::LinkConfig;
use crate::control::Control;
use crate::fault::{self, FaultError, FaultPlan};
use crate::kernel::address::Address;
use crate::net::SimNet;
use crate::{exec, kernel};

/// A host's number, in order of set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(crate) u32);

impl HostId {
    /// The number, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl HostId {
    /// The host's address, in either engine: 10.0.x.y by its number.
    #[must_use]
    pub fn addr(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + (self.0 / 250) * 256 + self.0 % 250 + 1)
    }
}

/// What a program's main future may give: nothing, or a result whose error ends the run.
pub trait Outcome: Send + 'static {
    /// The result, with the error as text.
    ///
    /// # Errors
    /// The program's own.
    fn outcome(self) -> Result<(), String>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), String> {
        Ok(())
    }
}

impl<T: Send + 'static, E: Display + Send + 'static> Outcome for Result<T, E> {
    fn outcome(self) -> Result<(), String> {
        self.map(drop).map_err(|error| error.to_string())
    }
}

/// A world being built.
#[derive(Debug)]
pub struct Setup {
    run: u32,
    hosts: u32,
}

impl Setup {
    pub(crate) fn new(run: u32) -> Self {
        Self { run, hosts: 0 }
    }

    pub(crate) fn hosts(&self) -> u32 {
        self.hosts
    }

    /// Adds a host with a background program: the run does not wait for it. `program` makes the main future of each incarnation; when that
    /// future ends, the process ends, and all of its tasks with it. The name resolves to the host's address.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn host<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(SimNet) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        self.add(name, program, false)
    }

    /// Adds a host with a foreground program: the run ends when all of these have finished.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn foreground<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(SimNet) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        self.add(name, program, true)
    }

    fn add<P, F, O>(&mut self, name: &str, program: P, foreground: bool) -> HostId
    where
        P: Fn(SimNet) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        assert!(self.control().host(name).is_none(), "two hosts are named {name}");
        let index = kernel::with(|world| world.add_host(name)).unwrap_or_default();
        exec::add_program(
            Box::new(move |net| {
                let main = program(net);
                Box::pin(async move { main.await.outcome() })
            }),
            foreground,
        );
        self.hosts += 1;
        HostId(index)
    }

    /// Sets both directions between two hosts.
    pub fn link(&mut self, a: HostId, b: HostId, link: LinkConfig) {
        self.control().set_link(a, b, link);
        self.control().set_link(b, a, link);
    }

    /// Gives several hosts one name: each lookup of it gives one of them. See [`Address`].
    ///
    /// # Panics
    /// If the name is a host's, or stands for nobody.
    pub fn address(&mut self, name: &str, address: Address) {
        assert!(self.control().host(name).is_none(), "a host is named {name}");
        assert!(!address.hosts.is_empty(), "the address {name} stands for nobody");
        kernel::with(|world| world.add_address(name, address));
    }

    /// Captures packets from now on, for [`crate::Report::capture`].
    pub fn capture(&mut self, wanted: crate::capture::Wanted) {
        kernel::with(|world| world.start_capture(wanted));
    }

    /// Plans faults: each begins and ends at its times by itself, before what else happens at that instant. Call it when all hosts are there.
    ///
    /// # Errors
    /// [`FaultError`] for a target that is not there or does not suit the kind; then nothing is planned.
    pub fn faults(&mut self, plan: FaultPlan) -> Result<(), FaultError> {
        fault::schedule(plan)
    }

    /// The hand that reaches into the world once it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { run: self.run }
    }

    /// A host's address: [`HostId::addr`].
    #[must_use]
    pub fn addr(&self, host: HostId) -> Ipv4Addr {
        host.addr()
    }
}
