//! `trace.json`, entry by entry. What both readers of the format ask for is tested on real runs, in `scenarios`.

use reports::metrics::{Collector, Metrics, MetricsConfig};
use reports::perfetto::{ClientHost, Hosts, Trace};
use reports::record::{Outcome, Verdict, Violation};
use wire::event::{Event, Phase, Side, Timed, Why};
use wire::feed::GapReason;
use wire::id::{ClientId, LegId, ProxyId, SessionId, SourceId, Symbol};

use crate::synthetic;

/// One client with one connection: its leg is lost, it is told of it, its session ends, and it resumes in the next.
fn events() -> Vec<Timed> {
    let (proxy, source, leg, client) = (ProxyId(0), SourceId(0), LegId(0), ClientId(3));
    let address = |port: u16| std::net::SocketAddr::from(([10, 0, 0, 1], port));
    let symbol = Symbol::numbered(0);
    let dial = |session| Event::ClientDial { client, session: SessionId(session), target: 0 };
    let open =
        |session| Event::ClientOpen { client, session: SessionId(session), target: 0, local: address(1), strong: true };
    let deliver = Event::ClientDeliver { client, session: SessionId(0), symbol, n: 1, stamp: None, intact: true };
    let leg_up = |port| Event::ProxyLegUp { proxy, source, local: address(port), epoch: 1, client: None };
    let list = [
        (0, Event::Phase { phase: Phase::Steady }),
        (1_000, Event::ProxyDial { proxy, source }),
        (2_000, leg_up(9)),
        (2_500, Event::SourceOpen { source, leg, peer: address(9) }),
        (3_000, dial(0)),
        (4_000, open(0)),
        (5_000, Event::SourceSend { source, leg, symbol, n: 1 }),
        (6_000, deliver),
        (100_000, Event::FaultStart { fault: 0, kind: "kill".into(), target: "source-0".into() }),
        (100_000, Event::FaultStop { fault: 0 }),
        (100_500, Event::ProxyLegDown { proxy, source, local: Some(address(9)), why: Why::Reset }),
        (100_500, Event::ProxyHealth { proxy, source, healthy: false }),
        (101_000, Event::ProxyLegDown { proxy, source, local: None, why: Why::Refused }),
        (150_000, leg_up(10)),
        (
            150_200,
            Event::ClientGap {
                client,
                session: SessionId(0),
                symbol,
                epoch: 1,
                from: 2,
                to: None,
                reason: GapReason::Reset,
            },
        ),
        (160_000, Event::ClientClose { client, session: SessionId(0), by: Side::Peer, code: None }),
        (160_000, dial(1)),
        (161_000, open(1)),
        (162_000, Event::ClientResumed { client, session: SessionId(1), symbol, epoch: 2, seq: 4, recovered: true }),
        (170_000, Event::ProxyShed { proxy, peer: address(7), why: Why::Admission }),
        (170_000, Event::ClientDial { client: ClientId(4), session: SessionId(0), target: 0 }),
        (
            170_900,
            Event::ClientRefused { client: ClientId(4), session: SessionId(0), status: 503, why: Why::Admission },
        ),
        (200_000, Event::Phase { phase: Phase::End }),
    ];
    list.into_iter().map(|(at_us, event)| Timed { at_us, event }).collect()
}

fn metrics(events: &[Timed]) -> Metrics {
    let mut collector =
        Collector::new(MetricsConfig { proxies: 1, sources: 1, clients: 2, ..MetricsConfig::default() });
    for timed in events {
        collector.observe(timed.at_us, &timed.event);
    }
    collector.finish(200_000)
}

fn trace(events: &[Timed], metrics: &Metrics, entries_max: usize) -> Trace {
    let mut verdict = Verdict { mutant: None, verdict: Outcome::Fail, ..synthetic::verdict(events.len() as u64) };
    verdict.invariants.truncate(1);
    verdict.invariants[0].violations =
        vec![Violation { at_us: 6_000, message: "it \"came\"\ntwice".to_owned(), events: vec![7] }];
    let clients = vec![ClientHost { name: "mobile-0".to_owned(), first: ClientId(3), count: 2 }];
    Trace::new(&verdict, metrics, &Hosts { proxies: 1, edges: 0, sources: 1, clients }, events, entries_max)
}

fn text(trace: &Trace) -> String {
    let mut file = Vec::new();
    trace.write(&mut file).expect("memory takes it all");
    String::from_utf8(file).expect("text")
}

#[test]
fn each_entry_of_a_small_run() {
    let events = events();
    insta::assert_snapshot!(text(&trace(&events, &metrics(&events), 1_000)));
}

#[test]
fn the_legs_of_an_edge_that_is_killed_end_with_it() {
    let local = std::net::SocketAddr::from(([10, 0, 0, 3], 9));
    // What is an edge to its clients is the last of the proxies in the record.
    let events: Vec<Timed> = [
        (0, Event::Phase { phase: Phase::Steady }),
        (2_000, Event::ProxyLegUp { proxy: ProxyId(1), source: SourceId(1), local, epoch: 1, client: None }),
        (100_000, Event::FaultStart { fault: 0, kind: "kill".into(), target: "edge-0".into() }),
    ]
    .map(|(at_us, event)| Timed { at_us, event })
    .into();
    let mut collector = Collector::new(MetricsConfig { proxies: 2, edges: 1, sources: 1, ..MetricsConfig::default() });
    events.iter().for_each(|timed| collector.observe(timed.at_us, &timed.event));
    let metrics = collector.finish(200_000);
    let hosts = Hosts { proxies: 2, edges: 1, sources: 1, clients: Vec::new() };
    let text = text(&Trace::new(&synthetic::verdict(3), &metrics, &hosts, &events, 1_000));
    let ends: Vec<&str> =
        text.lines().filter(|line| line.contains("leg to proxy-0") && line.contains("\"ph\":\"e\"")).collect();
    let [end] = ends.as_slice() else { panic!("{text}") };
    assert!(end.contains("\"ts\":100000") && end.contains("with its process"), "{end}");
}

#[test]
fn a_run_without_events_shows_phases_faults_violations_and_counters() {
    let events = events();
    let trace = trace(&[], &metrics(&events), 1_000);
    let text = text(&trace);
    assert_eq!(trace.cut(), None);
    for shown in ["\"steady\"", "kill of source-0", "symbol-order", "\"deliveries per 100 ms\""] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
    assert!(!text.contains("leg to"), "{text}");
}

#[test]
fn many_buckets_are_merged_into_fewer_samples_that_count_the_same() {
    let client = ClientId(3);
    let deliver = |n: u64| Event::ClientDeliver {
        client,
        session: SessionId(0),
        symbol: Symbol::numbered(0),
        n,
        stamp: None,
        intact: true,
    };
    // A delivery a bucket in every second one, so that no sample equals the one before: 40,000 buckets of 100 ms.
    let mut collector = Collector::default();
    (0..20_000).for_each(|n| collector.observe(n * 200_000, &deliver(n)));
    let metrics = collector.finish(4_000_000_000);
    let whole: serde_json::Value = serde_json::from_str(&text(&trace(&[], &metrics, 0))).expect("JSON");
    let entries = whole["traceEvents"].as_array().expect("a list");
    let samples: Vec<_> = entries.iter().filter(|entry| entry["ph"] == "C").collect();
    assert!(samples.len() <= 50_000, "{}", samples.len());
    // Six columns of 40,000 buckets go into 50,000 samples by fives: three and two deliveries in turn.
    assert!(samples.iter().all(|entry| entry["name"] == "deliveries per 500 ms"));
    let total: u64 = samples.iter().filter_map(|entry| entry["args"]["messages"].as_u64()).sum();
    assert_eq!(total, 20_000);
}
