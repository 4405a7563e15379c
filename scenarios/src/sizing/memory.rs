//! Bytes a connection: lines through levels, in three states.

use std::time::Duration;

use capacity::line;
use reports::capacity::{Line, Memory, Step};

use super::axis::{Arrivals, Axis, Trial};
use super::settings::Settings;

/// Levels of the state that has trials of its own.
const STALLED: [u32; 5] = [100, 200, 300, 400, 500];
/// What a stalled client is sent a second: more than its kernel's buffers and the proxy's queue hold, within a window.
const FLOOD: (u32, f64, u32) = (10, 200.0, 1_024);

/// What a stalled client reads a second, in bytes: enough for a handshake, and next to nothing of what it is sent.
const READ: u64 = 2_000;

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
        window: Duration::from_millis(500),
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
}
