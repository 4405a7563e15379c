//! TLS on both legs: certificates of ours for clients, authorities that we trust for sources.
//!
//! rustls with ring; TLS 1.2 and 1.3; ALPN `http/1.1`. The time by which certificates expire is the world's ([`Network::wall_clock`]).

mod stream;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_rustls::rustls::client::ClientConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ServerConfig;
use tokio_rustls::rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use tokio_rustls::rustls::{self, RootCertStore};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wire::net::{ByteStream, Network};

pub(crate) use self::stream::{MaybeTls, NetStream};
use crate::config::{Config, Roots};
use crate::lock::lock;

/// The protocol that is agreed on below WebSocket: its handshake is HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";

/// Bytes that rustls takes of a session before the socket must take some: one record. What is stale should wait where it can be dropped.
const PLAINTEXT_MAX: usize = 16 << 10;

/// Certificates, keys or authorities that cannot be used. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of what it should.
    #[error("{key}: {}: {why}", .path.display())]
    File {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate and its key do not fit, or are of a kind that is not supported.
    #[error("tls_cert and tls_key cannot be used: {0}")]
    Certificate(rustls::Error),
    /// Nothing can be trusted.
    #[error("tls_roots is \"none\" and tls_ca is not given: no source could be trusted by wss://")]
    NoRoots,
}

/// What is used for new connections. A reload exchanges it.
#[derive(Debug)]
pub(crate) struct Tls {
    loaded: Mutex<Arc<Loaded>>,
}

impl Tls {
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self { loaded: Mutex::new(Arc::new(loaded)) }
    }

    /// From now on new connections use this.
    pub(crate) fn exchange(&self, loaded: Loaded) {
        *lock(&self.loaded) = Arc::new(loaded);
    }

    fn now(&self) -> Arc<Loaded> {
        Arc::clone(&lock(&self.loaded))
    }

    /// Serves the TLS handshake of a client, if clients are to speak TLS. It has no deadline of its own.
    ///
    /// # Errors
    /// `InvalidData` where the peer speaks no TLS or none that we do; other kinds where the connection broke.
    pub(crate) async fn accept<S: ByteStream>(&self, stream: S) -> io::Result<MaybeTls<S>> {
        let Some(server) = self.now().server.clone() else { return Ok(MaybeTls::Plain(stream)) };
        let bound = |session: &mut rustls::ServerConnection| session.set_buffer_limit(Some(PLAINTEXT_MAX));
        let stream = TlsAcceptor::from(server).accept_with(stream, bound).await?;
        Ok(MaybeTls::Tls(Box::new(stream.into())))
    }

    /// Agrees on TLS with the source `host`. It has no deadline of its own.
    ///
    /// # Errors
    /// `InvalidData` where its certificate is not good; other kinds where the connection broke.
    pub(crate) async fn connect<S: ByteStream>(&self, host: &str, stream: S) -> io::Result<MaybeTls<S>> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        // A reload that names the first wss:// loads the roots before it names it.
        let client = self.now().client.clone().ok_or_else(|| invalid("no roots are loaded".to_owned()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| invalid(error.to_string()))?;
        let bound = |session: &mut rustls::ClientConnection| session.set_buffer_limit(Some(PLAINTEXT_MAX));
        let stream = TlsConnector::from(client).connect_with(name, stream, bound).await?;
        Ok(MaybeTls::Tls(Box::new(stream.into())))
    }
}

/// What the configuration's files hold, read and checked.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    server: Option<Arc<ServerConfig>>,
    /// Only where a source is named by `wss://`.
    client: Option<Arc<ClientConfig>>,
}

impl Loaded {
    /// Reads the files that the configuration names.
    pub(crate) fn read<N: Network>(config: &Config, net: &N) -> Result<Self, TlsError> {
        Self::read_by(config, Arc::new(Clock(net.clone())))
    }

    /// Whether the files that the configuration names can be used, for a program that will not run.
    pub(crate) fn check(config: &Config) -> Result<(), TlsError> {
        Self::read_by(config, Arc::new(DefaultTimeProvider)).map(drop)
    }

    fn read_by(config: &Config, clock: Arc<dyn TimeProvider>) -> Result<Self, TlsError> {
        let server = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(Arc::new(server(cert, key, Arc::clone(&clock))?)),
            _ => None,
        };
        let wss =
            config.upstreams.iter().any(|upstream| crate::dial::Target::parse(&upstream.url).is_ok_and(|it| it.tls));
        let client = if wss { Some(Arc::new(client(config, clock)?)) } else { None };
        Ok(Self { server, client })
    }
}

fn server(cert: &Path, key: &Path, clock: Arc<dyn TimeProvider>) -> Result<ServerConfig, TlsError> {
    let chain = certificates("tls_cert", cert)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File {
        key: "tls_key",
        path: key.to_owned(),
        why: format!("no private key in PEM: {error}"),
    })?;
    let mut config = ServerConfig::builder_with_details(provider(), clock)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Certificate)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(TlsError::Certificate)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn client(config: &Config, clock: Arc<dyn TimeProvider>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    let mut add = |key: &'static str, path: &Path| {
        for certificate in certificates(key, path)? {
            roots.add(certificate).map_err(|error| TlsError::File {
                key,
                path: path.to_owned(),
                why: error.to_string(),
            })?;
        }
        Ok::<(), TlsError>(())
    };
    if let Some(path) = &config.tls_ca {
        add("tls_ca", path)?;
    }
    match &config.tls_roots {
        Roots::Webpki => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::None => {}
        Roots::File(path) => add("tls_roots", path)?,
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let mut config = ClientConfig::builder_with_details(provider(), clock)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Certificate)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// All certificates of a file, at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |why: String| TlsError::File { key, path: path.to_owned(), why };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| bad(format!("no certificates in PEM: {error}")))?;
    if found.is_empty() { Err(bad("holds no certificate in PEM".to_owned())) } else { Ok(found) }
}

/// The world's wall clock, as rustls asks for it.
#[derive(Debug)]
struct Clock<N>(N);

impl<N: Network> TimeProvider for Clock<N> {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_micros(self.0.wall_clock().as_micros())))
    }
}
