//! When did a failure become inevitable? The run keeps its beginning up to a time t and draws everything anew from then on, many times; how often it still
//! fails in the same way is P(fail | the run up to t). Where that rises to one lies what the failure hangs on.
//!
//! ```text
//!   P  1 |                  o--o--o      pinned: what happened in between
//!        |                 /
//!      0 o--o--o--o--o--o-o              t: first a grid, then bisection of the steepest place
//! ```
//!
//! Pure: whoever runs the runs hands in [`Probe`].

use serde::Serialize;

/// P is "one" from here on, and below here on the other side it is not.
const INEVITABLE: f64 = 0.95;
/// A rise that is worth looking into; less may be chance.
const RISE_MIN: f64 = 0.2;
/// The 97.5th percentile of the normal distribution: intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Runs so many runs that keep their beginning up to a time in microseconds, and gives how many fail in the same way.
pub trait Probe {
    /// Why it cannot.
    type Error;

    /// The same runs again where it is asked again.
    ///
    /// # Errors
    /// The probe's own.
    fn fails(&mut self, at_us: u64, runs: u32) -> Result<u32, Self::Error>;
}

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Runs at each time, at least 1.
    pub runs: u32,
    /// Stretches of the first grid, at least 1.
    pub grid: u32,
    /// Times that are added at steep places at most.
    pub rounds: u32,
    /// No stretch shorter than twice this is cut again.
    pub resolution_us: u64,
}

/// How often runs with the same beginning fail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Likelihood {
    /// Where the beginning ends, in virtual microseconds.
    pub at_us: u64,
    /// Runs.
    pub runs: u32,
    /// Those that failed in the same way.
    pub failed: u32,
    /// Their share.
    pub p: f64,
    /// The least share that is likely: Wilson's interval, 95 %.
    pub low: f64,
    /// The greatest share that is likely.
    pub high: f64,
}

impl Likelihood {
    /// Wilson's score interval (Wilson 1927), which holds at the edges, too.
    #[must_use]
    pub fn new(at_us: u64, runs: u32, failed: u32) -> Self {
        let n = f64::from(runs.max(1));
        let p = f64::from(failed) / n;
        let (square, scale) = (Z * Z, 1.0 + Z * Z / n);
        let middle = (p + square / (2.0 * n)) / scale;
        let half = Z * libm::sqrt(p * (1.0 - p) / n + square / (4.0 * n * n)) / scale;
        // At the edges the formula gives them but for rounding.
        let low = if failed == 0 { 0.0 } else { (middle - half).max(0.0) };
        let high = if failed >= runs { 1.0 } else { (middle + half).min(1.0) };
        Self { at_us, runs, failed, p, low, high }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pinned {
    /// All times that were looked at, in order.
    pub points: Vec<Likelihood>,
    /// From when on the failure is inevitable: P is at least 0.95 there and at all later times. None where it never is.
    pub inevitable_from_us: Option<u64>,
    /// The two neighbouring times between which P rises most, if it rises by more than chance does.
    pub steepest_us: Option<(u64, u64)>,
}

/// Looks for the place from which a failure is inevitable, between the beginning and `end_us`.
///
/// # Errors
/// The probe's own.
pub fn pin<P: Probe>(probe: &mut P, end_us: u64, effort: Effort) -> Result<Pinned, P::Error> {
    let grid = u64::from(effort.grid.max(1)).min(end_us.max(1));
    let runs = effort.runs.max(1);
    let mut points = Vec::new();
    for place in 0..=grid {
        let at_us = (u128::from(end_us) * u128::from(place) / u128::from(grid)) as u64;
        points.push(Likelihood::new(at_us, runs, probe.fails(at_us, runs)?));
    }
    for _ in 0..effort.rounds {
        let Some(after) = steepest(&points) else { break };
        let (from, to) = (points[after - 1].at_us, points[after].at_us);
        if to - from < 2 * effort.resolution_us.max(1) {
            break;
        }
        let at_us = u64::midpoint(from, to);
        points.insert(after, Likelihood::new(at_us, runs, probe.fails(at_us, runs)?));
    }
    let first = points.iter().rposition(|point| point.p < INEVITABLE).map_or(0, |last| last + 1);
    Ok(Pinned {
        inevitable_from_us: points.get(first).map(|point| point.at_us),
        steepest_us: steepest(&points).map(|after| (points[after - 1].at_us, points[after].at_us)),
        points,
    })
}

/// The place of the later one of the two neighbours between which P rises most, if their intervals do not overlap; the earliest of equals.
fn steepest(points: &[Likelihood]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (place, pair) in points.windows(2).enumerate() {
        let rise = pair[1].p - pair[0].p;
        if rise >= RISE_MIN && pair[1].low > pair[0].high && best.is_none_or(|(_, most)| rise > most) {
            best = Some((place + 1, rise));
        }
    }
    best.map(|(place, _)| place)
}

impl Pinned {
    /// What was found, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let seconds = |us: u64| format!("{:.3}", us as f64 / 1e6);
        let p = |at: u64| self.points.iter().find(|point| point.at_us == at).map_or(0.0, |point| point.p);
        let rise = self.steepest_us.map(|(from, to)| {
            format!("P rises from {:.2} to {:.2} between {} and {} s", p(from), p(to), seconds(from), seconds(to))
        });
        match (self.inevitable_from_us, rise) {
            (Some(0), _) => format!(
                "inevitable from the beginning (P is {:.2} at 0 s): no chance decides it, the scenario and its faults do",
                p(0)
            ),
            (Some(from), Some(rise)) => format!("inevitable from {} s ({rise})", seconds(from)),
            (Some(from), None) => format!("inevitable from {} s, and P rises slowly until there", seconds(from)),
            (None, Some(rise)) => format!("never inevitable before it is there, but likelier: {rise}"),
            (None, None) => "never inevitable: chance decides it to the last".to_owned(),
        }
    }

    /// A line for each time: P as a bar with its interval.
    #[must_use]
    pub fn chart(&self) -> String {
        const WIDTH: usize = 40;
        let column = |share: f64| ((share * WIDTH as f64).round() as usize).min(WIDTH);
        let mut text = String::new();
        for Likelihood { at_us, runs, failed, p, low, high } in &self.points {
            let (low, at, high) = (column(*low), column(*p), column(*high));
            let mark = |place: usize| match place {
                place if place < at => '#',
                place if (low..high).contains(&place) => '-',
                _ => ' ',
            };
            let bar: String = (0..WIDTH).map(mark).collect();
            let steep = match self.steepest_us {
                Some((from, to)) if from == *at_us || to == *at_us => " <",
                _ => "",
            };
            text.push_str(
                format!("{:>11.6} s |{bar}| {p:.2} ({failed} of {runs}){steep}\n", *at_us as f64 / 1e6).as_str(),
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails as often as a curve says, and counts what it was asked.
    struct Curve<F>(F, Vec<u64>);

    impl<F: Fn(u64) -> f64> Probe for Curve<F> {
        type Error = std::convert::Infallible;

        fn fails(&mut self, at_us: u64, runs: u32) -> Result<u32, Self::Error> {
            self.1.push(at_us);
            Ok((f64::from(runs) * (self.0)(at_us)).round() as u32)
        }
    }

    const EFFORT: Effort = Effort { runs: 40, grid: 8, rounds: 12, resolution_us: 10_000 };

    fn found(curve: impl Fn(u64) -> f64) -> (Pinned, Vec<u64>) {
        let mut probe = Curve(curve, Vec::new());
        let pinned = pin(&mut probe, 20_000_000, EFFORT).expect("no error is possible");
        (pinned, probe.1)
    }

    #[test]
    fn wilsons_interval_is_that_of_the_tables() {
        let close = |(low, high): (f64, f64), of: Likelihood| {
            assert!((of.low - low).abs() < 5e-4 && (of.high - high).abs() < 5e-4, "{of:?}");
        };
        close((0.0, 0.161), Likelihood::new(0, 20, 0));
        close((0.839, 1.0), Likelihood::new(0, 20, 20));
        close((0.299, 0.701), Likelihood::new(0, 20, 10));
        close((0.404, 0.596), Likelihood::new(0, 100, 50));
    }

    #[test]
    fn a_step_is_found_to_the_resolution_with_few_times() {
        let (pinned, asked) = found(|at| if at < 12_345_678 { 0.05 } else { 1.0 });
        let (from, to) = pinned.steepest_us.expect("it is steep");
        assert!(from < 12_345_678 && to >= 12_345_678 && to - from <= 20_000, "{from} {to}");
        assert_eq!(pinned.inevitable_from_us, Some(to));
        assert!(asked.len() <= 9 + 8, "{}", asked.len());
        let sentence = pinned.sentence();
        assert!(
            sentence.starts_with("inevitable from 12.3") && sentence.contains("P rises from 0.05 to 1.00 between 12.3"),
            "{sentence}"
        );
        assert!(pinned.points.is_sorted_by(|one, next| one.at_us < next.at_us));
        assert_eq!(pinned.chart().lines().count(), pinned.points.len());
        assert_eq!(pinned.chart().lines().filter(|line| line.ends_with('<')).count(), 2);
    }

    #[test]
    fn what_chance_does_not_decide_is_inevitable_from_the_beginning() {
        let (pinned, asked) = found(|_| 1.0);
        assert_eq!((pinned.inevitable_from_us, pinned.steepest_us, asked.len()), (Some(0), None, 9));
        assert!(pinned.sentence().starts_with("inevitable from the beginning (P is 1.00 at 0 s)"));
    }

    #[test]
    fn what_stays_chance_is_never_inevitable_and_noise_is_not_looked_into() {
        let (pinned, asked) = found(|at| 0.4 + (at / 1_000_000 % 2) as f64 * 0.1);
        assert_eq!((pinned.inevitable_from_us, pinned.steepest_us, asked.len()), (None, None, 9));
        assert!(pinned.sentence().starts_with("never inevitable"));
    }

    #[test]
    fn a_dip_after_a_rise_moves_the_place_to_where_it_stays() {
        let (pinned, _) = found(|at| if at >= 5_000_000 && at != 10_000_000 { 1.0 } else { 0.0 });
        assert!(pinned.inevitable_from_us.is_some_and(|from| from > 10_000_000), "{pinned:?}");
    }
}
