//! The table at the end.

use std::fmt::Write as _;

use wire::event::Side;

use crate::summary::{Quantiles, Summary};

/// A short table; rows that would only say 0 are left out, but for those that matter most.
pub(super) fn render(summary: &Summary) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        writeln!(text, "{name:<16} {value}").expect("writing to a string cannot fail");
    };
    row("clients", format!("{} opened, {} refused, of {} to arrive", summary.opened, summary.refused, summary.clients));
    row("deliveries", summary.delivered.to_string());
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
        let Summary { resumes, resumes_recovered, replayed, .. } = summary;
        row("resumes", format!("{resumes} asked, {resumes_recovered} recovered with {replayed} ticks replayed"));
    }
    if summary.logins_rejected + summary.denied > 0 {
        row("denied", format!("{} symbols, {} logins", summary.denied, summary.logins_rejected));
    }
    if summary.requests > 0 {
        let Summary { requests, echoes, unanswered, requests_skipped, .. } = summary;
        row("requests", format!("{requests} sent, {echoes} answered, {unanswered} not, {requests_skipped} skipped"));
    }
    for closes in &summary.closes {
        let by = if closes.by == Side::Own { "us" } else { "the peer" };
        let code = closes.code.map_or_else(|| "broken".to_owned(), |code| code.to_string());
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
