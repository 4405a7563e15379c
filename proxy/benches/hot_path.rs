//! The parts of the hot path, each alone: `cargo bench -p proxy --bench hot_path`. What they come to over sockets is measured by the bench `sockets`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use proxy::{
    Balance, Bounded, Candidate, Conflating, Delivery, LeastConnections, Limits, PowerOfTwo, Pressure, Queue,
    Subscriptions,
};
use wire::draw::Draws;
use wire::id::{SourceId, Symbol};
use wire::ws::Message;

const CLIENTS: usize = 1_000;

const TICK: &str =
    r#"{"symbol":"S0000","ts":"1767225600100","bid":1.48213,"ask":1.48221,"mid":1.0000000001,"pad":"00000000000"}"#;

const BEHIND: Pressure = Pressure { blocked: true, tight: false };

fn tick(symbol: u32, seq: u64) -> Delivery {
    Delivery::new(Symbol::numbered(symbol), (1, seq), Message::text(TICK))
}

/// Clients that all want the symbols 0 to 9.
fn table() -> Subscriptions<usize> {
    let mut table = Subscriptions::default();
    for client in 0..CLIENTS {
        table.join(client as u64, client);
        table.replace(client as u64, (0..10).map(Symbol::numbered).collect());
    }
    table
}

/// Once for each message, whatever the number of clients.
fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.bench_function("plain", |b| {
        b.iter_batched_ref(|| tick(0, 1), |tick| tick.plain(), BatchSize::SmallInput);
    });
    group.bench_function("strong", |b| {
        b.iter_batched_ref(|| tick(0, 1), |tick| tick.strong(), BatchSize::SmallInput);
    });
    group.finish();
}

/// One tick to clients that keep up, all but locks and sockets: who gets it, into the queue, out again, its frame.
fn fan_out(c: &mut Criterion) {
    let table = table();
    let mut queues: Vec<Box<dyn Queue>> = (0..CLIENTS).map(|_| Box::new(Conflating::new(24 << 10)) as _).collect();
    let mut group = c.benchmark_group("fan_out");
    group.throughput(Throughput::Elements(CLIENTS as u64));
    group.bench_function("one tick to 1,000 clients", |b| {
        let mut dropped = Vec::new();
        let deal = |tick: Arc<Delivery>| {
            for client in table.members(tick.symbol).into_iter().flat_map(|members| members.values()) {
                queues[*client].push(Arc::clone(&tick), Pressure::default(), &mut dropped);
                black_box(queues[*client].pop().map(|tick| tick.plain()));
            }
        };
        b.iter_batched(|| Arc::new(tick(0, 1)), deal, BatchSize::SmallInput);
    });
    group.finish();
}

/// A thousand messages of a hundred symbols to a client that is behind, and then all that is left.
fn queues(c: &mut Criterion) {
    let ticks: Vec<Arc<Delivery>> = (0..1_000).map(|n| Arc::new(tick(n % 100, u64::from(n / 100) + 1))).collect();
    let mut group = c.benchmark_group("queue");
    group.throughput(Throughput::Elements(ticks.len() as u64));
    let conflating: fn() -> Box<dyn Queue> = || Box::new(Conflating::new(24 << 10));
    let dropping: fn() -> Box<dyn Queue> = || Box::new(Bounded::new(&Limits::default()));
    for (name, make) in [("conflating", conflating), ("dropping the oldest", dropping)] {
        group.bench_function(name, |b| {
            let mut dropped = Vec::new();
            let run = |mut queue: Box<dyn Queue>| {
                for tick in &ticks {
                    queue.push(Arc::clone(tick), BEHIND, &mut dropped);
                    dropped.clear();
                }
                while let Some(tick) = queue.pop() {
                    black_box(tick);
                }
            };
            b.iter_batched(make, run, BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// A client among a thousand wants ten other symbols.
fn subscription(c: &mut Criterion) {
    let mut table = table();
    let mut turn = 0;
    c.bench_function("subscription change", |b| {
        b.iter(|| {
            turn = (turn + 1) % 10;
            table.replace(7, (turn..turn + 10).map(Symbol::numbered).collect())
        });
    });
}

/// An instance among ten.
fn balance(c: &mut Criterion) {
    let candidates: Vec<Candidate> =
        (0..10).map(|n| Candidate { source: SourceId(n), open: u32::from(n % 4), weight: 1_000 }).collect();
    let mut draws = Draws::new(1, "bench", 0);
    let mut group = c.benchmark_group("balance");
    let mut kinds: [(&str, Box<dyn Balance>); 2] =
        [("least connections", Box::<LeastConnections>::default()), ("power of two", Box::<PowerOfTwo>::default())];
    for (name, balance) in &mut kinds {
        group.bench_function(*name, |b| b.iter(|| balance.pick(black_box(&candidates), &mut draws)));
    }
    group.finish();
}

criterion_group!(benches, encode, fan_out, queues, subscription, balance);
criterion_main!(benches);
