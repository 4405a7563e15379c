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
    /// The host that sent it; the same as `host` for a fault, and where a host talks to itself.
    pub from: u32,
    /// Whether it travels away from the opener of its connection. Two hosts tell that, too; one that talks to itself does not.
    pub outward: bool,
    /// What it was.
    pub kind: TraceKind,
    /// Bytes of payload.
    pub bytes: u32,
    /// The rolling hash after this event.
    pub hash: u64,
}

/// After this many deliveries each the hash is kept: where two runs part is found without keeping either.
pub const CHECKPOINT_EVERY: u64 = 4_096;

/// Who sent what to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// As [`TraceEvent::conn`].
    pub(crate) conn: u64,
    pub(crate) outward: bool,
}

impl Route {
    /// What happens to a host.
    pub(crate) fn fault(host: u32) -> Self {
        Self { from: host, to: host, conn: 0, outward: false }
    }
}

/// The rolling hash, and the events that are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) hash: u64,
    pub(crate) count: u64,
    pub(crate) events: Vec<TraceEvent>,
    pub(crate) checkpoints: Vec<u64>,
    events_from: u64,
    events_max: usize,
}

impl Trace {
    pub(crate) fn new(config: &crate::SimConfig) -> Self {
        Self { events_from: config.trace_events_from, events_max: config.trace_events_max, ..Self::default() }
    }

    pub(crate) fn add(&mut self, at_us: u64, route: Route, kind: TraceKind, payload: &[u8]) {
        let Route { from, to: host, conn, outward } = route;
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut head = [0_u8; 32];
        head[..8].copy_from_slice(&at_us.to_le_bytes());
        head[8..16].copy_from_slice(&conn.to_le_bytes());
        head[16..20].copy_from_slice(&bytes.to_le_bytes());
        head[20..24].copy_from_slice(&from.to_le_bytes());
        head[24..28].copy_from_slice(&host.to_le_bytes());
        head[28] = kind as u8;
        head[29] = u8::from(outward);
        self.hash = xxh3_64_with_seed(&head, self.hash);
        if !payload.is_empty() {
            self.hash = xxh3_64_with_seed(payload, self.hash);
        }
        if self.count >= self.events_from && self.events.len() < self.events_max {
            self.events.push(TraceEvent { at_us, host, from, conn, outward, kind, bytes, hash: self.hash });
        }
        self.count += 1;
        if self.count.is_multiple_of(CHECKPOINT_EVERY) {
            self.checkpoints.push(self.hash);
        }
    }
}

impl TraceEvent {
    /// The event in words; `hosts` are the names by number.
    #[must_use]
    pub fn describe(&self, hosts: &[String]) -> String {
        let name = |host: u32| hosts.get(host as usize).map_or("?", String::as_str);
        let seconds = self.at_us as f64 / 1e6;
        let what = match self.kind {
            TraceKind::Fault => {
                return format!("{seconds:.6} s  a fault at {} (hash {:016x})", name(self.host), self.hash);
            }
            TraceKind::Data => format!("{} bytes", self.bytes),
            TraceKind::Fin => "the end".to_owned(),
            TraceKind::Reset => "a reset".to_owned(),
            TraceKind::Syn => "a request to connect".to_owned(),
            TraceKind::SynAck => "a consent to connect".to_owned(),
            TraceKind::Refused => "a refusal, or no answer".to_owned(),
        };
        let (from, to) = (name(self.from), name(self.host));
        let way = if self.outward { "outward" } else { "back" };
        let (opener, number) = (name((self.conn >> 32) as u32), self.conn & 0xffff_ffff);
        format!(
            "{seconds:.6} s  {from} -> {to}  {what}  ({way} on connection {number} of {opener}, hash {:016x})",
            self.hash
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_delivery_is_in_the_hash() {
        let route = Route { from: 1, to: 2, conn: 3, outward: true };
        let hash = |at_us, route, kind, payload: &[u8]| {
            let mut trace = Trace::new(&crate::SimConfig::default());
            trace.add(at_us, route, kind, payload);
            trace.hash
        };
        let one = hash(7, route, TraceKind::Data, b"abc");
        for (other, what) in [
            (hash(8, route, TraceKind::Data, b"abc"), "time"),
            (hash(7, Route { from: 2, ..route }, TraceKind::Data, b"abc"), "sender"),
            (hash(7, Route { to: 1, ..route }, TraceKind::Data, b"abc"), "receiver"),
            (hash(7, Route { conn: 4, ..route }, TraceKind::Data, b"abc"), "connection"),
            (hash(7, Route { outward: false, ..route }, TraceKind::Data, b"abc"), "direction"),
            (hash(7, route, TraceKind::Fin, b"abc"), "kind"),
            (hash(7, route, TraceKind::Data, b"abd"), "bytes"),
            (hash(7, route, TraceKind::Data, b"ab"), "length"),
        ] {
            assert_ne!(one, other, "{what}");
        }
    }

    #[test]
    fn events_are_kept_from_any_number_on_and_hashes_on_the_way() {
        let config = crate::SimConfig { trace_events_from: 5_000, trace_events_max: 2, ..crate::SimConfig::default() };
        let mut trace = Trace::new(&config);
        for n in 0..3 * CHECKPOINT_EVERY {
            trace.add(n, Route::fault(0), TraceKind::Fault, &[]);
        }
        assert_eq!(trace.events.iter().map(|event| event.at_us).collect::<Vec<_>>(), [5_000, 5_001]);
        assert_eq!((trace.checkpoints.len(), trace.checkpoints.last()), (3, Some(&trace.hash)));
    }
}
