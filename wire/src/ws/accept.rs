//! The server's side of a handshake: a request read within bounds, and a clear answer to whatever came instead.
//!
//! tungstenite alone reads 64 KiB and 124 headers of a request, and drops a connection whose request it does not like without a word. Here the bounds are
//! [`HEAD_BYTES_MAX`] and [`HEADERS_MAX`], and each mistake has its HTTP status, so that a person with `curl`, or a health check on the wrong path, sees what is
//! the matter.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Error, Limits, Session};

/// The longest request head, in bytes, its last empty line included; a longer one is answered 431. Browsers send well below 4 KiB without cookies, and
/// nginx takes 8 KiB for one line of a request.
pub const HEAD_BYTES_MAX: usize = 8 << 10;

/// The most headers of a request; more are answered 431.
pub const HEADERS_MAX: usize = 64;

/// The most subprotocols of an offer that are read, first come first: a longer list is mostly an attempt to make us hold one.
pub const SUBPROTOCOLS_MAX: usize = 64;

/// What is read, and thrown away, of a request that was too long: closing a socket with unread bytes would reset it, and the answer with it.
const LINGER_BYTES_MAX: usize = 64 << 10;

/// What a client asked for in its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The request target: path and query.
    pub target: String,
    /// The `Host` header, if readable.
    pub host: Option<String>,
    /// The `Origin` header, if sent; bytes that are no UTF-8 are replaced.
    pub origin: Option<String>,
    /// The subprotocols offered, in the client's order; what comes after [`SUBPROTOCOLS_MAX`] of them is as if it were not offered.
    pub subprotocols: Vec<String>,
    /// All headers of the request.
    pub headers: HeaderMap,
}

impl Asked {
    fn new(request: &Request) -> Self {
        let text =
            |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
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
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .take(SUBPROTOCOLS_MAX)
                .map(str::to_owned)
                .collect(),
            headers: request.headers().clone(),
        }
    }
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
/// A request that is no lawful WebSocket handshake is answered with 400, 405, 426, 431 or 505 and a line that says why. Until the request is whole it holds no
/// more than [`HEAD_BYTES_MAX`].
///
/// # Errors
/// [`Error::Http`] with the answer given where the peer was refused or sent no lawful request; other kinds where it broke off.
pub async fn accept<S, F>(stream: S, limits: Limits, decide: F) -> Result<Accepted<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnOnce(&Asked) -> Answer,
{
    let asking = hear(stream).await?;
    let answer = decide(&asking.asked);
    asking.answer(limits, answer).await
}

/// A lawful request that waits for its answer.
#[derive(Debug)]
pub struct Asking<S> {
    stream: S,
    response: Response<()>,
    /// What the client asks for.
    pub asked: Asked,
}

/// The first half of [`accept`], for who must ask elsewhere before it can answer: reads the request.
///
/// # Errors
/// As [`accept`].
pub async fn hear<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Result<Asking<S>, Error> {
    let head = match read_head(&mut stream).await? {
        Head::Whole(head) => head,
        Head::TooLong => {
            let refusal = Refusal::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!("the request is longer than {HEAD_BYTES_MAX} bytes\n"),
            );
            let error = refusal.answer(&mut stream).await?;
            linger(&mut stream).await;
            return Err(error);
        }
    };
    match understand(&head) {
        Ok((request, response)) => Ok(Asking { stream, response, asked: Asked::new(&request) }),
        Err(refusal) => Err(refusal.answer(&mut stream).await?),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Asking<S> {
    /// The stream that the answer is written to.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The second half of [`accept`]: answers.
    ///
    /// # Errors
    /// As [`accept`].
    pub async fn answer(self, limits: Limits, answer: Answer) -> Result<Accepted<S>, Error> {
        let Self { mut stream, mut response, asked } = self;
        let subprotocol = match answer {
            Answer::Refuse { status, retry_after_s, reason } => {
                return Err(Refusal::decided(status, retry_after_s, reason).answer(&mut stream).await?);
            }
            Answer::Accept { subprotocol } => subprotocol.and_then(|word| {
                let value = HeaderValue::from_str(&word).ok()?;
                response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value);
                Some(word)
            }),
        };
        let mut bytes = Vec::with_capacity(256);
        write_response(&mut bytes, &response)?;
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        let session = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits.config())).await;
        Ok(Accepted { session, asked, subprotocol })
    }
}

/// Refuses whoever is there, whatever it asks for: reads its request, as far as the bound goes, so that the answer is not lost in a reset, answers, and waits until
/// the peer closes. It has no deadline of its own.
///
/// # Errors
/// Where the peer broke off before it was answered.
pub async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    status: u16,
    retry_after_s: Option<u32>,
    reason: &str,
) -> Result<(), Error> {
    read_head(&mut stream).await?;
    Refusal::decided(status, retry_after_s, reason.to_owned()).answer(&mut stream).await?;
    linger(&mut stream).await;
    Ok(())
}

enum Head {
    /// Up to its empty line, and what came with that.
    Whole(Vec<u8>),
    TooLong,
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Head, Error> {
    let mut head = Vec::with_capacity(1024);
    let mut chunk = [0; 1024];
    loop {
        let n = stream.read(&mut chunk).await?;
        if n == 0 {
            return Err(Error::Protocol(ProtocolError::HandshakeIncomplete));
        }
        // An end may begin three bytes before the news.
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&chunk[..n]);
        match end_of_head(&head[from..]).map(|end| from + end) {
            Some(end) if end <= HEAD_BYTES_MAX => return Ok(Head::Whole(head)),
            None if head.len() <= HEAD_BYTES_MAX => {}
            _ => return Ok(Head::TooLong),
        }
    }
}

/// Where the first empty line ends. A line may end without its carriage return (RFC 9112 section 2.2).
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find_map(|at| match &bytes[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Reads a whole head, and makes the answer that a lawful one gets.
fn understand(head: &[u8]) -> Result<(Request, tokio_tungstenite::tungstenite::handshake::server::Response), Refusal> {
    // One line is the request's, one is empty.
    let headers = head.iter().filter(|byte| **byte == b'\n').count().saturating_sub(2);
    if headers > HEADERS_MAX {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Refusal::new(status, format!("the request has more than {HEADERS_MAX} headers\n")));
    }
    match Request::try_parse(head) {
        Ok(Some((size, _))) if size < head.len() => Err(Refusal::unlawful(&ProtocolError::JunkAfterRequest.into())),
        Ok(Some((_, request))) => {
            let response = create_response(&request).map_err(|error| Refusal::unlawful(&error))?;
            Ok((request, response))
        }
        Ok(None) => Err(Refusal::unlawful(&ProtocolError::HandshakeIncomplete.into())),
        Err(error) => Err(Refusal::unlawful(&error)),
    }
}

/// An answer of plain text, after which the connection closes.
struct Refusal {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    reason: String,
}

impl Refusal {
    fn new(status: StatusCode, reason: String) -> Self {
        Self { status, headers: Vec::new(), reason }
    }

    /// What a server decided; [`Answer::Refuse`].
    fn decided(status: u16, retry_after_s: Option<u32>, reason: String) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let retry = retry_after_s.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds)));
        Self { status, headers: retry.into_iter().collect(), reason }
    }

    /// The answer to what is no WebSocket handshake (RFC 6455 section 4.2.1 and 4.4, RFC 9110 section 15.5).
    fn unlawful(error: &Error) -> Self {
        let (status, with) = match error {
            Error::Protocol(ProtocolError::WrongHttpMethod) => {
                (StatusCode::METHOD_NOT_ALLOWED, Some((header::ALLOW, "GET")))
            }
            Error::Protocol(ProtocolError::WrongHttpVersion) => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, None),
            Error::Protocol(
                ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader,
            ) => (StatusCode::UPGRADE_REQUIRED, Some((header::UPGRADE, "websocket"))),
            Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
                (StatusCode::UPGRADE_REQUIRED, Some((header::SEC_WEBSOCKET_VERSION, "13")))
            }
            _ => (StatusCode::BAD_REQUEST, None),
        };
        let mut refusal = Self::new(status, format!("this is a WebSocket server: {error}\n"));
        refusal.headers.extend(with.map(|(name, value)| (name, HeaderValue::from_static(value))));
        refusal
    }

    /// Writes the answer and the end of our side; gives the error that tells of it.
    async fn answer<S: AsyncWrite + Unpin>(self, stream: &mut S) -> Result<Error, Error> {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.reason.len()));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.extend(self.headers);
        let mut bytes = Vec::with_capacity(256);
        write_response(&mut bytes, &response)?;
        bytes.extend_from_slice(self.reason.as_bytes());
        stream.write_all(&bytes).await?;
        stream.shutdown().await?;
        Ok(Error::Http(Box::new(response.map(|()| Some(self.reason.into_bytes())))))
    }
}

/// Reads until the peer has the answer and closes, within a bound. (The caller's deadline bounds the time.)
async fn linger<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut chunk = [0; 1024];
    let mut seen = 0;
    while seen < LINGER_BYTES_MAX {
        match stream.read(&mut chunk).await {
            Ok(n @ 1..) => seen += n,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    const LAWFUL: &str = "GET /feed?x=1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    /// What a server answers to `request`, sent in chunks of `chunk` bytes, and what it makes of it.
    async fn serve(request: &[u8], chunk: usize) -> (String, Result<Asked, Error>) {
        let (mut client, server) = duplex(1 << 20);
        let client = async move {
            for chunk in request.chunks(chunk) {
                if client.write_all(chunk).await.is_err() {
                    break;
                }
                // The server sees each by itself.
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        };
        let server = async {
            let decide = |asked: &Asked| match asked.target.as_str() {
                "/no" => Answer::Refuse { status: 503, retry_after_s: Some(7), reason: "full\n".to_owned() },
                _ => Answer::Accept { subprotocol: asked.subprotocols.first().cloned() },
            };
            // Dropped at once: the client reads to the end.
            accept(server, Limits::default(), decide).await.map(|accepted| accepted.asked)
        };
        tokio::join!(client, server)
    }

    fn check(request: &str, status: u16, words: &[&str]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for chunk in [1, 7, 1000, usize::MAX] {
            let (answer, result) = runtime.block_on(serve(request.as_bytes(), chunk));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?} to {request:?}");
            for word in words {
                assert!(answer.contains(word), "{word:?} is not in {answer:?}");
            }
            match result {
                Ok(asked) => assert_eq!((status, asked.host.as_deref()), (101, Some("a"))),
                Err(Error::Http(response)) => assert_eq!(response.status(), status),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_lawful_request_is_accepted_in_whatever_pieces_it_comes() {
        let accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        check(&format!("{LAWFUL}\r\n"), 101, &[accept]);
        check(
            &format!("{LAWFUL}Sec-WebSocket-Protocol: b, c\r\n\r\n"),
            101,
            &[accept, "sec-websocket-protocol: b\r\n"],
        );
        check(&format!("{LAWFUL}\r\n").replace("\r\n", "\n"), 101, &[accept]);
    }

    #[test]
    fn what_is_no_handshake_is_told_what_it_lacks() {
        let lawful = format!("{LAWFUL}\r\n");
        for (what, instead, status, word) in [
            ("GET", "POST", 405, "allow: GET\r\n"),
            ("HTTP/1.1", "HTTP/1.0", 505, "HTTP version must be 1.1"),
            ("Upgrade: websocket\r\n", "", 426, "upgrade: websocket\r\n"),
            ("Connection: keep-alive, Upgrade\r\n", "", 426, "upgrade: websocket\r\n"),
            ("Version: 13", "Version: 8", 426, "sec-websocket-version: 13\r\n"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400, "Sec-WebSocket-Key"),
            ("Host: a", "Host a", 400, "httparse"),
            ("\r\n\r\n", "\r\n\r\nearly", 400, "Junk"),
            ("/feed?x=1", "/no", 503, "retry-after: 7\r\n"),
        ] {
            check(&lawful.replace(what, instead), status, &[word, "connection: close\r\n", "content-length: "]);
        }
        check("\x16\x03\x01\n\n", 400, &[]);
    }

    #[test]
    fn a_head_at_the_bounds_passes_and_beyond_them_it_is_answered_431() {
        let padded = |bytes: usize| format!("{LAWFUL}X: {}\r\n\r\n", "x".repeat(bytes - LAWFUL.len() - 7));
        assert_eq!(padded(HEAD_BYTES_MAX).len(), HEAD_BYTES_MAX);
        check(&padded(HEAD_BYTES_MAX), 101, &[]);
        check(&padded(HEAD_BYTES_MAX + 1), 431, &["longer than 8192 bytes"]);
        check(&padded(40_000), 431, &["longer than 8192 bytes"]);
        check(&"x".repeat(HEAD_BYTES_MAX + 1), 431, &[]);
        let many = |headers: usize| format!("{LAWFUL}{}\r\n", "X: y\r\n".repeat(headers - 5));
        check(&many(HEADERS_MAX), 101, &[]);
        check(&many(HEADERS_MAX + 1), 431, &["more than 64 headers"]);
    }

    proptest! {
        /// Whatever comes, and in whatever pieces: an answer in HTTP, or nothing where the peer broke off.
        #[test]
        fn no_request_gets_less_than_an_answer(
            noise in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), any::<u8>()], 0..300),
            at in 0..LAWFUL.len(),
            chunk in 1..50_usize,
            ends in any::<bool>(),
        ) {
            let mut request = LAWFUL.as_bytes().to_vec();
            request.splice(at..at, noise);
            if ends {
                request.extend_from_slice(b"\r\n");
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (answer, result) = runtime.block_on(serve(&request, chunk));
            match result {
                Ok(_) => prop_assert!(answer.starts_with("HTTP/1.1 101 ")),
                Err(Error::Http(_)) => prop_assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5")),
                Err(_) => prop_assert!(!ends && answer.is_empty(), "{answer:?}"),
            }
        }
    }
}
