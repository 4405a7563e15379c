//! Heads of frames, one after the other, and never a look at what is in them: for a reader who only counts.
//!
//! A frame may be cut anywhere: what of a head or of a payload has come is remembered from one piece of bytes to the next. Control frames (at most 125 bytes) are
//! gathered, and so is the beginning of data where it is asked for.

use super::frame::Opcode;
use super::head::{HEAD_MAX, Head};

/// The longest payload of a control frame (RFC 6455 section 5.5).
const CONTROL_MAX: u64 = 125;

/// Where in a stream of frames a reader stands.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    head: [u8; HEAD_MAX],
    head_len: u8,
    /// Payload bytes of the present frame that are still to come.
    left: u64,
    /// The frame whose payload comes, if it is one to be told of at its end.
    kept: Option<(Opcode, bool)>,
    /// A message has begun, and its last frame has not.
    open: bool,
    gathered: Vec<u8>,
}

/// What a piece of bytes held. Add it up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Data messages whose last frame's head came.
    pub messages: u64,
    /// Payload bytes of data frames.
    pub bytes: u64,
}

/// A frame that a peer must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlawful {
    /// Reserved bits or opcodes: garbage, or an extension that nobody agreed on.
    #[error("a frame with reserved bits or a reserved opcode")]
    Reserved,
    /// A server's frames are not masked.
    #[error("a masked frame from a server")]
    Masked,
    /// A control frame in fragments, or longer than 125 bytes.
    #[error("a control frame that is fragmented or longer than 125 bytes")]
    Control,
    /// More of a message that never began, or a message within another.
    #[error("a continuation of nothing, or a message that begins within another")]
    Fragment,
    /// A length with its most significant bit set.
    #[error("a frame longer than a frame can be")]
    Length,
}

impl Walk {
    /// Walks over bytes of a server. Each control frame, and each first frame of a data message that is kept, is told to `heard` with its payload when it is whole.
    ///
    /// `keep` is the longest data payload to gather; 0: none, and then no byte of any is looked at.
    ///
    /// # Errors
    /// [`Unlawful`]: nothing after it can be told.
    pub fn pass(
        &mut self,
        mut bytes: &[u8],
        keep: u64,
        mut heard: impl FnMut(Opcode, &[u8]),
    ) -> Result<Passed, Unlawful> {
        let mut passed = Passed::default();
        loop {
            if self.left > 0 {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= here as u64;
                if self.kept.is_some() {
                    self.gathered.extend_from_slice(&bytes[..here]);
                }
                if self.kept.is_none_or(|(_, data)| data) {
                    passed.bytes += here as u64;
                }
                bytes = &bytes[here..];
                if self.left > 0 {
                    return Ok(passed);
                }
            }
            if let Some((opcode, _)) = self.kept.take() {
                heard(opcode, &self.gathered);
                self.gathered.clear();
            }
            if self.head_len == 0 && bytes.len() >= 4 {
                // The common head: whole, and here.
                if let Some(taken) = self.head(bytes, keep, &mut passed)? {
                    bytes = &bytes[taken..];
                    continue;
                }
            }
            // A head that is cut.
            let Some((first, rest)) = bytes.split_first() else { return Ok(passed) };
            self.head[usize::from(self.head_len)] = *first;
            self.head_len += 1;
            bytes = rest;
            let (head, len) = (self.head, usize::from(self.head_len));
            let taken = self.head(&head[..len], keep, &mut passed);
            if !matches!(taken, Ok(None)) {
                self.head_len = 0;
            }
            taken?;
        }
    }

    /// Reads a head, if it is all there; says how long it was.
    fn head(&mut self, bytes: &[u8], keep: u64, passed: &mut Passed) -> Result<Option<usize>, Unlawful> {
        // What the first two bytes say is known before the rest is there.
        if bytes.get(1).is_some_and(|second| second & 0x80 != 0) {
            return Err(Unlawful::Masked);
        }
        let Some(Head { fin, reserved, opcode, payload, bytes, .. }) = Head::read(bytes) else { return Ok(None) };
        if reserved || opcode == Opcode::Reserved {
            return Err(Unlawful::Reserved);
        }
        // RFC 6455, section 5.2: the most significant bit must be 0.
        if payload > i64::MAX as u64 {
            return Err(Unlawful::Length);
        }
        self.left = payload;
        if matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong) {
            if !fin || payload > CONTROL_MAX {
                return Err(Unlawful::Control);
            }
            self.kept = Some((opcode, false));
        } else {
            // Section 5.4: fragments of one message follow one another, and there is nothing to go on with outside of one.
            if (opcode == Opcode::Continuation) != self.open {
                return Err(Unlawful::Fragment);
            }
            self.open = !fin;
            passed.messages += u64::from(fin);
            if keep > 0 && payload <= keep && opcode != Opcode::Continuation {
                self.kept = Some((opcode, true));
            }
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len();
        let mut bytes = vec![first];
        match length {
            0..126 => bytes.push(length as u8),
            126..65_536 => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(payload);
        bytes
    }

    type Heard = Vec<(Opcode, Vec<u8>)>;

    /// What is passed and heard of a stream in pieces.
    fn walk(bytes: &[u8], pieces: &[usize], keep: u64) -> Result<(Passed, Heard), Unlawful> {
        let (mut walk, mut sum, mut heard) = (Walk::default(), Passed::default(), Vec::new());
        let mut rest = bytes;
        let mut pieces = pieces.iter().cycle();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*pieces.next().unwrap()).min(rest.len()));
            rest = after;
            let passed = walk.pass(piece, keep, |opcode, payload| heard.push((opcode, payload.to_vec())))?;
            sum.messages += passed.messages;
            sum.bytes += passed.bytes;
        }
        Ok((sum, heard))
    }

    #[test]
    fn what_a_server_must_not_send_is_named() {
        let check = |bytes: &[u8], expect| assert_eq!(walk(bytes, &[1], 0).unwrap_err(), expect, "{bytes:?}");
        check(&[0xc1, 0], Unlawful::Reserved);
        check(&[0x83, 0], Unlawful::Reserved);
        check(&[0x81, 0x80], Unlawful::Masked);
        check(&[0x09, 0], Unlawful::Control);
        check(&[0x89, 126, 0, 126], Unlawful::Control);
        check(b"HTTP/1.1 400", Unlawful::Reserved);
        check(&[0x80, 0], Unlawful::Fragment);
        check(&[0x00, 0], Unlawful::Fragment);
        // Within a message: another; after its end: more of it. A ping between is lawful.
        check(&[0x01, 0, 0x81, 0], Unlawful::Fragment);
        check(&[0x01, 0, 0x89, 0, 0x80, 0, 0x80, 0], Unlawful::Fragment);
    }

    #[test]
    fn an_empty_message_counts_and_an_empty_ping_is_heard() {
        let bytes = [frame(0x81, b""), frame(0x89, b""), frame(0x81, b"x")].concat();
        for piece in [1, 2, 100] {
            let (passed, heard) = walk(&bytes, &[piece], 0).unwrap();
            assert_eq!(passed, Passed { messages: 2, bytes: 1 });
            assert_eq!(heard, [(Opcode::Ping, Vec::new())]);
        }
    }

    proptest! {
        #[test]
        fn wherever_frames_are_cut_the_same_is_passed_and_heard(
            frames in proptest::collection::vec((0_u8..6, prop_oneof![0_usize..130, Just(65_535), Just(65_536), Just(70_000)]), 1..12),
            pieces in proptest::collection::vec(prop_oneof![1_usize..6, 100_usize..9_000], 1..20),
            keep in prop_oneof![Just(0_u64), Just(100)],
        ) {
            let (mut bytes, mut expect, mut heard) = (Vec::new(), Passed::default(), Vec::new());
            let mut open = false;
            for (kind, length) in frames {
                // Text, binary, the first fragment of a text, its last, ping, close: where a message is open only its last or a control frame may follow.
                let kind = match kind {
                    0..3 if open => 3,
                    3 if !open => 2,
                    kind => kind,
                };
                open = if kind < 4 { kind == 2 } else { open };
                let (first, opcode) = [
                    (0x81, Opcode::Text), (0x82, Opcode::Binary), (0x01, Opcode::Text), (0x80, Opcode::Continuation),
                    (0x89, Opcode::Ping), (0x88, Opcode::Close),
                ][usize::from(kind)];
                let control = kind >= 4;
                let payload = vec![kind; if control { length.min(125) } else { length }];
                bytes.extend(frame(first, &payload));
                if !control {
                    expect.messages += u64::from(first & 0x80 != 0);
                    expect.bytes += payload.len() as u64;
                }
                if control || keep > 0 && kind < 3 && payload.len() as u64 <= keep {
                    heard.push((opcode, payload));
                }
            }
            prop_assert_eq!(walk(&bytes, &pieces, keep), Ok((expect, heard)));
        }
    }
}
