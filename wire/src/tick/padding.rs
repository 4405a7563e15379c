//! Filler that makes ticks large: a function of (seed, symbol, n, length), so that who knows the seed checks every byte of it.
//!
//! It stands before the number, `"pad":"dGhpcyBpcy...","mid":1.0000000017`, and its length is part of what it is made from: a filler that lost its end, or a piece
//! of its middle, is no shorter filler, but a wrong one. So are the prices of a tick that lost its filler altogether.

use crate::draw::Draws;
use crate::id::Symbol;

/// The most filler that a tick can carry, in bytes: 16 MiB.
pub const PADDING_MAX: u32 = 16 << 20;

/// How much filler ticks carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Padding {
    min: u32,
    max: u32,
}

/// The sizes are in the wrong order, or too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("filler of {min} to {max} bytes: must be from the smaller to the larger, and at most {PADDING_MAX}")]
pub struct PaddingError {
    min: u32,
    max: u32,
}

impl Padding {
    /// None.
    pub const NONE: Self = Self { min: 0, max: 0 };

    /// So many bytes, each size in the range as likely as the others, drawn by (seed, symbol, n).
    ///
    /// # Errors
    /// [`PaddingError`].
    pub fn between(min: u32, max: u32) -> Result<Self, PaddingError> {
        if min > max || max > PADDING_MAX {
            return Err(PaddingError { min, max });
        }
        Ok(Self { min, max })
    }

    /// The largest size.
    #[must_use]
    pub fn max(self) -> usize {
        self.max as usize
    }

    /// The size of tick `n`'s filler.
    #[must_use]
    pub fn bytes(self, seed: u64, symbol: Symbol, n: u64) -> usize {
        if self.min == self.max {
            return self.max();
        }
        let entity = super::key(seed, symbol, n);
        let mut draws = Draws::new(seed, "padding", entity);
        self.min as usize + draws.below(u64::from(self.max - self.min) + 1) as usize
    }
}

/// What filler is made of: as JSON strings and as texts hold them without an escape.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The nth eight bytes of the filler with this key: SplitMix64 (Steele, Lea and Flood 2014), six bits of each byte.
fn block(key: u64, nth: u64) -> [u8; 8] {
    let mut mixed = key.wrapping_add(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    mixed.to_le_bytes().map(|byte| LETTERS[usize::from(byte & 63)])
}

/// Appends so many bytes of the filler with this key.
pub(super) fn fill(text: &mut String, key: u64, bytes: usize) {
    text.reserve(bytes);
    for (nth, from) in (0..).zip((0..bytes).step_by(8)) {
        let block = block(key, nth);
        let part = &block[..block.len().min(bytes - from)];
        text.push_str(std::str::from_utf8(part).unwrap_or_default());
    }
}

/// Whether these bytes are the filler with this key.
pub(super) fn is_filled(filler: &[u8], key: u64) -> bool {
    (0..).zip(filler.chunks(8)).all(|(nth, chunk)| block(key, nth)[..chunk.len()] == *chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_drawn_from_the_whole_range_and_are_the_same_again() {
        let symbol = Symbol::numbered(3);
        let padding = Padding::between(10, 13).unwrap();
        let sizes: Vec<_> = (0..200).map(|n| padding.bytes(7, symbol, n)).collect();
        assert_eq!(sizes, (0..200).map(|n| padding.bytes(7, symbol, n)).collect::<Vec<_>>());
        assert!((10..=13).all(|size| sizes.contains(&size)) && sizes.iter().all(|size| (10..=13).contains(size)));
        assert_eq!(Padding::between(5, 5).unwrap().bytes(7, symbol, 1), 5);
        assert_eq!(Padding::NONE.bytes(7, symbol, 1), 0);
        assert!(Padding::between(2, 1).is_err() && Padding::between(0, PADDING_MAX + 1).is_err());
    }

    #[test]
    fn filler_is_read_as_it_was_written_and_any_changed_byte_is_seen() {
        for bytes in [0, 1, 7, 8, 9, 1_000] {
            let mut text = String::new();
            fill(&mut text, 42, bytes);
            assert_eq!(text.len(), bytes);
            assert!(is_filled(text.as_bytes(), 42));
            for at in 0..bytes {
                let mut wrong = text.clone().into_bytes();
                wrong[at] ^= 1;
                assert!(!is_filled(&wrong, 42), "{at} of {bytes}");
            }
        }
    }
}
