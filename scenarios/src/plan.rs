//! A scenario with a seed, worked out: which hosts there are, who runs where, what happens when. Pure, and equal for equal input.

mod links;
mod targets;

use std::collections::BTreeMap;
use std::time::Duration;

use wire::id::{ClientId, ProxyId, SourceId, Symbol};

use crate::model::{After, Asked, Clients, Engine, EventName, Fault, FaultKind, Reader, Reloaded, Scenario, Stamped};

pub use self::links::Shape;
pub(crate) use self::links::pairs;
pub(crate) use self::targets::{CLIENTS, Names, SOURCE_ACTIVE, parts};

/// Port of every source.
pub const SOURCE_PORT: u16 = 9000;
/// Port of every proxy.
pub const PROXY_PORT: u16 = 8000;
/// Clients that share a host where the scenario does not say.
const CLIENTS_PER_HOST: u32 = 250;

/// One run, worked out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The scenario.
    pub scenario: Scenario,
    /// The seed of every draw.
    pub seed: u64,
    /// Hosts of clients, in order of the groups.
    pub client_hosts: Vec<ClientHost>,
    /// Links that are not as the network is, by their ends.
    pub links: BTreeMap<(String, String), Shape>,
    /// What goes wrong: the scenario's faults, those on several targets once for each.
    pub faults: Vec<Planned>,
    /// What some of the faults wait for.
    pub triggers: Vec<Trigger>,
    /// When the steady phase begins.
    pub steady_at: Duration,
    /// When the recovery phase begins.
    pub recovery_at: Duration,
    /// When the run ends.
    pub end_at: Duration,
}

/// A host that carries a stretch of a group's clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHost {
    /// Its name: the group's with a number.
    pub name: String,
    /// Place of its group in the scenario.
    pub group: usize,
    /// Its first client.
    pub first: ClientId,
    /// How many clients it carries.
    pub count: u32,
    /// Place of its first client within the group, for arrival times.
    pub offset: u32,
}

/// A fault on one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The place of its entry in the scenario's faults: one on several targets is planned once for each.
    pub entry: usize,
    /// What.
    pub kind: FaultKind,
    /// As the simulator does it; None: a source does it by its script.
    pub simulated: Option<sim::FaultKind>,
    /// A host, a link or a way; `source-active` still stands for the source that it will be.
    pub target: String,
    /// When it begins.
    pub start: Start,
    /// How long it lasts; None: to the end of the run, or it is over at once.
    pub lasts: Option<Duration>,
    /// How much later it begins than `start` says: each of several targets in its turn.
    pub late: Duration,
    /// What a reload changes.
    pub changes: Option<Reloaded>,
    /// The code with which a source closes.
    pub code: Option<u16>,
    /// Between two messages of a source that are no ticks.
    pub every: Duration,
    /// The size of a source's message that is larger than the proxy takes.
    pub bytes: u32,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this time, from the beginning of the run.
    At(Duration),
    /// After what stands at this place of [`Plan::triggers`].
    After(usize),
}

/// What a fault waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// From when on events count; None: from the beginning of the steady phase.
    pub since: Option<Moment>,
    /// What is waited for.
    pub event: Moment,
    /// How much later the fault begins.
    pub delay: Duration,
    /// All of it in words, to continue "after the".
    pub words: String,
}

/// So many events of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Which.
    pub event: EventName,
    /// How many.
    pub count: u32,
    /// Those of this symbol only.
    pub symbol: Option<Symbol>,
    /// Those of this source only.
    pub source: Option<SourceId>,
    /// Those of this proxy only.
    pub proxy: Option<ProxyId>,
    /// Those of these clients only, a half-open range.
    pub clients: Option<std::ops::Range<u32>>,
    /// Those with a stamp of this kind only.
    pub kind: Option<wire::feed::Kind>,
}

impl Trigger {
    /// Whether it counts each tick that reaches a proxy.
    pub(crate) fn wants_ticks(&self) -> bool {
        self.event.event == EventName::ProxyTick
            || self.since.as_ref().is_some_and(|since| since.event == EventName::ProxyTick)
    }
}

impl Plan {
    /// Works a checked scenario out.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let steady_at = scenario.warmup.as_duration();
        let recovery_at = steady_at + scenario.steady.as_duration();
        let end_at = recovery_at + scenario.recovery.as_duration();
        let names = Names::new(scenario);
        let too_big = scenario.proxy.limits().source_message_max as u64 + 1;
        let mut triggers = Vec::new();
        let mut faults = Vec::new();
        for (entry, fault) in scenario.faults.iter().enumerate() {
            let start = match &fault.after {
                Some(after) => {
                    triggers.push(trigger(after, scenario));
                    Start::After(triggers.len() - 1)
                }
                None => Start::At(steady_at + fault.at.unwrap_or_default().as_duration()),
            };
            faults.extend(planned(entry, fault, &names, start, too_big));
        }
        Self {
            client_hosts: client_hosts(&scenario.clients),
            links: links::links(&scenario.network, &names),
            scenario: scenario.clone(),
            seed,
            faults,
            triggers,
            steady_at,
            recovery_at,
            end_at,
        }
    }

    /// Names of the sources' hosts.
    pub fn source_hosts(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.scenario.sources.count).map(source_host)
    }

    /// Names of the proxies' hosts.
    pub fn proxy_hosts(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.scenario.proxy.count).map(proxy_host)
    }

    /// Names of the edges' hosts; none without such a tier.
    pub fn edge_hosts(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.edges()).map(edge_host)
    }

    /// Names of the hosts that clients connect to.
    #[must_use]
    pub fn front_hosts(&self) -> Vec<String> {
        if self.edges() > 0 { self.edge_hosts().collect() } else { self.proxy_hosts().collect() }
    }

    /// Edges: their numbers in the record follow those of the proxies.
    #[must_use]
    pub fn edges(&self) -> u16 {
        self.scenario.edge.as_ref().map_or(0, |edge| edge.count)
    }

    /// All clients together.
    #[must_use]
    pub fn clients(&self) -> u32 {
        self.scenario.clients.iter().map(|group| group.count).sum()
    }

    /// The symbols of the source.
    #[must_use]
    pub fn symbols(&self) -> Vec<Symbol> {
        self.scenario.sources.names()
    }

    /// The symbols of which a source denies subscriptions.
    #[must_use]
    pub fn denied(&self, source: u16) -> Vec<Symbol> {
        let host = source_host(source);
        let denied = &self.scenario.sources.denied;
        let here = denied.iter().filter(|denied| denied.by.as_ref().is_none_or(|by| *by == host));
        here.filter_map(|denied| Symbol::new(&denied.symbol).ok()).collect()
    }

    /// The limits with which the proxies start, defaults and all.
    #[must_use]
    pub(crate) fn limits(&self) -> proxy::Limits {
        self.scenario.front().limits()
    }

    /// The clients of groups of some kind, as half-open ranges.
    pub(crate) fn clients_of(&self, is: impl Fn(&Clients) -> bool) -> Vec<std::ops::Range<u32>> {
        let mut first = 0;
        let mut found = Vec::new();
        for group in &self.scenario.clients {
            if is(group) {
                found.push(first..first + group.count);
            }
            first += group.count;
        }
        found
    }

    /// The clients that read slowly, as half-open ranges.
    #[must_use]
    pub fn slow_clients(&self) -> Vec<std::ops::Range<u32>> {
        let mut first = 0;
        let mut slow = Vec::new();
        for group in &self.scenario.clients {
            if group.reader != Reader::Full {
                slow.push(first..first + group.count);
            }
            first += group.count;
        }
        slow
    }

    /// Whether the engine can express this scenario; if not, what it lacks.
    ///
    /// # Errors
    /// A line that names the first thing that it cannot do.
    pub fn expressible(&self, engine: Engine) -> Result<(), String> {
        match engine {
            Engine::Sim => return Ok(()),
            Engine::Turmoil => {}
            Engine::Sockets => {}
        }
        let lack = match engine {
            Engine::Sockets => crate::engine::sockets_lack(self),
            _ => self.turmoil_lacks(),
        };
        match lack {
            Some(lack) => Err(format!("cannot express: {lack}")),
            None => Ok(()),
        }
    }

    /// The first thing of this scenario that turmoil cannot do.
    fn turmoil_lacks(&self) -> Option<String> {
        let fault = self.faults.iter().find_map(|fault| {
            if fault.kind == FaultKind::Drain && fault.lasts.is_some() {
                let lack = sim::turmoil::expressible(&sim::FaultKind::Restart, &fault.target.parse().ok()?).err()?;
                return Some(format!("the return of {} after a drain: turmoil does not have {}", fault.target, lack.0));
            }
            let lack = sim::turmoil::expressible(fault.simulated.as_ref()?, &fault.target.parse().ok()?).err()?;
            Some(format!("{} of {}: turmoil does not have {}", fault.kind.word(), fault.target, lack.0))
        });
        let mut links = std::iter::once(Shape::of(&self.scenario.network)).chain(self.links.values().copied());
        let slow = self.scenario.clients.iter().find(|group| group.reader != Reader::Full);
        fault
            .or_else(|| {
                links
                    .any(|link| link.bandwidth.is_some() || link.loss > 0.0)
                    .then(|| "turmoil has neither bandwidth nor loss that keeps a stream whole".to_owned())
            })
            .or_else(|| {
                self.scenario.balancer.map(|_| "one address for several hosts: a name is one host's in turmoil".to_owned())
            })
            .or_else(|| {
                let slow = &slow?.name;
                Some(format!("the slow readers of group {slow}: turmoil's buffers count writes, not bytes, and hold no writer back"))
            })
            .or_else(|| {
                (self.scenario.service_time.is_some() && !self.scenario.engines.contains(&Engine::Turmoil)).then(|| {
                    "service time: CPU is free under turmoil; name it in engines if the scenario means something all the same"
                        .to_owned()
                })
            })
    }
}

/// A fault of the scenario on each of its targets. A message of so many bytes is `too_big` for the proxy.
fn planned(entry: usize, fault: &Fault, names: &Names, start: Start, too_big: u64) -> Vec<Planned> {
    let lasts = fault.lasts.map(crate::span::Span::as_duration);
    let apart = fault.stagger.unwrap_or_default().as_duration();
    let one = |(place, target): (usize, String)| {
        let late = apart.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX));
        let (start, late) = match start {
            Start::At(at) => (Start::At(at.saturating_add(late)), Duration::ZERO),
            Start::After(trigger) => (Start::After(trigger), late),
        };
        let changes = fault.set.clone();
        Planned {
            entry,
            kind: fault.kind,
            simulated: fault.simulated(),
            target,
            start,
            lasts,
            late,
            changes,
            code: fault.code,
            every: fault.garbage_every(),
            bytes: u32::try_from(fault.bytes.unwrap_or(too_big)).unwrap_or(u32::MAX),
        }
    };
    // A target that names nobody was refused before, or the file was not checked: then nothing happens.
    names.expand(&fault.target).unwrap_or_default().into_iter().enumerate().map(one).collect()
}

/// What a fault waits for, worked out.
fn trigger(after: &After, scenario: &Scenario) -> Trigger {
    Trigger {
        since: after.since.as_ref().map(|since| moment(&since.asked(), scenario)),
        event: moment(&after.asked(), scenario),
        delay: after.delay.as_duration(),
        words: after.to_string(),
    }
}

fn moment(asked: &Asked<'_>, scenario: &Scenario) -> Moment {
    Moment {
        event: asked.event,
        count: asked.count,
        symbol: asked.symbol.and_then(|symbol| Symbol::new(symbol).ok()),
        source: number(asked.source, "source-").map(SourceId),
        proxy: proxy_number(scenario, asked.proxy).map(ProxyId),
        clients: clients(scenario, asked.client, asked.group),
        kind: asked.kind.map(Stamped::kind),
    }
}

/// A proxy's number in the record; edges come after the proxies that they stand before.
fn proxy_number(scenario: &Scenario, host: Option<&str>) -> Option<u16> {
    let edge = || number(host, "edge-")?.checked_add(scenario.proxy.count);
    number(host, "proxy-").or_else(edge)
}

/// The number in a host's name.
pub(crate) fn number(host: Option<&str>, begin: &str) -> Option<u16> {
    host?.strip_prefix(begin)?.parse().ok()
}

/// The clients of a group, those with a number, or both at once.
pub(crate) fn clients(scenario: &Scenario, client: Option<u32>, group: Option<&str>) -> Option<std::ops::Range<u32>> {
    let one = client.map(|client| client..client.saturating_add(1));
    let Some(group) = group else { return one };
    let mut first = 0;
    for known in &scenario.clients {
        if known.name == group {
            let all = first..first + known.count;
            return Some(one.map_or(all.clone(), |one| one.start.max(all.start)..one.end.min(all.end)));
        }
        first += known.count;
    }
    Some(0..0)
}

/// The host of a source.
#[must_use]
pub fn source_host(index: u16) -> String {
    format!("source-{index}")
}

/// The host of a proxy.
#[must_use]
pub fn proxy_host(index: u16) -> String {
    format!("proxy-{index}")
}

/// The host of an edge.
#[must_use]
pub fn edge_host(index: u16) -> String {
    format!("edge-{index}")
}

fn client_hosts(groups: &[Clients]) -> Vec<ClientHost> {
    let mut hosts = Vec::new();
    let mut first = 0;
    for (group, clients) in groups.iter().enumerate() {
        let count = clients.hosts.map_or_else(|| clients.count.div_ceil(CLIENTS_PER_HOST), u32::from).max(1);
        for host in 0..count {
            // Spread evenly: host h carries clients [count * h / hosts, count * (h + 1) / hosts).
            let from = (u64::from(clients.count) * u64::from(host) / u64::from(count)) as u32;
            let to = (u64::from(clients.count) * u64::from(host + 1) / u64::from(count)) as u32;
            if from < to {
                hosts.push(ClientHost {
                    name: format!("{}-{host}", clients.name),
                    group,
                    first: ClientId(first + from),
                    count: to - from,
                    offset: from,
                });
            }
        }
        first += clients.count;
    }
    hosts
}
