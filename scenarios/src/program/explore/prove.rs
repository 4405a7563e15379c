//! How soon planted bugs are found.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Asked, Seeds, Trouble};
use crate::campaign::{self, Bounds, Step};
use crate::explore::Ground;
use crate::explore::proof::{self, PLANTED, Row};
use crate::mutants;
use crate::program::run::graver;
use crate::program::{Failure, exit, hang, print, say};

/// Runs the worlds of these seeds with each of the bugs planted, and prints the table; one that is missed fails.
pub(super) fn prove(seeds: Seeds, bounds: Bounds) -> Result<u8, Failure> {
    let mut rows = Vec::new();
    let mut trouble: Option<Failure> = None;
    for name in PLANTED {
        let mutant = mutants::find(name).map_err(|unknown| Failure::harness(unknown.to_string()))?;
        let asked = Asked { ground: Ground::default(), mutant: Some(mutant), seeds, time: None };
        let next = AtomicU64::new(0);
        let mut worlds = BTreeMap::new();
        campaign::sweep(
            bounds,
            |_| {
                Some(next.fetch_add(1, Ordering::Relaxed))
                    .filter(|nth| *nth < seeds.count())
                    .map(|nth| seeds.first + nth)
            },
            |seed| asked.run(seed).map(|(_, run)| proof::shows(mutant, &run.verdict)),
            |step: Step<u64, Result<bool, Trouble>>| match step {
                Step::Done(seed, result) => match *result {
                    Ok(shows) => {
                        worlds.insert(seed, shows);
                    }
                    Err(error) => trouble = Some(graver(trouble.take(), Failure::harness(error.to_string()))),
                },
                Step::Hangs(seed) => hang(&format!("the world of seed {seed} with {name}"), ""),
            },
        );
        let row = Row { mutant, worlds };
        say(&format!("{name}: {} of {} worlds show it", row.found(), row.worlds.len()));
        rows.push(row);
    }
    print(&proof::table(&rows))?;
    if let Some(failure) = trouble {
        return Err(failure);
    }
    Ok(if rows.iter().all(|row| row.first().is_some()) { exit::PASSED } else { exit::BROKEN })
}
