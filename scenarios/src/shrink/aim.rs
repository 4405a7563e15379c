//! What is judged: only what broke, and nothing that the run must have reached besides.

use toml::Value;
use toml::map::Map;

use super::{Candidate, Now};
use crate::parse::tree;

/// Floors of evidence: fewer make a run inconclusive, and never make one fail.
const FLOORS: [&str; 1] = ["checked-min"];
/// And one that has a default above its least.
const SAMPLES: &str = "samples-min";

pub(super) fn candidates(now: &Now<'_>) -> Vec<Candidate> {
    let mut found = vec![only(now, 0, "only what broke is judged", |scenario| {
        scenario.tags.clear();
        scenario.engines.clear();
        scenario.reach.clear();
    })];
    found.push(now.with(1, "without tags", |scenario| scenario.tags.clear()));
    found.push(now.with(2, "without other engines", |scenario| scenario.engines.clear()));
    let reach = (0..now.scenario.reach.len()).map(|index| {
        let what = format!("without reach of {}", now.scenario.reach[index].name());
        now.with(3 + index, what, |scenario| drop(scenario.reach.remove(index)))
    });
    found.extend(reach);
    let first = found.len();
    found.extend(judged(now).into_iter().enumerate().map(|(index, (what, scenario))| Candidate {
        scenario,
        what,
        part: first + index,
    }));
    found
}

/// With the one objective that broke; where what broke is none (a program failed), with the first that may stand alone.
fn only(now: &Now<'_>, part: usize, what: &str, more: impl FnOnce(&mut crate::model::Scenario)) -> Candidate {
    let mut candidate = now.with(part, what, more);
    let Some(root) = tree::of(&candidate.scenario) else { return candidate };
    let Some(check) = root.get("check").and_then(Value::as_table) else { return candidate };
    let broke = now.needs.invariant();
    let kept = check.get_key_value(broke).or_else(|| check.iter().next());
    let kept: Map<String, Value> =
        kept.into_iter().map(|(name, bound)| (name.clone(), without_floors(bound))).collect();
    let fewer = tree::changed(&root, &[tree::Step::Key("check")], Some(Value::Table(kept))).and_then(tree::read);
    if let Some(fewer) = fewer {
        candidate.scenario = fewer;
    }
    candidate
}

/// Without each objective that did not break.
fn judged(now: &Now<'_>) -> Vec<(String, crate::model::Scenario)> {
    let Some(root) = tree::of(now.scenario) else { return Vec::new() };
    let nodes = tree::nodes(&root).into_iter().filter(|node| node.path.len() == 2 && node.is_under(&["check"]));
    nodes
        .filter(|node| node.name() != format!("check.{}", now.needs.invariant()))
        .filter_map(|node| {
            let less = tree::changed(&root, &node.path, None).and_then(tree::read)?;
            Some((format!("without {}", node.name()), less))
        })
        .collect()
}

fn without_floors(bound: &Value) -> Value {
    let mut bound = bound.clone();
    if let Some(table) = bound.as_table_mut() {
        FLOORS.iter().for_each(|key| drop(table.remove(*key)));
        if let Some(samples) = table.get_mut(SAMPLES) {
            *samples = Value::Integer(1);
        }
    }
    bound
}
