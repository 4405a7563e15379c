//! Faults that the world can recover from: what they may take away, and for how long.
//!
//! Clients wait for a source for some seconds and not for ever; so there is never an instant within [`DARK_MAX`] of which no source was whole. A fault
//! that would take the last one away for longer is cut short, or left out where too little of it would be left.

use crate::model::{Fault, FaultKind};
use crate::span::Span;

/// How long no source may be whole.
pub(super) const DARK_MAX: Span = Span::from_millis(2_500);

/// What is left of a fault that was cut short, at least.
const LEAST_MS: u64 = 100;

/// A fault is felt for so long after its end: connections that broke are made again.
const ECHO_MS: u64 = 500;

/// Who is hurt when, a millisecond a row and a source a bit.
struct Calendar {
    rows: Vec<u64>,
    all: u64,
}

impl Calendar {
    fn mark(&mut self, sources: u64, from_ms: u64, to_ms: u64) {
        let end = self.rows.len();
        for row in &mut self.rows[(from_ms as usize).min(end)..(to_ms as usize).min(end)] {
            *row |= sources;
        }
    }

    /// The longest time for which none is whole.
    fn dark_ms(&self) -> u64 {
        let mut longest = 0;
        let mut now = 0;
        for row in &self.rows {
            now = if row & self.all == self.all { now + 1 } else { 0 };
            longest = longest.max(now);
        }
        longest
    }
}

/// The faults that a world with so many sources bears, in the order given.
#[must_use]
pub(super) fn within(faults: Vec<Fault>, sources: u16, steady: Span) -> Vec<Fault> {
    let all = if sources >= 64 { u64::MAX } else { (1 << sources) - 1 };
    let length = (steady.as_micros() / 1_000 + ECHO_MS) as usize;
    let mut calendar = Calendar { rows: vec![0; length], all };
    faults.into_iter().filter_map(|fault| admitted(fault, &mut calendar)).collect()
}

fn admitted(mut fault: Fault, calendar: &mut Calendar) -> Option<Fault> {
    let hurt = sources_hurt(&fault, calendar.all);
    let Some(lasts) = fault.lasts.filter(|_| hurt != 0) else { return Some(fault) };
    if fault.after.is_some() {
        return waits(fault, lasts, hurt, calendar);
    }
    let from_ms = fault.at.unwrap_or_default().as_micros() / 1_000;
    let mut lasts_ms = lasts.as_micros().div_ceil(1_000);
    let before = calendar.rows.clone();
    while lasts_ms >= LEAST_MS {
        calendar.mark(hurt, from_ms, from_ms + lasts_ms + ECHO_MS);
        if calendar.dark_ms() <= DARK_MAX.as_micros() / 1_000 + ECHO_MS {
            fault.lasts = Some(lasts.min(Span::from_millis(lasts_ms)));
            return Some(fault);
        }
        calendar.rows.copy_from_slice(&before);
        lasts_ms /= 2;
    }
    None
}

/// One that waits for an event comes nobody knows when: so its sources count as hurt all the time. Where that leaves none, it is short, and no other
/// fault may hurt any.
fn waits(mut fault: Fault, lasts: Span, hurt: u64, calendar: &mut Calendar) -> Option<Fault> {
    let before = calendar.rows.clone();
    let alone = before.iter().all(|row| *row == 0);
    calendar.mark(hurt, 0, u64::MAX);
    if calendar.dark_ms() == 0 {
        return Some(fault);
    }
    if alone {
        fault.lasts = Some(lasts.min(DARK_MAX));
        return Some(fault);
    }
    calendar.rows = before;
    None
}

/// The sources that are not whole while it lasts, a bit each: itself hurt, or a link of theirs.
fn sources_hurt(fault: &Fault, all: u64) -> u64 {
    if matches!(fault.kind, FaultKind::ClockJump | FaultKind::ClockDrift | FaultKind::Garbage) {
        return 0;
    }
    let ends = fault.target.split(['/', '>']);
    let hurt = ends.map(|end| match end.strip_prefix("source-") {
        Some("active" | "*") => all,
        Some(number) => number.parse::<u32>().map_or(0, |number| 1_u64.checked_shl(number).unwrap_or(0)),
        None => 0,
    });
    hurt.fold(0, |sum, hurt| sum | hurt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(target: &str, at: u64, lasts: u64) -> Fault {
        Fault { lasts: Some(Span::from_millis(lasts)), ..Fault::at(Span::from_millis(at), FaultKind::Stall, target) }
    }

    fn lengths(faults: Vec<Fault>, sources: u16) -> Vec<Option<u64>> {
        let left = within(faults, sources, Span::from_millis(12_000));
        left.iter().map(|fault| fault.lasts.map(|lasts| lasts.as_micros() / 1_000)).collect()
    }

    #[test]
    fn one_of_two_may_be_away_for_long() {
        assert_eq!(lengths(vec![fault("proxy-0/source-0", 0, 9_000)], 2), [Some(9_000)]);
    }

    #[test]
    fn the_last_one_comes_back_soon() {
        let both = vec![fault("source-0", 1_000, 8_000), fault("source-1>proxy-0", 2_000, 6_000)];
        assert_eq!(lengths(both, 2), [Some(8_000), Some(1_500)]);
        assert_eq!(lengths(vec![fault("source-0", 0, 4_000)], 1), [Some(2_000)]);
        assert_eq!(lengths(vec![fault("source-*", 0, 4_000)], 3), [Some(2_000)]);
    }

    #[test]
    fn a_fault_of_which_nothing_would_be_left_is_left_out() {
        let three = vec![fault("source-0", 0, 2_400), fault("source-0", 2_500, 2_400), fault("source-0", 9_000, 1_000)];
        assert_eq!(lengths(three, 1), [Some(2_400), Some(1_000)]);
    }

    #[test]
    fn one_that_waits_does_no_harm_whenever_it_comes() {
        let after = crate::model::After::new(crate::model::EventName::ProxyLegUp, 1);
        let waits =
            |target: &str, lasts: u64| Fault { at: None, after: Some(after.clone()), ..fault(target, 0, lasts) };
        assert_eq!(lengths(vec![waits("source-0", 4_000)], 1), [Some(2_500)]);
        assert_eq!(
            lengths(vec![waits("source-0", 4_000), fault("source-1", 9_000, 4_000)], 2),
            [Some(4_000), Some(2_000)]
        );
        assert_eq!(lengths(vec![fault("source-1", 9_000, 4_000), waits("source-0", 4_000)], 2), [Some(4_000)]);
        assert_eq!(lengths(vec![waits("source-active", 4_000), fault("source-1", 0, 4_000)], 3), [Some(2_500)]);
        assert_eq!(lengths(vec![waits("desk/proxy-0", 4_000)], 1), [Some(4_000)]);
    }

    #[test]
    fn what_hurts_no_source_may_last() {
        assert_eq!(lengths(vec![fault("proxy-0/desk", 0, 10_000)], 1), [Some(10_000)]);
        let clock = Fault { kind: FaultKind::ClockDrift, ..fault("source-0", 0, 10_000) };
        assert_eq!(lengths(vec![clock], 1), [Some(10_000)]);
    }
}
