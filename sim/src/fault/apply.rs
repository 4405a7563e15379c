//! Faults at work: from names to hosts and ways, from the plan to the clock, and back.

use super::{Fault, FaultError, FaultId, FaultKind, Scope, Target};
use crate::config::micros;
use crate::exec;
use crate::kernel::{self, Happening, Hit, World};

/// A fault whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// Of the plan.
    Begins(u32),
    /// Of the plan.
    Ends(u32),
    /// A slow host stands still, or runs again.
    Turn { fault: u32, host: u32, runs: bool },
}

/// Puts a plan on the clock.
pub(crate) fn schedule(plan: Vec<Fault>) -> Result<(), FaultError> {
    kernel::with(|world| {
        for fault in &plan {
            world.resolve(&fault.kind, &fault.target)?;
        }
        world.plan(plan);
        Ok(())
    })
    .unwrap_or(Ok(()))
}

/// Carries out what the clock has brought. Nothing of the world is borrowed.
pub(crate) fn carry_out() {
    for due in kernel::with(|world| std::mem::take(&mut world.faults.due)).unwrap_or_default() {
        match due {
            Due::Begins(index) => {
                let Some(fault) = kernel::with(|world| world.faults.planned[index as usize].0.clone()) else { return };
                // The targets were there when it was planned, and hosts do not go.
                let id = inject(&fault.kind, &fault.target).ok();
                if fault.stop.is_some_and(|stop| stop <= fault.start) {
                    id.into_iter().for_each(lift);
                } else {
                    kernel::with(|world| world.faults.planned[index as usize].1 = id);
                }
            }
            Due::Ends(index) => {
                let id = kernel::with(|world| world.faults.planned[index as usize].1.take()).flatten();
                id.into_iter().for_each(lift);
            }
            Due::Turn { fault, host, runs } => {
                if kernel::with(|world| world.turn(fault, host, runs)) == Some(true) {
                    if runs { exec::thaw(host, fault) } else { exec::freeze(host, fault) }
                }
            }
        }
    }
}

/// Begins a fault now.
pub(crate) fn inject(kind: &FaultKind, target: &Target) -> Result<FaultId, FaultError> {
    let hit = kernel::with(|world| world.resolve(kind, target)).unwrap_or_else(|| Ok(Hit::default()))?;
    Ok(strike(kind.clone(), hit, &target.to_string()))
}

/// Ends a fault now. Does nothing if it has ended, or is one that ends by itself.
pub(crate) fn lift(id: FaultId) {
    let Some((kind, hit)) = kernel::with(|world| world.lift(id.0)).flatten() else { return };
    for host in hit.hosts {
        match kind {
            FaultKind::Kill | FaultKind::PowerOff => rise(host),
            FaultKind::Freeze | FaultKind::SlowHost { .. } => exec::thaw(host, id.0),
            _ => {}
        }
    }
}

/// What a hand switches on and off: one fault of a kind on a target at a time, however often it is switched.
pub(crate) fn switch(kind: FaultKind, target: Target, on: bool) {
    let key = (kind.word(), target.to_string());
    let before = kernel::with(|world| world.faults.switched.remove(&key)).flatten();
    // A clock that is set again is set from the truth.
    if let Some(id) = before.filter(|_| on && !matches!(kind, FaultKind::ClockJump { .. })) {
        kernel::with(|world| world.faults.switched.insert(key, id));
        return;
    }
    before.into_iter().for_each(lift);
    if on && let Ok(id) = inject(&kind, &target) {
        kernel::with(|world| world.faults.switched.insert(key, id));
    }
}

/// Starts a host's program again, unless another fault holds it down.
fn rise(host: u32) {
    if kernel::with(|world| world.may_run(host)) == Some(true) {
        exec::start(host);
    }
}

fn strike(kind: FaultKind, hit: Hit, target: &str) -> FaultId {
    let Some(id) = kernel::with(|world| world.strike(&kind, &hit, target)) else { return FaultId(0) };
    for &host in &hit.hosts {
        match kind {
            FaultKind::Kill | FaultKind::PowerOff => exec::stop(host),
            FaultKind::Restart => {
                exec::stop(host);
                rise(host);
            }
            FaultKind::Freeze => exec::freeze(host, id),
            _ => {}
        }
    }
    FaultId(id)
}

/// Whom a fault hits, of the hosts with these names.
pub(crate) fn resolve(kind: &FaultKind, target: &Target, names: &[&str]) -> Result<Hit, FaultError> {
    let mut hit = Hit::default();
    match (kind.scope(), target) {
        (Scope::Host, Target::Host(name)) => hit.hosts = named(name, names)?,
        (Scope::Host, _) => {
            return Err(FaultError::NotALink { kind: kind.word(), target: target.to_string() });
        }
        (scope, Target::Host(name)) => {
            let all = u32::try_from(names.len()).unwrap_or(u32::MAX);
            for own in named(name, names)? {
                for other in (0..all).filter(|other| *other != own) {
                    if scope != Scope::Towards {
                        hit.ways.push((own, other));
                    }
                    if scope != Scope::From {
                        hit.ways.push((other, own));
                    }
                }
            }
        }
        (_, Target::Link(a, b) | Target::Way(a, b)) => {
            for from in named(a, names)? {
                for to in named(b, names)?.into_iter().filter(|to| *to != from) {
                    hit.ways.push((from, to));
                    if matches!(target, Target::Link(..)) {
                        hit.ways.push((to, from));
                    }
                }
            }
            if hit.ways.is_empty() {
                return Err(FaultError::NoLink(target.to_string()));
            }
        }
    }
    hit.ways.sort_unstable();
    hit.ways.dedup();
    Ok(hit)
}

fn named(name: &str, names: &[&str]) -> Result<Vec<u32>, FaultError> {
    let fits = |known: &str| match name.strip_suffix('*') {
        Some(begin) => known.starts_with(begin),
        None => known == name,
    };
    let found: Vec<u32> = (0..).zip(names).filter(|(_, known)| fits(known)).map(|(index, _)| index).collect();
    if found.is_empty() { Err(FaultError::NoHost(name.to_owned())) } else { Ok(found) }
}

impl World {
    fn resolve(&self, kind: &FaultKind, target: &Target) -> Result<Hit, FaultError> {
        let names: Vec<&str> = self.hosts.iter().map(|host| host.name.as_str()).collect();
        resolve(kind, target, &names)
    }

    fn plan(&mut self, plan: Vec<Fault>) {
        let first = u32::try_from(self.faults.planned.len()).unwrap_or(u32::MAX);
        // Ends before beginnings at one instant.
        for (index, fault) in (first..).zip(&plan) {
            if let Some(stop) = fault.stop.filter(|stop| *stop > fault.start) {
                self.schedule(micros(stop).max(self.now_us), Happening::Fault(Due::Ends(index)));
            }
        }
        for (index, fault) in (first..).zip(&plan) {
            self.schedule(micros(fault.start).max(self.now_us), Happening::Fault(Due::Begins(index)));
        }
        self.faults.planned.extend(plan.into_iter().map(|fault| (fault, None)));
    }
}
