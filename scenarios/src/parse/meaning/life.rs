//! Drains and reloads: of proxies, with times that can be kept, and with something that changes.

use super::Rules;
use crate::model::{Fault, FaultKind, Offence, ProxyMode, Reloaded, SourceMode};
use crate::plan::Names;
use crate::span::Span;

pub(super) fn check(rules: &mut Rules<'_>) {
    drain(rules);
    behaviours(rules);
    let names = Names::new(rules.scenario);
    for (index, fault) in rules.scenario.faults.iter().enumerate() {
        stagger(rules, index, fault, &names);
        if let Some(code) = fault.code.filter(|code| !wire::close::is_lawful(*code)) {
            let path = ["faults".into(), index.into(), "code".into()];
            rules.wrong_but(
                &path,
                format!("{code} must not cross the wire"),
                "1000 to 1003, 1007 to 1014, 3000 to 4999",
            );
        }
        if fault.kind.is_operated() {
            operated(rules, index, fault, &names);
        }
    }
}

/// The proxy takes no deadline that comes before the last client's turn.
fn drain(rules: &mut Rules<'_>) {
    let said = rules.scenario.proxy.drain;
    let (tell, grace, time, deadline, _) = said.worked_out();
    let sum = Span::from_micros(tell.as_micros() + grace.as_micros() + time.as_micros());
    if deadline < sum {
        let key = if said.deadline.is_some() { "deadline" } else { "time" };
        let message = format!("proxy.drain.deadline, {deadline}, comes before tell, grace and time are over, {sum}");
        rules.wrong_but(
            &["proxy".into(), "drain".into(), key.into()],
            message,
            format!("write deadline = \"{sum}\" or more"),
        );
    }
}

fn stagger(rules: &mut Rules<'_>, index: usize, fault: &Fault, names: &Names) {
    let Some(apart) = fault.stagger else { return };
    let path = ["faults".into(), index.into(), "stagger".into()];
    let targets = names.expand(&fault.target).map_or(0, |targets| targets.len()) as u64;
    if targets == 1 {
        let message = format!("\"{}\" is one target, with none to come after it", fault.target);
        return rules.wrong_but(&path, message, "name several, as \"proxy-*\", or leave it out");
    }
    let last = apart.as_micros().saturating_mul(targets.saturating_sub(1));
    let begins = fault.at.unwrap_or_default().as_micros().saturating_add(last);
    let ends = begins.saturating_add(fault.lasts.unwrap_or_default().as_micros());
    let steady = rules.scenario.steady;
    if fault.after.is_none() && ends > steady.as_micros() {
        let message = format!(
            "the last of {targets} targets is hit to {}, after the steady phase of {steady}",
            Span::from_micros(ends)
        );
        rules.wrong_but(&path, message, "a shorter stagger, or a longer steady");
    }
}

fn operated(rules: &mut Rules<'_>, index: usize, fault: &Fault, names: &Names) {
    let word = fault.kind.word();
    let at = |key: &'static str| ["faults".into(), index.into(), key.into()];
    let hosts = names.hosts(&fault.target);
    if !hosts.is_empty() && hosts.iter().any(|host| !host.starts_with("proxy-")) {
        let message = format!("\"{word}\" is what an operator does to a proxy, not to \"{}\"", fault.target);
        rules.wrong_but(&at("target"), message, "name a proxy: \"proxy-0\", or all of them: \"proxy-*\"");
    }
    let (tell, grace, time, _, _) = rules.scenario.proxy.drain.worked_out();
    if fault.kind == FaultKind::Drain
        && let Some(lasts) = fault.lasts
    {
        let last_slot = tell.as_micros() + grace.as_micros() + time.as_micros();
        let settle = rules.scenario.check.drain.map(|drain| drain.settle);
        let settled = Span::from_micros(last_slot.saturating_add(settle.map_or(0, Span::as_micros)));
        if lasts.as_micros() <= last_slot {
            let message = format!("the program starts again after {lasts}, before its drain is over");
            rules.wrong_but(&at("for"), message, "a longer for, or shorter times in proxy.drain");
        } else if lasts <= settled {
            let message = format!(
                "the program starts again after {lasts}, and who is left after its drain is judged at {settled}, check.drain.settle after the last slot"
            );
            rules.wrong_but(&at("for"), message, "a longer for, or a shorter settle");
        }
    }
    if fault.kind == FaultKind::Reload && fault.set.as_ref().is_some_and(|set| *set == Reloaded::default()) {
        rules.wrong_but(&at("set"), "the reload changes nothing", "write set = { clients-max = 50 }");
    }
}

/// What clients do: in a protocol that has it, and so that it can be seen.
fn behaviours(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let proxy = &scenario.proxy;
    let (echo, relay) = (scenario.sources.mode == SourceMode::Echo, proxy.mode == ProxyMode::Relay);
    for (key, set) in [
        ("keys", !proxy.guard.keys.is_empty()),
        ("requests-per-s", proxy.guard.requests_per_s.is_some()),
        ("requests-burst", proxy.guard.requests_burst.is_some()),
    ] {
        if set && relay {
            let message = format!("proxy.guard.{key} says nothing to a relay, which passes on what clients say");
            rules.wrong_but(&["proxy".into(), "guard".into(), key.into()], message, "write proxy.mode = \"fanout\"");
        }
    }
    for (index, group) in scenario.clients.iter().enumerate() {
        let does = &group.behaviour;
        let name = &group.name;
        let at = |key: &'static str| ["clients".into(), index.into(), "behaviour".into(), key.into()];
        if echo && (does.resubscribe_every.is_some() || does.asks_per_s.is_some()) {
            let key = if does.asks_per_s.is_some() { "asks-per-s" } else { "resubscribe-every" };
            let message = format!("group \"{name}\" asks for symbols, and echo sources have none");
            rules.wrong_but(&at(key), message, "write sources.mode = \"v1\"");
        }
        if does.resubscribe_every.is_some() && group.subscriptions.each(scenario.sources.symbols) < 2 {
            let message = format!("group \"{name}\" changes its symbols, and has one");
            rules.wrong_but(&at("resubscribe-every"), message, "write subscriptions = { uniform = 2 }");
        }
        if does.offends == Some(Offence::Nonsense) && relay {
            let message = format!("group \"{name}\" asks for nonsense, which a relay passes on");
            rules.wrong_but(&at("offends"), message, "write proxy.mode = \"fanout\"");
        }
        if does.offends_after.is_some() && does.offends.is_none() {
            let message = format!("group \"{name}\" does not say how it offends");
            rules.wrong_but(&at("offends-after"), message, "write offends = \"bad-utf8\"");
        }
        if does.user_key.is_some() && (relay || echo) {
            let message = format!("group \"{name}\" has a key, which a relay does not look at");
            rules.wrong_but(&at("user-key"), message, "write proxy.mode = \"fanout\"");
        }
        if does.origin.is_some() && proxy.guard.origins.is_empty() {
            let message = format!("group \"{name}\" has an origin, and the proxy takes any");
            rules.wrong_but(&at("origin"), message, "write proxy.guard.origins = [\"https://desk.example\"]");
        }
        if does.user_key.is_some() && proxy.guard.keys.is_empty() {
            let message = format!("group \"{name}\" has a key, and the proxy takes any");
            rules.wrong_but(&at("user-key"), message, "write proxy.guard.keys = [\"desk\"]");
        }
    }
}
