//! Runs as they are done, held against the baselines of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reports::gate::{Comparison, Gate};
use reports::measures::Measures;

use super::baseline::{Baseline, BaselineError, scenario_hash};
use super::compare;
use crate::model::ServiceTime;

/// What is done with a scenario that has to have another baseline.
pub(super) const BLESS: &str = "if its figures are as they should be: windtunnel bless --reason \"...\"";

/// The baselines of a folder for some scenarios, and what was measured of them so far.
#[derive(Debug)]
pub struct Against {
    folder: PathBuf,
    scenarios: Vec<Scenario>,
}

#[derive(Debug)]
struct Scenario {
    name: String,
    /// Or why there is none to compare with.
    baseline: Result<Baseline, String>,
    measured: BTreeMap<u64, Measures>,
}

impl Against {
    /// No baselines yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), scenarios: Vec::new() }
    }

    /// Reads the baseline of a scenario. One that is missing, of another version or of another text leaves the scenario without comparison.
    ///
    /// # Errors
    /// A file that cannot be read, or is no baseline.
    pub fn expect(&mut self, name: &str, text: &str, service_time: Option<ServiceTime>) -> Result<(), BaselineError> {
        let file = Baseline::path(&self.folder, name);
        let baseline = match Baseline::read(&file) {
            Ok(baseline) if baseline.scenario_hash != scenario_hash(text, service_time) => {
                Err(format!("{} is of another text of this scenario (or other costs of work); {BLESS}", file.display()))
            }
            Ok(baseline) => Ok(baseline),
            Err(why @ (BaselineError::Missing(_) | BaselineError::Schema { .. })) => Err(format!("{why}; {BLESS}")),
            Err(error) => return Err(error),
        };
        self.scenarios.push(Scenario { name: name.to_owned(), baseline, measured: BTreeMap::new() });
        Ok(())
    }

    /// A scenario of which nothing was run: there is nothing to compare.
    pub fn absent(&mut self, name: &str) {
        let baseline = Err("no run of it was done".to_owned());
        self.scenarios.push(Scenario { name: name.to_owned(), baseline, measured: BTreeMap::new() });
    }

    /// The seeds that a scenario's baseline is made of; none where there is nothing to compare.
    #[must_use]
    pub fn seeds(&self, name: &str) -> &[u64] {
        let scenario = self.scenarios.iter().find(|scenario| scenario.name == name);
        scenario.and_then(|scenario| scenario.baseline.as_ref().ok()).map_or(&[], |baseline| &baseline.seeds)
    }

    /// Takes note of a run, if it is of a seed that counts.
    pub fn note(&mut self, name: &str, seed: u64, measures: &Measures) {
        let scenario = self.scenarios.iter_mut().find(|scenario| scenario.name == name);
        if let Some(Scenario { baseline: Ok(baseline), measured, .. }) = scenario
            && baseline.seeds.contains(&seed)
        {
            measured.insert(seed, measures.clone());
        }
    }

    /// Holds what was measured against the baselines.
    #[must_use]
    pub fn compare(&self) -> Gate {
        Gate {
            against: self.folder.display().to_string(),
            scenarios: self.scenarios.iter().map(|scenario| self.one(scenario)).collect(),
        }
    }

    fn one(&self, Scenario { name, baseline, measured }: &Scenario) -> Comparison {
        let file = Some(Baseline::path(&self.folder, name).display().to_string());
        let not = |why: String| Comparison { scenario: name.clone(), incomparable: Some(why), ..Comparison::default() };
        let baseline = match baseline {
            Ok(baseline) => baseline,
            Err(why) => return not(why.clone()),
        };
        if !baseline.seeds.iter().all(|seed| measured.contains_key(seed)) {
            return Comparison {
                file,
                ..not(format!(
                    "the baseline is of seeds {}, of which {} were run; run them all: --seeds {}..{}",
                    words(&baseline.seeds),
                    if measured.is_empty() { "none".to_owned() } else { words(measured.keys()) },
                    baseline.seeds.iter().min().unwrap_or(&1),
                    baseline.seeds.iter().max().unwrap_or(&1),
                ))
            };
        }
        let mut sum = Measures::default();
        measured.values().for_each(|measures| sum.merge(measures));
        let rules = baseline.rules().unwrap_or_default();
        let (metrics, differences) = compare(&baseline.metrics, &sum.figures(), &rules);
        Comparison { scenario: name.clone(), file, metrics, differences, incomparable: None }
    }
}

/// `1, 2, 3`
pub(super) fn words<'a>(seeds: impl IntoIterator<Item = &'a u64>) -> String {
    seeds.into_iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
