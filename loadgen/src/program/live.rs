//! What a person watches while the run goes on.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval};
use wire::event::{Event, Observer, Sink};

/// Counts events on their way to the record.
pub(super) struct Live {
    record: Observer,
    opened: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
}

impl Live {
    pub(super) fn new(record: Observer) -> Self {
        let zero = AtomicU64::default;
        Self { record, opened: zero(), closed: zero(), refused: zero(), received: zero() }
    }

    fn line(&self, clients: u32) -> String {
        let at = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let open = at(&self.opened).saturating_sub(at(&self.closed));
        format!("{open}/{clients} open, {} refused, {} received", at(&self.refused), at(&self.received))
    }
}

impl Sink for Live {
    fn record(&self, event: Event) {
        let counter = match &event {
            Event::ClientOpen { .. } => Some(&self.opened),
            Event::ClientClose { .. } => Some(&self.closed),
            Event::ClientRefused { .. } => Some(&self.refused),
            Event::ClientDeliver { .. } | Event::ClientEcho { .. } => Some(&self.received),
            _ => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.record.record(|| event);
    }
}

/// A bar on a terminal; elsewhere a plain line every ten seconds. Runs until it is aborted.
pub(super) async fn show(live: Arc<Live>, clients: u32, duration: Duration) {
    let began = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let bar = if terminal { ProgressBar::new(millis(duration)) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{elapsed} {wide_bar} {msg}") {
        bar.set_style(style);
    }
    let _clear = Clear(bar.clone());
    let mut every = interval(Duration::from_millis(if terminal { 250 } else { 10_000 }));
    every.tick().await;
    loop {
        every.tick().await;
        let line = live.line(clients);
        if terminal {
            bar.set_position(millis(began.elapsed()));
            bar.set_message(line);
        } else {
            eprintln!("{:>4} s  {line}", began.elapsed().as_secs());
        }
    }
}

/// Leaves no half-drawn bar above the table.
struct Clear(ProgressBar);

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
