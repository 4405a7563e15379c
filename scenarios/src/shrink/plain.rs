//! What clients and proxies do: as little as a file can say.

use super::{Candidate, Now};
use crate::model::{Arrival, Closed, Load, Open, Scenario, Subscriptions};
use crate::parse::tree;
use crate::span::Span;

/// Between two ticks, the quietest first.
const PERIODS_MS: [u64; 4] = [1_000, 500, 200, 100];

/// Keys that other lists are about, or without which it would be another question.
const NOT_LEFT_OUT: [&[&str]; 14] = [
    &["schema"],
    &["check"],
    &["warmup"],
    &["recovery"],
    &["clients", "count"],
    &["clients", "open"],
    &["clients", "closed"],
    &["sources", "symbols"],
    &["sources", "period"],
    &["proxy", "count"],
    &["edge", "count"],
    &["faults", "at"],
    &["faults", "after"],
    &["faults", "for"],
];

/// Fewer ticks; clients that come at once, stay, and want all.
pub(super) fn workload(now: &Now<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let own = now.scenario.sources.period;
    for period in PERIODS_MS.map(Span::from_millis).into_iter().filter(|period| *period > own) {
        found.push(
            now.with(0, format!("a tick every {period}, not {own}"), |scenario| scenario.sources.period = period),
        );
    }
    for (index, group) in now.scenario.clients.iter().enumerate() {
        let loads = quieter(&group.load).into_iter();
        found.extend(loads.map(|(what, load)| {
            let what = format!("group {} {what}", group.name);
            now.with(1 + index, what, |scenario| scenario.clients[index].load = load)
        }));
        for (strong, word) in [(0.0, "plain"), (1.0, "strong")] {
            if group.strong > 0.0 && group.strong < 1.0 {
                let what = format!("group {} all {word}", group.name);
                found.push(now.with(1 + index, what, |scenario| {
                    scenario.clients[index].strong = strong;
                    scenario.clients[index].resume &= strong > 0.0;
                }));
            }
        }
        if group.subscriptions != Subscriptions::All {
            let what = format!("group {} wants all symbols", group.name);
            let all = |scenario: &mut Scenario| scenario.clients[index].subscriptions = Subscriptions::All;
            found.push(now.with(1 + index, what, all));
        }
    }
    found
}

/// Loads that do less.
fn quieter(load: &Load) -> Vec<(&'static str, Load)> {
    let arrival = Arrival::AtOnce;
    let mut found = vec![("comes at once and does nothing else", Load::Open(Open { arrival, ..Open::default() }))];
    match load {
        Load::Open(open) => {
            found.push(("comes at once", Load::Open(Open { arrival, ..open.clone() })));
            found.push(("sends no requests", Load::Open(Open { requests_per_s: None, ..open.clone() })));
            found.push(("stays", Load::Open(Open { stay: None, ..open.clone() })));
            found.push(("keeps its sessions", Load::Open(Open { session: None, ..open.clone() })));
        }
        Load::Closed(closed) => {
            let (requests_per_s, session) = (load.requests_per_s(), closed.session);
            let open = Open { arrival, requests_per_s, session, ..Open::default() };
            found.push(("comes at once, by a plan", Load::Open(open)));
            found.push(("comes at once", Load::Closed(Closed { ramp: Span::default(), ..closed.clone() })));
            found.push(("sends no requests", Load::Closed(Closed { think: None, ..closed.clone() })));
            found.push(("keeps its sessions", Load::Closed(Closed { session: None, ..closed.clone() })));
        }
    }
    found
}

/// Without each key and each item that a file may leave out, the larger ones first.
pub(super) fn left_out(now: &Now<'_>) -> Vec<Candidate> {
    let Some(root) = tree::of(now.scenario) else { return Vec::new() };
    let nodes = tree::nodes(&root).into_iter().enumerate();
    nodes
        .filter(|(_, node)| node.loose && !NOT_LEFT_OUT.iter().any(|keys| node.is_under(keys)))
        .filter_map(|(part, node)| {
            let scenario = tree::changed(&root, &node.path, None).and_then(tree::read)?;
            Some(Candidate { scenario, what: format!("without {}", node.name()), part })
        })
        .collect()
}
