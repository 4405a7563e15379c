//! The upstream legs: dial, subscribe, read, and move to another instance when one dies.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Waker, Poll};

use futures_util::{Sink, SinkExt, Stream};
use tokio::time::Instant;
use wire::close;
use wire::event::{Event, Why};
use wire::feed::v2::SubAck;
use wire::feed::{Dialect, Heard as Meant, Protocol, Refusal};
use wire::id::{SourceId, Symbol};
use wire::net::Network;
use wire::ws::{Ask, CloseFrame, Message, Session};

use super::hub::Due;
use super::legs::{LegKey, Opened};
use super::raw_symbol;
use crate::config::{Config, Sources};
use crate::context::Context;
use crate::dial::{self, Leg};
use crate::health::{Heard, Judge, Opening, Verdict};
use crate::lock::lock;
use crate::meter::Held;
use crate::policy::Unread;
use crate::pool::Pick;
use crate::relay::ending::{Parting, part, reproach};
use crate::tls::NetStream;

/// What the legs before the next one showed.
#[derive(Default)]
struct Memory {
    data_expected: bool,
    silent_legs: u32,
    /// When the last leg was lost, until data comes again.
    lost_at: Option<Instant>,
}

/// Keeps as many legs up as the configuration wants, until the proxy stops.
pub(crate) async fn keep_all<N: Network>(context: Arc<Context<N>>) {
    let net = context.net.clone();
    let mut keepers = Vec::new();
    loop {
        let reloaded = context.reloaded.notified();
        let config = context.config();
        let wanted = match config.sources {
            Sources::Active => 1,
            Sources::Hot => config.hot_legs.min(config.upstreams.len()),
            Sources::Sharded => config.upstreams.len(),
        };
        // Where fewer are wanted than before, those too many find no instance that is free.
        while keepers.len() < wanted {
            keepers.push(net.spawn("leg", keep(Arc::clone(&context))).guard());
        }
        wire::select! {
            () = context.stop.cancelled() => break,
            () = reloaded => {}
        }
    }
    // Each says goodbye, within the close timeout.
    for keeper in keepers {
        let _ = keeper.await;
    }
}

/// Keeps a leg up, on one instance or another, until the proxy stops.
async fn keep<N: Network>(context: Arc<Context<N>>) {
    let mut memory = Memory::default();
    loop {
        let now = Instant::now();
        let pick = context.hub.claim(|free| lock(&context.pool).pick_among(now, free));
        let source = match pick {
            Pick::Dial(source) => source,
            Pick::Wait(until) => {
                wire::select! {
                    () = context.stop.cancelled() => return,
                    () = tokio::time::sleep_until(until) => continue,
                }
            }
        };
        attempt(&context, source, &mut memory).await;
        context.hub.release(source);
        if context.stop.is_cancelled() {
            return;
        }
    }
}

/// One dial and, if it succeeds, the leg's whole life.
async fn attempt<N: Network>(context: &Context<N>, source: SourceId, memory: &mut Memory) {
    let id = context.id;
    let config = context.config();
    let limits = &config.limits;
    let ask = Ask { url: context.url(source), ..Ask::default() };
    let started = Instant::now();
    let dialled = wire::select! {
        () = context.stop.cancelled() => return,
        dialled = dial::leg(context, source, &ask, limits) => dialled,
    };
    match dialled {
        None => {
            wire::reached!("dial of a leg failed");
            context.leg_closed(source, None, true);
        }
        Some(Leg { session, local, .. }) => {
            let opening = Opening {
                now: Instant::now(),
                data_expected: memory.data_expected,
                silent_legs: memory.silent_legs,
                judges_data: true,
            };
            let mut life = Life {
                context,
                session,
                source,
                local,
                judge: (context.policies.judge)(&context.config(), opening),
                up_since: None,
                up_deadline: started + limits.dial_timeout,
                flushing: false,
                had_data: false,
                lost_at: memory.lost_at,
                reproach: None,
                dialect: dialect(&config),
                key: 0,
                read: Vec::new(),
                news: Vec::new(),
                _held: Held::new(&context.meter, |meter| &meter.legs),
            };
            let why = life.run().await;
            context.hub.close_leg(life.key);
            let reproach = life.reproach.take();
            let (up_since, had_data) = (life.up_since, life.had_data);
            wire::reached!("leg lost before it was up", if up_since.is_none());
            wire::reached!("leg given up as stale", if why == Why::Stale);
            wire::reached!("leg refused for its key", if why == Why::KeyLimit);
            memory.lost_at = life.lost_at.or(up_since.map(|_| Instant::now()));
            match reproach {
                // Said without keeping the next leg waiting.
                Some(frame) => {
                    let Life { session, .. } = life;
                    let patience = limits.close_timeout;
                    context.net.spawn("parting", async move {
                        let _ = tokio::time::timeout(patience, part(session, Parting::Close(Some(frame)))).await;
                    });
                }
                None => drop(life),
            }
            tracing::warn!(%source, url = ask.url, ?why, "lost the leg to a source");
            if !matches!(why, Why::Shutdown | Why::Superseded) {
                context.failed(source, format_args!("lost the leg: {why:?}"));
            }
            context.meter.legs_lost.add(1);
            context.observer.record(|| Event::ProxyLegDown { proxy: id, source, local: Some(local), why });
            match why {
                Why::KeyLimit => context.leg_refused(source, up_since),
                why => context.leg_closed(source, up_since, !matches!(why, Why::Shutdown | Why::Superseded)),
            }
            if had_data {
                *memory = Memory { data_expected: true, silent_legs: 0, lost_at: memory.lost_at };
            } else if why == Why::Stale {
                memory.silent_legs = memory.silent_legs.saturating_add(1);
            }
        }
    }
}

/// How to speak with a source.
fn dialect(config: &Config) -> Dialect {
    let key = || config.user_key.reveal().to_owned();
    match config.protocol {
        Protocol::V1 => Dialect::v1(key()),
        Protocol::V2 => Dialect::v2(key()),
        Protocol::Raw => Dialect::raw(config.route_by.clone()),
    }
}

/// An open leg.
struct Life<'c, N: Network> {
    context: &'c Context<N>,
    session: Session<NetStream<N>>,
    source: SourceId,
    local: std::net::SocketAddr,
    judge: Box<dyn Judge>,
    up_since: Option<Instant>,
    up_deadline: Instant,
    flushing: bool,
    had_data: bool,
    lost_at: Option<Instant>,
    /// What the source is told that broke the protocol.
    reproach: Option<CloseFrame>,
    dialect: Dialect,
    /// Its place in the hub.
    key: LegKey,
    /// What one turn brought.
    read: Vec<Option<Result<Message, wire::ws::Error>>>,
    /// What of it goes to the clients.
    news: Vec<(Symbol, Message)>,
    _held: Held,
}

/// Messages that are read in one turn, and handed on together.
const BATCH_MAX: usize = 64;

impl<N: Network> Life<'_, N> {
    /// Lives until the leg ends; says why it did.
    async fn run(&mut self) -> Why {
        self.run_inner().await.err().unwrap_or(Why::Internal)
    }

    async fn run_inner(&mut self) -> Result<std::convert::Infallible, Why> {
        let context = self.context;
        let Opened { key, bell, told } = context.hub.open_leg(self.source);
        self.key = key;
        if self.dialect.is_up() {
            // There is no greeting to wait for.
            self.up();
        }
        match told {
            Some(told) => self.tell(told)?,
            // It says nothing of symbols before it has its share.
            None => self.judge.subscribed(Instant::now(), self.dialect.expects_data()),
        }
        let mut stop = pin!(context.stop.cancelled());
        let mut leaves = pin!(context.leaves(self.source));
        let mut alarm = pin!(tokio::time::sleep_until(Instant::now()));
        loop {
            wire::select! {
                () = &mut stop => {
                    self.farewell("proxy stops").await;
                    return Err(Why::Shutdown);
                }
                () = &mut leaves => {
                    self.farewell("named no more").await;
                    return Err(Why::Superseded);
                }
                () = &mut alarm => {
                    let next = self.on_alarm()?;
                    alarm.as_mut().reset(next);
                }
                () = bell.notified() => alarm.as_mut().reset(Instant::now()),
                () = poll_fn(|cx| self.turn(cx)) => {
                    let had_data = self.had_data;
                    let read = std::mem::take(&mut self.read);
                    let mut end = Ok(());
                    for message in read {
                        end = self.on_message(message);
                        if end.is_err() {
                            break;
                        }
                    }
                    // Also what came before the end.
                    context.hub.publish(self.key, self.source, &mut self.news);
                    end?;
                    if self.had_data != had_data {
                        // The first data makes silence mean something sooner than planned.
                        alarm.as_mut().reset(Instant::now());
                    }
                    context.hub.has_room().await;
                }
            }
        }
    }

    /// Writes what waits as far as the source takes it, and reads what has come.
    fn turn(&mut self, cx: &mut Waker<'_>) -> Poll<()> {
        if self.flushing {
            match Pin::new(&mut self.session).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.flushing = false,
                Poll::Ready(Err(error)) => {
                    self.read.push(Some(Err(error)));
                    return Poll::Ready(());
                }
                Poll::Pending => {}
            }
        }
        while self.read.len() < BATCH_MAX {
            let Poll::Ready(message) = Pin::new(&mut self.session).poll_next(cx) else { break };
            let last = !matches!(message, Some(Ok(_)));
            self.read.push(message);
            if last {
                break;
            }
        }
        if self.read.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Looks at every deadline; returns the next.
    fn on_alarm(&mut self) -> Result<Instant, Why> {
        let now = Instant::now();
        let mut next = match self.judge.check(now) {
            Verdict::Fine(again) => again,
            Verdict::Ping(again) => {
                self.send(Message::Ping(wire::ws::Bytes::new()))?;
                again
            }
            Verdict::Dead(why) => return Err(why),
        };
        if self.up_since.is_none() {
            if now >= self.up_deadline {
                return Err(Why::Deadline);
            }
            next = next.min(self.up_deadline);
        }
        let delay = self.context.config().limits.reconcile_delay;
        let Due { told, again } = self.context.hub.due(self.key, now, self.flushing, delay);
        if let Some(told) = told {
            self.tell(told)?;
        }
        Ok(again.map_or(next, |again| again.min(next)))
    }

    fn on_message(&mut self, message: Option<Result<Message, wire::ws::Error>>) -> Result<(), Why> {
        let message = match message {
            None => return Err(Why::Closed),
            Some(Err(error)) => {
                tracing::debug!(source = %self.source, %error, "session with a source broke");
                wire::reached!("source sent a message that is too big", if matches!(error, wire::ws::Error::Capacity(_)));
                self.reproach = reproach(&error);
                return Err(dial::why_of_session(&error));
            }
            Some(Ok(message)) => message,
        };
        let now = Instant::now();
        match &message {
            Message::Close(_) => {
                // tungstenite has queued the answer; one attempt at writing it is enough, as the connection is dropped next.
                use futures_util::FutureExt as _;
                let _ = self.session.flush().now_or_never();
                return Err(Why::Closed);
            }
            Message::Text(text) => {
                let meant = self.dialect.hear(text.as_str());
                match meant {
                    Meant::Refused(Refusal::KeyLimit) => return Err(Why::KeyLimit),
                    Meant::Refused(Refusal::Login(reason)) => {
                        tracing::warn!(source = %self.source, reason, "a source refuses the key");
                        return Err(Why::Refused);
                    }
                    Meant::Complaint(ref reason) => tracing::warn!(source = %self.source, reason, "a source complains"),
                    _ => {}
                }
                if self.dialect.is_up() {
                    self.up();
                }
                if let Meant::Data(symbol) = meant {
                    self.on_data(now, symbol, message);
                    return Ok(());
                }
                // A login, or an answer, may have made room for more. Data never does.
                self.say()?;
                if meant == Meant::Unreadable {
                    return self.on_unread(now, message);
                }
                self.judge.heard(now, Heard::Sign);
                if let Meant::Answer { accepted, denied } = meant {
                    // What came before it must not come to clients after it.
                    self.context.hub.publish(self.key, self.source, &mut self.news);
                    self.context.hub.answered(self.key, SubAck { accepted, denied, invalid: Vec::new() });
                }
            }
            Message::Binary(_) if self.dialect.takes_binary() => self.on_data(now, raw_symbol(), message),
            Message::Binary(_) => return self.on_unread(now, message),
            _ => self.judge.heard(now, Heard::Sign),
        }
        Ok(())
    }

    fn on_unread(&mut self, now: Instant, message: Message) -> Result<(), Why> {
        wire::reached!("message of a source that cannot be read");
        match (self.context.policies.unread)(&message) {
            Unread::Skip => {
                self.context.meter.unread.add(1);
                self.judge.heard(now, Heard::Sign);
            }
            Unread::Pass(symbol) => self.on_data(now, symbol, message),
            Unread::End => return Err(Why::Protocol),
        }
        Ok(())
    }

    fn on_data(&mut self, now: Instant, symbol: Symbol, message: Message) {
        self.had_data = true;
        if let Some(lost_at) = self.lost_at.take() {
            wire::reached!("first data after a failover");
            self.context.meter.failover.observe(now.saturating_duration_since(lost_at));
        }
        self.judge.heard(now, Heard::Data);
        self.context.meter.received.add(1);
        let (proxy, source) = (self.context.id, self.source);
        self.context.observer.record_tick(|| Event::ProxyTick { proxy, source, symbol });
        self.news.push((symbol, message));
    }

    /// The source speaks: a new epoch begins with this leg.
    fn up(&mut self) {
        if self.up_since.is_some() {
            return;
        }
        self.up_since = Some(Instant::now());
        let shares = lock(&self.context.pool).shares();
        let epoch = self.context.hub.leg_up(self.key, self.source, shares);
        let (proxy, source, local) = (self.context.id, self.source, self.local);
        tracing::info!(%source, url = self.context.url(source), epoch, "leg is up");
        self.context.observer.record(|| Event::ProxyLegUp { proxy, source, local, epoch, client: None });
        self.context.leg_up(source);
    }

    /// Tells the source which symbols are wanted.
    fn tell(&mut self, symbols: Vec<Symbol>) -> Result<(), Why> {
        self.dialect.want(symbols);
        self.say()
    }

    /// Says what there is to say.
    fn say(&mut self) -> Result<(), Why> {
        while let Some(text) = self.dialect.say() {
            self.send(Message::text(text))?;
        }
        self.judge.subscribed(Instant::now(), self.dialect.expects_data());
        Ok(())
    }

    /// Hands a message to the session's bounded buffer; it goes out as the socket takes it.
    fn send(&mut self, message: Message) -> Result<(), Why> {
        self.flushing = true;
        Pin::new(&mut self.session).start_send(message).map_err(|error| dial::why_of_session(&error))
    }

    async fn farewell(&mut self, reason: &'static str) {
        let frame = CloseFrame { code: close::GOING_AWAY.into(), reason: wire::ws::Utf8Bytes::from_static(reason) };
        let goodbye = self.session.send(Message::Close(Some(frame)));
        // The source may be stalled: then it learns of our end by the connection's.
        let _ = tokio::time::timeout(self.context.config().limits.close_timeout, goodbye).await;
    }
}
