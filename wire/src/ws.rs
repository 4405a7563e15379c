//! A WebSocket session over any byte stream: one set of limits for every leg.
//!
//! tungstenite's defaults (128 KiB read buffers that are zero-filled on reads, an unlimited write buffer, 64 MiB messages) are right for a browser's one
//! connection and wrong for ten thousand. [`Limits`] sets small buffers and hard bounds; measured, 4 KiB read buffers made a thousand simulated
//! clients 3.5 to 7 times faster.
//!
//! No extension is ever offered or accepted, so an intermediary may re-frame lawfully (RFC 6455 section 5.4).

mod accept;
mod tap;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub use self::accept::{Accepted, Answer, Asked, HEAD_BYTES_MAX, HEADERS_MAX, accept};
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

/// What a client wants of a server.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ask {
    /// The whole URL, `ws://host:port/path`.
    pub url: String,
    /// Subprotocols to offer, best first.
    pub subprotocols: Vec<String>,
    /// `Origin`, for servers that check it.
    pub origin: Option<String>,
    /// `X-Forwarded-For`, for a proxy's upstream leg.
    pub forwarded_for: Option<String>,
}

/// Why a handshake as a client failed: who is at fault, and whether trying again helps.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Our URL or headers are not lawful: never try again.
    #[error("bad request to {url}: {why}")]
    BadRequest {
        /// The URL asked for.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server speaks HTTP and said no, or does not speak WebSocket there. 5xx and 429 may pass; others will not.
    #[error("{url} answered HTTP {status} instead of a WebSocket upgrade{}{}", reason_suffix(reason), advice(*status))]
    Refused {
        /// The URL asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the body, on one line.
        reason: String,
    },
    /// The server answered something else than HTTP, or an unlawful upgrade.
    #[error("{url} does not speak WebSocket: {why}; check its host, port and path")]
    NotWebSocket {
        /// The URL asked for.
        url: String,
        /// What was wrong.
        why: String,
    },
    /// The connection broke: try again.
    #[error("connection to {url} broke during the handshake: {source}")]
    Broken {
        /// The URL asked for.
        url: String,
        /// How.
        source: io::Error,
    },
}

/// What to do about a status: nothing where it may pass.
fn advice(status: u16) -> &'static str {
    if status >= 500 || status == 429 { "" } else { "; check its host, port and path" }
}

fn reason_suffix(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// An open session as a client.
#[derive(Debug)]
pub struct Connected<S> {
    /// The open session.
    pub session: Session<S>,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
}

/// Opens a session as a client over a connected stream. It has no deadline of its own: wrap it in `tokio::time::timeout`.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect<S>(stream: S, ask: &Ask, limits: Limits) -> Result<Connected<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let bad = |why: String| ConnectError::BadRequest { url: ask.url.clone(), why };
    let mut request = ask.url.as_str().into_client_request().map_err(|error| bad(error.to_string()))?;
    let mut put = |name: header::HeaderName, value: &str| -> Result<(), ConnectError> {
        let value = HeaderValue::from_str(value).map_err(|error| bad(format!("{name}: {error}")))?;
        request.headers_mut().insert(name, value);
        Ok(())
    };
    if !ask.subprotocols.is_empty() {
        put(header::SEC_WEBSOCKET_PROTOCOL, &ask.subprotocols.join(", "))?;
    }
    if let Some(origin) = &ask.origin {
        put(header::ORIGIN, origin)?;
    }
    if let Some(forwarded) = &ask.forwarded_for {
        put(header::HeaderName::from_static("x-forwarded-for"), forwarded)?;
    }
    match tokio_tungstenite::client_async_with_config(request, stream, Some(limits.config())).await {
        Ok((session, response)) => {
            let subprotocol = response
                .headers()
                .get(header::SEC_WEBSOCKET_PROTOCOL)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned);
            Ok(Connected { session, subprotocol })
        }
        Err(error) => Err(classify(&ask.url, error)),
    }
}

fn classify(url: &str, error: Error) -> ConnectError {
    let url = url.to_owned();
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let reason: String =
                String::from_utf8_lossy(&body[..body.len().min(120)]).lines().next().unwrap_or_default().to_owned();
            ConnectError::Refused { url, status: response.status().as_u16(), reason }
        }
        Error::Io(source) => ConnectError::Broken { url, source },
        Error::ConnectionClosed | Error::AlreadyClosed => {
            ConnectError::Broken { url, source: io::ErrorKind::UnexpectedEof.into() }
        }
        Error::Url(error) => ConnectError::BadRequest { url, why: error.to_string() },
        Error::HttpFormat(error) => ConnectError::BadRequest { url, why: error.to_string() },
        Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::HandshakeIncomplete) => {
            ConnectError::Broken { url, source: io::ErrorKind::UnexpectedEof.into() }
        }
        other => ConnectError::NotWebSocket { url, why: other.to_string() },
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
