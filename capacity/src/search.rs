//! The greatest load that holds: grow until one does not, bisect, confirm in longer windows, and step back where that fails.
//!
//! ```text
//!   grow     2, 4, 8, 16 holds, 32 fails          where the first fails: shrink
//!   bisect   24 holds, 28 fails                   until the gap is within the tolerance
//!   confirm  24, for longer, several times        fails: 24 is the new bound, and what held below it is tried
//! ```
//!
//! A trial in which the generator was not healthy says nothing of the proxy: the search ends below it, and says so.

use serde::Serialize;

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// The first load. Above 0.
    pub start: f64,
    /// Never less than this is tried. Above 0, at most `start`.
    pub least: f64,
    /// Never more than this.
    pub most: f64,
    /// From one load to the next while growing. Above 1.
    pub factor: f64,
    /// The gap between a load that holds and one that does not, as a part of the former. Above 0.
    pub tolerance: f64,
    /// Longer windows in which the load must hold.
    pub confirmations: u32,
    /// Trials in all.
    pub trials_max: u32,
}

impl Default for Effort {
    /// From 100 to a million, doubled, to 5 %, confirmed three times, 60 trials.
    fn default() -> Self {
        Self { start: 100.0, least: 1.0, most: 1e6, factor: 2.0, tolerance: 0.05, confirmations: 3, trials_max: 60 }
    }
}

/// What to try next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// The load.
    pub load: f64,
    /// In which part of the search: a confirmation takes a longer window.
    pub stage: Stage,
}

/// A part of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// By factors.
    Grow,
    /// Between one that holds and one that does not.
    Bisect,
    /// Longer, and again.
    Confirm,
}

/// What a trial came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The objective was met.
    Holds,
    /// It was not.
    Fails,
    /// Whoever made the load could not, or not well enough: it says nothing.
    Unhealthy,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The greatest load that holds lies within the tolerance.
    Found,
    /// All that may be tried holds: the capacity is this, or more.
    AtMost,
    /// Nothing holds, down to the least that may be tried.
    NothingHolds,
    /// The generator gave out: the capacity is this, or more.
    GeneratorGaveOut,
    /// There were no trials left: what was confirmed may not be the greatest.
    OutOfTrials,
}

/// A search under way. Ask it for [`Search::ask`], and tell it what came of that by [`Search::answer`].
#[derive(Clone, Debug)]
pub struct Search {
    effort: Effort,
    /// Loads that held, ascending.
    held: Vec<f64>,
    /// The least that does not hold, or may not be tried.
    bound: Option<f64>,
    bounded_by: Answer,
    confirmed: u32,
    trials: u32,
    end: Option<End>,
    asked: Option<Trial>,
}

impl Search {
    /// Begins.
    ///
    /// # Panics
    /// If the effort is not within its ranges.
    #[must_use]
    pub fn new(effort: Effort) -> Self {
        let Effort { start, least, most, factor, tolerance, .. } = effort;
        assert!(0.0 < least && least <= start && start <= most && factor > 1.0 && tolerance > 0.0, "{effort:?}");
        Self {
            effort,
            held: Vec::new(),
            bound: None,
            bounded_by: Answer::Fails,
            confirmed: 0,
            trials: 0,
            end: None,
            asked: None,
        }
    }

    /// What to try next; the same again until it is answered. None: it is over.
    pub fn ask(&mut self) -> Option<Trial> {
        if self.end.is_none() && self.asked.is_none() {
            match self.decide() {
                Ok(_) if self.trials >= self.effort.trials_max => self.end = Some(End::OutOfTrials),
                Ok(trial) => self.asked = Some(trial),
                Err(end) => self.end = Some(end),
            }
        }
        self.asked
    }

    fn decide(&self) -> Result<Trial, End> {
        let Effort { start, least, most, factor, tolerance, confirmations, .. } = self.effort;
        let Some(&best) = self.held.last() else {
            return match self.bound {
                None => Ok(Trial { load: start, stage: Stage::Grow }),
                // What the generator cannot do at the least load says nothing at all of the proxy, and yet nothing was seen to hold.
                Some(bound) if bound <= least => Err(End::NothingHolds),
                Some(bound) => Ok(Trial { load: (bound / factor).max(least), stage: Stage::Grow }),
            };
        };
        match self.bound {
            None if best < most => return Ok(Trial { load: (best * factor).min(most), stage: Stage::Grow }),
            Some(bound) if bound > best * (1.0 + tolerance) => {
                // In the middle of the ratio: loads grow by factors.
                return Ok(Trial { load: (best * bound).sqrt(), stage: Stage::Bisect });
            }
            _ => {}
        }
        if self.confirmed < confirmations {
            return Ok(Trial { load: best, stage: Stage::Confirm });
        }
        Err(match (self.bound, self.bounded_by) {
            (None, _) => End::AtMost,
            (Some(_), Answer::Unhealthy) => End::GeneratorGaveOut,
            (Some(_), _) => End::Found,
        })
    }

    /// Takes what came of the trial that was asked for last.
    ///
    /// # Panics
    /// If none was asked for.
    pub fn answer(&mut self, answer: Answer) {
        let Trial { load, stage } = self.asked.take().expect("a trial was asked for before");
        self.trials += 1;
        match (answer, stage) {
            (Answer::Holds, Stage::Confirm) => self.confirmed += 1,
            (Answer::Holds, _) => {
                self.held.push(load);
                self.held.sort_by(f64::total_cmp);
                self.confirmed = 0;
            }
            (Answer::Fails | Answer::Unhealthy, _) => {
                self.held.retain(|held| *held < load);
                self.confirmed = 0;
                if self.bound.is_none_or(|bound| load <= bound) {
                    (self.bound, self.bounded_by) = (Some(load), answer);
                }
            }
        }
    }

    /// The greatest load that held, and whether all confirmations did. None where none held so far.
    #[must_use]
    pub fn best(&self) -> Option<(f64, bool)> {
        self.held.last().map(|&load| (load, self.confirmed >= self.effort.confirmations))
    }

    /// How it ended; none while it is under way.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Trials that were answered.
    #[must_use]
    pub fn trials(&self) -> u32 {
        self.trials
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(effort: Effort, mut world: impl FnMut(Trial) -> Answer) -> (Search, Vec<Trial>) {
        let (mut search, mut trials) = (Search::new(effort), Vec::new());
        while let Some(trial) = search.ask() {
            assert_eq!(search.ask(), Some(trial), "the same until it is answered");
            trials.push(trial);
            search.answer(world(trial));
        }
        (search, trials)
    }

    fn holds_below(knee: f64) -> impl FnMut(Trial) -> Answer {
        move |trial| if trial.load <= knee { Answer::Holds } else { Answer::Fails }
    }

    proptest::proptest! {
        #[test]
        fn wherever_the_knee_is_it_is_found_within_the_tolerance(knee in 1.0_f64..900_000.0, start in 1.0_f64..900_000.0) {
            let effort = Effort { start, ..Effort::default() };
            let (search, trials) = searched(effort, holds_below(knee));
            let (load, confirmed) = search.best().expect("something holds");
            proptest::prop_assert_eq!(search.end(), Some(End::Found));
            proptest::prop_assert!(confirmed && load <= knee && load * 1.05 * 1.000_001 >= knee, "{} of {}", load, knee);
            // Twenty to grow over six orders, five to bisect to a twentieth, three to confirm.
            proptest::prop_assert!(trials.len() <= 30, "{}", trials.len());
        }
    }

    #[test]
    fn the_way_is_grow_bisect_confirm() {
        let effort = Effort { start: 100.0, tolerance: 0.25, confirmations: 2, ..Effort::default() };
        let (search, trials) = searched(effort, holds_below(500.0));
        let stages: Vec<Stage> = trials.iter().map(|trial| trial.stage).collect();
        use Stage::{Bisect, Confirm, Grow};
        assert_eq!(stages, [Grow, Grow, Grow, Grow, Bisect, Bisect, Confirm, Confirm]);
        assert_eq!(search.trials(), 8);
    }

    #[test]
    fn what_does_not_hold_for_longer_is_stepped_back_from() {
        // Short windows hold up to 1,000, long ones up to 700.
        let (search, trials) = searched(Effort::default(), |trial| {
            let knee = if trial.stage == Stage::Confirm { 700.0 } else { 1_000.0 };
            holds_below(knee)(trial)
        });
        let (load, confirmed) = search.best().expect("something holds");
        assert!(confirmed && (600.0..=700.0).contains(&load), "{load} after {trials:?}");
        assert_eq!(search.end(), Some(End::Found));
    }

    #[test]
    fn the_ends_are_told_apart() {
        let (search, _) = searched(Effort { most: 5_000.0, ..Effort::default() }, |_| Answer::Holds);
        assert_eq!((search.end(), search.best()), (Some(End::AtMost), Some((5_000.0, true))));
        let (search, _) = searched(Effort::default(), |_| Answer::Fails);
        assert_eq!((search.end(), search.best()), (Some(End::NothingHolds), None));
        let (search, _) =
            searched(Effort::default(), |trial| if trial.load > 3_000.0 { Answer::Unhealthy } else { Answer::Holds });
        assert_eq!(search.end(), Some(End::GeneratorGaveOut));
        assert!(search.best().is_some_and(|(load, confirmed)| confirmed && load > 2_800.0));
        let (search, trials) = searched(Effort { trials_max: 4, ..Effort::default() }, holds_below(1e5));
        assert_eq!((search.end(), trials.len(), search.best()), (Some(End::OutOfTrials), 4, Some((800.0, false))));
    }

    #[test]
    fn a_world_that_never_answers_twice_the_same_ends_all_the_same() {
        let mut flips = 0_u32;
        let (search, trials) = searched(Effort::default(), |_| {
            flips = flips.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if flips & 0x8000_0000 == 0 { Answer::Holds } else { Answer::Fails }
        });
        assert!(search.end().is_some() && trials.len() <= 60, "{:?} after {}", search.end(), trials.len());
    }
}
