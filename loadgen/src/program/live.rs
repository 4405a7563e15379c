//! What a person watches while the run goes on.

use std::io::IsTerminal;
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval};

use crate::measure::{Counters, Meters, Window};

/// A bar on a terminal; elsewhere a plain line every five seconds, both on standard error. Runs until it is aborted.
pub(super) async fn show(meters: Meters, clients: u32, began: Instant, window: Window) {
    let terminal = std::io::stderr().is_terminal();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let whole = window.ends.saturating_duration_since(began);
    let bar = if terminal { ProgressBar::new(millis(whole)) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{elapsed} {wide_bar} {msg}") {
        bar.set_style(style);
    }
    let _clear = Clear(bar.clone());
    let period = Duration::from_millis(if terminal { 500 } else { 5_000 });
    let mut every = interval(period);
    every.tick().await;
    // From here on they are kept.
    meters.recent();
    let mut before = (Instant::now(), meters.counters(false));
    loop {
        every.tick().await;
        let now = (Instant::now(), meters.counters(false));
        let line = line(clients, before.1, now.1, now.0 - before.0, &meters.recent());
        before = now;
        if terminal {
            bar.set_position(millis(began.elapsed()));
            bar.set_message(line);
        } else {
            eprintln!("{:>4} s  {line}", began.elapsed().as_secs());
        }
    }
}

fn line(clients: u32, before: Counters, now: Counters, over: Duration, recent: &Histogram<u64>) -> String {
    let came = |counters: Counters| counters.ticks + counters.echoes + counters.drained;
    let rate = (came(now) - came(before)) as f64 / over.as_secs_f64().max(1e-3);
    let open = now.opened.saturating_sub(now.closed);
    let mut line = format!("{open}/{clients} open");
    if now.failed > 0 {
        line += &format!(", {} failed", now.failed);
    }
    line += &format!(", {} received, {rate:.0}/s", came(now));
    if !recent.is_empty() {
        line += &format!(", p99 {:.1} ms", recent.value_at_quantile(0.99) as f64 / 1_000.0);
    }
    line
}

/// Leaves no half-drawn bar above the table.
struct Clear(ProgressBar);

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
