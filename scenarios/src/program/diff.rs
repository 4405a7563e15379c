//! `diff`: what got better and worse from one run folder or baseline to another.

use std::path::Path;

use super::{Failure, exit, print};
use crate::capsule::CapsuleError;
use crate::gate::{self, ReadError};

pub(super) fn diff(before: &Path, now: &Path) -> Result<u8, Failure> {
    let read = |path: &Path| gate::read(path).map_err(|error| unreadable(&error));
    let (was, is) = (read(before)?, read(now)?);
    let found = gate::diff(&was, &is, &before.display().to_string());
    let table = found.table();
    let mut text = table.clone();
    if !table.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!("{}\n", found.headline()));
    if table.contains("(wall)") {
        text.push_str("(wall): measured on the wall, where every run differs: a hint, never a verdict\n");
    }
    for (side, word) in [(&was, "first"), (&is, "second")] {
        for (name, measured) in &side.scenarios {
            if let Some(mutant) = measured.mutant() {
                text.push_str(&format!("{name}: the {word} was run with the planted bug {mutant}\n"));
            }
        }
    }
    print(&text)?;
    Ok(match (found.worse().next(), found.incomparable().next()) {
        (Some(_), _) => exit::WORSE,
        (None, Some(_)) => exit::INCONCLUSIVE,
        (None, None) => exit::PASSED,
    })
}

/// A folder or file that cannot be compared.
pub(super) fn unreadable(error: &ReadError) -> Failure {
    match error {
        ReadError::Unreadable { .. } | ReadError::Capsule(CapsuleError::Unreadable { .. }) => {
            Failure::io(error.to_string())
        }
        ReadError::Baseline(error) => super::run::baseline_failure(error),
        _ => Failure::usage(error.to_string()),
    }
}
