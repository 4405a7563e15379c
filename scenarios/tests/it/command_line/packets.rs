//! `--pcap`: where the file lies, and what is refused.

use super::Place;

const FILE: &str = "out/small/1/packets.pcapng";

#[test]
fn packets_lie_in_the_runs_folder_and_beside_a_replayed_capsule() {
    let place = Place::with_small();
    place.windtunnel(&["run", "--pcap", "small.toml", "--seed", "1", "--out", "out"]).exits(0);
    let first = std::fs::read(place.path().join(FILE)).expect("it was written");
    // A run without packets leaves none of an earlier one.
    place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out"]).exits(0);
    assert!(!place.has(FILE));
    place.windtunnel(&["replay", "out/small/1/capsule.json", "--pcap=proxy-0"]).exits(0);
    assert!(std::fs::read(place.path().join(FILE)).expect("it was written") == first);
}

#[test]
fn places_that_are_not_there_are_refused_before_anything_is_written() {
    let place = Place::with_small();
    for (what, hint) in [
        ("proxi-0", "did you mean \"proxy-0\"?"),
        ("proxy-0,sorce-1", "did you mean \"source-1\"?"),
        ("proxy-0/plane-0", "did you mean \"plain-0\"?"),
        ("x*", "known here: \"source-0\""),
        ("", "known here:"),
    ] {
        place.windtunnel(&["run", "small.toml", "--out", "out", &format!("--pcap={what}")]).exits(64).complains(hint);
    }
    place.windtunnel(&["run", "small.toml", "--out", "out", "--pcap-bytes", "1"]).exits(64).complains("--pcap");
    let turmoil = ["run", "steady-fanout", "--out", "out", "--engine", "turmoil", "--pcap"];
    place.windtunnel(&turmoil).exits(64).complains("the engine turmoil has no packets to show");
    assert!(!place.has("out"));
}
