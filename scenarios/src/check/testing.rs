//! Records by hand, for the checkers' tests.

use std::net::SocketAddr;

use reports::record::{Invariant, Outcome};
use wire::event::{Event, Phase, Side, Stamp, Why};
use wire::feed::{GapReason, Kind};
use wire::id::{ClientId, LegId, ProxyId, SessionId, SourceId, Symbol};

use super::{Facts, Objectives, Periods, build};

/// A record under the pen: events in order, each 1 us after the one before, or later with [`Tape::after`]. Two sources and one proxy; ticks are 100 ms
/// apart; client 9 is slow; clients 0..10 live on host `c-0`.
#[derive(Clone)]
pub(super) struct Tape {
    objectives: Objectives,
    facts: Facts,
    us: u64,
    session: u32,
    events: Vec<(u64, Event)>,
}

/// The address of a client in its session.
pub(super) fn client_addr(client: u32, session: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, client as u8], 1_000 + session as u16))
}

/// The address of a proxy's leg.
pub(super) fn leg_addr(proxy: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 2, proxy], port))
}

/// Judges a tape with one invariant in its `[check]` table.
#[track_caller]
pub(super) fn check(tape: Tape, expect: Outcome, checked: u64) -> Invariant {
    let mut found = tape.judge();
    assert_eq!(found.len(), 1);
    let found = found.remove(0);
    assert_eq!((found.verdict, found.checked), (expect, checked), "{found:#?}");
    assert_eq!(found.verdict == Outcome::Fail, !found.violations.is_empty());
    assert!(!found.summary.is_empty());
    found
}

impl Tape {
    pub(super) fn new(objectives: &str) -> Self {
        let facts = Facts {
            sources: 2,
            proxies: 1,
            edges: 0,
            clients: 10,
            periods: Periods::alike(100_000),
            slow_clients: std::iter::once(9..10).collect(),
            copies: 1,
            moves: false,
            slow_client: None,
            drain: super::Drain {
                tell_us: 0,
                grace_us: 0,
                time_us: 4_000_000,
                deadline_us: 6_000_000,
                code: wire::close::SERVICE_RESTART,
            },
            reloads: Vec::new(),
            hostile: Vec::new(),
            offenders: Vec::new(),
            wrong_keys: Vec::new(),
            silent: Vec::new(),
            pings: (30_000_000, 60_000_000),
            dawdlers: Vec::new(),
            handshake_us: 5_000_000,
            handshakes_max: 512,
            quota: (20.0, 100.0),
            edge_slow_client: None,
            client_hosts: vec![("c-0".to_owned(), 0..10)],
        };
        let objectives = toml::from_str(objectives).expect("the objective parses");
        Self { objectives, facts, us: 0, session: 0, events: Vec::new() }
    }

    pub(super) fn facts(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.facts);
        self
    }

    pub(super) fn judge(self) -> Vec<Invariant> {
        let mut bench = build(&self.objectives, &self.facts);
        for (us, event) in &self.events {
            bench.observe(*us, event);
        }
        bench.finish(self.us)
    }

    pub(super) fn push(mut self, event: Event) -> Self {
        self.us += 1;
        self.events.push((self.us, event));
        self
    }

    pub(super) fn after(mut self, us: u64) -> Self {
        self.us += us;
        self
    }

    /// From here on clients act in this session.
    pub(super) fn session(mut self, session: u32) -> Self {
        self.session = session;
        self
    }

    pub(super) fn phase(self, phase: Phase) -> Self {
        self.push(Event::Phase { phase })
    }

    pub(super) fn dial(self, client: u32) -> Self {
        let session = SessionId(self.session);
        self.push(Event::ClientDial { client: ClientId(client), session, target: 0 })
    }

    pub(super) fn open(self, client: u32, session: u32) -> Self {
        let local = client_addr(client, session);
        let tape = self.push(Event::ProxyAdmit { proxy: ProxyId(0), peer: local });
        let (client, session) = (ClientId(client), SessionId(session));
        tape.push(Event::ClientOpen { client, session, target: 0, local, strong: false })
    }

    /// A client opens a session under the strong contract.
    pub(super) fn strongly(self, client: u32) -> Self {
        let (local, session) = (client_addr(client, self.session), SessionId(self.session));
        self.push(Event::ClientOpen { client: ClientId(client), session, target: 0, local, strong: true })
    }

    pub(super) fn refused(self, client: u32, status: u16) -> Self {
        let session = SessionId(self.session);
        self.push(Event::ClientRefused { client: ClientId(client), session, status, why: Why::Admission })
    }

    pub(super) fn subscribe(self, client: u32, symbol: u32) -> Self {
        let (client, session, symbol) = (ClientId(client), SessionId(self.session), Symbol::numbered(symbol));
        self.push(Event::ClientSubscribe { client, session, symbol })
    }

    pub(super) fn unsubscribe(self, client: u32, symbol: u32) -> Self {
        let (client, session, symbol) = (ClientId(client), SessionId(self.session), Symbol::numbered(symbol));
        self.push(Event::ClientUnsubscribe { client, session, symbol })
    }

    pub(super) fn ask(self, client: u32, n: u64) -> Self {
        let session = SessionId(self.session);
        self.push(Event::ClientAsk { client: ClientId(client), session, n })
    }

    pub(super) fn ping(self, client: u32, n: u64) -> Self {
        let session = SessionId(self.session);
        self.push(Event::ClientPing { client: ClientId(client), session, n })
    }

    pub(super) fn pong(self, client: u32, n: u64) -> Self {
        let session = SessionId(self.session);
        self.push(Event::ClientPong { client: ClientId(client), session, n })
    }

    pub(super) fn offend(self, client: u32) -> Self {
        let session = SessionId(self.session);
        self.push(Event::ClientOffend { client: ClientId(client), session })
    }

    /// A gauge with so many handshakes under way.
    pub(super) fn handshakes(self, handshakes: u64) -> Self {
        self.push(Event::ProxyGauge {
            proxy: ProxyId(0),
            clients: 0,
            handshakes,
            legs: 1,
            queue_bytes: 0,
            queue_bytes_max: 0,
            received: 0,
            forwarded: 0,
            dropped: 0,
        })
    }

    pub(super) fn resume(self, client: u32, symbol: u32, (epoch, seq): (u64, u64)) -> Self {
        let (client, session, symbol) = (ClientId(client), SessionId(self.session), Symbol::numbered(symbol));
        self.push(Event::ClientResume { client, session, symbol, epoch, seq })
    }

    pub(super) fn resumed(self, client: u32, symbol: u32, (epoch, seq): (u64, u64), recovered: bool) -> Self {
        let (client, session, symbol) = (ClientId(client), SessionId(self.session), Symbol::numbered(symbol));
        self.push(Event::ClientResumed { client, session, symbol, epoch, seq, recovered })
    }

    fn delivery(self, client: u32, symbol: u32, n: u64, stamp: Option<Stamp>, intact: bool) -> Self {
        let (client, session, symbol) = (ClientId(client), SessionId(self.session), Symbol::numbered(symbol));
        self.push(Event::ClientDeliver { client, session, symbol, n, stamp, intact })
    }

    pub(super) fn deliver(self, client: u32, symbol: u32, n: u64) -> Self {
        self.delivery(client, symbol, n, None, true)
    }

    pub(super) fn altered(self, client: u32, symbol: u32, n: u64) -> Self {
        self.delivery(client, symbol, n, None, false)
    }

    pub(super) fn strong(self, client: u32, symbol: u32, n: u64, stamp: (u64, u64)) -> Self {
        self.stamped(client, symbol, n, Kind::Live, stamp)
    }

    pub(super) fn stamped(self, client: u32, symbol: u32, n: u64, kind: Kind, (epoch, seq): (u64, u64)) -> Self {
        self.delivery(client, symbol, n, Some(Stamp { epoch, seq, kind }), true)
    }

    pub(super) fn gap(self, client: u32, symbol: u32, epoch: u64, from: u64, to: Option<u64>) -> Self {
        self.gap_because(
            client,
            symbol,
            (epoch, from, to),
            if to.is_some() { GapReason::Overflow } else { GapReason::Reset },
        )
    }

    pub(super) fn gap_because(
        self,
        client: u32,
        symbol: u32,
        (epoch, from, to): (u64, u64, Option<u64>),
        reason: GapReason,
    ) -> Self {
        let (client, session, symbol) = (ClientId(client), SessionId(self.session), Symbol::numbered(symbol));
        self.push(Event::ClientGap { client, session, symbol, epoch, from, to, reason })
    }

    fn close(self, client: u32, by: Side, code: Option<u16>) -> Self {
        let session = SessionId(self.session);
        self.push(Event::ClientClose { client: ClientId(client), session, by, code })
    }

    pub(super) fn close_by_peer(self, client: u32, code: Option<u16>) -> Self {
        self.close(client, Side::Peer, code)
    }

    pub(super) fn close_own(self, client: u32) -> Self {
        self.close(client, Side::Own, Some(1000))
    }

    /// A leg of proxy 0 opens; its port is 1000 * source + leg.
    pub(super) fn leg(self, source: u16, leg: u32) -> Self {
        self.leg_of(0, source, leg, None)
    }

    pub(super) fn leg_of(self, proxy: u8, source: u16, leg: u32, client: Option<SocketAddr>) -> Self {
        let local = leg_addr(proxy, 1_000 * source + leg as u16);
        let source = SourceId(source);
        self.push(Event::SourceOpen { source, leg: LegId(leg), peer: local }).push(Event::ProxyLegUp {
            proxy: ProxyId(u16::from(proxy)),
            source,
            local,
            epoch: 1,
            client,
        })
    }

    /// The proxy gives up a leg that [`Tape::leg`] opened.
    pub(super) fn leg_down(self, source: u16, leg: u32) -> Self {
        let local = Some(leg_addr(0, 1_000 * source + leg as u16));
        self.push(Event::ProxyLegDown { proxy: ProxyId(0), source: SourceId(source), local, why: Why::Stale })
    }

    pub(super) fn leg_closed(self, source: u16, leg: u32) -> Self {
        self.push(Event::SourceClose { source: SourceId(source), leg: LegId(leg), by: Side::Peer, code: None })
    }

    /// The source was asked for the symbol.
    pub(super) fn asked(self, source: u16, leg: u32, symbol: u32) -> Self {
        let (source, leg, symbol) = (SourceId(source), LegId(leg), Symbol::numbered(symbol));
        self.push(Event::SourceSubscribe { source, leg, symbol })
    }

    /// The source denied the symbol.
    pub(super) fn denied(self, source: u16, leg: u32, symbol: u32) -> Self {
        let (source, leg, symbol) = (SourceId(source), LegId(leg), Symbol::numbered(symbol));
        self.push(Event::SourceDeny { source, leg, symbol })
    }

    /// The client was told what became of its subscription.
    pub(super) fn answered(self, client: u32, symbol: u32, accepted: bool) -> Self {
        let (client, session, symbol) = (ClientId(client), SessionId(self.session), Symbol::numbered(symbol));
        self.push(Event::ClientAnswer { client, session, symbol, accepted })
    }

    pub(super) fn given_back(self, source: u16, leg: u32, symbol: u32) -> Self {
        let (source, leg, symbol) = (SourceId(source), LegId(leg), Symbol::numbered(symbol));
        self.push(Event::SourceUnsubscribe { source, leg, symbol })
    }

    /// The proxy says that it closed a client.
    pub(super) fn closed_by_proxy(self, client: u32) -> Self {
        let peer = client_addr(client, self.session);
        self.push(Event::ProxyClientClose { proxy: ProxyId(0), peer, code: Some(1013), why: Why::Slow })
    }

    pub(super) fn send(self, source: u16, leg: u32, symbol: u32, n: u64) -> Self {
        let (source, leg, symbol) = (SourceId(source), LegId(leg), Symbol::numbered(symbol));
        self.push(Event::SourceSend { source, leg, symbol, n })
    }

    pub(super) fn dropped(self, client: u32, symbol: u32) -> Self {
        let (peer, symbol) = (client_addr(client, self.session), Symbol::numbered(symbol));
        self.push(Event::ProxyDrop { proxy: ProxyId(0), peer, symbol, epoch: 1, seq: 1, why: Why::Overflow })
    }

    pub(super) fn fault(self, fault: u16, kind: &str, target: &str) -> Self {
        self.push(Event::FaultStart { fault, kind: kind.into(), target: target.into() })
    }

    pub(super) fn heal(self, fault: u16) -> Self {
        self.push(Event::FaultStop { fault })
    }

    pub(super) fn counts(self, clients: u64, received: u64, forwarded: u64, dropped: u64) -> Self {
        self.push(Event::ProxyGauge {
            proxy: ProxyId(0),
            clients,
            handshakes: 0,
            legs: 1,
            queue_bytes: 0,
            queue_bytes_max: 0,
            received,
            forwarded,
            dropped,
        })
    }

    pub(super) fn gauge(self, clients: u64, queue_bytes: u64, queue_bytes_max: u64) -> Self {
        self.push(Event::ProxyGauge {
            proxy: ProxyId(0),
            clients,
            handshakes: 0,
            legs: 1,
            queue_bytes,
            queue_bytes_max,
            received: 0,
            forwarded: 0,
            dropped: 0,
        })
    }
}
