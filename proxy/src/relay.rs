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
//! Pings are answered hop by hop. Requests that the lost instance had not answered are lost: only the client knows which may be repeated.

mod bridge;
mod probe;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::time::Instant;
use wire::close;
use wire::event::{Event, Why};
use wire::feed::{Protocol, Request};
use wire::id::SourceId;
use wire::net::Network;
use wire::ws::{Ask, CloseFrame, Message, Session, Utf8Bytes};

use self::bridge::{Bridge, BridgeEnd};
pub(crate) use self::probe::keep as keep_probing;
use crate::context::Context;
use crate::dial::{self, Leg};
use crate::farewell::{self, Farewell};
use crate::lock::lock;
use crate::meter::Held;
use crate::pool::Pick;

/// Serves a client from its handshake to its end.
pub(crate) async fn serve_client<N: Network>(context: Arc<Context<N>>, session: Session<N::Stream>, peer: SocketAddr) {
    let mut client = Client {
        context: Arc::clone(&context),
        session,
        peer,
        pending: None,
        preamble: Preamble::new(context.config().protocol, context.config().preamble),
        legs: 0,
        lost_at: None,
    };
    let end = client.run().await;
    farewell::carry_out(&context, client.session, peer, end).await;
}

/// A client, with or without a leg.
struct Client<N: Network> {
    context: Arc<Context<N>>,
    session: Session<N::Stream>,
    peer: SocketAddr,
    /// Read from the client and not yet handed to a leg: at most one.
    pending: Option<Message>,
    preamble: Preamble,
    /// Legs that it has had.
    legs: u64,
    /// When its leg was lost, until data comes again.
    lost_at: Option<Instant>,
}

/// A leg to a source, for one client.
struct ClientLeg<N: Network> {
    session: Session<N::Stream>,
    local: SocketAddr,
    place: Place<N>,
    _held: Held,
}

impl<N: Network> Client<N> {
    async fn run(&mut self) -> Farewell {
        let context = Arc::clone(&self.context);
        loop {
            let mut leg = match self.connect().await {
                Ok(leg) => leg,
                Err(end) => return end,
            };
            let end = Bridge::new(self, &mut leg).run().await;
            let (source, local) = (leg.place.source, leg.local);
            let down = |why: Why| {
                context.meter.legs_lost.add(1);
                context.observer.record(|| Event::ProxyLegDown { proxy: context.id, source, local: Some(local), why });
            };
            match end {
                BridgeEnd::LegLost(why) => {
                    tracing::info!(%source, client = %self.peer, ?why, "lost a client's leg: moving it");
                    down(why);
                    self.lost_at.get_or_insert_with(Instant::now);
                    leg.place.fault = true;
                }
                BridgeEnd::LegClosed(frame) => {
                    down(Why::Closed);
                    return Farewell::Close { frame: frame.and_then(lawful), why: Why::Closed };
                }
                BridgeEnd::Client { end, leg_code } => {
                    let ClientLeg { mut session, place, _held, .. } = leg;
                    let goodbye = session.send(Message::Close(leg_code.and_then(lawful)));
                    let _ = tokio::time::timeout(context.config().limits.close_timeout, goodbye).await;
                    drop(place);
                    down(if context.stop.is_cancelled() { Why::Shutdown } else { Why::Closed });
                    return end;
                }
            }
        }
    }

    /// Finds an instance that takes the client, within the deadline. Reads at most one message of the client meanwhile.
    async fn connect(&mut self) -> Result<ClientLeg<N>, Farewell> {
        let context = Arc::clone(&self.context);
        let give_up_at = Instant::now() + context.config().limits.no_source_timeout;
        let mut stop = pin!(context.stop.cancelled());
        let mut search = pin!(search(Arc::clone(&context), self.peer));
        loop {
            let reading = self.pending.is_none();
            wire::select! {
                () = &mut stop => {
                    return Err(Farewell::close(close::GOING_AWAY, "proxy stops", Why::Shutdown));
                }
                leg = &mut search => {
                    self.legs += 1;
                    return Ok(leg);
                }
                () = tokio::time::sleep_until(give_up_at) => {
                    return Err(Farewell::close(close::TRY_AGAIN_LATER, "no source can be reached", Why::NoSource));
                }
                message = self.session.next(), if reading => match message {
                    None => return Err(Farewell::Gone),
                    Some(Err(error)) => return Err(farewell::of_error(&error)),
                    Some(Ok(Message::Close(_))) => return Err(Farewell::Answer),
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => self.pending = Some(message),
                    Some(Ok(_)) => {}
                },
            }
        }
    }
}

/// Picks and dials until an instance takes the client.
async fn search<N: Network>(context: Arc<Context<N>>, peer: SocketAddr) -> ClientLeg<N> {
    let proxy = context.id;
    let config = context.config();
    let limits = &config.limits;
    loop {
        let pick = lock(&context.pool).pick(Instant::now());
        let source = match pick {
            Pick::Dial(source) => source,
            Pick::Wait(until) => {
                tokio::time::sleep_until(until).await;
                continue;
            }
        };
        let mut place = Place { context: Arc::clone(&context), source, up_since: None, fault: false };
        context.meter.dials.add(1);
        context.observer.record(|| Event::ProxyDial { proxy, source });
        let started = Instant::now();
        let ask =
            Ask { url: context.url(source).to_owned(), forwarded_for: Some(peer.ip().to_string()), ..Ask::default() };
        match dial::dial(&context.net, &ask, limits.source_session(), limits.dial_timeout).await {
            Ok(Leg { session, local }) => {
                place.up_since = Some(Instant::now());
                context.meter.dial.observe(started.elapsed());
                context.observer.record(|| Event::ProxyLegUp { proxy, source, local, epoch: 0, client: Some(peer) });
                context.leg_up(source);
                let held = Held::new(&context.meter, |meter| &meter.legs);
                return ClientLeg { session, local, place, _held: held };
            }
            Err(error) => {
                tracing::warn!(%source, %error, "failed to reach a source");
                context.meter.dials_failed.add(1);
                context.observer.record(|| Event::ProxyLegDown { proxy, source, local: None, why: error.why });
                place.fault = true;
            }
        }
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

/// What a new instance must hear first, so that it stands where the lost one stood. Pure.
#[derive(Debug)]
struct Preamble {
    protocol: Protocol,
    messages_max: usize,
    messages: Vec<Message>,
}

impl Preamble {
    fn new(protocol: Protocol, messages_max: usize) -> Self {
        Self { protocol, messages_max, messages: Vec::new() }
    }

    /// The client's message is on its way to a source. With v1 a later subscription replaces the earlier one; otherwise the first messages are kept.
    fn said(&mut self, message: &Message) {
        if self.messages_max == 0 {
            return;
        }
        if self.protocol == Protocol::V1 {
            if let Message::Text(text) = message
                && Request::decode(text.as_str()).is_ok()
            {
                self.messages = vec![message.clone()];
            }
        } else if self.messages.len() < self.messages_max {
            self.messages.push(message.clone());
        }
    }
}

/// The same frame if its code may cross the wire; None (a Close frame without a code) if it stands for "no code" or may not.
fn lawful(frame: CloseFrame) -> Option<CloseFrame> {
    close::is_lawful(frame.code.into()).then_some(frame)
}

/// Whether a source that closes with this code leaves, as opposed to ending this one session: then the client is moved.
fn departs(frame: Option<&CloseFrame>) -> bool {
    frame.is_some_and(|frame| {
        matches!(
            u16::from(frame.code),
            close::GOING_AWAY
                | close::INTERNAL_ERROR
                | close::SERVICE_RESTART
                | close::TRY_AGAIN_LATER
                | close::BAD_GATEWAY
        )
    })
}

/// The frame that tells a source that its client was lost without a Close frame of its own.
fn client_lost() -> CloseFrame {
    CloseFrame { code: close::INTERNAL_ERROR.into(), reason: Utf8Bytes::from_static("client lost") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(code: u16) -> CloseFrame {
        CloseFrame { code: code.into(), reason: Utf8Bytes::from_static("") }
    }

    #[test]
    fn only_lawful_codes_cross_and_departures_move_the_client() {
        for code in [1000, 1001, 1008, 1011, 1014, 3000, 4999] {
            assert_eq!(lawful(frame(code)), Some(frame(code)));
        }
        for code in [1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(lawful(frame(code)), None, "{code}");
        }
        assert!([1001, 1011, 1012, 1013, 1014].iter().all(|code| departs(Some(&frame(*code)))));
        assert!([1000, 1008, 4000].iter().all(|code| !departs(Some(&frame(*code)))));
        assert!(!departs(None));
    }

    #[test]
    fn the_preamble_is_the_last_subscription_or_the_first_messages() {
        let text = |text: &str| Message::text(text);
        let mut v1 = Preamble::new(Protocol::V1, 1);
        for said in [r#"{"userKey":"K","symbol":"A"}"#, "noise", r#"{"userKey":"K","symbol":"B"}"#] {
            v1.said(&text(said));
        }
        assert_eq!(v1.messages, [text(r#"{"userKey":"K","symbol":"B"}"#)]);
        let mut raw = Preamble::new(Protocol::Raw, 2);
        for said in ["a", "b", "c"] {
            raw.said(&text(said));
        }
        assert_eq!(raw.messages, [text("a"), text("b")]);
    }
}
