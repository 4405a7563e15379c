//! What all processes reported, as one record in the order of time.
//!
//! Stamps are of one clock, and still they are not the order of things: a process stamps what it did a moment before or after it did it, and may have lost its core in
//! between. Three repairs, each of which moves an event earlier and never later:
//!
//! - A tick that a client has was sent by then: a later stamp of its first sending is moved to that of the delivery.
//! - What a process reported after the stamp of the fault that ended it happened before: it is moved to the fault.
//! - Of equal stamps the source's comes first, then the proxies', then the clients', then the driver's; and of one process as it reported.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::event::{Event, Timed};
use wire::id::Symbol;

/// Who reports: the order of equal stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Witness {
    Source,
    Proxy,
    Client,
    Driver,
}

impl Witness {
    /// Of a host by its name.
    pub(super) fn of(host: &str) -> Self {
        match host.split_once('-') {
            Some(("source", _)) => Self::Source,
            Some(("proxy" | "edge", _)) => Self::Proxy,
            _ => Self::Client,
        }
    }
}

/// What one life of one process reported.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) witness: Witness,
    /// When it was ended by a fault, if it was.
    pub(super) until_us: Option<u64>,
    pub(super) events: Vec<Timed>,
}

/// The events in lines of JSON; a last line that breaks off was being written when its process was killed.
///
/// # Errors
/// The number of the line that is no event, from 1, and why.
pub(super) fn read(text: &str) -> Result<Vec<Timed>, (usize, String)> {
    let mut events = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(_) if lines.peek().is_none() && !text.ends_with('\n') => {}
            Err(error) => return Err((number + 1, error.to_string())),
        }
    }
    Ok(events)
}

/// Who was really at the other end of a connection that went through a relay of ours: by the relay's address, the address of who dialled it.
pub(super) type Behind = BTreeMap<SocketAddr, SocketAddr>;

/// One record, up to and with the end of the run.
pub(super) fn merge(mut streams: Vec<Stream>, behind: &Behind) -> Vec<Timed> {
    let mut delivered: FxHashMap<(Symbol, u64), u64> = FxHashMap::default();
    for timed in streams.iter().flat_map(|stream| &stream.events) {
        if let Event::ClientDeliver { symbol, n, .. } = &timed.event {
            let first = delivered.entry((*symbol, *n)).or_insert(timed.at_us);
            *first = timed.at_us.min(*first);
        }
    }
    // Only the first sending of a tick must have been before: of two sources that sent it late, the earlier.
    let mut first_sent: FxHashMap<(Symbol, u64), u64> = FxHashMap::default();
    for timed in streams.iter().flat_map(|stream| &stream.events) {
        if let Event::SourceSend { symbol, n, .. } = &timed.event {
            let first = first_sent.entry((*symbol, *n)).or_insert(timed.at_us);
            *first = timed.at_us.min(*first);
        }
    }
    let mut all: Vec<(u64, Witness, Timed)> = Vec::new();
    for stream in &mut streams {
        let mut last_us = 0;
        for mut timed in stream.events.drain(..) {
            if let Event::SourceSend { symbol, n, .. } = &timed.event
                && first_sent.get(&(*symbol, *n)) == Some(&timed.at_us)
                && let Some(at) = delivered.get(&(*symbol, *n))
            {
                timed.at_us = timed.at_us.min(*at);
            }
            timed.at_us = timed.at_us.min(stream.until_us.unwrap_or(u64::MAX));
            for address in addresses(&mut timed.event) {
                *address = behind.get(address).copied().unwrap_or(*address);
            }
            // Within one process what was reported later happened later; a shard's thread may stamp a moment earlier.
            let repaired = matches!(timed.event, Event::SourceSend { .. });
            if !repaired {
                timed.at_us = timed.at_us.max(last_us);
                last_us = timed.at_us;
            }
            all.push((timed.at_us, stream.witness, timed));
        }
    }
    all.sort_by_key(|(at_us, witness, _)| (*at_us, *witness));
    let mut record: Vec<Timed> = Vec::with_capacity(all.len());
    for (_, _, timed) in all {
        let over = matches!(timed.event, Event::Phase { phase: wire::event::Phase::End });
        record.push(timed);
        if over {
            break;
        }
    }
    record
}

/// The addresses of others in an event: as whoever reports it sees them.
fn addresses(event: &mut Event) -> impl Iterator<Item = &mut SocketAddr> {
    match event {
        Event::SourceOpen { peer, .. }
        | Event::SourceRefuse { peer, .. }
        | Event::ProxyAdmit { peer, .. }
        | Event::ProxyShed { peer, .. }
        | Event::ProxyClientClose { peer, .. }
        | Event::ProxyDrop { peer, .. } => Some(peer),
        Event::ProxyLegUp { client, .. } => client.as_mut(),
        _ => None,
    }
    .into_iter()
}

#[cfg(test)]
mod tests {
    use wire::event::Phase;
    use wire::id::{ClientId, LegId, SessionId, SourceId};

    use super::*;

    fn sent(n: u64) -> Event {
        Event::SourceSend { source: SourceId(0), leg: LegId(0), symbol: Symbol::numbered(1), n }
    }

    fn got(n: u64) -> Event {
        let (client, session, symbol) = (ClientId(0), SessionId(0), Symbol::numbered(1));
        Event::ClientDeliver { client, session, symbol, n, stamp: None, intact: true }
    }

    fn stream(witness: Witness, until_us: Option<u64>, events: &[(u64, Event)]) -> Stream {
        let timed = |(at_us, event): &(u64, Event)| Timed { at_us: *at_us, event: event.clone() };
        Stream { witness, until_us, events: events.iter().map(timed).collect() }
    }

    fn check(streams: Vec<Stream>, expect: &[(u64, Event)]) {
        let merged: Vec<(u64, Event)> =
            merge(streams, &Behind::new()).into_iter().map(|timed| (timed.at_us, timed.event)).collect();
        assert_eq!(merged, expect);
    }

    #[test]
    fn a_tick_was_sent_before_it_was_delivered_and_at_one_instant_the_source_comes_first() {
        let late = stream(Witness::Source, None, &[(5, sent(1)), (9, sent(2)), (30, sent(3))]);
        let client = stream(Witness::Client, None, &[(5, got(1)), (8, got(2)), (40, got(3))]);
        check(vec![client, late], &[(5, sent(1)), (5, got(1)), (8, sent(2)), (8, got(2)), (30, sent(3)), (40, got(3))]);
    }

    #[test]
    fn what_nobody_sent_stays_invented() {
        check(vec![stream(Witness::Client, None, &[(5, got(1))])], &[(5, got(1))]);
    }

    #[test]
    fn who_was_killed_said_all_before() {
        let killed = Event::FaultStart { fault: 0, kind: "kill".into(), target: "source-0".into() };
        let source = stream(Witness::Source, Some(10), &[(9, sent(1)), (12, sent(2))]);
        let driver = stream(Witness::Driver, None, &[(10, killed.clone())]);
        check(vec![driver, source], &[(9, sent(1)), (10, sent(2)), (10, killed)]);
    }

    #[test]
    fn nothing_comes_after_the_end() {
        let end = Event::Phase { phase: Phase::End };
        let driver = stream(Witness::Driver, None, &[(10, end.clone())]);
        check(
            vec![driver, stream(Witness::Client, None, &[(9, got(1)), (10, got(2)), (11, got(3))])],
            &[(9, got(1)), (10, got(2)), (10, end)],
        );
    }

    #[test]
    fn who_stands_behind_a_relay_is_named() {
        let (relay, client) = ("127.9.9.120:5".parse().unwrap(), "127.0.0.1:7".parse().unwrap());
        let admit = |peer| Event::ProxyAdmit { proxy: wire::id::ProxyId(0), peer };
        let streams = vec![stream(Witness::Proxy, None, &[(1, admit(relay)), (2, admit(client))])];
        let merged = merge(streams, &[(relay, client)].into());
        assert!(merged.iter().all(|timed| timed.event == admit(client)), "{merged:?}");
    }

    #[test]
    fn a_line_that_breaks_off_is_no_error_at_the_end_only() {
        let line = serde_json::to_string(&Timed { at_us: 1, event: got(1) }).unwrap();
        assert_eq!(read(&format!("{line}\n{}", &line[..20])).map(|events| events.len()), Ok(1));
        assert_eq!(read(&format!("{line}\n")).map(|events| events.len()), Ok(1));
        assert_eq!(read(&format!("{}\n{line}\n", &line[..20])).map_err(|(line, _)| line), Err(1));
        assert_eq!(read(&format!("{}\n", &line[..20])).map_err(|(line, _)| line), Err(1));
    }
}
