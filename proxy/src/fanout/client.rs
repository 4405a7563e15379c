//! One client of fan-out: one task that reads its requests and writes what its outbox holds.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Waker, Poll};

use futures_util::{Sink, Stream};
use tokio::time::Instant;
use wire::close;
use wire::event::Why;
use wire::feed::{GREETING, Protocol, Request};
use wire::id::Symbol;
use wire::net::Network;
use wire::ws::{Error, Message, Session, Utf8Bytes};

use super::gaps::Narrator;
use super::{Seat, raw_symbol};
use crate::context::Context;
use crate::farewell::{self, Farewell};
use crate::liveness::{Liveness, Look};

/// Serves a client from its handshake to its end.
pub(crate) async fn serve<N: Network>(
    context: Arc<Context<N>>,
    session: Session<N::Stream>,
    peer: SocketAddr,
    strong: bool,
) {
    let seat = Seat::take(&context, peer);
    let mut client = Client {
        context: Arc::clone(&context),
        seat,
        session,
        symbols: Vec::new(),
        asked: false,
        narrator: strong.then(Narrator::default),
        writing: false,
        ping: false,
        before: [None, None],
        next: None,
    };
    let end = client.run().await;
    let Client { seat, session, .. } = client;
    // Nothing more is queued for it while it says goodbye.
    drop(seat);
    farewell::carry_out(&context, session, peer, end).await;
}

struct Client<N: Network> {
    context: Arc<Context<N>>,
    seat: Seat<N>,
    session: Session<N::Stream>,
    /// What it wants, sorted.
    symbols: Vec<Symbol>,
    /// Whether its first message came.
    asked: bool,
    narrator: Option<Narrator>,
    /// Whether the outbox or the session's buffer may hold something.
    writing: bool,
    /// Whether a ping is due. Its own flag: the client that is given up for not answering must have been asked.
    ping: bool,
    /// Notices to send before `next`.
    before: [Option<Message>; 2],
    next: Option<Message>,
}

/// What a turn of the session brought.
enum Turn {
    Read(Option<Result<Message, Error>>),
    Written(Result<(), Error>),
}

/// Messages written in one turn before the reading side gets its own.
const BATCH_MAX: u32 = 256;

impl<N: Network> Client<N> {
    async fn run(&mut self) -> Farewell {
        let context = Arc::clone(&self.context);
        let config = context.config();
        let outbox = Arc::clone(&self.seat.outbox);
        if config.protocol == Protocol::V1 {
            self.next = Some(Message::Text(Utf8Bytes::from_static(GREETING)));
            self.writing = true;
        } else {
            self.asked = true;
            if let Err(end) = self.subscribe(vec![raw_symbol()]) {
                return end;
            }
        }
        let mut liveness = Liveness::new(&config.limits, Instant::now());
        let first_message_by = Instant::now() + config.limits.first_message_timeout;
        let mut stop = pin!(context.stop.cancelled());
        let mut drain = pin!(farewell::drained(&context, self.seat.key));
        let mut alarm = pin!(tokio::time::sleep_until(Instant::now()));
        loop {
            wire::select! {
                () = &mut stop => return Farewell::close(close::GOING_AWAY, "proxy stops", Why::Shutdown),
                () = &mut drain => return Farewell::close(close::GOING_AWAY, "proxy drains", Why::Shutdown),
                () = outbox.wake() => {
                    if outbox.overflowed() {
                        return Farewell::close(close::TRY_AGAIN_LATER, "too slow", Why::Slow);
                    }
                    self.writing = true;
                }
                () = &mut alarm => {
                    let now = Instant::now();
                    if !self.asked && now >= first_message_by {
                        return Farewell::close(close::POLICY_VIOLATION, "no first message in time", Why::Deadline);
                    }
                    let mut next = match liveness.look(now) {
                        Look::Again(at) => at,
                        Look::Ping(at) => {
                            self.ping = true;
                            self.writing = true;
                            at
                        }
                        Look::Gone => return Farewell::drop(Why::PingTimeout),
                    };
                    if !self.asked {
                        next = next.min(first_message_by);
                    }
                    alarm.as_mut().reset(next);
                }
                turn = poll_fn(|cx| self.turn(cx)) => match turn {
                    Turn::Written(Ok(())) => {}
                    Turn::Written(Err(error)) | Turn::Read(Some(Err(error))) => return farewell::of_error(&error),
                    Turn::Read(None) => return Farewell::Gone,
                    Turn::Read(Some(Ok(message))) => {
                        liveness.heard(Instant::now());
                        if let Err(end) = self.on_message(&message) {
                            return end;
                        }
                    }
                },
            }
        }
    }

    fn on_message(&mut self, message: &Message) -> Result<(), Farewell> {
        let text = match message {
            Message::Text(text) => text.as_str(),
            Message::Close(_) => return Err(Farewell::Answer),
            Message::Binary(_) if self.context.config().protocol == Protocol::V1 => {
                return Err(Farewell::close(close::UNSUPPORTED_DATA, "requests are text", Why::Protocol));
            }
            _ => return Ok(()),
        };
        if self.context.config().protocol != Protocol::V1 {
            // Raw clients have nothing to say to a fan-out.
            return Ok(());
        }
        let request = Request::decode(text)
            .map_err(|error| Farewell::close(close::POLICY_VIOLATION, &error.to_string(), Why::Protocol))?;
        let config = self.context.config();
        let keys = &config.client_keys;
        if !keys.is_empty() && !keys.contains(&request.user_key) {
            return Err(Farewell::close(close::POLICY_VIOLATION, "unknown user key", Why::Protocol));
        }
        if request.symbols.len() > self.context.config().limits.symbols_max {
            return Err(Farewell::close(close::POLICY_VIOLATION, "too many symbols", Why::Protocol));
        }
        self.asked = true;
        self.subscribe(request.symbols)
    }

    /// Replaces the set of symbols; what waits for others is forgotten.
    fn subscribe(&mut self, symbols: Vec<Symbol>) -> Result<(), Farewell> {
        let union_max = self.context.config().limits.symbols_total_max;
        let mut sorted = symbols.clone();
        sorted.sort_unstable();
        self.context
            .hub
            .subscribe(self.seat.key, symbols, union_max)
            .map_err(|error| Farewell::close(close::TRY_AGAIN_LATER, &error.to_string(), Why::Admission))?;
        if !self.symbols.is_empty() {
            self.seat.outbox.retain(&mut |delivery| sorted.binary_search(&delivery.symbol).is_ok());
            if let Some(narrator) = &mut self.narrator {
                for symbol in self.symbols.iter().filter(|symbol| sorted.binary_search(symbol).is_err()) {
                    narrator.forget(*symbol);
                }
            }
        }
        self.symbols = sorted;
        Ok(())
    }

    /// Writes what there is and reads what comes, as far as either goes without waiting.
    fn turn(&mut self, cx: &mut Waker<'_>) -> Poll<Turn> {
        if self.writing
            && let Poll::Ready(result) = self.write(cx)
        {
            return Poll::Ready(Turn::Written(result));
        }
        Pin::new(&mut self.session).poll_next(cx).map(Turn::Read)
    }

    fn write(&mut self, cx: &mut Waker<'_>) -> Poll<Result<(), Error>> {
        for _ in 0..BATCH_MAX {
            std::task::ready!(Pin::new(&mut self.session).poll_ready(cx))?;
            let Some(message) = self.take() else {
                std::task::ready!(Pin::new(&mut self.session).poll_flush(cx))?;
                self.writing = false;
                return Poll::Ready(Ok(()));
            };
            Pin::new(&mut self.session).start_send(message)?;
        }
        // There is more: `writing` stays set, and the reading side gets its turn first.
        Poll::Ready(Ok(()))
    }

    /// The next message for the socket.
    fn take(&mut self) -> Option<Message> {
        if std::mem::take(&mut self.ping) {
            return Some(Message::Ping(wire::ws::Bytes::new()));
        }
        if let Some(message) = self.before.iter_mut().find_map(Option::take).or_else(|| self.next.take()) {
            return Some(message);
        }
        let delivery = self.seat.outbox.pop()?;
        self.context.meter.forwarded.add(1);
        let Some(narrator) = &mut self.narrator else { return Some(delivery.message.clone()) };
        let notices = narrator.before(delivery.symbol, delivery.epoch, delivery.seq);
        if notices.iter().all(Option::is_none) {
            return Some(delivery.strong());
        }
        self.next = Some(delivery.strong());
        self.before = notices.map(|notice| {
            notice.map(|notice| {
                self.context.meter.gaps.add(1);
                Message::text(notice.encode())
            })
        });
        self.before.iter_mut().find_map(Option::take)
    }
}
