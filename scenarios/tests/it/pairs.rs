//! Pairs of runs with the same seed that differ in one thing: what that thing costs everyone else.

use std::collections::{BTreeMap, BTreeSet};

use scenarios::engine::{self, Options};
use scenarios::model::{Engine, Reader};
use scenarios::plan::Plan;
use scenarios::span::Span;
use scenarios::{catalogue, mutants, parse};
use wire::event::{Event, Phase};
use wire::id::Symbol;

/// What those who read well got of the ticks that were sent in the steady phase.
struct Got {
    ticks: BTreeSet<(u32, Symbol, u64)>,
    /// The 99th percentile of their latencies.
    p99_us: u64,
}

/// A short run of `slow-consumers`, with or without its slow clients.
fn run(slow_clients: bool, mutant: Option<&str>) -> Got {
    let entry = catalogue::find("slow-consumers").expect("in the catalogue");
    let mut scenario = parse::parse(&entry.file(), entry.text).expect("a scenario of the catalogue is good");
    scenario.steady = Span::from_millis(8_000);
    let fast = scenario.clients[0].count;
    assert!(scenario.clients[0].reader == Reader::Full, "the first group reads well, and keeps its numbers");
    assert!(scenario.clients[1..].iter().all(|group| group.reader != Reader::Full), "the others do not");
    if !slow_clients {
        scenario.clients.truncate(1);
    }
    let mutant = mutant.map(|name| mutants::find(name).expect("there is one"));
    let options = Options { engine: Engine::Sim, mutant, order: 0, keep_events: true };
    let run = engine::run(&Plan::new(&scenario, 1), options).expect("the engine runs it");
    let mut sent: BTreeMap<(Symbol, u64), u64> = BTreeMap::new();
    let (mut ticks, mut latencies, mut steady) = (BTreeSet::new(), Vec::new(), false);
    for timed in run.events.expect("they were kept") {
        match timed.event {
            Event::Phase { phase } => steady = phase == Phase::Steady,
            Event::SourceSend { symbol, n, .. } if steady => {
                sent.entry((symbol, n)).or_insert(timed.at_us);
            }
            Event::ClientDeliver { client, symbol, n, .. } if client.0 < fast => {
                if let Some(us) = sent.get(&(symbol, n)) {
                    latencies.push(timed.at_us - us);
                    ticks.insert((client.0, symbol, n));
                }
            }
            _ => {}
        }
    }
    latencies.sort_unstable();
    assert!(latencies.len() > 30_000, "{} deliveries", latencies.len());
    Got { ticks, p99_us: latencies[latencies.len() * 99 / 100] }
}

#[test]
fn ten_slow_clients_cost_the_others_no_tick_and_hardly_any_time() {
    let (alone, together) = (run(false, None), run(true, None));
    assert!(alone.ticks == together.ticks, "{} ticks alone, {} together", alone.ticks.len(), together.ticks.len());
    // The ten take their part of the CPU: a tenth more to write.
    let allowed_us = alone.p99_us * 5 / 4;
    assert!(together.p99_us <= allowed_us, "p99 {} us alone, {} us together", alone.p99_us, together.p99_us);

    // Where a full queue holds all, the pair differs.
    let held = run(true, Some("slow-client-holds-all"));
    assert!(held.p99_us > allowed_us, "p99 {} us alone, {} us with the bug", alone.p99_us, held.p99_us);
}

#[test]
fn who_reads_slowly_and_changes_its_mind_meets_what_was_under_way_and_only_a_skip_is_a_gap() {
    let entry = catalogue::find("resubscribing-in-a-loop").expect("in the catalogue");
    let mut scenario = parse::parse(&entry.file(), entry.text).expect("a scenario of the catalogue is good");
    (scenario.sources.period, scenario.steady) = (Span::from_millis(50), Span::from_millis(6_000));
    for group in scenario.clients.iter_mut().filter(|group| group.behaviour.resubscribe_every.is_some()) {
        // More comes than they read: some seconds of it wait for them, and their mind changes twice a second.
        (group.reader, group.recv_buffer) = (Reader::BytesPerS(8_000), Some(4_096));
    }
    let blamed = |mutant: Option<&str>, seed: u64| {
        let mutant = mutant.map(|name| mutants::find(name).expect("there is one"));
        let options = Options { engine: Engine::Sim, mutant, order: 0, keep_events: false };
        let verdict = engine::run(&Plan::new(&scenario, seed), options).expect("the engine runs it").verdict;
        let found = verdict.invariants.into_iter().find(|invariant| invariant.name == "no-silent-gap").expect("judged");
        assert!(found.checked > 5_000, "{found:?}");
        found.broken
    };
    for seed in 1..=3 {
        assert_eq!(blamed(None, seed), 0, "seed {seed}");
        assert!(blamed(Some("skips-silently"), seed) > 10, "seed {seed}");
    }
}
