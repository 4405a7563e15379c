//! When the next is due, of requests and of publications alike: by plan, or so long after the last as is drawn. Pure.

use std::time::Duration;

use tokio::time::Instant;
use wire::draw::Draws;

/// Longer than any run.
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// How long after the others a client begins: a part of its period, drawn, or all would speak at once.
pub(crate) fn phase(per_s: f64, draws: &mut Draws) -> Duration {
    Duration::try_from_secs_f64(draws.unit() / per_s).unwrap_or(FAR).min(FAR)
}

/// When number n is due, at so many a second.
pub(crate) fn planned(per_s: f64, first: Instant, n: u64) -> Instant {
    // A rate that is no number, or so low that the instant cannot be told, plans nothing within the run.
    let offset = Duration::try_from_secs_f64(n as f64 / per_s).unwrap_or(FAR);
    first.checked_add(offset.min(FAR)).unwrap_or(first)
}

/// Half to one and a half times the mean.
pub(crate) fn thought(mean: Duration, draws: &mut Draws) -> Duration {
    let mean = mean.min(FAR);
    mean / 2 + draws.jitter(mean)
}
