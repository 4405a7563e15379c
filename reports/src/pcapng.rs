//! `packets.pcapng`: packets of a run for Wireshark, tshark and all that reads pcapng (draft-ietf-opsawg-pcapng).
//!
//! ```text
//!   section header    who wrote it; comments say which run it is
//!   names             an IPv4 address of each host
//!   interfaces        one for each place where packets were captured; LINKTYPE_RAW, nanoseconds
//!   packets           IPv4 and TCP with their checksums; notes as comments
//! ```

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use etherparse::{IpNumber, Ipv4Header, TcpHeader, TcpOptionElement};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::name_resolution::{Ipv4Record, NameResolutionBlock, Record};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};

/// The time to live of all packets, as Linux has it by default.
const TTL: u8 = 64;

/// What stands at the head of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Who wrote it: `windtunnel 0.1.0`.
    pub application: String,
    /// Which run it is.
    pub comments: Vec<String>,
    /// The wall clock of the run when it began, in microseconds since 1970.
    pub epoch_us: u64,
    /// Where packets were captured.
    pub interfaces: Vec<Interface>,
    /// The hosts' names.
    pub names: Vec<(Ipv4Addr, String)>,
    /// What happened meanwhile, in the order of time. Each note stands on the next packet of each interface; what comes after an interface's last packet
    /// stands on that one.
    pub notes: Vec<Note>,
}

/// A place where packets were captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The host's name.
    pub name: String,
    /// What of its traffic.
    pub description: String,
}

/// A line on something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Microseconds since the run began.
    pub at_us: u64,
    /// What.
    pub text: String,
}

/// One TCP packet at one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Microseconds since the run began.
    pub at_us: u64,
    /// The interface, by its place in [`Section::interfaces`].
    pub interface: usize,
    /// Whether the interface's host sent it.
    pub outgoing: bool,
    /// Whence.
    pub from: SocketAddrV4,
    /// Where to.
    pub to: SocketAddrV4,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgement number.
    pub ack: u32,
    /// The flags as they stand in the header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    pub flags: u8,
    /// The window as it stands in the header.
    pub window: u16,
    /// MSS and window scale, where the packet says them.
    pub options: Option<(u16, u8)>,
    /// The payload: at most 65,495 bytes (65,487 with options).
    pub payload: &'a [u8],
}

/// Writes the file. `packets` come in the order of time; they are walked twice, to find the last of each interface.
///
/// # Errors
/// What `out` says; [`io::ErrorKind::InvalidInput`] for a packet that is too long or whose interface is not there.
pub fn write<'a>(
    out: impl Write,
    section: &Section,
    packets: impl Iterator<Item = Packet<'a>> + Clone,
) -> io::Result<()> {
    let mut file = begin(out, section).map_err(plain)?;
    let mut last: Vec<Option<usize>> = vec![None; section.interfaces.len()];
    for (place, packet) in packets.clone().enumerate() {
        let interface = last.get_mut(packet.interface);
        *interface.ok_or_else(|| invalid("a packet of an interface that is not there"))? = Some(place);
    }
    let mut noted = vec![0; section.interfaces.len()];
    let mut bytes = Vec::new();
    for (place, packet) in packets.enumerate() {
        encode(&mut bytes, &packet)?;
        let notes = &section.notes[noted[packet.interface]..];
        let is_last = last[packet.interface] == Some(place);
        let due = notes.iter().take_while(|note| is_last || note.at_us <= packet.at_us).count();
        noted[packet.interface] += due;
        let mut options: Vec<EnhancedPacketOption<'_>> =
            notes[..due].iter().map(|note| EnhancedPacketOption::Comment(Cow::Borrowed(&note.text))).collect();
        // Inbound or outbound (section 4.3.1).
        options.push(EnhancedPacketOption::Flags(if packet.outgoing { 2 } else { 1 }));
        file.write_pcapng_block(EnhancedPacketBlock {
            interface_id: u32::try_from(packet.interface).unwrap_or(u32::MAX),
            timestamp: Duration::from_micros(section.epoch_us + packet.at_us),
            original_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(&bytes),
            options,
        })
        .map_err(plain)?;
    }
    file.into_inner().flush()
}

fn begin<W: Write>(out: W, section: &Section) -> Result<PcapNgWriter<W>, PcapError> {
    let comments = section.comments.iter().map(|comment| SectionHeaderOption::Comment(comment.clone().into()));
    let application = SectionHeaderOption::UserApplication(section.application.clone().into());
    // Little-endian wherever it is written: the same bytes on every machine.
    let head = SectionHeaderBlock {
        endianness: Endianness::Little,
        options: comments.chain([application]).collect(),
        ..SectionHeaderBlock::default()
    };
    let mut file = PcapNgWriter::with_section_header(out, head)?;
    for interface in &section.interfaces {
        file.write_pcapng_block(InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(&interface.name)),
                InterfaceDescriptionOption::IfDescription(Cow::Borrowed(&interface.description)),
                // Nanoseconds: the writer knows no other. The run counts in microseconds.
                InterfaceDescriptionOption::IfTsResol(9),
            ],
        })?;
    }
    let record = |(addr, name): &(Ipv4Addr, String)| {
        Record::Ipv4(Ipv4Record { ip_addr: addr.octets().to_vec().into(), names: vec![name.clone().into()] })
    };
    file.write_pcapng_block(NameResolutionBlock {
        records: section.names.iter().map(record).collect(),
        options: Vec::new(),
    })?;
    Ok(file)
}

/// The packet from its IP header on.
fn encode(bytes: &mut Vec<u8>, packet: &Packet<'_>) -> io::Result<()> {
    let mut tcp = TcpHeader::new(packet.from.port(), packet.to.port(), packet.seq, packet.window);
    tcp.acknowledgment_number = packet.ack;
    let has = |bit: u8| packet.flags & bit != 0;
    (tcp.fin, tcp.syn, tcp.rst, tcp.psh, tcp.ack) = (has(1), has(2), has(4), has(8), has(16));
    if let Some((mss, scale)) = packet.options {
        tcp.set_options(&[
            TcpOptionElement::MaximumSegmentSize(mss),
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(scale),
        ])
        .map_err(|error| invalid(&error.to_string()))?;
    }
    let (from, to) = (packet.from.ip().octets(), packet.to.ip().octets());
    let len = u16::try_from(tcp.header_len() + packet.payload.len()).map_err(|error| invalid(&error.to_string()))?;
    tcp.checksum = tcp.calc_checksum_ipv4_raw(from, to, packet.payload).map_err(|error| invalid(&error.to_string()))?;
    let mut ip = Ipv4Header::new(len, TTL, IpNumber::TCP, from, to).map_err(|error| invalid(&error.to_string()))?;
    ip.header_checksum = ip.calc_header_checksum();
    bytes.clear();
    bytes.extend_from_slice(&ip.to_bytes());
    bytes.extend_from_slice(&tcp.to_bytes());
    bytes.extend_from_slice(packet.payload);
    Ok(())
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
}

fn plain(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => invalid(&other.to_string()),
    }
}
