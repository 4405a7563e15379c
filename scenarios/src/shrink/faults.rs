//! What goes wrong: fewer faults, each at a time and on one target.

use super::{Candidate, Now};
use crate::model::{Fault, Scenario};
use crate::plan::{Names, SOURCE_ACTIVE};
use crate::span::Span;

/// In words: `kill of source-0 at 4s for 2s`.
pub(super) fn words(fault: &Fault) -> String {
    let when = match (&fault.after, fault.at) {
        (Some(after), _) => format!("after the {after}"),
        (None, at) => format!("at {}", at.unwrap_or_default()),
    };
    let lasts = fault.lasts.map_or_else(String::new, |lasts| format!(" for {lasts}"));
    format!("{} of {} {when}{lasts}", fault.kind.word(), fault.target)
}

/// Without each.
pub(super) fn away(now: &Now<'_>) -> Vec<Candidate> {
    parts(now).into_iter().map(|(_, candidate)| candidate).collect()
}

/// Each, in words, and the scenario without it.
pub(super) fn parts(now: &Now<'_>) -> Vec<(String, Candidate)> {
    let part = |(index, fault)| {
        let words = words(fault);
        let without = now.with(index, format!("without {words}"), |scenario| drop(scenario.faults.remove(index)));
        (words, without)
    };
    now.scenario.faults.iter().enumerate().map(part).collect()
}

/// So many pieces of all of them: none, each piece alone, then all but a piece.
pub(super) fn pieces(scenario: &Scenario, pieces: usize) -> Vec<Candidate> {
    let count = scenario.faults.len();
    let bound = |piece: usize| count * piece / pieces;
    let keep = |what: String, kept: &dyn Fn(usize) -> bool| {
        let mut scenario = scenario.clone();
        let mut index = 0..;
        scenario.faults.retain(|_| index.next().is_some_and(kept));
        Candidate { scenario, what, part: 0 }
    };
    let mut found = Vec::new();
    if pieces == 2 {
        found.push(keep("without any fault".to_owned(), &|_| false));
    }
    let ranges: Vec<_> =
        (0..pieces).map(|piece| bound(piece)..bound(piece + 1)).filter(|range| !range.is_empty()).collect();
    for range in &ranges {
        let what = format!("only {} of {count} faults", range.len());
        found.push(keep(what, &|index| range.contains(&index)));
    }
    // Of two pieces, all but one is the other.
    for range in ranges.iter().filter(|_| pieces > 2) {
        let what = format!("without {} of {count} faults", range.len());
        found.push(keep(what, &|index| !range.contains(&index)));
    }
    found
}

/// At the time at which it really began, on whom it really hit, on one target of several.
pub(super) fn settled(now: &Now<'_>) -> Vec<Candidate> {
    let names = Names::new(now.scenario);
    let steady_us = now.scenario.warmup.as_micros();
    let mut number: usize = 0;
    let mut found = Vec::new();
    for (index, fault) in now.scenario.faults.iter().enumerate() {
        let targets = names.expand(&fault.target).unwrap_or_default();
        let really = now.seen.faults.iter().find(|window| usize::from(window.fault) == number);
        number += targets.len();
        let said = words(fault);
        let mut change = |what: String, change: &dyn Fn(&mut Fault)| {
            found.push(now.with(index, format!("{said}: {what}"), |scenario| change(&mut scenario.faults[index])));
        };
        let at = really.and_then(|window| window.start_us.checked_sub(steady_us)).map(Span::from_micros);
        let on = really.map(|window| window.target.to_string()).filter(|_| fault.target.contains(SOURCE_ACTIVE));
        match (fault.after.is_some(), at, on) {
            (true, Some(at), on) => {
                let target = on.unwrap_or_else(|| fault.target.clone());
                change(format!("at {at} on {target}"), &|fault| {
                    (fault.at, fault.after) = (Some(at), None);
                    fault.target.clone_from(&target);
                });
            }
            (false, _, Some(on)) => change(format!("on {on}"), &|fault| fault.target.clone_from(&on)),
            _ => {}
        }
        if targets.len() > 1 {
            for target in &targets {
                change(format!("on {target} only"), &|fault| {
                    fault.target.clone_from(target);
                    fault.stagger = None;
                });
            }
        }
    }
    found
}
