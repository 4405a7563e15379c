//! How a client's session ends: lawful close codes, bounded patience, and then the connection is cut.

use std::net::SocketAddr;

use futures_util::stream::FusedStream;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::close;
use wire::event::Why;
use wire::net::{ByteStream, Network};
use wire::ws::{CloseFrame, Error, Message, Session, Utf8Bytes};

use crate::context::Context;
use crate::quota::OverQuota;

/// The longest reason that a Close frame can carry, in bytes (125 less two for the code).
const REASON_MAX: usize = 123;

/// How to end a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The connection is gone already.
    Gone,
    /// The client sent a Close frame; the session has the answer ready.
    Answer,
    /// Send a Close frame.
    Close {
        /// None sends a Close frame without a code.
        frame: Option<CloseFrame>,
        why: Why,
    },
    /// Cut the connection: nothing that we write arrives.
    Drop(Why),
}

impl Farewell {
    /// A Close frame with a code and a reason, which is cut to what a frame can carry.
    pub(crate) fn close(code: u16, reason: &str, why: Why) -> Self {
        debug_assert!(close::is_lawful(code), "{code} may not cross the wire");
        let end = (0..=reason.len().min(REASON_MAX)).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
        Self::Close { frame: Some(CloseFrame { code: code.into(), reason: Utf8Bytes::from(&reason[..end]) }), why }
    }

    /// Cut the connection.
    pub(crate) fn drop(why: Why) -> Self {
        Self::Drop(why)
    }
}

/// The farewell of a client that says or asks for more than it may.
pub(crate) fn over_quota<N: Network>(context: &Context<N>, over: OverQuota) -> Farewell {
    context.meter.over_quota.add(1);
    Farewell::close(close::POLICY_VIOLATION, &over.to_string(), Why::Protocol)
}

/// The farewell that a client's own mistake or disappearance earns.
pub(crate) fn of_error(error: &Error) -> Farewell {
    if wire::ws::is_disconnect(error) {
        return Farewell::Gone;
    }
    match mistake(error) {
        Some((code, reason)) => Farewell::close(code, reason, Why::Protocol),
        None => Farewell::close(close::INTERNAL_ERROR, "internal error", Why::Internal),
    }
}

/// What a peer is told of its own mistake; None where a session failed otherwise.
pub(crate) fn mistake(error: &Error) -> Option<(u16, &'static str)> {
    match error {
        Error::Capacity(_) => Some((close::MESSAGE_TOO_BIG, "message too big")),
        Error::Utf8(_) => Some((close::INVALID_PAYLOAD, "text is not UTF-8")),
        Error::Protocol(_) => Some(PROTOCOL_ERROR),
        _ => None,
    }
}

/// What is said of a mistake that has no code of its own.
pub(crate) const PROTOCOL_ERROR: (u16, &str) = (close::PROTOCOL_ERROR, "protocol error");

/// Ends a session, within the close timeout.
pub(crate) async fn carry_out<N: Network, S: ByteStream>(
    context: &Context<N>,
    mut session: Session<S>,
    peer: SocketAddr,
    end: Farewell,
) {
    let config = context.config();
    let last_words = async {
        match end {
            Farewell::Gone => true,
            Farewell::Answer => drain(&mut session).await && tidy_end(&mut session).await,
            Farewell::Close { why, .. } if context.drain.is_cut() => {
                context.client_closed(peer, None, why);
                false
            }
            Farewell::Close { mut frame, why } => {
                if let Some(frame) = &mut frame {
                    frame.code = (context.policies.close_code)(why, frame.code.into()).into();
                }
                context.client_closed(peer, frame.as_ref().map(|frame| frame.code.into()), why);
                session.send(Message::Close(frame)).await.is_ok()
                    && drain(&mut session).await
                    && tidy_end(&mut session).await
            }
            Farewell::Drop(why) => {
                context.client_closed(peer, None, why);
                false
            }
        }
    };
    let said = wire::select! {
        said = tokio::time::timeout(config.limits.close_timeout, last_words) => said.unwrap_or(false),
        () = context.drain.cut() => false,
    };
    if !said {
        // The peer does not take it: no lingering.
        session.into_inner().abort();
    }
}

/// Reads to the end, so that the closing handshake completes. True if it did. Bounded by the caller's timeout.
pub(crate) async fn drain<S>(session: &mut Session<S>) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if session.is_terminated() {
        // It failed, and reads no frame any more. Closing over unread bytes would reset the connection, and what was said last with it.
        return session.flush().await.is_ok() && linger(session.get_mut()).await.is_ok();
    }
    loop {
        match session.next().await {
            None => return true,
            Some(Ok(_)) => {}
            Some(Err(error)) => return wire::ws::is_disconnect(&error),
        }
    }
}

/// Ends our side, and throws away what comes until the peer ends its own.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> std::io::Result<()> {
    stream.shutdown().await?;
    // Not in the future: that stands in memory for as long as the session it may end.
    let mut chunk = vec![0; 1024];
    while stream.read(&mut chunk).await? > 0 {}
    Ok(())
}

/// Ends what lies below the session in order: TLS says so before the connection does. True: there is nothing more to say.
async fn tidy_end<S: ByteStream>(session: &mut Session<S>) -> bool {
    let _ = session.get_mut().shutdown().await;
    true
}

/// Waits until a client must go, though nothing is wrong with it: its slot in a drain has come, or an operator sends it away.
pub(crate) async fn dismissed<N: Network>(context: &Context<N>, peer: SocketAddr) -> Farewell {
    wire::select! {
        code = context.roster.dismissed(peer) => Farewell::close(code, "closed by an operator", Why::Operator),
        () = context.drain.turn(|number| context.net.draws("drain-late", number)) => {
            Farewell::close(context.config().drain_code, "proxy drains", Why::Shutdown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let Farewell::Close { frame: Some(frame), .. } = Farewell::close(1008, &"ä".repeat(100), Why::Protocol) else {
            panic!("no close frame");
        };
        assert_eq!(frame.reason.len(), 122);
    }
}
