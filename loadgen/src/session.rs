//! One open connection of one client: reads, checks, sends requests, and ends.

mod act;
mod hear;
mod letters;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};
use wire::close;
use wire::event::{Event, Observer, Side};
use wire::feed::v2;
use wire::feed::{Protocol, Request};
use wire::id::{ClientId, SessionId, Symbol};
use wire::net::Network;
use wire::ws::{self, CloseFrame, Error, Message};

use crate::behaviour::Deeds;
use crate::client::entity;
use crate::config::{Config, Load};
use crate::conversation::Speaker;
use crate::measure::{Meter, Shard};
use crate::order::Book;
use crate::requests::{Answered, Next, Requests, Way};
use crate::summary::Tally;
use crate::tls::Connection;

pub(crate) use self::letters::Letters;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The run is over: we closed.
    Over,
    /// The session lasted as long as it should: we closed.
    Enough,
    /// The peer sent a Close frame.
    PeerClosed(u16),
    /// The connection broke.
    Broken,
    /// The peer broke the protocol: we close with this code.
    Protocol(u16),
}

impl Ended {
    /// Who ended it, and with which code; None: it broke.
    pub(crate) fn told(self) -> (Side, Option<u16>) {
        match self {
            Ended::Over | Ended::Enough => (Side::Own, Some(close::NORMAL)),
            Ended::Protocol(code) => (Side::Own, Some(code)),
            Ended::PeerClosed(code) => (Side::Peer, Some(code)),
            Ended::Broken => (Side::Peer, None),
        }
    }
}

/// When a session began, when the one before it was lost (None also from the first tick or answer on), and when it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since {
    pub(crate) opened: Instant,
    pub(crate) lost: Option<Instant>,
    pub(crate) ended: Option<Instant>,
}

/// Messages handled before the end of the run is looked for again.
const MESSAGES_A_TURN: usize = 64;

/// One session's talk.
pub(crate) struct Talk<'a, N: Network> {
    pub(crate) config: &'a Config,
    pub(crate) net: &'a N,
    pub(crate) observer: &'a Observer,
    pub(crate) shard: &'a Shard,
    pub(crate) tally: &'a mut Tally,
    pub(crate) client: ClientId,
    pub(crate) session_id: SessionId,
    pub(crate) strong: bool,
    pub(crate) session: ws::Session<Connection<N>>,
    pub(crate) book: &'a mut Book,
    /// A message of use came: the back-off may start anew.
    pub(crate) useful: bool,
    pub(crate) since: Since,
    /// When the message came that is looked at.
    now: Instant,
    /// When the last tick or answer came.
    last: Option<Instant>,
    /// The longest time between two of them.
    longest: Duration,
    /// Whether the socket takes what is said.
    way: Way,
    /// The first message, which may be a greeting, came.
    greeted: bool,
    unflushed: bool,
    /// What to subscribe to once the login is answered (v2).
    after_login: Vec<Symbol>,
    requests: Option<Requests>,
    /// Where clients publish for one another.
    pub(crate) letters: Option<Letters<'a>>,
    /// What it does beside listening; None: nothing.
    deeds: Option<Box<Deeds>>,
    /// What it is subscribed to now, where that changes.
    wanted: Vec<Symbol>,
    /// Requests that it said since its first.
    asks: u64,
}

enum Io {
    Turn,
    Flushed(Result<(), Error>),
    Ended(Ended),
}

impl<'a, N: Network> Talk<'a, N> {
    #[expect(clippy::too_many_arguments, reason = "they are the fields")]
    pub(crate) fn new(
        config: &'a Config,
        net: &'a N,
        observer: &'a Observer,
        shard: &'a Shard,
        tally: &'a mut Tally,
        (client, session_id): (ClientId, SessionId),
        strong: bool,
        session: ws::Session<Connection<N>>,
        book: &'a mut Book,
        since: Since,
    ) -> Self {
        let now = Instant::now();
        let requests = match config.load {
            _ if config.publishers.is_some() => None,
            Load::Open { requests_per_s: Some(per_s), .. } => {
                Some(Requests::open(per_s, config.one_at_a_time, now, net.draws("request phase", u64::from(client.0))))
            }
            Load::Closed { think: Some(think), .. } => {
                Some(Requests::closed(think, now, net.draws("think", entity(client, session_id))))
            }
            Load::Open { .. } | Load::Closed { .. } => None,
        };
        Self {
            config,
            net,
            observer,
            shard,
            tally,
            client,
            session_id,
            strong,
            session,
            book,
            useful: false,
            since,
            now,
            last: None,
            longest: Duration::ZERO,
            way: Way::default(),
            greeted: false,
            unflushed: false,
            after_login: Vec::new(),
            requests,
            letters: None,
            deeds: Deeds::new(&config.behaviour, Instant::now(), net.draws("deeds", u64::from(client.0))).map(Box::new),
            wanted: Vec::new(),
            asks: 0,
        }
    }

    /// Subscribes, going on from `positions`, then reads until the run is over, it is `enough`, or the session ends. The end is bounded by `close_timeout`.
    pub(crate) async fn run(
        &mut self,
        symbols: &[Symbol],
        positions: Vec<(Symbol, u64, u64)>,
        enough: Option<Instant>,
        mut over: impl Future<Output = ()> + Unpin,
    ) -> Ended {
        let ended = self.talk(symbols, positions, enough, &mut over).await;
        let ended_at = Instant::now();
        self.since.ended = Some(ended_at);
        if let Some(last) = self.last {
            self.shard.silence(last, self.longest, ended_at);
        }
        let (by, code) = ended.told();
        if let Some(letters) = self.letters.take() {
            letters.end(ended, ended_at, self.tally);
        }
        let patience = self.config.close_timeout;
        // Before we close: an answer that comes then does not send what waited for it.
        let unsent: Vec<Instant> =
            self.requests.iter().flat_map(|requests| requests.overdue_since(ended_at, patience)).collect();
        self.farewell(ended).await;
        if let Some(requests) = &self.requests {
            self.tally.counts.unanswered += requests.unanswered() as u64;
            self.tally.counts.requests_lost += requests.lost(ended_at, patience);
            self.tally.counts.requests_unsent += requests.overdue(ended_at, patience);
            // What was answered while we closed has its latency.
            self.shard.unanswered(Instant::now(), requests.unanswered_since().map(|(due, sent)| (due, Some(sent))));
            self.shard.unanswered(ended_at, unsent.into_iter().map(|due| (due, None)));
        }
        self.tally.closed(by, code);
        let (client, session) = (self.client, self.session_id);
        self.observer.record(|| Event::ClientClose { client, session, by, code });
        ended
    }

    async fn talk(
        &mut self,
        symbols: &[Symbol],
        positions: Vec<(Symbol, u64, u64)>,
        enough: Option<Instant>,
        mut over: impl Future<Output = ()> + Unpin,
    ) -> Ended {
        if let Err(error) = self.ask(symbols, positions) {
            return self.lost(&error);
        }
        let settling = sleep_until(self.settles().unwrap_or_else(Instant::now));
        tokio::pin!(settling);
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        let leaving = sleep_until(enough.unwrap_or_else(Instant::now));
        tokio::pin!(leaving);
        let acting = sleep_until(Instant::now());
        tokio::pin!(acting);
        loop {
            let due = if self.unflushed { None } else { self.due() };
            let sending = due.is_some();
            if let Some(due) = due {
                timer.as_mut().reset(due);
            }
            // One thing after the other: what it said last is on its way.
            let deed_at = self.deeds.as_ref().filter(|_| !self.unflushed).and_then(|deeds| deeds.next());
            if let Some(at) = deed_at {
                acting.as_mut().reset(at);
            }
            wire::select! {
                () = &mut over => return Ended::Over,
                () = &mut leaving, if enough.is_some() => return Ended::Enough,
                () = &mut timer, if sending => if let Err(error) = self.send_due() {
                    return self.lost(&error);
                },
                () = &mut settling, if self.settles().is_some() => self.settle(),
                () = &mut acting, if deed_at.is_some() => if let Err(error) = self.act(symbols).await {
                    return self.lost(&error);
                },
                io = self.turn() => match io {
                    Io::Turn => {}
                    Io::Flushed(Ok(())) => self.unflushed = false,
                    Io::Flushed(Err(error)) => return self.lost(&error),
                    Io::Ended(ended) => return ended,
                },
            }
        }
    }

    /// Says what it wants; with an echo there is nothing to subscribe to.
    fn ask(&mut self, symbols: &[Symbol], resume: Vec<(Symbol, u64, u64)>) -> Result<(), Error> {
        if self.config.protocol == Protocol::Raw || self.requests.is_some() {
            for text in &self.config.hello {
                self.unflushed = true;
                self.session.start_send_unpin(Message::text(text.clone()))?;
            }
            return Ok(());
        }
        let user_key = self.config.user_key.clone();
        if self.config.protocol == Protocol::V2 && !self.strong {
            self.after_login = symbols.to_vec();
            return self.write(v2::Ask::Login { key: user_key }.encode());
        }
        let request = Request { user_key, symbols: symbols.to_vec(), resume };
        self.write(request.encode())?;
        self.subscribed(symbols);
        self.tally.counts.resumes += request.resume.len() as u64;
        for &(symbol, epoch, seq) in &request.resume {
            let (client, session) = (self.client, self.session_id);
            self.observer.record(|| Event::ClientResume { client, session, symbol, epoch, seq });
        }
        Ok(())
    }

    fn write(&mut self, text: String) -> Result<(), Error> {
        self.unflushed = true;
        self.session.start_send_unpin(Message::text(text))
    }

    fn subscribed(&self, symbols: &[Symbol]) {
        for &symbol in symbols {
            let (client, session) = (self.client, self.session_id);
            self.observer.record(|| Event::ClientSubscribe { client, session, symbol });
        }
    }

    /// Flushes and reads, as far as the socket goes.
    fn turn(&mut self) -> impl Future<Output = Io> {
        let mut left = MESSAGES_A_TURN;
        let waits = self.waits();
        poll_fn(move |cx| {
            loop {
                // Each time round: what was just heard may have been answered.
                if self.unflushed {
                    match self.session.poll_flush_unpin(cx) {
                        Poll::Pending => self.way.blocked(),
                        Poll::Ready(done) => {
                            self.way.free(Instant::now());
                            return Poll::Ready(Io::Flushed(done));
                        }
                    }
                }
                match self.session.poll_next_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => return Poll::Ready(Io::Ended(Ended::Broken)),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Io::Ended(self.lost(&error))),
                    Poll::Ready(Some(Ok(message))) => {
                        if let Some(ended) = self.hear(&message) {
                            return Poll::Ready(Io::Ended(ended));
                        }
                    }
                }
                left -= 1;
                // What was waited for sets the next request's time.
                let answered = waits && !self.waits();
                if left == 0 || answered {
                    return Poll::Ready(Io::Turn);
                }
            }
        })
    }

    /// When it has something to send next.
    fn due(&self) -> Option<Instant> {
        let letters = self.letters.as_ref().and_then(Letters::due);
        self.requests.as_ref().and_then(Requests::due).or(letters)
    }

    /// Whether it sends the next only when the last was answered, and that was not.
    fn waits(&self) -> bool {
        (self.requests.is_some() || self.letters.as_ref().is_some_and(Letters::publishes)) && self.due().is_none()
    }

    /// Sends what is due.
    fn send_due(&mut self) -> Result<(), Error> {
        self.publish_due()?;
        let speaker = self.speaker();
        let Some(requests) = &mut self.requests else { return Ok(()) };
        let now = Instant::now();
        for _ in 0..MESSAGES_A_TURN {
            let (n, late) = match requests.next(now) {
                Next::Wait => break,
                Next::Skip => {
                    self.tally.counts.requests_skipped += 1;
                    continue;
                }
                Next::Send { n, late, own } => {
                    self.shard.record(Meter::SendLate, self.way.own(own, now), now);
                    (n, late)
                }
            };
            let text = speaker.say(n, self.config.request_bytes);
            self.session.start_send_unpin(Message::text(text))?;
            self.unflushed = true;
            self.tally.counts.requests += 1;
            let (client, session) = (self.client, self.session_id);
            self.observer.record(|| Event::ClientSend { client, session, n, late_us: micros(late) });
        }
        Ok(())
    }

    /// Takes one message; Some where that ends the session.
    fn hear(&mut self, message: &Message) -> Option<Ended> {
        self.now = Instant::now();
        match message {
            Message::Text(text) => {
                self.took(text.len());
                self.hear_text(text.as_str()).err().map(|error| self.lost(&error))
            }
            Message::Binary(bytes) => {
                self.took(bytes.len());
                if self.letters.is_some()
                    && let Ok(text) = std::str::from_utf8(bytes)
                {
                    self.hear_letters(text);
                    return None;
                }
                self.garbled(bytes.len());
                None
            }
            Message::Close(frame) => {
                Some(Ended::PeerClosed(frame.as_ref().map_or(close::NO_STATUS, |frame| frame.code.into())))
            }
            Message::Pong(payload) => {
                self.hear_pong(payload);
                None
            }
            Message::Ping(_) | Message::Frame(_) => None,
        }
    }

    /// Whether the text is an answer to one of our requests.
    fn hear_echo(&mut self, text: &str) -> bool {
        let speaker = self.speaker();
        let Some(requests) = &mut self.requests else { return false };
        let Some(n) = speaker.hear(text, self.config.request_bytes) else { return false };
        let Some(Answered { latency, uncorrected, in_order }) = requests.answered(n, self.now) else {
            self.tally.counts.duplicates += 1;
            return true;
        };
        let gap = self.of_use();
        let counts = &mut self.tally.counts;
        counts.echoes += 1;
        counts.out_of_order += u64::from(!in_order);
        self.shard.echo(self.now, latency, uncorrected, gap);
        let (client, session) = (self.client, self.session_id);
        self.observer.record(|| Event::ClientEcho { client, session, n, latency_us: micros(latency) });
        true
    }

    /// So many payload bytes came.
    fn took(&mut self, bytes: usize) {
        self.tally.counts.bytes += bytes as u64;
        self.shard.count(self.now, |counters| counters.bytes += bytes as u64);
    }

    /// A tick or an answer came; says how long after the one before.
    fn of_use(&mut self) -> Option<Duration> {
        self.useful = true;
        if self.last.is_none() {
            self.since.first(self.shard, self.now);
        }
        let gap = self.last.replace(self.now).map(|last| self.now.duration_since(last));
        self.longest = self.longest.max(gap.unwrap_or_default());
        gap
    }

    fn garbled(&mut self, bytes: usize) {
        self.not_understood(bytes, None);
    }

    /// Something came that cannot be read, or that another client said.
    fn not_understood(&mut self, bytes: usize, of: Option<ClientId>) {
        self.tally.counts.garbled += 1;
        let (client, session) = (self.client, self.session_id);
        self.observer.record(|| Event::ClientGarbled { client, session, bytes: bytes as u64, of });
    }

    /// Whose requests ours are.
    fn speaker(&self) -> Speaker {
        Speaker { client: self.client, session: self.session_id }
    }

    /// An error of the session as an end.
    fn lost(&mut self, error: &Error) -> Ended {
        if ws::is_disconnect(error) {
            return Ended::Broken;
        }
        self.garbled(0);
        Ended::Protocol(match error {
            Error::Capacity(_) => close::MESSAGE_TOO_BIG,
            Error::Utf8(_) => close::INVALID_PAYLOAD,
            Error::WriteBufferFull(_) => close::INTERNAL_ERROR,
            _ => close::PROTOCOL_ERROR,
        })
    }

    /// Closes in order, as far as the peer lets us. Answers that are under way still count; ticks do not.
    async fn farewell(&mut self, ended: Ended) {
        let code = match ended {
            Ended::Over | Ended::Enough => Some(close::NORMAL),
            Ended::Protocol(code) => Some(code),
            // The session answers the peer's Close itself.
            Ended::PeerClosed(_) => None,
            Ended::Broken => return,
        };
        let bound = self.config.close_timeout;
        let goodbye = async {
            if let Some(code) = code {
                let frame = CloseFrame { code: code.into(), reason: "".into() };
                if self.session.send(Message::Close(Some(frame))).await.is_err() {
                    return;
                }
            }
            while let Some(Ok(message)) = self.session.next().await {
                if let Message::Text(text) = message {
                    self.now = Instant::now();
                    self.hear_echo(&text);
                }
            }
        };
        let _ = timeout(bound, goodbye).await;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
