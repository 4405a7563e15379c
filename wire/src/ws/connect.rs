//! The client's side of a handshake.
//!
//! tungstenite's own refuses what RFC 6455 allows: a server that chooses none of the subprotocols offered, and `Connection: keep-alive, Upgrade`. It lets
//! pass what the RFC forbids: an extension that nobody offered. Its parts are used here, its verdict is not.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Response, generate_request};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Limits, Session};

/// The longest answer to a handshake, in bytes, its last empty line included.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// What an error's text quotes of a word of the server's, in characters.
const QUOTED_CHARS_MAX: usize = 64;

/// What a client wants of a server.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ask {
    /// The whole URL, `ws://host:port/path`.
    pub url: String,
    /// Subprotocols to offer, best first.
    pub subprotocols: Vec<String>,
    /// `Origin`, for servers that check it.
    pub origin: Option<String>,
    /// Further headers. Those of the handshake itself (`Host`, `Connection`, `Upgrade`, `Sec-WebSocket-*`) are its own and never taken from here.
    pub headers: HeaderMap,
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

/// What a handshake leaves, before a session is made of it: for who reads the frames himself.
#[derive(Debug)]
pub struct Upgraded<S> {
    /// The stream.
    pub stream: S,
    /// What the server said behind its answer: the first bytes of its first frames.
    pub rest: Vec<u8>,
    /// As [`Connected::subprotocol`].
    pub subprotocol: Option<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Upgraded<S> {
    /// A session of it.
    pub async fn session(self, limits: Limits) -> Session<S> {
        // The server may have begun to speak with its answer.
        WebSocketStream::from_partially_read(self.stream, self.rest, Role::Client, Some(limits.config())).await
    }
}

/// An open session as a client.
#[derive(Debug)]
pub struct Connected<S> {
    /// The open session.
    pub session: Session<S>,
    /// The subprotocol that the server chose among those offered. A server may choose none (RFC 6455 section 4.2.2).
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
    let mut upgraded = upgrade(stream, ask).await?;
    let subprotocol = upgraded.subprotocol.take();
    Ok(Connected { session: upgraded.session(limits).await, subprotocol })
}

/// The handshake of [`connect`] alone.
///
/// # Errors
/// [`ConnectError`].
pub async fn upgrade<S>(mut stream: S, ask: &Ask) -> Result<Upgraded<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |source| ConnectError::Broken { url: ask.url.clone(), source };
    let (request, key) = request(ask).map_err(|why| ConnectError::BadRequest { url: ask.url.clone(), why })?;
    stream.write_all(&request).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let (response, rest) = answer(&mut stream, ask).await?;
    let subprotocol = verify(ask, &response, &key, &rest)?;
    Ok(Upgraded { stream, rest, subprotocol })
}

/// The request's bytes and its key.
fn request(ask: &Ask) -> Result<(Vec<u8>, String), String> {
    let mut request = ask.url.as_str().into_client_request().map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    for (name, value) in &ask.headers {
        if !is_of_the_handshake(name) {
            headers.append(name, value.clone());
        }
    }
    let mut put = |name: HeaderName, value: &str| {
        let value = HeaderValue::from_str(value).map_err(|error| format!("{name}: {error}"))?;
        headers.insert(name, value);
        Ok::<_, String>(())
    };
    if !ask.subprotocols.is_empty() {
        put(header::SEC_WEBSOCKET_PROTOCOL, &ask.subprotocols.join(", "))?;
    }
    if let Some(origin) = &ask.origin {
        put(header::ORIGIN, origin)?;
    }
    generate_request(request).map_err(|error| error.to_string())
}

/// Whether a header belongs to the handshake itself, or to the connection that carries it: such a one is never passed on from elsewhere.
#[must_use]
pub fn is_of_the_handshake(name: &HeaderName) -> bool {
    name.as_str().starts_with("sec-websocket-")
        || [
            header::HOST,
            header::CONNECTION,
            header::UPGRADE,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::TE,
            header::TRAILER,
        ]
        .contains(name)
}

/// The server's answer, and what came behind it.
async fn answer<S: AsyncRead + Unpin>(stream: &mut S, ask: &Ask) -> Result<(Response, Vec<u8>), ConnectError> {
    let broken = |source| ConnectError::Broken { url: ask.url.clone(), source };
    let alien = |why: String| ConnectError::NotWebSocket { url: ask.url.clone(), why };
    let mut head = Vec::with_capacity(512);
    let mut chunk = [0; 1024];
    loop {
        let n = stream.read(&mut chunk).await.map_err(broken)?;
        if n == 0 {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        head.extend_from_slice(&chunk[..n]);
        match Response::try_parse(&head).map_err(|error| alien(error.to_string()))? {
            Some((size, response)) => {
                head.drain(..size);
                return Ok((response, head));
            }
            None if head.len() > HEAD_BYTES_MAX => {
                return Err(alien(format!("its answer is longer than {HEAD_BYTES_MAX} bytes")));
            }
            None => {}
        }
    }
}

/// The subprotocol chosen, if the answer is a lawful upgrade (RFC 6455 section 4.1).
fn verify(ask: &Ask, response: &Response, key: &str, rest: &[u8]) -> Result<Option<String>, ConnectError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let body = &rest[..rest.len().min(120)];
        let reason = String::from_utf8_lossy(body).lines().next().unwrap_or_default().to_owned();
        return Err(ConnectError::Refused { url: ask.url.clone(), status: response.status().as_u16(), reason });
    }
    let alien = |why: String| Err(ConnectError::NotWebSocket { url: ask.url.clone(), why });
    // Never gathered: of 16 KiB of commas, a list would be many times as long.
    let words = |name: HeaderName| {
        let values = response.headers().get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
    };
    if !words(header::UPGRADE).any(|word| word.eq_ignore_ascii_case("websocket")) {
        return alien("its answer lacks \"Upgrade: websocket\"".into());
    }
    if !words(header::CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade")) {
        return alien("its answer lacks \"Connection: Upgrade\"".into());
    }
    if !words(header::SEC_WEBSOCKET_ACCEPT).eq([derive_accept_key(key.as_bytes())]) {
        return alien("its Sec-WebSocket-Accept does not fit our key".into());
    }
    if let Some(extension) = words(header::SEC_WEBSOCKET_EXTENSIONS).next() {
        return alien(format!("it chose the extension {}, which was not offered", quoted(extension)));
    }
    let mut chosen = words(header::SEC_WEBSOCKET_PROTOCOL);
    match (chosen.next(), chosen.next()) {
        (None, _) => Ok(None),
        (Some(word), None) if ask.subprotocols.iter().any(|offered| offered == word) => Ok(Some(word.to_owned())),
        (Some(word), None) => alien(format!("it chose the subprotocol {}, which was not offered", quoted(word))),
        (Some(one), Some(other)) => {
            alien(format!("it chose more than one subprotocol: {}, {}", quoted(one), quoted(other)))
        }
    }
}

/// The beginning of a peer's word, for an error's text: a peer does not choose how long that is.
fn quoted(word: &str) -> String {
    match word.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{:?} and more", &word[..end]),
        None => format!("{word:?}"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// What becomes of an answer; `ACCEPT` in it stands for the right key.
    fn check(answer: &str) -> (Result<Option<String>, String>, String) {
        let ask = Ask {
            url: "ws://feed:9000/path?query".into(),
            subprotocols: vec!["b".into(), "c".into()],
            headers: HeaderMap::from_iter([
                (HeaderName::from_static("x-real-ip"), HeaderValue::from_static("192.0.2.1")),
                (header::HOST, HeaderValue::from_static("elsewhere")),
                (header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static("permessage-deflate")),
            ]),
            ..Ask::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (client, mut server) = duplex(1 << 16);
            let serve = async {
                let mut request = vec![0; 4096];
                let n = server.read(&mut request).await.unwrap();
                let request = String::from_utf8(request[..n].to_vec()).unwrap();
                let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
                let answer = answer.replace("ACCEPT", &derive_accept_key(key.as_bytes()));
                for part in answer.as_bytes().chunks(7) {
                    if server.write_all(part).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                drop(server);
                request
            };
            let (connected, request) = tokio::join!(connect(client, &ask, Limits::default()), serve);
            (connected.map(|connected| connected.subprotocol).map_err(|error| error.to_string()), request)
        })
    }

    const LAWFUL: &str =
        "HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n";

    #[test]
    fn a_lawful_answer_is_taken_with_the_subprotocol_that_it_chose_or_none() {
        assert_eq!(check(&format!("{LAWFUL}\r\n")).0, Ok(None));
        assert_eq!(check(&format!("{LAWFUL}Sec-WebSocket-Protocol: c\r\n\r\n")).0, Ok(Some("c".into())));
        let both = LAWFUL.replace("Connection: Upgrade", "connection: keep-alive, upgrade");
        assert_eq!(check(&format!("{both}\r\n")).0, Ok(None));
    }

    #[test]
    fn an_unlawful_answer_is_named() {
        let lawful = format!("{LAWFUL}\r\n");
        for (what, instead, word) in [
            ("101 Fine", "404 Nothing", "HTTP status"),
            ("Upgrade: websocket", "Upgrade: h2c", "lacks \"Upgrade: websocket\""),
            ("Connection: Upgrade", "Connection: close", "lacks \"Connection: Upgrade\""),
            ("ACCEPT", "bm90IHRoYXQga2V5", "does not fit our key"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: d\r\n\r\n", "\"d\", which was not offered"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: c, d\r\n\r\n", "more than one subprotocol: \"c\", \"d\""),
            ("\r\n\r\n", &format!("\r\nSec-WebSocket-Protocol: {}\r\n\r\n", "x".repeat(999)), "xx\" and more, which"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; x\r\n\r\n", "permessage-deflate"),
            ("\r\n\r\n", "\r\n", "broke during the handshake"),
            ("HTTP/1.1", "SMTP", "does not speak WebSocket"),
            ("Fine", &"x".repeat(17 << 10), "longer than 16384 bytes"),
        ] {
            let error = check(&lawful.replacen(what, instead, 1)).0.unwrap_err();
            assert!(error.contains(word) || word == "HTTP status" && error.contains("answered HTTP 404"), "{error}");
        }
    }

    #[test]
    fn further_headers_are_sent_and_never_those_of_the_handshake() {
        let (_, request) = check("");
        assert!(request.starts_with("GET /path?query HTTP/1.1\r\nHost: feed:9000\r\n"), "{request}");
        assert!(request.contains("\r\nSec-WebSocket-Protocol: b, c\r\n"), "{request}");
        assert!(request.contains("\r\nx-real-ip: 192.0.2.1\r\n"), "{request}");
        assert!(!request.contains("elsewhere") && !request.to_lowercase().contains("extensions"), "{request}");
    }
}
