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
fn quiet(seconds: u64) -> Scenario {
    world("bench-quiet", 20, 16, "5s", "stale-after = \"30s\"", seconds)
}

/// 1,000 clients on 4 hosts, each with one symbol at 10 messages a second.
fn busy(seconds: u64) -> Scenario {
    world("bench-busy", 1_000, 4, "100ms", "", seconds)
}

/// One symbol at the period given, from two sources over one proxy to so many clients, for so many seconds in all.
fn world(name: &str, clients: u32, hosts: u32, period: &str, proxy: &str, seconds: u64) -> Scenario {
    let text = format!(
        r#"
        schema = 1
        name = "{name}"
        about = "Speed."
        warmup = "2s"
        steady = "{}s"
        recovery = "1s"
        engines = ["turmoil"]
        [sources]
        count = 2
        symbols = 1
        period = "{period}"
        [proxy]
        mode = "fanout"
        {proxy}
        [[clients]]
        name = "clients"
        count = {clients}
        hosts = {hosts}
        [check]
        symbol-order = {{}}
        no-duplicates = {{}}
        no-silent-gap = {{}}
        no-leakage = {{}}
        payload-intact = {{}}
        no-client-close = {{}}
        "#,
        seconds - 3
    );
    match scenarios::parse::parse(&format!("{name}.toml"), &text) {
        Ok(scenario) => scenario,
        Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulated_seconds");
    group.sample_size(10);
    for (name, scenario, engine) in [
        ("quiet/sim", quiet(600), Engine::Sim),
        ("quiet/turmoil", quiet(40), Engine::Turmoil),
        ("busy/sim", busy(20), Engine::Sim),
        ("busy/turmoil", busy(10), Engine::Turmoil),
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
