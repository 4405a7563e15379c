//! Building a world: hosts and their programs.

use std::future::pending;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use super::control::Control;
use super::net::TurmoilNet;
use super::watch::Watched;
use super::world::Shared;
use crate::{HostId, Outcome};

/// A world under turmoil being built.
pub struct Setup<'a> {
    sim: &'a mut ::turmoil::Sim<'static>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Setup")
    }
}

impl<'a> Setup<'a> {
    pub(super) fn new(sim: &'a mut ::turmoil::Sim<'static>, shared: &Arc<Shared>) -> Self {
        Self { sim, shared: Arc::clone(shared) }
    }

    /// Adds a host with a background program: the run does not wait for it. `program` makes the main future of each incarnation; when that
    /// future ends, the process ends, and all of its tasks with it. The name resolves to the host's address.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn host<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(TurmoilNet) -> F + Send + 'static,
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
        P: Fn(TurmoilNet) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        self.add(name, program, true)
    }

    /// Adds a foreground program that holds the run's [`Control`]: a script of faults.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn driver<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(TurmoilNet, Control) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        let control = self.control();
        self.add(name, move |net| program(net, control.clone()), true)
    }

    fn add<P, F, O>(&mut self, name: &str, program: P, foreground: bool) -> HostId
    where
        P: Fn(TurmoilNet) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        // Asking for an unknown name makes turmoil give it the next address.
        let ip = match self.sim.lookup(name) {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let host = self.shared.add_host(name, ip, foreground);
        let shared = Arc::clone(&self.shared);
        let program = Rc::new(program);
        self.sim.host(ip, move || {
            let (shared, program) = (Arc::clone(&shared), Rc::clone(&program));
            let boot = shared.boot(host);
            async move {
                let net = TurmoilNet::new(Arc::clone(&shared), host, boot);
                // The program's own code runs within the future: turmoil calls this closure while no clock stands.
                let main = async move { program(net).await.outcome() };
                let outcome = Watched::new(main, Arc::clone(&shared), host, "main").await;
                shared.main_ended(host, boot, outcome);
                // turmoil leaves the tasks of a finished host where they are. Ours are dropped, by the command that was just queued.
                pending().await
            }
        });
        host
    }

    /// The hand that reaches into the world once it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.shared))
    }

    /// A host's address.
    #[must_use]
    pub fn addr(&self, host: HostId) -> Ipv4Addr {
        match self.shared.ip(host) {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }
    }
}
