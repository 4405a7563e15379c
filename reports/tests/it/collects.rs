//! Small event lists whose figures are computed by hand.

use std::net::SocketAddr;

use reports::metrics::{Collector, Metrics, MetricsConfig};
use wire::event::{Event, Phase, Side, Stamp, Why};
use wire::feed::{GapReason, Kind};
use wire::id::{ClientId, LegId, ProxyId, SessionId, SourceId, Symbol};

fn symbol() -> Symbol {
    Symbol::numbered(1)
}

fn address(n: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1000 + n as u16))
}

fn sent(source: u16, n: u64) -> Event {
    Event::SourceSend { source: SourceId(source), leg: LegId(0), symbol: symbol(), n }
}

fn delivered(client: u32, n: u64) -> Event {
    Event::ClientDeliver {
        client: ClientId(client),
        session: SessionId(0),
        symbol: symbol(),
        n,
        stamp: None,
        intact: true,
    }
}

fn replayed(client: u32, n: u64) -> Event {
    let Event::ClientDeliver { client, session, symbol, n, intact, .. } = delivered(client, n) else { unreachable!() };
    let stamp = Some(Stamp { epoch: 1, seq: 1, kind: Kind::Replay });
    Event::ClientDeliver { client, session, symbol, n, stamp, intact }
}

fn dial(client: u32, session: u32) -> Event {
    Event::ClientDial { client: ClientId(client), session: SessionId(session), target: 0 }
}

fn open(client: u32, session: u32) -> Event {
    Event::ClientOpen {
        client: ClientId(client),
        session: SessionId(session),
        target: 0,
        local: address(client),
        strong: false,
    }
}

fn refused(client: u32, session: u32) -> Event {
    Event::ClientRefused { client: ClientId(client), session: SessionId(session), status: 503, why: Why::Admission }
}

fn close(client: u32, session: u32) -> Event {
    Event::ClientClose { client: ClientId(client), session: SessionId(session), by: Side::Peer, code: Some(1001) }
}

fn leg_up(source: u16, client: Option<u32>) -> Event {
    Event::ProxyLegUp {
        proxy: ProxyId(0),
        source: SourceId(source),
        local: address(100 + u32::from(source)),
        epoch: 1,
        client: client.map(address),
    }
}

fn leg_down(source: u16, why: Why) -> Event {
    Event::ProxyLegDown {
        proxy: ProxyId(0),
        source: SourceId(source),
        local: Some(address(100 + u32::from(source))),
        why,
    }
}

fn collect(end_ms: u64, events: &[(u64, Event)]) -> Metrics {
    let mut collector =
        Collector::new(MetricsConfig { bucket_us: 100_000, proxies: 1, edges: 0, sources: 2, clients: 2 });
    for (at_us, event) in events {
        collector.observe(*at_us, event);
    }
    collector.finish(end_ms * 1000)
}

#[test]
fn latency_counts_from_the_first_send_on_any_leg_and_leaves_out_replays() {
    let metrics = collect(
        300,
        &[
            (1_000, sent(0, 1)),
            (1_400, sent(1, 1)),
            (2_000, delivered(0, 1)),
            (4_000, delivered(1, 1)),
            (5_000, replayed(1, 1)),
            (6_000, delivered(0, 99)),
            (210_000, sent(0, 2)),
            (210_500, delivered(0, 2)),
        ],
    );
    // 1,000 is rounded up by at most 1 %, the greatest sample not at all.
    assert!((1_000..=1_010).contains(&metrics.series.delivery_us.p50[0].unwrap()));
    assert_eq!(metrics.series.delivery_us.p50[1..], [None, Some(500)]);
    assert_eq!(metrics.series.delivery_us.p99, [Some(3_000), None, Some(500)]);
    assert_eq!(metrics.series.delivery_us.max, [Some(3_000), None, Some(500)]);
    assert_eq!(metrics.series.deliveries, [4, 0, 1]);
    assert_eq!(metrics.series.source_sends, [2, 0, 1]);
    assert_eq!(
        (metrics.delivery.count, metrics.delivery.p50_us, metrics.delivery.p90_us, metrics.delivery.max_us),
        (3, Some(1_000), None, Some(3_000)),
        "three samples carry no p90"
    );
    assert_eq!(metrics.delivery.mean_us, Some(1_500));
    assert_eq!((metrics.totals.deliveries_old, metrics.totals.deliveries_unmatched), (1, 1));
}

#[test]
fn clients_are_counted_by_state_at_the_end_of_each_bucket() {
    let metrics = collect(
        400,
        &[
            (0, dial(0, 0)),
            (1, dial(1, 0)),
            (50_000, open(0, 0)),
            (150_000, refused(1, 0)),
            (160_000, dial(1, 1)),
            (250_000, open(1, 1)),
            (350_000, close(0, 0)),
            // A late word on an old session changes nothing.
            (351_000, close(1, 0)),
        ],
    );
    assert_eq!(metrics.series.clients_connecting, [1, 1, 0, 0]);
    assert_eq!(metrics.series.clients_open, [1, 1, 2, 1]);
    assert_eq!(metrics.series.clients_refused, [0, 1, 1, 1]);
    assert_eq!(metrics.series.clients_closed, [0, 0, 0, 1]);
    assert_eq!(metrics.totals.clients_refused[0].why, Why::Admission);
}

#[test]
fn a_new_dial_ends_a_session_whose_end_nobody_told() {
    let metrics = collect(100, &[(0, dial(0, 0)), (1, open(0, 0)), (2, dial(0, 1)), (3, open(0, 1))]);
    assert_eq!((metrics.series.clients_open[0], metrics.series.clients_closed[0]), (1, 1));
}

#[test]
fn fairness_leaves_out_the_instance_that_a_fault_names() {
    let fault = Event::FaultStart { fault: 0, kind: "freeze".into(), target: "proxy-0/source-1".into() };
    let metrics = collect(
        400,
        &[
            (0, leg_up(0, None)),
            (100_000, leg_up(1, None)),
            (200_000, fault),
            (201_000, leg_down(1, Why::Stale)),
            (300_000, Event::FaultStop { fault: 0 }),
        ],
    );
    assert_eq!(metrics.fairness.instances_jain, [Some(0.5), Some(1.0), Some(1.0), Some(0.5)]);
    assert_eq!(metrics.fairness.instances_jain_mean, Some(0.75));
    assert_eq!(metrics.sources[1].legs, [0, 1, 0, 0]);
    assert_eq!((metrics.faults[0].start_us, metrics.faults[0].stop_us), (200_000, Some(300_000)));
}

#[test]
fn a_killed_source_has_no_connections_though_it_reports_nothing() {
    let opened = |leg| Event::SourceOpen { source: SourceId(0), leg: LegId(leg), peer: address(leg) };
    for kind in ["kill", "power-off", "restart"] {
        let kill = Event::FaultStart { fault: 0, kind: kind.into(), target: "source-0".into() };
        let closed = Event::SourceClose { source: SourceId(0), leg: LegId(0), by: Side::Peer, code: None };
        let metrics =
            collect(300, &[(0, opened(0)), (1, opened(1)), (100_000, kill), (200_000, opened(2)), (200_001, closed)]);
        assert_eq!(metrics.sources[0].connections, [2, 0, 1], "{kind}");
        assert_eq!(metrics.faults[0].stop_us, None);
    }
}

#[test]
fn a_fan_out_failover_is_silent_from_the_lost_leg_to_the_next_delivery() {
    let metrics = collect(
        1_000,
        &[
            (0, Event::ProxyAdmit { proxy: ProxyId(0), peer: address(0) }),
            (10, open(0, 0)),
            (20, leg_up(0, None)),
            (100_000, delivered(0, 1)),
            (300_000, leg_down(0, Why::Stale)),
            (450_000, delivered(0, 2)),
            (500_000, delivered(0, 3)),
            (600_000, leg_down(0, Why::Shutdown)),
            (700_000, leg_down(0, Why::Reset)),
        ],
    );
    let failovers = metrics.failovers;
    assert_eq!((failovers.count, failovers.healed, failovers.silence.max_us), (2, 1, Some(150_000)));
    assert_eq!(failovers.incidents[0].silence_us, Some(150_000));
    assert_eq!(failovers.incidents[0].outage_us, Some(350_000));
    assert_eq!(failovers.incidents[1].silence_us, None, "nothing came after the second");
}

#[test]
fn a_relay_failover_waits_for_the_legs_own_client() {
    let echo = |client, session| Event::ClientEcho {
        client: ClientId(client),
        session: SessionId(session),
        n: 0,
        latency_us: 900,
    };
    let metrics = collect(
        1_000,
        &[
            (0, open(0, 0)),
            (1, open(1, 0)),
            (2, leg_up(0, Some(0))),
            (3, leg_up(1, Some(1))),
            (100_000, leg_down(0, Why::Reset)),
            (110_000, echo(1, 0)),
            (180_000, echo(0, 1)),
        ],
    );
    assert_eq!(metrics.failovers.incidents.len(), 1);
    assert_eq!(metrics.failovers.incidents[0].silence_us, Some(80_000));
    assert_eq!((metrics.echo.count, metrics.echo.p50_us), (2, Some(900)));
}

#[test]
fn gauges_keep_the_greatest_queue_of_a_bucket_and_the_last_count() {
    let gauge = |clients, queue_bytes, queue_bytes_max| Event::ProxyGauge {
        proxy: ProxyId(0),
        clients,
        handshakes: 0,
        legs: 1,
        queue_bytes,
        queue_bytes_max,
        received: 0,
        forwarded: 0,
        dropped: 0,
    };
    let metrics = collect(300, &[(10_000, gauge(1, 900, 500)), (20_000, gauge(2, 100, 60)), (210_000, gauge(3, 0, 0))]);
    let proxy = &metrics.proxies[0];
    assert_eq!(proxy.clients, [2, 2, 3]);
    assert_eq!(proxy.queue_bytes, [900, 100, 0]);
    assert_eq!(proxy.queue_bytes_max, [500, 60, 0]);
}

#[test]
fn gaps_drops_and_phases_are_kept_by_cause() {
    let gap = |to| Event::ClientGap {
        client: ClientId(0),
        session: SessionId(0),
        symbol: symbol(),
        epoch: 1,
        from: 3,
        to,
        reason: GapReason::Overflow,
    };
    let metrics = collect(100, &[(0, Event::Phase { phase: Phase::Warmup }), (1, gap(Some(5))), (2, gap(None))]);
    assert_eq!((metrics.totals.gaps[0].times, metrics.totals.gaps[0].messages), (2, 3));
    assert_eq!(metrics.series.gaps, [2]);
    assert_eq!(metrics.phases[0].phase, Phase::Warmup);
}

#[test]
fn every_column_is_as_long_as_the_time_axis() {
    let late = Event::ProxyGauge {
        proxy: ProxyId(2),
        clients: 1,
        handshakes: 0,
        legs: 1,
        queue_bytes: 0,
        queue_bytes_max: 0,
        received: 0,
        forwarded: 0,
        dropped: 0,
    };
    let metrics = collect(1_000, &[(550_000, late), (560_000, leg_up(7, None))]);
    let buckets = metrics.series.deliveries.len();
    assert_eq!(buckets, 10);
    assert!(metrics.proxies.iter().all(|proxy| proxy.clients.len() == buckets && proxy.queue_bytes.len() == buckets));
    assert!(metrics.sources.iter().all(|source| source.legs.len() == buckets && source.connections.len() == buckets));
    assert_eq!(metrics.series.delivery_us.p99.len(), buckets);
    assert_eq!(metrics.fairness.instances_jain.len(), buckets);
}

#[test]
fn metrics_survive_json() {
    let metrics = collect(200, &[(1_000, sent(0, 1)), (2_000, delivered(0, 1)), (3_000, leg_up(0, None))]);
    let text = serde_json::to_string(&metrics).unwrap();
    assert_eq!(serde_json::from_str::<Metrics>(&text).unwrap(), metrics);
}

#[test]
fn an_event_from_the_end_of_time_takes_no_memory() {
    let metrics = collect(0, &[(u64::MAX, delivered(u32::MAX, 1)), (u64::MAX, leg_up(u16::MAX, None))]);
    assert_eq!(metrics.series.deliveries.len(), 100_000);
}
