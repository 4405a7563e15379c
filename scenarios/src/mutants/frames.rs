//! Wrong readers of frames: between a source's connection and the session that reads it. What is no message of several frames passes as it came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::ReadBuf;

/// What is wrong with how messages of several frames are put together: of each fourth one, and of no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misreading {
    /// The last frame is left out.
    LosesTheLast,
    /// The first frame is taken for the message.
    TakesTheFirst,
    /// What came before a ping is forgotten.
    ForgetsAtPings,
    /// The second frame is that of the message before which had one of the same size, whoever's it was.
    Mixes,
}

/// The second frames that came last, of whichever connection, by their size.
pub(crate) type Pieces = Arc<Mutex<BTreeMap<usize, Vec<u8>>>>;

/// Which messages are hit: each so many-th.
const EVERY: u64 = 4;

/// A frame of a source, which masks none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    last: bool,
    opcode: u8,
    payload: Vec<u8>,
}

/// Reads a source's bytes, and gives others.
#[derive(Debug)]
pub(crate) struct Reader {
    misreading: Misreading,
    pieces: Pieces,
    /// The answer to the handshake is over.
    speaks: bool,
    /// Of a frame that has not come whole.
    inbox: Vec<u8>,
    /// What is given next, from `given` on.
    outbox: Vec<u8>,
    given: usize,
    messages: u64,
    /// Frames of the message that came before.
    nth: usize,
    opcode: u8,
    held: Vec<Frame>,
}

impl Reader {
    pub(crate) fn new(misreading: Misreading, pieces: &Pieces) -> Self {
        Self {
            misreading,
            pieces: Arc::clone(pieces),
            speaks: false,
            inbox: Vec::new(),
            outbox: Vec::new(),
            given: 0,
            messages: 0,
            nth: 0,
            opcode: 0,
            held: Vec::new(),
        }
    }

    /// Gives what there is, as far as there is room; false if there is nothing.
    pub(crate) fn take(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let part = self.outbox.len().saturating_sub(self.given).min(buf.remaining());
        buf.put_slice(&self.outbox[self.given..self.given + part]);
        self.given += part;
        if self.given == self.outbox.len() {
            self.outbox.clear();
            self.given = 0;
        }
        part > 0 || buf.remaining() == 0
    }

    /// Takes what came.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
        if !self.speaks {
            const END: &[u8] = b"\r\n\r\n";
            let Some(end) = self.inbox.windows(END.len()).position(|four| four == END) else { return };
            self.outbox.extend(self.inbox.drain(..end + END.len()));
            self.speaks = true;
        }
        let mut read = 0;
        while let Some((frame, size)) = parse(&self.inbox[read..]) {
            read += size;
            self.frame(frame);
        }
        self.inbox.drain(..read);
    }

    fn frame(&mut self, frame: Frame) {
        const CONTROL: u8 = 8;
        if frame.opcode >= CONTROL {
            if self.misreading == Misreading::ForgetsAtPings {
                self.held.clear();
            }
            return self.give(&frame);
        }
        if frame.opcode > 0 {
            self.messages += 1;
            self.nth = 0;
            self.opcode = frame.opcode;
        } else {
            self.nth += 1;
        }
        let hit = self.messages.is_multiple_of(EVERY) && (self.nth > 0 || !frame.last);
        match self.misreading {
            Misreading::Mixes if self.nth == 1 => {
                let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
                let before = pieces.insert(frame.payload.len(), frame.payload.clone());
                drop(pieces);
                let payload = before.filter(|_| hit).unwrap_or_else(|| frame.payload.clone());
                self.give(&Frame { payload, ..frame });
            }
            Misreading::LosesTheLast if hit => {
                let before = self.held.pop();
                if let Some(before) = before {
                    self.give(&Frame { last: frame.last, ..before });
                }
                if !frame.last {
                    self.held.push(frame);
                }
            }
            Misreading::TakesTheFirst if hit => {
                if self.nth == 0 {
                    self.give(&Frame { last: true, ..frame });
                }
            }
            Misreading::ForgetsAtPings if hit => {
                let last = frame.last;
                self.held.push(frame);
                if last {
                    for (nth, frame) in std::mem::take(&mut self.held).into_iter().enumerate() {
                        self.give(&Frame { opcode: if nth == 0 { self.opcode } else { 0 }, ..frame });
                    }
                }
            }
            _ => self.give(&frame),
        }
    }

    fn give(&mut self, frame: &Frame) {
        self.outbox.push(frame.opcode | u8::from(frame.last) << 7);
        let size = frame.payload.len();
        match (u8::try_from(size), u16::try_from(size)) {
            (Ok(size), _) if size < 126 => self.outbox.push(size),
            (_, Ok(size)) => {
                self.outbox.push(126);
                self.outbox.extend(size.to_be_bytes());
            }
            _ => {
                self.outbox.push(127);
                self.outbox.extend((size as u64).to_be_bytes());
            }
        }
        self.outbox.extend_from_slice(&frame.payload);
    }
}

/// The frame at the beginning, and its size with its header, if it is there as a whole.
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    let (size, rest) = match second & 0x7f {
        126 => rest.split_first_chunk().map(|(size, rest)| (u64::from(u16::from_be_bytes(*size)), rest))?,
        127 => rest.split_first_chunk().map(|(size, rest)| (u64::from_be_bytes(*size), rest))?,
        size => (u64::from(size), rest),
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(size).ok()?)?;
    let frame = Frame { last: first & 0x80 != 0, opcode: first & 0x0f, payload: payload.to_vec() };
    Some((frame, bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(last: bool, opcode: u8, payload: &str) -> Frame {
        Frame { last, opcode, payload: payload.as_bytes().to_vec() }
    }

    /// What is read of these frames after three messages, in pieces of so many bytes.
    fn read(misreading: Misreading, frames: &[Frame], piece: usize) -> Vec<Frame> {
        let mut sent = Reader::new(misreading, &Pieces::default());
        (0..3).for_each(|_| sent.give(&frame(true, 1, "whole")));
        frames.iter().for_each(|frame| sent.give(frame));
        let mut bytes = b"HTTP/1.1 101\r\n\r\n".to_vec();
        bytes.append(&mut sent.outbox);
        let mut reader = Reader::new(misreading, &Pieces::default());
        bytes.chunks(piece).for_each(|piece| reader.feed(piece));
        let mut room = vec![0; 1 << 20];
        let mut room = ReadBuf::new(&mut room);
        assert!(reader.take(&mut room) && !reader.take(&mut ReadBuf::new(&mut [0; 8])));
        let mut rest = room.filled().strip_prefix(b"HTTP/1.1 101\r\n\r\n").unwrap();
        let mut all = Vec::new();
        while let Some((frame, size)) = parse(rest) {
            rest = &rest[size..];
            all.push(frame);
        }
        all.split_off(3)
    }

    #[test]
    fn each_misreading_makes_another_message_of_the_frames() {
        let long = "x".repeat(70_000);
        let ping = || frame(true, 9, "");
        let message = [frame(false, 1, "a"), ping(), frame(false, 0, &long), ping(), frame(true, 0, "c")];
        for piece in [1, 7, 1 << 20] {
            let check = |misreading, expect: &[Frame]| {
                let got = read(misreading, &message, piece);
                let data = |frames: &[Frame]| -> Vec<Frame> {
                    frames.iter().filter(|frame| frame.opcode < 8).cloned().collect()
                };
                assert_eq!(data(&got), expect, "{misreading:?}");
                assert_eq!(got.len() - expect.len(), 2, "both pings come");
            };
            check(Misreading::LosesTheLast, &[frame(false, 1, "a"), frame(true, 0, &long)]);
            check(Misreading::TakesTheFirst, &[frame(true, 1, "a")]);
            check(Misreading::ForgetsAtPings, &[frame(true, 1, "c")]);
            check(Misreading::Mixes, &[frame(false, 1, "a"), frame(false, 0, &long), frame(true, 0, "c")]);
        }
    }

    #[test]
    fn a_piece_of_the_same_size_stands_in_for_another_of_any_connection() {
        let pieces = Pieces::default();
        let mut one = Reader::new(Misreading::Mixes, &pieces);
        let mut other = Reader::new(Misreading::Mixes, &pieces);
        for reader in [&mut one, &mut other] {
            reader.feed(b"\r\n\r\n");
            reader.outbox.clear();
        }
        let say = |reader: &mut Reader, second: &str| {
            for frame in [frame(false, 1, "a"), frame(true, 0, second)] {
                reader.frame(frame);
            }
        };
        (0..4).for_each(|_| say(&mut other, "bb"));
        (0..3).for_each(|_| say(&mut one, "ccc"));
        one.outbox.clear();
        say(&mut one, "dd");
        assert_eq!(parse(&one.outbox[3..]).unwrap().0, frame(true, 0, "bb"));
    }
}
