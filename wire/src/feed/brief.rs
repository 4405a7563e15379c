//! What a peer said, cut to what fits in an error.

use std::fmt::{Display, Write};

/// Bytes of a peer's words that are kept in an error or a reason.
pub(super) const BRIEF_BYTES_MAX: usize = 200;

/// The beginning of a text. serde's errors quote the value that they do not like, however long it is.
pub(super) fn brief(text: impl Display) -> String {
    struct Room(String);
    impl Write for Room {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            for char in text.chars() {
                if self.0.len() + char.len_utf8() > BRIEF_BYTES_MAX {
                    self.0.push('\u{2026}');
                    return Err(std::fmt::Error);
                }
                self.0.push(char);
            }
            Ok(())
        }
    }
    let mut room = Room(String::new());
    // The error is ours: it says that the rest is left out.
    let _ = write!(room, "{text}");
    room.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_stays_and_a_long_one_is_cut_between_two_characters() {
        assert_eq!(brief("a\nb\u{e9}"), "a\nb\u{e9}");
        assert_eq!(brief("x".repeat(BRIEF_BYTES_MAX)), "x".repeat(BRIEF_BYTES_MAX));
        let cut = brief("\u{20ac}".repeat(1_000));
        assert_eq!(cut, format!("{}\u{2026}", "\u{20ac}".repeat(BRIEF_BYTES_MAX / 3)));
    }
}
