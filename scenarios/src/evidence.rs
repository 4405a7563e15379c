//! What a page shows of a run beside its verdict: gathered here, drawn by `reports`.

mod frames;
mod twin;

use reports::evidence::{Evidence, Meaning, PlannedFault};
use reports::record::Verdict;
use reports::story::{Names, Story};
use wire::event::Timed;

use crate::campaign::Job;
use crate::engine::Run;
use crate::explain;
use crate::model::Scenario;
use crate::parse::objectives::CHECK;
use crate::perfetto;
use crate::plan::{Plan, Planned, Start};

/// What can be told of a run without running anything again.
pub(crate) fn of(job: &Job, run: &Run) -> Evidence {
    let plan = Plan::new(&job.scenario, job.seed);
    let events = run.events.as_deref().unwrap_or_default();
    let names = run.verdict.invariants.iter().map(|invariant| invariant.name.as_str());
    Evidence {
        story: Story::new(&run.verdict, &run.metrics, &perfetto::hosts(&plan), events),
        meanings: names.filter_map(|name| meaning(&job.scenario, name)).collect(),
        faults: plan.faults.iter().map(|fault| planned(&plan, fault)).collect(),
        ..Evidence::default()
    }
}

/// What takes further runs of a failing job: the frames around its first breach, and its twin that passes.
pub(crate) fn closer(job: &Job, verdict: &Verdict, events: &[Timed], evidence: &mut Evidence) {
    let plan = Plan::new(&job.scenario, job.seed);
    let names = Names::new(perfetto::hosts(&plan).tiers(), events);
    evidence.frames = frames::around(job, verdict, events);
    evidence.twin = Some(twin::find(job, verdict, &names, events));
}

/// What an invariant means, and what this scenario asks of it.
fn meaning(scenario: &Scenario, invariant: &str) -> Option<Meaning> {
    let about = match invariant {
        crate::engine::PROGRAMS_LIVE => "No program panics, gives up or hangs.",
        crate::engine::MACHINE => {
            "Sources and clients have their turns in time: otherwise what is late may be the machine's doing."
        }
        "faults-begin" => "Every fault that waits for an event begins.",
        _ => CHECK.keys.iter().find(|key| key.name == invariant)?.about,
    };
    let plain = |text: &str| text.trim_end_matches('.').to_lowercase();
    let bound = explain::bound(scenario, invariant).filter(|bound| plain(bound) != plain(about));
    Some(Meaning {
        invariant: invariant.to_owned(),
        about: about.to_owned(),
        bound: bound.map(|bound| sentence(&bound)),
    })
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn planned(plan: &Plan, fault: &Planned) -> PlannedFault {
    let begins = match fault.start {
        Start::At(at) => format!("at {}", crate::span::Span::from_micros(micros(at + fault.late))),
        Start::After(place) => {
            plan.triggers.get(place).map_or_else(String::new, |trigger| format!("after the {}", trigger.words))
        }
    };
    PlannedFault {
        kind: fault.kind.word().to_owned(),
        target: fault.target.clone(),
        begins,
        words: words(&plan.scenario, fault),
        instant: fault.kind.is_instant(),
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What a fault does, by the scenario's own entry for it.
fn words(scenario: &Scenario, fault: &Planned) -> String {
    scenario.faults.get(fault.entry).map_or_else(String::new, |entry| {
        let (what, end) = explain::fault(&crate::model::Fault { target: fault.target.clone(), ..entry.clone() });
        match (end, fault.lasts) {
            ("", _) => sentence(&what),
            (_, None) => sentence(&format!("{what}, for good")),
            (end, Some(_)) => sentence(&format!("{what}, until {end}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_told_by_its_own_entry_where_several_are_alike() {
        let text = "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = { count = 2 }\n\
            proxy = { mode = \"fanout\" }\ncheck = { symbol-order = {} }\n[[clients]]\nname = \"all\"\ncount = 1\n\
            [[faults]]\nat = \"1s\"\nfor = \"1s\"\nkind = \"latency\"\ntarget = \"proxy-0/source-0\"\nlatency = { fixed = \"100ms\" }\n\
            [[faults]]\nat = \"3s\"\nfor = \"1s\"\nkind = \"latency\"\ntarget = \"proxy-0/source-0\"\nlatency = { fixed = \"200ms\" }\n\
            [[faults]]\nat = \"5s\"\nfor = \"1s\"\nkind = \"latency\"\ntarget = \"proxy-0/source-*\"\nlatency = { fixed = \"300ms\" }\n";
        let scenario = crate::parse::parse("x.toml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let plan = Plan::new(&scenario, 1);
        let told: Vec<String> = plan.faults.iter().map(|fault| planned(&plan, fault).words).collect();
        assert_eq!(told.len(), 4);
        for (words, delay) in told.iter().zip(["100ms", "200ms", "300ms", "300ms"]) {
            assert!(words.contains(delay), "{delay}: {words}");
        }
        assert!(told[3].contains("source-1"), "{}", told[3]);
    }
}
