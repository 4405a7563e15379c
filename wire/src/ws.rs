//! A WebSocket session over any byte stream: one set of limits for every leg.
//!
//! tungstenite's defaults (128 KiB read buffers that are zero-filled on reads, an unlimited write buffer, 64 MiB messages) are right for a browser's one
//! connection and wrong for ten thousand. [`Limits`] sets small buffers and hard bounds; measured, 4 KiB read buffers made a thousand simulated
//! clients 3.5 to 7 times faster.
//!
//! No extension is ever offered or accepted, so an intermediary may re-frame lawfully (RFC 6455 section 5.4).

mod tap;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

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

/// What a client asked for in its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The request target: path and query.
    pub target: String,
    /// The `Host` header, if readable.
    pub host: Option<String>,
    /// The `Origin` header, if sent; bytes that are no UTF-8 are replaced.
    pub origin: Option<String>,
    /// The subprotocols offered, in the client's order.
    pub subprotocols: Vec<String>,
    /// `X-Forwarded-For`, if sent and readable.
    pub forwarded_for: Option<String>,
}

/// The answer to a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on, with the subprotocol chosen among those offered (or none).
    Accept {
        /// Must be one that the client offered.
        subprotocol: Option<String>,
    },
    /// Refuse with an HTTP status (503 for overload) and a plain-text reason.
    Refuse {
        /// 4xx or 5xx.
        status: u16,
        /// Seconds after which the client may try again (`Retry-After`).
        retry_after_s: Option<u32>,
        /// One line for a person.
        reason: String,
    },
}

struct Decide<F> {
    decide: Option<F>,
    asked: Option<Asked>,
    chosen: Option<String>,
}

impl<F: FnOnce(&Asked) -> Answer> Callback for &mut Decide<F> {
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let text = |name: header::HeaderName| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let asked = Asked {
            target: request.uri().to_string(),
            host: text(header::HOST),
            // Kept where it is no text, too: what cannot be read must not pass for absent.
            origin: request
                .headers()
                .get(header::ORIGIN)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            subprotocols: request
                .headers()
                .get_all(header::SEC_WEBSOCKET_PROTOCOL)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .map(|word| word.trim().to_owned())
                .filter(|word| !word.is_empty())
                .collect(),
            forwarded_for: text(header::HeaderName::from_static("x-forwarded-for")),
        };
        let Some(decide) = self.decide.take() else { return Ok(response) };
        let answer = decide(&asked);
        self.asked = Some(asked);
        match answer {
            Answer::Accept { subprotocol } => {
                if let Some(word) = subprotocol
                    && let Ok(value) = HeaderValue::from_str(&word)
                {
                    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value);
                    self.chosen = Some(word);
                }
                Ok(response)
            }
            Answer::Refuse { status, retry_after_s, reason } => Err(refusal(status, retry_after_s, reason)),
        }
    }
}

fn refusal(status: u16, retry_after_s: Option<u32>, reason: String) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(reason));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Some(seconds) = retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A session that was accepted, and what its client asked for.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The open session.
    pub session: Session<S>,
    /// What the client asked for.
    pub asked: Asked,
    /// The subprotocol chosen.
    pub subprotocol: Option<String>,
}

/// Serves a handshake. It has no deadline of its own: wrap it in `tokio::time::timeout`. `decide` sees the request before anything is answered.
///
/// # Errors
/// [`Error`] where the peer broke off, sent no lawful WebSocket request, or was refused ([`Error::Http`]).
pub async fn accept<S, F>(stream: S, limits: Limits, decide: F) -> Result<Accepted<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnOnce(&Asked) -> Answer + Unpin,
{
    let mut state = Decide { decide: Some(decide), asked: None, chosen: None };
    let session = tokio_tungstenite::accept_hdr_async_with_config(stream, &mut state, Some(limits.config())).await?;
    let asked = state.asked.ok_or(Error::ConnectionClosed)?;
    Ok(Accepted { session, asked, subprotocol: state.chosen })
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
