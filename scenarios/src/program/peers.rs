//! `peers`: proxies of others, and ours, through the same scenarios over sockets, as one page of Markdown.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command as Program;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use reports::record::{Invariant, Outcome, Verdict};
use reports::summary::SummaryMeta;

use super::{Failure, exit, print, say};
use crate::agenda::Place;
use crate::campaign::{self, Job};
use crate::engine::{Foreign, Look, MACHINE, Options};
use crate::folder::{Folder, Wanted};
use crate::model::{Engine, Scenario};
use crate::peers::{self, Peer, Stands};

#[derive(Debug, Args)]
pub(super) struct PeersArgs {
    /// Only these peers, by name; default: all
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only these scenarios; default: all
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// The run folder; default: target/windtunnel/TIME-peers
    #[arg(long)]
    out: Option<PathBuf>,
    /// List the peers and how each is started, and run nothing
    #[arg(long)]
    list: bool,
}

/// What became of one peer in one scenario.
enum Cell {
    Judged(Box<Verdict>),
    /// It is not installed, or does not start.
    NotRun,
    Failed(String),
}

pub(super) fn peers(args: &PeersArgs) -> Result<u8, Failure> {
    let chosen = |names: &[String], name: &str| names.is_empty() || names.iter().any(|it| it == name);
    let known: Vec<&str> =
        peers::ALL.iter().map(|peer| peer.name).chain(peers::SCENARIOS.iter().map(|it| it.0)).collect();
    if let Some(unknown) = args.only.iter().chain(&args.scenario).find(|name| !known.contains(&name.as_str())) {
        let hint = crate::parse::distance::did_you_mean_or_list(unknown, known.iter().copied());
        return Err(Failure::usage(format!("unknown peer or scenario {unknown:?}; {hint}")));
    }
    if args.list {
        return print(&list());
    }
    let mut scenarios = Vec::new();
    for (name, text) in peers::SCENARIOS.iter().filter(|(name, _)| chosen(&args.scenario, name)) {
        let scenario = crate::parse::parse(&format!("{name}.toml"), text)
            .map_err(|problems| Failure::harness(format!("{name}: {problems:?}")))?;
        scenarios.push((*text, scenario));
    }
    let mut folder =
        Folder::create(args.out.as_deref(), "peers").map_err(|error| Failure::io(format!("failed to {error}")))?;
    let mut rows = Vec::new();
    for peer in peers::ALL.iter().filter(|peer| chosen(&args.only, peer.name)) {
        let version = version(peer);
        let mut cells = Vec::new();
        for (text, scenario) in &scenarios {
            let cell = match &version {
                Some(_) => run(peer, scenario, text, &mut folder)?,
                None => Cell::NotRun,
            };
            say(&format!("{} in {}: {}", peer.name, scenario.name, in_a_word(&cell)));
            cells.push(cell);
        }
        rows.push((peer, version, cells));
    }
    let meta = SummaryMeta {
        command: super::run::command(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: crate::capsule::profile().to_owned(),
        ..SummaryMeta::default()
    };
    folder.finish(&meta).map_err(|error| Failure::io(format!("failed to {error}")))?;
    say(&format!("report: {}", folder.path().join("index.html").display()));
    let names: Vec<&Scenario> = scenarios.iter().map(|(_, scenario)| scenario).collect();
    print(&page(&names, &rows))?;
    let failed = rows.iter().flat_map(|(_, _, cells)| cells).any(|cell| matches!(cell, Cell::Failed(_)));
    // What a peer does not hold is what the page is for; only that which could not be measured is an error.
    Ok(if failed { exit::HARNESS } else { exit::PASSED })
}

/// What a peer says of its version; None: it is not installed.
fn version(peer: &Peer) -> Option<String> {
    let Some(command) = peer.version else { return Some(format!("this tree ({})", env!("CARGO_PKG_VERSION"))) };
    let output = Program::new("sh").args(["-c", command]).output().ok().filter(|output| output.status.success())?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    said.lines().map(str::trim).find(|line| !line.is_empty()).map(|line| line.chars().take(60).collect())
}

/// One run of one peer. Each has a name of its own in the run folder.
fn run(peer: &Peer, scenario: &Scenario, text: &str, folder: &mut Folder) -> Result<Cell, Failure> {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let mut scenario = Scenario { name: peers::run_name(&scenario.name, peer.name), ..scenario.clone() };
    let proxy = match peer.stands {
        Stands::Ours(mode) => {
            scenario.proxy.mode = mode;
            None
        }
        Stands::Foreign { command, template } => {
            let foreign = Foreign::new(command, template).map_err(|error| Failure::harness(error.to_string()))?;
            Some(foreign)
        }
    };
    let options = Options { engine: Engine::Sockets, mutant: None, order: 0, keep_events: true };
    let job = Job {
        scenario,
        text: text.to_owned(),
        seed: 1,
        options,
        service_time: None,
        pcap: None,
        trace: false,
        look: Look { proxy, ..Look::default() },
    };
    let run = match campaign::one(&job) {
        Ok(run) => run,
        Err(error) => return Ok(Cell::Failed(error.to_string())),
    };
    let verdict = run.verdict.clone();
    let nth = RUNS.fetch_add(1, Ordering::Relaxed);
    let place = Place { scenario: usize::try_from(nth).unwrap_or(0), seed: 1, order: 0, nth: 0 };
    let wanted = Wanted { page: true, events: false };
    folder.add(place, &job, run, wanted).map_err(|error| Failure::io(format!("failed to {error}")))?;
    Ok(Cell::Judged(Box::new(verdict)))
}

fn in_a_word(cell: &Cell) -> String {
    match cell {
        Cell::NotRun => "not run: it is not installed".to_owned(),
        Cell::Failed(why) => format!("failed: {why}"),
        Cell::Judged(verdict) => match verdict.verdict {
            Outcome::Pass => "all held".to_owned(),
            _ => {
                let bad = verdict.invariants.iter().filter(|invariant| invariant.verdict != Outcome::Pass);
                bad.map(|invariant| format!("{} {}", invariant.name, mark(invariant))).collect::<Vec<_>>().join(", ")
            }
        },
    }
}

/// All of a run in one cell.
fn in_short(cell: &Cell) -> String {
    let verdict = match cell {
        Cell::NotRun => return "not run".to_owned(),
        Cell::Failed(_) => return "did not run".to_owned(),
        Cell::Judged(verdict) => verdict,
    };
    let broken = verdict.invariants.iter().filter(|invariant| invariant.verdict == Outcome::Fail);
    let broken: Vec<&str> = broken.map(|invariant| invariant.name.as_str()).collect();
    match (verdict.verdict, broken.as_slice()) {
        (Outcome::Pass, _) => "all held".to_owned(),
        (_, []) => "inconclusive".to_owned(),
        (_, broken) => format!("**{}**", broken.join(", ")),
    }
}

/// A cell of the matrix.
fn mark(invariant: &Invariant) -> String {
    match invariant.verdict {
        Outcome::Pass => "held".to_owned(),
        Outcome::Fail => format!("**broken** ({} of {})", invariant.broken, invariant.checked.max(invariant.broken)),
        Outcome::Inconclusive => "inconclusive".to_owned(),
    }
}

fn list() -> String {
    let mut text = String::new();
    for peer in peers::ALL {
        let _ = writeln!(text, "{}: {}\n  {}", peer.name, peer.about, peer.command());
    }
    text
}

type Row<'a> = (&'a Peer, Option<String>, Vec<Cell>);

fn page(scenarios: &[&Scenario], rows: &[Row<'_>]) -> String {
    let mut text = format!(
        "# Peers\n\n\
        Written by `windtunnel peers > docs/peers.md` in one go: every proxy through the same scenarios (`scenarios/peers/*.toml`) over sockets, judged by the same checkers. \
        Measured on {} cores with a build in the profile {}; machine and load decide latencies, not who keeps whose connection. How it is done, and how to put another proxy in: [sockets.md](sockets.md).\n\n\
        A tunnel gives each client a connection of its own to one of the sources, and what it forwards are bytes: when that source is lost, so is the client's connection. \
        A fan-out has one connection to a source for all its clients, and may take another when it is lost. Our relay has one for each client, and moves it.\n\n\
        **held**, **broken** (how often, of how many checks), **inconclusive** (checked too seldom, or the machine did not keep up), **n/a** (it needs the account that only our proxy gives of itself), **not run** (not installed here).\n\n\
        | peer | what it is | version | command |\n|---|---|---|---|\n",
        campaign::cores(),
        crate::capsule::profile()
    );
    for (peer, version, _) in rows {
        let version = version.as_deref().unwrap_or("not installed: not run");
        let _ = writeln!(text, "| {} | {} | {version} | `{}` |", peer.name, peer.about, peer.command());
    }
    let _ = writeln!(text, "\nIn short, what each did not hold:\n");
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let _ = writeln!(text, "| peer | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for (peer, _, cells) in rows {
        let row: Vec<String> = cells.iter().map(in_short).collect();
        let _ = writeln!(text, "| {} | {} |", peer.name, row.join(" | "));
    }
    for (place, scenario) in scenarios.iter().enumerate() {
        let about = scenario.about.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "\n## {}\n\n{about}\n", scenario.name);
        let names = columns(rows, place);
        let _ = writeln!(text, "| peer | {} |", names.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(names.len()));
        for (peer, _, cells) in rows {
            let row: Vec<String> = names.iter().map(|name| cell(&cells[place], name)).collect();
            let _ = writeln!(text, "| {} | {} |", peer.name, row.join(" | "));
        }
        let _ = writeln!(text);
        for (peer, _, cells) in rows {
            for line in told(&cells[place]) {
                let _ = writeln!(text, "- {}: {line}", peer.name);
            }
        }
    }
    text
}

/// The invariants that any peer was judged by in a scenario, in their order.
fn columns(rows: &[Row<'_>], place: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, _, cells) in rows {
        if let Cell::Judged(verdict) = &cells[place] {
            for invariant in &verdict.invariants {
                if invariant.name != MACHINE && !names.contains(&invariant.name) {
                    names.push(invariant.name.clone());
                }
            }
        }
    }
    names
}

fn cell(cell: &Cell, name: &str) -> String {
    match cell {
        Cell::NotRun => "not run".to_owned(),
        Cell::Failed(_) => "did not run".to_owned(),
        Cell::Judged(verdict) if verdict.not_applicable.iter().any(|it| it == name) => "n/a".to_owned(),
        Cell::Judged(verdict) => {
            let found = verdict.invariants.iter().find(|invariant| invariant.name == name);
            found.map_or_else(|| "n/a".to_owned(), mark)
        }
    }
}

/// What is behind the words of a row: the figure of each invariant that did not hold, and what the scenario did not reach.
fn told(cell: &Cell) -> Vec<String> {
    match cell {
        Cell::NotRun => Vec::new(),
        Cell::Failed(why) => vec![why.clone()],
        Cell::Judged(verdict) => {
            let bad = verdict.invariants.iter().filter(|invariant| invariant.verdict != Outcome::Pass);
            let missed = verdict.reached.iter().filter(|reached| reached.is_missed());
            bad.map(|invariant| format!("`{}`: {}", invariant.name, invariant.summary))
                .chain(missed.map(reports::record::Reached::missed_words))
                .collect()
        }
    }
}
