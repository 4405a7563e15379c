//! Accepts connections, each a task of its own, until told to stop.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Why};
use wire::id::Symbol;
use wire::net::{ByteStream, ListenOptions, Listener, Network};
use wire::tick::{Padding, Schedule};

use crate::batch::Batch;
use crate::conductor::conduct;
use crate::config::{Config, ServeError};
use crate::connection;
use crate::rates::Schedules;

/// What the conductor tells every connection.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Ticks(Arc<Batch>),
    /// A stall began or ended: see [`Shared::is_stalled`].
    Stall,
    Close(Option<u16>),
    Reset,
    /// The number of the message, from 0.
    Garbage(u32),
    /// A message of so many bytes.
    Oversized(u32),
}

/// What the conductor and all connections share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) schedules: Arc<Schedules>,
    /// The common one, for what looks like a tick and is none of the feed.
    pub(crate) schedule: Schedule,
    pub(crate) observer: Observer,
    pub(crate) news: broadcast::Sender<News>,
    pub(crate) stop: CancellationToken,
    pub(crate) stalled: AtomicBool,
    pub(crate) refusing: AtomicBool,
    pub(crate) slamming: AtomicBool,
    /// Logins are rejected (v2).
    pub(crate) rejecting: AtomicBool,
    /// How many scripted denials cover each symbol (v2), by place.
    pub(crate) denied: Mutex<Vec<u16>>,
    /// Symbols that one connection may have (v2).
    pub(crate) symbol_limit: AtomicU32,
    /// Above `u32::MAX`: no limit.
    pub(crate) key_limit: AtomicU64,
    /// Filler of each symbol's ticks, by place.
    pub(crate) paddings: Box<[Padding]>,
    pub(crate) open: AtomicU32,
    legs: AtomicU32,
    /// Looked up, never walked.
    places: FxHashMap<Symbol, usize>,
    /// Connections per user key. Looked up, never walked.
    keys: Mutex<FxHashMap<Box<str>, u32>>,
}

pub(crate) const NO_KEY_LIMIT: u64 = u64::MAX;

/// Tasks that only refuse, beside the open connections: beyond it a connection is reset unheard.
const REFUSING_MAX: u32 = 256;

impl Shared {
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// The number of the next connection.
    pub(crate) fn next_leg(&self) -> u32 {
        self.legs.fetch_add(1, Ordering::Relaxed)
    }

    /// The place of a symbol in the configuration's list.
    pub(crate) fn place(&self, symbol: Symbol) -> Option<usize> {
        self.places.get(&symbol).copied()
    }

    /// Why a subscription to the symbol is denied (v2), if it is.
    pub(crate) fn denies(&self, symbol: Symbol) -> Option<String> {
        let Some(place) = self.place(symbol) else {
            self.config.counters.add_unknown_symbols(1);
            return Some("unknown symbol".to_owned());
        };
        let scripted = self.denied.lock().unwrap_or_else(PoisonError::into_inner).get(place).is_some_and(|it| *it > 0);
        let always = self.config.denied.contains(&symbol);
        (scripted || always).then(|| "not in your plan".to_owned())
    }

    /// Takes one of the key's connections; None where all are taken.
    pub(crate) fn take_key(self: &Arc<Self>, key: &str) -> Option<KeyHeld> {
        let limit = self.key_limit.load(Ordering::Relaxed);
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let held = keys.get(key).copied().unwrap_or(0);
        if u64::from(held) >= limit {
            return None;
        }
        keys.insert(key.into(), held + 1);
        Some(KeyHeld { shared: Arc::clone(self), key: key.into() })
    }
}

/// One connection of a user key; given back on drop.
pub(crate) struct KeyHeld {
    shared: Arc<Shared>,
    key: Box<str>,
}

impl Drop for KeyHeld {
    fn drop(&mut self) {
        let mut keys = self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
        match keys.get(&*self.key).copied() {
            Some(held) if held > 1 => {
                keys.insert(self.key.clone(), held - 1);
            }
            _ => {
                keys.remove(&*self.key);
            }
        }
    }
}

/// Runs a source until `shutdown`: then every connection is closed with 1001, which takes at most `close_timeout`.
///
/// # Errors
/// [`ServeError`], before anything is served.
pub async fn serve<N: Network>(
    config: Config,
    net: N,
    shutdown: CancellationToken,
    observer: Observer,
) -> Result<(), ServeError> {
    let addr = config.listen;
    let options = ListenOptions { accepted: config.socket, ..ListenOptions::default() };
    let listener = net.bind(addr, options).await.map_err(|source| ServeError::Bind { addr, source })?;
    serve_on(config, listener, net, shutdown, observer).await
}

/// [`serve`] on a listener that the caller bound, and whose address it therefore knows. `config.listen` is not read.
///
/// # Errors
/// [`ServeError::Period`] and [`ServeError::Numbers`].
pub async fn serve_on<N: Network>(
    config: Config,
    listener: N::Listener,
    net: N,
    shutdown: CancellationToken,
    observer: Observer,
) -> Result<(), ServeError> {
    let schedules = Arc::new(config.schedules(net.wall_clock())?);
    // The ring holds what a task that is not scheduled misses; a connection's own queue is bounded by `queue_ticks`.
    let (news, _) = broadcast::channel(config.queue_ticks.clamp(64, 4_096));
    let stop = shutdown.child_token();
    // If this future is dropped, its connections end too.
    let _stop_on_drop = stop.clone().drop_guard();
    let shared = Arc::new(Shared {
        schedule: Schedule::every(config.period)?,
        schedules,
        observer,
        news,
        stop: stop.clone(),
        stalled: AtomicBool::new(false),
        refusing: AtomicBool::new(false),
        slamming: AtomicBool::new(false),
        rejecting: AtomicBool::new(false),
        denied: Mutex::new(vec![0; config.symbols.len()]),
        symbol_limit: AtomicU32::new(config.symbol_limit),
        key_limit: AtomicU64::new(config.key_limit.map_or(NO_KEY_LIMIT, u64::from)),
        paddings: config.symbols.iter().map(|symbol| config.padding_of(*symbol)).collect(),
        open: AtomicU32::new(0),
        legs: AtomicU32::new(0),
        places: config.symbols.iter().enumerate().map(|(place, symbol)| (*symbol, place)).collect(),
        keys: Mutex::default(),
        config,
    });
    let (alive, mut all_ended) = mpsc::channel::<()>(1);
    let _conductor = net.spawn("mock-upstream conductor", conduct(Arc::clone(&shared), net.clone())).guard();
    let mut next_shard = 0_usize;
    loop {
        let accepted = wire::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept; trying again in 20 ms");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let open = shared.open.fetch_add(1, Ordering::Relaxed);
        if open >= shared.config.connections_max.saturating_add(REFUSING_MAX) {
            shared.open.fetch_sub(1, Ordering::Relaxed);
            shared.config.counters.add_refused(1);
            shared.observer.record(|| Event::SourceRefuse { source: shared.config.id, peer, why: Why::Admission });
            stream.abort();
            continue;
        }
        let (shared, alive) = (Arc::clone(&shared), alive.clone());
        net.spawn_on(next_shard, "mock-upstream connection", async move {
            let admit = open < shared.config.connections_max;
            connection::run(Arc::clone(&shared), stream, peer, admit).await;
            shared.open.fetch_sub(1, Ordering::Relaxed);
            drop(alive);
        });
        next_shard = (next_shard + 1) % net.shards().max(1);
    }
    drop(listener);
    drop(alive);
    // Each connection bounds its own end; this bound is for a task that was lost.
    let bound = shared.config.close_timeout.saturating_add(Duration::from_millis(500));
    let _ = tokio::time::timeout(bound, all_ended.recv()).await;
    Ok(())
}
