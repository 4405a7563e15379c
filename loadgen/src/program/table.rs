//! The table at the end, in 80 columns: a sentence that says what it comes to, then the evidence.

use std::fmt::Write as _;

use wire::event::Side;

use super::page::phases;
use super::verdict::Finding;
use crate::health::judged;
use crate::require::Held;
use crate::summary::{Counts, Published, Summary};

const WIDTH: usize = 80;
const NAMES: usize = 16;

/// A short table; rows that would only say 0 are left out, but for those that matter most.
pub(super) fn render(summary: &Summary, finding: &Finding) -> String {
    let mut text = wrapped(&finding.sentence, 0);
    text.push('\n');
    let mut row = |name: &str, value: String| {
        let value = wrapped(&value, NAMES + 1);
        writeln!(text, "{name:<NAMES$} {}", value.trim_start().trim_end()).expect("writing to a string cannot fail");
    };
    row("clients", format!("{} opened, {} refused, of {} to arrive", summary.opened, summary.refused, summary.clients));
    match &summary.published {
        None => row("deliveries", summary.delivered.to_string()),
        Some(published) => published_rows(summary, published, &mut row),
    }
    if summary.drained > 0 {
        row("counted", format!("{} messages of clients that check nothing", summary.drained));
    }
    row(
        "missing",
        match &summary.published {
            None => format!("{} ticks, {} stamps unannounced", summary.missing, summary.unannounced),
            Some(_) => summary.missing.to_string(),
        },
    );
    row("duplicates", summary.duplicates.to_string());
    row("out of order", summary.out_of_order.to_string());
    row("garbled", summary.garbled.to_string());
    if summary.gaps_told > 0 {
        row("gaps told", format!("{} notices, {} messages", summary.gaps_told, summary.gap_messages_told));
    }
    if summary.snapshots > 0 {
        row("snapshots", summary.snapshots.to_string());
    }
    if summary.resumes > 0 {
        let Counts { resumes, resumes_recovered, replayed, .. } = summary.counts;
        row("resumes", format!("{resumes} asked, {resumes_recovered} recovered with {replayed} ticks replayed"));
    }
    if summary.logins_rejected + summary.denied > 0 {
        row("denied", format!("{} symbols, {} logins", summary.denied, summary.logins_rejected));
    }
    if summary.requests > 0 {
        let Counts { requests, echoes, unanswered, requests_skipped, requests_unsent, .. } = summary.counts;
        let mut said = format!("{requests} sent, {echoes} answered, {unanswered} not, {requests_skipped} skipped");
        if requests_unsent > 0 {
            said += &format!(", {requests_unsent} never sent: they waited for the target");
        }
        row("requests", said);
    }
    for closes in &summary.closes {
        let by = if closes.by == Side::Own { "us" } else { "the peer" };
        let code = closes.code.map_or_else(String::new, |code| format!("{code} ")) + closes.word();
        row("closes", format!("{} by {by}, {code}", closes.count));
    }
    if let Some(window) = &summary.window {
        let rate = window.deliveries as f64 / window.seconds;
        row("window", format!("{:.1} s, {} deliveries, {rate:.1}/s", window.seconds, window.deliveries));
        if let Some(within) = window.checked.within_objective {
            // Those of an age that is known, as in objective_share.
            row("in time", format!("{within} of {} messages of known age", window.checked.aged));
        }
    }
    for requirement in &summary.requirements {
        let word = match requirement.verdict {
            Held::Held => "holds",
            Held::Broken => "BROKEN",
            Held::Inconclusive => "inconclusive",
        };
        row("required", format!("{}: {word} ({})", requirement.text, requirement.said));
    }
    if let Some(health) = &summary.health {
        let mut said = Vec::new();
        if let Some(share) = health.cpu_share {
            said.push(format!(
                "CPU {:.0} % of {} thread{}",
                share * 100.0,
                health.threads,
                if health.threads == 1 { "" } else { "s" }
            ));
        }
        let ms = |us: u64| us as f64 / 1_000.0;
        for (name, lateness) in
            [("timers", health.timer_lateness), ("sends", health.send_lateness), ("dials", health.dial_lateness)]
        {
            if let Some(late) = lateness {
                let (us, word) = judged(&late);
                said.push(format!("{name} {:.1} ms late ({word})", ms(us)));
            }
        }
        row("generator", said.join(", "));
        for reason in &health.reasons {
            row("inconclusive", reason.clone());
        }
    }
    let phases = phases(summary);
    if !phases.is_empty() {
        let cells = |cells: [String; 5]| cells.map(|cell| format!("{cell:>10}")).concat();
        let heads = ["p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
        writeln!(text, "{:<NAMES$} {:>9} {}", "phase (ms)", "samples", cells(heads))
            .expect("writing to a string cannot fail");
        for phase in phases {
            let say = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"));
            writeln!(text, "{:<NAMES$} {:>9} {}", phase.name, phase.count, cells(phase.ms.map(say)))
                .expect("writing to a string cannot fail");
        }
    }
    text
}

/// Publishers of whom most went wrong, at most so many.
const WORST: usize = 3;

fn published_rows(summary: &Summary, published: &Published, row: &mut impl FnMut(&str, String)) {
    let Published { publishers, subscribers, settled, sent, owed, delivered, .. } = published;
    let mut said = format!("{sent} messages by {publishers} publishers");
    if summary.publications_missed > 0 {
        said += &format!(", {} more planned and not sent: no session", summary.publications_missed);
    }
    row("published", said);
    let share = published.delivered_share.map_or_else(String::new, |share| format!(" ({:.3} %)", share * 100.0));
    let there = if settled < subscribers { format!("{settled} of ") } else { String::new() };
    row("deliveries", format!("{delivered} of {owed} owed to {there}{subscribers} subscribers that check{share}"));
    if summary.publications_unreturned > 0 {
        row("stopped", format!("{} publishers: their messages did not come back", summary.publications_unreturned));
    }
    let mut worst: Vec<_> = published.by_publisher.iter().collect();
    worst.retain(|it| it.missing + it.duplicates + it.out_of_order > 0);
    worst.sort_by_key(|it| std::cmp::Reverse(it.missing + it.duplicates + it.out_of_order));
    for it in worst.into_iter().take(WORST) {
        row(
            &format!("of client {}", it.client),
            format!(
                "{} missing, {} doubled, {} out of order, of {} sent and {} delivered",
                it.missing, it.duplicates, it.out_of_order, it.sent, it.delivered
            ),
        );
    }
    if summary.foreign + summary.unrelated > 0 {
        let (foreign, unrelated) = (summary.foreign, summary.unrelated);
        row("no fault", format!("{foreign} messages of other runs, {unrelated} without a publication"));
    }
}

/// Lines of 80 columns, the others set in by so many.
fn wrapped(text: &str, indent: usize) -> String {
    let indent = " ".repeat(indent);
    textwrap::fill(text, textwrap::Options::new(WIDTH).initial_indent(&indent).subsequent_indent(&indent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::verdict::Verdict;
    use crate::summary::{Checked, Window};

    #[test]
    fn what_came_in_time_is_told_of_what_has_an_age() {
        let checked = Checked { deliveries: 10, aged: 8, within_objective: Some(7), ..Checked::default() };
        let window = Some(Window { seconds: 1.0, deliveries: 10, checked, ..Window::default() });
        let finding = Finding { verdict: Verdict::Passed, sentence: "Passed.".to_owned() };
        let text = render(&Summary { window, ..Summary::default() }, &finding);
        assert!(text.contains(" 7 of 8 messages of known age"), "{text}");
    }
}
