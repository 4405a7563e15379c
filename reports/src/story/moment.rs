//! A breach from close by: the messages around it in their order, and what each host had to say.

use std::collections::BTreeSet;

use wire::event::{Event, Timed};
use wire::id::{ClientId, ProxyId, SourceId, Symbol};

use super::names::Names;
use super::words::{Party, Told, Tone, client_of, symbol_of};
use crate::figure;
use crate::record::Violation;

/// Messages before the decisive event, and after it.
const BEFORE: usize = 16;
const AFTER: usize = 6;
/// Events in one row at most, on the whole.
const BREATH_MAX: usize = 8;
/// Events that show the violation, and those in which its ticks began.
const SHOWN_MAX: usize = 10;
const ORIGINS_MAX: usize = 4;
/// Who stands beside one another.
const PARTIES_MAX: usize = 6;
/// Events that are looked through for them, on each side.
const REACH: usize = 100_000;
/// Lines of a host, before and after.
const LINES_BEFORE: usize = 12;
const LINES_AFTER: usize = 6;
/// Clients that are followed.
const CLIENTS_MAX: usize = 3;

/// The first breach of an invariant, from close by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The invariant.
    pub invariant: String,
    /// When.
    pub at_us: u64,
    /// Who said what to whom.
    pub sequence: Sequence,
    /// What stood around it on each host.
    pub around: Vec<HostLines>,
}

/// Messages in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Who takes part: sources, proxies, clients.
    pub parties: Vec<String>,
    /// What happened.
    pub rows: Vec<Row>,
    /// What was left out.
    pub cut: Option<String>,
}

/// One message, or what happened to one party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number in the record.
    pub event: u64,
    /// When.
    pub at_us: u64,
    /// Whence, by place in [`Sequence::parties`]; None: it concerns all.
    pub from: Option<usize>,
    /// Where to; None: it is no message.
    pub to: Option<usize>,
    /// What.
    pub text: String,
    /// What kind of thing.
    pub tone: Tone,
    /// Whether it is one of those that show the violation.
    pub shows: bool,
    /// Whether it is the breach itself.
    pub decisive: bool,
}

/// The last lines of a host before a breach, and the first after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLines {
    /// Its name.
    pub host: String,
    /// Events, each with its number.
    pub lines: Vec<(u64, String)>,
}

/// Whom and what a violation names.
#[derive(Default)]
struct Named {
    clients: BTreeSet<ClientId>,
    symbols: BTreeSet<Symbol>,
    proxies: BTreeSet<ProxyId>,
    sources: BTreeSet<SourceId>,
    ticks: BTreeSet<(Symbol, u64)>,
}

impl Moment {
    pub(super) fn new(invariant: &str, violation: &Violation, names: &Names, events: &[Timed]) -> Self {
        let known = |number: &u64| usize::try_from(*number).ok().filter(|place| *place < events.len());
        let shown: Vec<usize> = violation.events.iter().filter_map(known).collect();
        // What is found at the end of the run is shown by no event: what was last before its time stands for it.
        let before = || events.partition_point(|timed| timed.at_us <= violation.at_us).saturating_sub(1);
        let decisive = violation.events.last().and_then(known).unwrap_or_else(before);
        let named = Named::new(violation, &shown, names, events);
        let picked = pick(&named, &shown, decisive, names, events);
        let last = violation.events.last().and_then(known);
        let sequence = Sequence::new(&picked, &shown, last, names, events);
        let around = around(&sequence, decisive, names, events);
        Self { invariant: invariant.to_owned(), at_us: violation.at_us, sequence, around }
    }
}

impl Named {
    fn new(violation: &Violation, shown: &[usize], names: &Names, events: &[Timed]) -> Self {
        let mut named = Self::default();
        // The last event is the breach: whom it names comes first.
        for place in shown.iter().rev() {
            let event = &events[*place].event;
            if let Some((client, session)) = client_of(event) {
                named.follow(client, || names.target(client, session));
            }
            named.symbols.extend(symbol_of(event));
            if let Event::ClientDeliver { symbol, n, .. } | Event::SourceSend { symbol, n, .. } = event {
                named.ticks.insert((*symbol, *n));
            }
            named.party(names.teller(event));
        }
        for word in violation.message.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-') {
            let client = word.strip_prefix("client-").or_else(|| word.strip_prefix('c')).and_then(|n| n.parse().ok());
            if let Some(client) = client.map(ClientId) {
                named.follow(client, || names.target(client, wire::id::SessionId(0)));
            } else if let Some(party) = names.party(word) {
                named.party(party);
            } else if word.len() >= 5 && word.strip_prefix('S').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) {
                named.symbols.extend(Symbol::new(word));
            }
        }
        named
    }

    fn follow(&mut self, client: ClientId, proxy: impl FnOnce() -> Party) {
        if self.clients.len() < CLIENTS_MAX || self.clients.contains(&client) {
            self.clients.insert(client);
            self.party(proxy());
        }
    }

    fn party(&mut self, party: Party) {
        match party {
            Party::Proxy(proxy) => _ = self.proxies.insert(proxy),
            Party::Source(source) => _ = self.sources.insert(source),
            Party::Client(_) | Party::Driver => {}
        }
    }

    /// Whether the event belongs to the story of the violation.
    fn concerns(&self, event: &Event, names: &Names) -> bool {
        let symbol = symbol_of(event).is_none_or(|symbol| self.symbols.is_empty() || self.symbols.contains(&symbol));
        if let Some((client, _)) = client_of(event) {
            return symbol && self.clients.contains(&client);
        }
        let client_at = |peer| matches!(names.at(peer), Some(Party::Client(client)) if self.clients.contains(&client));
        match event {
            Event::ProxyAdmit { peer, .. }
            | Event::ProxyShed { peer, .. }
            | Event::ProxyClientClose { peer, .. }
            | Event::ProxyDrop { peer, .. } => match self.clients.is_empty() {
                true => self.tells(event, names),
                false => symbol && client_at(*peer),
            },
            // In relay, a leg is one client's.
            Event::ProxyLegUp { client: Some(client), .. } if !self.clients.is_empty() => client_at(*client),
            Event::SourceSend { source, leg, .. } => {
                symbol && !self.symbols.is_empty() && self.feeds(names.peer(*source, *leg))
            }
            Event::SourceOpen { source, leg, .. }
            | Event::SourceClose { source, leg, .. }
            | Event::SourceSubscribe { source, leg, .. }
            | Event::SourceUnsubscribe { source, leg, .. }
            | Event::SourceDeny { source, leg, .. } => {
                symbol && (self.sources.contains(source) || self.feeds(names.peer(*source, *leg)))
            }
            Event::FaultStart { .. } | Event::FaultStop { .. } | Event::Phase { .. } => true,
            Event::ProxyGauge { .. } | Event::HostGauge { .. } | Event::ProxyTick { .. } => false,
            _ => self.tells(event, names),
        }
    }

    fn tells(&self, event: &Event, names: &Names) -> bool {
        match names.teller(event) {
            Party::Proxy(proxy) => self.proxies.contains(&proxy),
            Party::Source(source) => self.sources.contains(&source),
            Party::Client(client) => self.clients.contains(&client),
            Party::Driver => true,
        }
    }

    /// Whether a leg's other end is one of those named.
    fn feeds(&self, peer: Option<Party>) -> bool {
        match peer {
            Some(Party::Proxy(proxy)) => self.proxies.contains(&proxy),
            Some(Party::Client(client)) => self.clients.contains(&client),
            _ => false,
        }
    }
}

/// The events of the story, the most important first.
fn pick(named: &Named, shown: &[usize], decisive: usize, names: &Names, events: &[Timed]) -> Vec<usize> {
    let mut picked = vec![decisive];
    picked.extend(shown.iter().rev().take(SHOWN_MAX));
    let origin = |place: &usize| match &events[*place].event {
        Event::SourceSend { symbol, n, source, leg } => {
            named.ticks.contains(&(*symbol, *n)) && named.feeds(names.peer(*source, *leg))
        }
        _ => false,
    };
    let back = (decisive.saturating_sub(REACH)..decisive).rev();
    picked.extend(back.clone().filter(origin).take(ORIGINS_MAX));
    let concerns = |place: &usize| named.concerns(&events[*place].event, names);
    picked.extend(rows(back.filter(concerns), BEFORE, names, events));
    let ahead = decisive + 1..events.len().min(decisive + 1 + REACH);
    picked.extend(rows(ahead.filter(concerns), AFTER, names, events));
    picked
}

/// The events of so many rows: what is said in one breath is one row.
fn rows(places: impl Iterator<Item = usize>, most: usize, names: &Names, events: &[Timed]) -> Vec<usize> {
    let mut taken: Vec<usize> = Vec::new();
    let mut rows = 0;
    for place in places.take(most * BREATH_MAX) {
        let joins = taken.last().is_some_and(|last| one_breath(*last, place, names, events));
        if !joins && rows == most {
            break;
        }
        rows += usize::from(!joins);
        taken.push(place);
    }
    taken
}

/// Whether two events are of one kind, at one instant, between the same two.
fn one_breath(one: usize, other: usize, names: &Names, events: &[Timed]) -> bool {
    let (one, other) = (&events[one], &events[other]);
    let same = |a: &Told, b: &Told| a.to.is_some() && (&a.from, &a.to, a.tone) == (&b.from, &b.to, b.tone);
    one.at_us == other.at_us
        && std::mem::discriminant(&one.event) == std::mem::discriminant(&other.event)
        && same(&names.tell(&one.event), &names.tell(&other.event))
}

impl Sequence {
    fn new(picked: &[usize], shown: &[usize], last: Option<usize>, names: &Names, events: &[Timed]) -> Self {
        let mut parties: BTreeSet<Party> = BTreeSet::new();
        let mut kept: BTreeSet<usize> = BTreeSet::new();
        let mut left = 0;
        for place in picked {
            let told = names.tell(&events[*place].event);
            let mut with: BTreeSet<Party> = parties.clone();
            with.extend([Some(told.from), told.to].into_iter().flatten().filter(|party| *party != Party::Driver));
            if with.len() > PARTIES_MAX {
                left += 1;
            } else {
                parties = with;
                kept.insert(*place);
            }
        }
        let parties: Vec<Party> = parties.into_iter().collect();
        let column = |party: &Party| parties.iter().position(|other| other == party);
        let row = |place: usize| {
            let told = names.tell(&events[place].event);
            let to = told.to.as_ref().and_then(column);
            let from = if told.tone == Tone::Fault { None } else { column(&told.from) };
            Row {
                event: place as u64,
                at_us: events[place].at_us,
                from,
                to,
                text: told.text,
                tone: told.tone,
                shows: shown.contains(&place),
                decisive: last == Some(place),
            }
        };
        let more = shown.len().saturating_sub(SHOWN_MAX);
        let mut rows: Vec<Row> = Vec::new();
        let mut joined = 0;
        let mut last_place = None;
        for place in kept {
            let fresh = row(place);
            let joins = |last: &Row| {
                !(last.shows || last.decisive || fresh.shows || fresh.decisive)
                    && last_place.is_some_and(|before| one_breath(before, place, names, events))
            };
            if rows.last().is_some_and(joins) {
                joined += 1;
            } else {
                add_joined(&mut rows, &mut joined);
                rows.push(fresh);
            }
            last_place = Some(place);
        }
        add_joined(&mut rows, &mut joined);
        let mut cut = Vec::new();
        if more > 0 {
            cut.push(format!("{} earlier events that show the violation are not drawn.", figure::count(more as u64)));
        }
        if left > 0 {
            cut.push(format!(
                "{left} messages with further parties are not drawn: {PARTIES_MAX} stand beside one another."
            ));
        }
        let cut = (!cut.is_empty()).then(|| cut.join(" "));
        Self { rows, parties: parties.iter().map(|one| names.host(one)).collect(), cut }
    }
}

/// Says in the last row how many more there were.
fn add_joined(rows: &mut [Row], joined: &mut usize) {
    let joined = std::mem::take(joined);
    if let Some(last) = rows.last_mut().filter(|_| joined > 0) {
        last.text.push_str(&format!(", and {joined} more"));
    }
}

/// What each party of the sequence told around the decisive event.
fn around(sequence: &Sequence, decisive: usize, names: &Names, events: &[Timed]) -> Vec<HostLines> {
    let lines = |host: &String| {
        let of_host = |place: &usize| names.host(&names.teller(&events[*place].event)) == *host;
        let before = (decisive.saturating_sub(REACH)..=decisive).rev().filter(of_host).take(LINES_BEFORE);
        let after = (decisive + 1..events.len().min(decisive + 1 + REACH)).filter(of_host).take(LINES_AFTER);
        let places: BTreeSet<usize> = before.chain(after).collect();
        let lines = places.into_iter().map(|place| (place as u64, names.line(&events[place]))).collect();
        HostLines { host: host.clone(), lines }
    };
    sequence.parties.iter().map(lines).filter(|host| !host.lines.is_empty()).collect()
}
