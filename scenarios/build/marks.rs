//! Finds the marks (`wire::reached!("...")`) in the sources of the programs. Used by the build script, and by the tests of `marks`.

use std::fs;
use std::path::{Path, PathBuf};

/// A mark as it stands in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) line: usize,
}

const MACRO: &str = "reached!(";

/// The marks of one source, in order.
///
/// # Errors
/// The line of a mark whose name is no plain literal.
pub(crate) fn scan(text: &str) -> Result<Vec<Found>, usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(MACRO).map(|at| from + at) {
        from = at + MACRO.len();
        let line_begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if text[line_begin..at].contains("//") {
            continue;
        }
        let line = text[..at].matches('\n').count() + 1;
        let name = text[from..].trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')).ok_or(line)?.0;
        if name.is_empty() || name.contains(['\\', '\n']) {
            return Err(line);
        }
        found.push(Found { name: name.to_owned(), line });
    }
    Ok(found)
}

/// All Rust sources below a folder, in the order of their paths.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
