//! A calibration file's costs make the proxy a queue: below its limit messages are as late as the queue says, beyond it they come at the limit's rate, later
//! and later.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;

use scenarios::calibration::{Calibration, Costs};
use scenarios::engine::{self, Options};
use scenarios::model::Engine;
use scenarios::parse::parse;
use scenarios::plan::Plan;
use wire::event::{Event, Timed};

/// Clients, each of whom gets every tick.
const CLIENTS: u64 = 50;

/// What a segment costs, in microseconds: the proxy can do 10,000 a second.
const COST_US: f64 = 100.0;

/// One way of each link, in microseconds.
const WAY_US: f64 = 500.0;

fn calibration() -> Calibration {
    let text = r#"
schema = 1
machine = "none: made up for a test"
date = "2026-01-31"
versions = {}
command = "none"
caveats = []
points = []
cost = { per-segment = "100us" }
fit = { residual-rms = 0.0, residual-max = 0.0 }
"#;
    Calibration::parse("made-up.toml", text).unwrap()
}

/// A tick every `period_ms` to fifty clients.
fn scenario(period_ms: u64, steady: &str) -> String {
    format!(
        r#"
schema = 1
name = "queue"
about = "One symbol to fifty clients, through a proxy whose work costs something."
warmup = "500ms"
steady = "{steady}"
recovery = "0s"
sources = {{ count = 1, symbols = 1, period = "{period_ms}ms" }}
proxy = {{ mode = "fanout" }}
network.latency = {{ fixed = "500us" }}

[[clients]]
name = "all"
count = {CLIENTS}
open = {{ arrival = "at-once" }}

[check]
symbol-order = {{}}
"#
    )
}

/// What happens in a scenario with these costs.
fn events(text: &str, costs: Calibration) -> Vec<Timed> {
    let mut scenario = parse("queue.toml", text).unwrap();
    scenario.service_time = Some(costs.service_time());
    let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: true };
    engine::run(&Plan::new(&scenario, 1), options).unwrap().events.unwrap()
}

/// Deliveries of one tick every `period_ms`, as (instant of delivery, time since the tick was sent), in microseconds.
fn deliveries(period_ms: u64, steady: &str) -> Vec<(f64, f64)> {
    let mut sent = BTreeMap::new();
    let mut found = Vec::new();
    for Timed { at_us, event } in events(&scenario(period_ms, steady), calibration()) {
        match event {
            Event::SourceSend { n, .. } => {
                sent.entry(n).or_insert(at_us);
            }
            Event::ClientDeliver { n, .. } => found.push((at_us as f64, (at_us - sent[&n]) as f64)),
            _ => {}
        }
    }
    found
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    assert!(values.len() >= 500, "{} values only", values.len());
    values.iter().sum::<f64>() / values.len() as f64
}

/// Those delivered from `from_ms` to `to_ms`.
fn within(deliveries: &[(f64, f64)], from_ms: f64, to_ms: f64) -> impl Iterator<Item = f64> {
    let range = from_ms * 1e3..to_ms * 1e3;
    deliveries.iter().filter(move |(at, _)| range.contains(at)).map(|(_, late)| *late)
}

#[test]
fn at_half_of_what_it_can_the_proxy_delivers_as_the_queue_predicts() {
    // Each tick comes in, and goes out fifty times: 51 pieces of work of 100 us every 10 ms. They find the proxy idle (D/D/1 with batches): the last of them
    // waits for all the others, one in the middle for half of them.
    let found = deliveries(10, "3s");
    let late = mean(within(&found, 1_000.0, 3_500.0));
    let expected = 2.0 * WAY_US + COST_US + COST_US * (CLIENTS + 1) as f64 / 2.0;
    assert!((late / expected - 1.0).abs() < 0.03, "{late} us late, for {expected}");
    let most = within(&found, 1_000.0, 3_500.0).fold(0.0, f64::max);
    let expected = 2.0 * WAY_US + COST_US * (CLIENTS + 1) as f64;
    assert!((most / expected - 1.0).abs() < 0.03, "{most} us at most, for {expected}");
    let per_s = within(&found, 1_000.0, 3_000.0).count() as f64 / 2.0;
    assert!((per_s / (100.0 * CLIENTS as f64) - 1.0).abs() < 0.01, "{per_s} a second, and all are delivered");
}

#[test]
fn beyond_what_it_can_the_proxy_delivers_at_its_limit_and_ever_later() {
    // 51 pieces every 3 ms are 1.7 times what it can. A tick waits for work in front of it when it comes in, and again when it goes out. Where the wait grows
    // by b in each unit of time, one that came at t is in at (1 + b) t and out at (1 + b)^2 t; and what comes up is what is done and b besides:
    // r + 50 r / (1 + b) = 1 + b, with r the work of coming in, 0.1 ms every 3 ms.
    let (coming, fan) = (COST_US / 3_000.0, CLIENTS as f64);
    let grows = f64::midpoint(coming, (coming * coming + 4.0 * fan * coming).sqrt());
    let found = deliveries(3, "3s");
    let per_s = within(&found, 1_500.0, 3_500.0).count() as f64 / 2.0;
    let expected = fan * coming / (grows * grows) * 1e6 / COST_US;
    assert!((9_700.0..9_900.0).contains(&expected), "the sum above is wrong: {expected}");
    assert!((per_s / expected - 1.0).abs() < 0.02, "{per_s} deliveries a second, for {expected}");
    let (early, late) = (mean(within(&found, 1_500.0, 1_700.0)), mean(within(&found, 3_300.0, 3_500.0)));
    let slope = (late - early) / 1_800e3;
    let expected = 1.0 - 1.0 / (grows * grows);
    assert!((slope / expected - 1.0).abs() < 0.1, "{slope} seconds later each second, for {expected}");
}

#[test]
fn the_calibrations_at_hand_are_what_their_points_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/calibration");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Calibration { machine, caveats, cost, fit, points, .. } = Calibration::read(&path).unwrap();
        assert!(!machine.is_empty() && !caveats.is_empty(), "{}: of what?", path.display());
        let ns = |cost: scenarios::cost::Cost| cost.as_nanos() as f64;
        let mut errors = Vec::new();
        // How the sum of squared relative errors changes with each cost: at its least, not at all.
        let (mut by_segment, mut by_byte, mut by_message, mut scale) = (0.0, 0.0, 0.0, 0.0);
        for point in &points {
            let sum = ns(cost.per_segment) * point.segments
                + ns(cost.per_kib) * point.bytes / 1024.0
                + ns(cost.per_message) * point.messages
                + ns(cost.per_connection) * point.connections;
            // The file rounds its costs to whole nanoseconds.
            let slack = point.segments + point.bytes / 1024.0 + point.messages + point.connections;
            assert!((sum - point.fitted_ns).abs() <= slack, "{}: {sum} for {point:?}", path.display());
            if point.connections == 0.0 {
                let error = point.fitted_ns / point.cpu_ns - 1.0;
                errors.push(error.abs());
                by_segment += error * point.segments / point.cpu_ns;
                by_byte += error * point.bytes / point.cpu_ns;
                by_message += error * point.messages / point.cpu_ns;
                scale += point.segments / point.cpu_ns + point.bytes / point.cpu_ns;
            }
        }
        assert!(errors.len() >= 4, "{}: {} points for two costs", path.display(), errors.len());
        let rms = (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
        let max = errors.iter().fold(0.0_f64, |most, error| most.max(*error));
        assert!(
            (rms - fit.residual_rms).abs() < 0.001 && (max - fit.residual_max).abs() < 0.001,
            "{rms}, {max} of {fit:?}"
        );
        assert!(fit.residual_rms < 0.35, "{}: these costs explain little", path.display());
        // Of a cost that is nothing, more of it would not make it better.
        for (slope, cost) in [(by_segment, cost.per_segment), (by_byte, cost.per_kib), (by_message, cost.per_message)] {
            let least = if cost == scenarios::cost::Cost::default() { slope.min(0.0) } else { slope };
            assert!(least.abs() < 1e-3 * scale, "{}: {slope} of {scale} for {cost:?}", path.display());
        }
        // A write to a socket takes longer than a tenth of a microsecond and less than a tenth of a millisecond, wherever.
        assert!((100.0..100_000.0).contains(&ns(cost.per_segment)), "{}: {:?}", path.display(), cost.per_segment);
        files += 1;
    }
    assert!(files > 0, "no calibration in {folder}");
}

#[test]
fn a_flood_of_connections_opens_no_faster_than_they_cost() {
    // SYN, SYN-ACK, ACK, request, and answer with greeting: five segments until a session is open, and the connection. The subscriptions of those that were
    // first, one segment each, may come before the answers to the last.
    let text = scenario(1_000, "1s").replace("count = 50", "count = 200");
    let costs = calibration().cost;
    let costs = Costs { per_connection: "1ms".parse().unwrap(), ..costs };
    let (mut first, mut last, mut opened) = (None, 0, 0);
    for Timed { at_us, event } in events(&text, Calibration { cost: costs, ..calibration() }) {
        match event {
            Event::ClientDial { .. } => first = first.or(Some(at_us)),
            Event::ClientOpen { .. } => (last, opened) = (at_us, opened + 1),
            _ => {}
        }
    }
    assert_eq!(opened, 200);
    let each = (last - first.unwrap()) as f64 / 200.0;
    assert!((1_500.0..1_610.0).contains(&each), "{each} us a connection");
}
