//! `packets.pcapng`: where packets of a simulated run are captured, and how they come into their file.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use reports::folder::{self, WriteError};
use reports::metrics::Metrics;
use reports::pcapng;
use reports::record::Verdict;
use sim::HostId;
use sim::capture::{self, Capture, Tap};
use wire::net::WallTime;

use crate::model::Engine;
use crate::parse::distance::did_you_mean_or_list;
use crate::plan::Plan;

/// Where packets are wanted when nothing else is said: at every proxy.
pub const DEFAULT: &str = "proxy-*";

/// Bytes of packets that a run keeps when nothing else is said: 64 MiB.
pub const BYTES_MAX: u64 = 64 << 20;

/// What to capture, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcap {
    /// Hosts (`proxy-0`), patterns of hosts (`proxy-*`), links (`proxy-0/source-*`: at the first, what it exchanges with the second).
    pub places: Vec<String>,
    /// See [`sim::capture::Wanted::bytes_max`].
    pub bytes_max: u64,
}

/// Why packets cannot be captured as they are wanted: what was asked for is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotCapture {
    /// A place is asked for that is not there.
    #[error("--pcap: no host of {scenario} is called {given:?}; {hint}")]
    NoSuchHost {
        /// What was asked for.
        given: String,
        /// The scenario.
        scenario: String,
        /// What was probably meant, or all that there are.
        hint: String,
    },
    /// The engine has no packets to show.
    #[error("--pcap: the engine {engine} has no packets to show; {hint}")]
    NoPackets {
        /// Which engine.
        engine: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
}

/// A place, found: a host, and the only one whose packets count there.
pub type Place = (String, Option<String>);

impl Pcap {
    /// What the command line says: places with commas between them.
    #[must_use]
    pub fn new(places: &str, bytes_max: u64) -> Self {
        Self { places: places.split(',').map(|place| place.trim().to_owned()).collect(), bytes_max }
    }

    /// The places among the hosts of a plan, each once, in the order in which they were asked for.
    ///
    /// # Errors
    /// [`CannotCapture`], for the first place that is not there or for the engine.
    pub fn places(&self, plan: &Plan, engine: Engine) -> Result<Vec<Place>, CannotCapture> {
        let hint = match engine {
            Engine::Sim => None,
            Engine::Turmoil => Some("capture with the engine sim"),
            Engine::Sockets => Some("capture real sockets with tcpdump"),
        };
        if let Some(hint) = hint {
            return Err(CannotCapture::NoPackets { engine: engine.word(), hint });
        }
        let hosts: Vec<String> = hosts(plan).collect();
        let find = |pattern: &str| {
            let found: Vec<&String> = hosts.iter().filter(|host| fits(pattern, host)).collect();
            if found.is_empty() {
                return Err(CannotCapture::NoSuchHost {
                    given: pattern.to_owned(),
                    scenario: plan.scenario.name.clone(),
                    hint: did_you_mean_or_list(pattern, hosts.iter().map(String::as_str)),
                });
            }
            Ok(found)
        };
        let mut places: Vec<Place> = Vec::new();
        for asked in &self.places {
            let (at, with) = asked.split_once('/').map_or((asked.as_str(), None), |(at, with)| (at, Some(with)));
            let peers: Vec<Option<String>> = match with {
                Some(with) => find(with)?.into_iter().cloned().map(Some).collect(),
                None => vec![None],
            };
            for host in find(at)? {
                for peer in &peers {
                    let place = (host.clone(), peer.clone());
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
        }
        Ok(places)
    }
}

/// The hosts of a plan: sources, proxies, edges, clients.
fn hosts(plan: &Plan) -> impl Iterator<Item = String> {
    let proxies = plan.proxy_hosts().chain(plan.edge_hosts());
    plan.source_hosts().chain(proxies).chain(plan.client_hosts.iter().map(|host| host.name.clone()))
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, rest)) => name.strip_prefix(begin).is_some_and(|name| {
            let places = name.char_indices().map(|(place, _)| place).chain([name.len()]);
            places.into_iter().any(|place| fits(rest, &name[place..]))
        }),
    }
}

/// What a run captured, and where.
#[derive(Clone, Debug)]
pub struct Packets {
    /// The packets.
    pub capture: Capture,
    taken: Capturing,
}

/// How a capture is taken, from its beginning on.
#[derive(Clone, Debug)]
pub(crate) struct Capturing {
    interfaces: Vec<pcapng::Interface>,
    names: Vec<(Ipv4Addr, String)>,
    epoch_us: u64,
    bytes_max: u64,
}

impl Capturing {
    /// What the simulator is asked for.
    pub(crate) fn begin(
        pcap: &Pcap,
        places: &[Place],
        hosts: &BTreeMap<String, HostId>,
        epoch: WallTime,
    ) -> (Self, capture::Wanted) {
        let tap = |(host, peer): &Place| {
            let peer = match peer {
                Some(peer) => Some(*hosts.get(peer)?),
                None => None,
            };
            Some(Tap { host: *hosts.get(host)?, peer })
        };
        let interface = |(host, peer): &Place| pcapng::Interface {
            name: host.clone(),
            description: match peer {
                Some(peer) => format!("the simulated host {host}, what it exchanges with {peer}"),
                None => format!("the simulated host {host}"),
            },
        };
        let mut names: Vec<(Ipv4Addr, String)> = hosts.iter().map(|(name, id)| (id.addr(), name.clone())).collect();
        names.sort();
        let interfaces = places.iter().map(interface).collect();
        let epoch_us = epoch.0;
        let wanted = capture::Wanted { taps: places.iter().filter_map(tap).collect(), bytes_max: pcap.bytes_max };
        (Self { interfaces, names, epoch_us, bytes_max: pcap.bytes_max }, wanted)
    }

    pub(crate) fn end(self, capture: Capture) -> Packets {
        Packets { capture, taken: self }
    }
}

impl Packets {
    /// The host with this address.
    pub(crate) fn host(&self, address: Ipv4Addr) -> Option<String> {
        self.taken.names.iter().find(|(other, _)| *other == address).map(|(_, name)| name.clone())
    }

    /// Lines for `log.txt`.
    pub(crate) fn log(&self) -> String {
        let mut log = format!(
            "packets {}\npackets_payload_bytes {}\n",
            self.capture.packets().len(),
            self.capture.payload_bytes()
        );
        if let Some(cut) = self.cut() {
            log.push_str(&format!("packets_cut {cut}\n"));
        }
        log
    }

    /// How the capture was cut short, if it was.
    fn cut(&self) -> Option<String> {
        let at_us = self.capture.cut_at_us?;
        Some(format!(
            "the capture ends at {:.6} s: its bound of {} bytes is reached (--pcap-bytes)",
            at_us as f64 / 1e6,
            self.taken.bytes_max
        ))
    }

    /// Writes `packets.pcapng` into a folder.
    ///
    /// # Errors
    /// [`WriteError`] names the file and what to do.
    pub fn write(&self, dir: &Path, verdict: &Verdict, metrics: &Metrics) -> Result<(), WriteError> {
        let mut comments = vec![format!(
            "scenario {}, seed {}, order {}, engine {}, hash {}",
            verdict.scenario, verdict.seed, verdict.order, verdict.engine, verdict.trace_hash
        )];
        if let Some(mutant) = &verdict.mutant {
            comments.push(format!("with the planted bug {mutant}"));
        }
        comments.extend(self.cut());
        let section = pcapng::Section {
            application: format!("windtunnel {}", env!("CARGO_PKG_VERSION")),
            comments,
            epoch_us: self.taken.epoch_us,
            interfaces: self.taken.interfaces.clone(),
            names: self.taken.names.clone(),
            notes: self.notes(metrics),
        };
        let packets = self.capture.packets().map(|packet| pcapng::Packet {
            at_us: packet.at_us,
            interface: packet.tap,
            outgoing: packet.outgoing,
            from: packet.header.from,
            to: packet.header.to,
            seq: packet.header.seq,
            ack: packet.header.ack,
            flags: packet.header.flags,
            window: packet.header.window,
            options: (packet.header.flags & capture::flags::SYN != 0)
                .then_some((capture::PAYLOAD_MAX, capture::WINDOW_SCALE)),
            payload: packet.payload,
        });
        folder::write_packets(dir, &section, packets)
    }

    /// The faults, and the end of the capture if it was cut short.
    fn notes(&self, metrics: &Metrics) -> Vec<pcapng::Note> {
        let mut notes: Vec<pcapng::Note> = Vec::new();
        for fault in &metrics.faults {
            let mut note = |at_us: u64, what: &str| {
                let at = at_us as f64 / 1e6;
                let text = format!("fault {} {what} at {at:.6} s: {} of {}", fault.fault, fault.kind, fault.target);
                notes.push(pcapng::Note { at_us, text });
            };
            note(fault.start_us, "starts");
            if let Some(stop_us) = fault.stop_us {
                note(stop_us, "stops");
            }
        }
        notes.extend(self.cut().map(|text| pcapng::Note { at_us: self.capture.cut_at_us.unwrap_or_default(), text }));
        notes.sort_by_key(|note| note.at_us);
        // What was not captured any more has no place in the file.
        let cut = self.capture.cut_at_us.unwrap_or(u64::MAX);
        notes.retain(|note| note.at_us <= cut);
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expect) in [
            ("proxy-0", "proxy-0", true),
            ("proxy-0", "proxy-01", false),
            ("proxy-*", "proxy-12", true),
            ("*", "proxy-0", true),
            ("*-0", "proxy-0", true),
            ("p*x*-0", "proxy-0", true),
            ("p*x*-1", "proxy-0", false),
            ("proxy-0*", "proxy-0", true),
            ("", "proxy-0", false),
        ] {
            assert_eq!(fits(pattern, name), expect, "{pattern} {name}");
        }
    }
}
