//! The shell around everything: bind, run, stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use tokio_util::sync::CancellationToken;
use wire::event::Observer;
use wire::net::{ListenOptions, Listener, Network, SocketOptions};

use crate::config::{Changed, Config, ConfigError};
use crate::context::Context;
use crate::policy::Policies;
use crate::reload::{Reader, ReloadError};
use crate::tls::{Loaded, TlsError};
use crate::{admin, drain, fanout, listener, relay};

/// Why the proxy could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration makes no sense: the operator's fault.
    #[error("bad configuration: {0}")]
    Config(#[from] ConfigError),
    /// Certificates or roots cannot be used: the operator's fault.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// An address cannot be listened on. Trying again helps once whoever holds it is gone.
    #[error("cannot listen on {addr} ({what}): {source}{}", hint(.source))]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// `clients` or `admin`.
        what: &'static str,
        /// The kernel's words.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there: stop it, or choose another address (port 0 picks a free one)"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges",
        _ => "",
    }
}

/// Serves clients until `shutdown`, then closes them with 1001 and returns. See [`serve_with`].
///
/// # Errors
/// [`ServeError`].
pub async fn serve<N: Network>(
    config: Config,
    net: N,
    shutdown: CancellationToken,
    observer: Observer,
) -> Result<(), ServeError> {
    serve_with(config, Policies::default(), net, shutdown, observer).await
}

/// Serves with decisions of the caller's choice.
///
/// Dropping the future ends the proxy at once: connections are cut, not closed.
///
/// # Errors
/// [`ServeError`].
pub async fn serve_with<N: Network>(
    config: Config,
    policies: Policies,
    net: N,
    shutdown: CancellationToken,
    observer: Observer,
) -> Result<(), ServeError> {
    Server::bind(config, policies, net, observer).await?.run(shutdown).await;
    Ok(())
}

/// Reaches a running proxy.
#[derive(Debug)]
pub struct Handle<N: Network>(Arc<Context<N>>);

impl<N: Network> Clone for Handle<N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<N: Network> Handle<N> {
    /// Begins a drain, after which [`Server::run`] returns. False if one had begun.
    pub fn drain(&self) -> bool {
        self.0.drain.ask()
    }

    /// Reads the configuration again, as [`Server::reload_with`] said, and goes over to it: what changed.
    ///
    /// # Errors
    /// [`ReloadError`]; then the old configuration stays, whole.
    pub fn reload(&self) -> Result<Vec<Changed>, ReloadError> {
        self.0.reload()
    }

    /// Goes over to another configuration: what changed. Nobody is closed.
    ///
    /// # Errors
    /// [`ReloadError`]; then the old configuration stays, whole.
    pub fn reconfigure(&self, config: Config) -> Result<Vec<Changed>, ReloadError> {
        self.0.reconfigure(config)
    }
}

/// A proxy that is bound and not yet running: for callers who must know the port first.
#[derive(Debug)]
pub struct Server<N: Network> {
    context: Arc<Context<N>>,
    listener: N::Listener,
    admin: Option<N::Listener>,
    local_addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
}

impl<N: Network> Server<N> {
    /// Checks the configuration and binds its addresses.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(config: Config, policies: Policies, net: N, observer: Observer) -> Result<Self, ServeError> {
        config.check()?;
        let tls = Loaded::read(&config, &net)?;
        let accepted = SocketOptions {
            send_buffer: config.limits.client_send_buffer,
            recv_buffer: None,
            nodelay: Some(true),
            notsent_lowat: config.limits.notsent_lowat,
            local: None,
        };
        let options = ListenOptions { accepted, backlog: config.limits.accept_backlog, ..ListenOptions::default() };
        let refused = |addr, what| move |source| ServeError::Bind { addr, what, source };
        let listener = net.bind(config.listen, options).await.map_err(refused(config.listen, "clients"))?;
        let local_addr = listener.local_addr().map_err(refused(config.listen, "clients"))?;
        let (admin, admin_addr) = match config.admin {
            None => (None, None),
            Some(addr) => {
                let listener = net.bind(addr, ListenOptions::default()).await.map_err(refused(addr, "admin"))?;
                let local = listener.local_addr().map_err(refused(addr, "admin"))?;
                (Some(listener), Some(local))
            }
        };
        let context = Context::new(config, tls, policies, net, CancellationToken::new(), observer);
        Ok(Self { context: Arc::new(context), listener, admin, local_addr, admin_addr })
    }

    /// Where clients connect.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where the admin pages are, if anywhere.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// Says how the configuration is read again, at [`Handle::reload`] and `POST /reload`; the error is shown as it is. The first call counts.
    #[must_use]
    pub fn reload_with(self, read: impl Fn() -> Result<Config, String> + Send + Sync + 'static) -> Self {
        let _ = self.context.reader.set(Reader::new(read));
        self
    }

    /// What reaches the proxy while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle<N> {
        Handle(Arc::clone(&self.context))
    }

    /// Serves until `shutdown`, which closes everyone at once, or until a drain is done.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { context, listener, admin, .. } = self;
        // Whatever ends this function, also a dropped future, ends every task.
        let _stop = context.stop.clone().drop_guard();
        let net = context.net.clone();
        let config = context.config();
        let _shards = if context.is_fanout() { fanout::start_shards(&context) } else { Vec::new() };
        let leg = context.is_fanout().then(|| net.spawn("legs", fanout::keep_legs(Arc::clone(&context))).guard());
        let _gauge = net.spawn("gauge", gauge(Arc::clone(&context))).guard();
        let _admin = admin.map(|listener| net.spawn("admin", admin::run(Arc::clone(&context), listener)).guard());
        let _probes =
            (!context.is_fanout()).then(|| net.spawn("probes", relay::keep_probing(Arc::clone(&context))).guard());
        wire::select! {
            () = shutdown.cancelled() => {}
            _ = join(listener::run(&context, listener), drain::conduct(&context)) => {}
        }
        context.stop.cancel();
        // Each client's farewell is bounded by the close timeout; so is this wait. After the deadline of a drain there is nothing to wait for but the cut itself.
        let patience = if context.drain.is_cut() { CUT } else { config.limits.close_timeout * 2 };
        let _ = tokio::time::timeout(patience, drain::emptied(&context)).await;
        if let Some(leg) = leg {
            let _ = tokio::time::timeout(config.limits.close_timeout, leg).await;
        }
        context.observer.record(|| context.gauge());
    }
}

/// How long tasks may take to notice that they are cut.
const CUT: Duration = Duration::from_millis(50);

async fn gauge<N: Network>(context: Arc<Context<N>>) {
    loop {
        tokio::time::sleep(context.config().gauge_interval).await;
        context.observer.record(|| context.gauge());
    }
}
