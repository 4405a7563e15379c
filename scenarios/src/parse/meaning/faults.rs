//! Faults: each hits something that exists, within the steady phase, and no two fight over one target.

use super::Rules;
use crate::model::{Fault, FaultKind, Scenario};
use crate::span::Span;

/// The source that carries most legs, resolved when the fault begins.
pub(crate) const SOURCE_ACTIVE: &str = "source-active";

pub(super) fn check(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let hosts = hosts(scenario);
    for (index, fault) in scenario.faults.iter().enumerate() {
        times(rules, index, fault);
        if target(rules, index, fault, &hosts) {
            overlap(rules, index, fault);
        }
    }
}

/// Every host that a fault may name.
fn hosts(scenario: &Scenario) -> Vec<String> {
    let sources = (0..scenario.sources.count).map(crate::plan::source_host);
    let proxies = (0..scenario.proxy.count).map(crate::plan::proxy_host);
    std::iter::once(SOURCE_ACTIVE.to_owned()).chain(sources).chain(proxies).collect()
}

fn times(rules: &mut Rules<'_>, index: usize, fault: &Fault) {
    let steady = rules.scenario.steady;
    if fault.at >= steady {
        let message = format!("the fault begins at {}, after the steady phase of {steady}", fault.at);
        rules.wrong_but(&["faults".into(), index.into(), "at".into()], message, "times count from its beginning");
    } else if let Some(lasts) = fault.lasts
        && end_us(fault) > steady.as_micros()
    {
        let message =
            format!("the fault ends at {}, after the steady phase of {steady}", Span::from_micros(end_us(fault)));
        let longest = Span::from_micros(steady.as_micros() - fault.at.as_micros());
        let hint = format!("{longest} at most, not {lasts}; or lengthen steady");
        rules.wrong_but(&["faults".into(), index.into(), "for".into()], message, hint);
    }
}

/// When it is over, in microseconds of the steady phase.
fn end_us(fault: &Fault) -> u64 {
    fault.lasts.map_or(u64::MAX, |lasts| fault.at.as_micros().saturating_add(lasts.as_micros()))
}

/// Whether the target exists and suits the kind.
fn target(rules: &mut Rules<'_>, index: usize, fault: &Fault, hosts: &[String]) -> bool {
    let path = ["faults".into(), index.into(), "target".into()];
    let known = || hosts.iter().map(String::as_str);
    let target = fault.target.as_str();
    match (fault.kind, target.split_once('/')) {
        (FaultKind::Stall, None) => {
            let message = format!("a stall hits a link between two hosts, not \"{target}\" alone");
            let hint =
                if target.starts_with("proxy") { format!("{target}/source-0") } else { format!("proxy-0/{target}") };
            rules.wrong_but(&path, message, format!("write \"{hint}\""));
            false
        }
        (FaultKind::Stall, Some((one, other))) => {
            for end in [one, other] {
                if !known().any(|host| host == end) {
                    let message = format!("target \"{target}\" names a host that is not there: \"{end}\"");
                    rules.wrong_word(&path, message, end, known());
                    return false;
                }
            }
            // Clients' hosts are no targets yet, so every link that carries anything joins a proxy and a source.
            let joins = one.starts_with("proxy-") && other.starts_with("source-")
                || one.starts_with("source-") && other.starts_with("proxy-");
            if !joins {
                let message = format!("nothing travels on the link \"{target}\"");
                rules.wrong_but(&path, message, "a link joins a proxy and a source: \"proxy-0/source-0\"");
            }
            joins
        }
        (kind, None)
            if kind.is_scripted()
                && (target == SOURCE_ACTIVE || known().any(|host| host == target))
                && !is_numbered_source(target) =>
        {
            let message = format!("\"{}\" is what a source does by its script, not \"{target}\"", kind.word());
            rules.wrong_but(&path, message, "name a source by its number: \"source-0\"");
            false
        }
        (kind, None) if kind.is_scripted() && is_killed(rules.scenario, target) => {
            let message =
                format!("\"{target}\" is killed in this scenario, and begins its script again when it is back");
            rules.wrong_but(&path, message, format!("let the \"{}\" hit another source", kind.word()));
            false
        }
        (kind, Some(_)) => {
            let message = format!("\"{}\" hits a host, not the link \"{target}\"", kind.word());
            rules.wrong_but(&path, message, "for a link, use kind \"stall\"");
            false
        }
        (_, None) if known().any(|host| host == target) => true,
        (_, None) => {
            let message = format!("target \"{target}\" is not there: {}", there(rules.scenario));
            rules.wrong_word(&path, message, target, known());
            false
        }
    }
}

fn is_numbered_source(target: &str) -> bool {
    target.strip_prefix("source-").is_some_and(|number| number.parse::<u16>().is_ok())
}

/// Whether the host is killed, or any source may be.
fn is_killed(scenario: &Scenario, target: &str) -> bool {
    scenario.faults.iter().any(|fault| {
        matches!(fault.kind, FaultKind::Kill | FaultKind::PowerOff)
            && (fault.target == target || fault.target == SOURCE_ACTIVE)
    })
}

/// The hosts in words.
fn there(scenario: &Scenario) -> String {
    let range = |name: &str, count: u16| match count {
        1 => format!("{name}-0"),
        2 => format!("{name}-0, {name}-1"),
        _ => format!("{name}-0 to {name}-{}", count - 1),
    };
    format!("{}, {SOURCE_ACTIVE}, {}", range("source", scenario.sources.count), range("proxy", scenario.proxy.count))
}

fn overlap(rules: &mut Rules<'_>, index: usize, fault: &Fault) {
    // The active source may be another one each time.
    if fault.target.contains(SOURCE_ACTIVE) {
        return;
    }
    let earlier = rules.scenario.faults[..index].iter().find(|earlier| {
        same(&earlier.target, &fault.target)
            && earlier.at.as_micros() < end_us(fault)
            && fault.at.as_micros() < end_us(earlier)
    });
    if let Some(earlier) = earlier {
        let message = format!(
            "\"{}\" is already hit at {}, by the \"{}\" from {}",
            fault.target,
            fault.at.max(earlier.at),
            earlier.kind.word(),
            earlier.at
        );
        rules.wrong_but(&["faults".into(), index.into(), "at".into()], message, "one fault at a time on one target");
    }
}

/// A link has two names.
fn same(one: &str, other: &str) -> bool {
    one == other || one.split_once('/').zip(other.split_once('/')).is_some_and(|((a, b), (c, d))| (a, b) == (d, c))
}
