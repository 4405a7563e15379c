//! The whole run as lanes on one axis of time: sources, proxies with their legs, clients.
//!
//! Where few are there, each connection is a bar; where many are, a lane shows how many are open. Clients that a violation names have a lane of their own
//! however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use wire::event::{Event, Side, Timed, ends_process};
use wire::id::{ClientId, LegId, ProxyId, SourceId, Symbol};

use super::names::Names;
use super::words::{Party, Tone, client_of, stamp, symbol_of};
use crate::figure;
use crate::metrics::Metrics;
use crate::perfetto::Hosts;
use crate::record::{Outcome, Verdict};

/// Clients with a lane each: all, where there are no more; else those that violations name.
const CLIENTS_MAX: usize = 12;
/// Lanes in all.
const LANES_MAX: usize = 64;
/// Connections at a time that are drawn as bars.
const ROWS_MAX: usize = 3;
/// Bars of a lane.
const BARS_MAX: usize = 400;
/// Marks of a lane that have words, and ticks.
const MARKS_MAX: usize = 120;
const TICKS_MAX: usize = 1_500;
/// Steps of a lane that shows a number.
const STEPS_MAX: u64 = 400;
/// Violations that are marked.
const WITNESSES_MAX: usize = 200;

/// The whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Its end, in microseconds.
    pub end_us: u64,
    /// Who was there.
    pub lanes: Vec<Lane>,
    /// The first violation.
    pub first_us: Option<u64>,
    /// All that are marked.
    pub violations_us: Vec<u64>,
    /// What was left out.
    pub cut: Vec<String>,
}

/// Of what a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A source and the connections that it holds.
    Source,
    /// A proxy, or its legs to a source.
    Proxy,
    /// A client, or several.
    Client,
}

impl Kind {
    /// Its class in the page.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Proxy => "proxy",
            Kind::Client => "client",
        }
    }
}

/// One lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Whose: `client-7`, `proxy-0 → source-1`, `viewers-0: 250 clients`.
    pub name: String,
    /// Of what kind.
    pub kind: Kind,
    /// Whether a violation names it.
    pub named: bool,
    /// Connections.
    pub bars: Vec<Bar>,
    /// How many are open, where they are too many for bars: from when on, how many.
    pub steps: Vec<(u64, u64)>,
    /// The greatest of these.
    pub most: u64,
    /// Ticks that were sent or delivered.
    pub ticks: Vec<u64>,
    /// Stretches with further ticks, which are not drawn one by one: from, to.
    pub undrawn: Vec<(u64, u64)>,
    /// What happened, with words.
    pub marks: Vec<Mark>,
    /// What was lost, refused or told of a gap beyond those.
    pub more: Vec<u64>,
    /// What else happened beyond those.
    pub calm: Vec<u64>,
    /// When a fault hit it: from, to, in words.
    pub faults: Vec<(u64, u64, String)>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// From when.
    pub from_us: u64,
    /// To when.
    pub to_us: u64,
    /// Which of the lane's rows, and of how many.
    pub row: usize,
    /// `dial`, `session`, `leg`.
    pub class: &'static str,
    /// In words.
    pub title: String,
}

/// Something at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at_us: u64,
    /// `bad`, `talk`; `shows` and `breach` for what shows a violation.
    pub class: &'static str,
    /// In words.
    pub title: String,
}

impl Mark {
    /// Whether it shows a violation.
    #[must_use]
    pub fn is_witness(&self) -> bool {
        matches!(self.class, "shows" | "breach")
    }
}

impl Lane {
    /// Rows of bars.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.bars.iter().map(|bar| bar.row + 1).max().unwrap_or(1)
    }
}

/// Which lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Source(SourceId),
    Proxy(ProxyId),
    Legs(ProxyId, SourceId),
    Group(usize),
    Client(ClientId),
}

/// A lane while it is made.
#[derive(Default)]
struct Draft {
    /// Connections under way, by what tells them apart.
    open: BTreeMap<u64, (u64, &'static str, String)>,
    spans: Vec<(u64, u64, &'static str, String)>,
    /// By how much the number changes.
    changes: Vec<(u64, i64)>,
    ticks: Vec<u64>,
    marks: Vec<Mark>,
}

impl Draft {
    fn begin(&mut self, id: u64, at_us: u64, class: &'static str, title: String) {
        self.end(id, at_us, "");
        self.open.insert(id, (at_us, class, title));
        self.changes.push((at_us, 1));
    }

    fn end(&mut self, id: u64, at_us: u64, how: &str) {
        if let Some((from_us, class, title)) = self.open.remove(&id) {
            let title = if how.is_empty() { title } else { format!("{title}; {how}") };
            self.spans.push((from_us, at_us, class, title));
            self.changes.push((at_us, -1));
        }
    }

    fn end_all(&mut self, at_us: u64, how: &str) {
        let ids: Vec<u64> = self.open.keys().copied().collect();
        ids.into_iter().for_each(|id| self.end(id, at_us, how));
    }

    fn mark(&mut self, at_us: u64, class: &'static str, title: String) {
        self.marks.push(Mark { at_us, class, title });
    }
}

struct Builder<'a> {
    names: &'a Names,
    hosts: &'a Hosts,
    own: BTreeSet<ClientId>,
    clients: u32,
    symbols: BTreeSet<Symbol>,
    drafts: BTreeMap<Key, Draft>,
    /// A number for each leg's address.
    legs: BTreeMap<SocketAddr, u64>,
}

impl Lanes {
    pub(super) fn new(verdict: &Verdict, metrics: &Metrics, hosts: &Hosts, names: &Names, events: &[Timed]) -> Self {
        let broken = verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
        let violations: Vec<_> = broken.flat_map(|invariant| &invariant.violations).collect();
        let first_us = violations.iter().map(|violation| violation.at_us).min();
        // The last event of a violation is the breach itself.
        let shown: Vec<(usize, bool, &str)> = violations
            .iter()
            .flat_map(|violation| {
                let last = violation.events.len().saturating_sub(1);
                violation
                    .events
                    .iter()
                    .enumerate()
                    .map(move |(nth, number)| (*number, nth == last, violation.message.as_str()))
            })
            .filter_map(|(number, breach, message)| Some((usize::try_from(number).ok()?, breach, message)))
            .filter(|(place, ..)| *place < events.len())
            .collect();
        let mut cut = Vec::new();
        let clients: u32 = hosts.clients.iter().map(|host| host.count).sum();
        let mut named: Vec<ClientId> = Vec::new();
        for (place, ..) in &shown {
            if let Some((client, _)) = client_of(&events[*place].event)
                && !named.contains(&client)
            {
                named.push(client);
            }
        }
        if named.len() > CLIENTS_MAX {
            cut.push(format!("Violations name {} clients: {CLIENTS_MAX} have a lane of their own.", named.len()));
        }
        let own: BTreeSet<ClientId> = if clients as usize <= CLIENTS_MAX {
            (0..clients).map(ClientId).collect()
        } else {
            named.iter().take(CLIENTS_MAX).copied().collect()
        };
        let symbols = shown.iter().filter_map(|(place, ..)| symbol_of(&events[*place].event)).collect();
        let mut builder =
            Builder { names, hosts, own, clients, symbols, drafts: BTreeMap::new(), legs: BTreeMap::new() };
        builder.cast(metrics);
        for Timed { at_us, event } in events {
            builder.observe(*at_us, event);
        }
        let mut witnesses: BTreeSet<Key> = BTreeSet::new();
        for (place, breach, message) in shown.iter().take(WITNESSES_MAX) {
            let Timed { at_us, event } = &events[*place];
            let key = builder.key(&names.teller(event));
            let title = format!("{} s, event {place}: {}. {message}", stamp(*at_us), names.tell(event).text);
            if let Some(draft) = key.as_ref().and_then(|key| builder.drafts.get_mut(key)) {
                draft.mark(*at_us, if *breach { "breach" } else { "shows" }, title);
            }
            witnesses.extend(key.filter(|key| !matches!(key, Key::Group(_))));
        }
        if shown.len() > WITNESSES_MAX {
            cut.push(format!("{} events show violations: {WITNESSES_MAX} are marked in the timeline.", shown.len()));
        }
        let mut lanes = builder.finish(metrics, &witnesses, first_us, &mut cut);
        if lanes.len() > LANES_MAX {
            cut.push(format!("The timeline has {LANES_MAX} of {} lanes.", lanes.len()));
            // Those that violations name stay; of the others, the first.
            let mut room = LANES_MAX.saturating_sub(lanes.iter().filter(|lane| lane.named).count());
            lanes.retain(|lane| lane.named || take(&mut room));
        }
        let violations_us: BTreeSet<u64> = violations.iter().map(|violation| violation.at_us).collect();
        Self { end_us: metrics.end_us.max(1), lanes, first_us, violations_us: violations_us.into_iter().collect(), cut }
    }
}

impl Builder<'_> {
    /// Lanes of those who are there whatever happens.
    fn cast(&mut self, metrics: &Metrics) {
        let tiers = metrics.tiers();
        let keys = (0..tiers.sources).map(|source| Key::Source(SourceId(source)));
        let keys = keys.chain((0..tiers.proxies).map(|proxy| Key::Proxy(ProxyId(proxy))));
        let keys = keys.chain(self.own.iter().map(|client| Key::Client(*client)));
        self.drafts.extend(keys.map(|key| (key, Draft::default())));
        if self.own.len() < self.clients as usize {
            self.drafts.extend((0..self.hosts.clients.len()).map(|place| (Key::Group(place), Draft::default())));
        }
    }

    fn key(&self, party: &Party) -> Option<Key> {
        match party {
            Party::Source(source) => Some(Key::Source(*source)),
            Party::Proxy(proxy) => Some(Key::Proxy(*proxy)),
            Party::Client(client) if self.own.contains(client) => Some(Key::Client(*client)),
            Party::Client(client) => self.group(*client).map(Key::Group),
            Party::Driver => None,
        }
    }

    fn group(&self, client: ClientId) -> Option<usize> {
        self.hosts.clients.iter().position(|host| (host.first.0..host.first.0 + host.count).contains(&client.0))
    }

    fn draft(&mut self, key: Key) -> &mut Draft {
        self.drafts.entry(key).or_default()
    }

    fn observe(&mut self, at_us: u64, event: &Event) {
        match event {
            Event::SourceOpen { source, leg, peer } => {
                let who = self.names.at(*peer).map_or_else(|| peer.to_string(), |party| self.names.host(&party));
                let title = format!("{leg} of {who}, from {}", figure::instant(at_us));
                self.draft(Key::Source(*source)).begin(u64::from(leg.0), at_us, "leg", title);
            }
            Event::SourceClose { source, leg: LegId(leg), .. } => {
                let how = self.closed(at_us, event);
                self.draft(Key::Source(*source)).end(u64::from(*leg), at_us, &how);
            }
            Event::SourceSend { source, symbol, .. } if self.symbols.contains(symbol) => {
                self.draft(Key::Source(*source)).ticks.push(at_us);
            }
            Event::ProxyLegUp { proxy, source, local, .. } => {
                let fresh = self.legs.len() as u64;
                let id = *self.legs.entry(*local).or_insert(fresh);
                let title = self.at(at_us, event);
                self.draft(Key::Legs(*proxy, *source)).begin(id, at_us, "leg", title);
            }
            Event::ProxyLegDown { proxy, source, local, .. } => {
                let title = self.at(at_us, event);
                let id = local.and_then(|local| self.legs.get(&local).copied());
                let draft = self.draft(Key::Legs(*proxy, *source));
                if let Some(id) = id {
                    draft.end(id, at_us, &title);
                }
                draft.mark(at_us, "bad", title);
            }
            Event::FaultStart { kind, target, .. } if ends_process(kind) => {
                self.dies(at_us, target, &format!("{kind} at {}", figure::instant(at_us)));
            }
            Event::ProxyShed { .. }
            | Event::ProxyHealth { .. }
            | Event::ProxyDrainStart { .. }
            | Event::ProxyDrainStop { .. }
            | Event::ProxyReload { .. }
            | Event::ProxyDrop { .. }
            | Event::SourceRefuse { .. }
            | Event::SourceDeny { .. } => {
                let told = self.names.tell(event);
                let class = if told.tone == Tone::Bad { "bad" } else { "talk" };
                let title = format!("{}: {}", figure::instant(at_us), told.text);
                if let Some(key) = self.key(&told.by) {
                    self.draft(key).mark(at_us, class, title);
                }
            }
            _ => self.observe_client(at_us, event),
        }
    }

    fn observe_client(&mut self, at_us: u64, event: &Event) {
        let Some((client, _)) = client_of(event) else { return };
        let Some(key) = self.key(&Party::Client(client)) else { return };
        let alone = matches!(key, Key::Client(_));
        let id = u64::from(client.0);
        if let Some(group) = self.group(client).filter(|_| alone && self.own.len() < self.clients as usize) {
            // It counts among its host's, too.
            match event {
                Event::ClientOpen { .. } => self.draft(Key::Group(group)).begin(id, at_us, "session", String::new()),
                Event::ClientClose { .. } => self.draft(Key::Group(group)).end(id, at_us, ""),
                _ => {}
            }
        }
        match event {
            Event::ClientDial { .. } if alone => {
                let title = self.at(at_us, event);
                self.draft(key).begin(id, at_us, "dial", title);
            }
            Event::ClientOpen { .. } => {
                let title = self.at(at_us, event);
                let draft = self.draft(key);
                draft.end(id, at_us, "");
                draft.begin(id, at_us, "session", title);
            }
            Event::ClientRefused { .. } | Event::ClientClose { .. } => {
                let title = self.at(at_us, event);
                // Who leaves has lost nothing: the session's end says it all.
                let left = matches!(event, Event::ClientClose { by: Side::Own, .. });
                let draft = self.draft(key);
                draft.end(id, at_us, &title);
                if !left {
                    draft.mark(at_us, "bad", title);
                }
            }
            Event::ClientGap { .. }
            | Event::ClientGarbled { .. }
            | Event::ClientOffend { .. }
            | Event::ClientAnswer { accepted: false, .. }
            | Event::ClientResumed { recovered: false, .. } => {
                let title = self.at(at_us, event);
                self.draft(key).mark(at_us, "bad", title);
            }
            Event::ClientResumed { recovered: true, .. } => {
                let title = self.at(at_us, event);
                self.draft(key).mark(at_us, "talk", title);
            }
            Event::ClientDeliver { symbol, .. }
                if alone && (self.symbols.is_empty() || self.symbols.contains(symbol)) =>
            {
                self.draft(key).ticks.push(at_us);
            }
            Event::ClientEcho { .. } if alone => self.draft(key).ticks.push(at_us),
            _ => {}
        }
    }

    /// A process that is killed reports no ends: neither its own nor, where it carries clients, theirs.
    fn dies(&mut self, at_us: u64, host: &str, how: &str) {
        let party = self.names.party(host);
        let carried = self.hosts.clients.iter().position(|carrier| carrier.name == host);
        let keys: Vec<Key> = self
            .drafts
            .keys()
            .filter(|key| match (key, &party) {
                (Key::Source(source), Some(Party::Source(dead))) => source == dead,
                (Key::Proxy(proxy) | Key::Legs(proxy, _), Some(Party::Proxy(dead))) => proxy == dead,
                (Key::Group(place), _) => carried == Some(*place),
                (Key::Client(client), _) => carried.is_some() && self.group(*client) == carried,
                _ => false,
            })
            .cloned()
            .collect();
        keys.into_iter().for_each(|key| self.draft(key).end_all(at_us, how));
    }

    /// `12.345 s: session-0 is open`, with whose it is where several share a lane.
    fn at(&self, at_us: u64, event: &Event) -> String {
        let told = self.names.tell(event);
        let host = self.names.host(&told.by);
        format!("{} {host}: {}", figure::instant(at_us), told.text)
    }

    fn closed(&self, at_us: u64, event: &Event) -> String {
        format!("{} at {}", self.names.tell(event).text, figure::instant(at_us))
    }

    fn finish(
        self,
        metrics: &Metrics,
        witnesses: &BTreeSet<Key>,
        first_us: Option<u64>,
        cut: &mut Vec<String>,
    ) -> Vec<Lane> {
        let Self { names, hosts, drafts, .. } = self;
        let mut lanes = Vec::new();
        let mut ticks_cut = false;
        for (key, mut draft) in drafts {
            draft.end_all(metrics.end_us, "");
            let (name, kind) = match &key {
                Key::Source(source) => (names.host(&Party::Source(*source)), Kind::Source),
                Key::Proxy(proxy) => (names.host(&Party::Proxy(*proxy)), Kind::Proxy),
                Key::Legs(proxy, source) => {
                    let (proxy, source) = (Party::Proxy(*proxy), names.source(*source));
                    (format!("{} → {}", names.host(&proxy), names.host(&source)), Kind::Proxy)
                }
                Key::Group(place) => {
                    let host = &hosts.clients[*place];
                    (format!("{}: {} clients", host.name, figure::count(u64::from(host.count))), Kind::Client)
                }
                Key::Client(client) => (client.to_string(), Kind::Client),
            };
            let hit = |target: &str| {
                let client_host = match &key {
                    Key::Group(place) => Some(*place),
                    Key::Client(client) => hosts
                        .clients
                        .iter()
                        .position(|host| (host.first.0..host.first.0 + host.count).contains(&client.0)),
                    _ => None,
                };
                let of_host = |name: &str| match &key {
                    Key::Legs(..) => false,
                    _ => client_host.map_or(name == names_of(&key, names), |place| name == hosts.clients[place].name),
                };
                target.split(['/', '>']).any(of_host)
            };
            let faults = metrics.faults.iter().filter(|fault| hit(&fault.target));
            let faults = faults.map(|fault| {
                let until_us = fault.stop_us.unwrap_or(metrics.end_us).max(fault.start_us);
                let title = format!("fault: {} {}, from {}", fault.kind, fault.target, figure::instant(fault.start_us));
                (fault.start_us, until_us, title)
            });
            let named = witnesses.contains(&key);
            let mut lane = Lane { faults: faults.collect(), ..draft.lane(name, kind, named, metrics.end_us) };
            if lane.ticks.len() > TICKS_MAX {
                ticks_cut = true;
                let middle = lane.ticks.partition_point(|at_us| *at_us < first_us.unwrap_or(0));
                let begin = middle.saturating_sub(TICKS_MAX / 2).min(lane.ticks.len() - TICKS_MAX);
                lane.undrawn = stretches(&lane.ticks[..begin], metrics.end_us);
                lane.undrawn.extend(stretches(&lane.ticks[begin + TICKS_MAX..], metrics.end_us));
                lane.ticks = lane.ticks[begin..begin + TICKS_MAX].to_vec();
            }
            lanes.push(lane);
        }
        if ticks_cut {
            cut.push(format!(
                "Of each lane the {TICKS_MAX} ticks nearest to the first violation are drawn; where others are is shaded."
            ));
        }
        lanes
    }
}

fn names_of(key: &Key, names: &Names) -> String {
    match key {
        Key::Source(source) => names.host(&Party::Source(*source)),
        Key::Proxy(proxy) => names.host(&Party::Proxy(*proxy)),
        Key::Legs(..) | Key::Group(_) | Key::Client(_) => String::new(),
    }
}

impl Draft {
    fn lane(self, name: String, kind: Kind, named: bool, end_us: u64) -> Lane {
        let Self { mut spans, mut changes, ticks, mut marks, .. } = self;
        spans.sort_by_key(|(from_us, to_us, ..)| (*from_us, *to_us));
        let mut free_from: Vec<u64> = Vec::new();
        let mut bars = Vec::new();
        for (from_us, to_us, class, title) in spans {
            let row = free_from.iter().position(|free| *free <= from_us).unwrap_or_else(|| {
                free_from.push(0);
                free_from.len() - 1
            });
            free_from[row] = to_us;
            bars.push(Bar { from_us, to_us, row, class, title });
        }
        let mut steps = Vec::new();
        let mut most = 0;
        if free_from.len() > ROWS_MAX || bars.len() > BARS_MAX {
            bars.clear();
            changes.sort_unstable();
            (steps, most) = counted(&changes, end_us);
        }
        marks.sort_by_key(|mark| mark.at_us);
        // Witnesses keep their words whatever else there is.
        let mut room = MARKS_MAX;
        let (mut more, mut calm) = (Vec::new(), Vec::new());
        marks.retain(|mark| {
            let keep = mark.is_witness() || take(&mut room);
            if !keep {
                let beyond = if mark.class == "bad" { &mut more } else { &mut calm };
                beyond.push(mark.at_us);
            }
            keep
        });
        for beyond in [&mut more, &mut calm] {
            beyond.dedup();
            thin(beyond, TICKS_MAX);
        }
        let (undrawn, faults) = (Vec::new(), Vec::new());
        Lane { name, kind, named, bars, steps, most, ticks, undrawn, marks, more, calm, faults }
    }
}

/// Where the ticks lie: those closer to one another than a four-hundredth of the run are one stretch.
fn stretches(ticks: &[u64], end_us: u64) -> Vec<(u64, u64)> {
    let width = end_us.div_ceil(STEPS_MAX).max(1);
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for at_us in ticks {
        match stretches.last_mut() {
            Some((_, to_us)) if at_us.saturating_sub(*to_us) <= width => *to_us = *at_us,
            _ => stretches.push((*at_us, *at_us)),
        }
    }
    stretches
}

/// How many are open over time, the last number of each four-hundredth of the run; and the most of all.
fn counted(changes: &[(u64, i64)], end_us: u64) -> (Vec<(u64, u64)>, u64) {
    let width = end_us.div_ceil(STEPS_MAX).max(1);
    let mut open = 0_i64;
    let mut steps: Vec<(u64, u64)> = Vec::new();
    let mut most = 0;
    let mut changes = changes.iter().peekable();
    while let Some((at_us, by)) = changes.next() {
        open += by;
        if changes.peek().is_some_and(|(next_us, _)| next_us / width == at_us / width && steps.last().is_some()) {
            // Within one step only its last number counts, but the greatest of all is kept.
            most = most.max(open);
            continue;
        }
        let now = u64::try_from(open).unwrap_or(0);
        most = most.max(open);
        steps.push((*at_us, now));
    }
    (steps, u64::try_from(most).unwrap_or(0))
}

/// At most so many of them, evenly.
fn thin(list: &mut Vec<u64>, most: usize) {
    if list.len() > most {
        let every = list.len().div_ceil(most);
        *list = list.iter().step_by(every).copied().collect();
    }
}

/// Whether there is room for one more, which it takes.
fn take(room: &mut usize) -> bool {
    let left = room.checked_sub(1);
    *room = left.unwrap_or(0);
    left.is_some()
}
