//! Who is there: groups of clients, sources, proxies, edges, symbols. What names those that go, goes with them; what names those behind is renumbered.

use super::{Candidate, Now};
use crate::model::{Asked, Scenario, Subscriptions, Zipf};
use crate::plan::parts as parts_of;

/// Without each group.
pub(super) fn groups(now: &Now<'_>) -> Vec<Candidate> {
    if now.scenario.clients.len() < 2 {
        return Vec::new();
    }
    let without = |index: usize| {
        let what = format!("without group {}", now.scenario.clients[index].name);
        now.with(index, what, |scenario| drop_group(scenario, index))
    };
    (0..now.scenario.clients.len()).map(without).collect()
}

/// Fewer clients: of all groups at once, then of each.
pub(super) fn clients(now: &Now<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let fewer = |scenario: &mut Scenario, index: usize, count: u32| {
        let group = &mut scenario.clients[index];
        group.count = count.clamp(1, group.count);
        group.hosts = group.hosts.filter(|hosts| u32::from(*hosts) <= group.count);
    };
    let all = 0..now.scenario.clients.len();
    let most = now.scenario.clients.iter().map(|group| group.count).max().unwrap_or(1);
    for by in [most, 8, 2].into_iter().filter(|by| *by > 1) {
        let what = if by == most { "one client in each group".to_owned() } else { format!("1/{by} of all clients") };
        found.push(now.with(0, what, |scenario| {
            all.clone().for_each(|index| fewer(scenario, index, scenario.clients[index].count / by));
        }));
    }
    for (index, group) in now.scenario.clients.iter().enumerate() {
        for count in less(group.count) {
            let what = format!("{count} clients in group {} of {}", group.name, group.count);
            found.push(now.with(1 + index, what, |scenario| fewer(scenario, index, count)));
        }
    }
    found
}

/// Fewer hosts: without the tier of edges, without those that no fault and no link names, without each.
pub(super) fn hosts(now: &Now<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    if now.scenario.edge.is_some() {
        found.push(now.with(0, "without edges", |scenario| {
            let edges = scenario.edge.as_ref().map_or(0, |edge| edge.count);
            (0..edges).rev().for_each(|number| drop_host(scenario, "edge-", number));
            scenario.edge = None;
        }));
    }
    for (kind, begin) in KINDS.into_iter().enumerate() {
        let count = count(now.scenario, begin);
        let idle: Vec<u16> =
            (0..count).rev().filter(|number| !names(now.scenario, &format!("{begin}{number}"))).collect();
        let idle = &idle[..idle.len().min(usize::from(count.saturating_sub(1)))];
        if idle.len() > 1 {
            let what = format!("without {} hosts {begin}* that nothing names", idle.len());
            found.push(now.with(1 + 100 * kind, what, |scenario| {
                idle.iter().for_each(|number| drop_host(scenario, begin, *number));
            }));
        }
        if count > 1 {
            found.extend((0..count).rev().map(|number| without_host(now, kind, begin, number)));
        }
    }
    found
}

/// Fewer symbols.
pub(super) fn symbols(now: &Now<'_>) -> Vec<Candidate> {
    let all = now.scenario.sources.symbols;
    let with = |count: u32| now.with(0, format!("{count} symbols of {all}"), |scenario| keep_symbols(scenario, count));
    less(all).into_iter().map(with).collect()
}

/// Each group, and each host of which there are several, in words, and the scenario without it.
pub(super) fn parts(now: &Now<'_>) -> Vec<(String, Candidate)> {
    let mut found: Vec<(String, Candidate)> = Vec::new();
    let own = groups(now).into_iter().zip(&now.scenario.clients);
    found.extend(own.map(|(candidate, group)| (format!("group {}", group.name), candidate)));
    for (index, group) in now.scenario.clients.iter().enumerate().filter(|(_, group)| group.count > 1) {
        let what = format!("one of the {} clients in group {}", group.count, group.name);
        let fewer = now.with(index, what.clone(), |scenario| {
            let group = &mut scenario.clients[index];
            group.count -= 1;
            group.hosts = group.hosts.filter(|hosts| u32::from(*hosts) <= group.count);
        });
        found.push((what, fewer));
    }
    for (kind, begin) in KINDS.into_iter().enumerate() {
        let count = count(now.scenario, begin);
        if count > 1 {
            let part = |number| (format!("{begin}{number}"), without_host(now, kind, begin, number));
            found.extend((0..count).map(part));
        }
    }
    found
}

/// Hosts that have numbers.
const KINDS: [&str; 3] = ["source-", "proxy-", "edge-"];

/// Counts below one, the boldest first.
fn less(count: u32) -> Vec<u32> {
    let mut found: Vec<u32> = [1, count / 16, count / 4, count / 2, count / 4 * 3, count.saturating_sub(1)]
        .into_iter()
        .filter(|less| *less > 0)
        .collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|less| *less < count);
    found
}

fn count(scenario: &Scenario, begin: &str) -> u16 {
    match begin {
        "source-" => scenario.sources.count,
        "proxy-" => scenario.proxy.count,
        _ => scenario.edge.as_ref().map_or(0, |edge| edge.count),
    }
}

fn without_host(now: &Now<'_>, kind: usize, begin: &'static str, number: u16) -> Candidate {
    let part = 2 + 100 * kind + usize::from(count(now.scenario, begin) - number);
    now.with(part, format!("without {begin}{number}"), |scenario| drop_host(scenario, begin, number))
}

/// Whether a fault, a link or a source's denial names a host.
fn names(scenario: &Scenario, host: &str) -> bool {
    let in_target = |target: &str| {
        let (one, other) = parts_of(target);
        one == host || other.is_some_and(|(_, other)| other == host)
    };
    scenario.faults.iter().any(|fault| in_target(&fault.target) || waits_for(fault, host))
        || scenario.network.links.iter().any(|link| link.between.0 == host || link.between.1 == host)
        || scenario.sources.denied.iter().any(|denied| denied.by.as_deref() == Some(host))
}

fn waits_for(fault: &crate::model::Fault, host: &str) -> bool {
    let is = |asked: Asked<'_>| asked.source == Some(host) || asked.proxy == Some(host);
    fault
        .after
        .as_ref()
        .is_some_and(|after| is(after.asked()) || after.since.as_ref().is_some_and(|since| is(since.asked())))
}

/// Takes a host away: those behind it move up by one.
fn drop_host(scenario: &mut Scenario, begin: &str, number: u16) {
    match begin {
        "source-" => scenario.sources.count -= 1,
        "proxy-" => scenario.proxy.count -= 1,
        _ => scenario.edge.iter_mut().for_each(|edge| edge.count = edge.count.saturating_sub(1)),
    }
    // Gives whether the name still means somebody.
    let rename = |name: &mut String| match crate::plan::number(Some(name), begin) {
        Some(own) if own == number => false,
        Some(own) if own > number => {
            *name = format!("{begin}{}", own - 1);
            true
        }
        _ => true,
    };
    let rename_target = |target: &mut String| {
        let (one, other) = parts_of(target);
        let mut one = one.to_owned();
        let other = other.map(|(sign, other)| (sign, other.to_owned()));
        let mut there = rename(&mut one);
        *target = match other {
            Some((sign, mut other)) => {
                there &= rename(&mut other);
                format!("{one}{sign}{other}")
            }
            None => one,
        };
        there
    };
    let rename_said = |said: &mut Option<String>| said.as_mut().is_none_or(rename);
    scenario.faults.retain_mut(|fault| {
        let waits = fault.after.as_mut().is_none_or(|after| {
            let since = after.since.as_mut();
            rename_said(&mut after.source)
                & rename_said(&mut after.proxy)
                & since.is_none_or(|since| rename_said(&mut since.source) & rename_said(&mut since.proxy))
        });
        rename_target(&mut fault.target) & waits
    });
    scenario.network.links.retain_mut(|link| rename(&mut link.between.0) & rename(&mut link.between.1));
    scenario.sources.denied.retain_mut(|denied| rename_said(&mut denied.by));
}

/// Takes a group away with what names it; clients behind it move up.
fn drop_group(scenario: &mut Scenario, index: usize) {
    let first: u32 = scenario.clients[..index].iter().map(|group| group.count).sum();
    let group = scenario.clients.remove(index);
    let behind = first + group.count;
    // The group itself, or a host of it.
    let is_own = |name: &str| {
        let number = name.strip_prefix(group.name.as_str()).and_then(|rest| rest.strip_prefix('-'));
        name == group.name || number.is_some_and(|number| number.parse::<u16>().is_ok())
    };
    let is_target = |target: &str| {
        let (one, other) = parts_of(target);
        is_own(one) || other.is_some_and(|(_, other)| is_own(other))
    };
    let move_up = |client: &mut Option<u32>| match client {
        Some(client) if *client >= behind => {
            *client -= group.count;
            true
        }
        Some(client) => *client < first,
        None => true,
    };
    let other_group = |said: &Option<String>| said.as_deref() != Some(group.name.as_str());
    scenario.faults.retain_mut(|fault| {
        let waits = fault.after.as_mut().is_none_or(|after| {
            let since = after.since.as_mut();
            other_group(&after.group)
                && move_up(&mut after.client)
                && since.is_none_or(|since| other_group(&since.group) && move_up(&mut since.client))
        });
        waits && !is_target(&fault.target)
    });
    scenario.network.links.retain(|link| !is_own(&link.between.0) && !is_own(&link.between.1));
}

/// Keeps the first so many symbols; who wanted others wants fewer.
fn keep_symbols(scenario: &mut Scenario, count: u32) {
    scenario.sources.symbols = count;
    let known: Vec<String> = (0..count).map(|number| wire::id::Symbol::numbered(number).to_string()).collect();
    scenario.sources.denied.retain(|denied| known.contains(&denied.symbol));
    for group in &mut scenario.clients {
        match &mut group.subscriptions {
            Subscriptions::All => {}
            Subscriptions::Uniform(each) | Subscriptions::Zipf(Zipf { each, .. }) => *each = (*each).min(count),
            Subscriptions::Symbols(names) => {
                names.retain(|name| known.contains(name));
                if names.is_empty() {
                    group.subscriptions = Subscriptions::All;
                }
            }
        }
    }
}
