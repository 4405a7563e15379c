//! `packets.pcapng`: read again by hand, and by tshark where that is installed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::engine::{self, Options, Run};
use scenarios::model::Engine;
use scenarios::parse;
use scenarios::pcap::{BYTES_MAX, Pcap};
use scenarios::plan::Plan;

/// A second and a half with six clients; one source is killed in the second of two steady seconds where `fault` says so.
fn scenario(fault: &str) -> scenarios::model::Scenario {
    let text = format!(
        r#"
        schema = 1
        name = "packets"
        about = "Six clients and three symbols."
        warmup = "500ms"
        steady = "2s"
        recovery = "500ms"
        sources = {{ count = 2, symbols = 3, period = "20ms" }}
        proxy = {{ mode = "fanout" }}
        {fault}
        [[clients]]
        name = "plain"
        count = 6
        [check]
        symbol-order = {{}}
        "#
    );
    parse::parse("packets.toml", &text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

const KILL: &str = "[[faults]]\nkind = \"kill\"\ntarget = \"source-active\"\nat = \"1s\"\nfor = \"500ms\"";

fn run(fault: &str, pcap: Option<&Pcap>) -> Run {
    let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: true };
    engine::run_captured(&Plan::new(&scenario(fault), 1), options, pcap).expect("the simulator runs it")
}

/// Runs and writes the file.
fn captured(fault: &str, places: &str, bytes_max: u64) -> (tempfile::TempDir, PathBuf, Run) {
    let run = run(fault, Some(&Pcap::new(places, bytes_max)));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let packets = run.packets.as_ref().expect("packets were wanted");
    packets.write(dir.path(), &run.verdict, &run.metrics).expect("a writable folder");
    let path = dir.path().join("packets.pcapng");
    (dir, path, run)
}

/// A block of the file: its type and its body.
fn blocks(file: &[u8]) -> Vec<(u32, &[u8])> {
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"));
    let mut blocks = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let (kind, len) = (number(rest), number(&rest[4..]) as usize);
        assert!(len.is_multiple_of(4), "a block of {len} bytes");
        assert_eq!(number(&rest[len - 4..]) as usize, len, "the length at the end of a block is that at its beginning");
        blocks.push((kind, &rest[8..len - 4]));
        rest = &rest[len..];
    }
    blocks
}

/// The run's wall clock when it begins: 2026-06-01 00:00 UTC.
const EPOCH_US: u64 = 1_780_272_000_000_000;

/// A packet as it stands in the file; its time counts from the beginning of the run.
struct Packet<'a> {
    at_us: u64,
    bytes: &'a [u8],
}

impl Packet<'_> {
    fn short(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn long(&self, at: usize) -> u32 {
        u32::from(self.short(at)) << 16 | u32::from(self.short(at + 2))
    }

    /// Whence and where to.
    fn flow(&self) -> (Ipv4Addr, u16, Ipv4Addr, u16) {
        (Ipv4Addr::from(self.long(12)), self.short(20), Ipv4Addr::from(self.long(16)), self.short(22))
    }

    fn flags(&self) -> u8 {
        self.bytes[33]
    }

    fn payload(&self) -> &[u8] {
        &self.bytes[20 + usize::from(self.bytes[32] >> 4) * 4..]
    }
}

/// The packets of interface 0, and the comments on them.
fn packets(file: &[u8]) -> (Vec<Packet<'_>>, Vec<String>) {
    let mut comments = Vec::new();
    let mut found = Vec::new();
    for (kind, body) in blocks(file) {
        if kind != 6 {
            continue;
        }
        let number = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("four bytes"));
        let (at_ns, len) = (u64::from(number(4)) << 32 | u64::from(number(8)), number(12) as usize);
        assert_eq!(number(16) as usize, len, "no packet is cut short");
        found.push(Packet { at_us: at_ns / 1000 - EPOCH_US, bytes: &body[20..20 + len] });
        let mut options = &body[20 + len.next_multiple_of(4)..];
        while options.len() >= 4 {
            let (code, len) =
                (u16::from_le_bytes([options[0], options[1]]), u16::from_le_bytes([options[2], options[3]]));
            if code == 1 {
                comments.push(String::from_utf8(options[4..4 + usize::from(len)].to_vec()).expect("text"));
            }
            options = &options[4 + usize::from(len).next_multiple_of(4)..];
        }
    }
    (found, comments)
}

/// The internet checksum (RFC 1071) over all of it: 0 where the checksum inside is right.
fn sum(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let words = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | two.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn lengths_and_checksums_are_right_and_every_byte_has_its_number() {
    let (_dir, path, _) = captured(KILL, "proxy-*", BYTES_MAX);
    let file = std::fs::read(path).expect("it was written");
    let (packets, comments) = packets(&file);
    assert!(packets.len() > 1000, "only {} packets", packets.len());
    let mut next: BTreeMap<_, u32> = BTreeMap::new();
    let mut last_us = 0;
    for packet in &packets {
        assert!(packet.at_us >= last_us, "packets stand in the order of time");
        last_us = packet.at_us;
        let bytes = packet.bytes;
        assert_eq!((bytes[0], bytes[9], usize::from(packet.short(2))), (0x45, 6, bytes.len()));
        assert_eq!(sum(&[&bytes[..20]]), 0, "the checksum of the IP header");
        let pseudo = [0, 6, ((bytes.len() - 20) >> 8) as u8, (bytes.len() - 20) as u8];
        assert_eq!(sum(&[&bytes[12..20], &pseudo, &bytes[20..]]), 0, "the checksum of the TCP segment");
        let length = packet.payload().len() as u32 + u32::from(packet.flags() & 3 != 0);
        let (seq, flow) = (packet.long(24), packet.flow());
        if packet.flags() & 2 != 0 {
            next.insert(flow, seq);
        }
        let expected = next.get_mut(&flow).unwrap_or_else(|| panic!("{flow:?} begins without SYN"));
        if packet.flags() & 4 == 0 {
            assert_eq!(seq, *expected, "{flow:?} at {} us", packet.at_us);
        }
        *expected = seq.wrapping_add(length);
    }
    assert_eq!(
        comments,
        ["fault 0 starts at 1.500000 s: kill of source-0", "fault 0 stops at 2.000000 s: kill of source-0"]
    );
}

#[test]
fn a_capture_changes_nothing_in_the_run_and_is_the_same_each_time() {
    let (_one, path, with) = captured(KILL, "*", BYTES_MAX);
    assert_eq!(with.verdict.trace_hash, run(KILL, None).verdict.trace_hash);
    let (_two, again, _) = captured(KILL, "*", BYTES_MAX);
    assert!(std::fs::read(path).expect("written") == std::fs::read(again).expect("written"), "two files differ");
}

#[test]
fn a_capture_that_reaches_its_bound_ends_and_says_so() {
    let (_dir, path, run) = captured("", "proxy-0", 20_000);
    let file = std::fs::read(path).expect("it was written");
    let (packets, comments) = packets(&file);
    assert!(packets.len() > 10 && file.len() < 30_000, "{} packets, {} bytes", packets.len(), file.len());
    assert!(comments.last().is_some_and(|last| last.contains("its bound of 20000 bytes is reached")), "{comments:?}");
    assert!(run.log.contains("packets_cut the capture ends at"), "{}", run.log);
}

/// When sources sent data that they had sent before. What is new follows on what was sent last: there are no holes.
fn sent_again(packets: &[Packet<'_>]) -> Vec<u64> {
    let mut next: BTreeMap<_, u32> = BTreeMap::new();
    let mut again = Vec::new();
    for packet in packets.iter().filter(|packet| packet.flow().1 == 9000 && !packet.payload().is_empty()) {
        let end = packet.long(24).wrapping_add(packet.payload().len() as u32);
        let expected = next.entry(packet.flow()).or_insert(packet.long(24));
        if packet.long(24) == *expected {
            *expected = end;
        } else {
            assert!(end.wrapping_sub(*expected) as i32 <= 0, "a hole before the byte sent at {} us", packet.at_us);
            again.push(packet.at_us);
        }
    }
    again
}

#[test]
fn in_an_outage_the_sender_tries_again_and_the_receiver_gets_every_byte_once() {
    let fault = "[[faults]]\nkind = \"partition\"\ntarget = \"proxy-0/source-active\"\nat = \"1s\"\nfor = \"700ms\"";
    let (_one, at_source_path, run) = captured(fault, "source-0", BYTES_MAX);
    assert!(run.events.iter().flatten().any(|timed| timed.at_us == 1_500_000), "the fault begins at 1.5 s");
    let file = std::fs::read(&at_source_path).expect("it was written");
    let (at_source, comments) = packets(&file);
    let again = sent_again(&at_source);
    assert!(again.len() >= 2, "tried again {} times", again.len());
    // Not before a retransmission time-out, and not after the first try behind the heal: the time between two tries doubles.
    assert!(again.iter().all(|at_us| (1_700_000..3_000_000).contains(at_us)), "{again:?}");
    assert!(comments[0].contains("partition of proxy-0/source-0"), "{comments:?}");
    // Nothing crosses the cut; behind it all bytes arrive, each once.
    let (_two, path, _) = captured(fault, "proxy-0/source-0", BYTES_MAX);
    let file = std::fs::read(&path).expect("it was written");
    let (at_proxy, _) = packets(&file);
    assert_eq!(sent_again(&at_proxy), [0; 0]);
    let arrived = |from, to| {
        at_proxy.iter().filter(|packet| packet.flow().1 == 9000 && (from..to).contains(&packet.at_us)).count()
    };
    assert_eq!(arrived(1_502_000, 2_200_000), 0);
    assert!(arrived(0, 1_502_000) > 60, "{}", arrived(0, 1_502_000));
    // tshark sees the tries as what they are.
    let Some(found) = tshark(&at_source_path, &["-Y", "tcp.analysis.retransmission && tcp.srcport == 9000"]) else {
        return;
    };
    assert_eq!(found.lines().count(), again.len(), "{found}");
}

#[test]
fn a_dial_that_is_refused_is_a_syn_and_an_rst() {
    let fault = "[[faults]]\nkind = \"kill\"\ntarget = \"source-*\"\nat = \"1s\"\nfor = \"500ms\"";
    let (_dir, path, run) = captured(fault, "proxy-0", BYTES_MAX);
    let refused = run.events.iter().flatten().filter(|timed| {
        matches!(timed.event, wire::event::Event::ProxyLegDown { local: None, why: wire::event::Why::Refused, .. })
    });
    let refused = refused.count();
    assert!(refused > 0, "no dial was refused");
    let file = std::fs::read(&path).expect("it was written");
    let (packets, _) = packets(&file);
    let mut answered = 0;
    for (place, syn) in packets.iter().enumerate().filter(|(_, packet)| packet.flags() == 2 && packet.flow().3 == 9000)
    {
        let (from, from_port, to, to_port) = syn.flow();
        let answer = packets[place..].iter().find(|packet| packet.flow() == (to, to_port, from, from_port));
        let Some(rst) = answer.filter(|answer| answer.flags() & 4 != 0) else { continue };
        assert_eq!((rst.flags(), rst.long(24), rst.payload().len()), (0x14, 0, 0));
        assert_eq!(rst.long(28), syn.long(24).wrapping_add(1), "it answers the SYN");
        let last = packets.iter().rev().find(|packet| packet.flow() == syn.flow()).expect("the SYN at least");
        assert_eq!(last.at_us, syn.at_us, "nothing follows");
        answered += 1;
    }
    assert_eq!(answered, refused);
    let filter = "tcp.srcport == 9000 && tcp.flags.reset == 1 && tcp.seq == 1 && tcp.ack == 1 && tcp.len == 0";
    let Some(found) = tshark(&path, &["-Y", filter]) else { return };
    assert_eq!(found.lines().count(), refused, "{found}");
}

#[test]
fn a_link_shows_what_two_hosts_exchange_and_nothing_else() {
    let (_dir, path, _) = captured("", "proxy-0/plain-0", BYTES_MAX);
    let file = std::fs::read(path).expect("it was written");
    let (packets, _) = packets(&file);
    assert!(packets.len() > 100);
    assert!(packets.iter().all(|packet| packet.flow().1 == 8000 || packet.flow().3 == 8000));
}

/// What tshark says; None, and a word why, where it is not installed.
fn tshark(path: &Path, args: &[&str]) -> Option<String> {
    match Command::new("tshark").arg("-r").arg(path).args(args).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).expect("text"))
        }
        Err(error) => {
            eprintln!("skipped: tshark does not start ({error}); on Debian: apt-get install tshark");
            None
        }
    }
}

#[test]
fn tshark_finds_nothing_wrong_with_a_quiet_run() {
    let (_dir, path, run) = captured("", "proxy-*", BYTES_MAX);
    let wrong = "(tcp.analysis.flags && !tcp.analysis.window_update) || tcp.checksum.status == 0 || _ws.malformed";
    let checks = ["-o", "tcp.check_checksum:TRUE", "-Y"];
    let Some(found) = tshark(&path, &[&checks[..], &[wrong]].concat()) else { return };
    assert_eq!(found, "");
    // Every message that reached a client before the last flight is a frame that the WebSocket dissector reads.
    let texts = tshark(
        &path,
        &["-Y", "tcp.srcport == 8000 && websocket.opcode == 1", "-T", "fields", "-e", "websocket.opcode"],
    );
    let frames = texts.unwrap_or_default().split([',', '\n']).filter(|opcode| *opcode == "1").count() as u64;
    let greetings = run.metrics.totals.clients_opened;
    let delivered = run.metrics.totals.deliveries;
    assert!(frames >= delivered + greetings, "{frames} frames for {delivered} deliveries");
    assert!(frames <= delivered + greetings + 40, "{frames} frames for {delivered} deliveries");
}

#[test]
fn the_bytes_that_tshark_follows_are_those_that_the_proxy_sent_and_the_client_got() {
    let (_one, at_proxy, _) = captured("", "proxy-0/plain-0", BYTES_MAX);
    let (_two, at_client, _) = captured("", "plain-0/proxy-0", BYTES_MAX);
    for stream in 0..6 {
        let follow = format!("follow,tcp,raw,{stream}");
        let bytes = |path: &Path| {
            let said = tshark(path, &["-q", "-z", &follow])?;
            // What the second of the two nodes sent stands behind a tab.
            Some(said.lines().filter_map(|line| line.strip_prefix('\t')).collect::<String>())
        };
        let Some((sent, got)) = bytes(&at_proxy).zip(bytes(&at_client)) else { return };
        // By hand, from the client's own packets.
        let file = std::fs::read(&at_client).expect("it was written");
        let (packets, _) = packets(&file);
        let port = packets.iter().filter(|packet| packet.flags() == 2).nth(stream).expect("six clients").flow().1;
        let to_client = packets.iter().filter(|packet| packet.flow().3 == port);
        let by_hand: String =
            to_client.flat_map(|packet| packet.payload().iter().map(|byte| format!("{byte:02x}"))).collect();
        assert!(got.len() > 10_000 && got == by_hand, "stream {stream}: {} and {} digits", got.len(), by_hand.len());
        assert!(sent.starts_with(&got), "stream {stream}: the client got what the proxy did not send");
    }
}
