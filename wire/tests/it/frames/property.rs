//! Whatever bytes a peer sends to a session, as its client or its server: nothing panics, what is held is bounded, and the messages read are those that a
//! naive reader of RFC 6455 finds. Run by `wire/tests` on mutated frames and by the fuzz target `frames` on anything.
//!
//! The first byte of an input is a setting, the rest is what the peer says.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{FutureExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use wire::ws::{self, Answer, Ask, Limits, Message, Session};

/// Setting: we are the client. Otherwise we are the server.
pub(crate) const CLIENT: u8 = 1;
/// Setting: the peer's handshake is in the input, and `ACCEPT` in it stands for the key. Otherwise it is in order, and the input begins behind it.
pub(crate) const OWN_HANDSHAKE: u8 = 2;
/// Setting: the peer takes our first KiB and no more.
const DEAF: u8 = 4;
/// Setting, from bit 3: how many bytes the peer's words come in.
const PIECES: [usize; 8] = [1, 2, 3, 7, 64, 1_000, 4_096, usize::MAX];

const LIMITS: Limits =
    Limits { read_buffer: 1 << 10, write_buffer: 1 << 10, write_buffer_max: 8 << 10, message_max: 2 << 10 };

/// What a session and its handshake may hold at any time: the longest answer in a buffer that doubles is 48 KiB; everything else is less.
const HELD_MAX: u64 = 64 << 10;

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n";

/// Gives the number of messages read.
///
/// # Panics
/// Where the property does not hold.
pub(crate) fn check(input: &[u8]) -> usize {
    let Some((&setting, said)) = input.split_first() else { return 0 };
    let (client, lawful) = (setting & CLIENT != 0, setting & OWN_HANDSHAKE == 0);
    let handshake = match (lawful, client) {
        (true, true) => RESPONSE,
        (true, false) => REQUEST,
        (false, _) => b"",
    };
    // With room for the key, so that the peer's own memory is not counted as ours.
    let mut says = Vec::with_capacity(handshake.len() + said.len() + 64);
    says.extend([handshake, said].concat());
    let peer = Peer {
        says,
        at: 0,
        // A client that speaks before it is answered is refused.
        pause: handshake.len(),
        piece: PIECES[usize::from(setting >> 3 & 7)],
        takes: if setting & DEAF == 0 { usize::MAX } else { 1 << 10 },
        heard: Vec::with_capacity(1 << 10),
        // What the server's handshake does not depend on.
        answered: !client,
    };
    let expect = if lawful { read_naively(said, client) } else { Vec::new() };
    let mut read = 0;
    let held = allocation_counter::measure(|| {
        // A peer that does not read keeps us waiting for ever: that is its caller's to bound.
        let _ = converse(peer, client, |message| {
            if lawful {
                let expect = expect.get(read).unwrap_or_else(|| panic!("{message:?} after the end of {said:02x?}"));
                assert!(expect.is(&message), "message {read} is {message:?}, not {expect:?}, in {said:02x?}");
            }
            assert!(message.len() <= LIMITS.message_max, "a message of {} bytes", message.len());
            read += 1;
        })
        .now_or_never();
    });
    assert!(held.bytes_max <= HELD_MAX, "{} bytes were held for {input:02x?}", held.bytes_max);
    // A deaf peer may stop us before its end, but for the pongs that may be left out.
    assert!(!lawful || read == expect.len() || setting & DEAF != 0, "{read} of {expect:?} in {said:02x?}");
    read
}

async fn converse(peer: Peer, client: bool, on_message: impl FnMut(Message)) {
    if client {
        let ask = Ask { url: "ws://a/".to_owned(), subprotocols: vec!["b".to_owned()], ..Ask::default() };
        if let Ok(connected) = ws::connect(peer, &ask, LIMITS).await {
            hear_out(connected.session, on_message).await;
        }
    } else {
        let decide = |asked: &ws::Asked| Answer::Accept { subprotocol: asked.subprotocols.first().cloned() };
        if let Ok(accepted) = ws::accept(peer, LIMITS, decide).await {
            hear_out(accepted.session, on_message).await;
        }
    }
}

async fn hear_out(mut session: Session<Peer>, mut on_message: impl FnMut(Message)) {
    while let Some(Ok(message)) = session.next().await {
        on_message(message);
    }
    assert!(session.next().await.is_none(), "a session that ended with an error goes on");
}

/// A message as the naive reader finds it.
#[derive(Debug)]
enum Naive {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
}

impl Naive {
    fn is(&self, message: &Message) -> bool {
        match (self, message) {
            (Naive::Text(text), Message::Text(found)) => text == found.as_bytes(),
            (Naive::Binary(bytes), Message::Binary(found))
            | (Naive::Ping(bytes), Message::Ping(found))
            | (Naive::Pong(bytes), Message::Pong(found)) => bytes == found,
            (Naive::Close, Message::Close(_)) => true,
            _ => false,
        }
    }
}

/// The messages up to the first breach, to a Close frame or to the end of the bytes (RFC 6455 section 5).
fn read_naively(mut bytes: &[u8], client: bool) -> Vec<Naive> {
    let mut found = Vec::new();
    // The fragments so far, and whether they are text.
    let mut open: Option<(Vec<u8>, bool)> = None;
    while let Some((fin, opcode, payload, rest)) = frame(bytes, client) {
        bytes = rest;
        if opcode >= 8 && (!fin || payload.len() > 125) {
            break;
        }
        match opcode {
            0..=2 => {
                let (mut so_far, text) = match (opcode, open.take()) {
                    (0, Some(open)) => open,
                    (1 | 2, None) => (Vec::new(), opcode == 1),
                    _ => break,
                };
                so_far.extend(payload);
                let broken = |error: std::str::Utf8Error| fin || error.error_len().is_some();
                if so_far.len() > LIMITS.message_max || text && std::str::from_utf8(&so_far).is_err_and(broken) {
                    break;
                }
                match (fin, text) {
                    (false, _) => open = Some((so_far, text)),
                    (true, true) => found.push(Naive::Text(so_far)),
                    (true, false) => found.push(Naive::Binary(so_far)),
                }
            }
            8 => {
                let reason = payload.get(2..).unwrap_or_default();
                if payload.len() != 1 && std::str::from_utf8(reason).is_ok() {
                    found.push(Naive::Close);
                }
                break;
            }
            9 => found.push(Naive::Ping(payload)),
            10 => found.push(Naive::Pong(payload)),
            _ => break,
        }
    }
    found
}

/// The next whole frame: final, opcode, payload, and what follows it. None where there is none, or an unlawful one.
fn frame(bytes: &[u8], client: bool) -> Option<(bool, u8, Vec<u8>, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        126 => rest.split_first_chunk().map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest))?,
        127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
        short => (u64::from(short), rest),
    };
    let masked = second & 0x80 != 0;
    if first & 0x70 != 0 || masked == client || length > LIMITS.message_max as u64 {
        return None;
    }
    let (key, rest) = if masked { rest.split_first_chunk()? } else { (&[0; 4], rest) };
    let (payload, rest) = rest.split_at_checked(length as usize)?;
    let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Some((first & 0x80 != 0, first & 0x0f, payload, rest))
}

/// A connection to a peer that says what it says, in pieces, and then ends its side.
#[derive(Debug)]
struct Peer {
    says: Vec<u8>,
    at: usize,
    /// Where it waits until it is read again.
    pause: usize,
    piece: usize,
    /// Bytes that it still takes from us.
    takes: usize,
    /// The beginning of what it took.
    heard: Vec<u8>,
    /// Whether our key was put into its handshake.
    answered: bool,
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.answered {
            self.answered = true;
            let heard = String::from_utf8_lossy(&self.heard);
            let key = heard.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
            let key = derive_accept_key(key.as_bytes());
            if let Some(at) = self.says.windows(6).position(|word| word == b"ACCEPT") {
                self.says.splice(at..at + 6, key.into_bytes());
            }
        }
        let end = self.says.len().min(self.at.saturating_add(self.piece.min(buf.remaining())));
        let end = if self.at < self.pause { end.min(self.pause) } else { end };
        buf.put_slice(&self.says[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.takes);
        if taken == 0 {
            return Poll::Pending;
        }
        self.takes -= taken;
        let room = self.heard.capacity() - self.heard.len();
        self.heard.extend_from_slice(&bytes[..taken.min(room)]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
