//! `twice`: a fresh process and a busy one come to the same run.

use super::Place;

#[test]
fn a_fresh_process_and_a_busy_one_do_the_same_run() {
    let place = Place::with_small();
    let said = place.windtunnel(&["twice", "small.toml", "--seeds", "1..2"]).exits(0);
    assert!(said.out.contains("2 runs, each in a fresh process"), "{}", said.out);
    assert!(said.out.contains("all equal"), "{}", said.out);
    assert_eq!(said.err.lines().filter(|line| line.starts_with("equal small seed ")).count(), 2, "{}", said.err);
}

#[test]
fn an_order_drawn_is_the_same_in_both() {
    let place = Place::with_small();
    let said = place.windtunnel(&["twice", "small.toml", "--seed", "1", "--orders", "1..2"]).exits(0);
    assert!(said.err.contains("equal small seed 1.1: ") && said.err.contains("equal small seed 1.2: "), "{}", said.err);
}

#[test]
fn a_tag_leaves_each_run_its_own_name() {
    let place = Place::with_small();
    // The first is left out by its tags: the second must not be taken for it.
    let said = place.windtunnel(&["twice", "steady-fanout", "small.toml", "--tag", "tiny", "--seed", "1"]).exits(0);
    assert!(said.err.starts_with("equal small seed 1: "), "{}", said.err);
}

#[test]
fn turmoil_is_held_to_the_same() {
    let place = Place::with_small();
    place.windtunnel(&["twice", "small.toml", "--seed", "1", "--engine", "turmoil"]).exits(0).outputs("all equal");
    place.windtunnel(&["twice", "slow-consumers", "--engine", "turmoil"]).exits(64).complains("turmoil");
}

#[test]
fn a_trace_in_two_processes_has_one_hash() {
    let place = Place::with_small();
    let trace = |seed: &str| place.windtunnel(&["trace", "small.toml", "--seed", seed]).exits(0).out;
    assert_eq!(trace("1"), trace("1"));
    assert_ne!(trace("1"), trace("2"));
}

#[test]
fn deliveries_are_told_in_words_from_any_of_them_on() {
    let place = Place::with_small();
    let told = |from: &str| place.windtunnel(&["trace", "small.toml", "--seed", "1", "--segments", from]).exits(0).out;
    let (all, later) = (told("0"), told("10"));
    let (all, later): (Vec<&str>, Vec<&str>) = (all.lines().collect(), later.lines().collect());
    // The first line has the hashes on the way.
    assert_eq!(all[0], later[0]);
    assert_eq!(all[11], later[1], "the eleventh delivery");
    assert!(
        all[1].contains(" -> ") && all[1].contains("a request to connect  (outward on connection 1 of "),
        "{}",
        all[1]
    );
}
