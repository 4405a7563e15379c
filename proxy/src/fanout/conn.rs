//! One client's connection: its queue, what it is told, and the socket.
//!
//! ```text
//!   shard loop --deliver--> queue --pop, notices--> outgoing --writev--> socket --> client
//!                                                      ^                    |
//!                                     pongs, closes ---'--- session <--read-'
//! ```
//!
//! The shard's loop writes into the socket itself, so a message costs no wake-up of a task. Only where the socket takes no more does the client's own task take over: it waits until
//! there is room, and hands the socket back when nothing is left. Both hold the lock for as long as they touch anything; neither waits while it does.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use futures_util::{Sink, Stream};
use tokio::time::Instant;
use wire::event::Why;
use wire::feed::Strong;
use wire::feed::v2::SubAck;
use wire::id::Symbol;
use wire::net::ByteStream;
use wire::ws::{Bytes, Error, Message, Session, Tap};

use super::answers::{Acknowledge, Telling};
use super::books::Books;
use super::delivery::Delivery;
use super::frame;
use super::gaps::Narrator;
use super::inbox::Passed;
use super::outgoing::Outgoing;
use super::queue::{Dropped, Pressure, Pushed, Queue};
use crate::lock::lock;
use crate::roster::{Holder, Holds};

/// Bytes that are handed to one write; beyond it messages wait in the queue, where they can still give way, and answers to subscriptions wait as the question.
const WRITE_BYTES: usize = 8 << 10;

/// Frames that are handed to one write.
const WRITE_FRAMES: usize = 64;

/// Bytes of pongs and answers that may wait for the socket before the client is read no further.
const ANSWERS_MAX: usize = 16 << 10;

/// A client of fan-out, shared by its shard's loop and its own task.
pub(super) struct Conn<S> {
    pub(super) peer: SocketAddr,
    pub(super) strong: bool,
    /// Whether a message for it may give way to a newer one of its symbol.
    pub(super) conflates: bool,
    inner: Mutex<Inner<S>>,
}

struct Inner<S> {
    /// None once the client says goodbye.
    session: Option<Session<Tap<S>>>,
    queue: Box<dyn Queue>,
    out: Outgoing,
    narrator: Option<Box<Narrator>>,
    /// Symbols that the client asked for and that the source (v2) has not answered; None where there are none.
    awaited: Option<BTreeSet<Symbol>>,
    /// Some of those were answered when the client had no room for it: it is to ask for them again.
    owed: bool,
    /// The socket took no more: the client's task waits for room, and the loop keeps its hands off.
    blocked: bool,
    /// The socket's buffer may hold something that a flush would send (TLS).
    flushing: bool,
    /// The queue overflowed under a policy that disconnects.
    overflowed: bool,
    broken: Option<io::Error>,
    /// Symbols that it subscribed to.
    symbols: usize,
    /// Messages that it was to get and did not.
    dropped: u64,
    /// The client's task.
    task: Waker,
}

/// What a client's connection brought.
#[derive(Debug)]
pub(super) enum Turn {
    /// A message, or the session's end.
    Read(Option<Result<Message, Error>>),
    /// There is room again for answers that there was none for: what holds of these symbols is to be said, see [`Conn::say_ack`].
    Owed(Vec<Symbol>),
    /// The client is too slow to keep.
    Overflowed,
    /// The connection broke while it was written to.
    Broken(io::Error),
}

impl<S: ByteStream> Conn<S> {
    /// A client whose handshake is done. Where its stream is shut already, the answer to the handshake has not been written yet, and goes out first.
    pub(super) fn new(peer: SocketAddr, strong: bool, mut session: Session<Tap<S>>, queue: Box<dyn Queue>) -> Self {
        session.get_mut().shut();
        let mut out = Outgoing::default();
        let answer = session.get_mut().take();
        if !answer.is_empty() {
            out.push(answer.into());
        }
        let conflates = queue.conflates();
        let inner = Inner {
            session: Some(session),
            queue,
            out,
            narrator: strong.then(Box::default),
            awaited: None,
            owed: false,
            blocked: false,
            flushing: false,
            overflowed: false,
            broken: None,
            symbols: 0,
            dropped: 0,
            task: Waker::noop().clone(),
        };
        Self { peer, strong, conflates, inner: Mutex::new(inner) }
    }

    /// Gives the client messages, each with those that gave way to it, and writes as far as the socket takes it: the loop's turn.
    pub(super) fn serve<'d>(&self, messages: impl Iterator<Item = &'d (Arc<Delivery>, Passed)>, books: &Books) {
        let mut inner = lock(&self.inner);
        let mut cx = Context::from_waker(Waker::noop());
        for (delivery, passed) in messages {
            if inner.broken.is_some() || inner.overflowed {
                break;
            }
            if self.conflates && !passed.is_empty() {
                inner.dropped += passed.count();
                books.passed_over(self.peer, delivery.symbol, passed);
            }
            let waiting = inner.queue.bytes() + inner.out.bytes();
            if !inner.blocked && waiting > 0 && waiting + delivery.bytes() > WRITE_BYTES {
                // A client that keeps up loses nothing to a burst.
                inner.write(self, &mut cx, books);
            }
            inner.push(self, delivery, books);
        }
        if !inner.blocked {
            inner.write(self, &mut cx, books);
        }
    }

    /// Puts a frame behind what is already on its way.
    pub(super) fn say(&self, frame: Bytes) {
        lock(&self.inner).out.push(frame);
    }

    /// Where the client stands in a symbol that it has just subscribed to: `resume` is what it told, `rest` what follows, oldest first.
    pub(super) fn begin(
        &self,
        symbol: Symbol,
        resume: Option<(u64, u64, bool)>,
        rest: impl Iterator<Item = Arc<Delivery>>,
        books: &Books,
    ) {
        let mut inner = lock(&self.inner);
        if let Some((epoch, seq, recovered)) = resume {
            if let Some(narrator) = &mut inner.narrator {
                narrator.stands_at(symbol, epoch, seq, recovered);
            }
            inner.out.push(frame::text(&Strong::Resumed { symbol, epoch, seq, recovered }.encode()));
        }
        for delivery in rest {
            inner.push(self, &delivery, books);
        }
    }

    /// The client asked for these, and the source (v2) has not answered yet.
    pub(super) fn awaits(&self, symbols: Vec<Symbol>) {
        if !symbols.is_empty() {
            lock(&self.inner).awaited.get_or_insert_default().extend(symbols);
        }
    }

    /// The source answered: the client is told of what it awaits, and of what has `changed` since it was told. True if there is something to write.
    pub(super) fn answer(
        &self,
        mut ack: SubAck,
        changed: &[Symbol],
        acknowledge: &dyn Acknowledge,
        books: &Books,
    ) -> bool {
        let mut inner = lock(&self.inner);
        let mut awaited = inner.awaited.take().unwrap_or_default();
        let mut hears = |symbol: &Symbol| acknowledge.hears(awaited.remove(symbol), changed.contains(symbol));
        ack.accepted.retain(&mut hears);
        ack.denied.retain(|(symbol, _)| hears(symbol));
        inner.awaited = Some(awaited).filter(|awaited| !awaited.is_empty());
        inner.broken.is_none() && inner.say_ack(self, ack, books)
    }

    /// Says what holds of the client's symbols, in the client's own tongue. What the socket has no room for is owed: [`Turn::Owed`] comes when it has.
    pub(super) fn say_ack(&self, ack: SubAck, books: &Books) {
        lock(&self.inner).say_ack(self, ack, books);
    }

    /// Payload bytes that would fit into the queue without anything giving way.
    pub(super) fn room(&self, bytes_max: usize) -> usize {
        bytes_max.saturating_sub(lock(&self.inner).queue.bytes())
    }

    /// The client no longer wants these symbols, sorted: what waits of them is forgotten.
    pub(super) fn forget(&self, symbols: &[Symbol], books: &Books) {
        let mut inner = lock(&self.inner);
        let before = inner.queue.bytes();
        inner.queue.retain(&mut |delivery| symbols.binary_search(&delivery.symbol).is_err());
        books.moved(before, inner.queue.bytes());
        if let Some(awaited) = &mut inner.awaited {
            awaited.retain(|symbol| symbols.binary_search(symbol).is_err());
        }
        if let Some(narrator) = &mut inner.narrator {
            symbols.iter().for_each(|symbol| narrator.forget(*symbol));
        }
    }

    /// It subscribes to so many symbols from now on.
    pub(super) fn wants(&self, symbols: usize) {
        lock(&self.inner).symbols = symbols;
    }

    /// Payload bytes in the queue.
    pub(super) fn queue_bytes(&self) -> usize {
        lock(&self.inner).queue.bytes()
    }

    /// Reads the next message, and writes whatever waits: the turn of the client's task.
    pub(super) fn poll(&self, cx: &mut Context<'_>, books: &Books) -> Poll<Turn> {
        let mut inner = lock(&self.inner);
        if !inner.task.will_wake(cx.waker()) {
            inner.task = cx.waker().clone();
        }
        if inner.waits() {
            inner.write(self, cx, books);
        }
        if let Some(error) = inner.broken.take() {
            return Poll::Ready(Turn::Broken(error));
        }
        if inner.overflowed {
            return Poll::Ready(Turn::Overflowed);
        }
        if inner.owed && !inner.blocked {
            inner.owed = false;
            return Poll::Ready(Turn::Owed(inner.awaited.take().into_iter().flatten().collect()));
        }
        if inner.blocked && (inner.out.bytes() > ANSWERS_MAX || !inner.queue.lets_read()) {
            // It does not take the answers that it has: the next question waits in the kernel.
            return Poll::Pending;
        }
        let Some(session) = &mut inner.session else { return Poll::Ready(Turn::Read(None)) };
        let turn = ready!(Pin::new(&mut *session).poll_next(cx));
        // What the session answers by itself goes between two frames. An error means that it has ended, which the turn says.
        let _ = Pin::new(&mut *session).poll_flush(cx);
        let answer = session.get_mut().take();
        if matches!(turn, Some(Ok(Message::Close(_)))) {
            // After our answer to a close nothing may follow.
            inner.out.keep_only_begun();
            inner.out.push(answer.into());
            return Poll::Ready(Turn::Read(turn));
        }
        if !answer.is_empty() {
            inner.out.push_next(answer.into());
        }
        if inner.waits() && !inner.blocked {
            inner.write(self, cx, books);
        }
        Poll::Ready(Turn::Read(turn))
    }

    /// Writes the rest: all that waits, or only what is on its way. For a client that gets nothing new any more.
    pub(super) fn poll_finish(&self, cx: &mut Context<'_>, books: &Books) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.inner);
        inner.write(self, cx, books);
        match inner.broken.take() {
            Some(error) => Poll::Ready(Err(error)),
            None if inner.blocked => Poll::Pending,
            None => Poll::Ready(Ok(())),
        }
    }

    /// Forgets what waits in the queue and, if so told, what waits for the socket, except for the rest of a frame that is begun. With `why` each message is accounted for.
    pub(super) fn give_up(&self, why: Option<Why>, books: &Books, socket_too: bool) {
        let mut inner = lock(&self.inner);
        if socket_too {
            inner.out.keep_only_begun();
        }
        let before = inner.queue.bytes();
        while let Some(gone) = inner.queue.pop() {
            if let Some(why) = why {
                inner.dropped += u64::from(books.dropped(self.peer, &gone, why));
            }
        }
        books.moved(before, inner.queue.bytes());
    }

    /// The session, which writes for itself again, at the first call. What still waits is lost.
    pub(super) fn take_session(&self) -> Option<Session<Tap<S>>> {
        let mut inner = lock(&self.inner);
        inner.out = Outgoing::default();
        let mut session = inner.session.take()?;
        session.get_mut().open();
        Some(session)
    }
}

impl<S: ByteStream> Holder for Conn<S> {
    fn holds(&self) -> Holds {
        let inner = lock(&self.inner);
        Holds { symbols: inner.symbols, queue_bytes: inner.queue.bytes(), dropped: inner.dropped }
    }
}

impl<S: ByteStream> Inner<S> {
    /// Whether anything waits for the socket.
    fn waits(&self) -> bool {
        self.blocked || self.flushing || !self.out.is_empty() || !self.queue.is_empty()
    }

    /// True if anything was said. An answer never waits as bytes: as much of it as one write takes is on its way, the client awaits the rest.
    fn say_ack(&mut self, conn: &Conn<S>, ack: SubAck, books: &Books) -> bool {
        let mut telling = Telling::new(ack, conn.strong);
        let mut says = false;
        loop {
            if self.out.bytes() >= WRITE_BYTES && !self.blocked {
                self.write(conn, &mut Context::from_waker(Waker::noop()), books);
            }
            let room = WRITE_BYTES.saturating_sub(self.out.bytes());
            if room == 0 || self.broken.is_some() {
                break;
            }
            let Some(text) = telling.next(room) else { break };
            self.out.push(frame::text(&text));
            says = true;
        }
        let rest = telling.rest();
        if rest.len() > 0 {
            self.owed = true;
            self.awaited.get_or_insert_default().extend(rest);
        }
        says
    }

    fn push(&mut self, conn: &Conn<S>, delivery: &Arc<Delivery>, books: &Books) {
        let pressure = Pressure { blocked: self.blocked, tight: books.tight() };
        let room = self.out.bytes() < WRITE_BYTES && self.out.len() < WRITE_FRAMES;
        if !self.blocked && room && self.queue.lets_pass(delivery, pressure) {
            return self.put_out(conn, delivery, Instant::now(), books);
        }
        let mut dropped: Vec<Dropped> = Vec::new();
        let before = self.queue.bytes();
        let pushed = self.queue.push(Arc::clone(delivery), pressure, &mut dropped);
        books.moved(before, self.queue.bytes());
        for Dropped { delivery, why } in dropped {
            if let Some(narrator) = &mut self.narrator {
                narrator.lost(delivery.symbol, why);
            }
            self.dropped += u64::from(books.dropped(conn.peer, &delivery, why));
        }
        if pushed == Pushed::Overflow {
            self.overflowed = true;
            self.task.wake_by_ref();
        }
    }

    /// Writes until nothing waits or the socket takes no more. A client's task that has to take over is woken.
    fn write(&mut self, conn: &Conn<S>, cx: &mut Context<'_>, books: &Books) {
        let was_blocked = std::mem::replace(&mut self.blocked, false);
        loop {
            self.fill(conn, books);
            if self.out.is_empty() && !self.flushing {
                return;
            }
            let Some(session) = &mut self.session else { return };
            let stream = session.get_mut().stream_mut();
            let written = self.out.poll_write(cx, stream).map_ok(|()| self.flushing = true);
            let written = match written {
                Poll::Ready(Ok(())) => Pin::new(stream).poll_flush(cx).map_ok(|()| self.flushing = false),
                other => other,
            };
            match written {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.broken = Some(error);
                    self.out = Outgoing::default();
                    self.flushing = false;
                    self.task.wake_by_ref();
                    return;
                }
                Poll::Pending => {
                    self.blocked = true;
                    if !was_blocked {
                        self.task.wake_by_ref();
                    }
                    return;
                }
            }
        }
    }

    /// Moves messages from the queue into one write's worth of frames.
    fn fill(&mut self, conn: &Conn<S>, books: &Books) {
        let before = self.queue.bytes();
        let mut now = None;
        while self.out.bytes() < WRITE_BYTES && self.out.len() < WRITE_FRAMES {
            let Some(delivery) = self.queue.pop() else { break };
            let now = *now.get_or_insert_with(Instant::now);
            self.put_out(conn, &delivery, now, books);
        }
        books.moved(before, self.queue.bytes());
    }

    /// Makes a message a frame on its way, with the notices that belong before it.
    fn put_out(&mut self, conn: &Conn<S>, delivery: &Delivery, now: Instant, books: &Books) {
        books.meter.age.observe(now.saturating_duration_since(delivery.received));
        books.meter.forwarded.add(1);
        let Some(narrator) = &mut self.narrator else { return self.out.push(delivery.plain()) };
        debug_assert!(conn.strong, "only a strong client is told");
        for notice in narrator.before(delivery.symbol, delivery.epoch, delivery.seq).into_iter().flatten() {
            books.meter.gaps.add(1);
            self.out.push(frame::text(&notice.encode()));
        }
        self.out.push(delivery.strong());
    }
}

#[cfg(test)]
mod tests;
