//! Frames as a server sends them: made once, shared by every client that gets them (RFC 6455 section 5.2: a server's frames carry no mask, so all clients get the same bytes).

use wire::ws::{Bytes, Message};

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// The bytes of a text frame.
pub(super) fn text(payload: &str) -> Bytes {
    frame(TEXT, payload.as_bytes())
}

/// The bytes of a ping without a payload.
pub(super) fn ping() -> Bytes {
    Bytes::from_static(&[FIN | PING, 0])
}

/// The bytes of a message in one frame. Closes are the session's business and have no bytes here.
pub(super) fn encode(message: &Message) -> Bytes {
    match message {
        Message::Text(payload) => text(payload),
        Message::Binary(payload) => frame(BINARY, payload),
        Message::Ping(payload) => frame(PING, payload),
        Message::Pong(payload) => frame(PONG, payload),
        Message::Close(_) | Message::Frame(_) => Bytes::new(),
    }
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(payload.len() + 10);
    bytes.push(FIN | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..=125), _) => bytes.push(len),
        (_, Ok(len)) => {
            bytes.push(126);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, SinkExt as _};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// What tungstenite sends for the same message.
    fn theirs(message: Message) -> Vec<u8> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let mut session =
            WebSocketStream::from_raw_socket(theirs, Role::Server, None).now_or_never().expect("it does not wait");
        session.send(message).now_or_never().expect("there is room").unwrap();
        drop(session);
        let mut bytes = Vec::new();
        let mut ours = ours;
        tokio::io::AsyncReadExt::read_to_end(&mut ours, &mut bytes).now_or_never().expect("it is all there").unwrap();
        bytes
    }

    #[test]
    fn frames_are_those_of_tungstenite() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            for message in [Message::text("x".repeat(len)), Message::binary(vec![7; len])] {
                assert_eq!(encode(&message), theirs(message.clone()), "{len}");
            }
        }
        assert_eq!(ping(), theirs(Message::Ping(Bytes::new())));
        assert_eq!(encode(&Message::Pong("ab".into())), theirs(Message::Pong("ab".into())));
    }
}
