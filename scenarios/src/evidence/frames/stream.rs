//! One direction of a connection: from packets to bytes, from bytes to frames.

use std::net::SocketAddrV4;

use sim::capture::flags;
use wire::ws::frame::{self, Opcode};

/// Bytes of one direction at most; frames behind them are not read.
const BYTES_MAX: usize = 32 << 20;

/// What passed one tap from one address to another.
pub(super) struct Stream {
    /// Tap, whence, where to.
    pub(super) key: (usize, SocketAddrV4, SocketAddrV4),
    /// The number of the next byte.
    next: Option<u32>,
    bytes: Vec<u8>,
    /// After so many bytes it was so late, and so many packets were captured before.
    times: Vec<(usize, u64, usize)>,
    /// A byte is missing, or there were too many.
    torn: bool,
}

/// A frame, whole.
pub(super) struct Seen {
    pub(super) at_us: u64,
    /// The place in the capture of the packet that its last byte came with.
    pub(super) packet: usize,
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    pub(super) masked: bool,
    pub(super) payload: Vec<u8>,
}

impl Stream {
    pub(super) fn new(key: (usize, SocketAddrV4, SocketAddrV4)) -> Self {
        Self { key, next: None, bytes: Vec::new(), times: Vec::new(), torn: false }
    }

    /// Takes the next packet, with its place in the capture.
    pub(super) fn take(&mut self, packet: usize, at_us: u64, bits: u8, seq: u32, payload: &[u8]) {
        if bits & flags::SYN != 0 {
            // An address may be used again: another connection.
            if self.next != Some(seq.wrapping_add(1)) {
                *self = Self { next: Some(seq.wrapping_add(1)), ..Self::new(self.key) };
            }
            return;
        }
        let Some(next) = self.next else { return };
        // What is sent once more was seen before.
        let behind = next.wrapping_sub(seq);
        let fresh = match usize::try_from(behind) {
            Ok(behind) if behind <= payload.len() => &payload[behind..],
            // Far ahead: a byte is missing.
            _ if behind > u32::MAX / 2 => {
                self.torn |= !payload.is_empty();
                return;
            }
            _ => return,
        };
        if self.torn || fresh.is_empty() {
            return;
        }
        if self.bytes.len() + fresh.len() > BYTES_MAX {
            self.torn = true;
            return;
        }
        self.bytes.extend_from_slice(fresh);
        self.next = Some(next.wrapping_add(u32::try_from(fresh.len()).unwrap_or(u32::MAX)));
        self.times.push((self.bytes.len(), at_us, packet));
    }

    /// The frames behind the handshake, and whether all of what crossed could be read.
    pub(super) fn frames(self) -> (Vec<Seen>, bool) {
        let end_of_head = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(mut at) = end_of_head.map(|end| end + 4) else { return (Vec::new(), !self.torn) };
        if !self.bytes.starts_with(b"GET ") && !self.bytes.starts_with(b"HTTP/1.1 101 ") {
            // Turned away: the answer has a body, and no frames.
            return (Vec::new(), true);
        }
        let mut seen = Vec::new();
        loop {
            match frame::first(&self.bytes[at..]) {
                Ok(None) => return (seen, !self.torn),
                Err(_) => return (seen, false),
                Ok(Some((frame, taken))) => {
                    at += taken;
                    let time = self.times.partition_point(|(end, ..)| *end < at);
                    let (at_us, packet) = self.times.get(time).map_or((0, 0), |(_, at_us, packet)| (*at_us, *packet));
                    let frame::Frame { opcode, fin, masked, payload } = frame;
                    seen.push(Seen { at_us, packet, opcode, fin, masked, payload: payload.into_owned() });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

    fn stream() -> Stream {
        let end = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let mut stream = Stream::new((0, end(1), end(2)));
        stream.take(0, 0, flags::SYN, 9, &[]);
        stream.take(0, 10, flags::ACK, 10, HEAD);
        stream
    }

    fn told(stream: Stream) -> (Vec<(u64, String)>, bool) {
        let (frames, whole) = stream.frames();
        let text = |frame: Seen| (frame.at_us, String::from_utf8(frame.payload).expect("text"));
        (frames.into_iter().map(text).collect(), whole)
    }

    #[test]
    fn frames_are_found_however_packets_cut_them_and_what_is_sent_twice_counts_once() {
        let seq = 10 + HEAD.len() as u32;
        let mut stream = stream();
        stream.take(0, 20, flags::ACK, seq, b"\x81\x02a");
        stream.take(0, 30, flags::ACK, seq, b"\x81\x02a");
        stream.take(0, 40, flags::ACK, seq + 1, b"\x02ab\x81\x01c");
        assert_eq!(told(stream), (vec![(40, "ab".to_owned()), (40, "c".to_owned())], true));
    }

    #[test]
    fn a_frame_has_the_place_of_the_packet_that_ends_it() {
        let seq = 10 + HEAD.len() as u32;
        let mut stream = stream();
        stream.take(7, 20, flags::ACK, seq, b"\x81\x02a");
        stream.take(9, 20, flags::ACK, seq + 3, b"b\x81\x01c");
        stream.take(12, 20, flags::ACK, seq + 7, b"\x81\x01d");
        let places: Vec<usize> = stream.frames().0.iter().map(|frame| frame.packet).collect();
        assert_eq!(places, [9, 9, 12]);
    }

    #[test]
    fn behind_a_missing_byte_nothing_is_read() {
        let seq = 10 + HEAD.len() as u32;
        let mut stream = stream();
        stream.take(0, 20, flags::ACK, seq, b"\x81\x01a");
        stream.take(0, 30, flags::ACK, seq + 4, b"\x81\x01b");
        assert_eq!(told(stream), (vec![(20, "a".to_owned())], false));
    }

    #[test]
    fn an_answer_that_turns_away_has_no_frames() {
        let end = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let mut stream = Stream::new((0, end(1), end(2)));
        stream.take(0, 0, flags::SYN, 9, &[]);
        stream.take(0, 10, flags::ACK, 10, b"HTTP/1.1 503 Busy\r\n\r\n\x81\x01a");
        assert_eq!(told(stream), (vec![], true));
    }
}
