//! How long the run is: it ends after what broke, and what breaks it begins early.

use super::{Candidate, Now};
use crate::model::Scenario;
use crate::span::Span;

/// Phases are cut to multiples of this: 100 ms, the least that a steady phase may last.
const STEP_US: u64 = 100_000;

/// Shorter phases.
pub(super) fn candidates(now: &Now<'_>) -> Vec<Candidate> {
    let Scenario { warmup, steady, recovery, .. } = now.scenario;
    let (warmup, steady, recovery) = (warmup.as_micros(), steady.as_micros(), recovery.as_micros());
    let in_steady = now.seen.at_us.saturating_sub(warmup);
    let in_recovery = in_steady.saturating_sub(steady);
    let mut found = Vec::new();
    let mut add = |part, warmup, steady, recovery| {
        let what = format!("phases of {}, {} and {}", span(warmup), span(steady), span(recovery));
        found.push(now.with(part, what, |scenario| cut(scenario, warmup, steady, recovery)));
    };
    for shorter in shorter(in_steady, steady, STEP_US) {
        add(0, warmup, shorter, 0);
        add(0, warmup, shorter, recovery);
    }
    for shorter in shorter(in_recovery, recovery, 0) {
        add(1, warmup, steady, shorter);
    }
    for shorter in shorter(0, warmup, 0) {
        add(2, shorter, steady, recovery);
    }
    found
}

/// Faults that begin earlier or are over sooner.
pub(super) fn earlier(now: &Now<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let first = now.scenario.faults.iter().filter_map(|fault| fault.at).map(Span::as_micros).min().unwrap_or_default();
    for by in [first, first / 2].map(down).into_iter().filter(|by| *by > 0) {
        found.push(now.with(0, format!("all faults {} earlier", span(by)), |scenario| {
            for at in scenario.faults.iter_mut().filter_map(|fault| fault.at.as_mut()) {
                *at = span(at.as_micros().saturating_sub(by));
            }
            scenario.steady = span(scenario.steady.as_micros().saturating_sub(by).max(STEP_US));
        }));
    }
    for (index, fault) in now.scenario.faults.iter().enumerate() {
        let at = fault.at.map_or(0, Span::as_micros);
        for (key, us) in [("begins", Some(at)), ("lasts", fault.lasts.map(Span::as_micros))] {
            for less in shorter(0, us.unwrap_or_default(), if key == "lasts" { STEP_US } else { 0 }) {
                let what = format!("{} {key} {}", super::faults::words(fault), span(less));
                found.push(now.with(1 + index, what, |scenario| {
                    let fault = &mut scenario.faults[index];
                    if key == "lasts" {
                        fault.lasts = Some(span(less));
                    } else if fault.at.is_some() {
                        fault.at = Some(span(less));
                    }
                }));
            }
        }
    }
    found
}

/// Lengths below `now`: what is needed at least, then halves of the way to it. `least` is what the format asks for.
fn shorter(needed: u64, now: u64, least: u64) -> Vec<u64> {
    let needed = up(needed).max(least);
    if needed >= now {
        return Vec::new();
    }
    let way = now - needed;
    let mut found: Vec<u64> = [0, way / 4, way / 2, way / 4 * 3].map(|more| up(needed + more)).into();
    found.dedup();
    found.retain(|shorter| *shorter < now);
    found
}

/// Sets the phases, and leaves away what would begin after the steady one.
fn cut(scenario: &mut Scenario, warmup: u64, steady: u64, recovery: u64) {
    (scenario.warmup, scenario.steady, scenario.recovery) = (span(warmup), span(steady), span(recovery));
    let begins = |at: Option<Span>| at.map_or(0, Span::as_micros);
    scenario.faults.retain(|fault| begins(fault.at) < steady);
    for fault in &mut scenario.faults {
        if fault.after.is_none() && fault.lasts.is_some_and(|lasts| begins(fault.at) + lasts.as_micros() > steady) {
            fault.lasts = Some(span(steady - begins(fault.at)));
        }
    }
    let arrives = |start: Span| start.as_micros() < warmup + steady;
    if scenario.clients.iter().any(|group| arrives(group.start)) {
        scenario.clients.retain(|group| arrives(group.start));
    }
}

fn up(us: u64) -> u64 {
    us.div_ceil(STEP_US).saturating_mul(STEP_US)
}

fn down(us: u64) -> u64 {
    us / STEP_US * STEP_US
}

fn span(us: u64) -> Span {
    Span::from_micros(us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_go_from_what_is_needed_by_quarters_up() {
        assert_eq!(shorter(2_350_000, 10_000_000, STEP_US), [2_400_000, 4_300_000, 6_200_000, 8_100_000]);
        assert_eq!(shorter(0, 200_000, 0), [0, 100_000]);
        assert_eq!(shorter(0, 100_000, STEP_US), [0; 0]);
        assert_eq!(shorter(u64::MAX / 2, 10_000_000, 0), [0; 0], "seen at the end of time");
    }
}
