//! What no seed can repeat fails the run that did it, and the failure names the place.
#![expect(clippy::disallowed_methods, reason = "these programs do what is forbidden, to be caught")]

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

use sim::{Build, Cause, Failure, SimConfig, turmoil};

#[inline(never)]
fn read_instant() {
    let now = Instant::now();
    std::hint::black_box(&now);
}

#[inline(never)]
fn read_wall_clock() {
    let now = SystemTime::now();
    std::hint::black_box(&now);
}

#[inline(never)]
fn sleep() {
    std::thread::sleep(Duration::from_micros(1));
    // Not its last deed: a tail call would take its frame from the stack.
    std::hint::black_box(());
}

#[inline(never)]
fn start_thread() {
    std::thread::spawn(|| {}).join().unwrap();
}

#[inline(never)]
fn read_random_device() {
    let _ = std::fs::File::open("/dev/urandom");
}

/// What each does, and the words that the failure has for it.
const DEEDS: [(fn(), &str, &str); 5] = [
    (read_instant, "read the wall clock", "read_instant"),
    (read_wall_clock, "read the wall clock", "read_wall_clock"),
    (sleep, "slept on the wall clock", "sleep"),
    (start_thread, "started a thread", "start_thread"),
    (read_random_device, "read the operating system's randomness", "read_random_device"),
];

fn does<W: Build>(world: &mut W, deed: fn()) {
    world.foreground("culprit", move |_| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        deed();
        deed();
        tokio::time::sleep(Duration::from_millis(5)).await;
    });
}

#[track_caller]
fn is_named(failure: &Failure, words: &str, function: &str) {
    let Cause::Unrepeatable { what, times, first, .. } = &failure.cause else { panic!("{failure}") };
    assert_eq!(what, words);
    assert!(*times >= 2, "{times}");
    assert!(first.contains(function) && first.contains("guard.rs:"), "{words}: {first}");
}

#[test]
fn a_program_that_leaves_the_simulation_fails_and_the_place_is_named() {
    for (deed, words, function) in DEEDS {
        let failure = sim::run(SimConfig::default(), |world| does(world, deed)).unwrap_err();
        is_named(&failure, words, function);
        assert!(failure.to_string().contains("task `main` of host `culprit`"), "{failure}");
    }
}

#[test]
fn under_turmoil_it_fails_as_well() {
    for (deed, words, function) in DEEDS {
        let failure = turmoil::run(SimConfig::default(), |world| does(world, deed)).unwrap_err();
        is_named(&failure, words, function);
    }
}

#[test]
fn it_is_told_before_what_came_of_it() {
    let failure = sim::run(SimConfig::default(), |world| {
        world.foreground("culprit", |_| async {
            read_instant();
            assert!(sim::now_us() > 0, "because of the time");
        });
    });
    is_named_once(&failure.unwrap_err());
}

#[track_caller]
fn is_named_once(failure: &Failure) {
    assert!(matches!(&failure.cause, Cause::Unrepeatable { times: 1, .. }), "{failure}");
}

#[test]
fn randomness_from_the_seed_and_virtual_time_are_no_deeds() {
    let run = sim::run(SimConfig::default(), |world| {
        world.foreground("innocent", |net| async move {
            std::hint::black_box(RandomState::new().hash_one(7));
            std::hint::black_box(wire::net::Network::wall_clock(&net));
            std::hint::black_box(tokio::time::Instant::now());
            let _ = std::fs::File::open("/dev/null");
        });
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_run_that_was_caught_leaves_no_trace_in_the_next() {
    sim::run(SimConfig::default(), |world| does(world, read_instant)).unwrap_err();
    // On this thread, outside of any run, all of it is allowed.
    read_instant();
    start_thread();
    sim::run(SimConfig::default(), |world| does(world, || {})).unwrap_or_else(|failure| panic!("{failure}"));
}
