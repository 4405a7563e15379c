//! `summary.md`: what a CI job shows on its page.

use super::{
    Counts, Group, Outcome, Overall, RunSummary, SummaryMeta, Worst, groups, overall, regressions, slowest_recovery,
};
use crate::figure;

/// Marks never reached that are named.
const MARKS_MAX: usize = 20;
/// Failing scenarios shown in full, one run of each; the others are counted.
const FAILURES_MAX: usize = 20;
/// Bytes of the failures shown in full.
const FAILURES_BYTES_MAX: usize = 60_000;
/// Bytes of the table of scenarios.
const ROWS_BYTES_MAX: usize = 90_000;
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
        text.push_str(&format!("\n**{} runs are missing.**\n", meta.runs_left_out()));
    }
    for (place, line) in meta.left_out().take(LEFT_OUT_MAX).enumerate() {
        let gap = if place == 0 { "\n" } else { "" };
        text.push_str(&format!("{gap}- {}\n", escaped(&figure::cut(&line, 200))));
    }
    if let Some(canary) = &meta.canary {
        text.push_str(&format!("\n{}\n", escaped(&figure::cut(&canary.words(), 1000))));
    }
    if let Some(headline) = regressions::headline(&meta.regressions) {
        text.push_str(&format!("\n{headline}.\n"));
        for (place, line) in regressions::complaints(&meta.regressions).take(FAILURES_MAX).enumerate() {
            let gap = if place == 0 { "\n" } else { "" };
            text.push_str(&format!("{gap}- {}\n", escaped(&figure::cut(&line, 600))));
        }
    }
    if let Some(recovery) = slowest_recovery(runs) {
        text.push_str(&format!("\nSlowest recovery: {}.\n", escaped(&recovery)));
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
    // The worst first; those that came out alike stay in their order.
    groups.sort_by_key(|group| std::cmp::Reverse(group.verdict()));
    let failing = || groups.iter().filter(|group| group.verdict() == Outcome::Fail);
    let end = text.len() + FAILURES_BYTES_MAX;
    let mut shown = 0;
    for (run, worst) in failing().take(FAILURES_MAX).filter_map(|group| group.worst()) {
        let before = text.len();
        failure(&mut text, run, &worst);
        if text.len() > end {
            text.truncate(before);
            break;
        }
        shown += 1;
    }
    let hidden = counts.fail - shown;
    if hidden > 0 && shown > 0 {
        text.push_str(&format!("\n{hidden} more failed runs are in `index.html`.\n"));
    }
    if let Some(gate) = &meta.gate {
        text.push_str(&format!("\n### Against the baseline\n\n{}\n", escaped(&figure::cut(&gate.headline(), 1000))));
        block(&mut text, &gate.table(), TABLE_BYTES_MAX);
    }
    if !groups.is_empty() {
        text.push_str("\n| Scenario | Verdict | Seeds passed | Checks | Simulated | Speed | Worst |\n");
        text.push_str("|---|---|--:|--:|--:|--:|---|\n");
    }
    let end = text.len() + ROWS_BYTES_MAX;
    for (place, group) in groups.iter().enumerate() {
        let row = row(group);
        if text.len() + row.len() > end {
            text.push_str(&format!("\n{} more scenarios are in `index.html`.\n", groups.len() - place));
            break;
        }
        text.push_str(&row);
    }
    text
}

fn row(group: &Group<'_>) -> String {
    let worst = group.worst().map_or_else(String::new, |(run, worst)| {
        format!(
            "{} (seed {}): {}",
            worst.invariant,
            run.verdict.label(),
            figure::cut(&figure::times(&worst.message), 200)
        )
    });
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        escaped(&figure::cut(&group.title(), 200)),
        word(group.verdict().into()),
        group.seeds(),
        figure::count(group.checked()),
        figure::seconds(group.sim_seconds()),
        figure::speed(group.sim_seconds(), group.wall_seconds()),
        escaped(&worst)
    )
}

fn failure(text: &mut String, run: &RunSummary, worst: &Worst) {
    let verdict = &run.verdict;
    text.push_str(&format!("\n### {}, seed {}\n\n", escaped(&figure::cut(&verdict.scenario, 200)), verdict.label()));
    let at = worst.at_us.map_or_else(String::new, |at_us| format!(" at {}", figure::instant(at_us)));
    let message = figure::cut(&figure::times(&worst.message), 1000);
    text.push_str(&format!("**{}**{at}: {}\n\n", escaped(&worst.invariant), escaped(&message)));
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
