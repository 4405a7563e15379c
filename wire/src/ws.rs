//! A WebSocket session over any byte stream: one set of limits for every leg.
//!
//! tungstenite's defaults (128 KiB read buffers that are zero-filled on reads, an unlimited write buffer, 64 MiB messages) are right for a browser's one
//! connection and wrong for ten thousand. [`Limits`] sets small buffers and hard bounds; measured, 4 KiB read buffers made a thousand simulated
//! clients 3.5 to 7 times faster.
//!
//! No extension is ever offered or accepted, so an intermediary may re-frame lawfully (RFC 6455 section 5.4).

mod accept;
mod connect;
mod fragments;
pub mod frame;
pub mod head;
mod tap;
pub mod walk;

use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub use self::accept::{
    Accepted, Answer, Asked, Asking, HEAD_BYTES_MAX, HEADERS_MAX, SUBPROTOCOLS_MAX, accept, hear, refuse,
};
pub use self::connect::{Ask, ConnectError, Connected, Upgraded, connect, is_of_the_handshake, upgrade};
pub use self::fragments::{Fragments, fragments};
pub use self::tap::Tap;
pub use tokio_tungstenite::tungstenite::protocol::CloseFrame;
pub use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes, http};

/// The subprotocol of the strong contract: envelopes with epoch and seq.
pub const SUBPROTOCOL: &str = "windtunnel.v1";

/// A session.
pub type Session<S> = WebSocketStream<S>;

/// Bounds of one session, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Read buffer, allocated once per session. Default 4 KiB.
    pub read_buffer: usize,
    /// Bytes gathered before a write goes to the socket. Default 4 KiB.
    pub write_buffer: usize,
    /// Bytes that may wait in the session for a slow socket before writing fails. Default 1 MiB; must exceed `write_buffer + message_max` to write any message.
    pub write_buffer_max: usize,
    /// The largest message accepted; a larger one ends the session (1009). Default 256 KiB.
    pub message_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { read_buffer: 4 << 10, write_buffer: 4 << 10, write_buffer_max: 1 << 20, message_max: 256 << 10 }
    }
}

impl Limits {
    fn config(self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(self.read_buffer)
            .write_buffer_size(self.write_buffer)
            .max_write_buffer_size(self.write_buffer_max.max(self.write_buffer + 1))
            .max_message_size(Some(self.message_max))
            .max_frame_size(Some(self.message_max))
    }
}

/// Whether a session's error is the connection's end (as opposed to a peer that broke the protocol or our own misuse).
#[must_use]
pub fn is_disconnect(error: &Error) -> bool {
    matches!(
        error,
        Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Io(_)
            | Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
                    | tokio_tungstenite::tungstenite::error::ProtocolError::SendAfterClosing
            )
    )
}
