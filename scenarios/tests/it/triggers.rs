//! Faults that begin after an event: at its very instant, before anyone else moves, and never unnoticed when it does not come.

use reports::record::{Outcome, Verdict};
use scenarios::engine::{self, Options, Run};
use scenarios::model::{Engine, Scenario};
use scenarios::plan::Plan;
use scenarios::{catalogue, mutants, parse};
use wire::event::{Event, Phase, Timed};
use wire::feed::Kind;
use wire::id::{ClientId, SourceId, Symbol};

/// Two sources, three symbols, one proxy, eight clients. The fault's lines follow.
const SMALL: &str = r#"
schema = 1
name = "small"
about = "One of two sources dies when it has been heard."
warmup = "500ms"
steady = "3s"
recovery = "1s"
sources = { count = 2, symbols = 3, period = "100ms" }
proxy = { mode = "fanout" }
network.latency = { uniform = ["300us", "1500us"] }

[[clients]]
name = "viewers"
count = 8
strong = 0.5
open = { arrival = { ramp = "100ms" } }

[check]
symbol-order = {}
no-duplicates = {}
no-silent-gap = {}

[[faults]]
for = "500ms"
kind = "kill"
target = "source-active"
"#;

fn small(after: &str) -> Scenario {
    parse::parse("small.toml", &format!("{SMALL}after = {after}\n")).expect("a good scenario")
}

fn built_in(name: &str) -> Scenario {
    let entry = catalogue::find(name).expect("in the catalogue");
    parse::parse(&entry.file(), entry.text).expect("a scenario of the catalogue is good")
}

fn run(scenario: &Scenario, seed: u64, order: u64) -> Run {
    let options = Options { engine: Engine::Sim, mutant: None, order, keep_events: true };
    engine::run(&Plan::new(scenario, seed), options).expect("the engine runs it")
}

/// The record, and the places in it at which faults begin.
fn record(scenario: &Scenario, seed: u64, order: u64) -> (Vec<Timed>, Vec<usize>) {
    let events = run(scenario, seed, order).events.expect("they were kept");
    let begins = (0..events.len()).filter(|at| matches!(events[*at].event, Event::FaultStart { .. })).collect();
    (events, begins)
}

/// The places of the ticks of a symbol that reach the proxy in the steady phase.
fn ticks(events: &[Timed], of: Option<u32>) -> Vec<usize> {
    let steady = Event::Phase { phase: Phase::Steady };
    let from = events.iter().position(|timed| timed.event == steady).expect("it begins");
    let of = of.map(Symbol::numbered);
    let is = |event: &Event| matches!(event, Event::ProxyTick { symbol, .. } if of.is_none_or(|of| of == *symbol));
    (from..events.len()).filter(|at| is(&events[*at].event)).collect()
}

#[test]
fn a_fault_begins_at_the_very_instant_of_its_event() {
    for seed in 1..=10 {
        for (after, of, count) in [
            ("{ event = \"proxy_tick\" }", None, 1),
            ("{ event = \"proxy_tick\", count = 4 }", None, 4),
            ("{ event = \"proxy_tick\", count = 3, symbol = \"S0001\" }", Some(1), 3),
        ] {
            let (events, begins) = record(&small(after), seed, 0);
            let tick = ticks(&events, of)[count - 1];
            let [begin] = begins[..] else { panic!("{after}: {} faults began", begins.len()) };
            assert_eq!(events[begin].at_us, events[tick].at_us, "{after}, seed {seed}");
            // What the leg reads in the same turn still comes, and nothing else.
            let between = &events[tick + 1..begin];
            let leg = |timed: &Timed| matches!(timed.event, Event::ProxyTick { .. });
            assert!(between.iter().all(leg), "{after}, seed {seed}: {between:?}");
            // It ends as it was to last.
            let end = events.iter().find(|timed| timed.event == Event::FaultStop { fault: 0 }).expect("it ends");
            let lasted = end.at_us - events[begin].at_us;
            assert!((500_000..501_000).contains(&lasted), "{after}, seed {seed}: it lasted {lasted} us");
        }
    }
}

#[test]
fn a_delay_is_waited_out_to_the_next_whole_millisecond() {
    for seed in 1..=10 {
        let after = "{ event = \"proxy_tick\", symbol = \"S0002\", delay = \"5ms\" }";
        let (events, begins) = record(&small(after), seed, 0);
        let tick = ticks(&events, Some(2))[0];
        let due_us = (events[tick].at_us + 5_000).next_multiple_of(1_000);
        assert_eq!(begins.iter().map(|begin| events[*begin].at_us).collect::<Vec<_>>(), [due_us], "seed {seed}");
    }
}

#[test]
fn between_an_event_and_its_fault_nobody_else_moves_in_any_order_of_tasks() {
    let scenario = small("{ event = \"client_deliver\", client = 3, count = 5 }");
    for order in 0..=8 {
        let (events, begins) = record(&scenario, 2, order);
        let begin = begins[0];
        let third = |timed: &Timed| matches!(timed.event, Event::ClientDeliver { client: ClientId(3), .. });
        let event = (0..begin).rev().find(|at| third(&events[*at])).expect("it was delivered");
        assert_eq!(events[event].at_us, events[begin].at_us, "order {order}");
        assert_eq!(event + 1, begin, "order {order}: {:?}", &events[event + 1..begin]);
    }
}

/// The client and the symbol of a message that came as this kind.
fn delivered(event: &Event, as_kind: Kind) -> Option<(ClientId, Symbol)> {
    match event {
        Event::ClientDeliver { client, symbol, stamp: Some(stamp), .. } if stamp.kind == as_kind => {
            Some((*client, *symbol))
        }
        _ => None,
    }
}

#[test]
fn a_crash_after_the_snapshot_takes_hold_before_the_first_live_message() {
    let scenario = built_in("crash-after-snapshot");
    // They come after the residents.
    let late = scenario.clients[0].count;
    for seed in 1..=30 {
        let (events, begins) = record(&scenario, seed, 0);
        assert_eq!(begins.len(), 2, "seed {seed}");
        for begin in begins {
            let at_us = events[begin].at_us;
            // What follows the snapshot in its own turn are other snapshots of the same client.
            let snapshots: Vec<(ClientId, Symbol)> = events[..begin]
                .iter()
                .rev()
                .take_while(|timed| timed.at_us == at_us)
                .map_while(|timed| delivered(&timed.event, Kind::Snapshot))
                .collect();
            assert!(!snapshots.is_empty(), "seed {seed}: {:?} comes before the fault", events[begin - 1]);
            for (client, symbol) in snapshots {
                assert!(client.0 >= late, "seed {seed}: {client} is a resident");
                let live = |timed: &Timed| delivered(&timed.event, Kind::Live) == Some((client, symbol));
                assert!(!events[..begin].iter().any(live), "seed {seed}: {client} had {symbol} live before the fault");
                assert!(events[begin..].iter().any(live), "seed {seed}: {client} never has {symbol} live");
            }
        }
    }
}

#[test]
fn the_next_source_crashes_on_its_first_tick_at_the_proxy() {
    let scenario = built_in("next-source-crashes-too");
    for seed in 1..=30 {
        let (events, begins) = record(&scenario, seed, 0);
        let [first, second] = begins[..] else { panic!("seed {seed}: {} faults began", begins.len()) };
        let source = |begin: usize| match &events[begin].event {
            Event::FaultStart { target, .. } => target.clone(),
            other => panic!("{other:?} is no fault"),
        };
        assert_ne!(source(first), source(second), "seed {seed}");
        let heard: Vec<(SourceId, u64)> = events[first..second]
            .iter()
            .skip_while(|timed| !matches!(timed.event, Event::ProxyLegUp { .. }))
            .filter_map(|timed| match timed.event {
                Event::ProxyTick { source, .. } => Some((source, timed.at_us)),
                _ => None,
            })
            .collect();
        let victim = source(second);
        assert!(!heard.is_empty(), "seed {seed}: nothing was heard");
        for (source, at_us) in heard {
            assert_eq!(
                (format!("source-{}", source.0), at_us),
                (victim.to_string(), events[second].at_us),
                "seed {seed}"
            );
        }
    }
}

fn outcome<'v>(verdict: &'v Verdict, name: &str) -> (Outcome, &'v str) {
    let found = verdict.invariants.iter().find(|invariant| invariant.name == name).expect("it is judged");
    (found.verdict, &found.summary)
}

#[test]
fn a_fault_that_never_begins_makes_the_run_inconclusive_and_says_why() {
    for (after, expect) in [
        (
            "{ event = \"proxy_tick\", count = 100_000 }",
            "0 of 1 faults that waited for an event began; kill of source-active waited for the 100000th tick at the proxy, \
             which came 90 of 100000 times",
        ),
        (
            "{ event = \"proxy_tick\", since = { event = \"proxy_shed\" } }",
            "0 of 1 faults that waited for an event began; kill of source-active waited for the 1st tick at the proxy since the 1st client \
             turned away by the proxy, whose beginning came 0 of 1 times",
        ),
        (
            "{ event = \"proxy_tick\", count = 80, delay = \"1s\" }",
            "0 of 1 faults that waited for an event began; kill of source-active waited for the 80th tick at the proxy and 1s, which came too \
             late in the steady phase",
        ),
    ] {
        let verdict = run(&small(after), 1, 0).verdict;
        assert_eq!(outcome(&verdict, "faults-begin"), (Outcome::Inconclusive, expect));
        assert_eq!(verdict.verdict, Outcome::Inconclusive, "{after}: {:?}", verdict.invariants);
    }
    let verdict = run(&small("{ event = \"proxy_tick\" }"), 1, 0).verdict;
    assert_eq!(outcome(&verdict, "faults-begin"), (Outcome::Pass, "1 of 1 faults that waited for an event began"));
    assert_eq!(verdict.verdict, Outcome::Pass, "{:?}", verdict.invariants);
}

#[test]
fn a_fault_ends_with_the_steady_phase_at_the_latest() {
    let (events, begins) = record(&small("{ event = \"proxy_tick\", count = 80 }"), 1, 0);
    let recovery = Event::Phase { phase: Phase::Recovery };
    let at = |wanted: &Event| events.iter().position(|timed| timed.event == *wanted).expect("it is there");
    let (end, recovery) = (at(&Event::FaultStop { fault: 0 }), at(&recovery));
    assert!(events[end].at_us - events[begins[0]].at_us < 500_000, "it was to be cut short");
    assert_eq!((end + 1, events[end].at_us), (recovery, events[recovery].at_us));
}

#[test]
fn ticks_at_the_proxy_are_told_only_where_a_fault_waits_for_them() {
    let count = |after| ticks(&record(&small(after), 1, 0).0, None).len();
    assert!(count("{ event = \"proxy_tick\" }") > 0);
    assert_eq!(count("{ event = \"source_send\" }"), 0);
}

#[test]
fn a_run_with_triggers_is_the_same_run_twice_in_both_worlds() {
    for name in ["crash-after-snapshot", "next-source-crashes-too"] {
        for engine in [Engine::Sim, Engine::Turmoil] {
            let options = Options { engine, mutant: None, order: 0, keep_events: true };
            let run = || engine::run(&Plan::new(&built_in(name), 5), options).expect("the engine runs it");
            let (first, second) = (run(), run());
            assert!(first.events == second.events, "{name}, {}", engine.word());
            assert_eq!(first.verdict.trace_hash, second.verdict.trace_hash, "{name}, {}", engine.word());
        }
    }
}

/// A bug at the seam of two epochs shows where a fault falls between a snapshot and its first live message, and not in a crash in mid-stream.
#[test]
fn a_bug_that_a_timed_crash_does_not_show_is_found_by_content() {
    let mutant = Some(mutants::find("repeats-the-snapshot-after-a-failover").expect("there is one"));
    let verdict = |name: &str, seed| {
        let options = Options { engine: Engine::Sim, mutant, order: 0, keep_events: false };
        engine::run(&Plan::new(&built_in(name), seed), options).expect("the engine runs it").verdict
    };
    for seed in 1..=5 {
        let timed = verdict("upstream-crash-mid-fanout", seed);
        assert_eq!(timed.verdict, Outcome::Pass, "seed {seed}: {:?}", timed.invariants);
        assert_eq!(
            outcome(&verdict("crash-after-snapshot", seed), "snapshot-then-live").0,
            Outcome::Fail,
            "seed {seed}"
        );
    }
}
