//! When each tick was first sent: what delivery latency is measured from.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use wire::id::Symbol;

/// Ticks remembered per symbol. A delivery of an older one has no latency.
const TICKS_MAX: u64 = 4096;
/// Symbols remembered; the ticks of further ones have no latency.
const SYMBOLS_MAX: usize = 65_536;
/// Marks a tick that nobody sent: numbers may be left out.
const NEVER: u64 = u64::MAX;

/// The first send of each recent tick, over all sources and legs.
#[derive(Default)]
pub(super) struct Sends {
    symbols: FxHashMap<Symbol, Window>,
}

#[derive(Default)]
struct Window {
    /// The number of the oldest tick remembered.
    base: u64,
    at_us: VecDeque<u64>,
}

impl Sends {
    /// Takes one send; only the first of a tick counts.
    #[inline]
    pub(super) fn sent(&mut self, at_us: u64, symbol: Symbol, n: u64) {
        let window = if let Some(window) = self.symbols.get_mut(&symbol) {
            window
        } else if self.symbols.len() < SYMBOLS_MAX {
            self.symbols.entry(symbol).or_insert(Window { base: n, at_us: VecDeque::new() })
        } else {
            return;
        };
        window.sent(at_us, n);
    }

    /// When the tick was first sent.
    #[inline]
    pub(super) fn first(&self, symbol: &Symbol, n: u64) -> Option<u64> {
        let window = self.symbols.get(symbol)?;
        let place = usize::try_from(n.checked_sub(window.base)?).ok()?;
        window.at_us.get(place).copied().filter(|at| *at != NEVER)
    }
}

impl Window {
    fn sent(&mut self, at_us: u64, n: u64) {
        let Some(place) = n.checked_sub(self.base) else { return };
        if place < self.at_us.len() as u64 {
            let first = &mut self.at_us[place as usize];
            *first = (*first).min(at_us);
            return;
        }
        if place >= self.at_us.len() as u64 + TICKS_MAX {
            // A jump beyond all that is remembered: begin anew there.
            self.at_us.clear();
            self.base = n;
        }
        while self.base + (self.at_us.len() as u64) < n {
            self.push(NEVER);
        }
        self.push(at_us);
    }

    fn push(&mut self, at_us: u64) {
        if self.at_us.len() as u64 == TICKS_MAX {
            self.at_us.pop_front();
            self.base += 1;
        }
        self.at_us.push_back(at_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol() -> Symbol {
        Symbol::new("EURUSD").unwrap()
    }

    #[test]
    fn the_first_send_of_a_tick_counts() {
        let mut sends = Sends::default();
        sends.sent(100, symbol(), 7);
        sends.sent(150, symbol(), 7);
        sends.sent(200, symbol(), 9);
        assert_eq!([6, 7, 8, 9, 10].map(|n| sends.first(&symbol(), n)), [None, Some(100), None, Some(200), None]);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut sends = Sends::default();
        for n in 0..TICKS_MAX + 10 {
            sends.sent(n, symbol(), n);
        }
        assert_eq!(sends.first(&symbol(), 9), None);
        assert_eq!(sends.first(&symbol(), 10), Some(10));
        sends.sent(5, symbol(), u64::MAX);
        assert_eq!(sends.first(&symbol(), u64::MAX), Some(5));
        assert_eq!(sends.symbols[&symbol()].at_us.len(), 1);
    }
}
