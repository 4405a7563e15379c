//! `forecast knee`.

use clap::{Args, ValueEnum};

use super::super::{Failure, exit};
use super::{CommonArgs, rate, told};
use crate::forecast::{self, Goodput, Grows, Workload, charts, words};
use crate::span::Span;

#[derive(Debug, Args)]
pub(in super::super) struct KneeArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// What grows: ticks of each symbol a second, or clients
    #[arg(long, value_enum, default_value_t = Grow::Rate)]
    grow: Grow,
    /// Clients of the instance, where the rate grows [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    clients: Option<u32>,
    /// Ticks of each symbol a second, where the clients grow [default: 1]
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// A message must come within this, from the instant for which it was planned
    #[arg(long, value_name = "TIME", default_value = "50ms")]
    within: Span,
    /// This share of planned messages must, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.99", value_parser = rate)]
    share: f64,
    /// Loads to look at besides, of what grows
    #[arg(long, value_name = "L,L,..", value_delimiter = ',', value_parser = rate)]
    at: Vec<f64>,
    /// One way between hosts
    #[arg(long, value_name = "TIME", default_value = "50us")]
    latency: Span,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Grow {
    Rate,
    Clients,
}

pub(super) fn knee(args: &KneeArgs) -> Result<u8, Failure> {
    match (args.grow, args.clients, args.rate) {
        (Grow::Rate, _, Some(_)) => {
            return Err(Failure::usage("--rate is what grows: leave it out, or say --grow clients".to_owned()));
        }
        (Grow::Clients, Some(_), _) => {
            return Err(Failure::usage("--clients is what grows: leave it out, or say --grow rate".to_owned()));
        }
        _ => {}
    }
    let costs = args.common.costs()?;
    let workload = Workload {
        clients: args.clients.unwrap_or(1_000),
        simulated_max: args.common.simulated,
        grows: match args.grow {
            Grow::Rate => Grows::Rate,
            Grow::Clients => Grows::Clients,
        },
        feed: args.common.feed.feed(args.rate.unwrap_or(1.0)),
        latency: args.latency,
    };
    let objective = Goodput { within: args.within, share_min: args.share };
    let found = forecast::predict(&workload, costs, objective, &args.at)?;
    told(&args.common, "knee", &found, &[("knee", charts::knee(&found))], || words::knee(&found))?;
    Ok(if found.knee.is_some() { exit::PASSED } else { exit::BROKEN })
}
