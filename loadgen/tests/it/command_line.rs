use std::ffi::OsString;
use std::process::ExitCode;

fn check(args: &[&str], expect: u8) {
    let args = std::iter::once("loadgen").chain(args.iter().copied()).map(OsString::from);
    let code = loadgen::program::main(args);
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(expect)));
}

#[test]
fn what_cannot_be_run_is_a_usage_error() {
    check(&[], 64);
    check(&["--target", "ws://127.0.0.1:1", "--clients", "x"], 64);
    check(&["--target", "http://example.org", "--clients", "1"], 64);
    check(&["--target", "wss://127.0.0.1:1", "--clients", "1", "--ca", "/nowhere/ca.pem"], 74);
    check(&["--target", "ws://127.0.0.1:1", "--clients", "1", "--strong", "2"], 64);
    let here = ["--target", "ws://127.0.0.1:1", "--clients", "1", "--duration", "1s"];
    for wrong in [
        &["--closed", "--rate", "5"][..],
        &["--closed", "--poisson", "5"],
        &["--closed", "--waves", "5/1s"],
        &["--closed", "--stay", "1s"],
        &["--think", "1s"],
        &["--session", "1s"],
        &["--waves", "5"],
        &["--waves", "0/1s"],
        &["--ramp", "1s", "--poisson", "5"],
        &["--zipf", "1"],
        &["--symbols-per-client", "3", "--zipf", "-1"],
    ] {
        check(&[&here, wrong].concat(), 64);
    }
    check(&["--help"], 0);
}

#[test]
fn loads_that_can_be_run_are_run() {
    let here = ["--target", "ws://127.0.0.1:1", "--clients", "2", "--duration", "50ms"];
    for right in [
        &["--closed", "--think", "10ms", "--session", "20ms", "--ramp", "10ms"][..],
        &["--waves", "1/20ms", "--stay", "10ms", "--rate", "5"],
        &["--poisson", "100", "--symbols-per-client", "3", "--zipf", "1.1"],
    ] {
        // Nobody listens: inconclusive.
        check(&[&here, right].concat(), 2);
    }
}

#[test]
fn a_run_that_received_nothing_is_inconclusive_and_still_writes_its_summary() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    // Port 1 of the loopback: nobody listens there.
    check(&["--target", "ws://127.0.0.1:1", "--clients", "2", "--duration", "1s", "--out", out.to_str().unwrap()], 2);
    let text = std::fs::read_to_string(out.join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["refused"], 2);
}
