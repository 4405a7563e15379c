//! A peer's messages against what reads feeds.

use proptest::prelude::*;

use crate::mutation::{mutated, seeds};

mod property;

/// Lines of the canned transcripts in any order: what belongs before something comes behind it.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<_> = seeds("feeds")
        .iter()
        .flat_map(|seed| seed.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect();
    prop::collection::vec(prop::sample::select(all), 0..12).prop_map(|lines| lines.join(&b'\n'))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn hurt_transcripts_panic_nothing_and_fill_nothing(input in mutated(prop::sample::select(seeds("feeds")))) {
        property::check(&input);
    }

    #[test]
    fn lines_in_any_order_panic_nothing_and_fill_nothing(input in mutated(lines())) {
        property::check(&input);
    }
}

/// Without this the properties above might look at refusals only.
#[test]
fn every_canned_transcript_is_understood_by_one_reader_at_least() {
    let seeds = seeds("feeds");
    assert!(seeds.len() >= 5);
    for seed in &seeds {
        let understood = property::check(seed);
        assert!(understood > 1, "{}", String::from_utf8_lossy(seed));
    }
}
