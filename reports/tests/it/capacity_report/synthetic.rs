//! A measurement that never was: a proxy on one core that holds about 1,900 connections with ten messages a second each; made by arithmetic.

use reports::capacity::{
    Axis, Basis, CapacityReport, Conditions, Cost, CostRow, FleetRow, Footprint, Forecast, Found, Health, Law,
    LawPoint, Limit, Line, Little, Memory, Predicted, Quantiles, QueueRow, Regression, RegressionRow, SCHEMA, Step,
    Storm, StormFigure, WhatIf,
};
use reports::record::Outcome;

/// Connections at which the proxy's core is full.
const FULL: f64 = 2_050.0;
const MESSAGES: f64 = 10.0;

/// A number from −1 to 1, scattered over `n`.
fn scatter(n: u64) -> f64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) % 2_001) as f64 / 1_000.0 - 1.0
}

fn words(text: &str) -> String {
    text.to_owned()
}

/// A trial at `load`, of which `full` is the most that the proxy can do.
fn step(n: u64, load: f64, full: f64, stage: &str, connections: f64, per_s: f64) -> Step {
    let busy = load / full;
    let window_s = if stage == "confirm" { 10.0 } else { 4.0 };
    let planned = (per_s * window_s) as u64;
    let wait = busy.min(0.985) / (1.0 - busy.min(0.985));
    let p50_us = 180.0 + 60.0 * wait + 20.0 * scatter(n);
    let p99_us = if busy > 0.98 { 310_000.0 * busy } else { 1_400.0 + 1_100.0 * wait + 500.0 * scatter(n + 7) };
    let late = if busy > 0.98 { (busy - 0.9) / 2.0 } else { 0.000_04 * busy };
    let holds = busy <= 0.98;
    let delivered = (planned as f64 * (1.0 - late / 3.0)) as u64;
    let cpu = (busy * 0.985).min(0.997);
    Step {
        load,
        stage: words(stage),
        answer: words(if holds { "holds" } else { "fails" }),
        why: if holds {
            String::new()
        } else {
            format!("{:.2} % of messages came within 50 ms, at least 99.9 % are asked for", 100.0 * (1.0 - late))
        },
        window_s,
        connections: connections as u64,
        planned,
        delivered,
        goodput: Some(1.0 - late),
        latency: Some(Quantiles {
            count: planned / 10,
            mean_us: p50_us * 1.4,
            p50_us: p50_us as u64,
            p90_us: (p50_us * 2.0) as u64,
            p99_us: p99_us as u64,
            p999_us: (p99_us * 2.1) as u64,
            max_us: (p99_us * 3.0) as u64,
        }),
        proxy: Some(Footprint {
            cpu,
            rss_bytes: (9.0e6 + connections * 14_200.0) as u64,
            kernel_bytes: Some((connections * 9_300.0) as u64),
            descriptors: connections as u64 + 21,
            threads: 2,
            segments_per_s: None,
        }),
        generator: Health {
            healthy: true,
            reasons: Vec::new(),
            cpu: Some(0.21 + 0.4 * busy),
            lateness_p99_us: Some((300.0 + 900.0 * busy) as u64),
        },
        source_cpu: Some(0.03 + 0.02 * scatter(n + 3).abs()),
        little: Some(Little {
            counted: per_s * p50_us / 1e6,
            computed: per_s * p50_us / 1.03e6,
            off: 0.03,
            agrees: true,
        }),
    }
}

fn axis(name: &str, what: &str, unit: &str, loads: &[(f64, &str)], full: f64, of: impl Fn(f64) -> (f64, f64)) -> Axis {
    let steps: Vec<Step> = loads
        .iter()
        .enumerate()
        .map(|(n, (load, stage))| {
            let (connections, per_s) = of(*load);
            step(n as u64 * 31 + load.to_bits() % 97, *load, full, stage, connections, per_s)
        })
        .collect();
    let held = steps.iter().filter(|step| step.answer == "holds").map(|step| step.load).fold(0.0, f64::max);
    let failed = steps.iter().filter(|step| step.answer == "fails").map(|step| step.load).fold(f64::INFINITY, f64::min);
    Axis {
        name: words(name),
        what: words(what),
        unit: words(unit),
        steps,
        found: Some(Found {
            load: held,
            fails_at: failed.is_finite().then_some(failed),
            confirmations: 3,
            confirmed: true,
        }),
        end: words("the gap is within the tolerance of 5 %"),
        binds: Some(words("CPU of the proxy (98 % of its core)")),
    }
}

fn axes() -> Vec<Axis> {
    let grow = [100.0, 200.0, 400.0, 800.0, 1_600.0, 3_200.0].map(|load| (load, "grow"));
    let bisect = [2_400.0, 2_000.0, 2_200.0, 2_100.0].map(|load| (load, "bisect"));
    let confirm = [2_000.0; 3].map(|load| (load, "confirm"));
    let loads = [&grow[..], &bisect, &confirm].concat();
    let scaled = |by: f64| loads.iter().map(|(load, stage)| (load * by, *stage)).collect::<Vec<_>>();
    let mut mixed = axis("mixed", "connections, each with 10 messages a second", "connections", &loads, FULL, |n| {
        (n, n * MESSAGES)
    });
    // The generator gave out far beyond the knee: that trial says nothing.
    mixed.steps[5].answer = words("unhealthy");
    mixed.steps[5].why = words("the generator was not in order");
    mixed.steps[5].generator.healthy = false;
    mixed.steps[5].generator.cpu = Some(0.93);
    mixed.steps[5].generator.lateness_p99_us = Some(41_000);
    mixed.steps[5].generator.reasons = vec![
        words("its CPU was 93 % of its cores, 80 % are allowed"),
        words("its timers were late by 41.0 ms, 5 ms are allowed"),
    ];
    let rate =
        axis("rate", "messages a second over 500 connections", "deliveries/s", &scaled(12.0), FULL * 12.0, |n| {
            (500.0, n)
        });
    let mut connect =
        axis("connect", "new connections a second", "connections/s", &scaled(0.7), FULL * 0.7, |n| (n * 2.0, n));
    connect.steps.iter_mut().for_each(|step| step.source_cpu = None);
    let mut held = axis("held", "connections without messages", "connections", &scaled(8.0), FULL * 80.0, |n| (n, 0.0));
    for step in &mut held.steps {
        (step.goodput, step.latency, step.little) = (None, None, None);
    }
    held.found = Some(Found { load: 25_600.0, fails_at: None, confirmations: 0, confirmed: false });
    held.end = words("the budget of time was spent");
    held.binds = None;
    vec![mixed, rate, connect, held]
}

fn law(axis: &Axis) -> Law {
    let (gamma, alpha, beta) = (10.05, 0.000_003, 0.000_000_007);
    let at = |n: f64| gamma * n / (1.0 + alpha * (n - 1.0) + beta * n * (n - 1.0));
    let mut points: Vec<LawPoint> = (1..=40)
        .map(|n| {
            let load = f64::from(n) * 100.0;
            let wide = 0.01 + if load > 2_400.0 { (load - 2_400.0) / 12_000.0 } else { 0.0 };
            LawPoint {
                load,
                measured: None,
                law: at(load),
                low: at(load) * (1.0 - wide),
                high: at(load) * (1.0 + wide),
            }
        })
        .collect();
    for step in axis.steps.iter().filter(|step| step.answer != "unhealthy") {
        let nearest = points.iter_mut().find(|point| point.load == step.load).expect("every load is a point");
        nearest.measured = Some(step.delivered as f64 / step.window_s);
    }
    Law {
        load_unit: words("connections"),
        points,
        gamma,
        alpha,
        beta,
        alpha_interval: (0.0, 0.000_02),
        beta_interval: (0.0, 0.000_000_02),
        peak: None,
        words: words(
            "0.0 % of the work is serialised; what pairs cost cannot be told from these loads: add steps above 2,400.",
        ),
    }
}

fn memory() -> Vec<Memory> {
    let state = |state: &str, what: &str, user: f64, kernel: f64| {
        let levels = (0..6_u64).map(|n| {
            let count = n * 400;
            let noise = 1.0 + 0.01 * scatter(n + user as u64);
            let bytes = (9.0e6 + count as f64 * user) * noise;
            (count, bytes as u64, Some((count as f64 * kernel * noise) as u64))
        });
        let line = |slope: f64, intercept| Line {
            slope,
            slope_low: slope * 0.97,
            slope_high: slope * 1.03,
            intercept,
            r_squared: 0.998,
        };
        Memory {
            state: words(state),
            what: words(what),
            levels: levels.collect(),
            line: Some(line(user, 9.0e6)),
            kernel: Some(line(kernel, 0.0)),
        }
    };
    vec![
        state("idle", "open, nothing asked for", 6_100.0, 5_200.0),
        state("subscribed", "ten symbols each, reading", 14_200.0, 9_300.0),
        state("stalled", "ten symbols each, not reading: queues full", 71_000.0, 42_000.0),
    ]
}

fn limits() -> Vec<Limit> {
    let limit = |resource: &str, capacity, basis, how: &str, binds| Limit {
        resource: words(resource),
        capacity,
        basis,
        how: words(how),
        binds,
    };
    vec![
        limit(
            "memory",
            235_000.0,
            Basis::Extrapolated,
            "80 % of 4.0 GiB, less 8.6 MiB, by 13.9 KiB a connection",
            false,
        ),
        limit("CPU", 2_000.0, Basis::Measured, "the search: the proxy's core was full at 2,100", true),
        limit("descriptors", 1_048_555.0, Basis::Modelled, "one a connection and 21 besides, of 1,048,576", false),
        limit(
            "ports",
            28_231.0,
            Basis::Modelled,
            "one source address of the generator; clients elsewhere have their own",
            false,
        ),
    ]
}

fn queues(axis: &Axis) -> Vec<QueueRow> {
    let mut steps: Vec<&Step> =
        axis.steps.iter().filter(|step| step.stage != "confirm" && step.answer == "holds").collect();
    steps.sort_by(|a, b| a.load.total_cmp(&b.load));
    let row = |step: &&Step| {
        let (utilisation, service_us) = (step.proxy.expect("it was measured").cpu, 48.0);
        let stable = utilisation < 0.96;
        QueueRow {
            load: step.load,
            utilisation,
            service_us,
            measured_us: step.latency.expect("it was measured").mean_us,
            mm1_us: stable.then(|| service_us / (1.0 - utilisation)),
            md1_us: stable.then(|| service_us * (1.0 + utilisation / (2.0 * (1.0 - utilisation)))),
            implied_cv2: stable.then(|| 12.0 / utilisation),
            words: words(if stable {
                "more than a queue: ticks of all symbols are due at once"
            } else {
                "not stable: no mean"
            }),
        }
    };
    steps.iter().map(row).collect()
}

fn fleet() -> Vec<FleetRow> {
    let row = |demand: f64, losses: u32| {
        let enough = (demand / 1_400.0).ceil();
        FleetRow {
            demand,
            losses,
            instances: enough as u32 + losses,
            utilisation: demand / (2_000.0 * (enough + f64::from(losses))),
            utilisation_after_losses: demand / (2_000.0 * enough),
            smallest_jitter_s: (losses > 0).then_some(demand / (enough + f64::from(losses)) / (enough * 420.0)),
        }
    };
    vec![row(1_000.0, 1), row(10_000.0, 0), row(10_000.0, 1), row(10_000.0, 2), row(100_000.0, 1)]
}

fn cost() -> Cost {
    let row = |instance: &str, price_per_hour: f64| CostRow {
        instance: words(instance),
        currency: words("EUR"),
        price_per_hour,
        per_thousand_hour: price_per_hour * 9.0 / 10.0,
        demand: 10_000.0,
        instances: 9,
    };
    Cost {
        file: words("prices.toml"),
        date: words("2026-11-01"),
        rows: vec![row("small, 2 vCPU", 0.0214), row("large, 8 vCPU", 0.3451)],
    }
}

fn what_if() -> Vec<WhatIf> {
    let cell = |name: &str, value: &str, basis| (words(name), words(value), basis);
    let row = |change: &str, cells| WhatIf { change: words(change), cells };
    vec![
        row(
            "as measured",
            vec![
                cell("connections an instance", "2,000", Basis::Measured),
                cell("p99", "2.31 ms", Basis::Measured),
                cell("memory", "36 MiB", Basis::Measured),
                cell("instances for 10,000, one lost", "9", Basis::Modelled),
            ],
        ),
        row(
            "half as many connections again",
            vec![
                cell("connections an instance", "2,000", Basis::Measured),
                cell("memory", "36 MiB", Basis::Measured),
                cell("instances for 10,000, one lost", "12", Basis::Modelled),
            ],
        ),
        row(
            "twice the messages",
            vec![
                cell("connections an instance", "1,050", Basis::Modelled),
                cell("p99", "2.6 ms", Basis::Simulated),
                cell("memory", "24 MiB", Basis::Modelled),
                cell("instances for 10,000, one lost", "15", Basis::Modelled),
            ],
        ),
        row(
            "5 % of clients stall",
            vec![
                cell("connections an instance", "1,980", Basis::Simulated),
                cell("memory", "42 MiB", Basis::Modelled),
                cell("instances for 10,000, one lost", "9", Basis::Modelled),
            ],
        ),
        row(
            "100 times the connections",
            vec![
                cell("memory", "2.7 GiB", Basis::Extrapolated),
                cell("instances for 10,000, one lost", "715", Basis::Extrapolated),
            ],
        ),
    ]
}

fn forecast() -> Forecast {
    let predicted =
        |what: &str, predicted, measured, target| Predicted { what: words(what), predicted, measured, target };
    let figure = |name: &str, median, p99, worst, worst_seed| StormFigure {
        name: words(name),
        median,
        median_interval: Some((median * 0.98, median * 1.02)),
        p99,
        worst,
        worst_seed,
    };
    let svg = "<svg width=\"900\" height=\"120\" viewBox=\"0 0 900 120\" xmlns=\"http://www.w3.org/2000/svg\">\
               <rect x=\"0\" y=\"0\" width=\"900\" height=\"120\" fill=\"#FFFFFF\"/>\
               <text x=\"76\" y=\"24\" font-family=\"sans-serif\" font-size=\"16\" fill=\"#22262B\">Connections a second that come back</text>\
               <path d=\"M76 100L200 40L300 92L880 98\" fill=\"none\" stroke=\"#0072B2\" stroke-width=\"2\"/></svg>";
    Forecast {
        calibration: words("calibration.json of 2026-11-27"),
        predicted: vec![
            predicted("deliveries/s at the knee", 21_900.0, Some(19_990.0), Some(0.2)),
            predicted("the proxy's utilisation at 1,000 connections", 0.46, Some(0.481), Some(0.2)),
            predicted("p99 at 1,000 connections (ms)", 0.9, Some(2.31), None),
            predicted("connections a second", 1_500.0, None, Some(0.2)),
        ],
        storm: Some(Storm {
            what: words("3 instances, 450 clients; one is killed at 10 s; clients come back within 2 s."),
            seeds: 1_000,
            figures: vec![
                figure("until 99 % are back (s)", 2.06, 2.4, 3.91, 417),
                figure("most connections a second at one survivor", 96.0, 121.0, 139.0, 88),
                figure("longest gap of a client that was not lost (ms)", 112.0, 180.0, 264.0, 903),
            ],
            smallest_jitter: Some(words(
                "Spread over 1.5 s or more, 99 % of worlds keep p99 of connecting below 500 ms.",
            )),
            command: words("windtunnel capacity --predict calibration.json --storm --seeds 1..1000"),
            charts: vec![(
                words("returning.svg"),
                words("Connections a second that come back"),
                words("a peak, then a slope"),
                words(svg),
            )],
        }),
    }
}

fn regression() -> Regression {
    let row = |metric: &str, before: [f64; 5], now: [f64; 5], shift: f64, p: f64, judgement: &str| RegressionRow {
        metric: words(metric),
        before: before.to_vec(),
        now: now.to_vec(),
        shift: Some((shift, (shift - 0.02, shift + 0.02))),
        p: Some(p),
        judgement: words(judgement),
    };
    Regression {
        before: words("reports/2026-11-20/capacity.json"),
        unlike: Vec::new(),
        rows: vec![
            row(
                "connections of the mix",
                [1_880.0, 1_900.0, 1_920.0, 1_890.0, 1_910.0],
                [1_990.0, 2_000.0, 2_010.0, 2_000.0, 1_980.0],
                0.05,
                0.016,
                "better",
            ),
            row(
                "bytes a connection",
                [14_200.0; 5],
                [14_150.0, 14_210.0, 14_200.0, 14_220.0, 14_190.0],
                0.0,
                0.84,
                "same",
            ),
            row("p99 at half load (ms)", [2.1, 2.0, 2.2, 2.1, 2.3], [2.9, 3.0, 2.8, 3.1, 2.9], 0.38, 0.012, "worse"),
            row(
                "connections a second",
                [1_400.0, 1_100.0, 1_500.0, 1_250.0, 1_390.0],
                [1_420.0, 1_090.0, 1_380.0, 1_600.0, 1_210.0],
                0.01,
                0.9,
                "inconclusive",
            ),
        ],
    }
}

/// The report, with every part.
pub(crate) fn report() -> CapacityReport {
    let axes = axes();
    CapacityReport {
        schema: SCHEMA,
        sentence: words(
            "One instance on this machine holds 2,000 connections with 10 messages a second each (20,000 deliveries/s), 99.9 % of them within 50 ms of their \
             planned instant; CPU binds; operate at 1,400. Not tested: TLS, compression, networks.",
        ),
        operate_at: Some(1_400.0),
        outcome: Outcome::Pass,
        reasons: Vec::new(),
        conditions: Conditions {
            began: words("2026-11-28T09:14:00Z"),
            took_s: 287.4,
            command: words("windtunnel capacity --time-budget 5m --p99 50ms"),
            proxy: words("windtunnel proxy"),
            proxy_version: words("0.1.0"),
            version: words("0.1.0"),
            profile: words("release"),
            cpu: words("Synthetic Processor at 2.4 GHz"),
            cores: 2,
            memory_bytes: 4 << 30,
            kernel: words("Linux 6.1.0"),
            placement: words("the proxy on core 0; generator and source on core 1"),
            objective_us: 50_000,
            goodput_min: 0.999,
            mix: words("10 symbols, 1 tick/s each, 92 bytes"),
            messages_per_connection_s: MESSAGES,
            verified_share: 0.1,
        },
        memory: memory(),
        limits: limits(),
        law: Some(law(&axes[0])),
        queues: queues(&axes[0]),
        fleet: fleet(),
        cost: Some(cost()),
        what_if: what_if(),
        forecast: Some(forecast()),
        regression: Some(regression()),
        not_tested: vec![
            words("TLS and compression: connections were plain"),
            words("networks: everything was on loopback, without loss or delay"),
            words("more than one source; messages larger than 92 bytes"),
            words("days: nothing is said of leaks"),
        ],
        axes,
    }
}
