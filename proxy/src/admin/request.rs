//! A request on the admin address: read strictly, and only what is needed of it. Pure.

use url::form_urlencoded;

/// The longest request head, in bytes.
pub(super) const HEAD_MAX: usize = 8 << 10;
/// The most header lines.
const HEADERS_MAX: usize = 64;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// The parts of the path between slashes, decoded; not empty.
    pub(super) path: Vec<String>,
    /// Names and values after the question mark, decoded.
    pub(super) query: Vec<(String, String)>,
    /// What stands behind `Authorization: Bearer`.
    pub(super) token: Option<String>,
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRequest {
    /// It is no HTTP.
    #[error("not an HTTP request: {0}")]
    Http(#[from] httparse::Error),
    /// It is too long.
    #[error("request head too large: at most {HEAD_MAX} bytes and {HEADERS_MAX} headers")]
    TooLarge,
    /// The path cannot be read.
    #[error("bad path: expected /name, with bytes beyond ASCII as %XX")]
    Path,
}

impl Request {
    /// Reads the head; None if it is not whole yet.
    pub(super) fn parse(head: &[u8]) -> Result<Option<Self>, BadRequest> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let status = match request.parse(head) {
            Err(httparse::Error::TooManyHeaders) => return Err(BadRequest::TooLarge),
            status => status?,
        };
        match status {
            httparse::Status::Partial if head.len() >= HEAD_MAX => return Err(BadRequest::TooLarge),
            httparse::Status::Partial => return Ok(None),
            httparse::Status::Complete(length) if length > HEAD_MAX => return Err(BadRequest::TooLarge),
            httparse::Status::Complete(_) => {}
        }
        let target = request.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix('/').ok_or(BadRequest::Path)?;
        let path = path.split('/').map(|part| decode(part).ok_or(BadRequest::Path)).collect::<Result<_, _>>()?;
        let authorization = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("authorization"));
        let token = authorization.and_then(|header| std::str::from_utf8(header.value).ok()).and_then(bearer);
        Ok(Some(Self {
            token: token.map(str::to_owned),
            method: request.method.unwrap_or_default().to_owned(),
            path,
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        }))
    }

    /// The value of this name, if it is given.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

/// The token of `Bearer TOKEN`; the scheme is read without regard to case (RFC 9110 section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Decodes `%XX`. None for what is no code or gives no text.
fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let code = after.get(..2)?;
            let digit = |at: usize| char::from(code[at]).to_digit(16);
            bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Option<Request> {
        Request::parse(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).ok().flatten()
    }

    fn check(line: &str, method: &str, path: &[&str], query: &[(&str, &str)]) {
        let found = parse(line).unwrap();
        let pairs: Vec<_> = found.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((found.method.as_str(), &*pairs), (method, query), "{line}");
        assert_eq!(found.path, path, "{line}");
    }

    #[test]
    fn a_request_is_taken_apart() {
        check("GET /metrics", "GET", &["metrics"], &[]);
        check("GET /", "GET", &[""], &[]);
        check("GET /clients?limit=5&after=%5B::1%5D:80", "GET", &["clients"], &[("limit", "5"), ("after", "[::1]:80")]);
        check("DELETE /clients/%5b::1%5D%3A80?code", "DELETE", &["clients", "[::1]:80"], &[("code", "")]);
        check("POST /a/0/b?value=5&value=6", "POST", &["a", "0", "b"], &[("value", "5"), ("value", "6")]);
        for bad in ["GET metrics", "GET http://a/metrics", "GET /%", "GET /%4", "GET /%zz", "GET /%ff", "GET", "\0 /"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_is_read_from_its_header() {
        for (header, token) in [
            ("Authorization: Bearer abc", Some("abc")),
            ("authorization:  bearer  abc ", Some("abc")),
            ("Authorization: Basic abc", None),
            ("Authorization: abc", None),
            ("X-Authorization: Bearer abc", None),
        ] {
            let head = format!("GET / HTTP/1.1\r\n{header}\r\n\r\n");
            assert_eq!(Request::parse(head.as_bytes()).unwrap().unwrap().token.as_deref(), token, "{header}");
        }
    }

    #[test]
    fn a_head_is_bounded() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD_MAX));
        assert_eq!(Request::parse(long.as_bytes()), Err(BadRequest::TooLarge));
        assert_eq!(Request::parse(&long.as_bytes()[..HEAD_MAX]), Err(BadRequest::TooLarge));
        assert_eq!(Request::parse(&long.as_bytes()[..HEAD_MAX - 1]), Ok(None));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(Request::parse(many.as_bytes()), Err(BadRequest::TooLarge));
    }

    /// Bytes that look like a request, and bytes that do not.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"GET ".to_vec()),
            Just(b"/clients/".to_vec()),
            Just(b"?limit=%".to_vec()),
            Just(b"%41%f".to_vec()),
            Just(b" HTTP/1.1\r\n".to_vec()),
            Just(b"Host: a\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..20),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_comes_in_pieces_is_read_as_in_one(bytes in bytes()) {
            // The first prefix that is decided decides: the same as a reader who reads byte by byte.
            let first = (0..=bytes.len()).find_map(|end| match Request::parse(&bytes[..end]) {
                Ok(None) => None,
                decided => Some(decided),
            });
            match Request::parse(&bytes) {
                Ok(None) => prop_assert_eq!(first, None),
                Ok(Some(request)) => prop_assert_eq!(first, Some(Ok(Some(request)))),
                Err(_) => prop_assert!(first.is_some()),
            }
        }
    }
}
