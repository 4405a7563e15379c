//! Sources, proxy and groups of clients: who speaks with whom, how much in all.

use super::{Rules, is_kebab, kebab_hint};
use crate::model::{Arrival, Backoff, Clients, Load, ProxyMode, Scenario, SourceMode, Subscriptions, Waves, Zipf};
use crate::span::Span;

/// Messages that all clients of a run may receive together, as planned: at a million a second the run takes most of a minute.
pub(crate) const DELIVERIES_MAX: f64 = 50e6;
/// Clients of all groups together.
const CLIENTS_MAX: u64 = 100_000;
/// Hosts of all groups together.
const HOSTS_MAX: u64 = 2_000;

pub(super) fn check(rules: &mut Rules<'_>) {
    modes(rules);
    super::rates::check(rules);
    denied(rules);
    groups(rules);
}

fn modes(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let echo = scenario.sources.mode == SourceMode::Echo;
    if echo && scenario.proxy.mode != ProxyMode::Relay {
        rules.wrong_but(
            &["sources".into(), "mode".into()],
            "sources.mode \"echo\" needs proxy.mode \"relay\": an answer belongs to the client that asked",
            "write proxy.mode = \"relay\" or sources.mode = \"v1\"",
        );
    }
    if echo && scenario.clients.iter().all(|group| group.load.requests_per_s().is_none()) {
        rules.wrong_but(
            &["sources".into(), "mode".into()],
            "sources.mode \"echo\" speaks only when spoken to, and no group sends requests",
            "give a group open = { requests-per-s = 5 } or closed = { think = \"200ms\" }",
        );
    }
    for (tier, proxy) in [("proxy", Some(&scenario.proxy)), ("edge", scenario.edge.as_ref())] {
        if let Some(stale) = proxy.and_then(|proxy| proxy.stale_after)
            && !echo
            && stale <= super::rates::quiet(scenario)
        {
            let message = format!(
                "{tier}.stale-after of {stale} gives healthy sources up: they tick every {}",
                super::rates::quiet(scenario)
            );
            rules.wrong_but(&[tier.into(), "stale-after".into()], message, "some periods longer, at least");
        }
    }
    edge(rules);
}

/// Two tiers are fan-outs of one feed, and hosts of one make.
fn edge(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let Some(edge) = &scenario.edge else { return };
    for (tier, mode) in [("proxy", scenario.proxy.mode), ("edge", edge.mode)] {
        if mode == ProxyMode::Relay {
            let message = format!("{tier}.mode \"relay\": with two tiers both are fan-outs");
            rules.wrong_but(&[tier.into(), "mode".into()], message, "write mode = \"fanout\"");
        }
    }
    if scenario.sources.mode == SourceMode::V2 {
        let message = "sources.mode \"v2\": with two tiers nothing says whose answer a client is told";
        rules.wrong_but(&["sources".into(), "mode".into()], message, "write mode = \"v1\"");
    }
    if edge.shards.unwrap_or(1) != scenario.proxy.shards.unwrap_or(1) {
        let message = "edge.shards differs from proxy.shards: all hosts of a run have as many";
        rules.wrong(&["edge".into(), "shards".into()], message);
    }
}

fn denied(rules: &mut Rules<'_>) {
    let sources = &rules.scenario.sources;
    if !sources.denied.is_empty() && sources.mode != SourceMode::V2 {
        let message = "sources.denied: only a source that speaks v2 can deny a subscription";
        rules.wrong_but(&["sources".into(), "denied".into()], message, "write sources.mode = \"v2\"");
    }
    let symbol = |n: u32| wire::id::Symbol::numbered(n).to_string();
    let hosts: Vec<String> = (0..sources.count).map(crate::plan::source_host).collect();
    for (index, denied) in sources.denied.iter().enumerate() {
        let at = |key: &'static str| ["sources".into(), "denied".into(), index.into(), key.into()];
        if !(0..sources.symbols).any(|n| symbol(n) == denied.symbol) {
            let message = format!("the sources have no symbol \"{}\"", denied.symbol);
            let hint = format!("they have {} to {}", symbol(0), symbol(sources.symbols.saturating_sub(1)));
            rules.wrong_but(&at("symbol"), message, hint);
        }
        if let Some(by) = denied.by.as_ref().filter(|by| !hosts.contains(by)) {
            let message = format!("there is no source \"{by}\"");
            rules.wrong_word(&at("by"), message, by, hosts.iter().map(String::as_str));
        }
    }
}

fn groups(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    if scenario.clients.is_empty() {
        rules.wrong_but(&["clients".into()], "there is no group of clients", "add one with [[clients]]");
    }
    for (index, group) in scenario.clients.iter().enumerate() {
        let at = |key: &'static str| ["clients".into(), index.into(), key.into()];
        let name = &group.name;
        if !is_kebab(name) {
            rules.wrong_but(&at("name"), format!("group \"{name}\" is not in kebab-case"), kebab_hint(name));
        } else if ["source", "proxy", "edge"].contains(&name.as_str()) {
            rules.wrong(&at("name"), format!("group \"{name}\" would share host names with the {name} itself"));
        } else if scenario.clients[..index].iter().any(|earlier| earlier.name == *name) {
            rules.wrong(&at("name"), format!("two groups are named \"{name}\""));
        }
        group_alone(rules, group, &at);
    }
}

/// Who comes again does so within a window that grows.
fn backoff<'p>(rules: &mut Rules<'_>, group: &Clients, at: &dyn Fn(&'static str) -> [super::Step<'p>; 3]) {
    let Some(Backoff { base, cap }) = group.backoff else { return };
    let name = &group.name;
    if !group.reconnect {
        let message = format!("group \"{name}\" has a backoff, and never comes again");
        rules.wrong_but(&at("backoff"), message, "leave reconnect out");
    } else if cap < base {
        let message = format!("group \"{name}\" begins with a window of {base}, and {cap} is its largest");
        rules.wrong_but(&at("backoff"), message, format!("write cap = \"{base}\" or more"));
    }
}

fn group_alone<'p>(rules: &mut Rules<'_>, group: &Clients, at: &dyn Fn(&'static str) -> [super::Step<'p>; 3]) {
    let Scenario { sources, proxy, .. } = rules.scenario;
    let name = &group.name;
    subscriptions(rules, group, at);
    backoff(rules, group, at);
    let part = |part: &'static str, key: &'static str| {
        let [clients, index, part] = at(part);
        [clients, index, part, key.into()]
    };
    match &group.load {
        Load::Open(open) => {
            if open.requests_per_s.is_some() && sources.mode != SourceMode::Echo {
                rules.wrong_but(
                    &part("open", "requests-per-s"),
                    format!("group \"{name}\" sends requests, and the sources do not answer"),
                    "write sources.mode = \"echo\"",
                );
            }
            if open.session.is_some() && !group.reconnect {
                let message = format!("group \"{name}\" ends its sessions, and never comes again");
                let hint = "write stay for a group that leaves for good, or reconnect = true";
                rules.wrong_but(&part("open", "session"), message, hint);
            }
        }
        Load::Closed(closed) => {
            if closed.think.is_some() && sources.mode != SourceMode::Echo {
                rules.wrong_but(
                    &part("closed", "think"),
                    format!("group \"{name}\" sends requests, and the sources do not answer"),
                    "write sources.mode = \"echo\"",
                );
            }
            if closed.think.is_none() && closed.session.is_none() {
                let message = format!("group \"{name}\" is closed, and nobody in it waits for an answer or leaves");
                rules.wrong_but(&at("closed"), message, "give it think or session, or write open = {}");
            }
            if !group.reconnect {
                let message = format!("group \"{name}\" is held, and who is lost never comes again");
                rules.wrong_but(&at("reconnect"), message, "leave reconnect out, or write open = {}");
            }
        }
    }
    if group.strong > 0.0 && (sources.mode == SourceMode::Echo || proxy.mode == ProxyMode::Relay) {
        rules.wrong_but(
            &at("strong"),
            format!("group \"{name}\" asks for the strong contract, which a relay does not offer: it passes the source's bytes on"),
            "write proxy.mode = \"fanout\" or strong = 0",
        );
    }
    if group.resume && group.strong == 0.0 {
        let message = format!("group \"{name}\" resumes, and has no strong clients, who alone can");
        rules.wrong_but(&at("resume"), message, "write strong = 1.0");
    } else if group.resume && !group.reconnect {
        let message = format!("group \"{name}\" resumes, and never comes again");
        rules.wrong_but(&at("resume"), message, "write reconnect = true");
    }
    if let Some(hosts) = group.hosts
        && u32::from(hosts) > group.count
    {
        let message = format!("group \"{name}\" has {hosts} hosts for {} clients", group.count);
        rules.wrong(&at("hosts"), message);
    }
    let (start, arrived) = (group.start.as_micros(), arrived_us(group));
    let steady_end = rules.scenario.warmup.as_micros().saturating_add(rules.scenario.steady.as_micros());
    if start >= steady_end {
        rules.wrong(&at("start"), format!("group \"{name}\" begins to arrive after the steady phase"));
    } else if arrived > steady_end {
        let message = format!(
            "group \"{name}\" is still arriving, until {} of the run, when the steady phase ends at {}",
            Span::from_micros(arrived),
            Span::from_micros(steady_end)
        );
        match group.load {
            Load::Open(_) => rules.wrong(&part("open", "arrival"), message),
            Load::Closed(_) => rules.wrong(&part("closed", "ramp"), message),
        }
    }
}

/// Whether the symbols that a group wants are there.
fn subscriptions<'p>(rules: &mut Rules<'_>, group: &Clients, at: &dyn Fn(&'static str) -> [super::Step<'p>; 3]) {
    let (name, sources) = (&group.name, &rules.scenario.sources);
    let [clients, index, key] = at("subscriptions");
    if group.subscriptions != Subscriptions::All && sources.mode == SourceMode::Echo {
        let message = format!("group \"{name}\" subscribes, and echo sources have no symbols");
        rules.wrong_but(&[clients, index, key], message, "leave subscriptions out");
        return;
    }
    match &group.subscriptions {
        Subscriptions::All => {}
        Subscriptions::Uniform(each) | Subscriptions::Zipf(Zipf { each, .. }) => {
            if *each > sources.symbols {
                let message =
                    format!("group \"{name}\" draws {each} symbols each, and the source has {}", sources.symbols);
                let path = match group.subscriptions {
                    Subscriptions::Zipf(_) => vec![clients, index, key, "zipf".into(), "each".into()],
                    _ => vec![clients, index, key, "uniform".into()],
                };
                rules.wrong(&path, message);
            }
        }
        Subscriptions::Symbols(names) => {
            let known: Vec<String> = (0..sources.symbols).map(|n| wire::id::Symbol::numbered(n).to_string()).collect();
            let path = |place: usize| [clients, index, key, "symbols".into(), place.into()];
            if names.is_empty() {
                let message = format!("group \"{name}\" wants no symbol");
                rules.wrong_but(&[clients, index, key, "symbols".into()], message, "leave it out for all of them");
            }
            for (place, symbol) in names.iter().enumerate() {
                if !known.contains(symbol) {
                    let message = format!("the sources have no symbol \"{symbol}\"");
                    let last = known.last().map_or("", String::as_str);
                    rules.wrong_but(&path(place), message, format!("they have {} to {last}", known[0]));
                } else if names[..place].contains(symbol) {
                    rules.wrong(&path(place), format!("symbol \"{symbol}\" is named twice"));
                }
            }
        }
    }
}

/// When the last client of a group is planned to arrive, from the beginning of the run.
pub(crate) fn arrived_us(group: &Clients) -> u64 {
    let over_us = match group.load.arrival() {
        Arrival::AtOnce => 0,
        Arrival::Ramp(span) => span.as_micros(),
        // On average: chance decides.
        Arrival::Poisson(rate) => (f64::from(group.count) / rate * 1e6) as u64,
        Arrival::Waves(Waves { each, every }) => {
            every.as_micros().saturating_mul(u64::from(group.count.saturating_sub(1) / each.max(1)))
        }
    };
    group.start.as_micros().saturating_add(over_us)
}

/// How much there is in all.
pub(super) fn amount(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let clients: u64 = scenario.clients.iter().map(|group| u64::from(group.count)).sum();
    let hosts: u64 = scenario.clients.iter().map(|group| group.hosts.map_or(0, u64::from)).sum();
    if clients > CLIENTS_MAX {
        rules.wrong(&["clients".into()], format!("{clients} clients in all, {CLIENTS_MAX} at most"));
    }
    if hosts > HOSTS_MAX {
        rules.wrong(&["clients".into()], format!("{hosts} hosts of clients in all, {HOSTS_MAX} at most"));
    }
    let deliveries = deliveries(scenario);
    if deliveries > DELIVERIES_MAX {
        let message = format!(
            "about {:.0} million messages would be delivered, {:.0} million at most",
            deliveries / 1e6,
            DELIVERIES_MAX / 1e6
        );
        rules.wrong_but(
            &["clients".into()],
            message,
            "fewer clients or subscriptions, rarer ticks (sources.period or rates), or a shorter steady",
        );
    }
}

/// Messages that all clients together are planned to receive, if all are admitted and nothing fails.
pub(crate) fn deliveries(scenario: &Scenario) -> f64 {
    let run_us = (scenario.warmup.as_micros() + scenario.steady.as_micros() + scenario.recovery.as_micros()) as f64;
    scenario
        .clients
        .iter()
        .map(|group| {
            let there_us = (run_us - group.start.as_micros() as f64).max(0.0);
            let there_us = group.load.stay().map_or(there_us, |stay| there_us.min(stay.as_micros() as f64));
            f64::from(group.count) * per_s(scenario, group) * there_us / 1e6
        })
        .sum()
}

/// Messages that a client of a group is planned to receive in a second.
pub(super) fn per_s(scenario: &Scenario, group: &Clients) -> f64 {
    match scenario.sources.mode {
        SourceMode::V1 | SourceMode::V2 => super::rates::per_s(&scenario.sources, &group.subscriptions),
        SourceMode::Echo => group.load.requests_per_s().unwrap_or(0.0),
    }
}
