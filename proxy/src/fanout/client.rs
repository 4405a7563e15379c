//! One client of fan-out: the task that reads its requests and keeps its deadlines.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::time::Instant;
use wire::close;
use wire::event::Why;
use wire::feed::v2::{Guest, SYMBOL_LIMIT_REASON, Said, SubAck, Wish};
use wire::feed::{GREETING, Protocol, Request};
use wire::id::Symbol;
use wire::net::{ByteStream, Network};
use wire::ws::{Message, Session, Tap};

use super::conn::{Conn, Turn};
use super::shard::Seat;
use super::{frame, raw_symbol};
use crate::config::Config;
use crate::context::Context;
use crate::farewell::{self, Farewell};
use crate::keys::KeySeat;
use crate::liveness::{Liveness, Look};
use crate::quota::Quota;
use crate::tls::NetStream;

/// Serves a client of a shard from its handshake to its end. `symbols` is what it wants, where it says that by its URL: see [`routed`]. It has its seat at once; the future, of which
/// there is one for each client, holds no more than it waits with.
pub(crate) fn serve<N: Network>(
    context: Arc<Context<N>>,
    shard: usize,
    session: Session<Tap<NetStream<N>>>,
    peer: SocketAddr,
    symbols: Option<Vec<Symbol>>,
    strong: bool,
) -> impl Future<Output = ()> + Send + 'static {
    let queue = (context.policies.queue)(&context.config());
    let seat = Seat::take(&context, shard, context.hub.key(), Conn::new(peer, strong, session, queue));
    context.roster.held_by(peer, &seat.conn);
    async move {
        let conn = Arc::clone(&seat.conn);
        let end = Client {
            context: &context,
            seat: &seat,
            asked: false,
            key: None,
            quota: Quota::default(),
            guest: Guest::new(),
        }
        .run(symbols)
        .await;
        // Nothing more is queued for it while it says goodbye.
        drop(seat);
        // Room for its last words is taken when they come.
        Box::pin(say_goodbye(&context, &conn, end)).await;
    }
}

async fn say_goodbye<N: Network>(context: &Context<N>, conn: &Conn<NetStream<N>>, end: Farewell) {
    if let Some(session) = finish(context, conn, &end).await {
        farewell::carry_out(context, session, conn.peer, end).await;
    }
}

/// Writes what belongs before the goodbye, within the close timeout. What is not written then is accounted for.
async fn finish<N: Network>(
    context: &Context<N>,
    conn: &Conn<NetStream<N>>,
    end: &Farewell,
) -> Option<Session<Tap<NetStream<N>>>> {
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
    // The slow one gets nothing more; another hears why it is sent away.
    let nothing_more = why == Some(Why::Slow) || matches!(end, Farewell::Gone | Farewell::Drop(_));
    conn.give_up(why, books, nothing_more);
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
    quota: Quota,
    /// What it said so far (v2, and not the strong contract).
    guest: Guest,
}

/// What a client of a raw feed gets: what its URL asks for where messages have keys, else everything. None with other protocols, whose clients say it themselves.
pub(crate) fn routed(config: &Config, target: &str) -> Option<Vec<Symbol>> {
    if config.protocol != Protocol::Raw {
        return None;
    }
    if config.route_by.is_none() {
        return Some(vec![raw_symbol()]);
    }
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut symbols: Vec<Symbol> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "symbols")
        .flat_map(|(_, list)| list.split(',').filter_map(|word| Symbol::new(word.trim()).ok()).collect::<Vec<_>>())
        .take(config.limits.symbols_max)
        .collect();
    symbols.sort_unstable();
    symbols.dedup();
    Some(symbols)
}

impl<N: Network> Client<'_, N> {
    /// Serves it to its end. `symbols` is what it wants, where it says that by its URL.
    async fn run(&mut self, symbols: Option<Vec<Symbol>>) -> Farewell {
        let (context, conn) = (self.context, &self.seat.conn);
        let config = context.config();
        match symbols {
            None => conn.say(frame::text(GREETING)),
            Some(symbols) => {
                self.asked = true;
                if let Err(end) = self.subscribe(Request::new(String::new(), symbols)) {
                    return end;
                }
            }
        }
        let mut liveness = Liveness::new(&config.limits, Instant::now());
        let first_message_by = Instant::now() + config.limits.first_message_timeout;
        drop(config);
        let mut stop = pin!(context.stop.cancelled());
        let mut dismissed = pin!(farewell::dismissed(context, conn.peer));
        let first_look = if self.asked { liveness.due() } else { liveness.due().min(first_message_by) };
        let mut alarm = pin!(tokio::time::sleep_until(first_look));
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
                        Look::Gone => {
                            wire::reached!("client given up without a pong");
                            return Farewell::drop(Why::PingTimeout);
                        }
                    };
                    if !self.asked {
                        next = next.min(first_message_by);
                    }
                    alarm.as_mut().reset(next);
                }
                turn = poll_fn(|cx| conn.poll(cx, &context.hub.books)) => match turn {
                    Turn::Overflowed => {
                        wire::reached!("slow client evicted");
                        wire::reached!("failover during slow-client eviction", if context.hub.is_between_legs());
                        return Farewell::close(close::TRY_AGAIN_LATER, "too slow", Why::Slow);
                    }
                    Turn::Broken(error) => {
                        tracing::debug!(peer = %conn.peer, %error, "failed to write to a client");
                        return Farewell::Gone;
                    }
                    Turn::Owed(symbols) => self.tell_owed(symbols),
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
        if matches!(message, Message::Close(_)) {
            return Err(Farewell::Answer);
        }
        let config = self.context.config();
        self.quota.message(&config.limits, Instant::now()).map_err(|over| farewell::over_quota(self.context, over))?;
        let text = match message {
            Message::Text(text) => text.as_str(),
            Message::Binary(_) if config.protocol != Protocol::Raw => {
                return Err(Farewell::close(close::UNSUPPORTED_DATA, "requests are text", Why::Protocol));
            }
            _ => return Ok(()),
        };
        match config.protocol {
            // Its clients have nothing to say to a fan-out.
            Protocol::Raw => Ok(()),
            Protocol::V2 if !self.seat.conn.strong => self.on_wish(&config, text),
            // The strong contract has one form of request, whatever the source speaks.
            Protocol::V1 | Protocol::V2 => self.on_request(&config, text),
        }
    }

    fn on_request(&mut self, config: &Config, text: &str) -> Result<(), Farewell> {
        let request = Request::decode(text).map_err(|error| rude(&error))?;
        self.admit(config, &request.user_key)?;
        if request.symbols.len() > config.limits.symbols_max {
            return Err(rude(&"too many symbols"));
        }
        self.asked = true;
        let ack = (config.protocol == Protocol::V2)
            .then(|| SubAck { accepted: request.symbols.clone(), ..SubAck::default() });
        self.want(config, request, ack)
    }

    /// It asks for other symbols. With `ack` it is told what the source said of those in it, and of the rest when the source does.
    fn want(&mut self, config: &Config, request: Request, ack: Option<SubAck>) -> Result<(), Farewell> {
        self.quota.request(&config.limits, Instant::now()).map_err(|over| farewell::over_quota(self.context, over))?;
        self.subscribe(request)?;
        if let Some(mut ack) = ack {
            self.context.hub.sort(self.seat, &mut ack);
            self.seat.conn.say_ack(ack, &self.context.hub.books);
        }
        Ok(())
    }

    /// It hears what holds by now of symbols for whose answers it had no room before.
    fn tell_owed(&self, symbols: Vec<Symbol>) {
        // Those beyond its limit it does not have.
        let has = |symbol: &Symbol| self.seat.conn.strong || self.guest.has(*symbol);
        let (accepted, beyond): (Vec<Symbol>, Vec<Symbol>) = symbols.into_iter().partition(has);
        let denied = beyond.into_iter().map(|symbol| (symbol, SYMBOL_LIMIT_REASON.to_owned())).collect();
        let mut ack = SubAck { accepted, denied, invalid: Vec::new() };
        self.context.hub.sort(self.seat, &mut ack);
        self.seat.conn.say_ack(ack, &self.context.hub.books);
    }

    /// A v2 client's message.
    fn on_wish(&mut self, config: &Config, text: &str) -> Result<(), Farewell> {
        let limit = u32::try_from(config.limits.symbols_max).unwrap_or(u32::MAX);
        let conn = &self.seat.conn;
        match self.guest.hear(text, limit) {
            Err(error) => {
                conn.say(frame::text(&Said::Error { reason: error.to_string().into() }.encode()));
                Err(rude(&error))
            }
            Ok(Wish::Answer(answer)) => {
                conn.say(frame::text(&answer));
                Ok(())
            }
            Ok(Wish::Login { key }) => {
                self.admit(config, &key).inspect_err(|_| {
                    conn.say(frame::text(&Said::LoginReject { reason: "key refused".into() }.encode()));
                })?;
                self.asked = true;
                conn.say(frame::text(&self.guest.admit(limit)));
                Ok(())
            }
            Ok(Wish::Want { symbols, ack }) => self.want(config, Request::new(String::new(), symbols), ack),
        }
    }

    fn admit(&mut self, config: &Config, key: &str) -> Result<(), Farewell> {
        self.context.keys.admit(config, key, &mut self.key).map_err(|refused| {
            self.context.meter.keys_refused.add(1);
            Farewell::close(close::POLICY_VIOLATION, &refused.to_string(), Why::Admission)
        })
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

/// The farewell of a client that does not keep to its protocol.
fn rude(error: &dyn std::fmt::Display) -> Farewell {
    Farewell::close(close::POLICY_VIOLATION, &error.to_string(), Why::Protocol)
}

#[cfg(test)]
mod tests {
    use wire::net::TokioNet;

    use super::*;

    /// The size of what an async function returns.
    fn size<A, B, C, D, E, F, G>(_: fn(A, B, C, D, E, F) -> G) -> usize {
        size_of::<G>()
    }

    #[test]
    fn what_a_client_holds_while_it_listens_is_small() {
        let (future, conn) = (size(serve::<TokioNet>), size_of::<Conn<NetStream<TokioNet>>>());
        println!("future {future}, connection {conn}");
        assert!(future <= 1000 && conn <= 600, "future {future} bytes, connection {conn} bytes");
    }
}
