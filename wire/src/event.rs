//! What happened in a run: the one record that checkers judge and charts are drawn from.
//!
//! Three kinds of witness report. **Sources** keep a ledger of what they really sent. **Clients** say what reached them. **Proxies** give their
//! own account, which is trusted only where nothing outside can show a thing, and is absent for a proxy written by others. The scenario's driver adds
//! the faults that it injects. Each event is stamped with the microseconds since the run began by whoever keeps the record ([`Sink`]).
//!
//! Addresses tie the accounts together: a client's `local` address is the proxy's `peer`.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::feed::{GapReason, Kind};
use crate::id::{ClientId, LegId, ProxyId, SessionId, SourceId, Symbol};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A source accepted a connection and finished its handshake.
    SourceOpen {
        /// Which source.
        source: SourceId,
        /// The connection.
        leg: LegId,
        /// The other end: a proxy, or a client that came directly.
        peer: SocketAddr,
    },
    /// A source accepted a subscription to one symbol. Once for each time that it was asked: a symbol that is subscribed to already, or named twice in one request,
    /// shows again.
    SourceSubscribe {
        /// Which source.
        source: SourceId,
        /// The connection.
        leg: LegId,
        /// The symbol.
        symbol: Symbol,
    },
    /// A source denied a subscription to one symbol. Once for each time that it was asked.
    SourceDeny {
        /// Which source.
        source: SourceId,
        /// The connection.
        leg: LegId,
        /// The symbol.
        symbol: Symbol,
    },
    /// A source was told that a symbol is no longer wanted on a connection.
    SourceUnsubscribe {
        /// Which source.
        source: SourceId,
        /// The connection.
        leg: LegId,
        /// The symbol.
        symbol: Symbol,
    },
    /// A source handed tick `n` to a connection's socket.
    SourceSend {
        /// Which source.
        source: SourceId,
        /// The connection.
        leg: LegId,
        /// The symbol.
        symbol: Symbol,
        /// The tick's number.
        n: u64,
    },
    /// A source's connection ended, however it did. (A killed source reports nothing: see [`Event::FaultStart`].)
    SourceClose {
        /// Which source.
        source: SourceId,
        /// The connection.
        leg: LegId,
        /// Which side began it.
        by: Side,
        /// The close code, if a Close frame crossed.
        code: Option<u16>,
    },
    /// A source turned a connection away (key limit, scripted refusal).
    SourceRefuse {
        /// Which source.
        source: SourceId,
        /// Who asked.
        peer: SocketAddr,
        /// Why.
        why: Why,
    },

    /// A client begins to connect.
    ClientDial {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// Place in its list of targets.
        target: u16,
    },
    /// A client's session is open.
    ClientOpen {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// Place in its list of targets.
        target: u16,
        /// Its own address, as the proxy sees it.
        local: SocketAddr,
        /// Whether the strong contract (`windtunnel.v1`) was agreed.
        strong: bool,
    },
    /// A client was turned away, or could not connect.
    ClientRefused {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The HTTP status; 0 where the connection failed below HTTP.
        status: u16,
        /// Why.
        why: Why,
    },
    /// A client asked for a symbol.
    ClientSubscribe {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The symbol.
        symbol: Symbol,
    },
    /// A client gave up a symbol, in the session that subscribed to it.
    ClientUnsubscribe {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The symbol.
        symbol: Symbol,
    },
    /// A client said another request: for other symbols, or again for what it has.
    ClientAsk {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The how-manieth time, from 0 in each session.
        n: u64,
    },
    /// A client sent a ping.
    ClientPing {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The ping's number, its payload, from 0 in each session.
        n: u64,
    },
    /// A pong came back with the payload of a ping.
    ClientPong {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The ping's number.
        n: u64,
    },
    /// A hostile client breaks the protocol now.
    ClientOffend {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
    },
    /// A client was told what became of its subscription to a symbol (v2).
    ClientAnswer {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The symbol.
        symbol: Symbol,
        /// Whether it is accepted; otherwise it is denied.
        accepted: bool,
    },
    /// A message reached a client.
    ClientDeliver {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The symbol.
        symbol: Symbol,
        /// The tick's number, read from its payload.
        n: u64,
        /// The proxy's stamp; None for plain clients.
        stamp: Option<Stamp>,
        /// Whether the payload is byte for byte what the source made of n. True where the reader cannot tell (seed unknown).
        intact: bool,
    },
    /// A client was told of missing messages.
    ClientGap {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The symbol.
        symbol: Symbol,
        /// The epoch.
        epoch: u64,
        /// The first missing seq.
        from: u64,
        /// The last, or None where the epoch ended with an unknown number missing.
        to: Option<u64>,
        /// Why.
        reason: GapReason,
    },
    /// A client asked to go on after the last message of a symbol that it has, from an earlier session.
    ClientResume {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The symbol.
        symbol: Symbol,
        /// The epoch of that message.
        epoch: u64,
        /// Its seq.
        seq: u64,
    },
    /// A client was told how its resume of a symbol went.
    ClientResumed {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The symbol.
        symbol: Symbol,
        /// The epoch that it named.
        epoch: u64,
        /// The last seq that it had.
        seq: u64,
        /// Whether everything since is replayed; otherwise nothing is.
        recovered: bool,
    },
    /// A client sent request `n` (relay and echo).
    ClientSend {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The request's number, from 0 in each session.
        n: u64,
        /// How late it was sent against its planned instant, in microseconds (open loop).
        late_us: u64,
    },
    /// The answer to request `n` came back.
    ClientEcho {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The request's number.
        n: u64,
        /// From the planned instant of the request to the answer, in microseconds.
        latency_us: u64,
    },
    /// A client received something that it cannot read.
    ClientGarbled {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// The length of the message, in bytes.
        bytes: u64,
        /// The client to whose conversation with an echo a piece of it belongs, where it is another's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<ClientId>,
    },
    /// A client's session ended.
    ClientClose {
        /// Which client.
        client: ClientId,
        /// Its connection.
        session: SessionId,
        /// Which side began it.
        by: Side,
        /// The close code, if a Close frame crossed; None: the connection broke.
        code: Option<u16>,
    },

    /// The proxy admitted a client.
    ProxyAdmit {
        /// Which proxy.
        proxy: ProxyId,
        /// The client's address.
        peer: SocketAddr,
    },
    /// The proxy turned a client away.
    ProxyShed {
        /// Which proxy.
        proxy: ProxyId,
        /// The client's address.
        peer: SocketAddr,
        /// Why.
        why: Why,
    },
    /// The proxy ended a client's session.
    ProxyClientClose {
        /// Which proxy.
        proxy: ProxyId,
        /// The client's address.
        peer: SocketAddr,
        /// The close code sent, if any.
        code: Option<u16>,
        /// Why.
        why: Why,
    },
    /// The proxy dropped one message to one client.
    ProxyDrop {
        /// Which proxy.
        proxy: ProxyId,
        /// The client's address.
        peer: SocketAddr,
        /// The symbol.
        symbol: Symbol,
        /// The stamp of what was dropped.
        epoch: u64,
        /// The stamp of what was dropped.
        seq: u64,
        /// Why.
        why: Why,
    },
    /// The proxy dials a source.
    ProxyDial {
        /// Which proxy.
        proxy: ProxyId,
        /// Which source.
        source: SourceId,
    },
    /// The proxy's leg to a source is up.
    ProxyLegUp {
        /// Which proxy.
        proxy: ProxyId,
        /// Which source.
        source: SourceId,
        /// The leg's own address, as the source sees it.
        local: SocketAddr,
        /// For fan-out, the epoch that begins; 0 in relay mode.
        epoch: u64,
        /// For relay, the client that it serves.
        client: Option<SocketAddr>,
    },
    /// The proxy's leg to a source ended, or a dial failed (`local` is None).
    ProxyLegDown {
        /// Which proxy.
        proxy: ProxyId,
        /// Which source.
        source: SourceId,
        /// The leg's own address.
        local: Option<SocketAddr>,
        /// Why.
        why: Why,
    },
    /// The proxy's opinion of a source changed.
    ProxyHealth {
        /// Which proxy.
        proxy: ProxyId,
        /// Which source.
        source: SourceId,
        /// Whether it may be used.
        healthy: bool,
    },
    /// The proxy was told to drain: from now on it leaves.
    ProxyDrainStart {
        /// Which proxy.
        proxy: ProxyId,
    },
    /// The proxy's drain is over: nobody is left, or its deadline came.
    ProxyDrainStop {
        /// Which proxy.
        proxy: ProxyId,
        /// Clients that were still there, and are cut.
        left: u64,
    },
    /// The proxy went over to another configuration.
    ProxyReload {
        /// Which proxy.
        proxy: ProxyId,
        /// Keys that changed.
        changes: u32,
    },
    /// What the proxy holds, sampled at a steady interval.
    ProxyGauge {
        /// Which proxy.
        proxy: ProxyId,
        /// Open client sessions.
        clients: u64,
        /// Handshakes under way.
        handshakes: u64,
        /// Open legs to sources.
        legs: u64,
        /// Bytes waiting in all client queues.
        queue_bytes: u64,
        /// Bytes waiting in the longest client queue.
        queue_bytes_max: u64,
        /// Messages received from sources since the start.
        received: u64,
        /// Messages handed to client sockets since the start.
        forwarded: u64,
        /// Messages dropped since the start.
        dropped: u64,
    },

    /// The driver starts a fault.
    FaultStart {
        /// Its number in the plan, from 0.
        fault: u16,
        /// Its kind, in the scenario file's word: `kill`, `freeze`, `stall`, ... See [`ends_process`].
        kind: Box<str>,
        /// What it hits: a host's or link's name.
        target: Box<str>,
    },
    /// The driver ends a fault.
    FaultStop {
        /// Its number in the plan.
        fault: u16,
    },
    /// The run enters a phase.
    Phase {
        /// Which.
        phase: Phase,
    },

    /// A tick of a source reached the proxy (fan-out), on any of its legs. Told only to a sink that asks for it, see [`Sink::wants_ticks`].
    ProxyTick {
        /// Which proxy.
        proxy: ProxyId,
        /// Which source.
        source: SourceId,
        /// The symbol.
        symbol: Symbol,
    },
    /// What a host holds, seen from outside: the driver looks before the faults and at the end. Only in the records of scenarios that ask for it.
    HostGauge {
        /// The host's name.
        host: Box<str>,
        /// Tasks of its program.
        tasks: u64,
        /// Sockets of connections that its program holds, broken ones too.
        sockets: u64,
        /// Bytes that its kernel has received and the program has not read.
        unread: u64,
        /// Bytes that the program has written and no peer has taken.
        unsent: u64,
    },
}

impl Event {
    /// What a proxy's own account calls its source, if the event is of one: for a record in which proxies stand before proxies, and what is a source to one of
    /// them bears another number than it has in that proxy's list.
    pub fn upstream_mut(&mut self) -> Option<&mut SourceId> {
        match self {
            Event::ProxyDial { source, .. }
            | Event::ProxyLegUp { source, .. }
            | Event::ProxyLegDown { source, .. }
            | Event::ProxyHealth { source, .. }
            | Event::ProxyTick { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Which side of a connection began its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The witness itself.
    Own,
    /// The other end.
    Peer,
}

/// The proxy's stamp on a message of the strong contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The epoch.
    pub epoch: u64,
    /// The number within symbol and epoch.
    pub seq: u64,
    /// How it came.
    pub kind: Kind,
}

/// Causes, one vocabulary for all witnesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The admission limit is reached.
    Admission,
    /// A deadline passed: handshake, first message, dial.
    Deadline,
    /// The connection was refused.
    Refused,
    /// The connection was reset or broke.
    Reset,
    /// The peer closed in order.
    Closed,
    /// No data for too long, while it should have come.
    Stale,
    /// No pong in time.
    PingTimeout,
    /// The client's queue was full.
    Overflow,
    /// Newer values replaced it.
    Conflated,
    /// The client is too slow (disconnect policy).
    Slow,
    /// The peer broke the protocol or a policy.
    Protocol,
    /// The source's limit on connections per key.
    KeyLimit,
    /// No healthy source.
    NoSource,
    /// Shutdown or drain.
    Shutdown,
    /// The script says so.
    Scripted,
    /// The leg was given up for a better one.
    Superseded,
    /// An operator asked for it.
    Operator,
    /// We failed.
    Internal,
}

/// Phases of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Clients arrive; nothing is judged by latency yet.
    Warmup,
    /// Load and faults.
    Steady,
    /// All faults are over: everything must come right within the scenario's bound.
    Recovery,
    /// The run is over.
    End,
}

/// Who keeps the record.
pub trait Sink: Send + Sync + 'static {
    /// Takes an event and stamps it with the time.
    fn record(&self, event: Event);

    /// Whether it wants [`Event::ProxyTick`], too: one for each message of a source. Default: no.
    fn wants_ticks(&self) -> bool {
        false
    }
}

/// A cheap handle through which a program reports what happens to it. The default reports to nobody.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<dyn Sink>>);

impl Observer {
    /// Reports to `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        Self(Some(sink))
    }

    /// Reports to nobody: `record` costs one branch.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether anybody listens: for events that come by the thousand.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.0.is_some()
    }

    /// Reports the event; it is not even made where nobody listens.
    #[inline]
    pub fn record(&self, event: impl FnOnce() -> Event) {
        if let Some(sink) = &self.0 {
            sink.record(event());
        }
    }

    /// As [`Observer::record`], for those that want ticks only, see [`Sink::wants_ticks`].
    #[inline]
    pub fn record_tick(&self, event: impl FnOnce() -> Event) {
        if let Some(sink) = self.0.as_ref().filter(|sink| sink.wants_ticks()) {
            sink.record(event());
        }
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(on)" } else { "Observer(off)" })
    }
}

/// An event with its time, as it stands in a record: one JSON object a line in `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// Microseconds since the run began.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// A sink that writes each event as a line of JSON: how programs over real sockets keep their part of the record (`--events FILE`).
///
/// A line goes to the writer whole and at once, so that a killed process loses nothing that it had reported. A writer that fails ends the record, not the
/// program: [`JsonLines::failed`] tells.
pub struct JsonLines {
    writer: Mutex<Option<Box<dyn Write + Send>>>,
    clock_us: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl JsonLines {
    /// Writes to `writer`, stamping each event with `clock_us()`.
    #[must_use]
    pub fn new(writer: Box<dyn Write + Send>, clock_us: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { writer: Mutex::new(Some(writer)), clock_us: Box::new(clock_us) }
    }

    /// Whether a write failed, so that the record is not whole.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Sink for JsonLines {
    fn record(&self, event: Event) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(out) = writer.as_mut() else { return };
        let timed = Timed { at_us: (self.clock_us)(), event };
        let mut line = serde_json::to_vec(&timed).expect("an event always serialises");
        line.push(b'\n');
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            *writer = None;
        }
    }
}

/// Whether a fault of this kind, by its word, ends the process that it hits: that reports nothing any more, the end of its connections least of all.
#[must_use]
pub fn ends_process(kind: &str) -> bool {
    matches!(kind, "kill" | "power-off" | "restart")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_json_and_small() {
        let timed = Timed {
            at_us: 5,
            event: Event::ClientDeliver {
                client: ClientId(1),
                session: SessionId(0),
                symbol: Symbol::new("EURUSD").unwrap(),
                n: 7,
                stamp: Some(Stamp { epoch: 1, seq: 2, kind: Kind::Live }),
                intact: true,
            },
        };
        let text = serde_json::to_string(&timed).unwrap();
        assert_eq!(
            text,
            r#"{"at_us":5,"event":"client_deliver","client":1,"session":0,"symbol":"EURUSD","n":7,"stamp":{"epoch":1,"seq":2,"kind":"live"},"intact":true}"#
        );
        assert_eq!(serde_json::from_str::<Timed>(&text).unwrap(), timed);
        assert!(size_of::<Event>() <= 112, "{}", size_of::<Event>());
    }
}
