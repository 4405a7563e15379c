//! How far a rate is exceeded: a token bucket, seen from its other side.

/// What was taken and is not yet given back.
#[derive(Clone, Copy, Default)]
pub(super) struct Taken {
    count: f64,
    at_us: u64,
}

impl Taken {
    /// One more, `per_s` a second being given back: how many that makes.
    pub(super) fn one_more(&mut self, us: u64, per_s: f64) -> f64 {
        let given_back = us.saturating_sub(self.at_us) as f64 / 1e6 * per_s;
        *self = Self { count: (self.count - given_back).max(0.0) + 1.0, at_us: us };
        self.count
    }

    /// All is given back at once: a storm is one finding for each burst of it.
    pub(super) fn give_back(&mut self) {
        self.count = 0.0;
    }
}
