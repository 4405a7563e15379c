//! The file of a new entry, made of a scenario and its failing run.

use reports::record::{Outcome, Verdict};
use toml::Value;

use super::{Expect, Regression};
use crate::engine::{self, EngineError, Options};
use crate::fingerprint::Fingerprint;
use crate::model::{Reach, Scenario, State};
use crate::parse::tree::{self, Step};
use crate::parse::{brief, judge};
use crate::plan::Plan;

/// What is kept.
#[derive(Clone, Debug)]
pub struct Keep<'a> {
    /// The scenario that failed.
    pub scenario: &'a Scenario,
    /// With what it was run.
    pub options: Options,
    /// Its new name.
    pub name: &'a str,
    /// What is known of it.
    pub regression: Regression,
}

/// Why it is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It does not fail as it is said to.
    #[error("the run does not fail with `{0}`: what does not reproduce is not kept")]
    DoesNotFail(Fingerprint),
    /// It fails where it is to hold.
    #[error("it fails{}: it is no mended bug; mend it first, or --expect fails", .0.as_ref().map(|other| format!(" with `{other}`")).unwrap_or_default())]
    DoesNotHold(Option<Fingerprint>),
    /// No file may say it.
    #[error("the scenario is not lawful under this name: {0}")]
    NotLawful(String),
    /// The harness failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Of what the failing run did, this share must be done again: a mended proxy does not do exactly the same.
const SHARE: u64 = 2;

/// The text of the entry. It is run as it is expected to be: with its planted bug it must fail, and without it hold.
///
/// # Errors
/// [`KeepError`], where it does not.
pub fn keep(keep: &Keep<'_>) -> Result<String, KeepError> {
    let Keep { scenario, options, name, regression } = keep;
    let mut scenario = (*scenario).clone();
    scenario.name = (*name).to_owned();
    scenario.tags.clear();
    scenario.engines.clear();
    scenario.reach = every_state(&scenario);
    let run = |scenario: &Scenario, options: Options| {
        engine::run(&Plan::new(scenario, regression.seed), Options { keep_events: false, ..options })
            .map(|run| run.verdict)
    };
    let planted = options.mutant.is_some();
    let now = run(&scenario, *options)?;
    let fails = regression.fingerprint.shown_by(&now);
    // A bug that was mended and is not planted cannot be shown any more: what it must come near is what it comes near now.
    if !fails && (planted || regression.expect == Expect::Fails) {
        return Err(KeepError::DoesNotFail(regression.fingerprint.clone()));
    }
    let sound = if planted { run(&scenario, Options { mutant: None, ..*options })? } else { now.clone() };
    if regression.expect == Expect::Holds && sound.verdict == Outcome::Fail {
        return Err(KeepError::DoesNotHold(Fingerprint::first(&sound)));
    }
    scenario.reach = reached(&scenario, [&now, &sound]);
    let checked = [&now, &sound].map(|verdict| checked(verdict, regression.fingerprint.invariant()));
    let least = checked.into_iter().min().unwrap_or_default() / SHARE;
    let scenario = with_least(scenario, regression.fingerprint.invariant(), least);
    let scenario = lawful(&scenario).map_err(KeepError::NotLawful)?;
    let file = brief::brief(&scenario).map_err(|error| KeepError::NotLawful(error.to_string()))?;
    Ok(format!("{file}\n{}", table(regression)))
}

/// The states that a scenario may ask for.
fn every_state(scenario: &Scenario) -> Vec<Reach> {
    let asks = |state| Reach { state: Some(state), mark: None, at_least: 1 };
    let may = |state: &State| lawful(&Scenario { reach: vec![asks(*state)], ..scenario.clone() }).is_ok();
    State::ALL.into_iter().filter(may).map(asks).collect()
}

/// What both runs reached: states half as often as the one that did so less, and marks once.
fn reached(scenario: &Scenario, runs: [&Verdict; 2]) -> Vec<Reach> {
    let times = |name: &str, verdict: &Verdict| {
        let state = verdict.reached.iter().find(|reached| reached.name == name).map(|reached| reached.times);
        state.unwrap_or_default()
    };
    let states = scenario.reach.iter().filter_map(|reach| {
        let least = runs.iter().map(|verdict| times(reach.name(), verdict)).min().unwrap_or_default();
        (least > 0).then(|| Reach { at_least: (least / SHARE).max(1), ..reach.clone() })
    });
    let marks = runs[0].marks.keys().filter(|mark| runs[1].marks.contains_key(*mark));
    let marks = marks.map(|mark| Reach { state: None, mark: Some(mark.clone()), at_least: 1 });
    states.chain(marks).collect()
}

fn checked(verdict: &Verdict, invariant: &str) -> u64 {
    verdict.invariants.iter().find(|one| one.name == invariant).map_or(0, |one| one.checked)
}

/// With a floor under the checks of an objective, where it takes one.
fn with_least(scenario: Scenario, invariant: &str, least: u64) -> Scenario {
    let Some(root) = tree::of(&scenario).filter(|_| least > 1) else { return scenario };
    let Some(objective) = root.get("check").and_then(|check| check.as_table()?.get_key_value(invariant)) else {
        return scenario;
    };
    let known = tree::nodes(&root).into_iter().find(|node| node.name() == format!("check.{}", objective.0));
    let Some(node) = known else { return scenario };
    let mut path = node.path;
    path.push(Step::Key("checked-min"));
    let least = Value::Integer(i64::try_from(least).unwrap_or(i64::MAX));
    let floored = tree::changed(&root, &path, Some(least)).and_then(tree::read);
    floored.filter(|floored| lawful(floored).is_ok()).unwrap_or(scenario)
}

fn lawful(scenario: &Scenario) -> Result<Scenario, String> {
    let text = scenario.to_toml().map_err(|error| error.to_string())?;
    judge(&text).map_err(|problems| {
        problems
            .first()
            .map_or_else(|| "it is no TOML".to_owned(), |problem| format!("{}: {}", problem.path, problem.message))
    })
}

/// `[regression]`, a line a key.
fn table(regression: &Regression) -> String {
    let Regression { expect, fingerprint, seed, order, mutant, found_by, commit, date, why } = regression;
    let text = |key: &str, value: &str| format!("{key} = {}\n", Value::from(value));
    let mut table = format!("[regression]\n{}", text("expect", expect.word()));
    table += &text("fingerprint", &fingerprint.to_string());
    table += &format!("seed = {seed}\n");
    if *order != 0 {
        table += &format!("order = {order}\n");
    }
    table += &mutant.as_deref().map_or_else(String::new, |mutant| text("mutant", mutant));
    table += &text("found-by", found_by);
    table += &commit.as_deref().map_or_else(String::new, |commit| text("commit", commit));
    table += &text("date", date);
    table += &why.as_deref().map_or_else(String::new, |why| text("why", why));
    table
}
