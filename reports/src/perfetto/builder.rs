//! From events to entries.
//!
//! Entries are made in the order of events; one that reaches back in time (an arrow's beginning, a name) finds its place in the sort at the end, which
//! keeps the order of equal times: a slice stands before those inside it, an end after its beginning.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::json;
use wire::event::{Event, Phase as RunPhase, Side, Why, ends_process};
use wire::feed::GapReason;
use wire::id::{ClientId, LegId, ProxyId, SourceId};

use super::entry::{Args, Entry, Phase, Track};
use super::{Hosts, word};
use crate::metrics::Metrics;
use crate::record::Verdict;
use crate::tiers::Tiers;

/// Categories: what can be filtered by.
mod cat {
    pub(super) const CLIENT: &str = "client";
    pub(super) const FAULT: &str = "fault";
    pub(super) const LEG: &str = "leg";
    pub(super) const NOTICE: &str = "notice";
    pub(super) const PHASE: &str = "phase";
    pub(super) const SOURCE: &str = "source";
    pub(super) const VERDICT: &str = "verdict";
}

/// The process of what belongs to no host.
const RUN: u32 = 1;

pub(super) struct Builder<'a> {
    hosts: &'a Hosts,
    /// Each process by its name.
    processes: BTreeMap<String, u32>,
    entries: Vec<Entry>,
    next_tid: u32,
    next_id: u32,
    end_us: u64,
    bound: Bound,
    /// Legs that are up, by proxy and own address.
    legs: BTreeMap<(ProxyId, SocketAddr), Span>,
    /// The latest leg that each proxy lost in fan-out, for the arrows from it.
    lost: BTreeMap<ProxyId, (u64, Track)>,
    /// Connections that sources hold.
    accepted: BTreeMap<(SourceId, LegId), Span>,
    clients: BTreeMap<ClientId, Client>,
    /// What each process holds that lies on a thread of its own: the thread.
    threads: BTreeMap<(u32, &'static str), Track>,
}

/// How many entries may still be spent on what has no bound of its own.
struct Bound {
    left: usize,
    /// When the first thing did not fit.
    cut_us: Option<u64>,
    left_out: u64,
    most: usize,
}

/// An asynchronous slice under way.
struct Span {
    name: String,
    cat: &'static str,
    track: Track,
    id: u32,
    /// Messages that went over it.
    messages: u64,
}

struct Client {
    track: Track,
    /// The slice under way, by its place: connecting, or connected.
    slice: Option<usize>,
    messages: u64,
    /// The proxy that its session goes to.
    proxy: ProxyId,
    /// When its last session ended.
    closed_us: Option<u64>,
}

impl Bound {
    /// Whether so many more entries fit. Once something did not, nothing does: what is shown is whole up to a time.
    fn takes(&mut self, at_us: u64, entries: usize) -> bool {
        let fits = self.cut_us.is_none() && entries <= self.left;
        if fits {
            self.left -= entries;
        } else {
            self.cut_us.get_or_insert(at_us);
            self.left_out += 1;
        }
        fits
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(hosts: &'a Hosts, entries_max: usize, end_us: u64) -> Self {
        let mut builder = Self {
            hosts,
            processes: BTreeMap::new(),
            entries: Vec::new(),
            next_tid: 0,
            next_id: 1,
            end_us,
            bound: Bound { left: entries_max, cut_us: None, left_out: 0, most: entries_max },
            legs: BTreeMap::new(),
            lost: BTreeMap::new(),
            accepted: BTreeMap::new(),
            clients: BTreeMap::new(),
            threads: BTreeMap::new(),
        };
        let tiers = hosts.tiers();
        let proxies = (0..hosts.proxies).map(|number| (tiers.proxy(ProxyId(number)), "legs"));
        let sources = (0..hosts.sources).map(|number| (SourceId(number).to_string(), "connections"));
        let clients = hosts.clients.iter().map(|host| (host.name.clone(), "faults"));
        let processes = std::iter::once(("run".to_owned(), "phases")).chain(proxies).chain(sources).chain(clients);
        for (pid, (name, main)) in (RUN..).zip(processes) {
            let track = Track { pid, tid: pid };
            builder.name("process_name", track, &name);
            builder.metadata("process_sort_index", track, ("sort_index", json!(pid)));
            builder.name("thread_name", track, main);
            builder.next_tid = pid + 1;
            builder.processes.insert(name, pid);
        }
        builder
    }

    /// What hosts are called.
    fn tiers(&self) -> Tiers {
        self.hosts.tiers()
    }

    /// What the run as a whole shows: its phases, faults and violations.
    pub(super) fn run(&mut self, verdict: &Verdict, metrics: &Metrics) {
        let ends = metrics.phases.iter().skip(1).map(|mark| mark.at_us).chain([metrics.end_us]);
        for (mark, end_us) in metrics.phases.iter().zip(ends).filter(|(mark, _)| mark.phase != RunPhase::End) {
            let slice = Entry::new(Phase::Complete, cat::PHASE, word(&mark.phase), mark.at_us, self.run_track());
            self.always(slice.lasting(end_us.saturating_sub(mark.at_us)));
        }
        for fault in &metrics.faults {
            let args = vec![("fault", json!(fault.fault)), ("target", json!(fault.target))];
            let until_us = fault.stop_us.unwrap_or(metrics.end_us).max(fault.start_us);
            // On a track of its own for the whole run, and on each host that it names.
            let whole = (self.run_track(), format!("{} of {}", fault.kind, fault.target));
            let named = fault.target.split(['/', '>']).filter_map(|name| self.host_track(name));
            let named: Vec<_> = named.map(|track| (track, format!("fault: {}", fault.kind))).collect();
            for (track, name) in std::iter::once(whole).chain(named) {
                let id = self.id();
                let entry = |ph, ts| Entry::new(ph, cat::FAULT, name.clone(), ts, track).local(id);
                self.always(entry(Phase::Begin, fault.start_us).with(args.clone()));
                self.always(entry(Phase::End, until_us));
            }
        }
        for invariant in &verdict.invariants {
            for violation in &invariant.violations {
                let mut entry =
                    Entry::new(Phase::Instant, cat::VERDICT, invariant.name.clone(), violation.at_us, self.run_track())
                        .with([("message", json!(violation.message))]);
                entry.s = Some("g");
                self.always(entry);
            }
        }
    }

    /// Takes the next event.
    pub(super) fn observe(&mut self, at_us: u64, event: &Event) {
        match event {
            Event::ProxyLegUp { proxy, source, local, client, epoch } => {
                let Some(track) = self.host_track(&self.tiers().proxy(*proxy)) else { return };
                let mut args = vec![("local", json!(local))];
                match client {
                    Some(client) => args.push(("client", json!(client))),
                    None => args.push(("epoch", json!(epoch))),
                }
                let begun =
                    self.begin(at_us, cat::LEG, format!("leg to {}", self.tiers().source(*source)), track, args);
                if let Some(before) = begun.and_then(|span| self.legs.insert((*proxy, *local), span)) {
                    self.end(at_us, before, Vec::new());
                }
            }
            Event::ProxyLegDown { proxy, source, local, why } => self.leg_down(at_us, *proxy, *source, *local, *why),
            Event::ProxyHealth { proxy, source, healthy } => {
                let state = if *healthy { "healthy" } else { "unhealthy" };
                self.instant(
                    at_us,
                    &self.tiers().proxy(*proxy),
                    "health",
                    format!("{} {state}", self.tiers().source(*source)),
                    Vec::new(),
                );
            }
            Event::ProxyShed { proxy, peer, why } => {
                let args = vec![("peer", json!(peer))];
                self.instant(at_us, &self.tiers().proxy(*proxy), "turned away", format!("shed: {}", word(why)), args);
            }
            Event::ProxyClientClose { proxy, peer, code, why } if *why != Why::Closed => {
                let args = vec![("peer", json!(peer)), ("code", json!(code))];
                self.instant(at_us, &self.tiers().proxy(*proxy), "ended", format!("ended: {}", word(why)), args);
            }
            Event::SourceOpen { source, leg, peer } => {
                let Some(track) = self.host_track(&source.to_string()) else { return };
                let args = vec![("leg", json!(leg)), ("peer", json!(peer))];
                if let Some(span) = self.begin(at_us, cat::SOURCE, "connection".to_owned(), track, args) {
                    self.accepted.insert((*source, *leg), span);
                }
            }
            Event::SourceSend { source, leg, .. } => {
                if let Some(span) = self.accepted.get_mut(&(*source, *leg)) {
                    span.messages += 1;
                }
            }
            Event::SourceClose { source, leg, by, code } => {
                if let Some(span) = self.accepted.remove(&(*source, *leg)) {
                    self.end(at_us, span, vec![("ended", json!(by_whom(*by))), ("code", json!(code))]);
                }
            }
            Event::SourceRefuse { source, peer, why } => {
                let args = vec![("peer", json!(peer))];
                self.instant(at_us, &source.to_string(), "turned away", format!("refused: {}", word(why)), args);
            }
            Event::FaultStart { kind, target, .. } if ends_process(kind) => self.process_ends(at_us, target),
            _ => self.observe_client(at_us, event),
        }
    }

    fn observe_client(&mut self, at_us: u64, event: &Event) {
        match event {
            Event::ClientDial { client, session, target } => {
                let args = vec![("session", json!(session)), ("target", json!(self.tiers().target(*target)))];
                self.client_begins(at_us, *client, "connecting", args);
            }
            Event::ClientOpen { client, session, target, local, strong } => {
                self.client_ends(at_us, *client, Vec::new());
                let proxy = self.tiers().target_id(*target);
                let args = vec![
                    ("session", json!(session)),
                    ("target", json!(self.tiers().target(*target))),
                    ("local", json!(local)),
                    ("windtunnel.v1", json!(strong)),
                ];
                self.client_begins(at_us, *client, "connected", args);
                if let Some(client) = self.clients.get_mut(client) {
                    client.proxy = proxy;
                }
            }
            Event::ClientRefused { client, status, why, .. } => {
                self.client_ends(at_us, *client, Vec::new());
                let args = vec![("status", json!(status))];
                self.notice((at_us, 0), *client, format!("refused: {}", word(why)), args);
            }
            Event::ClientClose { client, by, code, .. } => {
                let begun_us = self.client_ends(at_us, *client, vec![("ended", json!(by_whom(*by)))]);
                let code_word = code.map_or("broken".to_owned(), |code| code.to_string());
                // The session's last microsecond: a slice at its very end would lie in it for one reader and behind it for the other.
                let last_us = at_us.saturating_sub(1).max(begun_us.unwrap_or(at_us));
                let args = vec![("by", json!(by_whom(*by)))];
                self.notice((last_us, at_us - last_us), *client, format!("closed: {code_word}"), args);
                if let Some(client) = self.clients.get_mut(client) {
                    client.closed_us = Some(last_us);
                }
            }
            Event::ClientDeliver { client, .. } | Event::ClientEcho { client, .. } => {
                if let Some(client) = self.clients.get_mut(client) {
                    client.messages += 1;
                }
            }
            Event::ClientGap { client, symbol, epoch, from, to, reason, .. } => {
                let args =
                    vec![("symbol", json!(symbol)), ("epoch", json!(epoch)), ("from", json!(from)), ("to", json!(to))];
                let Some(track) = self.notice((at_us, 0), *client, format!("gap: {}", word(reason)), args) else {
                    return;
                };
                if *reason == GapReason::Reset
                    && let Some(client) = self.clients.get(client)
                    && let Some(lost) = self.lost.get(&client.proxy).copied()
                {
                    self.arrow("leg lost", lost, (at_us, track));
                }
            }
            Event::ClientResumed { client, symbol, epoch, seq, recovered, .. } => {
                let name = if *recovered { "resumed" } else { "not resumed" };
                let args = vec![("symbol", json!(symbol)), ("epoch", json!(epoch)), ("after seq", json!(seq))];
                let Some(track) = self.notice((at_us, 0), *client, name.to_owned(), args) else { return };
                if let Some(closed_us) = self.clients.get(client).and_then(|client| client.closed_us) {
                    self.arrow("resume", (closed_us, track), (at_us, track));
                }
            }
            Event::ClientGarbled { client, bytes, .. } => {
                self.notice((at_us, 0), *client, "unreadable".to_owned(), vec![("bytes", json!(bytes))]);
            }
            _ => {}
        }
    }

    fn leg_down(&mut self, at_us: u64, proxy: ProxyId, source: SourceId, local: Option<SocketAddr>, why: Why) {
        let Some(local) = local else {
            let name = format!("dial of {} failed: {}", self.tiers().source(source), word(&why));
            self.instant(at_us, &self.tiers().proxy(proxy), "dials that failed", name, Vec::new());
            return;
        };
        if let Some(span) = self.legs.remove(&(proxy, local)) {
            self.end(at_us, span, vec![("ended", json!(why))]);
        }
        let Some(process) = self.host_track(&self.tiers().proxy(proxy)) else { return };
        if matches!(why, Why::Shutdown | Why::Superseded) {
            // What clients are told next is not because of a leg that was lost before.
            self.lost.remove(&proxy);
            return;
        }
        if !self.bound.takes(at_us, 2) {
            return;
        }
        let track = self.thread(process.pid, "legs lost");
        let name = format!("lost {}: {}", self.tiers().source(source), word(&why));
        self.always(Entry::new(Phase::Complete, cat::LEG, name, at_us, track).lasting(0));
        self.lost.insert(proxy, (at_us, track));
    }

    /// What a process that dies held ends with it, and it says no word of it.
    fn process_ends(&mut self, at_us: u64, target: &str) {
        let ended = || vec![("ended", json!("with its process"))];
        let tiers = self.tiers();
        let legs: Vec<_> = self.legs.keys().filter(|(owner, _)| tiers.proxy(*owner) == target).copied().collect();
        let legs = legs.iter().filter_map(|key| self.legs.remove(key));
        let accepted: Vec<_> = self.accepted.keys().filter(|(owner, _)| owner.to_string() == target).copied().collect();
        let accepted = accepted.iter().filter_map(|key| self.accepted.remove(key));
        let spans: Vec<Span> = legs.chain(accepted).collect();
        for span in spans {
            self.end(at_us, span, ended());
        }
        if let Some(host) = self.hosts.clients.iter().find(|host| host.name == target) {
            for number in host.first.0..host.first.0.saturating_add(host.count) {
                self.client_ends(at_us, ClientId(number), ended());
            }
        }
    }

    /// The client's next slice begins.
    fn client_begins(&mut self, at_us: u64, client: ClientId, name: &'static str, args: Args) {
        self.client_ends(at_us, client, Vec::new());
        // A name and a place for its thread, once.
        let known = self.clients.contains_key(&client);
        let host = self
            .hosts
            .clients
            .iter()
            .find(|host| client.0.checked_sub(host.first.0).is_some_and(|place| place < host.count));
        let Some(process) = host.and_then(|host| self.host_track(&host.name)) else { return };
        if !self.bound.takes(at_us, if known { 1 } else { 3 }) {
            return;
        }
        if !known {
            let track = Track { pid: process.pid, tid: self.tid() };
            self.name("thread_name", track, &client.to_string());
            self.metadata("thread_sort_index", track, ("sort_index", json!(track.tid)));
            let fresh = Client { track, slice: None, messages: 0, proxy: ProxyId::default(), closed_us: None };
            self.clients.insert(client, fresh);
        }
        let place = self.entries.len();
        let Some(client) = self.clients.get_mut(&client) else { return };
        (client.slice, client.messages) = (Some(place), 0);
        // Until it is known when it ends, it lasts as long as the run.
        let dur = self.end_us.saturating_sub(at_us);
        self.entries.push(Entry::new(Phase::Complete, cat::CLIENT, name, at_us, client.track).lasting(dur).with(args));
    }

    /// The client's slice ends, if one is under way. Gives when it began.
    fn client_ends(&mut self, at_us: u64, client: ClientId, args: Args) -> Option<u64> {
        let client = self.clients.get_mut(&client)?;
        let entry = client.slice.take().and_then(|place| self.entries.get_mut(place))?;
        entry.dur = Some(at_us.saturating_sub(entry.ts));
        if client.messages > 0 {
            entry.args.push(("messages", json!(client.messages)));
        }
        entry.args.extend(args);
        Some(entry.ts)
    }

    /// Something that a client was told: a slice (from when, how long), so that arrows can begin and end at it.
    fn notice(&mut self, (at_us, dur): (u64, u64), client: ClientId, name: String, args: Args) -> Option<Track> {
        let track = self.clients.get(&client)?.track;
        if !self.bound.takes(at_us, 1) {
            return None;
        }
        self.always(Entry::new(Phase::Complete, cat::NOTICE, name, at_us, track).lasting(dur).with(args));
        Some(track)
    }

    fn arrow(&mut self, name: &'static str, from: (u64, Track), to: (u64, Track)) {
        if !self.bound.takes(to.0, 2) {
            return;
        }
        let id = self.id();
        let end = |ph, (ts, track)| Entry::new(ph, cat::NOTICE, name, ts, track).numbered(id);
        self.always(end(Phase::FlowStart, from));
        let mut arrival = end(Phase::FlowEnd, to);
        arrival.bp = Some("e");
        self.always(arrival);
    }

    /// An instant on a thread of a host.
    fn instant(&mut self, at_us: u64, host: &str, thread: &'static str, name: String, args: Args) {
        let Some(process) = self.host_track(host) else { return };
        if !self.bound.takes(at_us, 2) {
            return;
        }
        let track = self.thread(process.pid, thread);
        let mut entry = Entry::new(Phase::Instant, cat::NOTICE, name, at_us, track).with(args);
        entry.s = Some("t");
        self.always(entry);
    }

    /// Begins an asynchronous slice; its end is paid for.
    fn begin(&mut self, at_us: u64, cat: &'static str, name: String, track: Track, args: Args) -> Option<Span> {
        if !self.bound.takes(at_us, 2) {
            return None;
        }
        let id = self.id();
        self.always(Entry::new(Phase::Begin, cat, name.clone(), at_us, track).local(id).with(args));
        Some(Span { name, cat, track, id, messages: 0 })
    }

    fn end(&mut self, at_us: u64, span: Span, mut args: Args) {
        if span.messages > 0 {
            args.push(("messages", json!(span.messages)));
        }
        self.always(Entry::new(Phase::End, span.cat, span.name, at_us, span.track).local(span.id).with(args));
    }

    /// Adds an entry, whatever the bound.
    pub(super) fn always(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    pub(super) fn run_track(&self) -> Track {
        Track { pid: RUN, tid: RUN }
    }

    /// A host's own track.
    pub(super) fn host_track(&self, name: &str) -> Option<Track> {
        self.processes.get(name).map(|pid| Track { pid: *pid, tid: *pid })
    }

    /// A thread of a process, named when it is first wanted.
    fn thread(&mut self, pid: u32, name: &'static str) -> Track {
        if let Some(track) = self.threads.get(&(pid, name)) {
            return *track;
        }
        let track = Track { pid, tid: self.tid() };
        self.name("thread_name", track, name);
        self.threads.insert((pid, name), track);
        track
    }

    fn name(&mut self, what: &'static str, track: Track, name: &str) {
        self.metadata(what, track, ("name", json!(name)));
    }

    fn metadata(&mut self, what: &'static str, track: Track, arg: (&'static str, serde_json::Value)) {
        self.always(Entry::new(Phase::Metadata, "", what, 0, track).with([arg]));
    }

    fn tid(&mut self) -> u32 {
        self.next_tid += 1;
        self.next_tid - 1
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// How the trace was cut short, if it was.
    pub(super) fn cut(&self) -> Option<String> {
        let Bound { cut_us, left_out, most, .. } = self.bound;
        cut_us.map(|cut_us| {
            format!(
                "connections, clients and what they were told end at {:.6} s: the bound of {most} entries is reached, {left_out} things are left out; \
                phases, faults, violations and counters are whole",
                cut_us as f64 / 1e6
            )
        })
    }

    /// All entries, in the order of time. What is still open ends with the run.
    pub(super) fn finish(mut self) -> Vec<Entry> {
        let open = || vec![("ended", json!("with the run"))];
        let legs = std::mem::take(&mut self.legs).into_values();
        let accepted = std::mem::take(&mut self.accepted).into_values();
        for span in legs.chain(accepted) {
            self.end(self.end_us, span, open());
        }
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in clients {
            self.client_ends(self.end_us, client, open());
        }
        self.entries.sort_by_key(|entry| entry.ts);
        self.entries
    }
}

fn by_whom(side: Side) -> &'static str {
    match side {
        Side::Own => "by itself",
        Side::Peer => "by the other end",
    }
}
