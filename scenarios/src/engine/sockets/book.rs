//! Who has which address: a block of the loopback network for each run, an address for each host.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::relays::{Route, Toxic, ways};
use crate::model::{Latency, Scenario};
use crate::plan::{PROXY_PORT, Plan, Planned, SOURCE_ACTIVE, SOURCE_PORT, Shape};

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
    /// Whether it writes down what happens at once, and not many events together.
    pub(super) at_once: bool,
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

    /// Where the n-th host of clients dials from.
    pub(super) fn desk(self, n: usize) -> IpAddr {
        self.addr(130 + u8::try_from(n % 120).unwrap_or(0), 0).ip()
    }

    /// A server's address and the port on which it serves.
    pub(super) fn of(self, host: &str) -> SocketAddr {
        let number = |begin: &str| host.strip_prefix(begin)?.parse::<u8>().ok();
        if let Some(source) = number("source-") {
            self.addr(10 + source, SOURCE_PORT)
        } else if let Some(proxy) = number("proxy-") {
            self.addr(80 + proxy, PROXY_PORT)
        } else if let Some(edge) = number("edge-") {
            self.addr(100 + edge, PROXY_PORT)
        } else {
            // Clients serve on none, see `desk`.
            self.addr(2, 0)
        }
    }
}

impl Block {
    /// Where the n-th relay listens.
    pub(super) fn relay(self, n: u16) -> SocketAddr {
        self.addr(120, 20_000 + n)
    }

    /// From where relays dial: nobody else does.
    pub(super) fn relays(self) -> IpAddr {
        self.addr(121, 0).ip()
    }
}

/// The links that go through a relay: those with a shape that loopback does not stand for, and those that a fault hits.
pub(super) fn routes(plan: &Plan, block: Block) -> Vec<Route> {
    let faulty = |dials: &str, serves: &str| {
        let hits = |target: &str| {
            // `source-active` may be any of them.
            let target =
                if serves.starts_with("source-") { target.replace(SOURCE_ACTIVE, serves) } else { target.to_owned() };
            ways(&target, dials, serves).is_some()
        };
        let on_links = |fault: &&Planned| fault.simulated.as_ref().is_some_and(|kind| Toxic::of(kind).is_some());
        plan.faults.iter().filter(on_links).any(|fault| hits(&fault.target))
    };
    let everywhere = Shape::of(&plan.scenario.network);
    let mut routes = Vec::new();
    for dials in hosts(plan) {
        for serves in dialled(plan, &dials) {
            let pair = if dials < serves { (dials.clone(), serves.clone()) } else { (serves.clone(), dials.clone()) };
            let shape = *plan.links.get(&pair).unwrap_or(&everywhere);
            let shape = (shape.bandwidth.is_some() || typical(shape.latency) >= ADDED_FROM).then_some(shape);
            if shape.is_some() || faulty(&dials, &serves) {
                let listen = block.relay(u16::try_from(routes.len()).unwrap_or(u16::MAX));
                let to = block.of(&serves);
                routes.push(Route { ends: (dials.clone(), serves), listen, to, shape });
            }
        }
    }
    routes
}

/// A latency from here on is added; below it loopback's own stands for it.
const ADDED_FROM: Duration = Duration::from_millis(5);

/// What about half of the delays are below; the greatest of those that come now and then.
fn typical(latency: Latency) -> Duration {
    match latency {
        Latency::Fixed(one) => one.as_duration(),
        Latency::Uniform(min, max) => (min.as_duration() + max.as_duration()) / 2,
        Latency::LogNormal { median, .. } => median.as_duration(),
        Latency::Spikes { delay, .. } => delay.as_duration(),
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
    fn links_that_loopback_does_not_stand_for_and_those_that_a_fault_hits_go_through_a_relay() {
        let plan = |lines: &str| {
            let text = format!(
                "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = {{ count = 2 }}\n\
                proxy = {{ mode = \"fanout\" }}\ncheck = {{ symbol-order = {{}} }}\n\
                [[clients]]\nname = \"desk\"\ncount = 1\n{lines}"
            );
            Plan::new(&crate::parse::parse("x.toml", &text).unwrap(), 1)
        };
        let check = |lines: &str, expect: &[&str]| {
            let routes = routes(&plan(lines), Block::nth(0));
            let found: Vec<String> = routes.iter().map(|it| format!("{}>{}", it.ends.0, it.ends.1)).collect();
            assert_eq!(found, expect, "{lines}");
        };
        check("", &[]);
        check("[[faults]]\nkind = \"kill\"\ntarget = \"source-0\"\nat = \"1s\"\n", &[]);
        check(
            "[[network.links]]\nbetween = [\"desk\", \"proxy-0\"]\nlatency = { fixed = \"80ms\" }\n",
            &["desk-0>proxy-0"],
        );
        check("[[network.links]]\nbetween = [\"desk\", \"proxy-0\"]\nlatency = { fixed = \"4ms\" }\n", &[]);
        let stall =
            |target| format!("[[faults]]\nkind = \"stall\"\ntarget = \"{target}\"\nat = \"1s\"\nfor = \"1s\"\n");
        check(&stall("proxy-0/source-1"), &["proxy-0>source-1"]);
        check(&stall("source-active>proxy-0"), &["proxy-0>source-0", "proxy-0>source-1"]);
        check(&stall("desk"), &["desk-0>proxy-0"]);
    }

    #[test]
    fn blocks_differ_and_leave_the_addresses_that_people_use_alone() {
        let blocks: BTreeSet<SocketAddr> = (0..BLOCKS).map(|n| Block::nth(n).lock()).collect();
        assert_eq!(blocks.len(), usize::from(BLOCKS));
        assert!(!blocks.iter().any(|addr| addr.to_string().starts_with("127.0.")));
    }
}
