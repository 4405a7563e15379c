//! `forecast knee`.

use clap::Args;

use super::super::{Failure, exit};
use super::{CommonArgs, rate, told};
use crate::forecast::{self, Goodput, Workload, charts, words};
use crate::span::Span;

#[derive(Debug, Args)]
pub(in super::super) struct KneeArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Clients of the instance
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// A message must come within this, from the instant for which it was planned
    #[arg(long, value_name = "TIME", default_value = "50ms")]
    within: Span,
    /// This share of planned messages must, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.99", value_parser = rate)]
    share: f64,
    /// Loads to look at besides: ticks of each symbol a second
    #[arg(long, value_name = "R,R,..", value_delimiter = ',', value_parser = rate)]
    at: Vec<f64>,
    /// One way between hosts
    #[arg(long, value_name = "TIME", default_value = "50us")]
    latency: Span,
}

pub(super) fn knee(args: &KneeArgs) -> Result<u8, Failure> {
    let costs = args.common.costs()?;
    let workload = Workload {
        clients: args.clients,
        simulated_max: args.common.simulated,
        feed: args.common.feed.feed(1.0),
        latency: args.latency,
    };
    let objective = Goodput { within: args.within, share_min: args.share };
    let found = forecast::predict(&workload, costs, objective, &args.at)?;
    told(&args.common, "knee", &found, &[("knee", charts::knee(&found))], || words::knee(&found))?;
    Ok(if found.knee.is_some() { exit::PASSED } else { exit::BROKEN })
}
