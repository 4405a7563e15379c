//! One shard: the clients of one core, and the loop that writes to them.
//!
//! A client belongs to one shard for life. What it is to get depends on nothing outside of it, so that subscribing is atomic: under the shard's lock a client gets the newest value and,
//! from the next message on, all that follows.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::Instant;
use wire::feed::Kind;
use wire::feed::v2::SubAck;
use wire::id::Symbol;
use wire::net::{ByteStream, Network};

use super::answers::Acknowledge;
use super::books::Books;
use super::conn::Conn;
use super::inbox::{Inbox, News};
use super::memory::Memory;
use super::round::{MESSAGES_MAX, Round};
use super::subscriptions::{Change, ClientKey, Route, Slot, Table};
use crate::context::Context;
use crate::lock::lock;
use crate::tls::NetStream;

/// Clients that are written to before other tasks get their turn.
const TURN_CLIENTS: usize = 64;

pub(super) struct Shard<S> {
    /// Taken after the state, where both are.
    inbox: Mutex<Inbox>,
    wake: Notify,
    /// The inbox is full.
    full: AtomicBool,
    state: Mutex<State<S>>,
}

struct State<S> {
    table: Table,
    conns: Slab<Arc<Conn<S>>>,
    memory: Memory,
    /// What is being handed out. A client whose subscriptions change gets its part before.
    round: Round,
    route: Box<dyn Route>,
    acknowledge: Arc<dyn Acknowledge>,
    /// Who is served first rotates, so that nobody is always last.
    turn: usize,
}

impl<S: ByteStream> Shard<S> {
    pub(super) fn new(route: Box<dyn Route>, acknowledge: Arc<dyn Acknowledge>, resume_bytes_max: usize) -> Self {
        let state = State {
            table: Table::default(),
            conns: Slab::new(),
            memory: Memory::new(resume_bytes_max),
            round: Round::default(),
            route,
            acknowledge,
            turn: 0,
        };
        Self { inbox: Mutex::default(), wake: Notify::new(), full: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Leaves news. Never waits.
    pub(super) fn post(&self, news: impl Iterator<Item = News>) {
        let mut inbox = lock(&self.inbox);
        inbox.post(news);
        self.full.store(inbox.is_full(), Relaxed);
        drop(inbox);
        self.wake.notify_one();
    }

    /// Whether more news wait than should.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// A client arrives.
    pub(super) fn join(&self, key: ClientKey, conn: Arc<Conn<S>>) -> Slot {
        let mut state = lock(&self.state);
        if !conn.conflates {
            lock(&self.inbox).strict_joins();
        }
        let slot = Slot(state.conns.insert(conn));
        state.table.join(key, slot);
        slot
    }

    /// A client leaves.
    pub(super) fn leave(&self, key: ClientKey, slot: Slot, books: &Books) -> Change {
        let mut state = lock(&self.state);
        state.settle(slot, books);
        if state.conns.try_remove(slot.0).is_some_and(|conn| !conn.conflates) {
            lock(&self.inbox).strict_leaves();
        }
        state.table.leave(key)
    }

    /// A client replaces its set of symbols. A strong one gets, of each that is new to it, what it missed since the place that it names, or the newest value.
    pub(super) fn subscribe(
        &self,
        key: ClientKey,
        slot: Slot,
        symbols: Vec<Symbol>,
        resume: &[(Symbol, u64, u64)],
        queue_bytes_max: usize,
        books: &Books,
    ) -> Change {
        let mut state = lock(&self.state);
        let state = &mut *state;
        state.settle(slot, books);
        let replaced = state.table.replace(key, symbols);
        let Some(conn) = state.conns.get(slot.0) else { return replaced.change };
        conn.forget(&replaced.ended, books);
        if conn.strong {
            let resume: FxHashMap<Symbol, (u64, u64)> = resume.iter().map(|it| (it.0, (it.1, it.2))).collect();
            for symbol in replaced.began {
                let at = resume.get(&symbol).copied();
                begin(conn, &state.memory, symbol, at, queue_bytes_max, books);
            }
        }
        replaced.change
    }

    /// Payload bytes in the longest queue.
    pub(super) fn queue_bytes_most(&self) -> usize {
        lock(&self.state).conns.iter().map(|(_, conn)| conn.queue_bytes()).max().unwrap_or(0)
    }

    /// Takes news for the next round; true if more wait. The last round must be over.
    fn deal(&self, books: &Books) -> bool {
        let mut state = lock(&self.state);
        let State { table, conns, memory, round, route, acknowledge, turn } = &mut *state;
        round.clear();
        let mut inbox = lock(&self.inbox);
        for news in inbox.take(Instant::now(), MESSAGES_MAX) {
            let (delivery, passed) = match news {
                News::Data(delivery, passed) => (delivery, passed),
                News::Forget(symbol) => {
                    memory.forget(symbol);
                    continue;
                }
                News::Answered(answered) => {
                    for (slot, ack) in addressed(table, &answered.answer, acknowledge.as_ref()) {
                        let Some(conn) = conns.get(slot.0) else { continue };
                        // What came before the answer is not to come after it.
                        if let Some(part) = round.take(slot) {
                            conn.serve(round.messages(part), books);
                        }
                        if conn.answer(ack, &answered.changed, acknowledge.as_ref(), books) {
                            round.writes(slot);
                        }
                    }
                    continue;
                }
            };
            memory.push(&delivery);
            let Some(members) = route.receivers(table, delivery.symbol).filter(|members| !members.is_empty()) else {
                continue;
            };
            round.add(delivery, passed);
            let first = *turn % members.len();
            *turn = turn.wrapping_add(1);
            for index in (first..members.len()).chain(0..first) {
                if let Some((_, slot)) = members.get_index(index) {
                    round.wanted_by(*slot);
                }
            }
        }
        self.full.store(inbox.is_full(), Relaxed);
        !inbox.is_empty()
    }

    /// Hands some clients their parts of the round and writes to them; true if others still wait for theirs.
    fn hand_out(&self, books: &Books) -> bool {
        let mut state = lock(&self.state);
        let State { conns, round, .. } = &mut *state;
        for _ in 0..TURN_CLIENTS {
            let Some((slot, part)) = round.next() else { return false };
            if let Some(conn) = conns.get(slot.0) {
                conn.serve(round.messages(part), books);
            }
        }
        !round.is_over()
    }
}

impl<S: ByteStream> State<S> {
    /// A client gets its part of the round now.
    fn settle(&mut self, slot: Slot, books: &Books) {
        if let Some(part) = self.round.take(slot)
            && let Some(conn) = self.conns.get(slot.0)
        {
            conn.serve(self.round.messages(part), books);
        }
    }
}

/// Each client's part of a source's answer.
fn addressed(
    table: &Table,
    answer: &SubAck,
    acknowledge: &dyn Acknowledge,
) -> impl Iterator<Item = (Slot, SubAck)> + use<> {
    let mut parts: IndexMap<ClientKey, (Slot, SubAck), FxBuildHasher> = IndexMap::default();
    let SubAck { accepted, denied, .. } = answer;
    let accepted = accepted.iter().map(|symbol| (*symbol, None));
    for (symbol, denied) in accepted.chain(denied.iter().map(|(symbol, reason)| (*symbol, Some(reason)))) {
        for (key, slot) in acknowledge.hearers(table, symbol).into_iter().flatten() {
            let (_, ack) = parts.entry(*key).or_insert_with(|| (*slot, SubAck::default()));
            match denied {
                None => ack.accepted.push(symbol),
                Some(reason) => ack.denied.push((symbol, reason.clone())),
            }
        }
    }
    parts.into_values()
}

/// What a strong client gets of a symbol that is new to it.
fn begin<S: ByteStream>(
    conn: &Conn<S>,
    memory: &Memory,
    symbol: Symbol,
    resume: Option<(u64, u64)>,
    queue_bytes_max: usize,
    books: &Books,
) {
    if let Some((epoch, seq)) = resume
        && let Some(missed) = memory.after(symbol, epoch, seq)
    {
        let missed: Vec<_> = missed.map(|delivery| Arc::new(delivery.again(Kind::Replay))).collect();
        // All or nothing: what would not fit into its queue is not promised.
        if missed.iter().map(|delivery| delivery.bytes()).sum::<usize>() <= conn.room(queue_bytes_max) {
            wire::reached!("resume served in full");
            return conn.begin(symbol, Some((epoch, seq, true)), missed.into_iter(), books);
        }
    }
    let newest = memory.newest(symbol).map(|delivery| Arc::new(delivery.again(Kind::Snapshot)));
    conn.begin(symbol, resume.map(|(epoch, seq)| (epoch, seq, false)), newest.into_iter(), books);
}

/// A shard's loop: hands out news and writes, until the proxy stops.
pub(super) async fn run<N: Network>(context: Arc<Context<N>>, index: usize) {
    let hub = &context.hub;
    let Some(shard) = hub.shards.get(index) else { return };
    // Writing would use up the task's budget in the middle of a round, and those behind would look as if their sockets were full. It gives way by itself.
    tokio::task::coop::unconstrained(async {
        loop {
            wire::select! {
                () = context.stop.cancelled() => return,
                () = shard.wake.notified() => {}
            }
            loop {
                let more = shard.deal(&hub.books);
                hub.room.notify_one();
                while shard.hand_out(&hub.books) {
                    // The legs among others: a source that is read too seldom grows old in the kernel.
                    context.net.give_way().await;
                }
                if !more {
                    break;
                }
                context.net.give_way().await;
            }
        }
    })
    .await;
}

/// A client's place in its shard; gives it up when dropped.
pub(super) struct Seat<N: Network> {
    context: Arc<Context<N>>,
    pub(super) conn: Arc<Conn<NetStream<N>>>,
    pub(super) key: ClientKey,
    shard: usize,
    slot: Slot,
}

impl<N: Network> Seat<N> {
    /// A client joins a shard; it wants nothing yet.
    pub(super) fn take(context: &Arc<Context<N>>, shard: usize, key: ClientKey, conn: Conn<NetStream<N>>) -> Self {
        let conn = Arc::new(conn);
        let shard = shard % context.hub.shards.len();
        let slot = context.hub.shards[shard].join(key, Arc::clone(&conn));
        Self { context: Arc::clone(context), conn, key, shard, slot }
    }

    /// The shard and the place in it.
    pub(super) fn place(&self) -> (usize, Slot) {
        (self.shard, self.slot)
    }
}

impl<N: Network> Drop for Seat<N> {
    fn drop(&mut self) {
        let hub = &self.context.hub;
        // The hub's lock comes before the shard's, whoever takes both.
        hub.leave(self.shard, self.key, self.slot);
    }
}

impl<N: Network> std::fmt::Debug for Seat<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({})", self.conn.peer)
    }
}
