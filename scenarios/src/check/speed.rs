//! How much the bench costs an event. `cargo test -p scenarios --release --lib -- --ignored --nocapture nanoseconds`

use wire::event::{Event, Phase, Stamp};
use wire::feed::Kind;
use wire::id::{ClientId, LegId, ProxyId, SessionId, SourceId, Symbol};

use super::testing::{client_addr, leg_addr};
use super::{Facts, Periods, build};

const ALL: &str = r#"
symbol-order = {}
no-duplicates = {}
no-silent-gap = {}
no-leakage = {}
payload-intact = {}
delivery-latency = { quantile = 0.99, at-most = "20ms" }
failover-time = { at-most = "1s" }
no-client-close = {}
upstream-connections = { at-most = 1 }
even-spread = { jain-min = 0.1 }
client-memory = { queue-bytes-max = 1000 }
isolation = { quantile = 0.99, at-most = "20ms" }
convergence = { within = "1s" }
admission = { open-at-most = 1000 }
"#;

/// `clients` clients of `symbols` symbols each, half of them strong, until there are this many events.
fn record(clients: u32, symbols: u32, events: usize) -> Vec<(u64, Event)> {
    let mut record = Vec::with_capacity(events + 2_000);
    let local = leg_addr(0, 1);
    record.push((0, Event::SourceOpen { source: SourceId(0), leg: LegId(0), peer: local }));
    record.push((0, Event::ProxyLegUp { proxy: ProxyId(0), source: SourceId(0), local, epoch: 1, client: None }));
    for client in 0..clients {
        let (id, session, strong) = (ClientId(client), SessionId(0), client % 2 == 0);
        let local = client_addr(client, client as u16 as u32);
        record.push((1, Event::ProxyAdmit { proxy: ProxyId(0), peer: local }));
        record.push((1, Event::ClientOpen { client: id, session, target: 0, local, strong }));
        for symbol in 0..symbols {
            record.push((1, Event::ClientSubscribe { client: id, session, symbol: Symbol::numbered(symbol) }));
        }
    }
    record.push((2, Event::Phase { phase: Phase::Steady }));
    let mut n = 0;
    while record.len() < events {
        n += 1;
        let us = n * 100_000;
        if n == 20 {
            record.push((us, Event::FaultStart { fault: 0, kind: "stall".into(), target: "proxy-0/source-0".into() }));
        }
        for symbol in (0..symbols).map(Symbol::numbered) {
            record.push((us, Event::SourceSend { source: SourceId(0), leg: LegId(0), symbol, n }));
            for client in 0..clients {
                let stamp = (client % 2 == 0).then_some(Stamp { epoch: 1, seq: n, kind: Kind::Live });
                let (client, session) = (ClientId(client), SessionId(0));
                let deliver = Event::ClientDeliver { client, session, symbol, n, stamp, intact: true };
                record.push((us + 1_000, deliver));
            }
        }
    }
    record
}

#[test]
#[ignore = "a measurement: run it alone, in release"]
#[expect(clippy::disallowed_methods, reason = "it measures the wall clock")]
fn nanoseconds_per_event() {
    let objectives = toml::from_str(ALL).expect("all objectives parse");
    for (clients, symbols) in [(100, 10), (1_000, 10), (10_000, 4)] {
        let facts = Facts {
            sources: 2,
            proxies: 1,
            clients,
            periods: Periods::alike(100_000),
            slow_clients: std::iter::once(0..5).collect(),
            ..Facts::default()
        };
        let record = record(clients, symbols, 1_000_000);
        let mut bench = build(&objectives, &facts);
        let start = std::time::Instant::now();
        for (us, event) in &record {
            bench.observe(*us, event);
        }
        let ns = start.elapsed().as_nanos() / record.len() as u128;
        let found = bench.finish(record.last().map_or(0, |last| last.0));
        println!("{clients} clients, {symbols} symbols: {ns} ns an event over {} checkers", found.len());
        let broken: Vec<&str> =
            found.iter().filter(|found| found.broken > 0).map(|found| found.name.as_str()).collect();
        println!("  broken: {broken:?}");
    }
}

#[test]
fn every_objective_is_built_under_its_own_key() {
    let objectives = toml::from_str(ALL).expect("all objectives parse");
    let found = build(&objectives, &Facts::default()).finish(0);
    let keys: Vec<&str> =
        ALL.lines().filter_map(|line| line.split(" = ").next()).filter(|key| !key.is_empty()).collect();
    assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), keys);
    assert!(found.iter().all(|found| found.verdict == reports::record::Outcome::Inconclusive), "nothing was checked");
    assert!(found.iter().all(|found| !found.summary.is_empty()));
}
