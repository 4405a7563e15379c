//! How the end of one leg becomes the end of the other: which codes cross, which move the client, and how a source is told.
//!
//! | what ends | the other side sees |
//! |---|---|
//! | the client closes with a code | the source: that code and reason |
//! | the client closes without a code | the source: a Close frame without a code |
//! | the client's connection breaks, or it breaks the protocol | the source: 1011 `client lost` |
//! | the source closes with a code of `move_on_close` | the client: nothing, it moves to another instance |
//! | the source closes with any other code, or without one | the client: the same |
//! | the source's connection breaks, falls silent or breaks the protocol | the client: nothing, it moves (`failover = false`: 1011) |
//!
//! 1004, 1005, 1006 and 1015 never cross: tungstenite answers a frame that carries one with 1002, and hands it up as 1002. So it does with 1014, which was registered after the RFC.

use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncWrite};
use wire::close;
use wire::ws::{CloseFrame, Error, Message, Session, Utf8Bytes};

use crate::farewell;

/// Codes of a source that leaves, as opposed to ending this one session: what `move_on_close` holds by default.
pub(crate) const DEPARTURES: [u16; 4] =
    [close::GOING_AWAY, close::INTERNAL_ERROR, close::SERVICE_RESTART, close::TRY_AGAIN_LATER];

/// The same frame if its code may cross the wire; None (a Close frame without a code) if it stands for "no code" or may not.
pub(super) fn lawful(frame: CloseFrame) -> Option<CloseFrame> {
    close::is_lawful(frame.code.into()).then_some(frame)
}

/// The frame that tells a source that its client was lost without a Close frame of its own.
pub(super) fn client_lost() -> CloseFrame {
    CloseFrame { code: close::INTERNAL_ERROR.into(), reason: Utf8Bytes::from_static("client lost") }
}

/// The frame that tells a client that its source was lost and that it will not be moved.
pub(super) fn source_lost() -> CloseFrame {
    CloseFrame { code: close::INTERNAL_ERROR.into(), reason: Utf8Bytes::from_static("the source was lost") }
}

/// What a source is told whose session failed with this error; None where nobody is there to hear it.
pub(crate) fn reproach(error: &Error) -> Option<CloseFrame> {
    if wire::ws::is_disconnect(error) {
        return None;
    }
    let (code, reason) = farewell::mistake(error).unwrap_or(farewell::PROTOCOL_ERROR);
    Some(CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(reason) })
}

/// What a source is told at the end of its leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Nothing: it is gone, or hears nothing.
    Silent,
    /// The answer to its own Close frame, which the session has ready.
    Answer,
    /// A Close frame; None is one without a code.
    Close(Option<CloseFrame>),
}

/// Says it, and reads on until the source closes the connection: a socket closed over unread bytes is reset, and the reset would overtake what was said. It
/// has no deadline of its own.
pub(crate) async fn part<S: AsyncRead + AsyncWrite + Unpin>(mut session: Session<S>, parting: Parting) {
    match parting {
        Parting::Silent => return,
        Parting::Answer => {}
        Parting::Close(frame) => {
            if session.send(Message::Close(frame)).await.is_err() {
                return;
            }
        }
    }
    farewell::drain(&mut session).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lawful_codes_cross() {
        let frame =
            |code: u16| CloseFrame { code: code.into(), reason: Utf8Bytes::from_static("the reason crosses, too") };
        for code in [1000, 1001, 1008, 1011, 1014, 3000, 4999] {
            assert_eq!(lawful(frame(code)), Some(frame(code)));
        }
        for code in [0, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            assert_eq!(lawful(frame(code)), None, "{code}");
        }
        assert!(DEPARTURES.iter().all(|code| close::is_lawful(*code)));
    }
}
