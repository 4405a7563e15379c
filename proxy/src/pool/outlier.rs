//! Ejection of an instance that does worse than its siblings, though it is not dead.
//!
//! What counts is the share of its dials and legs that failed over the last while (Envoy's failure-percentage ejection), against the same share of all its
//! siblings together: where all do badly, nobody is an outlier, and moving clients about would help nobody. An ejection lasts longer each time, and each
//! stretch of calm takes one off again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Ejection;

/// Into how many parts the window is divided: its length is true to one part.
const PARTS: u32 = 10;
/// How many times the siblings' share of failures an outlier's must be.
const WORSE: u64 = 2;

/// What came of dials and legs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Dials decided, one way or the other.
    pub(super) dials: u32,
    /// Dials that failed, and legs that broke.
    pub(super) failures: u32,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.dials = self.dials.saturating_add(other.dials);
        self.failures = self.failures.saturating_add(other.failures);
    }
}

/// [`Counts`] over the last while.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// The parts of the window in which something happened, with their beginnings.
    parts: VecDeque<(Instant, Counts)>,
}

impl Window {
    /// Something happened.
    pub(super) fn add(&mut self, now: Instant, counts: Counts, length: Duration) {
        self.forget(now, length);
        match self.parts.back_mut() {
            Some((begin, part)) if now.saturating_duration_since(*begin) < length / PARTS => *part += counts,
            _ => self.parts.push_back((now, counts)),
        }
    }

    /// What happened over the last `length`, up to a tenth of it more or less.
    pub(super) fn sum(&self, now: Instant, length: Duration) -> Counts {
        let mut sum = Counts::default();
        let lately = self.parts.iter().filter(|(begin, _)| now.saturating_duration_since(*begin) < length);
        lately.for_each(|(_, part)| sum += *part);
        sum
    }

    fn forget(&mut self, now: Instant, length: Duration) {
        while self.parts.front().is_some_and(|(begin, _)| now.saturating_duration_since(*begin) >= length) {
            self.parts.pop_front();
        }
    }
}

/// Whether one does so much worse than its siblings together that it should be left out. Never without siblings that have something to show.
pub(super) fn is_outlier(own: Counts, siblings: Counts, rules: &Ejection) -> bool {
    let enough = |counts: Counts| counts.dials >= rules.dials_min.max(1);
    let (dials, failures) = (u64::from(own.dials), u64::from(own.failures));
    enough(own)
        && enough(siblings)
        && failures * 100 >= dials * u64::from(rules.failures_percent)
        // own share >= WORSE x the siblings' share, without a division
        && failures * u64::from(siblings.dials) >= WORSE * u64::from(siblings.failures) * dials
        && rules.failures_percent > 0
}

/// The ejections of one instance.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ejections {
    /// How often, less the calm since.
    count: u32,
    until: Option<Instant>,
    lifted_at: Option<Instant>,
}

impl Ejections {
    /// It is left out: for `base`, twice `base`, three times, ... at most `time_max`.
    pub(super) fn eject(&mut self, now: Instant, rules: &Ejection) {
        let calm = self.lifted_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let forgiven = calm.as_nanos() / rules.time_base.as_nanos().max(1);
        self.count = self.count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX)).saturating_add(1);
        self.until = Some(now + rules.time_base.saturating_mul(self.count).min(rules.time_max));
    }

    /// It has proved itself again.
    pub(super) fn lift(&mut self, now: Instant) {
        if self.until.take().is_some() {
            self.lifted_at = Some(now);
        }
    }

    /// Until when it is left out; past, if it has yet to prove itself; None if it is not.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn counts((failures, dials): (u32, u32)) -> Counts {
        Counts { dials, failures }
    }

    #[test]
    fn an_outlier_does_badly_and_much_worse_than_its_siblings() {
        for (own, siblings, expect) in [
            ((10, 20), (0, 20), true),
            ((9, 20), (0, 20), false),   // not bad enough
            ((20, 20), (15, 20), false), // all do badly
            ((20, 20), (10, 20), true),
            ((9, 9), (0, 20), false), // too little to judge by
            ((20, 20), (0, 9), false),
            ((20, 20), (0, 0), false), // alone
        ] {
            let is = is_outlier(counts(own), counts(siblings), &Ejection::default());
            assert_eq!(is, expect, "{own:?} against {siblings:?}");
        }
        let off = Ejection { failures_percent: 0, ..Ejection::default() };
        assert!(!is_outlier(counts((20, 20)), counts((0, 20)), &off));
    }

    #[test]
    fn each_ejection_is_longer_and_calm_takes_them_off_again() {
        let rules = Ejection::default();
        let (mut now, mut ejections) = (Instant::now(), Ejections::default());
        let mut lasts = |calm: Duration| {
            now += calm;
            ejections.eject(now, &rules);
            let until = ejections.until().unwrap();
            let lasted = until - now;
            now = until;
            ejections.lift(now);
            assert_eq!(ejections.until(), None);
            lasted.as_secs()
        };
        assert_eq!([lasts(S), lasts(S), lasts(S)], [30, 60, 90]);
        assert_eq!(lasts(60 * S), 60, "two stretches of calm");
        assert_eq!(lasts(3600 * S), 30);
        for _ in 0..20 {
            lasts(S);
        }
        assert_eq!(lasts(S), 300, "never longer than that");
    }

    proptest! {
        /// Against a naive model: a list of all that happened. The window may be off by one part at its old end.
        #[test]
        fn the_window_holds_what_happened_lately(
            events in proptest::collection::vec((0_u64..4_000, any::<bool>()), 0..200),
            later_ms in 0_u64..20_000,
        ) {
            let length = 10 * S;
            let (mut now, mut window, mut all) = (Instant::now(), Window::default(), Vec::new());
            for (gap_ms, failed) in events {
                now += Duration::from_millis(gap_ms);
                window.add(now, Counts { dials: 1, failures: u32::from(failed) }, length);
                all.push((now, failed));
                prop_assert!(window.parts.len() <= PARTS as usize + 1);
            }
            now += Duration::from_millis(later_ms);
            let within = |length: Duration| {
                let mut sum = Counts::default();
                for (at, failed) in all.iter().filter(|(at, _)| now - *at < length) {
                    let _ = at;
                    sum += Counts { dials: 1, failures: u32::from(*failed) };
                }
                sum
            };
            let (least, sum, most) = (within(length - length / PARTS), window.sum(now, length), within(length));
            prop_assert!(least.dials <= sum.dials && sum.dials <= most.dials, "{least:?} {sum:?} {most:?}");
            prop_assert!(least.failures <= sum.failures && sum.failures <= most.failures);
        }
    }
}
