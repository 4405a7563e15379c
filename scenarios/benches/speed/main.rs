//! How fast worlds run, checkers and hashing on, beside turmoil 0.7.2 in the same process.
//!
//! ```text
//! cargo bench -p scenarios --bench speed                 simulated seconds per second of one core ("elem/s"), by criterion
//! cargo bench -p scenarios --bench speed -- explored     worlds of `windtunnel explore` a second of one core
//! cargo bench -p scenarios --bench speed -- counted      instructions, whose they are, and memory: what noise cannot move; needs valgrind
//! cargo bench -p scenarios --bench speed -- once hosts 196 8 turmoil   one run, of a world, clients and simulated seconds: prints segments and the peak of memory in KiB
//! ```

mod counted;
mod worlds;

use std::hint::black_box;
use std::process::ExitCode;

use criterion::{Criterion, Throughput};
use scenarios::engine::{self, Options, Run};
use scenarios::explore;
use scenarios::model::{Engine, Scenario};
use scenarios::plan::Plan;

#[global_allocator]
static ALLOCATOR: scenarios::allocator::Allocator = scenarios::allocator::ALLOCATOR;

/// Runs a world once.
fn run(plan: &Plan, engine: Engine) -> Run {
    match engine::run(plan, Options { engine, mutant: None, order: 0, keep_events: false }) {
        Ok(run) => run,
        Err(error) => panic!("{error}"),
    }
}

fn plan(scenario: &Scenario) -> Plan {
    Plan::new(scenario, 1)
}

fn timed() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("simulated_seconds");
    group.sample_size(10);
    for world in &worlds::ALL {
        let engines = [(Engine::Sim, Some(world.seconds)), (Engine::Turmoil, world.seconds_turmoil)];
        for (engine, seconds) in engines.into_iter().filter_map(|(engine, seconds)| Some((engine, seconds?))) {
            let plan = plan(&world.scenario(world.clients, seconds));
            group.throughput(Throughput::Elements(plan.end_at.as_secs()));
            group.bench_function(format!("{}/{}", world.name, engine.word()), |bencher| {
                bencher.iter(|| black_box(run(&plan, engine).verdict.events));
            });
        }
    }
    group.finish();
    explored(&mut criterion);
    criterion.final_summary();
}

/// Worlds of `windtunnel explore` on one core, drawn, built, held against the rules, run and judged: "elem/s" are runs.
fn explored(criterion: &mut Criterion) {
    /// Enough that no one large world tells, and the same ones for each sample.
    const SEEDS: u64 = 50;
    let mut group = criterion.benchmark_group("explored_runs");
    group.sample_size(10).throughput(Throughput::Elements(SEEDS));
    group.bench_function("small", |bencher| {
        bencher.iter(|| {
            for seed in 1..=SEEDS {
                let world = match explore::world(&explore::Ground::default(), seed) {
                    Ok(world) => world,
                    Err(error) => panic!("{error}"),
                };
                let options = Options { engine: Engine::Sim, mutant: None, order: world.order, keep_events: false };
                match engine::run(&Plan::new(&world.scenario, seed), options) {
                    Ok(run) => black_box(run.verdict.events),
                    Err(error) => panic!("{error}"),
                };
            }
        });
    });
    group.finish();
}

fn main() -> ExitCode {
    scenarios::allocator::settle();
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["counted", names @ ..] => counted::main(names),
        ["once", name, clients, seconds, rest @ ..] => counted::once(name, clients, seconds, rest == ["turmoil"]),
        _ => {
            timed();
            ExitCode::SUCCESS
        }
    }
}
