//! Messages of sources: sizes in their order, which the proxy takes, in frames that are smaller than they are.

use super::Rules;
use crate::model::SourceMode;

pub(super) fn check(rules: &mut Rules<'_>) {
    padding(rules);
    fragments(rules);
    requests(rules);
}

/// Requests go through the proxy, and come back through it.
fn requests(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let limits = scenario.front().limits();
    for (index, group) in scenario.clients.iter().enumerate() {
        let Some(bytes) = group.request_bytes else { continue };
        let path = ["clients".into(), index.into(), "request-bytes".into()];
        let name = &group.name;
        if group.load.requests_per_s().is_none() {
            let message = format!("group \"{name}\" sends no requests that could have a size");
            rules.wrong_but(&path, message, "give it open = { requests-per-s = 5 } or closed = { think = \"200ms\" }");
        } else if bytes as usize > limits.client_message_max.min(limits.source_message_max) {
            let (up, down) = (limits.client_message_max, limits.source_message_max);
            let message = format!("requests of {bytes} bytes: the proxy takes {up} of a client and {down} of a source");
            rules.wrong_but(&path, message, "write proxy.guard.message-bytes and source-message-bytes");
        }
    }
}

fn padding(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let Some(padding) = &scenario.sources.padding else { return };
    let at = |key: &'static str| ["sources".into(), "padding".into(), key.into()];
    if scenario.sources.mode == SourceMode::Echo {
        let message = "sources.padding: an echo has no ticks to fill";
        return rules.wrong_but(&["sources".into(), "padding".into()], message, "write sources.mode = \"v1\"");
    }
    if let Some(least) = padding.bytes_min.filter(|least| *least > padding.bytes) {
        let message = format!("sources.padding.bytes-min of {least} is above bytes, {}", padding.bytes);
        rules.wrong_but(&at("bytes-min"), message, format!("at most {}", padding.bytes));
    }
    let symbol = |n: u32| wire::id::Symbol::numbered(n).to_string();
    for (index, name) in padding.symbols.iter().enumerate() {
        if !(0..scenario.sources.symbols).any(|n| symbol(n) == *name) {
            let hint = format!("they have {} to {}", symbol(0), symbol(scenario.sources.symbols.saturating_sub(1)));
            let path = ["sources".into(), "padding".into(), "symbols".into(), index.into()];
            rules.wrong_but(&path, format!("the sources have no symbol \"{name}\""), hint);
        }
    }
    for (tier, proxy) in [("proxy", Some(&scenario.proxy)), ("edge", scenario.edge.as_ref())] {
        let Some(takes) = proxy.map(|proxy| proxy.limits().source_message_max) else { continue };
        let bytes = scenario.sources.tick_bytes_max();
        if bytes > takes {
            let message =
                format!("ticks of up to {bytes} bytes: each ends its leg, as {tier} takes {takes} of a source");
            let hint = format!("write {tier}.guard.source-message-bytes = {bytes} or more");
            rules.wrong_but(&at("bytes"), message, hint);
        }
    }
}

fn fragments(rules: &mut Rules<'_>) {
    let sources = &rules.scenario.sources;
    let Some(fragments) = sources.fragments.filter(|_| sources.mode != SourceMode::Echo) else { return };
    let bytes = sources.tick_bytes_max();
    if fragments.bytes as usize >= bytes {
        let message = format!("sources.fragments.bytes of {}: no tick is larger than {bytes}", fragments.bytes);
        let path = ["sources".into(), "fragments".into(), "bytes".into()];
        rules.wrong_but(&path, message, "a part of a message, or make it larger with sources.padding");
    }
}
