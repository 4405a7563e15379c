//! Where the legs and the shards meet: who wants what in all, and the stamps.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use wire::event::Observer;
use wire::feed::v2::SubAck;
use wire::feed::{Identity, Protocol, Request};
use wire::id::{SourceId, Symbol};
use wire::net::Network;
use wire::ws::Message;

use super::answers::{Acknowledge, Answer, Answers};
use super::books::Books;
use super::delivery::Delivery;
use super::fence::Fence;
use super::inbox::{News, Passed};
use super::legs::{LegKey, Legs, Opened};
use super::merge::{Identify, Merge, Merged};
use super::shard::{Seat, Shard};
use super::stamp::Stamp;
use super::subscriptions::{Change, ClientKey, Slot, UnionFull};
use super::union::Union;
use crate::config::Config;
use crate::lock::lock;
use crate::meter::Meter;
use crate::policy::Policies;
use crate::pool::Pick;
use crate::shares::Shares;
use crate::tls::NetStream;

/// The fan-out of one proxy. Locks are taken in the order hub, shard, client; none is held while anything waits.
pub(crate) struct Hub<N: Network> {
    state: Mutex<State>,
    pub(super) shards: Vec<Shard<NetStream<N>>>,
    pub(super) books: Books,
    acknowledge: Arc<dyn Acknowledge>,
    /// Whose legs are passed on unseen: see [`Policies::trusts`].
    trusts: Arc<dyn Fn(SourceId) -> bool + Send + Sync>,
    /// A shard took news.
    pub(super) room: Notify,
}

struct State {
    union: Union,
    legs: Legs,
    /// Where a symbol may come by several legs.
    merge: Option<Merge>,
    /// Where it comes by one at a time.
    fence: Fence,
    /// What the sources say to each symbol (v2).
    answers: Answers,
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
#[derive(Clone, Copy, Debug, Default)]
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

fn identify(protocol: Protocol) -> Identify {
    match protocol {
        Protocol::V1 => Identity::v1,
        Protocol::V2 => Identity::v2,
        Protocol::Raw => |_| None,
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
        let stamp = (policies.stamp)(config);
        let epochs = if stamp.fences() { Epochs::new(net, u64::from(config.id.0)) } else { Epochs::default() };
        let state = State {
            union: Union::default(),
            legs: Legs::new(config),
            merge: (policies.merges)(config).then(|| Merge::new(config.health.stale_after, identify(config.protocol))),
            fence: Fence::new(config.health.stale_after, identify(config.protocol)),
            answers: Answers::default(),
            stamp,
            epochs,
            next_key: 0,
        };
        let acknowledge: Arc<dyn Acknowledge> = (policies.acknowledge)(config).into();
        let shard = |_| Shard::new((policies.route)(config), Arc::clone(&acknowledge), limits.resume_bytes_max);
        Self {
            state: Mutex::new(state),
            shards: (0..net.shards().max(1)).map(shard).collect(),
            books: Books::new(meter, observer, config.id, limits.queue_bytes_total_max),
            acknowledge,
            trusts: Arc::clone(&policies.trusts),
            room: Notify::new(),
        }
    }

    /// Goes over to another configuration, as far as the hub has a part of it.
    pub(crate) fn reconfigure(&self, config: &Config) {
        let mut state = lock(&self.state);
        state.fence.wait(config.health.stale_after);
        if let Some(merge) = &mut state.merge {
            merge.wait(config.health.stale_after);
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
        let change = self.shards[shard].leave(key, slot, &self.books);
        self.reconcile(&mut state, change);
    }

    fn reconcile(&self, state: &mut State, change: Change) {
        let change = state.union.apply(change);
        if change != Change::default() {
            state.legs.changed(Instant::now(), &change);
            self.forget_left(state, change.removed);
        }
    }

    /// Picks a source for a leg, with `pick`, which is told which ones are free, and claims it.
    pub(super) fn claim(&self, pick: impl FnOnce(&dyn Fn(SourceId) -> bool) -> Pick) -> Pick {
        let mut state = lock(&self.state);
        let legs = &state.legs;
        let picked = pick(&|source| legs.is_free(source));
        if let Pick::Dial(source) = picked {
            state.legs.claim(source);
        }
        picked
    }

    /// The leg to a source, or its dial, is over.
    pub(super) fn release(&self, source: SourceId) {
        lock(&self.state).legs.release(source);
    }

    /// A leg was dialled.
    pub(super) fn open_leg(&self, source: SourceId) -> Opened {
        let mut state = lock(&self.state);
        let State { union, legs, .. } = &mut *state;
        legs.open(source, union.symbols())
    }

    /// A leg delivers from now on: the epoch that begins where it brings something new.
    pub(super) fn leg_up(&self, key: LegKey, source: SourceId, shares: Shares) -> u64 {
        let mut state = lock(&self.state);
        let number = state.stamp.leg_up();
        if let Some(merge) = state.merge.as_mut().filter(|_| (self.trusts)(source)) {
            merge.trust(number);
        }
        state.legs.up(Instant::now(), key, number, shares);
        state.epochs.of(number)
    }

    /// A source's answer to symbols that its leg was asked for (v2). What now holds goes to the clients that asked, and to no other.
    pub(super) fn answered(&self, key: LegKey, mut answer: SubAck) {
        let mut state = lock(&self.state);
        let State { legs, answers, .. } = &mut *state;
        answer.accepted.retain(|symbol| legs.knows(key, *symbol));
        answer.denied.retain(|(symbol, _)| legs.knows(key, *symbol));
        answers.note(key, &answer);
        let symbols = answer.accepted.into_iter().chain(answer.denied.into_iter().map(|(symbol, _)| symbol));
        self.announce(&mut state, symbols);
    }

    /// Tells clients what holds now of these symbols, where that is news. Under the state's lock, so that every shard sees the answers in their order.
    fn announce(&self, State { legs, answers, .. }: &mut State, symbols: impl IntoIterator<Item = Symbol>) {
        let news = answers.news(&*self.acknowledge, symbols, |symbol| legs.asked(symbol));
        let Some(answered) = news.map(Arc::new) else { return };
        for shard in &self.shards {
            shard.post(std::iter::once(News::Answered(Arc::clone(&answered))));
        }
    }

    /// Sorts what a client has just asked for by what the sources said to it. Where nothing holds yet it is taken out: the client awaits it.
    pub(super) fn sort(&self, seat: &Seat<N>, ack: &mut SubAck) {
        let mut state = lock(&self.state);
        let State { legs, answers, .. } = &mut *state;
        let mut open = Vec::new();
        let SubAck { accepted, denied, .. } = ack;
        let rule = &*self.acknowledge;
        accepted.retain(|symbol| match rule.at_once(answers.said(rule, *symbol, legs.asked(*symbol))) {
            Some(Answer::Accepted) => true,
            Some(Answer::Denied(reason)) => {
                denied.push((*symbol, reason));
                false
            }
            None => {
                answers.awaited(*symbol);
                open.push(*symbol);
                false
            }
        });
        // Under the hub's lock, so that no answer falls between.
        seat.conn.awaits(open);
    }

    /// A leg is gone. What others had ahead of it goes to the clients.
    pub(super) fn close_leg(&self, key: LegKey) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let (number, told) = state.legs.close(now, key);
        let mut merged = Vec::new();
        let State { merge, stamp, .. } = &mut *state;
        if let (Some(merge), Some(number)) = (merge, number) {
            merge.leg_down(now, number, &mut || stamp.leg_up(), &mut merged);
        }
        self.post(&mut state, merged);
        self.forget_left(&mut state, told);
        // The next leg asks again; where another has a word already, that holds from here on.
        let symbols = state.answers.down(key);
        self.announce(&mut state, symbols);
    }

    /// What a source is to be told by now. While it has not taken the last request (`busy`), nothing: a source that stalls gets one at a time.
    pub(super) fn due(&self, key: LegKey, now: Instant, busy: bool, delay: Duration) -> Due {
        let mut state = lock(&self.state);
        if busy && state.legs.next(key).is_some() {
            wire::reached!("source too busy for the next request");
            return Due { told: None, again: Some(now + delay.max(Duration::from_millis(1))) };
        }
        let State { legs, merge, stamp, .. } = &mut *state;
        let mut merged = Vec::new();
        legs.settle(now, |number, symbol| merge.as_ref().is_some_and(|merge| merge.carries(number, symbol)));
        let (told, left) = legs.due(now, key);
        if let (Some(merge), Some(number)) = (merge, legs.number(key)) {
            for symbol in &left {
                merge.leave(now, number, *symbol, &mut || stamp.leg_up(), &mut merged);
            }
        }
        self.post(&mut state, merged);
        state.answers.leave(key, &left);
        self.announce(&mut state, left.iter().copied());
        self.forget_left(&mut state, left);
        Due { told, again: state.legs.next(key) }
    }

    /// What is no longer received must not be taken for the newest value of anything.
    fn forget_left(&self, state: &mut State, mut left: Vec<Symbol>) {
        left.retain(|symbol| !state.union.wants(*symbol) && !state.legs.any_knows(*symbol));
        if left.is_empty() {
            return;
        }
        for symbol in &left {
            state.stamp.forget(*symbol);
            state.answers.forget(*symbol);
            state.fence.forget(*symbol);
            if let Some(merge) = &mut state.merge {
                merge.forget(*symbol);
            }
        }
        for shard in &self.shards {
            shard.post(left.iter().copied().map(News::Forget));
        }
    }

    /// Messages of a leg that is up, in order: stamps them and leaves them with the shards. What it was not asked for is not passed on. Never waits.
    pub(super) fn publish(&self, key: LegKey, source: SourceId, messages: &mut Vec<(Symbol, Message)>) {
        let now = Instant::now();
        let trusted = (self.trusts)(source);
        let mut state = lock(&self.state);
        let State { legs, merge, fence, stamp, .. } = &mut *state;
        let Some(number) = legs.number(key) else { return messages.clear() };
        let mut merged = Vec::with_capacity(messages.len());
        for (symbol, message) in messages.drain(..).filter(|(symbol, _)| legs.knows(key, *symbol)) {
            match merge {
                None => {
                    if trusted || fence.passes(now, number, symbol, &message) {
                        merged.push(Merged { symbol, chain: number, message });
                    }
                }
                Some(merge) => merge.offer(now, number, symbol, message, &mut || stamp.leg_up(), &mut merged),
            }
        }
        if let Some(merge) = merge {
            legs.settle(now, |number, symbol| merge.carries(number, symbol));
        }
        self.post(&mut state, merged);
    }

    fn post(&self, state: &mut State, merged: Vec<Merged>) {
        if merged.is_empty() {
            return;
        }
        let deliveries: Vec<Arc<Delivery>> = merged
            .into_iter()
            .map(|Merged { symbol, chain, message }| {
                let (epoch, seq) = state.stamp.stamp(chain, symbol);
                Arc::new(Delivery::new(symbol, (state.epochs.of(epoch), seq), message))
            })
            .collect();
        // Under the hub's lock, so that every shard sees the stamps in their order.
        for shard in &self.shards {
            shard.post(deliveries.iter().map(|delivery| News::Data(Arc::clone(delivery), Passed::default())));
        }
    }

    /// Whether no leg is up.
    pub(super) fn is_between_legs(&self) -> bool {
        !lock(&self.state).legs.any_up()
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
