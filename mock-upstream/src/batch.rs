//! Tick n of all symbols, each payload made once and shared by all connections.

use std::sync::{Arc, OnceLock};

use wire::id::Symbol;
use wire::tick::{Padding, Schedule, Tick};
use wire::ws::Utf8Bytes;

/// Tick `n` of every symbol. A payload is made when the first connection wants it.
#[derive(Debug)]
pub(crate) struct Batch {
    n: u64,
    seed: u64,
    schedule: Schedule,
    /// The form of the payloads.
    v2: bool,
    silent: Arc<[u16]>,
    texts: Box<[OnceLock<Utf8Bytes>]>,
}

impl Batch {
    /// `silent` holds, for each symbol, how many scripted silences cover it now.
    pub(crate) fn new(n: u64, seed: u64, schedule: Schedule, v2: bool, silent: Arc<[u16]>) -> Self {
        let texts = silent.iter().map(|_| OnceLock::new()).collect();
        Self { n, seed, schedule, v2, silent, texts }
    }

    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    /// The payload for the symbol at `index`, which has this filler; None where it is silenced.
    pub(crate) fn text(&self, index: usize, symbol: Symbol, padding: Padding) -> Option<Utf8Bytes> {
        if *self.silent.get(index)? > 0 {
            return None;
        }
        let text = self.texts[index].get_or_init(|| {
            let tick = Tick { symbol, n: self.n };
            let encode = if self.v2 { Tick::encode_v2_padded } else { Tick::encode_padded };
            encode(&tick, self.seed, self.schedule, padding).into()
        });
        Some(text.clone())
    }
}
