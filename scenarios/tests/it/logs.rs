//! What the programs say inside of a run: it changes nothing in it, and is the same whenever it is listened to.

use reports::log::{Level, Log};
use scenarios::engine::{self, Look, Options, Run};
use scenarios::logs::Wanted;
use scenarios::model::{Engine, Scenario};
use scenarios::plan::Plan;
use scenarios::{catalogue, mutants, parse};

/// A source dies under six clients.
fn scenario() -> Scenario {
    let text = r#"
        schema = 1
        name = "logged"
        about = "A source dies."
        warmup = "300ms"
        steady = "1s"
        recovery = "500ms"
        sources = { count = 2, symbols = 3, period = "20ms" }
        proxy = { mode = "fanout" }
        clients = [{ name = "plain", count = 6 }]
        faults = [{ kind = "kill", target = "source-active", at = "200ms", for = "300ms" }]
        check = { no-silent-gap = {} }
    "#;
    parse::parse("logged.toml", text).expect("a scenario")
}

fn run(engine: Engine, seed: u64, filter: Option<&str>) -> Run {
    let options = Options { engine, mutant: None, order: 0, keep_events: false };
    let wanted = |filter: &str| Wanted { filter: filter.parse().expect("a filter"), live: false };
    let look = Look { log: filter.map(wanted), ..Look::default() };
    engine::run_looked_at(&Plan::new(&scenario(), seed), options, None, &look).expect("an engine that runs it")
}

fn said(seed: u64, filter: &str) -> Log {
    run(Engine::Sim, seed, Some(filter)).said.expect("a log was wanted")
}

#[test]
fn a_run_with_a_log_is_the_same_run() {
    for engine in [Engine::Sim, Engine::Turmoil] {
        let without = run(engine, 3, None);
        let with = run(engine, 3, Some("trace"));
        assert_eq!(with.verdict.trace_hash, without.verdict.trace_hash, "{}", engine.word());
        assert_eq!(with.log, without.log, "{}", engine.word());
        assert!(without.said.is_none());
        assert!(with.said.is_some_and(|said| !said.lines.is_empty()), "{}", engine.word());
    }
}

#[test]
fn records_have_the_host_that_said_them_and_its_virtual_time() {
    for engine in [Engine::Sim, Engine::Turmoil] {
        let log = run(engine, 1, Some("info")).said.expect("a log was wanted");
        let lost = log.lines.iter().find(|line| line.text.starts_with("lost the leg")).expect("the source died");
        assert_eq!((lost.host.as_str(), lost.level), ("proxy-0", Level::Warn), "{}", engine.word());
        assert_eq!(lost.target, "proxy::fanout::leg");
        // The fault comes at half a second; its news takes less than 20 ms.
        assert!((500_000..520_000).contains(&lost.at_us), "{lost}");
        assert!(log.lines.is_sorted_by_key(|line| line.at_us));
        let mut of_proxies = log.lines.iter().filter(|line| line.target.starts_with("proxy"));
        assert!(of_proxies.all(|line| line.level <= Level::Info && line.host == "proxy-0"), "{log}");
    }
}

#[test]
fn logs_are_the_same_beside_other_runs_with_other_filters() {
    let filters = ["trace", "proxy=info", "off", "mock_upstream=debug,proxy=debug"];
    let alone: Vec<Log> = filters.iter().map(|filter| said(1, filter)).collect();
    assert!(alone[1].lines.len() < alone[3].lines.len() && alone[2].lines.is_empty());
    std::thread::scope(|scope| {
        for first in 0..2 {
            let (alone, filters) = (&alone, &filters);
            scope.spawn(move || {
                for nth in 0..8 {
                    let at = (first + nth) % filters.len();
                    // Between them a run that nobody listens to, which comes to the same places.
                    assert!(run(Engine::Sim, 2, None).said.is_none());
                    assert_eq!(said(1, filters[at]), alone[at], "{}", filters[at]);
                }
            });
        }
    });
}

#[test]
fn a_failing_run_has_its_log_without_being_asked_and_a_passing_one_has_none() {
    let mutant = mutants::find("repeats-a-message").expect("a mutant");
    let entry = catalogue::find(mutant.scenario).expect("in the catalogue");
    let scenario = parse::parse(&entry.file(), entry.text).expect("a scenario");
    let mut job = mutant.job(scenario, entry.text.to_owned(), 1);
    for keep_events in [true, false] {
        job.options.keep_events = keep_events;
        let failed = scenarios::campaign::one(&job).expect("a run");
        assert_eq!(failed.said.expect("it failed").filter, "info");
        job.options.mutant = None;
        assert!(scenarios::campaign::one(&job).expect("a run").said.is_none());
        job.options.mutant = Some(mutant);
    }
}
