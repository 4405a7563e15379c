//! What a client says, below its session: at its pace while the handshake lasts, and without pongs where it gives none.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use wire::ws::frame::Opcode;
use wire::ws::head::Head;

use crate::behaviour::{Behaviour, Handshake};

/// The way of a client's bytes to its socket.
#[derive(Debug)]
pub(crate) struct Mouth {
    pace: Pace,
    /// Takes pongs out, once the handshake is over.
    pongs: Option<Pongs>,
}

#[derive(Debug)]
enum Pace {
    Free,
    Slow { pause: Duration, until: Pin<Box<Sleep>> },
    Left(usize),
}

/// How much of what is to be written goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// So many bytes to the socket.
    Bytes(usize),
    /// So many bytes nowhere: they count as written.
    Swallows(usize),
}

impl Mouth {
    /// None where all goes out as it comes.
    pub(crate) fn new(behaviour: &Behaviour) -> Option<Box<Self>> {
        let pace = match behaviour.handshake {
            Handshake::Whole => Pace::Free,
            Handshake::Slow { pause } => Pace::Slow { pause, until: Box::pin(sleep_until(Instant::now())) },
            Handshake::Unfinished { bytes } => Pace::Left(bytes),
        };
        let pongs = (!behaviour.pongs).then(Pongs::default);
        (pongs.is_some() || !matches!(pace, Pace::Free)).then(|| Box::new(Self { pace, pongs }))
    }

    /// The handshake is over: frames follow.
    pub(crate) fn opened(&mut self) {
        self.pace = Pace::Free;
        if let Some(pongs) = &mut self.pongs {
            pongs.frames = true;
        }
    }

    /// How much of the bytes, of which there are some, goes out now.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Says> {
        match &mut self.pace {
            Pace::Left(0) => Poll::Pending,
            Pace::Left(left) => Poll::Ready(Says::Bytes(bytes.len().min(*left))),
            Pace::Slow { until, .. } => until.as_mut().poll(cx).map(|()| Says::Bytes(bytes.len().min(1))),
            Pace::Free => Poll::Ready(match &self.pongs {
                Some(pongs) if pongs.frames => pongs.look(bytes),
                _ => Says::Bytes(bytes.len()),
            }),
        }
    }

    /// Whether it will never say anything again before its handshake is over.
    pub(crate) fn is_stuck(&self) -> bool {
        matches!(self.pace, Pace::Left(0))
    }

    /// These bytes are gone, to the socket or nowhere.
    pub(crate) fn said(&mut self, bytes: &[u8]) {
        match &mut self.pace {
            Pace::Left(left) => *left = left.saturating_sub(bytes.len()),
            Pace::Slow { pause, until } => {
                let next = Instant::now() + *pause;
                until.as_mut().reset(next);
            }
            Pace::Free => {
                if let Some(pongs) = self.pongs.as_mut().filter(|pongs| pongs.frames) {
                    pongs.pass(bytes);
                }
            }
        }
    }
}

/// Finds the pongs in a stream of a client's frames. Pure.
#[derive(Debug, Default)]
struct Pongs {
    frames: bool,
    /// The head of a frame, as far as it has passed.
    head: Vec<u8>,
    /// Bytes of the frame that are still to pass, and whether it is a pong.
    rest: Option<(u64, bool)>,
}

impl Pongs {
    /// Whether the next bytes belong to a pong, and how many do or do not.
    fn look(&self, bytes: &[u8]) -> Says {
        let (left, pong) = match self.rest {
            Some((left, pong)) => (usize::try_from(left).unwrap_or(usize::MAX), pong),
            // A head passes byte by byte; its first says what it is.
            None => (1, self.head.first().or(bytes.first()).is_some_and(|first| Head::opcode(*first) == Opcode::Pong)),
        };
        let count = left.min(bytes.len());
        if pong { Says::Swallows(count) } else { Says::Bytes(count) }
    }

    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match &mut self.rest {
                Some((left, _)) => *left -= 1,
                None => {
                    self.head.push(*byte);
                    if let Some(head) = Head::read(&self.head) {
                        self.rest = Some((head.payload, head.opcode == Opcode::Pong));
                    }
                }
            }
            if self.rest.is_some_and(|(left, _)| left == 0) {
                self.rest = None;
                self.head.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A masked frame.
    fn frame(opcode: u8, len: usize) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match len {
            0..=125 => frame.push(0x80 | len as u8),
            126..=65_535 => frame.extend([&[0xfe][..], &(len as u16).to_be_bytes()].concat()),
            _ => frame.extend([&[0xff][..], &(len as u64).to_be_bytes()].concat()),
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(std::iter::repeat_n(opcode, len));
        frame
    }

    proptest! {
        #[test]
        fn pongs_are_taken_out_and_all_else_passes_however_it_is_cut(
            frames in proptest::collection::vec((prop_oneof![Just(1_u8), Just(8), Just(9), Just(10)], 0_usize..300), 1..12),
            cuts in proptest::collection::vec(1_usize..50, 1..20),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(opcode, len)| frame(*opcode, *len)).collect();
            let lawful = frames.iter().filter(|(opcode, _)| *opcode != 10);
            let expect: Vec<u8> = lawful.flat_map(|(opcode, len)| frame(*opcode, *len)).collect();
            let mut pongs = Pongs { frames: true, ..Pongs::default() };
            let mut out = Vec::new();
            let (mut at, mut cuts) = (0, cuts.iter().cycle());
            while at < bytes.len() {
                let piece = &bytes[at..(at + cuts.next().unwrap()).min(bytes.len())];
                let count = match pongs.look(piece) {
                    Says::Bytes(count) => {
                        out.extend_from_slice(&piece[..count]);
                        count
                    }
                    Says::Swallows(count) => count,
                };
                prop_assert!(count > 0, "it goes on");
                pongs.pass(&piece[..count]);
                at += count;
            }
            prop_assert_eq!(out, expect);
        }
    }
}
