//! Makes a failing scenario smaller while it still fails in the same way: until nothing can be taken away from it.
//!
//! ```text
//!   scenario --> aim --> horizon --> faults --> cast --> plain --> round --.   each a list of candidates, the boldest first;
//!                 ^                                                        |   the first one that still fails is the new scenario
//!                 '-------- again, until one whole turn takes nothing -----'
//! ```
//!
//! Candidates are pure: a smaller scenario, made of a scenario and of what its run showed. Each is held against the rules of files first, and run with the same
//! seed, planted bug and order of ready tasks. It is taken only if it fails with the same [`Fingerprint`]. Since draws are keyed, what is taken away
//! shifts nobody else's. Candidates of one list run side by side, and the first one *in the list* that fails is taken, so the result does not
//! depend on how many run at once.

mod aim;
mod cast;
mod faults;
mod horizon;
mod plain;
mod round;
mod search;

use std::time::Duration;

use reports::metrics::FaultWindow;
use reports::record::{Outcome, Verdict};
use serde::Serialize;

use self::search::Search;
use crate::campaign;
use crate::engine::{self, EngineError, Options};
use crate::fingerprint::Fingerprint;
use crate::model::Scenario;
use crate::plan::Plan;

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Runs at the same time, at least 1.
    pub jobs: usize,
    /// No further candidate is tried after this long.
    pub time: Option<Duration>,
    /// No more candidates are run than this.
    pub runs: u64,
    /// A run that takes longer than this on the wall hangs: a bug in the harness.
    pub watchdog: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            jobs: crate::campaign::cores(),
            time: Some(Duration::from_secs(30)),
            runs: 5_000,
            watchdog: Duration::from_secs(300),
        }
    }
}

/// How large a scenario and its run are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Size {
    /// Entries of `faults`.
    pub faults: usize,
    /// Of all groups together.
    pub clients: u32,
    /// Instances of the source.
    pub sources: u16,
    /// Proxies, edges among them.
    pub proxies: u16,
    /// Symbols of the source.
    pub symbols: u32,
    /// How long the run is.
    pub sim_seconds: f64,
    /// Events of the run.
    pub events: u64,
}

impl Size {
    fn of(scenario: &Scenario, seen: &Seen) -> Self {
        Self {
            faults: scenario.faults.len(),
            clients: scenario.clients.iter().map(|group| group.count).sum(),
            sources: scenario.sources.count,
            proxies: scenario.proxy.count + scenario.edge.as_ref().map_or(0, |edge| edge.count),
            symbols: scenario.sources.symbols,
            sim_seconds: seen.sim_seconds,
            events: seen.events,
        }
    }
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// It fails in the same way, and was taken.
    Taken,
    /// It passes.
    Passes,
    /// It neither fails nor shows enough to pass.
    Inconclusive,
    /// It fails, but otherwise.
    FailsOtherwise(Fingerprint),
    /// It fails in the same way, but not for the same cause: its [`Control`] does not pass any more.
    FailsAnyway(Control),
    /// The harness could not run it.
    Harness(String),
}

/// The run beside each candidate that fails: without the cause there must be no failure, or the scenario has become one in which nobody could pass (a
/// proxy that has no time to recover does not).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Without the planted bug it passes.
    Sound,
    /// Without any fault it does not fail in the same way.
    Calm,
}

impl Control {
    /// In words, to continue "was also run".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Control::Sound => "without the planted bug",
            Control::Calm => "without any fault",
        }
    }
}

/// One candidate that was run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The part of the work: `faults`, `cast`.
    pub part: &'static str,
    /// What it does to the scenario before it: `without kill of source-0 at 4s`.
    pub what: String,
    /// What became of it.
    pub became: Became,
    /// How large the scenario was after it.
    pub size: Size,
}

/// News while it goes on.
#[derive(Debug)]
pub enum News<'a> {
    /// A candidate was run; so many were by now.
    Tried(&'a Step, u64),
    /// The run of a candidate (what was done to the scenario), or of the original hangs: its thread cannot be ended, so the process must be.
    Hangs(&'a str),
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// A whole turn took nothing: without any one part of what is left it no longer fails in this way.
    Minimal,
    /// The time was over.
    TimeOver,
    /// The runs were used up.
    RunsOver,
}

/// What is left, and how it came to that.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// Fails in the same way; the name and all words are those of the original.
    pub scenario: Scenario,
    /// Of the original.
    pub before: Size,
    /// Of what is left.
    pub after: Size,
    /// Why it ended.
    pub ended: Ended,
    /// What was run beside each candidate that was taken, and did not fail; none where the original's did not hold either.
    pub control: Option<Control>,
    /// All candidates that were run, in order.
    pub steps: Vec<Step>,
    /// Candidates that no scenario file may say, and that were not run.
    pub unlawful: u64,
    /// What is left of faults, groups, sources and proxies, each with what became of the scenario without it. Only if nothing more can be taken away.
    pub needed: Vec<Needed>,
}

/// A part without which the scenario no longer fails in this way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Needed {
    /// `kill of source-0 at 4s`.
    pub part: String,
    /// What became of the scenario without it; none: without it there would be no lawful scenario.
    pub without: Option<Became>,
}

impl Shrunk {
    /// Candidates that were run.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.steps.len()
    }

    /// Of these, those that were taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.steps.iter().filter(|step| step.became == Became::Taken).count()
    }
}

/// Why there is nothing to shrink.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// It does not fail in this way, so nothing can be smaller that does.
    #[error("the run does not fail with `{fingerprint}`: {}", said(.became))]
    DoesNotFail {
        /// In which way it was to fail.
        fingerprint: Box<Fingerprint>,
        /// What it does instead.
        became: Became,
    },
    /// It, or it without its cause, hangs on the wall: a bug in the harness. Its thread cannot be ended, so the process must be.
    #[error("the run hangs on the wall")]
    Hangs,
    /// The engine cannot run it, or failed itself.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// In words, to continue "it".
#[must_use]
pub fn said(became: &Became) -> String {
    match became {
        Became::Taken => "fails in the same way".to_owned(),
        Became::Passes => "passes".to_owned(),
        Became::Inconclusive => "is inconclusive".to_owned(),
        Became::FailsOtherwise(fingerprint) => format!("fails otherwise, with `{fingerprint}`"),
        Became::FailsAnyway(Control::Sound) => "fails, but does not pass without the planted bug".to_owned(),
        Became::FailsAnyway(Control::Calm) => "fails, but does so without any fault, too".to_owned(),
        Became::Harness(why) => format!("cannot be run: {why}"),
    }
}

/// Makes a scenario smaller that fails in this way with this seed and these options.
///
/// # Errors
/// [`ShrinkError`], where it does not fail so, or cannot be run.
pub fn shrink(
    scenario: &Scenario,
    seed: u64,
    options: Options,
    fingerprint: &Fingerprint,
    bounds: Bounds,
    each: &mut dyn FnMut(News<'_>),
) -> Result<Shrunk, ShrinkError> {
    let options = Options { keep_events: false, ..options };
    let plan = Plan::new(scenario, seed);
    engine::able(&plan, options.engine)?;
    let Some(run) = campaign::watched(bounds.watchdog, move || engine::run(&plan, options)) else {
        each(News::Hangs("nothing taken away"));
        return Err(ShrinkError::Hangs);
    };
    let run = run?;
    let seen = Seen::of(&run.verdict, &run.metrics.faults, fingerprint);
    if seen.became != Became::Taken {
        return Err(ShrinkError::DoesNotFail { fingerprint: Box::new(fingerprint.clone()), became: seen.became });
    }
    let look = look(seed, fingerprint.clone());
    let holds = holds(options, look.clone());
    let control = if options.mutant.is_some() { Control::Sound } else { Control::Calm };
    let (original, beside) = (scenario.clone(), holds.clone());
    let Some(held) = campaign::watched(bounds.watchdog, move || beside(control, &original)) else {
        each(News::Hangs("without the cause"));
        return Err(ShrinkError::Hangs);
    };
    let control = Some(control).filter(|_| held);
    let trial = |scenario: &Scenario| {
        let seen = look(scenario, options);
        match control.filter(|_| seen.became == Became::Taken) {
            Some(control) if !holds(control, scenario) => Seen { became: Became::FailsAnyway(control), ..seen },
            _ => seen,
        }
    };
    let lawful = |scenario: &Scenario| engine::able(&Plan::new(scenario, seed), options.engine).is_ok();
    let search = Search::new(&trial, &lawful, bounds, fingerprint, each);
    Ok(Shrunk { control, ..search.run(scenario.clone(), seen) })
}

/// What a run of a scenario shows.
fn look(seed: u64, fingerprint: Fingerprint) -> impl Fn(&Scenario, Options) -> Seen + Clone + Send + Sync + 'static {
    move |scenario, options| match engine::run(&Plan::new(scenario, seed), options) {
        Ok(run) => Seen::of(&run.verdict, &run.metrics.faults, &fingerprint),
        Err(error) => Seen::harness(&error),
    }
}

/// Whether a scenario does not fail in the same way without the cause.
fn holds(
    options: Options,
    look: impl Fn(&Scenario, Options) -> Seen + Clone + Send + Sync + 'static,
) -> impl Fn(Control, &Scenario) -> bool + Clone + Send + Sync + 'static {
    move |control, scenario| match control {
        Control::Sound => look(scenario, Options { mutant: None, ..options }).became == Became::Passes,
        Control::Calm => {
            let calm = Scenario { faults: Vec::new(), ..scenario.clone() };
            look(&calm, options).became != Became::Taken
        }
    }
}

/// What a run showed, as far as it matters here.
#[derive(Clone, Debug)]
struct Seen {
    became: Became,
    /// When it first failed in this way.
    at_us: u64,
    sim_seconds: f64,
    events: u64,
    /// Every fault as it really was.
    faults: Vec<FaultWindow>,
}

impl Seen {
    fn of(verdict: &Verdict, faults: &[FaultWindow], fingerprint: &Fingerprint) -> Self {
        let became = match (fingerprint.first_at(verdict), verdict.verdict, Fingerprint::first(verdict)) {
            (Some(_), ..) => Became::Taken,
            (None, _, Some(other)) => Became::FailsOtherwise(other),
            (None, Outcome::Pass, None) => Became::Passes,
            (None, _, None) => Became::Inconclusive,
        };
        Self {
            became,
            at_us: fingerprint.first_at(verdict).unwrap_or_default(),
            sim_seconds: verdict.sim_seconds,
            events: verdict.events,
            faults: faults.to_vec(),
        }
    }

    fn harness(error: &EngineError) -> Self {
        let became = Became::Harness(error.to_string());
        Self { became, at_us: 0, sim_seconds: 0.0, events: 0, faults: Vec::new() }
    }
}

/// A scenario that may still fail.
#[derive(Clone, Debug)]
struct Candidate {
    scenario: Scenario,
    /// What was done, in words.
    what: String,
    /// The number of the part that it is about: after it was taken, those of the same part and of later ones are tried.
    part: usize,
}

/// What is known of the scenario that candidates are made of.
#[derive(Clone, Copy, Debug)]
struct Now<'a> {
    scenario: &'a Scenario,
    seen: &'a Seen,
    needs: &'a Fingerprint,
}

impl Now<'_> {
    /// A candidate: this scenario with a change.
    fn with(&self, part: usize, what: impl Into<String>, change: impl FnOnce(&mut Scenario)) -> Candidate {
        let mut scenario = self.scenario.clone();
        change(&mut scenario);
        Candidate { scenario, what: what.into(), part }
    }
}

/// A list of candidates, and its name.
type List = (&'static str, fn(&Now<'_>) -> Vec<Candidate>);

/// All lists, in the order in which they are gone through.
const LISTS: [List; 12] = [
    ("aim", aim::candidates),
    ("horizon", horizon::candidates),
    ("faults", faults::away),
    ("faults", faults::settled),
    ("cast", cast::groups),
    ("cast", cast::clients),
    ("cast", cast::hosts),
    ("cast", cast::symbols),
    ("plain", plain::workload),
    ("plain", plain::left_out),
    ("horizon", horizon::earlier),
    ("round", round::candidates),
];
