//! The `[check]` table: its keys, and which objectives a scenario can check at all.

use super::format::Table;
use super::meaning::Rules;

/// What must hold.
pub static CHECK: Table = Table { about: "What must hold.", keys: &[] };

pub(super) fn check(_rules: &mut Rules<'_>) {}
