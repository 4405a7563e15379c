//! What a page tells of a run: messages around a breach, lanes, what is left out.

use std::net::SocketAddr;

use reports::folder::RunReport;
use reports::metrics::{Collector, Metrics, MetricsConfig};
use reports::page;
use reports::perfetto::{ClientHost, Hosts};
use reports::record::{Invariant, Outcome, Verdict, Violation};
use reports::story::{Sequence, Story};
use wire::event::{Event, Phase, Side, Stamp, Timed, Why};
use wire::feed::{GapReason, Kind};
use wire::id::{ClientId, LegId, ProxyId, SessionId, SourceId, Symbol};

use crate::synthetic;

const END_US: u64 = 3_000_000;
const SESSION: SessionId = SessionId(0);

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

/// So many clients of one proxy with two sources, the first of which is killed at 1.5 s; the last tick before it reaches client 1 twice.
fn events(clients: u32) -> Vec<Timed> {
    let (proxy, symbol) = (ProxyId(0), Symbol::numbered(0));
    let mut events = Vec::new();
    let mut at = |at_us: u64, event: Event| events.push(Timed { at_us, event });
    let leg = |source| (SourceId(source), address(100, 5_000 + source));
    let up = |source| Event::ProxyLegUp { proxy, source: leg(source).0, local: leg(source).1, epoch: 1, client: None };
    let open = |source| Event::SourceOpen { source: leg(source).0, leg: LegId(0), peer: leg(source).1 };
    at(0, Event::Phase { phase: Phase::Warmup });
    at(500, open(0));
    at(800, up(0));
    for n in 0..clients {
        let (client, target) = (ClientId(n), 0);
        let local = SocketAddr::from(([10, 1, 0, 1], 20_000 + n as u16));
        at(10_000, Event::ClientDial { client, session: SESSION, target });
        at(10_900, Event::ProxyAdmit { proxy, peer: local });
        at(11_000, Event::ClientOpen { client, session: SESSION, target, local, strong: true });
        at(11_000, Event::ClientSubscribe { client, session: SESSION, symbol });
    }
    for n in 0..20 {
        let sent_us = 100_000 + n * 100_000;
        let source = SourceId(u16::from(sent_us > 1_500_000));
        at(sent_us, Event::SourceSend { source, leg: LegId(0), symbol, n });
        for client in (0..clients).map(ClientId) {
            let stamp = Some(Stamp { epoch: 1, seq: n + 1, kind: Kind::Live });
            let deliver = Event::ClientDeliver { client, session: SESSION, symbol, n, stamp, intact: true };
            at(sent_us + 400, deliver.clone());
            if n == 14 && client.0 == 1 {
                at(sent_us + 401, deliver);
            }
        }
    }
    at(1_500_500, Event::FaultStart { fault: 0, kind: "kill".into(), target: "source-0".into() });
    at(1_501_000, Event::ProxyLegDown { proxy, source: SourceId(0), local: Some(leg(0).1), why: Why::Reset });
    at(1_501_000, Event::ProxyDial { proxy, source: SourceId(1) });
    at(1_502_000, open(1));
    at(1_502_500, up(1));
    let gap = |client| Event::ClientGap {
        client,
        session: SESSION,
        symbol,
        epoch: 1,
        from: 16,
        to: None,
        reason: GapReason::Reset,
    };
    (0..clients).for_each(|client| at(1_503_000, gap(ClientId(client))));
    at(2_900_000, Event::ClientClose { client: ClientId(0), session: SESSION, by: Side::Peer, code: Some(1001) });
    events.sort_by_key(|timed| timed.at_us);
    events
}

fn metrics(events: &[Timed], clients: u32) -> Metrics {
    let mut collector = Collector::new(MetricsConfig { proxies: 1, sources: 2, clients, ..MetricsConfig::default() });
    events.iter().for_each(|timed| collector.observe(timed.at_us, &timed.event));
    collector.finish(END_US)
}

fn hosts(clients: u32) -> Hosts {
    let viewers = ClientHost { name: "viewers-0".to_owned(), first: ClientId(0), count: clients };
    Hosts { proxies: 1, edges: 0, sources: 2, clients: vec![viewers] }
}

/// The second copy of the tick, and the first.
fn verdict(events: &[Timed]) -> Verdict {
    let copies: Vec<u64> = (0_u64..)
        .zip(events)
        .filter(|(_, timed)| matches!(timed.event, Event::ClientDeliver { client: ClientId(1), n: 14, .. }))
        .map(|(number, _)| number)
        .collect();
    let at_us = events[*copies.last().expect("it came twice") as usize].at_us;
    let violation =
        Violation { at_us, message: "client-1 session-0 got S0000 14 a second time".to_owned(), events: copies };
    let whole = synthetic::verdict(events.len() as u64);
    let broken = Invariant {
        name: "no-duplicates".to_owned(),
        broken: 1,
        violations: vec![violation],
        verdict: Outcome::Fail,
        ..whole.invariants[2].clone()
    };
    Verdict { invariants: vec![broken], mutant: None, ..whole }
}

fn story(clients: u32) -> Story {
    let events = events(clients);
    Story::new(&verdict(&events), &metrics(&events, clients), &hosts(clients), &events)
}

/// A sequence as text: one line a row.
fn text(sequence: &Sequence) -> String {
    let name = |place: Option<usize>| place.map_or("all", |place| sequence.parties[place].as_str());
    let line = |row: &reports::story::Row| {
        let way = match row.to {
            Some(to) => format!("{} -> {}", name(row.from), name(Some(to))),
            None => name(row.from).to_owned(),
        };
        let mark = match (row.decisive, row.shows) {
            (true, _) => "!",
            (false, true) => "*",
            (false, false) => " ",
        };
        format!("{mark} {:>7} {way:<21} {}: {}\n", row.at_us, row.tone.class(), row.text)
    };
    sequence.rows.iter().map(line).collect()
}

#[test]
fn the_messages_around_a_breach_stand_in_their_order() {
    let story = story(3);
    let [moment] = story.moments.as_slice() else { panic!("{:?}", story.moments) };
    insta::assert_snapshot!(text(&moment.sequence));
    assert_eq!(moment.sequence.parties, ["source-0", "source-1", "proxy-0", "client-1"]);
    assert_eq!(moment.sequence.rows.iter().filter(|row| row.decisive).count(), 1);
    // What each of them saw: the proxy's own account, too.
    let proxy = moment.around.iter().find(|host| host.host == "proxy-0").expect("the proxy stands there");
    assert!(proxy.lines.iter().any(|(_, line)| line.contains("lost its leg to source-0: reset")), "{proxy:?}");
}

#[test]
fn whom_a_violation_names_has_a_lane_and_the_others_share_one() {
    let names = |clients| -> Vec<String> {
        let lanes = story(clients).lanes.expect("there are events");
        lanes.lanes.into_iter().map(|lane| lane.name).collect()
    };
    let hosts = ["source-0", "source-1", "proxy-0", "proxy-0 → source-0", "proxy-0 → source-1"];
    assert_eq!(names(3), [&hosts[..], &["client-0", "client-1", "client-2"]].concat());
    assert_eq!(names(500), [&hosts[..], &["viewers-0: 500 clients", "client-1"]].concat());
    let lanes = story(500).lanes.expect("there are events");
    let lane = |name: &str| lanes.lanes.iter().find(|lane| lane.name.starts_with(name)).expect("it is there");
    assert_eq!((lane("viewers-0").most, lane("viewers-0").bars.len()), (500, 0));
    assert!(lane("client-1").named && lane("client-1").marks.iter().any(|mark| mark.class == "breach"));
    // The killed source says nothing, and its connection ends all the same.
    let [bar] = lane("source-0").bars.as_slice() else { panic!("{:?}", lane("source-0")) };
    assert_eq!((bar.from_us, bar.to_us), (500, 1_500_500));
    assert_eq!(lane("source-0").faults.len(), 1);
}

#[test]
fn a_fault_that_is_over_is_called_as_when_it_began() {
    let mut events = events(3);
    let stop = Timed { at_us: 1_500_600, event: Event::FaultStop { fault: 0 } };
    events.insert(events.partition_point(|timed| timed.at_us <= stop.at_us), stop);
    let story = Story::new(&verdict(&events), &metrics(&events, 3), &hosts(3), &events);
    let rows = text(&story.moments[0].sequence);
    assert!(rows.contains("fault: kill source-0\n") && rows.contains("over: kill source-0\n"), "{rows}");
}

#[test]
fn who_leaves_by_itself_has_lost_nothing_and_who_is_closed_has() {
    let mut events = events(3);
    let left = Event::ClientClose { client: ClientId(2), session: SESSION, by: Side::Own, code: Some(1000) };
    events.push(Timed { at_us: 2_950_000, event: left });
    let story = Story::new(&verdict(&events), &metrics(&events, 3), &hosts(3), &events);
    let lanes = story.lanes.expect("there are events").lanes;
    let lane = |name: &str| lanes.iter().find(|lane| lane.name == name).expect("it is there");
    let bad = |name: &str, from_us| {
        lane(name).marks.iter().filter(|mark| mark.class == "bad" && mark.at_us >= from_us).count()
    };
    assert_eq!((bad("client-0", 2_900_000), bad("client-2", 2_900_000)), (1, 0));
    let last = lane("client-2").bars.last().expect("it has a session");
    assert!(last.to_us == 2_950_000 && last.title.contains("closes session-0 with 1000"), "{last:?}");
}

#[test]
fn the_sessions_of_a_host_of_clients_that_is_killed_end_with_it() {
    for clients in [3, 500] {
        let mut events = events(clients);
        let kill = Event::FaultStart { fault: 1, kind: "kill".into(), target: "viewers-0".into() };
        events.push(Timed { at_us: 2_950_000, event: kill });
        let story = Story::new(&verdict(&events), &metrics(&events, clients), &hosts(clients), &events);
        let lanes = story.lanes.expect("there are events").lanes;
        let lane = |name: &str| lanes.iter().find(|lane| lane.name.starts_with(name)).expect("it is there");
        let last = lane("client-1").bars.last().expect("it has a session");
        assert_eq!((last.class, last.to_us), ("session", 2_950_000), "{last:?}");
        assert!(last.title.ends_with("; kill at 2.950 s"), "{last:?}");
        if clients > 12 {
            assert_eq!(lane("viewers-0").steps.last(), Some(&(2_950_000, 0)));
        }
    }
}

#[test]
fn of_many_events_that_show_a_violation_the_breach_itself_stays() {
    let events = events(20);
    let mut verdict = verdict(&events);
    let violation = &mut verdict.invariants[0].violations[0];
    violation.events = (0..100).collect();
    let story = Story::new(&verdict, &metrics(&events, 20), &hosts(20), &events);
    let numbers: Vec<u64> = story.witnesses[0].lines.iter().map(|line| line.event).collect();
    assert_eq!(numbers, (40..100).collect::<Vec<u64>>());
    assert!(story.cut.iter().any(|line| line.contains("100 events: the last 60 of them")), "{:?}", story.cut);
}

#[test]
fn what_is_left_out_is_said() {
    let mut events = events(20);
    // A thousand ticks more than a lane draws.
    let symbol = Symbol::numbered(0);
    for n in 0..2_500 {
        let event = Event::SourceSend { source: SourceId(1), leg: LegId(0), symbol, n: 100 + n };
        events.push(Timed { at_us: 2_950_000 + n, event });
    }
    let verdict = verdict(&events);
    let story = Story::new(&verdict, &metrics(&events, 20), &hosts(20), &events);
    let said = "Of each lane the 1500 ticks nearest to the first violation are drawn; where others are is shaded.";
    assert_eq!(story.cut, [said]);
    // What is not drawn does not look like silence.
    let lanes = story.lanes.expect("there are events").lanes;
    let cut: Vec<_> = lanes.iter().filter(|lane| !lane.undrawn.is_empty()).collect();
    let [source] = cut.as_slice() else { panic!("{cut:?}") };
    let last = *source.ticks.last().expect("some are drawn");
    assert_eq!((source.name.as_str(), source.undrawn.as_slice()), ("source-1", &[(last + 1, 2_952_499)][..]));
    let none = Story::new(&verdict, &metrics(&events, 20), &hosts(20), &[]);
    assert_eq!(none, Story::default());
    let report = RunReport { verdict, ..synthetic::report() };
    let report = RunReport { evidence: reports::evidence::Evidence::default(), ..report };
    assert!(page::report(&report).unwrap().contains("The run&#39;s events were not kept"));
}

#[test]
fn a_page_over_five_hundred_clients_is_small() {
    let mut report = synthetic::report();
    let events = events(500);
    let one = verdict(&events);
    // Every delivery is a breach, as many as are kept.
    let mut broken = one.invariants[0].clone();
    let delivers = (0_u64..).zip(&events).filter(|(_, timed)| matches!(timed.event, Event::ClientDeliver { .. }));
    let violation = |(number, timed): (u64, &Timed)| Violation {
        at_us: timed.at_us,
        message: "x".repeat(300),
        events: vec![number.saturating_sub(5), number],
    };
    broken.violations = delivers.map(violation).take(20).collect();
    let verdict = Verdict { invariants: vec![broken; 10], ..one };
    report.metrics = metrics(&events, 500);
    report.evidence.story = Story::new(&verdict, &report.metrics, &hosts(500), &events);
    report.verdict = verdict;
    let page = page::report(&report).unwrap();
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(page.contains("viewers-0: 500 clients") && page.contains("Violations name"), "the page says so");
}

/// What follows ` d="`: a long path by its ends only.
fn cut_path(piece: &str) -> String {
    match piece.split_once('"') {
        Some((path, rest)) if path.len() > 100 && path.starts_with('M') => {
            format!("{}…{} bytes…{}\"{rest}", &path[..20], path.len(), &path[path.len() - 10..])
        }
        _ => piece.to_owned(),
    }
}

#[test]
fn the_page_of_a_failure() {
    let page = page::report(&synthetic::report()).unwrap();
    // What is the same in each page, and the charts, stand elsewhere.
    let mut short = String::new();
    let mut rest = page.as_str();
    for (begin, end) in
        [("<style>", "</style>"), ("<h2 id=\"charts\">", "<h2 id=\"figures\">"), ("<script>", "</script>")]
    {
        let (before, after) = rest.split_once(begin).expect("it is there");
        short.push_str(before);
        rest = after.split_once(end).expect("which ends").1;
    }
    short.push_str(rest);
    let short: String = short.split_inclusive(" d=\"").map(cut_path).collect();
    insta::assert_snapshot!(short);
}
