//! The program as a process.

use std::io::Read as _;
use std::process::{Command, Stdio};

/// Starts the program under a limit of open files, waits until it listens or ends, and gives its exit code (if it ended) and its log.
fn under_a_limit(files: u32) -> (Option<i32>, String) {
    let proxy = env!("CARGO_BIN_EXE_proxy");
    let command = format!("ulimit -n {files} && exec {proxy} --listen 127.0.0.1:0 --upstream ws://127.0.0.1:1");
    let mut child = Command::new("sh")
        .args(["-c", &command])
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    let listens = child.stdout.take().unwrap().read(&mut first).unwrap() == 1;
    if listens {
        child.kill().unwrap();
    }
    let code = child.wait().unwrap().code();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    (code, log)
}

#[test]
fn the_limit_of_open_files_lowers_clients_max_or_forbids_the_start() {
    let (code, log) = under_a_limit(1000);
    assert_eq!(code, None, "{log}");
    // 1000 less 64, 256 refusals and 2 for the instance.
    assert!(log.contains("room for 678 clients, not 10000"), "{log}");
    let (code, log) = under_a_limit(100);
    assert_eq!(code, Some(74), "{log}");
    assert!(log.contains("proxy: 100 file descriptors are too few"), "{log}");
}
