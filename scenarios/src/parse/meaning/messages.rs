//! Messages of sources: sizes in their order, which the proxy takes, in frames that are smaller than they are.

use super::Rules;
use crate::model::SourceMode;

pub(super) fn check(rules: &mut Rules<'_>) {
    padding(rules);
    fragments(rules);
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
