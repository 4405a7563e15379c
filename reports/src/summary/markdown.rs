//! `summary.md`: what a CI job shows on its page.

use super::{Counts, Outcome, Overall, RunSummary, SummaryMeta, groups, overall, worst};
use crate::figure;

/// Failures shown in full; the others are counted.
const FAILURES_MAX: usize = 5;
/// Marks never reached that are named.
const MARKS_MAX: usize = 20;
/// Rows of the table; the worst come first when there are more.
const ROWS_MAX: usize = 500;
/// Scenarios with too few runs that are named.
const LEFT_OUT_MAX: usize = 50;
/// Bytes of the table of differences; the worst come first.
const TABLE_BYTES_MAX: usize = 40_000;

pub(super) fn summary(runs: &[RunSummary], meta: &SummaryMeta) -> String {
    let counts = Counts::of(runs);
    let mut text = format!(
        "## Windtunnel: {}\n\n{} passed, {} failed, {} inconclusive, in {}.\n",
        word(overall(runs, meta)),
        counts.pass,
        counts.fail,
        counts.inconclusive,
        figure::seconds(meta.wall_seconds)
    );
    if meta.runs_left_out() > 0 {
        text.push_str(&format!("\n**{} runs were left out: the time budget was over.**\n", meta.runs_left_out()));
        for line in meta.left_out().take(LEFT_OUT_MAX) {
            text.push_str(&format!("- {}\n", escaped(&line)));
        }
    }
    if let Some(canary) = &meta.canary {
        text.push_str(&format!("\n{}\n", escaped(&canary.words())));
    }
    if let Some(marks) = &meta.marks {
        text.push_str(&format!("\nMarks reached: {}.", marks.count()));
        if !marks.missed.is_empty() && (marks.required || marks.missed.len() <= MARKS_MAX) {
            text.push_str(if marks.required { " **Required, and never reached:**" } else { " Never reached:" });
            text.push_str("\n\n");
            for mark in marks.missed.iter().take(MARKS_MAX) {
                text.push_str(&format!("- {} ({})\n", escaped(&mark.name), escaped(&mark.place)));
            }
            if marks.missed.len() > MARKS_MAX {
                text.push_str(&format!("- and {} more\n", marks.missed.len() - MARKS_MAX));
            }
        } else {
            text.push('\n');
        }
    }
    let mut groups = groups(runs);
    if groups.len() > ROWS_MAX {
        groups.sort_by_key(|group| std::cmp::Reverse(group.verdict()));
    }
    if !groups.is_empty() {
        text.push_str("\n| Scenario | Verdict | Seeds passed | Checks | Simulated | Speed | Worst |\n");
        text.push_str("|---|---|--:|--:|--:|--:|---|\n");
    }
    for group in groups.iter().take(ROWS_MAX) {
        let worst = group.worst().map_or_else(String::new, |(run, worst)| {
            format!("{} (seed {}): {}", worst.invariant, run.verdict.label(), figure::cut(&worst.message, 200))
        });
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            escaped(&group.title()),
            word(group.verdict().into()),
            group.seeds(),
            figure::count(group.checked()),
            figure::seconds(group.sim_seconds()),
            figure::speed(group.sim_seconds(), group.wall_seconds()),
            escaped(&worst)
        ));
    }
    if groups.len() > ROWS_MAX {
        text.push_str(&format!("\n{} more scenarios are in `index.html`.\n", groups.len() - ROWS_MAX));
    }
    if let Some(gate) = &meta.gate {
        text.push_str(&format!("\n### Against the baseline\n\n{}\n", escaped(&gate.headline())));
        block(&mut text, &gate.table(), TABLE_BYTES_MAX);
    }
    let failed: Vec<_> = runs.iter().filter(|run| run.verdict.verdict == Outcome::Fail).collect();
    for run in failed.iter().take(FAILURES_MAX) {
        failure(&mut text, run);
    }
    if failed.len() > FAILURES_MAX {
        text.push_str(&format!("\n{} more failed runs are in `index.html`.\n", failed.len() - FAILURES_MAX));
    }
    text
}

fn failure(text: &mut String, run: &RunSummary) {
    let verdict = &run.verdict;
    text.push_str(&format!("\n### {}, seed {}\n\n", escaped(&verdict.scenario), verdict.label()));
    if let Some(worst) = worst(verdict) {
        let at = worst.at_us.map_or_else(String::new, |at_us| format!(" at {}", figure::instant(at_us)));
        let message = figure::cut(&worst.message, 1000);
        text.push_str(&format!("**{}**{at}: {}\n\n", escaped(&worst.invariant), escaped(&message)));
    }
    text.push_str("Run it again:\n");
    block(text, &run.replay_command, usize::MAX);
}

/// Lines as they are, at most so many bytes of them. An indented block: nothing in them can end it.
fn block(text: &mut String, lines: &str, bytes_max: usize) {
    let end = text.len().saturating_add(bytes_max);
    let mut lines = lines.lines();
    text.push('\n');
    while let Some(line) = lines.next() {
        if text.len() + line.len() > end {
            text.push_str(&format!("    ... {} more lines are in `index.html`\n", lines.count() + 1));
            return;
        }
        text.push_str(&format!("    {line}\n"));
    }
}

fn word(overall: Overall) -> &'static str {
    match overall {
        Overall::Pass => "✅ pass",
        Overall::Inconclusive => "⚠️ inconclusive",
        Overall::Worse => "❌ worse",
        Overall::Fail => "❌ fail",
    }
}

/// As text in a table's cell, whatever it holds.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' | '@' => {
                out.push('\\');
                out.push(character);
            }
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
