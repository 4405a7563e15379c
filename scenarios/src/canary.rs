//! A run that must fail: proof that the alarm works, in this build, on this machine, now.
//!
//! A board that is always green says nothing. With every run of the whole catalogue one planted bug is run, too: its failure counts as passed, and if
//! nobody sees it, no verdict of this build is worth anything.

use std::time::Duration;

use reports::record::{Outcome, Verdict};
use reports::summary::Canary;

use crate::campaign;
use crate::engine::{self, EngineError, Options};
use crate::model::Engine;
use crate::mutants;
use crate::parse::parse;
use crate::plan::Plan;

const TEXT: &str = include_str!("canary.toml");

/// The planted bug, and who must blame it.
const MUTANT: &str = "repeats-a-message";
const MUST: &str = "no-duplicates";

/// What was heard of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// For the summary.
    pub canary: Canary,
    /// It hangs: its thread cannot be ended, so the process must be.
    pub hangs: bool,
}

/// Runs it, for so long on the wall at most. Where the harness itself fails it is silent, and its message says why.
#[must_use]
pub fn watched(engine: Engine, watchdog: Duration) -> Heard {
    heard(campaign::watched(watchdog, move || run(engine)), watchdog)
}

fn heard(result: Option<Result<Canary, EngineError>>, watchdog: Duration) -> Heard {
    let hangs = result.is_none();
    let why = match result {
        Some(Ok(canary)) => return Heard { canary, hangs },
        Some(Err(error)) => error.to_string(),
        None => format!("it hangs, for more than {} on the wall", humantime::format_duration(watchdog)),
    };
    let message = format!("its run did not come to its end: {why}");
    Heard { canary: Canary { rang: false, invariant: MUST.to_owned(), message }, hangs }
}

/// Runs it.
///
/// # Errors
/// [`EngineError`] where the harness itself fails.
///
/// # Panics
/// If the scenario in this folder is no scenario: a test sees to that.
pub fn run(engine: Engine) -> Result<Canary, EngineError> {
    let scenario = parse("canary.toml", TEXT).expect("the canary's scenario is good");
    let mutant = mutants::find(MUTANT).expect("the canary's bug is known");
    let options = Options { engine, mutant: Some(mutant), order: 0, keep_events: false };
    let run = engine::run(&Plan::new(&scenario, 1), options)?;
    Ok(judge(&run.verdict))
}

/// Whether the right alarm rang.
fn judge(verdict: &Verdict) -> Canary {
    let blamed = verdict.invariants.iter().find(|invariant| invariant.name == MUST);
    let first = blamed.filter(|blamed| blamed.verdict == Outcome::Fail).and_then(|blamed| blamed.violations.first());
    Canary {
        rang: first.is_some(),
        invariant: MUST.to_owned(),
        message: first.map_or_else(
            || format!("the planted bug {MUTANT} was not seen by {MUST}: no verdict of this build is worth anything"),
            |violation| violation.message.clone(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_rings_in_both_engines_and_its_evidence_is_shown() {
        for engine in [Engine::Sim, Engine::Turmoil] {
            let canary = run(engine).unwrap();
            assert!(canary.rang, "{engine:?}: {}", canary.message);
            assert!(canary.message.contains("a second time"), "{}", canary.message);
        }
    }

    #[test]
    fn a_run_that_fails_or_hangs_is_no_alarm_and_says_why() {
        let error = || EngineError::Failed {
            engine: "sim",
            scenario: "canary".to_owned(),
            seed: 1,
            why: "a task panicked".to_owned(),
        };
        let second = Duration::from_secs(1);
        for (result, hangs, why) in
            [(Some(Err(error())), false, "a task panicked"), (None, true, "hangs, for more than 1s")]
        {
            let heard = heard(result, second);
            assert_eq!((heard.hangs, heard.canary.rang), (hangs, false));
            assert!(heard.canary.message.contains(why), "{}", heard.canary.message);
        }
        assert!(watched(Engine::Sim, 300 * second).canary.rang);
    }

    #[test]
    fn an_alarm_that_does_not_ring_or_another_one_is_no_alarm() {
        let scenario = parse("canary.toml", TEXT).unwrap();
        let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: false };
        let mut verdict = engine::run(&Plan::new(&scenario, 1), options).unwrap().verdict;
        assert_eq!(verdict.verdict, Outcome::Pass);
        assert!(!judge(&verdict).rang);
        for invariant in verdict.invariants.iter_mut().filter(|invariant| invariant.name != MUST) {
            invariant.verdict = Outcome::Fail;
        }
        let canary = judge(&verdict);
        assert!(!canary.rang && canary.message.contains(MUTANT), "{canary:?}");
    }
}
