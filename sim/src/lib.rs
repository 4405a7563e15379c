//! A deterministic network simulator: virtual time, hosts, wires, faults, seeded chance.
//!
//! ```text
//!   config    what the world is like: seed, horizon, links, buffers, service times
//!   setup     hosts and their programs
//!   run       one run on a fresh thread: the scheduler and the clock
//!   exec      tasks: poll, kill, freeze, catch panics             ready    the ready queue and wakers
//!   net       SimNet: wire::net::Network as a host sees it        kernel   sockets, TCP, links: the world itself
//!   fault     what goes wrong, as plain data
//!   control   faults and questions                                trace    the fingerprint of a run
//!   capture   packets, as a capture program would have seen them
//!   engine    the shape that both engines share               turmoil  the second engine: turmoil's own simulator
//!   failure   how a run ends                                      interpose  the operating system's randomness, from the seed
//!   standing  what each host holds and waits for at an instant
//!   guard     what no seed can repeat: clocks, threads              whose    whose code runs
//! ```
//!
//! This crate must never know of proxies or WebSockets, read the wall clock, or draw from anything but the seed. Two runs with equal
//! configuration, programs and seed are equal to the byte; [`Report::trace_hash`] shows it.
//!
//! A program that reads the wall clock, sleeps on it, starts a thread or opens a random device fails its run ([`Cause::Unrepeatable`]), which names
//! the place. Not seen is what does not call the C library (system calls in assembler, as some cryptography makes them; `rdtsc`) and what comes from
//! elsewhere: files, the environment, addresses in memory.
//!
//! One thing that neither the seed nor this crate rules: tasks that wait for one `tokio::sync::watch` wake in an order that tokio draws from
//! a generator whose seed counts over the whole process. At most one task may wait for each.
//!
//! What the network promises: established bytes are never lost, only late; a lost or stalled segment comes again after a
//! retransmission time-out; resets, refusals, silence and half-open connections are separate things, each as Linux shows them. What it
//! leaves out: congestion control, IPv6, UDP, keep-alive probes, TIME_WAIT. CPU is free unless [`ServiceTime`] says otherwise; then a host is a queue
//! that does what its cores can and no more.
//!
//! ```
//! use std::time::Duration;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use wire::net::{ListenOptions, Listener, Network, SocketOptions};
//!
//! let report = sim::run(sim::SimConfig::seeded(7), |world| {
//!     world.host("server", |net| async move {
//!         let listener = net.bind(([0, 0, 0, 0], 80).into(), ListenOptions::default()).await?;
//!         let (mut stream, _peer) = listener.accept().await?;
//!         let mut name = [0; 5];
//!         stream.read_exact(&mut name).await?;
//!         stream.write_all(b"hello, ").await?;
//!         stream.write_all(&name).await?;
//!         stream.shutdown().await
//!     });
//!     world.foreground("client", |net| async move {
//!         tokio::time::sleep(Duration::from_secs(30)).await; // Virtual seconds cost nothing.
//!         let addr = net.lookup("server", 80).await?[0];
//!         let mut stream = net.connect(addr, SocketOptions::default()).await?;
//!         stream.write_all(b"world").await?;
//!         let mut answer = String::new();
//!         stream.read_to_string(&mut answer).await?;
//!         assert_eq!(answer, "hello, world");
//!         Ok::<(), std::io::Error>(())
//!     });
//! })?;
//! assert_eq!(report.elapsed_us, 30_002_000); // One round trip to connect, one to ask, at 500 us each way.
//! # Ok::<(), sim::Failure>(())
//! ```

pub mod capture;
mod config;
mod control;
mod engine;
mod exec;
mod failure;
mod fault;
mod guard;
mod interpose;
mod kernel;
mod net;
mod panics;
mod ready;
mod run;
mod setup;
mod standing;
mod trace;
pub mod turmoil;
mod whose;

pub use self::config::{
    AtHorizon, Latency, LinkConfig, Order, Queues, Reads, Reseed, ServiceTime, SimConfig, Spread, TcpConfig,
};
pub use self::control::{Control, HostState};
pub use self::engine::{Build, Faults, NotExpressible};
pub use self::failure::{Cause, Ended, Failure, Report, Waiting};
pub use self::fault::{Fault, FaultError, FaultEvent, FaultId, FaultKind, FaultPlan, Scope, Target};
pub use self::kernel::Sockets;
pub use self::kernel::address::{Address, Pick};
pub use self::net::{SimListener, SimNet, SimStream};
pub use self::run::run;
pub use self::setup::{HostId, Outcome, Setup};
pub use self::standing::{Connection, Standing};
pub use self::trace::{CHECKPOINT_EVERY, TraceEvent, TraceKind, first_difference};

/// Virtual microseconds since the run began, in either engine; 0 outside of a run.
#[must_use]
pub fn now_us() -> u64 {
    if kernel::run_id() == 0 { turmoil::now_us() } else { kernel::now_us() }
}

/// The name of the host whose program runs now on this thread, in either engine; None between programs and outside of a run. For whoever listens to the
/// programs from outside: who asks inside changes nothing.
#[must_use]
pub fn running_host() -> Option<String> {
    whose::host_name(whose::now()?.0)
}

/// Where a debugger breaks (`break paused_at`): called on the thread of the run, of the name `sim`, when [`SimConfig::pause_at`] has come, and when a run
/// ends at [`SimConfig::stop_at`].
#[inline(never)]
pub fn paused_at(at_us: u64) {
    std::hint::black_box(at_us);
}
