//! TLS on both legs, with certificates made here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use proxy::{Mode, Roots};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use wire::event::{Event, Why};
use wire::net::{ListenOptions, Listener, Network, SocketOptions, TaskGuard, TokioNet, TokioStream};
use wire::ws::{self, Ask, ConnectError, Session};

use crate::bench::{Proxy, Source, loopback, soon, tick};

/// An authority, and a folder with what it issues.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        let folder = tempfile::tempdir().unwrap();
        // Each has a name of its own.
        params.distinguished_name.push(DnType::CommonName, folder.path().to_str().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder };
        std::fs::write(authority.ca(), authority.issuer.pem()).unwrap();
        authority.issue();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Writes a new certificate for 127.0.0.1 and its key over those that were there.
    fn issue(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
    }

    fn at_the_listener(&self, config: &mut proxy::Config) {
        config.tls_cert = Some(self.path("cert.pem"));
        config.tls_key = Some(self.path("key.pem"));
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

/// A TLS terminator before a plain source: what it hears, it passes on.
struct Terminator {
    url: String,
    _task: TaskGuard<()>,
}

async fn terminate(source: &Source, authority: &Authority) -> Terminator {
    let key = PrivateKeyDer::from_pem_file(authority.path("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates(&authority.path("cert.pem")), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let net = TokioNet::current();
    let listener = net.bind(loopback(), ListenOptions::default()).await.unwrap();
    let url = format!("wss://{}/feed", listener.local_addr().unwrap());
    let (inner, target) = (net.clone(), source.addr);
    let task = net.spawn("terminator", async move {
        let mut legs = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, net) = (acceptor.clone(), inner.clone());
            let leg = async move {
                let Ok(mut outer) = acceptor.accept(stream).await else { return };
                let mut plain = net.connect(target, SocketOptions::default()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut plain).await;
            };
            legs.push(inner.spawn("terminator-leg", leg).guard());
        }
    });
    Terminator { url, _task: task.guard() }
}

type Secure = TlsStream<TokioStream>;

/// A client that trusts one authority and speaks the protocols given.
async fn agree(proxy: &Proxy, ca: &Path, alpn: &[&str]) -> std::io::Result<Secure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(ca));
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|word| word.as_bytes().to_vec()).collect();
    let stream = TokioNet::current().connect(proxy.addr, SocketOptions::default()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

async fn shake_hands(stream: Secure) -> Result<crate::bench::Client<Secure>, ConnectError> {
    let ask = Ask { url: "wss://127.0.0.1/".to_owned(), ..Ask::default() };
    let session: Session<Secure> = soon(ws::connect(stream, &ask, ws::Limits::default())).await?.session;
    Ok(crate::bench::Client { session })
}

fn shed(proxy: &Proxy, cause: Why) -> usize {
    proxy.record.count(|event| matches!(event, Event::ProxyShed { why, .. } if *why == cause))
}

#[tokio::test]
async fn a_wss_client_gets_what_a_wss_source_says_and_a_tidy_end() {
    for mode in [Mode::Fanout, Mode::Relay] {
        let (ours, theirs) = (Authority::new(), Authority::new());
        let mut source = Source::v1().await;
        let terminator = terminate(&source, &theirs).await;
        let proxy = Proxy::start(mode, std::slice::from_ref(&terminator.url), |config| {
            ours.at_the_listener(config);
            config.tls_ca = Some(theirs.ca());
            config.tls_roots = Roots::None;
        })
        .await;
        let stream = agree(&proxy, &ours.ca(), &["http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut client = shake_hands(stream).await.unwrap();
        assert_eq!(client.text().await, "Connected");
        client.say(r#"{"userKey":"K","symbol":"A"}"#).await;
        source.subscribed(&["A"]).await;
        for n in 1..100 {
            source.tick("A", n);
        }
        for n in 1..100 {
            assert_eq!(client.text().await, tick("A", n), "{mode}");
        }
        proxy.handle.drain();
        assert_eq!(client.closed().await, 1001);
        // The answer goes out, and then the end is read. A connection that is cut would be an error: this one ends by TLS's own word.
        let end = soon(client.session.next()).await;
        assert!(end.is_none(), "{mode}: {end:?}");
    }
}

#[tokio::test]
async fn a_source_of_an_unknown_authority_is_refused_and_one_of_a_known_one_is_not() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let source = Source::v1().await;
    let bad = terminate(&source, &unknown).await;
    let good = terminate(&source, &known).await;
    let proxy = Proxy::start(Mode::Fanout, &[bad.url.clone(), good.url.clone()], |config| {
        config.tls_ca = Some(known.ca());
    })
    .await;
    let up = |event: &Event| matches!(event, Event::ProxyLegUp { source, .. } if source.0 == 1);
    let refused = |event: &Event| matches!(event, Event::ProxyLegDown { source, local: None, why: Why::Protocol, .. } if source.0 == 0);
    soon(async {
        while proxy.record.count(up) == 0 {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(proxy.record.count(refused), 1);
}

#[tokio::test]
async fn what_does_not_speak_our_tls_is_turned_away() {
    let authority = Authority::new();
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        authority.at_the_listener(config);
        config.limits.handshake_timeout = Duration::from_millis(200);
    })
    .await;
    let mut plain = TokioNet::current().connect(proxy.addr, SocketOptions::default()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(shed(&proxy, Why::Protocol), 1);
    // A client that says nothing is held to the deadline of the whole handshake.
    let mut silent = TokioNet::current().connect(proxy.addr, SocketOptions::default()).await.unwrap();
    let _ = soon(silent.read(&mut [0; 16])).await;
    assert_eq!(shed(&proxy, Why::Deadline), 1);
    assert!(agree(&proxy, &authority.ca(), &["h2"]).await.is_err(), "no HTTP/2 here");
    let stranger = agree(&proxy, &Authority::new().ca(), &[]).await.map(drop).unwrap_err();
    assert!(stranger.to_string().contains("UnknownIssuer"), "{stranger}");
}

#[tokio::test]
async fn a_refusal_is_said_over_tls_too() {
    let authority = Authority::new();
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        authority.at_the_listener(config);
        config.limits.clients_max = 1;
    })
    .await;
    let _first = shake_hands(agree(&proxy, &authority.ca(), &[]).await.unwrap()).await.unwrap();
    let second = shake_hands(agree(&proxy, &authority.ca(), &[]).await.unwrap()).await.map(drop);
    assert!(matches!(second, Err(ConnectError::Refused { status: 503, .. })), "{second:?}");
}

#[tokio::test]
async fn a_new_certificate_counts_after_a_reload_and_a_bad_one_does_not() {
    let authority = Authority::new();
    let source = Source::v1().await;
    let mut proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| authority.at_the_listener(config)).await;
    let shown = |stream: &Secure| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let stream = agree(&proxy, &authority.ca(), &[]).await.unwrap();
    let first = shown(&stream);
    let mut inside = shake_hands(stream).await.unwrap();
    assert_eq!(inside.text().await, "Connected");
    authority.issue();
    assert_eq!(shown(&agree(&proxy, &authority.ca(), &[]).await.unwrap()), first, "not before the reload");
    proxy.reconfigure(|_| {}).unwrap();
    let second = shown(&agree(&proxy, &authority.ca(), &[]).await.unwrap());
    assert_ne!(second, first);
    std::fs::write(authority.path("cert.pem"), authority.issuer.pem()).unwrap();
    let error = proxy.reconfigure(|_| {}).unwrap_err();
    assert!(error.starts_with("TLS: tls_cert and tls_key cannot be used: "), "{error}");
    std::fs::write(authority.path("cert.pem"), "nonsense").unwrap();
    let error = proxy.reconfigure(|_| {}).unwrap_err();
    assert!(error.contains("tls_cert") && error.contains("holds no certificate in PEM"), "{error}");
    assert_eq!(shown(&agree(&proxy, &authority.ca(), &[]).await.unwrap()), second, "the old one stays");
    inside.say(r#"{"userKey":"K","symbol":"A"}"#).await;
    let closes = |event: &Event| matches!(event, Event::ProxyClientClose { .. });
    assert_eq!(proxy.record.count(closes), 0, "nobody is closed for it");
}
