//! The greatest load that holds: grow until one does not, bisect, confirm in longer windows, and step back where that fails.
//!
//! ```text
//!   grow     2, 4, 8, 16 holds, 32 fails          where the first fails: shrink
//!   bisect   24 holds, 28 fails                   until the gap is within the tolerance
//!   confirm  24, for longer, several times        fails: 24 is the new bound; 22.9, 21.8, 19.8 for longer, until one holds
//! ```
//!
//! Who has a guess ([`Search::expect`]) saves trials: the guess is tried, then what is a little beside it, then what is farther and farther from it.
//!
//! ```text
//!   expect   27 fails, 25 fails, 22 holds         by 1.05 ^ 2, ^ 4, ^ 8 with a tolerance of 0.05, never farther than by the factor
//!   bisect   23.5 holds                           as ever
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
    /// Longer, and again. Once a load fails at that, short trials are known to be too kind there, and all that follow are of this stage.
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
    /// Loads that held, ascending; once one failed to be confirmed, those that held for longer.
    held: Vec<f64>,
    /// Loads that held before that, ascending.
    shortly: Vec<f64>,
    /// The first load that failed to be confirmed.
    too_kind_at: Option<f64>,
    /// The least that does not hold, or may not be tried.
    bound: Option<f64>,
    bounded_by: Answer,
    confirmed: u32,
    trials: u32,
    end: Option<End>,
    asked: Option<Trial>,
    guess: Option<f64>,
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
            shortly: Vec::new(),
            too_kind_at: None,
            bound: None,
            bounded_by: Answer::Fails,
            confirmed: 0,
            trials: 0,
            end: None,
            asked: None,
            guess: None,
        }
    }

    /// Says where the greatest load that holds is thought to be; a later guess takes the place of an earlier one, but for one that was too low while nothing has
    /// failed: from that the steps grow. It changes which loads are tried, never what is found of them. One that is no number, not above 0, or outside of what may
    /// be tried is taken for the nearest that may be; NaN for none.
    pub fn expect(&mut self, load: f64) {
        let passed = |guess: f64| {
            self.bound.is_none() && self.held.last().is_some_and(|held| held * (1.0 + self.effort.tolerance) >= guess)
        };
        if !load.is_nan() && !self.guess.is_some_and(passed) {
            self.guess = Some(load.clamp(self.effort.least, self.effort.most));
        }
    }

    /// Where to look next because of the guess, if that is to be had between what holds and what does not.
    fn guessed(&self) -> Option<f64> {
        let Effort { least, most, factor, tolerance, .. } = self.effort;
        // What a trial of moderate length tells was found out, and was wrong.
        let guess = self.guess.filter(|_| self.too_kind_at.is_none())?;
        let near = 1.0 + tolerance;
        // Twice as far from the guess each time, in ratios; never nearer than two gaps.
        let away = |so_far: f64| so_far.max(near * near).min(factor);
        let (low, bound) = (self.held.last().copied(), self.bound);
        let next = match (low, bound) {
            (Some(low), _) if low * near >= guess => low * away(low / guess),
            (_, Some(bound)) if bound / near <= guess => bound / away(guess / bound),
            _ => guess,
        };
        let (floor, ceiling) = (low.map_or(0.0, |low| low * near), bound.map_or(f64::INFINITY, |bound| bound / near));
        let next = next.clamp(least, most);
        (floor < next && next < ceiling).then_some(next)
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
        let guessed = self.guessed();
        let longer = |stage| if self.too_kind_at.is_some() { Stage::Confirm } else { stage };
        let Some(&best) = self.held.last() else {
            return match (self.bound, guessed) {
                // What the generator cannot do at the least load says nothing at all of the proxy, and yet nothing was seen to hold.
                (Some(bound), _) if bound <= least => Err(End::NothingHolds),
                (_, Some(load)) => Ok(Trial { load, stage: Stage::Grow }),
                (Some(bound), None) if let Some(from) = self.too_kind_at => {
                    // A gap below, then twice as far from where it began each time.
                    let away = (from / bound).max(1.0 + tolerance).min(factor);
                    Ok(Trial { load: (bound / away).max(least), stage: Stage::Confirm })
                }
                (None, None) => Ok(Trial { load: start, stage: Stage::Grow }),
                (Some(bound), None) => Ok(Trial { load: (bound / factor).max(least), stage: Stage::Grow }),
            };
        };
        match (self.bound, guessed) {
            (None, Some(load)) => return Ok(Trial { load, stage: Stage::Grow }),
            (Some(_), Some(load)) => return Ok(Trial { load, stage: Stage::Bisect }),
            (None, None) if best < most => return Ok(Trial { load: (best * factor).min(most), stage: Stage::Grow }),
            (Some(bound), None) if bound > best * (1.0 + tolerance) => {
                // In the middle of the ratio: loads grow by factors.
                return Ok(Trial { load: (best * bound).sqrt(), stage: longer(Stage::Bisect) });
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
        match answer {
            Answer::Holds if stage == Stage::Confirm && self.held.last() == Some(&load) => self.confirmed += 1,
            Answer::Holds => {
                self.held.push(load);
                self.held.sort_by(f64::total_cmp);
                self.confirmed = u32::from(stage == Stage::Confirm);
            }
            Answer::Fails | Answer::Unhealthy => {
                if stage == Stage::Confirm && answer == Answer::Fails && self.too_kind_at.is_none() {
                    self.too_kind_at = Some(load);
                    self.shortly = std::mem::take(&mut self.held);
                }
                self.held.retain(|held| *held < load);
                self.shortly.retain(|held| *held < load);
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
        match self.held.last() {
            Some(&load) => Some((load, self.confirmed >= self.effort.confirmations)),
            None => self.shortly.last().map(|&load| (load, false)),
        }
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

    proptest::proptest! {
        #[test]
        fn a_guess_changes_the_way_and_not_what_is_found(knee in 1.0_f64..900_000.0, guess in 0.5_f64..2e6) {
            let mut search = Search::new(Effort::default());
            search.expect(guess);
            let mut trials = 0;
            while let Some(trial) = search.ask() {
                trials += 1;
                search.answer(holds_below(knee)(trial));
            }
            let (load, confirmed) = search.best().expect("something holds");
            proptest::prop_assert!(search.end() == Some(End::Found) && confirmed && load <= knee && load * 1.05 * 1.000_001 >= knee, "{} of {}", load, knee);
            // The farther off it is, the longer it takes; never much longer than without.
            let off = (guess / knee).max(knee / guess).ln() / 2_f64.ln();
            proptest::prop_assert!(f64::from(trials) <= (12.0 + 2.0 * off).min(30.0), "{} trials, {} of {}", trials, guess, knee);
        }

        #[test]
        fn a_guess_that_follows_what_is_measured_costs_two_trials_beyond_the_gap(knee in 5_000.0_f64..50_000.0, off in 0.92_f64..1.08) {
            // As a proxy whose CPU grows with the load: the guess is made after the first trial, and again after each.
            let mut search = Search::new(Effort { start: 4_000.0, confirmations: 2, ..Effort::default() });
            let mut trials = 0;
            while let Some(trial) = search.ask() {
                trials += 1;
                search.answer(holds_below(knee)(trial));
                search.expect(knee * off);
            }
            proptest::prop_assert!(trials <= 8, "{} trials for {} guessed off by {}", trials, knee, off);
        }
    }

    #[test]
    fn a_core_that_is_busy_long_before_anything_fails_does_not_hold_the_search_up() {
        // 92 % busy at 10,000 and little more beyond; the objective is kept up to 100,000. Each guess says: a little farther.
        let mut search = Search::new(Effort { start: 2_000.0, confirmations: 2, ..Effort::default() });
        let mut trials = 0;
        while let Some(trial) = search.ask() {
            trials += 1;
            search.answer(holds_below(100_000.0)(trial));
            let best = search.best().map_or(2_000.0, |(load, _)| load);
            search.expect((best * 1.03).max(10_000.0));
        }
        assert!(search.best().is_some_and(|(load, confirmed)| confirmed && load > 95_000.0));
        assert!(trials <= 14, "{trials}");
    }

    #[test]
    fn a_confirmation_that_says_nothing_leaves_what_held_before() {
        let (search, trials) = searched(Effort::default(), |trial| match trial.stage {
            Stage::Confirm if trial.load > 700.0 => Answer::Unhealthy,
            _ if trial.load <= 1_000.0 => Answer::Holds,
            _ => Answer::Fails,
        });
        assert!(
            trials.iter().skip_while(|trial| trial.stage != Stage::Confirm).any(|trial| trial.stage == Stage::Bisect)
        );
        assert!(search.best().is_some_and(|(load, confirmed)| confirmed && load > 600.0), "{trials:?}");
    }

    #[test]
    fn who_fails_a_confirmation_is_stepped_back_from_by_little() {
        let mut search = Search::new(Effort { start: 4_000.0, ..Effort::default() });
        search.expect(10_000.0);
        let mut way = Vec::new();
        while let Some(trial) = search.ask() {
            way.push((trial.load.round(), trial.stage));
            let knee = if trial.stage == Stage::Confirm { 8_500.0 } else { 10_500.0 };
            search.answer(if trial.load <= knee { Answer::Holds } else { Answer::Fails });
        }
        let (load, confirmed) = search.best().expect("something holds");
        assert!(confirmed && (8_095.0..=8_500.0).contains(&load), "{way:?}");
        assert!(way.len() <= 12, "{way:?}");
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
