//! One clock for all processes of a run.

/// Microseconds of the machine's monotonic clock, which all of its processes share.
pub(super) fn monotonic_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000)
}

/// Microseconds since a run began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// What [`monotonic_us`] was then.
    pub(super) began_us: u64,
}

impl Clock {
    /// Now; 0 before the run began.
    pub(super) fn now_us(self) -> u64 {
        monotonic_us().saturating_sub(self.began_us)
    }
}
