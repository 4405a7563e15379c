//! The head of a frame (RFC 6455, section 5.2), of whoever's side: for those who pass over payloads.

use super::frame::Opcode;

/// The longest head: two bytes, eight of length, four of mask.
pub const HEAD_MAX: usize = 14;

/// A head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// Whether one of the three reserved bits is set.
    pub reserved: bool,
    /// What kind of frame it is.
    pub opcode: Opcode,
    /// Whether the payload is masked; the mask is part of the head.
    pub masked: bool,
    /// Bytes of the payload. Its most significant bit may be set, which no lawful one's is.
    pub payload: u64,
    /// Bytes of the head itself, at most [`HEAD_MAX`].
    pub bytes: usize,
}

impl Head {
    /// What the first byte of a frame says.
    #[must_use]
    pub fn opcode(first: u8) -> Opcode {
        match first & 0x0f {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => Opcode::Reserved,
        }
    }

    /// The head at the beginning of some bytes; None: it is not all there.
    #[inline]
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [first, second, ..] = *bytes else { return None };
        let masked = second & 0x80 != 0;
        let (payload, wide) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 2),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 8),
            short => (u64::from(short), 0),
        };
        let head = Self {
            fin: first & 0x80 != 0,
            reserved: first & 0x70 != 0,
            opcode: Self::opcode(first),
            masked,
            payload,
            bytes: 2 + wide + if masked { 4 } else { 0 },
        };
        (bytes.len() >= head.bytes).then_some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_all_lengths_are_read_when_they_are_whole() {
        let check = |bytes: &[u8], opcode, [fin, reserved, masked]: [bool; 3], payload| {
            let head = Head { fin, reserved, opcode, masked, payload, bytes: bytes.len() };
            assert_eq!(Head::read(bytes), Some(head));
            assert_eq!(Head::read(&[bytes, &[7; 9]].concat()), Some(head), "what follows is not looked at");
            for cut in 0..bytes.len() {
                assert_eq!(Head::read(&bytes[..cut]), None, "{cut} of {bytes:?}");
            }
        };
        check(&[0x81, 5], Opcode::Text, [true, false, false], 5);
        check(&[0x02, 0x85, 1, 2, 3, 4], Opcode::Binary, [false, false, true], 5);
        check(&[0x80, 126, 1, 0], Opcode::Continuation, [true, false, false], 256);
        check(&[0x8a, 0xfe, 1, 0, 1, 2, 3, 4], Opcode::Pong, [true, false, true], 256);
        check(&[0x88, 127, 0, 0, 0, 0, 0, 1, 0, 0], Opcode::Close, [true, false, false], 65_536);
        check(&[0xc3, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], Opcode::Reserved, [true, true, true], 0xff << 56);
    }
}
