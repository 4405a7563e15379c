//! What a client does beside listening, well-behaved or not, and when. Pure but for the clock's type.
//!
//! A hostile client breaks RFC 6455 on purpose: its bytes are written past the session, which would refuse to send them.

use std::time::Duration;

use tokio::time::Instant;
use wire::close;
use wire::draw::Draws;

/// What a client does beside listening. The default is nothing out of the ordinary.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// It pings the server so often, each time with another payload. Default None.
    pub pings_every: Option<Duration>,
    /// Whether it answers the server's pings. Default true.
    pub pongs: bool,
    /// It changes what it is subscribed to so often: half of its symbols, then the other half, and so on. Default None.
    pub resubscribe_every: Option<Duration>,
    /// It asks again for what it has so many times a second. Default None.
    pub asks_per_s: Option<f64>,
    /// The `Origin` of its handshake. Default None: as programs that are no browser.
    pub origin: Option<String>,
    /// How it says its handshake. Default [`Handshake::Whole`].
    pub handshake: Handshake,
    /// It breaks the protocol, once in each session. Default None.
    pub offence: Option<(Offence, Duration)>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            pings_every: None,
            pongs: true,
            resubscribe_every: None,
            asks_per_s: None,
            origin: None,
            handshake: Handshake::Whole,
            offence: None,
        }
    }
}

/// How a client says its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Handshake {
    /// At once.
    #[default]
    Whole,
    /// A byte, and then so long nothing.
    Slow {
        /// Between two bytes.
        pause: Duration,
    },
    /// So many bytes, and then nothing ever.
    Unfinished {
        /// Bytes.
        bytes: usize,
    },
}

/// What a hostile client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// A frame with a reserved bit set, and no extension agreed (RFC 6455 section 5.2).
    ReservedBits,
    /// A frame with an opcode that means nothing.
    BadOpcode,
    /// A frame of a client that is not masked.
    Unmasked,
    /// A ping in two fragments.
    FragmentedControl,
    /// A ping of 126 bytes.
    LongControl,
    /// A text that is not UTF-8.
    BadUtf8,
    /// A message of this many bytes, which should be beyond the server's bound.
    TooBig(usize),
    /// A continuation of nothing.
    WrongContinuation,
    /// A new message in the middle of a fragmented one.
    UnfinishedMessage,
    /// A Close frame of one byte.
    HalfCloseCode,
    /// A Close frame with a code that must not cross the wire.
    ReservedCloseCode,
    /// A request that makes no sense.
    Nonsense,
}

/// The key with which frames are masked: any will do.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

impl Offence {
    /// The words for them.
    pub const WORDS: [&str; 12] = [
        "reserved-bits",
        "bad-opcode",
        "unmasked",
        "fragmented-control",
        "long-control",
        "bad-utf8",
        "too-big",
        "wrong-continuation",
        "unfinished-message",
        "half-close-code",
        "reserved-close-code",
        "nonsense",
    ];

    /// The one with this word. What is too big has a mebibyte and a byte.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        const BIG: usize = (1 << 20) + 1;
        Some(match word {
            "reserved-bits" => Offence::ReservedBits,
            "bad-opcode" => Offence::BadOpcode,
            "unmasked" => Offence::Unmasked,
            "fragmented-control" => Offence::FragmentedControl,
            "long-control" => Offence::LongControl,
            "bad-utf8" => Offence::BadUtf8,
            "too-big" => Offence::TooBig(BIG),
            "wrong-continuation" => Offence::WrongContinuation,
            "unfinished-message" => Offence::UnfinishedMessage,
            "half-close-code" => Offence::HalfCloseCode,
            "reserved-close-code" => Offence::ReservedCloseCode,
            "nonsense" => Offence::Nonsense,
            _ => return None,
        })
    }

    /// What the server must close with: RFC 6455 sections 5.1 to 5.6, 7.4.1 and 8.1; for a request that makes no sense, a policy violation.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Offence::BadUtf8 => close::INVALID_PAYLOAD,
            Offence::TooBig(_) => close::MESSAGE_TOO_BIG,
            Offence::Nonsense => close::POLICY_VIOLATION,
            _ => close::PROTOCOL_ERROR,
        }
    }

    /// What goes over the wire.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        const FIN: u8 = 0x80;
        match self {
            Offence::ReservedBits => frame(FIN | 0x40 | 1, b"{}"),
            Offence::BadOpcode => frame(FIN | 3, b"{}"),
            Offence::Unmasked => vec![FIN | 1, 2, b'{', b'}'],
            Offence::FragmentedControl => frame(9, b"half"),
            Offence::LongControl => frame(FIN | 9, &[b'x'; 126]),
            Offence::BadUtf8 => frame(FIN | 1, &[b'a', 0xff, 0xfe]),
            Offence::TooBig(bytes) => frame(FIN | 1, &vec![b'x'; bytes]),
            Offence::WrongContinuation => frame(FIN, b"{}"),
            Offence::UnfinishedMessage => [frame(1, b"{"), frame(FIN | 1, b"}")].concat(),
            Offence::HalfCloseCode => frame(FIN | 8, &[3]),
            Offence::ReservedCloseCode => frame(FIN | 8, &close::NO_STATUS.to_be_bytes()),
            Offence::Nonsense => frame(FIN | 1, b"nonsense"),
        }
    }
}

/// A masked frame (RFC 6455 section 5.2) with this first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => frame.push(MASKED | short),
        (_, Ok(middle)) => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Something to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A ping with this number.
    Ping(u64),
    /// The how-manieth change of the subscription, from 0.
    Resubscribe(u64),
    /// Ask again.
    Ask(u64),
    /// Break the protocol.
    Offend(Offence),
}

/// What a session has to do, and when. Each kind has a phase of its own, or all clients would do it at once.
#[derive(Clone, Debug)]
pub(crate) struct Deeds {
    ping: Option<Again>,
    resubscribe: Option<Again>,
    ask: Option<Again>,
    offend: Option<(Instant, Offence)>,
}

#[derive(Clone, Copy, Debug)]
struct Again {
    every: Duration,
    at: Instant,
    count: u64,
}

impl Again {
    fn new(every: Duration, now: Instant, draws: &mut Draws) -> Self {
        Self { every, at: now + every.mul_f64(0.5 + draws.unit() / 2.0), count: 0 }
    }

    /// The next, if it is due: what was missed is left out.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.at > now {
            return None;
        }
        self.at = (self.at + self.every).max(now);
        self.count += 1;
        Some(self.count - 1)
    }
}

impl Deeds {
    /// Of a session that begins now; None where there is nothing to do.
    pub(crate) fn new(behaviour: &Behaviour, now: Instant, mut draws: Draws) -> Option<Self> {
        let mut again = |every: Option<Duration>| every.map(|every| Again::new(every, now, &mut draws));
        let deeds = Self {
            ping: again(behaviour.pings_every),
            resubscribe: again(behaviour.resubscribe_every),
            ask: again(behaviour.asks_per_s.map(|per_s| Duration::from_secs_f64(1.0 / per_s))),
            offend: behaviour.offence.map(|(offence, after)| (now + after, offence)),
        };
        let any = deeds.ping.is_some() || deeds.resubscribe.is_some() || deeds.ask.is_some();
        (any || deeds.offend.is_some()).then_some(deeds)
    }

    /// When there is something to do; None: never again.
    pub(crate) fn next(&self) -> Option<Instant> {
        let again = [self.ping, self.resubscribe, self.ask].into_iter().flatten().map(|again| again.at);
        again.chain(self.offend.map(|(at, _)| at)).min()
    }

    /// What is due; it will not be again.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Deed> {
        if let Some((at, offence)) = self.offend
            && at <= now
        {
            // After that it has nothing lawful to say.
            *self = Self { ping: None, resubscribe: None, ask: None, offend: None };
            return Some(Deed::Offend(offence));
        }
        let due = |again: &mut Option<Again>| again.as_mut().and_then(|again| again.due(now));
        due(&mut self.ping)
            .map(Deed::Ping)
            .or_else(|| due(&mut self.resubscribe).map(Deed::Resubscribe))
            .or_else(|| due(&mut self.ask).map(Deed::Ask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_come_at_their_interval_and_none_is_made_up_for() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let behaviour = Behaviour { pings_every: Some(Duration::from_millis(100)), ..Behaviour::default() };
        let mut deeds = Deeds::new(&behaviour, start, Draws::new(1, "deeds", 0)).unwrap();
        let first = deeds.next().unwrap();
        assert!(first >= at(50) && first <= at(100), "a phase of its own");
        assert_eq!(deeds.take(first - Duration::from_nanos(1)), None);
        assert_eq!(deeds.take(first), Some(Deed::Ping(0)));
        assert_eq!(deeds.take(first), None);
        assert_eq!(deeds.take(first + Duration::from_millis(350)), Some(Deed::Ping(1)));
        assert_eq!(deeds.take(first + Duration::from_millis(350)), Some(Deed::Ping(2)), "the next is due now");
        assert_eq!(deeds.take(first + Duration::from_millis(350)), None, "and no more");
    }

    #[test]
    fn after_its_offence_a_client_says_nothing_more() {
        let start = Instant::now();
        let after = Duration::from_secs(1);
        let behaviour = Behaviour {
            pings_every: Some(after),
            asks_per_s: Some(3.0),
            offence: Some((Offence::Unmasked, after)),
            ..Behaviour::default()
        };
        let mut deeds = Deeds::new(&behaviour, start, Draws::new(1, "deeds", 0)).unwrap();
        assert_eq!(deeds.take(start + after), Some(Deed::Offend(Offence::Unmasked)));
        assert_eq!((deeds.next(), deeds.take(start + after * 9)), (None, None));
        assert!(Deeds::new(&Behaviour::default(), start, Draws::new(1, "deeds", 0)).is_none());
    }

    #[test]
    fn frames_are_masked_and_their_lengths_are_minimal() {
        assert_eq!(frame(0x81, b"ab"), [0x81, 0x82, 0x37, 0xfa, 0x21, 0x3d, b'a' ^ 0x37, b'b' ^ 0xfa]);
        assert_eq!(frame(0x81, &[0; 126])[..4], [0x81, 0xfe, 0, 126]);
        assert_eq!(frame(0x81, &vec![0; 65_536])[..10], [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(Offence::TooBig(300).bytes().len(), 300 + 8);
    }

    #[test]
    fn each_word_names_an_offence_with_a_code_of_its_own_kind() {
        for word in Offence::WORDS {
            let offence = Offence::named(word).expect(word);
            assert!(!offence.bytes().is_empty() && close::is_lawful(offence.code()), "{word}");
        }
        assert_eq!(Offence::named("politeness"), None);
    }
}
