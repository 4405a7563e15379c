//! What a client says to an echo: each piece of it tells whose it is. Pure.
//!
//! ```text
//! 00000000000000000005|17.0.5|17.0.5|17.0.5|17.     request 5 of session 0 of client 17
//! ```
//!
//! A client that gets a piece of what another said, in a message of its own or in the middle of one that it asked for, can name the other.

use wire::id::{ClientId, SessionId};

/// Digits of a request's number: how each begins.
pub(crate) const DIGITS: usize = 20;

/// Stands before each of the pieces that say whose a request is.
const BAR: char = '|';

/// Whose requests they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Speaker {
    pub(crate) client: ClientId,
    pub(crate) session: SessionId,
}

impl Speaker {
    /// Request `n`, so many bytes long; it has its number at least.
    pub(crate) fn say(self, n: u64, bytes: usize) -> String {
        let piece = self.piece(n);
        let filler = bytes.saturating_sub(DIGITS);
        let mut text = format!("{n:0DIGITS$}{}", piece.repeat(filler.div_ceil(piece.len())));
        text.truncate(DIGITS + filler);
        text
    }

    /// The number of the request that this text of so many bytes is, if it is one of ours, whole.
    pub(crate) fn hear(self, text: &str, bytes: usize) -> Option<u64> {
        let (digits, filler) = text.split_at_checked(DIGITS)?;
        let n = digits.parse().ok()?;
        let piece = self.piece(n);
        let right =
            text.len() == bytes.max(DIGITS) && filler.bytes().zip(piece.bytes().cycle()).all(|(is, was)| is == was);
        right.then_some(n)
    }

    /// Who else has said a piece of this text, if anybody has. Each says its piece over and over: what stands there once may have come about at a seam.
    pub(crate) fn stranger(self, text: &str) -> Option<ClientId> {
        let mut before = None;
        text.split(BAR).find_map(|piece| {
            let again = before.replace(piece) == Some(piece);
            let client = ClientId(said_by(piece).filter(|_| again)?);
            (client != self.client).then_some(client)
        })
    }

    fn piece(self, n: u64) -> String {
        format!("{BAR}{}.{}.{n}", self.client.0, self.session.0)
    }
}

/// The client that says such a piece.
fn said_by(piece: &str) -> Option<u32> {
    let mut numbers = piece.split('.');
    let client = numbers.next()?.parse().ok()?;
    let rest = [numbers.next()?, numbers.next()?];
    let whole = numbers.next().is_none() && rest.iter().all(|number| number.parse::<u64>().is_ok());
    whole.then_some(client)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn speaker(client: u32, session: u32) -> Speaker {
        Speaker { client: ClientId(client), session: SessionId(session) }
    }

    #[test]
    fn a_request_tells_whose_it_is() {
        let one = speaker(17, 0);
        assert_eq!(one.say(5, 48), "00000000000000000005|17.0.5|17.0.5|17.0.5|17.0.5");
        assert_eq!(one.say(5, 0), "00000000000000000005");
        assert_eq!(one.hear(&one.say(5, 48), 48), Some(5));
        assert_eq!(one.hear(&one.say(5, 48), 47), None);
        assert_eq!(one.hear(&speaker(17, 1).say(5, 48), 48), None);
        assert_eq!(one.stranger(&one.say(5, 48)), None);
        assert_eq!(speaker(18, 0).stranger(&one.say(5, 48)), Some(ClientId(17)));
        assert_eq!(one.stranger(&one.say(5, 20)), None);
    }

    proptest! {
        #[test]
        fn a_piece_of_another_s_is_seen_and_its_owner_named(
            client in 0_u32..2_000, other in 0_u32..2_000, n in 0_u64..1_000, m in 0_u64..1_000, from in DIGITS..400, size in 60_usize..400,
        ) {
            prop_assume!(client != other);
            let (one, two) = (speaker(client, 1), speaker(other, 1));
            let mut text = one.say(n, 800);
            prop_assert_eq!((one.hear(&text, 800), one.stranger(&text)), (Some(n), None));
            text.replace_range(from..from + size, &two.say(m, 800)[from..from + size]);
            prop_assert_eq!((one.hear(&text, 800), one.stranger(&text)), (None, Some(ClientId(other))));
        }

        #[test]
        fn no_text_names_its_own_reader_or_panics(text in "[0-9.|]{0,80}") {
            let one = speaker(1, 2);
            prop_assert_ne!(one.stranger(&text), Some(ClientId(1)));
            let _ = one.hear(&text, text.len());
        }
    }
}
