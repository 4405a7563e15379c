//! How fast worlds run: simulated seconds per wall second, checkers and hashing on, beside turmoil 0.7.2 in the same process.
//!
//! `cargo bench -p scenarios --bench speed`. Two worlds: a quiet one (20 hosts, 20 clients, a message every five seconds), where the cost of idle time shows, and
//! a busy one (1,000 clients, 10 messages a second each), where the cost of a message shows. Read "elem/s" as simulated seconds per second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scenarios::engine::{self, Options};
use scenarios::model::{Engine, Scenario};
use scenarios::plan::Plan;

/// 2 sources, 1 proxy, 16 client hosts and the driver: 20 hosts; 20 clients, 0.2 messages a second.
fn quiet(steady_s: u64) -> Scenario {
    world(&format!(
        r#"
        schema = 1
        name = "bench-quiet"
        about = "Idle time."
        warmup = "10s"
        steady = "{steady_s}s"
        recovery = "10s"
        engines = ["turmoil"]
        [sources]
        count = 2
        symbols = 1
        period = "5s"
        [proxy]
        mode = "fanout"
        stale-after = "30s"
        [[clients]]
        name = "clients"
        count = 20
        hosts = 16
        [check]
        symbol-order = {{}}
        no-duplicates = {{}}
        no-silent-gap = {{}}
        no-leakage = {{}}
        payload-intact = {{}}
        no-client-close = {{}}
        "#
    ))
}

/// 1,000 clients on 4 hosts, each with one symbol at 10 messages a second.
fn busy(steady_s: u64) -> Scenario {
    world(&format!(
        r#"
        schema = 1
        name = "bench-busy"
        about = "Messages."
        warmup = "2s"
        steady = "{steady_s}s"
        recovery = "1s"
        engines = ["turmoil"]
        [sources]
        count = 2
        symbols = 1
        period = "100ms"
        [proxy]
        mode = "fanout"
        [[clients]]
        name = "clients"
        count = 1000
        hosts = 4
        [check]
        symbol-order = {{}}
        no-duplicates = {{}}
        no-silent-gap = {{}}
        no-leakage = {{}}
        payload-intact = {{}}
        no-client-close = {{}}
        "#
    ))
}

fn world(text: &str) -> Scenario {
    let name = text.split('"').nth(1).unwrap_or_default();
    match scenarios::parse::parse(&format!("{name}.toml"), text) {
        Ok(scenario) => scenario,
        Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulated_seconds");
    group.sample_size(10);
    for (name, scenario, engine) in [
        ("quiet/sim", quiet(580), Engine::Sim),
        ("quiet/turmoil", quiet(20), Engine::Turmoil),
        ("busy/sim", busy(17), Engine::Sim),
        ("busy/turmoil", busy(7), Engine::Turmoil),
    ] {
        let plan = Plan::new(&scenario, 1);
        group.throughput(Throughput::Elements(plan.end_at.as_secs()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let run = engine::run(&plan, Options { engine, mutant: None, keep_events: false });
                match run {
                    Ok(run) => black_box(run.verdict.events),
                    Err(error) => panic!("{error}"),
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
