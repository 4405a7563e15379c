//! A stream under a session whose writes can be kept back.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::{ByteStream, SocketOptions};

/// A stream below a WebSocket session, for a program that writes frames of its own to the same connection.
///
/// Open (as it begins) it passes everything through. Shut, it keeps what the session writes by itself (pongs, answers to a close) in memory, so that the program can put those
/// bytes between two of its own frames: written straight through, a pong would land in the middle of a frame that the socket took half of. Reading is passed through always.
///
/// What is kept grows by what the session writes: whoever shuts it takes it ([`Tap::take`]) after each read and bounds what it holds.
#[derive(Debug)]
pub struct Tap<S> {
    stream: S,
    shut: bool,
    kept: Vec<u8>,
}

impl<S> Tap<S> {
    /// A stream that passes everything through.
    pub fn new(stream: S) -> Self {
        Self { stream, shut: false, kept: Vec::new() }
    }

    /// From here on the session's writes are kept.
    pub fn shut(&mut self) {
        self.shut = true;
    }

    /// From here on the session's writes reach the stream again. What is kept stays kept: take it first.
    pub fn open(&mut self) {
        self.shut = false;
    }

    /// What the session wrote since the last call: whole frames, if the session was flushed.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// The stream itself, for writing past the session.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.shut {
            self.kept.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shut {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: ByteStream> ByteStream for Tap<S> {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    fn set_options(&self, options: SocketOptions) -> io::Result<()> {
        self.stream.set_options(options)
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        self.stream.unacknowledged()
    }

    fn abort(self) {
        self.stream.abort();
    }
}
