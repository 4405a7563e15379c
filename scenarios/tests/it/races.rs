//! A race planted in the proxy: first come, first served never shows it, other orders of ready tasks do, and each of them is repeatable.

use reports::record::{Outcome, Verdict};
use scenarios::engine::{self, Options};
use scenarios::model::Engine;
use scenarios::mutants::{self, Mutant};
use scenarios::plan::Plan;
use scenarios::{catalogue, parse};

const RACE: &str = "trusts-the-first-source";

fn verdict(mutant: Option<&'static Mutant>, seed: u64, order: u64) -> Verdict {
    let entry = catalogue::find("hot-twins").expect("in the catalogue");
    let scenario = parse::parse(&entry.file(), entry.text).expect("a scenario of the catalogue is good");
    let options = Options { engine: Engine::Sim, mutant, order, keep_events: false };
    engine::run(&Plan::new(&scenario, seed), options).expect("the engine runs it").verdict
}

fn blamed(verdict: &Verdict) -> Vec<&str> {
    let failed = verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
    failed.map(|invariant| invariant.name.as_str()).collect()
}

#[test]
fn a_race_that_no_seed_shows_first_come_first_served_is_found_in_other_orders() {
    let race = Some(mutants::find(RACE).expect("there is one"));
    for seed in 1..=20 {
        let first_come = verdict(race, seed, 0);
        assert_eq!(first_come.verdict, Outcome::Pass, "seed {seed}: {:?}", first_come.invariants);
    }
    let mut by_priority = 0;
    for seed in 1..=5 {
        for order in 1..=6 {
            let found = verdict(race, seed, order);
            // Shuffled, the second leg is first at every other instant. By priorities it is first all the time, or hardly ever.
            if order % 2 == 1 {
                assert!(blamed(&found).contains(&"no-duplicates"), "{seed}.{order}: {:?}", found.invariants);
            } else if found.verdict == Outcome::Fail {
                assert!(blamed(&found).contains(&"no-duplicates"), "{seed}.{order}: {:?}", found.invariants);
                by_priority += 1;
            }
            // The order is the whole difference: the right proxy passes in it.
            let right = verdict(None, seed, order);
            assert_eq!(right.verdict, Outcome::Pass, "{seed}.{order}: {:?}", right.invariants);
        }
    }
    assert!((3..=12).contains(&by_priority), "found in {by_priority} of 15 orders by priority");
}

#[test]
fn a_race_that_was_found_is_the_same_race_again() {
    let race = Some(mutants::find(RACE).expect("there is one"));
    for order in 1..=4 {
        let (first, second) = (verdict(race, 7, order), verdict(race, 7, order));
        assert_eq!(first.trace_hash, second.trace_hash, "order {order}");
        assert_eq!(blamed(&first), blamed(&second), "order {order}");
    }
}
