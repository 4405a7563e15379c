//! What all tasks of one proxy share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Why};
use wire::id::{ProxyId, SourceId};
use wire::net::Network;

use crate::addresses::Addresses;
use crate::config::{Config, Mode};
use crate::drain::Drain;
use crate::fanout::Hub;
use crate::keys::Keys;
use crate::lock::lock;
use crate::meter::Meter;
use crate::policy::Policies;
use crate::pool::{Ending, Pool};
use crate::reload::Reader;
use crate::roster::Roster;
use crate::siblings::Siblings;
use crate::tls::{Loaded, Tls};

/// Characters kept of the reason of a failure: a source writes part of it.
const WHY_MAX: usize = 200;

/// Why an instance failed last.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) at: tokio::time::Instant,
    pub(crate) why: String,
}

/// One proxy: what it was told, what it holds, and where it reports.
#[derive(Debug)]
pub(crate) struct Context<N: Network> {
    pub(crate) net: N,
    /// The proxy's number in records; it never changes.
    pub(crate) id: ProxyId,
    pub(crate) config: Mutex<Arc<Config>>,
    /// How the configuration is read again, if it can be.
    pub(crate) reader: OnceLock<Reader>,
    /// The configuration was exchanged.
    pub(crate) reloaded: Notify,
    pub(crate) policies: Policies,
    pub(crate) observer: Observer,
    pub(crate) meter: Arc<Meter>,
    /// Certificates and roots.
    pub(crate) tls: Tls,
    /// Clients by key.
    pub(crate) keys: Keys,
    /// Client connections by address.
    pub(crate) addresses: Arc<Mutex<Addresses>>,
    pub(crate) pool: Mutex<Pool>,
    /// The data of relay's legs, by instance.
    pub(crate) siblings: Mutex<Siblings>,
    pub(crate) hub: Hub<N>,
    /// Who is here.
    pub(crate) roster: Roster,
    /// The last failure of each instance that had one.
    pub(crate) failures: Mutex<BTreeMap<SourceId, Failure>>,
    /// How far a drain has come.
    pub(crate) drain: Drain,
    /// Everything ends now.
    pub(crate) stop: CancellationToken,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.states()).finish()
    }
}

impl<N: Network> Context<N> {
    pub(crate) fn new(
        config: Config,
        tls: Loaded,
        policies: Policies,
        net: N,
        stop: CancellationToken,
        observer: Observer,
    ) -> Self {
        let chance = net.clone();
        let pool = Pool::new(&config, &policies, move |purpose, entity| chance.draws(purpose, entity));
        let meter: Arc<Meter> = Arc::default();
        let hub = Hub::new(&config, &policies, &net, Arc::clone(&meter), observer.clone());
        Self {
            net,
            id: config.id,
            config: Mutex::new(Arc::new(config)),
            reader: OnceLock::new(),
            reloaded: Notify::new(),
            policies,
            observer,
            meter,
            tls: Tls::new(tls),
            keys: Keys::default(),
            addresses: Arc::default(),
            pool: Mutex::new(pool),
            siblings: Mutex::default(),
            hub,
            roster: Roster::default(),
            failures: Mutex::default(),
            drain: Drain::default(),
            stop,
        }
    }

    /// Sample of what is held now.
    pub(crate) fn gauge(&self) -> Event {
        let (queue_bytes, queue_bytes_max) = self.hub.queue_bytes();
        Event::ProxyGauge {
            proxy: self.id,
            clients: self.meter.clients.get(),
            handshakes: self.meter.handshakes.get(),
            legs: self.meter.legs.get(),
            queue_bytes,
            queue_bytes_max,
            received: self.meter.received.get(),
            forwarded: self.meter.forwarded.get(),
            dropped: self.meter.dropped.get(),
        }
    }

    /// Keeps why an instance failed, for those who ask.
    pub(crate) fn failed(&self, source: SourceId, why: impl std::fmt::Display) {
        let why = why.to_string().chars().take(WHY_MAX).collect();
        lock(&self.failures).insert(source, Failure { at: tokio::time::Instant::now(), why });
    }

    /// The leg to a source is up.
    pub(crate) fn leg_up(&self, source: SourceId) {
        if lock(&self.pool).up(source, tokio::time::Instant::now()) {
            self.health(source, true);
        }
    }

    /// A leg ended, or its dial failed: gives its place back. See [`Pool::closed`].
    pub(crate) fn leg_closed(&self, source: SourceId, up_since: Option<tokio::time::Instant>, fault: bool) {
        self.leg_ended(source, up_since, if fault { Ending::Fault } else { Ending::Orderly });
    }

    /// A source said that our key has too many connections: gives the place back.
    pub(crate) fn leg_refused(&self, source: SourceId, up_since: Option<tokio::time::Instant>) {
        self.leg_ended(source, up_since, Ending::Refused);
    }

    /// An instance says nothing on any leg while its siblings deliver.
    pub(crate) fn silent(&self, source: SourceId) {
        if lock(&self.pool).silent(source, tokio::time::Instant::now()) {
            self.health(source, false);
        }
    }

    fn leg_ended(&self, source: SourceId, up_since: Option<tokio::time::Instant>, ending: Ending) {
        if lock(&self.pool).closed(source, tokio::time::Instant::now(), up_since, ending) {
            self.health(source, false);
        }
    }

    fn health(&self, source: SourceId, healthy: bool) {
        tracing::info!(%source, url = self.url(source), healthy, "health changed");
        self.observer.record(|| Event::ProxyHealth { proxy: self.id, source, healthy });
    }

    /// The configuration as it stands now. Whoever lives long asks again, since a reload exchanges it.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&lock(&self.config))
    }

    /// The URL of an instance.
    pub(crate) fn url(&self, source: SourceId) -> String {
        lock(&self.pool).url(source).to_owned()
    }

    /// A client that offers the strong contract gets it in fan-out only: relay passes on what the source says.
    pub(crate) fn is_fanout(&self) -> bool {
        self.config().mode == Mode::Fanout
    }

    /// The proxy ends a client's session.
    pub(crate) fn client_closed(&self, peer: std::net::SocketAddr, code: Option<u16>, why: Why) {
        self.meter.closed.add(1);
        self.meter.offending.add(u64::from(why == Why::Protocol));
        self.observer.record(|| Event::ProxyClientClose { proxy: self.id, peer, code, why });
    }
}
