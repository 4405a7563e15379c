//! Packets of a run, as a capture program on chosen hosts would have seen them.
//!
//! ```text
//!   kernel::tap   what leaves and what arrives, as it happens --> Recorder --> Capture --> whoever writes the file
//! ```
//!
//! The simulator moves segments of up to 64 KiB and no acknowledgements. Here each segment becomes one TCP packet (or two, where it would not fit into an
//! IPv4 packet), and each piece of news that a receiver has for its sender becomes a pure acknowledgement that leaves when the news does and arrives when the
//! sender knows it. Recording changes nothing in the run: no draw, no order, no time.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::HostId;

/// The payload of a packet at most: what an IPv4 packet of 65,535 bytes holds behind two headers without options. The MSS of the loopback interface.
pub const PAYLOAD_MAX: u16 = 65_495;
/// The power of two by which windows are scaled, as Linux has it by default.
pub const WINDOW_SCALE: u8 = 7;
/// What a packet costs of [`Wanted::bytes_max`] besides its payload: headers and the file's own frame.
pub const PACKET_COST: u64 = 80;

/// What to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where. A packet that concerns several taps is recorded by each.
    pub taps: Vec<Tap>,
    /// Payloads and [`PACKET_COST`] for each packet, over all taps: with this much recorded, the capture ends. In memory it takes up to twice as much.
    pub bytes_max: u64,
}

/// A place at which packets are recorded: the network card of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The host.
    pub host: HostId,
    /// Only what it exchanges with this one; None: with all.
    pub peer: Option<HostId>,
}

/// Bits of the TCP header (RFC 9293, section 3.1).
pub mod flags {
    /// The sender is at its end.
    pub const FIN: u8 = 1;
    /// A request to connect, or the consent to one.
    pub const SYN: u8 = 2;
    /// The connection is not known, or not any more.
    pub const RST: u8 = 4;
    /// The last packet of a segment.
    pub const PSH: u8 = 8;
    /// The acknowledgement number means something.
    pub const ACK: u8 = 16;
}

/// The parts of a TCP header that differ from packet to packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whence.
    pub from: SocketAddrV4,
    /// Where to.
    pub to: SocketAddrV4,
    /// The number of the first byte (of SYN and FIN: their own).
    pub seq: u32,
    /// The number of the byte expected next; 0 without [`flags::ACK`].
    pub ack: u32,
    /// Bits out of [`flags`].
    pub flags: u8,
    /// The window as it stands in the header: scaled by [`WINDOW_SCALE`], but for a SYN.
    pub window: u16,
}

/// One packet at one tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Microseconds since the run began: when it left, or arrived.
    pub at_us: u64,
    /// The tap, by its place in [`Wanted::taps`].
    pub tap: usize,
    /// Whether the tap's host sent it.
    pub outgoing: bool,
    /// Its header. A SYN carries two options: MSS [`PAYLOAD_MAX`] and [`WINDOW_SCALE`].
    pub header: Header,
    /// Its payload, at most [`PAYLOAD_MAX`] bytes.
    pub payload: &'a [u8],
}

/// What was captured, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    records: Vec<Record>,
    payloads: Vec<u8>,
    /// When the bound was reached: nothing is recorded from then on.
    pub cut_at_us: Option<u64>,
}

impl Capture {
    /// The packets.
    pub fn packets(&self) -> impl ExactSizeIterator<Item = Packet<'_>> + Clone {
        self.records.iter().map(|record| Packet {
            at_us: record.at_us,
            tap: record.tap as usize,
            outgoing: record.outgoing,
            header: record.header,
            payload: &self.payloads[record.begin..record.begin + usize::from(record.len)],
        })
    }

    /// Bytes of payload in all packets.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.payloads.len() as u64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    at_us: u64,
    tap: u32,
    outgoing: bool,
    header: Header,
    begin: usize,
    len: u16,
}

/// A packet without payload that is seen later: until then it can be lost.
struct Later {
    /// The link that it is on; None: it has not left yet.
    link: Option<u32>,
    tap: u32,
    header: Header,
}

/// A tap of a host.
#[derive(Clone, Copy)]
struct Place {
    tap: u32,
    peer: Option<HostId>,
}

impl Place {
    fn concerns(self, peer: u32) -> Option<u32> {
        self.peer.is_none_or(|only| only.0 == peer).then_some(self.tap)
    }
}

/// Records packets while a run goes.
pub(crate) struct Recorder {
    bytes_max: u64,
    /// The taps of each host, by the host's number.
    by_host: Vec<Rc<[Place]>>,
    capture: Capture,
    /// What leaves or arrives later, by time and by when that was known.
    later: BTreeMap<(u64, u64), Later>,
    laters: u64,
    cost: u64,
    pub(crate) ways: FxHashMap<u64, [Way; 2]>,
}

/// What has been seen of one direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// Bytes that were put on the wire.
    pub(crate) next: u64,
    /// So was the end.
    pub(crate) ended: bool,
    /// Acknowledgement and window that the sender said last.
    pub(crate) said: Option<(u32, u16)>,
    /// What stood in the headers of segments that are on the way.
    pub(crate) headers: VecDeque<InFlight>,
}

/// The header of a segment on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InFlight {
    /// The end of the segment, in bytes since the start.
    pub(crate) end: u64,
    /// [`flags`] that tell it from others with the same end.
    pub(crate) flags: u8,
    pub(crate) ack: u32,
    pub(crate) window: u16,
}

impl Way {
    /// Notes what a segment says as it leaves.
    pub(crate) fn leaves(&mut self, segment: InFlight) {
        self.said = Some((segment.ack, segment.window));
        match self.headers.back_mut() {
            // Again: it is in the list, or a part of one that is.
            Some(last) if last.end > segment.end || (last.end, last.flags) == (segment.end, segment.flags) => {
                let known =
                    self.headers.iter_mut().find(|known| (known.end, known.flags) == (segment.end, segment.flags));
                if let Some(known) = known {
                    *known = segment;
                }
            }
            // Writes of one instant travel together.
            Some(last) if (last.flags, last.ack, last.window) == (segment.flags, segment.ack, segment.window) => {
                last.end = segment.end;
            }
            _ => self.headers.push_back(segment),
        }
    }

    /// What the segment said that arrives now; those before it have arrived, or never will. A part of one leaves it where it is.
    pub(crate) fn arrives(&mut self, end: u64, flags: u8) -> Option<(u32, u16)> {
        let place = self.headers.iter().position(|segment| {
            segment.flags == flags
                && (segment.end == end || segment.end > end && flags & crate::capture::flags::PSH != 0)
        })?;
        self.headers.drain(..place);
        let segment = *self.headers.front()?;
        if segment.end == end {
            self.headers.pop_front();
        }
        Some((segment.ack, segment.window))
    }
}

impl Recorder {
    pub(crate) fn new(wanted: &Wanted) -> Self {
        let places = |host| {
            let taps = (0..).zip(&wanted.taps).filter(|(_, tap)| tap.host.index() == host);
            taps.map(|(tap, at)| Place { tap, peer: at.peer }).collect()
        };
        let hosts = wanted.taps.iter().map(|tap| tap.host.index() + 1).max().unwrap_or_default();
        let by_host = (0..hosts).map(places).collect();
        Self {
            bytes_max: wanted.bytes_max,
            by_host,
            capture: Capture::default(),
            later: BTreeMap::new(),
            laters: 0,
            cost: 0,
            ways: FxHashMap::default(),
        }
    }

    /// The taps at `host` that a packet exchanged with `peer` concerns. It owns its share of the list: what it finds is recorded while it goes.
    fn taps(&self, host: u32, peer: u32) -> impl Iterator<Item = u32> + use<> {
        let here = self.by_host.get(host as usize).cloned().unwrap_or_default();
        (0..here.len()).filter_map(move |place| here[place].concerns(peer))
    }

    /// Whether anything that these two exchange is of interest, at either of them.
    pub(crate) fn watches(&self, a: u32, b: u32) -> bool {
        let one = |host: u32, peer| {
            let here = self.by_host.get(host as usize).map_or(&[][..], |here| here);
            here.iter().any(|place| place.concerns(peer).is_some())
        };
        self.capture.cut_at_us.is_none() && (one(a, b) || one(b, a))
    }

    /// A packet at `host`, exchanged with `peer`, now.
    pub(crate) fn add(
        &mut self,
        now_us: u64,
        (host, peer): (u32, u32),
        outgoing: bool,
        header: Header,
        payload: &[u8],
    ) {
        self.catch_up(now_us);
        for tap in self.taps(host, peer) {
            self.push(now_us, tap, outgoing, header, payload);
        }
    }

    /// A packet without payload that is seen later at `host`: it arrives over `link`, or leaves.
    pub(crate) fn add_later(&mut self, at_us: u64, link: Option<u32>, (host, peer): (u32, u32), header: Header) {
        for tap in self.taps(host, peer) {
            self.laters += 1;
            self.later.insert((at_us, self.laters), Later { link, tap, header });
        }
    }

    /// What is on its way over a link is lost.
    pub(crate) fn lose(&mut self, now_us: u64, mut lost: impl FnMut(u32) -> bool) {
        self.catch_up(now_us);
        self.later.retain(|_, packet| !packet.link.is_some_and(&mut lost));
    }

    /// Records what was to be seen by now.
    fn catch_up(&mut self, now_us: u64) {
        while let Some(entry) = self.later.first_entry()
            && entry.key().0 <= now_us
        {
            let ((at_us, _), packet) = entry.remove_entry();
            self.push(at_us, packet.tap, packet.link.is_none(), packet.header, &[]);
        }
    }

    fn push(&mut self, at_us: u64, tap: u32, outgoing: bool, header: Header, payload: &[u8]) {
        if self.capture.cut_at_us.is_some() {
            return;
        }
        self.cost += payload.len() as u64 + PACKET_COST;
        if self.cost > self.bytes_max {
            self.capture.cut_at_us = Some(at_us);
            self.later.clear();
            self.ways.clear();
            return;
        }
        let begin = self.capture.payloads.len();
        let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        self.capture.payloads.extend_from_slice(payload);
        self.capture.records.push(Record { at_us, tap, outgoing, header, begin, len });
    }

    /// What was captured until now.
    pub(crate) fn finish(&mut self, now_us: u64) -> Capture {
        self.catch_up(now_us);
        std::mem::take(&mut self.capture)
    }
}

/// The first sequence number of a direction: by the connection's number, so that it is the same in every run.
pub(crate) fn first_seq(conn: u64, end: u8) -> u32 {
    let mut key = [0; 9];
    key[..8].copy_from_slice(&conn.to_le_bytes());
    key[8] = end;
    xxh3_64(&key) as u32
}
