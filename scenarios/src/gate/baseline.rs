//! A baseline: what one scenario measured with fixed seeds, in a file that git shows well: a line a metric.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use reports::folder::{WriteError, write_file};
use reports::gate::{Difference, number};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::rules::{Rules, ToleranceError};
use crate::model::ServiceTime;

/// The version of the file format and of what the metrics mean. A baseline of another one cannot be compared.
pub const SCHEMA: u32 = 1;

/// Blessings kept, the newest.
const HISTORY_MAX: usize = 20;
/// Changes kept of each, the greatest.
const CHANGES_MAX: usize = 12;
/// Characters kept of a reason.
const REASON_MAX: usize = 300;

/// `baseline/<scenario>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name, also the file's.
    pub scenario: String,
    /// [`scenario_hash`] of the scenario that was run.
    pub scenario_hash: String,
    /// The seeds whose runs are merged in it.
    pub seeds: Vec<u64>,
    /// Tolerances other than the defaults, by metric: `{"latency_us_max": "+50 %"}`. Written by hand, kept when blessed again.
    #[serde(default)]
    pub tolerance: BTreeMap<String, String>,
    /// What was measured.
    pub metrics: BTreeMap<String, f64>,
    /// When and why it was blessed, the newest first.
    #[serde(default)]
    pub history: Vec<Blessing>,
}

/// One time that somebody said: this is how it should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blessing {
    /// The day: `2026-01-31`.
    pub date: String,
    /// Why the figures are right as they are.
    pub reason: String,
    /// What changed most: before and after; `null` where it was not measured.
    #[serde(default)]
    pub changes: BTreeMap<String, [Option<f64>; 2]>,
    /// How many metrics changed besides.
    #[serde(default)]
    pub more: u64,
}

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// There is none.
    #[error("there is no {0}")]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("failed to read {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no baseline: somebody edited it by hand, or git left its marks in it.
    #[error("{path}:{}:{}: {}", source.line(), source.column(), bare(source))]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong where.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error("{path} has schema {schema}, this program writes {SCHEMA}")]
    Schema {
        /// Which.
        path: PathBuf,
        /// What stands there.
        schema: u64,
    },
    /// A tolerance in it is none.
    #[error("{path}: {source}")]
    Tolerance {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: ToleranceError,
    },
}

/// What is wrong, without the place, which stands before it already.
fn bare(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

impl Baseline {
    /// Where the baseline of a scenario stands.
    #[must_use]
    pub fn path(folder: &Path, scenario: &str) -> PathBuf {
        folder.join(format!("{scenario}.json"))
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`BaselineError`].
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u64,
        }
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => BaselineError::Missing(path.to_owned()),
            _ => BaselineError::Unreadable { path: path.to_owned(), source },
        })?;
        let malformed = |source| BaselineError::Malformed { path: path.to_owned(), source };
        let Version { schema } = serde_json::from_str(&text).map_err(malformed)?;
        if schema != u64::from(SCHEMA) {
            return Err(BaselineError::Schema { path: path.to_owned(), schema });
        }
        let baseline: Self = serde_json::from_str(&text).map_err(malformed)?;
        baseline.rules().map_err(|source| BaselineError::Tolerance { path: path.to_owned(), source })?;
        Ok(baseline)
    }

    /// The rules by which it is compared.
    ///
    /// # Errors
    /// A tolerance in it that is none.
    pub fn rules(&self) -> Result<Rules, ToleranceError> {
        Rules::new(&self.tolerance)
    }

    /// Writes it into a folder, which is made if need be.
    ///
    /// # Errors
    /// [`WriteError`] names the file and what to do.
    pub fn write(&self, folder: &Path) -> Result<(), WriteError> {
        write_file(&Self::path(folder, &self.scenario), self.text().as_bytes())
    }

    /// Adds a blessing to the history, which is bounded.
    pub fn bless(&mut self, date: String, reason: &str, differences: &[Difference]) {
        let reason: String = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let changes: BTreeMap<String, [Option<f64>; 2]> = differences
            .iter()
            .take(CHANGES_MAX)
            .map(|difference| (difference.metric.clone(), [difference.before, difference.now]))
            .collect();
        let more = (differences.len() - changes.len()) as u64;
        let reason = reason.chars().take(REASON_MAX).collect();
        self.history.insert(0, Blessing { date, reason, changes, more });
        self.history.truncate(HISTORY_MAX);
    }

    /// The file's text: JSON with a line for each metric, tolerance and blessing.
    #[must_use]
    pub fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let value = |value: &Option<f64>| value.map_or_else(|| "null".to_owned(), number);
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        let mut text = "{\n".to_owned();
        let _ = writeln!(text, "  \"schema\": {},", self.schema);
        let _ = writeln!(text, "  \"scenario\": {},", quoted(&self.scenario));
        let _ = writeln!(text, "  \"scenario_hash\": {},", quoted(&self.scenario_hash));
        let _ = writeln!(text, "  \"seeds\": [{}],", seeds.join(", "));
        let tolerances = self.tolerance.iter().map(|(metric, text)| format!("{}: {}", quoted(metric), quoted(text)));
        let _ = writeln!(text, "  \"tolerance\": {},", block('{', tolerances, '}'));
        let metrics = self.metrics.iter().map(|(metric, value)| format!("{}: {}", quoted(metric), number(*value)));
        let _ = writeln!(text, "  \"metrics\": {},", block('{', metrics, '}'));
        let history = self.history.iter().map(|blessing| {
            let changes = blessing.changes.iter();
            let changes: Vec<String> = changes
                .map(|(metric, [before, now])| format!("{}: [{}, {}]", quoted(metric), value(before), value(now)))
                .collect();
            format!(
                "{{\"date\": {}, \"reason\": {}, \"changes\": {{{}}}, \"more\": {}}}",
                quoted(&blessing.date),
                quoted(&blessing.reason),
                changes.join(", "),
                blessing.more
            )
        });
        let _ = writeln!(text, "  \"history\": {}", block('[', history, ']'));
        text.push_str("}\n");
        text
    }
}

fn block(open: char, lines: impl Iterator<Item = String>, close: char) -> String {
    let lines: Vec<String> = lines.map(|line| format!("    {line}")).collect();
    if lines.is_empty() { format!("{open}{close}") } else { format!("{open}\n{}\n  {close}", lines.join(",\n")) }
}

/// A hash of all in a scenario that makes its runs what they are: not of remarks, and not of what is only judged by (`check`, `reach`). With `service_time`,
/// of what work costs in place of what the scenario says.
#[must_use]
pub fn scenario_hash(text: &str, service_time: Option<ServiceTime>) -> String {
    let mut table: toml::Table = text.parse().unwrap_or_default();
    for aside in ["schema", "about", "tags", "engines", "check", "reach"] {
        table.remove(aside);
    }
    // Keys in the order of the alphabet, whatever the order in the file.
    let mut canonical = serde_json::to_string(&table).unwrap_or_default();
    if let Some(service_time) = service_time {
        canonical.push_str(&serde_json::to_string(&service_time).unwrap_or_default());
    }
    format!("{:032x}", xxh3_128(canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use reports::gate::Change;

    use super::*;

    fn baseline() -> Baseline {
        Baseline {
            schema: SCHEMA,
            scenario: "some".to_owned(),
            scenario_hash: "0f".repeat(16),
            seeds: vec![1, 2, 3],
            tolerance: BTreeMap::from([("latency_us_max".to_owned(), "+50 %".to_owned())]),
            metrics: BTreeMap::from([("deliveries".to_owned(), 70.0), ("jain_latency_min".to_owned(), 0.998_211)]),
            history: Vec::new(),
        }
    }

    fn differences(n: usize) -> Vec<Difference> {
        let difference = |n| Difference {
            metric: format!("metric_{n:02}"),
            before: Some(1.0),
            now: if n == 0 { None } else { Some(1.5) },
            change: Change::Worse,
            tolerance: String::new(),
        };
        (0..n).map(difference).collect()
    }

    #[test]
    fn a_baseline_is_written_a_line_a_metric_and_reads_back() {
        let mut baseline = baseline();
        baseline.bless("2026-01-31".to_owned(), "first\n \"ever\"", &differences(2));
        let dir = tempfile::tempdir().unwrap();
        baseline.write(dir.path()).unwrap();
        assert_eq!(Baseline::read(&Baseline::path(dir.path(), "some")).unwrap(), baseline);
        insta::assert_snapshot!(baseline.text());
        let bare = Baseline { tolerance: BTreeMap::new(), history: Vec::new(), ..baseline };
        assert_eq!(serde_json::from_str::<Baseline>(&bare.text()).unwrap(), bare);
    }

    #[test]
    fn the_history_is_bounded_and_the_newest_stands_first() {
        let mut baseline = baseline();
        for n in 0..50 {
            baseline.bless("2026-01-31".to_owned(), &format!("{n} {}", "x".repeat(1_000)), &differences(30));
        }
        assert_eq!(baseline.history.len(), HISTORY_MAX);
        assert!(baseline.history[0].reason.starts_with("49 "));
        assert_eq!((baseline.history[0].changes.len(), baseline.history[0].more), (CHANGES_MAX, 18));
        assert!(baseline.text().len() < 30_000, "{}", baseline.text().len());
    }

    #[test]
    fn a_bad_baseline_says_where_and_what() {
        let dir = tempfile::tempdir().unwrap();
        let path = Baseline::path(dir.path(), "some");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Baseline::read(&path).unwrap_err().to_string()
        };
        assert!(Baseline::read(&path).unwrap_err().to_string().starts_with("there is no "));
        let good = baseline().text();
        assert!(read(&good.replace("\"seeds\"", "<<<<<<< HEAD\n  \"seeds\"")).contains("some.json:5:3: "));
        assert!(read(&good.replace("\"seeds\"", "\"sedes\"")).contains("unknown field `sedes`"));
        assert!(
            read(&good.replace("\"schema\": 1", "\"schema\": 7"))
                .ends_with("some.json has schema 7, this program writes 1")
        );
        assert!(read(&good.replace("+50 %", "-50 %")).contains("some.json: tolerance of latency_us_max: \"-50 %\""));
    }

    #[test]
    fn the_hash_is_of_what_is_run_and_not_of_what_is_said_or_judged() {
        let text = "# A remark.\nname = \"x\"\nabout = \"one\"\nsteady = \"2s\"\n[check]\nsymbol-order = {}\n";
        let hash = scenario_hash(text, None);
        let same = "about = \"two\"\nsteady = \"2s\"\nname = \"x\"\ntags = [\"a\"]\n[check]\nno-duplicates = {}\n";
        assert_eq!(scenario_hash(same, None), hash);
        assert_ne!(scenario_hash(&text.replace("2s", "3s"), None), hash);
        assert_eq!(hash.len(), 32);
    }
}
