//! Reaching a source: name lookup, connection, WebSocket handshake, all under one deadline.

use std::io;
use std::net::SocketAddr;

use tokio::time::Instant;
use tokio_rustls::rustls;
use wire::event::{Event, Why};
use wire::id::SourceId;
use wire::net::{ByteStream, Network, SocketOptions};
use wire::ws::{self, Ask, ConnectError, Session};

use crate::context::Context;
use crate::limits::Limits;
use crate::tls::{MaybeTls, NetStream};

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    host: String,
    port: u16,
    /// Whether it is `wss://`.
    pub(crate) tls: bool,
}

impl Target {
    /// Reads a URL. The error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let url = url::Url::parse(text).map_err(|error| format!("{error} (expected ws://host:port/path)"))?;
        let tls = match url.scheme() {
            "ws" => false,
            "wss" => true,
            other => return Err(format!("the scheme is {other:?}, expected ws://host:port/path, or wss://")),
        };
        let host = match url.host() {
            Some(url::Host::Domain(name)) => name.to_owned(),
            Some(url::Host::Ipv4(addr)) => addr.to_string(),
            Some(url::Host::Ipv6(addr)) => addr.to_string(),
            None => return Err("names no host".into()),
        };
        Ok(Self { host, port: url.port_or_known_default().unwrap_or(if tls { 443 } else { 80 }), tls })
    }
}

/// A dial failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DialError {
    pub(crate) why: Why,
    pub(crate) message: String,
}

impl DialError {
    fn new(why: Why, message: impl Into<String>) -> Self {
        Self { why, message: message.into() }
    }
}

/// A session with a source.
#[derive(Debug)]
pub(crate) struct Leg<S> {
    pub(crate) session: Session<S>,
    pub(crate) local: SocketAddr,
    /// What the source chose.
    pub(crate) subprotocol: Option<String>,
}

/// Dials a source for a leg, and gives account of it: the dial, how long it took, or why it failed. None if it did.
pub(crate) async fn leg<N: Network>(
    context: &Context<N>,
    source: SourceId,
    ask: &Ask,
    limits: &Limits,
) -> Option<Leg<NetStream<N>>> {
    let proxy = context.id;
    context.meter.dials.add(1);
    context.observer.record(|| Event::ProxyDial { proxy, source });
    let started = Instant::now();
    match dial(context, ask, limits).await {
        Ok(leg) => {
            context.meter.dial.observe(started.elapsed());
            Some(leg)
        }
        Err(error) => {
            tracing::warn!(%source, %error, "failed to reach a source");
            context.failed(source, &error);
            context.meter.dials_failed.add(1);
            context.observer.record(|| Event::ProxyLegDown { proxy, source, local: None, why: error.why });
            None
        }
    }
}

/// Dials a source, within the dial timeout in all.
pub(crate) async fn dial<N: Network>(
    context: &Context<N>,
    ask: &Ask,
    limits: &Limits,
) -> Result<Leg<NetStream<N>>, DialError> {
    let timeout = limits.dial_timeout;
    match tokio::time::timeout(timeout, attempt(context, ask, limits)).await {
        Ok(result) => result,
        Err(_) => Err(DialError::new(Why::Deadline, format!("{} did not answer within {timeout:?}", ask.url))),
    }
}

async fn attempt<N: Network>(context: &Context<N>, ask: &Ask, limits: &Limits) -> Result<Leg<NetStream<N>>, DialError> {
    let net = &context.net;
    let target = Target::parse(&ask.url).map_err(|why| DialError::new(Why::Internal, format!("{}: {why}", ask.url)))?;
    let addrs = net
        .lookup(&target.host, target.port)
        .await
        .map_err(|error| DialError::new(Why::Refused, format!("cannot resolve {}: {error}", target.host)))?;
    let mut last = DialError::new(Why::Refused, format!("{} resolves to no address", target.host));
    let options =
        SocketOptions { nodelay: Some(true), send_buffer: limits.source_send_buffer, ..SocketOptions::default() };
    for addr in addrs {
        match net.connect(addr, options).await {
            Ok(stream) => {
                let stream = if target.tls {
                    context.tls.connect(&target.host, stream).await.map_err(|error| no_tls(&ask.url, &error))?
                } else {
                    MaybeTls::Plain(stream)
                };
                return handshake(stream, ask, limits.source_session()).await;
            }
            Err(error) => {
                last = DialError::new(why_of(&error), format!("cannot connect to {addr} ({}): {error}", target.host));
            }
        }
    }
    Err(last)
}

async fn handshake<S: ByteStream>(stream: S, ask: &Ask, limits: ws::Limits) -> Result<Leg<S>, DialError> {
    let local = stream.local_addr().map_err(|error| DialError::new(Why::Reset, error.to_string()))?;
    match ws::connect(stream, ask, limits).await {
        Ok(connected) => Ok(Leg { session: connected.session, local, subprotocol: connected.subprotocol }),
        Err(error) => {
            let why = match &error {
                ConnectError::BadRequest { .. } => Why::Internal,
                ConnectError::Refused { .. } | ConnectError::NotWebSocket { .. } => Why::Protocol,
                ConnectError::Broken { source, .. } => why_of(source),
            };
            Err(DialError::new(why, error.to_string()))
        }
    }
}

/// TLS could not be agreed on: what to do depends on whose fault it is.
fn no_tls(url: &str, error: &io::Error) -> DialError {
    let certificate = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)));
    let (why, advice) = match error.kind() {
        _ if certificate => (Why::Protocol, "; if its certificate is of an authority of your own, name that in tls_ca"),
        io::ErrorKind::InvalidData => (Why::Protocol, "; does it speak TLS on that port?"),
        _ => (why_of(error), ""),
    };
    DialError::new(why, format!("cannot agree on TLS with {url}: {error}{advice}"))
}

/// The cause that an I/O error names.
pub(crate) fn why_of(error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Why::Refused,
        io::ErrorKind::TimedOut => Why::Deadline,
        _ => Why::Reset,
    }
}

/// The cause that a session's error names, for a leg to a source.
pub(crate) fn why_of_session(error: &ws::Error) -> Why {
    match error {
        ws::Error::Io(error) => why_of(error),
        error if ws::is_disconnect(error) => Why::Reset,
        _ => Why::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_tls_handshake_says_whose_fault_it_is() {
        use rustls::{CertificateError, Error};
        let tls = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
        for (error, why, words) in [
            (
                tls(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
                Why::Protocol,
                ["UnknownIssuer", "tls_ca"],
            ),
            (
                tls(Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)),
                Why::Protocol,
                ["corrupt", "that port"],
            ),
            (io::ErrorKind::ConnectionReset.into(), Why::Reset, ["wss://a", "reset"]),
        ] {
            let error = no_tls("wss://a", &error);
            assert_eq!(error.why, why);
            assert!(words.iter().all(|word| error.message.contains(word)), "{}", error.message);
        }
    }

    #[test]
    fn urls_are_checked() {
        let host = |text| Target::parse(text).map(|target| format!("{}|{}", target.host, target.port));
        assert_eq!(host("ws://source-1:9000/feed").unwrap(), "source-1|9000");
        assert_eq!(host("ws://[::1]:9000").unwrap(), "::1|9000");
        assert_eq!(host("ws://host").unwrap(), "host|80");
        assert_eq!(host("wss://host/feed").unwrap(), "host|443");
        for (text, word) in [("http://x", "scheme"), ("127.0.0.1:9000", "ws://"), ("", "ws://")] {
            let why = host(text).unwrap_err();
            assert!(why.contains(word), "{text}: {why}");
        }
    }
}
