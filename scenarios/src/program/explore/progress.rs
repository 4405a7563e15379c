//! What a person sees while worlds are run: a line that changes on a terminal, a line now and then otherwise.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::say;
use crate::explore::found::Found;
use crate::marks;

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// The rim of the exploration.
pub(super) enum Progress {
    Bar(ProgressBar),
    /// When the next line is due.
    Lines(Cell<Duration>),
    Silent,
}

impl Progress {
    /// `worlds`: how many there will be, where that is known.
    pub(super) fn new(silent: bool, worlds: Option<u64>) -> Self {
        if silent {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines(Cell::new(EVERY));
        }
        let bar = ProgressBar::with_draw_target(worlds, ProgressDrawTarget::stderr_with_hz(4));
        let template = if worlds.is_some() { "{bar:24} {wide_msg}" } else { "{elapsed} {wide_msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    pub(super) fn told(&self, found: &Found, elapsed: Duration) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(line(found, elapsed));
                bar.inc(1);
            }
            Self::Lines(due) if elapsed >= due.get() => {
                due.set(elapsed + EVERY);
                say(&line(found, elapsed));
            }
            Self::Lines(_) | Self::Silent => {}
        }
    }

    pub(super) fn say(&self, line: &str) {
        match self {
            Self::Bar(bar) => bar.println(line),
            Self::Lines(_) | Self::Silent => say(line),
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(found: &Found, elapsed: Duration) -> String {
    let per_s = found.runs as f64 / elapsed.as_secs_f64().max(1e-3);
    format!(
        "{} runs, {per_s:.1}/s, {:.1} simulated hours, {} kinds of failures in {} runs, marks {}/{}",
        found.runs,
        found.sim_seconds / 3_600.0,
        found.distinct(),
        found.failed,
        found.marks().len(),
        marks::all().len()
    )
}
