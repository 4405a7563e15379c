//! The driver: makes things go wrong when their time or their event has come, and ends the run.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use sim::{FaultError, FaultId, Faults, HostState};
use tokio::time::Instant;
use wire::event::{Event, Phase, Sink};

use super::Worked;
use super::cast::Hosts;
use super::reins::Reins;
use crate::model::FaultKind;
use crate::plan::{Plan, Planned, SOURCE_ACTIVE, Start, number as numbered, source_host};
use crate::recorder::Recorder;

/// One thing to do. At one instant: what ends, then the phase that begins, then the faults that begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Move {
    /// The fault at this place of the plan ends.
    End(usize),
    /// This one of [`PHASES`] begins.
    Enter(usize),
    /// The fault at this place of the plan begins.
    Begin(usize),
}

pub(super) const PHASES: [Phase; 4] = [Phase::Warmup, Phase::Steady, Phase::Recovery, Phase::End];

/// What is to be done, in order of time.
pub(super) struct Agenda(pub(super) BTreeSet<(Duration, Move)>);

impl Agenda {
    /// All of which the time is known beforehand.
    pub(super) fn new(plan: &Plan) -> Self {
        let mut agenda = Self(BTreeSet::new());
        for (fault, planned) in plan.faults.iter().enumerate() {
            if let Start::At(at) = planned.start {
                agenda.0.insert((at, Move::Begin(fault)));
                if let Some(lasts) = planned.lasts {
                    agenda.0.insert((at + lasts, Move::End(fault)));
                }
            }
        }
        for (phase, at) in [Duration::ZERO, plan.steady_at, plan.recovery_at, plan.end_at].into_iter().enumerate() {
            agenda.0.insert((at, Move::Enter(phase)));
        }
        agenda
    }

    /// What a fault waited for came at `now`: it begins after the delay and ends as it was to last, both within the steady phase.
    fn due(&mut self, plan: &Plan, trigger: usize, now: Duration) {
        let first = now + plan.triggers[trigger].delay;
        for (fault, planned) in plan.faults.iter().enumerate() {
            let at = first + planned.late;
            if planned.start == Start::After(trigger) && at < plan.recovery_at {
                self.0.insert((at, Move::Begin(fault)));
                if let Some(lasts) = planned.lasts {
                    self.0.insert(((at + lasts).min(plan.recovery_at), Move::End(fault)));
                }
            }
        }
    }
}

/// Sleeps to each move, or until an event has come that a fault waits for; records the move, carries it out; ends the run.
pub(super) async fn drive<F: Faults>(
    plan: Plan,
    recorder: Arc<Recorder>,
    control: F,
    reins: Reins,
    hosts: Hosts,
) -> Result<(), DriveError> {
    let begin = Instant::now();
    if !plan.triggers.is_empty() {
        // Between an event and its fault nobody else moves.
        control.go_first();
    }
    let mut agenda = Agenda::new(&plan);
    // What each fault is in force as.
    let mut hits: Vec<Option<FaultId>> = vec![None; plan.faults.len()];
    while let Some((at, next)) = agenda.0.first().copied() {
        // A timer would wait for the next whole millisecond.
        if at > begin.elapsed() {
            wire::select! {
                due = poll_fn(|cx| recorder.poll_due(cx.waker())) => {
                    let now = begin.elapsed();
                    due.into_iter().for_each(|trigger| agenda.due(&plan, trigger, now));
                    continue;
                }
                () = tokio::time::sleep_until(begin + at) => {}
            }
        }
        agenda.0.remove(&(at, next));
        match next {
            Move::Enter(phase) => {
                let phase = PHASES[phase];
                if matches!(phase, Phase::Steady | Phase::End) && plan.scenario.check.host_leaks.is_some() {
                    look_at(&hosts, &recorder, control);
                }
                if matches!(phase, Phase::Steady | Phase::Recovery) && plan.scenario.service_time.is_some() {
                    note_work(&hosts, &recorder, control);
                }
                recorder.record(Event::Phase { phase });
                if phase == Phase::End {
                    break;
                }
            }
            Move::Begin(fault) => hits[fault] = strike(&plan, fault, &recorder, control, &reins)?,
            Move::End(fault) => {
                hits[fault].take().into_iter().for_each(|id| control.lift(id));
                let planned = &plan.faults[fault];
                if planned.kind == FaultKind::Drain {
                    // It has left by now, or is made to.
                    control.inject(&sim::FaultKind::Restart, &planned.target.parse()?)?;
                }
                recorder.record(Event::FaultStop { fault: number(fault) });
            }
        }
    }
    recorder.close();
    control.finish();
    Ok(())
}

/// Notes for how long each host has worked so far, where the engine can tell: beside the record, not in it.
fn note_work<F: Faults>(hosts: &Hosts, recorder: &Recorder, control: F) {
    let at = control.elapsed();
    for (name, host) in hosts {
        if let Ok(busy) = control.busy(*host) {
            recorder.note_work(Worked { host: name.clone(), at, busy });
        }
    }
}

/// Records what each host holds, where the engine can tell and the host is up.
fn look_at<F: Faults>(hosts: &Hosts, recorder: &Recorder, control: F) {
    for (name, host) in hosts {
        let (Ok(tasks), Ok(sockets)) = (control.tasks(*host), control.sockets(*host)) else { continue };
        if control.state(*host) == Some(HostState::Running) {
            recorder.record(Event::HostGauge {
                host: name.as_str().into(),
                tasks: tasks as u64,
                sockets: sockets.held as u64,
                unread: sockets.unread,
                unsent: sockets.unsent,
            });
        }
    }
}

/// Begins a fault now.
fn strike<F: Faults>(
    plan: &Plan,
    fault: usize,
    recorder: &Recorder,
    control: F,
    reins: &Reins,
) -> Result<Option<FaultId>, DriveError> {
    let planned = &plan.faults[fault];
    let target = resolve(&planned.target, recorder);
    recorder.record(Event::FaultStart {
        fault: number(fault),
        kind: planned.kind.word().into(),
        target: target.as_str().into(),
    });
    let hit = match &planned.simulated {
        Some(kind) => Some(control.inject(kind, &target.parse()?)?),
        None => {
            operate(planned, reins)?;
            None
        }
    };
    if planned.kind.is_instant() {
        recorder.record(Event::FaultStop { fault: number(fault) });
    }
    Ok(hit)
}

/// What an operator does to a proxy, through the program's own door.
fn operate(planned: &Planned, reins: &Reins) -> Result<(), DriveError> {
    let Some(proxy) = numbered(Some(&planned.target), "proxy-") else { return Ok(()) };
    match planned.kind {
        FaultKind::Drain => reins.drain(proxy),
        FaultKind::Reload => {
            if let Some(changes) = &planned.changes {
                reins
                    .reload(proxy, changes)
                    .map_err(|refused| DriveError::Reload { proxy: planned.target.clone(), refused })?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Why a fault could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum DriveError {
    /// The engine cannot do it: ours.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// A proxy does not take what the scenario has it reload: the scenario's.
    #[error("{proxy} refuses the new configuration: {refused}")]
    Reload {
        /// Which.
        proxy: String,
        /// Its own words.
        refused: proxy::ReloadError,
    },
}

/// A fault's number in the record.
pub(super) fn number(fault: usize) -> u16 {
    u16::try_from(fault).unwrap_or(u16::MAX)
}

/// The target with `source-active` replaced by the source that carries legs now (the first source if none does: the run then does not reach what it is about).
fn resolve(target: &str, recorder: &Recorder) -> String {
    if !target.contains(SOURCE_ACTIVE) {
        return target.to_owned();
    }
    let source = recorder.active_source().unwrap_or_default();
    target.replace(SOURCE_ACTIVE, &source_host(source.0))
}
