//! A client that only counts: it connects, upgrades and subscribes as any other, then walks over the heads of frames and looks at no payload.
//!
//! It costs a read for what one write of the server brought, and nothing a message: the bytes go into a buffer that all clients of a shard share. It answers
//! pings and closes as RFC 6455 asks.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};
use wire::close;
use wire::draw::Draws;
use wire::feed::v2::{self, Said};
use wire::feed::{Protocol, Request, Strong};
use wire::id::Symbol;
use wire::tick::Tick;
use wire::ws::frame::Opcode;
use wire::ws::walk::Walk;

use crate::config::Config;
use crate::measure::{Meter, Shard};
use crate::publish::MARK;
use crate::session::{Ended, Since};

/// Reads before the end of the run is looked for again.
const READS_A_TURN: usize = 8;
/// Messages after which a session counts as useful, though none of them could be read (fragments, padding).
const STRANGE_MAX: u64 = 8;
/// The longest message that is looked at before the first tick.
const LOOKED_AT_BYTES: u64 = 4 << 10;
/// Bytes of ours that may wait for a slow socket: beyond it the peer pings without listening.
const OUT_MAX: usize = 64 << 10;

/// One session of a client that only counts.
pub(crate) struct Drain<'a, S> {
    config: &'a Config,
    shard: &'a Shard,
    stream: S,
    strong: bool,
    walk: Walk,
    /// What we say, and how much of it the socket took.
    out: Vec<u8>,
    taken: usize,
    /// Some of it may not be with the kernel yet.
    unflushed: bool,
    masks: Draws,
    pub(crate) since: Since,
    /// The first tick came.
    pub(crate) useful: bool,
    /// Messages before it.
    strange: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Frames that no server may send.
    pub(crate) unlawful: u64,
    /// What to subscribe to once the login is answered (v2).
    after_login: Vec<Symbol>,
    closed: Option<u16>,
}

enum Turn {
    Again,
    Ended(Ended),
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Drain<'a, S> {
    pub(crate) fn new(
        config: &'a Config,
        shard: &'a Shard,
        stream: S,
        strong: bool,
        masks: Draws,
        since: Since,
    ) -> Self {
        Self {
            config,
            shard,
            stream,
            strong,
            walk: Walk::default(),
            out: Vec::new(),
            taken: 0,
            unflushed: false,
            masks,
            since,
            useful: false,
            strange: 0,
            messages: 0,
            bytes: 0,
            unlawful: 0,
            after_login: Vec::new(),
            closed: None,
        }
    }

    /// Subscribes, then counts until the run is over, it is `enough`, or the session ends. `rest` came with the handshake. The end is bounded by `close_timeout`.
    pub(crate) async fn run(
        &mut self,
        rest: &[u8],
        symbols: &[Symbol],
        enough: Option<Instant>,
        mut over: impl Future<Output = ()> + Unpin,
    ) -> Ended {
        self.ask(symbols);
        let ended = match self.take(rest, Instant::now()) {
            Some(ended) => ended,
            None => {
                let leaving = sleep_until(enough.unwrap_or_else(Instant::now));
                tokio::pin!(leaving);
                loop {
                    let turn = wire::select! {
                        () = &mut over => Turn::Ended(Ended::Over),
                        () = &mut leaving, if enough.is_some() => Turn::Ended(Ended::Enough),
                        turn = poll_fn(|cx| self.poll_turn(cx)) => turn,
                    };
                    if let Turn::Ended(ended) = turn {
                        break ended;
                    }
                }
            }
        };
        self.since.ended = Some(Instant::now());
        self.farewell(ended).await;
        ended
    }

    fn ask(&mut self, symbols: &[Symbol]) {
        let key = self.config.user_key.clone();
        match self.config.protocol {
            Protocol::Raw => self.config.hello.iter().for_each(|text| self.say(Opcode::Text, text.as_bytes())),
            Protocol::V2 if !self.strong => {
                self.after_login = symbols.to_vec();
                self.say(Opcode::Text, v2::Ask::Login { key }.encode().as_bytes());
            }
            Protocol::V1 | Protocol::V2 => {
                self.say(Opcode::Text, Request::new(key, symbols.to_vec()).encode().as_bytes());
            }
        }
    }

    /// Puts a masked frame behind what waits.
    fn say(&mut self, opcode: Opcode, payload: &[u8]) {
        let code = match opcode {
            Opcode::Text => 1,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
            Opcode::Continuation | Opcode::Binary | Opcode::Reserved => 2,
        };
        self.unflushed = true;
        self.out.push(0x80 | code);
        match u16::try_from(payload.len()) {
            Ok(short @ 0..126) => self.out.push(0x80 | short as u8),
            Ok(length) => {
                self.out.push(0x80 | 126);
                self.out.extend(length.to_be_bytes());
            }
            Err(_) => {
                self.out.push(0x80 | 127);
                self.out.extend((payload.len() as u64).to_be_bytes());
            }
        }
        let mask = (self.masks.draw() as u32).to_be_bytes();
        self.out.extend(mask);
        self.out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// Writes as far as the socket goes; false where it broke.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        while self.taken < self.out.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out[self.taken..]) {
                Poll::Pending => {
                    self.out.drain(..self.taken);
                    self.taken = 0;
                    return self.out.len() <= OUT_MAX;
                }
                Poll::Ready(Ok(0) | Err(_)) => return false,
                Poll::Ready(Ok(written)) => self.taken += written,
            }
        }
        self.out.clear();
        self.taken = 0;
        // TLS keeps what the socket did not take.
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(_)) => return false,
        }
        true
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let shard = self.shard;
        for _ in 0..READS_A_TURN {
            if self.unflushed && !self.flush(cx) {
                return Poll::Ready(Turn::Ended(Ended::Broken));
            }
            let mut buffer = shard.buffer();
            let mut buf = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Turn::Ended(Ended::Broken)),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    return Poll::Ready(Turn::Ended(Ended::Broken));
                }
                Poll::Ready(Ok(())) => {
                    if let Some(ended) = self.take(buf.filled(), Instant::now()) {
                        return Poll::Ready(Turn::Ended(ended));
                    }
                }
            }
        }
        Poll::Ready(Turn::Again)
    }

    /// Takes what was read; Some where that ends the session.
    fn take(&mut self, bytes: &[u8], now: Instant) -> Option<Ended> {
        if bytes.is_empty() {
            return None;
        }
        let mut walk = std::mem::take(&mut self.walk);
        let (keep, strange) = (if self.useful { 0 } else { LOOKED_AT_BYTES }, self.strange);
        let passed = walk.pass(bytes, keep, |opcode, payload| self.hear(opcode, payload, now));
        self.walk = walk;
        let Ok(passed) = passed else {
            self.unlawful += 1;
            return Some(Ended::Protocol(close::PROTOCOL_ERROR));
        };
        self.bytes += passed.bytes;
        // The first messages are a greeting and answers, and no ticks.
        let mut messages = passed.messages.saturating_sub(self.strange - strange);
        if !self.useful {
            messages = 0;
            self.strange = strange + passed.messages;
            if self.strange > STRANGE_MAX {
                self.begin(now);
            }
        }
        self.messages += messages;
        self.shard.count(now, |counters| {
            counters.drained += messages;
            counters.bytes += passed.bytes;
        });
        self.closed.map(Ended::PeerClosed)
    }

    /// The first tick is here.
    fn begin(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.useful, true) {
            self.since.first(self.shard, now);
        }
    }

    fn hear(&mut self, opcode: Opcode, payload: &[u8], now: Instant) {
        match opcode {
            Opcode::Ping if self.config.behaviour.pongs => self.say(Opcode::Pong, payload),
            Opcode::Close if self.closed.is_none() => {
                let code = payload.first_chunk().map_or(close::NO_STATUS, |code| u16::from_be_bytes(*code));
                self.closed = Some(code);
                // A code is two bytes; one byte is none.
                self.say(Opcode::Close, payload.first_chunk::<2>().map_or(&[], |code| code));
            }
            Opcode::Text if !self.useful => self.hear_text(&String::from_utf8_lossy(payload), now),
            _ => {}
        }
    }

    /// A text before the first tick.
    fn hear_text(&mut self, text: &str, now: Instant) {
        let published = self.config.publishers.is_some() && text.contains(MARK);
        if published || Tick::decode(text).is_some() || self.strong && Strong::decode(text).is_ok() {
            return self.begin(now);
        }
        self.strange += 1;
        if !self.after_login.is_empty() && matches!(Said::decode(text), Ok(Said::LoginOk { .. })) {
            for part in std::mem::take(&mut self.after_login).chunks(v2::SYMBOLS_A_MESSAGE) {
                let subscribe = v2::Ask::Subscribe { symbols: part.to_vec(), invalid: Vec::new() };
                self.say(Opcode::Text, subscribe.encode().as_bytes());
            }
        }
    }

    /// Closes in order, as far as the peer lets us.
    async fn farewell(&mut self, ended: Ended) {
        let code = match ended {
            Ended::Over | Ended::Enough => Some(close::NORMAL),
            Ended::Protocol(code) => Some(code),
            // The answer waits already.
            Ended::PeerClosed(_) => None,
            Ended::Broken => return,
        };
        if let Some(code) = code {
            self.say(Opcode::Close, &code.to_be_bytes());
        }
        let (shard, bound) = (self.shard, self.config.close_timeout);
        let goodbye = poll_fn(|cx| {
            if !self.flush(cx) {
                return Poll::Ready(());
            }
            // Whoever broke the protocol says nothing that could be understood.
            if !self.unflushed && (matches!(ended, Ended::PeerClosed(_) | Ended::Protocol(_)) || self.closed.is_some())
            {
                return Poll::Ready(());
            }
            for _ in 0..READS_A_TURN {
                let mut buffer = shard.buffer();
                let mut buf = ReadBuf::new(&mut buffer);
                match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(()),
                    Poll::Ready(Ok(())) => {
                        let mut closed = false;
                        // Ticks do not count any more.
                        let passed = self.walk.pass(buf.filled(), 0, |opcode, _| closed |= opcode == Opcode::Close);
                        if closed || passed.is_err() {
                            return Poll::Ready(());
                        }
                    }
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let _ = timeout(bound, goodbye).await;
    }
}

impl Since {
    /// The first tick or answer of the session is here.
    pub(crate) fn first(&mut self, shard: &Shard, now: Instant) {
        shard.record(Meter::First, now.duration_since(self.opened), now);
        if let Some(lost) = self.lost.take() {
            shard.record(Meter::Reconnect, now.duration_since(lost), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::measure::{Meters, Window};
    use wire::ws::frame;

    /// What a session says, as (opcode, payload), to a target that says these bytes and then closes its half.
    async fn said(bytes: &[u8], change: impl FnOnce(&mut Config)) -> (Ended, u64, Vec<(Opcode, Vec<u8>)>) {
        let mut config = Config::new(vec!["ws://a".to_owned()]);
        config.protocol = Protocol::Raw;
        change(&mut config);
        let now = Instant::now();
        let shard = Meters::new(1, Window { begins: now, ends: now + Duration::from_secs(9) }, None).shard(0);
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        let since = Since { opened: now, lost: None, ended: None };
        let mut drain = Drain::new(&config, &shard, ours, false, Draws::new(1, "masks", 0), since);
        let ended = drain.run(&[], &[], None, std::future::pending()).await;
        let messages = drain.messages;
        drop(drain);
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).await.unwrap();
        let (mut frames, mut rest) = (Vec::new(), &all[..]);
        while let Some((frame, taken)) = frame::first(rest).unwrap() {
            assert!(frame.masked, "a client masks");
            frames.push((frame.opcode, frame.payload.into_owned()));
            rest = &rest[taken..];
        }
        assert!(rest.is_empty());
        (ended, messages, frames)
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_is_answered_with_what_it_said_unless_the_client_answers_none() {
        let bytes = b"\x89\x03abc\x81\x02hi\x89\x00";
        let pong = |payload: &[u8]| (Opcode::Pong, payload.to_vec());
        let (ended, _, frames) = said(bytes, |_| ()).await;
        assert_eq!((ended, frames), (Ended::Broken, vec![pong(b"abc"), pong(b"")]));
        let (_, _, frames) = said(bytes, |config| config.behaviour.pongs = false).await;
        assert_eq!(frames, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_is_answered_with_its_code_and_a_continuation_of_nothing_ends_the_session() {
        let (ended, _, frames) = said(b"\x88\x05\x03\xe9bye", |_| ()).await;
        assert_eq!((ended, frames), (Ended::PeerClosed(1001), vec![(Opcode::Close, vec![0x03, 0xe9])]));
        let (ended, messages, _) = said(b"\x80\x02hi", |_| ()).await;
        assert_eq!((ended, messages), (Ended::Protocol(close::PROTOCOL_ERROR), 0));
    }
}
