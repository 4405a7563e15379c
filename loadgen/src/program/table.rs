//! The table at the end.

use std::fmt::Write as _;

use wire::event::Side;

use crate::distribution::Quantiles;
use crate::require::Held;
use crate::summary::{Counts, Summary};

/// A short table; rows that would only say 0 are left out, but for those that matter most.
pub(super) fn render(summary: &Summary) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        writeln!(text, "{name:<16} {value}").expect("writing to a string cannot fail");
    };
    row("clients", format!("{} opened, {} refused, of {} to arrive", summary.opened, summary.refused, summary.clients));
    row("deliveries", summary.delivered.to_string());
    if summary.drained > 0 {
        row("counted", format!("{} messages of clients that check nothing", summary.drained));
    }
    row("missing", format!("{} ticks, {} stamps unannounced", summary.missing, summary.unannounced));
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
        let Counts { requests, echoes, unanswered, requests_skipped, .. } = summary.counts;
        row("requests", format!("{requests} sent, {echoes} answered, {unanswered} not, {requests_skipped} skipped"));
    }
    for closes in &summary.closes {
        let by = if closes.by == Side::Own { "us" } else { "the peer" };
        let code = closes.code.map_or_else(String::new, |code| format!("{code} ")) + closes.word();
        row("closes", format!("{} by {by}, {code}", closes.count));
    }
    for (name, quantiles, note) in [
        ("connect", &summary.connect_latency, "from the planned arrival"),
        (
            "tick latency",
            &summary.tick_latency,
            "from the due time in the payload: whole ms, as good as the clocks agree",
        ),
        ("echo latency", &summary.echo_latency, "from the planned instant"),
        ("send lateness", &summary.send_lateness, "of this generator, against its plan"),
    ] {
        if quantiles.count > 0 {
            row(name, format!("{}  ({note})", line(quantiles)));
        }
    }
    if let Some(window) = &summary.window {
        let rate = window.deliveries as f64 / window.seconds;
        row("window", format!("{:.1} s, {} deliveries, {rate:.1}/s", window.seconds, window.deliveries));
        if let Some(within) = window.checked.within_objective {
            row("in time", format!("{within} of {} ticks checked", window.checked.deliveries));
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
    for reason in summary.health.iter().flat_map(|health| &health.reasons) {
        row("inconclusive", reason.clone());
    }
    text
}

fn line(quantiles: &Quantiles) -> String {
    let ms = |us: u64| us as f64 / 1_000.0;
    let Quantiles { p50_us, p90_us, p99_us, p999_us, max_us, .. } = *quantiles;
    format!(
        "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2} ms",
        ms(p50_us),
        ms(p90_us),
        ms(p99_us),
        ms(p999_us),
        ms(max_us)
    )
}
