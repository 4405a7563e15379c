//! The folder of a measurement: every file whole under its name, or not there at all.

use std::path::Path;

use super::{CapacityReport, csv, page};
use crate::folder::{WriteError, write_file, write_pretty};

pub(super) fn write(dir: &Path, report: &CapacityReport) -> Result<(), WriteError> {
    // Made before anything is written: what cannot be made leaves no half of a folder.
    let path = dir.join("index.html");
    let index = page::page(report).map_err(|error| WriteError::Text { path: path.clone(), why: error.to_string() })?;
    for picture in page::pictures(report) {
        write_file(&dir.join("charts").join(format!("{}.svg", picture.name)), picture.svg.as_bytes())?;
    }
    write_file(&dir.join("steps.csv"), csv::csv(report).as_bytes())?;
    write_file(&path, index.as_bytes())?;
    write_pretty(&dir.join("capacity.json"), report)
}
