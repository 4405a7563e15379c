//! The passing twin: the same run with one fault less. Where nothing breaks without a fault, it is that fault that brings the failure about, and the first
//! thing that the programs did differently is where to look.

use reports::evidence::{Parting, Trial, Twin};
use reports::record::{Outcome, Verdict};
use reports::story::{Line, Names};
use wire::event::{Event, Timed};

use crate::campaign::Job;
use crate::engine::{self, Options};
use crate::model::Fault;
use crate::plan::Plan;

/// Faults that are left out, one at a time, at most.
pub(super) const TRIALS_MAX: usize = 8;
/// Lines of both runs before they part, and of each afterwards.
const BEFORE: usize = 4;
const AFTER: usize = 5;

/// Runs a failing job without each of its faults in turn, those first that began last before the first breach. A run that the harness cannot finish counts as
/// not tried.
pub(super) fn find(job: &Job, verdict: &Verdict, names: &Names, events: &[Timed]) -> Twin {
    let mut twin = Twin::default();
    for place in order(job, verdict) {
        if twin.trials.len() == TRIALS_MAX {
            twin.untried += 1;
            continue;
        }
        let mut scenario = job.scenario.clone();
        let fault = scenario.faults.remove(place);
        // Events are compared with one run only.
        let options = Options { keep_events: twin.parting.is_none(), ..job.options };
        let Ok(run) = engine::run(&Plan::new(&scenario, job.seed), options) else {
            twin.untried += 1;
            continue;
        };
        let broken = run.verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
        let broken: Vec<String> = broken.map(|invariant| invariant.name.clone()).collect();
        if let Some(other) = run.events.filter(|_| broken.is_empty()) {
            let others = names.again(&other);
            twin.parting = parting((names, events), (&others, &other));
        }
        twin.trials.push(Trial { without: words(job, &fault), broken });
    }
    twin
}

/// The places of the faults in the scenario, the likeliest to blame first: the last to begin before the first breach.
fn order(job: &Job, verdict: &Verdict) -> Vec<usize> {
    let violations = verdict.invariants.iter().flat_map(|invariant| &invariant.violations);
    let first_us = violations.map(|violation| violation.at_us).min().unwrap_or(u64::MAX);
    let faults = &job.scenario.faults;
    let begins = |place: &usize| faults[*place].at.map(|at| job.scenario.warmup.as_micros() + at.as_micros());
    let mut places: Vec<usize> = (0..faults.len()).collect();
    // What waits for an event may have begun at any time: after those that are known to have begun before the breach.
    places.sort_by_key(|place| match begins(place) {
        Some(at_us) if at_us <= first_us => (0, u64::MAX - at_us),
        None => (1, 0),
        Some(at_us) => (2, at_us),
    });
    places
}

/// `kill source-active at 10s`.
fn words(job: &Job, fault: &Fault) -> String {
    let begins = match (&fault.after, fault.at) {
        (Some(after), _) => format!("after the {after}"),
        (None, at) => {
            let at_us = job.scenario.warmup.as_micros() + at.unwrap_or_default().as_micros();
            format!("at {}", crate::span::Span::from_micros(at_us))
        }
    };
    format!("{} {} {begins}", fault.kind.word(), fault.target)
}

/// A record, and what its addresses mean.
type Record<'a> = (&'a Names, &'a [Timed]);

/// Where two records part, but for what the driver says of faults. None: nowhere.
fn parting(here: Record<'_>, there: Record<'_>) -> Option<Parting> {
    let of_faults = |timed: &Timed| matches!(timed.event, Event::FaultStart { .. } | Event::FaultStop { .. });
    let told =
        |events: &[Timed]| -> Vec<usize> { (0..events.len()).filter(|place| !of_faults(&events[*place])).collect() };
    let (ours, theirs) = (told(here.1), told(there.1));
    let equal = |(our, their): &(&usize, &usize)| here.1[**our] == there.1[**their];
    let same = ours.iter().zip(&theirs).take_while(equal).count();
    if same == ours.len() && same == theirs.len() {
        return None;
    }
    let lines = |(names, events): Record<'_>, places: &[usize]| -> Vec<Line> {
        places.iter().map(|place| Line { event: *place as u64, text: names.line(&events[*place]) }).collect()
    };
    let after = |places: &[usize]| places[same..places.len().min(same + AFTER)].to_vec();
    Some(Parting {
        before: lines(here, &ours[same.saturating_sub(BEFORE)..same]),
        here: lines(here, &after(&ours)),
        there: lines(there, &after(&theirs)),
    })
}

#[cfg(test)]
mod tests {
    use reports::tiers::Tiers;
    use wire::event::Phase;
    use wire::id::{ProxyId, SourceId};

    use super::*;

    fn dial(at_us: u64, source: u16) -> Timed {
        Timed { at_us, event: Event::ProxyDial { proxy: ProxyId(0), source: SourceId(source) } }
    }

    fn fault(at_us: u64) -> Timed {
        Timed { at_us, event: Event::FaultStart { fault: 0, kind: "kill".into(), target: "source-0".into() } }
    }

    /// The numbers of the first events that differ.
    fn check(here: &[Timed], there: &[Timed], expect: Option<(Option<u64>, Option<u64>)>) {
        let names = Names::new(Tiers { sources: 2, proxies: 1, edges: 0 }, &[]);
        let found = parting((&names, here), (&names, there));
        let first = |lines: &[Line]| lines.first().map(|line| line.event);
        assert_eq!(found.map(|parting| (first(&parting.here), first(&parting.there))), expect);
    }

    #[test]
    fn runs_part_at_the_first_thing_that_is_no_fault() {
        let phase = Timed { at_us: 0, event: Event::Phase { phase: Phase::Steady } };
        check(&[dial(1, 0), dial(2, 1)], &[dial(1, 0), dial(2, 1)], None);
        // A fault more is no difference; what it brings about is.
        check(&[dial(1, 0), fault(2), dial(3, 1)], &[dial(1, 0), dial(3, 1)], None);
        check(&[dial(1, 0), fault(2), dial(3, 1)], &[dial(1, 0), dial(4, 1)], Some((Some(2), Some(1))));
        check(std::slice::from_ref(&phase), &[phase.clone(), dial(1, 0)], Some((None, Some(1))));
        check(&[], &[dial(1, 0)], Some((None, Some(0))));
    }
}
