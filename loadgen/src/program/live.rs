//! What a person watches while the run goes on.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use reports::load::Second;
use tokio::time::Instant;

use crate::measure::{Counters, Window};

/// Seconds between two plain lines.
const PLAIN_EVERY: u64 = 5;

/// A bar on a terminal; elsewhere a plain line every five seconds, both on standard error.
pub(super) struct Live {
    clients: u32,
    began: Instant,
    window: Window,
    /// None: not a terminal.
    bar: Option<ProgressBar>,
    rows: u64,
}

impl Live {
    pub(super) fn new(clients: u32, began: Instant, window: Window) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(millis(window.ends.saturating_duration_since(began)));
            if let Ok(style) = ProgressStyle::with_template("{elapsed} {bar:12} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { clients, began, window, bar, rows: 0 }
    }

    /// Shows a second.
    pub(super) fn show(&mut self, row: &Second, counters: Counters) {
        self.rows += 1;
        let now = Instant::now();
        let phase = match () {
            () if now < self.window.begins => "before",
            () if now < self.window.ends => "measuring",
            () => "closing",
        };
        let line = line(self.clients, row, counters, phase);
        match &self.bar {
            Some(bar) => {
                bar.set_position(millis(now.saturating_duration_since(self.began)));
                bar.set_message(line);
            }
            None if self.rows.is_multiple_of(PLAIN_EVERY) => eprintln!("{:>4} s  {line}", row.at_s.round()),
            None => {}
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn line(clients: u32, row: &Second, counters: Counters, phase: &str) -> String {
    let mut line = format!("{}/{clients} open", row.open);
    if counters.failed > 0 {
        line += &format!(", {} failed", counters.failed);
    }
    line += &format!(", {:.0}/s", row.deliveries_per_s);
    if let Some(p99) = row.p99_ms {
        line += &format!(", p99 {p99:.1} ms");
    }
    line + ", " + phase
}

/// Leaves no half-drawn bar above the table.
impl Drop for Live {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_there_is() {
        let row = Second { open: 5, deliveries_per_s: 99.6, p99_ms: Some(1.26), ..Second::default() };
        let counters = Counters { failed: 2, ..Counters::default() };
        assert_eq!(line(9, &row, counters, "measuring"), "5/9 open, 2 failed, 100/s, p99 1.3 ms, measuring");
        let quiet = Second::default();
        assert_eq!(line(9, &quiet, Counters::default(), "before"), "0/9 open, 0/s, before");
    }
}
