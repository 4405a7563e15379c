//! How the time is shared out: the axis of the verdict has the most, and what an axis leaves goes to those that follow.

use std::time::Duration;

use super::axis::Axis;

/// Shares of the whole, in the order of [`Axis::ALL`]; what is left is for memory, and slack.
const SHARES: [f64; 4] = [0.52, 0.18, 0.08, 0.17];
/// Trials of a search, about: to grow, to bisect, and the longer ones that confirm, which count twice.
const TRIALS: f64 = 16.0;
/// Windows outside of this say too little, or nothing more.
const WINDOW: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(20));
/// A confirmation's window against that of a search.
pub const CONFIRM: u32 = 2;

/// The time of an axis, of what is `left` of the `whole`.
#[must_use]
pub fn time(axis: Axis, whole: Duration, left: Duration) -> Duration {
    let place = Axis::ALL.iter().position(|one| *one == axis).unwrap_or(0);
    let rest: f64 = SHARES[place..].iter().sum::<f64>() + (1.0 - SHARES.iter().sum::<f64>());
    left.min(whole).mul_f64(SHARES[place] / rest)
}

/// The window of a trial that searches, in a search of so long: half of a trial goes into what is around its window.
#[must_use]
pub fn window(time: Duration) -> Duration {
    time.div_f64(TRIALS * 2.0).clamp(WINDOW.0, WINDOW.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_axis_leaves_goes_to_the_others_and_none_takes_all() {
        let whole = Duration::from_secs(300);
        let mut left = whole;
        let mut times = Vec::new();
        for axis in Axis::ALL {
            let time = time(axis, whole, left);
            times.push(time.as_secs_f64().round());
            left -= time;
        }
        assert_eq!(times, [156.0, 54.0, 24.0, 51.0]);
        assert!(left >= Duration::from_secs(14), "{left:?} for memory and slack");
        let generous = time(Axis::Rate, whole, whole);
        assert!(generous > Duration::from_secs(100), "{generous:?}");
    }

    #[test]
    fn windows_stay_within_what_tells_something() {
        let of = |secs: u64| window(Duration::from_secs(secs));
        assert_eq!(of(1), WINDOW.0);
        assert_eq!(of(100_000), WINDOW.1);
        assert_eq!(of(160), Duration::from_secs(5));
    }
}
