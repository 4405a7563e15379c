//! Whole frames on their way into one socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use wire::ws::Bytes;

/// Frames that the socket has not taken yet, in order. Written in as few calls as the socket allows; only at the border between two frames can something be put in.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    frames: VecDeque<Bytes>,
    /// Bytes of the first frame that are written.
    begun: usize,
    /// Bytes that are not written.
    bytes: usize,
    /// Where the next urgent frame goes: behind those before it that have not been written.
    urgent: usize,
}

/// Frames in one call.
const SLICES_MAX: usize = 64;

impl Outgoing {
    /// A frame behind all others.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Frames as soon as possible: behind the one that is begun and those that came this way before them, before all others.
    pub(super) fn push_next(&mut self, frames: Bytes) {
        self.bytes += frames.len();
        let place = self.urgent.max(usize::from(self.begun > 0));
        self.frames.insert(place, frames);
        self.urgent = place + 1;
    }

    /// Forgets all but the frame that is begun: without its rest the peer could read nothing that follows.
    pub(super) fn keep_only_begun(&mut self) {
        self.frames.truncate(usize::from(self.begun > 0));
        self.urgent = self.urgent.min(self.frames.len());
        self.bytes = self.frames.front().map_or(0, |frame| frame.len() - self.begun);
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Writes all of them. Pending where the socket takes no more.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<()>> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                *slice = IoSlice::new(&frame[if count == 0 { self.begun } else { 0 }..]);
                count += 1;
            }
            let stream = Pin::new(&mut *stream);
            let written = if count == 1 {
                stream.poll_write(cx, &slices[0])
            } else {
                stream.poll_write_vectored(cx, &slices[..count])
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.advance(written),
            }
        }
        if self.frames.capacity() > SLICES_MAX {
            self.frames = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.begun += written;
        while let Some(frame) = self.frames.front()
            && self.begun >= frame.len()
        {
            self.begun -= frame.len();
            self.frames.pop_front();
            self.urgent = self.urgent.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes so many bytes at a call, and none where 0.
    struct Socket {
        takes: VecDeque<usize>,
        got: Vec<u8>,
    }

    impl AsyncWrite for Socket {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let takes = self.takes.pop_front().unwrap_or(0).min(buf.len());
            self.got.extend_from_slice(&buf[..takes]);
            if takes == 0 { Poll::Pending } else { Poll::Ready(Ok(takes)) }
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            let takes = self.takes.pop_front().unwrap_or(0).min(all.len());
            self.got.extend_from_slice(&all[..takes]);
            if takes == 0 { Poll::Pending } else { Poll::Ready(Ok(takes)) }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        /// Data frames are `d` + n bytes of `.`, pongs are `p` + their number: each must arrive whole, and each kind in its order.
        #[test]
        fn nothing_lands_in_the_middle_of_a_frame(
            steps in proptest::collection::vec((0_u8..4, 1_usize..30), 1..80),
        ) {
            let mut out = Outgoing::default();
            let mut socket = Socket { takes: VecDeque::new(), got: Vec::new() };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let (mut data, mut pongs) = (0, 0);
            for (what, n) in steps {
                match what {
                    0 | 1 => {
                        out.push(format!("d{data}{};", ".".repeat(n)).into());
                        data += 1;
                    }
                    2 => {
                        out.push_next(format!("p{pongs};").into());
                        pongs += 1;
                    }
                    _ => {
                        socket.takes = [n, n / 2].into();
                        let _ = out.poll_write(&mut cx, &mut socket);
                    }
                }
                prop_assert_eq!(out.is_empty(), out.bytes() == 0);
            }
            socket.takes = vec![7; 2000].into();
            prop_assert!(out.poll_write(&mut cx, &mut socket).is_ready());
            let text = String::from_utf8(socket.got).unwrap();
            let frames: Vec<&str> = text.split_terminator(';').collect();
            let of = |kind: char| frames.iter().filter(move |it| it.starts_with(kind)).map(|it| it[1..].trim_end_matches('.'));
            prop_assert!(of('d').eq((0..data).map(|n| n.to_string())), "{}", text);
            prop_assert!(of('p').eq((0..pongs).map(|n| n.to_string())), "{}", text);
            prop_assert_eq!(frames.len(), data + pongs);
        }
    }

    #[test]
    fn what_is_begun_is_finished_and_the_rest_forgotten() {
        let mut out = Outgoing::default();
        let mut socket = Socket { takes: [2].into(), got: Vec::new() };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        out.push(Bytes::from_static(b"abcd"));
        out.push(Bytes::from_static(b"efgh"));
        assert!(out.poll_write(&mut cx, &mut socket).is_pending());
        out.keep_only_begun();
        out.push(Bytes::from_static(b"X"));
        socket.takes = [9, 9].into();
        assert!(out.poll_write(&mut cx, &mut socket).is_ready());
        assert_eq!(socket.got, b"abcdX");
    }
}
