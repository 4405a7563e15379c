//! `forecast storm`.

use clap::{Args, ValueEnum};
use reports::folder;

use super::super::select::{self, Seeds};
use super::super::{Failure, exit};
use super::{CommonArgs, rate, told};
use crate::forecast::{self, Dials, Fleet, Limits, Storms, charts, words};
use crate::model::Pick;
use crate::span::Span;

#[derive(Debug, Args)]
pub(in super::super) struct StormArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Ticks of each symbol a second
    #[arg(long, value_name = "R", default_value = "1", value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    fleet: FleetArgs,
    /// The first try of a client comes within this, drawn evenly; the window doubles with each failure
    #[arg(long, value_name = "TIME", default_value = "5s")]
    jitter: Span,
    /// Seeds from A to B, both included
    #[arg(long, value_parser = select::seeds, default_value = "1..1000")]
    seeds: Seeds,
}

/// The fleet, but for its clients' window.
#[derive(Debug, Args)]
pub(super) struct FleetArgs {
    /// Instances, one of which is lost
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(2..=16))]
    instances: u16,
    /// Clients of all instances together
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(2..))]
    clients: u32,
    /// The largest window in which clients try again
    #[arg(long, value_name = "TIME", default_value = "30s")]
    cap: Span,
    /// Which instance the address gives out next
    #[arg(long, value_enum, default_value_t = PickArg::RoundRobin)]
    pick: PickArg,
    /// How long the address gives out the lost instance
    #[arg(long, value_name = "TIME", default_value = "1s")]
    detect: Span,
    /// What becomes of dials to the lost instance
    #[arg(long, value_enum, default_value_t = DialsArg::Refused)]
    dials: DialsArg,
    /// Handshakes under way at once that an instance lets in [default: the proxy's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    handshakes_max: Option<u32>,
    /// Handshakes that an instance begins in a second [default: no bound]
    #[arg(long, value_name = "N")]
    handshakes_per_s: Option<u32>,
    /// And at once [default: the proxy's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    handshakes_burst: Option<u32>,
    /// One way between clients, instances and source
    #[arg(long, value_name = "TIME", default_value = "500us")]
    latency: Span,
    /// How long a run is watched after the loss, at most
    #[arg(long, value_name = "TIME", default_value = "2min")]
    pub(super) watch: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PickArg {
    /// Each in its turn
    RoundRobin,
    /// The one with the fewest connections; a lost one has none
    LeastConnections,
    /// Any
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DialsArg {
    /// They are refused at once
    Refused,
    /// Nothing answers
    Unheard,
}

impl FleetArgs {
    pub(super) fn fleet(&self, common: &CommonArgs, rate: f64, jitter: Span) -> Fleet {
        Fleet {
            instances: self.instances,
            clients: self.clients,
            simulated_max: common.simulated,
            feed: common.feed.feed(rate),
            jitter,
            cap: self.cap,
            pick: match self.pick {
                PickArg::RoundRobin => Pick::RoundRobin,
                PickArg::LeastConnections => Pick::LeastConnections,
                PickArg::Random => Pick::Random,
            },
            detect: self.detect,
            dials: match self.dials {
                DialsArg::Refused => Dials::Refused,
                DialsArg::Unheard => Dials::Unheard,
            },
            limits: Limits {
                handshakes_max: self.handshakes_max,
                handshakes_per_s: self.handshakes_per_s,
                handshakes_burst: self.handshakes_burst,
            },
            latency: self.latency,
        }
    }
}

pub(super) fn storm(args: &StormArgs) -> Result<u8, Failure> {
    let costs = args.common.costs()?;
    let fleet = args.fleet.fleet(&args.common, args.rate, args.jitter);
    let storms = forecast::storms(&fleet, costs, &args.common.runs(args.seeds), args.fleet.watch)?;
    let pictures = [("recovery", charts::recovery(&storms)), ("connections", charts::connections(&storms))];
    told(&args.common, "storm", &storms, &pictures, || {
        let worst = storms.back_s.worst_seed;
        format!("{}\nThe worst run again: the same command with --seeds {worst}..{worst}\n", words::storms(&storms))
    })?;
    if let Some(dir) = &args.common.out {
        keep_worst(dir, &storms)?;
    }
    Ok(outcome(&storms))
}

/// The worst run as a scenario, for `run`, `explain` and all else that takes one.
fn keep_worst(dir: &std::path::Path, storms: &Storms) -> Result<(), Failure> {
    let seed = storms.back_s.worst_seed;
    let Some(run) = storms.runs.iter().find(|run| run.seed == seed) else { return Ok(()) };
    let watched = Span::from_micros(run.aftermath.watched_us);
    let scenario = forecast::scenario(&storms.fleet, storms.costs, seed, watched)?;
    let text = scenario.to_toml().map_err(|error| Failure::harness(error.to_string()))?;
    folder::write_file(&dir.join("storm.toml"), text.as_bytes())
        .map_err(|error| Failure::io(format!("failed to {error}")))
}

/// Inconclusive where some run was not watched to its end.
fn outcome(storms: &Storms) -> u8 {
    if storms.back_s.beyond > 0 { exit::INCONCLUSIVE } else { exit::PASSED }
}
