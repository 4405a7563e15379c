//! Draws of one part of a world.

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The dice of one part of a world, which follow from the world's seed and the part's name: a draw more in one part shifts no draw of another.
pub(super) struct Dice(TestRunner);

impl Dice {
    /// Those of a part.
    pub(super) fn of(seed: u64, part: &str) -> Self {
        let mut key = [0; 32];
        for (place, word) in key.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&xxh3_64_with_seed(format!("{part} {place}").as_bytes(), seed).to_le_bytes());
        }
        let config = Config { failure_persistence: None, ..Config::default() };
        Self(TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &key)))
    }

    /// A value of a strategy.
    pub(super) fn draw<S: Strategy>(&mut self, strategy: S) -> S::Value {
        strategy.new_tree(&mut self.0).expect("no strategy of a world rejects what it draws").current()
    }

    /// Heads, so often of a hundred.
    pub(super) fn chance(&mut self, of_hundred: u32) -> bool {
        self.draw(0_u32..100) < of_hundred
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_part_draw_the_same_again_and_no_other_does() {
        let draws = |seed, part: &str| {
            let mut dice = Dice::of(seed, part);
            (0..8).map(|_| dice.draw(0_u64..u64::MAX)).collect::<Vec<u64>>()
        };
        assert_eq!(draws(1, "faults"), draws(1, "faults"));
        assert_ne!(draws(1, "faults"), draws(2, "faults"));
        assert_ne!(draws(1, "faults"), draws(1, "clients"));
    }
}
