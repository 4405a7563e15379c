//! `forecast window`.

use clap::Args;

use super::super::select::{self, Seeds};
use super::super::{Failure, exit};
use super::storm::FleetArgs;
use super::{CommonArgs, rate, told};
use crate::forecast::{self, Objective, Range, charts, words};
use crate::span::Span;

#[derive(Debug, Args)]
pub(in super::super) struct WindowArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Ticks of each symbol a second
    #[arg(long, value_name = "R", default_value = "1", value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    fleet: FleetArgs,
    /// p99 from the dial to the session must be at most this
    #[arg(long, value_name = "TIME")]
    connect_p99: Option<Span>,
    /// All lost clients must have messages again within this
    #[arg(long, value_name = "TIME")]
    back: Option<Span>,
    /// p99 of the age of messages of the other instances' clients must be at most this meanwhile
    #[arg(long, value_name = "TIME")]
    others_p99: Option<Span>,
    /// The shortest window that is tried
    #[arg(long, value_name = "TIME", default_value = "50ms")]
    from: Span,
    /// The longest, if `--back` is not shorter
    #[arg(long, value_name = "TIME", default_value = "2min")]
    to: Span,
    /// The gap between a window that does and one that does not, as a part of it
    #[arg(long, value_name = "PART", default_value = "0.1", value_parser = rate)]
    tolerance: f64,
    /// Seeds from A to B that must all hold
    #[arg(long, value_parser = select::seeds, default_value = "1..200")]
    seeds: Seeds,
    /// The first so many of them give a first answer
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    probe: u64,
}

pub(super) fn window(args: &WindowArgs) -> Result<u8, Failure> {
    let costs = args.common.costs()?;
    let fleet = args.fleet.fleet(&args.common, args.rate, args.from);
    let objective = Objective { connect_p99: args.connect_p99, back: args.back, untouched_p99: args.others_p99 };
    let range = Range { from: args.from, to: args.to, tolerance: args.tolerance };
    let Seeds { first, last } = args.seeds;
    let few = Seeds { first, last: first.saturating_add(args.probe - 1).min(last) };
    let (few, all) = (args.common.runs(few), args.common.runs(args.seeds));
    let found = forecast::smallest_window(&fleet, costs, objective, range, &few, &all)?;
    told(&args.common, "window", &found, &[("window", charts::window(&found))], || words::window(&found))?;
    Ok(if found.smallest_s.is_some() { exit::PASSED } else { exit::BROKEN })
}
