//! The verdict: one sentence, and whether it may be relied on.

use reports::capacity::{Axis, Limit, Step};
use reports::figure::number;
use reports::record::Outcome;

use super::machine::Placement;
use super::model::OPERATE;
use super::settings::Settings;

/// The end of a search that came to its end.
pub const FOUND: &str = "found within the tolerance";

/// What the sentence is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The axis that it speaks of.
    pub mixed: &'a Axis,
    /// What each resource would hold.
    pub limits: &'a [Limit],
    /// Messages a second of each connection.
    pub messages_per_s: f64,
    /// The objective, in words: "99 % of messages within 50ms".
    pub objective: &'a str,
    /// What was not tested, in a few words.
    pub not_tested: &'a str,
}

/// The sentence, how it came out, and why it is no pass.
#[must_use]
pub fn sentence(facts: &Facts<'_>) -> (String, Outcome, Vec<String>) {
    let Facts { mixed, limits, messages_per_s, objective, not_tested } = *facts;
    let messages = number(messages_per_s);
    let Some(found) = mixed.found else {
        let why = format!("{}: {}", mixed.end, mixed.steps.last().map_or("nothing was tried", |step| &step.why));
        let text = format!("No number of connections held at {messages} messages/s each ({objective}): {why}.");
        let outcome =
            if mixed.steps.iter().any(|step| step.answer == "fails") { Outcome::Fail } else { Outcome::Inconclusive };
        return (text, outcome, vec![why]);
    };
    let mut reasons = Vec::new();
    let least = limits.iter().find(|limit| limit.binds);
    let capacity = capacity(found.load, least);
    let binds = match (&mixed.binds, least) {
        (_, Some(limit)) if limit.capacity < found.load => format!("{} binds", limit.resource),
        (Some(binds), _) => format!("{binds} binds"),
        (None, _) => "what binds was not reached".to_owned(),
    };
    // Broken off between a load that held and one that did not: neither is a bound that was confirmed.
    let holds = match (mixed.end == FOUND, found.fails_at) {
        (true, _) => "holds ",
        (false, None) => "holds at least ",
        (false, Some(_)) => "holds, not confirmed, ",
    };
    if let Some(limit) = least.filter(|limit| limit.capacity < found.load) {
        reasons.push(format!("what {} holds is reckoned, and less than what held", limit.resource));
    }
    if !found.confirmed {
        reasons.push(format!("it was confirmed {} times only", found.confirmations));
    }
    let unhealthy = unresolved(&mixed.steps, found.fails_at.unwrap_or(f64::INFINITY));
    let held = |at: &Step| mixed.steps.iter().any(|step| step.load == at.load && step.answer == "holds");
    let fails = |step: &&Step| step.stage == "survey" && step.answer == "fails" && !held(step);
    if let Some(lower) = mixed.steps.iter().find(fails) {
        reasons.push(format!("{} did not hold when it was looked at afterwards", number(lower.load.round())));
    }
    if mixed.end != FOUND {
        let what = match found.fails_at {
            None => "the capacity is this, or more".to_owned(),
            Some(at) => format!("the capacity may lie anywhere below {}", number(at.round())),
        };
        reasons.push(format!("{}: {what}", mixed.end));
    } else if unhealthy > 0 {
        reasons.push(format!("the generator was not well in {unhealthy} trials"));
    }
    let outcome = if reasons.is_empty() { Outcome::Pass } else { Outcome::Inconclusive };
    let text = format!(
        "One instance on this machine {holds}{} connections at {messages} messages/s each with {objective}; {binds}; operate at {}; not tested: {not_tested}.",
        number(capacity),
        number(capacity * OPERATE)
    );
    (text, outcome, reasons)
}

/// Trials below the least load that fails in which the generator was not well, and which were not made good by another one of the same load and length. Those of a
/// survey decide nothing.
fn unresolved(steps: &[Step], fails_at: f64) -> usize {
    let unhealthy = |step: &Step| step.answer == "unhealthy";
    let open = |(place, step): &(usize, &Step)| {
        let made_good = |later: &Step| later.load == step.load && later.stage == step.stage && !unhealthy(later);
        unhealthy(step) && step.stage != "survey" && step.load < fails_at && !steps[place + 1..].iter().any(made_good)
    };
    steps.iter().enumerate().filter(open).count()
}

/// What nobody should conclude from such a measurement.
#[must_use]
pub fn not_tested(settings: &Settings, placement: &Placement) -> Vec<String> {
    let mut lines = vec![
        "A network: all went over loopback, which has no latency, loses nothing, and costs the proxy's core the receiver's share of the work.".to_owned(),
        "TLS, compression, and more than one event loop of the proxy.".to_owned(),
        "Weeks: memory was measured over seconds; leaks and fragmentation were not looked for.".to_owned(),
        format!("Another mix than {}.", settings.mix.words()),
        "Clients that come back all at once: see connections a second, and the smallest window of jitter.".to_owned(),
    ];
    let profile = crate::capsule::profile();
    if profile != "release" {
        lines.push(format!("The release build: this one ({profile}) has debug assertions on, and holds less."));
    }
    if placement.proxy.is_none() {
        lines.push("A proxy with a core of its own: generator, source and proxy shared one.".to_owned());
    }
    lines
}

/// What one instance holds: what held, or less where another resource holds less.
#[must_use]
pub fn capacity(held: f64, least: Option<&Limit>) -> f64 {
    least.map_or(held, |limit| limit.capacity.min(held))
}

#[cfg(test)]
mod tests {
    use reports::capacity::{Basis, Found};

    use super::*;

    fn axis(found: Option<(f64, bool)>, binds: Option<&str>) -> Axis {
        Axis {
            name: "mixed".into(),
            what: String::new(),
            unit: "connections".into(),
            steps: Vec::new(),
            found: found.map(|(load, confirmed)| Found { load, fails_at: None, confirmations: 2, confirmed }),
            end: if binds.is_some() { FOUND } else { "the generator gave out" }.into(),
            binds: binds.map(str::to_owned),
        }
    }

    fn said(axis: &Axis, limits: &[Limit]) -> (String, Outcome, Vec<String>) {
        let objective = "99 % of messages within 50ms";
        sentence(&Facts { mixed: axis, limits, messages_per_s: 10.0, objective, not_tested: "a network" })
    }

    #[test]
    fn the_sentence_says_what_holds_what_binds_and_where_to_operate() {
        let (text, outcome, _) = said(&axis(Some((12_000.0, true)), Some("CPU of the proxy (98 % of a core)")), &[]);
        assert_eq!(
            text,
            "One instance on this machine holds 12,000 connections at 10 messages/s each with 99 % of messages within 50ms; \
             CPU of the proxy (98 % of a core) binds; operate at 8,400; not tested: a network."
        );
        assert_eq!(outcome, Outcome::Pass);
    }

    #[test]
    fn weak_evidence_is_no_pass() {
        let (text, outcome, reasons) = said(&axis(Some((12_000.0, true)), None), &[]);
        assert!(text.contains("holds at least 12,000") && outcome == Outcome::Inconclusive, "{text}");
        assert!(reasons[0].contains("this, or more"), "{reasons:?}");
        let (_, outcome, reasons) = said(&axis(Some((12_000.0, false)), Some("CPU")), &[]);
        assert!(outcome == Outcome::Inconclusive && reasons[0].contains("2 times only"), "{reasons:?}");
        let (text, outcome, _) = said(&axis(None, None), &[]);
        assert!(text.starts_with("No number of connections held") && outcome == Outcome::Inconclusive, "{text}");
    }

    #[test]
    fn a_trial_in_which_the_generator_was_not_well_weighs_unless_it_was_made_good() {
        use super::super::model::tests::step;
        let answered = |load: f64, stage: &str, answer: &str| Step {
            stage: stage.into(),
            answer: answer.into(),
            ..step(load, load * 10.0, 0.9, 1.0)
        };
        let outcome = |steps: &[Step]| {
            let mut axis = Axis { steps: steps.to_vec(), ..axis(Some((12_000.0, true)), Some("CPU")) };
            axis.found = axis.found.map(|found| Found { fails_at: Some(12_600.0), ..found });
            said(&axis, &[]).1
        };
        let unwell = answered(9_000.0, "grow", "unhealthy");
        let well = answered(9_000.0, "grow", "holds");
        assert_eq!(outcome(&[unwell.clone(), well.clone()]), Outcome::Pass);
        assert_eq!(outcome(&[well, unwell.clone()]), Outcome::Inconclusive);
        assert_eq!(
            outcome(&[answered(16_000.0, "grow", "unhealthy")]),
            Outcome::Pass,
            "above what fails in good health"
        );
        assert_eq!(outcome(&[unwell, answered(9_000.0, "confirm", "holds")]), Outcome::Inconclusive);
        assert_eq!(outcome(&[answered(3_000.0, "survey", "unhealthy")]), Outcome::Pass);
        assert_eq!(outcome(&[answered(3_000.0, "survey", "fails")]), Outcome::Inconclusive);
    }

    #[test]
    fn a_resource_that_holds_less_is_the_one_that_binds() {
        let limit = Limit {
            resource: "descriptors".into(),
            capacity: 960.0,
            basis: Basis::Modelled,
            how: String::new(),
            binds: true,
        };
        let (text, ..) = said(&axis(Some((12_000.0, true)), Some("CPU")), &[limit]);
        assert!(text.contains("holds 960 connections") && text.contains("descriptors binds"), "{text}");
    }
}
