//! Runs a plan and judges it. One run is one fresh thread; nothing of one run is seen by the next.
//!
//! ```text
//!   Plan --> hosts (sources, proxies, clients, driver) --> engine --> events --> Recorder --> checkers, metrics, hash
//! ```
//!
//! The hosts run the same functions that the programs run: `mock_upstream::serve`, `proxy::serve`, `loadgen::run`.

mod cast;
mod driver;
mod reins;
mod simulated;
mod sockets;

pub use self::sockets::{Foreign, ForeignError};

use std::time::Duration;

use reports::log::Log;
use reports::metrics::{Collector, Metrics, MetricsConfig};
use reports::record::{Invariant, Outcome, SCHEMA, Verdict};
use wire::event::Timed;

use crate::check::{self, Facts, Offender};
use crate::logs;
use crate::model::{Clients, Consumed, Engine, Handshake};
use crate::mutants::Mutant;
use crate::pcap::{Packets, Pcap, Place};
use crate::plan::{Plan, Planned, Trigger};
use crate::recorder::{self, Recorded};
use crate::span::Span;
use crate::triggers::{Missing, Triggers};

/// The invariant that no program under test panics, gives up or hangs.
pub(crate) const PROGRAMS_LIVE: &str = "programs-live";
/// The invariant that the instruments of a run over sockets had their turns in time.
pub(crate) const MACHINE: &str = "machine-kept-up";
/// What stands for the hash of a run over sockets.
pub const NOT_REPLAYABLE: &str = "none: real time";

/// How to run a plan.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which world.
    pub engine: Engine,
    /// A planted bug.
    pub mutant: Option<&'static Mutant>,
    /// The number of the order in which tasks that are ready at one instant take their turns, see [`sim::Order::numbered`]; 0: first come, first served.
    pub order: u64,
    /// Keep all events (memory: about 100 bytes each).
    pub keep_events: bool,
}

/// How a run is looked at besides, and whether it keeps to its end.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// What the programs say, if it is wanted. Changes nothing in the run.
    pub log: Option<logs::Wanted>,
    /// For a debugger: [`sim::paused_at`] is called at this virtual time. Changes nothing in the run.
    pub pause_at: Option<Duration>,
    /// The run ends at this virtual time, before what happens then; it is not judged, and [`Run::standing`] says how it stood.
    pub stop_at: Option<Duration>,
    /// From some time on everything is drawn anew: the world's draws, those of programs, the order of ready tasks. What was worked out before from
    /// the run's seed stays: the plan with its faults, and when clients arrive.
    pub reseed: Option<sim::Reseed>,
    /// Another program in the proxy's place, in a run over sockets.
    pub proxy: Option<Foreign>,
}

/// A run, judged.
#[derive(Debug)]
pub struct Run {
    /// The verdict; `wall_seconds` is filled in by whoever holds a clock.
    pub verdict: Verdict,
    /// For charts.
    pub metrics: Metrics,
    /// The hash of the events on the way: how many there were, and the hash over them; at most 64.
    pub checkpoints: Vec<(u64, u64)>,
    /// All events, if they were to be kept.
    pub events: Option<Vec<Timed>>,
    /// Lines for `log.txt`: what the engine counted.
    pub log: String,
    /// What the programs said, if that was wanted.
    pub said: Option<Log>,
    /// How each host stood where the run was stopped, if it was.
    pub standing: Vec<sim::Standing>,
    /// The packets, if they were to be captured.
    pub packets: Option<Packets>,
    /// Where CPU costs something: for how long each host had worked when the steady phase began, and when it ended.
    pub worked: Vec<Worked>,
}

/// For how long the cores of a host had worked at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worked {
    /// Its name.
    pub host: String,
    /// When.
    pub at: Duration,
    /// All its cores together, since the beginning.
    pub busy: Duration,
}

/// What the network of a run delivered: a stretch of it in words, and hashes by which the stretch is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    /// The rolling hash after every [`sim::CHECKPOINT_EVERY`] deliveries.
    pub checkpoints: Vec<u64>,
    /// One line for each delivery of the stretch.
    pub lines: Vec<String>,
}

/// The harness failed, not the proxy: exit code 70. (A panic in the proxy is the proxy's failure and stands in the verdict.)
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot express the scenario.
    #[error("engine {engine} cannot run {scenario}: {why}")]
    NotExpressible {
        /// Which engine.
        engine: &'static str,
        /// Which scenario.
        scenario: String,
        /// What it lacks.
        why: String,
    },
    /// The engine itself failed.
    #[error("engine {engine} failed in {scenario} with seed {seed}: {why}")]
    Failed {
        /// Which engine.
        engine: &'static str,
        /// Which scenario.
        scenario: String,
        /// Which seed.
        seed: u64,
        /// How.
        why: String,
    },
}

/// Plays one host of a run over sockets, see [`Engine::Sockets`]: what the hidden command `host` does.
///
/// # Errors
/// A line for a person.
pub fn play_host(stage: &std::path::Path, name: &str, life: u32) -> Result<(), String> {
    sockets::play(stage, name, life)
}

/// The first thing of a scenario that real sockets cannot express.
pub(crate) fn sockets_lack(plan: &Plan) -> Option<String> {
    sockets::lack(plan)
}

impl Engine {
    /// The word in files and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Engine::Sim => "sim",
            Engine::Turmoil => "turmoil",
            Engine::Sockets => "sockets",
        }
    }
}

/// What an engine hands over.
struct Ended {
    recorded: Recorded,
    end_us: u64,
    /// A program failed: a panic or an error, which is a violation of its own.
    broken: Option<String>,
    log: String,
    said: Option<Log>,
    standing: Vec<sim::Standing>,
    engine_hash: u64,
    segments: Segments,
    packets: Option<Packets>,
    /// How the machine did, in a run that took its time.
    machine: Option<sockets::Machine>,
}

/// Whether the engine can run a plan at all.
///
/// # Errors
/// [`EngineError::NotExpressible`] says what it lacks.
pub fn able(plan: &Plan, engine: Engine) -> Result<(), EngineError> {
    plan.expressible(engine).map_err(|why| cannot(plan, engine, why))
}

/// Whether a plan can be run with another program in the proxy's place.
///
/// # Errors
/// [`EngineError::NotExpressible`] says why not.
pub fn able_with_foreign(plan: &Plan, options: Options) -> Result<(), EngineError> {
    let lack = match options.engine {
        Engine::Sockets => sockets::foreign_lack(plan, options.mutant.is_some()),
        Engine::Sim | Engine::Turmoil => {
            Some("another program in the proxy's place: it runs over sockets only".to_owned())
        }
    };
    lack.map_or(Ok(()), |why| Err(cannot(plan, options.engine, format!("cannot express: {why}"))))
}

fn cannot(plan: &Plan, engine: Engine, why: String) -> EngineError {
    EngineError::NotExpressible { engine: engine.word(), scenario: plan.scenario.name.clone(), why }
}

/// Runs a plan.
///
/// # Errors
/// [`EngineError`] where the engine cannot run it or fails itself.
pub fn run(plan: &Plan, options: Options) -> Result<Run, EngineError> {
    run_captured(plan, options, None)
}

/// Runs a plan and captures its packets where that is wanted, which changes nothing in the run.
///
/// # Errors
/// As [`run`]; [`EngineError::NotExpressible`] also where packets cannot be captured as wanted.
pub fn run_captured(plan: &Plan, options: Options, pcap: Option<&Pcap>) -> Result<Run, EngineError> {
    run_looked_at(plan, options, pcap, &Look::default())
}

/// Runs a plan, captures its packets and looks at it otherwise, as is wanted.
///
/// # Errors
/// As [`run_captured`].
pub fn run_looked_at(plan: &Plan, options: Options, pcap: Option<&Pcap>, look: &Look) -> Result<Run, EngineError> {
    if options.order != 0 && options.engine != Engine::Sim {
        return Err(cannot(plan, options.engine, "it has one order of ready tasks only".to_owned()));
    }
    let places = pcap.map(|pcap| pcap.places(plan, options.engine)).transpose();
    let places = places.map_err(|why| cannot(plan, options.engine, why.to_string()))?;
    Ok(judge(plan, options, simulate(plan, options, None, pcap.zip(places.as_deref()), look)?))
}

/// Runs a plan in the world of its engine.
fn simulate(
    plan: &Plan,
    options: Options,
    segments_from: Option<u64>,
    pcap: Option<(&Pcap, &[Place])>,
    look: &Look,
) -> Result<Ended, EngineError> {
    able(plan, options.engine)?;
    if look.proxy.is_some() {
        able_with_foreign(plan, options)?;
    }
    let ended = match options.engine {
        Engine::Sockets => sockets::run(plan, options, look.proxy.as_ref()),
        Engine::Sim | Engine::Turmoil => simulated::run(plan, options, segments_from, pcap, look),
    };
    ended.map_err(|why| EngineError::Failed {
        engine: options.engine.word(),
        scenario: plan.scenario.name.clone(),
        seed: plan.seed,
        why,
    })
}

/// Runs a plan for what its network delivers, from the delivery with the number `from` (counted from 0) on.
///
/// # Errors
/// As [`run`].
pub fn segments(plan: &Plan, options: Options, from: u64) -> Result<Segments, EngineError> {
    Ok(simulate(plan, options, Some(from), None, &Look::default())?.segments)
}

/// Between two ticks of the symbols.
fn periods(plan: &Plan) -> check::Periods {
    let sources = &plan.scenario.sources;
    match sources.rates {
        None => check::Periods::alike(sources.period.as_micros()),
        Some(_) => {
            check::Periods::each(sources.names().into_iter().zip(sources.periods().into_iter().map(Span::as_micros)))
        }
    }
}

/// What checkers may know of the plan.
fn facts(plan: &Plan) -> Facts {
    /// The proxy's default.
    const HOT_LEGS: u16 = 2;
    let consumed = plan.scenario.proxy.sources;
    let limits = plan.limits();
    Facts {
        sources: plan.scenario.sources.count,
        proxies: plan.scenario.proxy.count + plan.edges(),
        edges: plan.edges(),
        clients: plan.clients(),
        periods: periods(plan),
        slow_clients: plan.slow_clients(),
        copies: if consumed == Some(Consumed::Hot) { plan.scenario.sources.count.min(HOT_LEGS) } else { 1 },
        slow_client: plan.scenario.proxy.slow_client,
        edge_slow_client: plan.scenario.edge.as_ref().and_then(|edge| edge.slow_client),
        moves: consumed == Some(Consumed::Sharded),
        hostile: plan.clients_of(|group| plan.scenario.front().finds_hostile(&group.behaviour)),
        offenders: offenders(plan),
        wrong_keys: plan.clients_of(|group| !plan.scenario.front().knows_key_of(&group.behaviour)),
        silent: plan.clients_of(|group| !group.behaviour.pongs),
        pings: (micros(limits.client_ping_interval), micros(limits.client_pong_timeout)),
        dawdlers: plan.clients_of(|group| group.behaviour.handshake != Handshake::Whole),
        handshake_us: micros(limits.handshake_timeout),
        handshakes_max: limits.handshakes_max,
        quota: quota(&limits),
        drain: drain(plan.scenario.proxy.drain),
        reloads: plan
            .faults
            .iter()
            .enumerate()
            .filter_map(|(number, fault)| {
                Some((u16::try_from(number).unwrap_or(u16::MAX), fault.changes.as_ref()?.clients_max))
            })
            .collect(),
        client_hosts: plan
            .client_hosts
            .iter()
            .map(|host| (host.name.clone(), host.first.0..host.first.0 + host.count))
            .collect(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Requests of a session: in a second, and at once.
fn quota(limits: &proxy::Limits) -> (f64, f64) {
    match limits.client_requests_per_second_max {
        0 => (f64::INFINITY, f64::INFINITY),
        per_s => (f64::from(per_s), f64::from(limits.client_requests_burst.max(1))),
    }
}

/// What is to become of those who break the protocol or are not let in.
fn offenders(plan: &Plan) -> Vec<(std::ops::Range<u32>, Offender)> {
    let proxy = plan.scenario.front();
    let message_max = plan.limits().client_message_max;
    let outcome = |group: &Clients| {
        let behaviour = &group.behaviour;
        if !proxy.lets_origin_of(behaviour) {
            Some(Offender::Refused)
        } else if !proxy.knows_key_of(behaviour) {
            Some(Offender::Closed(wire::close::POLICY_VIOLATION))
        } else {
            behaviour.offends.map(|offence| Offender::Closed(offence.done(message_max).code()))
        }
    };
    let mut first = 0;
    let mut found = Vec::new();
    for group in &plan.scenario.clients {
        found.extend(outcome(group).map(|outcome| (first..first + group.count, outcome)));
        first += group.count;
    }
    found
}

fn drain(said: crate::model::Drain) -> check::Drain {
    let (tell, grace, time, deadline, code) = said.worked_out();
    check::Drain {
        tell_us: tell.as_micros(),
        grace_us: grace.as_micros(),
        time_us: time.as_micros(),
        deadline_us: deadline.as_micros(),
        code,
    }
}

fn collector(plan: &Plan) -> Collector {
    Collector::new(MetricsConfig {
        proxies: plan.scenario.proxy.count + plan.edges(),
        edges: plan.edges(),
        sources: plan.scenario.sources.count,
        clients: plan.clients(),
        ..MetricsConfig::default()
    })
}

fn judge(plan: &Plan, options: Options, ended: Ended) -> Run {
    let Ended { recorded, end_us, broken, log, said, standing, engine_hash, segments: _, packets, machine } = ended;
    let reached = recorder::reached(plan, &recorded.reached, &recorded.marks);
    let marks = recorded.marks.into_iter().map(|(mark, times)| (mark.to_owned(), times)).collect();
    let recovery_us = recorded.bench.measured_us("recovery");
    let metrics = Metrics { recovery_us, ..recorded.collector.finish(end_us) };
    let mut invariants = recorded.bench.finish(end_us);
    invariants.push(programs_live(end_us, recorded.events, broken));
    invariants.extend(faults_begin(plan, &recorded.triggers));
    if let Some(machine) = &machine {
        sockets::judge(&mut invariants, machine);
    }
    if !standing.is_empty() {
        // Half a run breaks what a whole one would have kept: nothing is judged.
        invariants = vec![not_judged(end_us)];
    }
    let mut verdict = invariants.iter().fold(Outcome::Pass, |sum, invariant| sum.and(invariant.verdict));
    if reached.iter().any(reports::record::Reached::is_missed) {
        verdict = verdict.and(Outcome::Inconclusive);
    }
    // Two hashes, one of what the programs saw and one of what the network carried: a run is the same run if both agree.
    let trace_hash = match options.engine {
        // It happened once, and there is nothing to be held against it.
        Engine::Sockets => NOT_REPLAYABLE.to_owned(),
        Engine::Sim | Engine::Turmoil => format!("{:016x}{:016x}", recorded.trace_hash, engine_hash),
    };
    Run {
        verdict: Verdict {
            schema: SCHEMA,
            scenario: plan.scenario.name.clone(),
            seed: plan.seed,
            order: options.order,
            engine: options.engine.word().to_owned(),
            mutant: options.mutant.map(|mutant| mutant.name.to_owned()),
            verdict,
            trace_hash,
            events: recorded.events,
            sim_seconds: Duration::from_micros(end_us).as_secs_f64(),
            wall_seconds: 0.0,
            invariants,
            reached,
            marks,
            recovery_us,
            proxy: machine.as_ref().and_then(|machine| machine.proxy.clone()),
            not_applicable: machine.map_or_else(Vec::new, |machine| machine.not_applicable),
        },
        metrics,
        checkpoints: recorded.checkpoints,
        events: recorded.kept,
        log,
        said,
        standing,
        packets,
        worked: recorded.worked,
    }
}

/// Every fault that waited for an event began: otherwise the run is not the one that was to be looked at. None where no fault waits.
fn faults_begin(plan: &Plan, triggers: &Triggers) -> Option<Invariant> {
    let checked = triggers.faults();
    if checked == 0 {
        return None;
    }
    let missing: Vec<Missing> = triggers.missing().collect();
    let mut summary = format!("{} of {checked} faults that waited for an event began", checked - missing.len());
    for missing in &missing {
        let Planned { kind, target, .. } = &plan.faults[missing.fault];
        let Trigger { words, event, since, .. } = &plan.triggers[missing.trigger];
        let count = if missing.since { since.as_ref().map_or(0, |since| since.count) } else { event.count };
        let why = match (missing.came, missing.since) {
            (true, _) => "which came too late in the steady phase".to_owned(),
            (false, true) => format!("whose beginning came {} of {count} times", missing.seen),
            (false, false) => format!("which came {} of {count} times", missing.seen),
        };
        summary += &format!("; {} of {target} waited for the {words}, {why}", kind.word());
    }
    Some(Invariant {
        name: "faults-begin".to_owned(),
        verdict: if missing.is_empty() { Outcome::Pass } else { Outcome::Inconclusive },
        checked: checked as u64,
        summary,
        broken: 0,
        violations: Vec::new(),
    })
}

/// Stands for the judgement of a run that was stopped.
fn not_judged(end_us: u64) -> Invariant {
    Invariant {
        name: "stopped".to_owned(),
        verdict: Outcome::Inconclusive,
        checked: 0,
        summary: format!("stopped at {}: not judged", Span::from_micros(end_us)),
        broken: 0,
        violations: Vec::new(),
    }
}

/// No program under test panicked, gave up or hung.
fn programs_live(end_us: u64, events: u64, broken: Option<String>) -> Invariant {
    let summary = if broken.is_some() { "a program failed" } else { "no program panicked or gave up" };
    Invariant {
        name: PROGRAMS_LIVE.to_owned(),
        verdict: if broken.is_some() { Outcome::Fail } else { Outcome::Pass },
        checked: 1,
        summary: summary.to_owned(),
        broken: u64::from(broken.is_some()),
        violations: broken
            .map(|message| reports::record::Violation {
                at_us: end_us,
                message,
                events: vec![events.saturating_sub(1)],
            })
            .into_iter()
            .collect(),
    }
}
