//! What of a scenario real sockets cannot express. Pure.

use std::time::Duration;

use crate::model::FaultKind;
use crate::plan::{Plan, Shape};

/// A run takes its time on the wall: no longer than this.
const LASTS_MAX: Duration = Duration::from_secs(60);
/// Clients that one machine carries beside all else.
const CLIENTS_MAX: u32 = 4_000;

/// The first thing of a scenario that a run over sockets does not have; None: it can be run.
pub(crate) fn lack(plan: &Plan) -> Option<String> {
    if plan.end_at > LASTS_MAX {
        let (whole, most) = (crate::span::Span::from_micros(micros(plan.end_at)), LASTS_MAX.as_secs());
        return Some(format!("its length: a run takes {whole} of real time, more than {most} s"));
    }
    if plan.clients() > CLIENTS_MAX {
        return Some(format!("{} clients: one machine carries at most {CLIENTS_MAX} beside all else", plan.clients()));
    }
    if plan.scenario.check.host_leaks.is_some() && judges_only_leaks(plan) {
        return Some(
            "its only invariant is host-leaks: nobody can look into a kernel as the simulator does".to_owned(),
        );
    }
    if plan.scenario.balancer.is_some() {
        return Some("one address for several instances: clients are told the addresses of all".to_owned());
    }
    if !plan.triggers.is_empty() {
        return Some("a fault that waits for an event: events are gathered when the run is over".to_owned());
    }
    let mut shapes = std::iter::once(Shape::of(&plan.scenario.network)).chain(plan.links.values().copied());
    if shapes.any(|shape| shape.loss > 0.0) {
        return Some("loss: a relay of bytes has no packets to lose".to_owned());
    }
    plan.faults.iter().find_map(|fault| {
        let why = misses(fault.kind)?;
        Some(format!("{} of {}: {why}", fault.kind.word(), fault.target))
    })
}

/// The first thing that cannot be had with another program in the proxy's place.
pub(crate) fn foreign_lack(plan: &Plan, mutant: bool) -> Option<String> {
    if plan.edges() > 0 {
        return Some("a tier of edges: --proxy-cmd is for one tier".to_owned());
    }
    if mutant {
        return Some("a planted bug: they are planted in our proxy only".to_owned());
    }
    let operated = plan.faults.iter().find(|fault| fault.kind.is_operated())?;
    Some(format!("{} of {}: only our proxy is known to do that", operated.kind.word(), operated.target))
}

/// Why a kind of fault cannot be had.
fn misses(kind: FaultKind) -> Option<&'static str> {
    Some(match kind {
        FaultKind::ClockJump | FaultKind::ClockDrift => "all processes share the machine's clock",
        FaultKind::Backlog => "accept queues are the kernel's",
        FaultKind::Descriptors => "a limit on descriptors counts files, too",
        FaultKind::BlackHole => "loopback loses no connection request",
        FaultKind::Nxdomain | FaultKind::SlowLookup => "addresses are told to the processes, not looked up",
        FaultKind::Loss | FaultKind::BurstLoss => "a relay of bytes has no packets to lose",
        FaultKind::HalfOpen => "no kernel forgets a connection without a word",
        FaultKind::SlowHost => "what slows a process is not in our hand",
        _ => return None,
    })
}

fn judges_only_leaks(plan: &Plan) -> bool {
    let mut check = plan.scenario.check.clone();
    check.host_leaks = None;
    check == crate::check::Objectives::default()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
