//! A run's folder: every file whole under its name, or not there at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use wire::event::Timed;

use crate::evidence::Evidence;
use crate::log::{self, Log};
use crate::metrics::Metrics;
use crate::perfetto::Trace;
use crate::record::Verdict;
use crate::{chart, page, pcapng};

/// Everything that one run leaves behind.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The judgement: `verdict.json`.
    pub verdict: Verdict,
    /// The figures: `metrics.json` and the charts.
    pub metrics: Metrics,
    /// What the scenario is about, in a sentence or a few.
    pub about: String,
    /// The scenario as it was run.
    pub scenario_toml: String,
    /// The command that runs it again.
    pub replay_command: String,
    /// What the page shows besides. May be empty.
    pub evidence: Evidence,
    /// What the engine counted: the head of `log.txt`.
    pub log: String,
    /// What the programs said, if it was kept: the rest of `log.txt`.
    pub said: Option<Log>,
    /// The version of the program that made the run.
    pub version: String,
    /// The profile that it was built in: `sim`, `release`, ...
    pub profile: String,
    /// Whether `report.html` and `charts/*.svg` are wanted.
    pub html: bool,
}

impl RunReport {
    /// `log.txt`: what the engine counted, then what the programs said.
    #[must_use]
    pub fn log_text(&self) -> String {
        log::text(&self.log, self.said.as_ref())
    }
}

/// Why a file of a report could not be written. All are about the world outside: trying again helps once its cause is gone.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The folder could not be made.
    #[error(
        "make the folder {path}: {source}; check that its parent may be written to, or choose another place with --out"
    )]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be written, or not be given its final name. Nothing half-written stands under that name.
    #[error(
        "write {path}: {source}; check the free space and the rights of its folder, or choose another place with --out"
    )]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file's text could not be made: our fault.
    #[error("make the text of {path}: {why}; this is a bug in windtunnel")]
    Text {
        /// Which.
        path: PathBuf,
        /// What the library said.
        why: String,
    },
}

/// Writes `verdict.json`, `metrics.json`, `log.txt` and, if asked for, `report.html` and `charts/*.svg` into `dir`, which is made if need be. The verdict
/// comes last: where it stands, the rest stands.
///
/// # Errors
/// [`WriteError`] names the file and what to do.
pub fn write_run(dir: &Path, report: &RunReport) -> Result<(), WriteError> {
    write_json(&dir.join("metrics.json"), &report.metrics)?;
    write_file(&dir.join("log.txt"), report.log_text().as_bytes())?;
    if report.html {
        let charts = chart::all(&report.metrics, &report.verdict);
        for chart in &charts {
            write_file(&dir.join("charts").join(format!("{}.svg", chart.name)), chart.svg.as_bytes())?;
        }
        let path = dir.join("report.html");
        let text = page::with_charts(report, &charts)
            .map_err(|error| WriteError::Text { path: path.clone(), why: error.to_string() })?;
        write_file(&path, text.as_bytes())?;
    }
    write_pretty(&dir.join("verdict.json"), &report.verdict)
}

/// Writes `events.jsonl` into `dir`: one event a line, numbered by its place from 0.
///
/// # Errors
/// [`WriteError`] names the file and what to do.
pub fn write_events<'a>(dir: &Path, events: impl IntoIterator<Item = &'a Timed>) -> Result<(), WriteError> {
    let path = dir.join("events.jsonl");
    write_with(&path, |file| {
        let mut file = io::BufWriter::new(file);
        for event in events {
            serde_json::to_writer(&mut file, event)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    })
}

/// Writes `packets.pcapng` into `dir`.
///
/// # Errors
/// [`WriteError`] names the file and what to do.
pub fn write_packets<'a>(
    dir: &Path,
    section: &pcapng::Section,
    packets: impl Iterator<Item = pcapng::Packet<'a>> + Clone,
) -> Result<(), WriteError> {
    write_with(&dir.join("packets.pcapng"), |file| pcapng::write(io::BufWriter::new(file), section, packets))
}

/// Writes `trace.json` into `dir`.
///
/// # Errors
/// [`WriteError`] names the file and what to do.
pub fn write_trace(dir: &Path, trace: &Trace) -> Result<(), WriteError> {
    write_with(&dir.join("trace.json"), |file| trace.write(io::BufWriter::new(file)))
}

/// As JSON on one line: for machines, and for columns of thousands.
fn write_json(path: &Path, value: &impl Serialize) -> Result<(), WriteError> {
    let text = serde_json::to_vec(value);
    write_text(path, text)
}

/// As JSON that people read too.
pub(crate) fn write_pretty(path: &Path, value: &impl Serialize) -> Result<(), WriteError> {
    write_text(path, serde_json::to_vec_pretty(value))
}

fn write_text(path: &Path, text: serde_json::Result<Vec<u8>>) -> Result<(), WriteError> {
    let mut text = text.map_err(|error| WriteError::Text { path: path.to_owned(), why: error.to_string() })?;
    text.push(b'\n');
    write_file(path, &text)
}

/// Writes a file under a passing name in the same folder, then gives it its own: readers see the old one, or the new one whole.
///
/// # Errors
/// [`WriteError`] names the file and what to do.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_with(path, |file| file.write_all(bytes))
}

fn write_with(path: &Path, fill: impl FnOnce(&mut fs::File) -> io::Result<()>) -> Result<(), WriteError> {
    let dir = path.parent().unwrap_or(Path::new(""));
    if !dir.as_os_str().is_empty() {
        fs::create_dir_all(dir).map_err(|source| WriteError::Folder { path: dir.to_owned(), source })?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Of this process alone: two that write into one folder do not write into one file, and the last to end is there in the end, whole.
    let passing = dir.join(format!(".{name}.{}.partial", std::process::id()));
    let written = fs::File::create(&passing).and_then(|mut file| fill(&mut file));
    written.and_then(|()| fs::rename(&passing, path)).map_err(|source| {
        // Best effort: what matters is that the final name was not touched.
        drop(fs::remove_file(&passing));
        WriteError::File { path: path.to_owned(), source }
    })
}
