//! A folder over HTTP, for a browser on this machine: GET and HEAD, and nothing that lies outside of the folder.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tower_http::services::ServeDir;
use tower_http::services::fs::{Backend, DefaultServeDirFallback, TokioBackend, TokioFile};
use wire::net::{Listener, Network};

/// Connections at the same time; the next one waits for its turn. A browser opens six.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may be silent before its next request is whole.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a request's head, at most.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// What a page of ours may do: show what it holds. It can ask for nothing, whatever a message in it says.
const POLICY: &str = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A folder to be served.
#[derive(Clone, Debug)]
pub(super) struct Site {
    files: ServeDir<DefaultServeDirFallback, Inside>,
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

impl Site {
    /// Of a folder.
    ///
    /// # Errors
    /// Where the folder cannot be found.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let root = folder.canonicalize()?;
        let inside = Inside { root: root.as_path().into() };
        Ok(Self { files: ServeDir::with_backend(root, inside) })
    }

    /// Serves until its future is dropped.
    pub(super) async fn serve<N: Network>(self, net: &N, listener: N::Listener) {
        let turns = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        // The semaphore is never closed.
        while let Ok(turn) = turns.clone().acquire_owned().await {
            // One that went away before it was accepted; a moment without descriptors passes.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let site = self.clone();
            // It ends with its peer, or with the runtime.
            drop(net.spawn("page", async move {
                let service = service_fn(move |request| {
                    let site = site.clone();
                    async move { Ok::<_, std::convert::Infallible>(site.answer(request).await) }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(HEAD_BYTES_MAX);
                // What a browser breaks off is its own affair.
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
                drop(turn);
            }));
        }
    }

    async fn answer(mut self, request: Request<Incoming>) -> Response<Body> {
        if !is_named(&request) {
            return words(StatusCode::MISDIRECTED_REQUEST, "this address serves 127.0.0.1 and localhost only\n");
        }
        if request.uri().path() == "/favicon.ico" {
            // Browsers ask of themselves, and complain of what is not there.
            return words(StatusCode::NO_CONTENT, "");
        }
        let path = request.uri().path().to_owned();
        let mut response = match self.files.try_call(request).await {
            Ok(response) if response.status() == StatusCode::NOT_FOUND => {
                words(StatusCode::NOT_FOUND, "there is no such file in this folder\n")
            }
            Ok(response) => response.map(|body| body.boxed_unsync()),
            Err(error) => match error.kind() {
                // No name of a file can be so, or none is.
                io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::InvalidFilename => {
                    words(StatusCode::NOT_FOUND, "there is no such file in this folder\n")
                }
                io::ErrorKind::PermissionDenied => words(StatusCode::FORBIDDEN, &format!("not served: {error}\n")),
                _ => words(StatusCode::INTERNAL_SERVER_ERROR, &format!("not served: {error}\n")),
            },
        };
        let is_file = response.status().is_success();
        let mut set = |name: HeaderName, value: &'static str| {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        };
        if is_file {
            set(header::CONTENT_TYPE, content_type(&path));
        }
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::CONTENT_SECURITY_POLICY, POLICY);
        set(header::REFERRER_POLICY, "no-referrer");
        // A run may be done again into the same folder.
        set(header::CACHE_CONTROL, "no-cache");
        response
    }
}

/// Whether a request is for this machine by name: a page from elsewhere whose own name leads to loopback must not read ours. By any port: it may come through a
/// tunnel. HTTP/1.0 names nobody.
fn is_named(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(header::HOST) else { return request.version() < Version::HTTP_11 };
    let name = host.as_bytes().split(|byte| *byte == b':').next().unwrap_or_default();
    name == b"127.0.0.1" || name.eq_ignore_ascii_case(b"localhost")
}

/// A word for a person.
fn words(status: StatusCode, words: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(words.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// By the ending: what of a run folder a browser shows, and in which alphabet. Everything else it may keep.
fn content_type(path: &str) -> &'static str {
    // The page of a folder.
    let name = if path.ends_with('/') { "index.html" } else { path };
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("xml") => "text/xml; charset=utf-8",
        Some("txt" | "md" | "toml" | "jsonl" | "log") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Opens files that lie in a folder when all links are followed.
#[derive(Clone, Debug)]
struct Inside {
    root: Arc<Path>,
}

impl Inside {
    fn real(&self, path: &Path) -> io::Result<PathBuf> {
        let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        let real = path.canonicalize()?;
        if !real.starts_with(&self.root) {
            return refuse("a link leads out of the folder");
        }
        let kind = real.metadata()?;
        if !kind.is_file() && !kind.is_dir() {
            return refuse("neither a file nor a folder");
        }
        Ok(real)
    }
}

impl Backend for Inside {
    type File = TokioFile;
    type Metadata = std::fs::Metadata;
    type OpenFuture = Pin<Box<dyn Future<Output = io::Result<TokioFile>> + Send>>;
    type MetadataFuture = Pin<Box<dyn Future<Output = io::Result<std::fs::Metadata>> + Send>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        match self.real(&path) {
            Ok(real) => TokioBackend.open(real),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        match self.real(&path) {
            Ok(real) => TokioBackend.metadata(real),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}
