//! Opening a session: name, connection, TLS, handshake, each timed apart; and what a dial failed of.

use std::io;
use std::net::SocketAddr;

use tokio::time::{Instant, timeout};
use wire::event::{Event, Why};
use wire::id::{ClientId, SessionId};
use wire::net::{ByteStream, Network, SocketOptions};
use wire::ws::{self, Ask, ConnectError, SUBPROTOCOL};

use crate::client::Crowd;
use crate::measure::{Meter, Shard};
use crate::mouth::Mouth;
use crate::run::Target;
use crate::throttle::Throttled;
use crate::tls::{Connection, MaybeTls, TlsFault};

/// One attempt.
pub(crate) struct Dial<'a, N> {
    pub(crate) crowd: &'a Crowd<N>,
    pub(crate) client: ClientId,
    pub(crate) session_id: SessionId,
    pub(crate) target: usize,
    pub(crate) shard: &'a Shard,
}

/// An open session.
pub(crate) struct Opened<N: Network> {
    pub(crate) upgraded: ws::Upgraded<Connection<N>>,
    pub(crate) strong: bool,
}

/// A dial that failed: the HTTP status (0 below HTTP), the cause as the record has it, and as the summary counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) status: u16,
    pub(crate) why: Why,
    pub(crate) failure: Failure,
}

/// What dials fail of. Who is at fault: the target, but for the last four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody listens there.
    Refused,
    /// The connection was reset before the handshake was over.
    Reset,
    /// The connection was closed before the handshake was over.
    Closed,
    /// No answer in time.
    TimedOut,
    /// No TLS could be agreed on, or the target took it back before the handshake of WebSocket was over.
    Tls(TlsFault),
    /// An HTTP answer that is no upgrade.
    UpgradeRefused,
    /// An answer that is none, or unlawful.
    NotWebSocket,
    /// The name means nothing.
    LookupFailed,
    /// No local port (or no such local address) is left.
    NoPort,
    /// No file descriptor is left.
    NoDescriptor,
    /// The run ended first.
    Abandoned,
}

impl<N: Network> Dial<'_, N> {
    pub(crate) fn place(&self) -> u16 {
        u16::try_from(self.target).unwrap_or(u16::MAX)
    }

    /// Opens a session.
    pub(crate) async fn run(&self) -> Result<Opened<N>, Failed> {
        let late = |_| Failed { status: 0, why: Why::Deadline, failure: Failure::TimedOut };
        let (upgraded, local) = timeout(self.crowd.config.handshake_timeout, self.open()).await.map_err(late)??;
        let strong = upgraded.subprotocol.as_deref() == Some(SUBPROTOCOL);
        let (client, session, target) = (self.client, self.session_id, self.place());
        self.crowd.observer.record(|| Event::ClientOpen { client, session, target, local, strong });
        Ok(Opened { upgraded, strong })
    }

    async fn open(&self) -> Result<(ws::Upgraded<Connection<N>>, SocketAddr), Failed> {
        let Crowd { config, net, targets, .. } = self.crowd;
        let Target { url, host, port, tls } = &targets[self.target];
        // A lookup takes a descriptor, too: that there is none left is this host's want.
        let unknown = |error: io::Error| match below(&error) {
            own @ Failed { failure: Failure::NoDescriptor, .. } => own,
            failed => Failed { failure: Failure::LookupFailed, ..failed },
        };
        let mut since = Instant::now();
        let addrs = net.lookup(host, *port).await.map_err(unknown)?;
        let Some(addr) = addrs.first() else { return Err(unknown(io::ErrorKind::ConnectionRefused.into())) };
        self.took(Meter::Lookup, &mut since);
        let stream = net.connect(*addr, self.socket()).await.map_err(|error| below(&error))?;
        let local = stream.local_addr().map_err(|error| below(&error))?;
        self.took(Meter::Tcp, &mut since);
        let stream = match (tls, &self.crowd.trust) {
            (Some(name), Some(trust)) => {
                let secure = trust.connect(name, stream).await.map_err(|error| insecure(&error))?;
                self.took(Meter::Tls, &mut since);
                MaybeTls::Right(secure)
            }
            _ => MaybeTls::Left(stream),
        };
        let mut ask = Ask { url: url.clone(), ..Ask::default() };
        if self.crowd.roles[(self.client.0 - config.first.0) as usize].strong {
            ask.subprotocols.push(SUBPROTOCOL.to_owned());
        }
        ask.origin.clone_from(&config.behaviour.origin);
        let stream = Throttled::new(stream, config.reader).speaking(Mouth::new(&config.behaviour));
        let mut upgraded = ws::upgrade(stream, &ask).await.map_err(|error| refused(&error))?;
        self.took(Meter::Upgrade, &mut since);
        upgraded.stream.opened();
        Ok((upgraded, local))
    }

    /// Source addresses are taken in turn, so that each meets all targets.
    fn socket(&self) -> SocketOptions {
        let Crowd { config, targets, .. } = self.crowd;
        let turn = self.client.index() / targets.len().max(1);
        let local = match config.source_addresses.len() {
            0 => config.socket.local,
            addresses => Some(config.source_addresses[turn % addresses]),
        };
        SocketOptions { local, ..config.socket }
    }

    fn took(&self, meter: Meter, since: &mut Instant) {
        let now = Instant::now();
        self.shard.record(meter, now.duration_since(std::mem::replace(since, now)), now);
    }
}

fn refused(error: &ConnectError) -> Failed {
    let failed = |status, why, failure| Failed { status, why, failure };
    match error {
        ConnectError::Refused { status, .. } => {
            let why = if matches!(status, 429 | 503) { Why::Admission } else { Why::Protocol };
            failed(*status, why, Failure::UpgradeRefused)
        }
        // Over TLS 1.3 our part of its handshake is done before the target looks at what we are: that it wants a certificate comes as the answer to the upgrade.
        ConnectError::Broken { source, .. } => insecure(source),
        ConnectError::NotWebSocket { .. } => failed(0, Why::Protocol, Failure::NotWebSocket),
        ConnectError::BadRequest { .. } => failed(0, Why::Internal, Failure::NotWebSocket),
    }
}

/// What an error of a connection means that may be one of TLS.
fn insecure(error: &io::Error) -> Failed {
    let fault = TlsFault::of(error).map(|fault| Failed { status: 0, why: Why::Protocol, failure: Failure::Tls(fault) });
    fault.unwrap_or_else(|| below(error))
}

/// What an error below HTTP means.
fn below(error: &io::Error) -> Failed {
    let (why, failure) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (Why::Refused, Failure::Refused),
        io::ErrorKind::TimedOut => (Why::Deadline, Failure::TimedOut),
        io::ErrorKind::UnexpectedEof => (Why::Closed, Failure::Closed),
        // No port or no descriptor left: our own want.
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => (Why::Internal, Failure::NoPort),
        // EMFILE and ENFILE.
        _ if matches!(error.raw_os_error(), Some(24)) => (Why::Internal, Failure::NoDescriptor),
        _ if matches!(error.raw_os_error(), Some(23)) => (Why::Reset, Failure::NoDescriptor),
        _ => (Why::Reset, Failure::Reset),
    };
    Failed { status: 0, why, failure }
}
