//! A connection that may speak TLS.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;
use wire::net::{ByteStream, Network, SocketOptions};

/// The connections of a proxy in the world `N`.
pub(crate) type NetStream<N> = MaybeTls<<N as Network>::Stream>;

/// A connection with or without TLS: one type, so that the whole proxy is compiled once for both.
#[derive(Debug)]
pub(crate) enum MaybeTls<S> {
    /// As the network gave it.
    Plain(S),
    /// Over TLS. Boxed: a session is a kilobyte and more.
    Tls(Box<TlsStream<S>>),
}

impl<S> MaybeTls<S> {
    fn socket(&self) -> &S {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            MaybeTls::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            MaybeTls::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl<S: ByteStream> AsyncRead for MaybeTls<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl<S: ByteStream> AsyncWrite for MaybeTls<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

impl<S: ByteStream> ByteStream for MaybeTls<S> {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket().peer_addr()
    }

    fn set_options(&self, options: SocketOptions) -> io::Result<()> {
        self.socket().set_options(options)
    }

    fn unacknowledged(&self) -> io::Result<usize> {
        self.socket().unacknowledged()
    }

    fn abort(self) {
        match self {
            Self::Plain(stream) => stream.abort(),
            Self::Tls(stream) => match *stream {
                TlsStream::Client(stream) => stream.into_inner().0.abort(),
                TlsStream::Server(stream) => stream.into_inner().0.abort(),
            },
        }
    }
}
