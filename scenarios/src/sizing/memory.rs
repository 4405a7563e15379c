//! Bytes a connection: lines through levels, in three states.

use std::time::Duration;

use capacity::line;
use reports::capacity::{Line, Memory, Step};

use super::axis::{Arrivals, Axis, Trial};
use super::judge::Measured;
use super::settings::Settings;

/// Levels of the state that has trials of its own.
const STALLED: [u32; 5] = [100, 200, 300, 400, 500];
/// What a stalled client is sent a second: more than its kernel's buffers and the proxy's queue hold, within a window.
const FLOOD: (u32, f64, u32) = (10, 200.0, 1_024);

/// What a stalled client reads a second, in bytes: enough for a handshake, and next to nothing of what it is sent.
const READ: u64 = 2_000;

/// Buffers that still grow by more than this over the window, as a part of what they are, were not full.
const FULL_GROWS_MAX: f64 = 0.02;

/// Where clients read next to nothing: the levels at which all were there and nothing grew any more, and what is to be said of the others.
#[must_use]
pub fn stalled_state(trials: &[Measured]) -> Memory {
    let all_there = |one: &&Measured| one.heard.opened == u64::from(one.trial.clients);
    let there: Vec<&Measured> = trials.iter().filter(all_there).collect();
    let full = there.iter().filter(|one| one.grew.is_some_and(|grew| grew <= FULL_GROWS_MAX));
    let levels: Vec<_> =
        full.filter_map(|one| Some((one.heard.opened, one.proxy?.rss_bytes, one.proxy?.kernel_bytes))).collect();
    let left_out = trials.len() - levels.len();
    let what = match left_out {
        0 => "clients that read next to nothing, when all their buffers were full".to_owned(),
        n => format!(
            "clients that read next to nothing, when all their buffers were full; {n} of {} levels are left out: not all clients stayed, or buffers were still filling",
            trials.len()
        ),
    };
    state("stalled", &what, levels)
}

/// The trials whose clients read next to nothing, so that all their buffers fill.
pub fn stalled(settings: &Settings) -> impl Iterator<Item = Trial> + use<> {
    let objective = settings.objective;
    STALLED.into_iter().map(move |clients| Trial {
        axis: Axis::Held,
        load: f64::from(clients),
        clients,
        arrivals: Arrivals::Ramp,
        symbols: FLOOD.0,
        symbols_per_client: FLOOD.0,
        ticks_per_s: FLOOD.1,
        padding: FLOOD.2,
        objective,
        verify: 1.0,
        bytes_per_s: Some(READ),
        window: Duration::from_secs(1),
    })
}

/// One state from its levels: connections, resident bytes, kernel bytes.
#[must_use]
pub fn state(state: &str, what: &str, mut levels: Vec<(u64, u64, Option<u64>)>) -> Memory {
    levels.sort_unstable();
    let resident: Vec<(f64, f64)> = levels.iter().map(|(n, bytes, _)| (*n as f64, *bytes as f64)).collect();
    let kernel: Vec<(f64, f64)> =
        levels.iter().filter_map(|(n, _, bytes)| bytes.map(|bytes| (*n as f64, bytes as f64))).collect();
    let (state, what) = (state.to_owned(), what.to_owned());
    Memory { state, what, line: through(&resident), kernel: through(&kernel), levels }
}

/// The levels of an axis: of its steps that hold and in which all connections were there.
#[must_use]
pub fn levels(steps: &[Step]) -> Vec<(u64, u64, Option<u64>)> {
    let whole = steps.iter().filter(|step| step.answer == "holds" && step.connections as f64 >= step.load.round());
    whole.filter_map(|step| step.proxy.map(|proxy| (step.connections, proxy.rss_bytes, proxy.kernel_bytes))).collect()
}

fn through(points: &[(f64, f64)]) -> Option<Line> {
    let line = line::line(points).ok()?;
    Some(Line {
        slope: line.slope,
        slope_low: line.slope_interval.low,
        slope_high: line.slope_interval.high,
        intercept: line.intercept,
        r_squared: line.r_squared,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_levels_in_any_order_and_not_through_two() {
        let levels = vec![(3_000, 22_000_000, None), (1_000, 12_000_000, None), (2_000, 17_000_000, None)];
        let memory = state("idle", "they wait", levels);
        let line = memory.line.expect("three levels");
        assert!((line.slope - 5_000.0).abs() < 1e-6 && (line.intercept - 7e6).abs() < 1e-3, "{line:?}");
        assert_eq!((memory.levels[0].0, memory.kernel), (1_000, None));
        assert_eq!(state("idle", "", vec![(1, 2, None), (2, 3, None)]).line, None);
    }

    #[test]
    fn levels_whose_buffers_were_still_filling_are_no_levels_of_stalled_clients() {
        let level = |grew: Option<f64>, opened: u64| {
            super::super::judge::tests::trial(|one| (one.grew, one.heard.opened) = (grew, opened))
        };
        let state = stalled_state(&[
            level(Some(0.01), 2_000),
            level(Some(0.3), 2_000),
            level(None, 2_000),
            level(Some(0.0), 1_999),
        ]);
        assert_eq!(state.levels.len(), 1);
        assert!(state.what.contains("3 of 4 levels are left out"), "{}", state.what);
        assert!(!stalled_state(&[level(Some(0.01), 2_000)]).what.contains("left out"));
    }
}
