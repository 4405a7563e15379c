//! Who has which address: a block of the loopback network for each run, an address for each host.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::Scenario;
use crate::plan::{PROXY_PORT, Plan, SOURCE_PORT};

/// What the processes of a run are told: the file `stage.json` of its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stage {
    /// The scenario as it is run.
    pub(super) scenario: Scenario,
    /// The seed.
    pub(super) seed: u64,
    /// The planted bug, if any.
    pub(super) mutant: Option<String>,
    /// Each host by its name.
    pub(super) seats: BTreeMap<String, Seat>,
}

/// Where a host is, and where it finds the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seat {
    /// Its own address.
    pub(super) addr: IpAddr,
    /// Those whom it dials, by name.
    pub(super) names: BTreeMap<String, SocketAddr>,
    /// Whether it may be killed: then it reports without a buffer, for what it had done must be known.
    pub(super) mortal: bool,
}

impl Stage {
    /// Reads the file of a run's folder.
    pub(super) fn read(dir: &Path) -> Result<Self, String> {
        let path = dir.join(STAGE);
        let text = std::fs::read(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{} is malformed: {error}", path.display()))
    }
}

/// Its name.
pub(super) const STAGE: &str = "stage.json";
/// The file that says when the run begins: microseconds of the monotonic clock, in text.
pub(super) const BEGIN: &str = "begin";

/// The file in which a life of a host reports what happens.
pub(super) fn events_file(host: &str, life: u32) -> String {
    format!("{host}.{life}.jsonl")
}

/// The file in which a life of a host says at its end how it fared.
pub(super) fn end_file(host: &str, life: u32) -> String {
    format!("{host}.{life}.end.json")
}

/// The file that names the reloads that a proxy was told of: numbers of faults, one a line.
pub(super) fn reloads_file(host: &str) -> String {
    format!("{host}.reloads")
}

/// The block 127.A.B.0/24 of a run, whose addresses are handed out by name: two runs do not meet, and no port of a host is one that the kernel gives to who dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    a: u8,
    b: u8,
}

/// Blocks that there are to choose from.
const BLOCKS: u16 = 128 * 256;

impl Block {
    /// The n-th, taken modulo.
    pub(super) fn nth(n: u16) -> Self {
        let [a, b] = (n % BLOCKS).to_be_bytes();
        Self { a: 64 + a % 128, b }
    }

    /// The address whose listener says that the block is taken.
    pub(super) fn lock(self) -> SocketAddr {
        self.addr(1, 7_999)
    }

    fn addr(self, last: u8, port: u16) -> SocketAddr {
        (Ipv4Addr::new(127, self.a, self.b, last), port).into()
    }

    /// A host's address and the port on which it serves; clients serve on none.
    pub(super) fn of(self, host: &str) -> SocketAddr {
        let number = |begin: &str| host.strip_prefix(begin)?.parse::<u8>().ok();
        if let Some(source) = number("source-") {
            self.addr(10 + source, SOURCE_PORT)
        } else if let Some(proxy) = number("proxy-") {
            self.addr(80 + proxy, PROXY_PORT)
        } else if let Some(edge) = number("edge-") {
            self.addr(100 + edge, PROXY_PORT)
        } else {
            self.addr(2, 0)
        }
    }
}

/// All hosts in the order in which they start: who is dialled before who dials.
pub(super) fn hosts(plan: &Plan) -> Vec<String> {
    let servers = plan.source_hosts().chain(plan.proxy_hosts()).chain(plan.edge_hosts());
    servers.chain(plan.client_hosts.iter().map(|host| host.name.clone())).collect()
}

/// Whom a host dials.
pub(super) fn dialled(plan: &Plan, host: &str) -> Vec<String> {
    if host.starts_with("source-") {
        Vec::new()
    } else if host.starts_with("proxy-") {
        plan.source_hosts().collect()
    } else if host.starts_with("edge-") {
        plan.proxy_hosts().collect()
    } else {
        plan.front_hosts()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_host_of_the_largest_cast_has_an_address_of_its_own() {
        let names = |begin: &'static str, count: u16| (0..count).map(move |index| format!("{begin}-{index}"));
        let hosts: Vec<String> = names("source", 64).chain(names("proxy", 16)).chain(names("edge", 16)).collect();
        let block = Block::nth(7);
        let addrs: BTreeSet<SocketAddr> = hosts.iter().map(|host| block.of(host)).chain([block.lock()]).collect();
        assert_eq!(addrs.len(), hosts.len() + 1);
        assert!(addrs.iter().all(|addr| addr.ip().is_loopback()));
    }

    #[test]
    fn blocks_differ_and_leave_the_addresses_that_people_use_alone() {
        let blocks: BTreeSet<SocketAddr> = (0..BLOCKS).map(|n| Block::nth(n).lock()).collect();
        assert_eq!(blocks.len(), usize::from(BLOCKS));
        assert!(!blocks.iter().any(|addr| addr.to_string().starts_with("127.0.")));
    }
}
