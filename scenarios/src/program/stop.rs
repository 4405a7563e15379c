//! `--stop-at`: a run that ends at an instant, and what was under way then.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reports::folder;
use sim::{Connection, HostState, Standing, Waiting};
use wire::event::{Event, Timed};

use super::{Failure, exit, one_watched, print, say};
use crate::campaign::Job;
use crate::engine::Run;
use crate::folder::write_captures;
use crate::plan::{Plan, Planned, Start};
use crate::span::Span;

/// Connections and kinds of tasks of a host that are shown on standard output.
const SHOWN: usize = 5;

/// Runs the job, which is to stop early; writes what there is into the folder that `place` names for the run, and says what was under way. Exit code 2:
/// nothing was judged; that of the verdict, if the run was over before.
pub(super) fn stop(
    job: &Job,
    watchdog: Duration,
    place: impl FnOnce(&Run) -> std::path::PathBuf,
) -> Result<u8, Failure> {
    let run = one_watched(job, watchdog)?;
    let dir = place(&run);
    let failed = |error| Failure::io(format!("failed to {error}"));
    let plan = Plan::new(&job.scenario, job.seed);
    let events = run.events.as_deref().unwrap_or_default();
    folder::write_events(&dir, events).map_err(failed)?;
    let log = reports::log::text(&run.log, run.said.as_ref());
    folder::write_file(&dir.join("log.txt"), log.as_bytes()).map_err(failed)?;
    if let Some(cut) = write_captures(&dir, job, &run).map_err(failed)? {
        say(&format!("windtunnel: trace.json: {cut}"));
    }
    let head = head(&run, job);
    let whole = |shown| format!("{head}{}{}", faults(&plan, events), hosts(&run.standing, shown));
    folder::write_file(&dir.join("stopped.txt"), whole(usize::MAX).as_bytes()).map_err(failed)?;
    print(&format!("{}all of it: {}\n", whole(SHOWN), Path::new(&dir).join("stopped.txt").display()))?;
    Ok(if run.standing.is_empty() { exit::of(run.verdict.verdict) } else { exit::INCONCLUSIVE })
}

fn head(run: &Run, job: &Job) -> String {
    let name = format!("{} seed {}", run.verdict.scenario, run.verdict.label());
    let end = Span::from_micros((run.verdict.sim_seconds * 1e6).round() as u64);
    let asked = job.look.stop_at.map_or_else(String::new, |at| Span::from_micros(at.as_micros() as u64).to_string());
    if run.standing.is_empty() {
        return format!("{name}: the run was over at {end}, before {asked}\n");
    }
    format!("{name}: stopped at {end} of virtual time, before what happens then: not judged\n")
}

/// What goes wrong now, and what still will.
fn faults(plan: &Plan, events: &[Timed]) -> String {
    let mut text = String::new();
    for (number, fault) in (0_u16..).zip(&plan.faults) {
        let began = events.iter().find_map(|timed| match &timed.event {
            Event::FaultStart { fault, target, .. } if *fault == number => Some((timed.at_us, target.to_string())),
            _ => None,
        });
        let over = events.iter().any(|timed| matches!(timed.event, Event::FaultStop { fault } if fault == number));
        let Planned { kind, target, start, late, .. } = fault;
        let line = match (began, start) {
            (Some(_), _) if over => continue,
            (Some((at_us, target)), _) => {
                format!("{} of {target}: in force since {}", kind.word(), Span::from_micros(at_us))
            }
            (None, Start::At(at)) => {
                format!(
                    "{} of {target}: armed for {}",
                    kind.word(),
                    Span::from_micros((*at + *late).as_micros() as u64)
                )
            }
            (None, Start::After(trigger)) => {
                format!("{} of {target}: armed, waits for the {}", kind.word(), plan.triggers[*trigger].words)
            }
        };
        text.push_str(&format!("  {line}\n"));
    }
    if text.is_empty() { "faults: none in force, none to come\n".to_owned() } else { format!("faults\n{text}") }
}

/// Each host, with at most `shown` of its connections (those that hold most bytes first) and of the kinds of its tasks.
fn hosts(standing: &[Standing], shown: usize) -> String {
    let mut text = String::new();
    for Standing { host, state, sockets, connections, waiting, .. } in standing {
        let state = match state {
            HostState::Running => "",
            HostState::Frozen => " (frozen)",
            HostState::Stopped => " (its program is down)",
            _ => " (off)",
        };
        text.push_str(&format!(
            "{host}{state}: {} connections, {} unread and {} unsent bytes, {} wait to be accepted, {} tasks\n",
            connections.len(),
            sockets.unread,
            sockets.unsent,
            sockets.backlog,
            waiting.len()
        ));
        let mut order: Vec<&Connection> = connections.iter().collect();
        if shown < order.len() {
            order.sort_by_key(|connection| std::cmp::Reverse(connection.unread + connection.unsent));
        }
        for Connection { local, remote, peer, state, unread, unsent, .. } in order.iter().take(shown) {
            let bytes =
                if unread + unsent == 0 { String::new() } else { format!(", {unread} unread, {unsent} unsent") };
            text.push_str(&format!("  {state}: {local} to {remote} ({peer}){bytes}\n"));
        }
        more(&mut text, order.len(), shown, "connections");
        let tasks = if shown == usize::MAX { each(waiting) } else { by_kind(waiting) };
        for line in tasks.iter().take(shown) {
            text.push_str(&format!("  {line}\n"));
        }
        more(&mut text, tasks.len(), shown, "kinds of tasks");
    }
    text
}

fn more(text: &mut String, all: usize, shown: usize, what: &str) {
    if all > shown {
        text.push_str(&format!("  and {} more {what}\n", all - shown));
    }
}

fn each(waiting: &[Waiting]) -> Vec<String> {
    waiting.iter().map(|Waiting { task, on, .. }| format!("task `{task}` waits for {on}")).collect()
}

/// Tasks of one name that wait for one sort of thing, in a line: how many, and what the first of them waits for.
fn by_kind(waiting: &[Waiting]) -> Vec<String> {
    let mut kinds: BTreeMap<(&str, &str), (usize, &str)> = BTreeMap::new();
    for Waiting { task, on, .. } in waiting {
        let verb = on.split(' ').next().unwrap_or_default();
        kinds.entry((task, verb)).or_insert((0, on)).0 += 1;
    }
    let line = |((task, _), (count, on)): ((&str, &str), (usize, &str))| match count {
        1 => format!("task `{task}` waits for {on}"),
        count => format!("{count} tasks `{task}` wait, the first for {on}"),
    };
    kinds.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_of_one_kind_are_one_line() {
        let one = |task: &str, on: &str| Waiting { host: "h".into(), task: task.into(), on: on.into() };
        let waiting = [
            one("client", "read on a"),
            one("client", "read on b"),
            one("client", "write on c"),
            one("leg", "accept on d"),
        ];
        assert_eq!(
            by_kind(&waiting),
            [
                "2 tasks `client` wait, the first for read on a",
                "task `client` waits for write on c",
                "task `leg` waits for accept on d"
            ]
        );
        assert_eq!(each(&waiting).len(), 4);
    }
}
