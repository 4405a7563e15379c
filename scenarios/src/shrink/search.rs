//! The search: lists of candidates, gone through until one whole turn takes nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::{Became, Bounds, Candidate, Ended, LISTS, Needed, News, Now, Seen, Shrunk, Size, Step, cast, faults};
use crate::fingerprint::Fingerprint;
use crate::model::Scenario;
use crate::parse::judge;

/// Turns at most: each takes something, and what is taken never comes back, so there are few.
const TURNS_MAX: usize = 50;

/// Runs a scenario.
pub(super) type Trial<'a> = &'a (dyn Fn(&Scenario) -> Seen + Sync);
/// Whether the engine can run a scenario.
pub(super) type Lawful<'a> = &'a dyn Fn(&Scenario) -> bool;

pub(super) struct Search<'a> {
    trial: Trial<'a>,
    able: Lawful<'a>,
    bounds: Bounds,
    needs: &'a Fingerprint,
    each: &'a mut dyn FnMut(News<'_>),
    began: Instant,
    /// What is known of scenarios that were run, by the hash of their text.
    known: HashMap<u128, Seen>,
    steps: Vec<Step>,
    unlawful: u64,
    over: Option<Ended>,
}

/// A candidate that a file may say.
struct Ready {
    scenario: Scenario,
    what: String,
    part: usize,
    text: u128,
}

impl<'a> Search<'a> {
    #[expect(clippy::disallowed_methods, reason = "outside all runs: how long the search may take")]
    pub(super) fn new(
        trial: Trial<'a>,
        able: Lawful<'a>,
        bounds: Bounds,
        needs: &'a Fingerprint,
        each: &'a mut dyn FnMut(News<'_>),
    ) -> Self {
        Self {
            trial,
            able,
            bounds,
            needs,
            each,
            began: Instant::now(),
            known: HashMap::new(),
            steps: Vec::new(),
            unlawful: 0,
            over: None,
        }
    }

    /// Shrinks a scenario of which a run showed this.
    pub(super) fn run(mut self, scenario: Scenario, seen: Seen) -> Shrunk {
        let before = Size::of(&scenario, &seen);
        let mut now = (scenario, seen);
        for turn in 0..TURNS_MAX {
            let taken = self.taken();
            for (number, (part, list)) in LISTS.into_iter().enumerate() {
                if turn == 0 && number == FAULTS {
                    self.halves(&mut now);
                }
                self.go_through(part, list, &mut now);
            }
            if self.over.is_some() || self.taken() == taken {
                break;
            }
        }
        let needed = if self.over.is_none() { self.needed(&now) } else { Vec::new() };
        let (scenario, seen) = now;
        Shrunk {
            after: Size::of(&scenario, &seen),
            scenario,
            before,
            ended: self.over.unwrap_or(Ended::Minimal),
            control: None,
            steps: self.steps,
            unlawful: self.unlawful,
            needed,
        }
    }

    fn taken(&self) -> usize {
        self.steps.iter().filter(|step| step.became == Became::Taken).count()
    }

    /// Goes through a list: what is taken makes a new list, which is gone on with where the old one stood.
    fn go_through(&mut self, part: &'static str, list: fn(&Now<'_>) -> Vec<Candidate>, now: &mut (Scenario, Seen)) {
        let mut from = 0;
        while self.over.is_none() {
            let mut candidates = list(&Now { scenario: &now.0, seen: &now.1, needs: self.needs });
            candidates.retain(|candidate| candidate.part >= from);
            match self.first_that_fails(part, candidates, now) {
                Some(taken) => from = taken,
                None => return,
            }
        }
    }

    /// The faults by halves, quarters and so on (ddmin): each piece alone, then all but a piece.
    fn halves(&mut self, now: &mut (Scenario, Seen)) {
        let mut pieces = 2;
        while self.over.is_none() && pieces <= now.0.faults.len() {
            let before = now.0.faults.len();
            let candidates = faults::pieces(&now.0, pieces);
            match self.first_that_fails("faults", candidates, now) {
                Some(_) if now.0.faults.len() <= before.div_ceil(pieces) => pieces = 2,
                Some(_) => pieces = (pieces - 1).max(2),
                None if pieces == before => return,
                None => pieces = (pieces * 2).min(before),
            }
        }
    }

    /// Takes the first candidate of a list that still fails in the same way, and gives the number of its part.
    fn first_that_fails(
        &mut self,
        part: &'static str,
        candidates: Vec<Candidate>,
        now: &mut (Scenario, Seen),
    ) -> Option<usize> {
        let own = text(&now.0).map(|text| text.1);
        let mut ready: Vec<Ready> = Vec::new();
        for candidate in candidates {
            match self.lawful(candidate) {
                Some(one) if Some(one.text) == own || ready.iter().any(|other| other.text == one.text) => {}
                // It was run before, and did not fail in this way, or is a larger one that was left behind.
                Some(one) if self.known.contains_key(&one.text) => {}
                Some(one) => ready.push(one),
                None => {}
            }
        }
        let left = self.bounds.runs.saturating_sub(self.steps.len() as u64);
        let more = ready.len() as u64 > left;
        ready.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let (done, in_time) = self.side_by_side(&ready);
        for (one, seen) in ready.into_iter().zip(done) {
            let taken = seen.became == Became::Taken;
            if taken {
                *now = (one.scenario, seen.clone());
            }
            let size = Size::of(&now.0, &now.1);
            self.steps.push(Step { part, what: one.what, became: seen.became.clone(), size });
            self.known.insert(one.text, seen);
            if let Some(step) = self.steps.last() {
                (self.each)(News::Tried(step, self.steps.len() as u64));
            }
            if taken {
                return Some(one.part);
            }
        }
        if !in_time {
            self.over = Some(Ended::TimeOver);
        } else if more {
            self.over = Some(Ended::RunsOver);
        }
        None
    }

    /// The candidate as a file says it; none if no file may.
    fn lawful(&mut self, candidate: Candidate) -> Option<Ready> {
        let Candidate { scenario, what, part } = candidate;
        let read = text(&scenario).and_then(|(file, text)| Some((judge(&file).ok()?, text)));
        match read {
            Some((scenario, text)) if (self.able)(&scenario) => Some(Ready { scenario, what, part, text }),
            _ => {
                self.unlawful += 1;
                None
            }
        }
    }

    /// Runs candidates in order, some at once, up to the first that fails in the same way. Gives what was seen of each from the first on without a gap, and
    /// whether the time sufficed for all.
    #[expect(clippy::disallowed_methods, reason = "outside all runs: spreads them over threads and watches the wall")]
    fn side_by_side(&mut self, ready: &[Ready]) -> (Vec<Seen>, bool) {
        let (trial, bounds, began, each) = (self.trial, self.bounds, self.began, &mut *self.each);
        let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let in_time = AtomicBool::new(true);
        let under_way: Mutex<HashMap<usize, Instant>> = Mutex::default();
        let (sender, receiver) = mpsc::channel();
        let mut seen: Vec<Option<Seen>> = vec![None; ready.len()];
        std::thread::scope(|scope| {
            for _ in 0..bounds.jobs.clamp(1, ready.len().max(1)) {
                let (sender, under_way) = (sender.clone(), &under_way);
                let (next, found, in_time) = (&next, &found, &in_time);
                let clock = || under_way.lock().unwrap_or_else(PoisonError::into_inner);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::SeqCst);
                        // What stands behind one that fails is not asked for.
                        if index >= ready.len() || index > found.load(Ordering::SeqCst) {
                            return;
                        }
                        if bounds.time.is_some_and(|time| began.elapsed() > time) {
                            in_time.store(false, Ordering::SeqCst);
                            return;
                        }
                        clock().insert(index, Instant::now());
                        let seen = trial(&ready[index].scenario);
                        clock().remove(&index);
                        if seen.became == Became::Taken {
                            found.fetch_min(index, Ordering::SeqCst);
                        }
                        if sender.send((index, seen)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            loop {
                match receiver.recv_timeout(Duration::from_secs(1)) {
                    Ok((index, one)) => seen[index] = Some(one),
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        let clock = under_way.lock().unwrap_or_else(PoisonError::into_inner);
                        let hangs = clock.iter().filter(|(_, since)| since.elapsed() > bounds.watchdog);
                        if let Some(index) = hangs.map(|(index, _)| *index).min() {
                            each(News::Hangs(&ready[index].what));
                        }
                    }
                }
            }
        });
        (seen.into_iter().map_while(|seen| seen).collect(), in_time.into_inner())
    }

    /// What became of the scenario without each of its parts.
    fn needed(&self, now: &(Scenario, Seen)) -> Vec<Needed> {
        let parts = |now: &Now<'_>| {
            let mut parts = faults::parts(now);
            parts.extend(cast::parts(now));
            parts
        };
        let parts = parts(&Now { scenario: &now.0, seen: &now.1, needs: self.needs });
        let became = |(part, Candidate { scenario, .. }): (String, Candidate)| {
            let known = text(&scenario).and_then(|(_, text)| self.known.get(&text));
            Needed { part, without: known.map(|seen| seen.became.clone()) }
        };
        parts.into_iter().map(became).collect()
    }
}

/// The place in [`LISTS`] before which faults are taken by halves.
const FAULTS: usize = 2;

/// The file that says a scenario, and its hash.
fn text(scenario: &Scenario) -> Option<(String, u128)> {
    let file = scenario.to_toml().ok()?;
    let hash = xxhash_rust::xxh3::xxh3_128(file.as_bytes());
    Some((file, hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Builder;
    use crate::check::Objectives;
    use crate::model::{Clients, Fault, FaultKind, Sources};
    use crate::span::Span;

    /// Nine faults on four sources, and two groups of clients.
    fn large() -> Scenario {
        let mut builder = Builder::new("large", "A test.")
            .tags(["some"])
            .sources(Sources::new(4))
            .clients(Clients::new("idle", 7))
            .clients(Clients { strong: 0.5, ..Clients::new("busy", 40) })
            .check(Objectives {
                symbol_order: Some(Default::default()),
                no_duplicates: Some(Default::default()),
                ..Objectives::default()
            });
        for (index, target) in ["source-0", "proxy-0", "source-3", "busy"].into_iter().cycle().take(8).enumerate() {
            let fault = Fault::at(Span::from_millis(1_000 + 730 * index as u64), FaultKind::Stall, target);
            builder = builder.fault(Fault { lasts: Some(Span::from_millis(500)), ..fault });
        }
        builder
            .fault(Fault::at(Span::from_millis(6_270), FaultKind::Kill, "source-2"))
            .build()
            .expect("a lawful scenario")
    }

    fn seen(became: Became) -> Seen {
        Seen { became, at_us: 8_500_000, sim_seconds: 15.0, events: 9, faults: Vec::new() }
    }

    /// It fails while some source is killed and the group `busy` has three clients.
    fn trial(scenario: &Scenario) -> Seen {
        let killed = scenario.faults.iter().any(|fault| fault.kind == FaultKind::Kill);
        let busy = scenario.clients.iter().any(|group| group.name == "busy" && group.count >= 3);
        seen(if killed && busy { Became::Taken } else { Became::Passes })
    }

    fn shrunk(bounds: Bounds) -> Shrunk {
        let needs = "no-duplicates: client-# got # a second time".parse().expect("a fingerprint");
        let mut each = |_: News<'_>| {};
        let search = Search::new(&trial, &|_| true, bounds, &needs, &mut each);
        search.run(large(), seen(Became::Taken))
    }

    fn bounds(jobs: usize) -> Bounds {
        Bounds { jobs, time: None, ..Bounds::default() }
    }

    #[test]
    fn what_is_left_is_what_matters_and_it_is_said_what_becomes_without_it() {
        let Shrunk { scenario, ended, needed, steps, .. } = shrunk(bounds(1));
        assert_eq!(ended, Ended::Minimal);
        let faults: Vec<String> = scenario.faults.iter().map(faults::words).collect();
        assert_eq!(faults, ["kill of source-0 at 0s"], "a source that is left has the number of one that went");
        assert_eq!(scenario.sources.count, 1);
        let groups: Vec<(&str, u32)> =
            scenario.clients.iter().map(|group| (group.name.as_str(), group.count)).collect();
        assert_eq!(groups, [("busy", 3)]);
        assert!(scenario.tags.is_empty() && scenario.check.symbol_order.is_none());
        let needed: Vec<(&str, Option<&Became>)> =
            needed.iter().map(|needed| (needed.part.as_str(), needed.without.as_ref())).collect();
        let passes = Some(&Became::Passes);
        assert_eq!(needed, [("kill of source-0 at 0s", passes), ("one of the 3 clients in group busy", passes)]);
        assert!(steps.len() < 250, "{} runs", steps.len());
    }

    #[test]
    fn the_result_does_not_depend_on_how_many_run_at_once() {
        let (one, four) = (shrunk(bounds(1)), shrunk(bounds(4)));
        assert_eq!(one.steps, four.steps);
        assert_eq!((one.scenario, one.unlawful), (four.scenario, four.unlawful));
    }

    #[test]
    fn where_time_or_runs_are_over_it_is_not_said_that_nothing_more_can_go() {
        let none = shrunk(Bounds { time: Some(Duration::ZERO), ..bounds(1) });
        assert_eq!((none.ended, none.tried(), none.needed.len()), (Ended::TimeOver, 0, 0));
        let few = shrunk(Bounds { runs: 5, ..bounds(2) });
        assert_eq!((few.ended, few.tried()), (Ended::RunsOver, 5));
        assert_eq!(trial(&few.scenario).became, Became::Taken, "what there is still fails");
    }
}
