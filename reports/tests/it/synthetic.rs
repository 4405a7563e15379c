//! A run that never was: forty clients behind one proxy with two sources, the first of which is killed; made by arithmetic, so that it is always the same.

use std::net::SocketAddr;

use reports::evidence::{Evidence, Frame, Frames, Meaning, Parting, PlannedFault, Shrunk, Trial, Twin};
use reports::folder::RunReport;
use reports::log::{Level, Log, LogLine};
use reports::metrics::{Collector, Metrics, MetricsConfig};
use reports::perfetto::{ClientHost, Hosts};
use reports::record::{Invariant, Outcome, Reached, SCHEMA, Verdict, Violation};
use reports::story::{Line, Story};
use wire::event::{Event, Phase, Side, Timed, Why};
use wire::id::{ClientId, LegId, ProxyId, SessionId, SourceId, Symbol};

const CLIENTS: u32 = 40;
const END_US: u64 = 30_000_000;

/// A number below `below`, scattered over `n`.
fn scatter(n: u64, below: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % below
}

fn address(n: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 40_000))
}

/// The events, in the order of time.
pub(crate) fn events() -> Vec<Timed> {
    let mut events = Vec::new();
    let mut at = |at_us: u64, event: Event| events.push(Timed { at_us, event });
    let proxy = ProxyId(0);
    let leg_up = |source, client| Event::ProxyLegUp {
        proxy,
        source: SourceId(source),
        local: address(9_000 + u32::from(source)),
        epoch: 1,
        client,
    };
    at(0, Event::Phase { phase: Phase::Warmup });
    at(1_000, leg_up(0, None));
    at(1_200, Event::SourceOpen { source: SourceId(0), leg: LegId(0), peer: address(9_000) });
    at(4_000_000, Event::Phase { phase: Phase::Steady });
    at(9_000_000, Event::FaultStart { fault: 0, kind: "kill".into(), target: "source-0".into() });
    at(9_400_000, Event::ProxyLegDown { proxy, source: SourceId(0), local: Some(address(9_000)), why: Why::Stale });
    at(9_900_000, leg_up(1, None));
    at(9_900_100, Event::SourceOpen { source: SourceId(1), leg: LegId(0), peer: address(9_001) });
    at(14_000_000, Event::FaultStop { fault: 0 });
    at(17_000_000, Event::FaultStart { fault: 1, kind: "stall".into(), target: "proxy-0/client-7".into() });
    at(19_500_000, Event::FaultStop { fault: 1 });
    at(20_000_000, Event::Phase { phase: Phase::Recovery });
    at(END_US, Event::Phase { phase: Phase::End });
    for n in 0..CLIENTS {
        let (client, session, target) = (ClientId(n), SessionId(0), 0);
        let dial_us = 100_000 * u64::from(n);
        at(dial_us, Event::ClientDial { client, session, target });
        if n % 13 == 12 {
            at(dial_us + 900, Event::ClientRefused { client, session, status: 503, why: Why::Admission });
            continue;
        }
        at(dial_us + 600, Event::ProxyAdmit { proxy, peer: address(n) });
        at(dial_us + 250_000, Event::ClientOpen { client, session, target, local: address(n), strong: false });
        if n % 10 == 3 {
            at(19_000_000, Event::ClientClose { client, session, by: Side::Peer, code: Some(1008) });
        }
    }
    for tick in 0..END_US / 25_000 {
        ticks(tick, &mut at);
    }
    events.sort_by_key(|timed| timed.at_us);
    events
}

/// One tick from a source to all clients, and now and then a gauge.
fn ticks(tick: u64, at: &mut impl FnMut(u64, Event)) {
    let sent_us = tick * 25_000 + 5_000;
    let stalled = (17_000_000..19_500_000).contains(&sent_us);
    if tick.is_multiple_of(10) {
        let queue_bytes_max = if stalled { (sent_us - 17_000_000) / 60 } else { scatter(tick, 300) };
        at(
            sent_us,
            Event::ProxyGauge {
                proxy: ProxyId(0),
                clients: u64::from(CLIENTS),
                handshakes: 0,
                legs: 1,
                queue_bytes: queue_bytes_max + scatter(tick, 2_000),
                queue_bytes_max,
                received: tick,
                forwarded: tick,
                dropped: 0,
            },
        );
    }
    if (9_000_000..9_900_000).contains(&sent_us) {
        return;
    }
    let source = SourceId(u16::from(sent_us > 9_000_000));
    let symbol = Symbol::numbered((tick % 3) as u32);
    at(sent_us, Event::SourceSend { source, leg: LegId(0), symbol, n: tick });
    for n in 0..CLIENTS {
        let open_us = 100_000 * u64::from(n) + 250_000;
        if n % 13 == 12 || sent_us < open_us || (n % 10 == 3 && sent_us > 18_900_000) {
            continue;
        }
        let seed = tick * u64::from(CLIENTS) + u64::from(n);
        let mut latency_us = 300 + scatter(seed, 400) + u64::from(n) * 4;
        if scatter(seed, 60) == 0 {
            latency_us += scatter(seed + 1, 9_000);
        }
        if stalled && n % 10 == 7 {
            latency_us += 19_500_000 - sent_us;
        }
        let (client, session) = (ClientId(n), SessionId(0));
        at(sent_us + latency_us, Event::ClientDeliver { client, session, symbol, n: tick, stamp: None, intact: true });
    }
}

/// The run's report, with one broken invariant whose message tries to be markup.
pub(crate) fn report() -> RunReport {
    let events = events();
    let mut collector =
        Collector::new(MetricsConfig { proxies: 1, sources: 2, clients: CLIENTS, ..MetricsConfig::default() });
    for timed in &events {
        collector.observe(timed.at_us, &timed.event);
    }
    let metrics = collector.finish(END_US);
    let verdict = verdict(events.len() as u64);
    RunReport {
        evidence: evidence(&verdict, &metrics, &events),
        metrics,
        about: "The source that carries all clients is killed while ticks flow; the proxy must move to the other instance within two seconds, and \
                no client may wait for another that reads slowly."
            .to_owned(),
        scenario_toml: "name = \"upstream-crash-mid-fanout\"\n\n[sources]\ncount = 2\n\n[[fault]]\nkind = \"kill\"\ntarget = \"source-0\"\nat = \"9s\"\n".to_owned(),
        replay_command: "cargo windtunnel run upstream-crash-mid-fanout --seed 7".to_owned(),
        log: (0..12).map(|n| format!("{n}.000 proxy-0 info: <script>alert({n})</script>\n")).collect(),
        said: Some(said()),
        version: "0.1.0".to_owned(),
        profile: "sim".to_owned(),
        html: true,
        verdict,
    }
}

/// What the proxy said.
fn said() -> Log {
    let line = |at_us, text: &str| LogLine {
        at_us,
        host: "proxy-0".to_owned(),
        level: Level::Warn,
        target: "proxy::fanout::leg".to_owned(),
        text: text.to_owned(),
    };
    let lines =
        vec![line(9_400_000, "lost the leg to a source source=0"), line(17_000_300, "client-7 is slow <script>")];
    Log { filter: "info".to_owned(), lines, cut: 3 }
}

fn evidence(verdict: &Verdict, metrics: &Metrics, events: &[Timed]) -> Evidence {
    let clients = vec![ClientHost { name: "viewers-0".to_owned(), first: ClientId(0), count: CLIENTS }];
    let hosts = Hosts { proxies: 1, edges: 0, sources: 2, clients };
    let line = |event, text: &str| Line { event, text: text.to_owned() };
    let fault = |kind: &str, target: &str, begins: &str, words: &str| PlannedFault {
        kind: kind.to_owned(),
        target: target.to_owned(),
        begins: begins.to_owned(),
        words: words.to_owned(),
        instant: false,
    };
    let frame = |at_us, from: &str, to: &str, words: &str, decisive| Frame {
        at_us,
        from: from.to_owned(),
        to: to.to_owned(),
        opcode: "text",
        fin: true,
        masked: false,
        bytes: 87,
        words: words.to_owned(),
        decisive,
    };
    Evidence {
        story: Story::new(verdict, metrics, &hosts, events),
        meanings: vec![Meaning {
            invariant: "delivery-latency".to_owned(),
            about: "How long a tick takes from its source to a client.".to_owned(),
            bound: Some("99% within 250ms, from the steady phase on.".to_owned()),
        }],
        faults: vec![
            fault("kill", "source-active", "at 9s", "The process of source-active dies, until it starts again."),
            fault("stall", "proxy-0/client-7", "at 17s", "The link proxy-0/client-7 carries nothing, until it heals."),
            fault("freeze", "proxy-0", "after the first client_gap", "The process of proxy-0 stops, until it thaws."),
        ],
        shrunk: Some(Shrunk {
            parts: vec![("faults".to_owned(), "14".to_owned(), "3".to_owned())],
            found_command: Some("cargo windtunnel replay found.json".to_owned()),
        }),
        frames: Some(Frames {
            list: vec![
                frame(17_505_000, "source-1", "proxy-0", "tick S0000 n 700, 1.2147 / 1.2148", false),
                frame(17_602_000, "proxy-0", "client-17", "tick S0000 n 700, 1.2147 / 1.2148", true),
            ],
            note: None,
        }),
        twin: Some(Twin {
            trials: vec![
                Trial { without: "kill source-active".to_owned(), broken: vec!["delivery-latency".to_owned()] },
                Trial { without: "stall proxy-0/client-7".to_owned(), broken: Vec::new() },
            ],
            untried: 1,
            parting: Some(Parting {
                before: vec![line(24_001, "17.005000 s  source-1   to proxy-0: S0002 n 680")],
                here: vec![line(24_002, "17.005500 s  client-8   from proxy-0: S0002 n 680")],
                there: vec![line(24_002, "17.005490 s  client-7   from proxy-0: S0002 n 680")],
            }),
        }),
    }
}

fn invariant(name: &str, verdict: Outcome, checked: u64, summary: &str) -> Invariant {
    Invariant {
        name: name.to_owned(),
        verdict,
        checked,
        summary: summary.to_owned(),
        broken: 0,
        violations: Vec::new(),
    }
}

/// The judgement of the run.
pub(crate) fn verdict(events: u64) -> Verdict {
    let violation = |at_us, message: &str, events: &[u64]| Violation {
        at_us,
        message: message.to_owned(),
        events: events.to_vec(),
    };
    Verdict {
        schema: SCHEMA,
        scenario: "upstream-crash-mid-fanout".to_owned(),
        seed: 7,
        order: 0,
        engine: "sim".to_owned(),
        mutant: Some("no-isolation".to_owned()),
        verdict: Outcome::Fail,
        trace_hash: "0f3a9c11d2e47b58".to_owned(),
        events,
        sim_seconds: 30.0,
        wall_seconds: 0.021,
        invariants: vec![
            invariant("symbol-order", Outcome::Pass, 40_123, "no tick came twice or out of order"),
            invariant("payload-intact", Outcome::Pass, 40_123, "every payload was the source's own"),
            Invariant {
                broken: 23,
                violations: vec![
                    violation(
                        17_602_000,
                        "client-17 waited 1.898 s for tick 702 of S0000, bound 250 ms: <script>alert(1)</script>",
                        &[24_000, 24_040],
                    ),
                    violation(18_702_000, "client-27 waited 812 ms for tick 746 of S0002, bound 250 ms", &[25_400]),
                ],
                ..invariant("delivery-latency", Outcome::Fail, 38_200, "p99 1.90 s, bound 250 ms")
            },
            invariant("failover-time", Outcome::Pass, 1, "0.50 s, bound 2 s"),
            invariant("gap-told", Outcome::Inconclusive, 0, "no client of the strong contract took part"),
        ],
        reached: vec![
            Reached { name: "fault-on-active-source".to_owned(), times: 1, at_least: 1 },
            Reached { name: "failover".to_owned(), times: 1, at_least: 1 },
            Reached { name: "slow-client-dropped".to_owned(), times: 0, at_least: 1 },
        ],
        marks: [("first data after a failover".to_owned(), 1)].into(),
        recovery_us: Some(412_000),
        proxy: None,
        not_applicable: Vec::new(),
    }
}
