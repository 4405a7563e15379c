//! One frame out of bytes that were seen on the wire: for those who look on, and are no end of the connection.

use std::borrow::Cow;
use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What kind it is of.
    pub opcode: Opcode,
    /// Whether the message ends with it.
    pub fin: bool,
    /// Whether its payload was masked, as a client's must be.
    pub masked: bool,
    /// The payload, without the mask.
    pub payload: Cow<'a, [u8]>,
}

/// Kinds of frames (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message before it.
    Continuation,
    /// A text, or its beginning.
    Text,
    /// Bytes, or their beginning.
    Binary,
    /// The end of the session.
    Close,
    /// A question whether the other is there.
    Ping,
    /// The answer.
    Pong,
    /// None of these: the number is reserved.
    Reserved,
}

impl Opcode {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Opcode::Continuation => "continuation",
            Opcode::Text => "text",
            Opcode::Binary => "binary",
            Opcode::Close => "close",
            Opcode::Ping => "ping",
            Opcode::Pong => "pong",
            Opcode::Reserved => "reserved",
        }
    }
}

/// What these bytes are is not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a WebSocket frame")]
pub struct NoFrame;

/// The frame at the head of some bytes, and how many of them it takes; None where it is not all there.
///
/// # Errors
/// [`NoFrame`] where its head cannot be one.
pub fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, NoFrame> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| NoFrame)? else { return Ok(None) };
    let begin = usize::try_from(cursor.position()).map_err(|_| NoFrame)?;
    let end = usize::try_from(length).ok().and_then(|length| begin.checked_add(length)).ok_or(NoFrame)?;
    let Some(payload) = bytes.get(begin..end) else { return Ok(None) };
    let payload = match header.mask {
        None => Cow::Borrowed(payload),
        Some(mask) => payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect(),
    };
    let opcode = match header.opcode {
        OpCode::Data(Data::Continue) => Opcode::Continuation,
        OpCode::Data(Data::Text) => Opcode::Text,
        OpCode::Data(Data::Binary) => Opcode::Binary,
        OpCode::Control(Control::Close) => Opcode::Close,
        OpCode::Control(Control::Ping) => Opcode::Ping,
        OpCode::Control(Control::Pong) => Opcode::Pong,
        OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => Opcode::Reserved,
    };
    Ok(Some((Frame { opcode, fin: header.is_final, masked: header.mask.is_some(), payload }, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_rfc_are_read() {
        // RFC 6455, section 5.7.
        let check = |bytes: &[u8], expect: (Opcode, bool, bool, &[u8])| {
            let (frame, taken) = first(bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.fin, frame.masked, frame.payload.as_ref()), expect);
            assert_eq!(taken, bytes.len());
            // A frame of which a byte is missing is not there yet.
            assert_eq!(first(&bytes[..bytes.len() - 1]), Ok(None));
        };
        check(&[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], (Opcode::Text, true, false, b"Hello"));
        check(
            &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
            (Opcode::Text, true, true, b"Hello"),
        );
        check(&[0x01, 0x03, 0x48, 0x65, 0x6c], (Opcode::Text, false, false, b"Hel"));
        check(&[0x80, 0x02, 0x6c, 0x6f], (Opcode::Continuation, true, false, b"lo"));
        check(&[0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], (Opcode::Ping, true, false, b"Hello"));
        let long = [&[0x82, 0x7e, 0x01, 0x00][..], &[7; 256]].concat();
        check(&long, (Opcode::Binary, true, false, &[7; 256]));
    }

    #[test]
    fn a_length_that_no_memory_holds_is_only_not_there_yet_or_no_frame() {
        let bytes = [0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(matches!(first(&bytes), Ok(None) | Err(NoFrame)));
        assert_eq!(first(&[]), Ok(None));
    }
}
