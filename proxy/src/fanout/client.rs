//! One client of fan-out: the task that reads its requests and keeps its deadlines.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wire::close;
use wire::event::Why;
use wire::feed::{GREETING, Protocol, Request};
use wire::net::{ByteStream, Network};
use wire::ws::{Message, Session, Tap};

use super::conn::{Conn, Turn};
use super::shard::Seat;
use super::{frame, raw_symbol};
use crate::context::Context;
use crate::farewell::{self, Farewell};
use crate::keys::KeySeat;
use crate::liveness::{Liveness, Look};

/// Serves a client of a shard from its handshake to its end.
pub(crate) async fn serve<N: Network>(
    context: Arc<Context<N>>,
    shard: usize,
    session: Session<Tap<N::Stream>>,
    peer: SocketAddr,
    strong: bool,
) {
    let queue = (context.policies.queue)(&context.config());
    let seat = Seat::take(&context, shard, context.hub.key(), Conn::new(peer, strong, session, queue));
    let conn = Arc::clone(&seat.conn);
    context.roster.held_by(peer, &conn);
    let end = Client { context: &context, seat: &seat, asked: false, key: None }.run().await;
    // Nothing more is queued for it while it says goodbye.
    drop(seat);
    if let Some(session) = finish(&context, &conn, &end).await {
        farewell::carry_out(&context, session, peer, end).await;
    }
}

/// Writes what belongs before the goodbye, within the close timeout. What is not written then is accounted for.
async fn finish<N: Network>(
    context: &Context<N>,
    conn: &Conn<N::Stream>,
    end: &Farewell,
) -> Option<Session<Tap<N::Stream>>> {
    let books = &context.hub.books;
    let why = match end {
        Farewell::Close { why, .. } => Some(*why),
        Farewell::Gone | Farewell::Answer | Farewell::Drop(_) => None,
    };
    let patience = context.config().limits.close_timeout;
    let write = async || {
        let rest = tokio::time::timeout(patience, poll_fn(|cx| conn.poll_finish(cx, books)));
        wire::select! {
            rest = rest => matches!(rest, Ok(Ok(()))),
            () = context.drain.cut() => false,
        }
    };
    if matches!(why, Some(Why::Shutdown | Why::Operator)) {
        // It did nothing wrong: it gets all that waits for it.
        write().await;
    }
    conn.give_up(why, books, !matches!(end, Farewell::Answer));
    // The rest of a frame that is begun, and the answer to a close.
    if !matches!(end, Farewell::Gone | Farewell::Drop(_)) && !write().await {
        // A Close frame would land in the middle of another.
        if let Some(why) = why {
            context.client_closed(conn.peer, None, why);
        }
        conn.take_session()?.into_inner().abort();
        return None;
    }
    conn.take_session()
}

struct Client<'c, N: Network> {
    context: &'c Context<N>,
    seat: &'c Seat<N>,
    /// Whether its first message came.
    asked: bool,
    /// Its place under the key that it presented.
    key: Option<KeySeat>,
}

impl<N: Network> Client<'_, N> {
    async fn run(&mut self) -> Farewell {
        let (context, conn) = (self.context, &self.seat.conn);
        let config = context.config();
        if config.protocol == Protocol::V1 {
            conn.say(frame::text(GREETING));
        } else {
            self.asked = true;
            if let Err(end) = self.subscribe(Request::new(String::new(), vec![raw_symbol()])) {
                return end;
            }
        }
        let mut liveness = Liveness::new(&config.limits, Instant::now());
        let first_message_by = Instant::now() + config.limits.first_message_timeout;
        drop(config);
        let mut stop = pin!(context.stop.cancelled());
        let mut dismissed = pin!(farewell::dismissed(context, conn.peer));
        let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            wire::select! {
                () = &mut stop => return Farewell::close(close::GOING_AWAY, "proxy stops", Why::Shutdown),
                end = &mut dismissed => return end,
                () = &mut alarm => {
                    let now = Instant::now();
                    if !self.asked && now >= first_message_by {
                        return Farewell::close(close::POLICY_VIOLATION, "no first message in time", Why::Deadline);
                    }
                    let mut next = match liveness.look(now) {
                        Look::Again(at) => at,
                        Look::Ping(at) => {
                            conn.say(frame::ping());
                            at
                        }
                        Look::Gone => return Farewell::drop(Why::PingTimeout),
                    };
                    if !self.asked {
                        next = next.min(first_message_by);
                    }
                    alarm.as_mut().reset(next);
                }
                turn = poll_fn(|cx| conn.poll(cx, &context.hub.books)) => match turn {
                    Turn::Overflowed => return Farewell::close(close::TRY_AGAIN_LATER, "too slow", Why::Slow),
                    Turn::Broken(error) => {
                        tracing::debug!(peer = %conn.peer, %error, "failed to write to a client");
                        return Farewell::Gone;
                    }
                    Turn::Read(None) => return Farewell::Gone,
                    Turn::Read(Some(Err(error))) => return farewell::of_error(&error),
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
        let config = self.context.config();
        if config.protocol != Protocol::V1 {
            // Raw clients have nothing to say to a fan-out.
            return Ok(());
        }
        let request = Request::decode(text)
            .map_err(|error| Farewell::close(close::POLICY_VIOLATION, &error.to_string(), Why::Protocol))?;
        self.context.keys.admit(&config, &request.user_key, &mut self.key).map_err(|refused| {
            self.context.meter.keys_refused.add(1);
            Farewell::close(close::POLICY_VIOLATION, &refused.to_string(), Why::Admission)
        })?;
        if request.symbols.len() > config.limits.symbols_max {
            return Err(Farewell::close(close::POLICY_VIOLATION, "too many symbols", Why::Protocol));
        }
        self.asked = true;
        self.subscribe(request)
    }

    /// Replaces the set of symbols; what waits for others is forgotten.
    fn subscribe(&mut self, request: Request) -> Result<(), Farewell> {
        let symbols = request.symbols.len();
        self.context
            .hub
            .subscribe(self.seat, request, &self.context.config())
            .map_err(|error| Farewell::close(close::TRY_AGAIN_LATER, &error.to_string(), Why::Admission))?;
        self.seat.conn.wants(symbols);
        Ok(())
    }
}
