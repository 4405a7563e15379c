//! A set of runs as a table for the terminal, 80 columns wide.

use crate::figure;
use crate::summary::{self, Counts, Overall, RunSummary, SummaryMeta, groups, overall, slowest_recovery};

const COLUMNS: usize = 80;

/// The table: a row a scenario; below those that did not pass, why and how to run them again; at the end the sum. With `colors`, verdicts carry ANSI
/// colours; without, there is not one escape sequence in it: whatever a peer or a file wrote, control characters are left out.
#[must_use]
pub fn table(runs: &[RunSummary], meta: &SummaryMeta, colors: bool) -> String {
    let mut text = format!("{:<36} {:>7}  {:<13} {:>9} {:>9}\n", "scenario", "seeds", "verdict", "checks", "speed");
    for group in groups(runs) {
        let title = figure::cut(&clean(&group.title()), 36);
        let verdict = group.verdict();
        let checks = figure::count(group.checked());
        let speed = figure::speed(group.sim_seconds(), group.wall_seconds());
        let seeds = group.seeds();
        let word = painted(verdict.into(), &format!("{:<13}", word(verdict.into())), colors);
        text.push_str(format!("{title:<36} {seeds:>7}  {word} {checks:>9} {speed:>9}").trim_end());
        text.push('\n');
        if let Some((run, worst)) = group.worst() {
            let at = worst.at_us.map_or_else(String::new, |at_us| format!(" at {}", figure::instant(at_us)));
            let why =
                format!("seed {}, {}{at}: {}", run.verdict.label(), worst.invariant, figure::times(&worst.message));
            for line in figure::wrapped(&clean(&why), COLUMNS - 4, 6) {
                text.push_str(&format!("    {line}\n"));
            }
            // One line however long it is: it is there to be copied.
            text.push_str(&format!("    again: {}\n", clean(&run.replay_command)));
            if let Some(report) = &run.report {
                text.push_str(&format!("    report: {}\n", clean(report)));
            }
        }
    }
    if let Some(gate) = &meta.gate {
        let table = gate.table();
        if !table.is_empty() {
            text.push_str(&format!("\n{}", clean_lines(&table)));
        }
    }
    let counts = Counts::of(runs);
    let verdict = overall(runs, meta);
    text.push('\n');
    text.push_str(&painted(verdict, word(verdict), colors));
    text.push_str(&format!(
        ": {} passed, {} failed, {} inconclusive, in {}\n",
        counts.pass,
        counts.fail,
        counts.inconclusive,
        figure::seconds(meta.wall_seconds)
    ));
    if meta.runs_left_out() > 0 {
        text.push_str(&format!("{} runs are missing\n", meta.runs_left_out()));
    }
    meta.left_out().for_each(|line| text.push_str(&format!("  {}\n", clean(&line))));
    if let Some(canary) = &meta.canary {
        for line in figure::wrapped(&clean(&canary.words()), COLUMNS, 6) {
            text.push_str(&format!("{line}\n"));
        }
    }
    if let Some(headline) = summary::regressions::headline(&meta.regressions) {
        text.push_str(&format!("{headline}\n"));
        summary::regressions::complaints(&meta.regressions)
            .for_each(|line| text.push_str(&format!("    {}\n", clean(&line))));
    }
    if let Some(recovery) = slowest_recovery(runs) {
        text.push_str(&format!("slowest recovery: {}\n", clean(&recovery)));
    }
    if let Some(marks) = &meta.marks {
        text.push_str(&format!("marks reached: {}\n", marks.count()));
        for mark in marks.missed.iter().filter(|_| marks.required) {
            text.push_str(&format!("    never reached: {} ({})\n", clean(&mark.name), clean(&mark.place)));
        }
    }
    if let Some(gate) = &meta.gate {
        text.push_str(&format!("{}\n", clean(&gate.headline())));
    }
    text
}

fn word(overall: Overall) -> &'static str {
    match overall {
        Overall::Pass => "pass",
        Overall::Inconclusive => "inconclusive",
        Overall::Worse => "WORSE",
        Overall::Fail => "FAIL",
    }
}

fn painted(overall: Overall, text: &str, colors: bool) -> String {
    let code = match overall {
        Overall::Pass => "32",
        Overall::Inconclusive => "33",
        Overall::Worse | Overall::Fail => "1;31",
    };
    if colors { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// As [`clean`], line by line.
fn clean_lines(text: &str) -> String {
    text.lines().map(|line| clean(line) + "\n").collect()
}

/// Without control characters: a terminal obeys them.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
