//! The fan-out over real sockets, against a bare loop of writes: `cargo bench -p proxy --bench sockets [-- --quick] [-- CASE...]`.
//!
//! ```text
//!   core 0                     core 1                      core 0
//!   source (a v1 feed) ------> proxy, or bare, ----------> clients: drain; 20 of them read the time stamps
//! ```
//!
//! A nats-server that is installed runs through the first three cases, too, in its own protocol.
//! The case `relay` puts the relay beside nginx; `churn` puts connections that come and go beside a plain tokio-tungstenite server, too.
//!
//! `-- --calibrate FILE` measures what a segment, a byte and a connection cost the proxy, and writes it for the simulator to charge: docs/scenarios.md.
//!
//! One program that starts itself in roles, all on loopback. What is compared is the CPU time of the server for each message that reached a client, of the proxy and of the bare
//! loop in the same run: both do the same work in the kernel, so the ratio says what the proxy adds. CPU time and ratios hold on a busy machine, times and rates less so.

#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::disallowed_types,
        clippy::disallowed_methods,
        reason = "a bench measures the real world: its threads, sockets and clocks"
    )
)]

#[cfg(target_os = "linux")]
mod bare;
#[cfg(target_os = "linux")]
mod calibrate;
#[cfg(target_os = "linux")]
mod cases;
#[cfg(target_os = "linux")]
mod clients;
#[cfg(target_os = "linux")]
mod frames;
#[cfg(target_os = "linux")]
mod nats;
#[cfg(target_os = "linux")]
mod plain;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod role;
#[cfg(target_os = "linux")]
mod source;
#[cfg(target_os = "linux")]
mod table;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["role", core, nice, role @ ..] => role::run(core, nice, role),
        words => match words.iter().position(|word| *word == "--calibrate") {
            Some(at) => calibrate::run(words.get(at + 1).copied(), words.contains(&"--quick")),
            None => cases::run(words),
        },
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sockets: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this bench reads /proc: it runs on Linux only");
}
