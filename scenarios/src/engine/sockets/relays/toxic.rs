//! What a link does to the bytes that it carries, and to who dials. Pure: it is told the time.

use std::time::Duration;

use tokio::time::Instant;
use wire::draw::Draws;

use crate::plan::Shape;

/// A direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Way {
    /// From who dials to who serves.
    Up,
    /// Back.
    Down,
}

/// What a fault does. The words are Toxiproxy's where it has one.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Toxic {
    /// Bytes wait, and connections are granted and go no further.
    Stall,
    /// Nobody listens.
    Refuse,
    /// Connections are granted and closed.
    AcceptClose,
    /// Bytes come later.
    Latency { latency: sim::Latency, jitter: Duration },
    /// So many bits a second.
    Bandwidth { bits_per_s: u64 },
    /// Small pieces, with pauses.
    Slicer { size: u32, variation: u32, delay: Duration },
    /// The end comes later.
    SlowClose { delay: Duration },
    /// Bytes wait, and then the connection is closed.
    Timeout { closes_after: Option<Duration> },
    /// Closed after so many bytes.
    LimitData { bytes: u64 },
    /// Reset after so many bytes.
    ResetPeer { bytes: u64 },
}

impl Toxic {
    /// What a fault of links does here; None: it is none of links, or a relay cannot do it.
    pub(in super::super) fn of(kind: &sim::FaultKind) -> Option<Self> {
        use sim::FaultKind as Kind;
        Some(match *kind {
            Kind::Partition | Kind::Stall => Self::Stall,
            Kind::Refuse => Self::Refuse,
            Kind::AcceptClose => Self::AcceptClose,
            Kind::Latency { latency, jitter } => Self::Latency { latency, jitter },
            Kind::Bandwidth { bits_per_s, .. } => Self::Bandwidth { bits_per_s },
            Kind::Slicer { size, variation, delay } => Self::Slicer { size, variation, delay },
            Kind::SlowClose { delay } => Self::SlowClose { delay },
            Kind::Timeout { closes_after } => Self::Timeout { closes_after },
            Kind::LimitData { bytes } => Self::LimitData { bytes },
            Kind::ResetPeer { bytes } => Self::ResetPeer { bytes },
            _ => return None,
        })
    }
}

/// What is in force on a link.
#[derive(Debug)]
pub(super) struct State {
    shape: Option<Shape>,
    toxics: Vec<InForce>,
    /// When the link is free again, by way.
    free_at: [Option<Instant>; 2],
}

#[derive(Debug)]
struct InForce {
    fault: usize,
    toxic: Toxic,
    ways: &'static [Way],
    since: Instant,
}

/// What becomes of a connection that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    Closes,
}

/// How a connection is to end now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// At this instant, in order.
    Close(Instant),
    /// At once, by RST.
    Reset,
}

impl State {
    pub(super) fn new(shape: Option<Shape>) -> Self {
        Self { shape, toxics: Vec::new(), free_at: [None; 2] }
    }

    pub(super) fn strike(&mut self, fault: usize, toxic: &Toxic, ways: &'static [Way], now: Instant) {
        self.toxics.push(InForce { fault, toxic: toxic.clone(), ways, since: now });
    }

    pub(super) fn lift(&mut self, fault: usize) {
        self.toxics.retain(|toxic| toxic.fault != fault);
    }

    fn on(&self, way: Way) -> impl Iterator<Item = &InForce> {
        self.toxics.iter().filter(move |toxic| toxic.ways.contains(&way))
    }

    /// Whether nobody listens.
    pub(super) fn refuses(&self) -> bool {
        self.toxics.iter().any(|it| it.toxic == Toxic::Refuse)
    }

    /// What becomes of who dials; None: it waits, as what it says would.
    pub(super) fn door(&self) -> Option<Door> {
        if self.toxics.iter().any(|it| it.toxic == Toxic::AcceptClose) {
            return Some(Door::Closes);
        }
        (!self.toxics.iter().any(|it| it.toxic == Toxic::Stall)).then_some(Door::Open)
    }

    /// Whether bytes wait.
    pub(super) fn holds(&self, way: Way) -> bool {
        self.on(way).any(|it| matches!(it.toxic, Toxic::Stall | Toxic::Timeout { .. }))
    }

    /// When so many bytes that came now may go on: after what the link carries before them, and the way takes its time.
    pub(super) fn due(&mut self, way: Way, bytes: usize, now: Instant, draws: &mut Draws) -> Instant {
        let shaped = self.shape.and_then(|shape| shape.bandwidth);
        let slowest = self.on(way).filter_map(|it| match it.toxic {
            Toxic::Bandwidth { bits_per_s } => Some(bits_per_s),
            _ => None,
        });
        let bits_per_s = slowest.chain(shaped).min();
        let sent = match bits_per_s {
            Some(bits_per_s) => {
                let free_at = &mut self.free_at[way as usize];
                let took = Duration::from_secs_f64(bytes as f64 * 8.0 / bits_per_s.max(1) as f64);
                let sent = free_at.map_or(now, |free_at| free_at.max(now)) + took;
                *free_at = Some(sent);
                sent
            }
            None => now,
        };
        let mut later_us = self.shape.map_or(0, |shape| shape.latency.drawn().draw(draws));
        for it in self.on(way) {
            if let Toxic::Latency { latency, jitter } = &it.toxic {
                later_us += latency.draw(draws);
                later_us += u64::try_from(draws.jitter(*jitter).as_micros()).unwrap_or(0);
            }
        }
        sent + Duration::from_micros(later_us)
    }

    /// In pieces of how many bytes, and with what pause, if bytes trickle.
    pub(super) fn pieces(&self, way: Way, draws: &mut Draws) -> Option<(usize, Duration)> {
        self.on(way).find_map(|it| match it.toxic {
            Toxic::Slicer { size, variation, delay } => {
                let spread = u64::from(variation) * 2 + 1;
                let size = u64::from(size) + draws.below(spread);
                Some((usize::try_from(size.saturating_sub(u64::from(variation)).max(1)).unwrap_or(1), delay))
            }
            _ => None,
        })
    }

    /// How much later an end comes.
    pub(super) fn slow_close(&self, way: Way) -> Duration {
        let delay = self.on(way).filter_map(|it| match it.toxic {
            Toxic::SlowClose { delay } => Some(delay),
            _ => None,
        });
        delay.max().unwrap_or_default()
    }

    /// Whether a connection is to end, which was opened then and has carried so many bytes in this direction since each fault began.
    pub(super) fn cut(&self, way: Way, opened: Instant, carried: &mut Carried) -> Option<Cut> {
        self.on(way).find_map(|it| match it.toxic {
            Toxic::ResetPeer { bytes: 0 } if opened < it.since => Some(Cut::Reset),
            // One that opened later goes with its first byte.
            Toxic::ResetPeer { bytes } => (carried.since(it.fault) >= bytes.max(1)).then_some(Cut::Reset),
            Toxic::LimitData { bytes } => (carried.since(it.fault) >= bytes).then_some(Cut::Close(it.since)),
            Toxic::Timeout { closes_after: Some(after) } => Some(Cut::Close(it.since.max(opened) + after)),
            _ => None,
        })
    }
}

/// Bytes of one direction of a connection, by the faults in force when they came.
#[derive(Debug, Default)]
pub(super) struct Carried {
    total: u64,
    /// What the total was when each fault was first met.
    before: Vec<(usize, u64)>,
}

impl Carried {
    pub(super) fn add(&mut self, bytes: usize) {
        self.total += bytes as u64;
    }

    fn since(&mut self, fault: usize) -> u64 {
        let before = match self.before.iter().find(|(known, _)| *known == fault) {
            Some((_, before)) => *before,
            None => {
                self.before.push((fault, self.total));
                self.total
            }
        };
        self.total - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: &[Way] = &[Way::Up];

    fn draws() -> Draws {
        Draws::new(1, "relay", 0)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn state(toxics: &[Toxic], now: Instant) -> State {
        let mut state = State::new(None);
        for (fault, toxic) in toxics.iter().enumerate() {
            state.strike(fault, toxic, UP, now);
        }
        state
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_holds_bytes_and_who_dials_until_it_is_lifted() {
        let mut state = state(&[Toxic::Stall], Instant::now());
        assert_eq!((state.holds(Way::Up), state.holds(Way::Down), state.door()), (true, false, None));
        state.lift(0);
        assert_eq!((state.holds(Way::Up), state.door()), (false, Some(Door::Open)));
    }

    #[tokio::test(start_paused = true)]
    async fn bandwidth_is_shared_by_what_comes_one_after_the_other() {
        let now = Instant::now();
        let mut state = state(&[Toxic::Bandwidth { bits_per_s: 8_000 }], now);
        assert_eq!(state.due(Way::Up, 100, now, &mut draws()), now + ms(100));
        assert_eq!(state.due(Way::Up, 50, now, &mut draws()), now + ms(150));
        assert_eq!(state.due(Way::Up, 50, now + ms(500), &mut draws()), now + ms(550));
        assert_eq!(state.due(Way::Down, 100, now, &mut draws()), now);
    }

    #[tokio::test(start_paused = true)]
    async fn latencies_of_link_and_faults_add_up() {
        let now = Instant::now();
        let fixed = |span| Toxic::Latency { latency: sim::Latency::Fixed(span), jitter: Duration::ZERO };
        let mut state = state(&[fixed(ms(20)), fixed(ms(5))], now);
        let latency = crate::model::Latency::Fixed(crate::span::Span::from_millis(100));
        state.shape = Some(Shape { latency, bandwidth: None, loss: 0.0 });
        assert_eq!(state.due(Way::Up, 1, now, &mut draws()), now + ms(125));
        assert_eq!(state.due(Way::Down, 1, now, &mut draws()), now + ms(100));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_end_after_their_bytes_or_their_time() {
        let opened = Instant::now();
        let since = opened + ms(10);
        let cut = |toxic: Toxic, opened, bytes| {
            let mut carried = Carried::default();
            let state = state(&[toxic], since);
            state.cut(Way::Up, opened, &mut carried);
            carried.add(bytes);
            state.cut(Way::Up, opened, &mut carried)
        };
        let later = since + ms(5);
        assert_eq!(cut(Toxic::ResetPeer { bytes: 0 }, opened, 0), Some(Cut::Reset));
        assert_eq!(cut(Toxic::ResetPeer { bytes: 0 }, later, 0), None);
        assert_eq!(cut(Toxic::ResetPeer { bytes: 0 }, later, 1), Some(Cut::Reset));
        assert_eq!(cut(Toxic::ResetPeer { bytes: 100 }, opened, 99), None);
        assert_eq!(cut(Toxic::ResetPeer { bytes: 100 }, opened, 100), Some(Cut::Reset));
        assert_eq!(cut(Toxic::LimitData { bytes: 100 }, opened, 99), None);
        assert!(matches!(cut(Toxic::LimitData { bytes: 100 }, opened, 100), Some(Cut::Close(at)) if at <= since));
        let timeout = Toxic::Timeout { closes_after: Some(ms(50)) };
        assert_eq!(cut(timeout.clone(), opened, 0), Some(Cut::Close(since + ms(50))));
        assert_eq!(cut(timeout, later, 0), Some(Cut::Close(later + ms(50))));
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_vary_as_much_as_they_may() {
        let slicer = Toxic::Slicer { size: 10, variation: 3, delay: ms(1) };
        let (state, mut draws) = (state(&[slicer], Instant::now()), draws());
        let sizes: std::collections::BTreeSet<usize> =
            (0..500).filter_map(|_| state.pieces(Way::Up, &mut draws)).map(|(size, _)| size).collect();
        assert_eq!(sizes, (7..=13).collect());
        assert_eq!(state.pieces(Way::Down, &mut draws), None);
    }
}
