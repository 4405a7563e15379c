//! Where the leg and the shards meet: who wants what in all, and the stamps.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use wire::event::Observer;
use wire::feed::Request;
use wire::id::Symbol;
use wire::net::Network;
use wire::ws::Message;

use super::books::Books;
use super::delivery::Delivery;
use super::reconcile::Reconcile;
use super::shard::{News, Seat, Shard};
use super::stamp::Stamp;
use super::subscriptions::{Change, ClientKey, Slot, UnionFull};
use super::union::Union;
use crate::config::Config;
use crate::lock::lock;
use crate::meter::Meter;
use crate::policy::Policies;

/// The fan-out of one proxy. Locks are taken in the order hub, shard, client; none is held while anything waits.
pub(crate) struct Hub<N: Network> {
    state: Mutex<State>,
    pub(super) shards: Vec<Shard<N::Stream>>,
    pub(super) books: Books,
    /// The union changed, or something else that the leg should look at.
    pub(super) wake_leg: Notify,
    /// A shard took news.
    pub(super) room: Notify,
}

struct State {
    union: Union,
    reconcile: Reconcile,
    stamp: Box<dyn Stamp>,
    epochs: Epochs,
    next_key: ClientKey,
}

impl<N: Network> std::fmt::Debug for Hub<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

/// Makes the epochs that a stamp counts from 1 unlike those of any other proxy, and of this one before it was started again: a client that resumes elsewhere must not be taken for one
/// that stood here. In steps of 65 ms since 1970, and 16 bits of chance: below 2^53 until the year 2255.
#[derive(Clone, Copy, Debug)]
struct Epochs {
    base: u64,
    chance: u64,
}

impl Epochs {
    fn new<N: Network>(net: &N, id: u64) -> Self {
        Self { base: net.wall_clock().as_micros() >> 16, chance: net.draws("epoch", id).nth(0) & 0xffff }
    }

    fn of(self, epoch: u64) -> u64 {
        self.base.saturating_add(epoch) << 16 | self.chance
    }
}

/// What the source is to be told, and when to look again.
pub(super) struct Due {
    pub(super) told: Option<Vec<Symbol>>,
    pub(super) again: Option<Instant>,
}

impl<N: Network> Hub<N> {
    pub(crate) fn new(config: &Config, policies: &Policies, net: &N, meter: Arc<Meter>, observer: Observer) -> Self {
        let limits = &config.limits;
        let state = State {
            union: Union::default(),
            reconcile: Reconcile::new(limits.reconcile_delay, limits.unsubscribe_linger, limits.symbols_total_max),
            stamp: (policies.stamp)(config),
            epochs: Epochs::new(net, u64::from(config.id.0)),
            next_key: 0,
        };
        let shard = |_| Shard::new((policies.route)(config), limits.resume_bytes_max);
        Self {
            state: Mutex::new(state),
            shards: (0..net.shards().max(1)).map(shard).collect(),
            books: Books::new(meter, observer, config.id, limits.queue_bytes_total_max),
            wake_leg: Notify::new(),
            room: Notify::new(),
        }
    }

    /// A number for a new client; never given twice.
    pub(super) fn key(&self) -> ClientKey {
        let mut state = lock(&self.state);
        state.next_key += 1;
        state.next_key
    }

    /// A client replaces its set of symbols. See [`Shard::subscribe`].
    pub(super) fn subscribe(&self, seat: &Seat<N>, request: Request, config: &Config) -> Result<(), UnionFull> {
        let limits = &config.limits;
        let (shard, slot) = seat.place();
        let mut state = lock(&self.state);
        state.union.has_room(&request.symbols, limits.symbols_total_max)?;
        let (symbols, resume) = (request.symbols, request.resume);
        let shard = &self.shards[shard];
        let change = shard.subscribe(seat.key, slot, symbols, &resume, limits.queue_bytes_max, &self.books);
        self.reconcile(&mut state, change);
        Ok(())
    }

    /// A client leaves.
    pub(super) fn leave(&self, shard: usize, key: ClientKey, slot: Slot) {
        let mut state = lock(&self.state);
        let change = self.shards[shard].leave(key, slot);
        self.reconcile(&mut state, change);
    }

    fn reconcile(&self, state: &mut State, change: Change) {
        let change = state.union.apply(change);
        if change != Change::default() {
            state.reconcile.changed(Instant::now(), &change);
            self.wake_leg.notify_one();
        }
    }

    /// A leg was dialled: the union, which it is to be told.
    pub(super) fn union(&self) -> Vec<Symbol> {
        let mut state = lock(&self.state);
        let State { union, reconcile, .. } = &mut *state;
        let told = reconcile.leg_up(union.symbols());
        self.forget_left(&mut state);
        told
    }

    /// What the source is to be told by now. While it has not taken the last request (`busy`), nothing: a source that stalls gets one at a time.
    pub(super) fn due(&self, now: Instant, busy: bool, delay: Duration) -> Due {
        let mut state = lock(&self.state);
        if busy && state.reconcile.next().is_some() {
            return Due { told: None, again: Some(now + delay.max(Duration::from_millis(1))) };
        }
        let told = state.reconcile.due(now);
        self.forget_left(&mut state);
        Due { told, again: state.reconcile.next() }
    }

    /// What is no longer received must not be taken for the newest value of anything.
    fn forget_left(&self, state: &mut State) {
        let left = state.reconcile.take_left();
        if left.is_empty() {
            return;
        }
        for symbol in &left {
            state.stamp.forget(*symbol);
        }
        for shard in &self.shards {
            shard.post(left.iter().copied().map(News::Forget));
        }
    }

    /// A new leg delivers from now on: its number for [`Hub::publish`], and the epoch that begins.
    pub(super) fn leg_up(&self) -> (u64, u64) {
        let mut state = lock(&self.state);
        let leg = state.stamp.leg_up();
        (leg, state.epochs.of(leg))
    }

    /// Messages of the leg, in order: stamps them and leaves them with the shards. What nobody asked for is not passed on. Never waits.
    pub(super) fn publish(&self, leg: u64, messages: &mut Vec<(Symbol, Message)>) {
        let mut state = lock(&self.state);
        let State { reconcile, stamp, epochs, .. } = &mut *state;
        let mut deliveries: Vec<Arc<Delivery>> = Vec::with_capacity(messages.len());
        for (symbol, message) in messages.drain(..).filter(|(symbol, _)| reconcile.knows(*symbol)) {
            let (epoch, seq) = stamp.stamp(leg, symbol);
            deliveries.push(Arc::new(Delivery::new(symbol, (epochs.of(epoch), seq), message)));
        }
        if deliveries.is_empty() {
            return;
        }
        // Under the hub's lock, so that every shard sees the stamps in their order.
        for shard in &self.shards {
            shard.post(deliveries.iter().map(|delivery| News::Data(Arc::clone(delivery))));
        }
    }

    /// Waits until every shard has room for more. Cancel-safe.
    pub(super) async fn has_room(&self) {
        while self.shards.iter().any(Shard::is_full) {
            self.room.notified().await;
        }
    }

    /// Bytes that wait in all queues, and in the longest.
    pub(crate) fn queue_bytes(&self) -> (u64, u64) {
        let most = self.shards.iter().map(Shard::queue_bytes_most).max().unwrap_or(0);
        (self.books.waiting() as u64, most as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_of_two_proxies_and_of_two_starts_differ_and_grow() {
        let one = Epochs { base: 27_000_000_000, chance: 5 };
        let restarted = Epochs { base: 27_000_000_010, chance: 9 };
        let other = Epochs { base: 27_000_000_000, chance: 77 };
        assert!(one.of(1) < one.of(2) && one.of(2) < restarted.of(1));
        assert_ne!(one.of(11), restarted.of(1));
        assert_ne!(one.of(1), other.of(1));
        assert!(restarted.of(1_000_000) < 1 << 53, "JSON numbers are exact up to there");
    }
}
