//! How often the symbols of a source tick, where not all alike.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::id::Symbol;

use super::Sources;
use crate::span::Span;

/// Which symbols tick more or less often than `sources.period` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rates {
    /// These; the others keep `sources.period`.
    Own(Vec<Rate>),
    /// All share one rate, as popularity goes.
    Zipf(Shared),
}

/// Symbols with a period of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rate {
    /// Their names.
    pub symbols: Vec<String>,
    /// Between two ticks of one of them.
    pub period: Span,
}

/// A rate that all symbols share: of rank k (the first has 1) with weight `k ^ -exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Shared {
    /// Ticks of all symbols together a second.
    pub per_s: f64,
    /// 0: all alike. Default 1.
    #[serde(default = "default_exponent")]
    pub exponent: f64,
}

fn default_exponent() -> f64 {
    1.0
}

impl Sources {
    /// The symbols.
    #[must_use]
    pub fn names(&self) -> Vec<Symbol> {
        (0..self.symbols).map(Symbol::numbered).collect()
    }

    /// As a source has it. A name that is no symbol's is left out: the file was not checked.
    #[must_use]
    pub fn simulated_rates(&self) -> mock_upstream::Rates {
        match &self.rates {
            None => mock_upstream::Rates::Alike,
            Some(Rates::Own(own)) => {
                let named =
                    own.iter().flat_map(|rate| rate.symbols.iter().map(|name| (name, rate.period.as_duration())));
                mock_upstream::Rates::Own(
                    named.filter_map(|(name, period)| Some((Symbol::new(name).ok()?, period))).collect(),
                )
            }
            Some(Rates::Zipf(Shared { per_s, exponent })) => {
                mock_upstream::Rates::Zipf { per_s: *per_s, exponent: *exponent }
            }
        }
    }

    /// Between two ticks of each symbol, by its number.
    #[must_use]
    pub fn periods(&self) -> Vec<Span> {
        let periods = self.simulated_rates().periods(&self.names(), self.period.as_duration());
        let micros = |period: Duration| u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        periods.into_iter().map(|period| Span::from_micros(micros(period))).collect()
    }

    /// The period of the symbol that ticks least often.
    #[must_use]
    pub fn longest_period(&self) -> Span {
        self.periods().into_iter().max().unwrap_or(self.period)
    }

    /// The period of the symbol that ticks most often.
    #[must_use]
    pub fn shortest_period(&self) -> Span {
        self.periods().into_iter().min().unwrap_or(self.period)
    }
}
