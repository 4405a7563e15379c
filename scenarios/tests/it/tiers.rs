//! Two tiers: planted bugs, in edges and in the proxies behind them, show at the clients, and are laid to whom they should be.

use scenarios::catalogue;
use scenarios::engine::{self, Options, Run};
use scenarios::model::Engine;
use scenarios::mutants;
use scenarios::parse::parse;
use scenarios::plan::Plan;

use reports::record::Outcome;
use wire::event::Event;

fn run(name: &str, mutant: Option<&str>, keep_events: bool) -> Run {
    let entry = catalogue::find(name).expect("in the catalogue");
    let scenario = parse(&entry.file(), entry.text).expect("a scenario of the catalogue is good");
    let mutant = mutant.map(|name| mutants::find(name).expect("a mutant"));
    let options = Options { engine: Engine::Sim, mutant, order: 0, keep_events };
    engine::run(&Plan::new(&scenario, 1), options).expect("the engine runs it")
}

#[test]
fn planted_bugs_show_through_two_tiers() {
    for (mutant, scenario, must) in [
        ("skips-silently", "two-tier-steady", "no-silent-gap"),
        ("repeats-a-message", "two-tier-steady", "no-duplicates"),
        ("changes-a-digit", "two-tier-steady", "payload-intact"),
        ("sends-all-to-all", "two-tier-steady", "no-leakage"),
        ("one-leg-for-each-client", "two-tier-steady", "upstream-connections"),
        ("loses-the-snapshot", "two-tier-steady", "snapshot-then-live"),
        ("trusts-silence", "two-tier-middle-lost", "failover-time"),
        ("closes-clients-at-failover", "two-tier-middle-lost", "no-client-close"),
        ("lets-the-old-leg-through", "two-tier-middle-lost", "symbol-order"),
        ("keeps-the-epoch", "two-tier-middle-lost", "no-duplicates"),
        ("forgets-a-symbol", "two-tier-middle-lost", "convergence"),
        ("skips-silently", "two-tier-middle-lost", "no-silent-gap"),
    ] {
        let verdict = run(scenario, Some(mutant), false).verdict;
        let blamed: Vec<&str> = verdict
            .invariants
            .iter()
            .filter(|invariant| invariant.verdict == Outcome::Fail)
            .map(|invariant| invariant.name.as_str())
            .collect();
        assert!(blamed.contains(&must), "{mutant} in {scenario}: {blamed:?}");
    }
}

/// What an edge calls a source bears another number in the record than what a proxy of the middle tier calls one.
#[test]
fn in_the_record_edges_and_what_feeds_them_are_numbered_after_the_others() {
    let run = run("two-tier-middle-lost", None, true);
    let (mut of_edges, mut of_proxies, mut admitted) = (0, 0, 0);
    for timed in run.events.as_deref().expect("they were kept") {
        match &timed.event {
            Event::ProxyLegUp { proxy, source, .. } if proxy.0 >= 2 => {
                assert!((2..4).contains(&source.0), "{proxy} {source}");
                of_edges += 1;
            }
            Event::ProxyLegUp { proxy, source, .. } => {
                assert!(source.0 < 2, "{proxy} {source}");
                of_proxies += 1;
            }
            Event::ProxyAdmit { proxy, .. } if proxy.0 < 2 => admitted += 1,
            _ => {}
        }
    }
    assert!(of_proxies >= 2 && of_edges >= 6, "{of_proxies} {of_edges}");
    // Whom the middle tier admits are edges.
    assert_eq!(admitted, of_edges);
    assert_eq!((run.metrics.proxies.len(), run.metrics.edges, run.metrics.sources.len()), (5, 3, 2));
    let tiers = run.metrics.tiers();
    let lost: Vec<String> = run.metrics.failovers.incidents.iter().map(|lost| tiers.source(lost.source)).collect();
    assert!(lost.iter().any(|source| source == "proxy-0") && lost.iter().any(|source| source == "proxy-1"), "{lost:?}");
}
