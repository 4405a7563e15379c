//! A message in several frames (RFC 6455 section 5.4): its first has the opcode, the others continue it, and control frames may come between.

use std::iter;

use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{Bytes, Message};

/// How messages are cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragments {
    /// Payload bytes of a frame at most. At least 1.
    pub bytes: usize,
    /// Whether a ping stands between each two frames of a message.
    pub pings: bool,
}

/// The frames of a message, each as a message that a session writes as it stands. What is no longer than one frame, and what is no data, stays as it is.
pub fn fragments(message: Message, how: Fragments) -> impl Iterator<Item = Message> {
    let size = how.bytes.max(1);
    let (data, payload) = match &message {
        Message::Text(text) if text.len() > size => (Data::Text, Bytes::from(text.clone())),
        Message::Binary(bytes) if bytes.len() > size => (Data::Binary, bytes.clone()),
        _ => return iter::once(message).chain(Cut { rest: Bytes::new(), next: Data::Continue, size, pings: None }),
    };
    let mut cut = Cut { rest: payload, next: data, size, pings: how.pings.then_some(false) };
    let first = cut.next().unwrap_or(message);
    iter::once(first).chain(cut)
}

struct Cut {
    rest: Bytes,
    next: Data,
    size: usize,
    /// Whether the next one is a ping, where there are any.
    pings: Option<bool>,
}

impl Iterator for Cut {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        if self.rest.is_empty() {
            return None;
        }
        if let Some(ping) = &mut self.pings {
            *ping = !*ping;
            if !*ping {
                return Some(Message::Ping(Bytes::new()));
            }
        }
        let part = self.rest.split_to(self.size.min(self.rest.len()));
        let frame = Frame::message(part, OpCode::Data(self.next), self.rest.is_empty());
        self.next = Data::Continue;
        Some(Message::Frame(frame))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use proptest::prelude::*;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// What it is cut into: opcode, payload, whether it is the last.
    fn cut(message: Message, how: Fragments) -> Vec<(OpCode, String, bool)> {
        let frames = fragments(message, how).map(|message| match message {
            Message::Frame(frame) => frame,
            Message::Text(text) => Frame::message(Bytes::from(text), OpCode::Data(Data::Text), true),
            other => Frame::ping(other.into_data()),
        });
        let text = |frame: &Frame| String::from_utf8(frame.payload().to_vec()).unwrap();
        frames.map(|frame| (frame.header().opcode, text(&frame), frame.header().is_final)).collect()
    }

    #[test]
    fn the_first_has_the_opcode_the_last_the_end_and_pings_stand_between() {
        use tokio_tungstenite::tungstenite::protocol::frame::coding::Control::Ping;
        let (text, more, ping) = (OpCode::Data(Data::Text), OpCode::Data(Data::Continue), OpCode::Control(Ping));
        let check = |bytes, pings, expect: &[(OpCode, &str, bool)]| {
            let expect: Vec<_> = expect.iter().map(|(code, text, last)| (*code, (*text).to_owned(), *last)).collect();
            assert_eq!(cut(Message::text("abcde"), Fragments { bytes, pings }), expect);
        };
        check(5, true, &[(text, "abcde", true)]);
        check(2, false, &[(text, "ab", false), (more, "cd", false), (more, "e", true)]);
        check(3, true, &[(text, "abc", false), (ping, "", true), (more, "de", true)]);
        assert_eq!(cut(Message::text(""), Fragments { bytes: 2, pings: true }), [(text, String::new(), true)]);
    }

    proptest! {
        #[test]
        fn a_session_reads_the_message_that_was_cut(
            text in ".{0,60}", binary: bool, bytes in 1_usize..20, pings: bool, room in 1_usize..40,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let sent = if binary { Message::binary(text.into_bytes()) } else { Message::text(text) };
            let got = runtime.block_on(async {
                let (near, far) = tokio::io::duplex(room);
                let mut near = WebSocketStream::from_raw_socket(near, Role::Server, None).await;
                let mut far = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
                let write = async {
                    for frame in fragments(sent.clone(), Fragments { bytes, pings }) {
                        near.feed(frame).await.unwrap();
                    }
                    near.flush().await.unwrap();
                    // Answers to pings, which fill the pipe.
                    while let Some(Ok(_)) = near.next().await {}
                };
                let read = async {
                    loop {
                        match far.next().await {
                            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => break message,
                            Some(Ok(_)) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                };
                crate::select! { got = read => got, () = write => panic!("the reader is gone") }
            });
            prop_assert_eq!(got, sent);
        }
    }
}
