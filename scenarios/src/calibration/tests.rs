use super::*;

const GOOD: &str = r#"
schema = 1
machine = "2 cores, a model, Linux 6.8"
date = "2026-01-31"
versions = { proxy = "0.1.0" }
command = "cargo bench -p proxy --bench sockets -- --calibrate FILE"
caveats = ["one run"]

[cost]
per-segment = "1340ns"
per-kib = "210ns"
per-connection = "31us"
cores = 2
queues = "shared"

[fit]
residual-rms = 0.05
residual-max = 0.1

[[points]]
case = "small, one at a time"
segments = 1.01
bytes = 114
cpu-ns = 1400.5
fitted-ns = 1377
"#;

/// What is said of [`GOOD`] with `from` replaced by `to`.
fn check(from: &str, to: &str, expect: &str) {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} must stand once");
    match Calibration::parse("x.toml", &GOOD.replacen(from, to, 1)) {
        Ok(_) => assert_eq!("good", expect, "{from:?} -> {to:?}"),
        Err(error) => assert_eq!(error.to_string(), expect, "{from:?} -> {to:?}"),
    }
}

#[test]
fn a_good_file_says_what_to_charge() {
    let found = Calibration::parse("x.toml", GOOD).unwrap();
    assert_eq!(
        found.service_time(),
        ServiceTime {
            proxy_per_segment: Cost::from_nanos(1_340),
            proxy_per_kib: Cost::from_nanos(210),
            proxy_per_connection: Cost::from_nanos(31_000),
            proxy_cores: 2,
            proxy_queues: Queues::Shared,
            proxy_spread: Spread::Fixed,
            proxy_reads: Reads::Each,
        }
    );
    assert_eq!(found.points[0].segments, 1.01);
}

#[test]
fn what_may_be_left_out_has_its_default() {
    let bare = ["per-kib = \"210ns\"\n", "per-connection = \"31us\"\n", "cores = 2\n", "queues = \"shared\"\n"];
    let text = bare.iter().fold(GOOD.to_owned(), |text, line| text.replacen(line, "", 1));
    let cost = Calibration::parse("x.toml", &text).unwrap().cost;
    assert_eq!((cost.per_kib, cost.per_connection, cost.cores), (Cost::default(), Cost::default(), 1));
    assert_eq!((cost.queues, cost.spread), (Queues::PerCore, Spread::Fixed));
}

#[test]
fn a_bad_file_is_refused_with_the_place_and_what_would_do() {
    check("cores = 2", "cores = 2", "good");
    check("cores = 2", "cores = 0", "x.toml:13:1: not a calibration: cores must be 1 to 256, not 0");
    check("cores = 2", "cores = 257", "x.toml:13:1: not a calibration: cores must be 1 to 256, not 257");
    check(
        "schema = 1",
        "schema = 2",
        "x.toml:2:1: not a calibration: schema is 2, this build reads 1: calibrate with this build",
    );
    check("\"1340ns\"", "\"0ns\"", "x.toml:10:1: not a calibration: per-segment must be above 0ns: CPU would be free");
    check("\"210ns\"", "\"-1ns\"", "x.toml:11:11: not a calibration: \"-1ns\" does not begin with a number");
    check("\"31us\"", "31", "x.toml:12:18: not a calibration: invalid type: integer `31`, expected a string");
    check(
        "queues = \"shared\"",
        "queue = \"shared\"",
        "x.toml:14:1: not a calibration: unknown field `queue`, expected one of `per-segment`, `per-kib`, `per-message`, `per-connection`, `cores`, `queues`, `spread`, `reads`",
    );
    check("machine = ", "machine ", "x.toml:3:9: not a calibration: key with no value, expected `=`");
    check("date = \"2026-01-31\"\n", "", "x.toml:1:1: not a calibration: missing field `date`");
}

#[test]
fn a_file_that_is_not_there_says_how_to_make_one() {
    let error = Calibration::read(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(error.starts_with("failed to read calibration file no/such.toml: "), "{error}");
    assert!(error.ends_with("`cargo bench -p proxy --bench sockets -- --calibrate FILE` writes one"), "{error}");
}
