//! The evidence of a run: its record, its statistics, and the pages that show them.

pub mod record;
