//! The evidence of a run: its record, its statistics, and the pages that show them.
//!
//! ```text
//!   wire::event::Event --> metrics::Collector --> metrics::Metrics ----+--> chart    SVG on one time axis, faults shaded
//!                                                                      |
//!   checkers (elsewhere) --> record::Verdict --> folder::RunReport ----+--> page     report.html, one offline file
//!                                                        |             |
//!                                                        |             +--> folder   verdict.json, metrics.json, charts/*.svg, log.txt
//!                                                        v
//!   captured packets (elsewhere) -------> pcapng --------+             packets.pcapng, for Wireshark
//!   all events, kept -+-----------------> perfetto ------+             trace.json, for ui.perfetto.dev
//!                     '--> story --> evidence::Evidence --> folder::RunReport
//!                                            summary::RunSummary ------+--> summary  index.html, summary.json, summary.md
//!                                                                      +--> junit    junit.xml; annotations: remarks on files
//!                                                                      +--> text     a table for the terminal
//!   log: what the programs said, with virtual time and host, for log.txt and the page
//! ```
//!
//! This crate never judges: verdicts come from outside and are shown as they are. It reads no clock and draws no random numbers, so what it writes is the
//! same, byte for byte, for the same run (fields named `wall_*` aside). What others wrote (messages, names, logs) is text, never markup.

pub mod annotations;
pub mod capacity;
pub mod chart;
pub mod evidence;
pub mod folder;
pub mod gate;
pub mod junit;
pub mod load;
pub mod log;
pub mod measures;
pub mod metrics;
pub mod page;
pub mod pcapng;
pub mod perfetto;
pub mod record;
pub mod story;
pub mod summary;
pub mod text;
pub mod tiers;

pub mod figure;
