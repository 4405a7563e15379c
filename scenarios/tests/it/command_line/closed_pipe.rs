//! Nobody reads on: `windtunnel ... | head -1`. The program must not die of it, and its exit code must still be right.

use std::io::PipeWriter;
use std::process::Stdio;

use super::Place;

/// A pipe that nobody reads.
fn closed() -> PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

#[test]
fn output_that_nobody_reads_does_not_change_the_exit_code() {
    let place = Place::with_small();
    let run = ["run", "small.toml", "--out", "out", "--seed", "1"];
    let json = ["run", "small.toml", "--out", "out", "--seed", "1", "--json"];
    let mutant = ["run", "small.toml", "--out", "out", "--seed", "1", "--mutant", "repeats-a-message"];
    let replay = ["replay", "out/small/1/capsule.json"];
    let cases: [(&[&str], i32); 12] = [
        (&["list"], 0),
        (&["list", "--json"], 0),
        (&["schema"], 0),
        (&["mutants"], 0),
        (&["explain", "steady-fanout"], 0),
        (&["check", "small.toml"], 0),
        (&["--help"], 0),
        (&["role", "loadgen", "--help"], 0),
        (&run, 0),
        (&json, 0),
        (&mutant, 1),
        (&replay, 1),
    ];
    for (args, code) in cases {
        let output = place.command(args).stdout(closed()).stderr(Stdio::piped()).output().expect("it starts");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
        assert!(!err.contains("panicked"), "{args:?}: {err}");
    }
}

#[test]
fn complaints_that_nobody_reads_do_not_change_the_exit_code() {
    let place = Place::with_small();
    let cases: [(&[&str], i32); 6] = [
        (&["run", "small.toml", "--out", "out", "--seed", "1"], 0),
        (&["run", "small.toml", "--out", "out", "--seed", "1", "--mutant", "repeats-a-message"], 1),
        (&["run", "no-such-scenario"], 64),
        (&["fly"], 64),
        (&["replay", "nowhere.json"], 74),
        (&["trace", "no-such-scenario", "--seed", "1"], 64),
    ];
    for (args, code) in cases {
        let output = place.command(args).stdout(Stdio::null()).stderr(closed()).output().expect("it starts");
        assert_eq!(output.status.code(), Some(code), "{args:?}");
    }
}
