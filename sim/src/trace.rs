//! The fingerprint of a run: a rolling hash over every segment delivered, and on request the events themselves.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TraceKind {
    /// Bytes of a connection.
    Data = 0,
    /// The end of a direction.
    Fin = 1,
    /// A reset.
    Reset = 2,
    /// A connection request.
    Syn = 3,
    /// A connection was refused or failed.
    Refused = 4,
    /// A fault was injected or healed.
    Fault = 5,
    /// A connection request was granted.
    SynAck = 6,
}

/// One delivery. Two runs are equal if and only if (up to hash collisions) their events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// Virtual microseconds since the start.
    pub at_us: u64,
    /// The host that it was delivered to, by its number in order of set-up.
    pub host: u32,
    /// The connection: the opener's host number in the high half, its count of connections in the low half.
    pub conn: u64,
    /// What it was.
    pub kind: TraceKind,
    /// Bytes of payload.
    pub bytes: u32,
    /// The rolling hash after this event.
    pub hash: u64,
}

/// The rolling hash and the first events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) hash: u64,
    pub(crate) count: u64,
    pub(crate) events: Vec<TraceEvent>,
    events_max: usize,
}

impl Trace {
    pub(crate) fn new(events_max: usize) -> Self {
        Self { events_max, ..Self::default() }
    }

    pub(crate) fn add(&mut self, at_us: u64, host: u32, conn: u64, kind: TraceKind, payload: &[u8]) {
        let mut head = [0_u8; 32];
        head[..8].copy_from_slice(&at_us.to_le_bytes());
        head[8..16].copy_from_slice(&conn.to_le_bytes());
        head[16..24].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        head[24..28].copy_from_slice(&host.to_le_bytes());
        head[28] = kind as u8;
        self.hash = xxh3_64_with_seed(&head, self.hash);
        if !payload.is_empty() {
            self.hash = xxh3_64_with_seed(payload, self.hash);
        }
        self.count += 1;
        if self.events.len() < self.events_max {
            let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            self.events.push(TraceEvent { at_us, host, conn, kind, bytes, hash: self.hash });
        }
    }
}

/// The first event in which two recorded traces differ, as (position, left, right); None if one is the beginning of the other and both are equally long.
#[must_use]
pub fn first_difference(
    left: &[TraceEvent],
    right: &[TraceEvent],
) -> Option<(usize, Option<TraceEvent>, Option<TraceEvent>)> {
    let at = left.iter().zip(right).position(|(a, b)| a != b).unwrap_or(left.len().min(right.len()));
    (at < left.len().max(right.len())).then(|| (at, left.get(at).copied(), right.get(at).copied()))
}
