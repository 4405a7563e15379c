//! What a session has had of a symbol: tells a repeat from a step back, in bounded memory.

use wire::event::Stamp;
use wire::id::SessionId;

/// Numbers below the greatest that are remembered one by one; what is older counts as never seen.
const WIDTH: u64 = 1_024;
const WORDS: usize = WIDTH as usize / 64;
/// The same for stamps, which are read together with their ticks: one word, in the same cache line.
const STAMPS: u64 = 64;

/// How a number stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first.
    First,
    /// Above all before it.
    Forward,
    /// Seen before.
    Repeat,
    /// Below the greatest, and not seen before.
    Back,
}

/// A set of recent numbers.
#[derive(Clone)]
struct Window {
    greatest: Option<u64>,
    bits: [u64; WORDS],
}

impl Window {
    fn new() -> Self {
        Self { greatest: None, bits: [0; WORDS] }
    }

    fn take(&mut self, n: u64) -> Step {
        let step = match self.greatest {
            None => Step::First,
            Some(greatest) if n > greatest => {
                if n - greatest >= WIDTH {
                    self.bits = [0; WORDS];
                } else {
                    for skipped in greatest + 1..n {
                        self.bits[word(skipped)] &= !bit(skipped);
                    }
                }
                Step::Forward
            }
            Some(greatest) if greatest - n >= WIDTH => return Step::Back,
            Some(_) if self.bits[word(n)] & bit(n) != 0 => return Step::Repeat,
            Some(_) => {
                self.bits[word(n)] |= bit(n);
                return Step::Back;
            }
        };
        self.greatest = Some(n);
        self.bits[word(n)] |= bit(n);
        step
    }
}

fn word(n: u64) -> usize {
    (n % WIDTH / 64) as usize
}

fn bit(n: u64) -> u64 {
    1 << (n % 64)
}

/// What one client has had of one symbol in its newest session.
pub(super) struct Seen {
    session: SessionId,
    /// The greatest n so far, and the event in which the last delivery came.
    last: (u64, u64),
    stamps: Option<Stamps>,
    n: Window,
}

/// Stamps of the newest epoch: bit i of `bits` stands for the seq `greatest - i`.
struct Stamps {
    epoch: u64,
    greatest: u64,
    bits: u64,
}

impl Stamps {
    fn begin(stamp: Stamp) -> Self {
        Self { epoch: stamp.epoch, greatest: stamp.seq, bits: 1 }
    }

    fn take(&mut self, stamp: Stamp) -> Step {
        if stamp.epoch > self.epoch {
            *self = Self::begin(stamp);
            return Step::Forward;
        }
        if stamp.epoch < self.epoch {
            return Step::Back;
        }
        if stamp.seq > self.greatest {
            let ahead = stamp.seq - self.greatest;
            self.bits = if ahead >= STAMPS { 1 } else { self.bits << ahead | 1 };
            self.greatest = stamp.seq;
            return Step::Forward;
        }
        let behind = self.greatest - stamp.seq;
        if behind >= STAMPS {
            return Step::Back;
        }
        let seen = self.bits & 1 << behind != 0;
        self.bits |= 1 << behind;
        if seen { Step::Repeat } else { Step::Back }
    }
}

/// How a delivery stands to those before it.
pub(super) struct Taken {
    /// By the tick's number.
    pub(super) n: Step,
    /// By the stamp (epoch, seq), in lexicographic order; [`Step::First`] for plain clients.
    pub(super) stamp: Step,
    /// The greatest n before.
    pub(super) n_before: u64,
    /// The number of the event before.
    pub(super) event_before: u64,
}

impl Seen {
    fn new(session: SessionId) -> Self {
        Self { session, last: (0, 0), stamps: None, n: Window::new() }
    }

    /// Takes a delivery to the pair; a new session starts anew.
    pub(super) fn take(
        pairs: &mut Vec<Option<Self>>,
        pair: u32,
        event: u64,
        session: SessionId,
        n: u64,
        stamp: Option<Stamp>,
    ) -> Taken {
        let pair = pair as usize;
        if pairs.len() <= pair {
            pairs.resize_with(pair + 1, || None);
        }
        let seen = pairs[pair].get_or_insert_with(|| Self::new(session));
        if seen.session != session {
            *seen = Self::new(session);
        }
        let (n_before, event_before) = seen.last;
        let step = seen.n.take(n);
        let stamp = stamp.map_or(Step::First, |stamp| seen.stamp(stamp));
        seen.last = (n_before.max(n), event);
        Taken { n: step, stamp, n_before, event_before }
    }

    fn stamp(&mut self, stamp: Stamp) -> Step {
        match &mut self.stamps {
            Some(stamps) => stamps.take(stamp),
            None => {
                self.stamps = Some(Stamps::begin(stamp));
                Step::First
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_tell_repeats_from_steps_back() {
        let stamp = |(epoch, seq)| Stamp { epoch, seq, kind: wire::feed::Kind::Live };
        let mut stamps = Stamps::begin(stamp((1, 5)));
        use Step::{Back, Forward, Repeat};
        let cases = [
            ((1, 6), Forward),
            ((1, 6), Repeat),
            ((1, 5), Repeat),
            ((1, 4), Back),
            ((1, 4), Repeat),
            ((1, 69), Forward),
            ((1, 6), Repeat),
            ((1, 5), Back),
            ((1, 500), Forward),
            ((1, 499), Back),
            ((2, 1), Forward),
            ((1, 501), Back),
            ((2, 1), Repeat),
        ];
        for (given, expect) in cases {
            assert_eq!(stamps.take(stamp(given)), expect, "{given:?}");
        }
    }

    #[test]
    fn a_window_tells_repeats_from_steps_back() {
        let mut window = Window::new();
        let steps: Vec<Step> =
            [5, 6, 8, 6, 7, 7, 2_000, 8, 1_999, 1_999, 2_000].into_iter().map(|n| window.take(n)).collect();
        use Step::{Back, First, Forward, Repeat};
        let expect = [First, Forward, Forward, Repeat, Back, Repeat, Forward, Back, Back, Repeat, Repeat];
        assert_eq!(steps, expect);
    }
}
