//! Many clients, simulated by few: each stands for so many, and costs as much as they do.
//!
//! ```text
//!   20,000 clients, 7 us a segment   ~   500 clients, 280 us a segment
//! ```
//!
//! What stays the same: how busy a core is, how long it takes to hand one tick to everybody, how long a line of handshakes lasts. What gets coarser: one client's
//! share of these is 40 times as long, so that nothing is told more finely than that. What is charged too much: what comes in from the source, a segment a
//! tick, costs 40 times as well; that is one part in as many as an instance has simulated clients that the tick is for.

use serde::Serialize;

use crate::cost::Cost;
use crate::model::{Padding, Rates, ServiceTime, Sources, Subscriptions};
use crate::span::Span;
use wire::id::Symbol;
use wire::tick::{Schedule, Tick};

/// Simulated clients of a world at most.
pub const CLIENTS_MAX: u32 = 500;

/// A population and its simulated one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Population {
    /// Clients that there are.
    pub clients: u32,
    /// Clients that are simulated.
    pub simulated: u32,
    /// How many each of these stands for: `clients / simulated`.
    pub each: f64,
}

/// A cost cannot be multiplied so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{clients} clients in a world of {simulated}: a segment of each would cost more than a second; simulate fewer")]
pub struct TooLarge {
    /// Clients that there are.
    pub clients: u32,
    /// Clients that are simulated.
    pub simulated: u32,
}

impl Population {
    /// So many clients over so many instances, of whom at most `most` are simulated: a whole number for each instance.
    #[must_use]
    pub fn new(clients: u32, instances: u16, most: u32) -> Self {
        let instances = u32::from(instances.max(1));
        let clients = clients.max(instances);
        let simulated = (clients.min(most.clamp(instances, CLIENTS_MAX)) / instances).max(1) * instances;
        Self { clients, simulated, each: f64::from(clients) / f64::from(simulated) }
    }

    /// What network work costs in the simulated world, whatever comes in while a core is busy being read together.
    ///
    /// # Errors
    /// [`TooLarge`] where a cost leaves its range.
    pub fn costs(&self, real: ServiceTime) -> Result<ServiceTime, TooLarge> {
        let Self { clients, simulated, each } = *self;
        let times = |cost: Cost| {
            let nanos = (cost.as_nanos() as f64 * each).round();
            // As a scenario's rules have it.
            if nanos > 1e9 { Err(TooLarge { clients, simulated }) } else { Ok(Cost::from_nanos(nanos as u64)) }
        };
        Ok(ServiceTime {
            proxy_per_segment: times(real.proxy_per_segment)?,
            proxy_per_kib: times(real.proxy_per_kib)?,
            proxy_per_connection: times(real.proxy_per_connection)?,
            proxy_reads: crate::model::Reads::Joined,
            ..real
        })
    }

    /// So many of something that counts clients, in the simulated world: at least one.
    #[must_use]
    pub fn fewer(&self, real: u32) -> u32 {
        (f64::from(real) / self.each).round().max(1.0) as u32
    }
}

/// Ticks of one symbol a second at most: of more, a tick's number would have more digits than its payload has room for.
pub const TICKS_MAX: f64 = 750.0;

/// What the source sends, and how much of it each client gets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Feed {
    /// Symbols, 1 to 1000.
    pub symbols: u32,
    /// Symbols that each client subscribes to, drawn, 1 to all of them.
    pub each: u32,
    /// Ticks of each a second, up to [`TICKS_MAX`].
    pub ticks_per_s: f64,
    /// Bytes of a tick; none, and fewer than it has at least: a plain one.
    pub message_bytes: Option<u32>,
    /// Whether all symbols tick at the same instants, as `mock-upstream` sends them; otherwise each has instants of its own.
    pub together: bool,
}

impl Feed {
    /// Between two ticks of a symbol.
    #[must_use]
    pub fn period(&self) -> Span {
        Span::from_micros((1e6 / self.ticks_per_s.min(TICKS_MAX)).round().clamp(1e3, 3.6e9) as u64)
    }

    /// Ticks of all symbols a second.
    #[must_use]
    pub fn sent_per_s(&self) -> f64 {
        f64::from(self.symbols) * 1e6 / self.period().as_micros() as f64
    }

    /// Ticks that each client gets a second.
    #[must_use]
    pub fn per_s(&self) -> f64 {
        f64::from(self.each) * 1e6 / self.period().as_micros() as f64
    }

    /// Writes that these are to each client of an instance that is not busy: what is due at once is written at once.
    #[must_use]
    pub fn writes_per_s(&self) -> f64 {
        if self.together { self.per_s() / f64::from(self.each.max(1)) } else { self.per_s() }
    }

    /// The source in a scenario: one instance.
    #[must_use]
    pub(super) fn sources(&self) -> Sources {
        let bytes = self.message_bytes.map_or(0, |bytes| bytes.saturating_sub(plain_bytes() + PADDING_KEY));
        Sources {
            symbols: self.symbols,
            period: self.period(),
            rates: (!self.together && self.symbols > 1)
                .then(|| Rates::Zipf(crate::model::Shared { per_s: self.sent_per_s(), exponent: 0.0 })),
            padding: (bytes > 0).then_some(Padding { bytes, bytes_min: None, symbols: Vec::new() }),
            ..Sources::new(1)
        }
    }

    /// What a client subscribes to.
    #[must_use]
    pub(super) fn subscriptions(&self) -> Subscriptions {
        if self.each == self.symbols { Subscriptions::All } else { Subscriptions::Uniform(self.each) }
    }

    /// Bytes of a tick.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.message_bytes.unwrap_or(0).max(plain_bytes())
    }
}

/// `,"pad":""`.
const PADDING_KEY: u32 = 9;

/// Bytes of a tick with so many of filler; none: a plain one.
#[must_use]
pub fn padded_bytes(filler: u32) -> Option<u32> {
    (filler > 0).then(|| plain_bytes() + PADDING_KEY + filler)
}

/// Bytes of a tick without filler.
#[must_use]
pub fn plain_bytes() -> u32 {
    let tick = Tick { symbol: Symbol::numbered(0), n: 0 };
    let schedule = Schedule::every(std::time::Duration::from_secs(1)).ok();
    schedule.map_or(0, |schedule| u32::try_from(tick.encode(1, schedule).len()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_for_as_many_as_there_are_for_one() {
        let many = Population::new(20_000, 4, 500);
        assert_eq!((many.simulated, many.each), (500, 40.0));
        let few = Population::new(100, 4, 500);
        assert_eq!((few.simulated, few.each), (100, 1.0));
        let odd = Population::new(20_000, 3, 500);
        assert_eq!((odd.simulated, odd.simulated % 3), (498, 0));
        assert_eq!(Population::new(0, 4, 500).simulated, 4, "one for each instance");
        assert_eq!((many.fewer(256), many.fewer(10)), (6, 1));
    }

    #[test]
    fn a_core_is_as_busy_with_few_as_with_many() {
        let real = ServiceTime {
            proxy_per_kib: "753ns".parse().unwrap(),
            ..ServiceTime::per_segment("7548ns".parse().unwrap())
        };
        let population = Population::new(20_000, 4, 500);
        let costs = population.costs(real).unwrap();
        assert_eq!(costs.proxy_per_segment.as_nanos() * 500, 7548 * 20_000);
        let too_many = Population { clients: u32::MAX, simulated: 10, each: f64::from(u32::MAX) / 10.0 };
        assert_eq!(too_many.costs(real), Err(TooLarge { clients: u32::MAX, simulated: 10 }));
    }
}
