//! The smallest window in which clients may come again and an objective still holds.
//!
//! ```text
//!   grow     50 ms, 75 ms, 112 ms, ... until one holds on a few seeds, or the window is longer than the time in which all must be back
//!   bisect   between the last that did not and the first that did, down to a tenth
//!   confirm  on all seeds; where one breaks it, on to the next longer
//! ```
//!
//! A window is not only too small: the longer it is, the later the last client comes. So there may be none.

use serde::Serialize;

use super::over::Over;
use super::storm::{ForecastError, Seeds, Storm, one};
use super::world::Fleet;
use crate::model::ServiceTime;
use crate::span::Span;
use capacity::quantile;

/// What must hold in each run. What is left out is not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Objective {
    /// p99 from the dial to the session, of those that were lost.
    pub connect_p99: Option<Span>,
    /// Until all of them have messages again.
    pub back: Option<Span>,
    /// p99 of the age of messages of the other instances' clients meanwhile.
    pub untouched_p99: Option<Span>,
}

impl Objective {
    /// Whether a run keeps it.
    #[must_use]
    pub fn holds(&self, run: &Storm) -> bool {
        let within = |bound: Option<Span>, figure: Option<f64>| {
            bound.is_none_or(|bound| figure.is_some_and(|figure| figure <= bound.as_secs_f64()))
        };
        within(self.connect_p99, run.connect_p99_s)
            && within(self.back, run.back_s)
            && within(self.untouched_p99, run.untouched_p99_s)
    }
}

/// A window that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// The window, in seconds.
    pub jitter_s: f64,
    /// Seeds.
    pub seeds: u64,
    /// Those that kept the objective.
    pub kept: u64,
    /// The worst p99 from dial to session, in seconds. None: in some run nobody has a session.
    pub connect_p99_s: Option<f64>,
    /// The longest time until all were back. None: not while it was watched.
    pub back_s: Option<f64>,
    /// The worst p99 of the age of the others' messages.
    pub untouched_p99_s: Option<f64>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Window {
    /// What was asked; its jitter is not read.
    pub fleet: Fleet,
    /// What must hold.
    pub objective: Objective,
    /// The smallest window that holds on all seeds, in seconds. None: none does.
    pub smallest_s: Option<f64>,
    /// The longest one below it that does not. None: it is the shortest that was tried.
    pub fails_at_s: Option<f64>,
    /// Seeds on which it was confirmed.
    pub confirmed: u64,
    /// The greatest probability that a further seed breaks the objective, at 95 %: the rule of three. None where nothing holds.
    pub breaks_at_most: Option<f64>,
    /// All that were tried, in order of time.
    pub tried: Vec<Tried>,
}

/// From where to search, how far and how finely.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The shortest window.
    pub from: Span,
    /// The longest.
    pub to: Span,
    /// The gap between one that holds and one that does not, as a part of the latter. Above 0.
    pub tolerance: f64,
}

/// From one window to the next while growing.
const FACTOR: f64 = 1.5;

/// Searches: `probe` are the few seeds for a first answer, `all` those that must hold.
///
/// # Errors
/// [`ForecastError`].
pub fn smallest_window(
    fleet: &Fleet,
    costs: ServiceTime,
    objective: Objective,
    range: Range,
    probe: &impl Seeds,
    all: &impl Seeds,
) -> Result<Window, ForecastError> {
    if objective == Objective::default() {
        return Err(ForecastError::Asked("nothing must hold: give a bound on connect, recovery or age".to_owned()));
    }
    // Who is not back by then breaks it, however long one watches.
    let back_max = objective.back.map_or(Span::from_millis(600_000), |back| Span::from_micros(back.as_micros() + 1));
    let mut tried: Vec<Tried> = Vec::new();
    let mut holds = |jitter: Span, confirm: bool| {
        let fleet = Fleet { jitter, ..*fleet };
        let runs = if confirm {
            all.each(|seed| one(&fleet, costs, seed, back_max))?
        } else {
            probe.each(|seed| one(&fleet, costs, seed, back_max))?
        };
        let Some(now) = row(jitter, objective, &runs) else {
            return Err(ForecastError::Asked("no seeds: nothing was simulated".to_owned()));
        };
        let kept = now.kept == now.seeds;
        tried.push(now);
        Ok(kept)
    };
    let range = Range { to: objective.back.map_or(range.to, |back| back.min(range.to)), ..range };
    let found = search(range, &mut holds)?;
    let confirmed = tried.last().map_or(0, |last| last.seeds);
    Ok(Window {
        fleet: *fleet,
        objective,
        smallest_s: found.smallest.map(Span::as_secs_f64),
        fails_at_s: found.fails_at.map(Span::as_secs_f64),
        confirmed: if found.smallest.is_some() { confirmed } else { 0 },
        breaks_at_most: found.smallest.map(|_| quantile::never_seen_at_most(confirmed)),
        tried,
    })
}

fn row(jitter: Span, objective: Objective, runs: &[Storm]) -> Option<Tried> {
    let worst = |of: fn(&Storm) -> Option<f64>| {
        Over::of(runs.iter().map(|run| (run.seed, of(run)))).and_then(|over| over.worst)
    };
    (!runs.is_empty()).then(|| Tried {
        jitter_s: jitter.as_secs_f64(),
        seeds: runs.len() as u64,
        kept: runs.iter().filter(|run| objective.holds(run)).count() as u64,
        connect_p99_s: worst(|run| run.connect_p99_s),
        back_s: worst(|run| run.back_s),
        untouched_p99_s: worst(|run| run.untouched_p99_s),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    smallest: Option<Span>,
    fails_at: Option<Span>,
}

/// Asks `holds` with a window and whether it is to be confirmed.
fn search<E>(range: Range, holds: &mut impl FnMut(Span, bool) -> Result<bool, E>) -> Result<Found, E> {
    let Range { from, to, tolerance } = range;
    let times = |window: Span, factor: f64| {
        Span::from_micros(
            (window.as_micros() as f64 * factor).ceil().max(window.as_micros() as f64 + 1_000.0) as u64 / 1_000 * 1_000,
        )
    };
    let (mut window, mut fails_at) = (from.min(to), None);
    loop {
        // Grow to one that holds.
        while !holds(window, false)? {
            fails_at = Some(window);
            if window >= to {
                return Ok(Found { smallest: None, fails_at });
            }
            window = times(window, FACTOR).min(to);
        }
        // Bisect, in the middle of the ratio: windows grow by factors.
        while let Some(low) = fails_at
            && window > times(low, 1.0 + tolerance)
        {
            let middle = (low.as_micros() as f64 * window.as_micros() as f64).sqrt();
            let middle =
                Span::from_micros((middle as u64 / 1_000 * 1_000).clamp(low.as_micros() + 1, window.as_micros() - 1));
            if holds(middle, false)? {
                window = middle;
            } else {
                fails_at = Some(middle);
            }
        }
        if holds(window, true)? {
            return Ok(Found { smallest: Some(window), fails_at });
        }
        fails_at = Some(window);
        if window >= to {
            return Ok(Found { smallest: None, fails_at });
        }
        window = times(window, 1.0 + tolerance).min(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Span {
        Span::from_millis(ms)
    }

    fn found(holds: impl Fn(u64, bool) -> bool) -> (Found, usize) {
        let range = Range { from: ms(50), to: ms(20_000), tolerance: 0.1 };
        let mut asked = 0;
        let found = search(range, &mut |window: Span, confirm| {
            asked += 1;
            assert!(window <= range.to && asked < 200);
            Ok::<bool, ()>(holds(window.as_micros() / 1_000, confirm))
        });
        (found.unwrap(), asked)
    }

    proptest::proptest! {
        #[test]
        fn wherever_windows_begin_to_hold_the_smallest_is_found_within_the_tolerance(least in 51_u64..19_000) {
            let (found, asked) = found(|window, _| window >= least);
            let (smallest, fails) = (found.smallest.unwrap().as_micros() / 1_000, found.fails_at.unwrap().as_micros() / 1_000);
            proptest::prop_assert!(fails < least && least <= smallest, "{} {} {}", fails, least, smallest);
            proptest::prop_assert!(smallest as f64 <= fails as f64 * 1.1 + 2.0, "{} {}", fails, smallest);
            proptest::prop_assert!(asked < 30);
        }
    }

    #[test]
    fn no_window_is_an_answer() {
        let (none, _) = found(|_, _| false);
        assert_eq!(none, Found { smallest: None, fails_at: Some(ms(20_000)) });
    }

    #[test]
    fn what_more_seeds_break_is_gone_beyond() {
        let (found, _) = found(|window, confirm| window >= if confirm { 1_300 } else { 1_000 });
        let smallest = found.smallest.unwrap().as_micros() / 1_000;
        assert!((1_300..1_450).contains(&smallest), "{smallest}");
    }

    #[test]
    fn the_shortest_that_was_tried_may_hold() {
        assert_eq!(found(|_, _| true).0, Found { smallest: Some(ms(50)), fails_at: None });
    }
}
