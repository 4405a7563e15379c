//! The stories: scenario files, the engines that run them, the checkers that judge them.
//!
//! ```text
//!   catalogue, files --> parse --> model --> plan --> engine --> recorder --> check, reports::metrics
//!                          |          |                  |                        |
//!                       schema     explain            mutants                  folder --> target/windtunnel/...
//!
//!   explore  worlds that nobody wrote
//!   agenda --> campaign   many runs on a few threads          capsule   one run, in a file         program   the command line
//! ```
//!
//! `calibration`: what work costs a real proxy, from a file. `pcap`: where packets are captured, and how they come into their file. `perfetto`: who
//! takes part in a trace. `logs`: what the programs say inside of a run. `marks`: the rare branches of the programs that a run can reach. `canary`: the
//! run that must fail. `merge`: shards made whole. `sweep`: parts of a campaign on other machines. `fingerprint`: what makes two failures one. `shrink`: the
//! least that still fails alike. `regressions`: the bank of such. `pin`: when a failure became inevitable. `allocator`: the one that programs with many
//! worlds choose. `process`: programs over real sockets. `peers`: proxies of others beside ours. `sizing`: what one instance carries, measured over sockets.
//!
//! Only this crate knows all the others. It must never hold a second copy of anything that a program does: a simulated host calls the function that
//! the program calls.

pub mod agenda;
pub mod allocator;
pub mod builder;
pub mod calibration;
pub mod campaign;
pub mod canary;
pub mod capsule;
pub mod catalogue;
pub mod check;
pub mod cost;
pub mod engine;
mod evidence;
pub mod explain;
pub mod explore;
pub mod fingerprint;
mod folder;
pub mod forecast;
pub mod gate;
pub mod logs;
pub mod marks;
pub mod merge;
pub mod model;
pub mod mutants;
pub mod parse;
pub mod pcap;
pub mod peers;
pub mod perfetto;
pub mod pin;
pub mod plan;
pub mod process;
pub mod program;
mod recorder;
pub mod regressions;
pub mod schema;
pub mod shrink;
pub mod sizing;
pub mod span;
pub mod sweep;
mod triggers;
