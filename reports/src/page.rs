//! `report.html`: one file that needs nothing else and asks for nothing: no network, no font. Its script only copies, zooms and filters; without it, the page is
//! whole and stands still.

mod breach;
mod faults;
mod lanes;
mod sequence;

use askama::Template;

use crate::chart::{self, Chart};
use crate::evidence::{Frames, Twin};
use crate::figure;
use crate::folder::RunReport;
use crate::log::LogLine;
use crate::metrics::{Latency, Metrics};
use crate::record::{Invariant, Outcome};
use crate::story::HostLines;
use crate::story::word;
use crate::summary::Overall;

use self::breach::Breach;
use self::faults::FaultRow;
use self::lanes::Drawn;

/// Lines of the log shown; the whole stands in `log.txt`.
const LOG_LINES_MAX: usize = 400;
/// Lines of one host's log around the first violation.
const HOST_LINES_MAX: usize = 120;

/// The page of one run.
///
/// # Errors
/// Fails only if memory does: everything in it is text.
pub fn report(report: &RunReport) -> Result<String, askama::Error> {
    with_charts(report, &chart::all(&report.metrics, &report.verdict))
}

/// As [`report`], with the charts drawn before.
pub(crate) fn with_charts(report: &RunReport, charts: &[Chart]) -> Result<String, askama::Error> {
    let verdict = &report.verdict;
    let (log_cut, log) = tail(&report.log_text(), LOG_LINES_MAX);
    Page {
        report,
        badge: Badge::of(verdict.verdict),
        headline: headline(report),
        invariants: verdict.invariants.iter().map(Row::of).collect(),
        faults: faults::rows(report),
        breaches: breach::breaches(report),
        lanes: report.evidence.story.lanes.as_ref().map(|lanes| Drawn::new(lanes, &report.metrics)),
        logs: logs(report.said.as_ref().map_or(&[], |said| said.lines.as_slice()), first_us(report)),
        frames: report.evidence.frames.as_ref().filter(|frames| !frames.list.is_empty() || frames.note.is_some()),
        twin: report.evidence.twin.as_ref(),
        around: report.evidence.story.moments.first().map_or(&[], |moment| moment.around.as_slice()),
        cut: limits(report, log_cut),
        unreached: verdict.reached.iter().filter(|reached| reached.is_missed()).count(),
        facts: facts(report),
        latencies: latencies(&report.metrics),
        totals: totals(&report.metrics),
        charts,
        log,
        log_cut,
    }
    .render()
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a RunReport,
    badge: Badge,
    headline: String,
    invariants: Vec<Row<'a>>,
    faults: Vec<FaultRow<'a>>,
    breaches: Vec<Breach<'a>>,
    lanes: Option<Drawn<'a>>,
    logs: Vec<HostLog<'a>>,
    frames: Option<&'a Frames>,
    twin: Option<&'a Twin>,
    around: &'a [HostLines],
    cut: Vec<String>,
    unreached: usize,
    facts: Vec<(&'static str, String)>,
    latencies: Vec<(&'static str, [String; 7])>,
    totals: Vec<(String, String)>,
    charts: &'a [Chart],
    log: String,
    log_cut: usize,
}

/// A verdict with its colour: the word always stands with it.
pub(crate) struct Badge {
    pub(crate) word: &'static str,
    pub(crate) class: &'static str,
}

impl Badge {
    pub(crate) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self { word: "✓ pass", class: "pass" },
            Outcome::Inconclusive => Self { word: "? inconclusive", class: "inconclusive" },
            Outcome::Fail => Self { word: "✗ fail", class: "fail" },
        }
    }

    pub(crate) fn overall(overall: Overall) -> Self {
        match overall {
            Overall::Pass => Self::of(Outcome::Pass),
            Overall::Inconclusive => Self::of(Outcome::Inconclusive),
            Overall::Worse => Self { word: "✗ worse", class: "fail" },
            Overall::Fail => Self::of(Outcome::Fail),
        }
    }
}

struct Row<'a> {
    name: &'a str,
    badge: Badge,
    checked: String,
    summary: String,
    broken: String,
    anchor: bool,
}

impl<'a> Row<'a> {
    fn of(invariant: &'a Invariant) -> Self {
        Self {
            name: &invariant.name,
            badge: Badge::of(invariant.verdict),
            checked: figure::count(invariant.checked),
            summary: figure::times(&invariant.summary),
            broken: figure::count(invariant.broken),
            anchor: !invariant.violations.is_empty(),
        }
    }
}

/// The run in one sentence, with its figures.
fn headline(report: &RunReport) -> String {
    let verdict = &report.verdict;
    let checks: u64 = verdict.invariants.iter().map(|invariant| invariant.checked).sum();
    match verdict.verdict {
        Outcome::Pass => {
            format!("All {} invariants held over {} checks.", verdict.invariants.len(), figure::count(checks))
        }
        Outcome::Fail => {
            let broken: Vec<_> =
                verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail).collect();
            let first = broken
                .iter()
                .filter_map(|invariant| {
                    invariant.violations.first().map(|violation| (violation.at_us, *invariant, violation))
                })
                .min_by_key(|(at_us, ..)| *at_us);
            match first {
                Some((at_us, invariant, violation)) => format!(
                    "{} of {} invariants broken; first {} at {}: {}",
                    broken.len(),
                    verdict.invariants.len(),
                    invariant.name,
                    figure::instant(at_us),
                    figure::times(&violation.message)
                ),
                None => format!("{} of {} invariants broken.", broken.len(), verdict.invariants.len()),
            }
        }
        Outcome::Inconclusive => {
            let weak: Vec<&str> = verdict
                .invariants
                .iter()
                .filter(|invariant| invariant.verdict == Outcome::Inconclusive)
                .map(|invariant| invariant.name.as_str())
                .collect();
            let missed: Vec<String> = verdict
                .reached
                .iter()
                .filter(|reached| reached.is_missed())
                .map(crate::record::Reached::missed_words)
                .collect();
            match (weak.as_slice(), missed.as_slice()) {
                ([], []) => "The run did not reach what it is about often enough to say.".to_owned(),
                ([], missed) => format!("Too little to say: the run {}.", missed.join("; ")),
                (weak, []) => format!("Not checked often enough to say: {}.", weak.join(", ")),
                (weak, missed) => {
                    format!("The run {}. Not checked often enough: {}.", missed.join("; "), weak.join(", "))
                }
            }
        }
    }
}

fn facts(report: &RunReport) -> Vec<(&'static str, String)> {
    let verdict = &report.verdict;
    let mut facts = vec![
        ("Engine", verdict.engine.clone()),
        ("Length of the run", figure::seconds(verdict.sim_seconds)),
        ("Time on the wall", figure::seconds(verdict.wall_seconds)),
        ("Speed", figure::speed(verdict.sim_seconds, verdict.wall_seconds)),
        ("Slowest recovery", verdict.recovery_us.map_or_else(String::new, figure::latency)),
        ("Events", figure::count(verdict.events)),
        ("Trace hash", verdict.trace_hash.clone()),
        ("Proxy", verdict.proxy.clone().unwrap_or_default()),
        ("Not applicable", verdict.not_applicable.join(", ")),
        ("Version", report.version.clone()),
        ("Profile", report.profile.clone()),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

fn latencies(metrics: &Metrics) -> Vec<(&'static str, [String; 7])> {
    let row = |latency: &Latency| {
        let cell = figure::latency_or_dash;
        [
            figure::count(latency.count),
            cell(latency.mean_us),
            cell(latency.p50_us),
            cell(latency.p90_us),
            cell(latency.p99_us),
            cell(latency.p999_us),
            cell(latency.max_us),
        ]
    };
    let rows = [
        ("Delivery", &metrics.delivery),
        ("Echo", &metrics.echo),
        ("Silence after a lost leg", &metrics.failovers.silence),
    ];
    rows.into_iter().filter(|(_, latency)| latency.count > 0).map(|(name, latency)| (name, row(latency))).collect()
}

fn totals(metrics: &Metrics) -> Vec<(String, String)> {
    let totals = &metrics.totals;
    let mut rows: Vec<(String, u64)> = vec![
        ("Ticks sent by sources (all legs)".into(), totals.source_sends),
        ("Messages delivered".into(), totals.deliveries),
        ("of these snapshots and replays".into(), totals.deliveries_old),
        ("of these damaged".into(), totals.deliveries_damaged),
        ("Live deliveries without a known sending".into(), totals.deliveries_unmatched),
        ("Messages that clients could not read".into(), totals.garbled),
        ("Requests sent".into(), totals.client_sends),
        ("Echoes".into(), totals.echoes),
        ("Dials by clients".into(), totals.clients_dialled),
        ("Sessions opened".into(), totals.clients_opened),
        ("Sessions ended".into(), totals.clients_closed),
    ];
    let mut causes = |what: &str, causes: &[crate::metrics::Cause]| {
        rows.extend(causes.iter().map(|cause| (format!("{what}: {}", word(&cause.why)), cause.times)));
    };
    causes("Clients refused", &totals.clients_refused);
    causes("Messages dropped", &totals.drops);
    causes("Legs lost", &totals.legs_lost);
    rows.extend(totals.gaps.iter().map(|gaps| (format!("Gaps told: {}", word(&gaps.reason)), gaps.times)));
    rows.push(("Failovers".into(), metrics.failovers.count));
    rows.push(("of these healed".into(), metrics.failovers.healed));
    let mut rows: Vec<(String, String)> =
        rows.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name, figure::count(n))).collect();
    for (name, index) in [
        ("Jain's index: instances, mean over time", metrics.fairness.instances_jain_mean),
        ("Jain's index: messages by client", metrics.fairness.delivered_jain),
        ("Jain's index: median latency by client", metrics.fairness.latency_jain),
    ] {
        if index.is_some() {
            rows.push((name.to_owned(), figure::index(index)));
        }
    }
    rows
}

/// The last lines, and how many were cut before them.
fn tail(text: &str, lines_max: usize) -> (usize, String) {
    let lines: Vec<&str> = text.lines().collect();
    let cut = lines.len().saturating_sub(lines_max);
    (cut, lines[cut..].join("\n"))
}

/// The first violation.
fn first_us(report: &RunReport) -> Option<u64> {
    let violations = report.verdict.invariants.iter().flat_map(|invariant| &invariant.violations);
    violations.map(|violation| violation.at_us).min()
}

/// What a host said around the first violation.
struct HostLog<'a> {
    host: &'a str,
    /// Lines left out before, and after.
    before: usize,
    after: usize,
    lines: Vec<(String, &'a LogLine)>,
}

/// Lines of each host that are nearest to an instant, hosts in the order of their names.
fn logs(lines: &[LogLine], around_us: Option<u64>) -> Vec<HostLog<'_>> {
    let hosts: std::collections::BTreeSet<&str> = lines.iter().map(|line| line.host.as_str()).collect();
    let of_host = |host| {
        let all: Vec<&LogLine> = lines.iter().filter(|line| line.host == host).collect();
        let middle = all.partition_point(|line| around_us.is_some_and(|around_us| line.at_us <= around_us));
        let before = middle.saturating_sub(HOST_LINES_MAX / 2).min(all.len().saturating_sub(HOST_LINES_MAX));
        let end = all.len().min(before + HOST_LINES_MAX);
        let lines = all[before..end].iter().map(|line| (crate::story::stamp(line.at_us), *line)).collect();
        HostLog { host, before, after: all.len() - end, lines }
    };
    hosts.into_iter().map(of_host).collect()
}

/// What the page leaves out, in words.
fn limits(report: &RunReport, log_cut: usize) -> Vec<String> {
    let mut cut = report.evidence.story.cut.clone();
    for invariant in &report.verdict.invariants {
        let kept = invariant.violations.len() as u64;
        if invariant.broken > kept {
            let (broken, kept) = (figure::count(invariant.broken), figure::count(kept));
            cut.push(format!("{} broke {broken} times: the first {kept} are kept.", invariant.name));
        }
    }
    if let Some(said) = report.said.as_ref().filter(|said| said.cut > 0) {
        cut.push(format!("{} earlier records of the programs were not kept.", figure::count(said.cut)));
    }
    if log_cut > 0 {
        cut.push(format!("{} lines of log.txt are not on this page.", figure::count(log_cut as u64)));
    }
    if report.verdict.verdict == Outcome::Fail && report.evidence.story.lanes.is_none() {
        cut.push("The run's events were not kept: there is no timeline and no witness.".to_owned());
    } else if report.verdict.verdict == Outcome::Fail && report.evidence.twin.is_none() {
        let line = "Frames, and what passes with one fault less, take further runs: only the first runs of a scenario have them. `windtunnel replay CAPSULE --report` writes a page that has them.";
        cut.push(line.to_owned());
    }
    cut
}
