//! The engine `sockets`: the same plan with real processes over loopback.
//!
//! ```text
//!   Plan --> stage.json --> a process for each host (host) --> NAME.LIFE.jsonl --+
//!     |                                                                          +--> merge --> Recorder --> checkers, metrics
//!     `----> agenda --> players: start, kill -9, SIGSTOP, signals ---------------+
//! ```
//!
//! A host is this program again (`windtunnel host`), which calls the function that the simulated host calls, with the same configuration, over kernel sockets. Events
//! are stamped by the clock that all processes share, and put together when the run is over (`merge`). `able` says what cannot be had here, `real` what real time
//! changes in the judgement.

mod able;
mod book;
mod clock;
mod foreign;
mod host;
mod merge;
mod net;
mod players;
mod pulse;
mod real;
mod relays;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use reports::record::Invariant;
use wire::event::{Event, Phase, Timed};

use self::book::{BEGIN, Block, STAGE, Seat, Stage};
use self::clock::{Clock, monotonic_us};
use self::merge::{Stream, Witness, merge};
use self::players::{Gathered, Players};
use self::pulse::Lateness;
use self::relays::{Relays, Route, Toxic};
use super::driver::{Agenda, Move, PHASES, number};
use super::{Ended, Options, Segments};
use crate::check;
use crate::marks;
use crate::plan::{Plan, SOURCE_ACTIVE, source_host};
use crate::recorder::Recorder;

pub(crate) use self::able::{foreign_lack, lack};
pub use self::foreign::{Foreign, ForeignError};
pub(super) use self::host::play;

/// How the machine of a run did.
#[derive(Debug)]
pub(super) struct Machine {
    /// Sources and hosts of clients that no fault held up.
    instruments: Vec<(String, Lateness)>,
    /// The command of the program in the proxy's place, if another is.
    pub(super) proxy: Option<String>,
    /// The invariants that were asked for, and need the account of our proxy.
    pub(super) not_applicable: Vec<String>,
}

/// Sees to what failed only because the machine did not keep up, and says whether it did.
pub(super) fn judge(invariants: &mut Vec<Invariant>, machine: &Machine) {
    real::judge(invariants, &machine.instruments);
}

/// Runs a plan.
pub(super) fn run(plan: &Plan, options: Options, foreign: Option<&Foreign>) -> Result<Ended, String> {
    let work = Work::new()?;
    let block = Claimed::any()?;
    let routes = book::routes(plan, block.block);
    let stage = stage(plan, options, block.block, &routes);
    stage.write(&work.path)?;
    let relays = Relays::start(routes, block.block.relays())?;
    let mut players = Players::new(plan, work.path.clone(), &stage, foreign);
    players.start_all()?;
    let clock = begin(&work.path)?;
    let driven = drive(plan, &mut players, &relays, clock)?;
    let Gathered { mut streams, broken, instruments, marks: reached } = players.end()?;
    streams.push(Stream { witness: Witness::Driver, until_us: None, events: driven });
    let record = merge(streams, &relays.behind());
    drop(relays);
    let (mut objectives, mut not_applicable) = (real::allowed(&plan.scenario), Vec::new());
    if foreign.is_some() {
        not_applicable = real::seen_from_outside(&mut objectives);
    }
    let recorder = Recorder::new(
        plan,
        check::build(&objectives, &super::facts(plan)),
        super::collector(plan),
        options.keep_events,
        None,
        || 0,
    );
    let events = record.len();
    for Timed { at_us, event } in record {
        recorder.record_at(at_us, event);
    }
    let mut recorded = recorder.take().ok_or("the record was taken twice")?;
    for (mark, times) in reached {
        if let Some(mark) = marks::find(&mark) {
            *recorded.marks.entry(mark.name).or_default() += times;
        }
    }
    let end_us = u64::try_from(plan.end_at.as_micros()).unwrap_or(u64::MAX);
    Ok(Ended {
        recorded,
        end_us,
        broken,
        log: format!("engine sockets\nevents {events}\nprocesses {}\n", book::hosts(plan).len()),
        said: None,
        standing: Vec::new(),
        engine_hash: 0,
        segments: Segments::default(),
        packets: None,
        machine: Some(Machine {
            instruments,
            proxy: foreign.map(|foreign| foreign.command().to_owned()),
            not_applicable: not_applicable.into_iter().map(str::to_owned).collect(),
        }),
    })
}

/// Who is where.
fn stage(plan: &Plan, options: Options, block: Block, routes: &[Route]) -> Stage {
    // What a process had done must be known when it is killed; and who carries legs, when `source-active` is asked for.
    let at_once = |host: &str| {
        let asked = |target: &str| target.contains(SOURCE_ACTIVE) && host.starts_with("source-");
        plan.faults.iter().any(|it| asked(&it.target) || (it.kind.ends_process() && it.target == host))
    };
    let seat = |host: String| {
        let relayed = |name: &str| routes.iter().find(|route| route.ends.0 == host && route.ends.1 == name);
        let at = |name: String| {
            let addr = relayed(&name).map_or_else(|| block.of(&name), |route| route.listen);
            (name, addr)
        };
        let names = book::dialled(plan, &host).into_iter().map(at);
        let names = names.collect();
        let desk = plan.client_hosts.iter().position(|desk| desk.name == host);
        let addr = desk.map_or_else(|| block.of(&host).ip(), |desk| block.desk(desk));
        let seat = Seat { addr, names, at_once: at_once(&host) };
        (host, seat)
    };
    let seats: BTreeMap<String, Seat> = book::hosts(plan).into_iter().map(seat).collect();
    let mutant = options.mutant.map(|mutant| mutant.name.to_owned());
    Stage { scenario: plan.scenario.clone(), seed: plan.seed, mutant, seats }
}

impl Stage {
    fn write(&self, dir: &Path) -> Result<(), String> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        let path = dir.join(STAGE);
        std::fs::write(&path, text).map_err(|error| format!("failed to write {}: {error}", path.display()))
    }
}

/// Tells all processes when the run begins, a moment from now.
fn begin(dir: &Path) -> Result<Clock, String> {
    const AHEAD: Duration = Duration::from_millis(100);
    let began_us = monotonic_us() + u64::try_from(AHEAD.as_micros()).unwrap_or(0);
    let (path, beside) = (dir.join(BEGIN), dir.join("begin.new"));
    // Whole or not at all: they look for it all the time.
    let told = std::fs::write(&beside, format!("{began_us}\n")).and_then(|()| std::fs::rename(&beside, &path));
    told.map_err(|error| format!("failed to write {}: {error}", path.display()))?;
    Ok(Clock { began_us })
}

/// Waits for each move of the plan and carries it out; gives what it did.
fn drive(plan: &Plan, players: &mut Players, relays: &Relays, clock: Clock) -> Result<Vec<Timed>, String> {
    let mut agenda = Agenda::new(plan);
    let mut events = Vec::new();
    // The hosts that faults really hit.
    let mut hits: BTreeMap<usize, String> = BTreeMap::new();
    while let Some((at, next)) = agenda.0.pop_first() {
        sleep_until(clock, at);
        let at_us = clock.now_us();
        let mut note = |event| events.push(Timed { at_us, event });
        match next {
            Move::Enter(phase) => {
                let phase = PHASES[phase];
                note(Event::Phase { phase });
                if phase == Phase::End {
                    break;
                }
            }
            Move::Begin(fault) => {
                let planned = &plan.faults[fault];
                let target = match planned.target.contains(SOURCE_ACTIVE) {
                    true => planned.target.replace(SOURCE_ACTIVE, &source_host(players.active_source())),
                    false => planned.target.clone(),
                };
                let (kind, name) = (planned.kind.word().into(), target.as_str().into());
                note(Event::FaultStart { fault: number(fault), kind, target: name });
                match planned.simulated.as_ref().and_then(Toxic::of) {
                    Some(toxic) => relays.strike(fault, &target, &toxic),
                    None => players.strike(fault, planned, &target, at_us)?,
                }
                if planned.kind.is_instant() {
                    note(Event::FaultStop { fault: number(fault) });
                }
                hits.insert(fault, target);
            }
            Move::End(fault) => {
                if let Some(target) = hits.remove(&fault) {
                    note(Event::FaultStop { fault: number(fault) });
                    relays.lift(fault, &target);
                    players.lift(fault, &plan.faults[fault], &target, at_us)?;
                }
            }
        }
    }
    Ok(events)
}

#[expect(clippy::disallowed_methods, reason = "real time: the driver of a run over sockets")]
fn sleep_until(clock: Clock, at: Duration) {
    let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    let left = clock.began_us.saturating_add(at_us).saturating_sub(monotonic_us());
    std::thread::sleep(Duration::from_micros(left));
}

/// The folder of a run's processes; gone with it.
struct Work {
    path: PathBuf,
}

/// Runs of this process so far.
static RUNS: AtomicU16 = AtomicU16::new(0);

impl Work {
    fn new() -> Result<Self, String> {
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("windtunnel-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("failed to make {}: {error}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // WINDTUNNEL_KEEP: for whoever wants to see what the processes wrote.
        if std::env::var_os("WINDTUNNEL_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A block of addresses that nobody else has, for as long as this lives.
struct Claimed {
    block: Block,
    #[expect(clippy::disallowed_types, reason = "a lock that the kernel gives back, outside all runs")]
    _lock: std::net::TcpListener,
}

impl Claimed {
    fn any() -> Result<Self, String> {
        const TRIES: u16 = 64;
        let first = u16::try_from(std::process::id() % 32_768).unwrap_or(0);
        let mut last = None;
        for n in 0..TRIES {
            // Far from where the next process begins.
            let block = Block::nth(first.wrapping_add(n.wrapping_mul(257)));
            #[expect(clippy::disallowed_types, reason = "a lock that the kernel gives back, outside all runs")]
            match std::net::TcpListener::bind(block.lock()) {
                Ok(lock) => return Ok(Self { block, _lock: lock }),
                Err(error) => last = Some(error),
            }
        }
        let why = last.map_or_else(String::new, |error| format!(": {error}"));
        Err(format!("found no block of loopback addresses in {TRIES} tries{why}"))
    }
}
