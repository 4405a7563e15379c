//! Whom a fault's target means: hosts by name, groups of them, links between them.

use super::{client_hosts, edge_host, proxy_host, source_host};
use crate::model::Scenario;

/// The source that carries most legs, resolved when the fault begins.
pub(crate) const SOURCE_ACTIVE: &str = "source-active";
/// All hosts of clients.
pub(crate) const CLIENTS: &str = "clients";

/// The names that a target may hold.
pub(crate) struct Names {
    hosts: Vec<String>,
    /// Each group of clients with its hosts.
    groups: Vec<(String, Vec<String>)>,
    /// Whether clients connect to edges, and these to the proxies.
    two_tiers: bool,
}

/// A target in its parts: one name, or two and what stands between them.
pub(crate) fn parts(target: &str) -> (&str, Option<(char, &str)>) {
    match target.find(['/', '>']) {
        Some(at) => (&target[..at], Some((char::from(target.as_bytes()[at]), &target[at + 1..]))),
        None => (target, None),
    }
}

impl Names {
    /// Who is there in a scenario.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let clients = client_hosts(&scenario.clients);
        let groups = scenario.clients.iter().enumerate().map(|(place, group)| {
            let own = clients.iter().filter(|host| host.group == place).map(|host| host.name.clone());
            (group.name.clone(), own.collect())
        });
        let edges = scenario.edge.as_ref().map_or(0, |edge| edge.count);
        let proxies = (0..scenario.proxy.count).map(proxy_host).chain((0..edges).map(edge_host));
        let servers = (0..scenario.sources.count).map(source_host).chain(proxies);
        Self {
            two_tiers: edges > 0,
            groups: groups.collect(),
            hosts: servers.chain(clients.iter().map(|host| host.name.clone())).collect(),
        }
    }

    /// The hosts that a name means; none if it means none.
    pub(crate) fn hosts(&self, name: &str) -> Vec<String> {
        if name == SOURCE_ACTIVE || self.hosts.iter().any(|host| host == name) {
            return vec![name.to_owned()];
        }
        if let Some((_, hosts)) = self.groups.iter().find(|(group, _)| group == name) {
            return hosts.clone();
        }
        if name == CLIENTS {
            return self.groups.iter().flat_map(|(_, hosts)| hosts.iter().cloned()).collect();
        }
        match name.strip_suffix('*') {
            Some(begin) if !begin.is_empty() => {
                self.hosts.iter().filter(|host| host.starts_with(begin)).cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Every single target that this one means.
    ///
    /// # Errors
    /// The name in it that means no host.
    pub(crate) fn expand<'t>(&self, target: &'t str) -> Result<Vec<String>, &'t str> {
        let found = |name: &'t str| Some(self.hosts(name)).filter(|hosts| !hosts.is_empty()).ok_or(name);
        let (one, other) = parts(target);
        let firsts = found(one)?;
        let Some((sign, other)) = other else { return Ok(firsts) };
        let seconds = found(other)?;
        let pairs = firsts.iter().flat_map(|a| seconds.iter().map(move |b| (a, b)));
        Ok(pairs.filter(|(a, b)| a != b).map(|(a, b)| format!("{a}{sign}{b}")).collect())
    }

    /// Whether anything travels between these two: from tier to tier, sources, proxies, edges if there are any, clients.
    pub(crate) fn joined(&self, one: &str, other: &str) -> bool {
        let tier = |host: &str| match host.split_once('-') {
            Some(("source", _)) => 0_u8,
            Some(("proxy", _)) => 1,
            Some(("edge", _)) => 2,
            _ if self.two_tiers => 3,
            _ => 2,
        };
        tier(one).abs_diff(tier(other)) == 1
    }

    /// What may be meant, for "did you mean": sources and proxies, the active one, groups and hosts of clients.
    pub(crate) fn known(&self) -> impl Iterator<Item = &str> {
        std::iter::once(SOURCE_ACTIVE)
            .chain(self.hosts.iter().map(String::as_str))
            .chain(self.groups.iter().map(|(group, _)| group.as_str()))
            .chain([CLIENTS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let text = "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = { count = 2 }\n\
            proxy = { mode = \"fanout\", count = 2 }\ncheck = { symbol-order = {} }\n\
            [[clients]]\nname = \"mobile\"\ncount = 10\nhosts = 2\n[[clients]]\nname = \"desk\"\ncount = 10\n";
        Names::new(&crate::parse::parse("x.toml", text).unwrap())
    }

    #[test]
    fn names_groups_and_stars_mean_hosts() {
        let names = names();
        for (name, hosts) in [
            ("source-1", "source-1"),
            ("source-active", "source-active"),
            ("proxy-*", "proxy-0 proxy-1"),
            ("mobile", "mobile-0 mobile-1"),
            ("clients", "mobile-0 mobile-1 desk-0"),
            ("mobile-1", "mobile-1"),
            ("source-2", ""),
            ("*", ""),
            ("x*", ""),
        ] {
            assert_eq!(names.hosts(name).join(" "), hosts, "{name}");
        }
    }

    #[test]
    fn a_link_leads_from_tier_to_tier() {
        let mut names = names();
        for (one, other, joined) in [
            ("proxy-0", "source-1", true),
            ("desk-0", "proxy-1", true),
            ("desk-0", "source-0", false),
            ("proxy-0", "proxy-1", false),
        ] {
            assert_eq!((names.joined(one, other), names.joined(other, one)), (joined, joined), "{one} {other}");
        }
        names.two_tiers = true;
        for (one, other, joined) in [
            ("edge-0", "proxy-1", true),
            ("edge-0", "desk-0", true),
            ("proxy-0", "desk-0", false),
            ("edge-0", "source-0", false),
            ("proxy-0", "source-0", true),
        ] {
            assert_eq!((names.joined(one, other), names.joined(other, one)), (joined, joined), "{one} {other}");
        }
    }

    #[test]
    fn a_link_of_groups_is_each_with_each() {
        let names = names();
        let all = |target| names.expand(target).map(|all| all.join(" "));
        assert_eq!(all("mobile/proxy-0"), Ok("mobile-0/proxy-0 mobile-1/proxy-0".to_owned()));
        assert_eq!(all("source-*>proxy-1"), Ok("source-0>proxy-1 source-1>proxy-1".to_owned()));
        assert_eq!(all("proxy-*/proxy-0"), Ok("proxy-1/proxy-0".to_owned()));
        assert_eq!(all("proxy-0/nobody"), Err("nobody"));
    }
}
