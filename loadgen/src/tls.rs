//! TLS to a target: whom to trust, and what a handshake failed of.
//!
//! rustls with ring; TLS 1.2 and 1.3; ALPN `http/1.1`. No session is resumed: each client is somebody new, and pays for a whole handshake. Certificates expire by this
//! host's clock, and keys are drawn by the operating system: it is for real sockets, and not for a simulated world.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{ClientConfig, Resumption};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_util::either::Either;
use wire::net::Network;

use crate::throttle::Throttled;

/// The protocol that is agreed on below WebSocket: its handshake is HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";

/// A connection in the world `N`, with or without TLS, as its client reads and writes it. A session of TLS is a kilobyte and more: boxed.
pub(crate) type Connection<N> = Throttled<MaybeTls<<N as Network>::Stream>>;

pub(crate) type MaybeTls<S> = Either<S, Box<TlsStream<S>>>;

/// Whose certificates are good at `wss://` targets.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

/// A file of authorities that cannot be used. The caller's to mend.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub struct TrustError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

impl Trust {
    /// Those of the public authorities that Mozilla trusts.
    #[must_use]
    pub fn public() -> Self {
        Self::roots(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Those of the authorities in a file of PEM, and of the public ones.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate that can be an authority's.
    pub fn and_of(path: &Path) -> Result<Self, TrustError> {
        let bad = |why: String| TrustError { path: path.to_owned(), why };
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let found = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| bad(format!("no certificates in PEM: {error}")))?;
        if found.is_empty() {
            return Err(bad("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned()));
        }
        for certificate in found {
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
        Ok(Self::roots(roots))
    }

    /// Anybody's: for targets of one's own.
    #[must_use]
    pub fn anybody() -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Anybody(Arc::clone(&provider)));
        let builder = builder(provider).dangerous().with_custom_certificate_verifier(verifier);
        Self::of(builder.with_no_client_auth())
    }

    fn roots(roots: RootCertStore) -> Self {
        Self::of(builder(Arc::new(ring::default_provider())).with_root_certificates(roots).with_no_client_auth())
    }

    fn of(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// Agrees on TLS with a target. It has no deadline of its own.
    pub(crate) async fn connect<S>(&self, name: &ServerName<'static>, stream: S) -> io::Result<Box<TlsStream<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsConnector::from(Arc::clone(&self.0)).connect(name.clone(), stream).await.map(Box::new)
    }
}

fn builder(provider: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(provider);
    builder.with_safe_default_protocol_versions().expect("ring has ciphers of TLS 1.2 and 1.3")
}

/// What a handshake of TLS failed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsFault {
    UnknownIssuer,
    WrongName,
    Expired,
    Certificate,
    Alert,
    NotTls,
    Other,
}

impl TlsFault {
    const ALL: [Self; 7] = [
        Self::UnknownIssuer,
        Self::WrongName,
        Self::Expired,
        Self::Certificate,
        Self::Alert,
        Self::NotTls,
        Self::Other,
    ];

    /// What an error of a handshake means; None: the connection broke.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(match error {
            rustls::Error::InvalidCertificate(why) => match why {
                // The second: an authority of the same name, and another key.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired,
                _ => Self::Certificate,
            },
            rustls::Error::AlertReceived(_) => Self::Alert,
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        })
    }

    /// Its word in `summary.json`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "unknown-issuer",
            Self::WrongName => "wrong-name",
            Self::Expired => "expired",
            Self::Certificate => "bad-certificate",
            Self::Alert => "alert",
            Self::NotTls => "not-tls",
            Self::Other => "other",
        }
    }

    /// What is wrong, and what to do, of a word.
    pub(crate) fn said(word: &str) -> &'static str {
        match Self::ALL.into_iter().find(|fault| fault.word() == word).unwrap_or(Self::Other) {
            Self::UnknownIssuer => {
                "the target's certificate is of no authority that is trusted here: give the authority's with --ca FILE, or trust anybody with --insecure"
            }
            Self::WrongName => {
                "the target's certificate is for another name: dial it by the name that stands in it, or trust anybody with --insecure"
            }
            Self::Expired => {
                "the target's certificate is not valid at this hour: look at its dates and at this host's clock, or trust anybody with --insecure"
            }
            Self::Certificate => "the target's certificate cannot be used; --insecure looks at none",
            Self::Alert => {
                "the target broke off the TLS handshake: it may want other versions or a certificate of ours"
            }
            Self::NotTls => "what the target answered is not TLS: is it ws://?",
            Self::Other => "the TLS handshake failed",
        }
    }
}

/// Believes every certificate, and looks only whether its owner has the key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
