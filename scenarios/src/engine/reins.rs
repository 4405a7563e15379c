//! The driver's hand on the proxies that run: what an operator asks of the program, asked through the handle that the program has for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::net::Network;

use crate::model::{self, Reloaded};
use crate::mutants::Mutant;

/// A proxy that runs, whatever its network.
trait Rein: Send {
    fn drain(&self);
    fn reload(&self, config: proxy::Config) -> Result<(), proxy::ReloadError>;
}

impl<N: Network> Rein for proxy::Handle<N> {
    fn drain(&self) {
        proxy::Handle::drain(self);
    }

    fn reload(&self, config: proxy::Config) -> Result<(), proxy::ReloadError> {
        self.reconfigure(config).map(|_| ())
    }
}

/// Makes the configuration of the proxy with this number from what a scenario says of it.
type Make = Arc<dyn Fn(u16, &model::Proxy) -> proxy::Config + Send + Sync>;

/// All proxies of a run.
#[derive(Clone)]
pub(super) struct Reins {
    make: Make,
    mutant: Option<&'static Mutant>,
    all: Arc<Mutex<BTreeMap<u16, One>>>,
}

/// One proxy, over all its lives.
struct One {
    /// Its part of the scenario, as reloads have left it: what a life begins with, as from a file.
    said: model::Proxy,
    running: Option<Box<dyn Rein>>,
}

impl Reins {
    /// Proxies that are yet to start, each with its number and its part of the scenario.
    pub(super) fn new(
        said: impl Iterator<Item = (u16, model::Proxy)>,
        make: impl Fn(u16, &model::Proxy) -> proxy::Config + Send + Sync + 'static,
    ) -> Self {
        let all = said.map(|(proxy, said)| (proxy, One { said, running: None })).collect();
        Self { make: Arc::new(make), mutant: None, all: Arc::new(Mutex::new(all)) }
    }

    /// And a bug that is planted in each configuration that a reload brings.
    pub(super) fn planting(mut self, mutant: Option<&'static Mutant>) -> Self {
        self.mutant = mutant;
        self
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, One>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a life of the proxy begins with.
    pub(super) fn config(&self, proxy: u16) -> Option<proxy::Config> {
        self.lock().get(&proxy).map(|one| (self.make)(proxy, &one.said))
    }

    /// The proxy runs until the guard is dropped, which the end of its process does.
    pub(super) fn hold<N: Network>(&self, proxy: u16, handle: proxy::Handle<N>) -> Held {
        if let Some(one) = self.lock().get_mut(&proxy) {
            one.running = Some(Box::new(handle));
        }
        Held { reins: self.clone(), proxy }
    }

    /// Tells the proxy to drain. One that does not run has left already.
    pub(super) fn drain(&self, proxy: u16) {
        if let Some(running) = self.lock().get(&proxy).and_then(|one| one.running.as_ref()) {
            running.drain();
        }
    }

    /// The proxy's file changes, and one that runs goes over to it.
    ///
    /// # Errors
    /// The proxy's own words, where it refuses.
    pub(super) fn reload(&self, proxy: u16, changes: &Reloaded) -> Result<(), proxy::ReloadError> {
        let mut all = self.lock();
        let Some(one) = all.get_mut(&proxy) else { return Ok(()) };
        changes.apply(&mut one.said);
        let mut config = (self.make)(proxy, &one.said);
        if let Some(mutant) = self.mutant {
            // Its policies are planted in the program already.
            config = (mutant.plant)(&mut proxy::Policies::default(), config);
        }
        one.running.as_ref().map_or(Ok(()), |running| running.reload(config))
    }
}

/// A proxy that runs.
pub(super) struct Held {
    reins: Reins,
    proxy: u16,
}

impl Drop for Held {
    fn drop(&mut self) {
        let gone = self.reins.lock().get_mut(&self.proxy).and_then(|one| one.running.take());
        drop(gone);
    }
}
