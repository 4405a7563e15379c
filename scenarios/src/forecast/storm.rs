//! The loss of an instance, over many seeds: each another instant and other draws of its clients.

use serde::Serialize;
use wire::id::ProxyId;

use super::aftermath::{Aftermath, aftermath, quantile};
use super::formula::{Beside, beside};
use super::over::Over;
use super::population::Population;
use super::world::{Fleet, NoWorld};
use crate::engine::{self, EngineError, Options, Run};
use crate::model::{Engine, Scenario, ServiceTime};
use crate::plan::Plan;
use crate::span::Span;

/// One run, in figures. Times in seconds, from the loss; None: not while it was watched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storm {
    /// The seed.
    pub seed: u64,
    /// Until 99 of 100 lost clients had messages again.
    pub back_99_s: Option<f64>,
    /// Until all had.
    pub back_s: Option<f64>,
    /// p99 of the time from the dial to the session, of those that were lost; None: nobody has one.
    pub connect_p99_s: Option<f64>,
    /// p99 of the age of messages of the other instances' clients, until all were back.
    pub untouched_p99_s: Option<f64>,
    /// What became of all.
    #[serde(skip)]
    pub aftermath: Aftermath,
}

/// Many runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storms {
    /// What was asked.
    pub fleet: Fleet,
    /// What work costs one instance, as calibrated.
    #[serde(skip)]
    pub costs: ServiceTime,
    /// Who was simulated.
    pub population: Population,
    /// How busy each core is with messages before the loss, by the costs; 1 is all of it.
    pub utilisation_before: f64,
    /// And afterwards.
    pub utilisation_after: f64,
    /// Seconds until 99 of 100 lost clients had messages again.
    pub back_99_s: Over,
    /// Seconds until all had.
    pub back_s: Over,
    /// Seconds from the dial to the session: the p99 of each run.
    pub connect_p99_s: Over,
    /// Seconds of age of what the other instances' clients got meanwhile: the p99 of each run.
    pub untouched_p99_s: Over,
    /// The same before the loss, median over the runs.
    pub before_p99_s: Option<f64>,
    /// Dials to the lost instance for each lost client, as a mean: refused and unheard.
    pub wasted_dials: f64,
    /// Dials turned away by admission for each lost client, as a mean.
    pub shed: f64,
    /// Clients of other instances that lost their sessions, in the worst run.
    pub touched_worst: u32,
    /// The sum on paper.
    pub beside: Beside,
    /// The seed whose recovery is the median.
    pub median_seed: u64,
    /// Each run.
    pub runs: Vec<Storm>,
}

/// Why there is no forecast.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// What was asked for cannot be: another value would do.
    #[error("{0}")]
    Asked(String),
    /// A program failed in a run, of which nothing is said then: the seed, and how.
    #[error("in the world of seed {0} a program failed: {1}")]
    Program(u64, String),
    /// The harness failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<NoWorld> for ForecastError {
    fn from(no: NoWorld) -> Self {
        Self::Asked(no.to_string())
    }
}

/// How many seeds, and how to run them.
pub trait Seeds {
    /// Does what `work` makes of each seed, in whatever order, and gives the results in order of the seeds.
    ///
    /// # Errors
    /// The first of `work`.
    fn each<T: Send>(&self, work: impl Fn(u64) -> Result<T, ForecastError> + Sync) -> Result<Vec<T>, ForecastError>;
}

/// Loses an instance once for each seed, and watches until all are back, `watched_max` at most.
///
/// # Errors
/// [`ForecastError`].
pub fn storms(
    fleet: &Fleet,
    costs: ServiceTime,
    seeds: &impl Seeds,
    watched_max: Span,
) -> Result<Storms, ForecastError> {
    check(fleet)?;
    let runs = seeds.each(|seed| one(fleet, costs, seed, watched_max))?;
    gathered(fleet, costs, runs).ok_or_else(|| ForecastError::Asked("no seeds: nothing was simulated".to_owned()))
}

fn check(fleet: &Fleet) -> Result<(), ForecastError> {
    let asked = |what: &str| Err(ForecastError::Asked(what.to_owned()));
    if !(2..=16).contains(&fleet.instances) {
        return asked("instances must be 2 to 16: one is lost, and the others are left");
    }
    if fleet.clients < u32::from(fleet.instances) {
        return asked("clients must be at least one for each instance");
    }
    Ok(())
}

/// A run of a seed. It is watched for as long as the sum on paper takes and some more; where that is too short, for twice as long, and so on.
pub(super) fn one(fleet: &Fleet, costs: ServiceTime, seed: u64, watched_max: Span) -> Result<Storm, ForecastError> {
    let mut watched = first_watch(fleet, costs).min(watched_max);
    loop {
        let scenario = fleet.scenario(costs, seed, watched)?;
        let found = run(&scenario, seed)?;
        if found.missing == 0 || watched >= watched_max {
            return Ok(Storm::new(seed, found));
        }
        watched = Span::from_micros(watched.as_micros().saturating_mul(2)).min(watched_max);
    }
}

/// The scenario of one seed's run, watched for so long: what a file would say.
///
/// # Errors
/// [`ForecastError::Asked`].
pub fn scenario(fleet: &Fleet, costs: ServiceTime, seed: u64, watched: Span) -> Result<Scenario, ForecastError> {
    check(fleet)?;
    Ok(fleet.scenario(costs, seed, watched)?)
}

fn run(scenario: &Scenario, seed: u64) -> Result<Aftermath, ForecastError> {
    let plan = Plan::new(scenario, seed);
    let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: true };
    let run = lives(engine::run(&plan, options)?)?;
    let steady_at = u64::try_from(plan.steady_at.as_micros()).unwrap_or(u64::MAX);
    Ok(aftermath(run.events.as_deref().unwrap_or_default(), ProxyId(0), steady_at))
}

/// A run in which no program failed: of another there is nothing to say.
pub(super) fn lives(run: Run) -> Result<Run, ForecastError> {
    let failed =
        run.verdict.invariants.iter().find(|invariant| invariant.name == "programs-live" && invariant.broken > 0);
    match failed.and_then(|failed| failed.violations.first()) {
        Some(violation) => Err(ForecastError::Program(run.verdict.seed, violation.message.clone())),
        None => Ok(run),
    }
}

/// What the sum on paper takes, a quarter more, what detection adds, two ticks and half a second.
fn first_watch(fleet: &Fleet, costs: ServiceTime) -> Span {
    let paper = beside(fleet, costs, &[]).recovery_s.min(3_600.0);
    let detect = fleet.detect.as_secs_f64();
    let tick = fleet.feed.period().as_secs_f64();
    Span::from_micros(((paper * 1.25 + detect + 2.0 * tick + 0.5) * 1e6) as u64)
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

impl Storm {
    fn new(seed: u64, aftermath: Aftermath) -> Self {
        Self {
            seed,
            back_99_s: aftermath.back(0.99).map(seconds),
            back_s: aftermath.back(1.0).map(seconds),
            connect_p99_s: quantile(&aftermath.connect_us, 0.99).map(seconds),
            untouched_p99_s: Some(quantile(&aftermath.untouched_us, 0.99).map_or(0.0, seconds)),
            aftermath,
        }
    }
}

fn gathered(fleet: &Fleet, costs: ServiceTime, runs: Vec<Storm>) -> Option<Storms> {
    let over = |of: fn(&Storm) -> Option<f64>| Over::of(runs.iter().map(|run| (run.seed, of(run))));
    let each = f64::from(fleet.clients) / f64::from(fleet.instances);
    let lost: f64 = runs.iter().map(|run| f64::from(run.aftermath.lost)).sum::<f64>().max(1.0);
    let sum = |of: fn(&Aftermath) -> u32| runs.iter().map(|run| f64::from(of(&run.aftermath))).sum::<f64>() / lost;
    let before = Over::of(runs.iter().map(|run| (run.seed, quantile(&run.aftermath.before_us, 0.99).map(seconds))));
    let recoveries: Vec<(u64, Option<f64>)> = runs.iter().map(|run| (run.seed, run.back_s)).collect();
    Some(Storms {
        fleet: *fleet,
        costs,
        population: fleet.population(),
        utilisation_before: fleet.utilisation(costs, each),
        utilisation_after: fleet.utilisation(costs, each * f64::from(fleet.instances) / f64::from(fleet.instances - 1)),
        back_99_s: over(|run| run.back_99_s)?,
        back_s: over(|run| run.back_s)?,
        connect_p99_s: over(|run| run.connect_p99_s)?,
        untouched_p99_s: over(|run| run.untouched_p99_s)?,
        before_p99_s: before.and_then(|before| before.median),
        wasted_dials: sum(|run| run.dials.refused + run.dials.unheard),
        shed: sum(|run| run.dials.shed),
        touched_worst: runs.iter().map(|run| run.aftermath.touched).max().unwrap_or(0),
        beside: beside(fleet, costs, &runs),
        median_seed: Over::median_seed(&recoveries)?,
        runs,
    })
}
