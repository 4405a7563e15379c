//! Faults: each hits something that exists, within the steady phase, with the parameters of its kind and no others.

use wire::tick::PADDING_MAX;

use super::{Rules, triggers};
use crate::model::{Fault, FaultKind, Scenario};
use crate::plan::{CLIENTS, Names, SOURCE_ACTIVE, pairs, parts};
use crate::span::Span;

/// Single targets of all faults at most.
const HITS_MAX: usize = 2_000;

pub(super) fn check(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let names = Names::new(scenario);
    let mut hits = 0;
    for (index, fault) in scenario.faults.iter().enumerate() {
        times(rules, index, fault);
        triggers::check(rules, index, fault);
        parameters(rules, index, fault);
        if target(rules, index, fault, &names) && fault.kind.is_scripted() {
            overlap(rules, index, fault);
        }
        let before = hits;
        hits += names.expand(&fault.target).map_or(0, |targets| targets.len());
        if before <= HITS_MAX && hits > HITS_MAX {
            let message = format!("with \"{}\", faults hit {hits} targets, {HITS_MAX} at most", fault.target);
            rules.wrong_but(&["faults".into(), index.into(), "target".into()], message, "give the group fewer hosts");
        }
    }
}

fn times(rules: &mut Rules<'_>, index: usize, fault: &Fault) {
    let steady = rules.scenario.steady;
    let at = fault.at.unwrap_or_default();
    if at >= steady {
        let message = format!("the fault begins at {at}, after the steady phase of {steady}");
        rules.wrong_but(&["faults".into(), index.into(), "at".into()], message, "times count from its beginning");
    } else if let Some(lasts) = fault.lasts
        // One that waits for an event ends with the phase at the latest.
        && fault.after.is_none()
        && end_us(fault) > steady.as_micros()
    {
        let message =
            format!("the fault ends at {}, after the steady phase of {steady}", Span::from_micros(end_us(fault)));
        let longest = Span::from_micros(steady.as_micros() - at.as_micros());
        let hint = format!("{longest} at most, not {lasts}; or lengthen steady");
        rules.wrong_but(&["faults".into(), index.into(), "for".into()], message, hint);
    }
    if fault.kind.is_instant() && fault.lasts.is_some() {
        let message = format!("\"{}\" is over at once and takes no \"for\"", fault.kind.word());
        rules.wrong_but(&["faults".into(), index.into(), "for".into()], message, "leave it out");
    }
}

/// When it is over, in microseconds of the steady phase.
fn end_us(fault: &Fault) -> u64 {
    fault.lasts.map_or(u64::MAX, |lasts| at_us(fault).saturating_add(lasts.as_micros()))
}

/// When it begins, in microseconds of the steady phase; at once for one that waits for an event.
fn at_us(fault: &Fault) -> u64 {
    fault.at.unwrap_or_default().as_micros()
}

/// Whether the parameters are those of the kind.
fn parameters(rules: &mut Rules<'_>, index: usize, fault: &Fault) {
    let word = fault.kind.word();
    let takes = fault.kind.parameters();
    let given = fault.given();
    for key in given.iter().filter(|key| takes.iter().all(|(takes, _)| takes != *key)) {
        let message = format!("\"{word}\" takes no \"{key}\"");
        let hint = if takes.is_empty() {
            "leave it out: this kind has no parameters".to_owned()
        } else {
            let keys: Vec<String> = takes.iter().map(|(key, _)| format!("\"{key}\"")).collect();
            format!("it takes {}", keys.join(", "))
        };
        rules.wrong_but(&["faults".into(), index.into(), (*key).into()], message, hint);
    }
    let path = ["faults".into(), index.into(), "kind".into()];
    for (key, _) in takes.iter().filter(|(key, needed)| *needed && !given.contains(key)) {
        rules.wrong(&path, format!("\"{word}\" lacks its \"{key}\""));
    }
    match fault.kind {
        FaultKind::Latency if fault.latency.is_none() && fault.jitter.is_none() => {
            rules.wrong_but(
                &path,
                "\"latency\" adds nothing",
                "write latency = { fixed = \"50ms\" } or jitter = \"20ms\"",
            );
        }
        FaultKind::Garbage => {
            let steady = rules.scenario.steady.as_micros();
            let lasts = fault.lasts.map_or(steady.saturating_sub(at_us(fault)), Span::as_micros);
            let count = u128::from(lasts).div_ceil(fault.garbage_every().as_micros().max(1));
            if count > u128::from(Fault::GARBAGE_MAX) {
                let message = format!("\"garbage\" is {count} messages, {} at most", Fault::GARBAGE_MAX);
                rules.wrong_but(&path, message, "write a longer every, or a shorter for");
            }
        }
        FaultKind::Oversized => {
            let takes = rules.scenario.proxy.limits().source_message_max as u64;
            let path = ["faults".into(), index.into(), "bytes".into()];
            match fault.bytes {
                Some(bytes) if bytes <= takes => {
                    let message = format!("{bytes} bytes are not too many: the proxy takes {takes} of a source");
                    rules.wrong_but(&path, message, "leave it out for a byte more than that");
                }
                Some(bytes) if bytes > u64::from(PADDING_MAX) => {
                    rules.wrong(&path, format!("{bytes} bytes: a source's message has at most {PADDING_MAX}"));
                }
                _ => {}
            }
        }
        FaultKind::ClockJump if fault.ahead.is_some() == fault.behind.is_some() => {
            rules.wrong(&path, "\"clock-jump\" takes either \"ahead\" or \"behind\"");
        }
        FaultKind::SlowHost if fault.times.is_some_and(|times| times <= 1.0) => {
            let path = ["faults".into(), index.into(), "times".into()];
            rules.wrong(&path, "a slow host is more than 1 times slower");
        }
        _ => {}
    }
    if let Some(latency) = fault.latency {
        super::latency(rules, latency, "latency", &["faults".into(), index.into(), "latency".into()]);
    }
}

/// Whether the target exists and suits the kind.
fn target(rules: &mut Rules<'_>, index: usize, fault: &Fault, names: &Names) -> bool {
    let path = ["faults".into(), index.into(), "target".into()];
    let (kind, target) = (fault.kind, fault.target.as_str());
    let (one, other) = parts(target);
    let ends = [Some(one), other.map(|(_, other)| other)];
    if let Some(end) = ends.iter().flatten().find(|end| names.hosts(end).is_empty()) {
        let message = match other {
            Some(_) => format!("target \"{target}\" names a host that is not there: \"{end}\""),
            None => format!("target \"{target}\" is not there: {}", there(rules.scenario)),
        };
        rules.wrong_word(&path, message, end, names.known());
        return false;
    }
    match other {
        Some(_) if kind.is_of_host() => {
            let message = format!("\"{}\" hits a host, not the link \"{target}\"", kind.word());
            rules.wrong_but(&path, message, "for a link, use kind \"stall\"");
            false
        }
        Some((_, other)) if pairs(names, one, other).is_empty() => {
            let message = format!("nothing travels on the link \"{target}\"");
            rules.wrong_but(
                &path,
                message,
                "a link joins a proxy and a source, or clients and a proxy (or an edge): \"proxy-0/source-0\"",
            );
            false
        }
        None if kind.is_scripted() && !is_numbered_source(target) => {
            let message = format!("\"{}\" is what a source does by its script, not \"{target}\"", kind.word());
            rules.wrong_but(&path, message, "name a source by its number: \"source-0\"");
            false
        }
        None if kind.is_scripted() && is_killed(rules.scenario, names, target) => {
            let message =
                format!("\"{target}\" is killed in this scenario, and begins its script again when it is back");
            rules.wrong_but(&path, message, format!("let the \"{}\" hit another source", kind.word()));
            false
        }
        _ => true,
    }
}

fn is_numbered_source(target: &str) -> bool {
    target.strip_prefix("source-").is_some_and(|number| number.parse::<u16>().is_ok())
}

/// Whether the process of the host ends, or that of any source may.
fn is_killed(scenario: &Scenario, names: &Names, target: &str) -> bool {
    scenario
        .faults
        .iter()
        .filter(|fault| fault.kind.ends_process())
        .any(|fault| fault.target == SOURCE_ACTIVE || names.hosts(&fault.target).iter().any(|host| host == target))
}

/// The hosts in words.
pub(super) fn there(scenario: &Scenario) -> String {
    let range = |name: &str, count: u16| match count {
        1 => format!("{name}-0"),
        2 => format!("{name}-0, {name}-1"),
        _ => format!("{name}-0 to {name}-{}", count - 1),
    };
    let groups: Vec<&str> = scenario.clients.iter().map(|group| group.name.as_str()).collect();
    let edges = scenario.edge.as_ref().map_or_else(String::new, |edge| format!("{}, ", range("edge", edge.count)));
    format!(
        "{}, {SOURCE_ACTIVE}, {}, {edges}{CLIENTS}, {}",
        range("source", scenario.sources.count),
        range("proxy", scenario.proxy.count),
        groups.join(", ")
    )
}

/// A source's script does one thing at a time, and garbage beside it: a source may say nothing but that.
fn overlap(rules: &mut Rules<'_>, index: usize, fault: &Fault) {
    let earlier = rules.scenario.faults[..index].iter().find(|earlier| {
        earlier.kind.is_scripted()
            && (earlier.kind == FaultKind::Garbage) == (fault.kind == FaultKind::Garbage)
            && earlier.target == fault.target
            && at_us(earlier) < end_us(fault)
            && at_us(fault) < end_us(earlier)
    });
    if let Some(earlier) = earlier {
        let message = format!(
            "\"{}\" already has a script at {}, the \"{}\" from {}",
            fault.target,
            Span::from_micros(at_us(fault).max(at_us(earlier))),
            earlier.kind.word(),
            Span::from_micros(at_us(earlier))
        );
        rules.wrong_but(&["faults".into(), index.into(), "at".into()], message, "one script at a time on one source");
    }
}
