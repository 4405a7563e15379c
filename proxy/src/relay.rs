//! Relay: one upstream leg for each client, balanced over the instances.
//!
//! ```text
//!            connect                 bridge
//!   client ----------> pick, dial ----------> both ways, message by message, bounded by back-pressure
//!                         ^                      |
//!                         |   the leg is lost    |   either side closes in order
//!                         `----------------------+---> farewell with a lawful code
//!                        preamble said again
//! ```
//!
//! Text stays text and binary stays binary. Pings are answered hop by hop and not passed on.
//!
//! What happens to messages when a leg is lost:
//!
//! - Those of the [preamble](preamble) are said again to the next instance, before anything new.
//! - Any other that was handed to the lost leg is never sent again (at most once): the source may have acted on it, and only the client knows which may be
//!   repeated. There are no more of them than fit into the leg's buffers: `client_buffer`, one message, and the kernel's send buffer.
//! - What the client says while it has no leg waits, at most one message in the proxy, the rest with the client: it is lost only if the client gives up.
//! - What the lost source had said reaches the client, before anything that the next one says.

mod bridge;
pub(crate) mod ending;
mod introduction;
mod preamble;
mod probe;
mod turn;
mod vigil;

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::Instant;
use wire::close;
use wire::event::{Event, Why};
use wire::id::SourceId;
use wire::net::Network;
use wire::ws::{CloseFrame, Message, Session, Tap};

use self::bridge::{Bridge, BridgeEnd};
use self::ending::{Parting, lawful, part, source_lost};
pub(crate) use self::introduction::{Introduction, may_be_forwarded};
use self::preamble::Preamble;
pub(crate) use self::probe::keep as keep_probing;
use self::turn::InTurn;
use crate::context::Context;
use crate::dial::{self, Leg};
use crate::farewell::{self, Farewell};
use crate::meter::Held;
use crate::quota::Quota;
use crate::tls::NetStream;

/// Finds the first leg of a client that cannot be answered before: its source chooses the subprotocol. None where none is found in time to say so.
pub(crate) async fn first_leg<N: Network>(
    context: &Arc<Context<N>>,
    peer: SocketAddr,
    introduction: &Introduction,
) -> Option<ClientLeg<N>> {
    let limits = &context.config().limits;
    // The rest of the handshake's time is for the refusal.
    let patience = limits.no_source_timeout.min(limits.handshake_timeout.mul_f64(0.75));
    let search = search(Arc::clone(context), peer, Arc::new(introduction.clone()));
    tokio::time::timeout(patience, search).await.ok()?.ok()
}

/// Serves a client from its handshake to its end. `first` is its leg where it already has one.
pub(crate) async fn serve_client<N: Network>(
    context: Arc<Context<N>>,
    session: Session<Tap<NetStream<N>>>,
    peer: SocketAddr,
    mut introduction: Introduction,
    first: Option<ClientLeg<N>>,
) {
    if let Some(leg) = &first {
        introduction.settle(leg.subprotocol.clone());
    }
    let mut client = Client {
        context: Arc::clone(&context),
        session,
        peer,
        introduction: Arc::new(introduction),
        first,
        pending: None,
        quota: Quota::default(),
        preamble: Preamble::new(&context.config()),
        legs: 0,
        lost_at: None,
        moves: 0,
        dismissed: Box::pin(dismissed(Arc::clone(&context), peer)),
    };
    let (end, leg) = client.run().await;
    let patience = context.config().limits.close_timeout;
    let goodbye = async {
        if let Some((ClientLeg { session, .. }, parting)) = leg {
            let _ = tokio::time::timeout(patience, part(session, parting)).await;
        }
    };
    futures_util::future::join(farewell::carry_out(&context, client.session, peer, end), goodbye).await;
}

async fn dismissed<N: Network>(context: Arc<Context<N>>, peer: SocketAddr) -> Farewell {
    farewell::dismissed(&context, peer).await
}

/// A client, with or without a leg.
struct Client<N: Network> {
    context: Arc<Context<N>>,
    session: Session<Tap<NetStream<N>>>,
    peer: SocketAddr,
    introduction: Arc<Introduction>,
    /// The leg that it had before its session.
    first: Option<ClientLeg<N>>,
    /// Read from the client and not yet handed to a leg: at most one.
    pending: Option<Message>,
    quota: Quota,
    preamble: Preamble,
    /// Legs that it has had.
    legs: u64,
    /// When its leg was lost, until data comes again.
    lost_at: Option<Instant>,
    /// Legs in turn that broke soon after they opened.
    moves: u32,
    /// Resolves when it must go: one slot in a drain, however many legs it has had.
    dismissed: Dismissed,
}

type Dismissed = Pin<Box<dyn Future<Output = Farewell> + Send>>;

/// A leg to a source, for one client.
pub(crate) struct ClientLeg<N: Network> {
    session: Session<NetStream<N>>,
    local: SocketAddr,
    /// What its source chose.
    subprotocol: Option<String>,
    place: Place<N>,
    _held: Held,
}

impl<N: Network> ClientLeg<N> {
    /// The subprotocol that its source chose.
    pub(crate) fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Gives the place back, and says the last words without keeping the client waiting.
    fn leave(self, parting: Parting) {
        let Self { session, place, .. } = self;
        if parting != Parting::Silent {
            let patience = place.context.config().limits.close_timeout;
            place.context.net.spawn("parting", async move {
                let _ = tokio::time::timeout(patience, part(session, parting)).await;
            });
        }
    }
}

impl<N: Network> Client<N> {
    /// Serves it until its session ends: how, and the leg that must be told.
    async fn run(&mut self) -> (Farewell, Option<(ClientLeg<N>, Parting)>) {
        let context = Arc::clone(&self.context);
        loop {
            let found = match self.first.take() {
                Some(leg) => Ok(leg),
                None => self.connect().await,
            };
            let mut leg = match found {
                Ok(leg) => leg,
                Err(end) => return (end, None),
            };
            self.legs += 1;
            let end = Bridge::new(self, &mut leg).run().await;
            let (source, local) = (leg.place.source, leg.local);
            let down = |why: Why| {
                context.meter.legs_lost.add(1);
                context.observer.record(|| Event::ProxyLegDown { proxy: context.id, source, local: Some(local), why });
            };
            match end {
                BridgeEnd::LegLost(why, parting) => {
                    tracing::info!(%source, client = %self.peer, ?why, "lost a client's leg");
                    context.failed(source, format_args!("lost a leg: {why:?}"));
                    down(why);
                    self.lost_at.get_or_insert_with(Instant::now);
                    // The key is the client's own: a source that refuses it is well, and may take the next client.
                    leg.place.fault = why != Why::KeyLimit;
                    let up_since = leg.place.up_since;
                    leg.leave(parting);
                    if let Some(end) = self.refuses_to_move(up_since, why) {
                        return (end, None);
                    }
                }
                BridgeEnd::LegClosed(frame) => {
                    down(Why::Closed);
                    let end = Farewell::Close { frame: frame.and_then(lawful), why: Why::Closed };
                    return (end, Some((leg, Parting::Answer)));
                }
                BridgeEnd::Client { end, leg: parting, fault } => {
                    leg.place.fault = fault.is_some();
                    let orderly = if context.stop.is_cancelled() { Why::Shutdown } else { Why::Closed };
                    down(fault.unwrap_or(orderly));
                    return (end, Some((leg, parting)));
                }
            }
        }
    }

    /// After a leg is lost: the client's end, where it must not move.
    fn refuses_to_move(&mut self, up_since: Option<Instant>, why: Why) -> Option<Farewell> {
        let config = self.context.config();
        if !config.moves_clients() {
            return Some(Farewell::Close { frame: Some(source_lost()), why });
        }
        if up_since.is_some_and(|since| since.elapsed() >= config.backoff.stable_after) {
            self.moves = 0;
        }
        self.moves += 1;
        wire::reached!("client moved too often", if self.moves > config.limits.moves_max);
        (self.moves > config.limits.moves_max)
            .then(|| Farewell::close(close::INTERNAL_ERROR, "source after source was lost", why))
    }

    /// Finds an instance that takes the client, within the deadline. Reads at most one message of the client meanwhile.
    async fn connect(&mut self) -> Result<ClientLeg<N>, Farewell> {
        let context = Arc::clone(&self.context);
        let give_up_at = Instant::now() + context.config().limits.no_source_timeout;
        let mut stop = pin!(context.stop.cancelled());
        let mut search = pin!(search(Arc::clone(&context), self.peer, Arc::clone(&self.introduction)));
        loop {
            let reading = self.pending.is_none();
            wire::select! {
                () = &mut stop => {
                    return Err(Farewell::close(close::GOING_AWAY, "proxy stops", Why::Shutdown));
                }
                end = &mut self.dismissed => return Err(end),
                leg = &mut search => return leg,
                () = tokio::time::sleep_until(give_up_at) => {
                    wire::reached!("no source for a client in time");
                    return Err(Farewell::close(close::TRY_AGAIN_LATER, "no source can be reached", Why::NoSource));
                }
                message = self.session.next(), if reading => match message {
                    None => return Err(Farewell::Gone),
                    Some(Err(error)) => return Err(farewell::of_error(&error)),
                    Some(Ok(Message::Close(_))) => {
                        wire::reached!("client left while it had no leg");
                        return Err(Farewell::Answer);
                    }
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                        wire::reached!("client spoke while it had no leg");
                        self.pending = Some(message);
                    }
                    // What is read here and is no message for a source is counted here.
                    Some(Ok(_)) => self
                        .quota
                        .message(&context.config().limits, Instant::now())
                        .map_err(|over| farewell::over_quota(&context, over))?,
                },
            }
        }
    }
}

/// Waits for its turn and dials, until an instance takes the client.
async fn search<N: Network>(
    context: Arc<Context<N>>,
    peer: SocketAddr,
    introduction: Arc<Introduction>,
) -> Result<ClientLeg<N>, Farewell> {
    let proxy = context.id;
    let config = context.config();
    let limits = &config.limits;
    let mut turn = InTurn::new(&context);
    loop {
        let source = turn.source().await?;
        let mut place = Place { context: Arc::clone(&context), source, up_since: None, fault: false };
        let ask = introduction.ask(&context.url(source));
        let Some(Leg { session, local, subprotocol }) = dial::leg(&context, source, &ask, limits).await else {
            wire::reached!("dial for a client failed");
            place.fault = true;
            continue;
        };
        place.up_since = Some(Instant::now());
        context.observer.record(|| Event::ProxyLegUp { proxy, source, local, epoch: 0, client: Some(peer) });
        context.leg_up(source);
        let held = Held::new(&context.meter, |meter| &meter.legs);
        let leg = ClientLeg { session, local, subprotocol, place, _held: held };
        if !introduction.suits(leg.subprotocol()) {
            context.observer.record(|| Event::ProxyLegDown { proxy, source, local: Some(local), why: Why::Protocol });
            let frame = CloseFrame { code: close::GOING_AWAY.into(), reason: "another subprotocol".into() };
            leg.leave(Parting::Close(Some(frame)));
            // Coming again, it negotiates anew.
            let reason = "the next source chose another subprotocol";
            return Err(Farewell::close(close::SERVICE_RESTART, reason, Why::Protocol));
        }
        return Ok(leg);
    }
}

/// A place at an instance; given back when dropped, so that an abandoned dial leaves no phantom connection in the counts.
struct Place<N: Network> {
    context: Arc<Context<N>>,
    source: SourceId,
    up_since: Option<Instant>,
    fault: bool,
}

impl<N: Network> Drop for Place<N> {
    fn drop(&mut self) {
        self.context.leg_closed(self.source, self.up_since, self.fault);
    }
}
