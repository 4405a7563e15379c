//! What was found, for a person and for a program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::Asked;
use crate::explore::Family;
use crate::explore::found::{Found, Kind};
use crate::fingerprint::Fingerprint;
use crate::folder::replay_command;
use crate::marks;
use crate::shrink::{Ended, Size};

/// The version of `explore.json`.
const SCHEMA: u32 = 1;

/// A kind of failure whose smallest world is in the folder.
pub(super) struct Saved {
    pub(super) fingerprint: Fingerprint,
    pub(super) kind: Kind,
    pub(super) dir: PathBuf,
    pub(super) small: Option<Small>,
}

/// The same failure in the smallest scenario that was found for it.
pub(super) struct Small {
    pub(super) before: Size,
    pub(super) after: Size,
    pub(super) ended: Ended,
    pub(super) file: PathBuf,
    pub(super) dir: PathBuf,
}

/// Which worlds, in words.
pub(super) fn worlds(asked: &Asked) -> String {
    let of = asked.ground.scenario.as_ref().map_or("worlds".to_owned(), |one| format!("faults on {}", one.name));
    let planted = asked.mutant.map_or_else(String::new, |mutant| format!(" with {} planted", mutant.name));
    format!("{of} from seed {}{planted}", asked.seeds.first)
}

pub(super) fn text(
    asked: &Asked,
    found: &Found,
    saved: &[Saved],
    wall: Duration,
    (reached, marks): (u64, u64),
    folder: &Path,
) -> String {
    let mut text = String::new();
    for one in saved {
        let Kind { count, smallest, .. } = &one.kind;
        let first = one.kind.first();
        let _ = writeln!(text, "{count:>6} x {}", one.fingerprint);
        let share = *count as f64 / found.runs.max(1) as f64 * 100.0;
        let _ =
            writeln!(text, "         {share:.2} % of the runs, first with seed {first}, smallest with seed {smallest}");
        let families: Vec<&str> = one.kind.families.iter().map(|family: &Family| family.word()).collect();
        if !families.is_empty() {
            let _ = writeln!(text, "         always with: {}", families.join(", "));
        }
        let _ = writeln!(text, "         {}", replay_command(&one.dir));
        if let Some(Small { before, after, ended, dir, .. }) = &one.small {
            let least = if *ended == Ended::Minimal { "" } else { " (the time was over: it may not be the least)" };
            let _ = writeln!(
                text,
                "         shrunk from {} faults, {} clients, {} events to {}, {}, {}{least}",
                before.faults, before.clients, before.events, after.faults, after.clients, after.events
            );
            let _ = writeln!(text, "         {}", replay_command(dir));
        }
    }
    if found.beyond > 0 {
        let _ = writeln!(text, "{:>6} x kinds beyond the first {}", found.beyond, saved.len());
    }
    let seconds = wall.as_secs_f64().max(1e-3);
    let _ = writeln!(
        text,
        "{}: {} runs in {seconds:.0} s ({:.0} a minute), {:.1} simulated hours, {} of {marks} marks reached",
        worlds(asked),
        found.runs,
        found.runs as f64 / seconds * 60.0,
        found.sim_seconds / 3_600.0,
        reached,
    );
    if found.refused + found.idle > 0 {
        let _ = writeln!(
            text,
            "{} draws refused by the rules, {} runs in which nothing was checked",
            found.refused, found.idle
        );
    }
    let _ = match found.failed {
        0 => writeln!(text, "no invariant is broken"),
        failed => writeln!(text, "{failed} runs failed, in {} ways", found.distinct()),
    };
    if found.failed > 0 {
        let _ = writeln!(text, "report: {}", folder.join("index.html").display());
    }
    text
}

pub(super) fn json(asked: &Asked, found: &Found, saved: &[Saved], wall: Duration, folder: &Path) -> Value {
    let kinds: Vec<Value> = saved
        .iter()
        .map(|one| {
            let capsule = one.dir.join("capsule.json");
            json!({
                "fingerprint": one.fingerprint,
                "invariant": one.fingerprint.invariant(),
                "count": one.kind.count,
                "first_seed": one.kind.first(),
                "seeds": one.kind.seeds,
                "smallest_seed": one.kind.smallest,
                "families": one.kind.families.iter().map(|family| family.word()).collect::<Vec<&str>>(),
                "capsule": capsule.strip_prefix(folder).unwrap_or(&capsule),
                "replay": replay_command(&one.dir),
                "shrunk": one.small.as_ref().map(|small| json!({
                    "before": small.before,
                    "after": small.after,
                    "ended": small.ended,
                    "scenario": small.file.strip_prefix(folder).unwrap_or(&small.file),
                    "replay": replay_command(&small.dir),
                })),
            })
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "scenario": asked.ground.scenario.as_ref().map(|one| one.name.as_str()),
        "mutant": asked.mutant.map(|mutant| mutant.name),
        "unrecoverable": asked.ground.unrecoverable,
        "first_seed": asked.seeds.first,
        "runs": found.runs,
        "failed": found.failed,
        "idle": found.idle,
        "refused": found.refused,
        "events": found.events,
        "sim_seconds": found.sim_seconds,
        "wall_seconds": wall.as_secs_f64(),
        "marks": {
            "all": marks::all().len(),
            "reached": found.marks().len(),
            "missed": marks::all().iter().map(|mark| mark.name).filter(|name| !found.marks().contains(*name)).collect::<Vec<&str>>(),
        },
        "kinds": kinds,
        "beyond": found.beyond,
    })
}
