//! One event in words.

use serde::Serialize;
use wire::event::{Event, Phase, Side, Timed};
use wire::id::{ClientId, ProxyId, SourceId, Symbol};

use super::names::Names;

/// Who takes part in a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// An instance of the source.
    Source(SourceId),
    /// A proxy.
    Proxy(ProxyId),
    /// A client.
    Client(ClientId),
    /// Whoever carries the plan out.
    Driver,
}

/// What kind of thing happened: how it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A tick.
    Data,
    /// A request, an answer, a connection.
    Talk,
    /// Something was lost, refused or ended.
    Bad,
    /// A fault, or a phase.
    Fault,
}

impl Tone {
    /// Its class in the page.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Tone::Data => "data",
            Tone::Talk => "talk",
            Tone::Bad => "bad",
            Tone::Fault => "fault",
        }
    }
}

/// An event, told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Whose account it is.
    pub(super) by: Party,
    /// From whom it went.
    pub(super) from: Party,
    /// To whom; None: it happened to the one.
    pub(super) to: Option<Party>,
    /// What.
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// A cause as it stands in the record, with spaces.
pub(crate) fn word(cause: &impl Serialize) -> String {
    let word = serde_json::to_value(cause).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().replace('_', " ")
}

/// An instant with all its microseconds, so that columns stand below one another: `12.345000`.
pub(crate) fn stamp(at_us: u64) -> String {
    format!("{}.{:06}", at_us / 1_000_000, at_us % 1_000_000)
}

fn code(code: Option<u16>) -> String {
    code.map_or_else(|| "without a close code".to_owned(), |code| format!("with {code}"))
}

impl Names {
    /// The event in words, without who tells it.
    pub(super) fn tell(&self, event: &Event) -> Told {
        use Tone::{Bad, Data, Fault, Talk};
        match event {
            Event::SourceOpen { source, leg, peer } => {
                let (by, from) = (self.source(*source), self.at(*peer));
                match from {
                    Some(from) => Told { by: by.clone(), from, to: Some(by), text: format!("{leg} opens"), tone: Talk },
                    None => note(by, format!("{leg} from {peer} opens"), Talk),
                }
            }
            Event::SourceSubscribe { source, leg, symbol } => {
                self.said_to(*source, *leg, format!("subscribes to {symbol}"), Talk)
            }
            Event::SourceUnsubscribe { source, leg, symbol } => {
                self.said_to(*source, *leg, format!("gives {symbol} up"), Talk)
            }
            Event::SourceDeny { source, leg, symbol } => self.said_by(*source, *leg, format!("denies {symbol}"), Bad),
            Event::SourceSend { source, leg, symbol, n } => {
                self.said_by(*source, *leg, format!("{symbol} n {n}"), Data)
            }
            Event::SourceClose { source, leg, by: Side::Own, code: said } => {
                self.said_by(*source, *leg, format!("closes {leg} {}", code(*said)), Bad)
            }
            Event::SourceClose { source, leg, by: Side::Peer, code: said } => {
                self.said_to(*source, *leg, format!("closes {leg} {}", code(*said)), Bad)
            }
            Event::SourceRefuse { source, peer, why } => {
                note(self.source(*source), format!("refuses {}: {}", self.client_at(*peer), word(why)), Bad)
            }
            Event::ProxyAdmit { .. }
            | Event::ProxyShed { .. }
            | Event::ProxyClientClose { .. }
            | Event::ProxyDrop { .. }
            | Event::ProxyDial { .. }
            | Event::ProxyLegUp { .. }
            | Event::ProxyLegDown { .. }
            | Event::ProxyHealth { .. }
            | Event::ProxyDrainStart { .. }
            | Event::ProxyDrainStop { .. }
            | Event::ProxyReload { .. }
            | Event::ProxyGauge { .. }
            | Event::ProxyTick { .. } => self.tell_proxy(event),
            Event::FaultStart { kind, target, .. } => {
                let hit = target.split(['/', '>']).find_map(|host| self.party(host)).unwrap_or(Party::Driver);
                Told { by: Party::Driver, from: hit, to: None, text: format!("fault: {kind} {target}"), tone: Fault }
            }
            Event::FaultStop { fault } => note(Party::Driver, format!("over: {}", self.fault(*fault)), Fault),
            Event::Phase { phase } => note(Party::Driver, format!("phase: {}", phase_word(*phase)), Fault),
            Event::HostGauge { host, tasks, sockets, unread, unsent } => note(
                self.party(host).unwrap_or(Party::Driver),
                format!("{host} holds {tasks} tasks, {sockets} sockets, {unread} bytes unread, {unsent} unsent"),
                Talk,
            ),
            _ => self.tell_client(event),
        }
    }

    fn tell_client(&self, event: &Event) -> Told {
        use Tone::{Bad, Data, Talk};
        let Some((client, session)) = client_of(event) else { return note(Party::Driver, String::new(), Talk) };
        let (own, proxy) = (Party::Client(client), self.target(client, session));
        let to = |text: String, tone| Told { by: own.clone(), from: own.clone(), to: Some(proxy.clone()), text, tone };
        let from =
            |text: String, tone| Told { by: own.clone(), from: proxy.clone(), to: Some(own.clone()), text, tone };
        match event {
            Event::ClientDial { .. } => to(format!("dials ({session})"), Talk),
            Event::ClientOpen { strong, .. } => {
                from(format!("{session} is open{}", if *strong { ", windtunnel.v1" } else { "" }), Talk)
            }
            Event::ClientRefused { status, why, .. } => match status {
                0 => from(format!("{session}: {}", word(why)), Bad),
                status => from(format!("{session} refused, {status}: {}", word(why)), Bad),
            },
            Event::ClientSubscribe { symbol, .. } => to(format!("subscribes to {symbol}"), Talk),
            Event::ClientUnsubscribe { symbol, .. } => to(format!("gives {symbol} up"), Talk),
            Event::ClientAsk { n, .. } => to(format!("asks for other symbols ({n})"), Talk),
            Event::ClientPing { n, .. } => to(format!("ping {n}"), Talk),
            Event::ClientPong { n, .. } => from(format!("pong {n}"), Talk),
            Event::ClientOffend { .. } => to("breaks the protocol".to_owned(), Bad),
            Event::ClientAnswer { symbol, accepted, .. } => match accepted {
                true => from(format!("{symbol} is accepted"), Talk),
                false => from(format!("{symbol} is denied"), Bad),
            },
            Event::ClientDeliver { symbol, n, stamp, intact, .. } => {
                let stamp = stamp
                    .map_or_else(String::new, |stamp| format!(", {} {}/{}", word(&stamp.kind), stamp.epoch, stamp.seq));
                let damaged = if *intact { "" } else { ", DAMAGED" };
                from(format!("{symbol} n {n}{stamp}{damaged}"), if *intact { Data } else { Bad })
            }
            Event::ClientGap { symbol, epoch, from: first, to: last, reason, .. } => {
                let last = last.map_or_else(|| "the end".to_owned(), |last| last.to_string());
                from(format!("gap {symbol} {epoch}/{first} to {last}: {}", word(reason)), Bad)
            }
            Event::ClientResume { symbol, epoch, seq, .. } => to(format!("resumes {symbol} after {epoch}/{seq}"), Talk),
            Event::ClientResumed { symbol, epoch, seq, recovered, .. } => {
                let how = if *recovered { "recovered" } else { "not recovered" };
                from(format!("{symbol} after {epoch}/{seq}: {how}"), if *recovered { Talk } else { Bad })
            }
            Event::ClientSend { n, late_us, .. } => match late_us {
                0 => to(format!("request {n}"), Data),
                late_us => to(format!("request {n}, {} late", crate::figure::latency(*late_us)), Data),
            },
            Event::ClientEcho { n, latency_us, .. } => {
                from(format!("answer {n} after {}", crate::figure::latency(*latency_us)), Data)
            }
            Event::ClientGarbled { bytes, .. } => from(format!("{bytes} bytes that cannot be read"), Bad),
            Event::ClientClose { by: Side::Own, code: said, .. } => {
                to(format!("closes {session} {}", code(*said)), Talk)
            }
            Event::ClientClose { by: Side::Peer, code: said, .. } => {
                from(format!("closes {session} {}", code(*said)), Bad)
            }
            _ => note(own, String::new(), Talk),
        }
    }

    fn tell_proxy(&self, event: &Event) -> Told {
        use Tone::{Bad, Data, Talk};
        let own = |proxy: &ProxyId, text: String, tone| note(Party::Proxy(*proxy), text, tone);
        match event {
            Event::ProxyAdmit { proxy, peer } => own(proxy, format!("admits {}", self.client_at(*peer)), Talk),
            Event::ProxyShed { proxy, peer, why } => {
                own(proxy, format!("turns {} away: {}", self.client_at(*peer), word(why)), Bad)
            }
            Event::ProxyClientClose { proxy, peer, code: said, why } => {
                own(proxy, format!("ends {} {}: {}", self.client_at(*peer), code(*said), word(why)), Bad)
            }
            Event::ProxyDrop { proxy, peer, symbol, epoch, seq, why } => {
                own(proxy, format!("drops {symbol} {epoch}/{seq} of {}: {}", self.client_at(*peer), word(why)), Bad)
            }
            Event::ProxyDial { proxy, source } => {
                let own = Party::Proxy(*proxy);
                Told {
                    by: own.clone(),
                    from: own,
                    to: Some(self.source(*source)),
                    text: "dials".to_owned(),
                    tone: Talk,
                }
            }
            Event::ProxyLegUp { proxy, source, epoch, client, .. } => {
                let whose =
                    client.map_or_else(|| format!("epoch {epoch}"), |client| format!("for {}", self.client_at(client)));
                own(proxy, format!("leg to {} is up, {whose}", self.host(&self.source(*source))), Talk)
            }
            Event::ProxyLegDown { proxy, source, local, why } => {
                let what = if local.is_some() { "lost its leg to" } else { "could not dial" };
                own(proxy, format!("{what} {}: {}", self.host(&self.source(*source)), word(why)), Bad)
            }
            Event::ProxyHealth { proxy, source, healthy } => {
                let state = if *healthy { "healthy" } else { "not healthy" };
                let tone = if *healthy { Talk } else { Bad };
                own(proxy, format!("takes {} for {state}", self.host(&self.source(*source))), tone)
            }
            Event::ProxyDrainStart { proxy } => own(proxy, "drains".to_owned(), Talk),
            Event::ProxyDrainStop { proxy, left } => own(proxy, format!("is drained, {left} clients left"), Talk),
            Event::ProxyReload { proxy, changes } => own(proxy, format!("reloads, {changes} keys changed"), Talk),
            Event::ProxyGauge { proxy, clients, legs, queue_bytes, dropped, .. } => own(
                proxy,
                format!("gauge: {clients} clients, {legs} legs, {queue_bytes} bytes queued, {dropped} dropped so far"),
                Talk,
            ),
            Event::ProxyTick { proxy, source, symbol } => {
                let own = Party::Proxy(*proxy);
                let text = format!("tick of {symbol} arrived");
                Told { by: own.clone(), from: self.source(*source), to: Some(own), text, tone: Data }
            }
            _ => note(Party::Driver, String::new(), Talk),
        }
    }

    fn said_to(&self, source: SourceId, leg: wire::id::LegId, text: String, tone: Tone) -> Told {
        let own = self.source(source);
        match self.peer(source, leg) {
            Some(from) => Told { by: own.clone(), from, to: Some(own), text, tone },
            None => note(own, text, tone),
        }
    }

    fn said_by(&self, source: SourceId, leg: wire::id::LegId, text: String, tone: Tone) -> Told {
        let own = self.source(source);
        Told { by: own.clone(), from: own, to: self.peer(source, leg), text, tone }
    }

    /// The event as a line of text: `12.345000 s  client-7   S0003 n 12, live 1/12`.
    #[must_use]
    pub fn line(&self, timed: &Timed) -> String {
        let told = self.tell(&timed.event);
        let host = self.host(&told.by);
        let other = told.to.as_ref().filter(|to| **to != told.by);
        let way = match (other, &told.to) {
            (Some(to), _) => format!("to {}: ", self.host(to)),
            (None, Some(_)) => format!("from {}: ", self.host(&told.from)),
            (None, None) => String::new(),
        };
        format!("{} s  {host:<10}  {way}{}", stamp(timed.at_us), told.text)
    }
}

fn note(party: Party, text: String, tone: Tone) -> Told {
    Told { by: party.clone(), from: party, to: None, text, tone }
}

fn phase_word(phase: Phase) -> String {
    word(&phase)
}

/// The client whose event it is, with its session.
pub(super) fn client_of(event: &Event) -> Option<(ClientId, wire::id::SessionId)> {
    match event {
        Event::ClientDial { client, session, .. }
        | Event::ClientOpen { client, session, .. }
        | Event::ClientRefused { client, session, .. }
        | Event::ClientSubscribe { client, session, .. }
        | Event::ClientUnsubscribe { client, session, .. }
        | Event::ClientAsk { client, session, .. }
        | Event::ClientPing { client, session, .. }
        | Event::ClientPong { client, session, .. }
        | Event::ClientOffend { client, session }
        | Event::ClientAnswer { client, session, .. }
        | Event::ClientDeliver { client, session, .. }
        | Event::ClientGap { client, session, .. }
        | Event::ClientResume { client, session, .. }
        | Event::ClientResumed { client, session, .. }
        | Event::ClientSend { client, session, .. }
        | Event::ClientEcho { client, session, .. }
        | Event::ClientGarbled { client, session, .. }
        | Event::ClientClose { client, session, .. } => Some((*client, *session)),
        _ => None,
    }
}

/// The symbol that an event is about.
pub(super) fn symbol_of(event: &Event) -> Option<Symbol> {
    match event {
        Event::SourceSubscribe { symbol, .. }
        | Event::SourceDeny { symbol, .. }
        | Event::SourceUnsubscribe { symbol, .. }
        | Event::SourceSend { symbol, .. }
        | Event::ClientSubscribe { symbol, .. }
        | Event::ClientUnsubscribe { symbol, .. }
        | Event::ClientAnswer { symbol, .. }
        | Event::ClientDeliver { symbol, .. }
        | Event::ClientGap { symbol, .. }
        | Event::ClientResume { symbol, .. }
        | Event::ClientResumed { symbol, .. }
        | Event::ProxyDrop { symbol, .. }
        | Event::ProxyTick { symbol, .. } => Some(*symbol),
        _ => None,
    }
}
