//! The property of `wire/tests/it/feeds.rs`, on whatever libFuzzer thinks of.
#![no_main]

#[path = "../../wire/tests/it/feeds/property.rs"]
#[allow(dead_code, reason = "the tests name the settings")]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = property::check(input);
});
