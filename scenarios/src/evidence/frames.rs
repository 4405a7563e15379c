//! The frames on the wire around the first breach: the failing run once more, its packets captured where the breach crossed, and read as a listener would.

mod stream;
mod words;

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV4};

use reports::evidence::{Frame, Frames};
use reports::record::{Outcome, Verdict, Violation};
use wire::event::{Event, Timed};
use wire::id::{ClientId, SessionId, Symbol};

use self::stream::Stream;
use self::words::Said;
use crate::campaign::Job;
use crate::engine::{self, Options};
use crate::model::Engine;
use crate::pcap::{Packets, Pcap};
use crate::plan::Plan;

/// Clients whose connections are looked at.
const CLIENTS_MAX: usize = 2;
/// Frames of one direction of a connection: up to the breach, and after it.
const BEFORE: usize = 6;
const AFTER: usize = 2;
/// Bytes of packets that are captured for this.
const BYTES_MAX: u64 = 64 << 20;

/// What the first breach names.
struct Named<'a> {
    violation: &'a Violation,
    /// Client sessions by their own address.
    sessions: Vec<(ClientId, SessionId, SocketAddr)>,
    symbols: BTreeSet<Symbol>,
    /// What the breach itself was, if it has a frame.
    decisive: Option<&'a Timed>,
}

/// Runs a failing job once more and reads the frames around its first breach. None where no client's connection is named.
pub(super) fn around(job: &Job, verdict: &Verdict, events: &[Timed]) -> Option<Frames> {
    let named = named(verdict, events)?;
    let note = |note: &str| Some(Frames { list: Vec::new(), note: Some(note.to_owned()) });
    if job.options.engine != Engine::Sim {
        return note("Only the engine sim can show frames.");
    }
    let plan = Plan::new(&job.scenario, job.seed);
    let places = places(&plan, &named);
    let pcap = Pcap { places, bytes_max: BYTES_MAX };
    let options = Options { keep_events: false, ..job.options };
    let Ok(run) = engine::run_captured(&plan, options, Some(&pcap)) else {
        return note("The run could not be done once more with its packets captured.");
    };
    let packets = run.packets?;
    if let Some(cut_us) = packets.capture.cut_at_us.filter(|cut_us| *cut_us < named.violation.at_us) {
        let at = cut_us as f64 / 1e6;
        return note(&format!(
            "Too much crosses before the breach: the capture of {BYTES_MAX} bytes ends at {at:.6} s."
        ));
    }
    Some(read(&packets, &named))
}

/// The first breach, with the sessions that it names.
fn named<'a>(verdict: &'a Verdict, events: &'a [Timed]) -> Option<Named<'a>> {
    let broken = verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
    let violation = broken.flat_map(|invariant| &invariant.violations).min_by_key(|violation| violation.at_us)?;
    let shown: Vec<&Timed> =
        violation.events.iter().rev().filter_map(|number| events.get(usize::try_from(*number).ok()?)).collect();
    let mut wanted: Vec<(ClientId, SessionId)> = Vec::new();
    let mut symbols = BTreeSet::new();
    for timed in &shown {
        let fields = serde_json::to_value(&timed.event).ok()?;
        let number = |key: &str| fields.get(key)?.as_u64().and_then(|number| u32::try_from(number).ok());
        if let (Some(client), Some(session)) = (number("client"), number("session")) {
            let session = (ClientId(client), SessionId(session));
            if wanted.len() < CLIENTS_MAX && !wanted.contains(&session) {
                wanted.push(session);
            }
        }
        symbols.extend(fields.get("symbol").and_then(|symbol| Symbol::new(symbol.as_str()?).ok()));
    }
    let sessions: Vec<_> = events
        .iter()
        .filter_map(|timed| match &timed.event {
            Event::ClientOpen { client, session, local, .. } if wanted.contains(&(*client, *session)) => {
                Some((*client, *session, *local))
            }
            _ => None,
        })
        .collect();
    let decisive = shown.first().copied();
    (!sessions.is_empty()).then_some(Named { violation, sessions, symbols, decisive })
}

/// Where packets are captured: at the clients' hosts, and at the proxies what they exchange with sources.
fn places(plan: &Plan, named: &Named<'_>) -> Vec<String> {
    let of = |client: ClientId| {
        plan.client_hosts.iter().find(|host| (host.first.0..host.first.0 + host.count).contains(&client.0))
    };
    let hosts: BTreeSet<&str> =
        named.sessions.iter().filter_map(|(client, ..)| Some(of(*client)?.name.as_str())).collect();
    let mut places: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
    places.push("proxy-*/source-*".to_owned());
    places
}

/// The frames of the connections that are named, and of the legs, around the breach.
fn read(packets: &Packets, named: &Named<'_>) -> Frames {
    let mut streams: Vec<Stream> = Vec::new();
    let ours = |address: SocketAddrV4| named.sessions.iter().find(|(.., local)| *local == SocketAddr::V4(address));
    let mut broken = 0;
    for (nth, packet) in packets.capture.packets().enumerate() {
        let header = &packet.header;
        let client = ours(header.from).or_else(|| ours(header.to));
        let leg = [header.from, header.to].iter().any(|end| end.port() == crate::plan::SOURCE_PORT);
        if client.is_none() && !leg {
            continue;
        }
        let key = (packet.tap, header.from, header.to);
        let place = streams.iter().position(|stream| stream.key == key).unwrap_or_else(|| {
            streams.push(Stream::new(key));
            streams.len() - 1
        });
        streams[place].take(nth, packet.at_us, header.flags, header.seq, packet.payload);
    }
    let name = |address: SocketAddrV4| match ours(address) {
        Some((client, SessionId(0), _)) => client.to_string(),
        Some((client, session, _)) => format!("{client} {session}"),
        None => packets.host(*address.ip()).unwrap_or_else(|| address.to_string()),
    };
    let until_us = named.violation.at_us;
    let mut list: Vec<(u64, usize, usize, Frame)> = Vec::new();
    let mut decisive: Option<(u64, usize)> = None;
    for (place, stream) in streams.into_iter().enumerate() {
        let (_, from, to) = stream.key;
        let (frames, whole) = stream.frames();
        broken += usize::from(!whole);
        let to_client = ours(to).is_some();
        let of_client = ours(from).is_some() || to_client;
        let mut kept: Vec<(u64, usize, Said, Frame)> = Vec::new();
        for frame in frames {
            let said = words::of(&frame);
            // On a leg everything for everybody passes: what the breach is not about is left out.
            let about = said.symbol.is_none_or(|symbol| named.symbols.is_empty() || named.symbols.contains(&symbol));
            if !about {
                continue;
            }
            let shown = Frame {
                at_us: frame.at_us,
                from: name(from),
                to: name(to),
                opcode: frame.opcode.word(),
                fin: frame.fin,
                masked: frame.masked,
                bytes: frame.payload.len() as u64,
                words: said.text.clone(),
                decisive: false,
            };
            kept.push((frame.at_us, frame.packet, said, shown));
        }
        let middle = kept.partition_point(|(at_us, ..)| *at_us <= until_us);
        if to_client && decisive.is_none() {
            let found = kept[..middle].iter().rev().find(|(.., said, _)| said.is(named.decisive));
            decisive = found.map(|(at_us, ..)| (*at_us, place));
        }
        // A leg that has been silent for long tells nothing of the breach.
        let begin = middle.saturating_sub(BEFORE);
        let near = |at_us: u64| of_client || at_us.abs_diff(until_us) < 1_000_000;
        let end = kept.len().min(middle + AFTER);
        list.extend(
            kept.drain(begin..end)
                .filter(|(at_us, ..)| near(*at_us))
                .map(|(at_us, packet, _, frame)| (at_us, packet, place, frame)),
        );
    }
    if let Some(decisive) = decisive {
        let last =
            list.iter_mut().rev().find(|(at_us, _, place, frame)| (*at_us, *place) == decisive && !frame.decisive);
        if let Some((.., frame)) = last {
            frame.decisive = true;
        }
    }
    // At one instant, an answer stands behind what it answers.
    list.sort_by_key(|(at_us, packet, ..)| (*at_us, *packet));
    let note = match broken {
        0 => None,
        broken => {
            Some(format!("{broken} directions could not be read to their end: what crossed there is no WebSocket."))
        }
    };
    let note = note.or_else(|| list.is_empty().then(|| "No frame crossed there.".to_owned()));
    Frames { list: list.into_iter().map(|(.., frame)| frame).collect(), note }
}
