//! `replay`: a capsule's run again, and whether it is the same run; if not, what differs first, and what is not as it was.

use std::path::Path;
use std::time::Duration;

use reports::figure;
use reports::record::Outcome;
use wire::event::Timed;

use super::run::{DEBUGGED, able_to_capture};
use super::{CaptureArgs, Failure, exit, one_watched, print, say, stop, twice};
use crate::campaign::{self, Job};
use crate::capsule::{Capsule, CapsuleError};
use crate::engine::Options;
use crate::mutants;
use crate::plan::Plan;

/// Events that are shown where the runs part and only their hashes are known.
const EVENTS_SHOWN: usize = 3;

/// A capsule read from its file, and the job that does its run again.
pub(super) fn job(path: &Path, captures: &CaptureArgs) -> Result<(Capsule, Job), Failure> {
    let capsule = Capsule::read(path).map_err(|error| {
        let code = match &error {
            CapsuleError::Unreadable { .. } => exit::IO,
            _ => exit::USAGE,
        };
        Failure { code, message: error.to_string() }
    })?;
    let engine = capsule
        .engine()
        .ok_or_else(|| Failure::usage(format!("{}: unknown engine {:?}", path.display(), capsule.engine)))?;
    if engine == crate::model::Engine::Sockets {
        return Err(Failure::usage(format!(
            "a run over sockets happens once: its time was the machine's, and it cannot be replayed; run the scenario again with `windtunnel run {} --engine sockets --seed {}`, or look for the same failure with `windtunnel run {} --seed {}`",
            capsule.scenario, capsule.seed, capsule.scenario, capsule.seed
        )));
    }
    let mutant = match &capsule.mutant {
        Some(name) => Some(mutants::find(name).map_err(|unknown| Failure::usage(unknown.to_string()))?),
        None => None,
    };
    let mut scenario =
        crate::parse::parse(&format!("{}.toml", capsule.scenario), &capsule.scenario_toml).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Failure::usage(format!(
                "the scenario inside {} does not fit this build\n{}",
                path.display(),
                lines.join("\n")
            ))
        })?;
    scenario.service_time = capsule.service_time.or(scenario.service_time);
    let options = Options { engine, mutant, order: capsule.order, keep_events: true };
    let pcap = captures.pcap();
    able_to_capture(pcap.as_ref(), &Plan::new(&scenario, capsule.seed), engine)?;
    let (text, service_time) = (capsule.scenario_toml.clone(), capsule.service_time);
    let (seed, look) = (capsule.seed, captures.look(true));
    let job = Job { scenario, text, seed, options, service_time, pcap, trace: captures.trace, look };
    Ok((capsule, job))
}

/// Runs a capsule again and says whether it is the same run.
pub(super) fn replay(path: &Path, captures: &CaptureArgs, page: bool, watchdog: Duration) -> Result<u8, Failure> {
    let (capsule, job) = job(path, captures)?;
    if captures.closely(true, job.options.engine)? {
        if let (false, Some(at)) = (captures.debugger, captures.stop_at) {
            return stop::stop(&job, watchdog, |_| path.with_file_name(format!("stopped-at-{at}")));
        }
        say(DEBUGGED);
    }
    let run = if captures.debugger {
        campaign::one(&job).map_err(|error| Failure::engine(&error))?
    } else {
        one_watched(&job, watchdog)?
    };
    let dir = path.parent().unwrap_or(Path::new(""));
    let failed = |error| Failure::io(format!("failed to {error}"));
    let cut = crate::folder::write_captures(dir, &job, &run).map_err(failed)?;
    if captures.log.is_some() {
        let text = reports::log::text(&run.log, run.said.as_ref());
        reports::folder::write_file(&dir.join("log.txt"), text.as_bytes()).map_err(failed)?;
    }
    if let Some(cut) = cut {
        say(&format!("windtunnel: trace.json: {cut}"));
    }
    let mut text = format!("{} seed {} engine {}: ", capsule.scenario, run.verdict.label(), capsule.engine);
    let same = run.verdict.trace_hash == capsule.trace_hash;
    if same {
        text.push_str(&format!("replayed bit for bit ({} events, hash {})\n", run.verdict.events, capsule.trace_hash));
    } else {
        text.push_str(&format!("NOT the same run: hash {} then, {} now\n", capsule.trace_hash, run.verdict.trace_hash));
        let again = Capsule::of(&run, &job.scenario, &job.text, job.service_time);
        for change in capsule.changes(&again) {
            text.push_str(&format!("  {change}\n"));
        }
        text.push_str(match (capsule.is_of_this_program(), &capsule.program) {
            (true, _) => "  it is the same program: a bug in the harness\n",
            (false, Some(_)) => "  it is another program: only the one that made the capsule must give the same run\n",
            (false, None) => "  the capsule does not know its program: only that one must give the same run\n",
        });
        text.push_str(&parting(path, &capsule, &again, run.events.as_deref().unwrap_or_default())?);
    }
    for invariant in run.verdict.invariants.iter().filter(|invariant| invariant.verdict != Outcome::Pass) {
        text.push_str(&format!("  {}: {}\n", invariant.name, figure::times(&invariant.summary)));
        if let Some(first) = invariant.violations.first() {
            text.push_str(&format!("    at {:.6} s: {}\n", first.at_us as f64 / 1e6, figure::times(&first.message)));
        }
    }
    let verdict = run.verdict.verdict;
    if page && same {
        let page = crate::folder::write_page(dir, &job, run).map_err(failed)?;
        text.push_str(&format!("report: {}\n", page.display()));
    } else if page {
        text.push_str("no report is written: it would be another run's\n");
    }
    print(&text)?;
    Ok(match (same, verdict) {
        (false, _) if capsule.is_of_this_program() => exit::HARNESS,
        (false, _) => exit::INCONCLUSIVE,
        (true, Outcome::Fail) => exit::BROKEN,
        (true, Outcome::Inconclusive) => exit::INCONCLUSIVE,
        (true, Outcome::Pass) => exit::PASSED,
    })
}

/// Where the runs part, in lines: the first event that differs if the events lie beside the capsule; else between which two events, by their hashes.
fn parting(path: &Path, capsule: &Capsule, again: &Capsule, events: &[Timed]) -> Result<String, Failure> {
    let beside = path.with_file_name("events.jsonl");
    if let Ok(file) = std::fs::File::open(&beside) {
        let difference = twice::differs(std::io::BufReader::new(file), events)
            .map_err(|error| Failure::io(format!("failed to read {}: {error}", beside.display())))?;
        return Ok(match difference {
            Some(difference) => format!("  {difference}\n"),
            None => "  all events are equal: only the segments on the wire differ\n".to_owned(),
        });
    }
    let (same, differs) = match capsule.parting(again) {
        Some(parting) => parting,
        None if capsule.checkpoints.is_empty() => {
            return Ok("  no events.jsonl beside the capsule: the first difference cannot be named\n".to_owned());
        }
        None => return Ok("  the events are equal as far as their hashes tell\n".to_owned()),
    };
    let until = differs.map_or_else(|| "the end".to_owned(), |differs| format!("event {}", differs - 1));
    let mut text =
        format!("  the first event that differs is between event {same} and {until}; here these begin with\n");
    for event in events.iter().skip(usize::try_from(same).unwrap_or(usize::MAX)).take(EVENTS_SHOWN) {
        let line = serde_json::to_string(event).map_err(|error| Failure::io(error.to_string()))?;
        text.push_str(&format!("    {line}\n"));
    }
    Ok(text)
}
