//! The run folder: what a campaign leaves on disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use reports::evidence::{Evidence, Shrunk};
use reports::folder::{self, RunReport, WriteError};
use reports::measures::{self, Measures};
use reports::record::{Outcome, Verdict};
use reports::summary::{self, RunSummary, SummaryMeta};
use wire::event::Timed;

use crate::agenda::Place;
use crate::campaign::Job;
use crate::capsule::{Capsule, profile};
use crate::engine::Run;
use crate::evidence;
use crate::explain;
use crate::model::Engine;
use crate::perfetto;
use crate::plan::Plan;

/// Where run folders go by default.
const PARENT: &str = "target/windtunnel";

/// Of each scenario, so many runs are looked at more closely where they fail, which takes further runs; by their places, so that a shard chooses as the
/// whole does.
const CLOSER_RUNS: u64 = 3;
/// Over all scenarios.
const CLOSER_MAX: usize = 12;

/// A campaign's folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// What was added, by its place in the agenda.
    runs: BTreeMap<Place, RunSummary>,
    /// What was measured of each scenario, in the usual order of ready tasks.
    measures: BTreeMap<String, Measures>,
    /// The first failing runs of the agenda.
    failed: BTreeMap<Place, Failed>,
}

/// A failing run that may be looked at more closely.
#[derive(Debug)]
struct Failed {
    dir: PathBuf,
    job: Job,
    report: RunReport,
    events: Vec<Timed>,
}

/// Where a run lies in its run folder: `SCENARIO/SEED`, or `SCENARIO/SEED.ORDER`.
pub(crate) fn run_folder(scenario: &str, seed: u64, order: u64) -> PathBuf {
    Path::new(scenario).join(reports::record::label(seed, order))
}

/// What is wanted of a run besides its figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// `report.html` and charts.
    pub(crate) page: bool,
    /// `events.jsonl`.
    pub(crate) events: bool,
}

/// Makes the folder `out`, or `target/windtunnel/TIME-NAME` with a link `latest` beside it.
pub(crate) fn make(out: Option<&Path>, name: &str) -> Result<PathBuf, WriteError> {
    let Some(path) = out else {
        let path = fresh(name)?;
        // A convenience: where links cannot be made, the folder is there all the same.
        let _ = link_latest(&path);
        return Ok(path);
    };
    std::fs::create_dir_all(path).map_err(|source| WriteError::Folder { path: path.to_owned(), source })?;
    Ok(path.to_owned())
}

impl Folder {
    /// Makes the folder `out`, or `target/windtunnel/TIME-NAME` with a link `latest` beside it.
    pub(crate) fn create(out: Option<&Path>, name: &str) -> Result<Self, WriteError> {
        let path = make(out, name)?;
        Ok(Self { path, runs: BTreeMap::new(), measures: BTreeMap::new(), failed: BTreeMap::new() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one run. Gives how its trace was cut short, if it was.
    pub(crate) fn add(
        &mut self,
        place: Place,
        job: &Job,
        run: Run,
        wanted: Wanted,
    ) -> Result<Option<String>, WriteError> {
        self.add_shrunk(place, job, run, wanted, None)
    }

    /// Writes one run that was made smaller, from what is told on its page.
    pub(crate) fn add_shrunk(
        &mut self,
        place: Place,
        job: &Job,
        run: Run,
        wanted: Wanted,
        shrunk: Option<Shrunk>,
    ) -> Result<Option<String>, WriteError> {
        let relative = run_folder(&run.verdict.scenario, run.verdict.seed, run.verdict.order);
        let dir = self.path.join(&relative);
        let capsule = Capsule::of(&run, &job.scenario, &job.text, job.service_time);
        let replay_command = again_command(&dir, job);
        let events: &[Timed] = run.events.as_deref().unwrap_or_default();
        let evidence = if wanted.page { evidence::of(job, &run) } else { Evidence::default() };
        let evidence = Evidence { shrunk, ..evidence };
        clear(&dir)?;
        let json = serde_json::to_vec_pretty(&capsule)
            .map_err(|error| WriteError::Text { path: dir.join("capsule.json"), why: error.to_string() })?;
        folder::write_file(&dir.join("capsule.json"), &json)?;
        if wanted.events {
            folder::write_events(&dir, events)?;
        }
        let cut = write_captures(&dir, job, &run)?;
        let measured = Measures::of(&run.metrics);
        if run.verdict.order == 0 {
            self.measures.entry(run.verdict.scenario.clone()).or_default().merge(&measured);
        }
        let verdict = run.verdict.clone();
        let (report, events) = report_of(&dir, job, run, evidence, wanted.page);
        folder::write_run(&dir, &report)?;
        let again = job.options.engine != Engine::Sockets;
        let closer = wanted.page && again && place.nth < CLOSER_RUNS && verdict.verdict == Outcome::Fail;
        if let Some(events) = events.filter(|_| closer) {
            self.failed.insert(place, Failed { dir, job: job.clone(), report, events });
            // By their places in the agenda: which run is done first is up to the machine.
            if self.failed.len() > CLOSER_MAX {
                self.failed.pop_last();
            }
        }
        let report = wanted.page.then(|| relative.join("report.html").display().to_string());
        let (nth, figures) = (place.nth, measured.steady());
        self.runs.insert(place, RunSummary { verdict, report, replay_command, nth, figures });
        Ok(cut)
    }

    /// Failing runs that [`Folder::look_closer`] would look at.
    pub(crate) fn failed(&self) -> usize {
        self.failed.len()
    }

    /// Looks at the first failing runs more closely, and writes their pages again.
    pub(crate) fn look_closer(&mut self) -> Result<(), WriteError> {
        while let Some((_, Failed { dir, job, mut report, events })) = self.failed.pop_first() {
            evidence::closer(&job, &report.verdict, &events, &mut report.evidence);
            folder::write_run(&dir, &report)?;
        }
        Ok(())
    }

    /// The verdicts of the runs added so far.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = &Verdict> + Clone {
        self.runs.values().map(|run| &run.verdict)
    }

    /// Writes the summary over all runs added so far, and gives them in the order of the agenda.
    pub(crate) fn finish(&mut self, meta: &SummaryMeta) -> Result<Vec<RunSummary>, WriteError> {
        let runs: Vec<RunSummary> = self.runs.values().cloned().collect();
        summary::write_summary(&self.path, &runs, meta)?;
        measures::write(&self.path, self.measures.iter().map(|(name, measures)| (name.as_str(), measures)))?;
        Ok(runs)
    }
}

/// What a run's page is made of, and the events that are left.
fn report_of(dir: &Path, job: &Job, run: Run, evidence: Evidence, html: bool) -> (RunReport, Option<Vec<Timed>>) {
    let report = RunReport {
        verdict: run.verdict,
        metrics: run.metrics,
        about: job.scenario.about.trim().to_owned(),
        scenario_toml: shown(job),
        replay_command: again_command(dir, job),
        evidence,
        log: run.log,
        said: run.said,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: profile().to_owned(),
        html,
    };
    (report, run.events)
}

/// Writes a run's page into `dir`, with a closer look where it fails: the capsule and its events stay as they are.
pub(crate) fn write_page(dir: &Path, job: &Job, run: Run) -> Result<PathBuf, WriteError> {
    let evidence = evidence::of(job, &run);
    let (mut report, events) = report_of(dir, job, run, evidence, true);
    if report.verdict.verdict == Outcome::Fail {
        evidence::closer(job, &report.verdict, events.as_deref().unwrap_or_default(), &mut report.evidence);
    }
    folder::write_run(dir, &report)?;
    Ok(dir.join("report.html"))
}

/// The scenario as it was run: where costs were set over its own, a remark says so.
fn shown(job: &Job) -> String {
    let Some(cost) = job.service_time else { return job.text.clone() };
    format!("# Run with --service-time, in place of any service-time below: {}.\n{}", explain::cpu(cost), job.text)
}

/// Writes `packets.pcapng` and `trace.json` into `dir`, if they are wanted. Gives how the trace was cut short, if it was.
pub(crate) fn write_captures(dir: &Path, job: &Job, run: &Run) -> Result<Option<String>, WriteError> {
    if let Some(packets) = &run.packets {
        packets.write(dir, &run.verdict, &run.metrics)?;
    }
    if !job.trace {
        return Ok(None);
    }
    let trace = perfetto::trace(&Plan::new(&job.scenario, job.seed), run, perfetto::ENTRIES_MAX);
    folder::write_trace(dir, &trace)?;
    Ok(trace.cut().map(str::to_owned))
}

/// Takes away what an earlier run left in `dir` and this one may not write again: its events would be held against this run's capsule. The verdict first,
/// for where it stands the rest must stand.
fn clear(dir: &Path) -> Result<(), WriteError> {
    let gone = |path: PathBuf, removed: io::Result<()>| match removed {
        Err(source) if !matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(WriteError::File { path, source })
        }
        _ => Ok(()),
    };
    for name in ["verdict.json", "events.jsonl", "packets.pcapng", "trace.json", "report.html"] {
        let path = dir.join(name);
        let removed = std::fs::remove_file(&path);
        gone(path, removed)?;
    }
    let charts = dir.join("charts");
    let removed = std::fs::remove_dir_all(&charts);
    gone(charts, removed)
}

/// The command that runs the run in `dir` again: the very run, where that can be.
fn again_command(dir: &Path, job: &Job) -> String {
    if job.options.engine == Engine::Sockets {
        let name = &job.scenario.name;
        if let Some((scenario, peer)) = crate::peers::of_run(name) {
            return format!("cargo windtunnel peers --only {peer} --scenario {scenario}");
        }
        let command =
            job.look.proxy.as_ref().map(|proxy| format!(" --proxy-cmd {}", quoted(Path::new(proxy.command()))));
        let command = command.unwrap_or_default();
        return format!("cargo windtunnel run {name} --engine sockets --seed {}{command}", job.seed);
    }
    replay_command(dir)
}

/// The command that replays the run in `dir`.
pub(crate) fn replay_command(dir: &Path) -> String {
    format!("cargo windtunnel replay {}", quoted(&dir.join("capsule.json")))
}

/// A path as a word for a shell: there to be copied.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%\\".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// A folder that was not there before: two campaigns within one second do not share one.
fn fresh(name: &str) -> Result<PathBuf, WriteError> {
    const TRIES: u32 = 1_000;
    let parent = Path::new(PARENT);
    let failed = |path: &Path, source| WriteError::Folder { path: path.to_owned(), source };
    std::fs::create_dir_all(parent).map_err(|source| failed(parent, source))?;
    let stamp = time_stamp();
    let mut path = parent.join(format!("{stamp}-{name}"));
    for number in 2..TRIES {
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                path = parent.join(format!("{stamp}-{name}-{number}"));
            }
            Err(source) => return Err(failed(&path, source)),
        }
    }
    Err(failed(&path, io::ErrorKind::AlreadyExists.into()))
}

/// `2026-01-31T12-00-00Z`: sorts by time, and is a lawful name everywhere.
#[expect(clippy::disallowed_methods, reason = "the name of a folder, outside all runs")]
fn time_stamp() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
    humantime::format_rfc3339_seconds(whole).to_string().replace(':', "-")
}

#[cfg(unix)]
fn link_latest(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    // Made beside it and moved into place, so that there is no moment without one.
    let fresh = parent.join(format!(".latest-{}", std::process::id()));
    std::os::unix::fs::symlink(name, &fresh)?;
    std::fs::rename(&fresh, parent.join("latest"))
}

#[cfg(not(unix))]
fn link_latest(_: &Path) -> io::Result<()> {
    Ok(())
}
