//! Time from left to right.

use super::WIDTH;
use crate::span::Span;

/// Columns of a row's label.
pub(super) const LABEL: usize = 28;
/// Columns of the bar beside it.
const COLUMNS: usize = WIDTH - LABEL;

/// The whole run, spread over the columns.
pub(super) struct Bar {
    pub(super) end_us: u64,
}

impl Bar {
    /// The column of an instant; the end is the last.
    fn column(&self, at_us: u64) -> usize {
        let last = (COLUMNS - 1) as u128;
        let column = u128::from(at_us) * last / u128::from(self.end_us.max(1));
        usize::try_from(column.min(last)).unwrap_or(COLUMNS - 1)
    }

    /// Instants above their columns; one that would touch the one before it is left out, but never the last.
    pub(super) fn scale(&self, instants: &[u64]) -> String {
        let mut line = String::new();
        let end = Span::from_micros(self.end_us).to_string();
        for at in instants.iter().filter(|at| **at != self.end_us) {
            let word = Span::from_micros(*at).to_string();
            let column = self.column(*at);
            let free = line.is_empty() || line.len() < column;
            if free && column + word.len() + end.len() < COLUMNS {
                line = format!("{line:<column$}{word}");
            }
        }
        format!("{line:<width$}{end}", width = COLUMNS.saturating_sub(end.len()))
    }

    /// Stretches of time, each with its mark; the shortest still shows.
    pub(super) fn stretches(&self, stretches: &[(u64, u64, char)]) -> String {
        let mut cells = vec![' '; COLUMNS];
        for (from, to, mark) in stretches {
            if from >= to {
                continue;
            }
            let (from, to) = (self.column(*from), self.column(*to));
            cells[from..to.max(from + 1)].fill(*mark);
        }
        cells.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_the_first_column_and_the_end_the_last() {
        let bar = Bar { end_us: 10_000_000 };
        assert_eq!((bar.column(0), bar.column(10_000_000), bar.column(u64::MAX)), (0, COLUMNS - 1, COLUMNS - 1));
        assert_eq!(Bar { end_us: 0 }.column(5), COLUMNS - 1, "an empty run is all end");
    }

    #[test]
    fn a_moment_is_still_seen() {
        let bar = Bar { end_us: 3_600_000_000 };
        assert_eq!(bar.stretches(&[(1_800_000_000, 1_800_000_001, '#')]).matches('#').count(), 1);
    }

    #[test]
    fn instants_that_would_touch_are_left_out() {
        let bar = Bar { end_us: 100_000_000 };
        let scale = bar.scale(&[0, 1, 50_000_000, 99_999_999, 100_000_000]);
        assert_eq!(scale.split_whitespace().collect::<Vec<_>>(), ["0s", "50s", "100s"]);
        assert_eq!(scale.len(), COLUMNS);
    }
}
