//! How the time is shared out: the axis of the verdict has the most, and what an axis leaves goes to those that follow.

use std::time::Duration;

use super::axis::Axis;

/// Shares of the whole, in the order of [`Axis::ALL`]; what is left is for memory, and slack.
const SHARES: [f64; 4] = [0.45, 0.25, 0.10, 0.12];
/// Trials of a search, about: to grow, to bisect, and the longer ones that confirm, which count twice.
const TRIALS: f64 = 14.0;
/// Windows outside of this say too little, or nothing more.
const WINDOW: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(20));
/// A confirmation's window against that of a search.
pub const CONFIRM: u32 = 2;

/// The time of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From now.
    pub time: Duration,
    /// The window of a trial that searches.
    pub window: Duration,
}

/// The share of an axis, of what is left of `whole`.
#[must_use]
pub fn share(axis: Axis, whole: Duration, left: Duration) -> Share {
    let place = Axis::ALL.iter().position(|one| *one == axis).unwrap_or(0);
    let rest: f64 = SHARES[place..].iter().sum::<f64>() + (1.0 - SHARES.iter().sum::<f64>());
    let time = left.min(whole).mul_f64(SHARES[place] / rest);
    // Half of a trial goes into what is around its window.
    let window = time.div_f64(TRIALS * 2.0).clamp(WINDOW.0, WINDOW.1);
    Share { time, window }
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
            let share = share(axis, whole, left);
            times.push(share.time.as_secs_f64().round());
            left -= share.time;
        }
        assert_eq!(times, [135.0, 75.0, 30.0, 36.0]);
        assert!(left >= Duration::from_secs(20), "{left:?} for memory and slack");
        let generous = share(Axis::Rate, whole, whole);
        assert!(generous.time > Duration::from_secs(120), "{generous:?}");
    }

    #[test]
    fn windows_stay_within_what_tells_something() {
        let of = |secs: u64| share(Axis::Mixed, Duration::from_secs(secs), Duration::from_secs(secs)).window;
        assert_eq!(of(1), WINDOW.0);
        assert_eq!(of(100_000), WINDOW.1);
        assert!(of(300) > Duration::from_secs(4) && of(300) < Duration::from_secs(6), "{:?}", of(300));
    }
}
