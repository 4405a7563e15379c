//! `wss://` targets, with certificates made here.

use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use wire::net::{ListenOptions, Listener, Network, TaskGuard, TokioNet};
use wire::ws::{self, Answer, Limits};

use crate::statements::load_at;

/// Writes an authority's certificate there, and makes it issue one for this name.
fn issue(ca: &Path, name: &str) -> TlsAcceptor {
    issue_to(ca, name, false)
}

/// The same, for a target that may want a certificate of its client's, too.
fn issue_to(ca: &Path, name: &str, wants_ours: bool) -> TlsAcceptor {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = if wants_ours {
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()))
}

/// An echo over TLS; its URL.
async fn serve(acceptor: TlsAcceptor) -> (String, TaskGuard<()>) {
    let net = TokioNet::current();
    let listener = net.bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
    let target = format!("wss://{}/", listener.local_addr().unwrap());
    let host = net.clone();
    let serving = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            host.spawn("echo", async move {
                let stream = match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => stream,
                    Err((_, mut stream)) => {
                        // What is left unread would go as a reset, which may overtake what the target said.
                        let _ = stream.read_to_end(&mut Vec::new()).await;
                        return;
                    }
                };
                let agree = |_: &ws::Asked| Answer::Accept { subprotocol: None };
                let Ok(accepted) = ws::accept(stream, Limits::default(), agree).await else { return };
                let mut session = accepted.session;
                while let Some(Ok(message)) = session.next().await {
                    if message.is_text() && session.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    };
    (target, net.spawn("tls", serving).guard())
}

const ECHO: [&str; 4] = ["--rate", "20", "--duration", "1s"];

#[tokio::test]
async fn a_target_whose_authority_is_trusted_is_loaded_and_its_tls_is_timed_apart() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let (target, _serving) = serve(issue(&ca, "127.0.0.1")).await;
    let flags = [&ECHO[..], &["--ca", ca.to_str().unwrap()]].concat();
    let (code, summary) = load_at(&target, &flags).await;
    assert_eq!(code, format!("{:?}", std::process::ExitCode::SUCCESS), "{summary}");
    assert_eq!(summary["phases"]["tls"]["count"], 3);
    assert_eq!(summary["requests"], summary["echoes"]);
}

#[tokio::test]
async fn anybody_is_trusted_who_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (target, _serving) = serve(issue(&dir.path().join("ca.pem"), "elsewhere.example")).await;
    let (code, summary) = load_at(&target, &[&ECHO[..], &["--insecure"]].concat()).await;
    assert_eq!(code, format!("{:?}", std::process::ExitCode::SUCCESS), "{summary}");
}

/// Inconclusive, with this word, all three dials.
async fn check(target: &str, flags: &[&str], cause: &str, word: &str) {
    let (code, summary) = load_at(target, &[&ECHO[..], flags].concat()).await;
    assert_eq!(code, format!("{:?}", std::process::ExitCode::from(2)), "{summary}");
    let sentence = summary["sentence"].as_str().unwrap();
    assert!(sentence.contains(word), "{sentence}");
    assert_eq!(summary["dials"]["tls_causes"][cause], 3, "{summary}");
    assert!(summary["phases"].get("tls").is_none(), "no TLS was agreed on: {summary}");
}

#[tokio::test]
async fn a_certificate_that_is_not_good_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let [ca, other] = ["ca.pem", "other.pem"].map(|name| dir.path().join(name));
    issue(&other, "127.0.0.1");
    let (target, _serving) = serve(issue(&ca, "127.0.0.1")).await;
    check(&target, &["--ca", other.to_str().unwrap()], "unknown-issuer", "give the authority's with --ca FILE").await;
    check(&target, &[], "unknown-issuer", "give the authority's with --ca FILE").await;
    let (target, _serving) = serve(issue(&ca, "elsewhere.example")).await;
    check(&target, &["--ca", ca.to_str().unwrap()], "wrong-name", "for another name").await;
}

/// Over TLS 1.3 the client's part is done by then, and it hears of it in place of an answer to its upgrade.
#[tokio::test]
async fn a_target_that_wants_a_certificate_of_ours_is_said_to() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let (target, _serving) = serve(issue_to(&ca, "127.0.0.1", true)).await;
    let (code, summary) = load_at(&target, &[&ECHO[..], &["--ca", ca.to_str().unwrap()]].concat()).await;
    assert_eq!(code, format!("{:?}", std::process::ExitCode::from(2)), "{summary}");
    assert_eq!(summary["dials"]["tls_causes"]["alert"], 3, "{summary}");
    let sentence = summary["sentence"].as_str().unwrap();
    assert!(sentence.contains("it may want other versions or a certificate of ours"), "{sentence}");
}

#[tokio::test]
async fn a_target_that_never_says_a_word_of_tls_has_the_deadline_of_the_dial() {
    let net = TokioNet::current();
    let listener = net.bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
    let target = format!("wss://{}/", listener.local_addr().unwrap());
    let host = net.clone();
    let silent = async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            host.spawn("silence", async move { stream.read_to_end(&mut Vec::new()).await });
        }
    };
    let _serving = net.spawn("silent", silent).guard();
    // All clients are through long before the end: else the run's end would be what ends their dials.
    let (code, summary) = load_at(&target, &["--duration", "20s", "--dial-timeout", "300ms"]).await;
    assert_eq!(code, format!("{:?}", std::process::ExitCode::from(2)), "{summary}");
    assert_eq!((&summary["dials"]["timed_out"], &summary["dials"]["abandoned"]), (&3.into(), &0.into()), "{summary}");
    assert!(summary["sentence"].as_str().unwrap().contains("no answer came in time"), "{summary}");
    assert!(summary["phases"].get("tls").is_none(), "{summary}");
}
