//! A message of a publisher, as text that any envelope can hold: it has no quotes, no spaces and no backslashes. Pure.
//!
//! ```text
//! wt1:00c0ffee00c0ffee:3:17:2500000:2500140:............:9f86d081884c7d65;
//!     |                | |  |       |       |            `-- hash of all before it
//!     |                | |  |       |       `-- filler, up to the length that was asked for
//!     |                | |  `-------`-- planned and sent, in microseconds since the run began
//!     |                | `-- its number, from 1
//!     |                `-- the publisher
//!     `-- the run
//! ```

use xxhash_rust::xxh3::xxh3_64;

/// How each begins.
pub(crate) const MARK: &str = "wt1:";
/// How each ends.
const END: char = ';';
/// Longer than any, without its filler.
pub(crate) const REST_MAX: usize = 160;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Its publisher's place.
    pub(crate) publisher: u32,
    /// Its number, from 1.
    pub(crate) n: u64,
    /// When it was due, and when it was sent, in microseconds since the run began.
    pub(crate) planned_us: u64,
    pub(crate) sent_us: u64,
}

/// What a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A message, whole.
    Letter(Letter),
    /// A message of another run: a target may keep some.
    Foreign,
    /// What was one.
    Damaged,
}

impl Letter {
    /// Its text, so many bytes long, or as long as it must be.
    pub(crate) fn write(self, run: u64, bytes: usize) -> String {
        let Self { publisher, n, planned_us, sent_us } = self;
        let mut text = format!("{MARK}{run:016x}:{publisher}:{n}:{planned_us}:{sent_us}:");
        // A colon, sixteen digits and the end follow.
        let filler = bytes.saturating_sub(text.len() + 18);
        text.extend(std::iter::repeat_n('.', filler));
        let hash = xxh3_64(text.as_bytes());
        text += &format!(":{hash:016x}{END}");
        debug_assert!(text.len() <= bytes.max(REST_MAX));
        text
    }
}

/// The messages that stand in a text, one after the other; of those that are damaged, one.
///
/// Each byte is looked at a fixed number of times, whatever the text: one that is damaged reaches to the next mark at most, and its end is looked for only up to there.
pub(crate) fn read(text: &str, run: u64) -> impl Iterator<Item = Found> {
    let mut rest = text;
    let mut damaged = false;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find(MARK)?..];
            let next = rest[MARK.len()..].find(MARK).map_or(rest.len(), |at| at + MARK.len());
            let (one, after) = rest.split_at(next);
            rest = after;
            match one.find(END).and_then(|end| parse(&one[..=end], run)) {
                Some(found) => return Some(found),
                None if std::mem::replace(&mut damaged, true) => {}
                None => return Some(Found::Damaged),
            }
        }
    })
}

fn parse(one: &str, run: u64) -> Option<Found> {
    let (signed, hash) = one.strip_suffix(END)?.rsplit_once(':')?;
    // As text: a number may be written in more than one way.
    if hash != format!("{:016x}", xxh3_64(signed.as_bytes())) {
        return None;
    }
    let mut parts = signed.strip_prefix(MARK)?.split(':');
    if u64::from_str_radix(parts.next()?, 16).ok()? != run {
        return Some(Found::Foreign);
    }
    let publisher = parts.next()?.parse().ok()?;
    let mut number = || parts.next()?.parse().ok();
    Some(Found::Letter(Letter { publisher, n: number()?, planned_us: number()?, sent_us: number()? }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Letter = Letter { publisher: 3, n: 17, planned_us: 2_500_000, sent_us: 2_500_140 };

    fn all(text: &str) -> Vec<Found> {
        read(text, 7).collect()
    }

    #[test]
    fn a_message_is_read_out_of_any_envelope_and_told_from_those_of_other_runs() {
        let text = ONE.write(7, 200);
        assert_eq!(text.len(), 200);
        assert_eq!(all(&text), [Found::Letter(ONE)]);
        assert_eq!(all(&format!("{{\"channel\":\"a\",\"data\":\"{text}\"}}")), [Found::Letter(ONE)]);
        assert_eq!(all(&format!("{text}\n{}", ONE.write(8, 0))), [Found::Letter(ONE), Found::Foreign]);
        assert_eq!(all("{\"type\":\"ack\"}"), []);
    }

    #[test]
    fn what_lost_its_end_is_damaged_and_takes_nothing_with_it() {
        let text = ONE.write(7, 100);
        assert_eq!(all(&text[..99]), [Found::Damaged]);
        assert_eq!(all(&format!("{}{text}", &text[..50])), [Found::Damaged, Found::Letter(ONE)]);
        assert_eq!(
            all(&format!("{text}{}{text}", &text[..50])),
            [Found::Letter(ONE), Found::Damaged, Found::Letter(ONE)]
        );
    }

    #[test]
    fn a_text_of_nothing_but_beginnings_is_damaged_once() {
        assert_eq!(all("wt1:;wt1:"), [Found::Damaged]);
        // As long as a message may be, with one end, far from all beginnings but the last.
        let hostile = MARK.repeat((256 << 10) / MARK.len() - 1) + ";";
        assert_eq!(all(&hostile), [Found::Damaged]);
    }

    proptest! {
        #[test]
        fn a_byte_that_changed_is_seen(at in 0_usize..120, byte in b' '..=b'~') {
            let text = ONE.write(7, 120);
            let mut bytes = text.clone().into_bytes();
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let found = all(std::str::from_utf8(&bytes).unwrap());
            prop_assert!(!found.contains(&Found::Letter(ONE)), "{found:?}");
            prop_assert!(found.iter().all(|found| *found == Found::Damaged), "{found:?}");
        }

        #[test]
        fn damage_is_seen_once_and_panics_nowhere(
            holes in proptest::collection::vec((0_usize..360, any::<proptest::sample::Index>(), "[wt1:;é]{0,6}"), 0..8),
        ) {
            let mut text: Vec<char> = ONE.write(7, 120).repeat(3).chars().collect();
            for (at, length, with) in holes {
                let at = at.min(text.len());
                let end = at + length.index(text.len() - at + 1);
                text.splice(at..end, with.chars());
            }
            let text: String = text.into_iter().collect();
            let found = all(&text);
            prop_assert!(found.iter().filter(|found| **found == Found::Damaged).count() <= 1, "{found:?}");
            prop_assert!(found.iter().all(|found| matches!(found, Found::Letter(ONE) | Found::Damaged)), "{found:?}");
        }

        #[test]
        fn no_text_panics(text in "[wt1:;0-9a-f.é]{0,80}") {
            let _ = all(&text);
        }
    }
}
