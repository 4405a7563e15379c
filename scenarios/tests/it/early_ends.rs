//! Runs that are stopped, paused, or take another end.

use std::time::Duration;

use reports::record::Outcome;
use scenarios::engine::{self, Look, Options, Run};
use scenarios::model::{Engine, Scenario};
use scenarios::parse;
use scenarios::plan::Plan;

fn scenario() -> Scenario {
    let text = r#"
        schema = 1
        name = "early"
        about = "A source dies, over links of uneven delay."
        warmup = "300ms"
        steady = "1s"
        recovery = "500ms"
        sources = { count = 2, symbols = 3, period = "20ms" }
        network = { latency = { uniform = ["1ms", "5ms"] } }
        proxy = { mode = "fanout" }
        clients = [{ name = "plain", count = 6 }]
        faults = [{ kind = "kill", target = "source-active", at = "200ms", for = "300ms" }]
        check = { no-silent-gap = {} }
    "#;
    parse::parse("early.toml", text).expect("a scenario")
}

fn run(order: u64, look: &Look) -> Run {
    let options = Options { engine: Engine::Sim, mutant: None, order, keep_events: true };
    engine::run_looked_at(&Plan::new(&scenario(), 5), options, None, look).expect("the simulator runs it")
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_stopped_run_has_the_events_of_the_whole_one_up_to_there_and_is_not_judged() {
    let whole = run(0, &Look::default()).events.expect("kept");
    for at in [Duration::ZERO, ms(400), Duration::from_micros(501_234), ms(1_700)] {
        let stopped = run(0, &Look { stop_at: Some(at), ..Look::default() });
        let at_us = at.as_micros() as u64;
        let until = whole.partition_point(|timed| timed.at_us < at_us);
        assert_eq!(stopped.events.expect("kept"), whole[..until], "at {at:?}");
        assert_eq!(stopped.verdict.verdict, Outcome::Inconclusive);
        let [only] = &stopped.verdict.invariants[..] else { panic!("{:?}", stopped.verdict.invariants) };
        assert_eq!(only.name, "stopped");
        assert!(stopped.standing.iter().any(|host| host.host == "proxy-0"));
    }
    // The proxy's six clients and its leg.
    let stopped = run(0, &Look { stop_at: Some(ms(1_250)), ..Look::default() });
    let proxy = stopped.standing.iter().find(|host| host.host == "proxy-0").expect("it is there");
    assert_eq!(proxy.connections.iter().filter(|one| one.state == "open").count(), 7, "{:?}", proxy.connections);
    assert!(proxy.waiting.iter().any(|waiting| waiting.on.starts_with("accept on 0.0.0.0:8000")));
}

#[test]
fn a_run_that_is_over_before_is_judged_as_ever() {
    let whole = run(0, &Look::default());
    let late = run(0, &Look { stop_at: Some(ms(60_000)), pause_at: Some(ms(700)), ..Look::default() });
    assert_eq!((late.verdict, late.standing.len()), (whole.verdict, 0));
}

#[test]
fn a_reseeded_run_keeps_its_beginning() {
    for order in [0, 1, 2] {
        let whole = run(order, &Look::default());
        let events = whole.events.expect("kept");
        let reseeded = |at, seed| run(order, &Look { reseed: Some(sim::Reseed { at, seed }), ..Look::default() });
        let end = Duration::from_secs_f64(whole.verdict.sim_seconds);
        assert_eq!(reseeded(end, 1).verdict.trace_hash, whole.verdict.trace_hash, "order {order}");
        let from_the_start = reseeded(Duration::ZERO, 1);
        assert_ne!(from_the_start.verdict.trace_hash, whole.verdict.trace_hash, "order {order}");
        let at = ms(600);
        let other = reseeded(at, 1);
        let until = events.partition_point(|timed| timed.at_us < 600_000);
        assert_eq!(other.events.expect("kept")[..until], events[..until], "order {order}");
        assert_ne!(other.verdict.trace_hash, whole.verdict.trace_hash);
        assert_ne!(other.verdict.trace_hash, reseeded(at, 2).verdict.trace_hash);
        // A proxy that is right is right with every end.
        assert_eq!(from_the_start.verdict.verdict, Outcome::Pass);
        assert_eq!(other.verdict.verdict, Outcome::Pass);
    }
}
