//! Both ways between a client and its leg, message by message: text stays text, and a side that is not writable stops the reading of the other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Waker, Poll};

use futures_util::{Sink, Stream};
use tokio::time::Instant;
use wire::close;
use wire::event::Why;
use wire::feed::{GREETING, KEY_LIMIT_TEXT, Protocol};
use wire::net::Network;
use wire::ws::{Bytes, CloseFrame, Error, Message, is_disconnect};

use super::ending::{Parting, client_lost, lawful, reproach, source_lost};
use super::vigil::Vigil;
use super::{Client, ClientLeg, Dismissed};
use crate::context::Context;
use crate::dial;
use crate::farewell::{self, Farewell};
use crate::health::{Heard, Judge, Opening, Verdict};
use crate::liveness::{Liveness, Look};

/// How a bridge ends.
pub(super) enum BridgeEnd {
    /// The instance failed or leaves, and is told so: the client needs another.
    LegLost(Why, Parting),
    /// The source ended this session, with this frame.
    LegClosed(Option<CloseFrame>),
    /// The client's session ends, and its leg with it.
    Client {
        end: Farewell,
        leg: Parting,
        /// Why the leg is to blame, if it is.
        fault: Option<Why>,
    },
}

/// One side broke the protocol. The other is told, and what it had on its way is still passed on until it answers, so that what was asked before the breach
/// is answered before the session ends.
enum Breach {
    /// The client did, and this will be its farewell.
    OfClient(Farewell),
    /// The source did, and will be told this; the client is not to move.
    OfSource(Why, Parting),
}

/// Messages passed one way before the other way gets its turn.
const BATCH_MAX: u32 = 64;

pub(super) struct Bridge<'b, N: Network> {
    context: Arc<Context<N>>,
    client: &'b mut Client<N>,
    leg: &'b mut ClientLeg<N>,
    judge: Box<dyn Judge>,
    /// Since something is subscribed, with v1.
    vigil: Option<Vigil<N>>,
    liveness: Liveness,
    v1: bool,
    /// The greeting of every instance but the client's first is not news to it.
    skip_greeting: bool,
    leg_flushing: bool,
    client_flushing: bool,
    /// The client does not take what the source says: the source's silence is our doing.
    source_held_back: bool,
    /// The source does not take what the client says: the client's silence is our doing.
    client_held_back: bool,
    /// Writing to the leg failed with this: what the source said before is read first, a Close frame above all.
    leg_broken: Option<BridgeEnd>,
    breach: Option<Breach>,
    /// When waiting for the other side's answer to a breach ends.
    breach_ends: Option<Instant>,
    had_data: bool,
    said_anything: bool,
    /// What this instance must hear before the client's next message. Handed over as the session takes it, like any other message.
    replay: VecDeque<Message>,
}

impl<'b, N: Network> Bridge<'b, N> {
    pub(super) fn new(client: &'b mut Client<N>, leg: &'b mut ClientLeg<N>) -> Self {
        let context = Arc::clone(&client.context);
        let now = Instant::now();
        let v1 = context.config().protocol == Protocol::V1;
        let opening = Opening { now, data_expected: false, silent_legs: 0, judges_data: v1 };
        let moved = client.legs > 1;
        Self {
            judge: (context.policies.judge)(&context.config(), opening),
            vigil: None,
            liveness: Liveness::new(&context.config().limits, now),
            v1,
            skip_greeting: v1 && moved,
            leg_flushing: false,
            client_flushing: false,
            source_held_back: false,
            client_held_back: false,
            leg_broken: None,
            breach: None,
            breach_ends: None,
            had_data: false,
            said_anything: !client.preamble.is_empty(),
            replay: (context.policies.preamble)(client.preamble.replay()),
            context,
            client,
            leg,
        }
    }

    pub(super) async fn run(mut self) -> BridgeEnd {
        let mut dismissed = std::mem::replace(&mut self.client.dismissed, Box::pin(std::future::pending()));
        let ended = self.run_inner(&mut dismissed).await;
        self.client.dismissed = dismissed;
        match ended {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn run_inner(&mut self, dismissed: &mut Dismissed) -> Result<std::convert::Infallible, BridgeEnd> {
        let context = Arc::clone(&self.context);
        if self.said_anything {
            self.subscribed();
        }
        let first_message_by = Instant::now() + context.config().limits.first_message_timeout;
        let mut stop = pin!(context.stop.cancelled());
        let mut alarm = pin!(tokio::time::sleep_until(Instant::now()));
        loop {
            let before = (self.had_data, self.breach.is_some());
            wire::select! {
                () = &mut stop => return Err(closing(close::GOING_AWAY, "proxy stops", Why::Shutdown)),
                end = &mut *dismissed => return Err(client_ends(end, Some(client_closed()))),
                () = &mut alarm => {
                    let mut next = self.on_alarm()?;
                    if self.v1 && !self.said_anything {
                        if Instant::now() >= first_message_by {
                            return Err(closing(close::POLICY_VIOLATION, "no first message in time", Why::Deadline));
                        }
                        next = next.min(first_message_by);
                    }
                    alarm.as_mut().reset(next);
                }
                result = poll_fn(|cx| self.turn(cx)) => {
                    result?;
                    if (self.had_data, self.breach.is_some()) != before {
                        alarm.as_mut().reset(Instant::now());
                    }
                }
            }
        }
    }

    /// From now on data is owed.
    fn subscribed(&mut self) {
        self.judge.subscribed(Instant::now(), true);
        self.vigil = self.v1.then(|| Vigil::new(&self.context, self.leg.place.source));
    }

    fn on_alarm(&mut self) -> Result<Instant, BridgeEnd> {
        let now = Instant::now();
        if self.source_held_back {
            self.judge.heard(now, if self.had_data { Heard::Data } else { Heard::Sign });
            self.vigil.iter().for_each(|vigil| vigil.held_back(now));
        }
        // In a breach the client is not to move any more.
        if self.breach.is_none() && self.vigil.as_ref().is_some_and(|vigil| vigil.is_stale(now)) {
            wire::reached!("leg left as its instance is silent among siblings");
            return Err(BridgeEnd::LegLost(Why::Stale, Parting::Silent));
        }
        if self.breach_ends.is_some_and(|at| now >= at) {
            return Err(self.end_of_breach());
        }
        let next = match self.judge.check(now) {
            Verdict::Fine(again) => again,
            Verdict::Ping(again) => {
                self.send_up(Message::Ping(Bytes::new()))?;
                again
            }
            Verdict::Dead(_) if self.breach.is_some() => now + self.context.config().health.ping_interval,
            Verdict::Dead(why) => {
                if why == Why::Stale {
                    self.vigil.iter().for_each(|vigil| vigil.gave_up(now));
                }
                return Err(BridgeEnd::LegLost(why, Parting::Silent));
            }
        };
        if self.client_held_back {
            self.liveness.heard(now);
        }
        let next = self.breach_ends.map_or(next, |at| at.min(next));
        let next = self.vigil.as_ref().map_or(next, |vigil| vigil.again_at(now).min(next));
        match self.liveness.look(now) {
            Look::Again(at) => Ok(at.min(next)),
            Look::Ping(at) => {
                self.send_down(Message::Ping(Bytes::new()))?;
                Ok(at.min(next))
            }
            Look::Gone => Err(client_ends(Farewell::drop(Why::PingTimeout), Some(client_lost()))),
        }
    }

    /// Passes on what can be passed on without waiting. Ready after progress, so that the caller's other branches get their turn.
    fn turn(&mut self, cx: &mut Waker<'_>) -> Poll<Result<(), BridgeEnd>> {
        let mut progress = false;
        for _ in 0..BATCH_MAX {
            match self.up(cx) {
                Poll::Ready(result) => {
                    result?;
                    progress = true;
                }
                Poll::Pending => break,
            }
        }
        self.source_held_back = false;
        for _ in 0..BATCH_MAX {
            match self.down(cx) {
                Poll::Ready(result) => {
                    result?;
                    progress = true;
                }
                Poll::Pending => break,
            }
        }
        if self.leg_flushing
            && let Poll::Ready(result) = Pin::new(&mut self.leg.session).poll_flush(cx)
        {
            self.leg_flushing = false;
            progress |= result.is_err();
            self.written_up(result)?;
        }
        if self.client_flushing
            && let Poll::Ready(result) = Pin::new(&mut self.client.session).poll_flush(cx)
        {
            result.map_err(|error| client_broke(&error))?;
            self.client_flushing = false;
        }
        if progress { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// One message from the client to the source.
    fn up(&mut self, cx: &mut Waker<'_>) -> Poll<Result<(), BridgeEnd>> {
        if self.leg_broken.is_some() || matches!(self.breach, Some(Breach::OfClient(_))) {
            return Poll::Pending;
        }
        let ready = Pin::new(&mut self.leg.session).poll_ready(cx);
        self.client_held_back = ready.is_pending();
        if let Err(error) = std::task::ready!(ready) {
            return Poll::Ready(self.written_up(Err(error)));
        }
        if let Some(message) = self.replay.pop_front() {
            wire::reached!("preamble said again to the next instance");
            return Poll::Ready(self.send_up(message));
        }
        let message = match self.client.pending.take() {
            Some(message) => message,
            None => match std::task::ready!(Pin::new(&mut self.client.session).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Poll::Ready(self.client_failed(&error)),
                None if self.breach.is_some() => return Poll::Ready(Err(self.end_of_breach())),
                None => return Poll::Ready(Err(client_ends(Farewell::Gone, Some(client_lost())))),
            },
        };
        let now = Instant::now();
        self.liveness.heard(now);
        if !message.is_close()
            && let Err(over) = self.client.quota.message(&self.context.config().limits, now)
        {
            return Poll::Ready(Err(client_ends(farewell::over_quota(&self.context, over), Some(client_closed()))));
        }
        Poll::Ready(match message {
            Message::Text(_) | Message::Binary(_) => {
                if !self.client.preamble.said(&message) {
                    self.context.meter.preamble_skipped.add(1);
                    tracing::debug!(client = %self.client.peer, bytes = message.len(), "no room in the preamble");
                }
                if !self.said_anything {
                    self.said_anything = true;
                    self.subscribed();
                }
                self.context.meter.forwarded_up.add(1);
                self.send_up(message)
            }
            Message::Close(_) if self.breach.is_some() => Err(self.end_of_breach()),
            Message::Close(frame) => Err(client_ends(Farewell::Answer, frame.and_then(lawful))),
            _ => Ok(()),
        })
    }

    /// One message from the source to the client.
    fn down(&mut self, cx: &mut Waker<'_>) -> Poll<Result<(), BridgeEnd>> {
        if matches!(self.breach, Some(Breach::OfSource(..))) {
            return Poll::Pending;
        }
        match Pin::new(&mut self.client.session).poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(client_broke(&error))),
            Poll::Pending => {
                wire::reached!("source read no further for its client");
                self.source_held_back = true;
                return Poll::Pending;
            }
        }
        let message = match std::task::ready!(Pin::new(&mut self.leg.session).poll_next(cx)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Poll::Ready(self.leg_failed(&error)),
            None if self.breach.is_some() => return Poll::Ready(Err(self.end_of_breach())),
            None => return Poll::Ready(Err(BridgeEnd::LegLost(Why::Reset, Parting::Silent))),
        };
        let now = Instant::now();
        Poll::Ready(match message {
            Message::Text(text) if self.v1 && text.as_str() == KEY_LIMIT_TEXT => {
                wire::reached!("client moved from an instance that refused its key");
                Err(BridgeEnd::LegLost(Why::KeyLimit, Parting::Silent))
            }
            Message::Text(text) if self.v1 && text.as_str() == GREETING => {
                self.judge.heard(now, Heard::Sign);
                if std::mem::take(&mut self.skip_greeting) { Ok(()) } else { self.send_down(Message::Text(text)) }
            }
            Message::Text(_) | Message::Binary(_) => {
                self.had_data = true;
                if let Some(lost_at) = self.client.lost_at.take() {
                    self.context.meter.failover.observe(now.saturating_duration_since(lost_at));
                }
                self.judge.heard(now, Heard::Data);
                self.vigil.iter_mut().for_each(|vigil| vigil.data(now));
                self.context.meter.received.add(1);
                self.context.meter.forwarded.add(1);
                self.send_down(message)
            }
            Message::Close(_) if self.breach.is_some() => Err(self.end_of_breach()),
            Message::Close(frame) if self.departs(frame.as_ref()) => {
                wire::reached!("client moved from an instance that leaves");
                Err(BridgeEnd::LegLost(Why::Closed, Parting::Answer))
            }
            Message::Close(frame) => Err(BridgeEnd::LegClosed(frame)),
            _ => {
                self.judge.heard(now, Heard::Sign);
                Ok(())
            }
        })
    }

    /// Whether a source that closes with this frame leaves, as opposed to ending this one session.
    fn departs(&self, frame: Option<&CloseFrame>) -> bool {
        let config = self.context.config();
        config.moves_clients() && frame.is_some_and(|frame| config.move_on_close.contains(&frame.code.into()))
    }

    fn send_up(&mut self, message: Message) -> Result<(), BridgeEnd> {
        self.leg_flushing = true;
        let result = Pin::new(&mut self.leg.session).start_send(message);
        self.written_up(result)
    }

    /// What came of writing to the leg.
    fn written_up(&mut self, result: Result<(), Error>) -> Result<(), BridgeEnd> {
        match result {
            Ok(()) => Ok(()),
            Err(_) if matches!(self.breach, Some(Breach::OfSource(..))) => Err(self.end_of_breach()),
            Err(error) if is_disconnect(&error) => {
                self.leg_broken.get_or_insert_with(|| leg_broke(&error));
                Ok(())
            }
            Err(error) => Err(leg_broke(&error)),
        }
    }

    fn send_down(&mut self, message: Message) -> Result<(), BridgeEnd> {
        self.client_flushing = true;
        Pin::new(&mut self.client.session).start_send(message).map_err(|error| client_broke(&error))
    }

    /// Reading from the client failed.
    fn client_failed(&mut self, error: &Error) -> Result<(), BridgeEnd> {
        if self.breach.is_some() {
            return Err(self.end_of_breach());
        }
        if is_disconnect(error) {
            return Err(client_broke(error));
        }
        self.begin_breach(Breach::OfClient(farewell::of_error(error)));
        self.send_up(Message::Close(Some(client_lost())))
    }

    /// Reading from the leg failed.
    fn leg_failed(&mut self, error: &Error) -> Result<(), BridgeEnd> {
        if self.breach.is_some() {
            return Err(self.end_of_breach());
        }
        if is_disconnect(error) || self.context.config().moves_clients() {
            return Err(self.leg_broken.take().unwrap_or_else(|| leg_broke(error)));
        }
        let why = dial::why_of_session(error);
        self.begin_breach(Breach::OfSource(why, Parting::Close(reproach(error))));
        let frame = source_lost();
        self.context.client_closed(self.client.peer, Some(frame.code.into()), why);
        self.send_down(Message::Close(Some(frame)))
    }

    fn begin_breach(&mut self, breach: Breach) {
        self.breach = Some(breach);
        self.breach_ends = Some(Instant::now() + self.context.config().limits.close_timeout);
    }

    /// The other side has answered, or will not.
    fn end_of_breach(&mut self) -> BridgeEnd {
        match self.breach.take() {
            Some(Breach::OfClient(end)) => BridgeEnd::Client { end, leg: Parting::Answer, fault: None },
            Some(Breach::OfSource(why, leg)) => BridgeEnd::Client { end: Farewell::Answer, leg, fault: Some(why) },
            None => client_ends(Farewell::Gone, Some(client_lost())),
        }
    }
}

/// The client's session ends so, and its source is told this.
fn client_ends(end: Farewell, frame: Option<CloseFrame>) -> BridgeEnd {
    BridgeEnd::Client { end, leg: Parting::Close(frame), fault: None }
}

fn closing(code: u16, reason: &str, why: Why) -> BridgeEnd {
    client_ends(Farewell::close(code, reason, why), Some(client_closed()))
}

fn client_closed() -> CloseFrame {
    CloseFrame { code: close::GOING_AWAY.into(), reason: "client closed".into() }
}

fn leg_broke(error: &Error) -> BridgeEnd {
    let parting = reproach(error).map_or(Parting::Silent, |frame| Parting::Close(Some(frame)));
    BridgeEnd::LegLost(dial::why_of_session(error), parting)
}

fn client_broke(error: &Error) -> BridgeEnd {
    client_ends(farewell::of_error(error), Some(client_lost()))
}
