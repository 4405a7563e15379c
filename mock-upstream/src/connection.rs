//! One connection: handshake, subscription, ticks out, messages in, and an end that is always bounded.

mod v2;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures_util::{SinkExt, StreamExt};
use tokio::pin;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout};
use wire::close;
use wire::event::{Event, Side, Why};
use wire::feed::v2::{Guest, Said};
use wire::feed::{KEY_LIMIT_TEXT, Request};
use wire::id::{LegId, Symbol};
use wire::net::ByteStream;
use wire::tick::{PADDING_MAX, Padding, Tick};
use wire::ws::{self, Answer, CloseFrame, Error, Fragments, Message, Session};

use crate::batch::Batch;
use crate::config::Mode;
use crate::script::garbage;
use crate::serve::{KeyHeld, News, Shared};
use crate::wanted::Wanted;

/// How a connection ends.
enum End {
    /// We send a Close frame and wait, within bounds, for the peer's.
    Close(u16, &'static str),
    /// We end the TCP connection in order, without a Close frame.
    Drop,
    /// We reset it.
    Reset,
    /// The peer sent a Close frame.
    PeerClosed(u16),
    /// The peer went away without one.
    PeerGone,
}

/// Serves one accepted connection to its end. `admit` is false where the source is full.
pub(crate) async fn run<S: ByteStream>(shared: Arc<Shared>, stream: S, peer: SocketAddr, admit: bool) {
    let stop = shared.stop.cancelled();
    pin!(stop);
    let handshake = async {
        wait_for_stall(&shared).await;
        shake(&shared, stream, admit).await
    };
    let (session, refused) = wire::select! {
        () = &mut stop => return,
        shaken = handshake => shaken,
    };
    if let Some(why) = refused {
        shared.config.counters.add_refused(1);
        shared.observer.record(|| Event::SourceRefuse { source: shared.config.id, peer, why });
    }
    let Some(session) = session else { return };
    let leg = LegId(shared.next_leg());
    shared.config.counters.add_opened(1);
    shared.observer.record(|| Event::SourceOpen { source: shared.config.id, leg, peer });
    let mut connection = Connection {
        shared: &shared,
        leg,
        peer,
        session,
        wanted: Wanted::default(),
        queue: VecDeque::new(),
        unflushed: false,
        key: None,
        subscribed: false,
        guest: Guest::new(),
    };
    let end = connection.talk(stop).await;
    connection.end(end).await;
}

/// A stalled source does not even answer handshakes.
async fn wait_for_stall(shared: &Shared) {
    let mut news = shared.news.subscribe();
    while shared.is_stalled() {
        if matches!(news.recv().await, Err(RecvError::Closed)) {
            return;
        }
    }
}

async fn shake<S: ByteStream>(shared: &Shared, stream: S, admit: bool) -> (Option<Session<S>>, Option<Why>) {
    let refused = if shared.refusing.load(Ordering::Relaxed) {
        Some((Why::Scripted, "refused by script"))
    } else if !admit {
        Some((Why::Admission, "too many connections"))
    } else {
        None
    };
    let decide = |_: &ws::Asked| match refused {
        None => Answer::Accept { subprotocol: None },
        Some((_, reason)) => Answer::Refuse { status: 503, retry_after_s: None, reason: reason.to_owned() },
    };
    let accepted =
        timeout(shared.config.handshake_timeout, ws::accept(stream, shared.config.session_limits(), decide)).await;
    let session = accepted.ok().and_then(Result::ok).map(|accepted| accepted.session);
    (session, refused.map(|(why, _)| why))
}

struct Connection<'a, S> {
    shared: &'a Arc<Shared>,
    leg: LegId,
    peer: SocketAddr,
    session: Session<S>,
    /// What it has subscribed to.
    wanted: Wanted,
    /// Ticks that wait for the socket; bounded by `queue_ticks`.
    queue: VecDeque<Arc<Batch>>,
    /// The session holds bytes that the socket has not taken.
    unflushed: bool,
    key: Option<KeyHeld>,
    /// The first message came.
    subscribed: bool,
    /// What it said, in v2.
    guest: Guest,
}

enum Io {
    Flushed(Result<(), Error>),
    Read(Option<Result<Message, Error>>),
}

impl<S: ByteStream> Connection<'_, S> {
    /// Talks until something ends it.
    async fn talk(&mut self, mut stop: impl Future<Output = ()> + Unpin) -> End {
        let config = &self.shared.config;
        // Subscribed before the state is read: no change falls between.
        let mut news = self.shared.news.subscribe();
        let mut stalled = self.shared.is_stalled();
        if self.shared.slamming.load(Ordering::Relaxed) {
            wire::reached!("source slams a connection");
            return End::Close(close::INTERNAL_ERROR, "slammed by script");
        }
        match config.mode {
            Mode::V1 | Mode::V2 => {
                if let Some(greeting) = &config.greeting
                    && let Err(error) = self.write(Message::text(greeting.as_str()))
                {
                    return lost(&error);
                }
            }
            Mode::Raw => self.wanted = (0..config.symbols.len()).collect(),
            Mode::Echo => {}
        }
        let first_message = sleep_until(Instant::now() + config.first_message_timeout);
        pin!(first_message);
        let heartbeat = sleep_until(Instant::now());
        pin!(heartbeat);
        loop {
            while !self.unflushed
                && !stalled
                && let Some(batch) = self.queue.pop_front()
            {
                if let Err(error) = self.send(&batch) {
                    return lost(&error);
                }
            }
            let awaiting = matches!(config.mode, Mode::V1 | Mode::V2) && !self.subscribed;
            let beating = config.heartbeat.filter(|_| config.mode == Mode::V2 && self.subscribed && !stalled);
            // An echo that cannot be written stops the reading: that is back-pressure, and it bounds what waits here.
            let reading = config.mode != Mode::Echo || !self.unflushed;
            let (session, unflushed) = (&mut self.session, self.unflushed);
            let io = poll_fn(|cx| {
                if unflushed && let Poll::Ready(done) = session.poll_flush_unpin(cx) {
                    return Poll::Ready(Io::Flushed(done));
                }
                if reading { session.poll_next_unpin(cx).map(Io::Read) } else { Poll::Pending }
            });
            wire::select! {
                () = &mut stop => return End::Close(close::GOING_AWAY, "source stops"),
                news = news.recv() => match news {
                    Ok(News::Ticks(batch)) => {
                        // What brings it nothing takes no place in its queue: it is not reset for another's rate.
                        if stalled || batch.wanted(&self.wanted).next().is_none() {
                            continue;
                        }
                        if self.queue.len() >= config.queue_ticks.max(1) {
                            config.counters.add_overflowed(1);
                            return End::Reset;
                        }
                        self.queue.push_back(batch);
                    }
                    Ok(News::Stall) => {
                        stalled = self.shared.is_stalled();
                        self.queue.clear();
                    }
                    Ok(News::Close(Some(code))) => return End::Close(code, "closed by script"),
                    Ok(News::Close(None)) => return End::Drop,
                    Ok(News::Reset) => return End::Reset,
                    Ok(News::Garbage(nth)) => {
                        let message = garbage(nth, self.some_tick().as_deref());
                        if let Err(error) = self.write(message) {
                            return lost(&error);
                        }
                    }
                    Ok(News::Oversized(bytes)) => {
                        let message = self.oversized(bytes as usize);
                        self.unflushed = true;
                        if let Err(error) = put(&mut self.session, message, config.fragments) {
                            return lost(&error);
                        }
                    }
                    Err(RecvError::Lagged(_)) => {
                        config.counters.add_overflowed(1);
                        return End::Reset;
                    }
                    Err(RecvError::Closed) => return End::Drop,
                },
                () = &mut first_message, if awaiting && !stalled => {
                    return End::Close(close::POLICY_VIOLATION, "no subscription in time");
                }
                () = &mut heartbeat, if beating.is_some() => {
                    heartbeat.as_mut().reset(Instant::now() + beating.unwrap_or_default());
                    if let Err(error) = self.write(Message::text(Said::Heartbeat.encode())) {
                        return lost(&error);
                    }
                }
                io = io, if !stalled => match io {
                    Io::Flushed(Ok(())) => self.unflushed = false,
                    Io::Flushed(Err(error)) => return lost(&error),
                    Io::Read(None) => return End::PeerGone,
                    Io::Read(Some(Err(error))) => return lost(&error),
                    Io::Read(Some(Ok(message))) => if let Some(end) = self.hear(message) {
                        return end;
                    },
                },
            }
        }
    }

    fn write(&mut self, message: Message) -> Result<(), Error> {
        self.unflushed = true;
        self.session.start_send_unpin(message)
    }

    /// A tick as this connection gets them, for one that is to be spoilt.
    fn some_tick(&self) -> Option<String> {
        let config = &self.shared.config;
        let tick = Tick { symbol: config.symbols[*self.wanted.first()?], n: 0 };
        let encode = if config.mode == Mode::V2 { Tick::encode_v2 } else { Tick::encode };
        Some(encode(&tick, config.seed, self.shared.schedule))
    }

    /// A message of so many bytes, or some more where no tick is so small: a tick, so that who takes it takes it for one.
    fn oversized(&self, bytes: usize) -> Message {
        let config = &self.shared.config;
        let Some(place) = self.wanted.first() else { return Message::text("x".repeat(bytes)) };
        let tick = Tick { symbol: config.symbols[*place], n: 0 };
        let encode = if config.mode == Mode::V2 { Tick::encode_v2_padded } else { Tick::encode_padded };
        let with = |filler: usize| {
            let filler = u32::try_from(filler).unwrap_or(PADDING_MAX).clamp(1, PADDING_MAX);
            let padding = Padding::between(filler, filler).unwrap_or_default();
            encode(&tick, config.seed, self.shared.schedule, padding)
        };
        Message::text(with(bytes.saturating_sub(with(1).len()) + 1))
    }

    /// Hands the wanted part of a batch to the session.
    fn send(&mut self, batch: &Batch) -> Result<(), Error> {
        let config = &self.shared.config;
        let mut sent = 0;
        for entry in batch.wanted(&self.wanted) {
            let (symbol, n) = (config.symbols[entry.place], entry.n);
            let text = batch.text(entry, symbol, self.shared.paddings[entry.place]);
            put(&mut self.session, Message::Text(text), config.fragments)?;
            sent += 1;
            let (source, leg) = (config.id, self.leg);
            self.shared.observer.record(|| Event::SourceSend { source, leg, symbol, n });
        }
        if sent > 0 {
            self.unflushed = true;
            config.counters.add_messages(sent);
        }
        Ok(())
    }

    /// Takes what the peer said; Some where that ends the connection.
    fn hear(&mut self, message: Message) -> Option<End> {
        match (self.shared.config.mode, message) {
            (_, Message::Close(frame)) => {
                Some(End::PeerClosed(frame.map_or(close::NO_STATUS, |frame| frame.code.into())))
            }
            (_, Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) | (Mode::Raw, _) => None,
            (Mode::Echo, message) => {
                self.shared.config.counters.add_messages(1);
                self.unflushed = true;
                let put = put(&mut self.session, message, self.shared.config.fragments);
                put.err().map(|error| lost(&error))
            }
            (Mode::V1, Message::Text(text)) => match Request::decode(&text) {
                Ok(request) => self.subscribe(&request, &text),
                Err(_) => Some(End::Close(close::POLICY_VIOLATION, "not a v1 request")),
            },
            (Mode::V2, Message::Text(text)) => self.hear_v2(&text),
            (Mode::V2, Message::Binary(_)) => Some(End::Close(close::POLICY_VIOLATION, "not a v2 request")),
            (Mode::V1, Message::Binary(_)) => Some(End::Close(close::POLICY_VIOLATION, "not a v1 request")),
        }
    }

    /// Replaces the subscription by that of the request, which stood in `text`.
    fn subscribe(&mut self, request: &Request, text: &str) -> Option<End> {
        self.subscribed = true;
        // Given back first: a request that changes nothing must not count twice.
        self.key = None;
        self.key = self.shared.take_key(&request.user_key);
        if self.key.is_none() {
            wire::reached!("source refuses a key");
            let (source, peer) = (self.shared.config.id, self.peer);
            self.shared.config.counters.add_refused(1);
            self.shared.observer.record(|| Event::SourceRefuse { source, peer, why: Why::KeyLimit });
            if let Err(error) = self.write(Message::text(KEY_LIMIT_TEXT)) {
                return Some(lost(&error));
            }
            return Some(End::Close(close::POLICY_VIOLATION, "key limit"));
        }
        let before = std::mem::take(&mut self.wanted);
        for symbol in &request.symbols {
            let Some(place) = self.shared.place(*symbol) else {
                self.shared.config.counters.add_unknown_symbols(1);
                continue;
            };
            self.wanted.push(place);
            if !before.contains(place) {
                self.asked_for(*symbol);
            }
        }
        for symbol in Request::repeats(text) {
            if self.shared.place(symbol).is_some() {
                self.asked_for(symbol);
            }
        }
        // It has all of it already, and was asked again.
        if before == self.wanted {
            request.symbols.iter().filter(|it| self.shared.place(**it).is_some()).for_each(|it| self.asked_for(*it));
        }
        self.given_back(&before);
        None
    }

    /// Notes what of `before` is no longer wanted.
    fn given_back(&self, before: &Wanted) {
        for place in before.iter().filter(|place| !self.wanted.contains(*place)) {
            let (source, leg, symbol) = (self.shared.config.id, self.leg, self.shared.config.symbols[place]);
            self.shared.observer.record(|| Event::SourceUnsubscribe { source, leg, symbol });
        }
    }

    fn asked_for(&self, symbol: Symbol) {
        let (source, leg) = (self.shared.config.id, self.leg);
        self.shared.observer.record(|| Event::SourceSubscribe { source, leg, symbol });
    }

    async fn end(mut self, end: End) {
        let (by, code) = match end {
            End::Close(code, _) => (Side::Own, Some(code)),
            End::Drop | End::Reset => (Side::Own, None),
            End::PeerClosed(code) => (Side::Peer, Some(code)),
            End::PeerGone => (Side::Peer, None),
        };
        let (source, leg) = (self.shared.config.id, self.leg);
        self.shared.observer.record(|| Event::SourceClose { source, leg, by, code });
        // The key is free from here on, however long the farewell takes.
        self.key = None;
        let farewell = self.shared.config.close_timeout;
        match end {
            End::Close(code, reason) => {
                let session = &mut self.session;
                let goodbye = async {
                    let frame = CloseFrame { code: code.into(), reason: reason.into() };
                    if session.send(Message::Close(Some(frame))).await.is_ok() {
                        while let Some(Ok(_)) = session.next().await {}
                    }
                };
                let _ = timeout(farewell, goodbye).await;
            }
            End::PeerClosed(_) => {
                let session = &mut self.session;
                let answer = async { while let Some(Ok(_)) = session.next().await {} };
                let _ = timeout(farewell, answer).await;
            }
            End::Reset => self.session.into_inner().abort(),
            End::Drop | End::PeerGone => {}
        }
    }
}

/// Hands a tick or an echo to the session, in as many frames as it is to have.
fn put<S: ByteStream>(session: &mut Session<S>, message: Message, how: Option<Fragments>) -> Result<(), Error> {
    match how {
        None => session.start_send_unpin(message),
        Some(how) => ws::fragments(message, how).try_for_each(|frame| session.start_send_unpin(frame)),
    }
}

/// An error of the session as an end: the peer is gone, or broke the protocol.
fn lost(error: &Error) -> End {
    match error {
        error if ws::is_disconnect(error) => End::PeerGone,
        Error::Capacity(_) => End::Close(close::MESSAGE_TOO_BIG, "message too big"),
        Error::Utf8(_) => End::Close(close::INVALID_PAYLOAD, "text is not UTF-8"),
        Error::WriteBufferFull(_) => End::Reset,
        _ => End::Close(close::PROTOCOL_ERROR, "protocol error"),
    }
}
