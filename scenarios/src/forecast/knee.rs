//! One instance under growing load: how many deliveries a second it hands out within an objective, and how busy it is at loads that are asked for.
//!
//! What grows is the rate, with so many clients, or the clients, with so much to each. The search is the one over real sockets, [`capacity::search`], and so is the judgement: the share of planned messages that came within the time. The load is
//! open: the source sends by the clock, and what a client never gets counts.

use std::collections::BTreeMap;

use capacity::search::{Answer, Effort, End, Search, Stage};
use serde::Serialize;
use wire::event::{Event, Timed};
use wire::id::Symbol;

use super::aftermath::quantile;
use super::population::{Feed, Population, TICKS_MAX};
use super::storm::{ForecastError, lives};
use crate::builder::Builder;
use crate::check::Objectives;
use crate::engine::{self, Options, Worked};
use crate::model::{Arrival, Clients, Engine, Latency, Load, Network, Open, Proxy, ProxyMode, Scenario, ServiceTime};
use crate::plan::Plan;
use crate::span::Span;

/// One instance and those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// What the search makes larger.
    pub grows: Grows,
    /// Clients of the instance; not read where these grow.
    pub clients: u32,
    /// Simulated clients at most.
    pub simulated_max: u32,
    /// What the source sends; its rate is not read where that grows.
    pub feed: Feed,
    /// One way between hosts.
    pub latency: Span,
}

/// What a load is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grows {
    /// Ticks of each symbol a second.
    #[default]
    Rate,
    /// Clients.
    Clients,
}

/// What a load must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Goodput {
    /// Within so long a message must come, from the instant for which it was planned.
    pub within: Span,
    /// This share of planned messages, 0 to 1.
    pub share_min: f64,
}

/// What was simulated at one load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Clients of the instance.
    pub clients: u32,
    /// Clients that were simulated for them.
    pub simulated: u32,
    /// Ticks of each symbol a second.
    pub ticks_per_s: f64,
    /// Deliveries a second that were planned, to real clients.
    pub planned_per_s: f64,
    /// Those that were made.
    pub delivered_per_s: f64,
    /// The share of planned ones that came in time.
    pub goodput: f64,
    /// How busy the instance's cores were, 0 to 1.
    pub utilisation: f64,
    /// Median age of what came, in milliseconds. None: nothing came.
    pub p50_ms: Option<f64>,
    /// p99 of the age.
    pub p99_ms: Option<f64>,
    /// Whether the objective held.
    pub held: bool,
}

/// What is to be expected of one instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// What was asked.
    pub workload: Workload,
    /// What a load must keep.
    pub objective: Goodput,
    /// The greatest load that keeps it. None: none does.
    pub knee: Option<Step>,
    /// How the search ended: `at-most` where the source cannot send more.
    pub end: Option<End>,
    /// At the loads that were asked for, of what grows.
    pub at: Vec<Step>,
    /// All loads of the search, ascending.
    pub steps: Vec<Step>,
}

/// A window of the search holds so long, and so many ticks, at least.
const WINDOW_US: u64 = 2_000_000;
const TICKS_MIN: f64 = 40.0;
/// All are there for so long before the window begins.
const SETTLE_US: u64 = 1_000_000;

/// The most clients that are tried.
const CLIENTS_TRIED_MAX: f64 = 1e6;

impl Workload {
    /// With so much of what grows.
    fn at(&self, load: f64) -> Self {
        match self.grows {
            Grows::Rate => Self { feed: Feed { ticks_per_s: load, ..self.feed }, ..*self },
            Grows::Clients => Self { clients: load.round() as u32, ..*self },
        }
    }

    fn effort(&self) -> Effort {
        let (start, least, most) = match self.grows {
            Grows::Rate => (10.0, 0.1, TICKS_MAX),
            Grows::Clients => (1_000.0, 1.0, CLIENTS_TRIED_MAX),
        };
        Effort { start, least, most, confirmations: 2, ..Effort::default() }
    }

    fn population(&self) -> Population {
        Population::new(self.clients, 1, self.simulated_max)
    }

    /// How long is watched: [`WINDOW_US`], and so many instants at which something ticks, and each symbol twice.
    fn window_us(&self) -> u64 {
        let ticks = if self.feed.together { self.feed.ticks_per_s } else { self.feed.sent_per_s() };
        WINDOW_US.max((TICKS_MIN * 1e6 / ticks) as u64).max(2 * self.feed.period().as_micros())
    }
}

/// Searches the knee, and looks at the loads of `at`.
///
/// # Errors
/// [`ForecastError`].
pub fn predict(
    workload: &Workload,
    costs: ServiceTime,
    objective: Goodput,
    at: &[f64],
) -> Result<Prediction, ForecastError> {
    if workload.clients == 0 || !(0.0..=1.0).contains(&objective.share_min) {
        return Err(ForecastError::Asked("there must be clients, and a share from 0 to 1".to_owned()));
    }
    let mut search = Search::new(workload.effort());
    let mut steps: Vec<(f64, Step)> = Vec::new();
    let mut seed = 0;
    while let Some(trial) = search.ask() {
        seed += 1;
        let windows = if trial.stage == Stage::Confirm { 2 } else { 1 };
        let step = step(&workload.at(trial.load), costs, objective, seed, windows)?;
        search.answer(if step.held { Answer::Holds } else { Answer::Fails });
        steps.push((trial.load, step));
    }
    // Of equal loads the last: it was watched longest.
    let best = search.best().map(|(load, _)| load);
    let knee = best.and_then(|best| steps.iter().rev().find(|(load, _)| *load == best).map(|(_, step)| *step));
    steps.sort_by(|one, next| one.0.total_cmp(&next.0));
    let at = at.iter().map(|load| step(&workload.at(*load), costs, objective, 1, 2)).collect::<Result<_, _>>()?;
    let steps = steps.into_iter().map(|(_, step)| step).collect();
    Ok(Prediction { workload: *workload, objective, knee, end: search.end(), at, steps })
}

fn step(
    workload: &Workload,
    costs: ServiceTime,
    objective: Goodput,
    seed: u64,
    windows: u64,
) -> Result<Step, ForecastError> {
    let population = workload.population();
    let window_us = workload.window_us() * windows + objective.within.as_micros();
    let scenario = scenario(workload, population, costs, window_us)?;
    let plan = Plan::new(&scenario, seed);
    let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: true };
    let run = lives(engine::run(&plan, options)?)?;
    let events = run.events.as_deref().unwrap_or_default();
    let from = u64::try_from(plan.steady_at.as_micros()).unwrap_or(u64::MAX);
    let found = judged(events, from, from + window_us - objective.within.as_micros(), objective);
    let seconds = (window_us - objective.within.as_micros()) as f64 / 1e6;
    let per_s = |count: u64| count as f64 * population.each / seconds;
    Ok(Step {
        clients: population.clients,
        simulated: population.simulated,
        // What a period of whole microseconds comes to.
        ticks_per_s: 1e6 / workload.feed.period().as_micros() as f64,
        planned_per_s: per_s(found.planned),
        delivered_per_s: per_s(found.ages.len() as u64),
        goodput: found.share(),
        utilisation: utilisation(&run.worked, costs.proxy_cores),
        p50_ms: quantile(&found.ages, 0.5).map(|us| us as f64 / 1e3),
        p99_ms: quantile(&found.ages, 0.99).map(|us| us as f64 / 1e3),
        held: found.share() >= objective.share_min,
    })
}

/// A world in which all are there before the window begins, and what was planned in it may still come in time.
fn scenario(
    workload: &Workload,
    population: Population,
    costs: ServiceTime,
    window_us: u64,
) -> Result<Scenario, ForecastError> {
    let asked = |error: &dyn std::fmt::Display| ForecastError::Asked(error.to_string());
    let feed = workload.feed;
    let costs = population.costs(costs).map_err(|error| asked(&error))?;
    let clients = Clients {
        load: Load::Open(Open { arrival: Arrival::Ramp(Span::from_micros(SETTLE_US)), ..Open::default() }),
        subscriptions: feed.subscriptions(),
        ..Clients::new("all", population.simulated)
    };
    let mut proxy = Proxy::new(ProxyMode::Fanout);
    proxy.stale_after =
        Some(Span::from_micros(feed.period().as_micros().saturating_mul(4).clamp(2_000_000, 3_600_000_000)));
    let built = Builder::new("knee", "One instance under a load that is looked at.")
        .warmup(Span::from_micros(2 * SETTLE_US))
        .steady(Span::from_micros(window_us))
        .recovery(Span::from_millis(0))
        .network(Network { latency: Latency::Fixed(workload.latency), ..Network::default() })
        .sources(feed.sources())
        .proxy(proxy)
        .clients(clients)
        .service_time(costs)
        .check(Objectives { symbol_order: Some(Default::default()), ..Objectives::default() })
        .build();
    built.map_err(|error| asked(&format!("no such world: {error}")))
}

#[derive(Debug, Default)]
struct Judged {
    /// Deliveries that were due.
    planned: u64,
    /// Of these, those that came in time.
    in_time: u64,
    /// Ages of these and of those that came late, sorted.
    ages: Vec<u64>,
}

impl Judged {
    fn share(&self) -> f64 {
        if self.planned == 0 { 0.0 } else { self.in_time as f64 / self.planned as f64 }
    }
}

/// What became of the ticks that were sent from `from` to `to`: each is due to whoever has subscribed to it.
fn judged(events: &[Timed], from: u64, to: u64, objective: Goodput) -> Judged {
    let mut subscribed: BTreeMap<Symbol, u64> = BTreeMap::new();
    let mut sent: BTreeMap<(Symbol, u64), u64> = BTreeMap::new();
    let mut found = Judged::default();
    for Timed { at_us, event } in events {
        match event {
            Event::ClientSubscribe { symbol, .. } => *subscribed.entry(*symbol).or_default() += 1,
            Event::SourceSend { symbol, n, .. } if (from..to).contains(at_us) => {
                let again = sent.insert((*symbol, *n), *at_us).is_some();
                found.planned += if again { 0 } else { subscribed.get(symbol).copied().unwrap_or(0) };
            }
            Event::ClientDeliver { symbol, n, .. } => {
                let Some(sent) = sent.get(&(*symbol, *n)) else { continue };
                let age = at_us - sent;
                found.in_time += u64::from(age <= objective.within.as_micros());
                found.ages.push(age);
            }
            _ => {}
        }
    }
    found.ages.sort_unstable();
    found
}

/// How busy a proxy's cores were between the two looks.
fn utilisation(worked: &[Worked], cores: u16) -> f64 {
    let looks: Vec<&Worked> = worked.iter().filter(|look| look.host == "proxy-0").collect();
    let [first, .., last] = looks.as_slice() else { return 0.0 };
    let took = (last.at - first.at).as_secs_f64() * f64::from(cores.max(1));
    if took > 0.0 { (last.busy - first.busy).as_secs_f64() / took } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::id::{ClientId, LegId, SessionId, SourceId};

    #[test]
    fn what_never_comes_and_what_comes_late_counts_against_the_goodput() {
        let symbol = Symbol::numbered(0);
        let send =
            |at_us, n| Timed { at_us, event: Event::SourceSend { source: SourceId(0), leg: LegId(0), symbol, n } };
        let deliver = |at_us, client, n| {
            let (client, session) = (ClientId(client), SessionId(0));
            Timed { at_us, event: Event::ClientDeliver { client, session, symbol, n, stamp: None, intact: true } }
        };
        let subscribe = |client| Timed {
            at_us: 1,
            event: Event::ClientSubscribe { client: ClientId(client), session: SessionId(0), symbol },
        };
        let events = [
            subscribe(0),
            subscribe(1),
            send(5, 0),
            send(10, 1),
            deliver(12, 0, 1),
            deliver(13, 0, 0),
            send(20, 2),
            deliver(28, 1, 1),
            deliver(30, 0, 2),
            send(50, 3),
        ];
        let found = judged(&events, 10, 40, Goodput { within: Span::from_micros(10), share_min: 0.9 });
        assert_eq!((found.planned, found.in_time, found.ages.as_slice()), (4, 2, [2, 10, 18].as_slice()));
        assert_eq!(found.share(), 0.5);
    }
}
