//! A scenario as a page of text: who is there, what happens when, what must hold. 80 columns.

mod bar;
mod words;

use std::fmt::Write as _;

use self::bar::{Bar, LABEL};
use crate::model::{Fault, Scenario, ServiceTime};
use crate::plan::Plan;

/// Columns of the page.
pub const WIDTH: usize = 80;

/// The scenario in text, at most [`WIDTH`] columns unless a single word is wider. Ends in a line break.
///
/// ```text
/// time                      0s  2s                      22s 25s
/// warmup, steady, recovery  wwwwssssssssssssssssssssssssrrrrrrr
/// viewers                   //=================================
/// kill source-active                  #####
/// ```
#[must_use]
pub fn explain(scenario: &Scenario) -> String {
    let plan = Plan::new(scenario, 0);
    let mut page = Page::default();
    page.line(&scenario.name);
    page.line("");
    page.paragraph("", &scenario.about);
    page.line("");
    for (label, text) in words::cast(scenario) {
        page.entry(label, &text);
    }
    page.line("");
    timeline(scenario, &plan, &mut page);
    for (title, entries) in [
        ("What goes wrong", words::faults(scenario)),
        ("What must hold", words::objectives(scenario)),
        ("What must have happened, or the run proves nothing", words::reach(scenario)),
    ] {
        if !entries.is_empty() {
            page.line("");
            page.line(title);
            for entry in entries {
                page.paragraph("  - ", &entry);
            }
        }
    }
    page.text
}

/// What an invariant asks of this scenario, with its bounds: `no symbol is silent for more than 2s`. None where it is not watched.
pub(crate) fn bound(scenario: &Scenario, invariant: &str) -> Option<String> {
    let head = format!("{invariant}: ");
    words::objectives(scenario).into_iter().find_map(|line| line.strip_prefix(&head).map(str::to_owned))
}

/// What a fault does, and how it ends; nothing for what is over at once.
pub(crate) fn fault(fault: &Fault) -> (String, &'static str) {
    words::fault_words(fault)
}

/// What work costs the proxies.
pub(crate) fn cpu(cost: ServiceTime) -> String {
    words::cpu(cost)
}

/// Bars over the whole run: phases, groups, faults.
fn timeline(scenario: &Scenario, plan: &Plan, page: &mut Page) {
    let us = |at: std::time::Duration| u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    let (steady_at, recovery_at, end_at) = (us(plan.steady_at), us(plan.recovery_at), us(plan.end_at));
    let bar = Bar { end_us: end_at };
    page.row("time", &bar.scale(&[0, steady_at, recovery_at, end_at]));
    page.row("warmup, steady, recovery", &bar.stretches(&phases(steady_at, recovery_at, end_at)));
    for group in &scenario.clients {
        let start = group.start.as_micros();
        let arrived = words::arrived_us(group);
        let gone = group.load.stay().map_or(end_at, |stay| arrived.saturating_add(stay.as_micros()));
        page.row(&group.name, &bar.stretches(&[(start, arrived, '/'), (arrived, gone, '=')]));
    }
    for fault in &scenario.faults {
        let Fault { at, lasts, kind, target, .. } = fault;
        let label = format!("{} {target}", kind.word());
        let Some(at) = at else {
            // Nobody knows when.
            page.row(&label, &bar.stretches(&[(steady_at, recovery_at, '?')]));
            continue;
        };
        let from = steady_at.saturating_add(at.as_micros());
        let to = match lasts {
            Some(lasts) => from.saturating_add(lasts.as_micros()),
            // The narrowest mark.
            None if kind.is_instant() => from + 1,
            None => end_at,
        };
        page.row(&label, &bar.stretches(&[(from, to, '#')]));
    }
    let timed = if scenario.faults.iter().any(|fault| fault.at.is_some()) { "   # fault" } else { "" };
    let waits = if scenario.faults.iter().any(|fault| fault.at.is_none()) { "   ? waits" } else { "" };
    page.row("", &format!("/ arriving   = there{timed}{waits}"));
}

/// Each phase in its own mark.
fn phases(steady_at: u64, recovery_at: u64, end_at: u64) -> [(u64, u64, char); 3] {
    // The last column is the end itself.
    [(0, steady_at, 'w'), (steady_at, recovery_at, 's'), (recovery_at, end_at + end_at / 20, 'r')]
}

/// Text that grows by lines.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    /// A row of the timeline; a long label keeps its end, where the target stands.
    fn row(&mut self, label: &str, bar: &str) {
        let over = label.chars().count().saturating_sub(LABEL - 1);
        let cut: String =
            if over == 0 { label.to_owned() } else { "~".chars().chain(label.chars().skip(over + 1)).collect() };
        self.line(&format!("{cut:<LABEL$}{bar}"));
    }

    /// A labelled paragraph.
    fn entry(&mut self, label: &str, text: &str) {
        self.paragraph(&format!("  {label:<9} "), text);
    }

    /// Text broken between words, under one another after `head`.
    fn paragraph(&mut self, head: &str, text: &str) {
        let indent = " ".repeat(head.chars().count());
        let mut line = head.to_owned();
        let mut fresh = true;
        for word in text.split_whitespace() {
            if !fresh && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line.clone_from(&indent);
                fresh = true;
            }
            if !fresh {
                line.push(' ');
            }
            line.push_str(word);
            fresh = false;
        }
        self.line(&line);
    }
}

#[cfg(test)]
mod tests;
