//! Going over to another configuration without hurting anyone: read whole, checked whole, exchanged whole, or refused whole.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;
use wire::event::Event;
use wire::net::Network;

use crate::config::{Changed, Config, ConfigError, Frozen};
use crate::context::Context;
use crate::lock::lock;
use crate::pool::NumbersSpent;
use crate::tls::Loaded;

/// Why the old configuration stays. All are the operator's to mend; trying again helps once they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// There is nothing to read again.
    #[error("there is no configuration file to read again: the proxy was started without one")]
    NoFile,
    /// It cannot be read: where, what, and what to do.
    #[error("{0}")]
    Unreadable(String),
    /// It makes no sense.
    #[error("bad configuration: {0}")]
    Config(#[from] ConfigError),
    /// It changes what cannot change.
    #[error(transparent)]
    Frozen(#[from] Frozen),
    /// Its certificates or roots cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
    /// It names too many instances.
    #[error("{0}")]
    Upstreams(String),
}

impl From<NumbersSpent> for ReloadError {
    fn from(error: NumbersSpent) -> Self {
        Self::Upstreams(error.to_string())
    }
}

/// Reads the configuration again; the error is ready to print.
pub(crate) struct Reader(Box<dyn Fn() -> Result<Config, String> + Send + Sync>);

impl Reader {
    pub(crate) fn new(read: impl Fn() -> Result<Config, String> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl<N: Network> Context<N> {
    /// Reads the configuration again and goes over to it.
    pub(crate) fn reload(&self) -> Result<Vec<Changed>, ReloadError> {
        let Some(Reader(read)) = self.reader.get() else { return Err(ReloadError::NoFile) };
        match read() {
            Ok(config) => self.reconfigure(config),
            Err(error) => self.refuse(ReloadError::Unreadable(error)),
        }
    }

    /// Goes over to another configuration: what changed. Nobody is closed. On an error the old one stays, whole.
    pub(crate) fn reconfigure(&self, new: Config) -> Result<Vec<Changed>, ReloadError> {
        match self.exchange(new) {
            Ok(changes) => {
                self.meter.reloads.add(1);
                let count = u32::try_from(changes.len()).unwrap_or(u32::MAX);
                self.observer.record(|| Event::ProxyReload { proxy: self.id, changes: count });
                for changed in &changes {
                    tracing::info!(key = changed.key, from = changed.from, to = changed.to, "configuration changed");
                }
                tracing::info!(changes = changes.len(), "configuration reloaded");
                Ok(changes)
            }
            Err(error) => self.refuse(error),
        }
    }

    fn refuse(&self, error: ReloadError) -> Result<Vec<Changed>, ReloadError> {
        self.meter.reloads_refused.add(1);
        tracing::error!(%error, "the new configuration is refused: the old one stays");
        Err(error)
    }

    fn exchange(&self, new: Config) -> Result<Vec<Changed>, ReloadError> {
        new.check()?;
        // Read in any case: a file may hold another certificate under the same name.
        let tls = Loaded::read(&new, &self.net).map_err(|error| ReloadError::Tls(error.to_string()))?;
        let mut current = lock(&self.config);
        let changes = current.changes_to(&new)?;
        // Nothing holds the pool's lock and asks for the configuration's.
        lock(&self.pool).reconfigure(&new, &self.policies, Some(Instant::now()))?;
        // Nor does anything that holds the hub's.
        self.hub.reconfigure(&new);
        self.tls.exchange(tls);
        *current = Arc::new(new);
        drop(current);
        self.reloaded.notify_waiters();
        Ok(changes)
    }

    /// Waits until an instance may be used no more: the configuration names it no longer.
    pub(crate) async fn leaves(&self, source: wire::id::SourceId) {
        loop {
            let reloaded = self.reloaded.notified();
            if !lock(&self.pool).sources().contains(&source) {
                return;
            }
            reloaded.await;
        }
    }
}
