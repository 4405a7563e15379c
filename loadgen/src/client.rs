//! One virtual client: waits for its planned arrival, dials, talks, and comes again if it is told to.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Why};
use wire::feed::Protocol;
use wire::id::{ClientId, SessionId, Symbol};
use wire::net::{ByteStream, Network};
use wire::ws::{self, Ask, ConnectError, SUBPROTOCOL};

use crate::backoff::Backoff;
use crate::config::{Config, Load};
use crate::mouth::Mouth;
use crate::order::Book;
use crate::run::Target;
use crate::session::{Ended, Talk};
use crate::summary::{Meter, Shard, Tally};
use crate::throttle::Throttled;

/// What all clients share.
pub(crate) struct Crowd<N> {
    pub(crate) config: Config,
    pub(crate) targets: Vec<Target>,
    pub(crate) net: N,
    pub(crate) observer: Observer,
    pub(crate) stop: CancellationToken,
    /// When every client closes.
    pub(crate) end: Instant,
}

/// Lives one client's life, from its planned arrival to the end of the run.
pub(crate) async fn live<N: Network>(crowd: Arc<Crowd<N>>, client: ClientId, arrival: Instant, shard: Shard) -> Tally {
    let mut tally = Tally::default();
    let crowd = &*crowd;
    let end = match crowd.config.load {
        Load::Open { stay: Some(stay), .. } => arrival.checked_add(stay).map_or(crowd.end, |own| own.min(crowd.end)),
        _ => crowd.end,
    };
    let over = async {
        wire::select! {
            () = crowd.stop.cancelled() => {}
            () = sleep_until(end) => {}
        }
    };
    let mut over = pin!(over.fuse());
    let mut symbols = symbols_of(&crowd.config, &crowd.net, client, 0);
    let mut backoff = crowd.config.reconnect.map(|policy| {
        let draws = crowd.net.draws("reconnect", u64::from(client.0));
        Backoff::new(policy, draws)
    });
    let mut lengths = crowd.net.draws("session length", u64::from(client.0));
    let new_book = |symbols: &[Symbol]| Book::new(if crowd.config.protocol == Protocol::Raw { &[] } else { symbols });
    let mut book = new_book(&symbols);
    // The peer ended the last session, and the client has not come again yet.
    let mut away = false;
    let mut target = client.index() % crowd.targets.len();
    let mut planned = arrival;
    for number in 0_u32.. {
        wire::select! {
            () = &mut over => break,
            () = sleep_until(planned) => {}
        }
        let session_id = SessionId(number);
        let dial = Dial { crowd, client, session_id, target };
        tally.counts.dialled += 1;
        crowd.observer.record(|| Event::ClientDial { client, session: session_id, target: dial.place() });
        let dialled = wire::select! {
            () = &mut over => Err((0, Why::Shutdown)),
            dialled = dial.run() => dialled,
        };
        match dialled {
            Ok((session, strong)) => {
                tally.counts.opened += 1;
                let resume = crowd.config.resume && strong;
                tally.counts.came_back += u64::from(std::mem::take(&mut away) && resume);
                let positions = book.begin(resume);
                shard.record(Meter::Connect, Instant::now().duration_since(planned));
                let mut talk = Talk::new(
                    &crowd.config,
                    &crowd.net,
                    &crowd.observer,
                    &shard,
                    &mut tally,
                    (client, session_id),
                    strong,
                    session,
                    &mut book,
                );
                let enough = crowd.config.load.session().filter(|_| backoff.is_some()).map(|length| {
                    let drawn = length / 2 + lengths.jitter(length);
                    Instant::now() + drawn
                });
                let ended = talk.run(&symbols, positions, enough, &mut over).await;
                if talk.useful
                    && let Some(backoff) = &mut backoff
                {
                    backoff.succeeded();
                }
                if ended == Ended::Over {
                    break;
                }
                if ended == Ended::Enough && matches!(crowd.config.load, Load::Closed { .. }) {
                    // Another takes the place, and knows nothing of the one before.
                    symbols = symbols_of(&crowd.config, &crowd.net, client, number + 1);
                    book = new_book(&symbols);
                    planned = Instant::now();
                    target = (target + 1) % crowd.targets.len();
                    continue;
                }
                away = matches!(ended, Ended::PeerClosed(_) | Ended::Broken);
            }
            Err((status, why)) => {
                tally.counts.refused += 1;
                crowd.observer.record(|| Event::ClientRefused { client, session: session_id, status, why });
            }
        }
        if over.is_terminated() {
            break;
        }
        let Some(backoff) = &mut backoff else { break };
        let Some(wait) = backoff.next() else {
            tally.counts.gave_up += 1;
            break;
        };
        planned = Instant::now() + wait;
        wire::reached!("client tries the next proxy", if crowd.targets.len() > 1);
        target = (target + 1) % crowd.targets.len();
    }
    tally
}

/// The symbols that a client asks for from this session on, in the order of the configuration.
fn symbols_of<N: Network>(config: &Config, net: &N, client: ClientId, session: u32) -> Vec<Symbol> {
    let draws = net.draws("symbols", entity(client, SessionId(session)));
    config.subscriptions.draw(config.symbols.len(), draws).into_iter().map(|place| config.symbols[place]).collect()
}

/// The key of what a client draws for one session; the first session's is the client's number.
pub(crate) fn entity(client: ClientId, session: SessionId) -> u64 {
    u64::from(session.0) << 32 | u64::from(client.0)
}

struct Dial<'a, N> {
    crowd: &'a Crowd<N>,
    client: ClientId,
    session_id: SessionId,
    target: usize,
}

type Opened<N> = (ws::Session<Throttled<<N as Network>::Stream>>, bool);

impl<N: Network> Dial<'_, N> {
    fn place(&self) -> u16 {
        u16::try_from(self.target).unwrap_or(u16::MAX)
    }

    /// Opens a session; the error is the HTTP status (0 below HTTP) and the cause.
    async fn run(&self) -> Result<Opened<N>, (u16, Why)> {
        let (connected, local) =
            timeout(self.crowd.config.handshake_timeout, self.open()).await.map_err(|_| (0, Why::Deadline))??;
        let strong = connected.subprotocol.as_deref() == Some(SUBPROTOCOL);
        let (client, session, target) = (self.client, self.session_id, self.place());
        self.crowd.observer.record(|| Event::ClientOpen { client, session, target, local, strong });
        Ok((connected.session, strong))
    }

    async fn open(&self) -> Result<(ws::Connected<Throttled<N::Stream>>, SocketAddr), (u16, Why)> {
        let Crowd { config, net, targets, .. } = self.crowd;
        let Target { url, host, port } = &targets[self.target];
        let below = |error: io::Error| (0, cause(&error));
        let addrs = net.lookup(host, *port).await.map_err(below)?;
        let Some(addr) = addrs.first() else { return Err((0, Why::Refused)) };
        let stream = net.connect(*addr, config.socket).await.map_err(below)?;
        let local = stream.local_addr().map_err(below)?;
        let mut ask = Ask { url: url.clone(), ..Ask::default() };
        if config.is_strong(self.client) {
            ask.subprotocols.push(SUBPROTOCOL.to_owned());
        }
        ask.origin.clone_from(&config.behaviour.origin);
        let stream = Throttled::new(stream, config.reader).speaking(Mouth::new(&config.behaviour));
        let mut connected = ws::connect(stream, &ask, config.limits).await.map_err(|error| match error {
            ConnectError::Refused { status, .. } => {
                (status, if matches!(status, 429 | 503) { Why::Admission } else { Why::Protocol })
            }
            ConnectError::Broken { source, .. } => (0, cause(&source)),
            ConnectError::NotWebSocket { .. } => (0, Why::Protocol),
            ConnectError::BadRequest { .. } => (0, Why::Internal),
        })?;
        connected.session.get_mut().opened();
        Ok((connected, local))
    }
}

fn cause(error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Why::Refused,
        io::ErrorKind::TimedOut => Why::Deadline,
        io::ErrorKind::UnexpectedEof => Why::Closed,
        // No port or no descriptor left: our own want.
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Why::Internal,
        _ if error.raw_os_error() == Some(24) => Why::Internal,
        _ => Why::Reset,
    }
}
