//! Fan-out: one upstream leg in all, its messages to the clients that subscribed to them.
//!
//! ```text
//!            leg (one task)                hub (a lock, no task)               client (a task each)
//!   source ---> read, judge ---> stamp (epoch, seq), route ---> outbox ---> pop, gap notices, write in batches ---> client
//!      ^                            |  subscriptions  <--------------------- requests <------------------------------'
//!      `---- reconcile the union <--'
//! ```
//!
//! The leg's task never waits for a client: it leaves a shared pointer in each outbox. A stalled client blocks its own task and fills its own, bounded queue.

mod client;
mod gaps;
mod leg;
mod outbox;
mod queue;
mod reconcile;
mod stamp;
mod subscriptions;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::Instant;
use wire::event::{Event, Why};
use wire::id::Symbol;
use wire::net::Network;
use wire::ws::Message;

pub(crate) use self::client::serve as serve_client;
pub(crate) use self::leg::keep as keep_leg;
pub use self::outbox::Outbox;
pub use self::queue::{Bounded, Delivery, Pushed, Queue};
use self::reconcile::Reconcile;
pub use self::stamp::{Stamp, Stamps};
pub use self::subscriptions::{Change, ClientKey, Members, Route, SubscribersOnly, Subscriptions, Table, UnionFull};
use crate::config::Config;
use crate::context::Context;
use crate::lock::lock;
use crate::policy::Policies;

/// Where the leg and the clients meet.
pub(crate) struct Hub {
    state: Mutex<State>,
    /// The union changed, or something else that the leg should look at.
    wake_leg: Notify,
}

struct State {
    table: Table,
    reconcile: Reconcile,
    stamp: Box<dyn Stamp>,
    route: Box<dyn Route>,
    next_key: ClientKey,
    /// Who is served first rotates, so that nobody is always last.
    turn: usize,
    dropped: Vec<Arc<Delivery>>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

impl Hub {
    pub(crate) fn new(config: &Config, policies: &Policies) -> Self {
        let limits = &config.limits;
        let state = State {
            table: Table::default(),
            reconcile: Reconcile::new(limits.reconcile_delay, limits.unsubscribe_linger, limits.symbols_total_max),
            stamp: (policies.stamp)(config),
            route: (policies.route)(config),
            next_key: 0,
            turn: 0,
            dropped: Vec::new(),
        };
        Self { state: Mutex::new(state), wake_leg: Notify::new() }
    }

    /// A client arrives.
    fn join(&self, outbox: Arc<Outbox>) -> ClientKey {
        let mut state = lock(&self.state);
        state.next_key += 1;
        let key = state.next_key;
        state.table.join(key, outbox);
        key
    }

    /// A client leaves.
    fn leave(&self, key: ClientKey) {
        let mut state = lock(&self.state);
        let change = state.table.leave(key);
        self.reconcile(&mut state, &change);
    }

    /// A client replaces its set of symbols.
    fn subscribe(&self, key: ClientKey, symbols: Vec<Symbol>, union_max: usize) -> Result<(), UnionFull> {
        let mut state = lock(&self.state);
        let change = state.table.replace(key, symbols, union_max)?;
        self.reconcile(&mut state, &change);
        Ok(())
    }

    fn reconcile(&self, state: &mut State, change: &Change) {
        if *change != Change::default() {
            state.reconcile.changed(Instant::now(), change);
            self.wake_leg.notify_one();
        }
    }

    /// A new leg delivers from now on: the epoch that begins.
    fn leg_up(&self) -> u64 {
        lock(&self.state).stamp.leg_up()
    }

    /// A message of the leg: stamps it and leaves it with those who want it. Never waits.
    fn dispatch<N: Network>(&self, context: &Context<N>, symbol: Symbol, message: Message) {
        let mut state = lock(&self.state);
        let State { table, stamp, route, turn, dropped, .. } = &mut *state;
        let Some(members) = route.receivers(table, symbol).filter(|members| !members.is_empty()) else { return };
        let delivery = Arc::new(Delivery::new(symbol, stamp.stamp(symbol), message));
        let first = *turn % members.len();
        *turn = turn.wrapping_add(1);
        for index in (first..members.len()).chain(0..first) {
            let Some((_, outbox)) = members.get_index(index) else { continue };
            outbox.push(Arc::clone(&delivery), dropped);
            for gone in dropped.drain(..) {
                context.meter.dropped.add(1);
                context.observer.record(|| Event::ProxyDrop {
                    proxy: context.id,
                    peer: outbox.peer,
                    symbol: gone.symbol,
                    epoch: gone.epoch,
                    seq: gone.seq,
                    why: Why::Overflow,
                });
            }
        }
    }

    /// Bytes that wait in all queues, and in the longest.
    pub(crate) fn queue_bytes(&self) -> (u64, u64) {
        let state = lock(&self.state);
        state.table.everyone().values().fold((0, 0), |(sum, most), outbox| {
            let bytes = outbox.bytes() as u64;
            (sum + bytes, most.max(bytes))
        })
    }
}

/// A client's place in the hub; leaves when dropped.
struct Seat<N: Network> {
    context: Arc<Context<N>>,
    outbox: Arc<Outbox>,
    key: ClientKey,
}

impl<N: Network> Seat<N> {
    fn take(context: &Arc<Context<N>>, peer: SocketAddr) -> Self {
        let queue = (context.policies.queue)(&context.config());
        let outbox = Arc::new(Outbox::new(peer, queue));
        let key = context.hub.join(Arc::clone(&outbox));
        Self { context: Arc::clone(context), outbox, key }
    }
}

impl<N: Network> Drop for Seat<N> {
    fn drop(&mut self) {
        self.context.hub.leave(self.key);
    }
}

/// The one symbol of the raw protocol, where everything goes to everyone.
pub(crate) fn raw_symbol() -> Symbol {
    Symbol::new("*").expect("an asterisk is printable")
}
