//! The feed's frames: all of one length, with the instant of sending in them.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::time::{ClockId, clock_gettime};
use wire::id::Symbol;

/// Payload bytes of a tick, where nothing else is asked for; the least.
pub(crate) const PAYLOAD_LEN: usize = 112;

/// Bytes of a tick's frame: a short header and the payload.
pub(crate) const FRAME_LEN: usize = 2 + PAYLOAD_LEN;

/// The greeting's frame.
pub(crate) const GREETING: &[u8] = b"\x81\x09Connected";

/// The symbol of the source's signs of life, which nobody asks for.
pub(crate) const QUIET: u32 = 9999;

/// Whether a frame is a sign of life.
pub(crate) fn is_quiet(frame: &[u8]) -> bool {
    frame.get(13..18) == Some(b"S9999")
}

/// Where the time stamp stands in the payload.
const STAMP: std::ops::Range<usize> = 24..24 + 19;

/// Nanoseconds of the clock that all processes of a machine share.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// A tick of a symbol, sent at no time yet, of so many bytes.
pub(crate) fn payload(symbol: u32, len: usize) -> Vec<u8> {
    let symbol = Symbol::numbered(symbol);
    let padding = 13 + len.saturating_sub(PAYLOAD_LEN);
    let text = format!(
        r#"{{"symbol":"{symbol}","ts":"{:019}","bid":1.48213,"ask":1.48221,"mid":1.0000000001,"v":"{:0padding$}"}}"#,
        0, 0
    );
    assert_eq!(text.len(), len.max(PAYLOAD_LEN), "the text is of the length asked for");
    text.into_bytes()
}

/// Bytes before a payload of that length, at most 64 KiB, in a server's frame.
pub(crate) fn head_len(payload_len: usize) -> usize {
    if payload_len < 126 { 2 } else { 4 }
}

/// A tick's frame.
pub(crate) fn tick(symbol: u32, payload_len: usize) -> Vec<u8> {
    let payload = payload(symbol, payload_len);
    let mut frame = vec![0x81];
    match u8::try_from(payload.len()) {
        Ok(len @ 0..126) => frame.push(len),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend_from_slice(&payload);
    frame
}

/// Writes the instant of sending into a payload.
pub(crate) fn stamp(payload: &mut [u8], mut ns: u64) {
    for digit in payload[STAMP].iter_mut().rev() {
        *digit = b'0' + u8::try_from(ns % 10).unwrap_or(0);
        ns /= 10;
    }
}

/// The instant of sending, from a payload.
pub(crate) fn stamp_of(payload: &[u8]) -> u64 {
    payload[STAMP].iter().fold(0, |ns, digit| ns * 10 + u64::from(digit.wrapping_sub(b'0')))
}

/// A client's frame, masked with zeros.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(len @ 0..126) => frame.push(0x80 | len),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The request for so many symbols.
pub(crate) fn request(symbols: u32) -> Vec<u8> {
    let symbols = (0..symbols).map(Symbol::numbered).collect();
    masked(1, wire::feed::Request::new("K".to_owned(), symbols).encode().as_bytes())
}

/// Upgrades a connection as a client does and reads the greeting.
pub(crate) fn upgrade(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let head = read_head(stream)?;
    if !head.starts_with("HTTP/1.1 101") {
        return Err(io::Error::other(format!("no upgrade: {}", head.lines().next().unwrap_or_default())));
    }
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting)?;
    if greeting == GREETING { Ok(()) } else { Err(io::Error::other("no greeting")) }
}

/// Reads an HTTP head, and not a byte beyond it.
pub(crate) fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = vec![0; 2048];
    let mut len = 0;
    loop {
        // What has come is looked at first, so that what belongs to the session stays unread.
        let peeked = stream.peek(&mut head[len..])?;
        if peeked == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = head[..len + peeked].windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let take = end.map_or(peeked, |end| end - len);
        stream.read_exact(&mut head[len..len + take])?;
        len += take;
        if end.is_some() {
            return Ok(String::from_utf8_lossy(&head[..len]).into_owned());
        }
        if len == head.len() {
            return Err(io::Error::other("a head without an end"));
        }
    }
}
