//! The search of one axis: trials, in the order in which `capacity::search` asks for them.
//!
//! A trial is judged by goodput alone. The CPU that it took only says where to look next: where a core is full, little holds. Time that is left when the search is
//! over goes into loads below the one that was found: laws, memory lines and costs want more than the knee.

use std::time::{Duration, Instant};

use capacity::search::{Answer, Effort, End, Search, Stage};
use reports::capacity::{Axis as AxisReport, Found, Health, Step};

use super::axis::{Axis, STAY, Trial};
use super::budget;
use super::judge::{Judged, Measured, TAKEN};
use super::measure::{Progress, SizingError};
use super::model;
use super::sentence;
use super::settings::Settings;
use super::trial::Bench;

/// Longer windows in which a load must hold.
const CONFIRMATIONS: u32 = 2;
/// Trials of one axis.
const TRIALS_MAX: u32 = 40;
/// A core that is as busy as this is about to be full.
const FULL: f64 = 0.96;
/// A core that is less busy says nothing of where it is full.
const IDLE: f64 = 0.02;
/// A guess is not farther than this from the greatest load that was seen to hold.
const GUESS_MAX: f64 = 4.0;

/// How often a trial that says nothing is run again.
const TRIES_AGAIN: u32 = 2;
/// Loads that are looked at afterwards, as parts of the greatest that holds.
const SURVEY: [f64; 3] = [0.75, 0.5, 0.25];
/// Where a load as near as this one was tried, it need not be again.
const NEAR: f64 = 0.15;

/// One search, and what it leaves for others.
pub(super) struct Searched {
    pub(super) report: AxisReport,
    pub(super) descriptors_max: Option<u64>,
}

/// The trials of an axis, within their time.
struct Trials<'a, 'b> {
    axis: Axis,
    until: Instant,
    settings: &'a Settings,
    bench: &'a Bench<'b>,
    progress: &'a mut dyn Progress,
    steps: Vec<Step>,
    descriptors_max: Option<u64>,
}

impl Trials<'_, '_> {
    /// Tries a load, and again at once where the machine may have been at fault: of a trial that failed only where others follow that are longer. None: there was no
    /// time for it.
    fn judged(&mut self, load: f64, window: Duration, stage: &str) -> Result<Option<Judged>, SizingError> {
        let trial = self.axis.trial(load, window, self.settings);
        let Some((first, doubtful)) = self.tried(&trial, stage)? else { return Ok(None) };
        if !doubtful || first.answer == Answer::Fails && stage == words(Stage::Confirm) {
            return Ok(Some(first));
        }
        let mut judged = first;
        for _ in 0..TRIES_AGAIN {
            let place = self.steps.len() - 1;
            let Some((next, again)) = self.tried(&trial, stage)? else { break };
            if next.answer == Answer::Holds {
                self.steps[place].why.push_str("; not so when it was tried again at once");
            }
            // Of a failure the second answer counts; of what says nothing, the first that says something.
            let settled = judged.answer == Answer::Fails || next.answer != Answer::Unhealthy || !again;
            judged = next;
            if settled {
                break;
            }
        }
        Ok(Some(judged))
    }

    /// The most that may be tried and leaves time to be confirmed.
    fn most_with_time(&self, most: f64, window: Duration) -> f64 {
        let left = self.until.saturating_duration_since(now());
        let takes = |load: f64, window| self.axis.trial(load, window, self.settings).takes();
        let fits = |load: &f64| takes(*load, window) + takes(*load, window * budget::CONFIRM) * CONFIRMATIONS <= left;
        let loads = std::iter::successors(Some(most), |load| Some(load * 0.8));
        loads.take_while(|load| *load >= 1.0).find(fits).unwrap_or(1.0)
    }

    fn tried(&mut self, trial: &Trial, stage: &str) -> Result<Option<(Judged, bool)>, SizingError> {
        if now() + trial.takes() > self.until {
            return Ok(None);
        }
        let measured = self.bench.run(trial)?;
        let judged = measured.judge(self.settings.goodput_min);
        self.descriptors_max = self.descriptors_max.or(measured.descriptors_max);
        let step = step(&measured, &judged, stage);
        self.progress.step(self.axis, &step);
        self.steps.push(step);
        let doubtful = measured.is_doubtful(&judged);
        Ok(Some((judged, doubtful)))
    }
}

#[expect(clippy::disallowed_methods, reason = "processes over real sockets take real time")]
fn now() -> Instant {
    Instant::now()
}

/// Finds the greatest load of an axis that holds, within its share of the time.
pub(super) fn search(
    axis: Axis,
    time: Duration,
    settings: &Settings,
    bench: &Bench<'_>,
    progress: &mut dyn Progress,
) -> Result<Searched, SizingError> {
    let what = axis.what(settings);
    progress.axis(axis, &what);
    let (until, window) = (now() + time, budget::window(time));
    let (start, least, most) = axis.range(settings);
    let mut search = Search::new(Effort {
        start,
        least,
        most,
        factor: 2.0,
        tolerance: settings.tolerance,
        confirmations: CONFIRMATIONS,
        trials_max: TRIALS_MAX,
    });
    let mut trials = Trials { axis, until, settings, bench, progress, steps: Vec::new(), descriptors_max: None };
    let (mut binds, mut fails_at, mut out_of_time) = (None, None, false);
    // The least load of which nothing could be said, and why.
    let mut unknown: Option<(f64, String)> = None;
    while let Some(asked) = search.ask() {
        let window = if asked.stage == Stage::Confirm { window * budget::CONFIRM } else { window };
        let Some(judged) = trials.judged(asked.load, window, words(asked.stage))? else {
            out_of_time = true;
            break;
        };
        if judged.answer == Answer::Fails && fails_at.is_none_or(|at| asked.load <= at) {
            (fails_at, binds) = (Some(asked.load), judged.binds);
        }
        if judged.answer == Answer::Unhealthy && unknown.as_ref().is_none_or(|(at, _)| asked.load <= *at) {
            unknown = Some((asked.load, judged.why));
        }
        search.answer(judged.answer);
        let guess = match axis {
            Axis::Mixed | Axis::Rate => full_at(&trials.steps),
            // How many connections a second are let in is a matter of queues rather than of the core.
            Axis::Connect => None,
            // Those that get next to nothing are held to the last descriptor, as a rule.
            Axis::Held => Some(trials.most_with_time(most, window)),
        };
        guess.into_iter().for_each(|load| search.expect(load));
    }
    let best = search.best();
    for load in best.into_iter().flat_map(|(best, _)| SURVEY.map(|part| part * best)) {
        let near = |step: &Step| step.answer == "holds" && (step.load / load - 1.0).abs() < NEAR;
        if load >= least && !trials.steps.iter().any(near) {
            trials.judged(load, window, "survey")?;
        }
    }
    let Trials { steps, descriptors_max, .. } = trials;
    let confirmations = |load: f64| {
        let held = |step: &&Step| step.load == load && step.stage == "confirm" && step.answer == "holds";
        u32::try_from(steps.iter().filter(held).count()).unwrap_or(u32::MAX)
    };
    let found = best.map(|(load, confirmed)| Found { load, fails_at, confirmations: confirmations(load), confirmed });
    let end = match (search.end(), out_of_time) {
        (_, true) => "the time was over before the search was",
        (Some(End::Found), _) => sentence::FOUND,
        (Some(End::AtMost), _) => "all that may be tried holds",
        (Some(End::NothingHolds), _) => "nothing holds, down to the least that is tried",
        (Some(End::GeneratorGaveOut), _) if unknown.is_some_and(|(_, why)| why.starts_with(TAKEN)) => {
            "the machine had something else to do"
        }
        (Some(End::GeneratorGaveOut), _) => "the generator gave out",
        (Some(End::OutOfTrials) | None, _) => "there were no trials left",
    };
    let report = AxisReport {
        name: axis.name().to_owned(),
        what,
        unit: axis.unit().to_owned(),
        steps,
        found,
        end: end.to_owned(),
        binds,
    };
    Ok(Searched { report, descriptors_max })
}

/// The load at which the proxy's core is full: on the straight line through the least and the greatest load that held, or in proportion to the one that did.
fn full_at(steps: &[Step]) -> Option<f64> {
    let busy = steps.iter().filter(|step| step.answer == "holds").filter_map(|step| Some((step.load, step.proxy?.cpu)));
    let mut points: Vec<(f64, f64)> = busy.filter(|(_, cpu)| *cpu > IDLE).collect();
    points.sort_by(|one, next| one.0.total_cmp(&next.0));
    let (first, last) = (*points.first()?, *points.last()?);
    let slope = if last.0 > first.0 { (last.1 - first.1) / (last.0 - first.0) } else { last.1 / last.0 };
    // A line that does not rise leads nowhere.
    let load = if slope > 0.0 { last.0 + (FULL - last.1) / slope } else { last.0 * GUESS_MAX };
    Some(load.clamp(last.0, last.0 * GUESS_MAX))
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Grow => "grow",
        Stage::Bisect => "bisect",
        Stage::Confirm => "confirm",
    }
}

fn step(measured: &Measured, judged: &Judged, stage: &str) -> Step {
    let Measured { trial, heard, .. } = measured;
    let answer = match judged.answer {
        Answer::Holds => "holds",
        Answer::Fails => "fails",
        Answer::Unhealthy => "unhealthy",
    };
    Step {
        load: trial.load,
        stage: stage.to_owned(),
        answer: answer.to_owned(),
        why: judged.why.clone(),
        window_s: heard.window_s,
        connections: heard.opened,
        planned: measured.planned().round() as u64,
        delivered: heard.delivered,
        goodput: judged.goodput,
        latency: heard.latency,
        proxy: measured.proxy,
        generator: Health {
            healthy: heard.healthy,
            reasons: heard.reasons.clone(),
            cpu: heard.cpu,
            lateness_p99_us: heard.lateness_p99_us,
        },
        source_cpu: measured.source_cpu,
        // Connections that come and go: those that are there are as many as come a second, times how long they stay.
        little: measured
            .under_way
            .filter(|_| judged.answer == Answer::Holds)
            .map(|counted| model::little(counted, heard.opened as f64 / heard.window_s, STAY.as_secs_f64())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::step;
    use super::*;

    fn at(points: &[(f64, f64)]) -> Option<f64> {
        full_at(&points.iter().map(|(load, cpu)| step(*load, 1.0, *cpu, 1.0)).collect::<Vec<_>>())
    }

    #[test]
    fn where_the_core_is_full_is_guessed_from_what_held() {
        let near = |guess: Option<f64>, load: f64| guess.is_some_and(|guess| (guess / load - 1.0).abs() < 1e-9);
        assert!(near(at(&[(4_000.0, 0.48)]), 8_000.0));
        // 0.4 at 4,000 and 0.8 at 9,000: 0.08 a thousand.
        assert!(near(at(&[(9_000.0, 0.8), (4_000.0, 0.4)]), 11_000.0));
        assert!(near(at(&[(4_000.0, 0.03)]), 16_000.0), "not too far");
        assert!(near(at(&[(4_000.0, 0.5), (8_000.0, 0.5)]), 32_000.0), "no line");
        assert!(near(at(&[(4_000.0, 0.99)]), 4_000.0), "never below what held");
        assert_eq!((at(&[(4_000.0, 0.01)]), at(&[])), (None, None));
        let failed = Step { answer: "fails".to_owned(), ..step(4_000.0, 1.0, 0.5, 1.0) };
        assert_eq!(full_at(&[failed]), None);
    }
}
