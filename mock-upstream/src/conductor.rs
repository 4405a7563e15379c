//! The one task that keeps time: makes ticks when they are due and plays the script.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wire::net::Network;

use crate::batch::Batch;
use crate::config::Mode;
use crate::pacer::{Due, Pacer};
use crate::script::{Effect, Timeline};
use crate::serve::{NO_KEY_LIMIT, News, Shared};

/// A sleep is never longer, so that a wall clock that jumps is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Runs until it is aborted with its owner.
pub(crate) async fn conduct<N: Network>(shared: Arc<Shared>, net: N) {
    let began = Instant::now();
    let mut timeline = Timeline::new(&shared.config.script);
    let ticking = shared.config.mode != Mode::Echo && !shared.config.symbols.is_empty();
    let mut pacer = Pacer::new(Arc::clone(&shared.schedules), shared.config.burst_max, net.wall_clock());
    let mut stage = Stage::new(&shared);
    loop {
        while let Some(effect) = timeline.due(began.elapsed()) {
            stage.apply(effect);
        }
        if ticking {
            for due in pacer.due(net.wall_clock()) {
                stage.tick(due);
            }
        }
        let mut wait = SLEEP_MAX;
        if let Some(next) = timeline.next() {
            wait = wait.min(next.saturating_sub(began.elapsed()));
        }
        if ticking && let Some(tick) = pacer.wait(net.wall_clock()) {
            wait = wait.min(tick);
        }
        tokio::time::sleep(wait).await;
    }
}

/// The effects now in force. Spans of one kind may overlap: they are counted.
struct Stage<'a> {
    shared: &'a Shared,
    stalls: u16,
    refusals: u16,
    slams: u16,
    rejections: u16,
    /// How often garbage was sent.
    garbage: u32,
    silences: Arc<[u16]>,
}

impl<'a> Stage<'a> {
    fn new(shared: &'a Shared) -> Self {
        let silences = shared.config.symbols.iter().map(|_| 0).collect();
        Self { shared, stalls: 0, refusals: 0, slams: 0, rejections: 0, garbage: 0, silences }
    }

    fn tick(&self, due: Due) {
        if self.stalls > 0 {
            return;
        }
        let (seed, v2) = (self.shared.config.seed, self.shared.config.mode == Mode::V2);
        let batch = Batch::new(due, seed, Arc::clone(&self.shared.schedules), v2, Arc::clone(&self.silences));
        self.tell(News::Ticks(Arc::new(batch)));
    }

    fn apply(&mut self, effect: Effect) {
        tracing::debug!(?effect, "script");
        match effect {
            Effect::Stall(on) => {
                count(&mut self.stalls, on);
                self.shared.stalled.store(self.stalls > 0, Ordering::Relaxed);
                self.tell(News::Stall);
            }
            Effect::Refuse(on) => {
                count(&mut self.refusals, on);
                self.shared.refusing.store(self.refusals > 0, Ordering::Relaxed);
            }
            Effect::Slam(on) => {
                count(&mut self.slams, on);
                self.shared.slamming.store(self.slams > 0, Ordering::Relaxed);
            }
            Effect::Silence(symbol, on) => {
                let mut silences = self.silences.to_vec();
                for (place, silence) in silences.iter_mut().enumerate() {
                    if symbol.is_none_or(|symbol| self.shared.place(symbol) == Some(place)) {
                        count(silence, on);
                    }
                }
                self.silences = silences.into();
            }
            Effect::Deny(symbol, on) => {
                let mut denied = self.shared.denied.lock().unwrap_or_else(PoisonError::into_inner);
                for (place, spans) in denied.iter_mut().enumerate() {
                    if symbol.is_none_or(|symbol| self.shared.place(symbol) == Some(place)) {
                        count(spans, on);
                    }
                }
            }
            Effect::RejectLogins(on) => {
                count(&mut self.rejections, on);
                self.shared.rejecting.store(self.rejections > 0, Ordering::Relaxed);
            }
            Effect::SymbolLimit(limit) => {
                self.shared.symbol_limit.store(limit.unwrap_or(self.shared.config.symbol_limit), Ordering::Relaxed);
            }
            Effect::Close(code) => self.tell(News::Close(code)),
            Effect::Reset => self.tell(News::Reset),
            Effect::Garbage => {
                self.tell(News::Garbage(self.garbage));
                self.garbage = self.garbage.wrapping_add(1);
            }
            Effect::Oversized(bytes) => self.tell(News::Oversized(bytes)),
            Effect::KeyLimit(limit) => {
                self.shared.key_limit.store(limit.map_or(NO_KEY_LIMIT, u64::from), Ordering::Relaxed);
            }
        }
    }

    fn tell(&self, news: News) {
        // It fails only where nobody is connected.
        let _ = self.shared.news.send(news);
    }
}

fn count(spans: &mut u16, on: bool) {
    *spans = if on { spans.saturating_add(1) } else { spans.saturating_sub(1) };
}
