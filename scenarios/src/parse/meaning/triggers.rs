//! What faults wait for: an event that can happen here, narrowed down by what it says of itself, to someone who is there.

use super::Rules;
use crate::model::{Asked, EventName, Fault, FaultKind, Field, ProxyMode, Scenario, SourceMode, Stamped};
use crate::parse::place::Step;
use crate::plan::Plan;

pub(super) fn check(rules: &mut Rules<'_>, index: usize, fault: &Fault) {
    let place = [Step::from("faults"), index.into()];
    let after = match (&fault.at, &fault.after) {
        (Some(_), None) => return,
        (None, None) => {
            let hint = "write at = \"5s\" or after = { event = \"proxy_leg_up\" }";
            rules.wrong_but(&place, format!("faults[{index}] lacks its \"at\" or \"after\""), hint);
            return;
        }
        (at, Some(after)) => {
            if at.is_some() {
                let path = [place[0], place[1], "after".into()];
                rules.wrong_but(
                    &path,
                    "a fault begins \"at\" a time or \"after\" an event, not both",
                    "leave one of them out; after.delay makes it begin later",
                );
            }
            after
        }
    };
    let path = [place[0], place[1], "after".into()];
    if fault.kind.is_scripted() {
        let message = format!("\"{}\" is what a source does by its script, at a time", fault.kind.word());
        rules.wrong_but(&path, message, "write at = \"5s\", or take another kind, as \"stall\"");
    }
    if after.delay >= rules.scenario.steady {
        let message = format!("the fault would begin after the steady phase of {}", rules.scenario.steady);
        rules.wrong(&[path[0], path[1], path[2], "delay".into()], message);
    }
    moment(rules, &path, &after.asked());
    if let Some(since) = &after.since {
        moment(rules, &[path[0], path[1], path[2], "since".into()], &since.asked());
    }
}

fn moment(rules: &mut Rules<'_>, path: &[Step<'_>], asked: &Asked<'_>) {
    let at = |key: &'static str| -> Vec<Step<'_>> { path.iter().copied().chain([key.into()]).collect() };
    let word = asked.event.word();
    if let Some(lack) = lacks(rules.scenario, asked) {
        rules.wrong(&at("event"), format!("\"{word}\" cannot happen here: {lack}"));
        return;
    }
    for (key, _) in asked.given().iter().filter(|(_, field)| !asked.event.fields().contains(field)) {
        let says: Vec<&str> = asked.event.fields().iter().map(|field| name(*field)).collect();
        let hint =
            if says.is_empty() { "it says nothing more".to_owned() } else { format!("it says {}", says.join(", ")) };
        rules.wrong_but(&at(key), format!("\"{word}\" does not say of which {key} it is"), hint);
    }
    if !rules.values_right {
        return;
    }
    let scenario = rules.scenario;
    let plan = Plan::new(scenario, 0);
    if let Some(symbol) = asked.symbol {
        let known: Vec<String> = plan.symbols().iter().map(ToString::to_string).collect();
        there(rules, &at("symbol"), "symbol", symbol, &known, "no source has it");
    }
    if let Some(source) = asked.source {
        there(rules, &at("source"), "source", source, &plan.source_hosts().collect::<Vec<_>>(), "it is not there");
    }
    if let Some(proxy) = asked.proxy {
        let known: Vec<String> = plan.proxy_hosts().chain(plan.edge_hosts()).collect();
        there(rules, &at("proxy"), "proxy", proxy, &known, "it is not there");
    }
    if let Some(group) = asked.group {
        let known: Vec<String> = scenario.clients.iter().map(|group| group.name.clone()).collect();
        there(rules, &at("group"), "group", group, &known, "it is not there");
    }
    if let Some(client) = asked.client.filter(|client| *client >= plan.clients()) {
        let message = format!("there is no client {client}");
        rules.wrong_but(&at("client"), message, format!("they are 0 to {}", plan.clients().saturating_sub(1)));
    } else if asked.client.is_some()
        && asked.group.is_some()
        && let Some(clients) = crate::plan::clients(scenario, asked.client, asked.group)
        && clients.is_empty()
        && scenario.clients.iter().any(|group| Some(group.name.as_str()) == asked.group)
    {
        rules.wrong_but(&at("client"), "the client is not of that group", "leave one of them out");
    }
}

/// Refuses a name that is not there.
fn there(rules: &mut Rules<'_>, path: &[Step<'_>], what: &str, given: &str, known: &[String], why: &str) {
    if known.iter().any(|known| known == given) {
        return;
    }
    let range = match known {
        [] => String::new(),
        [one] => format!(": {one}"),
        [first, .., last] => format!(": {first} to {last}"),
    };
    rules.wrong_word(path, format!("{what} \"{given}\": {why}{range}"), given, known.iter().map(String::as_str));
}

fn name(field: Field) -> &'static str {
    match field {
        Field::Symbol => "\"symbol\"",
        Field::Source => "\"source\"",
        Field::Proxy => "\"proxy\"",
        Field::Client => "\"client\", \"group\"",
        Field::Kind => "\"kind\"",
    }
}

/// What the scenario lacks for the event to happen.
fn lacks(scenario: &Scenario, asked: &Asked<'_>) -> Option<&'static str> {
    let mode = scenario.sources.mode;
    let fanout = scenario.proxy.mode == ProxyMode::Fanout;
    let groups = || scenario.clients.iter().filter(|group| asked.group.is_none_or(|name| name == group.name));
    // A group that is not there is another mistake.
    let strong = groups().any(|group| group.strong > 0.0) || groups().next().is_none();
    match asked.event {
        EventName::ProxyTick | EventName::ProxyDrop if !fanout => Some("a relay does not read what it carries"),
        EventName::ClientSend | EventName::ClientEcho if mode != SourceMode::Echo => {
            Some("requests are for sources.mode = \"echo\"")
        }
        EventName::SourceSubscribe
        | EventName::SourceUnsubscribe
        | EventName::SourceSend
        | EventName::ClientSubscribe
        | EventName::ClientDeliver
        | EventName::ProxyTick
            if mode == SourceMode::Echo =>
        {
            Some("sources of mode \"echo\" have no ticks")
        }
        EventName::ClientAnswer if mode != SourceMode::V2 => Some("only sources.mode = \"v2\" answers subscriptions"),
        EventName::SourceDeny if scenario.sources.denied.is_empty() => Some("no source denies anything"),
        EventName::SourceRefuse if scenario.sources.key_limit.is_none() => Some("sources.key-limit is not set"),
        EventName::ClientGap if !fanout || !strong => Some("only strong clients of a fan-out are told of gaps"),
        EventName::ClientResume | EventName::ClientResumed if !groups().any(|group| group.resume) => {
            Some("no such client resumes")
        }
        EventName::ClientDeliver if asked.kind.is_some() && !(fanout && strong) => {
            Some("only strong clients of a fan-out get messages with a kind")
        }
        EventName::ClientDeliver if asked.kind == Some(Stamped::Replay) && !groups().any(|group| group.resume) => {
            Some("no such client resumes")
        }
        EventName::ProxyDrainStart | EventName::ProxyDrainStop if !has(scenario, FaultKind::Drain) => {
            Some("no fault is a \"drain\"")
        }
        EventName::ProxyReload if !has(scenario, FaultKind::Reload) => Some("no fault is a \"reload\""),
        EventName::FaultStart if scenario.faults.len() < 2 => Some("there is no other fault"),
        EventName::FaultStop
            if !scenario.faults.iter().any(|fault| fault.lasts.is_some() || fault.kind.is_instant()) =>
        {
            Some("no fault ends")
        }
        _ => None,
    }
}

fn has(scenario: &Scenario, kind: FaultKind) -> bool {
    scenario.faults.iter().any(|fault| fault.kind == kind)
}
