//! `slow-start`: an instance that came back is filled as its weight rises, and not at once.
//!
//! Its share rises from a tenth to the whole over the time `over` (linear, HAProxy's `slowstart` with Envoy's floor). A balancer that gives each connection to the least of the
//! quotients (legs + 1) / weight leaves it with at most
//!
//! ```text
//!   max(t / over, 1/10) x (legs of the fullest other + 1)  legs, t after the end of its fault
//! ```
//!
//! whenever it takes one. `slack` more are allowed for dials that were under way. The proxy finds out later than the plan that it is back, so this judges mildly.

use wire::event::{Event, Phase};

use super::open_legs::{Changed, OpenLegs};
use super::{At, Checker, Facts, Findings, SlowStart};

/// The least share, as the proxy has it.
const FLOOR: f64 = 0.1;

/// The checker. A check is a leg that opens at an instance which starts slowly.
pub(super) struct Gentle {
    bound: SlowStart,
    legs: OpenLegs,
    over: bool,
    /// The most legs beyond the share, and how many that were.
    worst: Option<(f64, usize)>,
}

impl Gentle {
    pub(super) fn new(bound: SlowStart, facts: &Facts) -> Self {
        Self { bound, legs: OpenLegs::new(facts), over: false, worst: None }
    }

    fn judge(&mut self, at: At, source: usize, findings: &mut Findings) {
        let (true, Some(back_us)) = self.legs.health().source(source) else { return };
        let (since_us, over_us) = (at.us.saturating_sub(back_us), self.bound.over.as_micros());
        if since_us >= over_us {
            return;
        }
        let others = self.legs.sources().filter(|other| *other != source && self.legs.health().source(*other).0);
        let Some(fullest) = others.map(|other| self.legs.at(other)).max() else { return };
        findings.check();
        let share = (since_us as f64 / over_us as f64).max(FLOOR);
        let (open, most) = (self.legs.at(source), share * (fullest + 1) as f64 + f64::from(self.bound.slack));
        let beyond = open as f64 - most;
        if self.worst.is_none_or(|worst| beyond > worst.0) {
            self.worst = Some((beyond, open));
        }
        if beyond > 0.0 {
            findings.violation(at, &[], || {
                format!("source-{source} has {open} legs {since_us} us after it came back, {most:.1} may be, and the fullest other has {fullest}")
            });
        }
    }
}

impl Checker for Gentle {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        if self.over {
            return;
        }
        if let Some(Changed::Opened(source)) = self.legs.observe(at.us, event) {
            self.judge(at, source, findings);
        }
        self.over = matches!(event, Event::Phase { phase: Phase::End });
    }

    fn finish(&mut self, _end: At, _findings: &mut Findings) -> String {
        self.worst.map_or_else(
            || "no instance came back and took a leg".to_owned(),
            |(beyond, open)| format!("nearest to its share with {open} legs, {:.1} below what may be", -beyond),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    /// 19 legs at source 0; source 1 comes back now.
    fn back() -> Tape {
        let tape = Tape::new(r#"slow-start = { over = "10s", slack = 1 }"#).fault(0, "kill", "source-1");
        (0..19).fold(tape, |tape, leg| tape.leg(0, leg)).heal(0)
    }

    fn fill(tape: Tape, legs: std::ops::Range<u32>) -> Tape {
        legs.fold(tape, |tape, leg| tape.leg(1, leg))
    }

    #[test]
    fn filling_with_the_share_passes() {
        let tape = fill(fill(back(), 0..3).after(5_000_000), 3..11);
        check(fill(tape.after(5_000_000), 11..40), Pass, 11);
    }

    #[test]
    fn filling_at_once_fails() {
        check(fill(back(), 0..4), Fail, 4);
        check(fill(back().after(5_000_000), 0..12), Fail, 12);
    }

    #[test]
    fn what_came_before_the_fault_is_gone() {
        let tape = fill(Tape::new(r#"slow-start = { over = "10s", slack = 1 }"#), 0..9);
        check(fill(tape.leg(0, 0).fault(0, "kill", "source-1").heal(0), 9..10), Pass, 1);
    }

    #[test]
    fn where_nobody_came_back_it_is_inconclusive() {
        check(Tape::new(r#"slow-start = { over = "10s" }"#).leg(0, 0).leg(1, 0), Inconclusive, 0);
    }
}
