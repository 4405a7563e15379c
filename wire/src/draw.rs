//! Randomness by key: every draw is a pure function of (seed, purpose, entity, n).
//!
//! Removing client 17 from a scenario shifts nobody else's draws, because no two entities share a stream. The mixing function is
//! XXH3-64 over the 32 key bytes, seeded with the run's seed: stable over platforms and versions, and far better mixed than these uses
//! need. It is not cryptographic.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

thread_local! {
    /// What the streams of this thread's world are turned by; 0: not at all.
    static TURNED_BY: Cell<u64> = const { Cell::new(0) };
}

/// From now on every stream of [`Draws::of_world`] on this thread, those that are under way too, draws as under another seed, which `by` says; 0 turns them
/// back. For the simulator: a run that keeps its beginning and takes another end.
pub fn reseed_world(by: u64) {
    TURNED_BY.set(by);
}

/// A stream of draws for one purpose of one entity. Cheap to make and to copy; a copy repeats the same draws.
///
/// It is a [`rand::Rng`], so distributions and shuffles of `rand` work over it.
#[derive(Clone, Debug)]
pub struct Draws {
    seed: u64,
    purpose: u64,
    entity: u64,
    n: u64,
    of_world: bool,
}

impl Draws {
    /// The stream for `purpose` (a fixed word such as `"backoff"`) of `entity` (a number of the caller's choice).
    #[must_use]
    pub fn new(seed: u64, purpose: &str, entity: u64) -> Self {
        Self { seed, purpose: xxh3_64(purpose.as_bytes()), entity, n: 0, of_world: false }
    }

    /// As [`Draws::new`], but one that [`reseed_world`] reaches.
    #[must_use]
    pub fn of_world(seed: u64, purpose: &str, entity: u64) -> Self {
        Self { of_world: true, ..Self::new(seed, purpose, entity) }
    }

    /// The draw number `n`, whatever was drawn before.
    #[must_use]
    pub fn nth(&self, n: u64) -> u64 {
        let mut key = [0_u8; 24];
        key[..8].copy_from_slice(&self.purpose.to_le_bytes());
        key[8..16].copy_from_slice(&self.entity.to_le_bytes());
        key[16..].copy_from_slice(&n.to_le_bytes());
        let turned_by = if self.of_world { TURNED_BY.get() } else { 0 };
        xxh3_64_with_seed(&key, self.seed ^ turned_by)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        let value = self.nth(self.n);
        self.n += 1;
        value
    }

    /// The next whole number in `0..bound`, without modulo bias worth naming (fixed-point multiplication: below `bound / 2^64`).
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a draw below 0 has no value");
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// The next number in `[0, 1)`, with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `p` (clamped to 0..=1).
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A duration in `[0, max)`, in whole microseconds: "full jitter". Zero if `max` is below a microsecond.
    pub fn jitter(&mut self, max: Duration) -> Duration {
        let micros = u64::try_from(max.as_micros()).unwrap_or(u64::MAX);
        if micros == 0 { Duration::ZERO } else { Duration::from_micros(self.below(micros)) }
    }

    /// An exponentially distributed number with the given mean (inverse transform; `libm`, so equal on every CPU).
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// A standard normal number (Box and Muller 1958, the cosine half; two draws).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }
}

impl rand::TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.draw() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.draw())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.draw().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_other_keys_differ_and_equal_keys_agree() {
        let a: Vec<u64> = (0..8).map(|n| Draws::new(1, "x", 2).nth(n)).collect();
        let mut again = Draws::new(1, "x", 2);
        assert_eq!(a, (0..8).map(|_| again.draw()).collect::<Vec<_>>());
        assert_ne!(a[0], Draws::new(2, "x", 2).nth(0));
        assert_ne!(a[0], Draws::new(1, "y", 2).nth(0));
        assert_ne!(a[0], Draws::new(1, "x", 3).nth(0));
    }

    #[test]
    fn a_world_that_is_reseeded_draws_anew_and_others_do_not() {
        let (mut own, mut others) = (Draws::of_world(1, "x", 2), Draws::new(1, "x", 2));
        assert_eq!(own.draw(), others.draw());
        reseed_world(9);
        let turned = own.draw();
        assert_ne!(turned, others.draw());
        assert_eq!(turned, Draws::of_world(1, "x", 2).nth(1));
        reseed_world(0);
        assert_eq!(own.draw(), others.draw());
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        let mut draws = Draws::new(7, "moments", 0);
        let n = 100_000;
        let mean = (0..n).map(|_| draws.exponential(3.0)).sum::<f64>() / f64::from(n);
        assert!((mean - 3.0).abs() < 0.05, "mean {mean}");
        let normals: Vec<f64> = (0..n).map(|_| draws.normal()).collect();
        let variance = normals.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
        assert!((variance - 1.0).abs() < 0.03, "variance {variance}");
        assert!((0..n).all(|_| draws.below(10) < 10));
    }
}
